//! Asking the model: render, send, read the answer. What it proposes is judged elsewhere.

use super::driver::{Session, Talk};
use super::propose::choice::{self, Candidate};
use super::propose::{self, CallResult, Conversation, Interpretation, Opening, PastCall, Room};
use super::{EngineError, PricedModel};
use crate::domain::{
    Analysis, BlobRef, ChatReply, ChatRequest, Digest, Message, Observation, ProposedCall, Redactor, ToolOffer, Usage,
};
use crate::journal::{Actor, Body, Call, Draft, Progress, Proposal, Rejected};
use crate::model::{self, ModelError};
use crate::telemetry;
use crate::tools::evidence;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Characters that a token has on average; servers that count say better.
const CHARS_PER_TOKEN: u64 = 4;

impl Session<'_> {
    /// One turn: journals the request, sends it, journals what came back.
    pub(super) async fn ask(&mut self, turn: u32, must_answer: bool) -> Result<(), EngineError> {
        let Some(model) = self.model(turn) else {
            return self.asked_in_vain(turn, must_answer, "the model of this investigation is no longer configured");
        };
        let request = match self.request(turn, must_answer).await? {
            Ok(request) => request,
            Err(error) => return self.asked_in_vain(turn, must_answer, &error),
        };
        let size = request.messages.iter().map(|m| m.content.len()).sum::<usize>() + request.tools.len() * 600;
        let reserved_tokens = size as u64 / CHARS_PER_TOKEN + u64::from(request.max_tokens);
        let (request_digest, kept) = self.keep_request(&request)?;
        let body = Body::ModelAsked {
            turn,
            model: model.provider.name().to_owned(),
            request_digest,
            request: kept,
            reserved_tokens,
            must_answer,
        };
        self.record(Draft::engine(body))?;
        self.flush().await?;
        if self.signalled {
            self.take_signals().await?;
        }
        if self.inv.cancelled.is_some() {
            let error = "not sent: the investigation was cancelled".to_owned();
            let body = Body::ModelFailed { turn, error, transient: true, too_long: false };
            return self.record(Draft::engine(body));
        }
        let answer = match tokio::time::timeout(self.patience(), model.provider.chat(&request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ModelError::Timeout { model: model.provider.name().to_owned(), after: self.patience() }),
        };
        model.pulse.note(answer.is_ok());
        match answer {
            Ok(reply) => self.replied(turn, &model, &request, reply),
            Err(error) => {
                telemetry::model_turn(model.provider.name(), "failed", 0, 0);
                // A conversation that is too long for this model can be made shorter, if only once.
                let too_long = matches!(error, ModelError::TooLong { .. }) && self.can_be_shorter();
                let (transient, error) = (error.is_transient() || too_long, error.to_string());
                let error = self.engine.redactor.text(&error).0.into_owned();
                tracing::warn!(investigation = %self.inv.chain, %error, "the model gave no answer");
                self.record(Draft::engine(Body::ModelFailed { turn, error, transient, too_long }))
            }
        }
    }

    fn can_be_shorter(&self) -> bool {
        self.talk.conversation.as_ref().is_some_and(|conversation| !conversation.to_shorten(true).is_empty())
    }

    /// Keeps a request as what it adds to the one before it: a conversation repeats itself, its
    /// journal need not. The digest covers every message that is sent.
    fn keep_request(&mut self, request: &ChatRequest) -> Result<(Digest, BlobRef), EngineError> {
        // The demand for a last word is not part of what later requests repeat.
        let staying = request.messages.len() - usize::from(request.must_answer).min(request.messages.len());
        let sent = self.talk.said.len().min(staying);
        self.talk.said.truncate(sent);
        self.talk.said.extend(request.messages[sent..staying].iter().map(digest_of));
        let rest = request.messages[staying..].iter().map(digest_of);
        let tools = digest_of(&request.tools);
        let parts: Vec<Digest> = self.talk.said.iter().cloned().chain(rest).chain([tools]).collect();
        let kept = RequestKept {
            continues: self.talk.request.clone().filter(|_| sent > 0),
            messages_before: sent,
            messages: &request.messages[sent..],
            tools: &request.tools,
            must_answer: request.must_answer,
            max_tokens: request.max_tokens,
        };
        let kept = self.keep(&kept)?;
        self.talk.request = Some(kept.clone());
        Ok((Digest::of_parts(parts.iter().map(Digest::as_str)), kept))
    }

    /// The model whose turn it is: each failure of this turn passes it on to the next.
    fn model(&self, turn: u32) -> Option<PricedModel> {
        let frozen = self.inv.frozen.as_ref()?;
        let order: Vec<&String> = frozen.model.iter().chain(&frozen.fallbacks).collect();
        let failed = self.inv.turns.iter().find(|t| t.number == turn).map_or(0, |t| t.failures.len());
        let name = order.get(failed % order.len().max(1))?;
        self.engine.models.iter().find(|model| model.provider.name() == *name).cloned()
    }

    /// Notes a turn that never left the house; the work goes on without the model.
    fn asked_in_vain(&mut self, turn: u32, must_answer: bool, error: &str) -> Result<(), EngineError> {
        tracing::error!(investigation = %self.inv.chain, error, "the model cannot be asked");
        let model = self.inv.frozen.as_ref().and_then(|frozen| frozen.model.clone()).unwrap_or_default();
        let nothing = json!(null);
        let body = Body::ModelAsked {
            turn,
            model,
            request_digest: Digest::of("null"),
            request: self.keep(&nothing)?,
            reserved_tokens: 0,
            must_answer,
        };
        self.record(Draft::engine(body))?;
        let body = Body::ModelFailed { turn, error: error.to_owned(), transient: false, too_long: false };
        self.record(Draft::engine(body))
    }

    /// How long this turn may take: what is left of the investigation's time.
    fn patience(&self) -> Duration {
        let wall = self.inv.frozen.as_ref().map_or(0, |frozen| frozen.budget.wall_s);
        let gone = self.inv.opened_at.map_or(0, |at| self.now().duration_since(at).as_secs());
        Duration::from_secs(wall.saturating_sub(gone.max(0).unsigned_abs()).max(1))
    }

    /// Brings the conversation up to what the journal holds; in words why it cannot be rendered.
    async fn converse(&mut self) -> Result<Result<(), String>, EngineError> {
        if self.talk.first_turn != self.inv.first_turn {
            self.talk = Talk { first_turn: self.inv.first_turn, ..Talk::default() };
        }
        if self.talk.conversation.is_none() {
            match self.opening().await? {
                Ok(opening) => self.talk.conversation = Some(Conversation::begin(opening)),
                Err(error) => return Ok(Err(error)),
            }
        }
        let from = self.inv.first_turn.max(self.talk.last_turn + 1);
        let over: Vec<_> = self.inv.turns.iter().filter(|t| t.number >= from).cloned().collect();
        for turn in over {
            let Some(turn) = self.past_turn(&turn).await? else { continue };
            self.talk.last_turn = turn.number;
            if let Some(conversation) = &mut self.talk.conversation {
                conversation.add(&turn);
            }
        }
        self.shorten();
        Ok(Ok(()))
    }

    /// How the conversation begins.
    async fn opening(&mut self) -> Result<Result<Opening, String>, EngineError> {
        let analysis = self.analysis().await?;
        let context = self.prompt_context(&analysis);
        let frozen = self.inv.frozen.as_ref();
        let prompt = frozen.map_or("incident", |frozen| frozen.prompt.as_str());
        let templates = &self.engine.templates;
        let rendered = templates
            .render("system", &context)
            .and_then(|system| templates.render(prompt, &context).map(|incident| (system, incident)));
        Ok(match rendered {
            Err(error) => Err(error.to_string()),
            Ok((system, incident)) => Ok(Opening {
                offers: self.offers(system.len()),
                system,
                incident,
                nonce: self.nonce(),
                turns: frozen.map(|frozen| frozen.budget.turns).unwrap_or_default(),
                room: self.room(),
            }),
        })
    }

    /// What fits into the model's context.
    pub(super) fn room(&self) -> Room {
        Room::of(self.inv.frozen.as_ref().and_then(|frozen| frozen.context_tokens))
    }

    /// The tools of the route that only look, and that this kind of alert needs.
    fn offers(&self, system_chars: usize) -> Vec<ToolOffer> {
        let tools = &self.engine.tools;
        let wanted = self.inv.frozen.as_ref().map_or(&[][..], |frozen| &frozen.tools);
        let tags: BTreeMap<&str, &[String]> =
            tools.specs().into_iter().map(|spec| (spec.name.as_str(), spec.tags.as_slice())).collect();
        let mut offers = tools.offers(wanted);
        if !wanted.is_empty() {
            // A route that names its tools does not have to name the one that looks at none.
            let known = offers.iter().any(|offer| offer.name == evidence::EVIDENCE_READ);
            offers.extend(tools.offers(&[evidence::EVIDENCE_READ]).into_iter().filter(|_| !known));
        }
        let candidates: Vec<Candidate> = offers
            .into_iter()
            .map(|offer| Candidate {
                tags: tags.get(offer.name.as_str()).map(|t| t.to_vec()).unwrap_or_default(),
                offer,
            })
            .collect();
        let families = self.inv.opening().map(choice::families).unwrap_or_default();
        choice::choose(&candidates, &families, wanted, system_chars)
    }

    /// Applies what the journal says was made shorter.
    fn shorten(&mut self) {
        let Some(conversation) = &mut self.talk.conversation else { return };
        let known = self.talk.shortened.min(self.inv.shortened.len());
        if let Some(first) = conversation.shorten(&self.inv.shortened[known..]) {
            self.talk.said.truncate(first);
        }
        self.talk.shortened = self.inv.shortened.len();
    }

    /// Makes the conversation shorter where it has grown too long, which is an entry of its own.
    fn compact(&mut self, turn: u32) -> Result<(), EngineError> {
        let Some(conversation) = &self.talk.conversation else { return Ok(()) };
        let over = self.inv.turns.last().is_some_and(|last| last.number == turn && last.too_long);
        let calls = conversation.to_shorten(over);
        if calls.is_empty() {
            return Ok(());
        }
        let mut shorter = conversation.clone();
        shorter.shorten(&calls);
        let (chars_before, chars_after) = (conversation.chars() as u64, shorter.chars() as u64);
        telemetry::compacted(calls.len() as u64);
        self.record(Draft::engine(Body::Compacted { turn, calls, chars_before, chars_after }))?;
        self.shorten();
        Ok(())
    }

    /// The conversation so far as a request; in words why it cannot be rendered.
    async fn request(&mut self, turn: u32, must_answer: bool) -> Result<Result<ChatRequest, String>, EngineError> {
        if let Err(error) = self.converse().await? {
            return Ok(Err(error));
        }
        self.compact(turn)?;
        let last_word = match must_answer {
            false => None,
            true => {
                let context = self.last_word_context().await?;
                match self.engine.templates.render("final", &context) {
                    Ok(text) => Some(text),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
        };
        let conversation = self.talk.conversation.as_ref().map(|talk| talk.request(last_word.as_deref()));
        Ok(conversation.ok_or_else(|| "there is no conversation".to_owned()))
    }

    async fn last_word_context(&mut self) -> Result<Value, EngineError> {
        let analysis = self.analysis().await?;
        Ok(self.prompt_context(&analysis))
    }

    /// What the survey concluded; empty when the payload was deleted.
    pub(super) async fn analysis(&mut self) -> Result<Analysis, EngineError> {
        match self.inv.survey.analysis.clone() {
            None => Ok(Analysis::default()),
            Some(blob) => Ok(self.fetch(&blob).await?.unwrap_or_default()),
        }
    }

    /// A turn that is over, with what came of its calls; `None` while it is not.
    async fn past_turn(&mut self, turn: &crate::journal::Turn) -> Result<Option<propose::Turn>, EngineError> {
        let (Some(reply), Some(proposal)) = (&turn.reply, &turn.proposal) else { return Ok(None) };
        let Some(reply) = self.fetch::<ChatReply>(reply).await? else { return Ok(None) };
        let remedy = match proposal {
            Proposal::Invalid { remedy } => Some(remedy.clone()),
            Proposal::Calls { .. } | Proposal::Report { .. } => None,
        };
        let states: Vec<_> = self.inv.calls.iter().filter(|c| c.turn == Some(turn.number)).cloned().collect();
        let mut results = vec![];
        for state in states {
            let passage = state.call.tool == evidence::EVIDENCE_READ;
            let call_id = state.call.id;
            results.push(match state.progress {
                Progress::Seen { observation, evidence_id, excerpt, .. } => {
                    let seen: Option<Observation> = self.fetch(&observation).await?;
                    let text = seen.map_or_else(|| "(deleted)".to_owned(), |seen| seen.text);
                    CallResult::Observed { call_id, evidence_id, text, gist: excerpt, passage }
                }
                Progress::Failed { error, .. } => CallResult::Failed { call_id, text: error },
                Progress::Rejected { remedy } => CallResult::Refused { call_id, text: remedy },
                Progress::Planned | Progress::Started => continue,
            });
        }
        Ok(Some(propose::Turn { number: turn.number, reply, results, remedy }))
    }

    fn replied(
        &mut self,
        turn: u32,
        model: &PricedModel,
        request: &ChatRequest,
        reply: ChatReply,
    ) -> Result<(), EngineError> {
        let reply = self.without_secrets(reply);
        let usage = counted(request, &reply);
        #[allow(clippy::cast_precision_loss)]
        let cost_usd = (usage.tokens_in as f64 * model.input_per_mtok
            + usage.tokens_out as f64 * model.output_per_mtok)
            / 1_000_000.0;
        let proposal = self.proposal(turn, &request.tools, &reply)?;
        telemetry::model_turn(model.provider.name(), "answered", usage.tokens_in, usage.tokens_out);
        let name = reply.model.clone();
        let reply = self.keep(&reply)?;
        let body = Body::ModelReplied { turn, model: name.clone(), reply, proposal, usage, cost_usd };
        self.record(Draft::new(Actor::Model(name), body))
    }

    /// What a model says is text from outside, too.
    fn without_secrets(&self, reply: ChatReply) -> ChatReply {
        clean(reply, &self.engine.redactor)
    }

    fn proposal(&mut self, turn: u32, offers: &[ToolOffer], reply: &ChatReply) -> Result<Proposal, EngineError> {
        let of_model = self.inv.calls.iter().filter(|c| c.turn.is_some_and(|t| t >= self.inv.first_turn));
        let history: Vec<PastCall> =
            of_model.map(|c| PastCall { tool: c.call.tool.clone(), args: c.call.args.clone() }).collect();
        let refused = |rejected: Vec<(ProposedCall, String)>| {
            rejected.into_iter().map(|(proposed, remedy)| Rejected { call: call_of(proposed), remedy }).collect()
        };
        Ok(match propose::interpret(reply, turn, &history, offers) {
            Interpretation::Calls { accept, rejected } => {
                Proposal::Calls { accepted: accept.into_iter().map(call_of).collect(), rejected: refused(rejected) }
            }
            Interpretation::Repetition { rejected } => {
                Proposal::Calls { accepted: vec![], rejected: refused(rejected) }
            }
            Interpretation::Report(report) => Proposal::Report { report: self.keep(&report)? },
            Interpretation::Invalid { remedy } => Proposal::Invalid { remedy },
        })
    }

    /// Marks what is untrusted in prompts: whoever writes alerts cannot guess it, and it is the same
    /// for the whole investigation.
    pub(super) fn nonce(&self) -> String {
        let salted = self.inv.opening().map(|event| event.raw.commitment.to_string()).unwrap_or_default();
        Digest::of_parts(["firewarden/prompt-nonce", &self.inv.chain, &salted]).short(16).to_owned()
    }
}

/// `reply` in bounds and without secrets, whichever provider gave it.
fn clean(reply: ChatReply, redactor: &Redactor) -> ChatReply {
    let mut reply = model::bounded(reply);
    reply.content = redactor.text(&reply.content).0.into_owned();
    reply.model = redactor.text(&reply.model).0.chars().take(100).collect();
    for call in &mut reply.calls {
        redactor.json(&mut call.args);
        call.id = redactor.text(&call.id).0.into_owned();
        call.tool = redactor.text(&call.tool).0.into_owned();
    }
    // A mark can be longer than what it replaces.
    model::bounded(reply)
}

/// A request as it is kept.
#[derive(Serialize)]
struct RequestKept<'a> {
    /// The request that this one repeats and adds to.
    continues: Option<BlobRef>,
    /// How many messages it repeats.
    messages_before: usize,
    /// The messages that it adds.
    messages: &'a [Message],
    tools: &'a [ToolOffer],
    must_answer: bool,
    max_tokens: u32,
}

fn digest_of<T: Serialize>(part: &T) -> Digest {
    Digest::of(serde_json::to_vec(part).unwrap_or_default())
}

fn call_of(proposed: ProposedCall) -> Call {
    Call { id: proposed.id, tool: proposed.tool, args: proposed.args, need: Value::Null }
}

/// What the turn is counted as: the server's figures, or our own estimate where that is larger.
fn counted(request: &ChatRequest, reply: &ChatReply) -> Usage {
    let sent: usize = request.messages.iter().map(|message| message.content.len()).sum();
    let arguments: usize = reply.calls.iter().map(|call| call.args.to_string().len()).sum();
    let said = reply.usage.unwrap_or_default();
    // Half of the estimate: tokenizers differ, and a server that counts honestly is believed.
    Usage {
        tokens_in: said.tokens_in.max(sent as u64 / CHARS_PER_TOKEN / 2),
        tokens_out: said.tokens_out.max((reply.content.len() + arguments) as u64 / CHARS_PER_TOKEN / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FinishReason;

    #[test]
    fn an_answer_of_any_provider_is_in_bounds_and_without_secrets() {
        let redactor = Redactor::new(["s3cr3t-value"]).unwrap();
        let mut deep = json!("s3cr3t-value");
        for _ in 0..122 {
            deep = json!({"a": deep});
        }
        let call = |args: Value| ProposedCall { id: "s3cr3t-value".into(), tool: "s3cr3t-value ".repeat(100), args };
        let mut calls = vec![call(deep), call(json!({"s3cr3t-value": "s3cr3t-value"}))];
        calls.extend((0..100).map(|_| call(json!({}))));
        let reply = ChatReply {
            model: "m".into(),
            content: "s3cr3t-value".into(),
            calls,
            finish: FinishReason::ToolCalls,
            usage: None,
        };
        let clean = clean(reply, &redactor);
        assert_eq!(clean.calls.len(), model::MAX_CALLS);
        assert!(clean.calls.iter().all(|call| call.tool.chars().count() <= model::MAX_NAME_CHARS));
        assert_eq!(clean.calls[1].args, json!({"[redacted]": "[redacted]"}));
        let text = serde_json::to_string(&clean).unwrap();
        assert!(!text.contains("s3cr3t-value"), "{text}");
        assert_eq!(serde_json::from_str::<ChatReply>(&text).unwrap(), clean);
    }
}
