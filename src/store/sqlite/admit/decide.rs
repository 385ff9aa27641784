//! What becomes of each alert of a wave; pure.

use super::known::{Episode, Found, Known, Last, Wanted};
use super::{Incoming, resource_key};
use crate::domain::{AlertStatus, Digest, EventId, InvestigationId, SreEvent};
use crate::store::{Admitted, Arrival, Fate, Signal};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Alerts that one signal names: what becomes one entry stays readable.
const EVENTS_PER_SIGNAL: usize = 200;
/// An episode without a repeat for this long is over, in microseconds.
const EPISODE_US: i64 = 5 * 60 * 1_000_000;

/// An alert that is kept as new.
pub(super) struct Kept {
    pub(super) arrival: Arrival,
    pub(super) at: Timestamp,
    pub(super) delivery: Digest,
    pub(super) fate: Fate,
    pub(super) investigation: Option<InvestigationId>,
}

/// What an investigation is told.
pub(super) struct Told {
    pub(super) investigation: InvestigationId,
    pub(super) sender: String,
    pub(super) signal: Signal,
    pub(super) at: Timestamp,
}

/// What a wave changes.
#[derive(Default)]
pub(super) struct Decided {
    /// In the order of the alerts.
    pub(super) answers: Vec<Admitted>,
    pub(super) kept: Vec<Kept>,
    /// Alerts that are over, as they are now, and since when we know it.
    pub(super) ended: Vec<(SreEvent, Timestamp)>,
    /// In the order in which it is told.
    pub(super) told: Vec<Told>,
}

/// An alert whose sender names no start carries the time of its receipt. It then belongs to the open
/// episode of its fingerprint, which ends when it is resolved or was not repeated for five minutes.
pub(super) fn continue_episodes(wave: &mut [Incoming], episodes: &HashMap<usize, Episode>) {
    for (place, Incoming { arrival, at, .. }) in wave.iter_mut().enumerate() {
        let Some(last) = episodes.get(&place) else { continue };
        let fresh = at.as_microsecond().saturating_sub(last.seen_us) <= EPISODE_US;
        if last.is_firing && (fresh || arrival.event.status == AlertStatus::Resolved) {
            arrival.event.starts_at = last.starts_at;
        }
    }
}

/// Decides for each alert of a wave.
pub(super) fn decide(
    wave: Vec<Incoming>,
    deliveries: Vec<Digest>,
    episodes: &HashMap<usize, Episode>,
    known: &HashMap<String, Known>,
    found: &Found,
    places: &mut Places,
) -> Decided {
    let mut decided = Decided::default();
    let mut joined: BTreeMap<(InvestigationId, String), (Vec<EventId>, Timestamp)> = BTreeMap::new();
    let mut over = vec![];
    for (place, (Incoming { arrival, at, .. }, delivery)) in wave.into_iter().zip(deliveries).enumerate() {
        let event = arrival.event.id;
        let is_over = arrival.event.status == AlertStatus::Resolved;
        let mut end = |known: &Known| {
            let Known { event, investigation, firing: Some(firing) } = known else { return };
            let ends_at = arrival.event.ends_at.unwrap_or(at);
            over.extend(investigation.map(|investigation| Told {
                investigation,
                sender: arrival.event.source.clone(),
                signal: Signal::Resolved { event: *event, ends_at },
                at,
            }));
            let ended = SreEvent { status: AlertStatus::Resolved, ends_at: Some(ends_at), ..firing.clone() };
            decided.ended.push((ended, at));
        };
        if is_over && let Some(last) = episodes.get(&place) {
            last.earlier.iter().for_each(&mut end);
        }
        let answer = match known.get(delivery.as_str()) {
            Some(known @ Known { event, investigation, firing: Some(_) }) if is_over => {
                end(known);
                Admitted { event: *event, investigation: *investigation, fate: Fate::Resolved }
            }
            Some(Known { event, investigation, .. }) => {
                Admitted { event: *event, investigation: *investigation, fate: Fate::Ignored }
            }
            None => {
                let (fate, investigation) = match is_over {
                    // Remembered, so that its firing alert, should it come late, opens nothing.
                    true => (Fate::Resolved, None),
                    false => match places.of(&arrival, found) {
                        Some(investigation) => (Fate::Merged, Some(investigation)),
                        None => {
                            places.opened(&arrival);
                            (Fate::Opened, Some(arrival.candidate))
                        }
                    },
                };
                if let (Fate::Merged, Some(investigation)) = (fate, investigation) {
                    let key = (investigation, arrival.event.source.clone());
                    let (events, last) = joined.entry(key).or_insert_with(|| (vec![], at));
                    events.push(event);
                    *last = at;
                }
                decided.kept.push(Kept { arrival, at, delivery, fate, investigation });
                Admitted { event, investigation, fate }
            }
        };
        decided.answers.push(answer);
    }
    for ((investigation, sender), (events, at)) in joined {
        decided.told.extend(events.chunks(EVENTS_PER_SIGNAL).map(|events| Told {
            investigation,
            sender: sender.clone(),
            signal: Signal::Merged { events: events.to_vec() },
            at,
        }));
    }
    decided.told.extend(over);
    decided
}

/// Where alerts that come together belong: most share a key or a resource, and the first has found it.
#[derive(Default)]
pub(super) struct Places {
    by_key: HashMap<String, InvestigationId>,
    by_resource: HashMap<String, InvestigationId>,
    by_kin: HashMap<String, InvestigationId>,
}

impl Places {
    /// What the database has to be asked for: the keys of new firing alerts that are not known yet.
    pub(super) fn unknown(&self, wave: &[Incoming], deliveries: &[Digest], known: &HashMap<String, Known>) -> Wanted {
        let (mut keys, mut resources, mut kin) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (Incoming { arrival, .. }, delivery) in wave.iter().zip(deliveries) {
            let is_new = arrival.event.status != AlertStatus::Resolved && !known.contains_key(delivery.as_str());
            if is_new && !self.by_key.contains_key(&arrival.correlation_key) {
                keys.insert(arrival.correlation_key.clone());
                kin.extend(arrival.kin.as_ref().map(|kin| kin.others.clone()));
                resources
                    .extend(resource_key(&arrival.event).filter(|resource| !self.by_resource.contains_key(resource)));
            }
        }
        let list = |set: BTreeSet<String>| set.into_iter().collect();
        Wanted { keys: list(keys), resources: list(resources), kin: list(kin) }
    }

    /// The investigation that a new firing alert belongs to: the last one of its key, else of its kin, else of its
    /// resource, unless that one had ended before the alert began.
    fn of(&mut self, arrival: &Arrival, found: &Found) -> Option<InvestigationId> {
        let starts_us = arrival.event.starts_at.as_microsecond();
        let fits = |last: &&Last| last.closed_us.is_none_or(|end| starts_us <= end);
        let key = &arrival.correlation_key;
        if let Some(open) = self.by_key.get(key) {
            return Some(*open);
        }
        if let Some(last) = found.by_key.get(key).filter(fits) {
            // An ended one fits by each alert's own start, so it is looked up for each.
            if last.closed_us.is_none() {
                self.by_key.insert(key.clone(), last.id);
            }
            return Some(last.id);
        }
        let kin = arrival.kin.as_ref().map(|kin| kin.others.as_str()).and_then(|others| {
            let open = self.by_kin.get(others).copied();
            open.or_else(|| Some(found.by_kin.get(others).filter(fits)?.id))
        });
        if kin.is_some() {
            return kin;
        }
        let resource = resource_key(&arrival.event)?;
        let open = self.by_resource.get(&resource).copied();
        open.or_else(|| Some(found.by_resource.get(&resource).filter(fits)?.id))
    }

    fn opened(&mut self, arrival: &Arrival) {
        self.by_key.insert(arrival.correlation_key.clone(), arrival.candidate);
        self.by_kin.extend(arrival.kin.as_ref().map(|kin| (kin.own.clone(), arrival.candidate)));
        if let Some(resource) = resource_key(&arrival.event) {
            self.by_resource.insert(resource, arrival.candidate);
        }
    }
}
