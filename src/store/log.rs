//! The log over all chains, its checkpoints, and what retention deletes.

use super::StoreError;
use crate::domain::Digest;
use crate::journal::{Deleted, Retained};
use async_trait::async_trait;
use jiff::Timestamp;

/// A line of the log: the place of an entry among those of all chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// From 1, dense.
    pub position: u64,
    /// The entry's chain.
    pub chain: String,
    /// The entry's number in it.
    pub seq: u64,
    /// The hash that the entry carries; `None` when there is no such entry.
    pub hash: Option<Digest>,
}

/// A checkpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// Lines of the log that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// What is needed to go on from there.
    pub frontier: Vec<u8>,
}

/// A chain whose payloads are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The chain.
    pub chain: String,
    /// Its entries up to this one are done.
    pub done: u64,
    /// Its entries up to this one are due.
    pub until: u64,
}

/// The log.
#[async_trait]
pub trait Log: Send + Sync {
    /// Lines of the log after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError>;

    /// The last lines of the log before `before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn log_before(&self, before: u64, limit: u32) -> Result<Vec<Logged>, StoreError>;

    /// Checkpoints that cover more than `after` lines, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError>;

    /// The last checkpoint.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn last_checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError>;

    /// Keeps a checkpoint behind those that are there.
    ///
    /// # Errors
    /// When the store cannot commit, or one that covers as much is there.
    async fn keep_checkpoint(&self, checkpoint: KeptCheckpoint) -> Result<(), StoreError>;

    /// Chains with payloads of `kind` that are due: investigations that were closed before
    /// `ended_before` and are not open again.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn due(&self, kind: Retained, ended_before: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError>;

    /// How far payloads of `kind` of `chain` were deleted.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn retired(&self, kind: Retained, chain: &str) -> Result<u64, StoreError>;

    /// Deletes payloads with their salts and declares it in the system chain, in one transaction. The
    /// chain's entries up to `until` are done then. Nothing happens to an investigation that was opened
    /// again since.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn retire(&self, deleted: Deleted, until: u64, now: Timestamp) -> Result<(), StoreError>;

    /// Entries whose JSON has `text` in it, oldest first by chain, at most `limit`. Reads everything.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn mentions(&self, text: &str, limit: u32) -> Result<Vec<(String, u64)>, StoreError>;
}
