//! The rule of an alert, as the server tells it. Pure.

use crate::tools::prometheus::inventory::{items, text};
use crate::tools::render::clip;
use crate::tools::spec::ToolError;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Names that the error about an unknown alert tells.
const NAMES: usize = 600;

/// An alerting rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub query: String,
    name: String,
    group: String,
    state: String,
    health: String,
    error: String,
    for_s: f64,
    keep_firing_for_s: f64,
    /// The labels that it adds.
    labels: Map<String, Value>,
    alerts: Vec<Alert>,
    /// Recording rules by the name that they record under.
    recorded: BTreeMap<String, String>,
    /// What to know beside it.
    pub notes: Vec<String>,
}

/// One active alert of it.
#[derive(Debug, Clone, PartialEq)]
struct Alert {
    labels: Map<String, Value>,
    firing: bool,
    since_s: Option<f64>,
}

impl Rule {
    /// The rule of the alert `name` among the `data` of `/api/v1/rules`. Of several the one with the most
    /// active alerts.
    ///
    /// # Errors
    /// When there is none; tells which there are.
    pub(super) fn find(data: &Value, name: &str) -> Result<Self, ToolError> {
        let all = || items(&data["groups"]).flat_map(|group| items(&group["rules"]).map(move |rule| (group, rule)));
        let alerting = || all().filter(|(_, rule)| rule["type"] == "alerting");
        let called = |rule: &Value| text(&rule["name"]).eq_ignore_ascii_case(name);
        let mut found: Vec<(&Value, &Value)> = alerting().filter(|(_, rule)| called(rule)).collect();
        // A stable sort: of equals the first.
        found.sort_by_key(|(_, rule)| std::cmp::Reverse(items(&rule["alerts"]).count()));
        let Some((group, rule)) = found.first() else {
            let mut names: Vec<String> = alerting().map(|(_, rule)| text(&rule["name"])).collect();
            names.dedup();
            let known = if names.is_empty() { "no alerting rule at all".to_owned() } else { names.join(", ") };
            return Err(ToolError::invalid(format!(
                "alert: no rule is called `{}`; there is {}; another server may evaluate it: send its expression as query",
                clip(name, 80),
                clip(&known, NAMES)
            )));
        };
        let notes = match found.len() {
            1 => Vec::new(),
            several => {
                vec![format!("{several} rules have this name; this is the one of group `{}`", text(&group["name"]))]
            }
        };
        let recorded = all().filter(|(_, rule)| rule["type"] == "recording");
        Ok(Self {
            query: text(&rule["query"]),
            name: text(&rule["name"]),
            group: text(&group["name"]),
            state: text(&rule["state"]),
            health: text(&rule["health"]),
            error: text(&rule["lastError"]),
            for_s: rule["duration"].as_f64().unwrap_or(0.0),
            keep_firing_for_s: rule["keepFiringFor"].as_f64().unwrap_or(0.0),
            labels: rule["labels"].as_object().cloned().unwrap_or_default(),
            alerts: items(&rule["alerts"]).map(Alert::of).collect(),
            recorded: recorded.map(|(_, rule)| (text(&rule["name"]), text(&rule["query"]))).collect(),
            notes,
        })
    }

    /// When the first of its active alerts became true, in unix seconds.
    pub(super) fn active_since(&self) -> Option<f64> {
        self.alerts.iter().filter_map(|alert| alert.since_s).reduce(f64::min)
    }

    /// Since when the alert about these labels is active.
    pub(super) fn since(&self, labels: &Map<String, Value>) -> Option<f64> {
        let about = |alert: &&Alert| {
            // Rules replace and add labels; what both have must agree, and something must.
            let mut shared = labels.iter().filter(|(key, _)| *key != "__name__" && !self.labels.contains_key(*key));
            let agrees = shared.all(|(key, value)| alert.labels.get(key).is_none_or(|own| own == value));
            let known = |key: &String| alert.labels.contains_key(key) && !self.labels.contains_key(key);
            agrees && (labels.keys().any(known) || labels.is_empty())
        };
        self.alerts.iter().filter(about).filter_map(|alert| alert.since_s).reduce(f64::min)
    }

    /// What a recording rule computes `selector` from.
    pub(super) fn recorded(&self, selector: &str) -> Option<&str> {
        let metric = selector.split('{').next().unwrap_or_default().trim();
        self.recorded.get(metric).map(String::as_str)
    }

    /// As data.
    pub(super) fn told(&self) -> Value {
        let firing = self.alerts.iter().filter(|alert| alert.firing).count();
        json!({
            "name": self.name, "group": self.group, "state": self.state, "health": self.health,
            "last_error": self.error, "for_s": self.for_s, "keep_firing_for_s": self.keep_firing_for_s,
            "firing": firing, "pending": self.alerts.len() - firing,
        })
    }
}

impl Alert {
    fn of(alert: &Value) -> Self {
        let since = alert["activeAt"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        Self {
            labels: alert["labels"].as_object().cloned().unwrap_or_default(),
            firing: alert["state"] == "firing",
            since_s: since.map(|at| at.as_millisecond() as f64 / 1000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Value {
        let alert = |pod: &str, at: &str, state: &str| json!({"labels": {"alertname": "Slow", "severity": "page", "pod": pod}, "activeAt": at, "state": state});
        json!({"groups": [
            {"name": "a", "rules": [
                {"type": "alerting", "name": "Slow", "query": "x > 1", "alerts": []},
                {"type": "recording", "name": "job:x:rate", "query": "sum(rate(x[5m]))"},
            ]},
            {"name": "b", "rules": [{"type": "alerting", "name": "Slow", "query": "y > 2", "duration": 600, "state": "firing", "labels": {"severity": "page"},
                "alerts": [alert("p", "2026-11-21T00:00:10Z", "firing"), alert("q", "2026-11-21T00:00:05.5Z", "pending")]}]},
        ]})
    }

    #[test]
    fn the_rule_that_fires_is_found_and_others_are_named() {
        let rule = Rule::find(&rules(), "slow").unwrap();
        assert_eq!((rule.query.as_str(), rule.group.as_str(), rule.for_s), ("y > 2", "b", 600.0));
        assert!(rule.notes[0].contains("2 rules have this name"));
        assert_eq!(rule.active_since(), Some(1_795_219_205.5));
        assert_eq!((&rule.told()["firing"], &rule.told()["pending"]), (&json!(1), &json!(1)));
        assert_eq!(rule.recorded("job:x:rate{job=\"a\"}"), Some("sum(rate(x[5m]))"));
        assert_eq!(rule.recorded("job:x"), None);
        let error = Rule::find(&rules(), "Fast").unwrap_err().to_string();
        assert!(error.contains("no rule is called `Fast`") && error.contains("Slow"), "{error}");
        assert!(Rule::find(&Value::Null, "x").unwrap_err().to_string().contains("no alerting rule at all"));
    }

    #[test]
    fn an_alert_is_found_by_its_labels() {
        let rule = Rule::find(&rules(), "Slow").unwrap();
        let since = |labels: Value| rule.since(labels.as_object().unwrap());
        assert_eq!(since(json!({"__name__": "y", "pod": "p", "severity": "other"})), Some(1_795_219_210.0));
        assert_eq!(since(json!({"pod": "q", "node": "n"})), Some(1_795_219_205.5));
        assert_eq!(since(json!({"pod": "z"})), None);
        assert_eq!(since(json!({"node": "n"})), None, "nothing in common tells nothing");
    }
}
