//! What could not be read: kept once, to be read again when somebody has mended the mapping.

use crate::domain::{Digest, EventId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// A body in which nothing was recognised.
    Body,
    /// One alert of a body whose others went on.
    Alert,
}

impl LetterKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Alert => "alert",
        }
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id, should it be the first of its digest.
    pub id: EventId,
    /// Digest of what came, by which it is kept once.
    pub digest: Digest,
    /// What it is.
    pub kind: LetterKind,
    /// Who sent it, or the name under which it came.
    pub source: String,
    /// Why it could not be read.
    pub reason: String,
    /// It, redacted; at most 64 KiB.
    pub body: String,
    /// When it came first.
    pub received_at: Timestamp,
    /// How often it came.
    pub times: u64,
    /// What became of it when it was read again.
    pub replayed: Option<Value>,
}

/// Which of them are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Source, exactly.
    pub source: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Rows older than the one that this cursor names.
    pub cursor: Option<String>,
    /// At most this many rows.
    pub limit: u32,
}
