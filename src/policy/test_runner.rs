//! The bundle's own tests, run as `opa test` runs them: a rule `test_…` passes when it is true. One
//! that is not true is undefined, so the condition that stopped it is read from the lines reached.

use super::bundle::Bundle;
use super::cases;
use super::coverage::{Collector, Coverage};
use super::explain::{probe::Prober, stop};
use super::rego::syntax::{Module, Rule};
use super::rego::{Interpreter, RegoError};
use super::{Diagnostic, PolicyError, RegoPolicy};
use regex::Regex;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Wall time that one test has.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// What became of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is true.
    Ok,
    /// It is anything else.
    Fail,
    /// Named `todo_test_…` and not run.
    Todo,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// `file:line` of the test, or of the condition that failed.
    pub at: String,
    /// The condition that failed, or the error.
    pub detail: Option<String>,
}

/// All tests.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TestReport {
    /// One row per test, by package and name.
    pub tests: Vec<TestResult>,
    /// How many are true.
    pub ok: usize,
    /// How many are not.
    pub fail: usize,
    /// How many were not run.
    pub todo: usize,
    /// What they reached, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// Which tests are run, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestOptions<'a> {
    /// Only those whose `package.name` matches.
    pub filter: Option<&'a Regex>,
    /// Note what they reach.
    pub coverage: bool,
}

impl TestReport {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.fail == 0
    }
}

/// Runs the tests of `bundle` whose `package.name` matches `filter`, its cases among them.
///
/// # Errors
/// The bundle does not load, or a file of tests or cases makes no sense.
pub fn run_tests(bundle: &Bundle, filter: Option<&Regex>) -> Result<TestReport, PolicyError> {
    run_tests_with(bundle, TestOptions { filter, coverage: false })
}

/// The same in other ways.
///
/// # Errors
/// As of [`run_tests`].
pub fn run_tests_with(bundle: &Bundle, options: TestOptions<'_>) -> Result<TestReport, PolicyError> {
    let policy = RegoPolicy::load(bundle)?.with_limit(TEST_LIMIT);
    let mut collector = options.coverage.then(Collector::default);
    let loaded = policy.loaded();
    let mut tests = run_rego(loaded.interpreter.clone(), bundle, options.filter, collector.as_mut())?;
    tests.extend(run_cases(&policy, bundle, options.filter, collector.as_mut())?);
    let mut report = counted(tests);
    report.coverage = collector.map(|collector| collector.finish(loaded));
    Ok(report)
}

/// Runs tests of a bundle that need not pass its check.
#[cfg(test)]
pub(super) fn run_unchecked(bundle: &Bundle, filter: &Regex) -> TestReport {
    let mut interpreter = Interpreter::new().unwrap();
    for (path, text) in bundle.policies() {
        interpreter.add_module(path, text).unwrap();
    }
    interpreter.add_data(bundle.data()).unwrap();
    counted(run_rego(interpreter, bundle, Some(filter), None).unwrap())
}

fn counted(mut tests: Vec<TestResult>) -> TestReport {
    tests.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
    let count = |outcome| tests.iter().filter(|t| t.outcome == outcome).count();
    let (ok, fail, todo) = (count(Outcome::Ok), count(Outcome::Fail), count(Outcome::Todo));
    TestReport { tests, ok, fail, todo, coverage: None }
}

fn run_rego(
    mut interpreter: Interpreter,
    bundle: &Bundle,
    filter: Option<&Regex>,
    mut collector: Option<&mut Collector>,
) -> Result<Vec<TestResult>, PolicyError> {
    let text_of = |path: &str| bundle.text(path).map(str::to_owned);
    let refused = |path: &str, error: &RegoError| PolicyError::Load {
        diagnostics: vec![Diagnostic::from_rego("test", path, error, text_of)],
    };
    let mut modules = Vec::new();
    for (path, text) in bundle.tests() {
        let module = interpreter.add_module(path, text).map_err(|e| refused(path, &e))?;
        if !module.package.ends_with("_test") {
            let what = format!("package {} does not end in `_test`", module.package);
            let problem = Diagnostic::at("foreign-package", path, text, module.package_at, what);
            return Err(PolicyError::Load { diagnostics: vec![problem] });
        }
        modules.push(module);
    }
    interpreter.prepare().map_err(|e| refused("tests", &e))?;
    let mut results = vec![];
    let mut seen = BTreeSet::new();
    for module in &modules {
        for rule in module.rules.iter().filter(|r| r.name.starts_with("test_") || r.name.starts_with("todo_test_")) {
            let full = format!("{}.{}", module.package, rule.name);
            if filter.is_some_and(|f| !f.is_match(&full)) || !seen.insert(full) {
                continue;
            }
            results.push(run(&interpreter, module, rule, collector.as_deref_mut()));
        }
    }
    Ok(results)
}

fn run(interpreter: &Interpreter, module: &Module, rule: &Rule, collector: Option<&mut Collector>) -> TestResult {
    let mut result = TestResult {
        package: module.package.clone(),
        name: rule.name.clone(),
        outcome: Outcome::Todo,
        duration_us: 0,
        at: format!("{}:{}", module.path, rule.at.line),
        detail: None,
    };
    if rule.name.starts_with("todo_") {
        return result;
    }
    let path = format!("{}.{}", module.package, rule.name);
    let mut session = interpreter.session(None, TEST_LIMIT);
    if collector.is_some() {
        session.watch_lines();
    }
    let started = Instant::now();
    let value = session.value(&path);
    result.duration_us = micros(started);
    if let Some(collector) = collector {
        collector.add(&session);
    }
    result.outcome = Outcome::Fail;
    match value {
        Ok(Some(Value::Bool(true))) => result.outcome = Outcome::Ok,
        Ok(Some(value)) => result.detail = Some(format!("is {value} instead of true")),
        Ok(None) => {
            let mut session = interpreter.session(None, TEST_LIMIT);
            session.watch_lines();
            if session.value(&path) == Ok(None)
                && let Some(n) = stop(rule, &session.reached_lines(&module.path))
                && let Some(condition) = rule.conditions.get(n)
            {
                let prober = Prober { interpreter, module, rule, limit: TEST_LIMIT };
                let reached = rule.conditions.get(..=n).unwrap_or_default();
                let values = prober.values(None, reached).pop().filter(|values| !values.is_empty());
                result.at = format!("{}:{}", module.path, condition.lines.start());
                let text = &condition.text;
                result.detail = Some(match values {
                    Some(values) => format!("{text}     is not true: {values}"),
                    None => format!("{text}     is not true"),
                });
            }
        }
        Err(RegoError::Failed { at: Some(at), message }) => {
            result.at = format!("{}:{}", at.path, at.line);
            result.detail = Some(message);
        }
        Err(error) => result.detail = Some(error.to_string()),
    }
    result
}

/// Runs `cases/*.yaml`; the package of a case is its file.
fn run_cases(
    policy: &RegoPolicy,
    bundle: &Bundle,
    filter: Option<&Regex>,
    mut collector: Option<&mut Collector>,
) -> Result<Vec<TestResult>, PolicyError> {
    let mut results = vec![];
    for (path, text) in bundle.folder("cases/") {
        let wrong = |error| PolicyError::Load { diagnostics: vec![Diagnostic::of_file("bad-case", path, error)] };
        for case in cases::read(path, text).map_err(wrong)? {
            if filter.is_some_and(|f| !f.is_match(&format!("{path}.{}", case.name))) {
                continue;
            }
            let started = Instant::now();
            let objection = match case.decide(policy) {
                Ok(decision) => case.objection(&decision),
                Err(error) => Some(error),
            };
            let duration_us = micros(started);
            if let Some(collector) = collector.as_deref_mut() {
                policy.watch(case.area(), &case.input, |session| collector.add(session));
            }
            results.push(TestResult {
                package: path.to_owned(),
                name: case.name.clone(),
                outcome: if objection.is_none() { Outcome::Ok } else { Outcome::Fail },
                duration_us,
                at: path.to_owned(),
                detail: objection,
            });
        }
    }
    Ok(results)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"package firewarden.action.m

deny contains {"id": "write", "reason": "r"} if input.call.effect == "write"
"#;

    fn bundle(tests: &str) -> Bundle {
        let files = [
            ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n"),
            ("action/m.rego", POLICY),
            ("tests/m_test.rego", tests),
        ];
        Bundle::from_files(files.into_iter().map(|(p, t)| (p.to_owned(), t.to_owned())).collect())
    }

    const TESTS: &str = r#"package firewarden.action.m_test

import data.firewarden.action.m

writes := found if {
	found := m.deny with input as {"call": {"effect": "write"}}
}

test_write_denied if {
	some d in writes
	d.id == "write"
}

test_counts_wrong if {
	count(writes) == 1
	count(writes) == 5
	writes != set()
}

test_false := 1 == 2

test_error if {
	to_number("zz") == 1
}

todo_test_later if false
"#;

    #[test]
    fn true_passes_and_a_failure_names_its_condition() {
        let report = run_tests(&bundle(TESTS), None).unwrap();
        assert_eq!((report.ok, report.fail, report.todo), (1, 3, 1));
        assert!(!report.passed());
        let find = |name: &str| report.tests.iter().find(|t| t.name == name).unwrap();
        assert_eq!(find("test_counts_wrong").at, "tests/m_test.rego:16");
        assert_eq!(find("test_counts_wrong").detail.as_deref(), Some("count(writes) == 5     is not true: 1 == 5"));
        assert_eq!(find("test_false").detail.as_deref(), Some("is false instead of true"));
        assert_eq!(find("test_error").at, "tests/m_test.rego:23");
        assert_eq!(find("todo_test_later").outcome, Outcome::Todo);
        assert_eq!(serde_json::to_value(&report).unwrap()["tests"][1]["outcome"], "fail");
        let text = report.render();
        assert!(text.starts_with("firewarden.action.m_test\n  FAIL  test_counts_wrong "), "{text}");
        assert!(text.ends_with("todo 1   ok 1   FAIL 3\n"), "{text}");
    }

    #[test]
    fn a_filter_chooses() {
        let report = run_tests(&bundle(TESTS), Some(&Regex::new("m_test.test_write").unwrap())).unwrap();
        assert_eq!((report.ok, report.fail, report.todo), (1, 0, 0));
        assert!(report.passed());
    }

    #[test]
    fn tests_that_cannot_run_are_an_error() {
        for tests in
            ["package firewarden.action.m\ntest_x if true", "package a_test\ntest_x if y > 1", "package a_test\nx ="]
        {
            assert!(matches!(run_tests(&bundle(tests), None), Err(PolicyError::Load { .. })), "{tests}");
        }
    }

    #[test]
    fn the_shipped_tests_pass() {
        let report = run_tests(&Bundle::embedded(), None).unwrap();
        assert!(report.passed() && report.ok > 40, "{}", report.render());
    }
}
