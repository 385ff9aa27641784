//! What stands by the word of people, read from the `system` chain.

use crate::domain::Digest;
use crate::journal::chain::SYSTEM;
use crate::journal::{Body, Entry, Governing};
use crate::store::{Store, StoreError};
use jiff::Timestamp;

/// Entries that are read at once.
const PAGE: u32 = 500;

/// What stands now. Each start of the program carries it on, so that only what came since is read.
///
/// # Errors
/// When the store does not answer.
pub async fn standing(store: &dyn Store) -> Result<Governing, StoreError> {
    let mut since = vec![];
    backwards(store, |entry| {
        let is_start = matches!(entry.body, Body::Started(_));
        since.push(entry);
        !is_start
    })
    .await?;
    let mut governing = Governing::default();
    since.iter().rev().for_each(|entry| governing.apply(entry));
    Ok(governing)
}

/// How many decisions the policy `digest` would have made less strict since `since`.
///
/// # Errors
/// When the store does not answer.
pub async fn widened(store: &dyn Store, digest: &Digest, since: Timestamp) -> Result<u64, StoreError> {
    let mut widened = 0;
    backwards(store, |entry| {
        if let Body::ShadowDiffered(differs) = &entry.body {
            widened += u64::from(differs.widens && differs.policy.digest == *digest);
        }
        entry.at >= since
    })
    .await?;
    Ok(widened)
}

/// How many entries the `system` chain has. They are numbered densely, so that few looks tell.
async fn length(store: &dyn Store) -> Result<u64, StoreError> {
    let (mut there, mut beyond) = (0_u64, 1_u64);
    while !store.entries(SYSTEM, beyond - 1, 1).await?.is_empty() {
        there = beyond;
        beyond = beyond.saturating_mul(2);
    }
    while beyond - there > 1 {
        let middle = there + (beyond - there) / 2;
        match store.entries(SYSTEM, middle - 1, 1).await?.is_empty() {
            true => beyond = middle,
            false => there = middle,
        }
    }
    Ok(there)
}

/// Shows the entries of the `system` chain, the newest first, for as long as `look` wants to see more.
async fn backwards(store: &dyn Store, mut look: impl FnMut(Entry) -> bool) -> Result<(), StoreError> {
    let mut until = length(store).await?;
    while until > 0 {
        let after = until.saturating_sub(u64::from(PAGE));
        let mut page = store.entries(SYSTEM, after, PAGE).await?;
        page.retain(|entry| entry.seq <= until);
        for entry in page.into_iter().rev() {
            if !look(entry) {
                return Ok(());
            }
        }
        until = after;
    }
    Ok(())
}
