//! Grafana unified alerting: Alertmanager's envelope with more in it.

use super::alertmanager::envelope;
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError};
use serde_json::{Value, json};

const NAME: &str = "grafana";

/// Grafana's own webhook contact point.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grafana;

impl AlertSource for Grafana {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        let body = delivery.body;
        // Alertmanager knows neither organisations nor a state beside the status.
        let own = body.get("orgId").is_some() || body.get("state").is_some() && body.get("title").is_some();
        own && body.get("alerts").is_some_and(Value::is_array)
    }

    fn around(&self, alert: Value) -> Value {
        json!({"orgId": alert.get("orgId").cloned(), "alerts": [alert]})
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected =
            "a body of Grafana's webhook is an object with a list `alerts`, and a custom payload template replaces it";
        let org = delivery.body.get("orgId").and_then(Value::as_i64);
        let told = envelope(NAME, expected, delivery, mapping, |alert, draft| {
            let text = |key: &str| alert.get(key).and_then(Value::as_str);
            let org = alert.get("orgId").and_then(Value::as_i64).or(org);
            // Organisations of one Grafana count apart.
            if let (Some(org), Some(own)) = (org, &draft.fingerprint) {
                draft.fingerprint = Some(format!("{org}/{own}"));
            }
            let addresses = [
                ("grafana_dashboard", "dashboardURL"),
                ("panel", "panelURL"),
                ("silence", "silenceURL"),
                ("image", "imageURL"),
            ];
            draft.links.extend(addresses.map(|(rel, key)| (rel, text(key).map(str::to_owned))));
            draft.links.iter_mut().filter(|(rel, _)| *rel == "alertmanager").for_each(|(rel, _)| *rel = NAME);
            draft.notes.iter_mut().for_each(|note| *note = note.replace("Alertmanager left", "Grafana left"));
            draft.annotation("values", text("valueString"));
        })?;
        // What it left out, no Alertmanager knows.
        Ok(Normalised { group: None, ..told })
    }
}
