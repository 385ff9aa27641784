//! What an investigation was given when it opened.

use crate::domain::{Budget, Chosen, Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an investigation may use; a later change of the configuration does not touch it. Policy and
/// credentials are the exception: they always apply as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// The route's name.
    pub route: String,
    /// The prompt, `incident` for `prompts/incident.md.j2`.
    pub prompt: String,
    /// Tools by name or tag; empty means all.
    pub tools: Vec<String>,
    /// The configured model's name; `None` works without one.
    pub model: Option<String>,
    /// Models that are asked when that one fails, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// Tokens that the smallest context among these models holds: what entries from before there was
    /// `windows` say instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Tokens that the context of each model holds which may answer, where it was known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: BTreeMap<String, u64>,
    /// What may be spent.
    pub budget: Budget,
    /// Where pull requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls: Option<PullPlace>,
    /// Who proposes changes where no model does.
    #[serde(default, skip_serializing_if = "Chosen::is_default")]
    pub playbook: Chosen,
    /// Digest of all prompts.
    pub prompts_digest: Digest,
    /// Digest of all tools.
    pub tools_digest: Digest,
}

/// Where a route's pull requests go, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullPlace {
    /// `owner/name`.
    pub repo: String,
    /// The branch that they go into; `None` is the repository's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The name of the branch that they come from, as a template; `None` is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Only files that match one of these; empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Frozen {
    /// Tokens that the context of `model` holds, where it was known.
    pub fn window(&self, model: &str) -> Option<u64> {
        self.windows.get(model).copied().or(self.context_tokens)
    }
}
