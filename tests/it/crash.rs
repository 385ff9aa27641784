//! SIGKILL at every place of a whole investigation, and while alerts arrive: the real binary, the
//! real disk. A killed process leaves what a power cut of the process would leave; the next one
//! goes on.

use crate::support::chain::{assert_sound, count, entries};
use crate::support::full;
use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Server, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::journal::{Body, Entry};
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Only debug builds know it.
const CRASH_AFTER_ENTRY: &str = "FIREWARDEN_CRASH_AFTER_ENTRY";
/// More entries than a run of this script has.
const MOST_ENTRIES: usize = 600;

/// How one run went.
struct Run {
    killed_after: Option<usize>,
    entries: usize,
}

/// Two turns with two reads each, then a report.
fn config(model: &Model) -> Value {
    let mut config = json!({"models": [model.config()]});
    if !full() {
        // A shorter survey: fewer places to be killed at, of the same kinds.
        config["budgets"]["survey"] = json!({"tool_calls": 6, "wall": "30s"});
    }
    config
}

async fn killed_after(n: usize) -> Run {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(2)).await;
    let site = stage.site(config(&model));
    let alert = stage.world.alert().clone();

    let mut server = site.start(&[(CRASH_AFTER_ENTRY, &n.to_string())]);
    site.ready(&mut server).await;
    let taken = site.post("/webhook/alertmanager", alert.to_string()).await.filter(|a| a.status == 200);
    let survived = wait_for_the_end(&site, &mut server).await;
    server.kill();
    let name = only_chain(&site).await;
    let before = match &name {
        Some(name) => entries(&site, name).await,
        None => vec![],
    };
    if let Some(name) = name.filter(|_| survived) {
        assert!(
            n == 1 || n > before.len(),
            "{name} has {} entries, yet nothing was killed after entry {n}",
            before.len()
        );
        check(&name, &[], &before, &model);
        return Run { killed_after: None, entries: before.len() };
    }
    assert!(taken.is_none() || !before.is_empty(), "the alert was accepted and is gone");

    let _server = site.up().await;
    if taken.is_none() {
        site.deliver(&alert).await;
    }
    let investigations = site.investigations().await;
    assert_eq!(investigations.len(), 1, "one incident, one investigation: {investigations:#?}");
    let id = investigations[0]["id"].as_str().unwrap().to_owned();
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["outcome"], "reported", "{closed:#}");
    assert_eq!(site.report(&id).await["schema_version"], "rca_report/v1");
    site.verify_audit();
    let after = entries(&site, &id).await;
    check(&id, &before, &after, &model);
    Run { killed_after: Some(n), entries: after.len() }
}

/// What was written stays, nothing is asked twice, nothing is broken.
fn check(name: &str, before: &[Entry], after: &[Entry], model: &Model) {
    assert_sound(name, after);
    assert!(after.len() >= before.len(), "entries are gone");
    for (old, new) in before.iter().zip(after) {
        assert_eq!(old.hash, new.hash, "entry {} was rewritten", old.seq);
    }
    let replies = count(after, "ModelReplied");
    assert_eq!(replies, 3, "two turns with reads and one with the report");
    let mut turns: Vec<u32> = vec![];
    for entry in after {
        if let Body::ModelReplied { turn, .. } = &entry.body {
            turns.push(*turn);
        }
    }
    assert_eq!(turns, [1, 2, 3], "each turn was answered once");
    let in_flight = before.last().is_some_and(|e| matches!(e.body, Body::ModelAsked { .. }));
    assert!(
        model.requests() <= replies + usize::from(in_flight),
        "{} requests for {replies} recorded turns: a recorded turn was asked again",
        model.requests()
    );
    assert_eq!(count(after, "Reported"), 1, "one report, not one for each life");
    assert_eq!(count(after, "Closed"), 1);
}

/// `true` when the investigation closed, `false` when the process killed itself first.
async fn wait_for_the_end(site: &Site, server: &mut Server) -> bool {
    eventually("the investigation is closed or the process is dead", SOON, async || {
        if let Some(status) = server.ended() {
            use std::os::unix::process::ExitStatusExt;
            assert_eq!(status.signal(), Some(9), "the process ended otherwise: {status:?}");
            return Some(false);
        }
        let answer = site.get("/api/v1/investigations").await?;
        (answer.json()["items"][0]["state"] == "closed").then_some(true)
    })
    .await
}

/// The chain of the one investigation, if anything was accepted.
async fn only_chain(site: &Site) -> Option<String> {
    use firewarden::store::{InvestigationFilter, StoreReader, sqlite::SqliteStore};
    let store = SqliteStore::open_to_read(&site.database()).await.unwrap();
    let page = store.investigations(&InvestigationFilter { limit: 10, ..Default::default() }).await.unwrap();
    assert!(page.items.len() <= 1, "one incident, one investigation");
    page.items.first().map(|view| view.id.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_after_every_entry_loses_nothing_and_repeats_nothing() {
    let mut runs = futures::stream::iter(1..=MOST_ENTRIES).map(killed_after).buffered(2);
    let mut kills = 0;
    while let Some(run) = runs.next().await {
        match run.killed_after {
            Some(_) => kills += 1,
            // The opening entry is the intake's: nobody may be killed by it.
            None if kills == 0 && run.entries > 1 => {}
            None => {
                println!("{kills} kills, the whole run has {} entries", run.entries);
                assert!(kills + 1 >= run.entries, "{kills} kills for {} entries", run.entries);
                return;
            }
        }
    }
    panic!("after {MOST_ENTRIES} entries the investigation still had not ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_alerts_arrive_loses_nothing_that_was_accepted() {
    let alerts: usize = if full() { 600 } else { 90 };
    let storm = json!({"storm": {"max_open": 0}});
    let site = Site::new(json!({"budgets": {"survey": {"tool_calls": 4, "wall": "5s"}}, "intake": storm}));
    let mut server = site.up().await;
    let accepted = std::sync::atomic::AtomicUsize::new(0);

    // Four senders that repeat what was not acknowledged, as Alertmanager does.
    let senders = futures::stream::iter(0..alerts)
        .map(|n| {
            let (site, accepted) = (&site, &accepted);
            async move {
                let answer = site.deliver(&envelope(n)).await;
                accepted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                answer
            }
        })
        .buffer_unordered(4)
        .collect::<Vec<Value>>();
    let killer = async {
        for kill in 1..=3_usize {
            eventually("the next third of the alerts is in", Duration::from_secs(120), async || {
                let so_far = accepted.load(std::sync::atomic::Ordering::SeqCst);
                (so_far >= kill * alerts / 4).then_some(())
            })
            .await;
            server.kill();
            server = site.up().await;
        }
    };
    let (answers, ()) = futures::join!(senders, killer);
    assert_eq!(answers.len(), alerts);

    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in site.events().await {
        *seen.entry(event["fingerprint"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), alerts, "accepted alerts are gone");
    assert!(seen.values().all(|times| *times == 1), "an alert is there twice: {seen:?}");
    let opened = site.investigations().await.len();
    assert_eq!(opened, alerts, "each of these alerts is an incident of its own");
    site.verify_audit();
}

/// An alert that has nothing to do with the others.
fn envelope(n: usize) -> Value {
    let labels = json!({"alertname": format!("Case{n}"), "namespace": format!("ns-{n}"), "severity": "info", "service": format!("s{n}")});
    json!({
        "version": "4", "groupKey": format!("{{}}:{{alertname=\"Case{n}\"}}"), "truncatedAlerts": 0, "status": "firing",
        "receiver": "firewarden", "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "a case"},
                    "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
                    "fingerprint": format!("{n:016x}")}]
    })
}
