//! Any JSON, by a mapping of the configuration: a JSON pointer for each field.

use super::clean::clean_json;
use super::draft::{Draft, hmac_hex};
use super::fields::{Read, item, notice, scalar, urgency};
use super::times::time;
use super::{AlertSource, Delivery, MAX_ALERTS, Mapping, Normalised, SourceError, fields, kind_of};
use crate::domain::{AlertStatus, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the fields of an alert are. Each is a JSON pointer into the alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pointers {
    /// The alert's name.
    pub name: Option<String>,
    /// Whom it concerns.
    pub subject: Option<String>,
    /// How loud.
    pub severity: Option<String>,
    /// Whether it holds.
    pub status: Option<String>,
    /// What is said.
    pub summary: Option<String>,
    /// What is said at length.
    pub description: Option<String>,
    /// The sender's identity of the alert.
    pub fingerprint: Option<String>,
    /// What belongs together.
    pub group: Option<String>,
    /// Start of the episode.
    pub starts_at: Option<String>,
    /// Its end.
    pub ends_at: Option<String>,
    /// An address for people.
    pub link: Option<String>,
    /// A runbook's address.
    pub runbook: Option<String>,
    /// Labels that the sender has already: an object, or a list of them.
    pub labels: Option<String>,
}

impl Pointers {
    /// Each field by its name, with its pointer.
    pub fn each(&self) -> [(&'static str, Option<&str>); 13] {
        [
            ("name", &self.name),
            ("subject", &self.subject),
            ("severity", &self.severity),
            ("status", &self.status),
            ("summary", &self.summary),
            ("description", &self.description),
            ("fingerprint", &self.fingerprint),
            ("group", &self.group),
            ("starts_at", &self.starts_at),
            ("ends_at", &self.ends_at),
            ("link", &self.link),
            ("runbook", &self.runbook),
            ("labels", &self.labels),
        ]
        .map(|(name, pointer)| (name, pointer.as_deref()))
    }
}

/// A sender that the configuration describes, as it is written there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMapping {
    /// Its name.
    pub name: String,
    /// Where the list of alerts is; without it, the body is one alert or a list of them.
    #[serde(default)]
    pub alerts: Option<String>,
    /// Where its fields are.
    #[serde(default)]
    pub fields: Pointers,
    /// Labels, each with its place.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The sender's own words for how loud it is.
    #[serde(default)]
    pub severities: BTreeMap<String, Severity>,
    /// States that mean that it is over; empty takes the usual words.
    #[serde(default)]
    pub resolved: Vec<String>,
    /// States that are no alerts.
    #[serde(default)]
    pub ignored: Vec<String>,
}

impl AlertSource for JsonMapping {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "mapped"
    }

    /// It has no shape of its own: it is meant when it is named.
    fn recognises(&self, _: &Delivery<'_>) -> bool {
        false
    }

    fn around(&self, alert: Value) -> Value {
        let Some(pointer) = &self.alerts else { return alert };
        let key = |token: &str| token.replace("~1", "/").replace("~0", "~");
        let nest = |inner, token: &str| Value::Object([(key(token), inner)].into_iter().collect());
        pointer.rsplit('/').take(pointer.matches('/').count()).fold(Value::Array(vec![alert]), nest)
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "the mapping of this source in `intake.sources` finds its alerts";
        let not_recognised = |found| SourceError::NotRecognised { expected, found };
        let alerts = match (&self.alerts, delivery.body) {
            (Some(pointer), body) => match body.pointer(pointer) {
                Some(Value::Array(items)) => items.as_slice(),
                Some(_) => return Err(not_recognised("one where no list stands at `alerts`")),
                None => return Err(not_recognised("one where nothing stands at `alerts`")),
            },
            (None, Value::Array(items)) => items.as_slice(),
            (None, one) => std::slice::from_ref(one),
        };
        if alerts.len() > MAX_ALERTS {
            return Err(SourceError::TooMany { alerts: alerts.len(), limit: MAX_ALERTS });
        }
        if !alerts.is_empty() && !alerts.iter().any(|alert| self.finds_something(alert)) {
            return Err(not_recognised("one in which none of its `fields` is"));
        }
        let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
        let items = alerts.iter().enumerate().map(|(index, alert)| {
            let clean = clean_json(alert, mapping.redactor);
            item(index, &self.name, &clean, self.read(&clean), &raw_hmac, mapping)
        });
        Ok(Normalised { items: items.collect(), ..Normalised::default() })
    }
}

impl JsonMapping {
    fn finds_something(&self, alert: &Value) -> bool {
        let Pointers { name, subject, summary, description, fingerprint, .. } = &self.fields;
        [name, subject, summary, description, fingerprint].into_iter().any(|at| found(alert, at).is_some())
    }

    /// Reads one alert, redacted already.
    fn read(&self, alert: &Value) -> Result<Read, String> {
        if !alert.is_object() {
            return Err(format!("the alert is {}, not an object", kind_of(alert)));
        }
        if !self.finds_something(alert) {
            return Err("none of the mapping's fields that say what it is stands in it".into());
        }
        let of = |pointer: &Option<String>| found(alert, pointer);
        let when = |pointer: &Option<String>| pointer.as_ref().and_then(|at| alert.pointer(at)).and_then(time);
        let (subject, state) = (of(&self.fields.subject), of(&self.fields.status));
        let is = |words: &[String]| {
            state.as_ref().is_some_and(|state| words.iter().any(|word| word.eq_ignore_ascii_case(state.trim())))
        };
        if is(&self.ignored) {
            let state = state.unwrap_or_default();
            return Ok(notice(format!("`{state}` is no alert, by `intake.sources`"), subject.as_deref()));
        }
        let over = match self.resolved.is_empty() {
            true => state.as_deref().is_some_and(fields::is_over),
            false => is(&self.resolved),
        };
        let severity = of(&self.fields.severity).map(|word| {
            let known = self.severities.iter().find(|(own, _)| own.eq_ignore_ascii_case(word.trim()));
            known.map_or_else(|| urgency(&word), |(_, severity)| *severity)
        });
        let labels = self.fields.labels.as_ref().and_then(|at| alert.pointer(at));
        let mut draft = Draft {
            severity: Some(severity.unwrap_or(Severity::Warning)),
            fingerprint: of(&self.fields.fingerprint),
            group_key: of(&self.fields.group),
            name: of(&self.fields.name),
            subject,
            labels: fields::labels(labels),
            starts_at: when(&self.fields.starts_at),
            ends_at: when(&self.fields.ends_at),
            links: vec![("source", of(&self.fields.link)), ("runbook", of(&self.fields.runbook))],
            ..Draft::new(if over { AlertStatus::Resolved } else { AlertStatus::Firing })
        };
        for (label, pointer) in &self.labels {
            draft.label(label, scalar(alert, pointer).as_deref());
        }
        draft.annotation("summary", of(&self.fields.summary).as_deref());
        draft.annotation("description", of(&self.fields.description).as_deref());
        draft.annotation("runbook_url", of(&self.fields.runbook).as_deref());
        if draft.fingerprint.is_none() {
            let parts = [draft.name.as_deref(), draft.subject.as_deref()].map(Option::unwrap_or_default);
            draft.fingerprint = Some(parts.join("/")).filter(|made| made != "/");
        }
        Ok(draft.into())
    }
}

fn found(alert: &Value, pointer: &Option<String>) -> Option<String> {
    scalar(alert, pointer.as_deref()?)
}
