//! Requests beside the conversation: what a cheap model was asked to condense.

use super::{Kept, Payloads, Request};
use crate::domain::{BlobRef, ChatReply, Digest, Usage};
use crate::journal::{Body, Entry, SummaryOf, SummaryReply};
use crate::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A summary: its request, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Aside {
    /// From 1.
    pub number: u32,
    /// The turn before which it was asked for.
    pub before_turn: u32,
    /// What was condensed.
    pub of: SummaryOf,
    /// The configured name of the model that was asked.
    pub asked: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The model's name for itself.
    pub answered: Option<String>,
    /// Milliseconds until the answer.
    pub took_ms: Option<u64>,
    /// Tokens, as counted.
    pub usage: Option<Usage>,
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Why there is none; nobody knows where both this and the answer are missing.
    pub error: Option<String>,
    /// The request.
    pub request: Kept<Request>,
    /// What the server was sent beside the messages.
    pub sent: Option<Kept<Value>>,
    /// The answer, as it was used.
    pub reply: Option<Kept<ChatReply>>,
    #[serde(skip)]
    request_ref: BlobRef,
    #[serde(skip)]
    digest: Digest,
    #[serde(skip)]
    sent_ref: Option<BlobRef>,
    #[serde(skip)]
    reply_ref: Option<BlobRef>,
}

/// Takes from `entry` what it says of summaries.
pub(super) fn note(list: &mut Vec<Aside>, entry: &Entry) {
    match &entry.body {
        Body::SummaryAsked { number, of, turn, model, request_digest, request, .. } => list.push(Aside {
            number: *number,
            before_turn: *turn,
            of: of.clone(),
            asked: model.clone(),
            asked_at: entry.at,
            answered: None,
            took_ms: None,
            usage: None,
            cost_usd: None,
            error: None,
            request: Kept::missing("not read yet"),
            sent: None,
            reply: None,
            request_ref: request.clone(),
            digest: request_digest.clone(),
            sent_ref: None,
            reply_ref: None,
        }),
        Body::SummaryWritten(SummaryReply { number, model, reply, usage, cost_usd, sent }) => {
            if let Some(last) = list.last_mut().filter(|last| last.number == *number) {
                last.answered = Some(model.clone());
                last.took_ms = u64::try_from(entry.at.duration_since(last.asked_at).as_millis()).ok();
                last.usage = Some(*usage);
                last.cost_usd = Some(*cost_usd);
                last.sent_ref.clone_from(sent);
                last.reply_ref = Some(reply.clone());
            }
        }
        Body::SummaryFailed { number, error, .. } => {
            if let Some(last) = list.last_mut().filter(|last| last.number == *number) {
                last.error = Some(error.clone());
            }
        }
        _ => {}
    }
}

impl Aside {
    /// Reads its payloads.
    pub(super) async fn fill(&mut self, payloads: &mut Payloads<'_>) -> Result<(), StoreError> {
        self.request = payloads.request(&self.request_ref, &self.digest).await?;
        if let Some(sent) = &self.sent_ref {
            self.sent = Some(payloads.json(sent).await?);
        }
        if let Some(reply) = &self.reply_ref {
            self.reply = Some(payloads.json(reply).await?);
        }
        Ok(())
    }
}
