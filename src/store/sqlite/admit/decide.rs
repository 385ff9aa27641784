//! What becomes of each alert of a wave; pure.

use super::known::{Episode, Found, Known, Last, Wanted};
use super::{Incoming, resource_key};
use crate::domain::{AlertStatus, Digest, EventId, InvestigationId, SreEvent};
use crate::store::storm::{Opening, Openings, as_storm};
use crate::store::{Admitted, Arrival, Fate, Signal};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Alerts that one signal names: what becomes one entry stays readable.
const EVENTS_PER_SIGNAL: usize = 200;
/// What is sent again so long after its end is not late any more, in microseconds: senders try for some minutes.
const LATE_US: i64 = 15 * 60 * 1_000_000;
/// An episode without a repeat for this long is over, in microseconds.
const EPISODE_US: i64 = 5 * 60 * 1_000_000;

/// An alert that is kept as new.
pub(super) struct Kept {
    pub(super) arrival: Arrival,
    pub(super) at: Timestamp,
    pub(super) delivery: Digest,
    pub(super) fate: Fate,
    pub(super) investigation: Option<InvestigationId>,
    /// It opens the storm's investigation.
    pub(super) storm: bool,
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
    /// The storm that alerts joined, and when the last one did.
    pub(super) storm: Option<(InvestigationId, Timestamp)>,
}

/// What the database knows of a wave.
pub(super) struct Knowledge {
    pub(super) episodes: HashMap<usize, Episode>,
    pub(super) known: HashMap<String, Known>,
    pub(super) found: Found,
    /// By their place in the wave: alerts that come and go, and where they went the last time.
    pub(super) flapping: HashMap<usize, InvestigationId>,
}

/// A new firing alert that belongs to no investigation that is open or was while it began.
pub(super) struct Homeless {
    pub(super) place: usize,
    pub(super) source: String,
    pub(super) fingerprint: String,
    pub(super) starts_at: Timestamp,
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

/// What a poll ended and another tells again fires after all, and is a new alert: under its old start, so that
/// later polls and its sender's word find it. So is what an Alertmanager ended long ago and tells again: nobody
/// repeated it meanwhile, and that was taken for the end. The one that ended is known no more; its key and id are
/// answered.
pub(super) fn take_up_again<'a>(
    wave: &mut [Incoming],
    deliveries: &'a [Digest],
    known: &mut HashMap<String, Known>,
) -> Vec<(&'a Digest, EventId)> {
    let mut aside = vec![];
    for (incoming, delivery) in wave.iter_mut().zip(deliveries) {
        let event = &incoming.arrival.event;
        if event.status == AlertStatus::Resolved {
            continue;
        }
        let at_us = incoming.at.as_microsecond();
        // Only those who send groups end what nobody repeats.
        let runs_out = event.via.is_some() || event.group_key.is_some();
        let fires = |known: &&Known| {
            let ended_long_ago = runs_out && known.ended_us.is_some_and(|end| at_us.saturating_sub(end) > LATE_US);
            // What is polled fires now; what is sent may come late.
            known.firing.is_none() && (ended_long_ago || (known.ended_by_poll && event.via.is_some()))
        };
        let Some(ended) = known.get(delivery.as_str()).filter(fires) else { continue };
        aside.push((delivery, ended.event));
        known.remove(delivery.as_str());
        incoming.is_again = true;
        // Its effects are not those of the one before.
        let before = incoming.arrival.incident_key.as_str();
        incoming.arrival.incident_key = Digest::of_parts([before, &incoming.at.to_string()]);
    }
    aside
}

/// Decides for each alert of a wave.
pub(super) fn decide(
    wave: Vec<Incoming>,
    deliveries: Vec<Digest>,
    Knowledge { episodes, known, found, flapping }: &Knowledge,
    places: &mut Places,
    mut openings: Option<&mut Openings>,
) -> Decided {
    let mut decided = Decided::default();
    let mut joined: BTreeMap<(InvestigationId, String, bool), (Vec<EventId>, Timestamp)> = BTreeMap::new();
    let mut over = vec![];
    for (place, (incoming, delivery)) in wave.into_iter().zip(deliveries).enumerate() {
        let since = incoming.since();
        let Incoming { arrival, at, .. } = incoming;
        let event = arrival.event.id;
        let is_over = arrival.event.status == AlertStatus::Resolved;
        let mut end = |known: &Known| {
            let Known { event, investigation, firing: Some(firing), .. } = known else { return };
            let ends_at = arrival.event.ends_at.unwrap_or(at);
            over.extend(investigation.map(|investigation| Told {
                investigation,
                sender: arrival.event.source.clone(),
                signal: Signal::Resolved { event: *event, ends_at },
                at,
            }));
            let ended_by = arrival.event.via.clone();
            let ended = SreEvent { status: AlertStatus::Resolved, ends_at: Some(ends_at), ended_by, ..firing.clone() };
            decided.ended.push((ended, at));
        };
        if is_over && let Some(last) = episodes.get(&place) {
            last.earlier.iter().for_each(&mut end);
        }
        let answer = match known.get(delivery.as_str()) {
            Some(known @ Known { event, investigation, firing: Some(_), .. }) if is_over => {
                end(known);
                Admitted { event: *event, investigation: *investigation, fate: Fate::Resolved }
            }
            Some(Known { event, investigation, .. }) => {
                Admitted { event: *event, investigation: *investigation, fate: Fate::Ignored }
            }
            None => {
                let home = match is_over {
                    true => Home::None,
                    false => match (places.of(&arrival, since, found), flapping.get(&place)) {
                        (Some(investigation), _) => Home::Of(investigation),
                        (None, Some(investigation)) => Home::Again(*investigation),
                        (None, None) => match openings.as_mut().map(|openings| openings.take(arrival.candidate, at)) {
                            None | Some(Opening::Own) => Home::Own,
                            Some(Opening::Storm) => Home::Storm,
                            Some(Opening::Joins(storm)) => {
                                decided.storm = Some((storm, at));
                                Home::Of(storm)
                            }
                        },
                    },
                };
                let (fate, investigation) = match home {
                    // Remembered, so that its firing alert, should it come late, opens nothing.
                    Home::None => (Fate::Resolved, None),
                    Home::Of(investigation) | Home::Again(investigation) => (Fate::Merged, Some(investigation)),
                    Home::Own | Home::Storm => (Fate::Opened, Some(arrival.candidate)),
                };
                if let Home::Of(investigation) | Home::Again(investigation) = home {
                    let key = (investigation, arrival.event.source.clone(), matches!(home, Home::Again(_)));
                    let (events, last) = joined.entry(key).or_insert_with(|| (vec![], at));
                    events.push(event);
                    *last = at;
                }
                let storm = matches!(home, Home::Storm);
                if matches!(home, Home::Own) {
                    places.opened(&arrival);
                }
                let arrival = if storm { as_storm(arrival) } else { arrival };
                decided.kept.push(Kept { arrival, at, delivery, fate, investigation, storm });
                Admitted { event, investigation, fate }
            }
        };
        decided.answers.push(answer);
    }
    for ((investigation, sender, flapping), (events, at)) in joined {
        decided.told.extend(events.chunks(EVENTS_PER_SIGNAL).map(|events| Told {
            investigation,
            sender: sender.clone(),
            signal: Signal::Merged { events: events.to_vec(), flapping },
            at,
        }));
    }
    decided.told.extend(over);
    decided
}

/// Where a new alert goes.
#[derive(Clone, Copy)]
enum Home {
    /// Nowhere: it is over already.
    None,
    /// To its cause's, or to the storm.
    Of(InvestigationId),
    /// Where it went the last time, because it comes and goes.
    Again(InvestigationId),
    /// To one that it opens.
    Own,
    /// To one that it opens for all that is beyond the cap.
    Storm,
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
                let named = arrival.event.named_things().into_iter();
                resources.extend(named.filter(|resource| !self.by_resource.contains_key(resource)));
            }
        }
        let list = |set: BTreeSet<String>| set.into_iter().collect();
        Wanted { keys: list(keys), resources: list(resources), kin: list(kin) }
    }

    /// The investigation that a new firing alert belongs to: the last one of its key, else of its kin, else of its
    /// resource, else the last that found its resource to be of its workload, unless that one had ended before the
    /// alert began.
    fn of(&mut self, arrival: &Arrival, since: Timestamp, found: &Found) -> Option<InvestigationId> {
        let home = self.seek(arrival, since, found);
        // An ended one fits by each alert's own start, so it is looked up for each.
        let is_open = |last: &&Last| last.closed_us.is_none() && !last.is_full;
        if let Some(open) = found.by_key.get(&arrival.correlation_key).filter(is_open) {
            self.by_key.entry(arrival.correlation_key.clone()).or_insert(open.id);
        }
        home
    }

    fn seek(&self, arrival: &Arrival, since: Timestamp, found: &Found) -> Option<InvestigationId> {
        let starts_us = since.as_microsecond();
        let fits = |last: &&Last| !last.is_full && last.closed_us.is_none_or(|end| starts_us <= end);
        let key = &arrival.correlation_key;
        let open = self.by_key.get(key).copied();
        let by_key = open.or_else(|| Some(found.by_key.get(key).filter(fits)?.id));
        let by_kin = || {
            let others = arrival.kin.as_ref()?.others.as_str();
            let open = self.by_kin.get(others).copied();
            open.or_else(|| Some(found.by_kin.get(others).filter(fits)?.id))
        };
        let by_name = || {
            let named = arrival.event.named_things();
            let by_resource = named.iter().find_map(|resource| {
                let open = self.by_resource.get(resource).copied();
                open.or_else(|| Some(found.by_resource.get(resource).filter(fits)?.id))
            });
            by_resource.or_else(|| named.iter().find_map(|thing| Some(found.by_thing.get(thing).filter(fits)?.id)))
        };
        by_key.or_else(by_kin).or_else(by_name)
    }

    /// The new firing alerts of a wave that would open one each, as far as is known before any of them does.
    pub(super) fn homeless(
        &self,
        wave: &[Incoming],
        deliveries: &[Digest],
        known: &HashMap<String, Known>,
        found: &Found,
    ) -> Vec<Homeless> {
        let mut homeless = vec![];
        for (place, (incoming, delivery)) in wave.iter().zip(deliveries).enumerate() {
            let arrival = &incoming.arrival;
            let event = &arrival.event;
            let is_new = event.status != AlertStatus::Resolved && !known.contains_key(delivery.as_str());
            if is_new && self.seek(arrival, incoming.since(), found).is_none() {
                let (source, fingerprint) = (event.source.clone(), event.fingerprint.clone());
                homeless.push(Homeless { place, source, fingerprint, starts_at: event.starts_at });
            }
        }
        homeless
    }

    fn opened(&mut self, arrival: &Arrival) {
        self.by_key.insert(arrival.correlation_key.clone(), arrival.candidate);
        self.by_kin.extend(arrival.kin.as_ref().map(|kin| (kin.own.clone(), arrival.candidate)));
        if let Some(resource) = resource_key(&arrival.event) {
            self.by_resource.insert(resource, arrival.candidate);
        }
    }
}
