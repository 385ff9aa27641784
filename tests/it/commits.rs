//! SIGKILL before and after every commit of an investigation that is written to while it runs: another
//! alert joins, the first one ends, a person cancels. The commits are those of every day.

use crate::support::chain::{assert_sound, count, entries};
use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Server, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::journal::{Body, Entry};
use firewarden::store::sqlite::SqliteStore;
use firewarden::store::{EventFilter, Events, InvestigationFilter, StoreReader};
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Only debug builds know it.
const CRASH_AT_COMMIT: &str = "FIREWARDEN_CRASH_AT_COMMIT";
/// More commits than a run of this script has.
const MOST_COMMITS: u64 = 60;

/// One run: what is written to it, and where the process dies.
#[derive(Debug, Clone, Copy)]
struct Case {
    cancel: bool,
    side: &'static str,
    commit: u64,
}

/// Whether the process died, and whether it was written to in its second life only.
async fn run(case: Case) -> bool {
    let Case { cancel, side, commit } = case;
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve_silent(Script::ReadsThenReport(1)).await;
    // A short survey: fewer places to die at, of the same kinds.
    let survey = json!({"tool_calls": 6, "wall": "30s"});
    let site = stage.site(json!({"models": [model.config()], "budgets": {"survey": survey}}));
    let firing = stage.world.alert().clone();
    let (second, resolved) = (joining(&firing), resolving(&firing));

    let mut server = site.start(&[(CRASH_AT_COMMIT, &format!("{side}:{commit}"))]);
    site.ready(&mut server).await;
    let mut life = Life { site: &site, server, died: None };
    let id = life.post("/webhook/alertmanager", &firing).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    life.until("the model is asked", async || (model.requests() > 0).then_some(())).await;
    // It is being worked on: what comes now waits for the next commit.
    let merged = life.post("/webhook/alertmanager", &second).await;
    assert!(["merged", "ignored"].contains(&merged["events"][0]["outcome"].as_str().unwrap()), "{case:?}: {merged}");
    assert_eq!(merged["events"][0]["job_id"], id.as_str(), "{case:?}");
    life.post("/webhook/alertmanager", &resolved).await;
    if cancel {
        life.post(&format!("/api/v1/investigations/{id}/cancel"), &json!({"reason": "enough"})).await;
    }
    model.speak();
    let closed = life
        .until("it is closed", async || {
            let answer = site.get(&format!("/api/v1/investigations/{id}")).await?;
            Some(answer.json()).filter(|view| view["state"] == "closed")
        })
        .await;

    assert_eq!(closed["outcome"], if cancel { "cancelled" } else { "reported" }, "{case:?}: {closed:#}");
    site.verify_audit();
    let after = entries(&site, &id).await;
    let before = life.died.clone().unwrap_or_default();
    assert_sound(&id, &after);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.hash, new.hash, "{case:?}: entry {} was rewritten", old.seq);
    }
    assert!(after.len() >= before.len(), "{case:?}: entries are gone");
    nothing_lost_and_nothing_twice(case, &site, &after).await;
    no_recorded_turn_again(case, &before, &after, &model);
    life.died.is_some()
}

/// A site whose server dies once and is started again.
struct Life<'s> {
    site: &'s Site,
    server: Server,
    /// The chain as the dead process left it.
    died: Option<Vec<Entry>>,
}

impl Life<'_> {
    /// Asks `look` until it has an answer; a process that killed itself is replaced.
    async fn until<T>(&mut self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        eventually(what, SOON, async || {
            if let Some(status) = self.server.ended() {
                use std::os::unix::process::ExitStatusExt;
                assert_eq!(status.signal(), Some(9), "the process ended otherwise: {status:?}");
                assert!(self.died.is_none(), "it died twice");
                self.died = Some(left_behind(self.site).await);
                self.server = self.site.up().await;
            }
            look().await
        })
        .await
    }

    /// Posts until it is taken, as a sender and a person would.
    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let site = self.site;
        self.until(path, async || {
            let answer = site.post(path, body.to_string()).await?;
            (200..300).contains(&answer.status).then(|| answer.json())
        })
        .await
    }
}

async fn left_behind(site: &Site) -> Vec<Entry> {
    let store = SqliteStore::open_to_read(&site.database()).await.unwrap();
    let page = store.investigations(&InvestigationFilter { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(page.items.len(), 1, "one incident, one investigation");
    entries(site, &page.items[0].id).await
}

/// An alert on the same volume: it joins.
fn joining(firing: &Value) -> Value {
    let mut second = firing.clone();
    for labels in ["/alerts/0/labels", "/commonLabels"] {
        second.pointer_mut(labels).unwrap()["alertname"] = json!("PVCFillsSoon");
    }
    second["alerts"][0]["fingerprint"] = json!("00000000000000aa");
    second
}

/// The end of the first alert.
fn resolving(firing: &Value) -> Value {
    let mut resolved = firing.clone();
    for status in ["/status", "/alerts/0/status"] {
        *resolved.pointer_mut(status).unwrap() = json!("resolved");
    }
    resolved["alerts"][0]["endsAt"] = json!(jiff::Timestamp::now());
    resolved
}

async fn nothing_lost_and_nothing_twice(case: Case, site: &Site, after: &[Entry]) {
    // From the disk: behind its last commit the process may still be about to die.
    let store = SqliteStore::open_to_read(&site.database()).await.unwrap();
    let events = store.events(&EventFilter { limit: 10, ..Default::default() }).await.unwrap().items;
    assert_eq!(events.len(), 2, "{case:?}: {events:#?}");
    let investigations = store.investigations(&InvestigationFilter { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(investigations.items.len(), 1, "{case:?}");
    let joined: Vec<_> = after
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::AlertsMerged { events } => Some(events.iter().map(|e| e.fingerprint.as_str())),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(joined, ["00000000000000aa"], "{case:?}");
    assert_eq!(count(after, "AlertResolved"), 1, "{case:?}");
    assert_eq!(count(after, "Cancelled"), usize::from(case.cancel), "{case:?}");
    assert_eq!(count(after, "Closed"), 1, "{case:?}");
    assert_eq!(count(after, "Reported"), usize::from(!case.cancel), "{case:?}");
    assert_eq!(count(after, "Notified"), usize::from(!case.cancel), "{case:?}");
    assert_eq!(store.counts().await.unwrap().signals, 0, "{case:?}: something still waits");
}

fn no_recorded_turn_again(case: Case, before: &[Entry], after: &[Entry], model: &Model) {
    let answered: Vec<u32> = after
        .iter()
        .filter_map(|entry| match entry.body {
            Body::ModelReplied { turn, .. } => Some(turn),
            _ => None,
        })
        .collect();
    let turns: BTreeSet<u32> = answered.iter().copied().collect();
    assert_eq!(answered.len(), turns.len(), "{case:?}: a turn was answered twice: {answered:?}");
    let open = count(before, "ModelAsked") > count(before, "ModelReplied");
    let requests = model.requests();
    assert!(
        requests <= answered.len() + usize::from(open),
        "{case:?}: {requests} requests for {} recorded turns: one of them was asked again",
        answered.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_around_every_commit_loses_no_signal_and_repeats_no_turn() {
    for cancel in [false, true] {
        for side in ["before", "after"] {
            let cases = (1..=MOST_COMMITS).map(|commit| Case { cancel, side, commit });
            let mut runs = futures::stream::iter(cases).map(run).buffered(2);
            let mut kills = 0;
            while let Some(true) = runs.next().await {
                kills += 1;
            }
            println!("cancel: {cancel}: {kills} kills {side} a commit");
            let least = if cancel { 3 } else { 5 };
            assert!((least..MOST_COMMITS).contains(&kills), "{kills} kills {side} a commit, cancel: {cancel}");
        }
    }
}
