//! When the work on an investigation may begin: alerts of one incident are gathered for a while, and a
//! route has so many places. Judging the risk and telling people wait for neither.

use crate::domain::{Risk, Severity};
use crate::journal::{Investigation, Step};
use jiff::{SignedDuration, Timestamp};

/// How long alerts of one incident are gathered before the work begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// After each alert, so long is waited for another one; zero begins at once.
    pub wait: SignedDuration,
    /// After the first alert, no longer than this.
    pub at_most: SignedDuration,
}

impl Coalesce {
    /// Until when the alerts of `inv` are gathered; `None` when the work may begin at `now`.
    pub(super) fn until(&self, inv: &Investigation, now: Timestamp) -> Option<Timestamp> {
        if self.wait <= SignedDuration::ZERO || inv.events.iter().any(|event| event.severity == Severity::Critical) {
            return None;
        }
        let first = inv.events.first()?.received_at;
        let last = inv.events.iter().map(|event| event.received_at).max()?;
        let after = |at: Timestamp, wait| at.saturating_add(wait).unwrap_or(at);
        let until = after(last, self.wait).min(after(first, self.at_most));
        // What was received later than it is now tells of a clock that went back.
        (now >= first && until > now).then_some(until)
    }
}

/// Whether `step` is the work that a route has places for. What tells people, keeps a change in order or
/// ends something is not: it must not wait behind the work on others.
pub(super) fn needs_place(step: &Step, inv: &Investigation) -> bool {
    match step {
        Step::Open | Step::TakeRung | Step::Survey | Step::Read(_) | Step::Ask { .. } => true,
        // People must hear of what policy calls CRITICAL.
        Step::Reopen(_) => inv.risk != Some(Risk::Critical),
        Step::Assess(_)
        | Step::Decline
        | Step::Plan(_)
        | Step::Authorize(_)
        | Step::Reconcile(_)
        | Step::Verify(_)
        | Step::Expire(_)
        | Step::Drop(_)
        | Step::Report
        | Step::Notify { .. }
        | Step::Close(_)
        | Step::Wait(_)
        | Step::Done => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_event;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn incident(alerts: &[(i64, Severity)]) -> Investigation {
        let mut inv = Investigation::empty("inv_x");
        for (second, severity) in alerts {
            let mut event = sample_event();
            (event.received_at, event.severity) = (at(*second), *severity);
            inv.events.push(event);
        }
        inv
    }

    #[test]
    fn each_alert_postpones_the_beginning_until_it_is_enough() {
        use Severity::{Critical, Error, Warning};
        let of = |wait, at_most| Coalesce {
            wait: SignedDuration::from_secs(wait),
            at_most: SignedDuration::from_secs(at_most),
        };
        for (coalesce, alerts, now, until) in [
            (of(0, 120), &[(0, Warning)][..], 0, None),
            (of(30, 120), &[(0, Warning)], 0, Some(30)),
            (of(30, 120), &[(0, Warning)], 29, Some(30)),
            (of(30, 120), &[(0, Warning)], 30, None),
            (of(30, 120), &[(0, Warning), (20, Error)], 20, Some(50)),
            (of(30, 120), &[(0, Warning), (100, Warning)], 100, Some(120)),
            (of(30, 120), &[(0, Warning), (119, Warning)], 120, None),
            (of(30, 120), &[(0, Warning), (20, Critical)], 20, None),
            (of(30, 120), &[(0, Critical)], 0, None),
            // The clock went back by an hour: nobody waits for it to come forward again.
            (of(30, 120), &[(3600, Warning)], 0, None),
            (of(30, 120), &[], 0, None),
        ] {
            let told = coalesce.until(&incident(alerts), at(now));
            assert_eq!(told, until.map(at), "{coalesce:?} {alerts:?} at {now}");
        }
    }

    #[test]
    fn only_looking_into_it_needs_a_place() {
        let mut inv = incident(&[(0, Severity::Warning)]);
        let reopen = || Step::Reopen("x".into());
        inv.risk = Some(Risk::High);
        for step in [Step::Open, Step::TakeRung, Step::Survey, Step::Ask { turn: 1, must_answer: false }, reopen()] {
            assert!(needs_place(&step, &inv), "{step:?}");
        }
        for step in [Step::Decline, Step::Report, Step::Wait(at(0)), Step::Done] {
            assert!(!needs_place(&step, &inv), "{step:?}");
        }
        inv.risk = Some(Risk::Critical);
        assert!(!needs_place(&reopen(), &inv));
    }
}
