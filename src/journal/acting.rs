//! The fold's changes and the questions about them.

use super::body::Body;
use super::call::Progress;
use super::deed::{Deed, DeedState, Question, RulingPhase};
use super::proposal::Call;
use super::{Actor, Entry, Investigation};
use crate::domain::{
    Action, ActionId, ApprovalId, ApprovalState, EffectKeys, Grant, Marker, Reconciled, Ruling, Verdict,
};

impl Investigation {
    /// The change called `id`.
    pub fn deed(&self, id: ActionId) -> Option<&Deed> {
        self.deeds.iter().find(|deed| deed.action.id == id)
    }

    /// The change that the question `id` is about.
    pub fn asked_about(&self, id: ApprovalId) -> Option<&Deed> {
        self.deeds.iter().find(|deed| deed.questions.iter().any(|question| question.id == id))
    }

    fn deed_mut(&mut self, id: ActionId) -> Result<&mut Deed, String> {
        self.deeds.iter_mut().find(|deed| deed.action.id == id).ok_or_else(|| format!("{id} was never planned"))
    }

    /// Entries about changes; anything else is left alone.
    pub(super) fn apply_acting(&mut self, entry: &Entry) -> Result<(), String> {
        let (level, class) = (self.risk, self.class);
        match &entry.body {
            Body::CallsProposed { calls, .. } => {
                if let Some(call) = calls.iter().find(|call| !call.acts()) {
                    return Err(format!("{} changes nothing", call.id));
                }
                self.plan(calls, None)?;
                self.proposers.extend(calls.iter().map(|call| (call.id.clone(), entry.actor.clone())));
                return Ok(());
            }
            Body::ActionPlanned { call_id, action, keys, marker } => {
                return self.planned(entry, call_id, action, keys, marker);
            }
            Body::ActionRuled { action, phase, digest, ruling, told, .. } => {
                let deed = self.deed_mut(*action)?;
                if !matches!(deed.state, DeedState::Planned | DeedState::Ruled) {
                    return Err(format!("{action} is past being judged"));
                }
                (deed.ruling, deed.judged_as) = (Some((ruling.clone(), digest.clone())), class);
                let call_id = deed.call_id.clone();
                let denied = ruling.verdict == Verdict::Deny;
                deed.state = match denied {
                    true => DeedState::Refused { reason: reasons(ruling) },
                    false => DeedState::Ruled,
                };
                if denied {
                    // Nobody answers a question any more whose answer is known.
                    let is_open = deed.question().is_some_and(|q| q.state == ApprovalState::Pending);
                    let state = if is_open { ApprovalState::Invalidated } else { ApprovalState::Failed };
                    end_question(deed, state, "policy no longer permits it");
                    self.news += 1;
                }
                let call = self.call(&call_id)?;
                if *phase == RulingPhase::Propose && matches!(call.progress, Progress::Planned) {
                    call.progress = match denied {
                        true => Progress::Rejected { remedy: told.clone() },
                        false => Progress::Acting { action: *action, told: told.clone() },
                    };
                }
                return Ok(());
            }
            Body::ActionPutOff(put_off) => {
                let (action, until) = (put_off.action, put_off.until);
                let deed = self.deed_mut(action)?;
                if !is_pending(&deed.state) {
                    return Err(format!("{action} may have left the house already"));
                }
                (deed.put_offs, deed.not_before) = (deed.put_offs.saturating_add(1), Some(until));
                return Ok(());
            }
            Body::ActionDropped { action, reason } => {
                let deed = self.deed_mut(*action)?;
                if !matches!(deed.state, DeedState::Planned | DeedState::Ruled) {
                    return Err(format!("{action} may have left the house already"));
                }
                deed.state = DeedState::Refused { reason: reason.clone() };
                end_question(deed, ApprovalState::Withdrawn, reason);
            }
            Body::ApprovalRequested { approval, action, digest, requirements, expires_at } => {
                let deed = self.deed_mut(*action)?;
                if deed.questions.iter().any(|q| !q.state.is_final()) {
                    return Err(format!("a question about {action} stands already"));
                }
                deed.questions.push(Question {
                    id: *approval,
                    digest: digest.clone(),
                    level,
                    requirements: requirements.clone(),
                    grants: vec![],
                    requested_at: entry.at,
                    expires_at: *expires_at,
                    state: ApprovalState::Pending,
                    reason: String::new(),
                });
            }
            Body::ApprovalDecided { approval, granted, digest, by, comment, .. } => {
                let (deed, at) = self.question_mut(*approval)?;
                let question = &mut deed.questions[at];
                if question.state != ApprovalState::Pending || question.digest != *digest {
                    return Err(format!("{approval} was not open for this answer"));
                }
                if *granted {
                    question.grants.push(Grant { by: by.clone(), at: entry.at, comment: comment.clone() });
                    if question.is_granted() {
                        question.state = ApprovalState::Approved;
                    }
                } else {
                    let reason = format!("{} said no: {comment}", by.name);
                    (question.state, question.reason) = (ApprovalState::Denied, comment.clone());
                    deed.state = DeedState::Refused { reason };
                    let of_model = matches!(deed.proposer, Actor::Model(_));
                    self.refusals += u32::from(of_model && !comment.trim().is_empty());
                }
            }
            Body::ApprovalExpired { approval } => {
                let (deed, at) = self.question_mut(*approval)?;
                deed.questions[at].state = ApprovalState::Expired;
                deed.state = DeedState::Refused { reason: "nobody approved it in time".into() };
            }
            Body::ApprovalWithdrawn { approval, state, reason } => {
                let (deed, at) = self.question_mut(*approval)?;
                (deed.questions[at].state, deed.questions[at].reason) = (*state, reason.clone());
            }
            Body::ActionStarted { action, digest, attempt, precondition, carries, send_by, .. } => {
                let deed = self.deed_mut(*action)?;
                let judged = deed.ruling.as_ref().is_some_and(|(_, judged)| judged == digest);
                if deed.state != DeedState::Ruled || !judged || *attempt != deed.attempts + 1 {
                    return Err(format!("{action} was not ready to be made"));
                }
                deed.attempts = *attempt;
                (deed.started_at, deed.send_by, deed.looks) = (Some(entry.at), Some(*send_by), 0);
                (deed.put_offs, deed.not_before) = (0, None);
                deed.action.precondition = precondition.clone();
                deed.action.carries = carries.clone();
                deed.state = DeedState::Started;
                if let Some(question) = deed.questions.last_mut().filter(|q| q.state == ApprovalState::Approved) {
                    question.state = ApprovalState::Executing;
                }
                return Ok(());
            }
            Body::ActionFinished { action, receipt } => {
                let deed = self.deed_mut(*action)?;
                if deed.state != DeedState::Started {
                    return Err(format!("{action} was not under way"));
                }
                deed.state = DeedState::Done { at: entry.at, receipt: receipt.clone() };
                deed.looks = 0;
                end_question(deed, ApprovalState::Succeeded, "");
            }
            Body::ActionFailed { action, error } => {
                let deed = self.deed_mut(*action)?;
                if !may_have_left(&deed.state) {
                    return Err(format!("{action} was not under way"));
                }
                deed.state = DeedState::Failed { error: error.clone() };
                end_question(deed, ApprovalState::Failed, error);
            }
            Body::ActionDoubted { action, error, look_at } => {
                let deed = self.deed_mut(*action)?;
                // What was seen to be absent may still be on its way.
                let late = is_pending(&deed.state) && deed.attempts > 0;
                if !may_have_left(&deed.state) && !late {
                    return Err(format!("{action} was not under way"));
                }
                deed.state = DeedState::Doubtful { look_at: *look_at };
                deed.looks = deed.looks.saturating_add(1);
                if look_at.is_some() {
                    return Ok(());
                }
                end_question(deed, ApprovalState::Unknown, error);
            }
            Body::ActionReconciled { action, found } => {
                let deed = self.deed_mut(*action)?;
                // What was seen to be absent may turn out to have arrived late.
                let late = is_pending(&deed.state) && deed.attempts > 0 && matches!(found, Reconciled::Applied { .. });
                if !may_have_left(&deed.state) && !late {
                    return Err(format!("{action} was not under way"));
                }
                match found {
                    Reconciled::Applied { receipt } => {
                        deed.state = DeedState::Done { at: entry.at, receipt: receipt.clone() };
                        deed.looks = 0;
                        end_question(deed, ApprovalState::Succeeded, "");
                    }
                    Reconciled::Superseded { why } => {
                        deed.state = DeedState::Failed { error: why.clone() };
                        end_question(deed, ApprovalState::Failed, why);
                    }
                    // Seen to be absent: it may be made, after policy had its word again.
                    Reconciled::Absent { definite } => {
                        deed.state = DeedState::Ruled;
                        if *definite {
                            deed.send_by = None;
                        }
                        // The consent that it was begun with still stands; no other question does.
                        if let Some(question) =
                            deed.questions.last_mut().filter(|q| q.state == ApprovalState::Executing)
                        {
                            question.state = ApprovalState::Approved;
                        }
                        return Ok(());
                    }
                }
            }
            Body::ActionObserved { action, .. } => {
                let deed = self.deed_mut(*action)?;
                if !matches!(deed.state, DeedState::Done { .. }) {
                    return Err(format!("{action} was not made"));
                }
                (deed.looks, deed.looked_at) = (deed.looks.saturating_add(1), Some(entry.at));
                return Ok(());
            }
            Body::Verified { action, outcome, .. } => {
                let deed = self.deed_mut(*action)?;
                let DeedState::Done { receipt, .. } = &deed.state else {
                    return Err(format!("{action} was not made"));
                };
                deed.state = DeedState::Watched { receipt: receipt.clone(), outcome: *outcome };
            }
            _ => return Ok(()),
        }
        self.news += 1;
        Ok(())
    }

    fn planned(
        &mut self,
        entry: &Entry,
        call_id: &str,
        action: &Action,
        keys: &EffectKeys,
        marker: &Marker,
    ) -> Result<(), String> {
        let call = self.call(call_id)?.call.clone();
        if !call.acts() || call.tool != action.tool || call.args != action.args {
            return Err(format!("{} is not what {call_id} proposed", action.id));
        }
        if let Some(deed) = self.deeds.iter_mut().find(|deed| deed.action.id == action.id) {
            if deed.call_id != call_id || !matches!(deed.state, DeedState::Planned | DeedState::Ruled) {
                return Err(format!("{} cannot be planned again", action.id));
            }
            deed.action = action.clone();
            deed.plans += 1;
            (deed.put_offs, deed.not_before) = (0, None);
            deed.state = DeedState::Planned;
            return Ok(());
        }
        if self.deeds.iter().any(|deed| deed.keys.scope == keys.scope && deed.holds_scope()) {
            return Err(format!("{} repeats a change that stands already", action.id));
        }
        self.deeds.push(Deed {
            call_id: call_id.to_owned(),
            proposer: entry.actor.clone(),
            action: action.clone(),
            keys: keys.clone(),
            marker: marker.clone(),
            plans: 1,
            ruling: None,
            judged_as: None,
            questions: vec![],
            attempts: 0,
            started_at: None,
            send_by: None,
            put_offs: 0,
            not_before: None,
            looks: 0,
            looked_at: None,
            state: DeedState::Planned,
        });
        Ok(())
    }

    fn question_mut(&mut self, id: ApprovalId) -> Result<(&mut Deed, usize), String> {
        for deed in &mut self.deeds {
            if let Some(at) = deed.questions.iter().position(|question| question.id == id) {
                return match deed.questions[at].state.is_final() {
                    true => Err(format!("{id} is answered already")),
                    false => Ok((deed, at)),
                };
            }
        }
        Err(format!("{id} was never asked"))
    }

    /// Changes that were proposed and not planned yet; those of a turn, or those that came beside.
    pub(super) fn to_plan(&self, of_turn: Option<u32>) -> Vec<Call> {
        let open = self.unsettled().into_iter().filter(|c| c.turn == of_turn && c.call.acts());
        open.map(|state| state.call.clone()).collect()
    }
}

const fn is_pending(state: &DeedState) -> bool {
    matches!(state, DeedState::Planned | DeedState::Ruled)
}

const fn may_have_left(state: &DeedState) -> bool {
    matches!(state, DeedState::Started | DeedState::Doubtful { .. })
}

fn end_question(deed: &mut Deed, state: ApprovalState, reason: &str) {
    if let Some(question) = deed.questions.last_mut().filter(|q| !q.state.is_final()) {
        question.state = state;
        reason.clone_into(&mut question.reason);
    }
}

/// What forbids or asks, for people.
pub fn reasons(ruling: &Ruling) -> String {
    let said = ruling.reasons.iter().filter(|reason| reason.effect != "allow");
    said.map(|reason| format!("{} ({})", reason.reason, reason.rule)).collect::<Vec<_>>().join("; ")
}
