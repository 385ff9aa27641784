//! Alerts on their way in, and what becomes of them.

use super::Blob;
use crate::domain::{Digest, EventId, InvestigationId, SreEvent};
use serde::{Deserialize, Serialize};

/// One mapped alert on its way in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The alert.
    pub event: SreEvent,
    /// Its raw form.
    pub raw: Blob,
    /// What decides which investigation it belongs to.
    pub correlation_key: String,
    /// Names effects, should it open one.
    pub incident_key: Digest,
    /// The route that it takes.
    pub route: String,
    /// The investigation that it opens, should it open one.
    pub candidate: InvestigationId,
    /// How it finds what came of alerts that arrived the other way, polled or sent.
    pub kin: Option<Kin>,
}

/// Alerts of one sender with one name and namespace are kin where some were sent, in a group, and some
/// polled, without one. Where its correlation key leads nowhere, an alert joins its kin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// Under which the investigation that it opens is found by those of the other way.
    pub own: String,
    /// Under which it looks for theirs.
    pub others: String,
}

/// What became of an alert. The word on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It opened an investigation.
    Opened,
    /// It joined one.
    Merged,
    /// It ended an alert.
    Resolved,
    /// It was known already, or is none of our business.
    Ignored,
    /// It could not be mapped.
    Quarantined,
}

impl Fate {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Merged => "merged",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
        }
    }
}

impl std::str::FromStr for Fate {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Opened, Self::Merged, Self::Resolved, Self::Ignored, Self::Quarantined];
        all.into_iter().find(|fate| fate.as_str() == word).ok_or_else(|| format!("`{word}` is no outcome"))
    }
}

/// What became of one [`Arrival`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The event under which it is kept: the first delivery's for a repeat.
    pub event: EventId,
    /// The investigation, if it belongs to one.
    pub investigation: Option<InvestigationId>,
    /// What became of it.
    pub fate: Fate,
}
