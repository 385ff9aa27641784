//! What belongs to no investigation: the entries of the `system` chain.

use super::governing::{Governing, Promotion};
use super::kinds::Retained;
use crate::domain::{BlobRef, DecisionId, Digest, EventId, InvestigationId, PolicyRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// With what a process began to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The program's version.
    pub version: String,
    /// The policy that is in force.
    pub policy: PolicyRef,
    /// Digest of all prompts.
    pub prompts: Digest,
    /// Digest of all tools.
    pub tools: Digest,
    /// The policy itself, so that its decisions can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BlobRef>,
    /// What stands by the word of people.
    #[serde(default, skip_serializing_if = "Governing::is_none")]
    pub governing: Governing,
}

/// An investigation could not be continued and was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The investigation.
    pub investigation: InvestigationId,
    /// Why.
    pub reason: String,
}

/// What retention deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// The chain whose entries commit to it.
    pub chain: String,
    /// What of it.
    pub kind: Retained,
    /// Only what had ended before this was due.
    pub ended_before: Timestamp,
    /// What was committed to.
    pub commitments: Vec<Digest>,
}

/// Another policy is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyActivated {
    /// The policy.
    pub policy: PolicyRef,
    /// The policy itself, so that its decisions can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BlobRef>,
    /// The one before.
    pub before: PolicyRef,
    /// What made the program look: `watch` or `SIGHUP`; `shadow` or `promote` where a person asked for it.
    pub trigger: String,
    /// Who owns the files that changed, as the system names them: `uid 1000`; or the person.
    pub by: Vec<String>,
    /// Files that are not as they were, by their path in the bundle.
    pub files: Vec<String>,
    /// It is the one that is tried beside the active one, and decides nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Until when it is tried, where a person began that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// A person put it in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// Recorded decisions that were judged by it before it was in force.
    #[serde(default, skip_serializing_if = "none_judged")]
    pub canary: u64,
}

fn none_judged(canary: &u64) -> bool {
    *canary == 0
}

/// A changed policy was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRejected {
    /// The bundle that was refused; `None` when not even its files could be read.
    pub policy: Option<PolicyRef>,
    /// The policy that stays in force.
    pub kept: PolicyRef,
    /// As of [`PolicyActivated`].
    pub trigger: String,
    /// As of [`PolicyActivated`].
    pub by: Vec<String>,
    /// As of [`PolicyActivated`].
    pub files: Vec<String>,
    /// What stands against it, one line each, the first twenty.
    pub errors: Vec<String>,
    /// As of [`PolicyActivated`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// One key hands the log on to another. The checkpoint that covers this entry is the last one that the old
/// key signs, and the new one signs each that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// What knows the signatures of the new key, `NAME+HASH+BASE64`.
    pub key: String,
    /// The same of the key that held the log until now.
    pub before: String,
    /// Who did it, as the system names him: `uid 1000`.
    pub by: String,
    /// Why, in his words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a policy that is tried would have answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowDiffered {
    /// The decision of the policy in force.
    pub decision: DecisionId,
    /// The investigation, where the question named one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub investigation: String,
    /// What was judged: a tool, or `risk`.
    pub about: String,
    /// Verdict or level of the policy in force.
    pub active: String,
    /// Verdict or level of the one that is tried.
    pub shadow: String,
    /// The one that is tried.
    pub policy: PolicyRef,
    /// It would have been less strict.
    pub widens: bool,
    /// Rules that spoke only there.
    pub gained: Vec<String>,
    /// Rules that spoke only in the policy in force.
    pub lost: Vec<String>,
}

/// One alert of a body could not be mapped; it is kept with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The sender.
    pub source: String,
    /// Why.
    pub reason: String,
    /// The alert, redacted.
    pub payload: BlobRef,
}

/// What could not be read was read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Under which id it was kept.
    pub letter: EventId,
    /// The sender.
    pub source: String,
    /// Who asked for it.
    pub by: String,
    /// Alerts that it gave, by what became of them.
    pub outcomes: BTreeMap<String, usize>,
    /// The alerts, the first hundred.
    pub events: Vec<EventId>,
}
