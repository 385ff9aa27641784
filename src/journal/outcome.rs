//! When risk is judged, and how an investigation ends.

use serde::{Deserialize, Serialize};

/// When in the life of an incident the risk is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On the alert alone.
    Alert,
    /// With what the survey found out.
    Survey,
    /// Because further alerts joined.
    Signal,
}

/// How an investigation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a report.
    Reported,
    /// Without an agent: policy said CRITICAL.
    Declined,
    /// By a person.
    Cancelled,
    /// By a fault of ours.
    Failed,
}

impl Outcome {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
