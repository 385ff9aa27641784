//! What could not be read: shown beside the alerts, and read again when somebody asks for it.

use super::params::Params;
use super::{Operator, Problem, Web};
use crate::domain::{Digest, EventId};
use crate::engine::intake::Receipt;
use crate::journal::{Actor, Body, Draft, Replayed};
use crate::sources::clean::beginning;
use crate::sources::{AlertSource, Delivery, Generic, Mapped, Mapping, Normalised, read_json};
use crate::store::{DeadLetter, LetterFilter, LetterKind, Page};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So much of what could not be read is kept.
pub(super) const MAX_LETTER: usize = 64 << 10;
/// Alerts that the journal names.
const MAX_NAMED: usize = 100;

/// A body in which nothing was recognised, as it is kept.
pub(super) fn of_body(
    id: EventId,
    source: String,
    reason: String,
    bytes: &[u8],
    body: &str,
    at: Timestamp,
) -> DeadLetter {
    DeadLetter {
        id,
        digest: Digest::of(bytes),
        kind: LetterKind::Body,
        source,
        reason,
        body: beginning(body, MAX_LETTER).to_owned(),
        received_at: at,
        times: 1,
        replayed: None,
    }
}

/// A page of them, as the list of alerts shows what is quarantined.
pub(super) async fn page(web: &Web, filter: &LetterFilter) -> Result<Page<Value>, Problem> {
    let page = web.store.letters(filter).await?;
    Ok(Page { items: page.items.iter().map(show).collect(), next_cursor: page.next_cursor })
}

/// One of them by itself, if it is one.
pub(super) async fn one(web: &Web, id: EventId) -> Result<Option<Value>, Problem> {
    let Some(letter) = web.store.letter(id).await? else { return Ok(None) };
    let mut shown = show(&letter);
    if let Some(fields) = shown.as_object_mut() {
        let raw = read_json(letter.body.as_bytes()).unwrap_or_else(|_| Value::from(letter.body));
        fields.insert("raw".into(), raw);
    }
    Ok(Some(shown))
}

fn show(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "source": letter.source,
        "severity": null,
        "subject": null,
        "status": null,
        "name": null,
        "outcome": "quarantined",
        "investigation": null,
        "kind": letter.kind.as_str(),
        "reason": letter.reason,
        "received_at": letter.received_at,
        "deliveries": letter.times,
        "replayed": letter.replayed,
    })
}

/// `POST /api/v1/events/{id}/replay`: reads it by the mapping as it is now, and takes it in.
pub(super) async fn replay(
    State(web): State<Arc<Web>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, Problem> {
    params.only(&[])?;
    let id: EventId = id.parse().map_err(|error| Problem::not_found(format!("There is no such event: {error}.")))?;
    let Some(letter) = web.store.letter(id).await? else {
        return Err(match web.store.event(id).await? {
            Some(_) => conflict(format!("{id} was taken in when it came; only what is quarantined is replayed.")),
            None => Problem::not_found(format!("There is no event {id}. See /api/v1/events?outcome=quarantined.")),
        });
    };
    if let Some(became) = letter.replayed {
        return Ok(Json(json!({"id": id, "replayed_before": true, "became": became})));
    }
    let (source, normalised) = {
        let web = web.clone();
        let read = tokio::task::spawn_blocking(move || read(&web, &letter));
        read.await.map_err(|_| Problem::internal())??
    };
    // What has no start of its own began when it was received, so a repeat is known as one.
    let receipt = web.intake.accept(&source, normalised).await?;
    let became = serde_json::to_value(&receipt).unwrap_or_default();
    let draft = Draft::new(Actor::Person(caller.name.clone()), Body::Replayed(told(id, source, caller.name, &receipt)));
    web.store.append_system(vec![draft], vec![], web.clock.now()).await?;
    web.store.letter_replayed(id, became.clone()).await?;
    Ok(Json(json!({"id": id, "replayed_before": false, "became": became})))
}

fn told(letter: EventId, source: String, by: String, receipt: &Receipt) -> Replayed {
    let outcomes = receipt.counters.by_outcome().into_iter().filter(|(_, alerts)| *alerts > 0);
    let outcomes: BTreeMap<String, usize> = outcomes.map(|(fate, alerts)| (fate.as_str().to_owned(), alerts)).collect();
    let events = receipt.rows.iter().filter_map(|row| row.event_id).take(MAX_NAMED).collect();
    Replayed { letter, source, by, outcomes, events }
}

/// What it says by the mapping as it is now.
fn read(web: &Web, letter: &DeadLetter) -> Result<(String, Normalised), Problem> {
    let value = read_json(letter.body.as_bytes()).map_err(|error| {
        let whole = "Only its beginning was kept, or it is no JSON";
        conflict(format!("{} cannot be read again: {error} {whole}. Have its sender send it again.", letter.id))
    })?;
    let sender: Arc<dyn AlertSource> = match web.senders.named(&letter.source) {
        Some(sender) => sender,
        None => Arc::new(Generic::named(&letter.source)),
    };
    let value = match letter.kind {
        LetterKind::Body => value.clone(),
        LetterKind::Alert => sender.around(value.clone()),
    };
    let redactor = web.redactor.load();
    let at = letter.received_at;
    let mapping = Mapping { at, entropy: &*web.entropy, redactor: &redactor, hmac_key: &web.hmac_key };
    let normalised = sender.normalise(&Delivery::plain(&value, letter.body.as_bytes()), &mapping)?;
    let quarantined = normalised.items.iter().find_map(|item| match item {
        Mapped::Quarantined { reason, .. } => Some(reason.clone()),
        Mapped::Alert { .. } | Mapped::Notice { .. } => None,
    });
    // It is here already; only what is understood now makes a difference.
    match quarantined.filter(|_| normalised.items.iter().all(|item| matches!(item, Mapped::Quarantined { .. }))) {
        Some(reason) => Err(conflict(format!(
            "{} is still not understood: {reason}. Mend its mapping in `intake.sources`, or its sender; nothing was taken.",
            letter.id
        ))),
        None => Ok((sender.name().to_owned(), normalised)),
    }
}

fn conflict(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not-replayed", "It was not replayed", detail)
}
