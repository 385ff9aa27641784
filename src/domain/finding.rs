//! What follows from what was seen.

use super::report::{ChainStep, Detail, Impact, OpenQuestion, TimelineItem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A thing in the world, by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// `Pod`, `PersistentVolumeClaim`, `Target`, …
    pub kind: String,
    /// Empty for cluster-wide things.
    #[serde(default)]
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Entity {
    /// Names a thing.
    pub fn new(kind: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A change that happened near the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `scale`, `rollout`, `config`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What changed, in one line.
    pub what: String,
    /// Who did it: a field manager, a user, a controller.
    pub author: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// What one analyzer found about one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The analyzer, `crash_loop` for instance.
    pub analyzer: String,
    /// What it is about.
    pub entity: Entity,
    /// What would explain it: `volume_full`, `oom_limit_low`, …
    pub cause_code: String,
    /// One sentence for people, with the figures that were seen.
    pub statement: String,
    /// `change|config|capacity|dependency|platform|code|data|external|unknown`.
    pub category: String,
    /// How much the rule says by itself, 0 to 1: 0.9 checks state and event together, 0.5 one text
    /// alone, 0.2 a symptom.
    pub specificity: f64,
    /// It describes a consequence and is never a root cause while something explains it.
    pub symptom: bool,
    /// When it began.
    pub onset: Option<Timestamp>,
    /// Evidence ids, `E7` for instance.
    pub evidence: Vec<String>,
    /// The change behind it, where one was seen.
    pub change: Option<Change>,
    /// What a person could do about it; text, never an order.
    pub remedy: Option<String>,
}

/// A ranked explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// The finding that explains.
    pub finding: Finding,
    /// Raw score.
    pub score: f64,
    /// Calibrated confidence, 0 to 1.
    pub confidence: f64,
    /// What it explains away, nearest first.
    pub explains: Vec<Finding>,
    /// Why it is not the first, for all but the first.
    pub why_less_likely: Option<String>,
}

/// Everything that the deterministic investigator concludes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// All findings.
    pub findings: Vec<Finding>,
    /// Independent explanations, likeliest first.
    pub hypotheses: Vec<Hypothesis>,
    /// Evidence that what the alerts name is well; non-empty only when nothing wrong was found.
    #[serde(default)]
    pub healthy: Vec<String>,
    /// From the first cause to the alert.
    pub chain: Vec<ChainStep>,
    /// What happened when.
    pub timeline: Vec<TimelineItem>,
    /// Who suffers.
    pub impact: Impact,
    /// What could not be seen, and how to see it.
    pub open_questions: Vec<OpenQuestion>,
    /// The subject, its owner and environment as far as the evidence names them, in the policy's
    /// words (`resource`, `blast_radius`, `facts` of the risk input).
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// What a closer look showed that people agreed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closer: Vec<Detail>,
}
