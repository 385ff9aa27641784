//! What a ruling demands beside its verdict.

use serde::{Deserialize, Serialize};

/// How a change is watched after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyAfter {
    /// The window in seconds: what has not shown by then did not hold.
    pub within_s: u64,
    /// A change that did not hold is taken back, through the same gate.
    pub rollback_on_failure: bool,
}

/// Duties of a call, merged to the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duties {
    /// Without a dry run by the target itself it does not happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run_first: bool,
    /// Most Pods that it may touch; an unknown number is more than any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pods: Option<u64>,
    /// How it is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_after: Option<VerifyAfter>,
}

impl Duties {
    /// Both, each at its strictest: the smaller bound, the shorter window.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let smaller = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let verify_after = match (self.verify_after, other.verify_after) {
            (Some(a), Some(b)) => Some(VerifyAfter {
                within_s: a.within_s.min(b.within_s),
                rollback_on_failure: a.rollback_on_failure || b.rollback_on_failure,
            }),
            (a, b) => a.or(b),
        };
        Self {
            dry_run_first: self.dry_run_first || other.dry_run_first,
            max_pods: smaller(self.max_pods, other.max_pods),
            verify_after,
        }
    }

    /// Nothing is demanded.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demands_merge_to_the_strictest() {
        let watch = |within_s, rollback_on_failure| Some(VerifyAfter { within_s, rollback_on_failure });
        let one = Duties { dry_run_first: true, max_pods: Some(5), verify_after: watch(600, false) };
        let two = Duties { dry_run_first: false, max_pods: Some(3), verify_after: watch(900, true) };
        let both = Duties { dry_run_first: true, max_pods: Some(3), verify_after: watch(600, true) };
        assert_eq!(one.and(two), both);
        assert_eq!(two.and(one), both);
        assert_eq!(one.and(Duties::default()), one);
        assert!(Duties::default().and(Duties::default()).is_none() && !one.is_none());
    }
}
