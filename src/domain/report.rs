//! The root-cause report, `rca_report` v1: what people and machines get.

use super::risk::words;
use super::{Change, Digest, Entity, NO_MODEL, Reason, Risk, Rung, Storm};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

words! {
    /// What the report claims.
    ReportVerdict:
    /// No agent was dispatched.
    Declined = "declined",
    /// Nothing is wrong.
    NoFault = "no_fault",
    /// Too little was seen to name a cause.
    InsufficientEvidence = "insufficient_evidence",
    /// Confidence ≥ 0.4.
    Possible = "possible",
    /// Confidence ≥ 0.7.
    Likely = "likely",
    /// Confidence ≥ 0.9 and two kinds of evidence.
    Confirmed = "confirmed",
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always `rca_report/v1`.
    pub schema_version: String,
    /// 1 for the first report of an investigation.
    pub revision: u32,
    /// What it is about.
    pub incident: Incident,
    /// What it claims.
    pub verdict: ReportVerdict,
    /// How dangerous policy found it, and why.
    pub risk: RiskSummary,
    /// ≤ 400 characters.
    pub summary: String,
    /// Empty exactly when the verdict is insufficient_evidence, no_fault or declined.
    pub root_causes: Vec<RootCause>,
    /// From cause to alert.
    pub causal_chain: Vec<ChainStep>,
    /// Explanations that were weighed and found lighter.
    pub alternatives: Vec<Alternative>,
    /// Who suffers.
    pub impact: Impact,
    /// What happened when.
    pub timeline: Vec<TimelineItem>,
    /// What the alerts of a storm have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// What was planned and done, from the journal alone.
    pub actions: Vec<ReportAction>,
    /// What a closer look showed that people agreed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closer: Vec<Detail>,
    /// What people can do; text only.
    pub recommendations: Vec<Recommendation>,
    /// What was asked of the world.
    pub queries: Vec<QueryMade>,
    /// What stays open.
    pub open_questions: Vec<OpenQuestion>,
    /// Earlier incidents that look alike.
    pub similar: Vec<Value>,
    /// Runbooks that were read: `{title, source, evidence_id}`. Advice of people, no claim of ours.
    pub runbooks: Vec<Value>,
    /// What was seen.
    pub evidence: Vec<EvidenceItem>,
    /// How the report came to be.
    pub provenance: Provenance,
    /// What the verifier did to it.
    pub verification: Verification,
}

/// One line of a closer look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// One line, with the figures that were seen.
    pub text: String,
    /// Where they stand; empty where nothing was measured.
    pub evidence_ids: Vec<String>,
}

/// What the report is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Investigation id.
    pub id: String,
    /// The opening alert's fingerprint.
    pub fingerprint: String,
    /// The opening alert's name.
    pub alert: String,
    /// Start of the opening alert.
    pub started_at: Timestamp,
    /// The thing that the alert names.
    pub subject: Subject,
}

/// The thing that the alert names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Kubernetes kind or resource type.
    pub kind: String,
    /// Namespace, if it has one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Cluster, if known.
    pub cluster: Option<String>,
}

/// How dangerous policy found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskSummary {
    /// The level.
    pub level: Risk,
    /// The contributions.
    pub reasons: Vec<Reason>,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootCause {
    /// `C1`, `C2`, …
    pub id: String,
    /// `csi_absent`, `volume_full`, …
    pub cause_code: String,
    /// What it is about.
    pub entity: Entity,
    /// One sentence.
    pub statement: String,
    /// 0 to 1.
    pub confidence: f64,
    /// `change|config|capacity|dependency|platform|code|data|external|unknown`.
    pub category: String,
    /// When it began.
    pub onset: Option<Timestamp>,
    /// What supports it; at least one.
    pub evidence_ids: Vec<String>,
    /// What speaks against it.
    #[serde(default)]
    pub contradicting_ids: Vec<String>,
    /// The change behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_ref: Option<Change>,
}

/// One link from cause to alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainStep {
    /// From 1.
    pub seq: u32,
    /// Where.
    pub entity: Entity,
    /// What happened.
    pub event: String,
    /// When.
    pub at: Option<Timestamp>,
    /// What shows it.
    pub evidence_ids: Vec<String>,
    /// `causes|enables|amplifies` the next step.
    pub relation: String,
    /// Not seen, only concluded. A step without evidence must say so.
    pub inferred: bool,
}

/// An explanation that was found lighter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// As in [`RootCause`].
    pub cause_code: String,
    /// As in [`RootCause`].
    pub entity: Entity,
    /// 0 to 1.
    pub confidence: f64,
    /// Why it is not the cause.
    pub why_less_likely: String,
    /// What was looked at.
    pub evidence_ids: Vec<String>,
}

/// Who suffers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Affected services and workloads.
    pub services: Vec<String>,
    /// One sentence, as far as it is known.
    pub statement: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What shows it.
    pub evidence_ids: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineItem {
    /// When.
    pub at: Timestamp,
    /// `alert|event|change|metric|log|state`.
    pub source: String,
    /// What.
    pub text: String,
    /// What shows it; empty for the alert itself.
    pub evidence_id: String,
}

/// What was planned or done, from the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportAction {
    /// Action id.
    pub id: String,
    /// Tool.
    pub tool: String,
    /// What it touches.
    pub target: String,
    /// `planned|asked|refused|started|done|failed|unknown|verified|undone`.
    pub state: String,
    /// The policy's answer.
    pub policy: String,
    /// In one line.
    #[serde(default)]
    pub title: String,
    /// The rules behind the answer.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The question to people, `apr_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Until when that may be answered, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What people can do. Text, never an order to a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// `mitigate|fix|prevent`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to do.
    pub text: String,
    /// The causes that it addresses, `C1` for instance.
    pub addresses: Vec<String>,
}

/// A question that was put to the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryMade {
    /// Tool.
    pub tool: String,
    /// The call in one line.
    pub query: String,
    /// What came of it.
    pub evidence_id: String,
}

/// What stays open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenQuestion {
    /// The question.
    pub question: String,
    /// How a person would find out.
    pub how_to_answer: String,
    /// Why we could not.
    pub blocked_by: Option<String>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// `E1`, `E2`, …
    pub id: String,
    /// `state|event|metric|log|change|config|memory`.
    pub kind: String,
    /// Tool.
    pub tool: String,
    /// The call in one line.
    pub query: String,
    /// When it was seen.
    pub at: Timestamp,
    /// The gist in ≤ 300 characters.
    pub excerpt: String,
    /// Digest of the whole observation.
    pub hash: Digest,
    /// Something was left out.
    pub truncated: bool,
    /// Something secret was blanked out.
    pub redacted: bool,
}

/// How the report came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `deterministic|model|hybrid`.
    pub mode: String,
    /// The model that answered, by its own name.
    pub model: Option<String>,
    /// Digest of the prompt's revision.
    pub prompt_digest: Option<Digest>,
    /// Tokens sent and received.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// From opening to report.
    pub duration_ms: u64,
    /// From opening to the first evidence.
    pub time_to_first_evidence_ms: Option<u64>,
    /// What could not be collected, and why.
    pub collections_failed: Vec<String>,
    /// How much of the work the budgets permitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<RungTaken>,
}

/// How much of the work the budgets permitted, and why not more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungTaken {
    /// The last rung that was taken.
    pub rung: Rung,
    /// Why not a higher one, for people.
    pub reason: String,
}

impl RungTaken {
    /// Whether the work was bounded by what may be spent.
    pub fn is_bounded(&self) -> bool {
        self.rung != Rung::Full && self.reason != NO_MODEL
    }
}

/// What the verifier did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Claims that were checked.
    pub claims: u32,
    /// Claims that the evidence carries.
    pub supported: u32,
    /// Claims that were taken out.
    pub removed: u32,
    /// What was found, one line each.
    pub checks: Vec<String>,
}
