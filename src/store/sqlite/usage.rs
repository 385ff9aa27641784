//! What was spent, counted from entries as they are written, and read as sums.

use super::append::Script;
use super::chain::{number, parse};
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{Reservation, Rung};
use crate::journal::{Actor, Body, Entry, SummaryReply, chain::SYSTEM, reserved_of};
use crate::store::{Figures, OpenRequest, Usage, UsageFilter, UsageRow, day_of};
use jiff::civil::Date;
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// Set once everything that was written before this table existed has been counted.
const COUNTED: &str = "usage_counted";
/// Entries that are read at once when the past is counted.
const PAGE: i64 = 1_000;
/// Entries that are counted by one script when the past is.
const SCRIPT: usize = 50;

/// Whether entries are counted as they are written, or from before anybody counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Now,
    /// No rung was journaled then: what was opened is what began.
    Past,
}

/// Adds to a script what counts what `entries` tell of spending.
pub(super) fn count(script: &mut Script, entries: &[Entry], era: Era) {
    for alike in entries.chunk_by(counts_with) {
        let Some(entry) = alike.first() else { continue };
        count_alike(script, entry, alike.len(), era);
    }
}

/// Whether two calls in a row count as one sum.
fn counts_with(one: &Entry, other: &Entry) -> bool {
    let read = |entry: &Entry| match (&entry.body, &entry.actor) {
        (Body::ReadStarted { .. }, Actor::Model(_)) => Some(true),
        (Body::ReadStarted { .. }, _) => Some(false),
        _ => None,
    };
    let same = (&one.chain, day_of(one.at), read(one)) == (&other.chain, day_of(other.at), read(other));
    same && read(one).is_some()
}

fn count_alike(script: &mut Script, entry: &Entry, times: usize, era: Era) {
    let began = |with_model| Figures { investigations: 1, with_model: u64::from(with_model), ..Figures::default() };
    match &entry.body {
        // A notice looks into nothing. What goes on from one begins then.
        Body::LadderTaken { revision, from: None, rung, .. } if *rung < Rung::Notice => {
            let model = if *revision == 1 { Model::None } else { Model::NotBegun };
            add(script, entry, model, &began(*rung <= Rung::Cheap));
        }
        Body::Opened(frozen) if era == Era::Past => add(script, entry, Model::None, &began(frozen.model.is_some())),
        Body::ModelAsked { model, reserved_tokens, reserved_usd, max_tokens, .. }
        | Body::SummaryAsked { model, reserved_tokens, reserved_usd, max_tokens, .. } => {
            // One that was never settled stays charged: whoever asked did not live to tell.
            add_to_open(script, entry, Cost::Reserved);
            settle(script, entry);
            let asked = Figures { investigations: 1, ..Figures::default() };
            add(script, entry, Model::NeverAsked(model), &asked);
            open(script, entry, model, &reserved_of(*reserved_tokens, *reserved_usd, *max_tokens));
        }
        Body::ModelReplied { usage, cost_usd, .. } | Body::SummaryWritten(SummaryReply { usage, cost_usd, .. }) => {
            let figures = Figures {
                // A summary is no turn of the conversation.
                turns: u64::from(matches!(entry.body, Body::ModelReplied { .. })),
                tokens_in: usage.tokens_in,
                tokens_cached: usage.tokens_cached,
                tokens_out: usage.tokens_out,
                cost_usd: *cost_usd,
                ..Figures::default()
            };
            add_to_open(script, entry, Cost::Of(&figures));
            settle(script, entry);
        }
        Body::ModelFailed { charged, .. } | Body::SummaryFailed { charged, .. } => {
            if *charged {
                add_to_open(script, entry, Cost::Reserved);
            }
            settle(script, entry);
        }
        Body::ReadStarted { .. } => {
            let model = match entry.actor {
                Actor::Model(_) => Model::LastAsked,
                Actor::Engine | Actor::Survey | Actor::Sender(_) | Actor::Person(_) | Actor::Playbook(_) => Model::None,
            };
            add(script, entry, model, &Figures { tool_calls: times as u64, ..Figures::default() });
        }
        _ => {}
    }
}

/// Whose a sum is.
#[derive(Debug, Clone, Copy)]
enum Model<'a> {
    /// No model's.
    None,
    /// No model's, if the investigation did not begin before.
    NotBegun,
    /// This model's, if the investigation never asked it before.
    NeverAsked(&'a str),
    /// The one's that the investigation asked last.
    LastAsked,
}

const INSERT: &str = "INSERT INTO usage (day, route, model, investigations, with_model, turns, tool_calls, tokens_in, \
     tokens_cached, tokens_out, cost_usd) SELECT ";
const OR_ADD: &str = " ON CONFLICT (day, route, model) DO UPDATE SET \
     investigations = investigations + excluded.investigations, with_model = with_model + excluded.with_model, \
     turns = turns + excluded.turns, tool_calls = tool_calls + excluded.tool_calls, \
     tokens_in = tokens_in + excluded.tokens_in, tokens_cached = tokens_cached + excluded.tokens_cached, \
     tokens_out = tokens_out + excluded.tokens_out, cost_usd = cost_usd + excluded.cost_usd; ";

/// Adds `figures` to the sums of the entry's day and route.
fn add(script: &mut Script, entry: &Entry, model: Model<'_>, figures: &Figures) {
    script.push(INSERT).push_bind(day_of(entry.at).to_string()).push(", ");
    push_route(script, entry);
    script.push(", ");
    match model {
        Model::None | Model::NotBegun => script.push("''"),
        Model::NeverAsked(model) => script.push_bind(model.to_owned()),
        Model::LastAsked => script
            .push("coalesce((SELECT model FROM model_requests WHERE investigation = ")
            .push_bind(entry.chain.clone())
            .push(" ORDER BY seq DESC LIMIT 1), '')"),
    };
    push_figures(script, figures);
    match model {
        Model::NeverAsked(model) => script
            .push(" WHERE NOT EXISTS (SELECT 1 FROM model_requests WHERE investigation = ")
            .push_bind(entry.chain.clone())
            .push(" AND model = ")
            .push_bind(model.to_owned())
            .push(")"),
        Model::NotBegun => script
            .push(" WHERE NOT EXISTS (SELECT 1 FROM entries WHERE chain = ")
            .push_bind(entry.chain.clone())
            .push(" AND seq < ")
            .push_bind(number(entry.seq))
            .push(" AND json_extract(json, '$.body.type') = 'LadderTaken' AND json_extract(json, '$.body.rung') <> ")
            .push_bind(Rung::Notice.as_str())
            .push(")"),
        // Without a condition the grammar takes what follows for one of a join.
        Model::None | Model::LastAsked => script.push(" WHERE true"),
    };
    script.push(OR_ADD);
}

/// What the open request of an investigation costs.
#[derive(Debug, Clone, Copy)]
enum Cost<'a> {
    /// What was set aside for it.
    Reserved,
    /// What it turned out to be.
    Of(&'a Figures),
}

/// Adds to the sums to which the investigation's open request belongs, if it has one.
fn add_to_open(script: &mut Script, entry: &Entry, cost: Cost<'_>) {
    script.push(INSERT).push("day, route, model");
    match cost {
        Cost::Reserved => drop(script.push(", 0, 0, 0, 0, tokens_in, 0, tokens_out, cost_usd")),
        Cost::Of(figures) => push_figures(script, figures),
    }
    script.push(" FROM model_requests WHERE investigation = ").push_bind(entry.chain.clone());
    script.push(" AND open = 1").push(OR_ADD);
}

fn push_figures(script: &mut Script, figures: &Figures) {
    let Figures { investigations, with_model, turns, tool_calls, tokens_in, tokens_cached, tokens_out, cost_usd } =
        *figures;
    for count in [investigations, with_model, turns, tool_calls, tokens_in, tokens_cached, tokens_out] {
        script.push(", ").push_bind(number(count));
    }
    script.push(", ").push_bind(cost_usd);
}

fn push_route(script: &mut Script, entry: &Entry) {
    script.push("(SELECT route FROM investigations WHERE id = ").push_bind(entry.chain.clone()).push(")");
}

/// Closes the open request of an investigation, if it has one.
fn settle(script: &mut Script, entry: &Entry) {
    script.push("UPDATE model_requests SET open = 0 WHERE investigation = ").push_bind(entry.chain.clone());
    script.push(" AND open = 1; ");
}

/// Keeps a request as open.
fn open(script: &mut Script, entry: &Entry, model: &str, reserved: &Reservation) {
    script
        .push("INSERT INTO model_requests (investigation, model, seq, day, route, open, tokens_in, tokens_out, cost_usd) VALUES (")
        .push_bind(entry.chain.clone())
        .push(", ")
        .push_bind(model.to_owned())
        .push(", ")
        .push_bind(number(entry.seq))
        .push(", ")
        .push_bind(day_of(entry.at).to_string())
        .push(", ");
    push_route(script, entry);
    script.push(", 1, ").push_bind(number(reserved.tokens_in)).push(", ").push_bind(number(reserved.tokens_out));
    script.push(", ").push_bind(reserved.cost_usd).push(
        ") ON CONFLICT (investigation, model) DO UPDATE SET seq = excluded.seq, day = excluded.day, \
         route = excluded.route, open = 1, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out, \
         cost_usd = excluded.cost_usd; ",
    );
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
    loop {
        let page: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT e.chain, e.seq, e.json FROM entries AS e JOIN investigations AS i ON i.id = e.chain \
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
        let Some((last_chain, last_seq, _)) = page.last() else { break };
        (chain, seq) = (last_chain.clone(), *last_seq);
        let read = page.iter().filter_map(|(chain, seq, json)| match serde_json::from_str::<Entry>(json) {
            Ok(entry) => Some(entry),
            // Verification says more; what can be counted is.
            Err(error) => {
                tracing::warn!(chain, seq, %error, "an entry cannot be read and is not counted");
                None
            }
        });
        for entries in read.collect::<Vec<Entry>>().chunks(SCRIPT) {
            let mut script = Script::default();
            count(&mut script, entries, Era::Past);
            script.build().persistent(false).execute(&mut *tx).await.map_err(&failed)?;
        }
    }
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
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            Ok(OpenRequest {
                investigation: parse(&self.path, "an investigation's id", &investigation)?,
                day: parse(&self.path, "a day", &day)?,
                route,
                model,
                reserved: Reservation { tokens_in: count(tokens_in), tokens_out: count(tokens_out), cost_usd },
            })
        });
        Ok(Usage { rows, open: open.collect::<Result<_, StoreError>>()? })
    }

    pub(super) async fn read_begun(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT route, sum(investigations) FROM usage WHERE model = '' GROUP BY route")
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable(&self.path, "count what began"))?;
        Ok(rows.into_iter().map(|(route, count)| (route, u64::try_from(count).unwrap_or(0))).collect())
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
