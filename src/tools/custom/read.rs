//! A tool of one's own that looks.

use super::{Does, Tool, command, given, http, mcp};
use crate::edge::exec::Status;
use crate::tools::gist::{counted, name, quoted};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde_json::Value;

/// It.
#[derive(Debug)]
pub(super) struct Reading(pub(super) Tool);

#[async_trait]
impl ReadTool for Reading {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let target = self.0.custom.target(&given(&self.0.spec.params, args));
        // A call that names nothing is refused when it is made; until then it touches the whole.
        let target = target.unwrap_or_else(|_| self.0.custom.whole());
        serde_json::to_value(target).into_iter().collect()
    }

    fn argv(&self, args: &Value) -> Vec<String> {
        match &self.0.custom.run {
            Does::Command(call) => command::argv(call, &given(&self.0.spec.params, args)).unwrap_or_default(),
            Does::Http(_) | Does::Mcp(_) => Vec::new(),
        }
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        looked(&self.0, &self.0.custom.run, &given(&self.0.spec.params, args)).await
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let tool = name(&self.0.spec.name);
        if let Some(status) = seen.data["status"].as_u64() {
            return format!("{tool} was answered with {status}{}", outline(&seen.data["body"]));
        }
        if let Some(answer) = seen.data.get("answer") {
            return format!("{tool} answered{}", outline(answer));
        }
        format!("{tool} ran{}", outline(&seen.data["stdout"]))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let told = ["body", "stdout", "answer"].iter().find_map(|key| shown(&seen.data[*key]));
        let mut out = told.unwrap_or_default();
        if let Some(complaint) = seen.data["stderr"].as_str().filter(|text| !text.trim().is_empty()) {
            out.push_str(&format!("\nand on stderr:\n{complaint}"));
        }
        out
    }
}

/// What an exchange that only looks shows.
pub(super) async fn looked(tool: &Tool, does: &Does, given: &Value) -> Result<Seen, ToolError> {
    match does {
        Does::Http(call) => {
            let request = http::request(tool, call, given, None)?;
            let answer = tool.doors.caller.look(&request, http::bounds(tool)).await?;
            match http::is_ok(call, &answer) {
                true => Ok(seen(http::data(&answer), answer.cut)),
                false => Err(http::wrong(tool, &answer)),
            }
        }
        Does::Command(call) => {
            let order = command::order(tool, call, given)?;
            let ended = tool.doors.runner.look(&order).await.map_err(|e| ToolError::failed(e.to_string(), false))?;
            match ended.status {
                Status::Exited(0) => Ok(seen(command::data(&ended), ended.stdout.is_cut())),
                status => Err(ToolError::failed(command::said(&ended), status == Status::TimedOut)),
            }
        }
        Does::Mcp(call) => {
            let answer = mcp::looked(tool, call, given).await?;
            let mut seen = seen(mcp::data(&answer), answer.cut);
            if !answer.left_out.is_empty() {
                seen.notes.push(format!("left out, for it is no text: {}", listed(&answer.left_out)));
            }
            Ok(seen)
        }
    }
}

fn seen(data: Value, truncated: bool) -> Seen {
    let notes = if truncated { vec!["only a part of the answer was kept".to_owned()] } else { vec![] };
    Seen { data, notes, truncated }
}

/// Each kind once, with how often it was there.
fn listed(kinds: &[String]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    kinds.iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
    counts.iter().take(10).map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}

fn outline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(": {}", counted(items.len(), "item", "items")),
        Value::Object(map) => format!(": an object of {}", counted(map.len(), "key", "keys")),
        Value::String(text) if text.trim().is_empty() => " and said nothing".to_owned(),
        Value::String(text) => format!(": {}", quoted(text.trim().lines().next().unwrap_or_default(), 60)),
        Value::Null => String::new(),
        other => format!(": {other}"),
    }
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => serde_json::to_string_pretty(other).ok(),
    }
}
