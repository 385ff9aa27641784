//! What arrives while an investigation is worked on: alerts, answers, and what people want.

use super::EngineError;
use super::driver::Session;
use crate::domain::{ApprovalId, ApprovalState, Digest, Effect, Person};
use crate::journal::{Actor, AlertsCounted, Body, Call, Draft};
use crate::store::{Signal, Waiting};
use crate::telemetry;
use jiff::Timestamp;
use serde_json::Value;

/// Alerts of one entry: it stays readable.
const EVENTS_PER_ENTRY: usize = 200;
const COUNTED_PER_ENTRY: usize = 1_000;

impl Session<'_> {
    /// Turns what arrived meanwhile into entries.
    pub(super) async fn take_signals(&mut self) -> Result<(), EngineError> {
        self.signalled = false;
        let mut waiting = self.engine.store.signals(self.lease.investigation).await?;
        waiting.retain(|waiting| !self.pending.consumed.contains(&waiting.number));
        let mut waiting = waiting.into_iter().peekable();
        while let Some(Waiting { number, from, signal }) = waiting.next() {
            let mut taken = vec![number];
            match signal {
                Signal::Merged { mut events, flapping } => {
                    // Many bodies may have told of one alert each: what waits together becomes one entry.
                    while let Some(next) = waiting.next_if(|next| goes_along(next, &from, flapping)) {
                        taken.push(next.number);
                        events.extend(next.signal.merged());
                    }
                    let joining = self.engine.store.alerts(&events).await?;
                    let is_last = waiting.peek().is_none_or(|next| !matches!(next.signal, Signal::Merged { .. }));
                    let is_news = is_last && !joining.is_empty();
                    let (apart, counted) = self.inv.tell_apart(joining);
                    for events in apart.chunks(EVENTS_PER_ENTRY) {
                        let body = Body::AlertsMerged { events: events.to_vec(), flapping };
                        self.record(Draft::new(Actor::Sender(from.clone()), body))?;
                    }
                    for alerts in counted.chunks(COUNTED_PER_ENTRY) {
                        let body = Body::AlertsCounted(AlertsCounted { alerts: alerts.to_vec(), flapping });
                        self.record(Draft::new(Actor::Sender(from.clone()), body))?;
                    }
                    if is_news {
                        self.classify_anew().await?;
                    }
                }
                Signal::Resolved { event, ends_at } => {
                    let known = self.inv.events.iter().find(|e| e.id == event).map(|e| e.fingerprint.clone());
                    let known = match known {
                        None if self.inv.counted.firing > 0 => {
                            self.engine.store.event(event).await?.map(|stored| stored.event.fingerprint)
                        }
                        known => known,
                    };
                    if let Some(fingerprint) = known {
                        let body = Body::AlertResolved { event, fingerprint, ends_at };
                        self.record(Draft::new(Actor::Sender(from), body))?;
                    }
                }
                Signal::Answer { approval, digest, granted, by, at, comment } => {
                    self.answered((approval, digest), granted, (by, at), comment)?;
                }
                // What it means is seen from the policy in force and the last ruling.
                Signal::PolicyChanged {} => {}
                Signal::Propose { by, tool, args, reason } => self.proposed(by, tool, args, reason)?,
                Signal::Cancel { by, reason } => {
                    if self.inv.outcome.is_none() && self.inv.cancelled.is_none() {
                        self.record(Draft::new(Actor::Person(by), Body::Cancelled { reason }))?;
                    }
                }
            }
            self.pending.consumed.extend(taken);
        }
        Ok(())
    }

    /// A person's answer counts for the question that stood when it was given, to exactly what was asked,
    /// of somebody who may, and in time.
    fn answered(
        &mut self,
        (approval, digest): (ApprovalId, Digest),
        granted: bool,
        (by, at): (Person, Timestamp),
        comment: String,
    ) -> Result<(), EngineError> {
        let deed = self.inv.asked_about(approval);
        let asked = deed.and_then(|deed| Some((deed, deed.questions.iter().find(|q| q.id == approval)?)));
        let counts = asked.is_some_and(|(deed, question)| {
            question.state == ApprovalState::Pending
                && question.digest == digest
                && at < question.expires_at
                && deed.may_be_answered_by(&by, question)
                && question.grants.iter().all(|grant| grant.by.name != by.name)
        });
        if !counts {
            tracing::warn!(investigation = %self.inv.chain, %approval, by = %by.name, "an answer came too late or to something else; it does not count");
            return Ok(());
        }
        telemetry::approval(if granted { "granted" } else { "denied" });
        let (actor, answered_at) = (Actor::Person(by.name.clone()), at);
        self.record(Draft::new(actor, Body::ApprovalDecided { approval, granted, digest, by, answered_at, comment }))
    }

    /// A change that somebody beside the model wants; whoever closed the work does not get one.
    fn proposed(&mut self, by: String, tool: String, args: Value, reason: String) -> Result<(), EngineError> {
        let effect = self.engine.tools.spec(&tool).map(|spec| spec.effect).filter(|effect| *effect != Effect::Read);
        if effect.is_none() || self.inv.outcome.is_some() || self.inv.cancelled.is_some() {
            tracing::warn!(investigation = %self.inv.chain, %tool, by, "a proposed change is not taken up: no such tool, or the work is over");
            return Ok(());
        }
        let id = format!("beside_{}", self.inv.proposers.len() + 1);
        let calls = vec![Call { id, tool, args, effect, need: Value::Null }];
        self.record(Draft::new(Actor::Person(by), Body::CallsProposed { calls, reason }))
    }
}

/// Whether `next` tells of further alerts of the same sender, which came in the same way.
fn goes_along(next: &Waiting, from: &str, flaps: bool) -> bool {
    next.from == from && matches!(next.signal, Signal::Merged { flapping, .. } if flapping == flaps)
}
