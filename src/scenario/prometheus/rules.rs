//! Alerting and recording rules: `rules.yaml`. Whether an alert fires is not written down anywhere;
//! it follows from the samples, so that `/rules` and `/alerts` cannot contradict them.
//!
//! ```yaml
//! groups:
//!   - name: storage
//!     interval: 30s
//!     rules:
//!       - {alert: QueueLong, expr: queue_depth > 100, for: 10m, labels: {severity: warning},
//!          annotations: {summary: "{{ $labels.queue }} holds {{ $value | printf \"%.0f\" }} jobs"}}
//!       - {record: "queue:depth:sum", expr: sum(queue_depth)}
//! ```

use super::{Failure, Parameters};
use crate::scenario::{
    World,
    curves::duration_ms,
    error::{Place, ScenarioError},
    folder::Folder,
    promql::{Point, Query, Value, number},
    series::Labels,
    shift::Shift,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// How far back the beginning of a firing alert is looked for.
const MAX_EVALUATIONS_BACK: i64 = 20_160;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<GroupEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    name: String,
    #[serde(default = "half_a_minute")]
    interval: String,
    rules: Vec<RuleEntry>,
}

fn half_a_minute() -> String {
    "30s".into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A group of rules.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    interval_ms: i64,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    alerting: bool,
    text: String,
    query: Query,
    hold_ms: i64,
    labels: Labels,
    annotations: BTreeMap<String, String>,
}

/// One active alert of a rule.
#[derive(Debug)]
pub(crate) struct Active {
    pub labels: Labels,
    annotations: BTreeMap<String, String>,
    pub active_ms: i64,
    pub firing_since_ms: Option<i64>,
    value: f64,
}

/// Reads `rules.yaml` and parses every expression.
pub(crate) fn read(folder: &Folder, shift: Shift) -> Result<Vec<Group>, ScenarioError> {
    let place = Place { scenario: &folder.name, file: "rules.yaml" };
    let Some(text) = folder.files.get(place.file) else { return Ok(Vec::new()) };
    let file: File = crate::scenario::about::parse(place, &shift.text(text))?;
    file.groups
        .into_iter()
        .map(|group| {
            let duration = |key: &str, text: &str| duration_ms(text).map_err(|e| place.broken(key, e));
            let rules = group
                .rules
                .into_iter()
                .map(|rule| {
                    let (name, alerting) = match (rule.alert, rule.record) {
                        (Some(name), None) => (name, true),
                        (None, Some(name)) => (name, false),
                        _ => {
                            return Err(place.broken(format!("group `{}`", group.name), "a rule needs alert or record"));
                        }
                    };
                    Ok(Rule {
                        query: Query::parse(&rule.expr).map_err(|e| place.broken(format!("rule `{name}`, expr"), e))?,
                        hold_ms: rule.hold.map_or(Ok(0), |text| duration("key `for`", &text))?,
                        name,
                        alerting,
                        text: rule.expr,
                        labels: rule.labels,
                        annotations: rule.annotations,
                    })
                })
                .collect::<Result<_, ScenarioError>>()?;
            let interval_ms = duration("key `interval`", &group.interval)?.max(1_000);
            Ok(Group { name: group.name, interval_ms, rules })
        })
        .collect()
}

impl Rule {
    fn points(&self, world: &World, at_ms: i64) -> Vec<Point> {
        match self.query.instant(&world.series, at_ms) {
            Ok(Value::Vector(points)) => points,
            Ok(Value::Scalar(value)) => vec![Point { labels: Labels::new(), value }],
            Ok(Value::Matrix(_) | Value::Text(_)) | Err(_) => Vec::new(),
        }
    }

    /// What is pending or firing. Evaluations lie on the grid of `now`, as the samples do.
    fn active(&self, world: &World, interval_ms: i64) -> Vec<Active> {
        let now_ms = world.about.now.as_millisecond();
        let latest = world.now().as_millisecond();
        let at_ms = latest - (latest - now_ms).rem_euclid(interval_ms);
        let points = self.points(world, at_ms);
        let mut since: Vec<i64> = vec![at_ms; points.len()];
        let mut open: Vec<usize> = (0..points.len()).collect();
        for back in 1..=MAX_EVALUATIONS_BACK {
            if open.is_empty() {
                break;
            }
            let earlier_ms = at_ms - back * interval_ms;
            let earlier = self.points(world, earlier_ms);
            open.retain(|&at| {
                let still = points.get(at).is_some_and(|p| earlier.iter().any(|e| e.labels == p.labels));
                if let (true, Some(begin)) = (still, since.get_mut(at)) {
                    *begin = earlier_ms;
                }
                still
            });
        }
        points
            .into_iter()
            .zip(since)
            .map(|(point, active_ms)| {
                let fires_at = active_ms + self.hold_ms;
                let mut labels = point.labels.clone();
                labels.remove("__name__");
                let series_labels = labels.clone();
                labels.extend(self.labels.iter().map(|(k, v)| (k.clone(), rendered(v, &series_labels, point.value))));
                labels.insert("alertname".into(), self.name.clone());
                let annotations = self
                    .annotations
                    .iter()
                    .map(|(k, v)| (k.clone(), rendered(v, &series_labels, point.value)))
                    .collect();
                let firing_since_ms = (fires_at <= at_ms).then_some(fires_at);
                Active { labels, annotations, active_ms, firing_since_ms, value: point.value }
            })
            .collect()
    }
}

impl Active {
    fn json(&self) -> Json {
        json!({
            "labels": self.labels, "annotations": self.annotations,
            "state": if self.firing_since_ms.is_some() { "firing" } else { "pending" },
            "activeAt": instant(self.active_ms), "value": scientific(self.value),
        })
    }
}

/// Every active alert, by rule.
pub(crate) fn all_active(world: &World) -> Vec<Active> {
    let groups = world.rules.iter();
    groups
        .flat_map(|group| group.rules.iter().map(move |rule| (rule, group.interval_ms)))
        .filter(|(rule, _)| rule.alerting)
        .flat_map(|(rule, interval_ms)| rule.active(world, interval_ms))
        .collect()
}

/// `/api/v1/alerts`
pub(super) fn alerts(world: &World) -> Vec<Json> {
    all_active(world).iter().map(Active::json).collect()
}

/// `/api/v1/rules`
pub(super) fn answer(world: &World, asked: &Parameters<'_>) -> Result<Json, Failure> {
    let kind = match asked.one("type") {
        None => None,
        Some("alert") => Some(true),
        Some("record") => Some(false),
        Some(other) => {
            return Err(Failure::bad_data(format!("invalid parameter \"type\": not supported value {other:?}")));
        }
    };
    let names: Vec<&str> = asked.all("rule_name[]").collect();
    let groups_wanted: Vec<&str> = asked.all("rule_group[]").collect();
    let mut groups = Vec::new();
    for group in world.rules.iter() {
        if !groups_wanted.is_empty() && !groups_wanted.contains(&group.name.as_str()) {
            continue;
        }
        let rules: Vec<Json> = group
            .rules
            .iter()
            .filter(|rule| kind.is_none_or(|alerting| rule.alerting == alerting))
            .filter(|rule| names.is_empty() || names.contains(&rule.name.as_str()))
            .map(|rule| described(world, rule, group.interval_ms))
            .collect();
        if rules.is_empty() {
            continue;
        }
        groups.push(json!({
            "name": group.name, "file": "/etc/prometheus/rules.yaml", "rules": rules,
            "interval": group.interval_ms as f64 / 1e3, "limit": 0,
            "evaluationTime": 0.001, "lastEvaluation": instant(world.now().as_millisecond()),
        }));
    }
    Ok(json!({"groups": groups}))
}

fn described(world: &World, rule: &Rule, interval_ms: i64) -> Json {
    let last = instant(world.now().as_millisecond());
    if !rule.alerting {
        return json!({
            "name": rule.name, "query": rule.text, "labels": rule.labels, "health": "ok",
            "evaluationTime": 0.0005, "lastEvaluation": last, "type": "recording",
        });
    }
    let active = rule.active(world, interval_ms);
    let state = if active.iter().any(|a| a.firing_since_ms.is_some()) {
        "firing"
    } else if active.is_empty() {
        "inactive"
    } else {
        "pending"
    };
    json!({
        "state": state, "name": rule.name, "query": rule.text, "duration": rule.hold_ms as f64 / 1e3, "keepFiringFor": 0,
        "labels": rule.labels, "annotations": rule.annotations, "alerts": active.iter().map(Active::json).collect::<Vec<_>>(),
        "health": "ok", "evaluationTime": 0.0005, "lastEvaluation": last, "type": "alerting",
    })
}

fn instant(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

/// `7.73e+01`, as Prometheus writes an alert's value.
fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, power) = exponent.strip_prefix('-').map_or(('+', exponent), |power| ('-', power));
            format!("{digits}e{sign}{power:0>2}")
        }
        None => number(value),
    }
}

/// Fills `{{ $labels.x }}` and `{{ $value }}`, the latter through printf or humanizePercentage.
fn rendered(template: &str, labels: &Labels, value: f64) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((inside, tail)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        let inside = inside.trim();
        let (subject, pipe) = inside.split_once('|').map_or((inside, ""), |(a, b)| (a.trim(), b.trim()));
        match (subject, pipe) {
            (label, _) if label.starts_with("$labels.") => {
                out.push_str(labels.get(label.trim_start_matches("$labels.")).map_or("", String::as_str));
            }
            ("$value", "") => out.push_str(&number(value)),
            ("$value", "humanizePercentage") => out.push_str(&format!("{}%", number((value * 1e4).round() / 1e2))),
            ("$value", printf) => {
                let digits = printf.split_once("%.").and_then(|(_, rest)| rest.chars().next()?.to_digit(10));
                match digits {
                    Some(digits) => out.push_str(&format!("{value:.*}", digits as usize)),
                    None => out.push_str(&number(value)),
                }
            }
            _ => out.push_str(&format!("{{{{ {inside} }}}}")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_annotations_are_written_as_prometheus_writes_them() {
        assert_eq!(scientific(93.5), "9.35e+01");
        assert_eq!(scientific(0.0042), "4.2e-03");
        assert_eq!(scientific(0.0), "0e+00");
        let labels = Labels::from([("pod".into(), "a".into())]);
        assert_eq!(rendered("{{ $labels.pod }}: {{ $value | printf \"%.1f\" }}%", &labels, 77.26), "a: 77.3%");
        assert_eq!(rendered("{{$value | humanizePercentage}} {{ oops", &labels, 0.5), "50% {{ oops");
    }
}
