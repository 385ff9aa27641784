//! `policy replay` and `policy capture`: decisions of the past.

use super::super::text::block;
use super::super::{Exit, Failure, Written, session::Session};
use super::{past, policy, store};
use crate::app;
use crate::config::Span;
use crate::domain::{Clock as _, DecisionId};
use crate::edge::SystemClock;
use crate::engine::recorded::{self, Aftermath, Chains, Input, Inputs, Recorded};
use crate::policy::{self, Past};
use crate::store::Store;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// The arguments of `policy replay`.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// How far back: 30d, 12h, or a time such as 2026-11-01T00:00:00Z
    #[arg(long, default_value = "30d", value_name = "TIME")]
    since: String,
    /// Exit 1 when a decision would be less strict, or when any would be another
    #[arg(long, value_enum, default_value_t = FailOn::Widening, value_name = "WHEN")]
    fail_on: FailOn,
    /// Only decisions of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Work out what a decision knew of earlier changes and of money along the changed history, instead of
    /// taking what was recorded: an estimate, marked as such
    #[arg(long)]
    simulate_state: bool,
    /// Changed decisions to show
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    #[command(flatten)]
    written: Written,
}

/// When a replay fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// A decision would be less strict.
    Widening,
    /// A decision would be another.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Risk,
    Action,
}

impl Replay {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let since = since(&self.since, SystemClock.now())?;
        let policy = policy(session)?;
        let store = store(session).await?;
        let failed = |error| Failure::internal_without_report(error);
        let mut replay = policy::Replay::default();
        if self.simulate_state {
            self.simulated(&mut replay, &policy, &store, since).await?;
            return self.told(session, replay);
        }
        let mut chains = Chains::newest_first(&store, None, Some(since));
        let mut inputs = Inputs::default();
        while let Some(entries) = chains.next().await.map_err(failed)? {
            let after = recorded::aftermath(&entries);
            for recorded in recorded::decisions(&entries) {
                if recorded.at < since || !self.wants(recorded.kind) {
                    continue;
                }
                match inputs.read(&store, &recorded).await? {
                    Input::Gone => replay.cannot("its input is not kept"),
                    Input::Other => replay.cannot("what is kept is not what was judged"),
                    Input::Exact(input) => {
                        replay.recorded_under.insert(recorded.decision.policy().bundle.clone());
                        let after =
                            recorded.action().and_then(|id| after.get(&id)).map(|word: &Aftermath| word.as_str());
                        replay.add(&policy, &compared(&recorded, after), &input);
                    }
                }
            }
        }
        self.told(session, replay)
    }

    /// Every decision in the order of time, for each changes what the later ones knew.
    async fn simulated(
        &self,
        replay: &mut policy::Replay,
        policy: &app::AuthorsPolicy,
        store: &dyn Store,
        since: Timestamp,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::internal_without_report(error);
        let (mut chains, mut inputs) = (Chains::newest_first(store, None, Some(since)), Inputs::default());
        let mut all: Vec<(Recorded, Option<Aftermath>)> = vec![];
        while let Some(entries) = chains.next().await.map_err(failed)? {
            let after = recorded::aftermath(&entries);
            for recorded in recorded::decisions(&entries).into_iter().filter(|recorded| recorded.at >= since) {
                let after = recorded.action().and_then(|id| after.get(&id).copied());
                all.push((recorded, after));
            }
        }
        all.sort_by_key(|(recorded, _)| (recorded.at, recorded.seq));
        let mut simulation = policy::Simulation::default();
        let mut unwanted = policy::Replay::default();
        for (recorded, after) in &all {
            let into = if self.wants(recorded.kind) { &mut *replay } else { &mut unwanted };
            match inputs.read(store, recorded).await? {
                Input::Gone => into.cannot("its input is not kept"),
                Input::Other => into.cannot("what is kept is not what was judged"),
                Input::Exact(input) => {
                    into.recorded_under.insert(recorded.decision.policy().bundle.clone());
                    let past = compared(recorded, after.as_ref().map(|word| word.as_str()));
                    let made = after.map(|after| policy::Made {
                        begun: matches!(
                            after,
                            Aftermath::Held | Aftermath::DidNotHold | Aftermath::Made | Aftermath::Failed
                        ),
                        failed: after == Aftermath::DidNotHold,
                    });
                    into.add_simulated(&mut simulation, policy, &past, input, made);
                }
            }
        }
        replay.estimate = Some(simulation.estimate);
        Ok(())
    }

    fn wants(&self, kind: policy::InputKind) -> bool {
        match self.kind {
            None => true,
            Some(Kind::Risk) => kind == policy::InputKind::Risk,
            Some(Kind::Action) => kind == policy::InputKind::Action,
        }
    }

    fn told(&self, session: &Session, mut replay: policy::Replay) -> Result<Exit, Failure> {
        replay.finish();
        session.out.value(self.written.output, &replay, || {
            block(&replay.render(self.sample), 1 << 20).lines().map(str::to_owned).collect()
        })?;
        let fails = match self.fail_on {
            FailOn::Widening => replay.widening > 0,
            FailOn::Any => replay.widening + replay.narrowing > 0,
        };
        Ok(if fails { Exit::Found } else { Exit::Fine })
    }
}

fn compared<'a>(recorded: &'a Recorded, after: Option<&'a str>) -> Past<'a> {
    Past {
        id: recorded.id,
        investigation: &recorded.investigation,
        at: recorded.at,
        kind: recorded.kind,
        about: &recorded.about,
        word: recorded.decision.word(),
        rules: recorded.decision.reasons().iter().map(|reason| reason.rule.as_str()).collect(),
        is_fixed: recorded.was_refused_by_the_gate(),
        after,
    }
}

/// A moment of the past, by its distance or by itself.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let span: Span =
        text.parse().map_err(|error| Failure::usage(error, "--since 30d, or --since 2026-11-01T00:00:00Z"))?;
    let back = SignedDuration::try_from(span.0).unwrap_or(SignedDuration::MAX);
    Ok(now.checked_sub(back).unwrap_or(Timestamp::MIN))
}

/// The arguments of `policy capture`.
#[derive(Debug, clap::Args)]
pub struct Capture {
    /// The recorded decision
    #[arg(value_name = "dec_…")]
    decision: DecisionId,
    /// Write it there, `policies/cases/surprise.yaml` for instance [default: stdout]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Capture {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let (recorded, input) = past(session, self.decision).await?;
        let rules: Vec<String> = recorded.decision.reasons().iter().map(|reason| reason.rule.clone()).collect();
        let text = policy::case_of(recorded.id, recorded.decision.word(), &rules, &input)
            .map_err(|error| Failure::internal(format!("the case cannot be written: {error}")))?;
        match self.to {
            None => session.out.text(&text)?,
            Some(path) => {
                // An earlier case is somebody's work.
                let mut file = std::fs::File::create_new(&path).map_err(|error| {
                    Failure::usage(
                        format!("{} cannot be written: {error}", path.display()),
                        "name a file that is not there yet",
                    )
                })?;
                std::io::Write::write_all(&mut file, text.as_bytes())?;
                super::super::output::note(&format!(
                    "{} holds the case; `firewarden policy test` runs it",
                    path.display()
                ));
            }
        }
        Ok(Exit::Fine)
    }
}
