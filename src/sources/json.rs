//! A body becomes a JSON value: within bounds, tolerant of broken characters, never by recursion
//! that the sender controls.

use super::clean::one_line;
use super::{SourceError, kind_of};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Most levels of nesting.
pub const MAX_DEPTH: usize = 64;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads one JSON document that may hold alerts: an object or a list with something in it.
///
/// A byte order mark is skipped. Invalid UTF-8 and lone surrogates are read with replacement
/// characters in their place.
///
/// # Errors
/// When it is nested too deeply, is no JSON, has a key twice in one object, or is a scalar or an empty
/// list.
pub fn read_json(bytes: &[u8]) -> Result<Value, SourceError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if is_deeper_than(bytes, MAX_DEPTH) {
        return Err(SourceError::TooDeep { limit: MAX_DEPTH });
    }
    let strict = Strict::default();
    let read = |text: &[u8]| -> serde_json::Result<Value> {
        let mut parser = serde_json::Deserializer::from_slice(text);
        let value = strict.deserialize(&mut parser)?;
        parser.end().map(|()| value)
    };
    let value = match read(bytes) {
        Ok(value) => value,
        Err(error) => match (strict.twice.take(), read(with_replacements(bytes).as_bytes())) {
            (Some(key), _) => return Err(SourceError::Ambiguous { key }),
            (None, Ok(value)) => value,
            (None, Err(_)) => {
                return Err(match strict.twice.take() {
                    Some(key) => SourceError::Ambiguous { key },
                    None => SourceError::NotJson { why: error.to_string() },
                });
            }
        },
    };
    match &value {
        Value::Array(items) if items.is_empty() => Err(SourceError::Nothing { found: "an empty list" }),
        Value::Object(_) | Value::Array(_) => Ok(value),
        scalar => Err(SourceError::Nothing { found: kind_of(scalar) }),
    }
}

/// Reads a value as [`Value`] does, but takes no key twice.
#[derive(Debug, Default)]
struct Strict {
    /// The key that stood twice, one line.
    twice: RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for &Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = pairs.next_key::<String>()? {
            let value = pairs.next_value_seed(self)?;
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    *self.twice.borrow_mut() = Some(one_line(place.key(), 64));
                    return Err(A::Error::custom("a key stands twice"));
                }
            }
        }
        Ok(map.into())
    }
}

/// Whether brackets outside of strings are nested deeper than `limit`. Runs before the parser, which
/// recurses.
fn is_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    false
}

/// The text with a replacement character for each character that is none: bytes that are no UTF-8,
/// and escapes of half a surrogate pair.
fn with_replacements(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let taken = match code_unit(escape) {
            Some(0xD800..=0xDBFF) if matches!(escape.get(6..).and_then(code_unit), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                out.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            Some(_) => 6,
            None => 1 + escape.get(1..).and_then(|after| after.chars().next()).map_or(0, char::len_utf8),
        };
        let (kept, after) = escape.split_at(taken);
        out.push_str(kept);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The number in `\uXXXX` at the start of `text`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        for (body, says) in [
            (&b""[..], "not JSON"),
            (b"alert!", "not JSON"),
            (b"{\"alerts\":[", "not JSON"),
            (b"{} {}", "not JSON"),
            (b"{\"n\":1e999}", "not JSON"),
            (b"[]", "an empty list"),
            (b"null", "null"),
            (b"7", "a number"),
            (b"\"alerts\"", "a string"),
        ] {
            let error = read_json(body).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("Send"), "{error}");
        }
    }

    #[test]
    fn depth_is_counted_before_anything_recurses_and_brackets_in_strings_do_not_count() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(read_json(&nested(64)).is_ok());
        assert_eq!(read_json(&nested(65)), Err(SourceError::TooDeep { limit: 64 }));
        assert_eq!(read_json(&nested(10_000)), Err(SourceError::TooDeep { limit: 64 }));
        assert_eq!(read_json(&vec![b'['; 1_000_000]), Err(SourceError::TooDeep { limit: 64 }));
        let text = format!(r#"{{"a":"{}\"["}}"#, "[{".repeat(100));
        assert!(read_json(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_key_that_stands_twice_is_named_and_nothing_is_guessed() {
        for body in [
            br#"{"alerts":[],"status":"firing","status":"resolved"}"#.to_vec(),
            br#"{"alerts":[{"labels":{"status":"a","status":"a"}}]}"#.to_vec(),
            b"{\"x\":\"\xFF\",\"a\":{\"status\":1,\"status\":2}}".to_vec(),
        ] {
            let error = read_json(&body).unwrap_err();
            assert_eq!(error, SourceError::Ambiguous { key: "status".into() });
            assert!(error.to_string().contains("Send each key once"), "{error}");
        }
        assert_eq!(read_json(br#"{"a":{"x":1},"b":{"x":2}}"#).unwrap(), json!({"a": {"x": 1}, "b": {"x": 2}}));
        assert_eq!(read_json(br#"{"n":[1,-2,1.5,18446744073709551615,true,null]}"#).unwrap()["n"][3], json!(u64::MAX));
    }

    #[test]
    fn broken_characters_are_replaced_and_the_rest_is_read() {
        assert_eq!(read_json(b"\xEF\xBB\xBF{\"a\":1}").unwrap(), json!({"a": 1}));
        assert_eq!(read_json(b"{\"a\":\"x\xFF\xFEy\"}").unwrap(), json!({"a": "x\u{fffd}\u{fffd}y"}));
        assert_eq!(read_json(br#"{"a":"x\ud800y"}"#).unwrap(), json!({"a": "x\u{fffd}y"}));
        assert_eq!(read_json(br#"{"a":"\udc00\\ud800 \ud83d\ude00"}"#).unwrap(), json!({"a": "\u{fffd}\\ud800 😀"}));
        assert_eq!(read_json(br#"{"a":"nul \u0000"}"#).unwrap(), json!({"a": "nul \0"}));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = read_json(&bytes);
            let _ = with_replacements(&bytes);
        }

        #[test]
        fn no_text_of_escapes_panics(text in r#"[\\u"dD8cCfF0{}é ]{0,60}"#) {
            let _ = read_json(text.as_bytes());
            let _ = with_replacements(text.as_bytes());
        }
    }
}
