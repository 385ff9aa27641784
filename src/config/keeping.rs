//! What is signed, and how long payloads are kept.

use super::units::Span;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub signing_key: Option<String>,
    pub checkpoint_every: Span,
}

impl Default for Audit {
    fn default() -> Self {
        Self { signing_key: None, checkpoint_every: Span::seconds(10) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retention {
    pub payloads: Option<Span>,
    pub transcripts: Option<Span>,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |n: u64| Some(Span::seconds(n * 86_400));
        Self { payloads: days(400), transcripts: days(30) }
    }
}
