//! Documents that match, newest last, each in a line.

use super::question::Question;
use crate::domain::{Clock, Redactor};
use crate::edge::ElasticsearchReader;
use crate::tools::blank;
use crate::tools::log::{Fold, Keep, Wanted, gist, shown};
use crate::tools::prometheus::time::{Written, text, window};
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// Hits without `size`, and the most.
const SIZE: usize = 100;
const SIZE_MAX: usize = 500;
/// The window when none is given, in seconds.
const WINDOW: f64 = 3600.0;
/// Most patterns of one call.
const PATTERNS: usize = 10;
/// Fields beside the message that a line shows, and most characters of each.
const SHOWN: usize = 12;
const FIELD: usize = 160;
/// Levels of a document that are looked into.
const LEVELS: usize = 6;
/// Where a document's message stands.
const MESSAGES: [&str; 5] = ["message", "msg", "log", "event.original", "error.message"];

/// `elasticsearch_search`.
#[derive(Debug, Clone)]
pub struct Search {
    pub(super) spec: Arc<ToolSpec>,
    pub(super) reader: ElasticsearchReader,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) redactor: Arc<ArcSwap<Redactor>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    index: Option<String>,
    query: Option<String>,
    #[serde(default)]
    filters: Map<String, Value>,
    #[serde(default)]
    fields: Vec<String>,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
    size: Option<usize>,
    #[serde(default)]
    oldest: bool,
}

impl Search {
    /// The indices of a call, each of which may be searched.
    fn indices(&self, asked: Option<&str>) -> Result<Vec<String>, ToolError> {
        let Some(asked) = asked else { return Ok(self.reader.indices().to_vec()) };
        let patterns: Vec<String> =
            asked.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        match patterns.iter().find(|pattern| !self.reader.may_search(pattern)) {
            Some(other) => {
                let shown: String = other.chars().take(80).collect();
                let listed = self.reader.indices().join(", ");
                Err(ToolError::Refused { text: format!("index: `{shown}` may not be searched; only {listed}") })
            }
            None if patterns.is_empty() || patterns.len() > PATTERNS => {
                Err(ToolError::invalid(format!("index: 1 to {PATTERNS} patterns are expected")))
            }
            None => Ok(patterns),
        }
    }
}

#[async_trait]
impl ReadTool for Search {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let name = args["index"].as_str().map_or_else(|| self.reader.indices().join(","), str::to_owned);
        vec![
            json!({"cluster": null, "namespace": null, "api_version": null, "kind": "Elasticsearch", "name": name, "verb": "search"}),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let indices = self.indices(given(&args.index))?;
        let (start, end, length) = (text(&args.start), text(&args.end), text(&args.window));
        let question = Question {
            query: given(&args.query),
            filters: &args.filters,
            fields: &args.fields,
            window: window(start.as_deref(), end.as_deref(), length.as_deref(), WINDOW, self.clock.now())?,
            size: args.size.unwrap_or(SIZE).clamp(1, SIZE_MAX),
            oldest: args.oldest,
            time_field: self.reader.time_field(),
        };
        let mut found = self.reader.search(&indices, &question.body()?).await?;
        let hits = match found["hits"]["hits"].take() {
            Value::Array(hits) => hits,
            _ => Vec::new(),
        };
        let keep = if args.oldest { Keep::First } else { Keep::Last };
        let mut fold = Fold::new(Wanted { keep, lines: SIZE_MAX, filter: None, context: 0 }, self.redactor.load_full());
        let count = hits.len();
        let (mut redacted, mut lines) = (0, Vec::with_capacity(count));
        for mut hit in hits {
            let mut source = hit["_source"].take();
            // Names of fields tell what is secret; in a line they no longer do.
            redacted += blank::data(&mut source, &self.redactor.load());
            lines.push(line(&source, self.reader.time_field()));
        }
        if !args.oldest {
            lines.reverse();
        }
        lines.iter().for_each(|line| fold.line(line));
        let mut data = fold.finish().data(shown::BUDGET);
        let total = &found["hits"]["total"];
        // Servers before version 7 give a number.
        let hits = total["value"].as_u64().or(total.as_u64()).unwrap_or(count as u64);
        let at_least = total["relation"] == "gte";
        data.insert("hits".into(), hits.into());
        data.insert("hits_are_at_least".into(), at_least.into());
        data.insert("indices".into(), json!(indices));
        let mut seen = Seen::all(data.into());
        let shards = &found["_shards"];
        let failed = shards["failed"].as_u64().unwrap_or(0);
        let partial = found["timed_out"] == true || failed > 0;
        seen.data["partial"] = partial.into();
        if found["timed_out"] == true {
            seen.notes.push(
                "the search ran out of time: these are the hits that were found by then; ask for a shorter window"
                    .to_owned(),
            );
        }
        if failed > 0 {
            let why = shards["failures"][0]["reason"]["reason"].as_str().unwrap_or("no reason given");
            seen.notes.push(format!(
                "{failed} of {} shards failed, so hits are missing: {}",
                shards["total"],
                clip(why, 200)
            ));
        }
        if hits > count as u64 {
            let other = if args.oldest { "newer" } else { "older" };
            seen.notes
                .push(format!("{count} of {} hits are shown; the {other} ones were not read", told(hits, at_least)));
        }
        if redacted > 0 {
            seen.notes.push("values of telling fields are left out".to_owned());
        }
        seen.truncated = partial || hits > count as u64;
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let partial = if data["partial"] == true { ", partial" } else { "" };
        match data["hits"].as_u64().unwrap_or(0) {
            0 => format!("no hits in this window{partial}"),
            hits => {
                format!("{} hits{partial}; {}", told(hits, data["hits_are_at_least"] == true), gist::log(data, false))
            }
        }
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        if seen.data["total_lines"] == 0 {
            return String::new();
        }
        shown::lines(&seen.data, args["oldest"] == true, self.budget(args))
    }

    fn whole(&self, args: &Value, seen: &Seen) -> Option<String> {
        shown::whole(&seen.data, self.budget(args))
    }
}

impl Search {
    /// Characters of lines. Whoever says how many lines gets as many as the tool gives at all.
    fn budget(&self, args: &Value) -> usize {
        let says = args["size"].is_number();
        if says { self.spec.max_output } else { shown::BUDGET }
    }
}

fn told(hits: u64, at_least: bool) -> String {
    if at_least { format!("more than {hits}") } else { hits.to_string() }
}

/// A document in a line: its time, its message, and its other fields.
fn line(source: &Value, time_field: &str) -> String {
    let mut fields = Vec::new();
    flat(source, String::new(), LEVELS, &mut fields);
    let mut take = |name: &str| fields.iter().position(|(key, _)| key == name).map(|at| fields.remove(at).1);
    let at = take(time_field).unwrap_or_default();
    let message = MESSAGES.iter().find_map(|name| take(name)).unwrap_or_default();
    let mut out = format!("{at} {message}");
    let more = fields.len().saturating_sub(SHOWN);
    for (key, value) in fields.into_iter().take(SHOWN) {
        let _ = write!(out, " {key}={}", clip(&value, FIELD));
    }
    if more > 0 {
        let _ = write!(out, " (+{more} fields)");
    }
    out.trim().to_owned()
}

fn flat(value: &Value, path: String, levels: usize, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if levels > 0 => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flat(value, path, levels - 1, out);
            }
        }
        Value::Null => {}
        Value::String(text) => out.push((path, text.clone())),
        other => out.push((path, clip(&other.to_string(), 1000))),
    }
}
