//! Alertmanager's webhook envelope, version 4, as Alertmanager 0.25 to 0.33 sends it.

use super::clean::{LabelBounds, beginning, clean_json, clean_text, one_line};
use super::resource::resource;
use super::{AlertSource, Kept, MAX_ALERTS, Mapped, Mapping, Normalised, SourceError, kind_of};
use crate::domain::{AlertStatus, BlobRef, Digest, EventId, Link, Severity, SreEvent};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::collections::BTreeMap;

const NAME: &str = "alertmanager";
/// Longest name, subject, fingerprint, in bytes.
const MAX_NAME: usize = 256;
/// Longest group key, in bytes: it holds the matchers of a whole branch of routes.
const MAX_GROUP_KEY: usize = 8 << 10;
/// Longest address that is kept.
const MAX_URL: usize = 4 << 10;
/// Where what we have to say about an alert stands among its annotations.
const NOTE: &str = "firewarden_note";

/// Alertmanager.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alertmanager;

/// What the alerts of one body share.
struct Envelope {
    status: Option<String>,
    group_key: Option<String>,
    external_url: Option<String>,
    truncated: u64,
    raw_hmac: String,
}

impl AlertSource for Alertmanager {
    fn name(&self) -> &'static str {
        NAME
    }

    fn normalise(&self, body: &Value, raw: &[u8], mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "an Alertmanager webhook body is an object with a list `alerts`";
        let not_recognised = |found| SourceError::NotRecognised { expected, found };
        let envelope = body.as_object().ok_or_else(|| not_recognised(kind_of(body)))?;
        let alerts = match envelope.get("alerts") {
            Some(Value::Array(alerts)) => alerts,
            Some(_) => return Err(not_recognised("an object whose `alerts` is no list")),
            None => return Err(not_recognised("an object without `alerts`")),
        };
        if alerts.len() > MAX_ALERTS {
            return Err(SourceError::TooMany { alerts: alerts.len(), limit: MAX_ALERTS });
        }
        let text = |key: &str, max: usize| {
            let text = envelope.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())?;
            Some(clean_text(text, max, mapping.redactor))
        };
        let shared = Envelope {
            status: text("status", MAX_NAME),
            group_key: text("groupKey", MAX_GROUP_KEY),
            external_url: text("externalURL", MAX_URL),
            truncated: envelope.get("truncatedAlerts").and_then(Value::as_u64).unwrap_or(0),
            raw_hmac: hmac_hex(mapping.hmac_key, raw),
        };
        let map = |(index, alert): (usize, &Value)| {
            let clean = clean_json(alert, mapping.redactor);
            match event(&clean, &shared, mapping) {
                Ok((event, raw)) => Mapped::Alert { event: Box::new(event), raw },
                Err(reason) => Mapped::Quarantined { index, reason, payload: clean },
            }
        };
        Ok(Normalised { items: alerts.iter().enumerate().map(map).collect(), truncated: shared.truncated })
    }
}

/// Maps one alert, redacted already.
fn event(alert: &Value, envelope: &Envelope, mapping: &Mapping<'_>) -> Result<(SreEvent, Kept), String> {
    let fields = alert.as_object().ok_or_else(|| format!("the alert is {}, not an object", kind_of(alert)))?;
    let mut bounds = LabelBounds::default();
    let (labels, labels_left_out) = bounds.take(&map_of(fields, "labels")?);
    let (mut annotations, annotations_left_out) = bounds.take(&map_of(fields, "annotations")?);
    let given = string(fields, "fingerprint")?.map(|text| one_line(text, MAX_NAME)).filter(|text| !text.is_empty());
    if labels.is_empty() && annotations.is_empty() && given.is_none() {
        return Err("the alert has neither labels nor annotations nor a fingerprint: nothing says what it is".into());
    }
    let ends_at = time(fields, "endsAt")?;
    let status = status(fields, envelope, ends_at, mapping.at)?;
    let starts_at = time(fields, "startsAt")?.unwrap_or(mapping.at);

    // A text that nobody can see says nothing.
    let seen = |text: &&str| !one_line(text, MAX_NAME).is_empty();
    let label = |key: &str| labels.get(key).map(String::as_str).filter(seen);
    let annotation = |key: &str| annotations.get(key).map(String::as_str).filter(seen);
    let said = annotation("summary").or_else(|| annotation("description"));
    let name = label("alertname").or(said).unwrap_or("unnamed alert");
    let subject = ["service", "instance", "job"].iter().find_map(|key| label(key)).unwrap_or(name);
    let text = [annotation("summary"), annotation("description")].map(Option::unwrap_or_default).join("\n");
    let resource = resource(&labels, name, &text);
    let description = match &resource.namespace {
        Some(namespace) => format!("[{namespace}] {}", said.unwrap_or(name)),
        None => said.unwrap_or(name).to_owned(),
    };
    let severity = match status {
        AlertStatus::Resolved => Severity::Info,
        AlertStatus::Firing => Severity::from_sender(labels.get("severity").map_or("", String::as_str)),
    };
    let name = one_line(name, MAX_NAME);
    let subject = one_line(subject, MAX_NAME);
    let title = one_line(said.unwrap_or(&name), MAX_NAME);
    let links = links(fields, envelope, &annotations);
    let notes = notes(labels_left_out, annotations_left_out, envelope.truncated);
    if !notes.is_empty() {
        annotations.insert(NOTE.to_owned(), notes);
    }
    let bytes = serde_json::to_vec(alert).map_err(|error| format!("the alert cannot be written as JSON: {error}"))?;
    let raw = Kept { salt: mapping.entropy.salt(), bytes };
    let event = SreEvent {
        id: EventId::new(mapping.entropy.uuid(mapping.at)),
        source: NAME.to_owned(),
        fingerprint: given.unwrap_or_else(|| fingerprint_of(&labels, &subject)),
        group_key: envelope.group_key.clone(),
        status,
        severity,
        name,
        subject,
        resource,
        title,
        description,
        labels,
        annotations,
        starts_at,
        ends_at: match status {
            AlertStatus::Firing => None,
            AlertStatus::Resolved => Some(ends_at.unwrap_or(mapping.at)),
        },
        received_at: mapping.at,
        links,
        raw: BlobRef::commit(&raw.salt, &raw.bytes),
        raw_hmac: envelope.raw_hmac.clone(),
    };
    Ok((event, raw))
}

fn status(
    fields: &Map<String, Value>,
    envelope: &Envelope,
    ends_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<AlertStatus, String> {
    match string(fields, "status")?.or(envelope.status.as_deref()) {
        Some(word) => word
            .parse()
            .map_err(|_| format!("status `{}` is neither `firing` nor `resolved`", beginning(word, MAX_NAME))),
        None if ends_at.is_some_and(|end| end <= now) => Ok(AlertStatus::Resolved),
        None => Ok(AlertStatus::Firing),
    }
}

/// The object under `key`; missing and `null` are empty.
fn map_of(fields: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(other) => Err(format!("`{key}` is {}, not an object", kind_of(other))),
    }
}

/// The text under `key`; missing, `null` and empty are none.
fn string<'v>(fields: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
        Some(other) => Err(format!("`{key}` is {}, not a string", kind_of(other))),
    }
}

/// The time under `key`. Alertmanager writes the year 1 for "not yet".
fn time(fields: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = string(fields, key)? else { return Ok(None) };
    let time: Timestamp =
        text.parse().map_err(|_| format!("`{key}` is no RFC 3339 time: `{}`", beginning(text, 64)))?;
    Ok(Some(time).filter(|time| *time > Timestamp::UNIX_EPOCH))
}

fn links(fields: &Map<String, Value>, envelope: &Envelope, annotations: &BTreeMap<String, String>) -> Vec<Link> {
    let field = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let annotation = |key: &str| annotations.get(key).cloned();
    [
        ("source", field("generatorURL")),
        ("alertmanager", envelope.external_url.clone()),
        ("runbook", annotation("runbook_url")),
        ("dashboard", annotation("dashboard_url")),
    ]
    .into_iter()
    .filter_map(|(rel, url)| url.filter(|url| is_web_address(url)).map(|url| Link { rel: rel.to_owned(), url }))
    .collect()
}

/// Only addresses that a page may link to: nothing that runs, nothing that hides its end.
fn is_web_address(url: &str) -> bool {
    let lower = beginning(url, 8).to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://"))
        && url.len() <= MAX_URL
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What identifies an alert whose sender gives no fingerprint.
fn fingerprint_of(labels: &BTreeMap<String, String>, subject: &str) -> String {
    let parts = [NAME].into_iter().chain(labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
    let digest = match labels.is_empty() {
        true => Digest::of_parts([NAME, subject]),
        false => Digest::of_parts(parts),
    };
    digest.short(16).to_owned()
}

fn notes(labels: usize, annotations: usize, truncated: u64) -> String {
    let mut notes = vec![];
    if labels > 0 {
        notes.push(format!("{labels} labels were left out"));
    }
    if annotations > 0 {
        notes.push(format!("{annotations} annotations were left out"));
    }
    if truncated > 0 {
        notes.push(format!("Alertmanager left {truncated} alerts of this group out of the message (max_alerts)"));
    }
    notes.join("; ")
}

/// HMAC-SHA256 in hexadecimal.
fn hmac_hex(key: &[u8], bytes: &[u8]) -> String {
    // HMAC takes a key of any length; the error is for ciphers that do not.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
