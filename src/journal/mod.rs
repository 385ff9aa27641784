//! L1: what happened, in order, and what comes next. Pure.
//!
//! An investigation is the fold of an append-only, hash-chained list of [`Entry`]s. Resuming after a
//! crash, the audit trail, the live view, the report and the usage figures all read this one list.
//!
//! - [`body`]: the words: what an entry can say
//! - [`outcome`]: when risk is judged, and how it ends
//! - [`chain`]: canonical bytes, hash links, verification
//! - [`state`]: [`Investigation`], the fold; [`parts`]: what it is made of
//! - [`frozen`]: what an investigation may use; [`proposal`]: what a proposer wants
//! - [`asking`]: what policy was asked with; [`system`]: what belongs to no investigation
//! - [`counted`]: alerts beyond those that are told apart
//! - [`meanwhile`]: what happened to them while a model was at work
//! - [`call`]: the fold's calls; [`deed`]: a change and its questions; [`acting`]: how entries move them
//! - [`spending`]: the fold's money
//! - [`outbox`]: the fold's notices
//! - [`remedy`]: what playbooks write down; [`remediation`]: the same and all that followed, step by step
//! - [`summary`]: the fold's summaries
//! - [`step`]: [`next`], what comes next; [`changing`]: what comes next of changes; [`reopening`]: why it goes
//!   on behind a report
//! - [`view`]: the investigation as the API shows it; [`asked`]: its questions
//! - [`semantics`]: what must hold in any chain that we wrote; [`lawful`]: of changes

pub mod acting;
pub mod asked;
pub mod asking;
pub mod body;
pub mod call;
pub mod chain;
pub mod changing;
pub mod counted;
pub mod deed;
pub mod frozen;
mod governing;
mod kinds;
pub mod lawful;
pub mod meanwhile;
pub mod outbox;
pub mod outcome;
pub mod parts;
pub mod proposal;
pub mod remediation;
pub mod remedy;
mod reopening;
pub mod semantics;
pub mod spending;
pub mod state;
pub mod step;
pub mod summary;
pub mod system;
pub mod view;

#[cfg(test)]
mod tests;

pub use asked::ApprovalView;
pub use asking::Asked;
pub use body::Body;
pub use call::{CallState, Progress};
pub use chain::{Broken, Entry, Head};
pub use counted::{AlertsCounted, Beyond, Counted, CountedAlert};
pub use deed::{Deed, DeedState, LOOKS_CLOSER, PutOff, Question, RulingPhase, SETTLE_S, Watched};
pub use frozen::{Frozen, PullPlace};
pub use governing::{Governing, Promoted, Promotion, ShadowEnded, Trial};
pub use kinds::Retained;
pub use meanwhile::{Aside, Meanwhile};
pub use outbox::{Debt, Outbox};
pub use outcome::{Outcome, Phase};
pub use parts::{LastReport, Survey, Turn};
pub use proposal::{Call, Proposal, Rejected};
pub use remediation::Remediation;
pub use remedy::{Classified, Confirmation, Confirmed, FailureGap, Remedy};
pub use reopening::{FLAP_REST, STORM_ALERT, STORM_KEY, STORM_REST, STORM_ROUTE, STORM_SUBJECT};
pub use spending::{Ladder, reserved_of};
pub use state::{Investigation, Misfit};
pub use step::{Step, due_at, next};
pub use summary::{Compacted, MAX_SUMMARIES, Summary, SummaryOf, SummaryReply};
pub use system::{
    Abandoned, Deleted, KeyRotated, PolicyActivated, PolicyRejected, Quarantined, Replayed, ShadowDiffered, Started,
};
pub use view::View;

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// firewarden itself.
    Engine,
    /// The deterministic investigator.
    Survey,
    /// A model, by its name.
    Model(String),
    /// A sender of alerts.
    Sender(String),
    /// A person or token, by name.
    Person(String),
    /// A playbook, by its name.
    Playbook(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Survey => f.write_str("survey"),
            Self::Model(name) => write!(f, "model:{name}"),
            Self::Sender(name) => write!(f, "sender:{name}"),
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Playbook(name) => write!(f, "playbook:{name}"),
        }
    }
}

impl FromStr for Actor {
    type Err = crate::domain::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "engine" => Ok(Self::Engine),
            None if text == "survey" => Ok(Self::Survey),
            Some(("model", name)) => Ok(Self::Model(name.to_owned())),
            Some(("sender", name)) => Ok(Self::Sender(name.to_owned())),
            Some(("person", name)) => Ok(Self::Person(name.to_owned())),
            Some(("playbook", name)) => Ok(Self::Playbook(name.to_owned())),
            _ => Err(crate::domain::UnknownWord {
                word: text.chars().take(80).collect(),
                expected: "engine survey model:NAME sender:NAME person:NAME playbook:NAME",
            }),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What somebody wants to append; it becomes an [`Entry`] when its place in the chain is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub body: Body,
}

impl Draft {
    /// Something that `actor` did.
    pub fn new(actor: Actor, body: Body) -> Self {
        Self { actor, body }
    }

    /// Something that firewarden itself did.
    pub fn engine(body: Body) -> Self {
        Self::new(Actor::Engine, body)
    }
}
