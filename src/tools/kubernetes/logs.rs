//! What a container said.

use super::{Cluster, arguments, given};
use crate::domain::Redactor;
use crate::edge::kube::{LOG_TRAVEL_BYTES, LogQuery};
use crate::tools::log::{CONTEXT_MAX, Filter, Fold, Keep, LINES, LINES_MAX, Wanted, gist, shown};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Lines that are read where `tail` does not say how many.
const READ: u32 = 20_000;

/// `kubernetes_logs`.
#[derive(Debug, Clone)]
pub struct Logs {
    pub(super) cluster: Cluster,
    pub(super) redactor: Arc<ArcSwap<Redactor>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    pod: String,
    container: Option<String>,
    #[serde(default)]
    previous: bool,
    head: Option<usize>,
    tail: Option<usize>,
    grep: Option<String>,
    context: Option<usize>,
}

#[async_trait]
impl ReadTool for Logs {
    fn spec(&self) -> &ToolSpec {
        &self.cluster.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let mut target = self.cluster.target("get", "Pod", Some("v1"), Some(&args.namespace), Some(&args.pod));
        target["subresource"] = "log".into();
        vec![target]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        if args.head.is_some() && args.tail.is_some() {
            return Err(ToolError::invalid("`head` and `tail` together are not possible: call once with each"));
        }
        let filter = given(&args.grep).map(Filter::new);
        let filtered = filter.is_some();
        let wanted = Wanted {
            keep: if args.head.is_some() { Keep::First } else { Keep::Last },
            lines: args.head.or(args.tail).unwrap_or(LINES).clamp(1, LINES_MAX),
            filter,
            context: args.context.unwrap_or(0).min(CONTEXT_MAX),
        };
        let query = LogQuery {
            container: given(&args.container).map(str::to_owned),
            previous: args.previous,
            tail_lines: match (args.head, args.tail) {
                (Some(_), _) => None,
                (None, Some(_)) if !filtered => u32::try_from(wanted.lines).ok(),
                (None, _) => Some(READ),
            },
        };
        let pod = args.pod.trim();
        let mut fold = Fold::new(wanted, self.redactor.load_full());
        let log = self.cluster.reader.logs(args.namespace.trim(), pod, &query, |bytes| fold.bytes(bytes)).await?;
        let folded = fold.finish();
        let (count, matching, left_out) = (folded.lines.len(), folded.matching, folded.left_out);
        let mut data = folded.data(shown::BUDGET);
        data.insert("pod".into(), pod.into());
        data.insert("container".into(), log.container.into());
        data.insert("previous".into(), args.previous.into());
        let mut seen = Seen::all(data.into());
        if log.cut {
            seen.notes.push(format!("the log is larger than {LOG_TRAVEL_BYTES} bytes; what follows was not read"));
        }
        if filtered && left_out > 0 {
            seen.notes.push(format!("{matching} lines match, {count} are shown"));
        }
        // Without a filter the head says how many of the lines are there, and their forms tell the rest.
        seen.truncated = log.cut || left_out > 0;
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        gist::log(&seen.data, args["grep"].as_str().is_some_and(|g| !g.trim().is_empty()))
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let which = if data["previous"] == true { "previous log" } else { "log" };
        let first = args["head"].is_number();
        let end = if first { "oldest first, from the start" } else { "oldest first, up to the end" };
        let filter =
            args["grep"].as_str().filter(|g| !g.is_empty()).map(|g| format!(" matching `{g}`")).unwrap_or_default();
        format!(
            "{which} of pod {} container {}: {} of {} lines read{filter}, {end}\n{}",
            data["pod"].as_str().unwrap_or_default(),
            data["container"].as_str().unwrap_or_default(),
            data["lines"].as_array().map_or(0, Vec::len),
            data["total_lines"],
            shown::lines(data, first, self.budget(args)),
        )
    }

    fn whole(&self, args: &Value, seen: &Seen) -> Option<String> {
        shown::whole(&seen.data, self.budget(args))
    }
}

impl Logs {
    /// Characters of lines. Whoever says how many lines gets as many as the tool gives at all.
    fn budget(&self, args: &Value) -> usize {
        let says = args["head"].is_number() || args["tail"].is_number();
        if says { self.cluster.spec.max_output } else { shown::BUDGET }
    }
}
