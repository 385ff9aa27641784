//! The shapes of the chat completions protocol: what we send, and what servers really answer.
//!
//! Answers are read from plain JSON and not into closed types: servers leave out `type`, `id` and
//! `created`, add words of their own, give arguments as objects and numbers as strings, and none of
//! that is a reason to lose an answer.

use super::bounds::{MAX_CALLS, bounded};
use super::dialect::Dialect;
use super::thoughts::without_thoughts;
use crate::domain::{ChatReply, ChatRequest, FinishReason, Message, ProposedCall, Role, ToolOffer, Usage};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// More tokens than any conversation has: such a figure is a mistake.
const ABSURD_TOKENS: u64 = 10_000_000;

/// The name under which messages and tools keep their words.
const PROTOCOL: &str = "chat completions";

/// The body of a request.
#[derive(Debug)]
pub(super) struct Body<'r> {
    /// All of it beside the messages; of tools only the names.
    beside: Map<String, Value>,
    messages: Vec<Cow<'r, RawValue>>,
    tools: Option<Cow<'r, RawValue>>,
}

impl Body<'_> {
    /// All of it beside the messages, and of tools only the names.
    pub(super) fn beside(&self) -> &Map<String, Value> {
        &self.beside
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut body = s.serialize_map(Some(self.beside.len() + 1))?;
        for (key, value) in &self.beside {
            match (key.as_str(), &self.tools) {
                ("tools", Some(tools)) => body.serialize_entry(key, tools)?,
                _ => body.serialize_entry(key, value)?,
            }
            if key == "model" {
                body.serialize_entry("messages", &self.messages)?;
            }
        }
        body.end()
    }
}

/// The body of a request.
pub(super) fn request_body<'r>(
    model: &str,
    temperature: Option<f64>,
    request: &'r ChatRequest,
    dialect: Dialect,
) -> Body<'r> {
    let mut body = Map::new();
    let mut tools = None;
    body.insert("model".into(), model.into());
    match by_schema(request, dialect) {
        Some(tool) => {
            let format = json!({"name": tool.name, "description": tool.description, "schema": tool.parameters,
                                "strict": admits_strict(&tool.parameters)});
            body.insert("response_format".into(), json!({"type": "json_schema", "json_schema": format}));
        }
        None if !request.tools.is_empty() => {
            body.insert("tools".into(), request.tools.iter().map(|tool| tool.name.as_str()).collect());
            tools = Some(request.tools.in_words_of(PROTOCOL, |tools| raw(&tools_on_offer(tools))));
            let choice = if request.must_answer && !dialect.auto_choice_only { "required" } else { "auto" };
            body.insert("tool_choice".into(), choice.into());
        }
        None => {}
    }
    let limit = if dialect.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    body.insert(limit.into(), request.max_tokens.into());
    if let Some(temperature) = temperature {
        body.insert("temperature".into(), temperature.into());
    }
    body.insert("stream".into(), dialect.stream.into());
    if dialect.stream_usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    Body { beside: body, messages: messages(request, dialect.marks), tools }
}

fn tools_on_offer(tools: &[ToolOffer]) -> Value {
    let tools = tools.iter().map(|tool| {
        json!({"type": "function", "function": {
            "name": tool.name, "description": tool.description, "parameters": tool.parameters}})
    });
    tools.collect()
}

/// Any value can be written.
fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The one tool that the answer must be, where it is asked for by its schema instead.
fn by_schema(request: &ChatRequest, dialect: Dialect) -> Option<&ToolOffer> {
    match request.tools.as_slice() {
        [only] if dialect.schema && request.must_answer => Some(only),
        _ => None,
    }
}

/// Whether OpenAI takes a schema with `strict`: every object names all of its keys as required and
/// admits no others. Servers with grammars hold to the schema either way.
fn admits_strict(schema: &Value) -> bool {
    let object = schema.get("properties").and_then(Value::as_object);
    let closed = object.is_none_or(|properties| {
        let required = schema.get("required").and_then(Value::as_array);
        let required = |key: &String| required.is_some_and(|all| all.iter().any(|name| name == key));
        schema.get("additionalProperties") == Some(&Value::Bool(false)) && properties.keys().all(required)
    });
    let below = match schema {
        Value::Object(map) => map.values().all(admits_strict),
        Value::Array(items) => items.iter().all(admits_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    closed && below
}

/// The conversation. With `marks`, its head and all that the next request repeats are marked as worth
/// keeping by the server.
fn messages(request: &ChatRequest, marks: bool) -> Vec<Cow<'_, RawValue>> {
    let mut written: Vec<Cow<'_, RawValue>> =
        request.messages.iter().map(|part| part.in_words_of(PROTOCOL, |said| raw(&message(said)))).collect();
    if marks {
        // The demand for a last word is not repeated.
        let stable = written.len() - usize::from(request.must_answer).min(written.len());
        let spoken = request.messages.iter().take(stable).enumerate().filter(|(_, said)| !said.content.is_empty());
        let spoken: Vec<usize> = spoken.map(|(n, _)| n).collect();
        let head = spoken.first().filter(|n| request.messages[**n].role == Role::System);
        for n in spoken.last().into_iter().chain(head) {
            let mut marked = message(&request.messages[*n]);
            mark(&mut marked);
            written[*n] = Cow::Owned(raw(&marked));
        }
    }
    written
}

fn mark(message: &mut Value) {
    let text = message["content"].take();
    message["content"] = json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
}

fn message(message: &Message) -> Value {
    let mut out = Map::new();
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    out.insert("role".into(), role.into());
    let silent = message.content.is_empty() && !message.calls.is_empty();
    out.insert("content".into(), if silent { Value::Null } else { message.content.as_str().into() });
    if !message.calls.is_empty() {
        let calls = message.calls.iter().map(|call| {
            json!({"id": call.id, "type": "function",
                   "function": {"name": sendable_name(&call.tool), "arguments": sendable_arguments(&call.args)}})
        });
        out.insert("tool_calls".into(), calls.collect());
    }
    if let Some(id) = &message.answers {
        out.insert("tool_call_id".into(), id.as_str().into());
    }
    Value::Object(out)
}

/// Servers check the names of our history, too: what a model invented is echoed in their alphabet.
pub(super) fn sendable_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().take(64).map(safe).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Servers parse the arguments of our history, too: what was no object is echoed inside one.
pub(super) fn sendable_object(args: &Value) -> Value {
    match args {
        Value::Object(_) => args.clone(),
        Value::String(text) => json!({"unreadable": text.chars().take(200).collect::<String>()}),
        other => json!({"unreadable": other.to_string().chars().take(200).collect::<String>()}),
    }
}

fn sendable_arguments(args: &Value) -> String {
    sendable_object(args).to_string()
}

/// What an answer says.
///
/// # Errors
/// What is wrong with it, in words, when it holds no message.
pub(super) fn reply(asked_model: &str, body: &Value) -> Result<ChatReply, String> {
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(format!("an error inside a success: {}", error_message(error)));
    }
    let choice = body.get("choices").and_then(|choices| choices.get(0)).ok_or("it has no `choices`")?;
    let message = choice.get("message").filter(|m| m.is_object()).ok_or("its first choice has no `message`")?;
    let mut content = without_thoughts(text(message.get("content")));
    if content.is_empty() {
        content = text(message.get("refusal"));
    }
    let mut calls: Vec<ProposedCall> = match message.get("tool_calls") {
        Some(Value::Array(calls)) => calls.iter().take(MAX_CALLS).filter_map(call).collect(),
        _ => Vec::new(),
    };
    if calls.is_empty() {
        calls.extend(message.get("function_call").and_then(call));
    }
    let finish =
        match choice.get("finish_reason").and_then(Value::as_str) {
            Some("length" | "max_tokens" | "model_length") => FinishReason::Length,
            Some("stop" | "tool_calls" | "function_call" | "tool_use" | "eos" | "end_turn") | None => {
                if calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls }
            }
            Some(other) => FinishReason::Other(other.chars().take(40).collect()),
        };
    match finish {
        // A cut call is never run, and the complete ones before it are part of a plan that we do not know.
        FinishReason::Length => calls.clear(),
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other(_) => {
            if content.trim().is_empty() && calls.is_empty() {
                return Err("it is empty: neither text nor a call".to_owned());
            }
        }
    }
    let model = body.get("model").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or(asked_model);
    Ok(bounded(ChatReply {
        model: model.chars().filter(|c| !c.is_control()).take(200).collect(),
        content,
        calls,
        finish,
        usage: usage(body.get("usage")),
    }))
}

/// Text, also when it comes in parts.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// A call in any of the shapes in use. Arguments stay text here; the engine reads them strictly.
pub(super) fn call(call: &Value) -> Option<ProposedCall> {
    let inner = call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
    let inner = inner.as_object()?;
    let named = |key: &str| inner.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let args = match inner.get("arguments").or_else(|| inner.get("input")) {
        Some(given @ (Value::Object(_) | Value::String(_))) => given.clone(),
        None | Some(Value::Null) => Value::String(String::new()),
        Some(other) => Value::String(other.to_string()),
    };
    let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
    Some(ProposedCall { id: id.chars().take(100).collect(), tool: named("name"), args })
}

/// Token counts, when they can be true.
fn usage(usage: Option<&Value>) -> Option<Usage> {
    let believable = |n: u64| n <= ABSURD_TOKENS;
    let at = |path: &str| usage?.pointer(path)?.as_u64().filter(|n| believable(*n));
    let (tokens_in, said) = (at("/prompt_tokens")?, at("/completion_tokens")?);
    // Some servers leave hidden thoughts out of the answer's figure and count them in the total only.
    let tokens_out = at("/total_tokens").map_or(said, |total| total.saturating_sub(tokens_in).max(said));
    let cached = ["/prompt_tokens_details/cached_tokens", "/cache_read_input_tokens", "/prompt_cache_hit_tokens"];
    let tokens_cached = cached.iter().find_map(|path| at(path)).unwrap_or(0).min(tokens_in);
    (tokens_in > 0).then_some(Usage { tokens_in, tokens_out, tokens_cached })
}

/// Whether a text is one JSON object, as a schema asks for.
pub(super) fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

/// The words of an error object, in whatever shape.
pub(super) fn error_message(error: &Value) -> String {
    let message = match error {
        Value::String(text) => text.clone(),
        error => ["message", "detail", "error", "error_msg"]
            .iter()
            .find_map(|key| error.get(key))
            .map_or_else(|| error.to_string(), |inner| inner.as_str().map_or_else(|| inner.to_string(), str::to_owned)),
    };
    match error.get("type").or_else(|| error.get("code")).and_then(Value::as_str) {
        Some(kind) if !message.contains(kind) => format!("{message} ({kind})"),
        _ => message,
    }
}
