//! JSON that came in a form: Uptime Kuma's "form-data" and Datadog's "encode as form", for instance.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Fields in which senders put their JSON.
const FIELDS: [&str; 3] = ["data", "payload", "json"];
/// Most fields of a form.
const MAX_FIELDS: usize = 1_000;
/// Largest form that is looked through: senders of forms send one alert at a time.
const MAX_FORM: usize = 4 << 20;

/// The JSON in `bytes`. Whatever begins like JSON is taken as it is, whatever `content_type` says: curl
/// calls everything a form. A form without a field that holds JSON becomes an object of its fields.
pub fn unwrap<'b>(content_type: Option<&str>, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace() && !b"\xEF\xBB\xBF".contains(byte));
    let kind = content_type.unwrap_or_default();
    if matches!(first, None | Some(b'{' | b'[' | b'"')) || bytes.len() > MAX_FORM {
        return Cow::Borrowed(bytes);
    }
    let lower = kind.to_ascii_lowercase();
    let found = match lower.split(';').next().unwrap_or_default().trim() {
        "multipart/form-data" => multipart(kind, bytes),
        "application/x-www-form-urlencoded" => encoded(bytes),
        _ => None,
    };
    found.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

fn encoded(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'=') {
        return None;
    }
    let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = url::form_urlencoded::parse(bytes).take(MAX_FIELDS).collect();
    let json = pairs.iter().find(|(key, value)| FIELDS.contains(&&**key) && value.trim_start().starts_with(['{', '[']));
    if let Some((_, value)) = json {
        return Some(value.as_bytes().to_vec());
    }
    let mut map = Map::new();
    for (key, value) in pairs {
        // A field that stands twice would be a guess.
        if map.insert(key.into_owned(), Value::from(value.into_owned())).is_some() {
            return None;
        }
    }
    serde_json::to_vec(&Value::from(map)).ok()
}

fn multipart(content_type: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    if boundary.is_empty() {
        return None;
    }
    let line = format!("--{boundary}");
    let mut rest = bytes;
    for _ in 0..MAX_FIELDS {
        let at = find(rest, line.as_bytes())?;
        let part = rest.get(at + line.len()..)?;
        let end = find(part, line.as_bytes())?;
        let (part, after) = part.split_at(end);
        rest = after;
        let Some(head) = find(part, b"\r\n\r\n") else { continue };
        let (head, body) = part.split_at(head);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        if FIELDS.iter().any(|field| head.contains(&format!("name=\"{field}\""))) {
            let body = body.strip_prefix(b"\r\n\r\n")?;
            return Some(body.strip_suffix(b"\r\n").unwrap_or(body).to_vec());
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[test]
    fn json_is_found_in_forms_and_left_alone_elsewhere() {
        for (kind, body, json) in [
            (FORM, r#"{"alerts":[]}"#, r#"{"alerts":[]}"#),
            (FORM, "payload=%7B%22a%22%3A+1%7D&x=1", r#"{"a": 1}"#),
            (FORM, "alert_id=7&title=a+b", r#"{"alert_id":"7","title":"a b"}"#),
            (FORM, "alert!", "alert!"),
            (FORM, "a=1&a=2", "a=1&a=2"),
            (None, "a=1", "a=1"),
            (
                Some("multipart/form-data; boundary=XX"),
                "--XX\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n\
              --XX\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":\r\n1}\r\n--XX--\r\n",
                "{\"a\":\r\n1}",
            ),
            (Some("multipart/form-data"), "--XX", "--XX"),
            (Some("multipart/form-data; boundary=\"\""), "--XX", "--XX"),
        ] {
            assert_eq!(String::from_utf8_lossy(&unwrap(kind, body.as_bytes())), json, "{kind:?} {body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(kind in "(multipart/form-data; boundary=[a-]{0,3}|application/x-www-form-urlencoded)",
                          bytes in proptest::collection::vec(proptest::sample::select(b"a-=&%\r\n\"{x\xFF".to_vec()), 0..60)) {
            let _ = unwrap(Some(&kind), &bytes);
        }
    }
}
