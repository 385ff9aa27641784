//! What there is to ask about: labels, their values, and what metrics mean.

use super::inventory::{Selectors, WINDOW, items, kept, text};
use super::time::{self, Written, window, written};
use super::{Server, arguments, target};
use crate::tools::gist::name as short;
use crate::tools::gist::{CHARS, counted, listed, quoted};
use crate::tools::render::{clip, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most names or values, or metrics, that the server is asked for.
const ASKED: usize = 10_000;
/// Most characters of a value that are shown.
const VALUE_CHARS: usize = 300;
/// Endings that a target's own name for a metric does not have.
const ENDINGS: [&str; 4] = ["_bucket", "_count", "_sum", "_total"];

/// `prometheus_labels`.
#[derive(Debug, Clone)]
pub struct Labels(pub(super) Server);
/// `prometheus_metadata`.
#[derive(Debug, Clone)]
pub struct Metadata(pub(super) Server);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelsArgs {
    label: Option<String>,
    #[serde(rename = "match")]
    selectors: Option<Selectors>,
    start: Option<Written>,
    end: Option<Written>,
}

#[async_trait]
impl ReadTool for Labels {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("labels")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: LabelsArgs = arguments(args)?;
        let selectors = match args.selectors {
            // Empty texts, which models send for "none", count as absent.
            Some(Selectors::One(one)) if one.trim().is_empty() => Vec::new(),
            Some(selectors) => selectors.checked()?,
            None => Vec::new(),
        };
        let (start, end) = (time::text(&args.start), time::text(&args.end));
        let window = window(start.as_deref(), end.as_deref(), None, WINDOW, self.0.clock.now())?;
        let (start, end) = (written(window.start), written(window.end));
        let reader = &self.0.reader;
        let label = args.label.as_deref().map(str::trim).filter(|l| !l.is_empty());
        let answer = match label {
            Some(label) => reader.label_values(label, &selectors, &start, &end, ASKED).await?,
            None => reader.label_names(&selectors, &start, &end, ASKED).await?,
        };
        let (values, total, mut seen) = kept(answer.data, "values");
        // Whatever the server warns of here means that some are missing.
        let complete = answer.warnings.is_empty();
        seen.data = json!({"label": label, "values": values, "total": total, "complete": complete && !seen.truncated});
        if !complete {
            seen.truncated = true;
            seen.notes.push(format!("partial, Prometheus warns: {}", answer.warnings.join("; ")));
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let values: Vec<String> = items(&seen.data["values"]).filter_map(Value::as_str).map(short).collect();
        let total = seen.data["total"].as_u64().unwrap_or(0) as usize;
        let least = if seen.data["complete"] == false { "at least " } else { "" };
        match seen.data["label"].as_str() {
            Some(label) if values.is_empty() => format!("label {} has no value here", short(label)),
            None if values.is_empty() => "no labels: no series match".to_owned(),
            Some(label) => {
                listed(&format!("{least}{} of {}", counted(total, "value", "values"), short(label)), &values, CHARS)
            }
            None => listed(&format!("{least}{}", counted(total, "label name", "label names")), &values, CHARS),
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let flat = |value: &str| clip(&value.split_whitespace().collect::<Vec<_>>().join(" "), VALUE_CHARS);
        items(&seen.data["values"]).filter_map(Value::as_str).map(|value| format!("{}\n", flat(value))).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetadataArgs {
    metric: Option<String>,
    contains: Option<String>,
}

#[async_trait]
impl ReadTool for Metadata {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("metadata")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: MetadataArgs = arguments(args)?;
        let given = |text: &Option<String>| text.as_deref().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let (metric, contains) = (given(&args.metric), given(&args.contains).map(|c| c.to_lowercase()));
        let mut answer = self.0.reader.metadata(metric.as_deref(), ASKED).await?;
        let mut notes = Vec::new();
        if let Some(metric) = &metric
            && answer.data.as_object().is_some_and(serde_json::Map::is_empty)
            && let Some(family) = ENDINGS.iter().find_map(|ending| metric.strip_suffix(ending))
        {
            answer = self.0.reader.metadata(Some(family), ASKED).await?;
            notes.push(format!(
                "`{}` is told under the name of its family, `{}`",
                clip(metric, 100),
                clip(family, 100)
            ));
        }
        let asked_for = answer.data.as_object().map_or(0, serde_json::Map::len);
        let mut metrics = Vec::new();
        for (name, told) in answer.data.as_object().into_iter().flatten() {
            // Targets may disagree; each version is told.
            for one in items(told) {
                let (kind, unit, help) = (text(&one["type"]), text(&one["unit"]), text(&one["help"]));
                let fits =
                    |word: &String| name.to_lowercase().contains(word) || help.to_lowercase().contains(word.as_str());
                if contains.as_ref().is_none_or(fits) {
                    metrics.push(json!({"metric": name, "type": kind, "unit": unit, "help": help}));
                }
            }
        }
        let (metrics, total, mut seen) = kept(Value::Array(metrics), "metrics");
        if asked_for >= ASKED {
            seen.truncated = true;
            seen.notes.push(format!("only the first {ASKED} metrics were looked through; name one"));
        }
        seen.data = json!({"metrics": metrics, "total": total});
        seen.notes.extend(notes);
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let metrics: Vec<&Value> = items(&seen.data["metrics"]).collect();
        match metrics.as_slice() {
            [] => "no metadata: no target tells of such a metric now".to_owned(),
            [one] => {
                let head = format!("{}, {}: ", short(&text(&one["metric"])), short(&text(&one["type"])));
                let room = CHARS.saturating_sub(head.chars().count());
                format!("{head}{}", quoted(&text(&one["help"]), room))
            }
            several => {
                let told = |m: &&Value| format!("{} {}", short(&text(&m["metric"])), short(&text(&m["type"])));
                let total = seen.data["total"].as_u64().unwrap_or(0);
                listed(&format!("{total} metrics"), &several.iter().map(told).collect::<Vec<_>>(), CHARS)
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let rows: Vec<Vec<String>> = items(&seen.data["metrics"])
            .map(|m| ["metric", "type", "unit", "help"].map(|key| text(&m[key])).to_vec())
            .collect();
        match rows.is_empty() {
            true => String::new(),
            false => table(&["METRIC", "TYPE", "UNIT", "HELP"], &rows),
        }
    }
}
