//! Datadog's webhooks: the default body, and the template that docs/senders.md gives to operators.

use super::clean::clean_json;
use super::draft::Draft;
use super::fields::{Read, is_over, labels, single, text, urgency};
use super::times::time;
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError};
use crate::domain::{AlertStatus, Severity};
use serde_json::{Map, Value};

const NAME: &str = "datadog";

/// Datadog.
#[derive(Debug, Clone, Copy, Default)]
pub struct Datadog;

impl AlertSource for Datadog {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        let body = delivery.body;
        let has = |key: &str| body.get(key).is_some_and(Value::is_string);
        let default = has("event_type") && has("title") && body.pointer("/org/id").is_some();
        let template = has("alert_cycle_key") || has("aggreg_key") || has("alert_id");
        default || template && (has("transition") || has("alert_type"))
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a body of Datadog's webhooks is its default one (`title`, `event_type`, `org`) or the template of \
                        docs/senders.md (`alert_cycle_key`, `transition`, …)";
        self.is_of_its_shape(delivery, expected)?;
        let clean = clean_json(delivery.body, mapping.redactor);
        Ok(single(NAME, &clean, Ok(read(&clean)), delivery, mapping))
    }
}

fn read(body: &Value) -> Read {
    // What Datadog does not know stays as the variable's name.
    let of = |key: &str| text(body, &format!("/{key}")).filter(|text| !text.starts_with('$'));
    let title = of("title").unwrap_or("Datadog monitor");
    let (prefix, plain) = split_title(title);
    let transition = of("transition").or(prefix).unwrap_or("Triggered");
    // "Triggered on {namespace:shop}"
    let (state, group) = transition.split_once(" on ").unwrap_or((transition, ""));
    let over = is_over(state.rsplit(' ').next().unwrap_or(state));
    let status = if over { AlertStatus::Resolved } else { AlertStatus::Firing };
    let mut labels_found = labels(of("scope").map(Value::from).as_ref());
    let more = [of("tags").map(str::to_owned), Some(group.trim_matches(['{', '}']).to_owned())];
    for text in more.into_iter().flatten() {
        add(&mut labels_found, labels(Some(&Value::from(text))));
    }
    let severity = match state.to_ascii_lowercase().contains("warn") {
        true => Severity::Warning,
        false => of("priority").or_else(|| of("alert_type")).map_or(Severity::Warning, urgency),
    };
    let scope = of("scope").unwrap_or(group);
    let by_monitor = of("alert_id").map(|id| format!("{id}/{scope}"));
    let by_title = || format!("{plain}/{scope}");
    let fingerprint = of("alert_cycle_key").or_else(|| of("aggreg_key")).map(str::to_owned).or(by_monitor);
    let begun = ["date_ms", "last_updated", "date"].iter().find_map(|key| body.get(*key)).and_then(time);
    let mut draft = Draft {
        severity: Some(severity),
        fingerprint: Some(fingerprint.unwrap_or_else(by_title)),
        group_key: of("aggreg_key").map(str::to_owned),
        name: Some(plain.to_owned()),
        labels: labels_found,
        // A recovery carries its own time: it ends whichever episode is open.
        starts_at: begun.filter(|_| !over),
        ends_at: begun,
        links: vec![("source", of("link").map(str::to_owned))],
        ..Draft::new(status)
    };
    draft.label("hostname", of("hostname"));
    draft.label("monitor_id", of("alert_id"));
    let service = draft.labels.get("service").and_then(Value::as_str).map(str::to_owned);
    draft.subject = service.or_else(|| of("hostname").map(str::to_owned)).or_else(|| Some(plain.to_owned()));
    let said = of("body").map(|text| text.replace("%%%", "").trim().to_owned());
    draft.annotation("summary", Some(title));
    draft.annotation("description", said.as_deref());
    draft.annotation("query", of("query"));
    draft.into()
}

/// "[Recovered] PVC usage high" is `Recovered` and `PVC usage high`.
fn split_title(title: &str) -> (Option<&str>, &str) {
    let parts = title.trim().strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match parts {
        Some((prefix, rest)) if !rest.trim().is_empty() => (Some(prefix.trim()), rest.trim()),
        Some(_) | None => (None, title.trim()),
    }
}

fn add(labels: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        labels.entry(key).or_insert(value);
    }
}
