//! `policy check`, `test`, `coverage` and `drill`: what can be proven before a policy decides.

use super::super::text::block;
use super::super::{Exit, Failure, Written, output::note, session::Session};
use super::{bundle, refused};
use crate::app;
use crate::domain::Clock as _;
use crate::edge::SystemClock;
use crate::policy::{self, Coverage, TestOptions};
use std::path::PathBuf;

/// The arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Folder of policies [default: the configured one]
    dir: Option<PathBuf>,
    #[command(flatten)]
    written: Written,
}

/// How a report of tests is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Junit,
}

/// The arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Folder of policies [default: the configured one]
    dir: Option<PathBuf>,
    /// Only tests whose `package.name` matches
    #[arg(short, long, value_name = "REGEX")]
    run: Option<regex::Regex>,
    /// Tell which lines and rules no test reaches; exit 1 below the bundle's `coverage_min`
    #[arg(long)]
    coverage: bool,
    /// The same, with this least percentage of lines
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,
    /// How the report is written
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "output")]
    format: Option<Form>,
    #[command(flatten)]
    written: Written,
}

/// The arguments of `policy coverage`.
#[derive(Debug, clap::Args)]
pub struct CoverageOf {
    /// Folder of policies [default: the configured one]
    dir: Option<PathBuf>,
    /// Exit 1 below this percentage of lines [default: the bundle's `coverage_min`]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min: Option<u8>,
    #[command(flatten)]
    written: Written,
}

/// The arguments of `policy drill`.
#[derive(Debug, clap::Args)]
pub struct Drill {
    /// Folder of policies [default: the configured one]
    dir: Option<PathBuf>,
    /// Exit 1 also when the absence of a field weakens a verdict
    #[arg(long)]
    strict: bool,
    /// Do not look for such fields
    #[arg(long, conflicts_with = "strict")]
    no_mutation: bool,
    #[command(flatten)]
    written: Written,
}

impl Check {
    /// Runs it.
    pub(super) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let bundle = bundle(session, self.dir)?;
        let found = policy::check(&bundle, SystemClock.now());
        let (name, digest) = (bundle.name(), bundle.digest().short(12).to_owned());
        let exit = if found.is_empty() { Exit::Fine } else { Exit::DoesNotLoad };
        session.out.value(self.written.output, &found, || {
            let mut lines: Vec<String> = found.iter().map(|d| block(&d.to_string(), 4000)).collect();
            let files = bundle.files().count();
            lines.push(format!("{name}  {digest}  {files} files, {} mistakes", found.len()));
            lines
        })?;
        Ok(exit)
    }
}

impl Test {
    /// Runs it.
    pub(super) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let bundle = bundle(session, self.dir)?;
        let coverage = self.coverage || self.coverage_min.is_some();
        let options = TestOptions { filter: self.run.as_ref(), coverage };
        let report = policy::run_tests_with(&bundle, options).map_err(refused)?;
        match self.format {
            Some(Form::Junit) => session.out.text(&report.junit())?,
            Some(Form::Json) => session.out.value(super::super::output::Format::Json, &report, Vec::new)?,
            Some(Form::Text) | None => {
                let output = match self.format {
                    Some(_) => super::super::output::Format::Table,
                    None => self.written.output,
                };
                session.out.value(output, &report, || lines(&report.render()))?;
            }
        }
        let enough = report
            .coverage
            .as_ref()
            .is_none_or(|found| enough(found, self.coverage_min.unwrap_or(bundle.coverage_min())));
        Ok(if report.passed() && enough { Exit::Fine } else { Exit::Found })
    }
}

impl CoverageOf {
    /// Runs it.
    pub(super) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let bundle = bundle(session, self.dir)?;
        let options = TestOptions { filter: None, coverage: true };
        let report = policy::run_tests_with(&bundle, options).map_err(refused)?;
        let coverage = report.coverage.unwrap_or_default();
        session.out.value(self.written.output, &coverage, || lines(&coverage.render()))?;
        if report.fail > 0 {
            note(&format!("{} tests failed; `firewarden policy test` tells which", report.fail));
        }
        let enough = enough(&coverage, self.min.unwrap_or(bundle.coverage_min()));
        Ok(if enough && report.fail == 0 { Exit::Fine } else { Exit::Found })
    }
}

impl Drill {
    /// Runs it.
    pub(super) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let bundle = bundle(session, self.dir)?;
        let policy = app::policy_of(&bundle).map_err(refused)?;
        let report = policy::drill(&policy, &bundle, !self.no_mutation).map_err(refused)?;
        session.out.value(self.written.output, &report, || lines(&report.render()))?;
        let fails = !report.passed() || (self.strict && !report.weak.is_empty());
        Ok(if fails { Exit::Found } else { Exit::Fine })
    }
}

/// Whether the tests reach as much as is wanted; says so if not.
fn enough(coverage: &Coverage, least: u8) -> bool {
    let enough = coverage.percent >= f64::from(least);
    if !enough {
        note(&format!("coverage is {:.1} %, at least {least} % is wanted", coverage.percent));
    }
    enough
}

fn lines(text: &str) -> Vec<String> {
    block(text, 1 << 20).lines().map(str::to_owned).collect()
}
