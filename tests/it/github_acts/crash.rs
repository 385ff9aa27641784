//! SIGKILL of the real binary right before and right after it opens a pull request.

use super::{PULL, REPO, assert_one, fix, hub};
use crate::support::github::TOKEN;
use crate::support::http::eventually;
use crate::support::site::{SOON, Server, Site};
use firewarden::domain::InvestigationId;
use firewarden::edge::SystemEntropy;
use firewarden::store::sqlite::SqliteStore;
use firewarden::store::{Journal, Signal};
use serde_json::{Value, json};

fn envelope() -> Value {
    let labels = json!({"alertname": "Case", "namespace": "shop", "severity": "warning"});
    json!({"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": labels,
           "commonAnnotations": {}, "externalURL": "http://am", "truncatedAlerts": 0,
           "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "a case"}, "startsAt": "2026-11-20T10:00:00Z",
                       "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "f00d"}]})
}

async fn dead(server: &mut Server) {
    eventually("the process is dead", SOON, async || server.ended().map(|_| ())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_around_the_change_makes_nothing_twice() {
    for side in ["before", "after"] {
        let hub = hub().await;
        let mut github = hub.config(&[REPO]);
        github["write"] = json!(true);
        let site = Site::new(json!({
            "tools": {"github": github}, "budgets": {"survey": {"tool_calls": 1, "wall": "5s"}},
            "routes": [{"name": "all", "github": {"repo": REPO, "base": "main", "branch": "fix/{{ id }}", "paths": ["clusters/**"]}}],
        }))
        .variable("GITHUB_TOKEN", TOKEN);
        // It dies early; meanwhile somebody proposes a change.
        let mut server = site.start(&[("FIREWARDEN_CRASH_AFTER_ENTRY", "3")]);
        site.ready(&mut server).await;
        let taken = site.post("/webhook/alertmanager", envelope().to_string()).await;
        dead(&mut server).await;
        let id: InvestigationId = {
            let entropy = SystemEntropy::default();
            let store = SqliteStore::open(&site.database(), &entropy).await.unwrap();
            let id = match taken.filter(|answer| answer.status == 200) {
                Some(answer) => answer.json()["events"][0]["job_id"].as_str().unwrap().parse().unwrap(),
                None => {
                    use firewarden::store::{InvestigationFilter, StoreReader};
                    let filter = InvestigationFilter { limit: 10, ..Default::default() };
                    store.investigations(&filter).await.unwrap().items[0].id.parse().unwrap()
                }
            };
            let signal = Signal::Propose { by: "ann".into(), tool: PULL.into(), args: fix(), reason: "why not".into() };
            assert!(store.signal(id, "ann", signal, jiff::Timestamp::now()).await.unwrap());
            id
        };
        let mut server = site.start(&[("FIREWARDEN_CRASH_AT_EFFECT", side)]);
        dead(&mut server).await;
        assert_eq!(hub.ledger(REPO).pulls.len(), usize::from(side == "after"), "{side}");
        let _server = site.up().await;
        let closed = site.closed(&id.to_string(), SOON).await;
        assert_eq!(closed["actions"][0]["state"], "done", "{side}: {closed:#}");
        assert_one(&hub.ledger(REPO), side);
        site.verify_audit();
    }
}
