//! The keys under `intake`: who may send alerts, how much, and what JSON of one's own means.

use super::secret::Reference;
use super::units::Span;
use crate::http::signature::TOLERANCE;
use crate::sources::JsonMapping;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Intake {
    pub tokens: Vec<IntakeToken>,
    pub allow_anonymous: bool,
    pub storm: Storm,
    pub coalesce: Coalesce,
    pub sources: Vec<JsonMapping>,
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
    pub max_open: u32,
    pub window: Span,
}

impl Default for Storm {
    fn default() -> Self {
        Self { per_source_per_minute: 120, max_open: 50, window: Span::seconds(600) }
    }
}

/// How long alerts of one incident are gathered before the work begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Coalesce {
    pub wait: Span,
    pub at_most: Span,
}

impl Default for Coalesce {
    fn default() -> Self {
        Self { wait: Span::seconds(0), at_most: Span::seconds(120) }
    }
}
