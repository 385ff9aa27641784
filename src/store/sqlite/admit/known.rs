//! What the database knows of a wave: each question asks for all of its alerts at once.

use super::super::{StoreError, chain, unavailable};
use super::Incoming;
use super::decide::Homeless;
use crate::domain::{AlertStatus, Digest, EventId, InvestigationId, SreEvent, flaps};
use crate::journal::{Outcome, STORM_KEY};
use crate::store::storm::{LastStorm, MOST_ALERTS, Openings};
use crate::store::{Fate, StormCap};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::HashMap;
use std::path::Path;

/// Episodes of one fingerprint that are looked at, the newest.
const EPISODES: i64 = 50;

/// The last investigation that knows a thing to be of its workload.
pub(in super::super) const BY_THING: &str = "SELECT j.value, i.id, i.closed_us, i.alerts \
    FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT t.investigation FROM investigation_things AS t CROSS JOIN investigations AS o ON o.id = t.investigation \
         WHERE t.thing = j.value AND o.abandoned = 0 ORDER BY t.investigation DESC LIMIT 1)";

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
    /// It is over because a poll did not tell of it any more; its sender never said so.
    pub(super) ended_by_poll: bool,
    /// When we learned that it is over, in microseconds.
    pub(super) ended_us: Option<i64>,
}

/// The last investigation of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) id: InvestigationId,
    pub(super) closed_us: Option<i64>,
    /// It has too many alerts already to take more.
    pub(super) is_full: bool,
}

/// The last investigations of correlation keys and of resources.
#[derive(Default)]
pub(super) struct Found {
    pub(super) by_key: HashMap<String, Last>,
    pub(super) by_resource: HashMap<String, Last>,
    pub(super) by_kin: HashMap<String, Last>,
    /// By what its survey found to be one workload with its resource.
    pub(super) by_thing: HashMap<String, Last>,
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
        ended_by_poll: false,
        ended_us: None,
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
    let rows: Vec<(String, String, Option<String>, Option<String>, bool, Option<i64>)> = sqlx::query_as(
        "UPDATE events SET deliveries = deliveries + 1, seen_us = j.value ->> 1 FROM json_each(?1) AS j \
         WHERE events.delivery = j.value ->> 0 \
         RETURNING delivery, id, investigation, CASE status WHEN ?2 THEN json END, \
           CASE WHEN status <> ?2 AND json_valid(json) THEN json ->> '$.ended_by' IS NOT NULL ELSE 0 END, ended_us",
    )
    .bind(chain::to_json(path, "deliveries", &wanted)?)
    .bind(AlertStatus::Firing.as_str())
    .fetch_all(tx)
    .await
    .map_err(unavailable(path, "look for alerts"))?;
    rows.into_iter()
        .map(|(delivery, id, investigation, json, ended_by_poll, ended_us)| {
            let known = known(path, &id, investigation.as_deref(), json.as_deref())?;
            Ok((delivery, Known { ended_by_poll, ended_us, ..known }))
        })
        .collect()
}

/// Gives each of these, delivery key and event, another key, so that what comes under theirs is new.
pub(super) async fn set_aside(
    tx: &mut SqliteConnection,
    path: &Path,
    aside: &[(&Digest, EventId)],
) -> Result<(), StoreError> {
    if aside.is_empty() {
        return Ok(());
    }
    let keys: Vec<(&str, Digest)> = aside
        .iter()
        .map(|(delivery, event)| (delivery.as_str(), Digest::of_parts([delivery.as_str(), &event.to_string()])))
        .collect();
    sqlx::query(
        "UPDATE events SET delivery = j.value ->> 1 FROM json_each(?) AS j WHERE events.delivery = j.value ->> 0",
    )
    .bind(chain::to_json(path, "deliveries", &keys)?)
    .execute(tx)
    .await
    .map(drop)
    .map_err(unavailable(path, "set ended alerts aside"))
}

/// The last investigation of each key and resource, and the last that knows a resource to be of its workload.
pub(super) async fn investigations(
    tx: &mut SqliteConnection,
    path: &Path,
    wanted: Wanted,
) -> Result<Found, StoreError> {
    let Wanted { keys, resources, kin } = wanted;
    let by_key = "SELECT j.value, i.id, i.closed_us, i.alerts FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE correlation_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    let by_resource = "SELECT j.value, i.id, i.closed_us, i.alerts FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE resource_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    let by_kin = "SELECT j.value, i.id, i.closed_us, i.alerts FROM json_each(?) AS j CROSS JOIN investigations AS i ON i.id = \
        (SELECT id FROM investigations WHERE kin_key = j.value AND abandoned = 0 ORDER BY id DESC LIMIT 1)";
    Ok(Found {
        by_key: last(tx, path, by_key, keys).await?,
        by_thing: last(tx, path, BY_THING, resources.clone()).await?,
        by_resource: last(tx, path, by_resource, resources).await?,
        by_kin: last(tx, path, by_kin, kin).await?,
    })
}

/// Those that come and go, by their place in the wave, and the investigation that they went to the last time.
pub(super) async fn flapping(
    tx: &mut SqliteConnection,
    path: &Path,
    homeless: &[Homeless],
) -> Result<HashMap<usize, InvestigationId>, StoreError> {
    if homeless.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: Vec<(&str, &str)> =
        homeless.iter().map(|alert| (alert.source.as_str(), alert.fingerprint.as_str())).collect();
    let rows: Vec<(i64, i64, Option<String>, bool)> = sqlx::query_as(
        "SELECT j.key, e.starts_us, i.id, i.view ->> '$.outcome' IS ?4 \
         FROM json_each(?1) AS j CROSS JOIN events AS e ON e.id IN \
           (SELECT id FROM events WHERE source = j.value ->> 0 AND fingerprint = j.value ->> 1 ORDER BY id DESC LIMIT ?2) \
         LEFT JOIN investigations AS i ON i.id = e.investigation AND i.abandoned = 0 AND i.alerts < ?5 \
         WHERE e.starts_us IS NOT NULL AND e.fate <> ?3 ORDER BY j.key, e.starts_us DESC, e.id DESC",
    )
    .bind(chain::to_json(path, "fingerprints", &wanted)?)
    .bind(EPISODES)
    .bind(Fate::Resolved.as_str())
    .bind(Outcome::Cancelled.as_str())
    .bind(MOST_ALERTS)
    .fetch_all(tx)
    .await
    .map_err(unavailable(path, "look for what comes and goes"))?;
    // Where it went the last time; nowhere, where somebody cancelled that: nobody would be told.
    let mut earlier: HashMap<usize, (Vec<Timestamp>, Option<Option<String>>)> = HashMap::new();
    for (place, starts_us, investigation, cancelled) in rows {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let (Some(alert), Ok(starts_at)) = (homeless.get(place), Timestamp::from_microsecond(starts_us)) else {
            continue;
        };
        if starts_at < alert.starts_at {
            let (starts, last) = earlier.entry(place).or_default();
            starts.push(starts_at);
            *last = last.take().or(investigation.map(|id| Some(id).filter(|_| !cancelled)));
        }
    }
    let mut flapping = HashMap::new();
    for (place, (starts, last)) in earlier {
        if let (Some(alert), Some(Some(last))) = (homeless.get(place), last)
            && flaps(&starts, alert.starts_at)
        {
            flapping.insert(alert.place, chain::parse(path, "an investigation's id", &last)?);
        }
    }
    Ok(flapping)
}

/// What was opened within the reach of `times`, and the last storm that people let go on.
pub(super) async fn openings(
    tx: &mut SqliteConnection,
    path: &Path,
    cap: StormCap,
    times: &[Timestamp],
) -> Result<Openings, StoreError> {
    let reaches: Vec<(i64, i64)> = times.iter().map(|at| cap.reach_us(*at)).collect();
    let from_us = reaches.iter().map(|(from_us, _)| *from_us).min().unwrap_or(0);
    let to_us = reaches.iter().map(|(_, to_us)| *to_us).max().unwrap_or(0);
    let opened: Vec<(i64,)> = sqlx::query_as(
        "SELECT opened_us FROM investigations WHERE opened_us BETWEEN ? AND ? AND correlation_key <> ? AND opened_us > 0",
    )
    .bind(from_us)
    .bind(to_us)
    .bind(STORM_KEY)
    .fetch_all(&mut *tx)
    .await
    .map_err(unavailable(path, "count what was opened"))?;
    let storm: Option<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT id, opened_us, joined_us, alerts FROM investigations WHERE correlation_key = ? AND abandoned = 0 \
           AND view ->> '$.outcome' IS NOT ? AND opened_us < ? ORDER BY id DESC LIMIT 1",
    )
    .bind(STORM_KEY)
    .bind(Outcome::Cancelled.as_str())
    // One that a clock opened which was set back since is none of now.
    .bind(to_us)
    .fetch_optional(tx)
    .await
    .map_err(unavailable(path, "look for the last storm"))?;
    let storm = storm.map(|(id, opened_us, joined_us, alerts)| {
        Ok(LastStorm { id: chain::parse(path, "an investigation's id", &id)?, opened_us, joined_us, alerts })
    });
    Ok(Openings {
        cap,
        opened_us: opened.into_iter().map(|(opened_us,)| opened_us).collect(),
        storm: storm.transpose()?,
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
    let rows: Vec<(String, String, Option<i64>, i64)> = sqlx::query_as(question)
        .bind(chain::to_json(path, "keys", &keys)?)
        .fetch_all(tx)
        .await
        .map_err(unavailable(path, "look for investigations"))?;
    rows.into_iter()
        .map(|(key, id, closed_us, alerts)| {
            let (id, is_full) = (chain::parse(path, "an investigation's id", &id)?, alerts >= MOST_ALERTS);
            Ok((key, Last { id, closed_us, is_full }))
        })
        .collect()
}
