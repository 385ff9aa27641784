//! A model that repeats what was written or recorded: for demonstrations, tests and measurements, and
//! to run a recorded investigation again without a network.

use super::{Limits, ModelError, ModelProvider, Progress};
use crate::domain::{ChatReply, ChatRequest, Digest, FinishReason, Message, ProposedCall, Role, ToolOffer, Usage};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers in order. The answer is the one behind those that the conversation already holds, so a run
/// that goes on after a crash goes on at the right one.
#[derive(Debug)]
pub struct ReplayModel {
    name: String,
    turns: Vec<Recorded>,
    strict: bool,
    warned: AtomicBool,
}

/// One answer, and the digest of the request that it was given to, where that was recorded.
#[derive(Debug)]
struct Recorded {
    request: Option<Digest>,
    reply: ChatReply,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
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

/// What `GET /api/v1/investigations/{id}/transcript` answers, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Transcript {
    items: Vec<Item>,
    #[serde(default)]
    next_cursor: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Item {
    turn: u32,
    request: Value,
    reply: Value,
}

/// A request as the transcript has it: what it adds to the one before.
#[derive(Debug, Deserialize)]
struct Added {
    messages_before: usize,
    messages: Vec<Message>,
    tools: Vec<ToolOffer>,
}

impl ReplayModel {
    /// Reads a script or a transcript, whichever `text` is.
    ///
    /// # Errors
    /// [`ModelError::Settings`] with what is wrong.
    pub fn read(name: impl Into<String>, text: &str) -> Result<Self, ModelError> {
        match serde_json::from_str::<Value>(text) {
            // One line of a script is a whole document, too.
            Ok(document) if document.get("items").is_some() => Self::from_transcript(name, document),
            Ok(_) | Err(_) => Self::from_jsonl(name, text),
        }
    }

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
            let line: Line = serde_json::from_str(line).map_err(|e| ModelError::Settings {
                model: name.clone(),
                what: format!("line {} of its script is no turn ({e})", number + 1),
            })?;
            turns.push(Recorded { request: None, reply: line.reply() });
        }
        Ok(Self { name, turns, strict: false, warned: AtomicBool::new(false) })
    }

    /// Reads the transcript of an investigation. Turns that nobody answered are skipped.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when it is none, or not the whole one.
    pub fn from_transcript(name: impl Into<String>, document: Value) -> Result<Self, ModelError> {
        let name = name.into();
        let wrong = |what: String| ModelError::Settings { model: name.clone(), what };
        let transcript: Transcript =
            serde_json::from_value(document).map_err(|e| wrong(format!("its file is no transcript ({e})")))?;
        if transcript.next_cursor.is_some_and(|cursor| !cursor.is_null()) {
            return Err(wrong(
                "its transcript is only the first part; ask for the whole one with a larger `limit`".into(),
            ));
        }
        let mut said: Vec<Message> = Vec::new();
        let mut turns = Vec::new();
        for Item { turn, request, reply } in transcript.items {
            let omitted = |part: &Value| part.get("omitted").is_some();
            if omitted(&request) || omitted(&reply) {
                return Err(wrong(format!(
                    "its transcript leaves out parts of turn {turn}; ask for fewer turns at once"
                )));
            }
            // A payload that was deleted, or a request that never left.
            let added: Option<Added> = serde_json::from_value(request).ok();
            let request = added.and_then(|added| {
                // A request that begins anew has nothing before it.
                said.truncate(added.messages_before);
                let whole = said.len() == added.messages_before;
                said.extend(added.messages);
                whole.then(|| digest(&said, &added.tools))
            });
            if reply.is_null() {
                continue;
            }
            let reply = serde_json::from_value(reply)
                .map_err(|e| wrong(format!("the reply of turn {turn} in its transcript is none ({e})")))?;
            turns.push(Recorded { request, reply });
        }
        if turns.is_empty() {
            return Err(wrong("its transcript holds no reply".to_owned()));
        }
        Ok(Self { name, turns, strict: false, warned: AtomicBool::new(false) })
    }

    /// Refuses to answer a request that differs from the recorded one. Otherwise that is told once.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whether there is no answer.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    fn compare(&self, number: usize, recorded: Option<&Digest>, request: &ChatRequest) -> Result<(), ModelError> {
        let same = match recorded {
            Some(recorded) => *recorded == digest(&request.messages, &request.tools),
            // A script says nothing of requests; a recording that does not is none to hold on to.
            None => !self.strict,
        };
        if same {
            return Ok(());
        }
        let what = format!("request {} is not the recorded one", number + 1);
        if self.strict {
            return Err(ModelError::NotRecorded { model: self.name.clone(), what });
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(model = self.name, what, "the recorded answers are given all the same");
        }
        Ok(())
    }
}

impl Line {
    fn reply(self) -> ChatReply {
        let call = |call: Call| ProposedCall { id: String::new(), tool: call.tool, args: call.args };
        let calls: Vec<ProposedCall> = self.calls.into_iter().map(call).collect();
        let natural = if calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
        ChatReply {
            model: "script".to_owned(),
            content: self.content,
            calls,
            finish: self.finish.unwrap_or(natural),
            usage: self.usage,
        }
    }
}

/// Of everything that a model is told.
fn digest<M: Serialize>(messages: &[M], tools: &[ToolOffer]) -> Digest {
    /// With sorted keys: a transcript may have passed through programs that order them otherwise.
    fn sorted(value: &impl Serialize) -> String {
        fn sort(value: Value) -> Value {
            match value {
                Value::Object(map) => {
                    let sorted: BTreeMap<String, Value> = map.into_iter().map(|(k, v)| (k, sort(v))).collect();
                    Value::Object(sorted.into_iter().collect())
                }
                Value::Array(items) => items.into_iter().map(sort).collect(),
                other => other,
            }
        }
        serde_json::to_value(value).map(sort).unwrap_or_default().to_string()
    }
    Digest::of_parts([sorted(&messages).as_str(), sorted(&tools).as_str()])
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

    async fn chat(&self, request: &ChatRequest, _: &Arc<Progress>) -> Result<ChatReply, ModelError> {
        let answered = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let turn = self.turns.get(answered).ok_or_else(|| ModelError::NotRecorded {
            model: self.name.clone(),
            what: format!("its recording ended after {} answers", self.turns.len()),
        })?;
        if self.strict || turn.request.is_some() {
            self.compare(answered, turn.request.as_ref(), request)?;
        }
        Ok(turn.reply.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn say(role: Role, content: &str) -> Message {
        Message { role, content: content.into(), calls: vec![], answers: None }
    }

    fn request(messages: &[Message]) -> ChatRequest {
        ChatRequest::new(messages.to_vec(), vec![], 9)
    }

    fn reply(content: &str) -> Value {
        json!({"model": "gpt-9-0001", "content": content, "calls": [], "finish": "stop", "usage": null})
    }

    fn added(before: usize, messages: &[Message]) -> Value {
        json!({"continues": null, "messages_before": before, "messages": messages, "tools": [], "must_answer": false, "max_tokens": 9})
    }

    async fn ask(model: &ReplayModel, messages: &[Message]) -> Result<ChatReply, ModelError> {
        model.chat(&request(messages), &Arc::default()).await
    }

    #[tokio::test]
    async fn a_script_answers_by_the_length_of_the_conversation() {
        let script = "# two turns\n{\"content\":\"hm\",\"calls\":[{\"tool\":\"look\",\"args\":{\"a\":1}}]}\n\n{\"content\":\"done\"}\n";
        let model = ReplayModel::read("script", script).unwrap();
        let mut messages = vec![say(Role::System, "rules"), say(Role::User, "case")];
        let first = ask(&model, &messages).await.unwrap();
        assert_eq!(first, ask(&model, &messages).await.unwrap());
        assert_eq!(
            (first.finish, first.calls[0].tool.as_str(), &first.calls[0].args),
            (FinishReason::ToolCalls, "look", &json!({"a": 1}))
        );
        messages.push(say(Role::Assistant, "hm"));
        assert_eq!(ask(&model, &messages).await.unwrap().content, "done");
        messages.push(say(Role::Assistant, "done"));
        let error = ask(&model, &messages).await.unwrap_err().to_string();
        assert!(error.contains("its recording ended after 2 answers"), "{error}");
    }

    #[test]
    fn a_script_with_a_slip_names_its_line() {
        let error = ReplayModel::read("s", "{\"content\":\"a\"}\n{\"contents\":\"b\"}").unwrap_err().to_string();
        assert!(error.contains("line 2 of its script is no turn"), "{error}");
    }

    #[tokio::test]
    async fn a_transcript_is_played_again_and_told_from_another_conversation() {
        let (rules, case) = (say(Role::System, "rules"), say(Role::User, "case"));
        let (hm, more) = (say(Role::Assistant, "hm"), say(Role::User, "more"));
        let document = json!({"next_cursor": null, "items": [
            {"turn": 1, "request": added(0, &[rules.clone(), case.clone()]), "reply": reply("hm"), "usage": {}},
            {"turn": 2, "request": added(2, &[hm.clone(), more.clone()]), "reply": null},
            {"turn": 3, "request": added(2, &[hm.clone(), more.clone()]), "reply": reply("done")},
        ]});
        let model = |strict| ReplayModel::read("again", &document.to_string()).unwrap().strict(strict);
        let same = [rules.clone(), case.clone(), hm.clone(), more.clone()];
        let other = [rules, say(Role::User, "another case"), hm, more];
        assert_eq!(model(true).len(), 2);
        let first = ask(&model(true), &same[..2]).await.unwrap();
        assert_eq!((first.model.as_str(), first.content.as_str()), ("gpt-9-0001", "hm"));
        assert_eq!(ask(&model(true), &same).await.unwrap().content, "done");
        assert_eq!(ask(&model(false), &other).await.unwrap().content, "done");
        let error = ask(&model(true), &other).await.unwrap_err();
        assert!(matches!(error, ModelError::NotRecorded { .. }) && !error.is_transient());
        assert!(error.to_string().contains("request 2 is not the recorded one"), "{error}");
        let script = ReplayModel::read("s", "{\"content\":\"a\"}").unwrap().strict(true);
        assert!(ask(&script, &same[..2]).await.is_err(), "a script records no request to hold on to");
    }

    #[test]
    fn a_transcript_in_part_is_refused() {
        let item = |reply: Value| json!({"turn": 1, "request": null, "reply": reply});
        for (document, words) in [
            (json!({"items": [item(reply("a"))], "next_cursor": "7"}), "only the first part"),
            (json!({"items": [item(json!({"omitted": true, "bytes": 9}))]}), "leaves out parts of turn 1"),
            (json!({"items": [item(Value::Null)]}), "holds no reply"),
            (json!({"items": [item(json!({"content": 7}))]}), "the reply of turn 1"),
            (json!({"items": 7}), "is no transcript"),
        ] {
            let error = ReplayModel::read("s", &document.to_string()).unwrap_err().to_string();
            assert!(error.contains(words), "{document}: {error}");
        }
    }
}
