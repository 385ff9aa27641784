//! Summaries: a cheap model condenses what is too long for the conversation. Each is a request of
//! its own, reserved, journaled and settled like any; what comes of it stands beside the result that
//! it is of, never in its place. Without one the conversation does as it always did.

use super::driver::Session;
use super::{EngineError, PricedModel, propose};
use crate::domain::excerpt::ends;
use crate::domain::{ChatReply, ChatRequest, Message, Observation, Role, Rung};
use crate::journal::{Actor, Body, Compacted, Draft, MAX_SUMMARIES, Progress, SummaryOf, SummaryReply};
use crate::model::ModelError;
use crate::telemetry;
use crate::template::fence::{fence, visible};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Summaries of the results of one turn: the longest get them.
const A_TURN: usize = 2;
/// How long a summary is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most tokens of the answer; thoughts count, too.
const ANSWER_TOKENS: u32 = 1_024;

/// Who condenses what is too long for a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summaries {
    /// Nobody: the beginning and the end of a long result are shown, and of an old one the gist.
    Off,
    /// The first model that is marked as cheap; nobody where none is.
    #[default]
    Cheap,
}

impl Session<'_> {
    /// Has the results of `past` condensed that are too long for turn `next` of `model`. Whether one
    /// was.
    pub(super) async fn condense(
        &mut self,
        next: u32,
        past: &propose::Turn,
        model: &PricedModel,
    ) -> Result<bool, EngineError> {
        let Some(cheap) = self.condenser(model) else { return Ok(false) };
        let long = self.talk.conversation.as_ref().map(|talk| talk.too_long(past)).unwrap_or_default();
        let long: Vec<String> = long.into_iter().take(A_TURN).map(str::to_owned).collect();
        let mut any = false;
        for call_id in long {
            let seen = self.inv.calls.iter().find(|state| state.call.id == call_id).map(|state| &state.progress);
            let Some(Progress::Seen { observation, .. }) = seen.cloned() else { continue };
            let Some(seen) = self.fetch::<Observation>(&observation).await? else { continue };
            any |= self.ask_for(next, &cheap, SummaryOf::Result { call_id }, seen.whole()).await?;
        }
        Ok(any)
    }

    /// Makes the conversation shorter where it has grown too long for turn `turn` of `model`, which is
    /// an entry of its own.
    pub(super) async fn compact(&mut self, turn: u32, model: &PricedModel) -> Result<(), EngineError> {
        let Some(conversation) = &self.talk.conversation else { return Ok(()) };
        let over = self.inv.turns.last().is_some_and(|last| last.number == turn && last.too_long);
        let calls = conversation.to_shorten(over);
        if calls.is_empty() {
            return Ok(());
        }
        if let Some(cheap) = self.condenser(model) {
            let dropped = conversation.said_of(&calls).join("\n\n");
            self.ask_for(turn, &cheap, SummaryOf::Dropped { calls: calls.clone() }, &dropped).await?;
        }
        let summaries = self.summaries_of_dropped().await?;
        let Some(conversation) = &self.talk.conversation else { return Ok(()) };
        let mut shorter = conversation.clone();
        shorter.shorten(&calls, &summaries);
        let (chars_before, chars_after) = (conversation.chars() as u64, shorter.chars() as u64);
        telemetry::compacted(calls.len() as u64);
        self.record(Draft::engine(Body::Compacted(Compacted { turn, calls, chars_before, chars_after })))?;
        self.shorten().await
    }

    /// Applies what the journal says was made shorter.
    pub(super) async fn shorten(&mut self) -> Result<(), EngineError> {
        let known = self.talk.shortened.min(self.inv.shortened.len());
        if known == self.inv.shortened.len() {
            return Ok(());
        }
        let summaries = self.summaries_of_dropped().await?;
        let Some(conversation) = &mut self.talk.conversation else { return Ok(()) };
        if let Some(first) = conversation.shorten(&self.inv.shortened[known..], &summaries) {
            self.talk.said.truncate(first);
        }
        self.talk.shortened = self.inv.shortened.len();
        Ok(())
    }

    /// What was made of `of`, if anything was.
    pub(super) async fn summary(&mut self, of: &SummaryOf) -> Result<Option<String>, EngineError> {
        let Some(reply) = self.inv.summary_of(of).and_then(|summary| summary.reply.clone()) else { return Ok(None) };
        let reply = self.fetch::<ChatReply>(&reply).await?;
        Ok(reply.map(|reply| visible(&reply.content).trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// What was made of results that were dropped together, by the last call of each such group.
    async fn summaries_of_dropped(&mut self) -> Result<BTreeMap<String, String>, EngineError> {
        let of: Vec<SummaryOf> = self.inv.summaries.iter().map(|summary| summary.of.clone()).collect();
        let mut found = BTreeMap::new();
        for of in of {
            let SummaryOf::Dropped { calls } = &of else { continue };
            if let (Some(last), Some(summary)) = (calls.last().cloned(), self.summary(&of).await?) {
                found.insert(last, summary);
            }
        }
        Ok(found)
    }

    /// The model that condenses for `model`: one that costs less and answers, while the work is done
    /// in full.
    fn condenser(&self, model: &PricedModel) -> Option<PricedModel> {
        let full = self.inv.ladder.as_ref().is_some_and(|ladder| ladder.rung == Rung::Full);
        let cheap = self.cheap().filter(|_| full && self.engine.summaries == Summaries::Cheap)?;
        let other = cheap.provider.name() != model.provider.name();
        (other && !cheap.pulse.rests(self.now())).then(|| cheap.clone())
    }

    /// Asks `cheap` for a summary of `material` before turn `turn`. Whether one came; why not stands
    /// in the journal. Nothing is asked for twice, and nothing that costs more than a small part of
    /// what is left.
    async fn ask_for(
        &mut self,
        turn: u32,
        cheap: &PricedModel,
        of: SummaryOf,
        material: &str,
    ) -> Result<bool, EngineError> {
        if self.inv.summary_of(&of).is_some() || self.inv.summaries.len() >= MAX_SUMMARIES {
            return Ok(false);
        }
        let request = match self.request_for(cheap, material) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(investigation = %self.inv.chain, error, "no summary can be asked for");
                return Ok(false);
            }
        };
        let Some(reserved) = self.afford_aside(cheap, &request).await? else { return Ok(false) };
        let number = u32::try_from(self.inv.summaries.len()).unwrap_or(u32::MAX).saturating_add(1);
        let (request_digest, kept) = self.keep_aside(&request)?;
        let name = cheap.provider.name().to_owned();
        self.record(Draft::engine(Body::SummaryAsked {
            number,
            of,
            turn,
            model: name.clone(),
            request_digest,
            request: kept,
            reserved_tokens: reserved.tokens(),
            reserved_usd: reserved.cost_usd,
            max_tokens: request.max_tokens,
        }))?;
        self.flush().await?;
        if self.signalled {
            self.take_signals().await?;
        }
        if self.inv.cancelled.is_some() {
            self.unreserve();
            let error = "not sent: the investigation was cancelled".to_owned();
            self.record(Draft::engine(Body::SummaryFailed { number, error, charged: false }))?;
            return Ok(false);
        }
        let patience = self.patience().min(PATIENCE);
        let (waiting, progress) = self.engine.live.begin(&self.inv.chain, turn, &name, self.now());
        let answer = tokio::time::timeout(patience, cheap.provider.chat(&request, &progress)).await;
        drop(waiting);
        let answer = answer.unwrap_or(Err(ModelError::Timeout { model: name, after: patience }));
        cheap.pulse.note(&answer, self.now());
        let sent = self.keep_sent(&progress)?;
        let reply = match answer {
            Ok(reply) => self.without_secrets(reply),
            Err(error) => {
                let charged = self.settle_failure(cheap, &error, &reserved);
                let error = self.engine.redactor.load().text(&error.to_string()).0.into_owned();
                tracing::warn!(investigation = %self.inv.chain, %error, "the conversation does without a summary");
                self.record(Draft::engine(Body::SummaryFailed { number, error, charged }))?;
                return Ok(false);
            }
        };
        let (usage, cost_usd) = self.settle(cheap, &request, &reply, &reserved);
        let model = reply.model.clone();
        let written = !visible(&reply.content).trim().is_empty();
        let reply = self.keep(&reply)?;
        let reply = SummaryReply { number, model: model.clone(), reply, usage, cost_usd, sent };
        let body = Body::SummaryWritten(reply);
        self.record(Draft::new(Actor::Model(model), body))?;
        Ok(written)
    }

    /// The request for a summary of `material`; in words why it cannot be rendered.
    fn request_for(&self, cheap: &PricedModel, material: &str) -> Result<ChatRequest, String> {
        let rules = self.engine.templates.render("summary", &serde_json::json!({})).map_err(|e| e.to_string())?;
        let chars = self.room_of(cheap.provider.name()).material_chars;
        let material = ends(&visible(material), chars, |_| "not shown here".to_owned());
        let say = |role, content| Message { role, content, calls: vec![], answers: None };
        let material = fence(&material, "tool result", &self.nonce(), chars.saturating_mul(2));
        let messages = [say(Role::System, rules), say(Role::User, material)];
        Ok(ChatRequest::new(messages, vec![], ANSWER_TOKENS))
    }
}
