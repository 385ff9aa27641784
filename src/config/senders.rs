//! The keys under `intake`: who may send alerts, how much, and what JSON of one's own means.

use super::secret::Reference;
use super::units::Span;
use crate::domain::Severity;
use crate::http::signature::TOLERANCE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Intake {
    pub tokens: Vec<IntakeToken>,
    pub allow_anonymous: bool,
    pub storm: Storm,
    pub sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntakeToken {
    #[serde(default = "any_source")]
    pub source: String,
    #[serde(default)]
    pub token: Option<Reference>,
    #[serde(default)]
    pub hmac: Option<Reference>,
    #[serde(default)]
    pub header: Option<String>,
    #[serde(default)]
    pub timestamp_header: Option<String>,
    #[serde(default = "tolerance")]
    pub tolerance: Span,
}

fn any_source() -> String {
    "*".into()
}

fn tolerance() -> Span {
    Span(TOLERANCE)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Storm {
    pub per_source_per_minute: u32,
}

impl Default for Storm {
    fn default() -> Self {
        Self { per_source_per_minute: 120 }
    }
}

/// A sender whose JSON is described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub name: String,
    #[serde(default)]
    pub alerts: Option<String>,
    #[serde(default)]
    pub fields: Fields,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub severities: BTreeMap<String, Severity>,
    #[serde(default)]
    pub resolved: Vec<String>,
    #[serde(default)]
    pub ignored: Vec<String>,
}

/// A JSON pointer for each field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fields {
    pub name: Option<String>,
    pub subject: Option<String>,
    pub severity: Option<String>,
    pub status: Option<String>,
    pub summary: Option<String>,
    pub description: Option<String>,
    pub fingerprint: Option<String>,
    pub group: Option<String>,
    pub starts_at: Option<String>,
    pub ends_at: Option<String>,
    pub link: Option<String>,
    pub runbook: Option<String>,
    pub labels: Option<String>,
}
