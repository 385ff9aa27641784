//! One answer out of the lines that Ollama sends, in the shape of the chat completions protocol, so
//! that [`wire::reply`](crate::model::wire::reply) reads it like any other.
//!
//! An answer in one piece is one line.

use serde_json::{Value, json};

/// Calls that are kept of one answer; fewer are ever run.
const MAX_PIECES: usize = 64;

/// Why the lines are no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Ollama says so, in the middle of a success.
    Told(String),
    /// A line is no JSON.
    NotJson(String),
    /// The last line is missing.
    Cut,
}

/// Splits bytes into lines and puts their contents together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    model: Value,
    content: String,
    calls: Vec<Value>,
    last: Option<Value>,
}

impl Lines {
    /// Takes the next bytes, split anywhere. Answers how many pieces of the answer, or thoughts,
    /// were in them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let mut pieces = 0;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                pieces += usize::from(self.take(&line)?);
            }
        }
        Ok(pieces)
    }

    /// Whether nothing more is to come.
    pub(super) const fn is_over(&self) -> bool {
        self.last.is_some()
    }

    fn take(&mut self, line: &[u8]) -> Result<bool, Wrong> {
        if line.trim_ascii().is_empty() {
            return Ok(false);
        }
        let line: Value = serde_json::from_slice(line).map_err(|e| Wrong::NotJson(e.to_string()))?;
        if let Some(error) = line.get("error").filter(|error| !error.is_null()) {
            return Err(Wrong::Told(crate::model::wire::error_message(error)));
        }
        if let Some(model) = line.get("model").filter(|model| model.is_string()) {
            self.model = model.clone();
        }
        // Thoughts stand in a field of their own; they are counted and dropped.
        let text = |key: &str| line.pointer(&format!("/message/{key}")).and_then(Value::as_str).unwrap_or_default();
        self.content.push_str(text("content"));
        let calls = line.pointer("/message/tool_calls").and_then(Value::as_array);
        let room = MAX_PIECES.saturating_sub(self.calls.len());
        self.calls.extend(calls.into_iter().flatten().take(room).cloned());
        let heard = !text("content").is_empty() || !text("thinking").is_empty() || calls.is_some();
        if line.get("done") == Some(&Value::Bool(true)) {
            self.last = Some(line);
        }
        Ok(heard)
    }

    /// The whole answer.
    pub(super) fn finish(mut self) -> Result<Value, Wrong> {
        let rest = std::mem::take(&mut self.line);
        if !self.is_over() {
            // A last line without its newline, or what a cut has left of one.
            self.take(&rest).map_err(|wrong| match (wrong, self.model.is_null()) {
                (Wrong::NotJson(_), false) => Wrong::Cut,
                (wrong, _) => wrong,
            })?;
        }
        let last = self.last.ok_or(Wrong::Cut)?;
        let count = |key: &str| last.get(key).cloned().unwrap_or_default();
        Ok(json!({
            "model": self.model,
            "choices": [{
                "finish_reason": count("done_reason"),
                "message": {"content": self.content, "tool_calls": self.calls},
            }],
            // Either may be missing, the first one when the whole prompt was still in memory.
            "usage": {"prompt_tokens": count("prompt_eval_count"), "completion_tokens": count("eval_count")},
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Value, Wrong> {
        let mut lines = Lines::default();
        for part in parts {
            lines.feed(part)?;
        }
        lines.finish()
    }

    const STREAM: &str = concat!(
        "{\"model\":\"qwen3:8b\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm é🙂\"},\"done\":false}\n",
        "{\"model\":\"qwen3:8b\",\"message\":{\"content\":\"Die Pla\"},\"done\":false}\r\n\n",
        "{\"model\":\"qwen3:8b\",\"message\":{\"content\":\"tte ist voll 🙂\",\"tool_calls\":null},\"done\":false}\n",
        "{\"model\":\"qwen3:8b\",\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"look\",\"arguments\":{\"a\":1}}}]},\"done\":false}\n",
        "{\"model\":\"qwen3:8b\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":9}",
    );

    #[test]
    fn lines_read_the_same_at_every_split() {
        let whole = read([STREAM.as_bytes()]).unwrap();
        let calls = json!([{"function": {"name": "look", "arguments": {"a": 1}}}]);
        assert_eq!(
            whole,
            json!({"model": "qwen3:8b",
                   "choices": [{"finish_reason": "stop", "message": {"content": "Die Platte ist voll 🙂", "tool_calls": calls}}],
                   "usage": {"prompt_tokens": 26, "completion_tokens": 9}})
        );
        for at in 0..=STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(at);
            assert_eq!(read([a, b]).as_ref(), Ok(&whole), "split at {at}");
        }
        assert_eq!(read(STREAM.as_bytes().chunks(1)), Ok(whole));
    }

    #[test]
    fn l04_lines_that_end_early_are_no_answer() {
        // The last line may lack its newline; whatever else is missing, nothing is used.
        for at in 0..STREAM.len() {
            let wrong = read([&STREAM.as_bytes()[..at]]).unwrap_err();
            let begun = STREAM.find('\n').unwrap();
            assert!(wrong == Wrong::Cut || at < begun && matches!(wrong, Wrong::NotJson(_)), "{at}: {wrong:?}");
        }
        assert_eq!(
            read([&b"{\"message\":{\"content\":\"a\"}}\n{\"error\":\"runner stopped\"}\n"[..]]),
            Err(Wrong::Told("runner stopped".into()))
        );
        assert!(matches!(read([&b"<html>\n"[..]]), Err(Wrong::NotJson(_))));
    }
}
