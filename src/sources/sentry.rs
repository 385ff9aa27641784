//! Sentry's integration platform: issue alerts, metric alerts, issues.

use super::clean::clean_json;
use super::draft::{Draft, hmac_hex};
use super::fields::{Read, item, labels, notice, scalar, text, urgency};
use super::times::time;
use super::{AlertSource, Delivery, Mapping, Normalised, SourceError};
use crate::domain::{AlertStatus, Severity};
use serde_json::Value;

const NAME: &str = "sentry";
/// What `data` may hold, one of them.
const RESOURCES: [&str; 5] = ["event", "metric_alert", "issue", "error", "comment"];

/// Sentry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sentry;

impl AlertSource for Sentry {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn recognises(&self, delivery: &Delivery<'_>) -> bool {
        let body = delivery.body;
        let sent = delivery.header("sentry-hook-resource").is_some()
            || body.get("installation").is_some()
            || body.get("actor").is_some();
        let data = body.get("data").and_then(Value::as_object);
        let told = data.is_some_and(|data| RESOURCES.iter().any(|key| data.contains_key(*key)));
        sent && body.get("action").is_some_and(Value::is_string)
            && (told || delivery.header("sentry-hook-resource").is_some())
    }

    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError> {
        let expected = "a body of Sentry's integration platform has `action`, `data` and `installation`";
        self.is_of_its_shape(delivery, expected)?;
        let clean = clean_json(delivery.body, mapping.redactor);
        let raw_hmac = hmac_hex(mapping.hmac_key, delivery.raw);
        let items = read(&clean).into_iter().enumerate();
        let items = items.map(|(index, read)| item(index, NAME, &clean, read, &raw_hmac, mapping));
        Ok(Normalised { items: items.collect(), ..Normalised::default() })
    }
}

/// Mostly one. The end of a metric alert ends both of its levels.
fn read(body: &Value) -> Vec<Result<Read, String>> {
    let action = text(body, "/action").unwrap_or_default();
    if body.pointer("/data/metric_alert").is_some() {
        return match action {
            "critical" => vec![metric(body, Severity::Critical, AlertStatus::Firing)],
            "warning" => vec![metric(body, Severity::Warning, AlertStatus::Firing)],
            "resolved" => {
                [Severity::Critical, Severity::Warning].map(|level| metric(body, level, AlertStatus::Resolved)).into()
            }
            action => vec![Ok(notice(format!("`{action}` of a metric alert says nothing of its state"), None))],
        };
    }
    if body.pointer("/data/event").is_some() {
        return vec![event(body)];
    }
    match (body.pointer("/data/issue").is_some(), action) {
        (true, "created" | "unresolved") => vec![issue(body, AlertStatus::Firing)],
        (true, "resolved") => vec![issue(body, AlertStatus::Resolved)],
        (_, action) => vec![Ok(notice(format!("`{action}` is no alert"), text(body, "/data/issue/title")))],
    }
}

/// An issue alert: one event of an issue met a rule. Nothing tells its end but the issue's own.
fn event(body: &Value) -> Result<Read, String> {
    let of = |key: &str| text(body, &format!("/data/event/{key}"));
    let issue = scalar(body, "/data/event/issue_id").or_else(|| of("event_id").map(str::to_owned));
    let issue = issue.ok_or("neither `data.event.issue_id` nor `event_id` says which event it is")?;
    let at = |key: &str| body.pointer(&format!("/data/event/{key}")).and_then(time);
    let mut draft = Draft {
        severity: Some(level(of("level"))),
        labels: labels(body.pointer("/data/event/tags")),
        // Each event of the issue counts, and a repeat of its delivery does not.
        starts_at: at("datetime").or_else(|| at("timestamp")),
        links: vec![("source", of("web_url").or_else(|| of("url")).map(str::to_owned))],
        ..of_issue(&issue, of("title"), of("culprit"), AlertStatus::Firing)
    };
    draft.label("rule", text(body, "/data/triggered_rule"));
    draft.label("project", scalar(body, "/data/event/project").as_deref());
    draft.label("platform", of("platform"));
    Ok(draft.into())
}

fn issue(body: &Value, status: AlertStatus) -> Result<Read, String> {
    let of = |key: &str| text(body, &format!("/data/issue/{key}"));
    let id = scalar(body, "/data/issue/id").ok_or("`data.issue.id` is missing")?;
    let begun = body.pointer("/data/issue/firstSeen").and_then(time);
    let mut draft = Draft {
        severity: Some(level(of("level"))),
        starts_at: begun.filter(|_| text(body, "/action") == Some("created")),
        links: vec![("source", of("web_url").or_else(|| of("permalink")).map(str::to_owned))],
        ..of_issue(&id, of("title"), of("culprit"), status)
    };
    draft.label("project", text(body, "/data/issue/project/slug"));
    draft.label("platform", of("platform"));
    Ok(draft.into())
}

/// What the reports about one issue have in common, so that they belong together.
fn of_issue(id: &str, title: Option<&str>, culprit: Option<&str>, status: AlertStatus) -> Draft {
    let mut draft = Draft {
        fingerprint: Some(format!("issue:{id}")),
        group_key: Some(format!("issue:{id}")),
        name: title.map(str::to_owned),
        subject: culprit.or(title).map(str::to_owned),
        ..Draft::new(status)
    };
    draft.annotation("summary", title);
    draft.annotation("description", culprit);
    draft
}

/// One level of a metric alert. The levels are told apart, so that a warning that becomes critical is
/// no repeat.
fn metric(body: &Value, level: Severity, status: AlertStatus) -> Result<Read, String> {
    let of = |key: &str| text(body, &format!("/data/metric_alert/{key}"));
    let id = scalar(body, "/data/metric_alert/id").ok_or("`data.metric_alert.id` is missing")?;
    let rule = text(body, "/data/metric_alert/alert_rule/name");
    let at = |key: &str| body.pointer(&format!("/data/metric_alert/{key}")).and_then(time);
    let title = text(body, "/data/description_title");
    let name = rule.or_else(|| of("title"));
    let project = text(body, "/data/metric_alert/projects/0");
    let mut draft = Draft {
        severity: Some(level),
        fingerprint: Some(format!("metric_alert:{id}:{}", level.as_str())),
        group_key: Some(format!("metric_alert:{id}")),
        name: name.map(str::to_owned),
        subject: project.or(name).map(str::to_owned),
        starts_at: at("date_started").or_else(|| at("date_created")),
        ends_at: at("date_closed"),
        links: vec![("source", text(body, "/data/web_url").map(str::to_owned))],
        ..Draft::new(status)
    };
    draft.label("project", project);
    draft.annotation("summary", title.or(name));
    draft.annotation("description", text(body, "/data/description_text"));
    draft.annotation("query", text(body, "/data/metric_alert/alert_rule/query"));
    Ok(draft.into())
}

fn level(word: Option<&str>) -> Severity {
    word.map_or(Severity::Error, urgency)
}
