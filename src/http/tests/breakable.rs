//! A SQLite store whose commits can be made to fail.

use crate::domain::{ActionId, ApprovalId, BlobRef, EventId, InvestigationId, SreEvent, Target};
use crate::journal::{ApprovalView, Deleted, Draft, Entry, Head, Retained, View};
use crate::store::sqlite::SqliteStore;
use crate::store::*;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store whose commits fail while `broken`, and that remembers dead letters.
#[derive(Debug)]
pub(super) struct Breakable {
    inner: SqliteStore,
    pub(super) broken: AtomicBool,
    pub(super) letters: Mutex<Vec<DeadLetter>>,
}

impl Breakable {
    pub(super) fn over(inner: SqliteStore) -> Self {
        Self { inner, broken: AtomicBool::new(false), letters: Mutex::default() }
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.broken.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(StoreError::Unavailable {
                doing: "commit",
                place: "/secret/place/x.db".into(),
                source: "disk full".into(),
            }),
        }
    }
}

#[async_trait]
impl Journal for Breakable {
    async fn admit(
        &self,
        arrivals: Vec<Arrival>,
        cap: Option<StormCap>,
        now: Timestamp,
    ) -> Result<Vec<Admitted>, StoreError> {
        self.check()?;
        self.inner.admit(arrivals, cap, now).await
    }
    async fn claim_within(
        &self,
        places: &RoutePlaces,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        self.inner.claim_within(places, owner, now, until).await
    }
    async fn line_up(&self, lease: &Lease, look_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.inner.line_up(lease, look_at).await
    }
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError> {
        self.inner.renew(lease, until).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release(lease).await
    }

    async fn park(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
        self.inner.park(lease, now, until).await
    }

    async fn abandon(&self, lease: &Lease, reason: String, now: Timestamp) -> Result<(), StoreError> {
        self.inner.abandon(lease, reason, now).await
    }
    async fn append(&self, lease: &Lease, head: &Head, append: Append) -> Result<bool, StoreError> {
        self.inner.append(lease, head, append).await
    }
    async fn append_system(&self, drafts: Vec<Draft>, blobs: Vec<Blob>, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        self.inner.append_system(drafts, blobs, now).await
    }
    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries(chain, after, limit).await
    }
    async fn signals(&self, investigation: InvestigationId) -> Result<Vec<Waiting>, StoreError> {
        self.inner.signals(investigation).await
    }
    async fn signal(&self, id: InvestigationId, from: &str, s: Signal, now: Timestamp) -> Result<bool, StoreError> {
        self.check()?;
        self.inner.signal(id, from, s, now).await
    }
    fn watch(&self) -> tokio::sync::broadcast::Receiver<(String, u64)> {
        self.inner.watch()
    }
    fn work(&self) -> &tokio::sync::Notify {
        self.inner.work()
    }
}

#[async_trait]
impl Log for Breakable {
    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        self.inner.log(after, limit).await
    }
    async fn log_before(&self, before: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        self.inner.log_before(before, limit).await
    }
    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError> {
        self.inner.checkpoints(after, limit).await
    }
    async fn last_checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        self.inner.last_checkpoint().await
    }
    async fn keep_checkpoint(&self, checkpoint: KeptCheckpoint) -> Result<(), StoreError> {
        self.check()?;
        self.inner.keep_checkpoint(checkpoint).await
    }
    async fn due(&self, kind: Retained, ended_before: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        self.inner.due(kind, ended_before, limit).await
    }
    async fn retired(&self, kind: Retained, chain: &str) -> Result<u64, StoreError> {
        self.inner.retired(kind, chain).await
    }
    async fn retire(&self, deleted: Deleted, until: u64, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        self.inner.retire(deleted, until, now).await
    }
    async fn mentions(&self, text: &str, limit: u32) -> Result<Vec<(String, u64)>, StoreError> {
        self.inner.mentions(text, limit).await
    }
}

#[async_trait]
impl Blobs for Breakable {
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.blob(reference).await
    }
    async fn opening(&self, reference: &BlobRef) -> Result<Option<([u8; 16], Vec<u8>)>, StoreError> {
        self.inner.opening(reference).await
    }
}

#[async_trait]
impl Events for Breakable {
    async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, StoreError> {
        self.inner.event(id).await
    }
    async fn alerts(&self, ids: &[EventId]) -> Result<Vec<SreEvent>, StoreError> {
        self.inner.alerts(ids).await
    }
    async fn events(&self, filter: &EventFilter) -> Result<Page<StoredEvent>, StoreError> {
        self.inner.events(filter).await
    }
    async fn keep_letters(&self, letters: Vec<DeadLetter>) -> Result<Vec<EventId>, StoreError> {
        self.check()?;
        self.letters.lock().unwrap().extend(letters.iter().cloned());
        self.inner.keep_letters(letters).await
    }
    async fn letter(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        self.inner.letter(id).await
    }
    async fn letters(&self, filter: &LetterFilter) -> Result<Page<DeadLetter>, StoreError> {
        self.inner.letters(filter).await
    }
    async fn letter_replayed(&self, id: EventId, became: Value) -> Result<(), StoreError> {
        self.check()?;
        self.inner.letter_replayed(id, became).await
    }
}

#[async_trait]
impl Polls for Breakable {
    async fn noted(&self, poller: &str) -> Result<Vec<Noted>, StoreError> {
        self.inner.noted(poller).await
    }
    async fn note(&self, notes: Notes) -> Result<(), StoreError> {
        self.check()?;
        self.inner.note(notes).await
    }
    async fn keep_pollers(&self, names: Vec<String>) -> Result<(), StoreError> {
        self.check()?;
        self.inner.keep_pollers(names).await
    }
}

#[async_trait]
impl StoreReader for Breakable {
    async fn investigation(&self, id: InvestigationId) -> Result<Option<View>, StoreError> {
        self.inner.investigation(id).await
    }
    async fn investigations(&self, filter: &InvestigationFilter) -> Result<Page<View>, StoreError> {
        self.inner.investigations(filter).await
    }
    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalView>, StoreError> {
        self.inner.approval(id).await
    }
    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Page<ApprovalView>, StoreError> {
        self.inner.approvals(filter).await
    }
    async fn deeds_before(
        &self,
        but: ActionId,
        tool: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<DeedCounts, StoreError> {
        self.inner.deeds_before(but, tool, target, now).await
    }
    async fn past_of(&self, thing: &str, window: SignedDuration, now: Timestamp) -> Result<Past, StoreError> {
        self.inner.past_of(thing, window, now).await
    }
    async fn fared(&self, alert: &str, now: Timestamp) -> Result<Fared, StoreError> {
        self.inner.fared(alert, now).await
    }
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        self.inner.chains(after, limit).await
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        self.inner.counts().await
    }
    async fn begun(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.inner.begun().await
    }
    async fn usage(&self, filter: &UsageFilter) -> Result<Usage, StoreError> {
        self.inner.usage(filter).await
    }
    async fn ready(&self) -> Result<(), StoreError> {
        self.check()?;
        self.inner.ready().await
    }
}
