//! A query at one moment.

use super::series::{factored, number, total};
use super::time::{Window, Written, instant, text, written};
use super::{Server, arguments, gist, promql, target};
use crate::tools::render::table;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most elements of a vector that are kept.
const ELEMENTS: usize = 1000;

/// `prometheus_query`.
#[derive(Debug, Clone)]
pub struct Query(pub(super) Server);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    query: String,
    time: Option<Written>,
}

#[async_trait]
impl ReadTool for Query {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("query")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let query = promql(&args.query)?;
        // Without a time it is our clock's now, not the server's: a replay asks the same again.
        let at = instant("time", text(&args.time).as_deref().unwrap_or("now"), self.0.clock.now())?;
        self.0.guard(&query, Window { start: at, end: at }).await?;
        let answer = self.0.reader.query(query.text, Some(&written(at))).await?;
        let most = self.0.reader.max_series();
        let mut data = answer.data;
        let mut seen = Seen::all(Value::Null);
        if let Some(stats) = data.as_object_mut() {
            stats.remove("stats");
        }
        if data["resultType"] == "matrix" {
            super::range::bound(&mut data, &mut seen, most);
        } else if data["resultType"] == "vector"
            && let Some(result) = data["result"].as_array_mut()
            && result.len() > ELEMENTS.min(most)
        {
            let (all, shown) = (total(result.len(), most), ELEMENTS.min(most));
            seen.notes.push(format!("{shown} of {all} series are shown; aggregate, or use topk()"));
            seen.truncated = true;
            result.truncate(shown);
        }
        if !answer.warnings.is_empty() {
            data["warnings"] = json!(answer.warnings);
            seen.notes.push(format!("Prometheus warns: {}", answer.warnings.join("; ")));
        }
        seen.data = data;
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::query(&seen.data)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let result = &seen.data["result"];
        match seen.data["resultType"].as_str() {
            Some("vector") => vector(result.as_array().map_or(&[], Vec::as_slice)),
            Some("matrix") => super::range::shown(result.as_array().map_or(&[], Vec::as_slice)),
            _ => format!("{}\n", result[1].as_str().unwrap_or_default()),
        }
    }
}

fn vector(result: &[Value]) -> String {
    if result.is_empty() {
        return String::new();
    }
    let metrics: Vec<&Value> = result.iter().map(|r| &r["metric"]).collect();
    let (common, own) = factored(&metrics);
    let rows: Vec<Vec<String>> = result
        .iter()
        .zip(own)
        .map(|(one, labels)| {
            let value = one["value"][1].as_str().unwrap_or(if one["histogram"].is_array() { "histogram" } else { "" });
            vec![value.parse::<f64>().ok().filter(|v| v.is_finite()).map_or_else(|| value.to_owned(), number), labels]
        })
        .collect();
    let all = if result.len() > 1 { format!("all: {common}\n") } else { String::new() };
    format!("{all}{}", table(&["VALUE", "SERIES"], &rows))
}
