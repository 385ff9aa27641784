//! Why an alert fires: its expression in parts, each evaluated now and when it became true.
//!
//! - [`split`]: an expression at its outermost operators
//! - [`judge`]: values against thresholds
//! - [`rule`]: the rule of an alert
//! - [`shown`]: what a reader gets

mod judge;
mod rule;
mod shown;
mod split;

#[cfg(test)]
mod tests;

use super::time::{Window, Written, instant, step, text, written};
use super::{Parsed, Server, arguments, guard, promql, target};
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, given};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use judge::{Course, Reading, course, judge};
use rule::Rule;
use serde::Deserialize;
use serde_json::{Value, json};
use split::{Limit, Parts};

/// How far back the beginning of an expression without an alert is looked for, in seconds.
const BACK_S: f64 = 21_600.0;
/// Queries that are under way at once.
const AT_ONCE: usize = 4;

/// `prometheus_explain`.
#[derive(Debug, Clone)]
pub struct Explain(pub(super) Server);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    alert: Option<String>,
    query: Option<String>,
    onset: Option<Written>,
    time: Option<Written>,
}

/// When it became true, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Onset {
    at_s: f64,
    known_from: &'static str,
}

#[async_trait]
impl ReadTool for Explain {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        [target("query"), target("rules")].concat()
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let server = &self.0;
        let now = server.clock.now();
        let at_s = instant("time", text(&args.time).as_deref().unwrap_or("now"), now)?;
        let asked_onset = text(&args.onset).map(|onset| instant("onset", &onset, now)).transpose()?;
        let mut seen = Seen::all(Value::Null);
        let (rule, expression) = match (given(&args.alert), given(&args.query)) {
            (Some(alert), None) => {
                let answer = server.reader.rules().await?;
                let rule = Rule::find(&answer.data, alert)?;
                let expression = rule.query.clone();
                seen.notes.extend(rule.notes.iter().cloned());
                (Some(rule), expression)
            }
            (None, Some(query)) => (None, query.to_owned()),
            _ => return Err(ToolError::invalid("one of alert (its name) and query (PromQL) is expected")),
        };
        let query = promql(&expression)?;
        // What a rule says the server evaluates all the time anyway.
        if rule.is_none() {
            server.guard(&query, Window { start: at_s, end: at_s }).await?;
        }
        let parts = parts(&query);
        if query.expr.is_none() {
            seen.notes.push(format!("it was not taken apart: {}", query.unknown));
        }
        let mut onset = asked_onset.map(|at_s| Onset { at_s, known_from: "the call" });
        if onset.is_none() {
            onset = rule.as_ref().and_then(Rule::active_since).map(|at_s| Onset { at_s, known_from: "the alert" });
        }
        let mut course_told = Value::Null;
        if onset.is_none() {
            match self.course(&query, at_s).await {
                Ok(found) => {
                    course_told = told(found);
                    onset = match found {
                        Course::Since(at_s) | Course::Before(at_s) => Some(Onset { at_s, known_from: "its course" }),
                        Course::Until(_) | Course::Never => None,
                    };
                }
                Err(error) => seen.notes.push(format!("its course was not read: {}", clip(error.for_reader(), 300))),
            }
        }
        let (readings, before) = self.readings(&parts, at_s, onset).await?;
        let absent = self.absent(&parts, &readings, at_s, &mut seen).await;
        seen.data = explained(&expression, rule.as_ref(), &parts, &readings, before.as_deref());
        let also = json!({
            "at": at_s, "onset": onset.map(|o| o.at_s), "onset_from": onset.map(|o| o.known_from),
            "course": course_told, "absent": absent,
        });
        if let (Some(data), Value::Object(also)) = (seen.data.as_object_mut(), also) {
            data.extend(also);
        }
        if readings.iter().any(|r| r.more) {
            seen.truncated = true;
            let most = server.reader.max_series();
            seen.notes.push(format!("of a part with more than {most} series only {most} were looked at"));
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        shown::gist(&seen.data)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        shown::text(&seen.data)
    }
}

/// The parts of a query; the whole stands as it was written.
fn parts(query: &Parsed<'_>) -> Parts {
    let mut parts = query.expr.as_ref().map(Parts::of).unwrap_or_default();
    if let Some(whole) = parts.parts.first_mut() {
        whole.text = query.text.to_owned();
    }
    parts
}

impl Explain {
    /// When the whole became true, or was so last.
    async fn course(&self, query: &Parsed<'_>, end: f64) -> Result<Course, ToolError> {
        let window = Window { start: (end - BACK_S).max(0.0), end };
        self.0.guard(query, window).await?;
        let (step, _) = step(None, window)?;
        let reader = &self.0.reader;
        let (start, end, each) = (written(window.start), written(window.end), written(step));
        let answer = reader.query_range(query.text, &start, &end, &each).await?;
        Ok(course(&answer.data, window.start, window.end, step))
    }

    /// What every part is worth now and, when that is known, at the onset.
    async fn readings(
        &self,
        parts: &Parts,
        at_s: f64,
        onset: Option<Onset>,
    ) -> Result<(Vec<Reading>, Option<Vec<Reading>>), ToolError> {
        let moments: Vec<f64> = std::iter::once(at_s).chain(onset.map(|o| o.at_s)).collect();
        let reader = &self.0.reader;
        let most = reader.max_series();
        let asked: Vec<(String, String)> =
            moments.iter().flat_map(|at| parts.parts.iter().map(|part| (part.text.clone(), written(*at)))).collect();
        let answers: Vec<Result<Value, ToolError>> = stream::iter(asked)
            .map(|(text, at)| async move {
                reader.query(&text, Some(&at)).await.map(|answer| answer.data).map_err(ToolError::from)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        if answers.iter().all(Result::is_err)
            && let Some(Err(error)) = answers.first()
        {
            return Err(error.clone());
        }
        let mut readings: Vec<Reading> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(data) => Reading::of(&data, most),
                Err(error) => Reading::failed(clip(error.for_reader(), 300)),
            })
            .collect();
        let before = onset.map(|_| readings.split_off(parts.parts.len().min(readings.len())));
        Ok((readings, before))
    }

    /// Of the parts that are empty: the selectors that have no series at all.
    async fn absent(&self, parts: &Parts, readings: &[Reading], at_s: f64, seen: &mut Seen) -> Vec<String> {
        let empty = parts.parts.iter().zip(readings).filter(|(part, reading)| part.leaf && reading.is_empty());
        match guard::absent(&self.0.reader, empty.map(|(part, _)| &part.expr), at_s).await {
            Ok(absent) => absent,
            Err(error) => {
                let why = clip(&error.to_string(), 300);
                seen.notes.push(format!("which series are missing was not found out: {why}"));
                Vec::new()
            }
        }
    }
}

fn told(course: Course) -> Value {
    match course {
        Course::Since(at) => json!({"holds": true, "since": at}),
        Course::Before(at) => json!({"holds": true, "since_before": at}),
        Course::Until(at) => json!({"holds": false, "until": at}),
        Course::Never => json!({"holds": false, "window_s": BACK_S}),
    }
}

/// All of it as data; see `docs/tools.md`.
fn explained(
    expression: &str,
    rule: Option<&Rule>,
    parts: &Parts,
    readings: &[Reading],
    before: Option<&[Reading]>,
) -> Value {
    let then = |part: usize| before.and_then(|readings| readings.get(part));
    let told: Vec<Value> = parts
        .parts
        .iter()
        .zip(readings)
        .enumerate()
        .map(|(n, (part, reading))| {
            json!({
                "part": part.place, "query": part.text, "role": part.role, "now": reading.summary(),
                "then": then(n).map(Reading::summary), "recorded_as": rule.and_then(|r| r.recorded(&part.text)),
            })
        })
        .collect();
    let comparisons: Vec<Value> = parts
        .comparisons
        .iter()
        .map(|comparison| {
            let judged = judge(comparison, readings, then(comparison.value));
            let limit = match comparison.limit {
                Limit::Number(limit) => json!(limit),
                Limit::Part(_) => Value::Null,
            };
            let place = |part: usize| parts.parts.get(part).map(|p| p.place.clone());
            let rows: Vec<Value> = judged
                .rows
                .iter()
                .map(|row| {
                    json!({
                        "labels": row.labels, "value": row.value, "limit": row.limit, "distance": row.value - row.limit,
                        "over": row.over, "then": row.then, "since": rule.and_then(|r| r.since(&row.labels)),
                    })
                })
                .collect();
            json!({
                "part": place(comparison.part), "value_of": place(comparison.value), "operator": comparison.operator,
                "limit": limit, "over": judged.over, "of": judged.of, "without_limit": judged.alone, "rows": rows,
            })
        })
        .collect();
    json!({"expression": expression, "rule": rule.map(Rule::told), "parts": told, "comparisons": comparisons})
}
