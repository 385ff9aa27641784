//! How many alerts of one sender are taken in a minute. Alertmanager has no such cap: it groups, and it
//! does not understand the answer.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Senders that are counted apart; further ones share one count, so that a sender who makes up names
/// gains nothing.
const MAX_SENDERS: usize = 256;
const MINUTE_S: f64 = 60.0;

/// Alerts that each sender may still send.
#[derive(Debug)]
pub struct Storm {
    per_minute: u32,
    left: Mutex<BTreeMap<String, (Timestamp, f64)>>,
}

impl Storm {
    /// A cap of so many alerts a minute; 0 is none.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, left: Mutex::default() }
    }

    /// Takes one alert off what `source` may send, if there is one: of callers that come together, no more
    /// get in than may.
    ///
    /// # Errors
    /// The seconds after which it may.
    pub fn may(&self, source: &str, now: Timestamp) -> Result<(), u32> {
        if self.per_minute == 0 {
            return Ok(());
        }
        self.with(source, now, |left| match *left >= 1.0 {
            true => {
                *left -= 1.0;
                Ok(())
            }
            // Between one second and a minute, by the bounds of what is left.
            false => {
                let each_s = MINUTE_S / f64::from(self.per_minute);
                Err(((1.0 - *left) * each_s).ceil().clamp(1.0, MINUTE_S) as u32)
            }
        })
    }

    /// Settles what [`Self::may`] let in: `alerts` of `source` were taken. A body is taken whole: it may bring
    /// the count below zero, to be paid off within a minute; of which nothing was taken costs nothing.
    pub fn took(&self, source: &str, alerts: usize, now: Timestamp) {
        if self.per_minute > 0 {
            let full = f64::from(self.per_minute);
            self.with(source, now, |left| *left = (*left + 1.0 - alerts as f64).clamp(1.0 - full, full));
        }
    }

    /// What `source` has left at `now`.
    fn with<T>(&self, source: &str, now: Timestamp, change: impl FnOnce(&mut f64) -> T) -> T {
        let full = f64::from(self.per_minute);
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SENDERS && !all.contains_key(source) {
            // Who has not sent for so long that nothing is missing is as good as new.
            all.retain(|_, (since, left)| *left + passed_s(*since, now) * full / MINUTE_S < full);
        }
        let source = if all.len() >= MAX_SENDERS && !all.contains_key(source) { "" } else { source };
        let (since, left) = all.entry(source.to_owned()).or_insert((now, full));
        *left = (*left + passed_s(*since, now) * full / MINUTE_S).min(full);
        *since = now.max(*since);
        change(left)
    }
}

fn passed_s(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    #[test]
    fn a_sender_that_passes_its_cap_is_told_when_to_come_again() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let storm = Storm::new(120);
        for _ in 0..120 {
            storm.may("grafana", now).unwrap();
            storm.took("grafana", 1, now);
        }
        let wait = storm.may("grafana", now).unwrap_err();
        assert_eq!(wait, 1);
        assert_eq!(storm.may("sentry", now), Ok(()));
        assert_eq!(storm.may("grafana", now + 1.second()), Ok(()));
        // One large body is taken whole and paid off within a minute.
        storm.took("sentry", 5_000, now);
        assert_eq!(storm.may("sentry", now), Err(60));
        assert_eq!(storm.may("sentry", now + 60.seconds()), Ok(()));
        // A clock that goes back refills nothing and breaks nothing.
        storm.took("sentry", 5_000, now + 60.seconds());
        assert!(storm.may("sentry", now).is_err());
        assert_eq!(Storm::new(0).may("sentry", now), Ok(()));
    }

    #[test]
    fn of_those_that_come_together_no_more_get_in_than_may() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let storm = Storm::new(10);
        // None of them is settled before all have asked.
        let let_in = (0..100).filter(|_| storm.may("grafana", now).is_ok()).count();
        assert_eq!(let_in, 10);
        // Repeats, of which nothing is taken, cost nothing.
        (0..10).for_each(|_| storm.took("grafana", 0, now));
        assert_eq!((0..100).filter(|_| storm.may("grafana", now).is_ok()).count(), 10);
    }

    #[test]
    fn made_up_names_share_one_count() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let storm = Storm::new(10);
        let taken = (0..10_000).filter(|n| {
            let name = format!("sender-{n}");
            let may = storm.may(&name, now).is_ok();
            if may {
                storm.took(&name, 1, now);
            }
            may
        });
        assert_eq!(taken.count(), MAX_SENDERS + 10);
        // Nor do they push anybody out: a minute later all of them are forgotten.
        let later = now + 61.seconds();
        assert_eq!(storm.may("grafana", later), Ok(()));
        storm.took("grafana", 10, later);
        assert!(storm.may("grafana", later).is_err() && storm.may("sentry", later).is_ok());
    }
}
