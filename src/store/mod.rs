//! L2: what survives a crash. Seven small traits, one implementation in [`sqlite`].
//!
//! Rules that every implementation keeps:
//! - what a call has answered is on disk (`synchronous=FULL`); what it has not answered may be;
//! - an investigation's chain is appended to only by the holder of its lease, and only behind the
//!   head that the holder knows (compare-and-append), so a stalled process is stopped *before* it
//!   can start anything;
//! - entries, the payloads that they commit to and the row that lists read change in one
//!   transaction.

mod arrival;
pub(crate) mod deeds;
mod lease;
mod letters;
mod list;
mod log;
pub(crate) mod past;
mod polled;
mod signal;
pub mod sqlite;
mod storm;
mod usage;

pub use arrival::{Admitted, Arrival, Fate, Kin};
pub use deeds::{BegunDeed, DeedCounts};
pub use lease::{LONGEST_PARK, Lease, RoutePlaces};
pub use letters::{DeadLetter, LetterFilter, LetterKind};
pub use list::{ApprovalFilter, EventFilter, InvestigationFilter, Page};
pub use log::{Due, KeptCheckpoint, Log, Logged};
pub use past::{Fared, Past};
pub use polled::{Noted, Notes, Polls};
pub use signal::{Signal, Waiting};
pub use storm::StormCap;
pub use usage::{Figures, OpenRequest, Usage, UsageFilter, UsageRow, day_of};

use crate::domain::{
    ActionId, AlertStatus, ApprovalId, ApprovalState, BlobRef, EventId, InvestigationId, SreEvent, Target,
};
use crate::journal::{ApprovalView, Body, Draft, Entry, Head, View};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What a store says when it cannot.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer or cannot write; another attempt may help.
    #[error("the store cannot {doing}: {source}. Check disk space and permissions of {place}.")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Where.
        place: String,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else works with this database.
    #[error("{place} is in use by another firewarden ({holder}). Stop it, or give this one another `store.url`.")]
    Locked {
        /// The database.
        place: String,
        /// Who holds it: the address of its server, if it has one.
        holder: String,
    },
    /// The lease is lost or the head has moved: whoever asks must stop and load again.
    #[error("{chain}: {why}; this worker stops here and the investigation goes on elsewhere")]
    Fenced {
        /// The chain.
        chain: String,
        /// What has moved.
        why: String,
    },
    /// What is stored makes no sense.
    #[error("{what} in {place} is damaged: {why}. Restore a backup, or run `firewarden audit verify` for the extent.")]
    Corrupt {
        /// What was read.
        what: String,
        /// Where.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The database was written by a newer program, or cannot be used by this one.
    #[error("{place} cannot be used: {why}")]
    Unusable {
        /// The database.
        place: String,
        /// What to do.
        why: String,
    },
}

impl StoreError {
    /// Another attempt may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A payload with its salt, to be stored with the entry that commits to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The commitment.
    pub reference: BlobRef,
    /// The salt.
    pub salt: [u8; 16],
    /// The payload.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Commits to `bytes`.
    pub fn new(salt: [u8; 16], bytes: Vec<u8>) -> Self {
        Self { reference: BlobRef::commit(&salt, &bytes), salt, bytes }
    }
}

/// Everything that changes with one append.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Sealed entries, in order.
    pub entries: Vec<Entry>,
    /// The payloads that they commit to.
    pub blobs: Vec<Blob>,
    /// Signals that became entries.
    pub consumed: Vec<i64>,
    /// The investigation as lists show it from now on.
    pub view: Option<View>,
    /// Questions that are new or not what they were.
    pub approvals: Vec<ApprovalView>,
    /// Changes that were begun or ended.
    pub deeds: Vec<BegunDeed>,
}

/// The chains.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Takes all alerts of one body, or none: what would open more investigations than `cap` allows joins the
    /// one of the storm. Answers in the same order, once they are on disk.
    ///
    /// # Errors
    /// When the store cannot commit; then nothing was taken.
    async fn admit(
        &self,
        arrivals: Vec<Arrival>,
        cap: Option<StormCap>,
        now: Timestamp,
    ) -> Result<Vec<Admitted>, StoreError>;

    /// Takes the next investigation that has work: never begun, with signals, or whose lease or time
    /// of waiting ran out. What was begun comes first, then the most dangerous, by its risk, before that
    /// is known by the severity that opened it; of those the one that waits longest. What waits for ten
    /// minutes more goes before what is one level above it.
    ///
    /// Where a route has as many leases as `places` permits, what stands in line for it is passed over;
    /// what nobody has looked at yet is taken all the same, without a place.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn claim_within(
        &self,
        places: &RoutePlaces,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>, StoreError>;

    /// The same where every route has room for all.
    ///
    /// # Errors
    /// As [`Journal::claim_within`].
    async fn claim(&self, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.claim_within(&RoutePlaces::new(), owner, now, until).await
    }

    /// Lets go of it: it was looked at and goes on when its route has a place; it is looked at again when something
    /// arrives, and at `look_at`, which lies no further ahead than [`LONGEST_PARK`]: what does tells of a clock that
    /// went back, and is looked at.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it.
    async fn line_up(&self, lease: &Lease, look_at: Option<Timestamp>) -> Result<(), StoreError>;

    /// Holds on to it until `until`.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError>;

    /// Lets go of it: nothing is to be done until a signal arrives.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Lets go of it at `now`: nothing is to be done until `until` or until a signal arrives, whichever
    /// comes first. It may be claimed earlier: after [`LONGEST_PARK`], and when the clock goes back.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it.
    async fn park(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<(), StoreError>;

    /// Gives up an investigation that cannot be continued: closed as failed in the lists, with an
    /// entry in the system chain. Later alerts of its key open a new one.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it.
    async fn abandon(&self, lease: &Lease, reason: String, now: Timestamp) -> Result<(), StoreError>;

    /// Appends behind `head`. Answers whether signals wait that were not consumed, so that nobody
    /// has to ask for them while work goes on.
    ///
    /// # Errors
    /// `Fenced` when the lease is lost or the head has moved; nothing was written then.
    async fn append(&self, lease: &Lease, head: &Head, append: Append) -> Result<bool, StoreError>;

    /// Appends to the `system` chain.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn append_system(&self, drafts: Vec<Draft>, blobs: Vec<Blob>, now: Timestamp) -> Result<(), StoreError>;

    /// The entries of a chain after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store does not answer or what it holds makes no sense.
    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;

    /// Signals that wait, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn signals(&self, investigation: InvestigationId) -> Result<Vec<Waiting>, StoreError>;

    /// Leaves a signal. Answers `false` when there is no such investigation.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn signal(
        &self,
        investigation: InvestigationId,
        from: &str,
        signal: Signal,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Hears of each committed append and admission: the chain's name and its new length. Misses
    /// nothing that a reader cannot read again from the store.
    fn watch(&self) -> tokio::sync::broadcast::Receiver<(String, u64)>;

    /// Woken whenever there may be work to claim.
    fn work(&self) -> &tokio::sync::Notify;
}

/// Payloads.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// The payload, or `None` when it was deleted.
    ///
    /// # Errors
    /// When the store does not answer, or the payload is not what was committed to.
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError>;

    /// The same with its salt, for whoever checks the commitment himself.
    ///
    /// # Errors
    /// As [`Blobs::blob`].
    async fn opening(&self, reference: &BlobRef) -> Result<Option<([u8; 16], Vec<u8>)>, StoreError>;
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The alert, with its status as it is now.
    pub event: SreEvent,
    /// What became of it.
    pub fate: Fate,
    /// The investigation, if it belongs to one.
    pub investigation: Option<InvestigationId>,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// Alerts.
#[async_trait]
pub trait Events: Send + Sync {
    /// One alert.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// These alerts as they are now, in the order of `ids`; those that are not known are left out.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn alerts(&self, ids: &[EventId]) -> Result<Vec<SreEvent>, StoreError>;

    /// A page of alerts.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn events(&self, filter: &EventFilter) -> Result<Page<StoredEvent>, StoreError>;

    /// Keeps what could not be read, each once. Answers under which ids, in the same order.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn keep_letters(&self, letters: Vec<DeadLetter>) -> Result<Vec<EventId>, StoreError>;

    /// One of those.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn letter(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError>;

    /// A page of those.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn letters(&self, filter: &LetterFilter) -> Result<Page<DeadLetter>, StoreError>;

    /// Notes what became of one when it was read again.
    ///
    /// # Errors
    /// When the store cannot commit.
    async fn letter_replayed(&self, id: EventId, became: serde_json::Value) -> Result<(), StoreError>;
}

/// How much there is, for metrics and health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Alerts kept.
    pub events: u64,
    /// Investigations.
    pub investigations: u64,
    /// Of those, not closed.
    pub open: u64,
    /// Signals that wait.
    pub signals: u64,
}

/// What readers may see; nothing here changes anything.
#[async_trait]
pub trait StoreReader: Send + Sync {
    /// One investigation.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn investigation(&self, id: InvestigationId) -> Result<Option<View>, StoreError>;

    /// A page of investigations.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn investigations(&self, filter: &InvestigationFilter) -> Result<Page<View>, StoreError>;

    /// One question to people.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalView>, StoreError>;

    /// A page of questions.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Page<ApprovalView>, StoreError>;

    /// The questions of one investigation that nobody has decided, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn pending_of(&self, investigation: InvestigationId) -> Result<Vec<ApprovalView>, StoreError> {
        let filter = ApprovalFilter { state: Some(ApprovalState::Pending), ..ApprovalFilter::of(investigation) };
        Ok(self.approvals(&filter).await?.items)
    }

    /// What was done before with `tool`, to `target` and around it, the change `but` left out.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn deeds_before(
        &self,
        but: ActionId,
        tool: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<DeedCounts, StoreError>;

    /// What happened before to `thing` ([`SreEvent::thing`]); going down counts within `window`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn past_of(&self, thing: &str, window: SignedDuration, now: Timestamp) -> Result<Past, StoreError>;

    /// How changes fared against alerts of this name.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn fared(&self, alert: &str, now: Timestamp) -> Result<Fared, StoreError>;

    /// The names of all chains, `system` included, after `after` in order.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError>;

    /// How much there is.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// What was spent, by day, route and model. It changes in the transaction that writes the entries
    /// that tell of it.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn usage(&self, filter: &UsageFilter) -> Result<Usage, StoreError>;

    /// Investigations that began on each route since there is this store.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn begun(&self) -> Result<std::collections::BTreeMap<String, u64>, StoreError>;

    /// Whether a commit goes through right now.
    ///
    /// # Errors
    /// When it does not.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// A whole store.
pub trait Store: Journal + Blobs + Events + Polls + StoreReader + Log + std::fmt::Debug {}
impl<T: Journal + Blobs + Events + Polls + StoreReader + Log + std::fmt::Debug> Store for T {}

impl StoredEvent {
    /// Whether somebody has looked at it: pending until its investigation has judged the risk.
    pub fn is_open(&self) -> bool {
        self.event.status == AlertStatus::Firing
    }
}

/// The first entry of a chain that `arrival` opens.
pub(crate) fn opening_draft(arrival: &Arrival) -> Draft {
    Draft::new(
        crate::journal::Actor::Sender(arrival.event.source.clone()),
        Body::EventReceived {
            event: Box::new(arrival.event.clone()),
            correlation_key: arrival.correlation_key.clone(),
            incident_key: arrival.incident_key.clone(),
            route: arrival.route.clone(),
        },
    )
}
