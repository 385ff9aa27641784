//! What came in, and what was done with it. Everything is read from the store; the only change that
//! is made here is a durable signal.

use super::params::Params;
use super::{Operator, Problem, Viewer, Web, body, letters};
use crate::domain::{BlobRef, EventId, InvestigationId, Report, Risk, Severity};
use crate::engine::transcript::{self, Transcript};
use crate::journal::{Body, Entry, Remediation, View};
use crate::store::{
    EventFilter, Fate, InvestigationFilter, LetterFilter, Page, Signal, Store, StoreError, StoredEvent,
};
use crate::template::fence::visible;
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: u32 = 500;
/// What a report may do as a page: be read.
const PAGE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";
/// Payloads of one transcript answer, in bytes; what is beyond is left out and says so.
const MAX_TRANSCRIPT: usize = 16 << 20;
const MAX_CANCEL_BODY: usize = 64 << 10;
const MAX_REASON: usize = 1_000;
const STATES: [&str; 6] = ["queued", "running", "waiting_approval", "verifying", "paused", "closed"];

pub(super) fn parse_id(text: &str) -> Result<InvestigationId, Problem> {
    text.parse().map_err(|error| Problem::not_found(format!("There is no such investigation: {error}.")))
}

pub(super) async fn view(web: &Web, id: InvestigationId) -> Result<View, Problem> {
    let found = web.store.investigation(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("There is no investigation {id}. See /api/v1/investigations.")))
}

/// `GET /api/v1/events`.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    _: Viewer,
    params: Params,
) -> Result<Json<Page<Value>>, Problem> {
    let params = params.only(&["subject", "source", "severity", "outcome", "since", "limit", "cursor"])?;
    let outcome = params.read::<Fate>("outcome", "opened, merged, resolved, ignored or quarantined")?;
    if outcome == Some(Fate::Quarantined) {
        // Of what could not be read nobody knows whom it concerns, nor how loud it is.
        if let Some(name) = ["subject", "severity"].into_iter().find(|name| params.text(name).is_some()) {
            return Err(Problem::bad_request(format!("What is quarantined has no `{name}`. Leave it out.")));
        }
        let filter = LetterFilter {
            source: params.text("source"),
            since: params.read("since", "an RFC 3339 time, 2026-01-31T12:00:00Z for instance")?,
            cursor: params.cursor::<EventId>("the `next_cursor` of a page of events")?,
            limit: params.limit()?,
        };
        return letters::page(&web, &filter).await.map(Json);
    }
    let filter = EventFilter {
        outcome,
        subject: params.text("subject"),
        source: params.text("source"),
        severity: params.read::<Severity>("severity", "info, warning, error or critical")?,
        since: params.read("since", "an RFC 3339 time, 2026-01-31T12:00:00Z for instance")?,
        cursor: params.cursor::<EventId>("the `next_cursor` of a page of events")?,
        limit: params.limit()?,
    };
    let page = web.store.events(&filter).await?;
    let mut views = BTreeMap::new();
    for id in page.items.iter().filter_map(|row| row.investigation) {
        if let std::collections::btree_map::Entry::Vacant(place) = views.entry(id) {
            place.insert(web.store.investigation(id).await?);
        }
    }
    let shown = page.items.iter().map(|row| {
        let view = row.investigation.and_then(|id| views.get(&id)).and_then(Option::as_ref);
        event_json(row, view)
    });
    Ok(Json(Page { items: shown.collect(), next_cursor: page.next_cursor }))
}

/// `GET /api/v1/events/{id}`.
pub(super) async fn event(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, Problem> {
    params.only(&[])?;
    let id: EventId = id.parse().map_err(|error| Problem::not_found(format!("There is no such event: {error}.")))?;
    let Some(row) = web.store.event(id).await? else {
        let letter = letters::one(&web, id).await?;
        let none = || Problem::not_found(format!("There is no event {id}. See /api/v1/events."));
        return letter.map(Json).ok_or_else(none);
    };
    let view = match row.investigation {
        Some(investigation) => web.store.investigation(investigation).await?,
        None => None,
    };
    let mut answer = event_json(&row, view.as_ref());
    let mut log = Remediation::default();
    if let Some(investigation) = row.investigation {
        each_entry(&*web.store, investigation, |entry| log.note(entry)).await?;
    }
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("remediation_status".into(), log.status().into());
        fields.insert("remediation_log".into(), json!(log.steps().collect::<Vec<_>>()));
        fields.insert("raw".into(), payload(&web, &row.event.raw).await?);
    }
    Ok(Json(answer))
}

fn event_json(row: &StoredEvent, view: Option<&View>) -> Value {
    let event = &row.event;
    // Pending while somebody still has to judge; what belongs to no investigation waits for nobody.
    let pending = row.investigation.is_some() && view.is_none_or(|view| view.risk.is_none());
    json!({
        "id": event.id,
        "source": event.source,
        "severity": event.severity,
        "subject": event.subject,
        "status": event.status,
        "name": event.name,
        "title": event.title,
        "summary": event.summary(),
        "resource": event.resource,
        "labels": event.labels,
        "annotations": event.annotations,
        "links": event.links,
        "fingerprint": event.fingerprint,
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
        "received_at": event.received_at,
        "outcome": row.fate,
        "investigation": row.investigation,
        "deliveries": row.deliveries,
        "triage_status": if pending { "pending" } else { "triaged" },
        "class": view.and_then(|view| view.class.clone()),
        "raw_hmac": event.raw_hmac,
        "via": event.via,
    })
}

/// `GET /api/v1/investigations`.
pub(super) async fn investigations(
    State(web): State<Arc<Web>>,
    _: Viewer,
    params: Params,
) -> Result<Json<Page<View>>, Problem> {
    let params = params.only(&["state", "risk", "route", "subject", "limit", "cursor"])?;
    let state = params.text("state").map(|state| state.to_ascii_lowercase());
    if let Some(state) = state.as_deref().filter(|state| !STATES.contains(state)) {
        return Err(Problem::bad_request(format!(
            "`state={}` is not understood. Expected: {}.",
            state.chars().take(80).collect::<String>(),
            STATES.join(", ")
        )));
    }
    let risk = params.read::<Risk>("risk", "LOW, MEDIUM, HIGH or CRITICAL")?;
    let filter = InvestigationFilter {
        state,
        risk: risk.map(|risk| risk.as_str().to_owned()),
        route: params.text("route"),
        subject: params.text("subject"),
        not_closed_before: None,
        cursor: params.cursor::<InvestigationId>("the `next_cursor` of a page of investigations")?,
        limit: params.limit()?,
    };
    Ok(Json(web.store.investigations(&filter).await?))
}

/// `GET /api/v1/investigations/{id}`.
pub(super) async fn investigation(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<View>, Problem> {
    view(&web, parse_id(&id)?).await.map(Json)
}

/// `GET /api/v1/investigations/{id}/journal`: oldest first.
pub(super) async fn journal(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Page<Entry>>, Problem> {
    let id = parse_id(&id)?;
    let params = params.only(&["after", "cursor", "limit"])?;
    let expected = "the `seq` of an entry";
    let after = params.read::<u64>("after", expected)?.or(params.read::<u64>("cursor", expected)?).unwrap_or(0);
    let limit = params.limit()?;
    view(&web, id).await?;
    let mut items = web.store.entries(&id.to_string(), after, limit + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|entry| entry.seq.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// Shows `look` every entry of an investigation, in order.
async fn each_entry(
    store: &dyn Store,
    id: InvestigationId,
    mut look: impl FnMut(&Entry) + Send,
) -> Result<(), StoreError> {
    let chain = id.to_string();
    let mut after = 0;
    loop {
        let entries = store.entries(&chain, after, PAGE).await?;
        entries.iter().for_each(&mut look);
        match entries.last() {
            Some(last) if entries.len() == PAGE as usize => after = last.seq,
            _ => return Ok(()),
        }
    }
}

/// The last revision of an investigation's report, as stored and as read.
pub(super) async fn last_report(
    store: &dyn Store,
    id: InvestigationId,
) -> Result<Option<(Vec<u8>, Report)>, StoreError> {
    let mut last = None;
    each_entry(store, id, |entry| {
        if let Body::Reported { report, .. } = &entry.body {
            last = Some(report.clone());
        }
    })
    .await?;
    let Some(reference) = last else { return Ok(None) };
    let Some(bytes) = store.blob(&reference).await? else { return Ok(None) };
    let report = serde_json::from_slice(&bytes).map_err(|error| StoreError::Corrupt {
        what: format!("the report of {id}"),
        place: "the store".into(),
        why: error.to_string(),
    })?;
    Ok(Some((bytes, report)))
}

/// `GET /api/v1/investigations/{id}/report`: JSON, Markdown or a page by `Accept`.
pub(super) async fn report(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let accept = headers.get(header::ACCEPT).map_or("*/*", |value| value.to_str().unwrap_or("*/*"));
    let wanted = preferred(accept).ok_or_else(|| {
        let detail = "A report comes as `application/json`, `text/markdown` or `text/html`. Ask for one of them in \
                      `Accept`.";
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "No such form", detail)
    })?;
    let view = view(&web, id).await?;
    let (bytes, report) = last_report(&*web.store, id).await?.ok_or_else(|| {
        let detail = match view.revision {
            0 => format!("{id} has no report yet; it is {}. Follow /api/v1/investigations/{id}/stream.", view.state),
            revision => format!("The text of revision {revision} was deleted by retention; the journal remains."),
        };
        Problem::not_found(detail)
    })?;
    let content = match wanted {
        Form::Json => bytes,
        Form::Markdown => (web.render_markdown)(&report).into_bytes(),
        Form::Html => page(&format!("Report on {id}"), &(web.render_markdown)(&report)).into_bytes(),
    };
    let headers = [(header::CONTENT_TYPE, wanted.content_type()), (header::VARY, "accept")];
    let mut response = (headers, content).into_response();
    if wanted == Form::Html {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    Ok(response)
}

/// A page that runs nothing, loads nothing and goes nowhere.
pub(crate) fn page(title: &str, text: &str) -> String {
    let escape = |text: &str| {
        // What cannot be seen, terminal sequences included, has no place on a page either.
        visible(text).chars().fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
            out
        })
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
         <body><pre>\n{}</pre></body></html>\n",
        escape(title),
        escape(text)
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Markdown,
    Html,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// The form that `accept` likes best; JSON where it does not mind.
fn preferred(accept: &str) -> Option<Form> {
    let mut best: Option<(f32, Form)> = None;
    for range in accept.split(',').take(32) {
        let mut parts = range.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Form::Json,
            "text/markdown" | "text/x-markdown" | "text/plain" | "text/*" => Form::Markdown,
            "text/html" | "application/xhtml+xml" => Form::Html,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0_f32);
        if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, form));
        }
    }
    best.map(|(_, form)| form)
}

/// A payload as JSON; `null` when it was deleted.
async fn payload(web: &Web, reference: &BlobRef) -> Result<Value, Problem> {
    let bytes = web.store.blob(reference).await?;
    Ok(bytes.map_or(Value::Null, |bytes| {
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
    }))
}

/// `GET /api/v1/investigations/{id}/transcript`: what the model saw and said, turn by turn.
pub(super) async fn transcript_of(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Transcript>, Problem> {
    let id = parse_id(&id)?;
    let params = params.only(&["after", "cursor", "limit"])?;
    let expected = "the number of a turn";
    let after = params.read::<u32>("after", expected)?.or(params.read::<u32>("cursor", expected)?).unwrap_or(0);
    let limit = params.limit()? as usize;
    view(&web, id).await?;
    Ok(Json(transcript::read(&*web.store, id, after, limit, MAX_TRANSCRIPT).await?))
}

/// `POST /api/v1/investigations/{id}/cancel` with `{"reason": "…"}`.
pub(super) async fn cancel(
    State(web): State<Arc<Web>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    body: HttpBody,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = parse_id(&id)?;
    let expected = || Problem::bad_request("Send `{\"reason\": \"…\"}`: it stands in the journal and in the report.");
    let bytes = body::read(body, MAX_CANCEL_BODY).await?;
    let body: Value = crate::sources::read_json(&bytes).map_err(|_| expected())?;
    let reason = body["reason"].as_str().map(str::trim).filter(|reason| !reason.is_empty()).ok_or_else(expected)?;
    let reason = crate::sources::clean::clean_text(reason, MAX_REASON, &web.redactor.load());
    let closed = |view: &View| view.outcome.is_some();
    if closed(&view(&web, id).await?) {
        let detail = format!("{id} is closed already; there is nothing to cancel.");
        return Err(Problem::new(StatusCode::CONFLICT, "closed", "It is over already", detail));
    }
    let signal = Signal::Cancel { by: caller.name.clone(), reason };
    let known = web.store.signal(id, &caller.name, signal, web.clock.now()).await?;
    match known {
        true => Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted", "investigation": id})))),
        false => Err(Problem::not_found(format!("There is no investigation {id}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_wish() {
        for (accept, form) in [
            ("*/*", Some(Form::Json)),
            ("text/markdown", Some(Form::Markdown)),
            ("application/json, text/markdown", Some(Form::Json)),
            ("application/json;q=0.5, text/markdown", Some(Form::Markdown)),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Some(Form::Html)),
            ("text/markdown;q=0, application/json;q=0.1", Some(Form::Json)),
            ("image/png", None),
            ("", None),
        ] {
            assert_eq!(preferred(accept), form, "{accept}");
        }
    }
}
