//! Which labels there are, and their values.

use super::{Logs, target};
use crate::tools::gist::{CHARS, counted, listed, name};
use crate::tools::prometheus::time::Written;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most names or values.
const MOST: usize = 1000;

/// `loki_labels`.
#[derive(Debug, Clone)]
pub struct Labels(pub(super) Logs);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    label: Option<String>,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
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
        let args: Args = arguments(args)?;
        let label = given(&args.label);
        // The name becomes a part of the path.
        let plain = |label: &str| {
            label.len() <= 128
                && !label.starts_with(|c: char| c.is_ascii_digit())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if let Some(label) = label.filter(|label| !plain(label)) {
            let shown: String = label.chars().take(40).collect();
            return Err(ToolError::invalid(format!(
                "label: `{shown}` is no name of a label; leave it out to see the names"
            )));
        }
        let (start, end) = self.0.window(&args.start, &args.end, &args.window)?;
        let mut found = self.0.reader.labels(label, start, end).await?;
        found.sort();
        let total = found.len();
        found.truncate(MOST);
        let mut seen = Seen::all(json!({"label": label, "values": found, "total": total}));
        if total > MOST {
            seen.truncated = true;
            seen.notes.push(format!("{MOST} of {total} are shown"));
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let total = seen.data["total"].as_u64().unwrap_or(0) as usize;
        let head = match seen.data["label"].as_str() {
            Some(label) => format!("{} of {}", counted(total, "value", "values"), name(label)),
            None => counted(total, "label", "labels"),
        };
        let values: Vec<String> =
            seen.data["values"].as_array().into_iter().flatten().filter_map(Value::as_str).map(name).collect();
        listed(&head, &values, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let values = seen.data["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        values.map(|value| format!("{}\n", crate::tools::render::clip(value, 200).replace(['\n', '\r'], " "))).collect()
    }
}
