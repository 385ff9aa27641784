//! What a server's lists and results say. All of it is somebody else's text.

use super::Pin;
use crate::domain::{Digest, canonical};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Bytes of one tool's parameters.
const SCHEMA_BYTES: usize = 64 << 10;
/// Bytes of a result's text that are kept.
const TEXT_BYTES: usize = 1 << 20;
/// Parts of a result that are looked at.
const PARTS: usize = 1000;

/// What a server says of a tool beside its parameters. Nobody vouches for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hints {
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
}

/// A tool as its server offers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// The server's name for it.
    pub name: String,
    /// What it is said to do.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub schema: Value,
    /// What it is, to the byte.
    pub pin: Pin,
}

impl Offered {
    /// What `tool` of a list says; nothing where it has no name or no parameters that we would take.
    pub(super) fn of(tool: &Value) -> Option<Self> {
        let name = tool["name"].as_str().filter(|name| !name.is_empty() && name.len() <= 128)?.to_owned();
        let schema = tool.get("inputSchema").filter(|schema| schema.is_object())?.clone();
        let mut pinned = json!({"name": name, "inputSchema": schema});
        let description = tool["description"].as_str().map(str::to_owned);
        if let Some(description) = &description {
            pinned["description"] = json!(description);
        }
        let bytes = canonical::json_spelled_out(&pinned).ok()?;
        if bytes.len() > SCHEMA_BYTES {
            return None;
        }
        let hint = |key: &str| tool["annotations"][key].as_bool();
        let hints = Hints { read_only: hint("readOnlyHint"), destructive: hint("destructiveHint") };
        Some(Self { name, description, schema, pin: Pin { digest: Digest::of(bytes), hints } })
    }
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it gave: structured, JSON in a text, or text.
    pub data: Value,
    /// Parts that were not taken: pictures, sounds, files.
    pub left_out: Vec<String>,
    /// Not all of its text was kept.
    pub cut: bool,
    /// The tool says that it failed.
    pub failed: bool,
}

impl Answer {
    /// What `result` says.
    ///
    /// # Errors
    /// When it is no result of a tool.
    pub(super) fn of(peer: &str, result: &Value) -> Result<Self, EdgeError> {
        let structured = result.get("structuredContent").filter(|value| !value.is_null());
        let parts = result["content"].as_array();
        if structured.is_none() && parts.is_none() {
            let text = "it answered with something that is no result: a task, or a question to us";
            return Err(EdgeError::new(peer, EdgeErrorKind::BadBody, text));
        }
        let (mut text, mut left_out, mut cut) = (String::new(), vec![], false);
        for part in parts.into_iter().flatten().take(PARTS) {
            match said(part) {
                Ok(said) => {
                    let room = TEXT_BYTES.saturating_sub(text.len());
                    cut |= said.len() > room;
                    let end = (0..=room.min(said.len())).rev().find(|at| said.is_char_boundary(*at)).unwrap_or(0);
                    text.push_str(if text.is_empty() { "" } else { "\n" });
                    text.push_str(&said[..end]);
                }
                Err(kind) => left_out.push(kind),
            }
        }
        cut |= parts.is_some_and(|parts| parts.len() > PARTS);
        let data = match (structured, serde_json::from_str::<Value>(&text)) {
            (Some(structured), _) => structured.clone(),
            (None, Ok(value @ (Value::Object(_) | Value::Array(_)))) if !cut => value,
            (None, _) => Value::String(text),
        };
        Ok(Self { data, left_out, cut, failed: result["isError"] == json!(true) })
    }
}

/// The text of one part; or of what kind it is, where it has none that we would read.
fn said(part: &Value) -> Result<String, String> {
    let kind = part["type"].as_str().unwrap_or("unknown");
    let own = |value: &Value| value.as_str().map(str::to_owned);
    let found = match kind {
        "text" => own(&part["text"]),
        "resource" => own(&part["resource"]["text"]),
        // Where more would be, for whoever reads it; nothing is fetched.
        "resource_link" => own(&part["uri"]).map(|uri| format!("[a link to {uri}]")),
        _ => None,
    };
    found.ok_or_else(|| kind.chars().filter(char::is_ascii_alphanumeric).take(20).collect())
}

/// The tools on one page, what was not taken, and where the next page begins.
pub(super) fn page(result: &Value) -> (Vec<Offered>, usize, Option<String>) {
    let tools = result["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let taken: Vec<Offered> = tools.iter().filter_map(Offered::of).collect();
    let odd = tools.len() - taken.len();
    let next = result["nextCursor"].as_str().filter(|next| !next.is_empty()).map(str::to_owned);
    (taken, odd, next)
}

/// The arguments and names of a call as it is sent.
pub(super) fn params(tool: &str, arguments: &Map<String, Value>, names: &[(&'static str, String)]) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    if !names.is_empty() {
        let meta: Map<String, Value> =
            names.iter().map(|(name, value)| (format!("firewarden/{name}"), json!(value))).collect();
        params["_meta"] = Value::Object(meta);
    }
    params
}
