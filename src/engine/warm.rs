//! Investigations as they were left, so that whoever takes one up again reads only what was written since.
//! What is remembered is the fold of the entries up to a head, and never more than that: the entries behind it
//! have to fit onto that head, and so does the next append.

use crate::domain::InvestigationId;
use crate::journal::Investigation;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is remembered weighs no more, in alerts: about 2 KiB each.
const MOST: usize = 20_000;
/// A call weighs as much as so many alerts, and so does an investigation by itself.
const CALL: usize = 8;

/// The last ones, the newest behind.
#[derive(Debug, Default)]
pub struct Warm {
    kept: Mutex<VecDeque<(InvestigationId, Investigation)>>,
}

impl Warm {
    /// The investigation as it was left, if it is remembered; it is not any more.
    pub(super) fn take(&self, id: InvestigationId) -> Option<Investigation> {
        let mut kept = self.kept();
        let place = kept.iter().position(|(known, _)| *known == id)?;
        kept.remove(place).map(|(_, investigation)| investigation)
    }

    /// Remembers it, and forgets the oldest ones for that.
    pub(super) fn keep(&self, id: InvestigationId, investigation: Investigation) {
        if weight(&investigation) > MOST {
            return;
        }
        let mut kept = self.kept();
        kept.retain(|(known, _)| *known != id);
        kept.push_back((id, investigation));
        let mut all: usize = kept.iter().map(|(_, investigation)| weight(investigation)).sum();
        while all > MOST
            && let Some((_, oldest)) = kept.pop_front()
        {
            all -= weight(&oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(InvestigationId, Investigation)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(investigation: &Investigation) -> usize {
    CALL + investigation.events.len() + CALL * investigation.calls.len()
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
            warm.keep(id(n), with(MOST / 3));
        }
        assert_eq!(warm.take(id(1)), None);
        assert!(warm.take(id(2)).is_some() && warm.take(id(3)).is_some());
        warm.keep(id(4), with(1));
        warm.keep(id(5), with(MOST + 1));
        assert_eq!(warm.take(id(5)), None);
        assert!(warm.take(id(4)).is_some());
    }
}
