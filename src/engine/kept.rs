//! Requests as the journal keeps them.

use super::EngineError;
use super::driver::Session;
use crate::domain::{BlobRef, ChatRequest, Digest, Message, Part, ToolOffer};
use crate::model;
use serde::Serialize;

impl Session<'_> {
    /// Keeps a request as what it adds to the one before it: a conversation repeats itself, its
    /// journal need not. The digest covers every message that is sent.
    pub(super) fn keep_request(&mut self, request: &ChatRequest) -> Result<(Digest, BlobRef), EngineError> {
        // The demand for a last word is not part of what later requests repeat.
        let staying = request.messages.len() - usize::from(request.must_answer).min(request.messages.len());
        let sent = self.talk.said.len().min(staying);
        self.talk.said.truncate(sent);
        self.talk.said.extend(request.messages[sent..staying].iter().map(digest));
        let rest = request.messages[staying..].iter().map(digest);
        let tools = digest(&request.tools);
        let parts: Vec<Digest> = self.talk.said.iter().cloned().chain(rest).chain([tools.clone()]).collect();
        let continues = self.talk.request.clone().filter(|_| sent > 0);
        let offered_before = self.talk.offered.replace(tools.clone());
        let kept = RequestKept {
            tools: (continues.is_none() || offered_before != Some(tools)).then_some(&request.tools),
            continues,
            messages_before: sent,
            messages: &request.messages[sent..],
            must_answer: request.must_answer,
            max_tokens: request.max_tokens,
        };
        let kept = self.keep(&kept)?;
        self.talk.request = Some(kept.clone());
        Ok((Digest::of_parts(parts.iter().map(Digest::as_str)), kept))
    }

    /// Keeps a request that stands alone.
    pub(super) fn keep_aside(&mut self, request: &ChatRequest) -> Result<(Digest, BlobRef), EngineError> {
        let parts: Vec<Digest> = request.messages.iter().map(digest).chain([digest(&request.tools)]).collect();
        let kept = self.keep(&RequestKept {
            continues: None,
            messages_before: 0,
            messages: &request.messages,
            tools: Some(&request.tools),
            must_answer: request.must_answer,
            max_tokens: request.max_tokens,
        })?;
        Ok((Digest::of_parts(parts.iter().map(Digest::as_str)), kept))
    }

    /// Keeps what a server was last sent beside the messages; nothing where nothing was sent.
    pub(super) fn keep_sent(&mut self, progress: &model::Progress) -> Result<Option<BlobRef>, EngineError> {
        progress.sent().map(|sent| self.keep(&sent)).transpose()
    }
}

/// A request as it is kept.
#[derive(Serialize)]
struct RequestKept<'a> {
    /// The request that this one repeats and adds to.
    continues: Option<BlobRef>,
    /// How many messages it repeats.
    messages_before: usize,
    /// The messages that it adds.
    messages: &'a [Part<Message>],
    /// What was on offer, where it is not the same as in the request before.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a Vec<ToolOffer>>,
    must_answer: bool,
    max_tokens: u32,
}

/// The digest of one part of a request.
fn digest<T: Serialize>(part: &Part<T>) -> Digest {
    Digest::of(part.json())
}

/// The digest of one part of a request that was read again.
pub(super) fn digest_of<T: Serialize>(part: &T) -> Digest {
    Digest::of(serde_json::to_vec(part).unwrap_or_default())
}
