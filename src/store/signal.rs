//! What reaches an investigation from outside while somebody may be working on it.

use crate::domain::{ApprovalId, Digest, EventId, Person};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened to an investigation while somebody may be working on it. Durable; becomes
/// entries at the worker's next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signal {
    /// Further alerts joined.
    Merged {
        /// Their ids.
        events: Vec<EventId>,
        /// They come and go, so they open no investigation of their own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        flapping: bool,
    },
    /// An alert is over.
    Resolved {
        /// Our id of the firing alert.
        event: EventId,
        /// When it ended.
        ends_at: Timestamp,
    },
    /// A person wants it stopped.
    Cancel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person answered a question.
    Answer {
        /// The question.
        approval: ApprovalId,
        /// What exactly they answered to.
        digest: Digest,
        /// Yes or no.
        granted: bool,
        /// Who.
        by: Person,
        /// When.
        at: Timestamp,
        /// What they wrote.
        comment: String,
    },
    /// Another policy is in force: what waits for people is judged by it.
    PolicyChanged {},
    /// Somebody beside the model proposes a change. It goes through the same gate.
    Propose {
        /// Who.
        by: String,
        /// The tool.
        tool: String,
        /// Its arguments.
        args: serde_json::Value,
        /// Why.
        reason: String,
    },
}

impl Signal {
    /// How many alerts joined.
    pub const fn joined(&self) -> usize {
        match self {
            Self::Merged { events, .. } => events.len(),
            _ => 0,
        }
    }

    /// The alerts that joined, where it tells of some.
    pub fn merged(self) -> Vec<EventId> {
        match self {
            Self::Merged { events, .. } => events,
            _ => vec![],
        }
    }
}

/// A signal as it waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its number in the store.
    pub number: i64,
    /// Who sent it: a sender, or a person.
    pub from: String,
    /// What it says.
    pub signal: Signal,
}
