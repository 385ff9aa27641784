//! One answer out of the pieces of a stream: the same JSON that an answer in one piece has, so that
//! [`wire::reply`](super::wire::reply) reads both.

use serde_json::{Map, Value, json};

/// Calls that are kept of one stream; fewer are ever run.
const MAX_PIECES: usize = 64;
/// What some servers say at the end.
const DONE: &str = "[DONE]";

/// What has arrived of an answer.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    model: Option<String>,
    content: String,
    refusal: String,
    calls: Vec<CallPieces>,
    finish: Option<String>,
    usage: Option<Value>,
    error: Option<Value>,
    done: bool,
}

#[derive(Debug, Default)]
struct CallPieces {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// Some servers send arguments as an object, at once.
    whole: Option<Value>,
}

impl Assembly {
    /// Takes the data of one event. Answers whether a piece of the answer, or a thought, was in it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn event(&mut self, data: &str) -> Result<bool, String> {
        let data = data.trim();
        if data == DONE {
            self.done = true;
            return Ok(false);
        }
        if data.is_empty() {
            return Ok(false);
        }
        let chunk: Value =
            serde_json::from_str(data).map_err(|e| format!("an event of its stream is no JSON ({e})"))?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error.clone());
            return Ok(false);
        }
        if self.model.is_none() {
            self.model = chunk.get("model").and_then(Value::as_str).filter(|m| !m.is_empty()).map(str::to_owned);
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(usage.clone());
        }
        // We ask for one choice. The piece with the figures has none.
        let choice = chunk.get("choices").and_then(Value::as_array).and_then(|choices| {
            choices.iter().find(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0)
        });
        let Some(choice) = choice else { return Ok(false) };
        if let Some(finish) = choice.get("finish_reason").and_then(Value::as_str) {
            self.finish = Some(finish.to_owned());
        }
        let delta = choice.get("delta").or_else(|| choice.get("message"));
        Ok(delta.and_then(Value::as_object).is_some_and(|delta| self.delta(delta)))
    }

    /// Whether nothing more is to come.
    pub(super) const fn is_over(&self) -> bool {
        self.done || self.error.is_some()
    }

    fn delta(&mut self, delta: &Map<String, Value>) -> bool {
        let mut heard = false;
        for (key, to) in [("content", &mut self.content), ("refusal", &mut self.refusal)] {
            heard |= append(to, delta.get(key));
        }
        // Thoughts are counted and dropped: they are no part of the answer.
        let mut thought = String::new();
        heard |= ["reasoning_content", "reasoning"].iter().any(|key| append(&mut thought, delta.get(*key)));
        if let Some(calls) = delta.get("tool_calls").and_then(Value::as_array) {
            calls.iter().for_each(|piece| self.call(piece));
            heard |= !calls.is_empty();
        }
        if let Some(piece) = delta.get("function_call").filter(|piece| piece.is_object()) {
            self.call(&json!({"index": 0, "function": piece}));
            heard = true;
        }
        heard
    }

    fn call(&mut self, piece: &Value) {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let function = piece.get("function").unwrap_or(piece);
        let (index, id) = (piece.get("index").and_then(Value::as_u64), text(piece.get("id")));
        let name = text(function.get("name"));
        let Some(call) = self.place(index, &id, &name) else { return };
        // Said once; servers that say them again mean the same.
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        match function.get("arguments") {
            Some(Value::String(part)) => call.arguments.push_str(part),
            Some(object @ Value::Object(_)) => call.whole = Some(object.clone()),
            Some(_) | None => {}
        }
    }

    /// The call that a piece belongs to; `None` when there are too many.
    fn place(&mut self, index: Option<u64>, id: &str, name: &str) -> Option<&mut CallPieces> {
        let known = match index {
            // Some servers number every call 0: another id with a name is another call.
            Some(index) => self.calls.iter().rposition(|call| {
                call.index == Some(index) && (id.is_empty() || name.is_empty() || call.id.is_empty() || call.id == id)
            }),
            None if !id.is_empty() => self.calls.iter().position(|call| call.id == id),
            None if !name.is_empty() => None,
            None => self.calls.len().checked_sub(1),
        };
        match known {
            Some(at) => self.calls.get_mut(at),
            None if self.calls.len() >= MAX_PIECES => None,
            None => {
                self.calls.push(CallPieces { index, ..CallPieces::default() });
                self.calls.last_mut()
            }
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When the stream ended before the answer did: then nothing of it may be used.
    pub(super) fn finish(self) -> Result<Value, Cut> {
        if let Some(error) = self.error {
            return Ok(json!({"error": error}));
        }
        // `[DONE]` alone ends a text. Calls are whole only when the server says why it stopped.
        if self.finish.is_none() && (!self.done || !self.calls.is_empty()) {
            return Err(Cut);
        }
        let mut message = json!({"role": "assistant", "content": self.content});
        if !self.refusal.is_empty() {
            message["refusal"] = self.refusal.into();
        }
        if !self.calls.is_empty() {
            let calls = self.calls.into_iter().map(|call| {
                let arguments = call.whole.unwrap_or(Value::String(call.arguments));
                json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
            });
            message["tool_calls"] = calls.collect();
        }
        Ok(json!({
            "model": self.model,
            "choices": [{"index": 0, "finish_reason": self.finish, "message": message}],
            "usage": self.usage,
        }))
    }
}

/// The stream ended in the middle of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

/// Adds text, also when it comes in parts; whether there was any.
fn append(to: &mut String, given: Option<&Value>) -> bool {
    let before = to.len();
    match given {
        Some(Value::String(text)) => to.push_str(text),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).for_each(|text| to.push_str(text));
        }
        Some(_) | None => {}
    }
    to.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(events: &[Value]) -> Result<Value, Cut> {
        let mut assembly = Assembly::default();
        for event in events {
            let text = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
            assembly.event(&text).unwrap();
        }
        assembly.finish()
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn piece(piece: Value) -> Value {
        delta(json!({"tool_calls": [piece]}))
    }

    fn stop(reason: &str) -> Value {
        json!({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    /// Names and arguments of the calls.
    fn calls(answer: &Value) -> Vec<(String, Value)> {
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap();
        let told = |c: &Value| (c["function"]["name"].as_str().unwrap().to_owned(), c["function"]["arguments"].clone());
        calls.iter().map(told).collect()
    }

    #[test]
    fn text_thoughts_and_figures_come_together() {
        let answer = assemble(&[
            delta(json!({"role": "assistant", "content": null, "reasoning_content": "hm"})),
            delta(json!({"content": "The disk "})),
            delta(json!({"content": [{"type": "text", "text": "is "}], "reasoning": "so"})),
            json!({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
            delta(json!({"content": "full."})),
            stop("stop"),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}),
            json!("[DONE]"),
        ]);
        let message = json!({"role": "assistant", "content": "The disk is full."});
        let choice = json!({"index": 0, "finish_reason": "stop", "message": message});
        let usage = json!({"prompt_tokens": 7, "completion_tokens": 3});
        assert_eq!(answer, Ok(json!({"model": "m", "choices": [choice], "usage": usage})));
    }

    #[test]
    fn pieces_of_calls_find_their_places() {
        let two = [("a".to_owned(), json!("{\"x\":1}")), ("b".to_owned(), json!("{}"))];
        for events in [
            // As OpenAI sends them, and out of order.
            vec![
                piece(json!({"index": 0, "id": "1", "type": "function", "function": {"name": "a", "arguments": ""}})),
                piece(json!({"index": 0, "function": {"arguments": "{\"x\""}})),
                piece(json!({"index": 1, "id": "2", "function": {"name": "b", "arguments": "{"}})),
                piece(json!({"index": 0, "function": {"arguments": ":1}"}})),
                piece(json!({"index": 1, "function": {"arguments": "}"}})),
            ],
            // Id and name in each piece.
            vec![
                piece(json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": "{\"x\""}})),
                piece(json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": ":1}"}})),
                piece(json!({"index": 1, "id": "2", "function": {"name": "b", "arguments": "{}"}})),
            ],
            // No index at all.
            vec![
                piece(json!({"id": "1", "function": {"name": "a", "arguments": "{\"x\""}})),
                piece(json!({"function": {"arguments": ":1}"}})),
                piece(json!({"id": "2", "function": {"name": "b", "arguments": "{}"}})),
            ],
            // Every call is number 0.
            vec![
                piece(json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": "{\"x\":1}"}})),
                piece(json!({"index": 0, "id": "2", "function": {"name": "b", "arguments": "{}"}})),
            ],
        ] {
            let events: Vec<Value> = events.into_iter().chain([stop("tool_calls")]).collect();
            assert_eq!(calls(&assemble(&events).unwrap()), two, "{events:?}");
        }
        let whole = assemble(&[piece(json!({"function": {"name": "a", "arguments": {"x": 1}}})), stop("stop")]);
        assert_eq!(calls(&whole.unwrap()), [("a".to_owned(), json!({"x": 1}))]);
        let old = assemble(&[
            delta(json!({"function_call": {"name": "a", "arguments": "{"}})),
            delta(json!({"function_call": {"arguments": "}"}})),
            stop("function_call"),
        ]);
        assert_eq!(calls(&old.unwrap()), [("a".to_owned(), json!("{}"))]);
    }

    #[test]
    fn l04_nothing_of_a_stream_that_was_cut_is_left() {
        let begun = piece(json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": "{\"x\":"}}));
        assert_eq!(assemble(std::slice::from_ref(&begun)), Err(Cut));
        assert_eq!(assemble(&[begun, json!("[DONE]")]), Err(Cut), "no reason to stop: the call may be cut");
        assert_eq!(assemble(&[delta(json!({"content": "The di"}))]), Err(Cut));
        assert_eq!(assemble(&[]), Err(Cut));
        assert!(assemble(&[delta(json!({"content": "The disk."})), json!("[DONE]")]).is_ok());
    }

    #[test]
    fn an_error_in_the_stream_is_the_whole_answer() {
        let error = json!({"error": {"message": "no capacity", "code": 503}});
        let answer = assemble(&[delta(json!({"content": "The disk"})), error.clone(), stop("stop")]);
        assert_eq!(answer, Ok(error));
        let mut assembly = Assembly::default();
        assert!(assembly.event("{\"choices\":[{").unwrap_err().contains("no JSON"));
    }

    #[test]
    fn l10_calls_without_number_are_not_kept() {
        let many: Vec<Value> = (0..500)
            .map(|n| piece(json!({"index": n, "id": format!("c{n}"), "function": {"name": "a", "arguments": "{}"}})))
            .chain([stop("tool_calls")])
            .collect();
        assert_eq!(calls(&assemble(&many).unwrap()).len(), MAX_PIECES);
    }
}
