//! Checkpoints: every few seconds or few hundred entries, what the log has become is signed. Nobody who
//! appends waits for it.

use crate::audit::{Checkpoint, Frontier, Signer, VerifierKey, leaf_text, merkle};
use crate::domain::Clock;
use crate::store::{KeptCheckpoint, Store, StoreError};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, broadcast, watch};

/// Entries after which a checkpoint does not wait for its time.
const ENTRIES: u64 = 256;
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
    /// As far as the log is signed, once that is known.
    signed: Mutex<Option<Frontier>>,
}

impl Checkpoints {
    /// Those of `store`, signed by `signer`.
    pub fn new(store: Arc<dyn Store>, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { store, signer, clock, signed: Mutex::new(None) }
    }

    /// What knows their signatures.
    pub fn key(&self) -> &VerifierKey {
        self.signer.key()
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
        let checkpoint = Checkpoint::open(&kept.note, self.key()).map_err(|error| foreign(error.to_string()))?;
        let frontier = Frontier::from_bytes(&kept.frontier);
        frontier
            .filter(|frontier| frontier.root() == checkpoint.root && frontier.size() == checkpoint.size)
            .ok_or_else(|| foreign("what stands beside it does not give the root that was signed".into()))
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
