//! Compare-and-append as one script. Each question to the thread that owns the connection costs more
//! than what it asks for, so everything that an append changes goes there at once, transaction
//! included.
//!
//! The head moves first, and only from where the caller knows it. The entries stand right behind it:
//! where no head moved they have no chain, which the table refuses, and the script ends there.

use super::chain::{number, to_json};
use super::writer::News;
use super::{StoreError, approvals, deeds, unavailable, usage};
use crate::journal::{Body, Entry, Head, STORM_KEY, View};
use crate::store::{Append, Blob, Lease};
use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::error::ErrorKind;
use sqlx::{Either, Executor, QueryBuilder, Row, Sqlite, SqliteConnection};
use std::path::Path;

/// Statements that are sent together.
pub(super) type Script = QueryBuilder<Sqlite>;

/// Rows of one statement.
const ROWS: usize = 64;

/// What holds a script together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    begin: &'static str,
    end: &'static str,
    undo: &'static str,
}

/// The script is a transaction.
pub(super) const ALONE: Frame = Frame { begin: "BEGIN IMMEDIATE; ", end: "COMMIT", undo: "ROLLBACK" };
/// The script is one of several in a transaction, and is taken back without the others.
pub(super) const AMONG_OTHERS: Frame =
    Frame { begin: "SAVEPOINT one; ", end: "RELEASE one", undo: "ROLLBACK TO one; RELEASE one" };

/// What became of an append.
pub(super) struct Appended {
    /// Whether signals wait that were not consumed.
    pub(super) result: Result<bool, StoreError>,
    /// It failed and could not be taken back.
    pub(super) lost: Option<StoreError>,
}

/// Appends behind `head`, if it is there and the lease holds.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    path: &Path,
    lease: &Lease,
    head: &Head,
    append: Append,
    frame: Frame,
    news: &mut News,
) -> Appended {
    let grown = append.entries.last().map(|entry| (lease.investigation.to_string(), entry.seq));
    let script = match script(path, lease, head, append, frame) {
        Ok(script) => script,
        Err(error) => return Appended { result: Err(error), lost: None },
    };
    let (waiting, failed) = run(connection, script).await;
    let is_refusal = failed.as_ref().is_none_or(is_without_chain);
    let lost = match &failed {
        None => None,
        Some(_) => undo(connection, path, frame).await.err(),
    };
    let result = match (waiting, failed) {
        (None, _) if is_refusal => Err(why_not(connection, path, lease, head).await),
        (_, Some(error)) => Err(unavailable(path, "append to the journal")(error)),
        (waiting, None) => Ok(waiting.unwrap_or_default()),
    };
    if result.is_ok() {
        news.grown.extend(grown);
    }
    Appended { result, lost }
}

fn script(path: &Path, lease: &Lease, head: &Head, append: Append, frame: Frame) -> Result<Script, StoreError> {
    let id = lease.investigation.to_string();
    let Append { entries, blobs, consumed, view, approvals, deeds } = append;
    // Signals are taken oldest first, so whatever is newer than the last consumed one still waits.
    let last_consumed = consumed.iter().copied().max().unwrap_or(0);
    let mut script = Script::new(frame.begin);
    push_head(&mut script, path, lease, head, entries.last(), view.as_ref(), last_consumed)?;
    match entries.is_empty() {
        // Nothing of the rest is written, either, where the head did not move.
        true => {
            script.push("INSERT INTO entries (chain, seq, json) SELECT NULL, 0, '' WHERE changes() = 0; ");
        }
        false => push_entries(&mut script, path, &entries, Guard::IfHeadMoved)?,
    }
    push_blobs(&mut script, blobs);
    push_things(&mut script, path, &entries)?;
    usage::count(&mut script, &entries, usage::Era::Now);
    let end = entries.last().map_or_else(|| head.clone(), Entry::head);
    approvals::push(&mut script, path, &approvals, Some((lease, &end)))?;
    deeds::push(&mut script, &deeds);
    if !consumed.is_empty() {
        script.push("DELETE FROM signals WHERE investigation = ").push_bind(id);
        script.push(" AND number <= ").push_bind(last_consumed).push("; ");
    }
    script.push(frame.end);
    Ok(script)
}

/// Moves the head. Its one row says whether signals wait; there is none where the head stays.
fn push_head(
    script: &mut Script,
    path: &Path,
    lease: &Lease,
    head: &Head,
    last: Option<&Entry>,
    view: Option<&View>,
    last_consumed: i64,
) -> Result<(), StoreError> {
    let id = lease.investigation.to_string();
    let end = last.map_or_else(|| head.clone(), Entry::head);
    script.push("UPDATE investigations SET attempts = 0, seq = ").push_bind(number(end.seq));
    script.push(", hash = ").push_bind(end.hash.as_str().to_owned());
    if let Some(view) = view {
        let level = view.risk.as_ref().map(|risk| risk.level.as_str());
        script.push(", state = ").push_bind(view.state.clone());
        script.push(", risk = ").push_bind(level);
        script.push(", closed_us = ").push_bind(view.ended_at().map(Timestamp::as_microsecond));
        script.push(", view = ").push_bind(to_json(path, "an investigation", view)?);
    }
    script.push(" WHERE id = ").push_bind(id.clone()).push(" AND epoch = ").push_bind(lease.epoch);
    script.push(" AND seq = ").push_bind(number(head.seq));
    script.push(" AND hash = ").push_bind(head.hash.as_str().to_owned());
    script.push(" RETURNING EXISTS (SELECT 1 FROM signals WHERE investigation = ").push_bind(id);
    script.push(" AND number > ").push_bind(last_consumed).push("); ");
    Ok(())
}

/// Whether entries are written in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// They are.
    None,
    /// Only if the statement before them changed a row.
    IfHeadMoved,
}

/// Adds `entries` to a script.
pub(super) fn push_entries(
    script: &mut Script,
    path: &Path,
    entries: &[Entry],
    guard: Guard,
) -> Result<(), StoreError> {
    for (n, entries) in entries.chunks(ROWS).enumerate() {
        let json: Vec<String> =
            entries.iter().map(|entry| to_json(path, "an entry", entry)).collect::<Result<_, _>>()?;
        script.push("INSERT INTO entries (chain, seq, json) VALUES ");
        for (m, (entry, json)) in entries.iter().zip(json).enumerate() {
            let guarded = (n, m, guard) == (0, 0, Guard::IfHeadMoved);
            let (before, after) = if guarded { ("CASE changes() WHEN 1 THEN ", " END") } else { ("", "") };
            script.push(if m == 0 { "(" } else { ", (" }).push(before).push_bind(entry.chain.clone()).push(after);
            script.push(", ").push_bind(number(entry.seq)).push(", ").push_bind(json).push(")");
        }
        script.push("; ");
    }
    Ok(())
}

/// Adds what surveys found to be one workload. A storm is of none, and nothing is found by it.
fn push_things(script: &mut Script, path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in entries {
        let Body::Surveyed { things, .. } = &entry.body else { continue };
        if !things.is_empty() {
            script.push("INSERT OR IGNORE INTO investigation_things (thing, investigation) ");
            script.push("SELECT j.value, i.id FROM json_each(").push_bind(to_json(path, "things", things)?);
            script.push(") AS j JOIN investigations AS i ON i.id = ").push_bind(entry.chain.clone());
            script.push(" WHERE i.correlation_key <> ").push_bind(STORM_KEY).push("; ");
        }
    }
    Ok(())
}

/// Adds `blobs` to a script. One that is there already stays.
pub(super) fn push_blobs(script: &mut Script, blobs: Vec<Blob>) {
    let mut blobs = blobs.into_iter().peekable();
    while blobs.peek().is_some() {
        script.push("INSERT OR IGNORE INTO blobs (commitment, salt, bytes) VALUES ");
        for (n, blob) in blobs.by_ref().take(ROWS).enumerate() {
            script.push(if n == 0 { "(" } else { ", (" });
            script.push_bind(blob.reference.commitment.as_str().to_owned());
            script.push(", ").push_bind(blob.salt.to_vec()).push(", ").push_bind(blob.bytes).push(")");
        }
        script.push("; ");
    }
}

/// Runs a script to its end or to what goes wrong. Answers its row, if it came that far.
async fn run(connection: &mut SqliteConnection, mut script: Script) -> (Option<bool>, Option<sqlx::Error>) {
    let mut waiting = None;
    let mut results = connection.fetch_many(script.build());
    loop {
        match results.try_next().await {
            Ok(Some(Either::Right(row))) => match row.try_get(0) {
                Ok(answer) => waiting = Some(answer),
                Err(error) => return (waiting, Some(error)),
            },
            Ok(Some(Either::Left(_))) => {}
            Ok(None) => return (waiting, None),
            Err(error) => return (waiting, Some(error)),
        }
    }
}

fn is_without_chain(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.kind() == ErrorKind::NotNullViolation)
}

async fn undo(connection: &mut SqliteConnection, path: &Path, frame: Frame) -> Result<(), StoreError> {
    sqlx::raw_sql(frame.undo).execute(connection).await.map(drop).map_err(unavailable(path, "take back a write"))
}

/// Why an append was refused.
async fn why_not(connection: &mut SqliteConnection, path: &Path, lease: &Lease, head: &Head) -> StoreError {
    let chain = lease.investigation.to_string();
    let row: Result<Option<(i64, i64)>, _> = sqlx::query_as("SELECT seq, epoch FROM investigations WHERE id = ?")
        .bind(&chain)
        .fetch_optional(connection)
        .await
        .map_err(unavailable(path, "read the head of a chain"));
    let why = match row {
        Err(failure) => return failure,
        Ok(None) => "there is no such chain".to_owned(),
        Ok(Some((_, epoch))) if epoch != lease.epoch => "the lease is lost: another worker took it over".to_owned(),
        Ok(Some((seq, _))) => format!("its head is entry {seq}, the worker knew entry {}", head.seq),
    };
    StoreError::Fenced { chain, why }
}
