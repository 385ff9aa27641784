//! The fold's calls: what was to be looked at, and what came of it.

use super::proposal::Call;
use crate::domain::{ActionId, BlobRef, Digest};
use jiff::Timestamp;

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Proposed, not judged.
    Planned,
    /// Allowed and under way.
    Started,
    /// It gave an observation.
    Seen {
        /// What was seen.
        observation: BlobRef,
        /// `E1`, …
        evidence_id: String,
        /// The gist.
        excerpt: String,
        /// Digest of what was seen.
        digest: Digest,
        /// Something was left out.
        truncated: bool,
        /// Something was blanked out.
        redacted: bool,
        /// When it was seen.
        at: Timestamp,
    },
    /// It failed.
    Failed {
        /// What went wrong.
        error: String,
        /// `E1`, …
        evidence_id: String,
        /// When.
        at: Timestamp,
    },
    /// It is a change, planned and judged; what becomes of it is its deed's business.
    Acting {
        /// The change.
        action: ActionId,
        /// What the proposer was told.
        told: String,
    },
    /// It was not made.
    Rejected {
        /// What the proposer is told.
        remedy: String,
    },
}

/// A call and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct CallState {
    /// The call.
    pub call: Call,
    /// Proposed by the survey (`None`) or in this turn of the model.
    pub turn: Option<u32>,
    /// How far it has come.
    pub progress: Progress,
}

impl CallState {
    /// What came of it, in a form that can be compared: the same for the same answer. `None` while
    /// nothing has, and when it was not made.
    pub fn result(&self) -> Option<&str> {
        match &self.progress {
            Progress::Seen { digest, .. } => Some(digest.as_str()),
            Progress::Failed { error, .. } => Some(error),
            Progress::Acting { told, .. } => Some(told),
            Progress::Planned | Progress::Started | Progress::Rejected { .. } => None,
        }
    }

    /// The survey wanted to know it.
    pub fn is_of_survey(&self) -> bool {
        self.turn.is_none() && !self.call.acts()
    }

    /// It was refused.
    pub fn was_denied(&self) -> bool {
        matches!(self.progress, Progress::Rejected { .. })
    }

    /// Nothing more will come of it.
    pub fn is_settled(&self) -> bool {
        !matches!(self.progress, Progress::Planned | Progress::Started)
    }
}
