//! Which investigation an alert belongs to, decided inside the admitting transaction, so that two
//! bodies that arrive together cannot both open one.
//!
//! Alerts go in waves, in which no alert's fingerprint stands twice: a few questions to the database
//! answer for the whole wave ([`known`]), what follows is decided in memory ([`decide`]), and one script
//! writes it ([`write`]). A question costs more than what it asks for, so bodies that wait together
//! share their waves.

mod decide;
mod known;
mod write;

#[cfg(test)]
pub(super) use known::BY_THING;

use super::StoreError;
use super::writer::News;
use crate::domain::{Digest, SreEvent};
use crate::store::storm::Openings;
use crate::store::{Admitted, Arrival, StormCap};
use decide::{Knowledge, Places};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::HashSet;
use std::path::Path;

/// Alerts of one wave.
const WAVE: usize = 500;

/// What came in one body.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    pub(super) arrivals: Vec<Arrival>,
    /// What may be opened at most.
    pub(super) cap: Option<StormCap>,
    pub(super) now: Timestamp,
}

/// An alert on its way in.
struct Incoming {
    arrival: Arrival,
    /// Which body it is of.
    body: usize,
    at: Timestamp,
    /// A poll ended it, and another tells it again.
    is_again: bool,
}

impl Incoming {
    /// Since when it fires, as far as investigations go: what came to an end meanwhile had seen it end.
    const fn since(&self) -> Timestamp {
        if self.is_again { self.at } else { self.arrival.event.starts_at }
    }
}

/// Takes bodies in, one after the other. Answers what became of the alerts of each.
pub(super) async fn admit(
    tx: &mut SqliteConnection,
    path: &Path,
    bodies: Vec<Delivered>,
    news: &mut News,
) -> Result<Vec<Vec<Admitted>>, StoreError> {
    let mut answers: Vec<Vec<Admitted>> = bodies.iter().map(|body| Vec::with_capacity(body.arrivals.len())).collect();
    let mut places = Places::default();
    // The cap is the configuration's, so it is the same for all of them.
    let cap = bodies.iter().find_map(|body| body.cap);
    let times: Vec<Timestamp> = bodies.iter().map(|body| body.now).collect();
    let mut openings: Option<Openings> = None;
    let incoming = bodies.into_iter().enumerate().flat_map(|(body, Delivered { arrivals, now, .. })| {
        arrivals.into_iter().map(move |arrival| Incoming { arrival, body, at: now, is_again: false })
    });
    let mut waves = Waves { rest: incoming.peekable() };
    while let Some(mut wave) = waves.next() {
        let episodes = known::episodes(tx, path, &wave).await?;
        decide::continue_episodes(&mut wave, &episodes);
        let deliveries: Vec<Digest> = wave.iter().map(|incoming| incoming.arrival.event.delivery_key()).collect();
        let mut known = known::repeated(tx, path, &wave, &deliveries).await?;
        let aside = decide::take_up_again(&mut wave, &deliveries, &mut known);
        known::set_aside(tx, path, &aside).await?;
        let found = known::investigations(tx, path, places.unknown(&wave, &deliveries, &known)).await?;
        let homeless = places.homeless(&wave, &deliveries, &known, &found);
        let flapping = known::flapping(tx, path, &homeless).await?;
        if let Some(cap) = cap.filter(|_| openings.is_none() && !homeless.is_empty()) {
            openings = Some(known::openings(tx, path, cap, &times).await?);
        }
        let bodies: Vec<usize> = wave.iter().map(|incoming| incoming.body).collect();
        let knowledge = Knowledge { episodes, known, found, flapping };
        let decided = decide::decide(wave, deliveries, &knowledge, &mut places, openings.as_mut());
        for (body, answer) in bodies.into_iter().zip(&decided.answers) {
            if let Some(answers) = answers.get_mut(body) {
                answers.push(answer.clone());
            }
        }
        write::write(tx, path, decided, news).await?;
    }
    Ok(answers)
}

/// Alerts in their order, as many together as are of different fingerprints.
struct Waves<I: Iterator<Item = Incoming>> {
    rest: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = Incoming>> Waves<I> {
    fn next(&mut self) -> Option<Vec<Incoming>> {
        let (mut wave, mut episodes) = (vec![], HashSet::new());
        while wave.len() < WAVE {
            let is_new = |next: &Incoming| {
                let event = &next.arrival.event;
                episodes.insert((event.source.clone(), event.fingerprint.clone()))
            };
            let Some(next) = self.rest.next_if(is_new) else { break };
            wave.push(next);
        }
        (!wave.is_empty()).then_some(wave)
    }
}

/// The thing that an investigation is found by when this alert opens it.
fn resource_key(event: &SreEvent) -> Option<String> {
    event.named_things().into_iter().next()
}
