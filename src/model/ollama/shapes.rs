//! What is sent to Ollama, in the types of ollama-rs, and what it tells of a model.

use crate::domain::{ChatRequest, Message, Role};
use crate::model::wire::{sendable_name, sendable_object};
use ollama_rs::generation::chat::request::ChatMessageRequest;
use ollama_rs::generation::chat::{ChatMessage, MessageRole};
use ollama_rs::generation::parameters::{FormatType, JsonStructure};
use ollama_rs::generation::tools::{ToolCall, ToolCallFunction, ToolFunctionInfo, ToolInfo, ToolType};
use ollama_rs::models::{ModelInfo, ModelOptions};
use serde_json::Value;

/// What is asked of a model's context unless the configuration says otherwise: enough for an incident,
/// and little enough for one graphics card.
const USUAL_CONTEXT: u64 = 32_768;

/// What is known of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Tokens that its context is to hold; `None` leaves it to the server.
    pub(super) num_ctx: Option<u64>,
    /// Whether it thinks before it answers.
    pub(super) thinks: bool,
    /// Whether it calls tools; servers from before the question are believed to.
    pub(super) calls_tools: bool,
}

impl Known {
    /// Of a model that nobody tells about.
    pub(super) const fn nothing(num_ctx: Option<u64>) -> Self {
        Self { num_ctx, thinks: false, calls_tools: true }
    }

    /// What `show` tells; `wanted` is the configured context.
    pub(super) fn of(info: &ModelInfo, wanted: Option<u64>) -> Self {
        let family = info.model_info.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
        let own = info.model_info.get(&format!("{family}.context_length")).and_then(Value::as_u64);
        let can = |what: &str| info.capabilities.iter().any(|capability| capability == what);
        Self {
            num_ctx: wanted.or_else(|| own.filter(|own| *own > 0).map(|own| own.min(USUAL_CONTEXT))),
            thinks: can("thinking"),
            calls_tools: can("tools") || info.capabilities.is_empty(),
        }
    }
}

/// How a request is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) known: Known,
    pub(super) temperature: Option<f64>,
    pub(super) stream: bool,
    /// Ask for the last tool by its schema instead.
    pub(super) schema: bool,
}

/// The body of a request.
///
/// # Errors
/// What cannot be written, in words: a tool whose parameters are no schema.
pub(super) fn request_body(model: &str, request: &ChatRequest, manner: Manner) -> Result<Value, String> {
    let schema_of = |parameters: &Value| {
        schemars::Schema::try_from(parameters.clone())
            .map_err(|e| format!("the parameters of a tool are no schema ({e})"))
    };
    let messages = request.messages.iter().map(|part| message(part)).collect();
    let mut options = ModelOptions::default().num_predict(i32::try_from(request.max_tokens).unwrap_or(i32::MAX));
    if let Some(num_ctx) = manner.known.num_ctx {
        options = options.num_ctx(num_ctx);
    }
    if let Some(temperature) = manner.temperature {
        #[allow(clippy::cast_possible_truncation)] // a temperature has two digits
        let temperature = temperature as f32;
        options = options.temperature(temperature);
    }
    let mut body = ChatMessageRequest::new(model.to_owned(), messages).options(options);
    if manner.known.thinks {
        body = body.think(true);
    }
    match request.tools.as_slice() {
        [only] if manner.schema => {
            let schema = JsonStructure::new_for_schema(schema_of(&only.parameters)?);
            body = body.format(FormatType::StructuredJson(Box::new(schema)));
        }
        tools => {
            let tools = tools.iter().map(|tool| {
                Ok(ToolInfo {
                    tool_type: ToolType::Function,
                    function: ToolFunctionInfo {
                        name: tool.name.clone(),
                        description: tool.description.clone(),
                        parameters: schema_of(&tool.parameters)?,
                    },
                })
            });
            body = body.tools(tools.collect::<Result<_, String>>()?);
        }
    }
    let mut body = serde_json::to_value(&body).map_err(|e| format!("the request cannot be written ({e})"))?;
    // Two things that the types of ollama-rs do not have room for: whether to stream, which is theirs
    // to set, and the name of the tool that a result belongs to.
    body["stream"] = manner.stream.into();
    let calls = request.messages.iter().flat_map(|message| &message.calls);
    let named: Vec<(&str, String)> = calls.map(|call| (call.id.as_str(), sendable_name(&call.tool))).collect();
    for (n, message) in request.messages.iter().enumerate().filter(|(_, message)| message.role == Role::Tool) {
        let name = named.iter().rev().find(|(id, _)| message.answers.as_deref() == Some(*id));
        if let (Some((_, name)), Some(shown)) = (name, body["messages"].get_mut(n)) {
            shown["tool_name"] = name.as_str().into();
        }
    }
    Ok(body)
}

fn message(message: &Message) -> ChatMessage {
    let role = match message.role {
        Role::System => MessageRole::System,
        Role::User => MessageRole::User,
        Role::Assistant => MessageRole::Assistant,
        Role::Tool => MessageRole::Tool,
    };
    let calls = message.calls.iter().map(|call| ToolCall {
        function: ToolCallFunction { name: sendable_name(&call.tool), arguments: sendable_object(&call.args) },
    });
    ChatMessage { tool_calls: calls.collect(), ..ChatMessage::new(role, message.content.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ProposedCall, ToolOffer};
    use serde_json::json;

    #[test]
    fn a_model_is_known_by_what_show_tells() {
        let info = |value: Value| serde_json::from_value::<ModelInfo>(value).unwrap();
        let qwen = info(json!({"model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
                               "capabilities": ["completion", "tools", "thinking"]}));
        assert_eq!(Known::of(&qwen, None), Known { num_ctx: Some(32_768), thinks: true, calls_tools: true });
        assert_eq!(Known::of(&qwen, Some(65_536)).num_ctx, Some(65_536));
        let small = info(json!({"model_info": {"general.architecture": "llama", "llama.context_length": 8_192},
                                "capabilities": ["completion"]}));
        assert_eq!(Known::of(&small, None), Known { num_ctx: Some(8_192), thinks: false, calls_tools: false });
        assert_eq!(Known::of(&info(json!({})), None), Known::nothing(None));
    }

    #[test]
    fn the_request_carries_run_time_tools_and_the_names_of_results() {
        let said = |role, content: &str, answers: Option<&str>| Message {
            role,
            content: content.into(),
            calls: vec![],
            answers: answers.map(str::to_owned),
        };
        let call = |id: &str, tool: &str, args: Value| ProposedCall { id: id.into(), tool: tool.into(), args };
        let mut asked = said(Role::Assistant, "", None);
        asked.calls = vec![call("c1", "look", json!({"a": 1})), call("c2", "bad name!", json!("{cut"))];
        let parameters =
            json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false});
        let messages = [
            said(Role::System, "rules", None),
            said(Role::User, "case", None),
            asked,
            said(Role::Tool, "seen", Some("c1")),
            said(Role::Tool, "not run", Some("c2")),
        ];
        let look = ToolOffer { name: "look".into(), description: "Looks.".into(), parameters };
        let request = ChatRequest::new(messages, vec![look], 500);
        let known = Known { num_ctx: Some(32_768), thinks: true, calls_tools: true };
        let manner = Manner { known, temperature: None, stream: true, schema: false };
        insta::assert_json_snapshot!(request_body("qwen3:8b", &request, manner).unwrap());
        let by_schema = request_body("qwen3:8b", &request, Manner { schema: true, ..manner }).unwrap();
        assert_eq!((by_schema.get("tools"), &by_schema["format"]["type"]), (None, &json!("object")));
    }
}
