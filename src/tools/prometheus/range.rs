//! A query over a window of time.

use super::series::{SAMPLES, SERIES, bounded, factored, number, total};
use super::time::{Written, step, text, window, written};
use super::{Server, arguments, gist, promql, target};
use crate::tools::render::{span, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// The window when none is given, in seconds.
const WINDOW: f64 = 3600.0;

/// `prometheus_query_range`.
#[derive(Debug, Clone)]
pub struct QueryRange(pub(super) Server);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    query: String,
    start: Option<Written>,
    end: Option<Written>,
    step: Option<Written>,
    window: Option<Written>,
}

#[async_trait]
impl ReadTool for QueryRange {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("query")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let query = promql(&args.query)?;
        let (start, end, length) = (text(&args.start), text(&args.end), text(&args.window));
        let window = window(start.as_deref(), end.as_deref(), length.as_deref(), WINDOW, self.0.clock.now())?;
        let (step, raised) = step(text(&args.step).as_deref(), window)?;
        let mut seen = Seen::all(Value::Null);
        if raised {
            seen.notes
                .push(format!("the step was raised to {} s: Prometheus gives at most 11,000 samples", written(step)));
        }
        self.0.guard(&query, window).await?;
        let answer =
            self.0.reader.query_range(query.text, &written(window.start), &written(window.end), &written(step)).await?;
        let mut data = answer.data;
        bound(&mut data, &mut seen, self.0.reader.max_series());
        if !answer.warnings.is_empty() {
            data["warnings"] = json!(answer.warnings);
            seen.notes.push(format!("Prometheus warns: {}", answer.warnings.join("; ")));
        }
        seen.data = data;
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::range(seen.data["result"].as_array().map_or(&[], Vec::as_slice))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        shown(seen.data["result"].as_array().map_or(&[], Vec::as_slice))
    }
}

/// Bounds the series of a matrix, of which at most one more than `asked` were asked for, and gives each
/// its summary.
pub(in crate::tools) fn bound(data: &mut Value, seen: &mut Seen, asked: usize) {
    let series = match data["result"].take() {
        Value::Array(series) => series,
        _ => Vec::new(),
    };
    let longest = series.iter().filter_map(|s| s["values"].as_array().map(Vec::len)).max().unwrap_or(0);
    let (mut kept, count) = bounded(series);
    let shown = SERIES.min(asked);
    kept.truncate(shown);
    if count > shown {
        seen.truncated = true;
        let all = total(count, asked);
        seen.notes.push(format!("{shown} of {all} series are shown; aggregate, or use topk()"));
    }
    if longest > SAMPLES {
        // The summary is over all samples; what is thinned out is only the drawing of the line.
        seen.notes.push(format!("samples are thinned out to {SAMPLES} per series, lows and highs kept"));
    }
    *data = json!({"resultType": "matrix", "result": kept});
}

/// One line per series: what it did.
pub(in crate::tools) fn shown(result: &[Value]) -> String {
    if result.is_empty() {
        return String::new();
    }
    let metrics: Vec<&Value> = result.iter().map(|r| &r["metric"]).collect();
    let (common, own) = factored(&metrics);
    let rows: Vec<Vec<String>> = result
        .iter()
        .zip(own)
        .map(|(one, labels)| {
            let summary = &one["summary"];
            let told = |key: &str| summary[key].as_f64().map(number).unwrap_or_default();
            let trend = told("trend_per_hour");
            let trend =
                if trend.is_empty() || trend.starts_with('-') || trend == "0" { trend } else { format!("+{trend}") };
            vec![told("first"), told("last"), told("min"), told("max"), told("mean"), trend, told("points"), labels]
        })
        .collect();
    let covers = match covered(result).map(|(from, to)| (jiff::Timestamp::from_second(from), to - from)) {
        Some((Ok(from), length)) => format!("samples from {from} over {}\n", span(length)),
        _ => String::new(),
    };
    let all = if result.len() > 1 { format!("all: {common}\n") } else { String::new() };
    let heads = ["FIRST", "LAST", "MIN", "MAX", "MEAN", "TREND/H", "POINTS", "SERIES"];
    format!("{covers}{all}{}", table(&heads, &rows))
}

/// Of the samples of all series, when the first and when the last was taken, in seconds.
pub(super) fn covered(result: &[Value]) -> Option<(i64, i64)> {
    let at = |samples: Option<&Value>| samples?[0].as_f64().map(|at| at as i64);
    let samples = || result.iter().filter_map(|one| one["values"].as_array());
    Some((samples().filter_map(|s| at(s.first())).min()?, samples().filter_map(|s| at(s.last())).max()?))
}
