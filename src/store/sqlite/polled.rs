//! What pollers were told.

use super::chain::{from_json, parse, to_json};
use super::writer::Command;
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{AlertStatus, Digest};
use crate::store::{Noted, Notes, Polls};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::path::Path;

/// Most notes that are read: more than one answer of Alertmanager can hold, several times over.
const MOST: i64 = 100_000;

/// What changes in the notes of pollers.
pub(super) enum Change {
    /// One poll.
    Notes(Notes),
    /// Only these pollers are left.
    Pollers(Vec<String>),
}

type Row = (String, String, Option<i64>, bool, Option<String>, bool, bool);

#[async_trait]
impl Polls for SqliteStore {
    async fn noted(&self, poller: &str) -> Result<Vec<Noted>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT p.delivery, p.question, p.server_us, e.id IS NOT NULL, CASE e.status WHEN ?2 THEN e.json END, \
               CASE WHEN e.status <> ?2 AND json_valid(e.json) THEN e.json ->> '$.ended_by' IS NOT NULL ELSE 0 END, \
               EXISTS (SELECT 1 FROM polled AS o WHERE o.delivery = p.delivery AND o.poller <> p.poller) \
             FROM polled AS p LEFT JOIN events AS e ON e.delivery = p.delivery WHERE p.poller = ?1 LIMIT ?3",
        )
        .bind(poller)
        .bind(AlertStatus::Firing.as_str())
        .bind(MOST)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "read what a poller was told"))?;
        let noted = |(delivery, question, server_us, is_kept, json, ended_by_poll, told_to_others): Row| {
            Ok(Noted {
                delivery: parse(&self.path, "an alert's key", &delivery)?,
                question: parse(&self.path, "a poller's question", &question)?,
                server: server_us.and_then(|us| Timestamp::from_microsecond(us).ok()),
                is_kept,
                firing: json.map(|json| from_json(&self.path, "an alert", &json)).transpose()?,
                ended_by_poll,
                told_to_others,
            })
        };
        rows.into_iter().map(noted).collect()
    }

    async fn note(&self, notes: Notes) -> Result<(), StoreError> {
        self.change_notes(Change::Notes(notes)).await
    }

    async fn keep_pollers(&self, names: Vec<String>) -> Result<(), StoreError> {
        self.change_notes(Change::Pollers(names)).await
    }
}

impl SqliteStore {
    async fn change_notes(&self, change: Change) -> Result<(), StoreError> {
        self.write("note what a poller was told", |reply| Command::Polled { change, reply }).await
    }
}

pub(super) async fn change(tx: &mut SqliteConnection, path: &Path, change: Change) -> Result<(), StoreError> {
    let failed = unavailable(path, "note what a poller was told");
    match change {
        Change::Pollers(names) => {
            sqlx::query("DELETE FROM polled WHERE poller NOT IN (SELECT value FROM json_each(?))")
                .bind(to_json(path, "names", &names)?)
                .execute(tx)
                .await
                .map_err(failed)?;
        }
        Change::Notes(Notes { poller, question, server, told, forget }) => {
            let keys = |keys: &[Digest]| to_json(path, "keys of alerts", &keys);
            if !told.is_empty() {
                // `WHERE true` tells the parser that the conflict clause belongs to the insertion.
                sqlx::query(
                    "INSERT INTO polled (poller, delivery, question, server_us) \
                     SELECT ?1, value, ?2, ?3 FROM json_each(?4) WHERE true \
                     ON CONFLICT (poller, delivery) DO UPDATE SET question = excluded.question, \
                       server_us = coalesce(excluded.server_us, server_us)",
                )
                .bind(&poller)
                .bind(question.as_str())
                .bind(server.map(Timestamp::as_microsecond))
                .bind(keys(&told)?)
                .execute(&mut *tx)
                .await
                .map_err(&failed)?;
            }
            if !forget.is_empty() {
                sqlx::query("DELETE FROM polled WHERE poller = ?1 AND delivery IN (SELECT value FROM json_each(?2))")
                    .bind(&poller)
                    .bind(keys(&forget)?)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}
