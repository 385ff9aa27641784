//! Canonical JSON (RFC 8785): one text for one value, so that a hash does not depend on who wrote it.

use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::io::Write;

/// Canonical JSON knows numbers as doubles: these are the largest integers that it can tell apart.
const EXACT: u64 = 1 << 53;

/// What becomes of integers that a double cannot tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Large {
    /// Nothing is done about them, as the RFC has it.
    Rounded,
    /// They are texts of their digits.
    SpelledOut,
    /// Every number stays as the plain writer has it.
    AsWritten,
}

/// The canonical text of `value`.
///
/// # Errors
/// When a number cannot be written, which no number that was read does.
pub fn json(value: &Value) -> serde_json::Result<Vec<u8>> {
    written(value, Large::Rounded)
}

/// The canonical text of `value`, with integers that a double cannot tell apart as texts of their
/// digits, so that no change of one goes unnoticed.
///
/// # Errors
/// As [`json`].
pub fn json_spelled_out(value: &Value) -> serde_json::Result<Vec<u8>> {
    written(value, Large::SpelledOut)
}

/// One text for `value` that is read back as the same value: keys in canonical order, every number as it
/// was written.
///
/// # Errors
/// As [`json`].
pub fn json_to_read_back(value: &Value) -> serde_json::Result<Vec<u8>> {
    written(value, Large::AsWritten)
}

fn written(value: &Value, large: Large) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    write(&mut out, value, large)?;
    Ok(out)
}

fn write(out: &mut Vec<u8>, value: &Value, large: Large) -> serde_json::Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number, large)?,
        // The escapes of the RFC are those of the plain writer.
        Value::String(text) => serde_json::to_writer(out, text)?,
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(out, item, large)?;
            }
            out.push(b']');
        }
        Value::Object(map) => write_object(out, map, large)?,
    }
    Ok(())
}

fn write_object(out: &mut Vec<u8>, map: &Map<String, Value>, large: Large) -> serde_json::Result<()> {
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_unstable_by(|(a, _), (b, _)| order(a, b));
    out.push(b'{');
    for (n, (key, value)) in members.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key)?;
        out.push(b':');
        write(out, value, large)?;
    }
    out.push(b'}');
    Ok(())
}

/// Keys stand in the order of their UTF-16, which for ASCII is that of the bytes.
fn order(a: &str, b: &str) -> Ordering {
    match a.is_ascii() && b.is_ascii() {
        true => a.cmp(b),
        false => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

fn write_number(out: &mut Vec<u8>, number: &Number, large: Large) -> serde_json::Result<()> {
    let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match (size, large) {
        (Some(0..=EXACT), _) => write!(out, "{number}").map_err(serde_json::Error::io),
        (_, Large::AsWritten) => write!(out, "{number}").map_err(serde_json::Error::io),
        (Some(_), Large::SpelledOut) => write!(out, "\"integer {number}\"").map_err(serde_json::Error::io),
        (Some(_) | None, _) => serde_json_canonicalizer::to_writer(number, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// By the crate that knows the RFC and nothing of speed.
    fn by_the_book(value: &Value) -> String {
        serde_json_canonicalizer::to_string(value).unwrap()
    }

    fn spell_out(value: &mut Value) {
        match value {
            Value::Number(number) => {
                let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
                if size.is_some_and(|size| size > EXACT) {
                    *value = Value::String(format!("integer {number}"));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(spell_out),
            Value::Object(map) => map.values_mut().for_each(spell_out),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    fn agrees(value: &Value) -> Result<(), TestCaseError> {
        prop_assert_eq!(String::from_utf8(json(value).unwrap()).unwrap(), by_the_book(value));
        let mut spelled = value.clone();
        spell_out(&mut spelled);
        prop_assert_eq!(String::from_utf8(json_spelled_out(value).unwrap()).unwrap(), by_the_book(&spelled));
        Ok(())
    }

    #[test]
    fn the_edges_are_written_by_the_book() {
        let max = 1_u64 << 53;
        for value in [
            json!({"b": 1, "a": [true, null, {}], "": {"z": "/", "é": "\u{7f}\u{1f}\n\u{8}\"\\"}}),
            // In UTF-16 an emoji stands before what ends the basic plane; in UTF-8 behind it.
            json!({"\u{ffee}": 1, "😀": 2, "\u{e000}": 3, "a": 4, "é": 5}),
            json!([max, max + 1, u64::MAX, i64::MIN, -(max as i64), -(max as i64) - 1, 0, -1]),
            json!([0.0, -0.0, 1.0, 1.5, 1e21, 1e20, 1e-7, f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2]),
        ] {
            agrees(&value).unwrap();
        }
        let told = json_spelled_out(&json!([max, max + 1])).unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), r#"[9007199254740992,"integer 9007199254740993"]"#);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner.clone()), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                prop::collection::vec(("[a-f_]{0,3}", inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_read_back_as_it_was(value in any_json()) {
            let text = json_to_read_back(&value).unwrap();
            let read: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(json_to_read_back(&read).unwrap(), text);
            prop_assert_eq!(json_spelled_out(&read).unwrap(), json_spelled_out(&value).unwrap());
        }

        #[test]
        fn any_value_is_written_by_the_book(value in any_json()) {
            agrees(&value)?;
        }
    }
}
