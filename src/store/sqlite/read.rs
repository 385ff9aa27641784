//! Everything that only reads.

use super::chain::{from_json, parse, to_json};
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{ActionId, ApprovalId, BlobRef, Digest, EventId, InvestigationId, SreEvent, Target};
use crate::journal::{ApprovalView, Entry, Head, View};
use crate::store::{
    ApprovalFilter, Blobs, Counts, DeadLetter, DeedCounts, EventFilter, Events, Fared, Fate, InvestigationFilter,
    LetterFilter, Page, Past, StoreReader, StoredEvent, Usage, UsageFilter, Waiting,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// One row more than wanted tells whether there is a next page.
pub(super) fn page<T>(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = if more { items.last().map(cursor) } else { None };
    Page { items, next_cursor }
}

type EventRow = (String, String, Option<String>, i64);

impl SqliteStore {
    pub(super) async fn read_entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT json FROM entries WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?")
                .bind(chain)
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable(&self.path, "read a chain"))?;
        rows.iter().map(|(json,)| from_json(&self.path, "an entry", json)).collect()
    }

    pub(super) async fn read_signals(&self, investigation: InvestigationId) -> Result<Vec<Waiting>, StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT number, sender, json FROM signals WHERE investigation = ? ORDER BY number LIMIT 100",
        )
        .bind(investigation.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "read signals"))?;
        rows.into_iter()
            .map(|(number, from, json)| Ok(Waiting { number, from, signal: from_json(&self.path, "a signal", &json)? }))
            .collect()
    }

    fn stored_event(&self, (json, fate, investigation, deliveries): EventRow) -> Result<StoredEvent, StoreError> {
        Ok(StoredEvent {
            event: from_json(&self.path, "an alert", &json)?,
            fate: from_json::<Fate>(&self.path, "what became of an alert", &format!("\"{fate}\""))?,
            investigation: investigation.map(|id| parse(&self.path, "an investigation's id", &id)).transpose()?,
            deliveries: u64::try_from(deliveries).unwrap_or(0),
        })
    }
}

#[async_trait]
impl Blobs for SqliteStore {
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.opening(reference).await?.map(|(_, bytes)| bytes))
    }

    async fn opening(&self, reference: &BlobRef) -> Result<Option<([u8; 16], Vec<u8>)>, StoreError> {
        let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as("SELECT salt, bytes FROM blobs WHERE commitment = ?")
            .bind(reference.commitment.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable(&self.path, "read a payload"))?;
        let Some((salt, bytes)) = row else { return Ok(None) };
        let salt = <[u8; 16]>::try_from(salt.as_slice()).ok().filter(|salt| reference.opens_with(salt, &bytes));
        match salt {
            Some(salt) => Ok(Some((salt, bytes))),
            None => Err(StoreError::Corrupt {
                what: format!("payload {}", reference.commitment),
                place: self.path.display().to_string(),
                why: "it is not what the journal committed to".into(),
            }),
        }
    }
}

#[async_trait]
impl Events for SqliteStore {
    async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, StoreError> {
        let row: Option<EventRow> =
            sqlx::query_as("SELECT json, fate, investigation, deliveries FROM events WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(unavailable(&self.path, "read an alert"))?;
        row.map(|row| self.stored_event(row)).transpose()
    }

    async fn alerts(&self, ids: &[EventId]) -> Result<Vec<SreEvent>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT e.json FROM json_each(?) AS j CROSS JOIN events AS e ON e.id = j.value ORDER BY j.key",
        )
        .bind(to_json(&self.path, "ids of alerts", &ids)?)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "read alerts"))?;
        rows.iter().map(|(json,)| from_json(&self.path, "an alert", json)).collect()
    }

    async fn events(&self, filter: &EventFilter) -> Result<Page<StoredEvent>, StoreError> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT json, fate, investigation, deliveries FROM events \
             WHERE (?1 IS NULL OR subject = ?1) AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR severity = ?3) \
               AND (?4 IS NULL OR received_us >= ?4) AND (?5 IS NULL OR id < ?5) AND (?7 IS NULL OR fate = ?7) \
             ORDER BY id DESC LIMIT ?6",
        )
        .bind(&filter.subject)
        .bind(&filter.source)
        .bind(filter.severity.map(|s| s.as_str()))
        .bind(filter.since.map(Timestamp::as_microsecond))
        .bind(&filter.cursor)
        .bind(i64::from(filter.limit) + 1)
        .bind(filter.outcome.map(Fate::as_str))
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "list alerts"))?;
        let items = rows.into_iter().map(|row| self.stored_event(row)).collect::<Result<Vec<_>, _>>()?;
        Ok(page(items, filter.limit, |item| item.event.id.to_string()))
    }

    async fn keep_letters(&self, letters: Vec<DeadLetter>) -> Result<Vec<EventId>, StoreError> {
        self.write_letters(letters).await
    }

    async fn letter(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        self.read_letter(id).await
    }

    async fn letters(&self, filter: &LetterFilter) -> Result<Page<DeadLetter>, StoreError> {
        self.read_letters(filter).await
    }

    async fn letter_replayed(&self, id: EventId, became: serde_json::Value) -> Result<(), StoreError> {
        self.note_replayed(id, became).await
    }
}

#[async_trait]
impl StoreReader for SqliteStore {
    async fn investigation(&self, id: InvestigationId) -> Result<Option<View>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT view FROM investigations WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable(&self.path, "read an investigation"))?;
        row.map(|(json,)| from_json(&self.path, "an investigation", &json)).transpose()
    }

    async fn investigations(&self, filter: &InvestigationFilter) -> Result<Page<View>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT view FROM investigations WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR risk = ?2) \
               AND (?3 IS NULL OR route = ?3) AND (?4 IS NULL OR subject = ?4) AND (?5 IS NULL OR id < ?5) \
               AND (?7 IS NULL OR closed_us IS NULL OR closed_us >= ?7) \
             ORDER BY id DESC LIMIT ?6",
        )
        .bind(&filter.state)
        .bind(&filter.risk)
        .bind(&filter.route)
        .bind(&filter.subject)
        .bind(&filter.cursor)
        .bind(i64::from(filter.limit) + 1)
        .bind(filter.not_closed_before.map(Timestamp::as_microsecond))
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "list investigations"))?;
        let items = rows
            .iter()
            .map(|(json,)| from_json(&self.path, "an investigation", json))
            .collect::<Result<Vec<View>, _>>()?;
        Ok(page(items, filter.limit, |item| item.id.clone()))
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalView>, StoreError> {
        self.read_approval(id).await
    }

    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Page<ApprovalView>, StoreError> {
        self.read_approvals(filter).await
    }

    async fn deeds_before(
        &self,
        but: ActionId,
        tool: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<DeedCounts, StoreError> {
        self.count_deeds(but, tool, target, now).await
    }

    async fn past_of(&self, thing: &str, window: SignedDuration, now: Timestamp) -> Result<Past, StoreError> {
        self.read_past(thing, window, now).await
    }

    async fn fared(&self, alert: &str, now: Timestamp) -> Result<Fared, StoreError> {
        self.read_fared(alert, now).await
    }

    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        // From the lists as well as from the entries: a chain that one of them lacks shows.
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT chain, seq, hash FROM (\
               SELECT id AS chain, seq, hash FROM investigations \
               UNION ALL \
               SELECT chain, seq, COALESCE(json_extract(json, '$.hash'), '') FROM entries AS last \
                WHERE (chain = 'system' OR NOT EXISTS (SELECT 1 FROM investigations WHERE id = chain)) \
                  AND seq = (SELECT MAX(seq) FROM entries WHERE chain = last.chain)) \
             WHERE chain > ? ORDER BY chain LIMIT ?",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "list chains"))?;
        let head = |(chain, seq, hash): (String, i64, String)| {
            let hash = parse::<Digest>(&self.path, "the head of a chain", &hash)?;
            Ok((chain, Head { seq: u64::try_from(seq).unwrap_or(0), hash }))
        };
        rows.into_iter().map(head).collect()
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let (events, investigations, open, signals): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM investigations), \
                    (SELECT COUNT(*) FROM investigations WHERE state <> 'closed'), (SELECT COUNT(*) FROM signals)",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable(&self.path, "count"))?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Counts {
            events: count(events),
            investigations: count(investigations),
            open: count(open),
            signals: count(signals),
        })
    }

    async fn begun(&self) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
        self.read_begun().await
    }

    async fn usage(&self, filter: &UsageFilter) -> Result<Usage, StoreError> {
        self.read_usage(filter).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.ping().await
    }
}
