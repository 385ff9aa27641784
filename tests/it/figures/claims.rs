//! What it costs to choose who is worked on next, however many wait.

use super::{ms, on_disk, percentile, row};
use firewarden::domain::{Digest, InvestigationId, SreEvent};
use firewarden::edge::SystemEntropy;
use firewarden::store::sqlite::SqliteStore;
use firewarden::store::{Arrival, Blob, Journal, RoutePlaces};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Instant;

const WAITING: usize = 10_000;
const ROUTES: usize = 20;
const WORKED_ON: usize = 64;
const CLAIMS: usize = 500;

fn arrival(n: usize, now: Timestamp) -> Arrival {
    let raw = Blob::new([7; 16], format!("{{\"n\":{n}}}").into_bytes());
    let severity = ["info", "warning", "critical"][n % 3];
    let id = |kind: &str| format!("{kind}_{}", uuid::Uuid::from_u128(n as u128 + 1));
    let event: SreEvent = serde_json::from_value(json!({
        "id": id("evt"), "source": "alertmanager", "fingerprint": format!("{n:016x}"), "group_key": null,
        "status": "firing", "severity": severity, "name": "A", "subject": "s",
        "resource": {"type": "unknown", "id": "", "namespace": null, "cluster": null}, "title": "t",
        "description": "d", "labels": {}, "annotations": {}, "starts_at": now, "ends_at": null, "received_at": now,
        "links": [], "raw": raw.reference, "raw_hmac": ""
    }))
    .unwrap();
    Arrival {
        event,
        raw,
        correlation_key: format!("k{n}"),
        incident_key: Digest::of(format!("k{n}")),
        route: format!("r{}", n % ROUTES),
        candidate: InvestigationId::new(uuid::Uuid::from_u128(n as u128 + 1)),
        kin: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn i_claims() {
    let folder = on_disk();
    let store = SqliteStore::open(&folder.path().join("fw.db"), &SystemEntropy::default()).await.unwrap();
    let now = Timestamp::now();
    let until = now + SignedDuration::from_hours(1);
    let arrivals: Vec<Arrival> = (0..WAITING).map(|n| arrival(n, now)).collect();
    for body in arrivals.chunks(500) {
        store.admit(body.to_vec(), None, now).await.unwrap();
    }
    // Every route is full: what nobody has looked at yet is claimed all the same.
    let places: RoutePlaces = (0..ROUTES).map(|n| (format!("r{n}"), 3)).collect();
    for _ in 0..WORKED_ON {
        store.claim("figure", now, until).await.unwrap().unwrap();
    }
    let (mut took, mut renewed) = (vec![], vec![]);
    for _ in 0..CLAIMS {
        let begun = Instant::now();
        let lease = store.claim_within(&places, "figure", now, until).await.unwrap().unwrap();
        took.push(begun.elapsed());
        let begun = Instant::now();
        store.renew(&lease, until).await.unwrap();
        renewed.push(begun.elapsed());
        store.line_up(&lease, None).await.unwrap();
    }
    row(
        &format!(
            "a claim, committed, {WAITING} waiting on {ROUTES} routes, {WORKED_ON} worked on, median of {CLAIMS} (p99)"
        ),
        &format!(
            "{} ({}); a lease renewed: {} ({})",
            ms(percentile(&mut took, 50)),
            ms(percentile(&mut took, 99)),
            ms(percentile(&mut renewed, 50)),
            ms(percentile(&mut renewed, 99)),
        ),
        "",
    );
}
