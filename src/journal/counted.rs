//! Alerts beyond those that an investigation tells apart. In a storm thousands join: each is judged like any
//! other, and then only counted, so that the fold stays small. The store has them whole.

use super::meanwhile::Aside;
use super::state::Investigation;
use crate::domain::{AlertStatus, BlobRef, EventId, Resource, Severity, SreEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Alerts that an investigation tells apart, and as many again of another name or about something else than all
/// before. What is louder than all before is always told apart: that happens once for each severity.
const TOLD_APART: usize = 150;
/// The same of a storm: what its alerts share is worked out from them.
const TOLD_APART_OF_A_STORM: usize = 1_000;

/// Alerts that joined and are only counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertsCounted {
    /// Which.
    pub alerts: Vec<CountedAlert>,
    /// They come and go, so they open no investigation of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flapping: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedAlert {
    /// Our id of it.
    pub id: EventId,
    /// It as it was received.
    pub raw: BlobRef,
}

/// Those that were only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them, in the order in which they joined.
    pub alerts: Vec<EventId>,
    /// How many fire still.
    pub firing: usize,
    /// How many policy has judged, the first ones.
    pub judged: usize,
}

/// How many alerts there are beyond those that are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beyond {
    /// All of them.
    pub joined: usize,
    /// Those that fire still.
    pub firing: usize,
}

impl Counted {
    /// How many there are.
    pub fn beyond(&self) -> Beyond {
        Beyond { joined: self.alerts.len(), firing: self.firing }
    }

    /// Those that policy has not judged yet.
    pub fn unjudged(&self) -> &[EventId] {
        self.alerts.get(self.judged..).unwrap_or_default()
    }
}

impl Investigation {
    /// How many alerts belong to it.
    pub fn alerts(&self) -> usize {
        self.events.len().saturating_add(self.counted.alerts.len())
    }

    /// Firing while any of its alerts is.
    pub fn alert_status(&self) -> AlertStatus {
        match self.counted.firing > 0 || self.events.iter().any(|event| event.status == AlertStatus::Firing) {
            true => AlertStatus::Firing,
            false => AlertStatus::Resolved,
        }
    }

    /// An alert joined that no level takes into account yet.
    pub fn is_unjudged(&self) -> bool {
        self.assessed_events < self.events.len() || !self.counted.unjudged().is_empty()
    }

    /// Other alerts than those that are told apart may say something that is not known of them.
    pub(super) fn is_told_apart_in_full(&self) -> bool {
        self.events.len() >= 2 * self.most_told_apart()
    }

    fn most_told_apart(&self) -> usize {
        if self.is_storm() { TOLD_APART_OF_A_STORM } else { TOLD_APART }
    }

    /// `joining`, in their order: those to tell apart, and those to count.
    pub fn tell_apart(&self, joining: Vec<SreEvent>) -> (Vec<SreEvent>, Vec<CountedAlert>) {
        let most = self.most_told_apart();
        let mut loudest: Option<Severity> = self.events.iter().map(|event| event.severity).max();
        let mut names: HashSet<String> = self.events.iter().map(|event| event.name.clone()).collect();
        let mut resources: HashSet<Resource> = self.events.iter().map(|event| event.resource.clone()).collect();
        let (mut apart, mut counted) = (vec![], vec![]);
        for event in joining {
            let told = self.events.len() + apart.len();
            let is_loudest = loudest < Some(event.severity);
            let is_news = match self.is_storm() {
                true => event.severity == Severity::Critical,
                false => !event.resource.id.is_empty() && !resources.contains(&event.resource),
            };
            let is_news = is_news || !names.contains(&event.name);
            if told < most || is_loudest || (is_news && told < 2 * most) {
                loudest = loudest.max(Some(event.severity));
                names.insert(event.name.clone());
                resources.insert(event.resource.clone());
                apart.push(event);
            } else {
                counted.push(CountedAlert { id: event.id, raw: event.raw });
            }
        }
        (apart, counted)
    }

    pub(super) fn count(&mut self, AlertsCounted { alerts, flapping }: &AlertsCounted) {
        self.note_meanwhile(Aside::Counted(alerts.len()));
        self.counted.firing = self.counted.firing.saturating_add(alerts.len());
        self.counted.alerts.extend(alerts.iter().map(|alert| alert.id));
        self.classify(*flapping);
    }

    /// An alert is over: one that is told apart, or one of the others.
    pub(super) fn resolve(&mut self, event: EventId, ends_at: Timestamp) -> Result<(), String> {
        if let Some(found) = self.events.iter_mut().find(|known| known.id == event) {
            (found.status, found.ends_at) = (AlertStatus::Resolved, Some(ends_at));
            self.note_meanwhile(Aside::Over(event));
            return Ok(());
        }
        let left = self.counted.firing.checked_sub(1).filter(|_| self.counted.alerts.contains(&event));
        self.counted.firing = left.ok_or_else(|| format!("{event} is not a firing alert of this investigation"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::STORM_KEY;
    use crate::policy::sample_event;

    fn alert(n: u128, name: &str, severity: Severity) -> SreEvent {
        let id = EventId::new(uuid::Uuid::from_u128(n));
        SreEvent { id, name: name.to_owned(), severity, ..sample_event() }
    }

    fn many(from: u128, count: usize) -> Vec<SreEvent> {
        (from..).take(count).map(|n| alert(n, "Same", Severity::Warning)).collect()
    }

    #[test]
    fn what_is_beyond_is_counted_unless_it_says_something_else() {
        let inv = Investigation { events: many(1, 1), ..Investigation::empty("inv") };
        let (apart, counted) = inv.tell_apart(many(2, TOLD_APART + 10));
        assert_eq!((apart.len(), counted.len()), (TOLD_APART - 1, 11));
        assert_eq!(counted[0].id, EventId::new(uuid::Uuid::from_u128(TOLD_APART as u128 + 1)));
        let inv = Investigation { events: many(1, TOLD_APART), ..inv };
        let joining = vec![
            alert(901, "Same", Severity::Warning),
            alert(902, "Same", Severity::Critical),
            alert(903, "Same", Severity::Critical),
            alert(904, "Other", Severity::Info),
            alert(905, "Other", Severity::Info),
            SreEvent {
                resource: Resource { id: "elsewhere".into(), ..sample_event().resource },
                ..alert(906, "Same", Severity::Info)
            },
        ];
        let (apart, counted) = inv.tell_apart(joining);
        let ids = |numbers: &[u128]| -> Vec<EventId> {
            numbers.iter().map(|n| EventId::new(uuid::Uuid::from_u128(*n))).collect()
        };
        assert_eq!(apart.iter().map(|event| event.id).collect::<Vec<_>>(), ids(&[902, 904, 906]));
        assert_eq!(counted.iter().map(|alert| alert.id).collect::<Vec<_>>(), ids(&[901, 903, 905]));
    }

    #[test]
    fn however_many_names_there_are_it_ends() {
        let events: Vec<SreEvent> = (0..1_000).map(|n| alert(n, &format!("N{n}"), Severity::Warning)).collect();
        let (apart, counted) = Investigation::empty("inv").tell_apart(events.clone());
        assert_eq!((apart.len(), counted.len()), (2 * TOLD_APART, 1_000 - 2 * TOLD_APART));
        let full = Investigation { events: apart, ..Investigation::empty("inv") };
        assert!(full.is_told_apart_in_full());
        let loud = full.tell_apart(vec![alert(5_000, "N", Severity::Critical), alert(5_001, "M", Severity::Critical)]);
        assert_eq!((loud.0.len(), loud.1.len()), (1, 1), "the loudest is never lost among others");
        let storm = Investigation { correlation_key: STORM_KEY.to_owned(), ..Investigation::empty("inv") };
        assert_eq!(storm.tell_apart(events).0.len(), 1_000);
    }
}
