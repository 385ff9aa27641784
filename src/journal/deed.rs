//! A change and the questions about it, as the fold knows them.

use super::Actor;
use crate::domain::{
    Action, ActionId, ApprovalId, ApprovalState, Class, Digest, EffectKeys, Entity, Grant, Marker, Person, Receipt,
    Requirement, Risk, Ruling, is_met, may_answer,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a request may still be on its way after it could last be sent, in seconds.
pub const SETTLE_S: i64 = 10;

/// The fact of a plan that says what is to be looked at more closely, as an [`Entity`]: the change itself
/// is that the investigation goes on.
pub const LOOKS_CLOSER: &str = "looks_closer";

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
    /// As what kind of incident it was judged.
    pub judged_as: Option<Class>,
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

    /// What is to be looked at more closely once people agreed to it, where that is all that it is about.
    pub fn looks_closer(&self) -> Option<Entity> {
        serde_json::from_value(self.action.facts.get(LOOKS_CLOSER)?.clone()).ok()
    }

    /// When the watch over a change that was made ends, where it is watched. A look changes nothing that
    /// could hold.
    pub fn watch_until(&self) -> Option<Timestamp> {
        if self.looks_closer().is_some() {
            return None;
        }
        let DeedState::Done { at, .. } = &self.state else { return None };
        let watch = self.ruling.as_ref()?.0.duties.verify_after?;
        at.checked_add(jiff::SignedDuration::from_secs(i64::try_from(watch.within_s).ok()?)).ok()
    }

    /// Whether it was made; `None` while nobody knows.
    pub fn made(&self) -> Option<bool> {
        match &self.state {
            DeedState::Done { .. } | DeedState::Watched { .. } => Some(true),
            DeedState::Failed { .. } | DeedState::Refused { .. } => Some(false),
            DeedState::Planned | DeedState::Ruled | DeedState::Started | DeedState::Doubtful { .. } => None,
        }
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

/// A planned change could not be looked at again just then: a peer did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    /// The change.
    pub action: ActionId,
    /// What went wrong.
    pub reason: String,
    /// When it is tried again.
    pub until: Timestamp,
}
