//! What there is: series, alerts, rules, targets.

use super::series::{factored, number};
use super::time::{self, Written, window, written};
use super::{Server, arguments, gist, promql, target};
use crate::tools::render::{age, clip, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most series, alerts, or targets that are kept.
const KEPT: usize = 1000;
/// How far back series are looked for, in seconds.
pub(super) const WINDOW: f64 = 3600.0;
/// Most selectors of one call.
const SELECTORS: usize = 20;

/// `prometheus_series`.
#[derive(Debug, Clone)]
pub struct Series(pub(super) Server);
/// `prometheus_alerts`.
#[derive(Debug, Clone)]
pub struct Alerts(pub(super) Server);
/// `prometheus_rules`.
#[derive(Debug, Clone)]
pub struct Rules(pub(super) Server);
/// `prometheus_targets`.
#[derive(Debug, Clone)]
pub struct Targets(pub(super) Server);

/// One selector or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Selectors {
    One(String),
    Many(Vec<String>),
}

impl Selectors {
    /// The selectors, each of which is PromQL.
    pub(super) fn checked(self) -> Result<Vec<String>, ToolError> {
        let selectors = match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        };
        if selectors.is_empty() || selectors.len() > SELECTORS {
            return Err(ToolError::invalid(format!(
                "match: 1 to {SELECTORS} selectors are expected, `up{{job=\"x\"}}` for instance"
            )));
        }
        for selector in &selectors {
            promql(selector)?;
        }
        Ok(selectors)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriesArgs {
    #[serde(rename = "match")]
    selectors: Selectors,
    start: Option<Written>,
    end: Option<Written>,
}

#[async_trait]
impl ReadTool for Series {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("series")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: SeriesArgs = arguments(args)?;
        let selectors = args.selectors.checked()?;
        let (start, end) = (time::text(&args.start), time::text(&args.end));
        let window = window(start.as_deref(), end.as_deref(), None, WINDOW, self.0.clock.now())?;
        let answer = self.0.reader.series(&selectors, &written(window.start), &written(window.end)).await?;
        let (series, total, mut seen) = kept(answer.data, "series");
        seen.data = json!({"series": series, "total": total});
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::series(&seen.data)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let series: Vec<&Value> = seen.data["series"].as_array().into_iter().flatten().collect();
        if series.is_empty() {
            return String::new();
        }
        let (common, own) = factored(&series);
        let all = if series.len() > 1 { format!("all: {common}\n") } else { String::new() };
        format!("{all}{}\n", own.join("\n"))
    }
}

#[async_trait]
impl ReadTool for Alerts {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("alerts")
    }

    async fn read(&self, _: &Value) -> Result<Seen, ToolError> {
        let mut answer = self.0.reader.alerts().await?;
        let (alerts, _, mut seen) = kept(answer.data["alerts"].take(), "alerts");
        seen.data = json!({"alerts": alerts});
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::alerts(items(&seen.data["alerts"]))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let rows: Vec<Vec<String>> = items(&seen.data["alerts"])
            .map(|alert| {
                let labels = alert["labels"].as_object().into_iter().flatten();
                let others: Vec<String> = labels
                    .filter(|(key, _)| !matches!(key.as_str(), "alertname" | "severity"))
                    .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                    .collect();
                let value = text(&alert["value"]).parse().map_or_else(|_| text(&alert["value"]), number);
                let since = age(&alert["activeAt"], now);
                vec![
                    text(&alert["labels"]["alertname"]),
                    text(&alert["state"]),
                    text(&alert["labels"]["severity"]),
                    since,
                    value,
                    others.join(" "),
                ]
            })
            .collect();
        match rows.is_empty() {
            true => String::new(),
            false => table(&["ALERT", "STATE", "SEVERITY", "SINCE", "VALUE", "LABELS"], &rows),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesArgs {
    name: Option<String>,
}

#[async_trait]
impl ReadTool for Rules {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("rules")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: RulesArgs = arguments(args)?;
        let mut answer = self.0.reader.rules().await?;
        let (mut groups, _, mut seen) = kept(answer.data["groups"].take(), "groups");
        if let Some(name) = args.name.as_deref().map(str::trim).filter(|n| !n.is_empty()) {
            let names: Vec<String> = groups.iter().flat_map(|g| items(&g["rules"])).map(|r| text(&r["name"])).collect();
            groups.retain_mut(|group| {
                let whole = text(&group["name"]).eq_ignore_ascii_case(name);
                if let Some(rules) = group["rules"].as_array_mut().filter(|_| !whole) {
                    rules.retain(|rule| text(&rule["name"]).eq_ignore_ascii_case(name));
                    return !rules.is_empty();
                }
                whole
            });
            if groups.is_empty() {
                let known = clip(&names.join(", "), 600);
                seen.notes.push(format!("no rule and no group is called `{}`; there are {known}", clip(name, 80)));
            }
        }
        seen.data = json!({"groups": groups});
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        gist::rules(&seen.data, args["name"].as_str().filter(|n| !n.trim().is_empty()))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let mut rows = Vec::new();
        for group in items(&seen.data["groups"]) {
            for rule in items(&group["rules"]) {
                let state = match rule["type"].as_str() {
                    Some("recording") => "recording".to_owned(),
                    _ => text(&rule["state"]),
                };
                let wait = rule["duration"].as_f64().map(|s| format!("{}s", number(s))).unwrap_or_default();
                let health = match text(&rule["lastError"]) {
                    error if error.is_empty() => text(&rule["health"]),
                    error => format!("{}: {error}", text(&rule["health"])),
                };
                rows.push(vec![text(&group["name"]), text(&rule["name"]), state, wait, health, text(&rule["query"])]);
            }
        }
        match rows.is_empty() {
            true => String::new(),
            false => table(&["GROUP", "RULE", "STATE", "FOR", "HEALTH", "QUERY"], &rows),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetsArgs {
    state: Option<String>,
}

#[async_trait]
impl ReadTool for Targets {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("targets")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: TargetsArgs = arguments(args)?;
        let mut answer = self.0.reader.targets().await?;
        let mut targets = match answer.data["activeTargets"].take() {
            Value::Array(targets) => targets,
            _ => Vec::new(),
        };
        for target in &mut targets {
            if let Some(target) = target.as_object_mut() {
                // What service discovery knew before relabelling: many labels, and parameters with secrets.
                target.remove("discoveredLabels");
            }
        }
        if let Some(state) = args.state.as_deref().filter(|s| !s.is_empty() && *s != "any") {
            targets.retain(|target| target["health"] == state);
        }
        // What is broken comes first, so that a limit cuts what is well.
        targets.sort_by_key(|target| target["health"] == "up");
        let (targets, _, mut seen) = kept(Value::Array(targets), "targets");
        seen.data = json!({"activeTargets": targets});
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        gist::targets(items(&seen.data["activeTargets"]), args["state"].as_str().filter(|s| !matches!(*s, "" | "any")))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let rows: Vec<Vec<String>> = items(&seen.data["activeTargets"])
            .map(|target| {
                vec![
                    text(&target["labels"]["job"]),
                    text(&target["labels"]["instance"]),
                    text(&target["health"]),
                    age(&target["lastScrape"], now),
                    text(&target["lastError"]),
                ]
            })
            .collect();
        match rows.is_empty() {
            true => String::new(),
            false => table(&["JOB", "INSTANCE", "HEALTH", "SCRAPED", "ERROR"], &rows),
        }
    }
}

/// At most [`KEPT`] of a list, how many there were, and a `Seen` that says so.
pub(super) fn kept(list: Value, what: &str) -> (Vec<Value>, usize, Seen) {
    let mut list = match list {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let total = list.len();
    list.truncate(KEPT);
    let mut seen = Seen::all(Value::Null);
    if total > KEPT {
        seen.truncated = true;
        seen.notes.push(format!("{KEPT} of {total} {what} are shown; ask for fewer"));
    }
    (list, total, seen)
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
