//! L6: from alert to report.
//!
//! - [`routes`], [`intake`]: what comes in, and where it belongs
//! - [`worker`]: claims investigations and lets a [`driver`] work on each
//! - [`driver`]: the loop: next step, perform, append, apply
//! - [`assess`], [`survey`], [`read`], [`ask`], [`report`], [`notify`]: one file per step
//! - [`ledger`], [`spend`]: what it may cost, set aside before and settled after
//! - [`propose`]: what a model is told and what is made of its answers

mod ask;
mod assess;
mod context;
pub mod driver;
mod failpoint;
pub mod intake;
pub mod ledger;
pub mod notify;
pub mod propose;
mod read;
mod report;
pub mod routes;
mod spend;
mod survey;
pub mod worker;

use crate::domain::{Budget, Clock, Entropy, Price, Redactor};
use crate::gate::Gate;
use crate::model::ModelProvider;
use crate::store::{Store, StoreError};
use crate::template::Templates;
use crate::tools::Registry;
use arc_swap::ArcSwap;
use ledger::Ledger;
use routes::Routes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
    /// Which route an alert takes.
    pub routes: Arc<ArcSwap<Routes>>,
    /// Who is told.
    pub sinks: Vec<Arc<dyn notify::Sink>>,
    /// What an investigation may spend.
    pub budget: Budget,
    /// What all of them may spend in a day, and how that stands.
    pub ledger: Ledger,
    /// Takes secrets out of what models say.
    pub redactor: Arc<Redactor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and salts.
    pub entropy: Arc<dyn Entropy>,
    /// Where people read more, without a slash at the end.
    pub public_url: Option<String>,
}

/// A model and what it costs.
#[derive(Debug, Clone)]
pub struct PricedModel {
    /// The model.
    pub provider: Arc<dyn ModelProvider>,
    /// How it did the last time.
    pub pulse: Arc<Pulse>,
    /// US dollars for a million tokens sent.
    pub input_per_mtok: f64,
    /// US dollars for a million tokens received.
    pub output_per_mtok: f64,
    /// It is asked when the money of the day runs low.
    pub cheap: bool,
}

impl PricedModel {
    /// What it costs.
    pub const fn price(&self) -> Price {
        Price { input_per_mtok: self.input_per_mtok, output_per_mtok: self.output_per_mtok }
    }
}

/// Whether a model answered the last time it was asked.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU8);

impl Pulse {
    /// Notes how it did.
    pub fn note(&self, answered: bool) {
        self.0.store(if answered { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// `None` while nobody has asked.
    pub fn answered(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
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
