//! Opsgenie's outgoing webhook.

use super::clean::clean_json;
use super::draft::Draft;
use super::fields::{Read, labels, notice, object, single, text, urgency};
use super::times::time;
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError};
use crate::domain::AlertStatus;
use serde_json::Value;

const NAME: &str = "opsgenie";

/// Opsgenie.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opsgenie;

impl AlertSource for Opsgenie {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        delivery.body.get("action").is_some_and(Value::is_string)
            && delivery.body.pointer("/alert/alertId").is_some_and(Value::is_string)
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a body of Opsgenie's webhook has `action` and `alert.alertId`";
        self.is_of_its_shape(delivery, expected)?;
        let clean = clean_json(delivery.body, mapping.redactor);
        Ok(single(NAME, &clean, read(&clean), delivery, mapping))
    }
}

fn read(body: &Value) -> Result<Read, String> {
    let of = |key: &str| text(body, &format!("/alert/{key}"));
    let action = text(body, "/action").unwrap_or_default();
    let message = of("message");
    let status = match action {
        "Create" => AlertStatus::Firing,
        "Close" | "Delete" => AlertStatus::Resolved,
        action => return Ok(notice(format!("`{action}` neither opens nor closes an alert"), message)),
    };
    let id = of("alertId").ok_or("`alert.alertId` is empty")?;
    // Details are sent with the creation only.
    let details = body.get("alert").and_then(Value::as_object).map(|alert| object(alert, "details")).transpose()?;
    let details = details.unwrap_or_default();
    let service = details.get("service").and_then(Value::as_str);
    let subject = of("entity").or(service).or_else(|| of("alias")).or(message);
    let mut draft = Draft {
        severity: Some(urgency(of("priority").unwrap_or("P3"))),
        fingerprint: Some(id.to_owned()),
        group_key: of("alias").map(str::to_owned),
        name: message.map(str::to_owned),
        subject: subject.map(str::to_owned),
        // Of the alert itself, so it is the same when it closes.
        starts_at: body.pointer("/alert/createdAt").and_then(time),
        ends_at: body.pointer("/alert/updatedAt").and_then(time),
        labels: details.clone(),
        ..Draft::new(status)
    };
    for (name, value) in labels(body.pointer("/alert/tags")) {
        draft.label(&name, value.as_str());
    }
    draft.label("alias", of("alias"));
    draft.label("priority", of("priority"));
    draft.annotation("summary", message);
    draft.annotation("description", of("description"));
    Ok(draft.into())
}
