//! Reports of tests: for a terminal, and as JUnit's XML.

use super::test_runner::{Outcome, TestReport};
use std::collections::BTreeMap;
use std::fmt::Write;

impl TestReport {
    /// The report for a terminal.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut package = "";
        for test in &self.tests {
            if test.package != package {
                package = &test.package;
                let _ = writeln!(out, "{package}");
            }
            let name = &test.name;
            let _ = match test.outcome {
                Outcome::Ok => writeln!(out, "  ok    {name:<48} {:>6} µs", test.duration_us),
                Outcome::Todo => writeln!(out, "  todo  {name}"),
                Outcome::Fail => writeln!(out, "  FAIL  {name:<48} {}", test.at),
            };
            if let Some(detail) = &test.detail {
                let _ = writeln!(out, "        {detail}");
            }
        }
        if let Some(coverage) = &self.coverage {
            out.push_str(&coverage.render());
        }
        let Self { ok, fail, todo, .. } = self;
        let _ = writeln!(out, "todo {todo}   ok {ok}   FAIL {fail}");
        out
    }

    /// The report as JUnit writes it.
    pub fn junit(&self) -> String {
        let mut suites: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        self.tests.iter().for_each(|test| suites.entry(&test.package).or_default().push(test));
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let (tests, fail, todo) = (self.tests.len(), self.fail, self.todo);
        let _ = writeln!(out, "<testsuites tests=\"{tests}\" failures=\"{fail}\" skipped=\"{todo}\">");
        for (package, tests) in suites {
            let count = |outcome| tests.iter().filter(|test| test.outcome == outcome).count();
            let (n, fail, todo) = (tests.len(), count(Outcome::Fail), count(Outcome::Todo));
            let package = xml(package);
            let _ =
                writeln!(out, "  <testsuite name=\"{package}\" tests=\"{n}\" failures=\"{fail}\" skipped=\"{todo}\">");
            for test in tests {
                let (name, seconds) = (xml(&test.name), test.duration_us as f64 / 1e6);
                let _ = write!(out, "    <testcase classname=\"{package}\" name=\"{name}\" time=\"{seconds:.6}\"");
                let _ = match test.outcome {
                    Outcome::Ok => writeln!(out, "/>"),
                    Outcome::Todo => writeln!(out, "><skipped/></testcase>"),
                    Outcome::Fail => {
                        let (at, detail) = (xml(&test.at), xml(test.detail.as_deref().unwrap_or("is not true")));
                        writeln!(out, "><failure message=\"{detail}\">{at}</failure></testcase>")
                    }
                };
            }
            let _ = writeln!(out, "  </testsuite>");
        }
        let _ = writeln!(out, "</testsuites>");
        out
    }
}

/// Text within XML. What XML cannot hold is left out.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::test_runner::TestResult;
    use super::*;

    #[test]
    fn junit_is_well_formed_whatever_a_test_says() {
        let test = |name: &str, outcome, detail: Option<&str>| TestResult {
            package: "a_test".into(),
            name: name.into(),
            outcome,
            duration_us: 71,
            at: "tests/a_test.rego:3".into(),
            detail: detail.map(str::to_owned),
        };
        let report = TestReport {
            tests: vec![
                test("test_a", Outcome::Ok, None),
                test("test_b", Outcome::Fail, Some("x <\u{1} \"1\" & y")),
                test("todo_test_c", Outcome::Todo, None),
            ],
            ok: 1,
            fail: 1,
            todo: 1,
            coverage: None,
        };
        insta::assert_snapshot!(report.junit(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" skipped="1">
          <testsuite name="a_test" tests="3" failures="1" skipped="1">
            <testcase classname="a_test" name="test_a" time="0.000071"/>
            <testcase classname="a_test" name="test_b" time="0.000071"><failure message="x &lt; &quot;1&quot; &amp; y">tests/a_test.rego:3</failure></testcase>
            <testcase classname="a_test" name="todo_test_c" time="0.000071"><skipped/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
