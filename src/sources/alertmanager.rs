//! Alertmanager's webhook envelope, version 4, as Alertmanager 0.25 to 0.33 sends it. Grafana's is its
//! kin.

use super::clean::{beginning, clean_json, clean_text};
use super::draft::{Draft, MAX_GROUP_KEY, MAX_NAME, MAX_URL, hmac_hex};
use super::fields::{Read, item, object, string};
use super::{AlertSource, Delivery, Group, MAX_ALERTS, Mapping, Normalised, SourceError, kind_of};
use crate::domain::AlertStatus;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub mod api;

const NAME: &str = "alertmanager";

/// Alertmanager.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alertmanager;

impl AlertSource for Alertmanager {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        delivery.body.get("alerts").is_some_and(Value::is_array)
    }

    fn around(&self, alert: Value) -> Value {
        json!({"alerts": [alert]})
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "an Alertmanager webhook body is an object with a list `alerts`, and a `payload` of the receiver \
                        replaces it";
        envelope(NAME, expected, delivery, mapping, |_, _| ())
    }
}

/// What the alerts of one body share.
struct Envelope {
    status: Option<String>,
    group_key: Option<String>,
    external_url: Option<String>,
    truncated: u64,
}

/// All alerts of a body of `source`; `more` adds what only that sender has.
pub(super) fn envelope(
    source: &str,
    expected: &'static str,
    delivery: &Delivery<'_>,
    mapping: &Mapping<'_>,
    more: impl Fn(&Map<String, Value>, &mut Draft),
) -> Result<Normalised, SourceError> {
    let not_recognised = |found| SourceError::NotRecognised { expected, found };
    let fields = delivery.body.as_object().ok_or_else(|| not_recognised(kind_of(delivery.body)))?;
    let alerts = match fields.get("alerts") {
        Some(Value::Array(alerts)) => alerts,
        Some(_) => return Err(not_recognised("an object whose `alerts` is no list")),
        None => return Err(not_recognised("an object without `alerts`")),
    };
    if alerts.len() > MAX_ALERTS {
        return Err(SourceError::TooMany { alerts: alerts.len(), limit: MAX_ALERTS });
    }
    let text = |key: &str, max: usize| {
        let text = fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())?;
        Some(clean_text(text, max, mapping.redactor))
    };
    let shared = Envelope {
        status: text("status", MAX_NAME),
        group_key: text("groupKey", MAX_GROUP_KEY),
        external_url: text("externalURL", MAX_URL),
        truncated: fields.get("truncatedAlerts").and_then(Value::as_u64).unwrap_or(0),
    };
    let group = (shared.truncated > 0).then(|| Group {
        receiver: fields.get("receiver").and_then(Value::as_str).map(str::to_owned),
        labels: object(fields, "groupLabels").unwrap_or_default().into_iter().filter_map(text_pair).collect(),
        key: shared.group_key.clone(),
        external_url: shared.external_url.clone(),
    });
    let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
    let map = |(index, alert): (usize, &Value)| {
        let clean = clean_json(alert, mapping.redactor);
        let read = draft(&clean, &shared, mapping.at).map(|mut draft| {
            clean.as_object().into_iter().for_each(|fields| more(fields, &mut draft));
            Read::from(draft)
        });
        item(index, source, &clean, read, &raw_hmac, mapping)
    };
    Ok(Normalised { items: alerts.iter().enumerate().map(map).collect(), truncated: shared.truncated, group })
}

/// Reads one alert, redacted already.
fn draft(alert: &Value, envelope: &Envelope, now: Timestamp) -> Result<Draft, String> {
    let fields = alert.as_object().ok_or_else(|| format!("the alert is {}, not an object", kind_of(alert)))?;
    let labels = object(fields, "labels")?;
    let annotations = object(fields, "annotations")?;
    let fingerprint = string(fields, "fingerprint")?.map(str::to_owned);
    let ends_at = time(fields, "endsAt")?;
    let status = status(fields, envelope, ends_at, now)?;
    let url = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let note = |key: &str| annotations.get(key).and_then(Value::as_str).map(str::to_owned);
    let links = vec![
        ("source", url("generatorURL")),
        ("alertmanager", envelope.external_url.clone()),
        ("runbook", note("runbook_url")),
        ("dashboard", note("dashboard_url")),
    ];
    let left_out = envelope.truncated;
    let notes = (left_out > 0)
        .then(|| format!("Alertmanager left {left_out} alerts of this group out of the message (max_alerts)"));
    Ok(Draft {
        fingerprint,
        group_key: envelope.group_key.clone(),
        starts_at: time(fields, "startsAt")?,
        ends_at,
        links,
        notes: notes.into_iter().collect(),
        labels,
        annotations,
        ..Draft::new(status)
    })
}

fn text_pair((key, value): (String, Value)) -> Option<(String, String)> {
    value.as_str().map(|value| (key, value.to_owned()))
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

/// The time under `key`. Alertmanager writes the year 1 for "not yet".
fn time(fields: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = string(fields, key)? else { return Ok(None) };
    let time: Timestamp =
        text.parse().map_err(|_| format!("`{key}` is no RFC 3339 time: `{}`", beginning(text, 64)))?;
    Ok(Some(time).filter(|time| *time > Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests;
