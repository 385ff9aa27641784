//! Silences in the real Alertmanager: made, looked at, ended, and left alone.

use super::program::Program;
use crate::silences::{Stand, end, silence};
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

/// Alertmanager alone, which tells nobody.
struct Manager {
    address: SocketAddr,
    _program: Program,
    _dir: TempDir,
}

impl Manager {
    async fn up() -> Self {
        let (dir, address) = (TempDir::new().unwrap(), free_address());
        let routes = json!({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]});
        let file = dir.path().join("alertmanager.yml");
        std::fs::write(&file, routes.to_string()).unwrap();
        let program = Program::start(
            "alertmanager",
            "prometheus-alertmanager",
            &[
                format!("--config.file={}", file.display()),
                format!("--storage.path={}", dir.path().join("data").display()),
                format!("--web.listen-address={address}"),
                // Without it, gossip binds every interface.
                "--cluster.listen-address=".to_owned(),
            ],
            dir.path(),
            "install the Debian package `prometheus-alertmanager`",
        );
        let manager = Self { address, _program: program, _dir: dir };
        eventually("Alertmanager is ready", SOON, async || {
            send(client().get(manager.url("/-/ready"))).await.filter(|answer| answer.status == 200)
        })
        .await;
        manager
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Value {
        send(client().get(self.url(path))).await.unwrap().json()
    }

    async fn post(&self, path: &str, body: &Value) {
        let answer = send(client().post(self.url(path)).json(body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    async fn fire(&self, name: &str) {
        let labels = json!({"alertname": name, "namespace": "shop", "service": "cart", "severity": "info"});
        self.post("/api/v2/alerts", &json!([{"labels": labels}])).await;
        eventually(&format!("{name} fires"), SOON, async || (!self.state_of(name).await.is_null()).then_some(())).await;
    }

    /// `active`, or `suppressed` while it is silenced.
    async fn state_of(&self, name: &str) -> Value {
        let alerts = self.get("/api/v2/alerts").await;
        let found = alerts.as_array().into_iter().flatten().find(|alert| alert["labels"]["alertname"] == name);
        found.map(|alert| alert["status"]["state"].clone()).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn the_real_alertmanager_is_silenced_and_heard_again() {
    let manager = Manager::up().await;
    manager.fire("Slow").await;
    let now = jiff::Timestamp::now();
    let ends = now + jiff::SignedDuration::from_hours(1);
    let theirs = json!({"matchers": [{"name": "alertname", "value": "Watched", "isRegex": false}],
                        "startsAt": now, "endsAt": ends, "createdBy": "ann", "comment": "at work"});
    manager.post("/api/v2/silences", &theirs).await;

    let mut stand = Stand::new(&manager.url(""), silence()).await;
    let view = stand.incident("Slow", "info", || false).await;
    assert_eq!(view.actions[0].state, "done", "{:#?}", view.actions);
    let id = view.actions[0].reference.clone().unwrap();
    eventually("Slow is silenced", SOON, async || (manager.state_of("Slow").await == "suppressed").then_some(())).await;
    let held = manager.get(&format!("/api/v2/silence/{id}")).await;
    assert_eq!((&held["status"]["state"], &held["createdBy"]), (&json!("active"), &json!("firewarden")), "{held:#}");
    stand.end().await;

    // People see it as they see any tool's answer, and doctor knows the server.
    let site = Site::new(json!({"tools": {"alertmanager": {"url": manager.url(""), "write": true}}}));
    let (code, told, wrong) = site.run_with_config(&["tools", "call", "alertmanager_silences", "text=known"]);
    assert!(code == Some(0) && told.contains("service=\"cart\"") && told.contains(&id), "{told}{wrong}");
    let (_, told, wrong) = site.run_with_config(&["doctor"]);
    assert!(told.contains("2 silences stand"), "{told}{wrong}");

    let mut stand = Stand::new(&manager.url(""), end()).await;
    let view = stand.incident("Slow2", "info", || false).await;
    assert_eq!(view.actions[0].state, "done", "{:#?}", view.actions);
    eventually("Slow is heard again", SOON, async || (manager.state_of("Slow").await == "active").then_some(())).await;
    let silences = manager.get("/api/v2/silences").await;
    let standing = silences.as_array().unwrap().iter().filter(|silence| silence["status"]["state"] == "active");
    let owners: Vec<&Value> = standing.map(|silence| &silence["createdBy"]).collect();
    assert_eq!(owners, ["ann"], "{silences:#}");
    stand.end().await;
}
