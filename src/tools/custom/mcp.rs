//! From the description of a call and arguments to one call of an MCP server, and what its answer means.

use super::{McpCall, Tool};
use crate::edge::McpServer;
use crate::edge::mcp::{Answer, Call};
use crate::template::places;
use crate::tools::gist;
use crate::tools::spec::ToolError;
use serde_json::{Map, Value, json};

/// The names of a change beside the arguments.
const NAMES: [&str; 2] = ["marker", "action_id"];
/// Characters of an answer that stand in an error.
const SAID: usize = 300;

/// The server that `call` is for.
pub(super) fn server<'a>(tool: &'a Tool, call: &McpCall) -> Result<&'a McpServer, ToolError> {
    let found = tool.doors.mcp.get(&call.server);
    found.ok_or_else(|| ToolError::failed(format!("there is no MCP server {}", call.server), false))
}

/// What the tool is given, for what is `given`.
pub(super) fn arguments(call: &McpCall, given: &Value) -> Result<Map<String, Value>, ToolError> {
    let Some(written) = &call.arguments else {
        let mut plain = given.as_object().cloned().unwrap_or_default();
        NAMES.iter().for_each(|name| drop(plain.remove(*name)));
        return Ok(plain);
    };
    let argument = |(name, source): (&String, &Value)| {
        let value = places::json(source, given).map_err(|e| ToolError::invalid(format!("arguments.{name}: {e}")))?;
        Ok((name.clone(), value))
    };
    written.iter().map(argument).collect()
}

/// The call that `call` describes for what is `given`.
pub(super) fn call(tool: &Tool, call: &McpCall, given: &Value) -> Result<Call, ToolError> {
    let name = |name: &&'static str| Some((*name, given[*name].as_str()?.to_owned()));
    Ok(Call {
        tool: call.tool.clone(),
        pin: call.pin.clone(),
        arguments: arguments(call, given)?,
        names: NAMES.iter().filter_map(name).collect(),
        total: tool.patience(),
    })
}

/// What a person reads of the call before it is made.
pub(super) fn shown(call: &McpCall, arguments: &Map<String, Value>) -> String {
    let arguments = serde_json::to_string_pretty(arguments).unwrap_or_default();
    format!("{} of the MCP server {}\n{arguments}", gist::name(&call.tool), call.server)
}

/// What the answer holds.
pub(super) fn data(answer: &Answer) -> Value {
    match answer.left_out.is_empty() {
        true => json!({"answer": answer.data}),
        false => json!({"answer": answer.data, "left_out": answer.left_out}),
    }
}

/// What the answer says, in short.
pub(super) fn said(answer: &Answer) -> String {
    let text = match &answer.data {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.trim().is_empty() {
        true => "it answered nothing".to_owned(),
        false => format!("it answered {}", gist::quoted(&text, SAID)),
    }
}

/// What a call that only looks shows.
pub(super) async fn looked(tool: &Tool, described: &McpCall, given: &Value) -> Result<Answer, ToolError> {
    let answer = server(tool, described)?.look(&call(tool, described, given)?).await?;
    match answer.failed {
        false => Ok(answer),
        true => Err(ToolError::failed(format!("{} failed: {}", described.tool, said(&answer)), false)),
    }
}
