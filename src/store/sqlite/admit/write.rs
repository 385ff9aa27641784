//! What a wave changes, as one script.

use super::super::append::{Guard, Script, push_blobs, push_entries};
use super::super::chain::{fresh_us, micros, to_json};
use super::super::writer::News;
use super::super::{StoreError, unavailable};
use super::decide::{Decided, Kept, Told};
use super::resource_key;
use crate::domain::{AlertStatus, SreEvent, is_down};
use crate::journal::{Entry, Head, Investigation, View};
use crate::store::{Blob, Fate, opening_draft};
use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;
use std::path::Path;

/// Rows of one statement.
const ROWS: usize = 64;
/// Who was woken by alerts that joined is not woken by others until then: in a storm many join one by one.
const GATHER: SignedDuration = SignedDuration::from_secs(1);

pub(super) async fn write(
    tx: &mut SqliteConnection,
    path: &Path,
    decided: Decided,
    news: &mut News,
) -> Result<(), StoreError> {
    let Decided { mut kept, ended, told, storm, .. } = decided;
    if kept.is_empty() && ended.is_empty() && told.is_empty() {
        return Ok(());
    }
    let mut script = Script::default();
    let raws = kept.iter_mut().map(|Kept { arrival, .. }| Blob {
        reference: arrival.raw.reference.clone(),
        salt: arrival.raw.salt,
        bytes: std::mem::take(&mut arrival.raw.bytes),
    });
    push_blobs(&mut script, raws.collect());
    push_events(&mut script, path, &kept)?;
    push_openings(&mut script, path, &kept, news)?;
    push_ends(&mut script, path, &ended)?;
    push_signals(&mut script, path, &told)?;
    if let Some((id, at)) = storm {
        script.push("UPDATE investigations SET joined_us = ").push_bind(at.as_microsecond());
        script.push(" WHERE id = ").push_bind(id.to_string()).push("; ");
    }
    news.work |= !told.is_empty();
    // Its text is as long as the wave: not one to keep prepared.
    script.build().persistent(false).execute(tx).await.map(drop).map_err(unavailable(path, "keep alerts"))
}

fn push_events(script: &mut Script, path: &Path, kept: &[Kept]) -> Result<(), StoreError> {
    for kept in kept.chunks(ROWS) {
        script.push(
            "INSERT INTO events (id, delivery, source, fingerprint, subject, severity, status, fate, investigation, \
             received_us, seen_us, json, thing, down, starts_us) VALUES ",
        );
        for (n, kept) in kept.iter().enumerate() {
            let event = &kept.arrival.event;
            let at_us = event.received_at.as_microsecond();
            script.push(if n == 0 { "(" } else { ", (" });
            let mut row = script.separated(", ");
            row.push_bind(event.id.to_string());
            row.push_bind(kept.delivery.as_str().to_owned());
            row.push_bind(event.source.clone());
            row.push_bind(event.fingerprint.clone());
            row.push_bind(event.subject.clone());
            row.push_bind(event.severity.as_str());
            row.push_bind(event.status.as_str());
            row.push_bind(kept.fate.as_str());
            row.push_bind(kept.investigation.map(|id| id.to_string()));
            row.push_bind(at_us).push_bind(at_us);
            row.push_bind(to_json(path, "an alert", event)?);
            row.push_bind(event.thing()).push_bind(is_down(event)).push_bind(event.starts_at.as_microsecond());
            script.push(")");
        }
        script.push("; ");
    }
    Ok(())
}

/// The investigations that are opened: the first entry of each chain, and the row that lists read.
fn push_openings(script: &mut Script, path: &Path, kept: &[Kept], news: &mut News) -> Result<(), StoreError> {
    let opening: Vec<&Kept> = kept.iter().filter(|kept| kept.fate == Fate::Opened).collect();
    for opening in opening.chunks(ROWS) {
        let opened = opening.iter().map(|kept| open(path, kept)).collect::<Result<Vec<_>, _>>()?;
        let (entries, views): (Vec<Entry>, Vec<View>) = opened.into_iter().unzip();
        push_entries(script, path, &entries, Guard::None)?;
        script.push(
            "INSERT INTO investigations (id, correlation_key, resource_key, route, subject, state, seq, hash, view, \
             wants_work, due_us, alert, severity, opened_us, joined_us, kin_key) VALUES ",
        );
        for (n, (kept, (entry, view))) in opening.iter().zip(entries.iter().zip(views)).enumerate() {
            script.push(if n == 0 { "(" } else { ", (" });
            let mut row = script.separated(", ");
            row.push_bind(entry.chain.clone());
            row.push_bind(kept.arrival.correlation_key.clone());
            row.push_bind(resource_key(&kept.arrival.event).filter(|_| !kept.storm));
            row.push_bind(kept.arrival.route.clone());
            row.push_bind(view.subject.clone());
            row.push_bind(view.state.clone());
            row.push_bind(1_i64);
            row.push_bind(entry.hash.as_str().to_owned());
            row.push_bind(to_json(path, "an investigation", &view)?);
            row.push_bind(1_i64);
            row.push_bind(fresh_us(kept.at));
            row.push_bind(view.alert.clone());
            row.push_bind(kept.arrival.event.severity.as_str());
            row.push_bind(kept.at.as_microsecond()).push_bind(kept.at.as_microsecond());
            row.push_bind(kept.arrival.kin.as_ref().filter(|_| !kept.storm).map(|kin| kin.own.clone()));
            script.push(")");
            if kept.storm {
                tracing::warn!(
                    investigation = %entry.chain,
                    "a storm: more causes came than `intake.storm.max_open` allows; the rest joins this investigation"
                );
            }
            news.grown.push((entry.chain.clone(), 1));
            news.work = true;
        }
        script.push("; ");
    }
    Ok(())
}

fn open(path: &Path, kept: &Kept) -> Result<(Entry, View), StoreError> {
    let id = kept.arrival.candidate.to_string();
    let corrupt = |why: String| StoreError::Corrupt {
        what: format!("the opening of {id}"),
        place: path.display().to_string(),
        why,
    };
    let draft = opening_draft(&kept.arrival);
    let entry = Head::genesis(&id).seal(&id, kept.at, draft).map_err(|e| corrupt(e.to_string()))?;
    let mut state = Investigation::empty(&id);
    state.apply(&entry).map_err(|e| corrupt(e.to_string()))?;
    let view = View::of(&state).ok_or_else(|| corrupt("it shows nothing".into()))?;
    Ok((entry, view))
}

fn push_ends(script: &mut Script, path: &Path, ended: &[(SreEvent, Timestamp)]) -> Result<(), StoreError> {
    if ended.is_empty() {
        return Ok(());
    }
    let rows = ended
        .iter()
        .map(|(event, at)| Ok((event.id.to_string(), to_json(path, "an alert", event)?, at.as_microsecond())));
    let rows: Vec<(String, String, i64)> = rows.collect::<Result<_, StoreError>>()?;
    script.push("UPDATE events SET status = ").push_bind(AlertStatus::Resolved.as_str());
    script
        .push(", json = j.value ->> 1, ended_us = j.value ->> 2 FROM json_each(")
        .push_bind(to_json(path, "alerts", &rows)?);
    script.push(") AS j WHERE events.id = j.value ->> 0; ");
    Ok(())
}

/// Wakes who is told something, who was woken just now a little later: what joins meanwhile is told at once.
/// What was given up hears of nothing any more.
fn push_signals(script: &mut Script, path: &Path, told: &[Told]) -> Result<(), StoreError> {
    let Some(last) = told.last() else { return Ok(()) };
    let rows = told.iter().map(|told| {
        let signal = to_json(path, "a signal", &told.signal)?;
        let joined = told.signal.joined();
        Ok((told.investigation.to_string(), told.sender.as_str(), signal, told.at.as_microsecond(), joined))
    });
    let rows: Vec<(String, &str, String, i64, usize)> = rows.collect::<Result<_, StoreError>>()?;
    let rows = to_json(path, "signals", &rows)?;
    let (now_us, gather_us) = (last.at.as_microsecond(), micros(GATHER));
    // Those that are told something, with how many alerts join, and when it is to hear of them.
    script.push("WITH told (id, joined) AS (SELECT value ->> 0, sum(value ->> 4) FROM json_each(");
    script.push_bind(rows.clone()).push(") GROUP BY 1), woken (id, joined, at_us) AS (SELECT told.id, joined, CASE ");
    script.push("WHEN woken_us BETWEEN ").push_bind(now_us + 1).push(" AND ").push_bind(now_us + gather_us);
    script
        .push(" THEN woken_us WHEN woken_us BETWEEN ")
        .push_bind(now_us - gather_us + 1)
        .push(" AND ")
        .push_bind(now_us);
    script.push(" THEN woken_us + ").push_bind(gather_us).push(" ELSE ").push_bind(now_us);
    script.push(" END FROM told JOIN investigations AS i ON i.id = told.id WHERE abandoned = 0) ");
    // What waits already keeps its age, and what stands in line its place.
    script.push("UPDATE investigations SET wants_work = 1, alerts = alerts + joined, woken_us = at_us, ");
    script
        .push("in_line = in_line = 1 AND at_us > ")
        .push_bind(now_us)
        .push(", look_us = CASE WHEN in_line = 1 AND at_us > ");
    script.push_bind(now_us).push(" THEN min(coalesce(look_us, at_us), at_us) ELSE look_us END, ");
    script.push("due_us = min(CASE wants_work WHEN 1 THEN due_us ELSE at_us END, CASE WHEN at_us > ");
    script.push_bind(now_us).push(" THEN at_us ELSE ").push_bind(fresh_us(last.at)).push(" END) ");
    script.push("FROM woken WHERE investigations.id = woken.id; ");
    script.push("INSERT INTO signals (investigation, sender, json, at_us) ");
    script.push("SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3 FROM json_each(").push_bind(rows);
    script.push(") AS j JOIN investigations AS i ON i.id = j.value ->> 0 WHERE i.abandoned = 0 ORDER BY j.key; ");
    Ok(())
}
