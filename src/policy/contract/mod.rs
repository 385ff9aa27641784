//! The documents that policies read: `firewarden.risk/v1` and `firewarden.action/v1`. Every key is
//! always present, so that a rule never falls silent because something was left out.

mod fill;

pub use crate::domain::{BlastRadius, Taint};
use crate::domain::{Effect, Risk};
pub(super) use fill::nanoseconds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Name of the contract between the program and a bundle.
pub const CONTRACT: &str = "firewarden/v1";

/// What the risk modules are asked about: `firewarden.risk/v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RiskInput {
    /// Always `firewarden.risk/v1`.
    pub schema: String,
    /// The moment of the question, nanoseconds since 1970.
    pub now_ns: i64,
    /// `enforce`.
    pub mode: String,
    /// The alert.
    pub event: EventFacts,
    /// What the alert is about, as far as known.
    pub resource: ResourceFacts,
    /// What would suffer, as far as known.
    pub blast_radius: BlastRadius,
    /// What happened to it before.
    pub history: History,
    /// The time as people live it.
    pub calendar: Calendar,
    /// How fixes of this class fared.
    pub track_record: TrackRecord,
    /// Money spent on models.
    pub spend: Spend,
    /// Whatever else the investigation found, by name.
    pub facts: Map<String, Value>,
}

/// What the action modules are asked about: `firewarden.action/v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActionInput {
    /// Always `firewarden.action/v1`.
    pub schema: String,
    /// The moment of the question, nanoseconds since 1970.
    pub now_ns: i64,
    /// `enforce`.
    pub mode: String,
    /// `propose` before approval, `execute` at the point of doing it.
    pub phase: String,
    /// The alert.
    pub event: EventFacts,
    /// The risk as it stands.
    pub risk: RiskFacts,
    /// What the alert is about, as far as known.
    pub resource: ResourceFacts,
    /// The investigation that wants to act.
    pub investigation: InvestigationFacts,
    /// How much untrusted text was read before.
    pub taint: Taint,
    /// The call itself.
    pub call: CallFacts,
    /// The pull request, if the call opens one.
    pub pr: PullRequest,
    /// What the call would touch, as far as known.
    pub blast_radius: BlastRadius,
    /// What was done before, to the same things.
    pub history: ActionHistory,
    /// The time as people live it.
    pub calendar: Calendar,
    /// How fixes of this class fared.
    pub track_record: TrackRecord,
    /// Money spent on models.
    pub spend: Spend,
    /// Whatever else the investigation found, by name.
    pub facts: Map<String, Value>,
}

/// What all questions about the calls of an investigation have in common. Its texts are folded and its
/// facts sorted out once, and not for each call.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    event: EventFacts,
    resource: ResourceFacts,
    facts: Map<String, Value>,
}

/// An alert as policies see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EventFacts {
    /// Our id.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// The sender's identity of the alert.
    pub fingerprint: String,
    /// The sender's group.
    pub group_key: Option<String>,
    /// `firing` or `resolved`.
    pub status: String,
    /// The alert's name.
    pub name: String,
    /// `critical|error|warning|info`.
    pub severity: String,
    /// What the severity alone suggests.
    #[cfg_attr(test, schemars(schema_with = "super::schema::made::risk_word"))]
    pub initial_level: Risk,
    /// At most 500 characters.
    pub summary: String,
    /// All free text, folded for matching, at most 64 KiB.
    pub text: String,
    /// Something did not fit into `text`, `labels` or `annotations`.
    pub text_truncated: bool,
    /// Always false: whoever can raise an alert can write this text.
    pub text_trusted: bool,
    /// The sender's labels.
    pub labels: BTreeMap<String, String>,
    /// The sender's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Start of the episode, nanoseconds since 1970.
    pub starts_at_ns: i64,
    /// Alerts that the sender grouped with it.
    pub alerts_in_group: u32,
}

/// A thing in the world as policies see it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ResourceFacts {
    /// It was looked up, not only named by the alert.
    pub resolved: bool,
    /// Its cluster, else empty.
    pub cluster: String,
    /// Its environment in lower case, else `unknown`.
    pub environment: String,
    /// Its namespace, else empty.
    pub namespace: String,
    /// `k8s_pod`, `host`, …
    #[serde(rename = "type")]
    pub kind_of_thing: String,
    /// Its API version, else empty.
    pub api_version: String,
    /// Its Kubernetes kind, else empty.
    pub kind: String,
    /// Its name, else empty.
    pub name: String,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// It keeps data.
    pub stateful: bool,
    /// Wanted replicas.
    pub replicas: Option<u64>,
    /// Ready replicas.
    pub ready: Option<u64>,
    /// Whose it is.
    pub owner: Owner,
    /// Where its definition lives.
    pub gitops: GitOps,
}

/// Whose a thing is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Owner {
    /// The team, else empty.
    pub team: String,
    /// Groups that may approve for it.
    pub groups: Vec<String>,
}

/// Where a thing's definition lives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GitOps {
    /// `argocd`, `flux`, else empty.
    pub managed_by: String,
    /// The repository, else empty.
    pub repo: String,
    /// The path in it, else empty.
    pub path: String,
}

/// What happened to the resource before, counted over all investigations: to the same workload, volume,
/// node or service, and this time is among it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct History {
    /// Episodes of its alerts in the last hour.
    pub firings_1h: u64,
    /// Episodes of its alerts in the last day.
    pub firings_24h: u64,
    /// It went down so often within `data.org.flapping.window_s`. Alerts that overlap are one time; hints
    /// (info) and what only runs out do not count.
    pub down_events_window: u64,
    /// Investigations of it in the last day.
    pub investigations_24h: u64,
    /// Changes in the last day that were to mend it.
    pub actions_24h: u64,
    /// Of those, changes that did not hold: they were seen to fail, or it went down again later than five
    /// minutes after them and within a day.
    pub failed_actions_24h: u64,
    /// The last change that was to mend it, nanoseconds since 1970.
    pub last_action_ns: Option<i64>,
}

/// What was done before, counted from the journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActionHistory {
    /// Changes to the same resource in the last hour.
    pub resource_actions_1h: u64,
    /// Changes to the same resource in the last day.
    pub resource_actions_24h: u64,
    /// Changes in the same namespace in the last hour.
    pub namespace_actions_1h: u64,
    /// Distinct targets of the same kind in the last hour.
    pub targets_of_kind_1h: u64,
    /// The same change to the same target in the last hour.
    pub same_action_1h: u64,
    /// The same change to the same target that did not help, in the last day.
    pub same_action_failed_24h: u64,
}

/// The time as people live it, by the clock of `data.org.timezone`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Calendar {
    /// IANA name of the time zone.
    pub tz: String,
    /// `monday` to `sunday`.
    pub weekday: String,
    /// 0 to 23.
    pub hour: i8,
    /// Within `data.org.hours`; Monday to Friday, 9 to 17 o'clock where there are none.
    pub business_hours: bool,
    /// A window of `data.org.maintenance_windows` is open for the resource's environment.
    pub maintenance: bool,
}

/// How changes fared against alerts of the same name, in the last 90 days.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrackRecord {
    /// The name of the alert.
    pub class: String,
    /// Changes that were watched and held, without its going down again within a day.
    pub verified: u64,
    /// Changes that did not hold.
    pub recurred: u64,
    /// Changes that a person refused.
    pub rejected: u64,
}

/// Money spent on models, in US dollars.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Spend {
    /// Today, by all investigations.
    pub day_usd: f64,
    /// By this investigation.
    pub investigation_usd: f64,
}

/// The risk as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RiskFacts {
    /// The level.
    #[cfg_attr(test, schemars(schema_with = "super::schema::made::risk_word"))]
    pub level: Risk,
    /// The rules that gave it.
    pub rules: Vec<String>,
}

/// The investigation that wants to act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InvestigationFacts {
    /// Its id.
    pub id: String,
    /// `alert` or `question`.
    pub trigger: String,
    /// Who started it: `system` or a person.
    pub started_by: String,
    /// `service_down`, `resource_pressure`, …; empty when not classified.
    pub class: String,
    /// Turns so far.
    pub turns: u64,
    /// Seconds since it opened.
    pub elapsed_s: u64,
    /// Calls so far.
    pub tool_calls: u64,
    /// Changes made so far.
    pub writes: u64,
    /// Calls refused so far.
    pub denials: u64,
    /// Tokens sent to models.
    pub tokens_in: u64,
    /// Tokens received from models.
    pub tokens_out: u64,
    /// Price of those tokens in US dollars.
    pub cost_usd: f64,
    /// The model, if one proposes.
    pub model: Option<String>,
    /// How the model did when it was measured: `ok|weak|failed`, `unknown` while it was not, or `none`
    /// without a model.
    pub model_profile: String,
}

impl Default for InvestigationFacts {
    fn default() -> Self {
        Self {
            id: String::new(),
            trigger: "alert".into(),
            started_by: "system".into(),
            class: String::new(),
            turns: 0,
            elapsed_s: 0,
            tool_calls: 0,
            writes: 0,
            denials: 0,
            tokens_in: 0,
            tokens_out: 0,
            cost_usd: 0.0,
            model: None,
            model_profile: "none".into(),
        }
    }
}

/// The call that is to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallFacts {
    /// Its id.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Who serves the tool.
    #[serde(default = "builtin")]
    pub server: String,
    /// What the tool does to the world, from its manifest.
    #[cfg_attr(test, schemars(schema_with = "super::schema::made::effect_word"))]
    pub effect: Effect,
    /// It can be undone.
    #[serde(default)]
    pub reversible: bool,
    /// The tool's tags.
    pub tags: Vec<String>,
    /// Validated arguments.
    pub args: Map<String, Value>,
    /// Every text in `args`, at any depth; [`ActionInput::for_call`] fills it, so that rules need
    /// not search.
    #[serde(default)]
    pub texts: Vec<ArgumentText>,
    /// There are more or longer texts in `args` than `texts` holds.
    #[serde(default)]
    pub texts_truncated: bool,
    /// Where the texts among the arguments come from, by argument: `inventory` (it names something that a
    /// look found there), `label` (the alert says so), else whose word it is: `model`, `person`, `program`.
    #[serde(default)]
    pub arg_origins: Map<String, Value>,
    /// What it touches: objects with cluster, namespace, api_version, kind, name, verb, …
    pub targets: Vec<Value>,
    /// The command, if it runs one.
    #[serde(default)]
    pub argv: Vec<String>,
    /// What a dry run showed.
    #[serde(default)]
    pub preview: Option<Value>,
    /// Digest of the planned action; empty for reads.
    #[serde(default)]
    pub action_digest: String,
    /// Why the proposer wants it: a claim.
    #[serde(default)]
    pub rationale: String,
    /// Evidence that the proposer names.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The named evidence exists.
    #[serde(default)]
    pub evidence_verified: bool,
}

/// A text among the arguments of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ArgumentText {
    /// The keys that lead to it, in lower case, outermost first; places in lists are left out.
    pub keys: Vec<String>,
    /// The text.
    pub value: String,
    /// The text for patterns: one case, one kind of space, nothing invisible, no look-alike letters.
    #[serde(default)]
    pub folded: String,
}

fn builtin() -> String {
    "builtin".into()
}

impl CallFacts {
    /// A call of a built-in tool; whatever concerns previews, commands and evidence is empty.
    pub fn new(id: impl Into<String>, tool: impl Into<String>, effect: Effect, args: Map<String, Value>) -> Self {
        Self {
            id: id.into(),
            tool: tool.into(),
            server: builtin(),
            effect,
            reversible: matches!(effect, Effect::Read),
            tags: Vec::new(),
            args,
            texts: Vec::new(),
            texts_truncated: false,
            arg_origins: Map::new(),
            targets: Vec::new(),
            argv: Vec::new(),
            preview: None,
            action_digest: String::new(),
            rationale: String::new(),
            evidence: Vec::new(),
            evidence_verified: false,
        }
    }
}

/// The pull request that a call would open.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PullRequest {
    /// `owner/name`.
    pub repo: Option<String>,
    /// Branch it goes to.
    pub base: Option<String>,
    /// Paths it changes.
    pub files: Vec<String>,
    /// Lines it changes.
    pub lines: u64,
    /// Paths with code owners.
    pub touches_codeowners: Vec<String>,
}
