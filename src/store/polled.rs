//! What pollers were told: by it a restarted server knows which alerts may be over.

use super::StoreError;
use crate::domain::{Digest, SreEvent};
use async_trait::async_trait;
use jiff::Timestamp;

/// An alert that a poller was told, and how it stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// Its delivery key.
    pub delivery: Digest,
    /// What was asked, and whom.
    pub question: Digest,
    /// Since when the Alertmanager that told ran, where it said so.
    pub server: Option<Timestamp>,
    /// The store has it, firing or over.
    pub is_kept: bool,
    /// All of it, where it still fires.
    pub firing: Option<SreEvent>,
    /// It is over because a poll did not tell of it any more; its sender never said so.
    pub ended_by_poll: bool,
    /// Another poller tells it, too.
    pub told_to_others: bool,
}

/// What changes with one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// Whose they are.
    pub poller: String,
    /// What was asked, and whom.
    pub question: Digest,
    /// Since when the Alertmanager that told runs, where it says so.
    pub server: Option<Timestamp>,
    /// Alerts that it told, by their delivery keys.
    pub told: Vec<Digest>,
    /// Alerts that are over or asked for no more.
    pub forget: Vec<Digest>,
}

/// What pollers were told.
#[async_trait]
pub trait Polls: Send + Sync {
    /// All that `poller` was told and that was not forgotten.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn noted(&self, poller: &str) -> Result<Vec<Noted>, StoreError>;

    /// Notes what was told, and forgets.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn note(&self, notes: Notes) -> Result<(), StoreError>;

    /// Forgets what every poller but these was told.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn keep_pollers(&self, names: Vec<String>) -> Result<(), StoreError>;
}
