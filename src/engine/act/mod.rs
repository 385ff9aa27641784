//! Changes: planned without making them, judged, asked about, made once, and looked for after doubt.
//!
//! - [`branch`]: what a pull request's branch is called;
//! - [`plan`]: what is proposed becomes a planned change, or a remedy;
//! - this file: the gate, questions, the intent, the change itself, and what to do after doubt;
//! - [`verify`]: whether it held.

mod branch;
mod plan;
mod verify;

pub use branch::{branch_name, check_branch};

use super::EngineError;
use super::driver::Session;
use super::facts::origins;
use super::failpoint;
use crate::domain::{
    APPROVAL_EXPIRES_S, Action, ActionId, ApprovalId, ApprovalState, DecisionId, Grant, Reconciled, Retry, Verdict,
};
use crate::gate::{Answer, Clearance, Wanted, authorize};
use crate::journal::{Body, Deed, DeedState, Draft, PutOff, RulingPhase, SETTLE_S, changing};
use crate::policy::contract::ActionHistory;
use crate::policy::{ActionInput, CallFacts};
use crate::telemetry;
use crate::tools::{ActError, ToolError};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Attempts to make one change.
const MAX_ATTEMPTS: u32 = 3;
/// Looks for a change whose end is not known.
const MAX_LOOKS: u32 = 8;
/// A change whose peer does not answer is put off so often, first for seconds and then for two minutes:
/// a quarter of an hour in all.
const MAX_PUT_OFFS: u32 = 12;
const LONGEST_PUT_OFF_S: i64 = 120;
/// From the intent to the last byte, in seconds, beside the tool's own time.
const SEND_WITHIN_S: i64 = 30;
/// What people agreed to is made so long after their question would have expired at the latest, in
/// seconds; later they are asked again.
const CONSENT_S: i64 = 900;

impl Session<'_> {
    /// Puts a change before the gate as it is now. What may happen happens; what has to be asked is
    /// asked; everything else is refused.
    pub(super) async fn authorize(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let fresh = match self.planned_anew(&deed).await {
            Ok(fresh) => fresh,
            Err(error) => return self.no_longer_planned(&deed, &error).await,
        };
        let digest = fresh.digest(self.id(), self.level());
        let judged = deed.ruling.as_ref().map(|(_, judged)| judged);
        if deed.state == DeedState::Planned || judged != Some(&digest) {
            return self.judge_anew(&deed, fresh).await;
        }
        let answered = deed.question().filter(|question| question.state == ApprovalState::Approved);
        if answered.is_some_and(|question| later(question.expires_at, CONSENT_S) < self.now()) {
            self.withdraw(&deed, ApprovalState::Invalidated, "it was agreed to too long ago")?;
            return self.question(id);
        }
        let grants: Vec<Grant> = answered.map(|question| question.grants.clone()).unwrap_or_default();
        let agreed = answered.map(|question| (&question.digest, grants.as_slice()));
        let waiting = deed.question().filter(|question| question.state == ApprovalState::Pending).cloned();
        match (self.rule(&fresh, agreed, RulingPhase::Execute, String::new).await?, waiting) {
            (Answer::Denied, _) => Ok(()),
            // Another policy asks the same people: their question stands.
            (Answer::Ask(requirements), Some(question)) if question.requirements == requirements => Ok(()),
            // It asks nobody any more: the change is judged once more, without a question.
            (Answer::Cleared(_), Some(_)) => {
                self.withdraw(&deed, ApprovalState::Withdrawn, "policy does not ask for it any more")
            }
            (Answer::Ask(_), _) => {
                self.withdraw(&deed, ApprovalState::Invalidated, "policy asks more than was answered")?;
                self.question(id)
            }
            (Answer::Cleared(clearance), None) => self.make(&deed, *clearance).await,
        }
    }

    /// It cannot be planned any more. After an attempt that may be because it is in the world by now.
    async fn no_longer_planned(&mut self, deed: &Deed, error: &ToolError) -> Result<(), EngineError> {
        let (action, now) = (deed.action.id, self.now());
        if deed.attempts > 0 {
            match self.engine.tools.reconcile(&deed.action, &deed.marker).await {
                Ok(found @ Reconciled::Applied { .. }) => {
                    return self.record(Draft::engine(Body::ActionReconciled { action, found }));
                }
                Err(blind) if deed.send_by.is_some() => {
                    let error = format!("it can neither be planned nor be looked for: {}", blind.for_reader());
                    let look_at = (deed.looks < MAX_LOOKS).then(|| later(now, 5i64 << deed.looks.min(6)));
                    return self.record(Draft::engine(Body::ActionDoubted { action, error, look_at }));
                }
                Ok(_) | Err(_) => {}
            }
        }
        if error.is_transient() && deed.put_offs < MAX_PUT_OFFS {
            let until = later(now, (5i64 << deed.put_offs.min(6)).min(LONGEST_PUT_OFF_S));
            let reason = error.for_reader().to_owned();
            return self.record(Draft::engine(Body::ActionPutOff(PutOff { action, reason, until })));
        }
        self.give_up(deed, format!("it can no longer be planned: {}", error.for_reader()))
    }

    /// The plan as it is now, under the same name.
    async fn planned_anew(&self, deed: &Deed) -> Result<Action, ToolError> {
        let action = &deed.action;
        let plan = self.plan_patiently(&action.tool, &action.args, Some(deed)).await?;
        Ok(self.action_of(action.id, action.nonce.clone(), &action.args, plan, action))
    }

    /// The world or the level is another one: what was asked about is gone, and the change is judged as
    /// it is now.
    async fn judge_anew(&mut self, deed: &Deed, fresh: Action) -> Result<(), EngineError> {
        if deed.plans >= changing::MAX_PLANS {
            return self.give_up(deed, "what it would change keeps changing".to_owned());
        }
        self.withdraw(deed, ApprovalState::Invalidated, "what it would change, or the risk, is not what it was")?;
        let body = Body::ActionPlanned {
            call_id: deed.call_id.clone(),
            action: Box::new(fresh.clone()),
            keys: deed.keys.clone(),
            marker: deed.marker.clone(),
        };
        self.record(Draft::engine(body))?;
        match self.rule(&fresh, None, RulingPhase::Propose, String::new).await? {
            Answer::Ask(_) => self.question(fresh.id),
            Answer::Denied | Answer::Cleared(_) => Ok(()),
        }
    }

    /// Asks the gate and journals the ruling. `told` is what the proposer hears of a ruling that does
    /// not deny.
    async fn rule(
        &mut self,
        action: &Action,
        agreed: Option<(&crate::domain::Digest, &[Grant])>,
        phase: RulingPhase,
        told: impl FnOnce() -> String,
    ) -> Result<Answer, EngineError> {
        let input = self.action_input(action, phase).await?;
        let id = DecisionId::new(self.engine.entropy.uuid(self.now()));
        let level = self.level();
        let wanted = Wanted { action, investigation: self.id(), level, input: &input, agreed, phase };
        let (ruling, answer) = self.engine.gate.authorize(id, &wanted);
        if let Some(error) = &ruling.error {
            telemetry::policy_failed();
            tracing::error!(investigation = %self.inv.chain, %error, "the policy failed, so the change is denied");
        }
        // A no is final, so it waits until nothing of ours can still arrive.
        if ruling.verdict == Verdict::Deny
            && let Some(deed) = self.inv.deed(action.id)
            && let Some(until) = deed.underway_until(self.now())
        {
            self.doubt(action.id, "policy no longer permits it".to_owned(), until)?;
            return Ok(Answer::Denied);
        }
        let told = match ruling.verdict {
            Verdict::Deny => ruling.for_model.clone().unwrap_or_default(),
            Verdict::Ask | Verdict::Allow => told(),
        };
        telemetry::action_judged(action.effect.as_str(), ruling.verdict.as_str());
        let input = self.keep(&input)?;
        let digest = action.digest(self.id(), level);
        self.record(Draft::engine(Body::ActionRuled { action: action.id, phase, digest, ruling, input, told }))?;
        Ok(answer)
    }

    /// Everything that policy is asked with.
    async fn action_input(&mut self, action: &Action, phase: RulingPhase) -> Result<ActionInput, EngineError> {
        let around = self.around().await?;
        let now = self.now();
        let deed = self.inv.deed(action.id);
        let tags = self.engine.tools.spec(&action.tool).map(|spec| spec.tags.clone()).unwrap_or_default();
        let args = action.args.as_object().cloned().unwrap_or_default();
        let proposer = deed.map_or_else(|| self.proposer_of_action(action), |deed| deed.proposer.clone());
        let arg_origins = origins(&args, &action.targets, self.inv.opening(), &proposer);
        let mut call = CallFacts::new(action.id.to_string(), action.tool.clone(), action.effect, args);
        call.tags = tags;
        call.arg_origins = arg_origins;
        call.reversible = action.reversible;
        call.targets = action.targets.iter().filter_map(|target| serde_json::to_value(target).ok()).collect();
        call.preview = Some(serde_json::json!({
            "kind": action.preview.kind,
            "ok": true,
            "digest": action.preview.digest(),
            "adds": action.preview.adds,
            "changes": action.preview.changes,
            "removes": action.preview.removes,
        }));
        call.action_digest = action.digest(self.id(), self.level()).to_string();
        if let Some(argv) = action.facts.get("argv").and_then(Value::as_array) {
            call.argv = argv.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        let rules: Vec<String> = self.inv.risk_reasons.iter().map(|reason| reason.rule.clone()).collect();
        let about = self.investigation_facts(&proposer);
        let background = around.background.as_deref();
        let background = background.ok_or_else(|| super::driver::corrupt(&self.inv.chain, "there is no alert"))?;
        let mut input = around.of(ActionInput::for_call(background, &self.level(), &rules, about, call, now));
        input.phase = phase.as_str().to_owned();
        input.blast_radius = action.blast_radius.clone();
        let before = self.engine.store.deeds_before(action.id, &action.tool, &action.target(), now).await?;
        input.history = ActionHistory {
            resource_actions_1h: before.resource_1h,
            resource_actions_24h: before.resource_24h,
            namespace_actions_1h: before.namespace_1h,
            targets_of_kind_1h: before.targets_of_kind_1h,
            same_action_1h: before.same_1h,
            same_action_failed_24h: before.same_failed_24h,
        };
        if let Some(pr) = action.facts.get("pr").and_then(|pr| serde_json::from_value(pr.clone()).ok()) {
            input.pr = pr;
        }
        Ok(input)
    }

    /// Asks people about a change that policy lets happen only with their consent.
    fn question(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let Some((ruling, digest)) = &deed.ruling else { return Ok(()) };
        if deed.questions.len() >= changing::MAX_QUESTIONS {
            return self.give_up(&deed, "it was asked about too often".to_owned());
        }
        let now = self.now();
        let stands_s = ruling.expires_s.unwrap_or(APPROVAL_EXPIRES_S);
        let expires_at = later(now, i64::try_from(stands_s).unwrap_or(i64::MAX));
        telemetry::approval("requested");
        self.record(Draft::engine(Body::ApprovalRequested {
            approval: ApprovalId::new(self.engine.entropy.uuid(now)),
            action: id,
            digest: digest.clone(),
            requirements: ruling.requirements.clone(),
            expires_at,
        }))
    }

    fn withdraw(&mut self, deed: &Deed, state: ApprovalState, reason: &str) -> Result<(), EngineError> {
        let Some(question) = deed.question().filter(|question| !question.state.is_final()) else { return Ok(()) };
        telemetry::approval(state.as_str());
        let body = Body::ApprovalWithdrawn { approval: question.id, state, reason: reason.to_owned() };
        self.record(Draft::engine(body))
    }

    fn give_up(&mut self, deed: &Deed, reason: String) -> Result<(), EngineError> {
        if let Some(until) = deed.underway_until(self.now()) {
            return self.doubt(deed.action.id, reason, until);
        }
        self.record(Draft::engine(Body::ActionDropped { action: deed.action.id, reason }))
    }

    /// A request of ours was not found and may still arrive: it is looked for before anything is final.
    fn doubt(&mut self, action: ActionId, why: String, until: Timestamp) -> Result<(), EngineError> {
        let error = format!("{why}, and an earlier request may still arrive");
        self.record(Draft::engine(Body::ActionDoubted { action, error, look_at: Some(until) }))
    }

    /// Drops a change that nobody may make or wants any more.
    pub(super) fn drop_change(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let reason = match &self.inv.cancelled {
            Some(reason) => format!("the investigation was cancelled: {reason}"),
            None => "the risk is CRITICAL now, at which nothing is changed".to_owned(),
        };
        self.give_up(&deed, reason)
    }

    /// Nobody answered: that is a no. An answer that is on disk counts.
    pub(super) async fn expire(&mut self, approval: ApprovalId) -> Result<(), EngineError> {
        self.take_signals().await?;
        let Some(deed) = self.inv.asked_about(approval).cloned() else { return Ok(()) };
        let stands = deed.question().is_some_and(|q| q.id == approval && q.state == ApprovalState::Pending);
        if !stands || deed.state != DeedState::Ruled {
            return Ok(());
        }
        if let Some(until) = deed.underway_until(self.now()) {
            return self.doubt(deed.action.id, "nobody approved it in time".to_owned(), until);
        }
        telemetry::approval("expired");
        self.record(Draft::engine(Body::ApprovalExpired { approval }))
    }

    /// Journals the intent, and then makes the change.
    async fn make(&mut self, deed: &Deed, clearance: Clearance) -> Result<(), EngineError> {
        // Whoever stops the program waits until the outcome is on disk.
        let undivided = self.undivided;
        let _undivided = undivided.lock().await;
        let (id, action) = (deed.action.id, clearance.action().clone());
        let timeout = self.engine.tools.spec(&action.tool).map_or(0, |spec| spec.timeout.as_secs());
        let send_by = authorize::send_by(self.now(), SEND_WITHIN_S.saturating_add_unsigned(timeout));
        self.record(Draft::engine(Body::ActionStarted {
            action: id,
            decision: clearance.decision(),
            digest: clearance.digest().clone(),
            attempt: deed.attempts + 1,
            precondition: action.precondition.clone(),
            carries: action.carries.clone(),
            send_by,
        }))?;
        let seq = self.inv.head.seq;
        self.flush().await?;
        if self.signalled {
            self.take_signals().await?;
            // What arrived between the decision and the intent has its word first: nothing is sent yet.
            if self.inv.cancelled.is_some() || self.inv.is_unjudged() {
                let found = Reconciled::Absent { definite: true };
                return self.record(Draft::engine(Body::ActionReconciled { action: id, found }));
            }
        }
        let warrant = self.engine.gate.mint(self.engine.store.as_ref(), seq, clearance, deed.marker.clone()).await;
        let warrant = match warrant {
            Ok(warrant) => warrant,
            // Nothing was sent: it is judged once more, for the store may just not have answered.
            Err(refused) => {
                let body = match deed.attempts + 1 >= MAX_ATTEMPTS {
                    true => Body::ActionFailed { action: id, error: refused.to_string() },
                    false => Body::ActionReconciled { action: id, found: Reconciled::Absent { definite: true } },
                };
                return self.record(Draft::engine(body));
            }
        };
        failpoint::effect(failpoint::Side::Before);
        let made = self.engine.tools.execute(warrant, self.now()).await;
        failpoint::effect(failpoint::Side::After);
        let body = match made {
            Ok(receipt) => Body::ActionFinished { action: id, receipt },
            Err(ActError::Refused { text }) => Body::ActionFailed { action: id, error: text },
            Err(ActError::Stale { text }) if deed.attempts + 1 >= MAX_ATTEMPTS => {
                Body::ActionFailed { action: id, error: text }
            }
            // The target refused it because the world has moved on: planned and judged as it is now.
            Err(ActError::Stale { .. }) => {
                Body::ActionReconciled { action: id, found: Reconciled::Absent { definite: true } }
            }
            Err(ActError::Unknown { text }) => {
                tracing::warn!(investigation = %self.inv.chain, action = %id, error = %text, "whether a change was made is not known");
                Body::ActionDoubted { action: id, error: text, look_at: Some(self.now()) }
            }
        };
        if let Body::ActionFinished { .. } = &body {
            telemetry::action_ended(action.effect.as_str(), "done");
        }
        self.record(Draft::engine(body))?;
        self.flush().await
    }

    /// Looks for a change whose end is not known.
    pub(super) async fn reconcile(&mut self, id: ActionId) -> Result<(), EngineError> {
        let Some(deed) = self.inv.deed(id).cloned() else { return Ok(()) };
        let found = self.engine.tools.reconcile(&deed.action, &deed.marker).await;
        let now = self.now();
        let body = match found {
            Ok(found @ (Reconciled::Applied { .. } | Reconciled::Superseded { .. })) => {
                Body::ActionReconciled { action: id, found }
            }
            Ok(Reconciled::Absent { definite }) => match absent(&deed, definite, now) {
                Absent::Again if deed.attempts >= MAX_ATTEMPTS => {
                    let error = format!("it is not there after {} attempts", deed.attempts);
                    Body::ActionFailed { action: id, error }
                }
                Absent::Again => Body::ActionReconciled { action: id, found: Reconciled::Absent { definite } },
                Absent::LookAgain(at) => {
                    Body::ActionDoubted { action: id, error: "it is not there yet".into(), look_at: Some(at) }
                }
                Absent::Unknown(why) => Body::ActionDoubted { action: id, error: why.into(), look_at: None },
            },
            Err(error) => {
                let again = later(now, 5i64 << deed.looks.min(6));
                let look_at = Some(again).filter(|_| deed.looks < MAX_LOOKS);
                let error = format!("it could not be looked for: {}", error.for_reader());
                Body::ActionDoubted { action: id, error, look_at }
            }
        };
        self.record(Draft::engine(body))?;
        self.flush().await
    }
}

/// What follows from not finding a change.
enum Absent {
    /// It may be made, after policy had its word.
    Again,
    /// A request may still be on its way.
    LookAgain(Timestamp),
    /// It stays open, for a person.
    Unknown(&'static str),
}

fn absent(deed: &Deed, definite: bool, now: Timestamp) -> Absent {
    let settled = deed.send_by.map_or(now, |send_by| later(send_by, SETTLE_S));
    let last = deed.looks >= MAX_LOOKS;
    match deed.action.retry {
        // One more of the same changes nothing; that it failed is only said when none can arrive.
        Retry::Keyed if deed.attempts >= MAX_ATTEMPTS && !definite && now < settled => Absent::LookAgain(settled),
        Retry::Keyed => Absent::Again,
        Retry::Probe if definite || now >= settled => Absent::Again,
        Retry::Probe => Absent::LookAgain(settled),
        Retry::Settle if last || now >= later(settled, 600) => {
            Absent::Unknown("it is not there, and it could still arrive: look at the target before asking again")
        }
        Retry::Settle => Absent::LookAgain(later(now, 15i64 << deed.looks.min(5))),
        Retry::Never => Absent::Unknown("nothing tells whether it was made: look at the target before asking again"),
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
