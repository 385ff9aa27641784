//! What a bundle has to show before it decides, at a start as at a change.

use super::{Bundle, Diagnostic, Outcome, PolicyError, RegoPolicy, drill, exceptions, run_tests};
use jiff::Timestamp;
use std::time::Duration;

/// Errors that are kept of a refusal.
pub(super) const MOST_ERRORS: usize = 20;
/// Time for one decision while a bundle proves itself.
const PROOF_LIMIT: Duration = Duration::from_secs(5);

/// Proves a bundle before it decides: parse, contract, its own tests, the drill, and that no exception lasts
/// longer than exceptions may. All that stands against it is told.
///
/// # Errors
/// One line for each objection.
pub fn prove(bundle: &Bundle, now: Timestamp) -> Result<RegoPolicy, Vec<String>> {
    let told = |error: PolicyError| match error {
        PolicyError::Load { diagnostics } => diagnostics.iter().map(Diagnostic::to_string).collect(),
        other => vec![other.to_string()],
    };
    let policy = RegoPolicy::load(bundle).map_err(told)?;
    let limit = policy.limit();
    // One that is over has no effect: it is told of, and is no reason not to start.
    let lasting = exceptions::against_time(bundle, now).into_iter().filter(Diagnostic::is_in_the_way);
    let mut errors: Vec<String> = lasting.map(|wrong| wrong.to_string()).collect();
    let report = run_tests(bundle, None).map_err(told)?;
    let failed = report.tests.iter().filter(|test| test.outcome == Outcome::Fail);
    errors.extend(failed.map(|test| format!("{}: test {}.{} fails", test.at, test.package, test.name)));
    let patient = policy.with_limit(PROOF_LIMIT);
    let report = drill(&patient, bundle, false).map_err(told)?;
    errors
        .extend(report.let_through.iter().map(|case| format!("{}: drill `{}` is {}", case.path, case.name, case.said)));
    errors.truncate(MOST_ERRORS);
    if errors.is_empty() { Ok(patient.with_limit(limit)) } else { Err(errors) }
}

/// Exceptions of `bundle` that are over: they have no effect, and are to be taken out.
pub fn lapsed(bundle: &Bundle, now: Timestamp) -> Vec<Diagnostic> {
    exceptions::against_time(bundle, now).into_iter().filter(|found| !found.is_in_the_way()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(bundle: &Bundle) -> Vec<String> {
        prove(bundle, Timestamp::UNIX_EPOCH).unwrap_err()
    }

    #[test]
    fn a_bundle_proves_itself_before_it_decides() {
        assert!(prove(&Bundle::embedded(), Timestamp::UNIX_EPOCH).is_ok());
        let failing = Bundle::edited("data/org.yaml", "pods_approve: 10", "pods_approve: 2");
        assert!(errors(&failing)[0].contains("test firewarden.action.blast_test."));
        let open = Bundle::edited(
            "action/secrets.rego",
            "some kind in kinds\n\tkind in secrets",
            "some kind in kinds\n\tkind in {\"x\"}",
        );
        let found = errors(&open);
        assert!(found.iter().any(|error| error.contains("fails") || error.contains("drill")), "{found:?}");
        let broken =
            Bundle::edited("action/blast.rego", "package firewarden.action.blast", "package firewarden.action");
        assert!(errors(&broken)[0].contains("error["));
    }
}
