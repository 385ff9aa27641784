//! The paths that senders call; [`super::taking`] does what they ask for.

use super::taking::{Whose, receive};
use super::{Problem, SERVICE, Web, api};
use crate::domain::{InvestigationId, Severity};
use crate::engine::intake::Receipt;
use crate::sources::clean::beginning;
use crate::sources::{Alertmanager, Generic, sender_name};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
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
/// Bodies that a sender of CloudEvents is told to send at most in a minute.
const RATE: &str = "120";

/// `POST /alertmanager`.
pub(super) async fn alertmanager(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, Problem> {
    receive(&web, Whose::Of(Arc::new(Alertmanager)), &headers, body).await.map(Json)
}

/// `POST /webhook/{name}`: the sender of that name. `generic` and `portainer` may say in the query who
/// they are.
pub(super) async fn named(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, Problem> {
    let known = web.senders.named(&name);
    let whose = match (known, hint(query.as_deref(), &headers)) {
        (Some(known), Some(hint)) if known.kind() == "generic" && web.senders.named(&hint).is_none() => {
            Whose::Of(Arc::new(Generic::named(&hint)))
        }
        (Some(known), _) => Whose::Of(known),
        (None, _) => Whose::Unknown(name),
    };
    receive(&web, whose, &headers, body).await.map(Json)
}

/// `POST /api/fleet/events`: whoever's shape the body has.
pub(super) async fn fleet(
    State(web): State<Arc<Web>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, Problem> {
    receive(&web, Whose::Any { hint: hint(query.as_deref(), &headers) }, &headers, body).await.map(Json)
}

/// `OPTIONS` of the paths that take CloudEvents: the handshake of their webhook specification. It promises
/// nothing that the credential does not.
pub(super) async fn handshake(headers: HeaderMap) -> Response {
    let origin = headers.get("webhook-request-origin").filter(|origin| origin.len() <= 256);
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    answer.insert("allow", HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = origin {
        answer.insert("webhook-allowed-origin", origin.clone());
        answer.insert("webhook-allowed-rate", HeaderValue::from_static(RATE));
    }
    response
}

/// Who a sender says that it is: `?source=`, else `X-Event-Source`.
fn hint(query: Option<&str>, headers: &HeaderMap) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let asked = pairs.into_owned().find(|(key, _)| key == "source").map(|(_, value)| value);
    let said = || headers.get("x-event-source").and_then(|value| value.to_str().ok()).map(str::to_owned);
    asked.or_else(said).and_then(|hint| sender_name(&hint))
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
    let receipt = receive(&web, Whose::Of(Arc::new(Alertmanager)), &headers, body).await?;
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
