//! The fold's notices: who is still to be told of the last report, and when it is tried again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The pause behind the first attempt that failed; each further one is twice as long.
const FIRST_PAUSE_MS: i64 = 5_000;
/// No pause is longer.
const LONGEST_PAUSE_MS: i64 = 5 * 60 * 1_000;
/// A notice older than this is given up at the next attempt that fails ...
const TOO_OLD: SignedDuration = SignedDuration::from_hours(24);
/// ... but not before so many: a process that was down that long, or a clock that jumped, gives a
/// sink its chances all the same.
const AT_LEAST: u32 = 5;

/// When a notice of a report of `reported_at` is tried again, whose attempt number `attempt` (from 1)
/// failed at `now`; `None` when it is given up. `dice` shortens the pause by up to a quarter, so that
/// what failed together does not come back together.
pub fn again_at(attempt: u32, reported_at: Timestamp, now: Timestamp, dice: u8) -> Option<Timestamp> {
    if attempt >= AT_LEAST && now.duration_since(reported_at) > TOO_OLD {
        return None;
    }
    let doubled = FIRST_PAUSE_MS.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    let pause = doubled.min(LONGEST_PAUSE_MS);
    let shorter = pause / 4 * i64::from(dice) / 255;
    now.checked_add(SignedDuration::from_millis(pause - shorter)).ok()
}

/// A notice that somebody is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Whom: `log`, or a configured sink's name.
    pub sink: String,
    /// The revision of the report.
    pub revision: u32,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the last one did.
    pub error: Option<String>,
    /// When it did.
    pub failed_at: Option<Timestamp>,
    /// When it is tried again.
    pub again_at: Timestamp,
}

/// What people are still to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox(Vec<Debt>);

impl Outbox {
    /// A report was written for these sinks. It takes the place of an earlier revision that somebody
    /// had not heard of: the later one says it all.
    pub(super) fn owe(&mut self, sinks: &[String], revision: u32, at: Timestamp) {
        let debt = |sink: String| Debt { sink, revision, attempts: 0, error: None, failed_at: None, again_at: at };
        self.0 = match sinks.is_empty() {
            // Entries from before reports named their sinks.
            true => vec![debt("log".to_owned())],
            false => sinks.iter().cloned().map(debt).collect(),
        };
    }

    /// A sink was told, or given up.
    pub(super) fn settle(&mut self, sink: &str, revision: u32) {
        self.0.retain(|debt| debt.sink != sink || debt.revision != revision);
    }

    /// A sink could not be told.
    pub(super) fn put_off(
        &mut self,
        sink: &str,
        (revision, attempt): (u32, u32),
        error: &str,
        at: Timestamp,
        again_at: Timestamp,
    ) -> Result<(), String> {
        let debt = self.0.iter_mut().find(|debt| debt.sink == sink && debt.revision == revision);
        let debt = debt.ok_or_else(|| format!("nothing of revision {revision} is owed to {sink}"))?;
        if attempt != debt.attempts + 1 {
            return Err(format!("attempt {attempt} at {sink} follows attempt {}", debt.attempts));
        }
        (debt.attempts, debt.error) = (attempt, Some(error.to_owned()));
        (debt.failed_at, debt.again_at) = (Some(at), again_at);
        Ok(())
    }

    /// Nobody needs to be told any more.
    pub(super) fn close(&mut self) {
        self.0.clear();
    }

    /// What is owed.
    pub fn debts(&self) -> &[Debt] {
        &self.0
    }

    /// Whom to tell at `now`.
    pub fn due(&self, now: Timestamp) -> Vec<String> {
        // A clock that went back behind the last attempt says nothing about the next one.
        let due = |debt: &&Debt| debt.again_at <= now || debt.failed_at.is_some_and(|at| at > now);
        self.0.iter().filter(due).map(|debt| debt.sink.clone()).collect()
    }

    /// When the next one is due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.0.iter().map(|debt| debt.again_at).min()
    }

    /// Everybody owed was tried and failed: only their time is waited for.
    pub fn is_put_off(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|debt| debt.attempts > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn pauses_grow_to_five_minutes_and_end_with_the_day() {
        let day = 24 * 3600;
        for (attempt, now, dice, pause) in [
            (1, 0, 0, Some(5_000)),
            (1, 0, 255, Some(3_750)),
            (2, 5, 0, Some(10_000)),
            (6, 99, 0, Some(160_000)),
            (7, 300, 0, Some(300_000)),
            (7, 300, 255, Some(225_000)),
            (4_000_000, 300, 0, Some(300_000)),
            (9, day, 0, Some(300_000)),
            (9, day + 1, 0, None),
            (5, day + 1, 0, None),
            (4, day + 1, 0, Some(40_000)),
            (4, 100 * day, 0, Some(40_000)),
            (9, -day, 0, Some(300_000)),
        ] {
            let again = again_at(attempt, at(0), at(now), dice);
            let found = again.map(|again| again.duration_since(at(now)).as_millis());
            assert_eq!(found, pause, "attempt {attempt} at second {now}, dice {dice}");
        }
    }

    #[test]
    fn one_sink_is_put_off_and_the_others_are_not() {
        let mut outbox = Outbox::default();
        outbox.owe(&["log".into(), "chat".into()], 2, at(0));
        assert_eq!(outbox.due(at(0)), ["log", "chat"]);
        outbox.put_off("chat", (2, 1), "chat: status 503", at(1), at(6)).unwrap();
        assert_eq!((outbox.due(at(1)), outbox.is_put_off()), (vec!["log".to_owned()], false));
        outbox.settle("log", 2);
        assert_eq!((outbox.due(at(5)), outbox.next_at(), outbox.is_put_off()), (vec![], Some(at(6)), true));
        assert_eq!(outbox.due(at(6)), ["chat"]);
        assert_eq!(outbox.due(at(0)), ["chat"], "the clock went back");
        outbox.settle("chat", 1);
        assert_eq!(outbox.debts().len(), 1, "that was another revision");
        outbox.owe(&["chat".into()], 3, at(9));
        assert_eq!(outbox.debts()[0].attempts, 0, "a new revision is tried at once");
        outbox.settle("chat", 3);
        assert_eq!((outbox.next_at(), outbox.is_put_off()), (None, false));
    }

    #[test]
    fn what_nobody_is_owed_cannot_fail() {
        let mut outbox = Outbox::default();
        outbox.owe(&[], 1, at(0));
        assert_eq!(outbox.due(at(0)), ["log"], "entries from before");
        for (sink, revision, attempt, why) in [
            ("chat", 1, 1, "nothing of revision 1 is owed to chat"),
            ("log", 2, 1, "nothing of revision 2 is owed to log"),
            ("log", 1, 2, "attempt 2 at log follows attempt 0"),
        ] {
            let refused = outbox.put_off(sink, (revision, attempt), "", at(1), at(2));
            assert_eq!(refused, Err(why.to_owned()));
        }
    }
}
