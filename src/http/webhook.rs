//! Bodies come in: size, credential, mapping, one durable commit, and only then an answer.

use super::{Problem, SERVICE, Web, api, body};
use crate::domain::{Digest, InvestigationId, Severity};
use crate::engine::intake::Receipt;
use crate::sources::clean::{beginning, clean_json};
use crate::sources::{AlertSource, Alertmanager, Mapping, Normalised, SourceError, read_json};
use crate::store::DeadLetter;
use crate::telemetry;
use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

/// Longest time that a sender may have us wait for reports.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// Waiting looks again so often even when nobody calls.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So much of a report stands in an answer.
const MAX_ANALYSIS: usize = 8 << 10;
/// So much of a body in which nothing was recognised is kept.
const MAX_LETTER: usize = 64 << 10;

/// `POST /webhook/alertmanager`, `/alertmanager`.
pub(super) async fn alertmanager(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, Problem> {
    receive(&web, &Alertmanager, &headers, body).await.map(Json)
}

/// What `/webhook/alert` answers beyond the receipt.
#[derive(Debug, Serialize)]
pub(super) struct Processed {
    #[serde(flatten)]
    receipt: Receipt,
    message: String,
    service: &'static str,
    results: Vec<Processing>,
}

#[derive(Debug, Serialize)]
struct Processing {
    alert_name: Option<String>,
    severity: Option<Severity>,
    analysis: Option<String>,
    thread_id: Option<InvestigationId>,
}

/// `POST /webhook/alert`; with `?wait=30` it answers when the reports are there or the seconds over.
pub(super) async fn alert(
    State(web): State<Arc<Web>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Processed>, Problem> {
    // Subscribed before the alerts are taken, so that no report is missed.
    let news = web.store.watch();
    let receipt = receive(&web, &Alertmanager, &headers, body).await?;
    let investigations: BTreeSet<InvestigationId> = receipt.rows.iter().filter_map(|row| row.job_id).collect();
    let analyses = match (wait(query.as_deref()), web.gates.waits.try_acquire()) {
        (Some(time), Ok(_place)) => reports(&web, investigations, time, news).await,
        (Some(_), Err(_)) | (None, _) => BTreeMap::new(),
    };
    let results = receipt.rows.iter().map(|row| Processing {
        alert_name: row.alert_name.clone(),
        severity: row.severity,
        analysis: row.job_id.and_then(|id| analyses.get(&id).cloned()),
        thread_id: row.job_id,
    });
    Ok(Json(Processed {
        message: format!("Processed {} alerts", receipt.counters.sum()),
        service: SERVICE,
        results: results.collect(),
        receipt,
    }))
}

/// The `wait` of a query. One that cannot be read is no reason to refuse alerts, and neither is any
/// other key: senders put their own into the address.
fn wait(query: Option<&str>) -> Option<Duration> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("wait="))?;
    match value.trim_end_matches('s').parse::<u64>() {
        Ok(0) => None,
        Ok(seconds) => Some(Duration::from_secs(seconds).min(MAX_WAIT)),
        Err(_) => {
            tracing::warn!(wait = beginning(value, 80), "`wait` is no number of seconds; not waiting");
            None
        }
    }
}

/// Takes in one body of `source` and counts what became of it.
async fn receive(
    web: &Arc<Web>,
    source: &'static dyn AlertSource,
    headers: &HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    let received = take_in(web, source, headers, body).await;
    match &received {
        Ok(receipt) => {
            for (outcome, alerts) in receipt.counters.by_outcome() {
                telemetry::alerts_accepted(source.name(), outcome.as_str(), alerts as u64);
            }
        }
        Err(problem) => telemetry::body_refused(problem.status.as_u16()),
    }
    received
}

async fn take_in(
    web: &Arc<Web>,
    source: &'static dyn AlertSource,
    headers: &HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    web.access.load().admit_delivery(source.name(), headers)?;
    let (bytes, _room) = body::read_with_room(&web.gates.bodies, body).await?;
    let size = bytes.len();
    let mapping = {
        let web = web.clone();
        tokio::task::spawn_blocking(move || map(&web, source, &bytes))
    };
    let normalised = match mapping.await.map_err(|_| Problem::internal())? {
        Ok(normalised) => normalised,
        Err((error, letter)) => {
            tracing::warn!(source = source.name(), bytes = size, %error, "a body was refused");
            if let Some(letter) = letter {
                web.store.dead_letter(letter).await?;
            }
            return Err(error.into());
        }
    };
    if normalised.truncated > 0 {
        tracing::warn!(source = source.name(), left_out = normalised.truncated, "the sender left alerts out");
    }
    let receipt = web.intake.accept(source.name(), normalised).await?;
    tracing::info!(
        source = source.name(),
        bytes = size,
        accepted = receipt.counters.accepted,
        merged = receipt.counters.merged,
        resolved = receipt.counters.resolved,
        ignored = receipt.counters.ignored,
        quarantined = receipt.counters.quarantined,
        "alerts taken in"
    );
    Ok(receipt)
}

/// Parses and maps a body; CPU only. What nothing can be made of comes with its letter.
fn map(web: &Web, source: &dyn AlertSource, bytes: &[u8]) -> Result<Normalised, (SourceError, Option<DeadLetter>)> {
    let redactor = web.redactor.load();
    let at = web.clock.now();
    let mapping = Mapping { at, entropy: &*web.entropy, redactor: &redactor, hmac_key: &web.hmac_key };
    let letter = |error: &SourceError, body: String| DeadLetter {
        digest: Digest::of(bytes),
        source: source.name().to_owned(),
        reason: error.to_string(),
        body: beginning(&body, MAX_LETTER).to_owned(),
        received_at: at,
        times: 1,
    };
    let as_text = || {
        // Twice the bound is redacted, so that no secret is cut in half before it is seen.
        let begin = bytes.get(..2 * MAX_LETTER).unwrap_or(bytes);
        redactor.text(&String::from_utf8_lossy(begin)).0.into_owned()
    };
    let value = read_json(bytes).map_err(|error| {
        let letter = letter(&error, as_text());
        (error, Some(letter))
    })?;
    source.normalise(&value, bytes, &mapping).map_err(|error| match error {
        SourceError::TooMany { .. } => (error, None),
        error => {
            let body = match bytes.len() <= 4 * MAX_LETTER {
                true => clean_json(&value, &redactor).to_string(),
                false => as_text(),
            };
            let letter = letter(&error, body);
            (error, Some(letter))
        }
    })
}

/// The reports of `wanted`, as far as they are there within `time`.
async fn reports(
    web: &Web,
    mut wanted: BTreeSet<InvestigationId>,
    time: Duration,
    mut news: Receiver<(String, u64)>,
) -> BTreeMap<InvestigationId, String> {
    let deadline = Instant::now() + time;
    let mut stopping = web.gates.stopping.subscribe();
    let mut found = BTreeMap::new();
    loop {
        for id in wanted.clone() {
            let view = web.store.investigation(id).await.ok().flatten();
            if view.is_some_and(|view| view.reported_at.is_some() || view.outcome.is_some()) {
                wanted.remove(&id);
                if let Ok(Some(report)) = api::last_report(&*web.store, id).await {
                    let text = (web.render_markdown)(&report.1);
                    found.insert(id, crate::sources::clean::cut(&text, MAX_ANALYSIS).into_owned());
                }
            }
        }
        if wanted.is_empty() || Instant::now() >= deadline || *stopping.borrow() {
            return found;
        }
        let names: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        let called = async {
            loop {
                match news.recv().await {
                    Ok((chain, _)) if names.contains(&chain) => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = called => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)) => {}
        }
    }
}
