//! What was seen: the result of one reading call.

use super::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

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

    /// The observation as JSON, with its digest: its data are written once for both.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn written(&self) -> serde_json::Result<(Vec<u8>, Digest)> {
        #[derive(Serialize)]
        struct Written<'a> {
            data: &'a RawValue,
            text: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            whole: &'a str,
            truncated: bool,
            redacted: u32,
        }
        let Self { data, text, whole, truncated, redacted } = self;
        let data = to_raw_value(data)?;
        let digest = Digest::of_parts([data.get(), text]);
        let written = Written { data: &data, text, whole, truncated: *truncated, redacted: *redacted };
        Ok((serde_json::to_vec(&written)?, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_what_would_be() {
        for whole in ["", "a line\nanother"] {
            let seen = Observation {
                data: json!({"b": [1, 0.5, "é\"\n"], "a": {}}),
                text: "a line\n".into(),
                whole: whole.into(),
                truncated: !whole.is_empty(),
                redacted: 2,
            };
            let (bytes, digest) = seen.written().unwrap();
            assert_eq!((bytes, digest), (serde_json::to_vec(&seen).unwrap(), seen.digest()));
        }
    }
}
