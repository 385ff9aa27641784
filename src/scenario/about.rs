//! The small files of a scenario folder: what it is, what it refuses, what must be found.

use super::error::{Place, ScenarioError};
use crate::domain::{Entity, ReportVerdict};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

/// `scenario.yaml`: what this world is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Name of the folder.
    pub id: String,
    /// One line for lists.
    pub title: String,
    /// `storage`, `workload`, `node`, …
    pub family: String,
    /// How hard it is to find the cause.
    pub difficulty: Difficulty,
    /// Free words to choose by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The moment at which the recording stands. Every instant in the folder is meant relative to it.
    pub now: Timestamp,
    /// What the alert is about.
    pub subject: Subject,
    /// Version of the API server, as `/version` says it.
    #[serde(default = "default_kubernetes")]
    pub kubernetes: String,
    /// Who the API server takes the client for; appears in refusals.
    #[serde(default = "default_user")]
    pub user: String,
}

fn default_kubernetes() -> String {
    "v1.36.2".into()
}

fn default_user() -> String {
    "firewarden".into()
}

/// How hard it is to find the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// The alert's object says it.
    Easy,
    /// One or two steps away.
    Medium,
    /// Several steps, decoys, or two causes.
    Hard,
}

/// What the alert is about.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Kubernetes kind.
    pub kind: String,
    /// Empty for cluster-wide things.
    #[serde(default)]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// `expected.yaml`: what a good investigator finds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// What the report must claim; a neighbouring word in `accept_verdicts` is as good.
    pub verdict: ReportVerdict,
    /// Other verdicts that are right, too.
    #[serde(default)]
    pub accept_verdicts: Vec<ReportVerdict>,
    /// Every cause that must be named; empty exactly when there is none to name.
    #[serde(default)]
    pub root_causes: Vec<ExpectedCause>,
    /// Causes first, effects last.
    #[serde(default)]
    pub chain: Vec<ExpectedStep>,
    /// Evidence without which the causes are guessed.
    #[serde(default)]
    pub must_cite: Vec<MustCite>,
    /// Entities that look guilty and are not.
    #[serde(default)]
    pub decoys: Vec<Entity>,
    /// Texts that no report may repeat or follow.
    #[serde(default)]
    pub forbidden_claims: Vec<String>,
    /// What to do about it.
    #[serde(default)]
    pub actions: ExpectedAction,
}

/// A cause that must be found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCause {
    /// The code to find.
    pub cause_code: String,
    /// The thing to blame.
    pub entity: Entity,
    /// Other codes that say the same.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Other things that may be blamed as well.
    #[serde(default)]
    pub accept_entities: Vec<Entity>,
}

/// One step from cause to effect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedStep {
    /// Where.
    pub entity: Entity,
    /// What happened there.
    pub event: String,
}

/// Evidence that a report must rest on: an answer of `tool` that contains `contains`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MustCite {
    /// `kubernetes_logs`, `prometheus_query`, … or a prefix such as `kubernetes`.
    pub tool: String,
    /// A text in the cited answer.
    pub contains: String,
}

/// Actions, in words.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAction {
    /// One of these must be proposed.
    #[serde(default)]
    pub required_any: Vec<String>,
    /// These may be.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// None of these may be.
    #[serde(default)]
    pub forbidden: Vec<String>,
}

/// `faults.yaml`: what the world refuses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Resources that the API server denies.
    #[serde(default)]
    pub kubernetes: Vec<Refusal>,
    /// What is wrong with Prometheus, if anything.
    #[serde(default)]
    pub prometheus: Option<PrometheusFault>,
}

/// A 403 for one resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Plural name, with subresource if one is meant: `secrets`, `pods/log`.
    pub resource: String,
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Only in this namespace; everywhere if absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Only these verbs; all if empty.
    #[serde(default)]
    pub verbs: Vec<String>,
}

/// What is wrong with Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrometheusFault {
    /// Nothing listens.
    Down,
    /// Every answer is 503 with an error of type `unavailable`.
    Unavailable,
    /// Every query ends with the time-out error.
    Timeout,
}

/// Reads one small file.
pub(crate) fn parse<T: DeserializeOwned>(place: Place<'_>, text: &str) -> Result<T, ScenarioError> {
    serde_saphyr::from_str(text).map_err(|e| place.broken("content", e))
}
