//! L5: language models behind one trait.
//!
//! - [`OpenAi`] talks to any server of the chat completions protocol: `openai` decides and repeats,
//!   `dialect` knows what the server turned out not to understand, `transport` sends one request and
//!   bounds its answer, `assemble` makes one answer of a stream, `wire` knows the shapes.
//! - [`Ollama`] talks to Ollama in its own protocol.
//! - [`ReplayModel`] answers from a script or a recorded conversation.
//! - [`about()`] asks a server what it serves; a [`Profile`] keeps how a model did when it was measured.
//! - `pace` says when to repeat and when to wait; `error` why there is no answer.
//!
//! A provider never runs anything and trusts nothing: what it returns is a proposal.

mod about;
mod assemble;
mod bounds;
mod dialect;
mod error;
mod fault;
mod ollama;
mod openai;
mod pace;
pub mod profile;
mod progress;
mod replay;
mod thoughts;
mod transport;
mod wire;

pub use about::{About, about};
pub use bounds::{MAX_CALLS, MAX_NAME_CHARS, bounded, bounded_args};
pub use dialect::{CacheMarks, Structured};
pub use error::ModelError;
pub use ollama::{Ollama, OllamaOptions};
pub use openai::{OpenAi, OpenAiOptions};
pub use profile::{Grade, Profile, ProfileError, Standing};
pub use progress::Progress;
pub use replay::ReplayModel;

use crate::domain::{ChatReply, ChatRequest};
use async_trait::async_trait;
use std::sync::Arc;

/// A language model.
#[async_trait]
pub trait ModelProvider: Send + Sync + std::fmt::Debug {
    /// The name that the configuration gives it.
    fn name(&self) -> &str;

    /// The model that is asked for.
    fn model(&self) -> &str;

    /// What bounds a conversation with it, as far as it is known.
    fn limits(&self) -> Limits;

    /// Learns what can be known before the first question. Whatever fails here is told by
    /// [`chat`](Self::chat) when it matters.
    async fn prepare(&self) {}

    /// Asks once, and repeats what can be repeated. Ends within the provider's own time limit.
    /// `progress` hears how much of the answer is there.
    ///
    /// # Errors
    /// A [`ModelError`]; nothing of a failed answer may be used.
    async fn chat(&self, request: &ChatRequest, progress: &Arc<Progress>) -> Result<ChatReply, ModelError>;
}

/// What bounds a conversation with a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens that its context holds, question and answer together; `None` while nobody said.
    pub context_tokens: Option<u64>,
}

#[cfg(test)]
mod tests;
