//! A body becomes a JSON value: within bounds, tolerant of broken characters, never by recursion
//! that the sender controls.

use super::{SourceError, kind_of};
use serde_json::Value;

/// Most levels of nesting.
pub const MAX_DEPTH: usize = 64;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads one JSON document that may hold alerts: an object or a list with something in it.
///
/// A byte order mark is skipped. Invalid UTF-8 and lone surrogates are read with replacement
/// characters in their place.
///
/// # Errors
/// When it is nested too deeply, is no JSON, or is a scalar or an empty list.
pub fn read_json(bytes: &[u8]) -> Result<Value, SourceError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if is_deeper_than(bytes, MAX_DEPTH) {
        return Err(SourceError::TooDeep { limit: MAX_DEPTH });
    }
    let value = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value,
        Err(error) => serde_json::from_str(&with_replacements(bytes))
            .map_err(|_| SourceError::NotJson { why: error.to_string() })?,
    };
    match &value {
        Value::Array(items) if items.is_empty() => Err(SourceError::Nothing { found: "an empty list" }),
        Value::Object(_) | Value::Array(_) => Ok(value),
        scalar => Err(SourceError::Nothing { found: kind_of(scalar) }),
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
