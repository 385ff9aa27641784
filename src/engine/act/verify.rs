//! Whether a change held: its own work, and whether the alert that it was made against is over.

use super::super::EngineError;
use super::super::driver::Session;
use crate::domain::{ActionId, AlertStatus, BlobRef, Observation, Ruling, SreEvent};
use crate::journal::{Actor, Body, Call, Deed, DeedState, Draft, Progress, Watched};
use crate::telemetry;
use crate::tools::{Observed, ToolError};
use serde_json::{Value, json};

impl Session<'_> {
    /// One look at a change that was made; the last one decides.
    pub(in super::super) async fn verify(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let DeedState::Done { receipt, .. } = &deed.state else { return Ok(()) };
        let seen = self.engine.tools.observe(&deed.action, receipt).await;
        let (active, asked) = self.alert_is_active(&deed).await?;
        let alert = match active {
            Some(false) => AlertStatus::Resolved,
            Some(true) | None => self.inv.alert_status(),
        };
        let is_over = deed.watch_until().is_none_or(|until| until <= self.now());
        let (outcome, reason) = (judged(&seen, alert, is_over), in_words(&seen, alert, active));
        if outcome.is_none() || asked.is_some() {
            let seen = reason.clone();
            let (ruling, input) = asked.unzip();
            let input = input.flatten();
            self.record(Draft::engine(Body::ActionObserved { action: id, seen, ruling, input }))?;
        }
        match outcome {
            None => {}
            Some(outcome) => {
                telemetry::action_ended(deed.action.effect.as_str(), word(outcome));
                self.record(Draft::engine(Body::Verified { action: id, outcome, reason: reason.clone() }))?;
                if outcome == Watched::Failed {
                    self.propose_undo(&deed)?;
                }
                // Whoever closed a pull request need not be told.
                let is_closed = matches!(seen, Ok(Observed::Broken(_))) && pull_of(&deed).is_some();
                if outcome != Watched::Unobserved && !is_closed {
                    self.propose_comment(&deed, outcome, &reason)?;
                }
            }
        }
        self.flush().await
    }

    /// Whether Prometheus still has one of the alerts, by their own expression: a sender's word that they
    /// are over can take minutes. `None` where nobody can be asked, or the alert was never seen there; beside
    /// it the ruling on the question.
    async fn alert_is_active(
        &mut self,
        deed: &Deed,
    ) -> Result<(Option<bool>, Option<(Ruling, Option<BlobRef>)>), EngineError> {
        let around = self.around().await?;
        let call = Call {
            id: format!("watch_{}_{}", deed.action.id, deed.looks + 1),
            tool: ALERTS.to_owned(),
            args: json!({}),
            effect: None,
            need: Value::Null,
        };
        let Ok(mut judged) = self.ruling(&call, &around) else { return Ok((None, None)) };
        let Some(pass) = judged.pass.take() else { return Ok((None, None)) };
        let input = self.keep_asked(std::iter::once((&call, &judged)))?;
        let ruling = Some((judged.ruling, input));
        let Ok(seen) = self.engine.tools.call(pass).await else { return Ok((None, ruling)) };
        let active = match self.has_any_alert(&seen) {
            true => Some(true),
            // What was cut off may have been it, and what was never there did not end.
            false if seen.truncated => None,
            // Those that are only counted may be there still.
            false if self.inv.counted.firing > 0 => None,
            false => self.had_alert().await?.then_some(false),
        };
        Ok((active, ruling))
    }

    /// Whether Prometheus had one of the alerts when it was asked earlier in this investigation. Another
    /// Prometheus, or another sender, may be where it comes from.
    async fn had_alert(&mut self) -> Result<bool, EngineError> {
        let asked = self.inv.calls.iter().filter(|state| state.call.tool == ALERTS);
        let looks = asked.filter_map(|state| match &state.progress {
            Progress::Seen { observation, .. } => Some(observation.clone()),
            _ => None,
        });
        for observation in looks.collect::<Vec<_>>() {
            if let Some(seen) = self.fetch::<Observation>(&observation).await?
                && self.has_any_alert(&seen)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_any_alert(&self, seen: &Observation) -> bool {
        self.inv.events.iter().any(|event| has_alert(&seen.data, event))
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
            need: Value::Null,
        };
        if !call.acts() {
            return Ok(());
        }
        let reason = format!("{} did not hold; this restores {}", deed.action.title, undo.restores);
        self.record(Draft::new(Actor::Engine, Body::CallsProposed { calls: vec![call], reason }))
    }

    /// Whoever reads the pull request of this investigation is told, once, whether what was done held.
    fn propose_comment(&mut self, deed: &Deed, outcome: Watched, reason: &str) -> Result<(), EngineError> {
        let Some((pull, repo, number)) = self.inv.deeds.iter().find_map(pull_of) else { return Ok(()) };
        let call = Call {
            id: format!("verified_{pull}"),
            tool: COMMENT.to_owned(),
            args: json!({"repo": repo, "number": number, "body": comment(deed, outcome, reason)}),
            effect: self.engine.tools.spec(COMMENT).map(|spec| spec.effect),
            need: Value::Null,
        };
        if !call.acts() || self.inv.proposers.contains_key(&call.id) {
            return Ok(());
        }
        let reason = format!("whether {} held belongs to the pull request", deed.action.title);
        self.record(Draft::new(Actor::Engine, Body::CallsProposed { calls: vec![call], reason }))
    }
}

/// The tool that lists alerts by their expressions.
const ALERTS: &str = "prometheus_alerts";

/// Whether the alert is among those that Prometheus has. What sends it on adds labels and takes none away.
fn has_alert(data: &Value, event: &SreEvent) -> bool {
    let alerts = data["alerts"].as_array().into_iter().flatten();
    let same = |alert: &Value| {
        let labels = alert["labels"].as_object();
        labels.is_some_and(|labels| {
            !labels.is_empty()
                && labels.iter().all(|(name, value)| event.labels.get(name).map(String::as_str) == value.as_str())
        })
    };
    alerts.into_iter().any(same)
}

/// The tool that writes a comment.
const COMMENT: &str = "github_comment";

/// The pull request that a change opened: whose it is, its repository and its number.
fn pull_of(deed: &Deed) -> Option<(ActionId, String, u64)> {
    let (DeedState::Done { receipt, .. } | DeedState::Watched { receipt, .. }) = &deed.state else { return None };
    let is_pull = deed.action.targets.first().is_some_and(|target| target.kind == "PullRequest");
    let repo = receipt.detail["repo"].as_str().filter(|_| is_pull)?;
    Some((deed.action.id, repo.to_owned(), receipt.detail["number"].as_u64()?))
}

fn comment(deed: &Deed, outcome: Watched, reason: &str) -> String {
    let held = match outcome {
        Watched::Held => "Verified",
        Watched::Failed | Watched::Unobserved => "This did not help",
    };
    format!("{held}: {}. Seen: {reason}.", deed.action.title)
}

/// What a look means; `None` as long as it is too early to say. Without any observation of its own a
/// change neither held nor failed: nothing is taken back on no evidence.
fn judged(seen: &Result<Observed, ToolError>, alert: AlertStatus, is_over: bool) -> Option<Watched> {
    match (seen, alert) {
        (Ok(Observed::Broken(_)), _) => Some(Watched::Failed),
        (Ok(Observed::Moving(_)), _) if !is_over => None,
        (Ok(Observed::Moving(_)), _) => Some(Watched::Failed),
        (Ok(Observed::Waits(_)), _) if !is_over => None,
        (Ok(Observed::Waits(_)), _) => Some(Watched::Unobserved),
        (Ok(Observed::Settled(_) | Observed::Nothing(_)) | Err(_), AlertStatus::Resolved) => Some(Watched::Held),
        (_, AlertStatus::Firing) if !is_over => None,
        (Ok(Observed::Settled(_)), AlertStatus::Firing) => Some(Watched::Failed),
        (Ok(Observed::Nothing(_)) | Err(_), AlertStatus::Firing) => Some(Watched::Unobserved),
    }
}

fn in_words(seen: &Result<Observed, ToolError>, alert: AlertStatus, active: Option<bool>) -> String {
    let own = match seen {
        Ok(
            Observed::Settled(text)
            | Observed::Moving(text)
            | Observed::Broken(text)
            | Observed::Nothing(text)
            | Observed::Waits(text),
        ) => text.clone(),
        Err(error) => format!("it could not be looked at: {}", error.for_reader()),
    };
    let by = match active {
        Some(true) => ", and its expression still holds",
        Some(false) => ", for its expression holds no longer",
        None => "",
    };
    format!("{own}; the alert is {alert}{by}")
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
        let waits = || Ok(Observed::Waits("it waits for people".into()));
        let nothing = || Ok(Observed::Nothing(String::new()));
        let blind = || Err(ToolError::failed("503", true));
        for (seen, alert, over, expected) in [
            (settled(), Resolved, false, Some(Held)),
            (settled(), Firing, false, None),
            (settled(), Firing, true, Some(Failed)),
            (moving(), Resolved, false, None),
            (moving(), Resolved, true, Some(Failed)),
            (broken(), Resolved, false, Some(Failed)),
            (waits(), Firing, false, None),
            (waits(), Resolved, false, None),
            (waits(), Resolved, true, Some(Unobserved)),
            (nothing(), Resolved, false, Some(Held)),
            (nothing(), Firing, false, None),
            (nothing(), Firing, true, Some(Unobserved)),
            (blind(), Firing, true, Some(Unobserved)),
            (blind(), Resolved, true, Some(Held)),
        ] {
            assert_eq!(judged(&seen, alert, over), expected, "{seen:?} {alert} {over}");
        }
    }

    #[test]
    fn an_alert_is_known_by_the_labels_that_prometheus_gives_it() {
        let event = crate::policy::sample_event();
        let with = |labels: Value| json!({"alerts": [{"labels": {"alertname": "Other"}}, {"labels": labels, "state": "firing"}]});
        for (labels, expected) in [
            (json!({"alertname": "KubePodCrashLooping", "namespace": "payments", "pod": "api-7d9f"}), true),
            (json!({"alertname": "KubePodCrashLooping", "namespace": "payments"}), true),
            (json!({"alertname": "KubePodCrashLooping", "namespace": "payments", "pod": "web-1"}), false),
            (json!({"alertname": "KubePodCrashLooping", "severity": "page"}), false),
            (json!({}), false),
            (json!(null), false),
        ] {
            assert_eq!(has_alert(&with(labels.clone()), &event), expected, "{labels}");
        }
        assert!(!has_alert(&json!({}), &event));
    }
}
