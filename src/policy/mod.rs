//! L2: Rego decides; this module asks, combines and never weakens.
//!
//! - [`contract`]: the documents that policies read,
//! - [`Bundle`]: policies, data and tests as files; [`check`]: what is wrong with them,
//! - [`RegoPolicy`]: a checked bundle that answers; the interpreter itself is known to `rego` alone,
//! - [`instructions`]: text that looks like instructions,
//! - `combine`: how the contributions of rules become one answer; `exceptions`: which of them do not count,
//! - [`Decision`]: an answer as a document; [`schema`]: the inputs as JSON Schemas,
//! - [`Explanation`]: why an answer is what it is,
//! - [`KeptPolicy`]: one of the past,
//! - [`LivePolicy`]: the one in force, exchanged while it is asked; [`prove`]: before that,
//! - [`run_tests`]: the bundle's own tests.

mod almanac;
mod bundle;
mod cases;
mod check;
mod combine;
pub mod contract;
mod coverage;
mod decision;
mod diagnostic;
#[cfg(test)]
mod docs;
mod drill;
mod exceptions;
mod explain;
mod host;
pub mod instructions;
mod kept;
mod live;
mod obligation;
mod org;
mod proof;
mod rego;
mod replay;
mod sample;
pub mod schema;
mod simulate;
mod test_report;
mod test_runner;
mod text;

pub use bundle::Bundle;
pub use cases::case_of;
pub use check::check;
pub use contract::{ActionInput, Background, Calendar, CallFacts, InvestigationFacts, RiskInput, Spend};
pub use coverage::{Coverage, FileCoverage};
pub use decision::{BadInput, Decision, InputKind, input_digest, ran_out_of_time};
pub use diagnostic::Diagnostic;
pub use drill::{DrillReport, LetThrough, WeakField, drill};
pub use explain::{Change, Counterfactual, Explanation, RuleTrace};
pub use host::RegoPolicy;
pub use kept::KeptPolicy;
pub use live::{Beside, LivePolicy, Refusal, Tally, Tried};
pub use proof::{lapsed, prove};
pub use replay::{Changed, Past, Replay};
#[cfg(test)]
pub(crate) use sample::event as sample_event;
pub use simulate::{Estimate, Made, Simulation};
pub use test_runner::{Outcome, TestOptions, TestReport, TestResult, run_tests, run_tests_with};

use crate::domain::{DecisionId, PolicyRef, RiskDecision, Ruling};
use jiff::{SignedDuration, Timestamp};
use std::fmt::Debug;

/// Who is asked before anything happens. Both questions always have an answer: whatever goes wrong
/// inside makes it CRITICAL or deny, with the error beside it.
pub trait Policy: Send + Sync + Debug {
    /// How dangerous an incident is.
    fn assess(&self, id: DecisionId, input: &RiskInput) -> RiskDecision;
    /// Whether a call may run. Never weaker than [`crate::domain::floor`].
    fn rule(&self, id: DecisionId, input: &ActionInput) -> Ruling;
    /// The bundle that answers.
    fn reference(&self) -> PolicyRef;
    /// The moment as the organisation's data tell it, for something in `environment`.
    fn calendar(&self, _environment: &str, now: Timestamp) -> Calendar {
        Calendar::at(now)
    }
    /// How far back going down counts as flapping.
    fn flapping_window(&self) -> SignedDuration {
        SignedDuration::from_mins(30)
    }
}

/// Whether `name` fits a pattern in which `*` stands for anything.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*').peekable();
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or folder cannot be read.
    #[error("cannot read policies from {path}: {source}")]
    Read {
        /// The file or folder.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is more than a bundle may hold.
    #[error("{path} is too large for a policy bundle: at most 500 files of 1 MiB each")]
    TooLarge {
        /// The file that is too large or too many.
        path: String,
    },
    /// The bundle has mistakes.
    #[error("the policy bundle does not load:\n{}", .diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Load {
        /// All that were found.
        diagnostics: Vec<Diagnostic>,
    },
    /// The bundle loads, and does not show what a bundle has to show before it decides.
    #[error("the policy bundle does not prove itself:\n{}", .errors.join("\n"))]
    Unproven {
        /// All that stands against it.
        errors: Vec<String>,
    },
    /// The interpreter does not work as this program relies on.
    #[error("the Rego interpreter failed its self-test, so nothing may be decided with it: {what}")]
    SelfTest {
        /// What it did wrong.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("action/blast/*", "action/blast/soft-limit", true),
            ("action/blast/*", "action/rate/wave", false),
            ("*/unread", "action/secrets/unread", true),
            ("action/*/un*", "action/secrets/unread", true),
            ("action/pr/path", "action/pr/path", true),
            ("action/pr/path", "action/pr/paths", false),
            ("*", "anything", true),
            ("*", "", true),
            ("", "", true),
            ("", "anything", false),
            ("a*aa", "aaaa", true),
            ("a*aa", "aa", false),
            ("*b", "abxb", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
