//! What stands by the word of people, read from the `system` chain.

use crate::domain::{Digest, PolicyRef};
use crate::journal::chain::SYSTEM;
use crate::journal::{Body, Entry, Governing};
use crate::store::{Store, StoreError};

/// Entries that are read at once.
const PAGE: u32 = 500;

/// What stood when the program ended, and the policy that was in force; `None` before the first start. Each
/// start carries it on, so that only what came since is read.
///
/// # Errors
/// When the store does not answer.
pub async fn standing(store: &dyn Store) -> Result<(Governing, Option<PolicyRef>), StoreError> {
    let mut since = vec![];
    backwards(store, |entry| {
        let is_start = matches!(entry.body, Body::Started(_));
        since.push(entry);
        !is_start
    })
    .await?;
    let mut governing = Governing::default();
    let mut in_force = None;
    for entry in since.iter().rev() {
        governing.apply(entry);
        match &entry.body {
            Body::Started(started) => in_force = Some(started.policy.clone()),
            Body::PolicyActivated(now) if !now.shadow => in_force = Some(now.policy.clone()),
            _ => {}
        }
    }
    Ok((governing, in_force))
}

/// How many decisions the policy `digest` would have made less strict since its trial began.
///
/// # Errors
/// When the store does not answer.
pub async fn widened(store: &dyn Store, digest: &Digest) -> Result<u64, StoreError> {
    let mut widened = 0;
    // Clocks are set back, so it is the entry by which the trial began that ends the search.
    backwards(store, |entry| match &entry.body {
        Body::ShadowDiffered(differs) => {
            widened += u64::from(differs.widens && differs.policy.digest == *digest);
            true
        }
        Body::PolicyActivated(begun) => !(begun.shadow && begun.policy.digest == *digest),
        _ => true,
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
