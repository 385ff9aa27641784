//! A checked bundle that answers.

use super::almanac::Almanac;
use super::bundle::Bundle;
use super::check::{self, Area, Loaded};
use super::combine::{self, Contribution};
use super::exceptions::{self, Exception};
use super::org::Org;
use super::rego::{Interpreter, RegoError, Session};
use super::{ActionInput, Calendar, Policy, PolicyError, RiskInput};
use crate::domain::{DecisionId, Digest, Effect, PolicyRef, Risk, RiskDecision, Ruling, canonical};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

/// Wall time that one decision has.
const DECISION_LIMIT: Duration = Duration::from_millis(100);

/// A bundle behind the [`Policy`] trait. Cheap to share, answers from any thread.
#[derive(Debug)]
pub struct RegoPolicy {
    loaded: Loaded,
    org: Org,
    exceptions: Vec<Exception>,
    data: Value,
    reference: PolicyRef,
    limit: Duration,
    /// Made when somebody asks for the time: most copies of a policy only judge.
    almanac: OnceLock<Option<Almanac>>,
}

impl RegoPolicy {
    /// Checks and prepares `bundle`, and the interpreter with it.
    ///
    /// # Errors
    /// The bundle has mistakes (all are told), or the interpreter fails its self-test.
    pub fn load(bundle: &Bundle) -> Result<Self, PolicyError> {
        self_test()?;
        let loaded = check::load(bundle).map_err(|diagnostics| PolicyError::Load { diagnostics })?;
        // `load` has told everything that is wrong with the data.
        let org = Org::read(bundle.data()).unwrap_or_default();
        let reference = PolicyRef { digest: bundle.digest().clone(), bundle: bundle.name() };
        let data = bundle.data().clone();
        let exceptions = exceptions::of(&data);
        let almanac = OnceLock::new();
        Ok(Self { loaded, org, exceptions, data, reference, limit: DECISION_LIMIT, almanac })
    }

    /// The same with another time for a decision: a machine that does ten things at once is no reason for
    /// a test to fail.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// All contributions of one area to one input.
    fn contributions(&self, area: Area, input: &Value) -> Result<Vec<Contribution>, String> {
        // A panic inside the interpreter is one more way to fail, and no reason to fall over.
        let evaluate = || catch_unwind(AssertUnwindSafe(|| self.evaluate(area, input)));
        let outcome = match evaluate() {
            // The clock is the wall's: a machine that stood still deserves a second try.
            Ok(Err(Failure::Rego(RegoError::TooLong { .. }))) => evaluate(),
            outcome => outcome,
        };
        match outcome {
            Ok(Ok(contributions)) => Ok(contributions),
            Ok(Err(Failure::Rego(error))) => Err(error.to_string()),
            Ok(Err(Failure::Malformed(what))) => Err(what),
            Err(_) => Err("the interpreter panicked".into()),
        }
    }

    fn evaluate(&self, area: Area, input: &Value) -> Result<Vec<Contribution>, Failure> {
        let mut session = self.loaded.interpreter.session(Some(input), self.limit);
        let mut all = Vec::new();
        let effect = input["call"]["effect"].as_str();
        for (set, only) in self.loaded.sets.iter().filter(|(set, _)| set.area == area) {
            // What cannot say anything of this call is not asked.
            if let (Some(only), Some(effect)) = (only, effect)
                && !only.contains(effect)
            {
                continue;
            }
            let value = session.value(&set.path()).map_err(Failure::Rego)?;
            all.extend(check::contributions(set, value, &self.loaded.positions).map_err(Failure::Malformed)?);
        }
        Ok(all)
    }
}

enum Failure {
    Rego(RegoError),
    Malformed(String),
}

impl RegoPolicy {
    /// Judges an incident as a document tells it. `environment` and `severity` choose the baseline.
    pub(super) fn assess_document(
        &self,
        id: DecisionId,
        (document, input_digest): (Result<Value, String>, Digest),
        (environment, severity): (&str, &str),
    ) -> RiskDecision {
        let (evaluated, excepted) = self.evaluated(Area::Risk, document);
        let baseline = self.org.baseline(environment, severity);
        let combine::RiskOutcome { level, reasons, exceptions, obligations, error } =
            combine::risk(evaluated, baseline, &excepted);
        RiskDecision { id, level, reasons, exceptions, obligations, policy: self.reference(), input_digest, error }
    }

    /// Judges a call as a document tells it. `risk` and `effect` set the floor.
    pub(super) fn rule_document(
        &self,
        id: DecisionId,
        (document, input_digest): (Result<Value, String>, Digest),
        (risk, effect): (Risk, Effect),
    ) -> Ruling {
        let (evaluated, excepted) = self.evaluated(Area::Action, document);
        let outcome = combine::action(evaluated, risk, effect, &self.org.approvers.default, &excepted);
        let combine::ActionOutcome { verdict, reasons, exceptions, requirements, expires_s, duties, for_model, error } =
            outcome;
        Ruling {
            id,
            verdict,
            reasons,
            exceptions,
            requirements,
            expires_s,
            duties,
            for_model,
            policy: self.reference(),
            input_digest,
            error,
        }
    }

    /// What the rules say of a document, and the exceptions that are about it.
    fn evaluated(
        &self,
        area: Area,
        document: Result<Value, String>,
    ) -> (Result<Vec<Contribution>, String>, Vec<&Exception>) {
        match document {
            Err(error) => (Err(error), vec![]),
            Ok(document) => {
                let about = self.exceptions.iter().filter(|exception| exception.covers(&document)).collect();
                (self.contributions(area, &document), about)
            }
        }
    }

    /// Asks everything of an area and shows what was reached.
    pub(super) fn watch(&self, area: Area, input: &Value, look: impl FnOnce(&Session<'_>)) {
        let mut session = self.loaded.interpreter.session(Some(input), self.limit);
        session.watch_lines();
        for (set, _) in self.loaded.sets.iter().filter(|(set, _)| set.area == area) {
            let _ = session.value(&set.path());
        }
        look(&session);
    }

    /// Wall time that one decision has.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// How many modules it has.
    pub fn modules(&self) -> usize {
        self.loaded.modules.len()
    }

    /// The organisation's exceptions.
    pub(super) fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// The bundle as the tools for its authors look at it.
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// `data` as it decides.
    pub(super) fn data(&self) -> &Value {
        &self.data
    }

    /// The same rules over other data, for questions of the kind "what if".
    pub(super) fn with_data(&self, data: Value) -> Result<Self, String> {
        let org = Org::read(&data).map_err(|wrong| wrong.join("; "))?;
        let interpreter = self.loaded.interpreter.with_data(&data).map_err(|e| e.to_string())?;
        let loaded = Loaded { interpreter, ..self.loaded.clone() };
        let exceptions = exceptions::of(&data);
        let (reference, limit) = (self.reference.clone(), self.limit);
        Ok(Self { loaded, org, exceptions, data, reference, limit, almanac: OnceLock::new() })
    }
}

impl Policy for RegoPolicy {
    fn assess(&self, id: DecisionId, input: &RiskInput) -> RiskDecision {
        self.assess_document(id, document(input), (&input.resource.environment, &input.event.severity))
    }

    fn rule(&self, id: DecisionId, input: &ActionInput) -> Ruling {
        self.rule_document(id, document(input), (input.risk.level, input.call.effect))
    }

    fn reference(&self) -> PolicyRef {
        self.reference.clone()
    }

    fn calendar(&self, environment: &str, now: Timestamp) -> Calendar {
        let almanac = self.almanac.get_or_init(|| {
            let made = Almanac::of(&self.data);
            made.map_err(|error| tracing::error!(%error, "the time is told in UTC, and no maintenance is known")).ok()
        });
        // Whatever fails inside the interpreter, there is a time; no window is open then.
        let told = almanac
            .as_ref()
            .and_then(|almanac| catch_unwind(AssertUnwindSafe(|| almanac.calendar(environment, now, self.limit))).ok());
        told.unwrap_or_else(|| Calendar::at(now))
    }

    fn flapping_window(&self) -> SignedDuration {
        self.org.flapping.window_s.map_or(SignedDuration::from_mins(30), |s| SignedDuration::from_secs(i64::from(s)))
    }
}

/// An input as JSON, with the digest of its canonical form.
pub(super) fn document(input: &impl Serialize) -> (Result<Value, String>, Digest) {
    let unreadable =
        |e: &dyn std::fmt::Display| (Err(format!("the input cannot be written as JSON: {e}")), Digest::of(""));
    let document = match serde_json::to_value(input) {
        Ok(document) => document,
        Err(error) => return unreadable(&error),
    };
    match canonical::json(&document) {
        Ok(bytes) => (Ok(document), Digest::of(bytes)),
        Err(error) => unreadable(&error),
    }
}

/// What the contract rests on and what interpreters got wrong before.
fn self_test() -> Result<(), PolicyError> {
    const GOLDEN: &str = r#"package selftest

each contains {"id": "each", "n": n} if some n in input.numbers

default weight(_) := 1

weight(text) := 3 if startswith(text, "verb ")

weights := [weight("verb a"), weight("other")]

undefined_permits if input.nope.deeper

undefined_permits if input.nope.deeper > 1

undefined_permits if {
	every n in input.nope {
		n == 1
	}
}

pattern if regex.match(`(?i)\bdrop\s+table\b`, "please DROP  Table x")

clock := time.now_ns()

spin if {
	some a in numbers.range(1, 9999)
	some b in numbers.range(1, 9999)
	a + b < 0
}
"#;
    let failed = |what: String| PolicyError::SelfTest { what };
    let ready = Interpreter::new().and_then(|mut interpreter| {
        interpreter.add_module("selftest.rego", GOLDEN)?;
        interpreter.prepare()?;
        Ok(interpreter)
    });
    let interpreter = ready.map_err(|e| failed(e.to_string()))?;
    let input = json!({"numbers": [1, 2, 3]});
    let each = |n| json!({"id": "each", "n": n});
    for (rule, expected) in [
        ("each", Some(json!([each(1), each(2), each(3)]))),
        ("weights", Some(json!([3, 1]))),
        ("undefined_permits", None),
        ("pattern", Some(json!(true))),
    ] {
        let found = interpreter.session(Some(&input), Duration::from_secs(5)).value(&format!("selftest.{rule}"));
        if found != Ok(expected.clone()) {
            return Err(failed(format!("`{rule}` gave {found:?} instead of {expected:?}")));
        }
    }
    for (rule, limit) in [("clock", Duration::from_secs(5)), ("spin", Duration::from_millis(2))] {
        if let Ok(found) = interpreter.session(Some(&input), limit).value(&format!("selftest.{rule}")) {
            return Err(failed(format!("`{rule}` gave {found:?} instead of an error")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
