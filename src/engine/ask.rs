//! Asking the model: render, send, read the answer. What it proposes is judged elsewhere.

use super::driver::{Session, Talk};
use super::propose::choice::{self, Candidate};
use super::propose::{self, CallResult, Conversation, Interpretation, Opening, PastCall, Reading, Room};
use super::{EngineError, PricedModel};
use crate::domain::{
    Analysis, BlobRef, ChatReply, ChatRequest, Digest, Effect, ProposedCall, Redactor, Reservation, Risk, SreEvent,
    ToolOffer,
};
use crate::journal::{Actor, Body, Call, CallState, Draft, Progress, Proposal, Rejected, SummaryOf};
use crate::model::{self, ModelError};
use crate::telemetry;
use crate::tools::{Registry, evidence};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

impl Session<'_> {
    /// One turn: journals the request, sends it, journals what came back.
    pub(super) async fn ask(&mut self, turn: u32, must_answer: bool) -> Result<(), EngineError> {
        let Some(model) = self.model(turn) else {
            return self.asked_in_vain(turn, must_answer, "the model of this investigation is no longer configured");
        };
        let mut request = match self.request(turn, must_answer, &model).await? {
            Ok(request) => request,
            Err(error) => return self.asked_in_vain(turn, must_answer, &error),
        };
        // Without room the work has gone a rung down, and the next step is another one.
        let Some(reserved) = self.afford(&model, &mut request).await? else { return Ok(()) };
        let (request_digest, kept) = self.keep_request(&request)?;
        let body = Body::ModelAsked {
            turn,
            model: model.provider.name().to_owned(),
            request_digest,
            request: kept,
            reserved_tokens: reserved.tokens(),
            reserved_usd: reserved.cost_usd,
            max_tokens: request.max_tokens,
            must_answer,
        };
        self.record(Draft::engine(body))?;
        self.flush().await?;
        if self.signalled {
            self.take_signals().await?;
        }
        if self.inv.cancelled.is_some() {
            self.unreserve();
            let error = "not sent: the investigation was cancelled".to_owned();
            let body = Body::ModelFailed { turn, error, transient: true, too_long: false, charged: false, sent: None };
            return self.record(Draft::engine(body));
        }
        let name = model.provider.name();
        let (waiting, progress) = self.engine.live.begin(&self.inv.chain, turn, name, self.now());
        let answer = match tokio::time::timeout(self.patience(), model.provider.chat(&request, &progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(ModelError::Timeout { model: name.to_owned(), after: self.patience() }),
        };
        drop(waiting);
        model.pulse.note(&answer, self.now());
        let sent = self.keep_sent(&progress)?;
        match answer {
            Ok(reply) => self.replied(turn, &model, &request, reply, &reserved, sent),
            Err(error) => {
                let charged = self.settle_failure(&model, &error, &reserved);
                // A conversation that is too long for this model can be made shorter, if only once.
                let too_long = matches!(error, ModelError::TooLong { .. }) && self.can_be_shorter();
                let (transient, error) = (error.is_transient() || too_long, error.to_string());
                let error = self.engine.redactor.load().text(&error).0.into_owned();
                tracing::warn!(investigation = %self.inv.chain, %error, "the model gave no answer");
                self.record(Draft::engine(Body::ModelFailed { turn, error, transient, too_long, charged, sent }))
            }
        }
    }

    fn can_be_shorter(&self) -> bool {
        self.talk.conversation.as_ref().is_some_and(|conversation| !conversation.to_shorten(true).is_empty())
    }

    /// The model whose turn it is: each failure of this turn passes it on to the next. One that rests
    /// is passed over while another one does not.
    fn model(&self, turn: u32) -> Option<PricedModel> {
        let order = self.inv.models();
        let failed = self.inv.turns.iter().find(|t| t.number == turn).map_or(0, |t| t.failures.len());
        let known = |name: &str| self.engine.models.iter().find(|model| model.provider.name() == name);
        turned_to(order.into_iter().filter_map(known), failed, self.now()).cloned()
    }

    /// Notes a turn that never left the house; the work goes on without the model.
    fn asked_in_vain(&mut self, turn: u32, must_answer: bool, error: &str) -> Result<(), EngineError> {
        tracing::error!(investigation = %self.inv.chain, error, "the model cannot be asked");
        let model = self.inv.models().first().copied().unwrap_or_default().to_owned();
        let nothing = json!(null);
        let body = Body::ModelAsked {
            turn,
            model,
            request_digest: Digest::of("null"),
            request: self.keep(&nothing)?,
            reserved_tokens: 0,
            reserved_usd: 0.0,
            max_tokens: 0,
            must_answer,
        };
        self.record(Draft::engine(body))?;
        let error = error.to_owned();
        let body = Body::ModelFailed { turn, error, transient: false, too_long: false, charged: false, sent: None };
        self.record(Draft::engine(body))
    }

    /// How long this turn may take: what is left of the investigation's time.
    pub(super) fn patience(&self) -> Duration {
        let wall = self.inv.frozen.as_ref().map_or(0, |frozen| frozen.budget.wall_s);
        let gone = self.inv.opened_at.map_or(0, |at| self.now().duration_since(at).as_secs());
        Duration::from_secs(wall.saturating_sub(gone.max(0).unsigned_abs()).max(1))
    }

    /// Brings the conversation up to what the journal holds; in words why it cannot be rendered.
    async fn converse(&mut self, next: u32, model: &PricedModel) -> Result<Result<(), String>, EngineError> {
        // Whoever answers has to have room for it: with another window it is another conversation.
        let room = self.room_of(model.provider.name());
        if (self.talk.first_turn, self.talk.room) != (self.inv.first_turn, room) {
            self.talk = Talk { first_turn: self.inv.first_turn, room, ..Talk::default() };
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
            let Some(mut past) = self.past_turn(&turn).await? else { continue };
            // What was said once stays: later requests get no summary that this one did not have.
            let is_last = self.inv.turns.last().is_some_and(|last| last.number == turn.number);
            if is_last && self.condense(next, &past, model).await? {
                past = self.past_turn(&turn).await?.unwrap_or(past);
            }
            self.talk.last_turn = past.number;
            let meanwhile = self.meanwhile(past.number);
            if let Some(conversation) = &mut self.talk.conversation {
                conversation.add_with(&past, meanwhile);
            }
        }
        self.shorten().await?;
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

    /// What fits into the context of the model whose turn it is.
    pub(super) fn room(&self) -> Room {
        self.talk.room
    }

    /// What fits into the context of the model that is configured as `name`.
    pub(super) fn room_of(&self, name: &str) -> Room {
        Room::of(self.inv.frozen.as_ref().and_then(|frozen| frozen.window(name)))
    }

    /// The tools of the route that this kind of alert needs, and that its level lets be used at all.
    fn offers(&self, system_chars: usize) -> Vec<ToolOffer> {
        let wanted = self.inv.frozen.as_ref().map_or(&[][..], |frozen| &frozen.tools);
        offered(&self.engine.tools, wanted, self.inv.opening(), self.level(), system_chars)
    }

    /// The conversation so far as a request; in words why it cannot be rendered.
    async fn request(
        &mut self,
        turn: u32,
        must_answer: bool,
        model: &PricedModel,
    ) -> Result<Result<ChatRequest, String>, EngineError> {
        if let Err(error) = self.converse(turn, model).await? {
            return Ok(Err(error));
        }
        self.compact(turn, model).await?;
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
        let Some(mut reply) = self.fetch::<ChatReply>(reply).await? else { return Ok(None) };
        let remedy = match proposal {
            Proposal::Invalid { remedy } => Some(remedy.clone()),
            Proposal::Calls { .. } | Proposal::Report { .. } => None,
        };
        let states: Vec<_> = self.inv.calls.iter().filter(|c| c.turn == Some(turn.number)).cloned().collect();
        if matches!(proposal, Proposal::Calls { recovered: true, .. }) {
            // Said back as calls, so that the model learns the form that runs.
            reply = made_of(reply, turn.number, &states);
        }
        let mut results = vec![];
        for state in states {
            let passage = state.call.tool == evidence::EVIDENCE_READ;
            let call_id = state.call.id;
            results.push(match state.progress {
                Progress::Seen { observation, evidence_id, excerpt, .. } => {
                    let seen: Option<SeenText> = self.fetch(&observation).await?;
                    let text = seen.map_or_else(|| "(deleted)".to_owned(), |seen| seen.text);
                    let summary = self.summary(&SummaryOf::Result { call_id: call_id.clone() }).await?;
                    CallResult::Observed { call_id, evidence_id, text, gist: excerpt, passage, summary }
                }
                Progress::Failed { error, .. } => CallResult::Failed { call_id, text: error },
                Progress::Acting { told, .. } => CallResult::Planned { call_id, text: told },
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
        reserved: &Reservation,
        sent: Option<BlobRef>,
    ) -> Result<(), EngineError> {
        let reply = self.without_secrets(reply);
        let (usage, cost_usd) = self.settle(model, request, &reply, reserved);
        let proposal = self.proposal(turn, model.provider.name(), request, &reply)?;
        let name = reply.model.clone();
        let reply = self.keep(&reply)?;
        let body = Body::ModelReplied { turn, model: name.clone(), reply, proposal, usage, cost_usd, sent };
        self.record(Draft::new(Actor::Model(name), body))
    }

    /// What a model says is text from outside, too.
    pub(super) fn without_secrets(&self, reply: ChatReply) -> ChatReply {
        clean(reply, &self.engine.redactor.load())
    }

    fn proposal(
        &mut self,
        turn: u32,
        model: &str,
        request: &ChatRequest,
        reply: &ChatReply,
    ) -> Result<Proposal, EngineError> {
        let of_model = self.inv.calls.iter().filter(|c| c.turn.is_some_and(|t| t >= self.inv.first_turn));
        let past = |c: &CallState| PastCall {
            tool: c.call.tool.clone(),
            args: c.call.args.clone(),
            result: c.result().map(str::to_owned),
        };
        let history: Vec<PastCall> = of_model.map(past).collect();
        let refused = |rejected: Vec<(ProposedCall, String)>| {
            rejected.into_iter().map(|(proposed, remedy)| Rejected { call: call_of(proposed, None), remedy }).collect()
        };
        let Reading { wants, recovered } = propose::interpret(reply, turn, &history, request);
        if recovered > 0 {
            telemetry::calls_recovered(model, recovered as u64);
        }
        let recovered = recovered > 0;
        Ok(match wants {
            Interpretation::Calls { accept, rejected } => {
                let tools = &self.engine.tools;
                let effect = |tool: &str| tools.spec(tool).map(|spec| spec.effect).filter(|e| *e != Effect::Read);
                let accepted = accept.into_iter().map(|proposed| {
                    let effect = effect(&proposed.tool);
                    call_of(proposed, effect)
                });
                let accepted = accepted.collect();
                Proposal::Calls { accepted, rejected: refused(rejected), recovered }
            }
            Interpretation::Repetition { rejected } => {
                Proposal::Calls { accepted: vec![], rejected: refused(rejected), recovered }
            }
            Interpretation::Report(report) => Proposal::Report { report: self.keep(&report)?, recovered },
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

/// The tag of tools that are there for playbooks.
const PLAYBOOK: &str = "playbook";

/// What a model reads of an observation: its data are not made again for that.
#[derive(Deserialize)]
struct SeenText {
    text: String,
}

/// The tools among `wanted` (by name or tag; empty is all) that `level` lets be used at all and that an
/// alert such as `opening` needs, as many as fit beside a `system` prompt of `system_chars` characters.
pub fn offered(
    tools: &Registry,
    wanted: &[String],
    opening: Option<&SreEvent>,
    level: Risk,
    system_chars: usize,
) -> Vec<ToolOffer> {
    let mut offers = tools.offers(wanted, level);
    if !wanted.is_empty() {
        // A route that names its tools does not have to name the one that looks at none.
        let known = offers.iter().any(|offer| offer.name == evidence::EVIDENCE_READ);
        offers.extend(tools.offers(&[evidence::EVIDENCE_READ], level).into_iter().filter(|_| !known));
    }
    let candidates: Vec<Candidate> = offers
        .into_iter()
        .map(|offer| {
            let spec = tools.spec(&offer.name);
            let acts = spec.as_ref().is_some_and(|spec| spec.effect != Effect::Read);
            Candidate { tags: spec.map(|spec| spec.tags.clone()).unwrap_or_default(), acts, offer }
        })
        // Whoever can look for himself needs nobody's leave to look closer.
        .filter(|candidate| !candidate.tags.iter().any(|tag| tag == PLAYBOOK))
        .collect();
    let families = opening.map(choice::families).unwrap_or_default();
    choice::choose(&candidates, &families, wanted, system_chars)
}

/// Whose turn it is after `failed` failures: the next one of those that do not rest, or of all when all
/// do.
fn turned_to<'a>(
    order: impl Iterator<Item = &'a PricedModel>,
    failed: usize,
    now: Timestamp,
) -> Option<&'a PricedModel> {
    let (fit, rest): (Vec<_>, Vec<_>) = order.partition(|model| !model.pulse.rests(now));
    let fit = if fit.is_empty() { rest } else { fit };
    fit.get(failed.checked_rem(fit.len())?).copied()
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

/// `reply` as if it had made the calls that were taken from its text.
fn made_of(reply: ChatReply, turn: u32, states: &[CallState]) -> ChatReply {
    let mut calls: Vec<(usize, &Call)> = states
        .iter()
        .filter_map(|state| {
            Some(((0..states.len()).find(|n| propose::call_id(turn, *n) == state.call.id)?, &state.call))
        })
        .collect();
    calls.sort_by_key(|(n, _)| *n);
    let call = |call: &Call| ProposedCall { id: call.id.clone(), tool: call.tool.clone(), args: call.args.clone() };
    ChatReply { content: String::new(), calls: calls.into_iter().map(|(_, made)| call(made)).collect(), ..reply }
}

fn call_of(proposed: ProposedCall, effect: Option<Effect>) -> Call {
    Call { id: proposed.id, tool: proposed.tool, args: proposed.args, effect, need: Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FinishReason;
    use std::sync::Arc;

    #[test]
    fn l14_a_model_that_rests_is_passed_over_while_another_one_does_not() {
        let priced = |name: &str| PricedModel {
            provider: Arc::new(model::ReplayModel::from_jsonl(name, "").unwrap()),
            standing: crate::model::Standing::default(),
            cheap: false,
            pulse: Arc::default(),
            price: crate::domain::Price::default(),
        };
        let models = ["a", "b", "c"].map(priced);
        let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
        let turns = |now: i64| -> Vec<&str> {
            (0..4).map(|failed| turned_to(models.iter(), failed, at(now)).unwrap().provider.name()).collect()
        };
        let rest = |model: &PricedModel| {
            let malformed = || Err::<(), _>(ModelError::Malformed { model: "m".into(), what: "x".into() });
            (0..3).for_each(|_| model.pulse.note(&malformed(), at(0)));
        };
        assert_eq!(turns(0), ["a", "b", "c", "a"]);
        rest(&models[0]);
        assert_eq!(turns(0), ["b", "c", "b", "c"]);
        models[1..].iter().for_each(rest);
        assert_eq!(turns(0), ["a", "b", "c", "a"], "somebody must be asked");
        assert_eq!(turns(60), ["a", "b", "c", "a"]);
        assert!(turned_to([].into_iter(), 0, at(0)).is_none());
    }

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
