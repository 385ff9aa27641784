//! What could not be read.

use super::chain::{from_json, parse, to_json};
use super::read::page;
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::EventId;
use crate::store::{DeadLetter, LetterFilter, LetterKind, Page};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many are kept, the newest: who sends nonsense fills no disk. The journal holds quarantined alerts
/// beyond that.
const MOST: i64 = 10_000;

/// How often room is made, in letters; also the most that are kept beyond that.
const TRIM_EVERY: u64 = 256;
/// Letters that this process kept.
static KEPT: AtomicU64 = AtomicU64::new(0);

type Row = (String, String, String, String, String, String, i64, i64, Option<String>);

const COLUMNS: &str = "SELECT id, digest, kind, source, reason, body, received_us, times, replayed FROM letters ";

/// Keeps each once, and answers under which id.
pub(super) async fn keep(
    tx: &mut SqliteConnection,
    path: &Path,
    letters: &[DeadLetter],
) -> Result<Vec<EventId>, StoreError> {
    let mut ids = Vec::with_capacity(letters.len());
    for letter in letters {
        let (id,): (String,) = sqlx::query_as(
            "INSERT INTO letters (id, digest, kind, source, reason, body, received_us) VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (digest) DO UPDATE SET times = times + 1, reason = excluded.reason, \
               received_us = excluded.received_us, replayed = NULL RETURNING id",
        )
        .bind(letter.id.to_string())
        .bind(letter.digest.as_str())
        .bind(letter.kind.as_str())
        .bind(&letter.source)
        .bind(&letter.reason)
        .bind(&letter.body)
        .bind(letter.received_at.as_microsecond())
        .fetch_one(&mut *tx)
        .await
        .map_err(unavailable(path, "keep what could not be read"))?;
        ids.push(parse(path, "an id of what could not be read", &id)?);
    }
    // It looks through all of them, so not each time.
    let so_far = KEPT.fetch_add(letters.len() as u64, Ordering::Relaxed);
    if so_far / TRIM_EVERY == (so_far + letters.len() as u64) / TRIM_EVERY {
        return Ok(ids);
    }
    sqlx::query("DELETE FROM letters WHERE id IN (SELECT id FROM letters ORDER BY id DESC LIMIT -1 OFFSET ?)")
        .bind(MOST)
        .execute(tx)
        .await
        .map_err(unavailable(path, "make room for what could not be read"))?;
    Ok(ids)
}

/// Notes what became of one.
pub(super) async fn replayed(
    tx: &mut SqliteConnection,
    path: &Path,
    id: EventId,
    became: &Value,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE letters SET replayed = ? WHERE id = ? AND replayed IS NULL")
        .bind(to_json(path, "what became of it", became)?)
        .bind(id.to_string())
        .execute(tx)
        .await
        .map(drop)
        .map_err(unavailable(path, "note what became of what could not be read"))
}

impl SqliteStore {
    pub(super) async fn read_letter(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = ?")))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable(&self.path, "read what could not be read"))?;
        row.map(|row| self.letter(row)).transpose()
    }

    pub(super) async fn read_letters(&self, filter: &LetterFilter) -> Result<Page<DeadLetter>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR received_us >= ?2) \
             AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4"
        );
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(&filter.source)
            .bind(filter.since.map(Timestamp::as_microsecond))
            .bind(&filter.cursor)
            .bind(i64::from(filter.limit) + 1)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable(&self.path, "list what could not be read"))?;
        let items = rows.into_iter().map(|row| self.letter(row)).collect::<Result<Vec<_>, _>>()?;
        Ok(page(items, filter.limit, |item| item.id.to_string()))
    }

    fn letter(
        &self,
        (id, digest, kind, source, reason, body, received_us, times, replayed): Row,
    ) -> Result<DeadLetter, StoreError> {
        let path = &self.path;
        Ok(DeadLetter {
            id: parse(path, "an id of what could not be read", &id)?,
            digest: parse(path, "a digest of what could not be read", &digest)?,
            kind: from_json::<LetterKind>(path, "a kind of what could not be read", &format!("\"{kind}\""))?,
            source,
            reason,
            body,
            received_at: Timestamp::from_microsecond(received_us).unwrap_or_default(),
            times: u64::try_from(times).unwrap_or(0),
            replayed: replayed.map(|json| from_json(path, "what became of it", &json)).transpose()?,
        })
    }
}
