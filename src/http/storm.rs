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

    /// Whether `source` may send now.
    ///
    /// # Errors
    /// The seconds after which it may.
    pub fn may(&self, source: &str, now: Timestamp) -> Result<(), u32> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let left = self.spend(source, 0, now);
        let each_s = MINUTE_S / f64::from(self.per_minute);
        match left >= 1.0 {
            true => Ok(()),
            // Between one second and a minute, by the bounds of what is left.
            false => Err(((1.0 - left) * each_s).ceil().clamp(1.0, MINUTE_S) as u32),
        }
    }

    /// Notes that `alerts` of `source` were taken. A body is taken whole: it may bring the count below zero.
    pub fn took(&self, source: &str, alerts: usize, now: Timestamp) {
        if self.per_minute > 0 && alerts > 0 {
            self.spend(source, alerts, now);
        }
    }

    fn spend(&self, source: &str, alerts: usize, now: Timestamp) -> f64 {
        let full = f64::from(self.per_minute);
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SENDERS && !all.contains_key(source) {
            // Who has not sent for so long that nothing is missing is as good as new.
            all.retain(|_, (since, left)| *left + passed_s(*since, now) * full / MINUTE_S < full);
        }
        let source = if all.len() >= MAX_SENDERS && !all.contains_key(source) { "" } else { source };
        let (since, left) = all.entry(source.to_owned()).or_insert((now, full));
        // A large body is paid off within a minute.
        let refilled = (*left + passed_s(*since, now) * full / MINUTE_S).min(full);
        *left = (refilled - alerts as f64).max(1.0 - full);
        *since = now.max(*since);
        *left
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
    fn made_up_names_share_one_count() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let storm = Storm::new(10);
        let taken = (0..10_000).filter(|n| {
            let name = format!("sender-{n}");
            let may = storm.may(&name, now).is_ok();
            storm.took(&name, usize::from(may), now);
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
