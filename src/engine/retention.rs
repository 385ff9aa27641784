//! Retention: payloads whose time is over are deleted with their salts, and an entry says so. The chains
//! stay, and verify.

use crate::domain::{Clock, Digest};
use crate::journal::chain::SYSTEM;
use crate::journal::{Deleted, Retained};
use crate::store::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often is looked for what is due.
const EVERY: Duration = Duration::from_secs(3_600);
/// Entries that are read at once.
const PAGE: u32 = 500;
/// Chains of one look at the lists.
const CHAINS: u32 = 200;
/// Payloads that one entry declares.
const DECLARED: usize = 256;

/// How long payloads are kept once their investigation is closed; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Alerts as received, observations, inputs of decisions, reports.
    pub payloads: Option<Duration>,
    /// What models were told and answered.
    pub transcripts: Option<Duration>,
}

impl Retention {
    fn of(&self, kind: Retained) -> Option<Duration> {
        match kind {
            Retained::Payloads => self.payloads,
            Retained::Transcripts => self.transcripts,
        }
    }
}

/// Deletes what is due, now and every hour, until `stop` says so.
pub async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, retention: Retention, mut stop: watch::Receiver<bool>) {
    loop {
        match delete_due(store.as_ref(), retention, clock.now()).await {
            Ok(0) => {}
            Ok(payloads) => tracing::info!(payloads, "payloads were deleted: their time was over"),
            Err(error) => tracing::error!(%error, "what is due cannot be deleted; it is tried again in an hour"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Deletes what is due at `now`. Answers how many payloads that were.
///
/// # Errors
/// When the store does not answer; what was deleted until then is declared.
pub async fn delete_due(store: &dyn Store, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
    let mut total = 0;
    for kind in Retained::ALL {
        let Some(ended_before) = retention.of(kind).and_then(|kept| before(now, kept)) else { continue };
        let mut last = None;
        loop {
            let due = store.due(kind, ended_before, CHAINS).await?;
            // One that was opened again meanwhile stays in the list and is not waited for.
            if due.is_empty() || last.as_ref() == Some(&due) {
                break;
            }
            for chain in &due {
                let bounds = (chain.done, chain.until);
                total += delete(store, &chain.chain, kind, bounds, ended_before, now).await?;
            }
            last = Some(due);
        }
        let done = store.retired(kind, SYSTEM).await?;
        total += delete(store, SYSTEM, kind, (done, u64::MAX), ended_before, now).await?;
    }
    Ok(total)
}

fn before(now: Timestamp, kept: Duration) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from(kept).ok()?).ok()
}

/// Deletes the payloads of one chain between two of its entries, a bounded number with each declaration.
async fn delete(
    store: &dyn Store,
    chain: &str,
    kind: Retained,
    (done, until): (u64, u64),
    ended_before: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (mut after, mut total) = (done, 0);
    let mut commitments: Vec<Digest> = vec![];
    let declared = |commitments| Deleted { chain: chain.to_owned(), kind, ended_before, commitments };
    'chain: loop {
        let page = store.entries(chain, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for entry in page {
            // An investigation ended as a whole; of the system chain each entry has its own age.
            if entry.seq > until || chain == SYSTEM && entry.at >= ended_before {
                break 'chain;
            }
            if entry.body.retained() == Some(kind) {
                commitments.extend(entry.body.payloads().into_iter().map(|payload| payload.commitment.clone()));
            }
            after = entry.seq;
            if commitments.len() >= DECLARED {
                total += commitments.len() as u64;
                store.retire(declared(std::mem::take(&mut commitments)), after, now).await?;
            }
        }
        if is_last {
            break;
        }
    }
    if after > done {
        total += commitments.len() as u64;
        store.retire(declared(commitments), after, now).await?;
    }
    Ok(total)
}
