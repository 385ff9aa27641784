//! Tolerant reading of JSON: what is missing or of another shape is empty, never an error.

use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

static NULL: Value = Value::Null;

/// What stands at `pointer`, `/status/phase` for instance. Unlike `Value::pointer` it knows no
/// escapes and allocates nothing: a snapshot reads some hundred thousand fields.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    let found = pointer.split('/').skip(1).try_fold(value, |here, step| match here {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    found.unwrap_or(&NULL)
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or("")
}

/// The text unless it is missing or empty.
pub(super) fn some(value: &Value, pointer: &str) -> Option<String> {
    match text(value, pointer) {
        "" => None,
        text => Some(text.to_owned()),
    }
}

pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn int(value: &Value, pointer: &str) -> Option<i64> {
    at(value, pointer).as_i64()
}

pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    at(value, pointer).as_bool().unwrap_or(false)
}

pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

/// Labels, annotations, selectors: only what is text.
pub(super) fn map(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let entries = at(value, pointer).as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A Kubernetes quantity in its base unit: bytes, cores, pieces.
pub(super) fn quantity(value: &Value, pointer: &str) -> Option<f64> {
    match at(value, pointer) {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => crate::domain::quantity(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_lead_to_fields_and_items_or_to_nothing() {
        let value = json!({"a": [{"b": 1}], "": 2});
        for (pointer, expected) in [
            ("/a/0/b", json!(1)),
            ("/a/1", json!(null)),
            ("/a/b", json!(null)),
            ("/a/0/b/c", json!(null)),
            ("/", json!(2)),
        ] {
            assert_eq!(*at(&value, pointer), expected, "{pointer}");
        }
        assert_eq!(*at(&value, ""), value);
    }

    #[test]
    fn quantities_of_all_notations_have_one_unit() {
        for (written, expected) in [
            (json!("20Gi"), Some(21_474_836_480.0)),
            (json!("250m"), Some(0.25)),
            (json!("2"), Some(2.0)),
            (json!(4), Some(4.0)),
            (json!("1e3"), Some(1000.0)),
            (json!("5G"), Some(5e9)),
            (json!("lots"), None),
            (json!("NaN"), None),
            (json!([1]), None),
        ] {
            let value = json!({ "q": written });
            let got = quantity(&value, "/q");
            assert!(
                matches!((got, expected), (None, None)) || (got.unwrap() - expected.unwrap()).abs() < 1e-6,
                "{written}"
            );
        }
    }
}
