//! What belongs to no investigation.

use super::kinds::Retained;
use crate::domain::{BlobRef, Digest, PolicyRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// With what a process began to work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
