//! `policy eval` and `policy explain`.

use super::super::text::block;
use super::super::{Exit, Failure, Written, output::Format, session::Session};
use super::{document, past, policy};
use crate::domain::{DecisionId, Verdict};
use crate::policy::{BadInput, Explanation, InputKind, fits};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// What is judged.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// An input document, JSON or YAML; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// A recorded decision, whose input is taken
    #[arg(long, value_name = "dec_…")]
    decision: Option<DecisionId>,
}

/// The arguments of `policy eval`.
#[derive(Debug, clap::Args)]
pub struct Eval {
    #[command(flatten)]
    asked: Asked,
    /// Exit 1 unless this is the verdict: allow, ask or deny; of an incident LOW, MEDIUM, HIGH or CRITICAL
    #[arg(long, value_name = "VERDICT")]
    expect: Option<String>,
    /// How the decision is written
    #[arg(short, long, value_enum, default_value_t = Format::Json, value_name = "FORMAT")]
    output: Format,
}

/// The arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// A recorded decision, whose input is taken
    #[arg(value_name = "dec_…", required_unless_present = "input", conflicts_with = "input")]
    decision: Option<DecisionId>,
    /// An input document, JSON or YAML; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Only rules whose name matches, as in a shell: `action/blast/*`
    #[arg(long, value_name = "PATTERN")]
    rule: Option<String>,
    /// Every silent rule, not only those that nearly spoke
    #[arg(long)]
    all: bool,
    /// Do not look for the smallest change that gives another answer
    #[arg(long)]
    no_counterfactual: bool,
    #[command(flatten)]
    written: Written,
}

/// The input, and the decision that was made on it.
async fn input(session: &Session, asked: &Asked) -> Result<(DecisionId, Value, Option<String>), Failure> {
    match (&asked.decision, &asked.input) {
        (Some(id), _) => {
            let (recorded, input) = past(session, *id).await?;
            Ok((recorded.id, input, Some(recorded.decision.word().to_owned())))
        }
        (None, Some(path)) => Ok((DecisionId::new(uuid::Uuid::nil()), document(path)?, None)),
        (None, None) => Err(Failure::usage("nothing to judge", "give --input FILE or --decision dec_…")),
    }
}

pub(super) fn bad_input(error: BadInput) -> Failure {
    Failure::usage(error, "policies/schema/*.schema.json say what an input holds")
}

impl Eval {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let policy = policy(session)?;
        let (id, input, _) = input(session, &self.asked).await?;
        let kind = InputKind::of(&input).map_err(bad_input)?;
        if let Some(expected) = &self.expect {
            known(kind, expected)?;
        }
        let began = Instant::now();
        let decision = policy.decide(id, &input).map_err(bad_input)?;
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let document = decision.document(&input, Some(policy.modules()), Some(us));
        session.out.value(self.output, &document, || {
            let mut lines = vec![format!("{}   {} µs", decision.word(), us)];
            lines.extend(decision.reasons().iter().map(|r| {
                let at = r.at.as_deref().unwrap_or("the program itself");
                block(&format!("  {:<8} {}  {}  {at}", r.effect, r.rule, r.reason), 2000)
            }));
            lines.extend(decision.exceptions().iter().map(|e| {
                let told = format!("  excepted {}  {} by {}, until {}: {}", e.rule, e.id, e.owner, e.until, e.reason);
                block(&told, 2000)
            }));
            lines
        })?;
        match &self.expect {
            Some(expected) if !decision.word().eq_ignore_ascii_case(expected) => {
                super::super::output::note(&format!("expected {expected}, the verdict is {}", decision.word()));
                Ok(Exit::Found)
            }
            _ => Ok(Exit::Fine),
        }
    }
}

/// Whether such an answer is possible at all.
fn known(kind: InputKind, expected: &str) -> Result<(), Failure> {
    let is_known = match kind {
        InputKind::Action => Verdict::ALL.iter().any(|verdict| verdict.as_str().eq_ignore_ascii_case(expected)),
        InputKind::Risk => crate::domain::Risk::ALL.iter().any(|level| level.as_str().eq_ignore_ascii_case(expected)),
    };
    let words = match kind {
        InputKind::Action => "allow, ask and deny",
        InputKind::Risk => "LOW, MEDIUM, HIGH and CRITICAL",
    };
    match is_known {
        true => Ok(()),
        false => Err(Failure::usage(
            format!("`{expected}` is no answer"),
            format!("answers to {} are {words}", kind.schema()),
        )),
    }
}

impl Explain {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let policy = policy(session)?;
        let asked = Asked { input: self.input, decision: self.decision };
        let (id, input, was) = input(session, &asked).await?;
        let mut explanation: Explanation = policy.explain(id, &input, !self.no_counterfactual).map_err(bad_input)?;
        if let Some(pattern) = &self.rule {
            explanation.rules.retain(|rule| fits(pattern, &rule.rule));
        }
        session.out.value(self.written.output, &explanation, || {
            let text = explanation.render(self.all || self.rule.is_some());
            let mut lines: Vec<String> = block(&text, 1 << 20).lines().map(str::to_owned).collect();
            if let Some(was) = was.filter(|was| *was != explanation.verdict) {
                lines.push(format!("recorded as {was}; this bundle says {}", explanation.verdict));
            }
            lines
        })?;
        Ok(Exit::Fine)
    }
}
