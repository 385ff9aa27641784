//! When to repeat a request, and when to send the next one at all.

use super::fault::{Fault, is_context_overflow};
use crate::domain::{Clock, Entropy};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest wait that a server may ask for; above it the caller is told instead.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// The distance between requests after the first refusal.
const FIRST_DISTANCE: Duration = Duration::from_millis(250);
/// It grows up to here, and is forgotten when it has shrunk below the first one.
const MAX_DISTANCE: Duration = Duration::from_secs(10);

/// A bucket that holds one token: once a server has refused for its rate, requests keep a distance
/// that doubles with each refusal and shrinks with each answer. All investigations that ask the same
/// provider share it, so they do not run into the same limit one after the other.
#[derive(Debug, Default)]
struct Bucket {
    distance: Duration,
    next: Option<Timestamp>,
}

impl Bucket {
    /// How long a request has to wait. Its place is taken when that is no longer than `most`;
    /// otherwise nothing is, and the caller is told.
    fn take(&mut self, now: Timestamp, most: Duration) -> Result<Duration, Duration> {
        let at = self.next.map_or(now, |next| next.max(now));
        let wait = between(now, at);
        if wait > most {
            return Err(wait);
        }
        if !self.distance.is_zero() {
            self.next = Some(later(at, self.distance));
        }
        Ok(wait)
    }

    fn refused(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.distance = (self.distance * 2).clamp(FIRST_DISTANCE, MAX_DISTANCE);
        let at = later(now, retry_after.unwrap_or_default().max(self.distance));
        self.next = Some(self.next.map_or(at, |next| next.max(at)));
    }

    fn answered(&mut self) {
        self.distance /= 2;
        if self.distance < FIRST_DISTANCE {
            *self = Self::default();
        }
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// How one provider is asked again.
#[derive(Debug)]
pub(super) struct Pace {
    /// Longest waits before the repeats; as many repeats as waits.
    backoff: Vec<Duration>,
    bucket: Mutex<Bucket>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Pace {
    pub(super) fn new(backoff: Vec<Duration>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { backoff, bucket: Mutex::default(), clock, entropy }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// When that is too long from now; nothing is sent then, so nothing is to be paid.
    pub(super) async fn turn(&self) -> Result<(), Fault> {
        let taken = self.bucket().take(self.clock.now(), MAX_RETRY_AFTER);
        match taken {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => {
                let message = "it asked for a pause that is not over, so it was not asked again".to_owned();
                Err(Fault::Status { status: 429, message, retry_after: Some(wait) })
            }
        }
    }

    /// Notes that the server answered.
    pub(super) fn answered(&self) {
        self.bucket().answered();
    }

    /// Notes how a request failed. Answers how long to wait before repeat number `repeat` (from 0);
    /// `None` when repeating is useless or has been done enough.
    pub(super) fn failed(&self, fault: &Fault, repeat: usize) -> Option<Duration> {
        if let Fault::Status { status: 429, retry_after, .. } = fault {
            self.bucket().refused(self.clock.now(), *retry_after);
        }
        let asked = wait_wanted(fault)?;
        let most = self.backoff.get(repeat)?;
        (asked <= MAX_RETRY_AFTER).then(|| asked + jitter(*most, self.entropy.salt()))
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anything from nothing to `most`: those that failed together do not come back together.
fn jitter(most: Duration, chance: [u8; 16]) -> Duration {
    let [a, b, c, d, ..] = chance;
    most.mul_f64(f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX))
}

/// How long the server wants us to wait before the same request; `None` when repeating is useless.
fn wait_wanted(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Connect(_) => Some(Duration::ZERO),
        Fault::Status { status: 429, message, .. } if message.contains("insufficient_quota") => None,
        Fault::Status { status, message, .. } if is_context_overflow(*status, message) => None,
        Fault::Status { status: 429 | 500..=599, retry_after, .. } => Some(retry_after.unwrap_or_default()),
        // A request that broke off may have been worked on and paid for.
        Fault::Status { .. }
        | Fault::Broken(_)
        | Fault::Timeout
        | Fault::Stalled(_)
        | Fault::TooLarge
        | Fault::NotJson(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn l01_a_refusal_makes_a_distance_that_answers_shorten() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(at(0), MAX_RETRY_AFTER), Ok(ms(0)));
        assert_eq!(bucket.take(at(0), MAX_RETRY_AFTER), Ok(ms(0)), "nobody waits before the first refusal");
        bucket.refused(at(0), None);
        assert_eq!(bucket.take(at(0), MAX_RETRY_AFTER), Ok(ms(250)));
        assert_eq!(bucket.take(at(0), MAX_RETRY_AFTER), Ok(ms(500)), "the next one queues behind it");
        bucket.refused(at(600), Some(ms(3_000)));
        assert_eq!(bucket.take(at(600), MAX_RETRY_AFTER), Ok(ms(3_000)));
        assert_eq!(bucket.take(at(600), MAX_RETRY_AFTER), Ok(ms(3_500)));
        bucket.answered();
        assert_eq!(bucket.take(at(10_000), MAX_RETRY_AFTER), Ok(ms(0)));
        assert_eq!(bucket.take(at(10_000), MAX_RETRY_AFTER), Ok(ms(250)));
        bucket.answered();
        assert_eq!(bucket.take(at(10_000), MAX_RETRY_AFTER), Ok(ms(0)));
    }

    #[test]
    fn l01_a_long_pause_is_told_instead_of_waited_for() {
        let mut bucket = Bucket::default();
        bucket.refused(at(0), Some(ms(60_000)));
        assert_eq!(bucket.take(at(0), MAX_RETRY_AFTER), Err(ms(60_000)));
        assert_eq!(bucket.take(at(45_000), MAX_RETRY_AFTER), Ok(ms(15_000)));
        bucket.refused(at(0), Some(Duration::MAX));
        assert!(bucket.take(at(0), MAX_RETRY_AFTER).is_err());
        (0..100).for_each(|_| bucket.refused(at(0), None));
        assert_eq!(bucket.distance, MAX_DISTANCE);
    }

    #[derive(Debug)]
    struct Fixed(u8);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            at(0)
        }
    }

    impl Entropy for Fixed {
        fn uuid(&self, _: Timestamp) -> Uuid {
            Uuid::nil()
        }
        fn salt(&self) -> [u8; 16] {
            [self.0; 16]
        }
    }

    fn pace(chance: u8) -> Pace {
        Pace::new(vec![ms(500), ms(2_000)], Arc::new(Fixed(chance)), Arc::new(Fixed(chance)))
    }

    fn status(status: u16, after: Option<u64>) -> Fault {
        Fault::Status { status, message: String::new(), retry_after: after.map(Duration::from_secs) }
    }

    #[test]
    fn l02_trouble_is_repeated_with_full_jitter_and_an_end() {
        for code in [429, 500, 502, 503, 504, 529] {
            assert_eq!(pace(0).failed(&status(code, None), 0), Some(ms(0)), "{code}");
            assert_eq!(pace(255).failed(&status(code, None), 0), Some(ms(500)));
            assert_eq!(pace(255).failed(&status(code, None), 1), Some(ms(2_000)));
            assert_eq!(pace(0).failed(&status(code, Some(3)), 0), Some(ms(3_000)), "jitter never shortens it");
            assert_eq!(pace(0).failed(&status(code, Some(21)), 0), None);
            assert_eq!(pace(0).failed(&status(code, None), 2), None, "twice is enough");
        }
        let half = pace(128).failed(&status(503, None), 0).unwrap();
        assert!(half > ms(240) && half < ms(260), "{half:?}");
        for never in [status(400, None), Fault::Timeout, Fault::Stalled(ms(1)), Fault::Broken("x".into())] {
            assert_eq!(pace(0).failed(&never, 0), None, "{never}");
        }
    }
}
