//! Fields and words as senders write them.

use super::draft::{Draft, hmac_hex};
use super::{Delivery, Mapped, Mapping, Normalised, kind_of};
use crate::domain::Severity;
use serde_json::{Map, Value};

/// What a sender's file read in one alert.
pub(super) enum Read {
    /// An alert.
    Alert(Box<Draft>),
    /// Something else that is understood.
    Notice {
        /// What it is, for people.
        reason: String,
        /// How loud.
        severity: Severity,
        /// Whom it concerns.
        subject: Option<String>,
    },
}

impl From<Draft> for Read {
    fn from(draft: Draft) -> Self {
        Self::Alert(Box::new(draft))
    }
}

/// Something that is no alert.
pub(super) fn notice(reason: impl Into<String>, subject: Option<&str>) -> Read {
    Read::Notice { reason: reason.into(), severity: Severity::Info, subject: subject.map(str::to_owned) }
}

/// The one alert of a body: `clean` is it, redacted, and `read` what was found in it.
pub(super) fn single(
    source: &str,
    clean: &Value,
    read: Result<Read, String>,
    delivery: &Delivery<'_>,
    mapping: &Mapping<'_>,
) -> Normalised {
    let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
    Normalised { items: vec![item(0, source, clean, read, &raw_hmac, mapping)], ..Normalised::default() }
}

/// What becomes of the alert at `index` of a body.
pub(super) fn item(
    index: usize,
    source: &str,
    clean: &Value,
    read: Result<Read, String>,
    raw_hmac: &str,
    mapping: &Mapping<'_>,
) -> Mapped {
    let finished = match read {
        Ok(Read::Alert(draft)) => draft.finish(source, clean, raw_hmac, mapping),
        Ok(Read::Notice { reason, severity, subject }) => Ok(Mapped::Notice { reason, severity, subject }),
        Err(reason) => Err(reason),
    };
    finished.unwrap_or_else(|reason| Mapped::Quarantined { index, reason, payload: clean.clone() })
}

/// The object under `key`; missing and `null` are empty.
///
/// # Errors
/// When it is something else.
pub(super) fn object(fields: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(other) => Err(format!("`{key}` is {}, not an object", kind_of(other))),
    }
}

/// The text under `key`; missing, `null` and empty are none.
///
/// # Errors
/// When it is no text.
pub(super) fn string<'v>(fields: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
        Some(other) => Err(format!("`{key}` is {}, not a string", kind_of(other))),
    }
}

/// The text at `pointer`, if there is one that is not empty.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// The text, number or boolean at `pointer`, as text.
pub(super) fn scalar(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Labels as senders write them: an object, a list of pairs `[name, value]`, of objects with `name` or
/// `key` and `value`, or of texts `name:value`; or such texts with commas between them. A word without a
/// value is labelled by itself.
pub(super) fn labels(value: Option<&Value>) -> Map<String, Value> {
    let one = |item: &Value| -> Option<(String, Value)> {
        match item {
            Value::String(text) => word(text),
            Value::Array(pair) => Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.clone())),
            Value::Object(map) => {
                let name = map.get("name").or_else(|| map.get("key"))?.as_str()?;
                Some((name.to_owned(), map.get("value").cloned().unwrap_or_else(|| "true".into())))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    };
    let labels = match value {
        Some(Value::Object(map)) => map.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(one).collect(),
        Some(Value::String(text)) => text.split(',').filter_map(word).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => Map::new(),
    };
    labels.into_iter().filter(|(key, value)| !key.is_empty() && *value != "").collect()
}

fn word(text: &str) -> Option<(String, Value)> {
    let text = text.trim();
    let (name, value) = text.split_once(':').unwrap_or((text, "true"));
    (!name.is_empty()).then(|| (name.trim().to_owned(), value.trim().into()))
}

/// What senders with priorities call how urgent it is, beside the words that all know.
pub(super) fn urgency(word: &str) -> Severity {
    match word.trim().to_ascii_lowercase().as_str() {
        "p1" | "sev1" | "sev-1" | "disaster" | "down" => Severity::Critical,
        "p2" | "sev2" | "sev-2" | "high" => Severity::Error,
        "p3" | "sev3" | "sev-3" | "medium" | "average" | "moderate" => Severity::Warning,
        "p4" | "p5" | "sev4" | "sev-4" | "sev5" | "sev-5" | "low" | "debug" | "success" | "information" => {
            Severity::Info
        }
        word => Severity::from_sender(word),
    }
}

/// Whether a word for a state says that it is over.
pub(super) fn is_over(word: &str) -> bool {
    const WORDS: [&str; 18] = [
        "resolved",
        "resolve",
        "ok",
        "up",
        "recovered",
        "recovery",
        "closed",
        "close",
        "cleared",
        "clear",
        "normal",
        "healthy",
        "passed",
        "passing",
        "inactive",
        "fixed",
        "success",
        "online",
    ];
    WORDS.contains(&word.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_read_from_every_form() {
        let expected = json!({"env": "prod", "url": "http://a:1"});
        for written in [
            json!({"env": "prod", "url": "http://a:1"}),
            json!([["env", "prod"], ["url", "http://a:1"]]),
            json!([{"name": "env", "value": "prod"}, {"key": "url", "value": "http://a:1"}]),
            json!(["env:prod", "url:http://a:1"]),
            json!(" env:prod, url:http://a:1,,"),
        ] {
            assert_eq!(Value::from(labels(Some(&written))), expected, "{written}");
        }
        assert_eq!(Value::from(labels(Some(&json!(["shop", 7, null, [], {}])))), json!({"shop": "true"}));
        assert_eq!(labels(None), Map::new());
    }

    #[test]
    fn words_of_urgency_and_of_an_end_are_known() {
        for (word, severity) in [
            ("P1", Severity::Critical),
            ("high", Severity::Error),
            ("page", Severity::Critical),
            ("p3", Severity::Warning),
            ("", Severity::Warning),
            ("low", Severity::Info),
            ("whatever", Severity::Error),
        ] {
            assert_eq!(urgency(word), severity, "{word}");
        }
        assert!(is_over(" Resolved") && is_over("OK") && !is_over("down") && !is_over(""));
    }
}
