//! Investigations as they were left, so that whoever takes one up again reads only what was written since.
//! What is remembered is the fold of the entries up to a head, and never more than that: the entries behind it
//! have to fit onto that head, and so does the next append.

use crate::domain::InvestigationId;
use crate::journal::Investigation;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is remembered weighs no more, in KiB.
const MOST: usize = 48 << 10;
/// What an alert weighs beside its text, and a call; text is there twice, about.
const ALERT: usize = 2;
const CALL: usize = 8;

/// The last ones, the newest behind.
#[derive(Debug, Default)]
pub struct Warm {
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    id: InvestigationId,
    weight: usize,
    investigation: Investigation,
}

impl Warm {
    /// The investigation as it was left, if it is remembered; it is not any more.
    pub(super) fn take(&self, id: InvestigationId) -> Option<Investigation> {
        let mut kept = self.kept();
        let place = kept.iter().position(|kept| kept.id == id)?;
        kept.remove(place).map(|kept| kept.investigation)
    }

    /// Remembers it, and forgets the oldest ones for that.
    pub(super) fn keep(&self, id: InvestigationId, investigation: Investigation) {
        let weight = weight(&investigation);
        if weight > MOST {
            return;
        }
        let mut kept = self.kept();
        kept.retain(|kept| kept.id != id);
        kept.push_back(Kept { id, weight, investigation });
        let mut all: usize = kept.iter().map(|kept| kept.weight).sum();
        while all > MOST
            && let Some(oldest) = kept.pop_front()
        {
            all -= oldest.weight;
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(investigation: &Investigation) -> usize {
    let of_text = |bytes: usize| bytes / 512;
    let alerts = investigation.events.iter();
    let alerts: usize =
        alerts.map(|event| ALERT + of_text(usize::try_from(event.raw.bytes).unwrap_or(usize::MAX))).sum();
    let calls: usize = investigation.calls.iter().map(|state| CALL + of_text(state.call.args.to_string().len())).sum();
    alerts.saturating_add(calls).saturating_add(CALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_event;

    fn id(n: u128) -> InvestigationId {
        InvestigationId::new(uuid::Uuid::from_u128(n))
    }

    fn with(alerts: usize) -> Investigation {
        Investigation { events: vec![sample_event(); alerts], ..Investigation::empty("inv") }
    }

    fn of_weight(part: usize) -> Investigation {
        let one = weight(&with(1)) - weight(&with(0));
        with(MOST / part / one)
    }

    #[test]
    fn what_was_left_last_is_remembered_and_taken_once() {
        let warm = Warm::default();
        warm.keep(id(1), with(1));
        warm.keep(id(1), with(2));
        assert_eq!(warm.take(id(1)).map(|investigation| investigation.events.len()), Some(2));
        assert_eq!(warm.take(id(1)), None);
        assert_eq!(warm.take(id(2)), None);
    }

    #[test]
    fn what_weighs_too_much_pushes_the_oldest_out() {
        let warm = Warm::default();
        for n in 1..=3 {
            warm.keep(id(n), of_weight(2));
        }
        assert_eq!((warm.take(id(1)), warm.take(id(2))), (None, None));
        assert!(warm.take(id(3)).is_some());
        warm.keep(id(4), with(1));
        warm.keep(id(5), with(MOST));
        assert_eq!(warm.take(id(5)), None);
        assert!(warm.take(id(4)).is_some());
        // Few alerts with long texts weigh as much as many.
        let mut long = sample_event();
        long.raw.bytes = 200 << 10;
        let long = Investigation { events: vec![long; 200], ..Investigation::empty("inv") };
        assert!(weight(&long) > MOST);
    }
}
