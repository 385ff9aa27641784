//! Leases, the system chain, signals. Each check stands before the first write, so a refusal
//! leaves nothing behind.

use super::append::{Guard, Script, push_blobs, push_entries};
use super::writer::News;
use super::{StoreError, approvals, unavailable};
use crate::domain::InvestigationId;
use crate::journal::{Abandoned, Body, Draft, Entry, Head, Outcome, View, chain::SYSTEM};
use crate::store::{Blob, LONGEST_PARK, Lease, Signal};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::SqliteConnection;
use std::path::Path;
use std::str::FromStr;

pub(super) fn parse<T: FromStr<Err: std::fmt::Display>>(path: &Path, what: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Corrupt {
        what: what.to_owned(),
        place: path.display().to_string(),
        why: error.to_string(),
    })
}

pub(super) fn from_json<T: DeserializeOwned>(path: &Path, what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt {
        what: what.to_owned(),
        place: path.display().to_string(),
        why: error.to_string(),
    })
}

pub(super) fn to_json<T: Serialize>(path: &Path, what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt {
        what: what.to_owned(),
        place: path.display().to_string(),
        why: error.to_string(),
    })
}

pub(super) async fn insert_entries(
    tx: &mut SqliteConnection,
    path: &Path,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let mut script = Script::default();
    push_entries(&mut script, path, entries, Guard::None)?;
    script.build().execute(tx).await.map(drop).map_err(unavailable(path, "write entries"))
}

pub(super) async fn insert_blobs(tx: &mut SqliteConnection, path: &Path, blobs: Vec<Blob>) -> Result<(), StoreError> {
    let mut script = Script::default();
    push_blobs(&mut script, blobs);
    script.build().execute(tx).await.map(drop).map_err(unavailable(path, "write payloads"))
}

pub(super) async fn renew(
    tx: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    until: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE investigations SET lease_until_us = ? WHERE id = ? AND epoch = ?")
        .bind(until.as_microsecond())
        .bind(lease.investigation.to_string())
        .bind(lease.epoch)
        .execute(tx)
        .await
        .map_err(unavailable(path, "renew a lease"))?;
    held(lease, done.rows_affected() == 1)
}

pub(super) async fn release(
    tx: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    news: &mut News,
) -> Result<(), StoreError> {
    let left: Option<(i64,)> = sqlx::query_as(
        "UPDATE investigations SET owner = NULL, lease_until_us = NULL, attempts = 0, \
           in_line = 0, wants_work = EXISTS (SELECT 1 FROM signals WHERE investigation = ?1) \
         WHERE id = ?1 AND epoch = ?2 RETURNING wants_work",
    )
    .bind(lease.investigation.to_string())
    .bind(lease.epoch)
    .fetch_optional(tx)
    .await
    .map_err(unavailable(path, "release a lease"))?;
    // Its place in its route is free.
    news.work |= left.is_some();
    held(lease, left.is_some())
}

pub(super) async fn park(
    tx: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    now: Timestamp,
    until: Timestamp,
    news: &mut News,
) -> Result<(), StoreError> {
    let longest_us = now.as_microsecond().saturating_add(micros(LONGEST_PARK));
    // A signal that came since the last look finds it awake, and said when.
    let parked = sqlx::query(
        "UPDATE investigations SET owner = NULL, lease_until_us = NULL, wants_work = 1, attempts = 0, in_line = 0, \
           due_us = CASE WHEN EXISTS (SELECT 1 FROM signals WHERE investigation = ?1) THEN due_us ELSE ?3 END \
         WHERE id = ?1 AND epoch = ?2",
    )
    .bind(lease.investigation.to_string())
    .bind(lease.epoch)
    .bind(until.as_microsecond().clamp(0, longest_us.max(0)))
    .execute(tx)
    .await
    .map_err(unavailable(path, "park an investigation"))?;
    // Its place in its route is free, and it may be awake itself.
    news.work |= parked.rows_affected() == 1;
    held(lease, parked.rows_affected() == 1)
}

/// Lets go of what was looked at, for want of a place in its route. What arrived meanwhile is looked at
/// first.
pub(super) async fn line_up(
    tx: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    look_at: Option<Timestamp>,
    news: &mut News,
) -> Result<(), StoreError> {
    let lined_up = sqlx::query(
        "UPDATE investigations SET owner = NULL, lease_until_us = NULL, wants_work = 1, attempts = 0, \
           in_line = NOT EXISTS (SELECT 1 FROM signals WHERE investigation = ?1), look_us = ?3 \
         WHERE id = ?1 AND epoch = ?2",
    )
    .bind(lease.investigation.to_string())
    .bind(lease.epoch)
    .bind(look_at.map(Timestamp::as_microsecond))
    .execute(tx)
    .await
    .map_err(unavailable(path, "line up an investigation"))?;
    // A place may have become free since it was claimed.
    news.work |= lined_up.rows_affected() == 1;
    held(lease, lined_up.rows_affected() == 1)
}

/// When work that arrives at `now` is due: ahead of what was promised for then, but not of what has waited
/// for a minute already. A clock that is put back by less delays nothing.
pub(super) fn fresh_us(now: Timestamp) -> i64 {
    const AHEAD: SignedDuration = SignedDuration::from_mins(1);
    now.as_microsecond().saturating_sub(micros(AHEAD)).max(0)
}

/// As the columns count time.
pub(super) fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Gives up an investigation that cannot be continued: it is closed as failed in the lists, so that
/// alerts of its key open a new one, and the system chain says why. Its own chain stays as it is.
pub(super) async fn abandon(
    tx: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    reason: String,
    now: Timestamp,
    news: &mut News,
) -> Result<(), StoreError> {
    let id = lease.investigation.to_string();
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE investigations SET owner = NULL, lease_until_us = NULL, wants_work = 0, abandoned = 1, \
           state = 'closed', closed_us = ? \
         WHERE id = ? AND epoch = ? RETURNING view",
    )
    .bind(now.as_microsecond())
    .bind(&id)
    .bind(lease.epoch)
    .fetch_optional(&mut *tx)
    .await
    .map_err(unavailable(path, "give up an investigation"))?;
    let Some((view,)) = row else { return held(lease, false) };
    let mut view: View = from_json(path, "an investigation", &view)?;
    view.state = "closed".into();
    view.outcome = Some(Outcome::Failed);
    view.summary = Some(reason.clone());
    view.closed_at = Some(now);
    sqlx::query("UPDATE investigations SET view = ? WHERE id = ?")
        .bind(to_json(path, "an investigation", &view)?)
        .bind(&id)
        .execute(&mut *tx)
        .await
        .map_err(unavailable(path, "give up an investigation"))?;
    approvals::give_up(tx, path, &id, &reason).await?;
    // Its place in its route is free.
    news.work = true;
    let draft = Draft::engine(Body::Abandoned(Abandoned { investigation: lease.investigation, reason }));
    append_system(tx, path, vec![draft], vec![], now, news).await
}

fn held(lease: &Lease, still: bool) -> Result<(), StoreError> {
    match still {
        true => Ok(()),
        false => Err(StoreError::Fenced {
            chain: lease.investigation.to_string(),
            why: "the lease is lost: another worker took it over".into(),
        }),
    }
}

/// As SQLite counts.
pub(super) fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) async fn append_system(
    tx: &mut SqliteConnection,
    path: &Path,
    drafts: Vec<Draft>,
    blobs: Vec<Blob>,
    now: Timestamp,
    news: &mut News,
) -> Result<(), StoreError> {
    let last: Option<(String,)> = sqlx::query_as("SELECT json FROM entries WHERE chain = ? ORDER BY seq DESC LIMIT 1")
        .bind(SYSTEM)
        .fetch_optional(&mut *tx)
        .await
        .map_err(unavailable(path, "read the head of the system chain"))?;
    let mut head = match last {
        None => Head::genesis(SYSTEM),
        Some((json,)) => from_json::<Entry>(path, "the last entry of the system chain", &json)?.head(),
    };
    insert_blobs(tx, path, blobs).await?;
    let mut entries = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let entry = head.seal(SYSTEM, now, draft).map_err(|error| StoreError::Corrupt {
            what: "an entry of the system chain".into(),
            place: path.display().to_string(),
            why: error.to_string(),
        })?;
        head = entry.head();
        entries.push(entry);
    }
    insert_entries(tx, path, &entries).await?;
    news.grown.push((SYSTEM.to_owned(), head.seq));
    Ok(())
}

pub(super) async fn signal(
    tx: &mut SqliteConnection,
    path: &Path,
    investigation: InvestigationId,
    from: &str,
    signal: &Signal,
    now: Timestamp,
    news: &mut News,
) -> Result<bool, StoreError> {
    let id = investigation.to_string();
    // What was given up hears of nothing any more. What waits already keeps its age, or whoever hears of
    // something every minute would never be the oldest.
    let known = sqlx::query(
        "UPDATE investigations SET wants_work = 1, in_line = 0, \
           due_us = CASE WHEN wants_work = 1 THEN min(due_us, ?1) ELSE ?1 END WHERE id = ?2 AND abandoned = 0",
    )
    .bind(fresh_us(now))
    .bind(&id)
    .execute(&mut *tx)
    .await
    .map_err(unavailable(path, "wake an investigation"))?;
    if known.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO signals (investigation, sender, json, at_us) VALUES (?, ?, ?, ?)")
        .bind(&id)
        .bind(from)
        .bind(to_json(path, "a signal", signal)?)
        .bind(now.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(unavailable(path, "leave a signal"))?;
    news.work = true;
    Ok(true)
}

/// A write that changes nothing but must be committed: proves that commits go through.
pub(super) async fn ping(tx: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO meta (key, value) VALUES ('ping', x'00') ON CONFLICT (key) DO UPDATE SET value = x'00'")
        .execute(tx)
        .await
        .map_err(unavailable(path, "commit"))?;
    Ok(())
}
