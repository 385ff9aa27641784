//! What is kept of an answer, whichever server gave it.

use crate::domain::{ChatReply, ProposedCall};
use serde_json::Value;

/// Calls of one answer that are kept; the engine runs fewer.
pub const MAX_CALLS: usize = 16;
/// Characters of a tool's name.
pub const MAX_NAME_CHARS: usize = 128;
/// Bytes of the arguments of one call, as JSON.
pub const MAX_ARGS_BYTES: usize = 64 << 10;
/// Levels of nesting in arguments that came as an object. JSON is read back up to 128, and a
/// journal entry nests them further.
pub const MAX_ARGS_LEVELS: usize = 32;
/// Characters of an id.
const MAX_ID_CHARS: usize = 100;

/// The same answer with its calls in bounds: those beyond [`MAX_CALLS`] are dropped, and arguments
/// that are too deep or too large become a short text that says so.
#[must_use]
pub fn bounded(mut reply: ChatReply) -> ChatReply {
    reply.calls.truncate(MAX_CALLS);
    reply.calls = std::mem::take(&mut reply.calls).into_iter().map(bounded_call).collect();
    reply
}

fn bounded_call(call: ProposedCall) -> ProposedCall {
    ProposedCall {
        id: first(call.id, MAX_ID_CHARS),
        tool: first(call.tool, MAX_NAME_CHARS),
        args: bounded_args(call.args, MAX_ARGS_BYTES),
    }
}

/// `args`, or a short text where they are nested deeper than [`MAX_ARGS_LEVELS`] or longer than
/// `bytes`.
#[must_use]
pub fn bounded_args(args: Value, bytes: usize) -> Value {
    if deeper(&args, MAX_ARGS_LEVELS) {
        return Value::String(format!("[arguments nested deeper than {MAX_ARGS_LEVELS} levels]"));
    }
    let size = match &args {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    };
    if size > bytes { Value::String(format!("[arguments of {size} bytes, more than {bytes}]")) } else { args }
}

fn first(text: String, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// Whether containers stand in each other more than `levels` deep.
fn deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => true,
        Value::Array(items) => items.iter().any(|item| deeper(item, levels - 1)),
        Value::Object(map) => map.values().any(|item| deeper(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FinishReason;
    use serde_json::json;

    #[test]
    fn an_answer_without_measure_is_brought_into_bounds() {
        let mut deep = json!(1);
        for _ in 0..122 {
            deep = json!({"a": deep});
        }
        let call = |tool: &str, args: Value| ProposedCall { id: "i".repeat(300), tool: tool.to_owned(), args };
        let mut calls = vec![
            call(&"n".repeat(5_000), deep),
            call("b", json!({"x": "y".repeat(MAX_ARGS_BYTES)})),
            call("c", json!("y".repeat(MAX_ARGS_BYTES + 1))),
            call("d", json!({"kind": ["pod", {"a": 1}]})),
        ];
        calls.extend((0..60).map(|_| call("e", json!({}))));
        let reply = ChatReply {
            model: "m".into(),
            content: String::new(),
            calls,
            finish: FinishReason::ToolCalls,
            usage: None,
        };
        let reply = bounded(reply);
        assert_eq!((reply.calls.len(), reply.calls[0].tool.len(), reply.calls[0].id.len()), (16, 128, 100));
        assert_eq!(reply.calls[0].args, "[arguments nested deeper than 32 levels]");
        assert!(reply.calls[1].args.as_str().unwrap().contains("more than 65536"));
        assert!(reply.calls[2].args.as_str().unwrap().contains("more than 65536"));
        assert_eq!(reply.calls[3].args, json!({"kind": ["pod", {"a": 1}]}));
        let bytes = serde_json::to_vec(&reply).unwrap();
        assert_eq!(serde_json::from_slice::<ChatReply>(&bytes).unwrap(), reply);
        assert_eq!(bounded(reply.clone()), reply);
    }
}
