//! What is no object: events, logs, series, targets, alerts.

use crate::analysis::json::{at, flag, int, items, map, some, text, time};
use crate::analysis::need::Seen;
use crate::domain::Entity;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most series of one answer that are looked at.
const MAX_SERIES: usize = 500;
/// Longest expression of a rule, in bytes. A cut one would ask something else.
const MAX_EXPRESSION: usize = 4096;

/// A Kubernetes event, `core/v1` or `events.k8s.io/v1`.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Event {
    pub entity: Entity,
    pub reason: String,
    pub message: String,
    pub count: i64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub evidence: String,
}

impl Event {
    pub(super) fn read(v: &Value, evidence: &str) -> Option<Self> {
        let about = if at(v, "/involvedObject").is_object() { at(v, "/involvedObject") } else { at(v, "/regarding") };
        let single = time(v, "/eventTime").or_else(|| time(v, "/metadata/creationTimestamp"));
        let first = time(v, "/firstTimestamp").or_else(|| time(v, "/deprecatedFirstTimestamp")).or(single);
        let last = time(v, "/lastTimestamp")
            .or_else(|| time(v, "/deprecatedLastTimestamp"))
            .or_else(|| time(v, "/series/lastObservedTime"))
            .or(single);
        Some(Self {
            entity: Entity::new(some(about, "/kind")?, text(about, "/namespace"), some(about, "/name")?),
            reason: some(v, "/reason")?,
            message: some(v, "/message").unwrap_or_else(|| text(v, "/note").to_owned()),
            count: int(v, "/count").or_else(|| int(v, "/series/count")).unwrap_or(1),
            first,
            last: last.max(first),
            evidence: evidence.to_owned(),
        })
    }
}

/// The lines of one run of a container.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Log {
    pub pod: Entity,
    pub previous: bool,
    pub lines: Vec<String>,
    pub evidence: String,
}

/// One series of a query.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Series {
    pub promql: String,
    /// 0 for an instant query.
    pub minutes: u32,
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and value, finite only, oldest first.
    pub points: Vec<(f64, f64)>,
    pub evidence: String,
}

impl Series {
    pub(super) fn read_all(data: &Value, promql: &str, minutes: u32, evidence: &str) -> Vec<Self> {
        let point = |pair: &Value| {
            let t = at(pair, "/0").as_f64()?;
            let v = match at(pair, "/1") {
                Value::String(text) => text.parse().ok()?,
                other => other.as_f64()?,
            };
            (t.is_finite() && f64::is_finite(v)).then_some((t, v))
        };
        let results = items(data, "/result").iter().take(MAX_SERIES);
        results
            .map(|r| {
                let mut points: Vec<(f64, f64)> = items(r, "/values").iter().take(11_000).filter_map(point).collect();
                points.extend(point(at(r, "/value")));
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Self {
                    promql: promql.to_owned(),
                    minutes,
                    labels: map(r, "/metric"),
                    points,
                    evidence: evidence.to_owned(),
                }
            })
            .filter(|s| !s.points.is_empty())
            .collect()
    }

    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|p| p.1)
    }

    /// Least-squares slope per hour over the last `hours`; `None` with fewer than five points or
    /// less than a third of the window covered.
    pub fn slope_per_hour(&self, hours: f64) -> Option<f64> {
        let end = self.points.last()?.0;
        let window: Vec<(f64, f64)> = self.points.iter().copied().filter(|p| p.0 >= end - hours * 3600.0).collect();
        let start = window.first()?.0;
        if window.len() < 5 || end - start < hours * 1200.0 {
            return None;
        }
        let n = window.len() as f64;
        let (mean_t, mean_v) =
            (window.iter().map(|p| p.0).sum::<f64>() / n, window.iter().map(|p| p.1).sum::<f64>() / n);
        let covariance: f64 = window.iter().map(|p| (p.0 - mean_t) * (p.1 - mean_v)).sum();
        let variance: f64 = window.iter().map(|p| (p.0 - mean_t).powi(2)).sum();
        let slope = covariance / variance * 3600.0;
        slope.is_finite().then_some(slope)
    }

    /// When the series rose to `threshold` and stayed there; `None` if it is below, or was above
    /// from the first point on.
    pub fn rose_to(&self, threshold: f64) -> Option<Timestamp> {
        let below = self.points.iter().rposition(|p| p.1 < threshold)?;
        let (t, _) = self.points.get(below + 1)?;
        Timestamp::from_second(*t as i64).ok()
    }
}

/// A scrape target.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Target {
    pub labels: BTreeMap<String, String>,
    pub up: bool,
    pub error: String,
    pub evidence: String,
}

impl Target {
    pub(super) fn read(v: &Value, evidence: &str) -> Self {
        Self {
            labels: map(v, "/labels"),
            up: text(v, "/health") == "up",
            error: text(v, "/lastError").to_owned(),
            evidence: evidence.to_owned(),
        }
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub fn entity(&self) -> Entity {
        Entity::new("Target", self.label("namespace"), format!("{}/{}", self.label("job"), self.label("instance")))
    }
}

/// An alert that Prometheus has active.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct ActiveAlert {
    pub labels: BTreeMap<String, String>,
    pub firing: bool,
    pub evidence: String,
}

impl ActiveAlert {
    pub(super) fn read(v: &Value, evidence: &str) -> Self {
        Self { labels: map(v, "/labels"), firing: text(v, "/state") == "firing", evidence: evidence.to_owned() }
    }
}

/// An alerting rule.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Rule {
    pub name: String,
    pub query: String,
    pub labels: BTreeMap<String, String>,
    pub evidence: String,
}

impl Rule {
    pub(super) fn read(v: &Value, evidence: &str) -> Option<Self> {
        let query = some(v, "/query").filter(|q| q.len() <= MAX_EXPRESSION)?;
        let labels = map(v, "/labels");
        (text(v, "/type") == "alerting").then(|| Self {
            name: text(v, "/name").to_owned(),
            query,
            labels,
            evidence: evidence.to_owned(),
        })
    }
}

/// That an instant query was answered.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Answer {
    pub promql: String,
    pub at: Timestamp,
    /// Nothing of it was left out.
    pub complete: bool,
    pub evidence: String,
}

impl Answer {
    pub(super) fn read(v: &Value, promql: &str, seen: &Seen) -> Self {
        let result = at(v, "/result").as_array();
        Self {
            promql: promql.to_owned(),
            at: seen.at,
            complete: result.is_some_and(|r| r.len() < MAX_SERIES),
            evidence: seen.id.clone(),
        }
    }
}

pub(super) fn log(pod: Entity, v: &Value, previous: bool, evidence: &str) -> Log {
    let lines = items(v, "/lines").iter().take(2000).filter_map(Value::as_str);
    Log {
        pod,
        previous: previous || flag(v, "/previous"),
        lines: lines.map(|line| line.chars().take(2000).collect()).collect(),
        evidence: evidence.to_owned(),
    }
}
