//! `firewarden doctor [model]`: what is missing, and how to mend it.
//!
//! - here: the command and its table
//! - [`model`]: measures a language model
//! - [`alert`]: a test alert, from the webhook to the report

mod alert;
mod model;

use super::session::Session;
use super::text::{Colour, Style, block, line, pad, plural, wrap};
use super::{Exit, Failure, Written, logging};
use crate::doctor::{self, Cause, Finding, State};
use crate::edge::SystemClock;

/// Ask every configured peer; tell what is missing and how to mend it
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Doctor {
    /// Send a harmless alert to the running server and follow it to its report
    #[arg(long)]
    send_test_alert: bool,
    #[command(flatten)]
    written: Written,
    #[command(subcommand)]
    about: Option<About>,
}

#[derive(Debug, clap::Subcommand)]
enum About {
    /// Measure a model: window, tools, reports, orders in data, speed
    Model(model::Measure),
}

impl Doctor {
    /// Examines everything. Exit 0 when all is well, 1 when something was found, 3 when something does
    /// not load, 4 when a peer could not be reached.
    ///
    /// # Errors
    /// When the configuration does not load, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        if let Some(About::Model(measure)) = self.about {
            return measure.run(session).await;
        }
        let config = session.config(logging::COMMAND)?;
        if self.send_test_alert {
            return alert::send(session, &config).await;
        }
        let found = doctor::examine(&config, &SystemClock).await;
        session.out.value(self.written.output, &found, || lines(&found, session.out.columns, session.out.colour))?;
        Ok(exit(&found))
    }
}

/// The most telling exit code: what does not load comes before who is not there.
fn exit(found: &[Finding]) -> Exit {
    let any = |cause: Cause| found.iter().any(|finding| finding.cause == Some(cause));
    match (any(Cause::DoesNotLoad), any(Cause::Unreached), any(Cause::Found)) {
        (true, _, _) => Exit::DoesNotLoad,
        (_, true, _) => Exit::Unreachable,
        (_, _, true) => Exit::Found,
        (false, false, false) => Exit::Fine,
    }
}

fn lines(found: &[Finding], columns: usize, colour: Colour) -> Vec<String> {
    let width = |cell: fn(&Finding) -> &str| found.iter().map(|f| cell(f).chars().count()).max().unwrap_or(0).min(24);
    let (of, check) = (width(|f| &f.of), width(|f| &f.check));
    let mut lines = vec![];
    for finding in found {
        let word = pad(finding.state.as_str(), 4);
        let word = match finding.state {
            State::Ok => colour.paint(Style::Green, &word),
            State::Warn => colour.paint(Style::Yellow, &word),
            State::Fail => colour.paint(Style::Red, &word),
        };
        let lead = format!("{}  {}", pad(&line(&finding.of, 24), of), pad(&line(&finding.check, 24), check));
        let indent = of + check + 10;
        let about = wrap(&line(&block(&finding.about, 8000), 2000), columns.saturating_sub(indent));
        let (first, rest) = about.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        lines.push(format!("{lead}  {word}  {first}").trim_end().to_owned());
        lines.extend(rest.iter().map(|text| format!("{}{text}", " ".repeat(indent))));
        for (n, text) in wrap(&line(&finding.help, 1000), columns.saturating_sub(indent + 6)).iter().enumerate() {
            let lead = if n == 0 { "help: " } else { "      " };
            lines.push(format!("{}{lead}{text}", " ".repeat(indent)));
        }
    }
    let count = |state: State| found.iter().filter(|finding| finding.state == state).count();
    lines.push(String::new());
    lines.push(match (count(State::Fail), count(State::Warn)) {
        (0, 0) => format!("all is well: {}", plural(found.len() as u64, "check")),
        (fail, warn) => format!("{} checks: {fail} failed, {warn} to look at", found.len()),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Finding> {
        vec![
            Finding::ok("store", "commits", "SQLite 3.53.0"),
            Finding::warn("prometheus", "rules", "0 rules\x1b[2J of \u{202e}evil", "load some"),
            Finding::fail("model main", "server", Cause::Unreached, "cannot be reached ".repeat(8), "start it"),
        ]
    }

    #[test]
    fn findings_read_as_a_table_with_help() {
        let shown = lines(&found(), 80, Colour::Off);
        assert_eq!(
            shown[..5],
            [
                "store       commits  ok    SQLite 3.53.0",
                "prometheus  rules    warn  0 rules of evil",
                "                           help: load some",
                "model main  server   FAIL  cannot be reached cannot be reached cannot be reached",
                "                           cannot be reached cannot be reached cannot be reached",
            ]
        );
        assert_eq!(shown.last().unwrap(), "3 checks: 1 failed, 1 to look at");
        assert!(shown.iter().all(|line| line.chars().count() <= 80));
        assert_eq!(lines(&found()[..1], 80, Colour::Off).last().unwrap(), "all is well: 1 check");
    }

    #[test]
    fn the_exit_code_is_the_most_telling() {
        let found = found();
        assert_eq!(exit(&found[..1]), Exit::Fine);
        assert_eq!(exit(&found[..2]), Exit::Found);
        assert_eq!(exit(&found), Exit::Unreachable);
        let broken = Finding::fail("policies", "load", Cause::DoesNotLoad, "x", "");
        assert_eq!(exit(&[found[2].clone(), broken]), Exit::DoesNotLoad);
    }
}
