//! Money, tokens and rungs: what a request may cost is set aside before it leaves, and what it did
//! cost takes its place. Each decision is [`choose`]'s; here it is fed, journaled and obeyed.

use super::driver::Session;
use super::ledger::Beginner;
use super::{EngineError, PricedModel};
use crate::domain::{
    ChatReply, ChatRequest, Choice, LadderCase, Left, Message, NO_MODEL, NO_MORE, Offer, Price, Recommendation, Report,
    ReportVerdict, Reservation, Rung, Standing, Usage, choose,
};
use crate::journal::{Body, Draft};
use crate::model::ModelError;
use crate::policy::Spend;
use crate::telemetry;
use std::io;

/// Tokens of the shortest answer that is worth a request: a report.
const LEAST_ANSWER: u64 = 1_024;
/// Bytes that a token has on average.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that servers put around each message and each tool.
const FRAME_TOKENS: u64 = 8;

impl Session<'_> {
    /// Chooses how much of the work on this revision the budgets permit.
    pub(super) async fn take_rung(&mut self) -> Result<(), EngineError> {
        let Some(frozen) = self.inv.frozen.clone() else { return Ok(()) };
        self.engine.ledger.today(self.engine.store.as_ref(), self.now()).await?;
        let routes = self.engine.routes.load();
        let route = routes.get(&frozen.route);
        let first = !self.inv.began;
        let who = Beginner {
            id: self.id(),
            route: &self.inv.route,
            max_per_day: route.and_then(|route| route.max_per_day),
            max_total: route.and_then(|route| route.max_total),
            first,
        };
        let own = self.left();
        let full = frozen.model.as_deref().map(|name| self.offer(name, 0));
        let cheap = self.cheap().map(|model| offer(model, 0));
        let choice = self.engine.ledger.begin(who, |standing| {
            choose(&LadderCase { standing, own, beginning: first, from: Rung::Full, full, cheap })
        });
        let model = cheap.filter(|_| choice.rung == Rung::Cheap).map(|cheap| cheap.model.to_owned());
        self.took(None, choice, model)
    }

    fn took(&mut self, from: Option<Rung>, choice: Choice, model: Option<String>) -> Result<(), EngineError> {
        let Choice { rung, reason } = choice;
        telemetry::rung_taken(rung.as_str());
        if rung != Rung::Full && reason != NO_MODEL {
            tracing::info!(investigation = %self.inv.chain, %rung, reason, "the budgets bound the work");
        }
        let revision = self.inv.revision();
        self.record(Draft::engine(Body::LadderTaken { revision, rung, from, model, reason }))
    }

    /// Sets aside the most that `request` to `model` can cost, and shortens the answer where only a
    /// shorter one fits. Without room the work goes a rung down, and there is no reservation: the
    /// request must not leave.
    pub(super) async fn afford(
        &mut self,
        model: &PricedModel,
        request: &mut ChatRequest,
    ) -> Result<Option<Reservation>, EngineError> {
        self.engine.ledger.today(self.engine.store.as_ref(), self.now()).await?;
        let from = self.inv.ladder.as_ref().map_or(Rung::Full, |ladder| ladder.rung);
        let tokens_in = most_tokens(request);
        let asked = offer(model, tokens_in);
        let primary = self.inv.frozen.as_ref().and_then(|frozen| frozen.model.as_deref());
        let (full, cheap) = match from {
            Rung::Cheap => (primary.map(|name| self.offer(name, tokens_in)), Some(asked)),
            Rung::Full | Rung::Deterministic | Rung::Notice => {
                (Some(asked), self.cheap().map(|model| offer(model, tokens_in)))
            }
        };
        let (own, wish) = (self.left(), u64::from(request.max_tokens));
        let (choice, reserved) = self.engine.ledger.reserve(self.id(), self.inv.reserved.is_some(), |standing| {
            let choice = choose(&LadderCase { standing, own, beginning: false, from, full, cheap });
            let reserved = (choice.rung == from).then(|| widest(&asked.price, tokens_in, wish, &own, &standing));
            ((choice, reserved), reserved)
        });
        match reserved {
            Some(reserved) => {
                request.max_tokens = u32::try_from(reserved.tokens_out).unwrap_or(u32::MAX);
                Ok(Some(reserved))
            }
            None => {
                let model = cheap.filter(|_| choice.rung == Rung::Cheap).map(|cheap| cheap.model.to_owned());
                self.took(Some(from), choice, model)?;
                Ok(None)
            }
        }
    }

    /// Sets aside the most that `request` to `model`, which is not part of the conversation, can cost.
    /// It gets a small part of what is left or nothing: the conversation needs the rest.
    pub(super) async fn afford_aside(
        &mut self,
        model: &PricedModel,
        request: &ChatRequest,
    ) -> Result<Option<Reservation>, EngineError> {
        self.engine.ledger.today(self.engine.store.as_ref(), self.now()).await?;
        let wanted = Reservation::new(most_tokens(request), u64::from(request.max_tokens), &model.price);
        let own = self.left();
        Ok(self.engine.ledger.reserve(self.id(), self.inv.reserved.is_some(), |standing| {
            let reserved = is_small_part(&wanted, &own, &standing).then_some(wanted);
            (reserved, reserved)
        }))
    }

    /// Puts what an answer did cost in the place of its reservation.
    pub(super) fn settle(
        &self,
        model: &PricedModel,
        request: &ChatRequest,
        reply: &ChatReply,
        reserved: &Reservation,
    ) -> (Usage, f64) {
        let usage = reserved.settle(reply.usage, estimate(request, reply));
        let cost_usd = model.price.of_usage(&usage);
        self.engine.ledger.settle(self.id(), usage.tokens_in.saturating_add(usage.tokens_out), cost_usd);
        let name = model.provider.name();
        telemetry::model_turn(name, "answered", usage.tokens_in, usage.tokens_out);
        telemetry::model_cost(name, cost_usd);
        (usage, cost_usd)
    }

    /// A request gave no answer. Says whether it is charged: it is unless it surely was not worked on.
    pub(super) fn settle_failure(&self, model: &PricedModel, error: &ModelError, reserved: &Reservation) -> bool {
        let charged = may_be_billed(error);
        self.engine.ledger.close(self.id(), charged);
        let name = model.provider.name();
        telemetry::model_turn(name, "failed", 0, 0);
        if charged {
            telemetry::model_cost(name, reserved.cost_usd);
        }
        charged
    }

    /// A request that was reserved and did not leave.
    pub(super) fn unreserve(&self) {
        self.engine.ledger.close(self.id(), false);
    }

    /// What policies hear of money.
    pub(super) async fn spend(&self) -> Result<Spend, EngineError> {
        self.engine.ledger.today(self.engine.store.as_ref(), self.now()).await?;
        let investigation_usd = self.inv.committed().cost_usd;
        Ok(Spend { day_usd: self.engine.ledger.committed_usd(), investigation_usd })
    }

    /// What is left to this investigation; a request that was never settled is charged in full.
    fn left(&self) -> Left {
        let budget = self.inv.frozen.as_ref().map(|frozen| frozen.budget).unwrap_or_default();
        let spent = self.inv.committed();
        Left { tokens: budget.tokens.saturating_sub(spent.tokens()), usd: budget.cost_usd - spent.cost_usd }
    }

    /// The first model that is marked as cheap.
    pub(super) fn cheap(&self) -> Option<&PricedModel> {
        self.engine.models.iter().find(|model| model.cheap)
    }

    /// The model called `name`. One that is no longer configured costs nothing: asking it fails, and
    /// says so.
    fn offer<'a>(&'a self, name: &'a str, tokens_in: u64) -> Offer<'a> {
        match self.engine.models.iter().find(|model| model.provider.name() == name) {
            Some(model) => offer(model, tokens_in),
            None => Offer { model: name, price: Price::default(), least: Reservation::default() },
        }
    }
}

fn offer(model: &PricedModel, tokens_in: u64) -> Offer<'_> {
    let price = model.price;
    Offer { model: model.provider.name(), price, least: Reservation::new(tokens_in, LEAST_ANSWER, &price) }
}

/// The longest answer up to `wish` that every limit has room for.
fn widest(price: &Price, tokens_in: u64, wish: u64, own: &Left, standing: &Standing) -> Reservation {
    let tokens = own.tokens.min(standing.tokens_left.unwrap_or(u64::MAX)).saturating_sub(tokens_in);
    let usd = own.usd.min(standing.usd_left.unwrap_or(f64::INFINITY));
    let paid = if price.is_free() { u64::MAX } else { price.answer_within(tokens_in, usd) };
    Reservation::new(tokens_in, wish.min(tokens).min(paid), price)
}

/// Whether `wanted` is at most a quarter of what every limit has left.
fn is_small_part(wanted: &Reservation, own: &Left, standing: &Standing) -> bool {
    let tokens = own.tokens.min(standing.tokens_left.unwrap_or(u64::MAX));
    let usd = own.usd.min(standing.usd_left.unwrap_or(f64::INFINITY));
    let paid = wanted.cost_usd <= 0.0 || wanted.cost_usd * 4.0 <= usd;
    wanted.tokens().saturating_mul(4) <= tokens && paid
}

/// Counts the bytes of a value's JSON without keeping them.
fn json_bytes<T: serde::Serialize>(value: &T) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => u64::MAX,
    }
}

fn message_bytes(message: &Message) -> u64 {
    let calls = if message.calls.is_empty() { 0 } else { json_bytes(&message.calls) };
    calls.saturating_add(message.content.len() as u64)
}

fn request_bytes(request: &ChatRequest) -> u64 {
    let tools = if request.tools.is_empty() { 0 } else { request.tools.json().len() as u64 };
    request.messages.iter().map(|message| message_bytes(message)).fold(tools, u64::saturating_add)
}

/// The most tokens that a request can have: texts of this kind have at least two and a half bytes
/// for each.
fn most_tokens(request: &ChatRequest) -> u64 {
    let frames = (request.messages.len() + request.tools.len()) as u64 * FRAME_TOKENS;
    (request_bytes(request).saturating_mul(2) / 5).saturating_add(frames)
}

/// What we think that a turn had. Where the server says something itself, only half of it: tokenizers
/// differ, and a server that counts honestly is believed.
fn estimate(request: &ChatRequest, reply: &ChatReply) -> Usage {
    let divisor = BYTES_PER_TOKEN * if reply.usage.is_some() { 2 } else { 1 };
    let arguments = reply.calls.iter().map(|call| json_bytes(&call.args)).fold(0, u64::saturating_add);
    Usage {
        tokens_in: request_bytes(request) / divisor,
        tokens_out: (reply.content.len() as u64).saturating_add(arguments) / divisor,
        ..Usage::default()
    }
}

/// Whether the server may have worked on a request that failed. Only what surely was turned away is
/// not charged.
fn may_be_billed(error: &ModelError) -> bool {
    match error {
        ModelError::Settings { .. }
        | ModelError::Unreachable { .. }
        | ModelError::RateLimited { .. }
        | ModelError::Rejected { .. }
        | ModelError::NotPulled { .. }
        | ModelError::Unable { .. }
        | ModelError::NotRecorded { .. }
        | ModelError::TooLong { .. } => false,
        // Overloaded: turned away at the door. Any other failure may come after the work.
        ModelError::Unavailable { status, .. } => !matches!(status, 503 | 529),
        // A connection that broke may have carried the request; one that was never made did not.
        ModelError::Broken { .. }
        | ModelError::Timeout { .. }
        | ModelError::Stalled { .. }
        | ModelError::TooLarge { .. }
        | ModelError::NotPinned { .. }
        | ModelError::Malformed { .. } => true,
    }
}

/// Makes the report that says why nothing was looked at.
pub(super) fn as_notice(mut report: Report, reason: &str) -> Report {
    report.verdict = ReportVerdict::InsufficientEvidence;
    report.root_causes.clear();
    report.summary = format!("Not investigated: {reason}. The alert still needs somebody to look at it.");
    let raise = match reason == NO_MORE {
        true => "If the route is to go on, raise its max_total.",
        false => "If days like this are usual, raise budgets.per_day.investigations.",
    };
    report.recommendations = vec![Recommendation {
        kind: "mitigate".into(),
        text: format!("Look at the alert yourself. {raise}"),
        addresses: vec![],
    }];
    report
}

#[cfg(test)]
mod tests;
