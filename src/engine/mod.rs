//! L6: from alert to report.
//!
//! - [`routes`], [`intake`]: what comes in, and where it belongs; [`rest`]: what was left out of it; [`told`]: what is asked for;
//!   [`poller`]: what nobody sends is asked for
//! - [`worker`]: claims investigations and lets a [`driver`] work on each; [`line`]: when that may begin
//! - [`driver`]: the loop: next step, perform, append, apply; [`signals`]: what arrives meanwhile; [`warm`]: what
//!   was left just now
//! - [`assess`], [`survey`], [`read`], [`ask`], [`report`], [`notify`]: one file per step
//! - [`act`](mod@act): changes, from plan to watch
//! - [`document`]: what has to be written down behind a report
//! - [`live`]: who waits for a model right now
//! - [`summary`]: what a cheap model condenses for the conversation
//! - [`ledger`], [`spend`]: what it may cost, set aside before and settled after
//! - [`recorded`]: decisions as the journal has them; [`again`](mod@again): those made again
//! - [`decision_log`]: entries and decisions in the words of other systems
//! - [`propose`]: what a model is told and what is made of its answers
//! - [`checkpoints`]: what was appended is signed; [`retention`]: what is due is deleted
//! - [`transcript`]: what it was told and answered, as the journal has it; [`trial`]: how good it is

mod act;
pub mod again;
mod ask;
mod assess;
pub mod checkpoints;
mod context;
pub mod decision_log;
mod document;
pub mod driver;
mod facts;
mod failpoint;
pub mod governing;
pub mod intake;
mod kept;
pub mod ledger;
mod line;
pub mod live;
pub mod notify;
pub mod poller;
pub mod propose;
mod read;
pub mod recorded;
mod report;
pub mod rest;
pub mod retention;
pub mod routes;
mod signals;
mod spend;
mod summary;
mod survey;
pub mod told;
pub mod transcript;
pub mod trial;
pub mod warm;
pub mod worker;

pub use act::{branch_name, check_branch};
pub use ask::offered;
pub use line::Coalesce;
pub use summary::Summaries;

use crate::domain::{Budget, Clock, Entropy, Price, Redactor, Secret};
use crate::gate::Gate;
use crate::model::{ModelError, ModelProvider, Standing};
use crate::store::{Store, StoreError};
use crate::template::Templates;
use crate::tools::Registry;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use ledger::Ledger;
use routes::Routes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// Everything that an investigation works with.
#[derive(Debug)]
pub struct Engine {
    /// Journal, payloads, alerts.
    pub store: Arc<dyn Store>,
    /// Policy's door.
    pub gate: Gate,
    /// What may be called.
    pub tools: Arc<Registry>,
    /// What a model is told.
    pub templates: Arc<Templates>,
    /// Models in the order of the configuration; none works, too.
    pub models: Vec<PricedModel>,
    /// Whether a cheap model condenses what is too long for a conversation.
    pub summaries: Summaries,
    /// Which route an alert takes.
    pub routes: Arc<ArcSwap<Routes>>,
    /// How long alerts of one incident are gathered.
    pub coalesce: Coalesce,
    /// Who is told.
    pub sinks: Vec<Arc<dyn notify::Sink>>,
    /// What an investigation may spend.
    pub budget: ArcSwap<Budget>,
    /// What all of them may spend in a day, and how that stands.
    pub ledger: Ledger,
    /// Takes secrets out of what models say; changed when a secret is.
    pub redactor: Arc<ArcSwap<Redactor>>,
    /// Signs what changes carry into the world.
    pub marker_key: Secret,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and salts.
    pub entropy: Arc<dyn Entropy>,
    /// Who waits for a model right now.
    pub live: Arc<live::Live>,
    /// Investigations as they were left.
    pub warm: warm::Warm,
    /// Where people read more, without a slash at the end.
    pub public_url: Option<String>,
}

/// A model and what it costs.
#[derive(Debug, Clone)]
pub struct PricedModel {
    /// The model.
    pub provider: Arc<dyn ModelProvider>,
    /// How it did when it was asked.
    pub pulse: Arc<Pulse>,
    /// How it did when it was measured.
    pub standing: Standing,
    /// What it costs.
    pub price: Price,
    /// It is asked when the money of the day runs low.
    pub cheap: bool,
}

/// Answers in the wrong shape that make a model rest.
const MISSHAPEN_IN_A_ROW: u8 = 3;
/// How long it rests, in seconds: the questions go to the next one.
const REST_S: i64 = 60;

/// How a model did when it was asked.
#[derive(Debug, Default)]
pub struct Pulse {
    answered: AtomicU8,
    misshapen: AtomicU8,
    /// Seconds since 1970.
    rests_until: AtomicI64,
}

impl Pulse {
    /// Notes how it did. The third answer in a row that is none makes it rest.
    pub fn note<T>(&self, answer: &Result<T, ModelError>, now: Timestamp) {
        self.answered.store(if answer.is_ok() { 1 } else { 2 }, Ordering::Relaxed);
        match answer {
            Err(error) if error.is_misshapen() => {
                if self.misshapen.fetch_add(1, Ordering::Relaxed) + 1 >= MISSHAPEN_IN_A_ROW {
                    self.misshapen.store(0, Ordering::Relaxed);
                    self.rests_until.store(now.as_second().saturating_add(REST_S), Ordering::Relaxed);
                }
            }
            // A server that cannot be reached says nothing about its shapes.
            Err(_) => {}
            Ok(_) => self.misshapen.store(0, Ordering::Relaxed),
        }
    }

    /// Whether it is to be left alone for now.
    pub fn rests(&self, now: Timestamp) -> bool {
        now.as_second() < self.rests_until.load(Ordering::Relaxed)
    }

    /// Whether it answered the last time; `None` while nobody has asked.
    pub fn answered(&self) -> Option<bool> {
        match self.answered.load(Ordering::Relaxed) {
            0 => None,
            state => Some(state == 1),
        }
    }
}

/// Why the work on an investigation stopped without an end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal and the program disagree.
    #[error("the journal of {chain} cannot be continued: {why}. Run `firewarden audit verify`.")]
    Corrupt {
        /// The chain.
        chain: String,
        /// What is wrong.
        why: String,
    },
}

impl EngineError {
    /// Another attempt may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient() || matches!(error, StoreError::Fenced { .. }),
            Self::Corrupt { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l14_three_answers_in_the_wrong_shape_make_a_model_rest_for_a_minute() {
        let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
        let malformed = Err::<(), _>(ModelError::Malformed { model: "m".into(), what: "x".into() });
        let absent = Err(ModelError::Unreachable { model: "m".into(), base_url: "u".into(), why: "w".into() });
        let pulse = Pulse::default();
        assert_eq!(pulse.answered(), None);
        for answer in [&malformed, &malformed, &Ok(()), &malformed, &absent, &malformed] {
            pulse.note(answer, at(0));
            assert!(!pulse.rests(at(0)), "not three in a row");
        }
        assert_eq!(pulse.answered(), Some(false));
        pulse.note(&malformed, at(10));
        assert!(pulse.rests(at(10)) && pulse.rests(at(69)));
        assert!(!pulse.rests(at(70)));
        pulse.note(&malformed, at(70));
        assert!(!pulse.rests(at(70)), "it has three attempts again");
    }
}
