//! Checkpoints: every few seconds or few hundred entries, what the log has become is signed. Nobody who
//! appends waits for it.

use crate::audit::{Checkpoint, Frontier, Hash, Signer, VerifierKey, leaf_text, merkle};
use crate::domain::Clock;
use crate::journal::{Body, chain::SYSTEM};
use crate::store::{KeptCheckpoint, Store, StoreError};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, broadcast, watch};

/// Entries after which a checkpoint does not wait for its time.
const ENTRIES: u64 = 256;
/// Longest log of which a proof is made on demand: 32 bytes a line.
pub const MAX_PROOF: u64 = 4_000_000;
/// Lines that are read at once.
const PAGE: u32 = 1_000;

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointsError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The last checkpoint is none of ours, or not what it was.
    #[error(
        "the last checkpoint, of {size} entries, cannot be continued: {why}. Put back the key that signed it; \
         `firewarden audit verify` tells the extent."
    )]
    Foreign {
        /// Entries that it covers.
        size: u64,
        /// What is wrong.
        why: String,
    },
    /// The log has a hole.
    #[error("the log does not hold at line {position}: {why}. Run `firewarden audit verify`.")]
    Hole {
        /// The line.
        position: u64,
        /// What is wrong.
        why: String,
    },
}

/// Makes checkpoints of one store.
#[derive(Debug)]
pub struct Checkpoints {
    store: Arc<dyn Store>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    /// The last checkpoint of the key before, in one line, as it was noted when that handed on.
    before: Option<String>,
    /// As far as the log is signed, once that is known.
    signed: Mutex<Option<Frontier>>,
}

impl Checkpoints {
    /// Those of `store`, signed by `signer`.
    pub fn new(store: Arc<dyn Store>, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { store, signer, clock, before: None, signed: Mutex::new(None) }
    }

    /// They go on behind this checkpoint of the key before, and behind no other: what that key signs is worth
    /// nothing once it handed on.
    #[must_use]
    pub fn behind(self, before: Option<String>) -> Self {
        Self { before, ..self }
    }

    /// What knows their signatures.
    pub fn key(&self) -> &VerifierKey {
        self.signer.key()
    }

    /// Whether the log can be gone on with: what was signed last is this key's, or handed on to it.
    ///
    /// # Errors
    /// When it is not, or the store does not answer.
    pub async fn are_ours(&self) -> Result<(), CheckpointsError> {
        self.last().await.map(|_| ())
    }

    /// Signs what the log has become. `None` when it is signed already.
    ///
    /// # Errors
    /// When the store does not answer, or what was signed before is not the beginning of it. Then nothing
    /// is signed.
    pub async fn make(&self) -> Result<Option<Checkpoint>, CheckpointsError> {
        let mut signed = self.signed.lock().await;
        let from = match signed.take() {
            Some(frontier) => frontier,
            None => self.last().await?,
        };
        let mut frontier = from.clone();
        loop {
            let page = self.store.log(frontier.size(), PAGE).await?;
            for line in &page {
                let position = frontier.size() + 1;
                let hole = |why: &str| CheckpointsError::Hole { position, why: why.into() };
                if line.position != position {
                    return Err(hole("it is missing"));
                }
                let hash = line.hash.as_ref().ok_or_else(|| hole("its entry is missing"))?;
                frontier.push(merkle::leaf(leaf_text(&line.chain, line.seq, hash).as_bytes()));
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        if frontier.size() == from.size() {
            *signed = Some(from);
            return Ok(None);
        }
        let now = self.clock.now();
        let checkpoint = Checkpoint {
            origin: self.key().name().to_owned(),
            size: frontier.size(),
            root: frontier.root(),
            at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            after: from.size(),
        };
        let note = self.signer.sign(&checkpoint.text());
        let kept = KeptCheckpoint { size: frontier.size(), note, frontier: frontier.to_bytes() };
        self.store.keep_checkpoint(kept).await?;
        *signed = Some(frontier);
        Ok(Some(checkpoint))
    }

    /// Where the last checkpoint ends. Its signature vouches for the root, and the root for the rest.
    async fn last(&self) -> Result<Frontier, CheckpointsError> {
        let Some(kept) = self.store.last_checkpoint().await? else { return Ok(Frontier::default()) };
        let foreign = |why: String| CheckpointsError::Foreign { size: kept.size, why };
        let checkpoint = match Checkpoint::open(&kept.note, self.key()) {
            Ok(checkpoint) => checkpoint,
            Err(error) => self.handed_on(&kept).await?.ok_or_else(|| foreign(error.to_string()))?,
        };
        let frontier = Frontier::from_bytes(&kept.frontier);
        frontier
            .filter(|frontier| frontier.root() == checkpoint.root && frontier.size() == checkpoint.size)
            .ok_or_else(|| foreign("what stands beside it does not give the root that was signed".into()))
    }

    /// The last checkpoint of the key before this one: its last line hands the log on.
    async fn handed_on(&self, kept: &KeptCheckpoint) -> Result<Option<Checkpoint>, StoreError> {
        let line = self.store.log(kept.size.saturating_sub(1), 1).await?.pop();
        let Some(line) = line.filter(|line| line.position == kept.size && line.chain == SYSTEM) else {
            return Ok(None);
        };
        let entry = self.store.entries(SYSTEM, line.seq.saturating_sub(1), 1).await?.pop();
        let Some(Body::KeyRotated(rotated)) = entry.map(|entry| entry.body) else { return Ok(None) };
        let before = rotated.before.parse::<VerifierKey>().ok().filter(|_| rotated.key == self.key().to_string());
        let last = before.and_then(|before| Checkpoint::open(&kept.note, &before).ok());
        Ok(last.filter(|last| self.before.as_ref() == Some(&last.line())))
    }

    /// Makes them every `every`, and sooner when much is appended, until `stop` says so. A failure is
    /// told once, and tried again.
    pub async fn run(&self, every: Duration, mut stop: watch::Receiver<bool>) {
        let mut news = self.store.watch();
        let mut failing = false;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = due(&mut news, every) => {}
            }
            match self.make().await {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "no checkpoint could be made");
                }
                Err(error) => tracing::debug!(%error, "still no checkpoint"),
            }
        }
    }
}

/// The hashes of the first `size` leaves of the log.
///
/// # Errors
/// When the store does not answer, or the log has a hole.
pub async fn leaves(store: &dyn Store, size: u64) -> Result<Vec<Hash>, StoreError> {
    let mut leaves: Vec<Hash> = vec![];
    while (leaves.len() as u64) < size {
        let after = leaves.len() as u64;
        let limit = u32::try_from(size - after).unwrap_or(PAGE).min(PAGE);
        let page = store.log(after, limit).await?;
        for line in &page {
            let hash = line.hash.as_ref().filter(|_| line.position == leaves.len() as u64 + 1);
            let hash = hash.ok_or_else(|| hole(line.position))?;
            leaves.push(merkle::leaf(leaf_text(&line.chain, line.seq, hash).as_bytes()));
        }
        if page.is_empty() {
            return Err(hole(after + 1));
        }
    }
    Ok(leaves)
}

/// A line of the log that is not there.
pub fn hole(position: u64) -> StoreError {
    let why = "it is missing".to_owned();
    StoreError::Corrupt { what: format!("line {position} of the log"), place: "the store".into(), why }
}

/// Ends after `every`, or when much was appended.
async fn due(news: &mut broadcast::Receiver<(String, u64)>, every: Duration) {
    let much = async {
        let (mut heard, mut known) = (0, HashMap::new());
        while heard < ENTRIES {
            match news.recv().await {
                // Of a chain that is heard of for the first time, one entry is counted.
                Ok((chain, seq)) => heard += known.insert(chain, seq).map_or(1, |before| seq.saturating_sub(before)),
                Err(broadcast::error::RecvError::Lagged(missed)) => heard += missed,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    let _ = tokio::time::timeout(every, much).await;
}
