//! Text from outside is cut and redacted here, before anything is kept, hashed or shown.

use crate::domain::Redactor;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longest string of a payload that is kept, in bytes. What is longer is cut and says so.
const MAX_STRING: usize = 64 << 10;
/// Longest key, in bytes.
const MAX_KEY: usize = 128;
/// Most labels, and most annotations, of one alert.
const MAX_LABELS: usize = 256;
/// What each label may have in any case, in bytes.
const LABEL_FLOOR: usize = 128;
/// What all labels and annotations of an alert share beyond that, in bytes. With 512 keys and values
/// at their bounds and a note behind each that makes less than 256 KiB.
const LABEL_POOL: usize = 96 << 10;

const NOTE: &str = "… [cut: ";
const NOTE_END: &str = " bytes in all]";

/// Labels that decide something: kept first when there are too many.
const DECIDING: [&str; 16] = [
    "alertname",
    "severity",
    "namespace",
    "cluster",
    "persistentvolumeclaim",
    "pod",
    "node",
    "instance",
    "job",
    "service",
    "deployment",
    "statefulset",
    "container",
    "summary",
    "description",
    "runbook_url",
];

/// `text` if it is at most `max` bytes long, else its beginning and a note of its whole length. The
/// note of an earlier cut stays true.
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let earlier = text.rfind(NOTE).and_then(|at| text.get(at..)).filter(|n| n.len() < 48 && n.ends_with(NOTE_END));
    let note = earlier.map_or_else(|| note(text.len()), str::to_owned);
    Cow::Owned(format!("{}{note}", beginning(text, max)))
}

fn note(bytes: usize) -> String {
    format!("{NOTE}{bytes}{NOTE_END}")
}

/// At most the first `max` bytes of `text`.
pub fn beginning(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// `text` as one line of at most `max` bytes, as people see it: control characters and separators of
/// lines become spaces, and what is invisible or turns the direction of reading is left out.
pub fn one_line(text: &str, max: usize) -> String {
    let seen = text.chars().filter(|c| !is_invisible(*c));
    let seen = seen.map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    let line: String = seen.collect();
    beginning(line.trim(), max).trim_end().to_owned()
}

/// Characters without a shape of their own: joiners, fillers, marks of direction, selectors, tags.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// `text` redacted, then cut. Of a huge text only twice the bound is looked at; what a secret that
/// lies across that line has left is in the half that is cut off.
pub fn clean_text(text: &str, max: usize, redactor: &Redactor) -> String {
    if text.len() <= max {
        return redactor.text(text).0.into_owned();
    }
    let (clean, _) = redactor.text(beginning(text, max.saturating_mul(2)));
    format!("{}{}", beginning(&clean, max), note(text.len()))
}

/// A copy of `value` that may be kept: long strings cut, secrets blanked out, in keys, too.
pub fn clean_json(value: &Value, redactor: &Redactor) -> Value {
    let mut copy = bounded(value, redactor);
    redactor.json(&mut copy);
    copy
}

fn bounded(value: &Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_STRING => Value::String(clean_text(text, MAX_STRING, redactor)),
        Value::Array(items) => Value::Array(items.iter().map(|item| bounded(item, redactor)).collect()),
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| (clean_text(key, MAX_KEY, redactor), bounded(item, redactor))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What the labels and annotations of one alert may still take up.
#[derive(Debug)]
pub struct LabelBounds {
    pool: usize,
}

impl Default for LabelBounds {
    fn default() -> Self {
        Self { pool: LABEL_POOL }
    }
}

impl LabelBounds {
    /// The labels of `map` (redacted already) as texts, each with its share of the room, and how
    /// many were left out because there are too many. Numbers and booleans become their text, `null`
    /// is no label.
    pub fn take(&mut self, map: &Map<String, Value>) -> (BTreeMap<String, String>, usize) {
        let deciding = DECIDING.iter().filter_map(|key| map.get_key_value(*key));
        let others = map.iter().filter(|(key, _)| !DECIDING.contains(&key.as_str()));
        let mut labels = BTreeMap::new();
        let mut left_out = 0;
        for (key, value) in deciding.chain(others) {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            };
            if labels.len() == MAX_LABELS {
                left_out += 1;
                continue;
            }
            let share = LABEL_FLOOR + text.len().saturating_sub(LABEL_FLOOR).min(self.pool);
            self.pool -= share - LABEL_FLOOR;
            labels.insert(key.clone(), cut(&text, share).into_owned());
        }
        (labels, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn total(labels: &BTreeMap<String, String>) -> usize {
        labels.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    #[test]
    fn labels_are_bounded_and_the_deciding_ones_are_there() {
        let redactor = Redactor::new([]).unwrap();
        let mut map: Map<String, Value> = (0..600).map(|n| (format!("{n:x<300}"), json!("v".repeat(9_000)))).collect();
        map.insert("alertname".into(), json!("Storm"));
        map.insert("pod".into(), json!("p".repeat(1_000_000)));
        let Value::Object(clean) = clean_json(&Value::Object(map), &redactor) else { panic!("an object") };
        let mut bounds = LabelBounds::default();
        let (labels, left_out) = bounds.take(&clean);
        let (annotations, _) = bounds.take(&clean);
        assert_eq!((labels.len(), labels["alertname"].as_str()), (MAX_LABELS, "Storm"));
        assert!(labels["pod"].ends_with("[cut: 1000000 bytes in all]"));
        assert!(left_out > 0);
        assert!(total(&labels) + total(&annotations) <= 256 << 10, "{}", total(&labels) + total(&annotations));
    }

    #[test]
    fn ordinary_labels_stay_as_they_are_and_other_values_become_text() {
        let map = json!({"alertname": "A", "n": 7, "b": true, "none": null, "o": {"x": [1]}});
        let (labels, left_out) = LabelBounds::default().take(map.as_object().unwrap());
        assert_eq!(
            serde_json::to_value(labels).unwrap(),
            json!({"alertname": "A", "n": "7", "b": "true", "o": "{\"x\":[1]}"})
        );
        assert_eq!(left_out, 0);
    }

    #[test]
    fn secrets_go_from_values_and_keys_and_across_the_line_of_a_cut() {
        let redactor = Redactor::new(["s3cr3t-value"]).unwrap();
        let value = json!({"s3cr3t-value": 1, "password": "a b", "text": format!("{}s3cr3t-value", "x".repeat(MAX_STRING - 5))});
        let clean = clean_json(&value, &redactor).to_string();
        assert!(
            !clean.contains("s3cr3") && clean.contains("\"password\":\"[redacted]\""),
            "{}",
            &clean[clean.len() - 200..]
        );
    }
}
