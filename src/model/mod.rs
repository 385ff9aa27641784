//! L5: language models behind one trait.
//!
//! - [`OpenAi`] talks to any server of the chat completions protocol: `openai` decides and repeats,
//!   `transport` sends one request and bounds its answer, `wire` knows the shapes.
//! - [`ReplayModel`] answers from a script.
//! - [`about()`] asks a server what it serves; a [`Profile`] keeps how a model did when it was measured.
//!
//! A provider never runs anything and trusts nothing: what it returns is a proposal.

mod about;
mod bounds;
mod openai;
pub mod profile;
mod replay;
mod transport;
mod wire;

pub use about::{About, about};
pub use bounds::{MAX_CALLS, MAX_NAME_CHARS, bounded, bounded_args};
pub use openai::{OpenAi, OpenAiOptions};
pub use profile::{Grade, Profile, ProfileError, Standing};
pub use replay::ReplayModel;

use crate::domain::{ChatReply, ChatRequest};
use async_trait::async_trait;
use std::time::Duration;

/// A language model.
#[async_trait]
pub trait ModelProvider: Send + Sync + std::fmt::Debug {
    /// The name that the configuration gives it.
    fn name(&self) -> &str;

    /// The model that is asked for.
    fn model(&self) -> &str;

    /// What bounds a conversation with it, as far as it is known.
    fn limits(&self) -> Limits;

    /// Asks once, and repeats what can be repeated. Ends within the provider's own time limit.
    ///
    /// # Errors
    /// A [`ModelError`]; nothing of a failed answer may be used.
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, ModelError>;
}

/// What bounds a conversation with a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens that its context holds, question and answer together; `None` while nobody said.
    pub context_tokens: Option<u64>,
}

/// Why a model gave no usable answer. No text here ever contains a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The configuration cannot work.
    #[error("model `{model}`: {what}. Correct the entry under `models` in the configuration.")]
    Settings {
        /// The configured name.
        model: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nobody answers there.
    #[error("model `{model}`: cannot reach {base_url}: {why}. Check `base_url` and that the server runs.")]
    Unreachable {
        /// The configured name.
        model: String,
        /// Where.
        base_url: String,
        /// What the network said.
        why: String,
    },
    /// The answer took too long.
    #[error("model `{model}`: no answer within {after:?}. Raise its `timeout` or choose a faster model.")]
    Timeout {
        /// The configured name.
        model: String,
        /// The limit that was reached.
        after: Duration,
    },
    /// The server wants fewer requests.
    #[error("model `{model}`: rate limited ({message}). Wait{}, or raise the quota at the provider.", wait(.retry_after))]
    RateLimited {
        /// The configured name.
        model: String,
        /// When to come back, if the server said.
        retry_after: Option<Duration>,
        /// What the server said.
        message: String,
    },
    /// The server is in trouble (5xx), also after repeating.
    #[error(
        "model `{model}`: the server failed with {status}: {message}. Look at the server; the report without a model is kept."
    )]
    Unavailable {
        /// The configured name.
        model: String,
        /// HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The server does not want this request; repeating it changes nothing.
    #[error("model `{model}`: the server refused with {status}: {message}. {}", remedy(*.status))]
    Rejected {
        /// The configured name.
        model: String,
        /// HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The conversation does not fit into the model's context.
    #[error(
        "model `{model}`: the conversation is longer than its context ({message}). Choose a model with a larger context or lower the budgets."
    )]
    TooLong {
        /// The configured name.
        model: String,
        /// What the server said.
        message: String,
    },
    /// The answer passed the size limit and was not read further.
    #[error(
        "model `{model}`: the answer is larger than {limit} bytes and was dropped. Check what answers at `base_url`."
    )]
    TooLarge {
        /// The configured name.
        model: String,
        /// The limit.
        limit: usize,
    },
    /// The answer is not one.
    #[error("model `{model}`: unusable answer: {what}. Check that `base_url` ends where `/chat/completions` begins.")]
    Malformed {
        /// The configured name.
        model: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ModelError {
    /// Whether the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::RateLimited { .. } | Self::Unavailable { .. } => {
                true
            }
            Self::Settings { .. }
            | Self::Rejected { .. }
            | Self::TooLong { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |after| format!(" {} s", after.as_secs()))
}

const fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => "Check `api_key` and what it may use.",
        402 => "Check the account's balance.",
        404 => "Check `base_url` (it usually ends in /v1) and `model`.",
        300..=399 => "Redirects are not followed; put the final address into `base_url`.",
        _ => "Check `model` and whether the server supports tool calls.",
    }
}

#[cfg(test)]
mod tests;
