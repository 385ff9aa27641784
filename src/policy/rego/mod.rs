//! The only place that knows regorus. Above it, a bundle is text, an input is JSON and a rule is a
//! path.
//!
//! - [`scan`] refuses what would hang the parser,
//! - [`syntax`] says what a module contains,
//! - [`Interpreter`] evaluates: no clock, no chance, no network, and not for long.

mod builtins;
mod document;
mod guard;
mod patterns;
pub(super) mod scan;
mod shape;
pub(super) mod syntax;

pub(super) use builtins::{BANNED, builtins, is_builtin};
pub(super) use patterns::compile as compile_pattern;

use regorus::utils::limits::ExecutionTimerConfig;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use syntax::Module;

/// Version of the interpreter, part of each policy digest: another version may decide otherwise.
pub(super) const ENGINE: &str = "regorus 0.14.1";
/// What the error begins with when the time was over.
pub(super) const OUT_OF_TIME: &str = "evaluation took longer than";

/// Why the interpreter gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegoError {
    /// The text was refused, or a rule failed.
    #[error("{}{message}", .at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
    Failed {
        /// Where, if the interpreter says it.
        at: Option<Position>,
        /// What is wrong.
        message: String,
    },
    /// The time was over.
    #[error("{OUT_OF_TIME} {} ms", .limit.as_millis())]
    TooLong {
        /// The time that was given.
        limit: Duration,
    },
}

/// A place in a file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) col: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.col)
    }
}

impl RegoError {
    /// Reads the interpreter's text: `--> path:line:col`, the source, a caret, `error: message`.
    fn read(error: &impl std::fmt::Display) -> Self {
        let text = error.to_string();
        let at = text.lines().find_map(|line| {
            let mut parts = line.trim().strip_prefix("--> ")?.rsplitn(3, ':');
            let col = parts.next()?.parse().ok()?;
            let line = parts.next()?.parse().ok()?;
            Some(Position { path: parts.next()?.to_owned(), line, col })
        });
        let message = match text.split_once("error: ") {
            Some((_, message)) => message,
            None => &text,
        };
        Self::Failed { at, message: message.lines().next().unwrap_or("").trim().chars().take(400).collect() }
    }
}

/// Prepared modules and data; each decision works on its own cheap copy.
#[derive(Clone)]
pub(super) struct Interpreter {
    engine: regorus::Engine,
    rules: Arc<BTreeSet<String>>,
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreter").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl Interpreter {
    /// An interpreter without modules.
    pub(super) fn new() -> Result<Self, RegoError> {
        let mut engine = regorus::Engine::new();
        engine.set_gather_prints(true);
        builtins::confine(&mut engine).map_err(|e| RegoError::read(&e))?;
        patterns::replace_functions(&mut engine).map_err(|e| RegoError::read(&e))?;
        Ok(Self { engine, rules: Arc::default() })
    }

    /// Parses a module and tells what is in it.
    pub(super) fn add_module(&mut self, path: &str, text: &str) -> Result<Module, RegoError> {
        if let Some((line, col)) = scan::too_deep(text) {
            let at = Some(Position { path: path.into(), line, col });
            return Err(RegoError::Failed {
                at,
                message: format!("brackets are nested more than {} deep", scan::MAX_DEPTH),
            });
        }
        self.engine.add_policy(path.into(), text.into()).map_err(|e| RegoError::read(&e))?;
        let module = self.engine.get_modules().last().map(|m| syntax::read(path, m));
        let module = module.unwrap_or_default();
        let rules = Arc::make_mut(&mut self.rules);
        rules.extend(module.rules.iter().filter(|r| r.has_value()).map(|r| format!("{}.{}", module.package, r.name)));
        Ok(module)
    }

    /// Sets `data`.
    pub(super) fn add_data(&mut self, data: &serde_json::Value) -> Result<(), RegoError> {
        self.engine.add_data(document::read(data)).map_err(|e| RegoError::read(&e))
    }

    /// The same rules over other data.
    pub(super) fn with_data(&self, data: &serde_json::Value) -> Result<Self, RegoError> {
        let mut other = self.clone();
        other.engine.clear_data();
        other.add_data(data)?;
        other.prepare()?;
        Ok(other)
    }

    /// Analyses everything, so that copies start at once and mistakes are found here.
    pub(super) fn prepare(&mut self) -> Result<(), RegoError> {
        let outcome = self.engine.eval_query("true".into(), false);
        outcome.map(drop).map_err(|e| RegoError::read(&e))
    }

    /// Starts an evaluation that has `limit` of wall time in all.
    pub(super) fn session(&self, input: Option<&serde_json::Value>, limit: Duration) -> Session<'_> {
        let mut engine = self.engine.clone();
        if let Some(input) = input {
            engine.set_input(document::read(input));
        }
        Session { engine, rules: &self.rules, limit, started: Instant::now() }
    }
}

/// One evaluation: one input, one clock.
pub(super) struct Session<'a> {
    engine: regorus::Engine,
    rules: &'a BTreeSet<String>,
    limit: Duration,
    started: Instant,
}

impl Session<'_> {
    /// The value of the rule at `path` (without `data.`): `None` when it is undefined or does not
    /// exist. Sets are arrays. An answer that comes after the time is over counts as none.
    pub(super) fn value(&mut self, path: &str) -> Result<Option<serde_json::Value>, RegoError> {
        if !self.rules.contains(path) {
            return Ok(None);
        }
        let over = RegoError::TooLong { limit: self.limit };
        let Some(left) = self.limit.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero()) else {
            return Err(over);
        };
        let check_interval = NonZeroU32::new(64).unwrap_or(NonZeroU32::MIN);
        self.engine.set_execution_timer_config(ExecutionTimerConfig { limit: left, check_interval });
        let outcome = self.engine.eval_rule(format!("data.{path}"));
        // Builtins cannot be interrupted: what took too long counts as failed even if it came home.
        if self.started.elapsed() > self.limit {
            return Err(over);
        }
        match outcome {
            Err(e) => Err(RegoError::read(&e)),
            Ok(regorus::Value::Undefined) => Ok(None),
            Ok(value) => serde_json::to_value(&value).map(Some).map_err(|e| RegoError::read(&e)),
        }
    }

    /// Notes from now on which lines are reached.
    pub(super) fn watch_lines(&mut self) {
        self.engine.set_enable_coverage(true);
    }

    /// Of each file the lines that were reached since [`Self::watch_lines`], and those that were not.
    pub(super) fn coverage(&self) -> Vec<(String, BTreeSet<u32>, BTreeSet<u32>)> {
        let report = self.engine.get_coverage_report().map(|r| r.files).unwrap_or_default();
        report.into_iter().map(|file| (file.path, file.covered, file.not_covered)).collect()
    }

    /// The lines of `path` that were reached since [`Self::watch_lines`].
    pub(super) fn reached_lines(&self, path: &str) -> BTreeSet<u32> {
        let report = self.engine.get_coverage_report().map(|r| r.files).unwrap_or_default();
        report.into_iter().find(|f| f.path == path).map(|f| f.covered).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn interpreter(text: &str) -> Interpreter {
        let mut interpreter = Interpreter::new().unwrap();
        interpreter.add_module("t.rego", &format!("package t\n{text}")).unwrap();
        interpreter.prepare().unwrap();
        interpreter
    }

    fn value(text: &str) -> Result<Option<serde_json::Value>, RegoError> {
        interpreter(text).session(Some(&json!({"n": [3, 1, 2]})), Duration::from_secs(5)).value("t.x")
    }

    #[test]
    fn values_come_back_as_json_and_undefined_as_nothing() {
        assert_eq!(value("x := count(input.n)"), Ok(Some(json!(3))));
        assert_eq!(value("x contains n if some n in input.n"), Ok(Some(json!([1, 2, 3]))));
        assert_eq!(value("x contains n if some n in input.nope"), Ok(Some(json!([]))));
        assert_eq!(value("x := input.nope"), Ok(None));
        assert_eq!(value("y := 1"), Ok(None));
    }

    #[test]
    fn nothing_outside_the_input_can_be_asked() {
        for call in [
            "time.now_ns()",
            "rand.intn(\"a\", 5)",
            "uuid.rfc4122(\"a\")",
            "opa.runtime()",
            "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"})",
            "net.lookup_ip_addr(\"localhost\")",
            "trace(\"seen\")",
        ] {
            let error = value(&format!("x := {call}")).unwrap_err().to_string();
            assert!(error.contains("not available to policies"), "{call}: {error}");
        }
    }

    #[test]
    fn ranges_are_capped_and_still_right() {
        assert_eq!(value("x := numbers.range(3, 1)"), Ok(Some(json!([3, 2, 1]))));
        assert_eq!(value("x := numbers.range_step(1, 6, 2)"), Ok(Some(json!([1, 3, 5]))));
        let started = Instant::now();
        let error = value("x := count(numbers.range(1, 20000000))").unwrap_err().to_string();
        assert!(error.contains("more than 10000"), "{error}");
        assert!(value("x := numbers.range_step(-9000000000000000000, 9000000000000000000, 1)").is_err());
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn regular_expressions_do_what_their_functions_say() {
        for (call, expected) in [
            ("regex.match(`(?i)\\bDROP\\b`, \"a drop b\")", json!(true)),
            ("regex.match(`^a$`, \"b\")", json!(false)),
            ("regex.find_n(`[0-9]+`, \"1 22 333\", 2)", json!(["1", "22"])),
            ("regex.find_n(`[0-9]+`, \"1 22 333\", -1)", json!(["1", "22", "333"])),
            ("regex.find_n(`x`, \"1\", 1)", json!([])),
            ("regex.replace(\"a1b22\", `([0-9])+`, \"<$1>\")", json!("a<1>b<2>")),
            ("regex.split(`,+`, \"a,,b\")", json!(["a", "b"])),
        ] {
            assert_eq!(value(&format!("x := {call}")), Ok(Some(expected)), "{call}");
        }
        for call in ["regex.match(`(`, \"\")", "regex.match(`a`, 1)", "regex.match(`(a{1000}){1000}`, \"\")"] {
            assert!(value(&format!("x := {call}")).is_err(), "{call}");
        }
    }

    #[test]
    fn a_policy_that_spins_is_stopped() {
        let spin = "x if { some i in numbers.range(1, 9999)\n some j in numbers.range(1, 9999)\n i + j < 0 }";
        let started = Instant::now();
        let outcome = interpreter(spin).session(None, Duration::from_millis(20)).value("t.x");
        assert!(outcome.is_err() && started.elapsed() < Duration::from_secs(2), "{outcome:?}");
    }

    #[test]
    fn an_answer_after_the_time_is_no_answer() {
        let interpreter = interpreter("x := 1");
        let mut session = interpreter.session(None, Duration::from_nanos(1));
        assert!(matches!(session.value("t.x"), Err(RegoError::TooLong { .. })));
    }

    #[test]
    fn deep_brackets_are_refused_before_they_are_parsed() {
        let started = Instant::now();
        let text = format!("package t\nx := {}{}", "[".repeat(30), "]".repeat(30));
        let error = Interpreter::new().unwrap().add_module("deep.rego", &text).unwrap_err();
        assert_eq!(error.to_string(), "deep.rego:2:14: brackets are nested more than 8 deep");
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn mistakes_carry_their_place() {
        let syntax = Interpreter::new().unwrap().add_module("a.rego", "package a\nx := = 1").unwrap_err();
        assert!(syntax.to_string().starts_with("a.rego:2:6: "), "{syntax}");
        let mut interpreter = Interpreter::new().unwrap();
        interpreter.add_module("a.rego", "package a\nx if {\n  y > 1\n}").unwrap();
        let unsafe_var = interpreter.prepare().unwrap_err();
        assert!(unsafe_var.to_string().starts_with("a.rego:3:3: "), "{unsafe_var}");
    }
}
