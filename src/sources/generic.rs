//! JSON of senders without a file of their own: what most of them call things.

use super::clean::{clean_json, one_line};
use super::draft::{Draft, MAX_NAME, hmac_hex};
use super::fields::{is_over, item, labels, object, scalar, text, urgency};
use super::times::time;
use super::{AlertSource, Delivery, MAX_ALERTS, Mapping, Normalised, SourceError, kind_of};
use crate::domain::{AlertStatus, POLLER, Severity};
use serde_json::Value;

const NAME: &str = "generic";
/// Whose a body is that could not be read.
pub(crate) const UNKNOWN: &str = "unknown";

const SUBJECT: [&str; 6] = ["service", "subject", "name", "host", "hostname", "instance"];
const ALERT: [&str; 5] = ["alertname", "alert_name", "check", "rule", "title"];
const SAID: [&str; 6] = ["summary", "message", "msg", "text", "description", "title"];
const LOUD: [&str; 3] = ["severity", "level", "priority"];
const STATE: [&str; 3] = ["status", "state", "event"];
const IDENTITY: [&str; 6] = ["fingerprint", "id", "alert_id", "incident_id", "dedup_key", "key"];
const START: [&str; 5] = ["startsAt", "starts_at", "started_at", "start_time", "since"];
const END: [&str; 4] = ["endsAt", "ends_at", "ended_at", "resolved_at"];
const ADDRESS: [&str; 3] = ["url", "link", "generatorURL"];
/// What stands in an object itself and is a label everywhere else.
const LABELS: [&str; 14] = [
    "namespace",
    "cluster",
    "pod",
    "container",
    "node",
    "deployment",
    "statefulset",
    "persistentvolumeclaim",
    "job",
    "service",
    "instance",
    "hostname",
    "environment",
    "source",
];

/// Scripts, Portainer and whoever else: an object, or a list of them.
#[derive(Debug, Clone)]
pub struct Generic {
    name: String,
}

impl Default for Generic {
    fn default() -> Self {
        Self::named(NAME)
    }
}

/// What a sender calls itself, as it is kept and compared: nothing invisible makes another name of a known one.
/// `None` for what is none, or not for a sender to take.
pub(crate) fn sender_name(hint: &str) -> Option<String> {
    Some(one_line(hint, 64)).filter(|name| !name.is_empty() && !is_reserved(name))
}

/// Names that mean something else here: what a poller was told, and a body that is nobody's.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == UNKNOWN || name.starts_with(POLLER)
}

impl Generic {
    /// One that calls itself `name`.
    pub fn named(name: &str) -> Self {
        Self { name: sender_name(name).unwrap_or_else(|| NAME.to_owned()) }
    }
}

impl AlertSource for Generic {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        match delivery.body {
            Value::Array(items) => items.iter().any(says_something),
            body => says_something(body),
        }
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "an alert names what it is about (`service`, `subject`, `name` or `host`) or says something \
                        (`summary`, `message`, `msg` or `title`)";
        if !self.recognises(delivery) {
            let found = match delivery.body {
                Value::Object(_) => "an object without any of them",
                Value::Array(_) => "a list of which no item has any of them",
                other => kind_of(other),
            };
            return Err(SourceError::NotRecognised { expected, found });
        }
        let alerts = match delivery.body {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        if alerts.len() > MAX_ALERTS {
            return Err(SourceError::TooMany { alerts: alerts.len(), limit: MAX_ALERTS });
        }
        let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
        let items = alerts.iter().enumerate().map(|(index, alert)| {
            let clean = clean_json(alert, mapping.redactor);
            let read = match says_something(&clean) {
                true => draft(&clean).map(|draft| identified(draft, &clean).into()),
                false => Err(format!("nothing in it says what it is: {expected}")),
            };
            item(index, &self.name, &clean, read, &raw_hmac, mapping)
        });
        Ok(Normalised { items: items.collect(), ..Normalised::default() })
    }
}

fn first<'v>(alert: &'v Value, keys: &[&str]) -> Option<&'v str> {
    keys.iter().find_map(|key| alert.get(*key)?.as_str().filter(|text| !text.trim().is_empty()))
}

fn says_something(alert: &Value) -> bool {
    alert.is_object()
        && (first(alert, &SUBJECT).is_some() || first(alert, &SAID).is_some() || first(alert, &ALERT).is_some())
}

/// Reads one alert, redacted already.
pub(super) fn draft(alert: &Value) -> Result<Draft, String> {
    let fields = alert.as_object().ok_or_else(|| format!("the alert is {}, not an object", kind_of(alert)))?;
    let when = |keys: &[&str]| keys.iter().find_map(|key| fields.get(*key)).and_then(time);
    let word = |keys: &[&str]| keys.iter().find_map(|key| scalar(alert, &format!("/{key}")));
    let state = word(&STATE);
    let status = match state.as_deref().is_some_and(is_over) {
        true => AlertStatus::Resolved,
        false => AlertStatus::Firing,
    };
    let subject = first(alert, &SUBJECT);
    // Without a word for it, the state may say how bad it is.
    let down = state
        .as_deref()
        .is_some_and(|state| ["down", "critical", "fatal"].iter().any(|w| state.eq_ignore_ascii_case(w)));
    let severity = match word(&LOUD) {
        Some(word) => urgency(&word),
        None if down => Severity::Critical,
        None => Severity::Warning,
    };
    let own = first(alert, &ALERT);
    let mut draft = Draft {
        severity: Some(severity),
        fingerprint: word(&IDENTITY),
        group_key: text(alert, "/groupKey").or_else(|| text(alert, "/group_key")).map(str::to_owned),
        // What names nothing but whom it concerns is told apart by that.
        name: own.or(subject).map(|name| one_line(name, MAX_NAME)),
        subject: subject.map(str::to_owned),
        labels: labels(fields.get("labels").or_else(|| fields.get("tags"))),
        annotations: object(fields, "annotations").unwrap_or_default(),
        starts_at: when(&START),
        ends_at: when(&END),
        links: vec![
            ("source", first(alert, &ADDRESS).map(str::to_owned)),
            ("runbook", text(alert, "/runbook_url").map(str::to_owned)),
            ("dashboard", text(alert, "/dashboard_url").map(str::to_owned)),
        ],
        ..Draft::new(status)
    };
    for key in LABELS {
        let named = if key == "source" { "sender" } else { key };
        draft.label(named, scalar(alert, &format!("/{key}")).as_deref());
    }
    draft.label("host", text(alert, "/host"));
    let said = first(alert, &SAID);
    draft.annotation("summary", said);
    let more = ["description", "message", "details"].iter().find_map(|key| text(alert, &format!("/{key}")));
    draft.annotation("description", more.filter(|more| Some(*more) != said));
    draft.annotation("runbook_url", text(alert, "/runbook_url"));
    Ok(draft)
}

/// Without an identity of the sender's, an alert is what it is and whom it concerns: the loudness may
/// change from one report to the next, these do not.
fn identified(mut draft: Draft, alert: &Value) -> Draft {
    if draft.fingerprint.is_none() {
        let parts = [draft.name.as_deref(), draft.subject.as_deref(), text(alert, "/namespace")];
        draft.fingerprint = Some(parts.map(Option::unwrap_or_default).join("/")).filter(|made| made != "//");
    }
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sender_takes_a_name_that_means_something_else() {
        for (hint, name) in [
            ("portainer", Some("portainer")),
            ("pollers", Some("pollers")),
            ("", None),
            ("poller:am", None),
            (" poller:am", None),
            ("poll\u{200b}er:am", None),
            ("unknown", None),
        ] {
            assert_eq!(sender_name(hint).as_deref(), name, "{hint:?}");
            assert_eq!(Generic::named(hint).name(), name.unwrap_or(NAME), "{hint:?}");
        }
    }
}
