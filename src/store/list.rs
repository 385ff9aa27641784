//! What lists are asked with, and what they answer.

use super::Fate;
use crate::domain::{ApprovalState, InvestigationId, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Questions of one investigation that are read at once: more than it can have.
const ALL_OF_ONE: u32 = 1_000;

/// Which rows of a list are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Subject, exactly.
    pub subject: Option<String>,
    /// Source, exactly.
    pub source: Option<String>,
    /// Severity.
    pub severity: Option<Severity>,
    /// What became of it.
    pub outcome: Option<Fate>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Rows older than the one that this cursor names.
    pub cursor: Option<String>,
    /// At most this many rows.
    pub limit: u32,
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvestigationFilter {
    /// `queued|running|…|closed`.
    pub state: Option<String>,
    /// `LOW|…`.
    pub risk: Option<String>,
    /// Route, exactly.
    pub route: Option<String>,
    /// Subject, exactly.
    pub subject: Option<String>,
    /// Without those that were closed before.
    pub not_closed_before: Option<Timestamp>,
    /// Rows older than the one that this cursor names.
    pub cursor: Option<String>,
    /// At most this many rows.
    pub limit: u32,
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// How far they have come.
    pub state: Option<ApprovalState>,
    /// The investigation.
    pub investigation: Option<InvestigationId>,
    /// Rows older than the one that this cursor names.
    pub cursor: Option<String>,
    /// At most this many rows.
    pub limit: u32,
}

impl ApprovalFilter {
    /// All of one investigation.
    pub fn of(investigation: InvestigationId) -> Self {
        Self { investigation: Some(investigation), limit: ALL_OF_ONE, ..Self::default() }
    }
}

/// One page, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; `None` on the last.
    pub next_cursor: Option<String>,
}
