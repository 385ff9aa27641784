//! What was seen: the result of one reading call.

use super::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A redacted, bounded answer of a reading tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Structured data for analyzers, ≤ 8 MiB as JSON.
    pub data: Value,
    /// What a model or a person reads, ≤ the tool's `max_output`.
    pub text: String,
    /// All of the text where `text` had to be cut, ≤ 4 MiB; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub whole: String,
    /// Something was left out of `text` or `data`, and `text` says what.
    pub truncated: bool,
    /// How many secrets were blanked out.
    pub redacted: u32,
}

impl Observation {
    /// All of the text that was kept.
    pub fn whole(&self) -> &str {
        if self.whole.is_empty() { &self.text } else { &self.whole }
    }

    /// Digest of what was seen.
    pub fn digest(&self) -> Digest {
        Digest::of_parts([self.data.to_string().as_str(), &self.text])
    }
}
