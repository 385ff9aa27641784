//! Changes that were begun, as policy counts them: over all investigations and all replicas, and a
//! restart forgets none.

use crate::domain::{ActionId, Effect, InvestigationId, Target};
use jiff::Timestamp;

/// A change that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunDeed {
    /// The change.
    pub id: ActionId,
    /// Whose it is.
    pub investigation: InvestigationId,
    /// When it was last begun.
    pub started_at: Timestamp,
    /// The tool.
    pub tool: String,
    /// The main object.
    pub target: Target,
    /// What it does to the world.
    pub effect: Effect,
    /// The thing that the alert of its investigation is about: [`crate::domain::SreEvent::thing`].
    pub thing: String,
    /// The name of that alert.
    pub alert: String,
    /// Whether it was made; `None` while nobody knows.
    pub made: Option<bool>,
    /// Whether it held; `None` while nobody knows.
    pub helped: Option<bool>,
}

/// What was done before, without the change that asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeedCounts {
    /// Changes to the same object in the last hour.
    pub resource_1h: u64,
    /// Changes to the same object in the last day.
    pub resource_24h: u64,
    /// Changes in the same namespace in the last hour.
    pub namespace_1h: u64,
    /// Distinct objects of the same kind in the last hour.
    pub targets_of_kind_1h: u64,
    /// The same tool on the same object in the last hour.
    pub same_1h: u64,
    /// The same tool on the same object that did not help, in the last day.
    pub same_failed_24h: u64,
}

/// How an object is written in a row: by all that names it for as long as it is wanted.
pub(crate) fn resource_of(target: &Target) -> String {
    [&target.system, &target.cluster, &target.namespace, &target.kind, &target.name].map(|part| part.trim()).join("/")
}

/// How a namespace is written in a row.
pub(crate) fn namespace_of(target: &Target) -> String {
    [&target.system, &target.cluster, &target.namespace].map(|part| part.trim()).join("/")
}

/// How a kind is written in a row.
pub(crate) fn kind_of(target: &Target) -> String {
    [&target.system, &target.kind].map(|part| part.trim()).join("/")
}
