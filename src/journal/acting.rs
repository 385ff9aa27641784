//! The fold's changes and the questions about them.

use super::body::Body;
use super::call::Progress;
use super::proposal::Call;
use super::{Actor, Entry, Investigation};
use crate::domain::{
    Action, ActionId, ApprovalId, ApprovalState, Digest, EffectKeys, Grant, Marker, Person, Receipt, Reconciled,
    Requirement, Risk, Ruling, Verdict, is_met, may_answer,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a request may still be on its way after it could last be sent, in seconds.
pub const SETTLE_S: i64 = 10;

/// When a change is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulingPhase {
    /// Before anybody is asked.
    Propose,
    /// Right before it is made.
    Execute,
}

impl RulingPhase {
    /// The word that policies read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::Execute => "execute",
        }
    }
}

/// Whether a change held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// What it was made against is over.
    Held,
    /// What it was made against goes on, or its own rollout failed.
    Failed,
    /// Nothing could be seen: no reason to take anything back.
    Unobserved,
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq)]
pub enum DeedState {
    /// Tried without making it; not judged as it is now.
    Planned,
    /// Policy lets it happen, with the question answered where there is one.
    Ruled,
    /// Under way: whether it arrived is not known until it says so.
    Started,
    /// It may or may not have happened.
    Doubtful {
        /// When we look; without it nobody looks again.
        look_at: Option<Timestamp>,
    },
    /// It was made.
    Done {
        /// When.
        at: Timestamp,
        /// What the target said.
        receipt: Receipt,
    },
    /// It was made and watched.
    Watched {
        /// What the target said.
        receipt: Receipt,
        /// Whether it held.
        outcome: Watched,
    },
    /// The target refused it: nothing happened.
    Failed {
        /// What it said.
        error: String,
    },
    /// It will not be made: policy, a person or time said no, or it is no longer wanted.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

/// A question to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its id.
    pub id: ApprovalId,
    /// What exactly is asked about.
    pub digest: Digest,
    /// The level at which it was asked.
    pub level: Option<Risk>,
    /// Who has to agree.
    pub requirements: Vec<Requirement>,
    /// Who has agreed.
    pub grants: Vec<Grant>,
    /// Asked at.
    pub requested_at: Timestamp,
    /// Nobody's silence is a yes.
    pub expires_at: Timestamp,
    /// How far it has come.
    pub state: ApprovalState,
    /// Why it ended as it did.
    pub reason: String,
}

impl Question {
    /// Everybody who has to has agreed.
    pub fn is_granted(&self) -> bool {
        is_met(&self.requirements, &self.grants)
    }
}

/// A change from plan to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// The call that proposed it.
    pub call_id: String,
    /// Who did.
    pub proposer: Actor,
    /// What is to be done, as last planned.
    pub action: Action,
    /// Its names in the world.
    pub keys: EffectKeys,
    /// What it carries there.
    pub marker: Marker,
    /// How often it was planned.
    pub plans: u32,
    /// The last ruling, and what exactly it was about.
    pub ruling: Option<(Ruling, Digest)>,
    /// Questions about it, the last one last.
    pub questions: Vec<Question>,
    /// Attempts to make it.
    pub attempts: u32,
    /// When it was last begun.
    pub started_at: Option<Timestamp>,
    /// No byte of the last attempt left later than this; `None` also where it is known to be absent for good.
    pub send_by: Option<Timestamp>,
    /// How often it was put off since it was last planned or begun.
    pub put_offs: u32,
    /// It is not tried before this.
    pub not_before: Option<Timestamp>,
    /// Looks at it, for it while its end is not known and since it was made.
    pub looks: u32,
    /// When the last one was.
    pub looked_at: Option<Timestamp>,
    /// How far it has come.
    pub state: DeedState,
}

impl Deed {
    /// The question that stands, or the last one that was answered.
    pub fn question(&self) -> Option<&Question> {
        self.questions.last()
    }

    /// Until when a request of ours that was not found may still arrive; `None` when none can.
    pub fn underway_until(&self, now: Timestamp) -> Option<Timestamp> {
        let settled = self.send_by?.checked_add(jiff::SignedDuration::from_secs(SETTLE_S)).ok()?;
        (self.attempts > 0 && now < settled).then_some(settled)
    }

    /// People are asked and have not all answered.
    pub fn waits(&self) -> Option<&Question> {
        self.question().filter(|q| q.state == ApprovalState::Pending && !q.is_granted())
    }

    /// Whether `person` may answer `question`: in a group that counts, and nobody approves what they
    /// proposed themselves, unless there is nobody else.
    pub fn may_be_answered_by(&self, person: &Person, question: &Question) -> bool {
        let own = self.proposer == Actor::Person(person.name.clone()) && !person.every_group;
        !own && may_answer(person, &question.requirements)
    }

    /// Nothing more will come of it.
    pub fn is_settled(&self) -> bool {
        match &self.state {
            DeedState::Planned | DeedState::Ruled | DeedState::Started => false,
            DeedState::Doubtful { look_at } => look_at.is_none(),
            DeedState::Done { .. } => self.watch_until().is_none(),
            DeedState::Watched { .. } | DeedState::Failed { .. } | DeedState::Refused { .. } => true,
        }
    }

    /// When the watch over a change that was made ends, where it is watched.
    pub fn watch_until(&self) -> Option<Timestamp> {
        let DeedState::Done { at, .. } = &self.state else { return None };
        let watch = self.ruling.as_ref()?.0.duties.verify_after?;
        at.checked_add(jiff::SignedDuration::from_secs(i64::try_from(watch.within_s).ok()?)).ok()
    }

    /// Whether it helped; `None` while nobody knows, and where nothing could be observed.
    pub fn helped(&self) -> Option<bool> {
        match &self.state {
            DeedState::Watched { outcome: Watched::Held, .. } => Some(true),
            DeedState::Watched { outcome: Watched::Failed, .. } => Some(false),
            _ => None,
        }
    }

    /// It may be in the world, or is: nobody plans it again for the same purpose.
    pub fn holds_scope(&self) -> bool {
        !matches!(self.state, DeedState::Failed { .. } | DeedState::Refused { .. })
    }

    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match &self.state {
            DeedState::Planned | DeedState::Ruled if self.waits().is_some() => "asked",
            DeedState::Planned | DeedState::Ruled => "planned",
            DeedState::Started => "started",
            DeedState::Doubtful { .. } => "unknown",
            DeedState::Done { .. } => "done",
            DeedState::Watched { outcome: Watched::Held, .. } => "verified",
            DeedState::Watched { .. } => "done",
            DeedState::Failed { .. } => "failed",
            DeedState::Refused { .. } => "refused",
        }
    }
}

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
        let level = self.risk;
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
                deed.ruling = Some((ruling.clone(), digest.clone()));
                let call_id = deed.call_id.clone();
                let denied = ruling.verdict == Verdict::Deny;
                deed.state = match denied {
                    true => DeedState::Refused { reason: reasons(ruling) },
                    false => DeedState::Ruled,
                };
                if denied {
                    end_question(deed, ApprovalState::Failed, "policy no longer permits it");
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
            Body::ActionPutOff { action, until, .. } => {
                let deed = self.deed_mut(*action)?;
                if !is_pending(&deed.state) {
                    return Err(format!("{action} may have left the house already"));
                }
                (deed.put_offs, deed.not_before) = (deed.put_offs.saturating_add(1), Some(*until));
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
