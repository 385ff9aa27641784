//! PagerDuty's webhooks, version 3.

use super::clean::clean_json;
use super::draft::Draft;
use super::fields::{Read, notice, scalar, single, text, urgency};
use super::times::time;
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError};
use crate::domain::{AlertStatus, Severity};
use serde_json::Value;

const NAME: &str = "pagerduty";

/// PagerDuty.
#[derive(Debug, Clone, Copy, Default)]
pub struct PagerDuty;

impl AlertSource for PagerDuty {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        delivery.body.pointer("/event/event_type").is_some_and(Value::is_string)
            && delivery.body.pointer("/event/data").is_some()
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a body of PagerDuty's webhooks (version 3) has `event.event_type` and `event.data`";
        self.is_of_its_shape(delivery, expected)?;
        let clean = clean_json(delivery.body, mapping.redactor);
        Ok(single(NAME, &clean, read(&clean), delivery, mapping))
    }
}

fn read(body: &Value) -> Result<Read, String> {
    let kind = text(body, "/event/event_type").unwrap_or_default();
    let service = text(body, "/event/data/service/summary");
    let at = |pointer: &str| body.pointer(pointer).and_then(time);
    let (status, starts_at) = match kind {
        "incident.triggered" => (AlertStatus::Firing, at("/event/data/created_at")),
        // The incident is the old one, the episode a new one.
        "incident.reopened" => (AlertStatus::Firing, at("/event/occurred_at")),
        // Of whichever episode is open.
        "incident.resolved" => (AlertStatus::Resolved, None),
        kind => return Ok(notice(format!("`{kind}` neither opens nor resolves an incident"), service)),
    };
    let id = text(body, "/event/data/id").ok_or("`event.data.id`, the incident, is missing")?;
    let title = text(body, "/event/data/title").or_else(|| text(body, "/event/data/summary"));
    let priority = text(body, "/event/data/priority/summary").map(urgency);
    let severity = priority.unwrap_or(match text(body, "/event/data/urgency") {
        // Somebody is paged.
        Some("high") => Severity::Critical,
        Some("low") | None => Severity::Warning,
        Some(other) => urgency(other),
    });
    let mut draft = Draft {
        severity: Some(severity),
        fingerprint: Some(id.to_owned()),
        group_key: Some(text(body, "/event/data/incident_key").unwrap_or(id).to_owned()),
        name: title.map(str::to_owned),
        subject: service.or(title).map(str::to_owned),
        starts_at,
        ends_at: at("/event/occurred_at"),
        links: vec![("source", text(body, "/event/data/html_url").map(str::to_owned))],
        ..Draft::new(status)
    };
    draft.label("service", service);
    draft.label("client", text(body, "/event/client/name"));
    draft.label("urgency", text(body, "/event/data/urgency"));
    draft.label("priority", text(body, "/event/data/priority/summary"));
    draft.label("incident_key", text(body, "/event/data/incident_key"));
    draft.label("incident_number", scalar(body, "/event/data/number").as_deref());
    draft.annotation("summary", title);
    draft.annotation("description", text(body, "/event/data/body/details"));
    Ok(draft.into())
}
