//! What a change leaves on an object, so that it is recognised there: its marker in an annotation, which
//! comes with the change in one request. Only whoever holds the store's key can make a marker.

use crate::domain::Marker;
use serde_json::Value;

/// Markers of changes, newest first.
pub const ACTION: &str = "firewarden.io/action";
/// The marker of the last manifest that was applied: a field manager of its own holds it.
pub const APPLIED: &str = "firewarden.io/applied";
/// In a pod template: a marker here is a new template, so the Pods are made anew; the same marker again
/// is the same template.
pub const RESTARTED: &str = "firewarden.io/restarted-by";
/// Keys of annotations that are ours alone.
pub const PREFIX: &str = "firewarden.io/";
/// Stands for the marker in what is carried; a plan does not know it.
pub(super) const MARK: &str = "(the mark of this change)";
/// Markers that are kept on an object.
const KEPT: usize = 8;

/// The annotation [`ACTION`] with `mark` before the others that `object` bears.
pub(super) fn added(borne: &str, mark: &str) -> String {
    let others = borne.split_whitespace().filter(|other| *other != mark);
    std::iter::once(mark).chain(others).take(KEPT).collect::<Vec<_>>().join(" ")
}

/// What `object` bears in [`ACTION`].
pub(super) fn borne(object: &Value) -> &str {
    object["metadata"]["annotations"][ACTION].as_str().unwrap_or_default()
}

/// Whether `object` bears exactly this marker, name and signature.
pub(super) fn bears(object: &Value, marker: &Marker) -> bool {
    let annotations = &object["metadata"]["annotations"];
    let words = |key: &str| annotations[key].as_str().unwrap_or_default().split_whitespace();
    words(ACTION).chain(words(APPLIED)).any(|word| word == marker.as_str())
}

/// `body` with the marker wherever [`MARK`] stands for it.
pub(super) fn stamped(body: Value, mark: &str) -> Value {
    match body {
        Value::String(text) if text == MARK => Value::String(mark.to_owned()),
        Value::Array(items) => items.into_iter().map(|item| stamped(item, mark)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, stamped(value, mark))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;
    use serde_json::json;

    #[test]
    fn a_marker_counts_only_whole_and_signed_with_our_key() {
        let scope = Digest::of("scope");
        let (ours, theirs) = (Marker::sign(&scope, b"key"), Marker::sign(&scope, b"guess"));
        let bearing = |text: &str| json!({"metadata": {"annotations": {ACTION: text}}});
        for (text, expected) in [
            (ours.to_string(), true),
            (format!("fw-other {ours}"), true),
            (theirs.to_string(), false),
            (ours.as_str()[..24].to_owned(), false),
            (format!("{ours}x"), false),
            (String::new(), false),
        ] {
            assert_eq!(bears(&bearing(&text), &ours), expected, "{text}");
        }
        assert!(bears(&json!({"metadata": {"annotations": {APPLIED: ours.as_str()}}}), &ours));
        assert!(!bears(&json!({"metadata": {"labels": {ACTION: ours.as_str()}}}), &ours));
        assert!(!bears(&json!({}), &ours));
    }

    #[test]
    fn the_newest_stands_first_and_few_are_kept() {
        assert_eq!(added("", "a"), "a");
        assert_eq!(added("b c", "a"), "a b c");
        assert_eq!(added("b a", "a"), "a b");
        assert_eq!(added("1 2 3 4 5 6 7 8 9", "a").split(' ').count(), KEPT);
    }

    #[test]
    fn the_mark_is_set_wherever_it_belongs() {
        let body = json!({"a": [MARK, "other"], "b": {"c": MARK}, "d": 1});
        assert_eq!(stamped(body, "m"), json!({"a": ["m", "other"], "b": {"c": "m"}, "d": 1}));
    }
}
