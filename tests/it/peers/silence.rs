//! Silences in the real Alertmanager: made, looked at, ended, and left alone.

use super::manager::Manager;
use crate::silences::{Stand, end, silence};
use crate::support::http::eventually;
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn the_real_alertmanager_is_silenced_and_heard_again() {
    let manager = Manager::up().await;
    manager.fire("Slow").await;
    manager.silence("Watched").await;

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
