//! Uptime Kuma's webhook notification.

use super::clean::clean_json;
use super::draft::Draft;
use super::fields::{Read, labels, notice, scalar, single, text};
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError, kind_of};
use crate::domain::{AlertStatus, Severity};
use serde_json::{Map, Value, json};

const NAME: &str = "uptime-kuma";

/// What of a monitor is kept: the rest holds credentials, and whatever later versions add may, too.
const KEPT: [&str; 15] = [
    "id",
    "name",
    "description",
    "pathName",
    "parent",
    "type",
    "url",
    "method",
    "hostname",
    "port",
    "interval",
    "maxretries",
    "keyword",
    "tags",
    "accepted_statuscodes",
];

/// Uptime Kuma.
#[derive(Debug, Clone, Copy, Default)]
pub struct UptimeKuma;

impl AlertSource for UptimeKuma {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        let body = delivery.body;
        body.get("heartbeat").is_some() && (body.get("monitor").is_some() || body.get("msg").is_some())
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a body of Uptime Kuma has `heartbeat`, `monitor` and `msg`";
        self.is_of_its_shape(delivery, expected)?;
        let clean = clean_json(&without_credentials(delivery.body), mapping.redactor);
        Ok(single(NAME, &clean, read(&clean), delivery, mapping))
    }
}

fn without_credentials(body: &Value) -> Value {
    let monitor = body.get("monitor").and_then(Value::as_object).map(|monitor| {
        let kept = monitor.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>()
    });
    json!({
        "heartbeat": body.get("heartbeat").cloned().unwrap_or_default(),
        "monitor": monitor,
        "msg": body.get("msg").cloned().unwrap_or_default(),
    })
}

fn read(body: &Value) -> Result<Read, String> {
    let msg = text(body, "/msg");
    let url = text(body, "/monitor/url").filter(|url| *url != "https://");
    let name = text(body, "/monitor/name").or(url);
    match body.get("heartbeat") {
        Some(Value::Object(_)) => {}
        Some(Value::Null) => return Ok(without_heartbeat(body, name, msg)),
        other => return Err(format!("`heartbeat` is {}, not an object", other.map_or("missing", kind_of))),
    }
    let status = match body.pointer("/heartbeat/status").and_then(Value::as_i64) {
        Some(0) => AlertStatus::Firing,
        Some(1) => AlertStatus::Resolved,
        Some(2) => return Ok(notice("the monitor is pending: Uptime Kuma tries again before it calls it down", name)),
        Some(3) => return Ok(notice("the monitor is under maintenance", name)),
        _ => return Err("`heartbeat.status` is none of 0 (down), 1 (up), 2 (pending), 3 (maintenance)".into()),
    };
    let id = scalar(body, "/monitor/id").or_else(|| scalar(body, "/heartbeat/monitorID"));
    let id =
        id.or_else(|| name.map(str::to_owned)).ok_or("neither `monitor.id` nor `monitor.name` says whose it is")?;
    let mut draft = Draft {
        severity: Some(Severity::Critical),
        fingerprint: Some(format!("monitor:{id}")),
        name: name.map(str::to_owned),
        subject: name.map(str::to_owned),
        labels: labels(body.pointer("/monitor/tags")),
        // A heartbeat has a time, its outage has none: that of the first one is the start.
        starts_at: None,
        links: vec![("source", url.map(str::to_owned))],
        ..Draft::new(status)
    };
    draft.label("service", name);
    draft.label("instance", url.or_else(|| text(body, "/monitor/hostname")));
    draft.label("monitor_type", text(body, "/monitor/type"));
    draft.annotation("summary", msg.or_else(|| text(body, "/heartbeat/msg")));
    draft.annotation("description", text(body, "/heartbeat/msg"));
    draft.annotation("heartbeat_time", text(body, "/heartbeat/time"));
    Ok(draft.into())
}

/// The test button, and certificates that expire.
fn without_heartbeat(body: &Value, name: Option<&str>, msg: Option<&str>) -> Read {
    let said = msg.unwrap_or_default();
    let lower = said.to_ascii_lowercase();
    // "[shop-web][https://shop.example] … certificate … will expire in 7 days"
    let Some(at) = lower.find("expire").filter(|_| lower.contains("certificate")) else {
        return notice("a notification without a heartbeat: a test, or nothing that a monitor saw", name);
    };
    let bracketed = said.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.to_owned());
    let subject = name.map(str::to_owned).or(bracketed);
    let about = said.get(..at).unwrap_or(said).trim();
    let id = scalar(body, "/monitor/id").unwrap_or_else(|| about.to_owned());
    let mut draft = Draft {
        severity: Some(Severity::Warning),
        fingerprint: Some(format!("certificate:{id}")),
        name: Some("CertificateExpiry".into()),
        group_key: subject.as_ref().map(|subject| format!("certificate:{subject}")),
        subject,
        ..Draft::new(AlertStatus::Firing)
    };
    let certificate = draft.subject.clone();
    draft.label("certificate", certificate.as_deref());
    draft.annotation("summary", msg);
    draft.into()
}
