//! Whether a change held: its own work, and whether the alert that it was made against is over.

use super::super::EngineError;
use super::super::driver::Session;
use crate::domain::{ActionId, AlertStatus};
use crate::journal::{Actor, Body, Call, Deed, DeedState, Draft, Watched};
use crate::telemetry;
use crate::tools::{Observed, ToolError};

impl Session<'_> {
    /// One look at a change that was made; the last one decides.
    pub(in super::super) async fn verify(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let DeedState::Done { receipt, .. } = &deed.state else { return Ok(()) };
        let seen = self.engine.tools.observe(&deed.action, receipt).await;
        let is_over = deed.watch_until().is_none_or(|until| until <= self.now());
        match judged(&seen, self.inv.alert_status(), is_over) {
            None => {
                let seen = in_words(&seen, self.inv.alert_status());
                self.record(Draft::engine(Body::ActionObserved { action: id, seen }))?;
            }
            Some(outcome) => {
                let reason = in_words(&seen, self.inv.alert_status());
                telemetry::action_ended(deed.action.effect.as_str(), word(outcome));
                self.record(Draft::engine(Body::Verified { action: id, outcome, reason }))?;
                if outcome == Watched::Failed {
                    self.propose_undo(&deed)?;
                }
            }
        }
        self.flush().await
    }

    /// A change that did not hold is taken back through the same gate, where policy wants that and the
    /// tool knows how.
    fn propose_undo(&mut self, deed: &Deed) -> Result<(), EngineError> {
        let wanted = deed.ruling.as_ref().and_then(|(ruling, _)| ruling.duties.verify_after);
        let Some(undo) = deed.action.undo.as_ref().filter(|_| wanted.is_some_and(|w| w.rollback_on_failure)) else {
            return Ok(());
        };
        // What took something back and did not help either is not taken back in turn.
        if deed.proposer == Actor::Engine {
            return Ok(());
        }
        let effect = self.engine.tools.spec(&undo.tool).map(|spec| spec.effect);
        let call = Call {
            id: format!("undo_{}", deed.action.id),
            tool: undo.tool.clone(),
            args: undo.args.clone(),
            effect,
            need: serde_json::Value::Null,
        };
        if !call.acts() {
            return Ok(());
        }
        let reason = format!("{} did not hold; this restores {}", deed.action.title, undo.restores);
        self.record(Draft::new(Actor::Engine, Body::CallsProposed { calls: vec![call], reason }))
    }
}

/// What a look means; `None` as long as it is too early to say. Without any observation of its own a
/// change neither held nor failed: nothing is taken back on no evidence.
fn judged(seen: &Result<Observed, ToolError>, alert: AlertStatus, is_over: bool) -> Option<Watched> {
    match (seen, alert) {
        (Ok(Observed::Broken(_)), _) => Some(Watched::Failed),
        (Ok(Observed::Moving(_)), _) if !is_over => None,
        (Ok(Observed::Moving(_)), _) => Some(Watched::Failed),
        (Ok(Observed::Settled(_) | Observed::Nothing(_)) | Err(_), AlertStatus::Resolved) => Some(Watched::Held),
        (_, AlertStatus::Firing) if !is_over => None,
        (Ok(Observed::Settled(_)), AlertStatus::Firing) => Some(Watched::Failed),
        (Ok(Observed::Nothing(_)) | Err(_), AlertStatus::Firing) => Some(Watched::Unobserved),
    }
}

fn in_words(seen: &Result<Observed, ToolError>, alert: AlertStatus) -> String {
    let own = match seen {
        Ok(Observed::Settled(text) | Observed::Moving(text) | Observed::Broken(text) | Observed::Nothing(text)) => {
            text.clone()
        }
        Err(error) => format!("it could not be looked at: {}", error.for_reader()),
    };
    format!("{own}; the alert is {alert}")
}

const fn word(outcome: Watched) -> &'static str {
    match outcome {
        Watched::Held => "held",
        Watched::Failed => "not_held",
        Watched::Unobserved => "unobserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_means() {
        use {AlertStatus::*, Watched::*};
        let settled = || Ok(Observed::Settled("3 of 3 Pods are ready".into()));
        let moving = || Ok(Observed::Moving("1 of 3".into()));
        let broken = || Ok(Observed::Broken("the deadline of the rollout has passed".into()));
        let nothing = || Ok(Observed::Nothing(String::new()));
        let blind = || Err(ToolError::failed("503", true));
        for (seen, alert, over, expected) in [
            (settled(), Resolved, false, Some(Held)),
            (settled(), Firing, false, None),
            (settled(), Firing, true, Some(Failed)),
            (moving(), Resolved, false, None),
            (moving(), Resolved, true, Some(Failed)),
            (broken(), Resolved, false, Some(Failed)),
            (nothing(), Resolved, false, Some(Held)),
            (nothing(), Firing, false, None),
            (nothing(), Firing, true, Some(Unobserved)),
            (blind(), Firing, true, Some(Unobserved)),
            (blind(), Resolved, true, Some(Held)),
        ] {
            assert_eq!(judged(&seen, alert, over), expected, "{seen:?} {alert} {over}");
        }
    }
}
