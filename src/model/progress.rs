//! How far an answer is.

use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was sent, and how many pieces of the answer have arrived. Whoever waits reads it from
/// elsewhere; nobody is called back, so a slow reader cannot hold up an answer.
#[derive(Debug, Default)]
pub struct Progress {
    pieces: AtomicU64,
    sent: Mutex<Option<Value>>,
}

impl Progress {
    /// Another piece is there, thoughts included. Servers send about one token in each.
    pub fn piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// A request with this `body` leaves, and its answer begins anew: the attempt before it failed, if
    /// there was one.
    pub fn begin(&self, body: &Value) {
        self.begin_beside(beside_the_messages(body));
    }

    /// As [`Self::begin`], with what [`Self::sent`] is to say.
    pub(super) fn begin_beside(&self, sent: Value) {
        self.pieces.store(0, Ordering::Relaxed);
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
    }

    /// What was last sent, in the server's own words: the body without its messages, and of tools the
    /// names alone. Credentials are no part of a body.
    pub fn sent(&self) -> Option<Value> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// About how many tokens are there; 0 while the first one is awaited.
    pub fn tokens(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }
}

fn beside_the_messages(body: &Value) -> Value {
    let name = |tool: &Value| tool.pointer("/function/name").cloned();
    let parts = body.as_object().into_iter().flatten().filter_map(|(key, value)| match key.as_str() {
        "messages" => None,
        "tools" => Some((key.clone(), value.as_array().into_iter().flatten().filter_map(name).collect())),
        _ => Some((key.clone(), value.clone())),
    });
    Value::Object(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_sent_is_told_without_what_the_transcript_has_already() {
        let progress = Progress::default();
        assert_eq!(progress.sent(), None);
        progress.piece();
        progress.begin(&json!({"model": "m", "messages": [{"role": "user"}], "tools": [{"function": {"name": "a", "parameters": {}}}],
                               "tool_choice": "auto"}));
        assert_eq!(progress.tokens(), 0);
        assert_eq!(progress.sent(), Some(json!({"model": "m", "tools": ["a"], "tool_choice": "auto"})));
        let format = json!({"type": "json_schema", "json_schema": {"name": "submit_report"}});
        progress.begin(&json!({"messages": [], "response_format": format}));
        assert_eq!(progress.sent(), Some(json!({"response_format": format})));
    }
}
