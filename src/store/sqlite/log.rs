//! The log over all chains, its checkpoints, and what retention deletes.

use super::chain::{self, number, parse};
use super::writer::{Command, News};
use super::{SqliteStore, StoreError, unavailable};
use crate::journal::{Body, Deleted, Draft, Retained, chain::SYSTEM};
use crate::store::{Due, KeptCheckpoint, Log, Logged};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::path::Path;

type Row = (i64, String, i64, Option<String>);

/// Lines of the log with the hashes that their entries carry.
macro_rules! lines {
    ($which:literal) => {
        concat!(
            "SELECT position, log.chain, log.seq, json_extract(json, '$.hash') FROM log ",
            "LEFT JOIN entries ON entries.chain = log.chain AND entries.seq = log.seq ",
            $which
        )
    };
}

fn natural(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl SqliteStore {
    fn lines(&self, rows: Vec<Row>) -> Result<Vec<Logged>, StoreError> {
        let line = |(position, chain, seq, hash): Row| {
            let hash = hash.map(|hash| parse(&self.path, "the hash of an entry", &hash)).transpose()?;
            Ok(Logged { position: natural(position), chain, seq: natural(seq), hash })
        };
        rows.into_iter().map(line).collect()
    }

    /// What the database said of the log, which those of older programs have not.
    fn of_the_log(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        let path = self.path.clone();
        move |error| match error.as_database_error().is_some_and(|e| e.message().starts_with("no such table")) {
            true => StoreError::Unusable {
                place: path.display().to_string(),
                why: "it was written by an older firewarden; `firewarden serve` brings it up to date".into(),
            },
            false => unavailable(&path, doing)(error),
        }
    }
}

type CheckpointRow = (i64, String, Vec<u8>);

fn checkpoint((size, note, frontier): CheckpointRow) -> KeptCheckpoint {
    KeptCheckpoint { size: natural(size), note, frontier }
}

#[async_trait]
impl Log for SqliteStore {
    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        let rows = sqlx::query_as(lines!("WHERE position > ? ORDER BY position LIMIT ?"))
            .bind(number(after))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.of_the_log("read the log"))?;
        self.lines(rows)
    }

    async fn log_before(&self, before: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        let rows = sqlx::query_as(lines!("WHERE position < ? ORDER BY position DESC LIMIT ?"))
            .bind(number(before))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.of_the_log("read the log"))?;
        self.lines(rows)
    }

    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let rows: Vec<CheckpointRow> =
            sqlx::query_as("SELECT size, note, frontier FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?")
                .bind(number(after))
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(self.of_the_log("read checkpoints"))?;
        Ok(rows.into_iter().map(checkpoint).collect())
    }

    async fn last_checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        let row: Option<CheckpointRow> =
            sqlx::query_as("SELECT size, note, frontier FROM checkpoints ORDER BY size DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await
                .map_err(self.of_the_log("read the last checkpoint"))?;
        Ok(row.map(checkpoint))
    }

    async fn keep_checkpoint(&self, checkpoint: KeptCheckpoint) -> Result<(), StoreError> {
        self.write("keep a checkpoint", |reply| Command::Checkpoint { checkpoint, reply }).await
    }

    async fn due(&self, kind: Retained, ended_before: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT id, COALESCE(retired.seq, 0), investigations.seq FROM investigations \
             LEFT JOIN retired ON chain = id AND kind = ?1 \
             WHERE closed_us < ?2 AND state = 'closed' AND COALESCE(retired.seq, 0) < investigations.seq \
             ORDER BY closed_us, id LIMIT ?3",
        )
        .bind(kind.as_str())
        .bind(ended_before.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "look for what is due to be deleted"))?;
        let due = |(chain, done, until)| Due { chain, done: natural(done), until: natural(until) };
        Ok(rows.into_iter().map(due).collect())
    }

    async fn retired(&self, kind: Retained, chain: &str) -> Result<u64, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT seq FROM retired WHERE chain = ? AND kind = ?")
            .bind(chain)
            .bind(kind.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable(&self.path, "look for what was deleted"))?;
        Ok(row.map_or(0, |(seq,)| natural(seq)))
    }

    async fn retire(&self, deleted: Deleted, until: u64, now: Timestamp) -> Result<(), StoreError> {
        self.write("delete what is due", |reply| Command::Retire { deleted, until, now, reply }).await
    }

    async fn mentions(&self, text: &str, limit: u32) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT chain, seq FROM entries WHERE instr(json, ?) > 0 ORDER BY chain, seq LIMIT ?")
                .bind(text)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable(&self.path, "search the journal"))?;
        Ok(rows.into_iter().map(|(chain, seq)| (chain, natural(seq))).collect())
    }
}

pub(super) async fn keep(tx: &mut SqliteConnection, path: &Path, kept: &KeptCheckpoint) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO checkpoints (size, note, frontier) VALUES (?, ?, ?)")
        .bind(number(kept.size))
        .bind(&kept.note)
        .bind(&kept.frontier)
        .execute(tx)
        .await
        .map(drop)
        .map_err(unavailable(path, "keep a checkpoint"))
}

pub(super) async fn retire(
    tx: &mut SqliteConnection,
    path: &Path,
    deleted: Deleted,
    until: u64,
    now: Timestamp,
    news: &mut News,
) -> Result<(), StoreError> {
    let failed = unavailable(path, "delete what is due");
    if deleted.chain != SYSTEM {
        let closed: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM investigations WHERE id = ? AND state = 'closed' AND seq >= ? AND closed_us < ?",
        )
        .bind(&deleted.chain)
        .bind(number(until))
        .bind(deleted.ended_before.as_microsecond())
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        if closed.is_none() {
            return Ok(());
        }
    }
    sqlx::query(
        "INSERT INTO retired (chain, kind, seq) VALUES (?, ?, ?) ON CONFLICT (chain, kind) DO UPDATE SET seq = excluded.seq",
    )
    .bind(&deleted.chain)
    .bind(deleted.kind.as_str())
    .bind(number(until))
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    if deleted.commitments.is_empty() {
        return Ok(());
    }
    // Freed pages are overwritten, not only given back.
    sqlx::query("PRAGMA secure_delete = ON").execute(&mut *tx).await.map_err(&failed)?;
    for some in deleted.commitments.chunks(256) {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("DELETE FROM blobs WHERE commitment IN (");
        let mut list = query.separated(", ");
        for commitment in some {
            list.push_bind(commitment.as_str().to_owned());
        }
        query.push(")");
        query.build().execute(&mut *tx).await.map_err(&failed)?;
    }
    sqlx::query("PRAGMA secure_delete = OFF").execute(&mut *tx).await.map_err(&failed)?;
    chain::append_system(tx, path, vec![Draft::engine(Body::PayloadsDeleted(deleted))], vec![], now, news).await
}
