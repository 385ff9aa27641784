//! What many alerts that came together have in common.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A storm, as its alerts tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// All of its alerts.
    pub alerts: usize,
    /// Those that hold still.
    pub firing: usize,
    /// What they share is worked out from so many of them; from all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_apart: Option<usize>,
    /// When the first began.
    pub first_at: Option<Timestamp>,
    /// When the last began.
    pub last_at: Option<Timestamp>,
    /// The critical ones, those that hold still first, then by when they came.
    pub critical: Vec<StormAlert>,
    /// Critical ones beyond those.
    pub critical_more: usize,
    /// By the alert's name.
    pub names: Shares,
    /// By namespace.
    pub namespaces: Shares,
    /// By node.
    pub nodes: Shares,
    /// By cluster.
    pub clusters: Shares,
    /// By whom they concern.
    pub subjects: Shares,
}

/// An alert of a storm, with those of the same name about the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormAlert {
    /// Its name.
    pub alert: String,
    /// Whom it concerns.
    pub subject: String,
    /// Where.
    pub namespace: Option<String>,
    /// How many there are.
    #[serde(default = "one")]
    pub alerts: usize,
    /// When the first began.
    pub starts_at: Timestamp,
    /// One of them holds still.
    pub firing: bool,
}

const fn one() -> usize {
    1
}

/// How the alerts spread over the values of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// The most frequent values.
    pub rows: Vec<Share>,
    /// Values beyond those.
    pub more: usize,
}

/// The alerts with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The value.
    pub value: String,
    /// How many have it.
    pub alerts: usize,
    /// When the first of them began.
    pub first_at: Timestamp,
}
