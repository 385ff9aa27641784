//! Alerts that are asked for, where nobody sends them or what is sent may be lost: Alertmanager's own list, at
//! an interval. What fires is taken in as if it had been sent; what an earlier poll told and a later one does
//! not is over.
//!
//! - here: one poll, and polling for ever
//! - [`judge`]: what an answer means; pure
//!
//! What was told is noted in the store before it is taken in, and forgotten after its end was: wherever the
//! process dies, the next poll finds what is left to do.

pub mod judge;

use super::intake::{Intake, Receipt};
use super::told::{ToldError, mapped};
use crate::domain::{AlertStatus, BlobRef, Clock, Digest, Entropy, EventId, POLLER, Redactor, Severity, SreEvent};
use crate::edge::AlertmanagerReader;
use crate::sources::alertmanager::api::{self, Standing};
use crate::sources::{AlertSource, Alertmanager, Delivery, Group, Kept, MAX_ALERTS, Mapped, Normalised};
use crate::store::{Notes, Store};
use crate::telemetry;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use judge::{Fared, Poll, Seen, Sightings};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// What an answer lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacks {
    /// Alerts beyond the most that are taken at once.
    pub left_out: usize,
    /// Some made no sense.
    pub is_unreadable: bool,
    /// Alertmanager did not say since when it runs, where it did before: it may be another one.
    pub is_doubtful: bool,
}

/// What came of one poll.
#[derive(Debug, PartialEq)]
pub struct Polled {
    /// Alerts that were told, held ones included.
    pub told: usize,
    /// What the answer lacked, if anything.
    pub lacks: Option<Lacks>,
    /// Not told any more, by an Alertmanager that has just started: whether they are over is not known yet.
    pub waiting: usize,
    /// What became of those that are new or over.
    pub receipt: Option<Receipt>,
}

/// What all pollers share.
#[derive(Clone)]
pub struct Shared {
    /// Where alerts are taken in.
    pub intake: Arc<Intake>,
    /// Where is noted what was told.
    pub store: Arc<dyn Store>,
    /// What blanks out secrets.
    pub redactor: Arc<ArcSwap<Redactor>>,
    /// The key under which what was told is vouched for.
    pub hmac_key: Arc<[u8]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and salts.
    pub entropy: Arc<dyn Entropy>,
    /// Answers that are held in memory at once.
    pub places: Arc<Semaphore>,
    /// Held from reading the notes to the last one written: of two that tell of one alert, one is the last.
    pub noting: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// One poller.
#[derive(Debug)]
pub struct Poller {
    /// Its name, unique.
    pub name: String,
    /// The Alertmanager that is asked.
    pub reader: AlertmanagerReader,
    /// What alerts have to fit, each in Alertmanager's notation.
    pub matchers: Vec<String>,
    /// Severities that are taken in; none named means all.
    pub severities: Vec<Severity>,
    /// How often it asks.
    pub every: Duration,
    /// The Alertmanagers that answered so far.
    pub sightings: Lock<Sightings>,
    /// What all pollers share.
    pub shared: Shared,
}

/// An answer in our words.
struct Read {
    alerts: Vec<(Seen, SreEvent, Kept)>,
    is_unreadable: bool,
}

impl Poller {
    /// Asks at once, and then for ever.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (mut before, mut failures) = (Fared::Well, 0_u32);
        loop {
            let polled = tokio::select! {
                polled = self.poll_in_turn() => polled,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let fared = self.tell(&polled, &before);
            failures = if matches!(fared, Fared::Badly(_)) { failures.saturating_add(1) } else { 0 };
            before = fared;
            let [high, low, ..] = self.shared.entropy.salt();
            let pause = judge::pause(self.every, failures, u16::from_be_bytes([high, low]));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn poll_in_turn(&self) -> Result<Polled, ToldError> {
        let _place = self.shared.places.acquire().await;
        self.poll().await
    }

    /// Asks once, and takes in what is new and what is over.
    ///
    /// # Errors
    /// When Alertmanager does not tell, what it tells is no list of alerts, or nothing can be kept. Then nothing
    /// is over.
    pub async fn poll(&self) -> Result<Polled, ToldError> {
        let Shared { intake, store, clock, .. } = &self.shared;
        // Asked before the list: one that started in between is the younger one, never the older.
        let started = self.reader.started().await;
        let is_server_lost = started.is_err();
        let server = started.ok().flatten();
        let told = self.reader.told(&self.matchers).await?;
        let total = told.alerts.len();
        let left_out = total.saturating_sub(MAX_ALERTS);
        let Read { mut alerts, is_unreadable } = self.read(told.bytes, told.alerts).await?;
        let _noting = self.shared.noting.lock().await;
        let noted = store.noted(&self.name).await?;
        let (question, now) = (self.question(), clock.now());
        let sighted = self.sightings.lock().unwrap_or_else(PoisonError::into_inner).of(server, now);
        let seen: Vec<Seen> = alerts.iter().map(|(seen, ..)| seen.clone()).collect();
        let is_complete = left_out == 0 && !is_unreadable;
        let mut judged =
            Poll { seen: &seen, is_complete, question: &question, server, is_server_lost, sighted, now }.judge(&noted);
        let is_doubtful = judged.is_doubtful;
        let lacks = (!is_complete || is_doubtful).then_some(Lacks { left_out, is_unreadable, is_doubtful });
        // One that started while it was asked may have told an empty list.
        if !judged.over.is_empty() && server.is_some() && self.reader.started().await.ok().flatten() != server {
            judged.waiting += judged.forget.len();
            judged.forget.clear();
            judged.over.clear();
        }
        let notes =
            |told, forget| Notes { poller: self.name.clone(), question: question.clone(), server, told, forget };
        if !judged.note.is_empty() {
            store.note(notes(judged.note, vec![])).await?;
        }
        let over = judged.over.into_iter().map(|event| self.ended(event, now));
        let mut items: Vec<Mapped> = over.collect();
        // From the end, so that places stay what they are.
        let mut fresh = vec![];
        for place in judged.take.into_iter().rev() {
            let (_, event, raw) = alerts.swap_remove(place);
            fresh.push(Mapped::Alert { event: Box::new(event), raw });
        }
        fresh.reverse();
        // The end of an episode comes before the next one.
        items.append(&mut fresh);
        let receipt = match items.is_empty() {
            true => None,
            false => {
                let normalised = Normalised { items, ..Normalised::default() };
                Some(intake.accept(Alertmanager.name(), normalised).await?)
            }
        };
        if !judged.forget.is_empty() {
            store.note(notes(vec![], judged.forget)).await?;
        }
        Ok(Polled { told: total, lacks, waiting: judged.waiting, receipt })
    }

    /// What is asked, and whom: what was told to another question says nothing to this one.
    fn question(&self) -> Digest {
        let matchers = self.matchers.iter().map(String::as_str);
        Digest::of_parts([self.reader.address()].into_iter().chain(matchers))
    }

    /// Maps an answer as if it had been sent; CPU only.
    async fn read(&self, bytes: Vec<u8>, mut alerts: Vec<Value>) -> Result<Read, ToldError> {
        alerts.truncate(MAX_ALERTS);
        let Shared { redactor, hmac_key, clock, entropy, .. } = self.shared.clone();
        let (via, severities) = (format!("{POLLER}{}", self.name), self.severities.clone());
        mapped(redactor.load_full(), hmac_key, clock, entropy, move |mapping| {
            let standings: Vec<Standing> = alerts.iter().map(api::standing).collect();
            let body = api::as_sent(&alerts, &Group::default());
            drop(alerts);
            let items = Alertmanager.normalise(&Delivery::plain(&body, &bytes), mapping)?.items;
            let mut read = Read { alerts: Vec::with_capacity(items.len()), is_unreadable: false };
            for (item, standing) in items.into_iter().zip(standings) {
                match (item, standing) {
                    (Mapped::Alert { event, raw }, Standing::Active | Standing::Held) => {
                        let event = SreEvent { via: Some(via.clone()), ..*event };
                        let is_wanted = severities.is_empty() || severities.contains(&event.severity);
                        read.alerts.push((Seen { delivery: event.delivery_key(), standing, is_wanted }, event, raw));
                    }
                    (Mapped::Alert { .. } | Mapped::Quarantined { .. } | Mapped::Notice { .. }, _) => {
                        read.is_unreadable = true;
                    }
                }
            }
            Ok(read)
        })
        .await
    }

    /// The end of `event`, as a sender would have told it.
    fn ended(&self, event: SreEvent, now: Timestamp) -> Mapped {
        let entropy = &self.shared.entropy;
        let told = json!({"status": "resolved", "fingerprint": event.fingerprint, "startsAt": event.starts_at,
                          "because": "the poller was not told of it any more"});
        let raw = Kept { salt: entropy.salt(), bytes: told.to_string().into_bytes() };
        let ended = SreEvent {
            id: EventId::new(entropy.uuid(now)),
            status: AlertStatus::Resolved,
            severity: Severity::Info,
            ends_at: Some(now),
            received_at: now,
            raw: BlobRef::commit(&raw.salt, &raw.bytes),
            via: Some(format!("{POLLER}{}", self.name)),
            ..event
        };
        Mapped::Alert { event: Box::new(ended), raw }
    }

    /// Counts the poll, and tells in the log what is new about it.
    fn tell(&self, polled: &Result<Polled, ToldError>, before: &Fared) -> Fared {
        let poller = self.name.as_str();
        let now_s = self.shared.clock.now().as_second();
        let fared = match polled {
            Ok(polled) => polled.lacks.map_or(Fared::Well, |lacks| Fared::Partly {
                is_cut: lacks.left_out > 0,
                is_unreadable: lacks.is_unreadable,
                is_doubtful: lacks.is_doubtful,
            }),
            Err(error) => Fared::Badly(error.kind()),
        };
        let result = match &fared {
            Fared::Well => "ok",
            Fared::Partly { .. } => "partly",
            Fared::Badly(_) => "failed",
        };
        telemetry::polled(poller, result, polled.as_ref().ok().map(|polled| polled.told), now_s);
        if fared != *before {
            match polled {
                Err(error) => tracing::warn!(
                    poller,
                    %error,
                    "a poll failed; it is tried again, nothing counts as over meanwhile, and this is not repeated"
                ),
                Ok(Polled { lacks: Some(Lacks { left_out: 0, is_unreadable: false, .. }), .. }) => tracing::warn!(
                    poller,
                    "Alertmanager tells its alerts, and not since when it runs, as it did before; it may be another one, \
                     so nothing counts as over meanwhile. Let /api/v2/status answer"
                ),
                Ok(Polled { lacks: Some(lacks), .. }) => tracing::warn!(
                    poller,
                    left_out = lacks.left_out,
                    unreadable = lacks.is_unreadable,
                    "a poll was told more than can be taken in at once, or what makes no sense; nothing counts as over \
                     meanwhile. Narrow `matchers`"
                ),
                Ok(polled) => tracing::info!(poller, told = polled.told, "polls are answered again"),
            }
        }
        if let Ok(Polled { receipt: Some(receipt), .. }) = polled {
            for (outcome, alerts) in receipt.counters.by_outcome() {
                telemetry::alerts_accepted(Alertmanager.kind(), outcome.as_str(), alerts as u64);
            }
            tracing::info!(
                source = Alertmanager.name(),
                poller,
                accepted = receipt.counters.accepted,
                merged = receipt.counters.merged,
                resolved = receipt.counters.resolved,
                ignored = receipt.counters.ignored,
                "alerts polled"
            );
        }
        fared
    }
}

#[cfg(test)]
mod tests;
