//! Programs of others on loopback, and firewarden between them. Here: real Prometheus and Alertmanager.
//!
//! - [`exporter`]: what a kubelet and kube-state-metrics would say, switchable
//! - [`receiver`]: the second receiver, which sees what firewarden must see
//! - [`stand`]: the two programs with their configurations and rules
//! - [`adf`]: Atlassian's schema of documents
//! - [`aimock`]: a scripted model of independent make, in two dialects and with faults
//! - [`audit`]: the journal, verified by a second implementation in Python
//! - [`everything`]: MCP's own reference server
//! - [`github`]: GitHub as others emulate it, beside that of our own
//! - [`llama`]: llama-server with a model that calls tools for ever
//! - [`modelled`]: an investigation with a model, and what must hold however the model behaves
//! - [`reading`]: the reading tools against the real Prometheus
//! - [`manager`]: Alertmanager alone, whose alerts the tests make
//! - [`outage`]: Alertmanager against a firewarden that stalls, refuses, dies and comes back
//! - [`polled`]: pollers of the real Alertmanager
//! - [`silence`]: silences in the real Alertmanager
//! - [`program`]: how all of these are started and ended
//!
//! These tests are ignored by plain `cargo test`; `./tests/run` installs what they need and runs
//! them. Where a program is missing they fail and name its package.

mod adf;
mod aimock;
mod audit;
mod everything;
mod exporter;
mod github;
mod llama;
mod manager;
mod modelled;
mod outage;
mod polled;
mod program;
mod reading;
mod receiver;
mod silence;
mod stand;

use crate::support::chain::{assert_sound, entries};
use crate::support::full;
use crate::support::http::eventually;
use crate::support::site::Site;
use firewarden::journal::Body;
use serde_json::{Value, json};
use stand::Stand;
use std::collections::BTreeSet;
use std::time::Duration;

/// From a changed metric to a closed investigation, with everything that lies between.
const CHAIN: Duration = Duration::from_secs(90);

/// The investigation that an alert on this volume belongs to, once there is one with `alerts` alerts.
async fn investigation_of(site: &Site, volume: &str, alerts: u64) -> Value {
    eventually(&format!("an investigation of {volume} with {alerts} alerts"), CHAIN, async || {
        let found = site.investigations().await;
        found.into_iter().find(|inv| inv["resource"]["id"] == volume && inv["alerts"].as_u64() >= Some(alerts))
    })
    .await
}

/// Waits until the report of `id` takes all its alerts into account.
async fn reported(site: &Site, id: &str) -> Value {
    eventually(&format!("{id} is closed with a report"), CHAIN, async || {
        let inv = site.json(&format!("/api/v1/investigations/{id}")).await;
        (inv["state"] == "closed" && inv["outcome"] == "reported").then_some(inv)
    })
    .await
}

/// Tools whose observation is in the journal of `id`.
async fn tools_that_answered(site: &Site, id: &str) -> BTreeSet<String> {
    let journal = entries(site, id).await;
    assert_sound(id, &journal);
    let tool_of = |wanted: &str| {
        journal.iter().find_map(|entry| match &entry.body {
            Body::ReadStarted { call, .. } if call.id == wanted => Some(call.tool.clone()),
            _ => None,
        })
    };
    let finished = journal.iter().filter_map(|entry| match &entry.body {
        Body::ReadFinished { call_id, .. } => tool_of(call_id),
        _ => None,
    });
    finished.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn a_full_volume_becomes_one_investigation_with_its_name_and_its_end() {
    let stand = Stand::up().await;
    let site = stand.site();
    let server = site.up().await;
    let queries_before = stand.prometheus_queries().await;

    stand.exporter.fill("shop", "data-orders-0", 93.0);
    let inv = investigation_of(&site, "data-orders-0", 2).await;
    let id = inv["id"].as_str().unwrap();
    let inv = reported(&site, id).await;
    assert_eq!(inv["risk"]["level"], "HIGH", "a critical alert: {inv:#}");
    assert_eq!(inv["alert_status"], "firing");

    // Both alerts of the one volume, each delivered to both receivers, are one investigation.
    let of_volume: Vec<Value> =
        site.investigations().await.into_iter().filter(|i| i["resource"]["id"] == "data-orders-0").collect();
    assert_eq!(of_volume.len(), 1, "PVCUsageHigh and PVCUsageCritical of one volume: {of_volume:#?}");
    eventually("the second receiver has both alerts", CHAIN, async || {
        let seen = stand.second.names_of("data-orders-0");
        (seen == ["PVCUsageCritical", "PVCUsageHigh"]).then_some(())
    })
    .await;

    // The investigation asked the real Prometheus, and Prometheus says so, too.
    let tools = tools_that_answered(&site, id).await;
    assert!(tools.iter().any(|t| t.starts_with("prometheus_")), "no answer of Prometheus in the journal: {tools:?}");
    assert!(stand.prometheus_queries().await > queries_before, "Prometheus was never asked");
    let report = site.report(id).await;
    assert!(report.to_string().contains("data-orders-0"), "the report does not name the volume: {report:#}");
    assert!(report["evidence"].as_array().is_some_and(|e| !e.is_empty()), "{report:#}");
    let markdown = crate::support::http::send(
        site.client.get(site.url(&format!("/api/v1/investigations/{id}/report"))).header("accept", "text/markdown"),
    );
    assert!(markdown.await.unwrap().text.contains("data-orders-0"));

    // A warning alone is MEDIUM.
    stand.exporter.fill("search", "index-0", 80.0);
    let warning = investigation_of(&site, "index-0", 1).await;
    let warning = reported(&site, warning["id"].as_str().unwrap()).await;
    assert_eq!(warning["risk"]["level"], "MEDIUM", "{warning:#}");

    // Other families of alerts come through as well.
    stand.exporter.crash_loop("shop", "api-7d9f");
    let crash = investigation_of(&site, "api-7d9f", 1).await;
    assert_eq!(crash["alert"], "PodCrashLooping");
    assert_eq!(crash["resource"]["type"], "k8s_pod");

    // Resolving is recorded, and opens nothing.
    let before = site.investigations().await.len();
    stand.exporter.fill("shop", "data-orders-0", 40.0);
    eventually("both alerts are resolved", CHAIN, async || {
        let inv = site.json(&format!("/api/v1/investigations/{id}")).await;
        (inv["alert_status"] == "resolved").then_some(())
    })
    .await;
    let journal = entries(&site, id).await;
    assert_eq!(journal.iter().filter(|e| e.body.kind() == "AlertResolved").count(), 2, "two alerts ended");
    assert_eq!(site.investigations().await.len(), before, "resolving opens nothing");

    // The exporter dies: TargetDown is about the target, not about a volume.
    stand.exporter.go_down();
    eventually("TargetDown is investigated", CHAIN, async || {
        site.investigations().await.into_iter().find(|inv| inv["alert"] == "TargetDown")
    })
    .await;

    assert!(stand.nobody.is_empty(), "the catch-all sibling takes what is left: {:?}", stand.nobody.fingerprints());
    eventually("the sibling behind `continue` takes what is not for firewarden, too", CHAIN, async || {
        stand.second.heard_of("Watchdog").then_some(())
    })
    .await;
    assert!(site.events().await.iter().all(|e| e["labels"]["alertname"] != "Watchdog"));
    site.verify_audit();
    drop(server);
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn killing_firewarden_while_alertmanager_delivers_loses_nothing() {
    let volumes = if full() { 200 } else { 40 };
    let kills = if full() { 10 } else { 3 };
    let stand = Stand::up().await;
    let site = stand.site();
    let mut server = site.up().await;

    let mut filled = 0;
    for kill in 1..=kills {
        let upto = volumes * kill / kills;
        (filled..upto).for_each(|n| stand.exporter.fill(&format!("team-{}", n % 7), &format!("data-{n}"), 80.0));
        filled = upto;
        // The first of the new alerts has just been delivered to the second receiver: the others are under way.
        eventually("Alertmanager delivers", CHAIN, async || {
            (stand.second.volumes() > volumes * (kill - 1) / kills).then_some(())
        })
        .await;
        server.kill();
        server = site.up().await;
    }
    eventually("the second receiver has seen every volume", CHAIN, async || {
        (stand.second.volumes() == volumes).then_some(())
    })
    .await;

    let expected = stand.second.deliveries();
    assert!(expected.len() >= volumes);
    eventually("firewarden has every alert that the second receiver saw", 2 * CHAIN, async || {
        let have = deliveries(&site.events().await);
        expected.iter().filter(|(_, name, _)| name != "Watchdog").all(|d| have.contains(d)).then_some(())
    })
    .await;
    let all: Vec<(String, String, String)> = site.events().await.iter().map(delivery).collect();
    let unique: BTreeSet<_> = all.iter().collect();
    assert_eq!(all.len(), unique.len(), "an alert was taken twice");

    // Each volume is one investigation, and each comes to its end in spite of the kills.
    for n in 0..volumes {
        let inv = investigation_of(&site, &format!("data-{n}"), 1).await;
        reported(&site, inv["id"].as_str().unwrap()).await;
    }
    let resources: Vec<String> = site.investigations().await.iter().map(|i| i["resource"]["id"].to_string()).collect();
    assert_eq!(resources.len(), resources.iter().collect::<BTreeSet<_>>().len(), "a volume has two investigations");
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn what_fires_while_firewarden_is_down_arrives_when_it_is_back() {
    let stand = Stand::up().await;
    let site = stand.site();
    stand.exporter.fill("shop", "data-late-0", 93.0);
    eventually("the second receiver gets its alerts without firewarden", CHAIN, async || {
        (stand.second.names_of("data-late-0").len() == 2).then_some(())
    })
    .await;
    let _server = site.up().await;
    let inv = investigation_of(&site, "data-late-0", 2).await;
    reported(&site, inv["id"].as_str().unwrap()).await;
}

fn delivery(event: &Value) -> (String, String, String) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    (text(&event["fingerprint"]), text(&event["labels"]["alertname"]), instant(&event["starts_at"]))
}

fn deliveries(events: &[Value]) -> BTreeSet<(String, String, String)> {
    events.iter().map(delivery).collect()
}

/// The same instant in the same words.
fn instant(value: &Value) -> String {
    value.as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok()).map(|t| t.to_string()).unwrap_or_default()
}

/// Whether Alertmanager's own tool finds our published route example sound is part of `docs`; here the
/// example is at work: `continue: true` to firewarden, then a catch-all sibling.
fn routes(firewarden: &str, second: &str, nobody: &str) -> Value {
    json!({
        "global": {"resolve_timeout": "1m"},
        "route": {
            "receiver": "nobody", "group_by": ["alertname", "namespace", "persistentvolumeclaim"],
            "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
            "routes": [
                {"receiver": "firewarden", "matchers": ["severity=~\"warning|critical\""], "continue": true},
                {"receiver": "second"},
            ],
        },
        "receivers": [
            {"name": "firewarden", "webhook_configs": [{"url": firewarden}]},
            {"name": "second", "webhook_configs": [{"url": second}]},
            {"name": "nobody", "webhook_configs": [{"url": nobody}]},
        ],
    })
}
