//! Which investigation an alert belongs to, decided inside the admitting transaction, so that two
//! bodies that arrive together cannot both open one.

use super::writer::News;
use super::{StoreError, chain, unavailable};
use crate::domain::{AlertStatus, EventId, InvestigationId, Resource, ResourceType, SreEvent, is_down};
use crate::journal::{Head, Investigation, View};
use crate::store::{Admitted, Arrival, Fate, Signal, opening_draft};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Alerts that one signal names: what becomes one entry stays readable.
const EVENTS_PER_SIGNAL: usize = 200;
/// An episode without a repeat for this long is over, in microseconds.
const EPISODE_US: i64 = 5 * 60 * 1_000_000;

pub(super) async fn admit(
    tx: &mut SqliteConnection,
    path: &Path,
    arrivals: Vec<Arrival>,
    now: Timestamp,
    news: &mut News,
) -> Result<Vec<Admitted>, StoreError> {
    let mut joined: BTreeMap<InvestigationId, (String, Vec<EventId>)> = BTreeMap::new();
    let mut answers = Vec::with_capacity(arrivals.len());
    let mut places = Places::default();
    for mut arrival in arrivals {
        if arrival.event.starts_at == arrival.event.received_at {
            continue_episode(tx, path, &mut arrival.event, now).await?;
        }
        let delivery = arrival.event.delivery_key();
        let known: Option<(String, String, Option<String>, String)> = sqlx::query_as(
            "UPDATE events SET deliveries = deliveries + 1, seen_us = ? WHERE delivery = ? \
             RETURNING id, status, investigation, json",
        )
        .bind(now.as_microsecond())
        .bind(delivery.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(unavailable(path, "look for an alert"))?;
        let answer = match known {
            Some((id, status, investigation, json)) => {
                let first = chain::parse::<EventId>(path, "an alert's id", &id)?;
                let of =
                    investigation.as_deref().map(|id| chain::parse(path, "an investigation's id", id)).transpose()?;
                let ends = arrival.event.status == AlertStatus::Resolved && status == AlertStatus::Firing.as_str();
                match ends {
                    true => resolve(tx, path, first, of, &json, &arrival.event, now, news).await?,
                    false => Admitted { event: first, investigation: of, fate: Fate::Ignored },
                }
            }
            None if arrival.event.status == AlertStatus::Resolved => {
                // Remembered, so that its firing alert, should it come late, opens nothing.
                insert_event(tx, path, &arrival, delivery.as_str(), Fate::Resolved, None).await?;
                Admitted { event: arrival.event.id, investigation: None, fate: Fate::Resolved }
            }
            None => match places.of(tx, path, &arrival).await? {
                Some(investigation) => {
                    insert_event(tx, path, &arrival, delivery.as_str(), Fate::Merged, Some(investigation)).await?;
                    let joining = joined.entry(investigation).or_insert_with(|| (arrival.event.source.clone(), vec![]));
                    joining.1.push(arrival.event.id);
                    Admitted { event: arrival.event.id, investigation: Some(investigation), fate: Fate::Merged }
                }
                None => {
                    insert_event(tx, path, &arrival, delivery.as_str(), Fate::Opened, Some(arrival.candidate)).await?;
                    open(tx, path, &arrival, now, news).await?;
                    places.opened(&arrival);
                    Admitted { event: arrival.event.id, investigation: Some(arrival.candidate), fate: Fate::Opened }
                }
            },
        };
        answers.push(answer);
    }
    for (investigation, (source, events)) in joined {
        for events in events.chunks(EVENTS_PER_SIGNAL) {
            let signal = Signal::Merged { events: events.to_vec() };
            chain::signal(tx, path, investigation, &source, &signal, now, news).await?;
        }
    }
    Ok(answers)
}

/// An alert whose sender names no start carries the time of its receipt. It then belongs to the open
/// episode of its fingerprint, which ends when it is resolved or was not repeated for five minutes.
async fn continue_episode(
    tx: &mut SqliteConnection,
    path: &Path,
    event: &mut SreEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let last: Option<(String, i64, String)> = sqlx::query_as(
        "SELECT status, seen_us, json FROM events WHERE source = ? AND fingerprint = ? ORDER BY id DESC LIMIT 1",
    )
    .bind(&event.source)
    .bind(&event.fingerprint)
    .fetch_optional(&mut *tx)
    .await
    .map_err(unavailable(path, "look for an episode"))?;
    let Some((status, seen_us, json)) = last else { return Ok(()) };
    let fresh = now.as_microsecond().saturating_sub(seen_us) <= EPISODE_US;
    if status == AlertStatus::Firing.as_str() && (fresh || event.status == AlertStatus::Resolved) {
        event.starts_at = chain::from_json::<SreEvent>(path, "an alert", &json)?.starts_at;
    }
    Ok(())
}

/// Where the alerts of one body belong: most share a key or a resource, and the first has found it.
#[derive(Default)]
struct Places {
    open: HashMap<String, InvestigationId>,
}

impl Places {
    async fn of(
        &mut self,
        tx: &mut SqliteConnection,
        path: &Path,
        arrival: &Arrival,
    ) -> Result<Option<InvestigationId>, StoreError> {
        let resource = resource_key(&arrival.event);
        let keys = [Some(&arrival.correlation_key), resource.as_ref()];
        if let Some(known) = keys.into_iter().flatten().find_map(|key| self.open.get(key)) {
            return Ok(Some(*known));
        }
        let (found, is_open) = match belongs_to(tx, path, arrival).await? {
            Some((id, closed)) => (Some(id), closed.is_none()),
            None => (None, false),
        };
        // An ended one fits by each alert's own start, so it is looked up for each.
        if let Some(id) = found.filter(|_| is_open) {
            self.open.insert(arrival.correlation_key.clone(), id);
        }
        Ok(found)
    }

    fn opened(&mut self, arrival: &Arrival) {
        self.open.insert(arrival.correlation_key.clone(), arrival.candidate);
        if let Some(resource) = resource_key(&arrival.event) {
            self.open.insert(resource, arrival.candidate);
        }
    }
}

/// The investigation that a new firing alert belongs to: the last one of its key or of its resource,
/// unless that one had ended before the alert began.
async fn belongs_to(
    tx: &mut SqliteConnection,
    path: &Path,
    arrival: &Arrival,
) -> Result<Option<(InvestigationId, Option<i64>)>, StoreError> {
    let failed = unavailable(path, "look for an investigation");
    let by_key: Option<(String, Option<i64>)> = sqlx::query_as(
        "SELECT id, closed_us FROM investigations WHERE correlation_key = ? AND abandoned = 0 ORDER BY id DESC LIMIT 1",
    )
    .bind(&arrival.correlation_key)
    .fetch_optional(&mut *tx)
    .await
    .map_err(&failed)?;
    let fits = |row: &(String, Option<i64>)| row.1.is_none_or(|end| arrival.event.starts_at.as_microsecond() <= end);
    let found = match (by_key.filter(|row| fits(row)), resource_key(&arrival.event)) {
        (Some(row), _) => Some(row),
        (None, None) => None,
        (None, Some(resource)) => sqlx::query_as::<_, (String, Option<i64>)>(
            "SELECT id, closed_us FROM investigations WHERE resource_key = ? AND abandoned = 0 ORDER BY id DESC LIMIT 1",
        )
        .bind(resource)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?
        .filter(|row| fits(row)),
    };
    found.map(|(id, closed)| Ok((chain::parse(path, "an investigation's id", &id)?, closed))).transpose()
}

/// Alerts on one Kubernetes object are one incident. A bare `instance` does not count: exporters put
/// their own address there for everything that they report.
fn resource_key(event: &SreEvent) -> Option<String> {
    let Resource { kind, id, namespace, cluster } = &event.resource;
    let is_object = matches!(
        kind,
        ResourceType::K8sPvc
            | ResourceType::K8sPod
            | ResourceType::K8sNode
            | ResourceType::K8sDeployment
            | ResourceType::K8sStatefulset
            | ResourceType::K8sJob
    );
    let is_exporter = event.labels.get("instance") == Some(id);
    (is_object && !is_exporter && !id.is_empty()).then(|| {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}|{}|{kind}|{id}", part(cluster), part(namespace))
    })
}

async fn insert_event(
    tx: &mut SqliteConnection,
    path: &Path,
    arrival: &Arrival,
    delivery: &str,
    fate: Fate,
    investigation: Option<InvestigationId>,
) -> Result<(), StoreError> {
    let event = &arrival.event;
    chain::insert_blobs(tx, path, vec![arrival.raw.clone()]).await?;
    sqlx::query(
        "INSERT INTO events (id, delivery, source, fingerprint, subject, severity, status, fate, investigation, \
         received_us, seen_us, json, thing, down) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(event.id.to_string())
    .bind(delivery)
    .bind(&event.source)
    .bind(&event.fingerprint)
    .bind(&event.subject)
    .bind(event.severity.as_str())
    .bind(event.status.as_str())
    .bind(fate.as_str())
    .bind(investigation.map(|id| id.to_string()))
    .bind(event.received_at.as_microsecond())
    .bind(event.received_at.as_microsecond())
    .bind(chain::to_json(path, "an alert", event)?)
    .bind(event.thing())
    .bind(is_down(event))
    .execute(&mut *tx)
    .await
    .map_err(unavailable(path, "keep an alert"))?;
    Ok(())
}

async fn open(
    tx: &mut SqliteConnection,
    path: &Path,
    arrival: &Arrival,
    now: Timestamp,
    news: &mut News,
) -> Result<(), StoreError> {
    let id = arrival.candidate.to_string();
    let corrupt = |why: String| StoreError::Corrupt {
        what: format!("the opening of {id}"),
        place: path.display().to_string(),
        why,
    };
    let entry = Head::genesis(&id).seal(&id, now, opening_draft(arrival)).map_err(|e| corrupt(e.to_string()))?;
    let mut state = Investigation::empty(&id);
    state.apply(&entry).map_err(|e| corrupt(e.to_string()))?;
    let view = View::of(&state).ok_or_else(|| corrupt("it shows nothing".into()))?;
    chain::insert_entries(tx, path, std::slice::from_ref(&entry)).await?;
    sqlx::query(
        "INSERT INTO investigations (id, correlation_key, resource_key, route, subject, state, seq, hash, view, wants_work, due_us, \
         alert) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
    )
    .bind(&id)
    .bind(&arrival.correlation_key)
    .bind(resource_key(&arrival.event))
    .bind(&arrival.route)
    .bind(&arrival.event.subject)
    .bind(&view.state)
    .bind(1_i64)
    .bind(entry.hash.as_str())
    .bind(chain::to_json(path, "an investigation", &view)?)
    .bind(chain::fresh_us(now))
    .bind(&arrival.event.name)
    .execute(&mut *tx)
    .await
    .map_err(unavailable(path, "open an investigation"))?;
    news.grown.push((id.clone(), 1));
    news.work = true;
    Ok(())
}

#[allow(clippy::too_many_arguments)]
async fn resolve(
    tx: &mut SqliteConnection,
    path: &Path,
    event: EventId,
    investigation: Option<InvestigationId>,
    json: &str,
    resolved: &SreEvent,
    now: Timestamp,
    news: &mut News,
) -> Result<Admitted, StoreError> {
    let mut kept: SreEvent = chain::from_json(path, "an alert", json)?;
    let ends_at = resolved.ends_at.unwrap_or(now);
    kept.status = AlertStatus::Resolved;
    kept.ends_at = Some(ends_at);
    sqlx::query("UPDATE events SET status = ?, ended_us = ?, json = ? WHERE id = ?")
        .bind(kept.status.as_str())
        .bind(now.as_microsecond())
        .bind(chain::to_json(path, "an alert", &kept)?)
        .bind(event.to_string())
        .execute(&mut *tx)
        .await
        .map_err(unavailable(path, "end an alert"))?;
    if let Some(investigation) = investigation {
        let signal = Signal::Resolved { event, ends_at };
        chain::signal(tx, path, investigation, &resolved.source, &signal, now, news).await?;
    }
    Ok(Admitted { event, investigation, fate: Fate::Resolved })
}
