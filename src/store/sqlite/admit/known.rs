//! What the database knows of a wave: each question asks for all of its alerts at once.

use super::super::{StoreError, chain, unavailable};
use super::Incoming;
use crate::domain::{AlertStatus, Digest, EventId, InvestigationId, SreEvent};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::HashMap;
use std::path::Path;

/// Episodes of one fingerprint that are looked at, the newest.
const EPISODES: i64 = 50;

/// The last episode of a fingerprint.
pub(super) struct Episode {
    pub(super) is_firing: bool,
    pub(super) seen_us: i64,
    pub(super) starts_at: Timestamp,
    /// Earlier ones that fire still: what tells no start may repeat itself under several.
    pub(super) earlier: Vec<Known>,
}

/// An alert that was delivered before.
pub(super) struct Known {
    pub(super) event: EventId,
    pub(super) investigation: Option<InvestigationId>,
    /// Where it still fires: all of it.
    pub(super) firing: Option<SreEvent>,
}

/// The last investigation of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) id: InvestigationId,
    pub(super) closed_us: Option<i64>,
}

/// The last investigations of correlation keys and of resources.
#[derive(Default)]
pub(super) struct Found {
    pub(super) by_key: HashMap<String, Last>,
    pub(super) by_resource: HashMap<String, Last>,
    pub(super) by_kin: HashMap<String, Last>,
}

/// Keys to look for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) keys: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) kin: Vec<String>,
}

/// The last episodes of those alerts whose sender names no start, by their place in the wave.
pub(super) async fn episodes(
    tx: &mut SqliteConnection,
    path: &Path,
    wave: &[Incoming],
) -> Result<HashMap<usize, Episode>, StoreError> {
    let without_start = wave.iter().enumerate().filter(|(_, incoming)| {
        let event = &incoming.arrival.event;
        event.starts_at == event.received_at
    });
    let wanted: Vec<(usize, &str, &str)> = without_start
        .map(|(place, Incoming { arrival, .. })| {
            (place, arrival.event.source.as_str(), arrival.event.fingerprint.as_str())
        })
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, String, String, i64, Option<String>, String)> = sqlx::query_as(
        "SELECT j.value ->> 0, e.id, e.status, e.seen_us, e.investigation, e.json \
         FROM json_each(?1) AS j CROSS JOIN events AS e ON e.id IN \
           (SELECT id FROM events WHERE source = j.value ->> 1 AND fingerprint = j.value ->> 2 ORDER BY id DESC LIMIT ?2) \
         ORDER BY j.key, e.id DESC",
    )
    .bind(chain::to_json(path, "fingerprints", &wanted)?)
    .bind(EPISODES)
    .fetch_all(tx)
    .await
    .map_err(unavailable(path, "look for episodes"))?;
    let mut episodes: HashMap<usize, Episode> = HashMap::new();
    for (place, id, status, seen_us, investigation, json) in rows {
        let is_firing = status == AlertStatus::Firing.as_str();
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        match episodes.get_mut(&place) {
            None => {
                let starts_at = chain::from_json::<SreEvent>(path, "an alert", &json)?.starts_at;
                episodes.insert(place, Episode { is_firing, seen_us, starts_at, earlier: vec![] });
            }
            Some(last) if is_firing => {
                last.earlier.push(known(path, &id, investigation.as_deref(), Some(&json))?);
            }
            Some(_) => {}
        }
    }
    Ok(episodes)
}

fn known(path: &Path, id: &str, investigation: Option<&str>, firing: Option<&str>) -> Result<Known, StoreError> {
    Ok(Known {
        event: chain::parse(path, "an alert's id", id)?,
        investigation: investigation.map(|id| chain::parse(path, "an investigation's id", id)).transpose()?,
        firing: firing.map(|json| chain::from_json(path, "an alert", json)).transpose()?,
    })
}

/// Counts those that were delivered before, and tells what is known of them.
pub(super) async fn repeated(
    tx: &mut SqliteConnection,
    path: &Path,
    wave: &[Incoming],
    deliveries: &[Digest],
) -> Result<HashMap<String, Known>, StoreError> {
    let wanted: Vec<(&str, i64)> =
        deliveries.iter().zip(wave).map(|(delivery, it)| (delivery.as_str(), it.at.as_microsecond())).collect();
    let rows: Vec<(String, String, Option<String>, Option<String>)> = sqlx::query_as(
        "UPDATE events SET deliveries = deliveries + 1, seen_us = j.value ->> 1 FROM json_each(?1) AS j \
         WHERE events.delivery = j.value ->> 0 \
         RETURNING delivery, id, investigation, CASE status WHEN ?2 THEN json END",
    )
    .bind(chain::to_json(path, "deliveries", &wanted)?)
    .bind(AlertStatus::Firing.as_str())
    .fetch_all(tx)
    .await
    .map_err(unavailable(path, "look for alerts"))?;
    rows.into_iter()
        .map(|(delivery, id, investigation, json)| {
            Ok((delivery, known(path, &id, investigation.as_deref(), json.as_deref())?))
        })
        .collect()
}

/// The last investigation of each key and resource.
pub(super) async fn investigations(
    tx: &mut SqliteConnection,
    path: &Path,
    wanted: Wanted,
) -> Result<Found, StoreError> {
    let Wanted { keys, resources, kin } = wanted;
    let by_key = "SELECT j.value, i.id, i.closed_us FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE correlation_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    let by_resource = "SELECT j.value, i.id, i.closed_us FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE resource_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    let by_kin = "SELECT j.value, i.id, i.closed_us FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE kin_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    Ok(Found {
        by_key: last(tx, path, by_key, keys).await?,
        by_resource: last(tx, path, by_resource, resources).await?,
        by_kin: last(tx, path, by_kin, kin).await?,
    })
}

async fn last(
    tx: &mut SqliteConnection,
    path: &Path,
    question: &'static str,
    keys: Vec<String>,
) -> Result<HashMap<String, Last>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, Option<i64>)> = sqlx::query_as(question)
        .bind(chain::to_json(path, "keys", &keys)?)
        .fetch_all(tx)
        .await
        .map_err(unavailable(path, "look for investigations"))?;
    rows.into_iter()
        .map(|(key, id, closed_us)| {
            Ok((key, Last { id: chain::parse(path, "an investigation's id", &id)?, closed_us }))
        })
        .collect()
}
