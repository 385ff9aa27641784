//! CloudEvents 1.0 over HTTP: structured, batched, and binary, where the attributes are headers.

use super::clean::clean_json;
use super::draft::{Draft, hmac_hex};
use super::fields::{Read, is_over, item, text};
use super::json::read_json;
use super::times::time;
use super::{AlertSource, Delivery, MAX_ALERTS, Mapping, Normalised, SourceError, generic, kind_of};
use crate::domain::{AlertStatus, Digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const NAME: &str = "cloudevents";
/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// CloudEvents.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloudEvents;

impl AlertSource for CloudEvents {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        let structured = |body: &Value| REQUIRED.iter().all(|key| body.get(*key).is_some());
        delivery.header("ce-specversion").is_some()
            || match delivery.body {
                Value::Array(items) => items.first().is_some_and(structured),
                body => structured(body),
            }
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a CloudEvent has `specversion`, `id`, `source` and `type`, as keys or as `ce-` headers";
        self.is_of_its_shape(delivery, expected)?;
        let binary = delivery.header("ce-specversion").map(|_| from_headers(delivery));
        let events = match (&binary, delivery.body) {
            (Some(event), _) => std::slice::from_ref(event),
            (None, Value::Array(items)) => items.as_slice(),
            (None, one) => std::slice::from_ref(one),
        };
        if events.len() > MAX_ALERTS {
            return Err(SourceError::TooMany { alerts: events.len(), limit: MAX_ALERTS });
        }
        let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
        let items = events.iter().enumerate().map(|(index, event)| {
            let clean = clean_json(&with_data(event), mapping.redactor);
            item(index, NAME, &clean, read(&clean).map(Read::from), &raw_hmac, mapping)
        });
        Ok(Normalised { items: items.collect(), ..Normalised::default() })
    }
}

/// Whether the attributes of an event stand in the headers of its request.
pub(crate) fn is_binary(header: impl FnOnce(&str) -> bool) -> bool {
    header("ce-specversion")
}

/// The event whose attributes are headers and whose data is the body.
fn from_headers(delivery: &Delivery<'_>) -> Value {
    let attributes = delivery.headers.iter().filter_map(|(name, value)| {
        // The data is the body, and nothing that a header says.
        let name = name.strip_prefix("ce-").filter(|name| !matches!(*name, "data" | "data_base64"))?;
        Some((name.to_owned(), Value::from(percent_decoded(value))))
    });
    let mut event: Map<String, Value> = attributes.collect();
    event.insert("data".into(), delivery.body.clone());
    event.into()
}

fn percent_decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| ((high << 4 | low) as u8, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The event with the JSON that its `data_base64` or the text in its `data` holds.
fn with_data(event: &Value) -> Value {
    let encoded = event.get("data_base64").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let written = event.get("data").and_then(Value::as_str).map(|text| text.as_bytes().to_vec());
    match (event, encoded.or(written).and_then(|bytes| read_json(&bytes).ok())) {
        (Value::Object(fields), Some(data)) => {
            let mut fields = fields.clone();
            fields.remove("data_base64");
            fields.insert("data".into(), data);
            fields.into()
        }
        _ => event.clone(),
    }
}

/// Reads one event, redacted already.
fn read(event: &Value) -> Result<Draft, String> {
    if !event.is_object() {
        return Err(format!("the event is {}, not an object", kind_of(event)));
    }
    let required =
        |key: &str| text(event, &format!("/{key}")).ok_or_else(|| format!("the attribute `{key}` is missing"));
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    let subject = text(event, "/subject");
    let empty = json!({});
    let data = event.get("data").filter(|data| data.is_object()).unwrap_or(&empty);
    let mut draft = generic::draft(data)?;
    // "com.example.alert.resolved"
    if is_over(kind.rsplit('.').next().unwrap_or_default()) {
        draft.status = AlertStatus::Resolved;
    }
    // What fires and what ends share a type but for its last word.
    let family = kind.rsplit_once('.').map_or(kind, |(family, _)| family);
    let about = [subject, draft.name.as_deref(), draft.subject.as_deref()].map(Option::unwrap_or_default);
    let given = draft.fingerprint.take();
    let identity = given.unwrap_or_else(|| match about.iter().all(|part| part.is_empty()) {
        true => id.to_owned(),
        false => format!("{family}/{}", about.join("/")),
    });
    draft.fingerprint = Some(Digest::of_parts([source, identity.as_str()]).short(16).to_owned());
    draft.name = draft.name.or_else(|| Some(kind.to_owned()));
    draft.subject = draft.subject.or_else(|| Some(subject.unwrap_or(source).to_owned()));
    if draft.status == AlertStatus::Firing {
        draft.starts_at = draft.starts_at.or_else(|| event.get("time").and_then(time));
    } else {
        draft.ends_at = draft.ends_at.or_else(|| event.get("time").and_then(time));
    }
    draft.annotation("ce_id", Some(id));
    draft.label("ce_source", Some(source));
    draft.label("ce_type", Some(kind));
    draft.label("ce_subject", subject);
    draft.annotation("summary", Some(&format!("{kind} of {}", subject.unwrap_or(source))));
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn no_header_stands_for_the_data_that_a_body_brings() {
        let pairs = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-data", "{\"service\":\"forged\"}"),
            ("ce-data_base64", "eyJzZXJ2aWNlIjoiZm9yZ2VkIn0="),
        ];
        let headers: BTreeMap<String, String> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let body = json!({"service": "shop"});
        let event = from_headers(&Delivery { body: &body, raw: b"", headers: &headers });
        assert_eq!(event, json!({"specversion": "1.0", "id": "1", "data": {"service": "shop"}}));
        assert_eq!(with_data(&event)["data"], body);
    }
}
