//! Lines, or what LogQL counts of them.

use super::{Logs, target};
use crate::edge::loki::{LokiFound, LokiQuery};
use crate::tools::log::{CONTEXT_MAX, Filter, Fold, Keep, LINES, LINES_MAX, Wanted, gist, shown};
use crate::tools::prometheus::range;
use crate::tools::prometheus::series::factored;
use crate::tools::prometheus::time::Written;
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Lines that are fetched where `head` and `tail` do not say how many.
const FETCHED: usize = 1000;
/// Lines that a filter looks through.
const FILTERED: usize = 5000;
/// Streams whose labels are kept.
const STREAMS: usize = 100;
/// Most characters of the labels before a line.
const LABELS: usize = 120;
/// Samples of LogQL that counts.
const POINTS: f64 = 240.0;

/// `loki_query`.
#[derive(Debug, Clone)]
pub struct Query(pub(super) Logs);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    query: String,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
    head: Option<usize>,
    tail: Option<usize>,
    grep: Option<String>,
    context: Option<usize>,
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
        if args.head.is_some() && args.tail.is_some() {
            return Err(ToolError::invalid("`head` and `tail` together are not possible: call once with each"));
        }
        let (start, end) = self.0.window(&args.start, &args.end, &args.window)?;
        let filter = given(&args.grep).map(Filter::new);
        let wanted = args.head.or(args.tail);
        let limit = if filter.is_some() { FILTERED } else { wanted.unwrap_or(FETCHED).clamp(1, LINES_MAX) };
        let asked = LokiQuery {
            query: args.query.trim(),
            start,
            end,
            limit,
            forward: args.head.is_some(),
            step: ((end - start) as f64 / 1e9 / POINTS).ceil().max(1.0),
        };
        let (streams, lines) = match self.0.reader.query_range(asked).await? {
            LokiFound::Lines { streams, lines } => (streams, lines),
            LokiFound::Matrix(result) => {
                let mut data = json!({"resultType": "matrix", "result": result});
                let mut seen = Seen::all(Value::Null);
                range::bound(&mut data, &mut seen, usize::MAX);
                seen.data = data;
                return Ok(seen);
            }
        };
        let (common, own) = labels(&streams);
        let filtered = filter.is_some();
        let mut fold = Fold::new(
            Wanted {
                keep: if args.head.is_some() { Keep::First } else { Keep::Last },
                lines: wanted.unwrap_or(LINES).clamp(1, LINES_MAX),
                filter,
                context: args.context.unwrap_or(0).min(CONTEXT_MAX),
            },
            self.0.redactor.load_full(),
        );
        let fetched = lines.len();
        for (at, stream, text) in lines {
            let at = Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
            fold.line(&format!("{at:.3} {}{text}", own.get(stream).map_or("", String::as_str)));
        }
        let folded = fold.finish();
        let (count, matching, left_out) = (folded.lines.len(), folded.matching, folded.left_out);
        let mut data = folded.data(shown::BUDGET);
        data.insert("labels".into(), common.into());
        data.insert("streams".into(), json!(streams.iter().take(STREAMS).collect::<Vec<_>>()));
        let mut seen = Seen::all(data.into());
        let full = fetched >= limit;
        if full {
            let other = if args.head.is_some() { "newer" } else { "older" };
            seen.notes.push(format!("{limit} lines were read, the most of one call; there may be {other} ones: narrow the query or the window"));
        }
        if filtered && left_out > 0 {
            seen.notes.push(format!("{matching} lines match, {count} are shown"));
        }
        if streams.len() > STREAMS {
            seen.notes.push(format!("labels of {STREAMS} of {} streams are kept", streams.len()));
        }
        seen.truncated = full || left_out > 0;
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        if let Some(series) = seen.data["result"].as_array() {
            return crate::tools::prometheus::gist::range(series);
        }
        let filtered = args["grep"].as_str().is_some_and(|g| !g.trim().is_empty());
        match seen.data["total_lines"].as_u64() {
            Some(0) => "no lines match the query in this window".to_owned(),
            _ => gist::log(&seen.data, filtered),
        }
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        if let Some(series) = data["result"].as_array() {
            return range::shown(series);
        }
        if data["total_lines"] == 0 {
            return String::new();
        }
        let first = args["head"].is_number();
        format!(
            "{} of {} lines read, oldest first; {} streams, all with {}\n{}",
            data["lines"].as_array().map_or(0, Vec::len),
            data["total_lines"],
            data["streams"].as_array().map_or(0, Vec::len),
            data["labels"].as_str().unwrap_or_default(),
            shown::lines(data, first, self.budget(args)),
        )
    }

    fn whole(&self, args: &Value, seen: &Seen) -> Option<String> {
        shown::whole(&seen.data, self.budget(args))
    }
}

impl Query {
    /// Characters of lines. Whoever says how many lines gets as many as the tool gives at all.
    fn budget(&self, args: &Value) -> usize {
        let says = args["head"].is_number() || args["tail"].is_number();
        if says { self.0.spec.max_output } else { shown::BUDGET }
    }
}

/// What all streams share, and what to write before a line of each.
fn labels(streams: &[BTreeMap<String, String>]) -> (String, Vec<String>) {
    let values: Vec<Value> = streams.iter().map(|labels| json!(labels)).collect();
    let (common, own) = factored(&values.iter().collect::<Vec<_>>());
    match own.as_slice() {
        // Of one stream, everything is shared.
        [only] => (clip(only, 1000), vec![String::new()]),
        _ => {
            let own = own
                .iter()
                .map(|labels| if labels == "{}" { String::new() } else { format!("{} ", clip(labels, LABELS)) });
            (clip(&common, 1000), own.collect())
        }
    }
}
