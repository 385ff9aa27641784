//! Calls that a model writes into its text instead of making them, as weak models do.
//!
//! They are taken only when nothing is left to guess: the whole text is calls, or its end is complete
//! tagged blocks; each parses strictly and fits the schema of a tool on offer. One that does not, and
//! none of them runs. What the model was shown is never read back to it as a call of its own.

use super::{calls, strict_json};
use crate::domain::{ChatReply, ChatRequest, FinishReason, ProposedCall, Role, ToolOffer};
use crate::model::{MAX_CALLS, bounded};
use serde_json::{Map, Value};

/// What the text of an answer holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// No call.
    Nothing,
    /// Calls whose arguments fit. They are proposals like any other.
    Calls(Vec<ProposedCall>),
    /// Something that means to be a call and cannot be taken for one: why, in words for the model.
    Unusable(String),
}

const CALL: (&str, &str) = ("<tool_call>", "</tool_call>");
const FUNCTION: (&str, &str) = ("<function=", "</function>");
const PARAMETER: (&str, &str) = ("<parameter=", "</parameter>");
/// Mistral: a list of calls, or names and arguments, behind it.
const MISTRAL: &str = "[TOOL_CALLS]";
const MISTRAL_ARGS: &str = "[ARGS]";
/// Llama 3, before a bare object.
const PYTHON: &str = "<|python_tag|>";
/// Words of our fences, and of templates around results: what stands near them was written by others.
const QUOTES: [&str; 4] = ["[untrusted ", "[end untrusted", "<tool_response", "[tool_results]"];

/// Reads the text of an answer to `request`. An answer that was cut holds no call.
pub fn read(reply: &ChatReply, request: &ChatRequest) -> Spoken {
    let text = unfenced(reply.content.trim());
    let found = match found(text, &request.tools) {
        Ok(None) => return Spoken::Nothing,
        Ok(Some(found)) => found,
        Err(why) => return Spoken::Unusable(why),
    };
    match take(reply, request, text, found) {
        Ok(calls) => Spoken::Calls(calls),
        Err(why) => Spoken::Unusable(why),
    }
}

/// `text` without the code fence that holds all of it.
pub(super) fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|t| t.strip_suffix("```"));
    inner.map_or(text, str::trim)
}

/// Judges calls that were read whole.
fn take(reply: &ChatReply, request: &ChatRequest, text: &str, found: Vec<Found>) -> Result<Vec<ProposedCall>, String> {
    if !matches!(reply.finish, FinishReason::Stop | FinishReason::ToolCalls) {
        return Err("the answer did not come to its end".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    if QUOTES.iter().any(|quote| lower.contains(quote)) {
        return Err("it stands beside a quoted result".to_owned());
    }
    if found.len() > MAX_CALLS {
        return Err(format!("there are {} calls, more than {MAX_CALLS}", found.len()));
    }
    if found.iter().any(|call| was_shown(call.spelling, request)) {
        return Err("it repeats what a result said, word for word".to_owned());
    }
    let calls = found.into_iter().map(|call| ProposedCall { id: String::new(), tool: call.tool, args: call.args });
    let mut calls = bounded(ChatReply { calls: calls.collect(), ..reply.clone() }).calls;
    for call in &mut calls {
        let args = calls::read(call, &request.tools);
        call.args = args.map_err(|why| why.trim_start_matches("not run: ").to_owned())?;
    }
    Ok(calls)
}

/// Whether these letters stand in what the model was shown; signs and spaces do not count, since
/// fences change them.
fn was_shown(spelling: &str, request: &ChatRequest) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let wanted = letters(spelling);
    let shown = request.messages.iter().filter(|message| matches!(message.role, Role::Tool | Role::User));
    shown.map(|message| letters(&message.content)).any(|content| content.contains(&wanted))
}

/// A call that was read whole. Nothing has been checked yet.
struct Found<'a> {
    tool: String,
    args: Value,
    spelling: &'a str,
}

type Calls<'a> = Vec<Found<'a>>;

/// The calls in `text`; `None` where it does not mean to call anything.
fn found<'a>(text: &'a str, offers: &[ToolOffer]) -> Result<Option<Calls<'a>>, String> {
    if let Some(rest) = text.strip_prefix(MISTRAL) {
        return mistral(rest).map(Some);
    }
    if let Some(rest) = text.strip_prefix(PYTHON) {
        return bare(rest.trim())?.ok_or_else(|| not_whole("a call")).map(Some);
    }
    let first = [CALL.0, FUNCTION.0].iter().filter_map(|tag| text.find(tag)).min();
    match first {
        Some(at) if starts_line(text, at) => tagged(&text[at..], offers).map(Some),
        Some(_) => Err("a call begins in the middle of a line, or of a code fence".to_owned()),
        None if text.contains(MISTRAL) || text.contains(PYTHON) => Err("a call has text before it".to_owned()),
        None => bare(text),
    }
}

/// Whether a line begins at `at`, outside of a code fence.
fn starts_line(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.trim().is_empty() && !before.contains("```")
}

fn not_whole(what: &str) -> String {
    format!("{what} is not complete")
}

/// Hermes, Qwen, Llama: tagged blocks up to the end of the text.
fn tagged<'a>(text: &'a str, offers: &[ToolOffer]) -> Result<Calls<'a>, String> {
    let (mut rest, mut calls) = (text.trim_start(), vec![]);
    while !rest.is_empty() {
        let tags = [CALL, FUNCTION].into_iter().find(|tags| rest.starts_with(tags.0));
        let (open, close) = tags.ok_or("something stands behind the calls")?;
        let inner = &rest[open.len()..];
        let end = inner.find(close).ok_or_else(|| not_whole("a call"))?;
        let spelling = &rest[..open.len() + end + close.len()];
        let inner = inner[..end].trim();
        match open == CALL.0 {
            true if inner.starts_with(FUNCTION.0) => calls.extend(tagged(inner, offers)?),
            true => calls.push(named(strict_json::object(inner).map_err(in_call)?, spelling)?),
            false => calls.push(function(inner, spelling, offers)?),
        }
        rest = rest[spelling.len()..].trim_start();
    }
    Ok(calls)
}

/// `name>{…}` or `name><parameter=key>value</parameter>…`, without what closes it.
fn function<'a>(inner: &'a str, spelling: &'a str, offers: &[ToolOffer]) -> Result<Found<'a>, String> {
    let (name, body) = inner.split_once('>').ok_or_else(|| not_whole("the name of a function"))?;
    let (tool, body) = (name.trim_matches('"').to_owned(), body.trim());
    if body.starts_with('{') {
        let args = Value::Object(strict_json::object(body).map_err(in_call)?);
        return Ok(Found { tool, args, spelling });
    }
    let schema = offers.iter().find(|offer| offer.name == tool).map(|offer| &offer.parameters);
    let (mut rest, mut args) = (body, Map::new());
    while !rest.is_empty() {
        let inner = rest.strip_prefix(PARAMETER.0).ok_or("something stands between the parameters")?;
        let (inner, behind) = inner.split_once(PARAMETER.1).ok_or_else(|| not_whole("a parameter"))?;
        let (key, value) = inner.split_once('>').ok_or_else(|| not_whole("the name of a parameter"))?;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        let is_text = schema.and_then(|schema| schema.pointer(&format!("/properties/{key}/type")));
        let value = match is_text.is_none_or(|kind| kind == "string") {
            true => Value::String(value.to_owned()),
            false => json(value.trim())?,
        };
        if args.insert(key.to_owned(), value).is_some() {
            return Err("a parameter stands twice".to_owned());
        }
        rest = behind.trim();
    }
    Ok(Found { tool, args: Value::Object(args), spelling })
}

/// Behind `[TOOL_CALLS]`: a list of calls, or `name[ARGS]{…}`, again and again.
fn mistral(rest: &str) -> Result<Calls<'_>, String> {
    let rest = rest.trim();
    if rest.starts_with('[') {
        return bare(rest)?.ok_or_else(|| not_whole("the list of calls"));
    }
    let call = |part| {
        let part: &str = part;
        let (name, args) = part.split_once(MISTRAL_ARGS).ok_or_else(|| not_whole("a call"))?;
        let args = Value::Object(strict_json::object(args).map_err(in_call)?);
        Ok(Found { tool: name.trim().to_owned(), args, spelling: part })
    };
    rest.split(MISTRAL).map(call).collect()
}

/// The whole text is one call as JSON, or a list of them.
fn bare(text: &str) -> Result<Option<Calls<'_>>, String> {
    if !text.starts_with(['{', '[']) {
        return Ok(None);
    }
    let means_to_call =
        text.contains("\"name\"") && ["\"arguments\"", "\"parameters\""].iter().any(|k| text.contains(k));
    let items = match json(text) {
        Ok(Value::Array(items)) => items,
        Ok(one) => vec![one],
        Err(why) if means_to_call => return Err(why),
        Err(_) => return Ok(None),
    };
    let is_call = |item: &Value| {
        item.get("name").is_some_and(Value::is_string)
            && (item.get("arguments").is_some() || item.get("parameters").is_some())
    };
    if items.is_empty() || !items.iter().any(is_call) {
        return Ok(None);
    }
    let calls = items.into_iter().map(|item| match item {
        Value::Object(item) => named(item, text),
        _ => Err("one of the calls is no object".to_owned()),
    });
    calls.collect::<Result<_, _>>().map(Some)
}

/// `{"name": …, "arguments" or "parameters": …}`, and nothing else that could mean something.
fn named(mut item: Map<String, Value>, spelling: &str) -> Result<Found<'_>, String> {
    let Some(Value::String(tool)) = item.remove("name") else { return Err("a call has no name".to_owned()) };
    let args = match (item.remove("arguments"), item.remove("parameters")) {
        (Some(args), None) | (None, Some(args)) => args,
        (Some(_), Some(_)) => return Err("a call has both arguments and parameters".to_owned()),
        (None, None) => return Err("a call has no arguments; {} if there are none".to_owned()),
    };
    item.retain(|key, value| !(key == "id" || key == "type" && value == "function"));
    match item.keys().next() {
        Some(key) => Err(format!("a call has the further key {:?}", key.chars().take(60).collect::<String>())),
        None => Ok(Found { tool, args, spelling }),
    }
}

/// Any JSON, read as strictly as arguments are.
fn json(text: &str) -> Result<Value, String> {
    let mut wrapped = strict_json::object(&format!("{{\"value\":{text}}}")).map_err(in_call)?;
    match wrapped.remove("value") {
        Some(value) if wrapped.is_empty() => Ok(value),
        _ => Err("it is no JSON".to_owned()),
    }
}

fn in_call(why: String) -> String {
    why.replace("the arguments are", "a call is").replace("send a JSON object, {} if there are none", "it says nothing")
}

#[cfg(test)]
mod tests;
