//! How many investigations may be opened before the rest of a storm is looked at as one.

use crate::domain::{Digest, InvestigationId};
use crate::journal::{STORM_KEY, STORM_ROUTE};
use crate::store::Arrival;
use jiff::{SignedDuration, Timestamp};

/// A storm that lasts longer is told of anew.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// An investigation that has so many alerts takes no more; the next one opens another.
pub(crate) const MOST_ALERTS: i64 = 100_000;

/// The cap on investigations that are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StormCap {
    /// Investigations that are opened within the window at most; the storm's own is the last of them.
    pub max_open: u32,
    /// The window.
    pub window: SignedDuration,
}

impl StormCap {
    fn window_us(self) -> i64 {
        i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX)
    }

    /// What opened before this has no part in what is opened at `at`; neither has what opened as long after
    /// it, by a clock that was put back since. In microseconds.
    pub(crate) fn reach_us(self, at: Timestamp) -> (i64, i64) {
        let at_us = at.as_microsecond();
        (at_us.saturating_sub(self.window_us()), at_us.saturating_add(self.window_us()))
    }
}

/// The last storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastStorm {
    pub(crate) id: InvestigationId,
    pub(crate) opened_us: i64,
    /// When an alert last joined it.
    pub(crate) joined_us: i64,
    /// Alerts that belong to it.
    pub(crate) alerts: i64,
}

/// What becomes of an alert that belongs to no investigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It opens its own.
    Own,
    /// It opens the storm's.
    Storm,
    /// It joins the storm.
    Joins(InvestigationId),
}

/// What was opened of late, and the storm that takes what is beyond the cap. Pure: what the database knows
/// goes in once, what is decided since is added.
#[derive(Debug, Clone)]
pub(crate) struct Openings {
    pub(crate) cap: StormCap,
    /// When investigations of their own were opened.
    pub(crate) opened_us: Vec<i64>,
    pub(crate) storm: Option<LastStorm>,
}

impl Openings {
    /// Decides for an alert at `at` that would open `candidate`.
    pub(crate) fn take(&mut self, candidate: InvestigationId, at: Timestamp) -> Opening {
        let (from_us, to_us) = self.cap.reach_us(at);
        let at_us = at.as_microsecond();
        let own = self.opened_us.iter().filter(|opened_us| (from_us + 1..to_us).contains(opened_us)).count();
        // The storm has the last place, so that all of them together stay within the cap.
        if own + 1 < self.cap.max_open as usize {
            self.opened_us.push(at_us);
            return Opening::Own;
        }
        let longest_us = i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX).max(self.cap.window_us());
        let goes_on = |storm: &&mut LastStorm| {
            let is_within = |since_us: i64, most_us: i64| at_us.saturating_sub(since_us).saturating_abs() <= most_us;
            is_within(storm.joined_us, self.cap.window_us())
                && is_within(storm.opened_us, longest_us)
                && storm.alerts < MOST_ALERTS
        };
        match self.storm.as_mut().filter(goes_on) {
            Some(storm) => {
                (storm.joined_us, storm.alerts) = (at_us, storm.alerts + 1);
                Opening::Joins(storm.id)
            }
            None => {
                self.storm = Some(LastStorm { id: candidate, opened_us: at_us, joined_us: at_us, alerts: 1 });
                Opening::Storm
            }
        }
    }
}

/// `arrival` as it opens a storm: under the storm's key and route.
pub(crate) fn as_storm(mut arrival: Arrival) -> Arrival {
    arrival.correlation_key = STORM_KEY.to_owned();
    arrival.incident_key = Digest::of_parts([STORM_KEY, &arrival.event.starts_at.to_string()]);
    arrival.route = STORM_ROUTE.to_owned();
    arrival
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u128) -> InvestigationId {
        InvestigationId::new(uuid::Uuid::from_u128(n))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn openings(max_open: u32) -> Openings {
        let cap = StormCap { max_open, window: SignedDuration::from_mins(10) };
        Openings { cap, opened_us: vec![], storm: None }
    }

    #[test]
    fn what_is_beyond_the_cap_joins_one_storm_until_the_window_has_passed() {
        let mut openings = openings(3);
        for (n, second, expected) in [
            (1, 0, Opening::Own),
            (2, 1, Opening::Own),
            (3, 2, Opening::Storm),
            (4, 3, Opening::Joins(id(3))),
            (5, 599, Opening::Joins(id(3))),
            // The first two slide out of the window, one after the other.
            (6, 600, Opening::Own),
            (7, 600, Opening::Joins(id(3))),
            (8, 601, Opening::Own),
            (9, 602, Opening::Joins(id(3))),
            // It was quiet for longer than the window: what comes now is another storm.
            (10, 1_900, Opening::Own),
            (11, 1_900, Opening::Own),
            (12, 1_900, Opening::Storm),
            (13, 1_901, Opening::Joins(id(12))),
        ] {
            assert_eq!(openings.take(id(n), at(second)), expected, "{n} at {second}");
        }
    }

    #[test]
    fn a_storm_that_does_not_end_is_told_of_anew_every_hour() {
        let mut openings = openings(1);
        let taken = (0..=120).map(|minute| openings.take(id(minute + 1), at(i64::try_from(minute).unwrap() * 60)));
        let opened: Vec<usize> =
            taken.enumerate().filter(|(_, opening)| *opening == Opening::Storm).map(|(minute, _)| minute).collect();
        assert_eq!(opened, [0, 61]);
    }

    #[test]
    fn a_clock_that_was_put_back_holds_nothing_up() {
        let mut openings = openings(2);
        assert_eq!(openings.take(id(1), at(86_400)), Opening::Own);
        assert_eq!(openings.take(id(2), at(0)), Opening::Own);
        assert_eq!(openings.take(id(3), at(0)), Opening::Storm);
    }

    proptest! {
        #[test]
        fn no_window_sees_more_opened_than_the_cap(max_open in 1_u32..6, gaps in prop::collection::vec(0_i64..400, 1..200)) {
            let mut openings = openings(max_open);
            let (mut now, mut opened) = (0, vec![]);
            for (n, gap) in gaps.into_iter().enumerate() {
                now += gap;
                if !matches!(openings.take(id(n as u128 + 1), at(now)), Opening::Joins(_)) {
                    opened.push(now);
                }
            }
            for from in &opened {
                let within = opened.iter().filter(|at| (*from..*from + 600).contains(*at)).count();
                prop_assert!(within <= max_open as usize, "{within} opened within ten minutes");
            }
        }
    }
}
