//! What was spent, counted from entries as they are written, and read as sums.

use super::chain::{number, parse};
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{Reservation, Rung};
use crate::journal::{Actor, Body, Entry, chain::SYSTEM, reserved_of};
use crate::store::{Figures, OpenRequest, Usage, UsageFilter, UsageRow, day_of};
use jiff::civil::Date;
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// Set once everything that was written before this table existed has been counted.
const COUNTED: &str = "usage_counted";
/// Entries that are read at once when the past is counted.
const PAGE: i64 = 1_000;

/// Whether entries are counted as they are written, or from before anybody counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    Now,
    /// No rung was journaled then: what was opened is what began.
    Past,
}

type Sums = BTreeMap<(String, String, String), Figures>;

/// Counts what `entries` of one investigation on `route` tell of spending.
pub(super) async fn count(
    tx: &mut SqliteConnection,
    path: &Path,
    route: &str,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let mut sums = Sums::new();
    for entry in entries {
        count_one(tx, path, route, entry, Era::Now, &mut sums).await?;
    }
    write(tx, path, sums).await
}

async fn count_one(
    tx: &mut SqliteConnection,
    path: &Path,
    route: &str,
    entry: &Entry,
    era: Era,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    let today = day_of(entry.at).to_string();
    let mut add = |day: &str, route: &str, model: &str, figures: Figures| {
        sums.entry((day.to_owned(), route.to_owned(), model.to_owned())).or_default().add(&figures);
    };
    let began = |with_model| Figures { investigations: 1, with_model: u64::from(with_model), ..Figures::default() };
    match &entry.body {
        Body::LadderTaken { revision: 1, from: None, rung, .. } => {
            add(&today, route, "", began(*rung <= Rung::Cheap));
        }
        Body::Opened(frozen) if era == Era::Past => add(&today, route, "", began(frozen.model.is_some())),
        Body::ModelAsked { model, reserved_tokens, reserved_usd, max_tokens, .. }
        | Body::SummaryAsked { model, reserved_tokens, reserved_usd, max_tokens, .. } => {
            // One that was never settled stays charged: whoever asked did not live to tell.
            if let Some(lost) = settle(tx, path, &entry.chain).await? {
                add(&lost.day, &lost.route, &lost.model, Figures::reserved(&lost.reserved));
            }
            let reserved = reserved_of(*reserved_tokens, *reserved_usd, *max_tokens);
            if open(tx, path, route, model, &today, entry, &reserved).await? {
                add(&today, route, model, Figures { investigations: 1, ..Figures::default() });
            }
        }
        Body::ModelReplied { usage, cost_usd, .. } | Body::SummaryWritten { usage, cost_usd, .. } => {
            if let Some(asked) = settle(tx, path, &entry.chain).await? {
                let figures = Figures {
                    // A summary is no turn of the conversation.
                    turns: u64::from(matches!(entry.body, Body::ModelReplied { .. })),
                    tokens_in: usage.tokens_in,
                    tokens_cached: usage.tokens_cached,
                    tokens_out: usage.tokens_out,
                    cost_usd: *cost_usd,
                    ..Figures::default()
                };
                add(&asked.day, &asked.route, &asked.model, figures);
            }
        }
        Body::ModelFailed { charged, .. } | Body::SummaryFailed { charged, .. } => {
            if let Some(asked) = settle(tx, path, &entry.chain).await?
                && *charged
            {
                add(&asked.day, &asked.route, &asked.model, Figures::reserved(&asked.reserved));
            }
        }
        Body::ReadStarted { .. } => {
            let model = match entry.actor {
                Actor::Model(_) => last_asked(tx, path, &entry.chain).await?.unwrap_or_default(),
                Actor::Engine | Actor::Survey | Actor::Sender(_) | Actor::Person(_) | Actor::Playbook(_) => {
                    String::new()
                }
            };
            add(&today, route, &model, Figures { tool_calls: 1, ..Figures::default() });
        }
        _ => {}
    }
    Ok(())
}

/// A request, as it is kept.
struct Asked {
    day: String,
    route: String,
    model: String,
    reserved: Reservation,
}

type RequestRow = (String, String, String, i64, i64, f64);

fn asked((day, route, model, tokens_in, tokens_out, cost_usd): RequestRow) -> Asked {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let reserved = Reservation { tokens_in: count(tokens_in), tokens_out: count(tokens_out), cost_usd };
    Asked { day, route, model, reserved }
}

/// Closes the open request of an investigation, if it has one, and says which it was.
async fn settle(tx: &mut SqliteConnection, path: &Path, chain: &str) -> Result<Option<Asked>, StoreError> {
    let row: Option<RequestRow> = sqlx::query_as(
        "UPDATE model_requests SET open = 0 WHERE investigation = ? AND open = 1 \
         RETURNING day, route, model, tokens_in, tokens_out, cost_usd",
    )
    .bind(chain)
    .fetch_optional(tx)
    .await
    .map_err(unavailable(path, "settle what a model costs"))?;
    Ok(row.map(asked))
}

/// Keeps a request as open. Answers whether it is the investigation's first to this model.
async fn open(
    tx: &mut SqliteConnection,
    path: &Path,
    route: &str,
    model: &str,
    day: &str,
    entry: &Entry,
    reserved: &Reservation,
) -> Result<bool, StoreError> {
    let failed = unavailable(path, "reserve what a model may cost");
    let known = sqlx::query(
        "UPDATE model_requests SET seq = ?1, day = ?2, route = ?3, open = 1, tokens_in = ?4, tokens_out = ?5, \
         cost_usd = ?6 WHERE investigation = ?7 AND model = ?8",
    )
    .bind(number(entry.seq))
    .bind(day)
    .bind(route)
    .bind(number(reserved.tokens_in))
    .bind(number(reserved.tokens_out))
    .bind(reserved.cost_usd)
    .bind(&entry.chain)
    .bind(model)
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    if known.rows_affected() > 0 {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO model_requests (investigation, model, seq, day, route, open, tokens_in, tokens_out, cost_usd) \
         VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
    )
    .bind(&entry.chain)
    .bind(model)
    .bind(number(entry.seq))
    .bind(day)
    .bind(route)
    .bind(number(reserved.tokens_in))
    .bind(number(reserved.tokens_out))
    .bind(reserved.cost_usd)
    .execute(tx)
    .await
    .map_err(&failed)?;
    Ok(true)
}

/// The configured name of the model that an investigation asked last.
async fn last_asked(tx: &mut SqliteConnection, path: &Path, chain: &str) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT model FROM model_requests WHERE investigation = ? ORDER BY seq DESC LIMIT 1")
            .bind(chain)
            .fetch_optional(tx)
            .await
            .map_err(unavailable(path, "look for a model"))?;
    Ok(row.map(|(model,)| model))
}

async fn write(tx: &mut SqliteConnection, path: &Path, sums: Sums) -> Result<(), StoreError> {
    for ((day, route, model), f) in sums {
        sqlx::query(
            "INSERT INTO usage (day, route, model, investigations, with_model, turns, tool_calls, tokens_in, \
               tokens_cached, tokens_out, cost_usd) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (day, route, model) DO UPDATE SET investigations = investigations + ?4, \
               with_model = with_model + ?5, turns = turns + ?6, tool_calls = tool_calls + ?7, \
               tokens_in = tokens_in + ?8, tokens_cached = tokens_cached + ?9, tokens_out = tokens_out + ?10, \
               cost_usd = cost_usd + ?11",
        )
        .bind(day)
        .bind(route)
        .bind(model)
        .bind(number(f.investigations))
        .bind(number(f.with_model))
        .bind(number(f.turns))
        .bind(number(f.tool_calls))
        .bind(number(f.tokens_in))
        .bind(number(f.tokens_cached))
        .bind(number(f.tokens_out))
        .bind(f.cost_usd)
        .execute(&mut *tx)
        .await
        .map_err(unavailable(path, "count what was spent"))?;
    }
    Ok(())
}

/// Counts, once, what was written before anybody counted.
pub(super) async fn count_the_past(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let failed = unavailable(path, "count what was spent before");
    let mut tx = connection.begin().await.map_err(&failed)?;
    let new = sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES (?, x'01')").bind(COUNTED);
    if new.execute(&mut *tx).await.map_err(&failed)?.rows_affected() == 0 {
        return Ok(());
    }
    let (mut chain, mut seq) = (String::new(), 0_i64);
    let mut sums = Sums::new();
    loop {
        let page: Vec<(String, i64, String, String)> = sqlx::query_as(
            "SELECT e.chain, e.seq, i.route, e.json FROM entries AS e JOIN investigations AS i ON i.id = e.chain \
             WHERE (e.chain, e.seq) > (?, ?) AND e.chain <> ? AND json_extract(e.json, '$.body.type') \
               IN ('LadderTaken', 'Opened', 'ModelAsked', 'ModelReplied', 'ModelFailed', 'ReadStarted') \
             ORDER BY e.chain, e.seq LIMIT ?",
        )
        .bind(&chain)
        .bind(seq)
        .bind(SYSTEM)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        let Some((last_chain, last_seq, _, _)) = page.last() else { break };
        (chain, seq) = (last_chain.clone(), *last_seq);
        for (chain, seq, route, json) in &page {
            match serde_json::from_str::<Entry>(json) {
                Ok(entry) => count_one(&mut tx, path, route, &entry, Era::Past, &mut sums).await?,
                // Verification says more; what can be counted is.
                Err(error) => tracing::warn!(chain, seq, %error, "an entry cannot be read and is not counted"),
            }
        }
    }
    write(&mut tx, path, sums).await?;
    tx.commit().await.map_err(&failed)
}

type SumsRow = (String, String, String, i64, i64, i64, i64, i64, i64, i64, f64);

impl SqliteStore {
    pub(super) async fn read_usage(&self, filter: &UsageFilter) -> Result<Usage, StoreError> {
        let failed = unavailable(&self.path, "read what was spent");
        // One snapshot for both: a request is either open or counted.
        let mut tx = self.readers.begin().await.map_err(&failed)?;
        let (from, to) = (filter.from.to_string(), filter.to.to_string());
        let rows: Vec<SumsRow> = sqlx::query_as(
            "SELECT day, route, model, investigations, with_model, turns, tool_calls, tokens_in, tokens_cached, \
               tokens_out, cost_usd FROM usage WHERE day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR route = ?3) \
               AND (?4 IS NULL OR model = ?4) ORDER BY day, route, model",
        )
        .bind(&from)
        .bind(&to)
        .bind(&filter.route)
        .bind(&filter.model)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        let open: Vec<(String, String, String, String, i64, i64, f64)> = sqlx::query_as(
            "SELECT investigation, day, route, model, tokens_in, tokens_out, cost_usd FROM model_requests \
             WHERE open = 1 AND day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR route = ?3) AND (?4 IS NULL OR model = ?4)",
        )
        .bind(&from)
        .bind(&to)
        .bind(&filter.route)
        .bind(&filter.model)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        let rows = rows.into_iter().map(|row| self.usage_row(row)).collect::<Result<_, _>>()?;
        let open = open.into_iter().map(|(investigation, day, route, model, tokens_in, tokens_out, cost_usd)| {
            let Asked { day, route, model, reserved } = asked((day, route, model, tokens_in, tokens_out, cost_usd));
            Ok(OpenRequest {
                investigation: parse(&self.path, "an investigation's id", &investigation)?,
                day: parse(&self.path, "a day", &day)?,
                route,
                model,
                reserved,
            })
        });
        Ok(Usage { rows, open: open.collect::<Result<_, StoreError>>()? })
    }

    fn usage_row(&self, row: SumsRow) -> Result<UsageRow, StoreError> {
        let (day, route, model, investigations, with_model, turns, tool_calls, sent, cached, received, cost_usd) = row;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(UsageRow {
            day: parse::<Date>(&self.path, "a day", &day)?,
            route,
            model: Some(model).filter(|model| !model.is_empty()),
            figures: Figures {
                investigations: count(investigations),
                with_model: count(with_model),
                turns: count(turns),
                tool_calls: count(tool_calls),
                tokens_in: count(sent),
                tokens_cached: count(cached),
                tokens_out: count(received),
                cost_usd,
            },
        })
    }
}
