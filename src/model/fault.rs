//! How one request failed, and what is told of it.

use super::ModelError;
use crate::domain::Redactor;
use serde_json::Value;
use std::time::Duration;

/// Characters of a server's error text that are kept.
const MAX_MESSAGE_CHARS: usize = 300;

/// How one request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection.
    #[error("not connected: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The answer began and then nothing came.
    #[error("stalled for {0:?}")]
    Stalled(Duration),
    /// The connection broke in the middle.
    #[error("broken off: {0}")]
    Broken(String),
    /// A status that is no success.
    #[error("status {status}")]
    Status { status: u16, message: String, retry_after: Option<Duration> },
    /// More bytes than allowed.
    #[error("too large")]
    TooLarge,
    /// No JSON.
    #[error("no JSON: {0}")]
    NotJson(String),
}

impl Fault {
    /// What an HTTP client met. The address is ours and known; the innermost cause is what helps.
    pub(super) fn of_network(is_connect: bool, is_timeout: bool, error: &dyn std::error::Error) -> Self {
        let why = innermost(error);
        match (is_connect, is_timeout) {
            (true, _) => Self::Connect(why),
            (false, true) => Self::Timeout,
            (false, false) => Self::Broken(why),
        }
    }
}

/// The words of the innermost cause.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whom the faults are of.
#[derive(Debug)]
pub(super) struct Peer {
    /// The configured name.
    pub(super) name: String,
    /// Where it is.
    pub(super) base_url: String,
    /// Until the whole answer is there.
    pub(super) timeout: Duration,
    /// Bytes of one answer.
    pub(super) max_body: usize,
    /// Knows the key.
    pub(super) redactor: Redactor,
}

impl Peer {
    /// A fault in the words of whoever asked.
    pub(super) fn explain(&self, fault: Fault) -> ModelError {
        let model = self.name.clone();
        let base_url = self.base_url.clone();
        match fault {
            Fault::Connect(why) => ModelError::Unreachable { model, base_url, why: self.clean(&why) },
            Fault::Broken(why) => ModelError::Broken { model, base_url, why: self.clean(&why) },
            Fault::Timeout => ModelError::Timeout { model, after: self.timeout },
            Fault::Stalled(after) => ModelError::Stalled { model, after },
            Fault::TooLarge => ModelError::TooLarge { model, limit: self.max_body },
            Fault::NotJson(what) => self.malformed(&format!("no JSON ({what})")),
            Fault::Status { status: 429, message, retry_after } => {
                ModelError::RateLimited { model, retry_after, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } if is_context_overflow(status, &message) => {
                ModelError::TooLong { model, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } if status >= 500 => {
                ModelError::Unavailable { model, status, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } => {
                ModelError::Rejected { model, status, message: self.clean(&message) }
            }
        }
    }

    /// An answer that is none.
    pub(super) fn malformed(&self, what: &str) -> ModelError {
        ModelError::Malformed { model: self.name.clone(), what: self.clean(what) }
    }

    /// Holds an answer to the model that is admitted.
    ///
    /// # Errors
    /// [`ModelError::NotPinned`] when another one answered, or one that does not say its name.
    pub(super) fn pinned(&self, pin: Option<&str>, answer: &Value) -> Result<(), ModelError> {
        let answered = answer.get("model").and_then(Value::as_str).unwrap_or_default();
        let is_error = answer.get("error").is_some_and(|error| !error.is_null());
        match pin {
            Some(pinned) if answered != pinned && !is_error => Err(ModelError::NotPinned {
                model: self.name.clone(),
                pinned: pinned.to_owned(),
                answered: self.clean(answered),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// A server's words, fit for logs: some echo the key.
    pub(super) fn clean(&self, text: &str) -> String {
        let (text, _) = self.redactor.text(text);
        let plain: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect();
        plain.trim().to_owned()
    }
}

/// Whether a server means that the conversation is too long.
pub(super) fn is_context_overflow(status: u16, message: &str) -> bool {
    const WORDS: [&str; 5] =
        ["context_length_exceeded", "exceed_context_size", "context size", "context length", "context window"];
    matches!(status, 400 | 413 | 422 | 500) && WORDS.iter().any(|word| message.to_ascii_lowercase().contains(word))
}
