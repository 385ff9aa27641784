//! Where the journal is read from to verify it: a store, or an export.

use crate::domain::BlobRef;
use crate::journal::{Entry, Head};
use crate::store::{KeptCheckpoint, Logged, Store, StoreError};
use async_trait::async_trait;

/// What is read to verify; nothing is changed.
#[async_trait]
pub trait Ledger: Sync {
    /// Names and heads of the chains after `after`.
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError>;
    /// Entries of `chain` after `after`.
    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// The payload, if it is still there.
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError>;
    /// Lines that the log has now.
    async fn length(&self) -> Result<u64, StoreError>;
    /// Lines of the log after `after`.
    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError>;
    /// Checkpoints of more than `after` lines.
    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError>;
    /// Somebody may append while it is read.
    fn is_live(&self) -> bool;
    /// What is there and belongs to nothing that was read. Where it was read in part, only what is neither a
    /// chain nor a payload.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn strays(&self, _in_part: bool) -> Result<Vec<String>, StoreError> {
        Ok(vec![])
    }
}

/// A store is a ledger.
#[derive(Debug)]
pub struct OfStore<'a>(pub &'a dyn Store);

#[async_trait]
impl Ledger for OfStore<'_> {
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        crate::store::StoreReader::chains(self.0, after, limit).await
    }

    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        crate::store::Journal::entries(self.0, chain, after, limit).await
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        crate::store::Blobs::blob(self.0, reference).await
    }

    async fn length(&self) -> Result<u64, StoreError> {
        let last = crate::store::Log::log_before(self.0, i64::MAX.unsigned_abs(), 1).await?;
        Ok(last.first().map_or(0, |line| line.position))
    }

    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        crate::store::Log::log(self.0, after, limit).await
    }

    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError> {
        crate::store::Log::checkpoints(self.0, after, limit).await
    }

    fn is_live(&self) -> bool {
        true
    }
}
