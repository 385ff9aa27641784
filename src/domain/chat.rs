//! What is said to a model and what it answers. The model is assumed hostile: everything in a
//! [`ChatReply`] is a proposal.

use super::{Part, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// We, with the rules.
    System,
    /// We, with the case.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// Calls that the model proposed with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ProposedCall>,
    /// For a tool's result: the call that it answers, by our id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
}

/// A call that somebody proposed. Nothing has been checked yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposedCall {
    /// Our id, unique in the investigation; the model's own is never trusted.
    pub id: String,
    /// The tool's name as it was said.
    pub tool: String,
    /// The arguments: an object when they were JSON, a string with what was said when not.
    pub args: Value,
}

/// A tool as it is offered to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOffer {
    /// Name.
    pub name: String,
    /// What it does, one or two sentences.
    pub description: String,
    /// JSON Schema of the arguments, no extra keys.
    pub parameters: Value,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation so far, oldest first; earlier messages never change between turns.
    pub messages: Vec<Part<Message>>,
    /// Tools on offer, sorted by name.
    pub tools: Part<Vec<ToolOffer>>,
    /// A call is not wanted any more: answer now.
    pub must_answer: bool,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

impl ChatRequest {
    /// A request of `messages`, with `tools` on offer; calls are wanted.
    pub fn new(messages: impl IntoIterator<Item = Message>, tools: Vec<ToolOffer>, max_tokens: u32) -> Self {
        let messages = messages.into_iter().map(Part::from).collect();
        Self { messages, tools: tools.into(), must_answer: false, max_tokens }
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It proposes calls.
    ToolCalls,
    /// It ran into the token limit: what it said is cut.
    Length,
    /// Any other word of the server.
    Other(String),
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatReply {
    /// The model's name for itself.
    pub model: String,
    /// What it said.
    pub content: String,
    /// What it wants to call. The ids are the server's own here; the engine gives ours.
    pub calls: Vec<ProposedCall>,
    /// Why it stopped.
    pub finish: FinishReason,
    /// What it cost, as far as the server said.
    pub usage: Option<Usage>,
}
