//! A model that follows a script: for demonstrations, tests and measurements.

use super::{Limits, ModelError, ModelProvider};
use crate::domain::{ChatReply, ChatRequest, FinishReason, ProposedCall, Role, Usage};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

/// Answers line by line from a script. The line is the number of answers that the conversation
/// already holds, so a run that goes on after a crash goes on at the right line.
#[derive(Debug)]
pub struct ReplayModel {
    name: String,
    turns: Vec<Turn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    #[serde(default)]
    content: String,
    #[serde(default)]
    calls: Vec<Call>,
    #[serde(default)]
    finish: Option<FinishReason>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    args: Value,
}

impl ReplayModel {
    /// Reads a script: one JSON object per line, `{"content": "…", "calls": [{"tool": "…", "args": {}}]}`,
    /// with `finish` and `usage` where wanted. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`ModelError::Settings`] with the number of the line that is none.
    pub fn from_jsonl(name: impl Into<String>, script: &str) -> Result<Self, ModelError> {
        let name = name.into();
        let mut turns = Vec::new();
        for (number, line) in script.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let turn = serde_json::from_str(line).map_err(|e| ModelError::Settings {
                model: name.clone(),
                what: format!("line {} of its script is no turn ({e})", number + 1),
            })?;
            turns.push(turn);
        }
        Ok(Self { name, turns })
    }

    /// How many turns the script has.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whether the script has no turn.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[async_trait]
impl ModelProvider for ReplayModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &str {
        "script"
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let answered = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let turn = self.turns.get(answered).ok_or_else(|| ModelError::Malformed {
            model: self.name.clone(),
            what: format!("script ended after {} turns", self.turns.len()),
        })?;
        let calls: Vec<ProposedCall> = turn
            .calls
            .iter()
            .map(|call| ProposedCall { id: String::new(), tool: call.tool.clone(), args: call.args.clone() })
            .collect();
        let natural = if calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
        Ok(ChatReply {
            model: "script".to_owned(),
            content: turn.content.clone(),
            calls,
            finish: turn.finish.clone().unwrap_or(natural),
            usage: turn.usage,
        })
    }
}
