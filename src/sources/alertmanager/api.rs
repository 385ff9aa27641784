//! Alerts as Alertmanager's API lists them, version 2. It tells no end of an alert, and no group.

use super::super::Group;
use serde_json::{Map, Value, json};

/// How an alert of the list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It fires, and people are told of it.
    Active,
    /// It fires, and it is silenced, inhibited, muted, or so new that Alertmanager has not yet decided.
    Held,
    /// It makes no sense.
    Unreadable,
}

/// How the alert `told` stands.
pub fn standing(told: &Value) -> Standing {
    let text = |key: &str| told[key].as_str().is_some_and(|text| !text.is_empty());
    let status = &told["status"];
    let held_by = |key: &str| status[key].as_array().is_some_and(|by| !by.is_empty());
    match status["state"].as_str() {
        _ if !told["labels"].is_object() || !text("fingerprint") || !text("startsAt") => Standing::Unreadable,
        None => Standing::Unreadable,
        Some("active") if !["silencedBy", "inhibitedBy", "mutedBy"].into_iter().any(held_by) => Standing::Active,
        Some(_) => Standing::Held,
    }
}

/// What a webhook would have said of `alerts`, which the API told.
pub fn as_sent(alerts: &[Value], group: &Group) -> Value {
    let alerts = alerts.iter().map(|alert| {
        let field = |key: &str| (key.to_owned(), alert.get(key).cloned().unwrap_or_default());
        let mut fields: Map<String, Value> =
            ["labels", "annotations", "startsAt", "generatorURL", "fingerprint"].into_iter().map(field).collect();
        // Here the end is when Prometheus is to have spoken again.
        fields.insert("status".into(), "firing".into());
        Value::from(fields)
    });
    json!({
        "status": "firing", "groupKey": group.key, "externalURL": group.external_url, "receiver": group.receiver,
        "groupLabels": group.labels, "alerts": alerts.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(version: &str, name: &str) -> Vec<Value> {
        let file = format!("{}/tests/fixtures/alertmanager_api/{version}/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn what_the_api_tells_becomes_what_the_webhook_would_have_said() {
        let group = Group { key: Some("{}:{a=\"b\"}".into()), ..Group::default() };
        let told = json!([{"labels": {"alertname": "A"}, "annotations": {"summary": "s"}, "fingerprint": "f1",
            "startsAt": "2026-11-20T23:30:30.098Z", "endsAt": "2026-11-20T23:38:00.098Z", "generatorURL": "http://p",
            "status": {"state": "active"}, "receivers": [{"name": "r"}], "updatedAt": "2026-11-20T23:34:00Z"}]);
        let body = as_sent(told.as_array().unwrap(), &group);
        let alert = &body["alerts"][0];
        assert_eq!((&alert["status"], &alert["startsAt"]), (&json!("firing"), &json!("2026-11-20T23:30:30.098Z")));
        assert_eq!((alert.get("endsAt"), &body["groupKey"]), (None, &json!("{}:{a=\"b\"}")));
    }

    #[test]
    fn what_is_silenced_inhibited_or_muted_is_held() {
        for version in ["0.25.0", "0.28.1", "0.33.1"] {
            let all = recorded(version, "alerts-all");
            assert_eq!(all.len(), 29, "{version}");
            assert!(all.iter().all(|alert| standing(alert) == Standing::Active), "{version}");
            let silenced = recorded(version, "alerts-silenced");
            assert_eq!(silenced.iter().map(standing).collect::<Vec<_>>(), [Standing::Held], "{version}");
        }
        let fine = recorded("0.33.1", "alerts-all").remove(0);
        for (change, expected) in [
            (json!({"status": {"state": "active", "inhibitedBy": ["f"]}}), Standing::Held),
            (json!({"status": {"state": "active", "mutedBy": ["m"]}}), Standing::Held),
            (json!({"status": {"state": "unprocessed"}}), Standing::Held),
            (json!({"status": {"state": "suppressed", "inhibitedBy": ["f"]}}), Standing::Held),
            (json!({"status": {"state": "active"}}), Standing::Active),
            (json!({"status": {}}), Standing::Unreadable),
            (json!({"fingerprint": ""}), Standing::Unreadable),
            (json!({"startsAt": null}), Standing::Unreadable),
            (json!({"labels": []}), Standing::Unreadable),
        ] {
            let mut alert = fine.clone();
            change.as_object().unwrap().iter().for_each(|(key, value)| alert[key] = value.clone());
            assert_eq!(standing(&alert), expected, "{change}");
        }
        for nothing in [json!(null), json!("oops"), json!([]), json!({"id": "a"})] {
            assert_eq!(standing(&nothing), Standing::Unreadable, "{nothing}");
        }
    }
}
