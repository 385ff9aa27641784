//! SIGKILL of the real binary right before and right after a change leaves the house, and what the rights
//! of its writer are found to be.

use super::scene::objects;
use crate::support::chain::{assert_sound, entries};
use crate::support::cluster::Cluster;
use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::policies::{edit, shipped};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Only debug builds know it.
const CRASH_AT_EFFECT: &str = "FIREWARDEN_CRASH_AT_EFFECT";
const API: &str = "/apis/apps/v1/namespaces/shop/deployments/api";

/// A site that may change `cluster`.
pub(crate) fn site(cluster: &Cluster, mut config: Value) -> Site {
    let dir = TempDir::new().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig().to_string()).unwrap();
    if !config["models"].is_null() {
        config["policies"]["dir"] = json!(trusting_policies(dir.path()));
    }
    config["tools"]["kubernetes"]["kubeconfig"] = json!(kubeconfig);
    config["tools"]["kubernetes"]["write"] = json!(true);
    config["budgets"]["survey"] = json!({"tool_calls": 2, "wall": "5s"});
    Site::within(dir, config).variable("SCRIPTED_KEY", "sk-scripted")
}

/// The shipped policies, without their tests, which trust a model that nobody measured: the scripted one.
fn trusting_policies(within: &Path) -> PathBuf {
    let policies = within.join("policies");
    shipped(&policies);
    std::fs::remove_dir_all(policies.join("tests")).unwrap();
    edit(&policies.join("action/effects.rego"), r#"in {"ok", "none"}"#, r#"in {"ok", "none", "unknown"}"#);
    policies
}

pub(crate) fn alert() -> Value {
    let labels = json!({"alertname": "DeploymentBusy", "namespace": "shop", "deployment": "api", "severity": "info"});
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r", "groupLabels": {},
        "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "a case"}, "generatorURL": "",
                    "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f"}]})
}

async fn killed(side: &str) {
    let cluster = Cluster::serve(objects()).await;
    let args = json!({"kind": "Deployment", "namespace": "shop", "name": "api", "replicas": 3});
    let model = Model::serve(Script::Calls(vec![vec![("kubernetes_scale", args)]])).await;
    let site = site(&cluster, json!({"models": [model.config()]}));
    let mut server = site.start(&[(CRASH_AT_EFFECT, side)]);
    site.ready(&mut server).await;
    site.deliver(&alert()).await;
    eventually("the process has killed itself", SOON, async || server.ended()).await;
    assert_eq!(cluster.effects("deployments/api"), usize::from(side == "after"));
    if side == "before" {
        // The object moves on, as objects do: what might still be on its way would be refused.
        cluster.meddle(API, &json!({"status": {"readyReplicas": 1}}));
    }
    let _server = site.up().await;
    let id = site.investigations().await[0]["id"].as_str().unwrap().to_owned();
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["actions"][0]["state"], "done", "{closed:#}");
    assert_eq!(cluster.ledger(), [format!("patch {API}")], "exactly once");
    assert_eq!(cluster.object(API)["spec"]["replicas"], 3);
    site.verify_audit();
    assert_sound(&id, &entries(&site, &id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_before_a_change_makes_it_once() {
    killed("before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_a_change_does_not_repeat_it() {
    killed("after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_whose_credentials_change_and_which_rights_they_lack() {
    let cluster = Cluster::serve(objects()).await;
    cluster.deny(&["create /pods/eviction"]);
    let site = site(&cluster, json!({}));
    let (_, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    let found: Vec<Value> = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    let about = |check: &str| {
        let finding = found.iter().find(|finding| finding["of"] == "kubernetes" && finding["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("nothing about {check}: {found:#?}"));
        (finding["state"].as_str().unwrap().to_owned(), finding["about"].as_str().unwrap().to_owned())
    };
    let (state, words) = about("writer");
    assert!(state == "warn" && words.contains("credentials for reading"), "{state} {words}");
    let (state, words) = about("writer rights");
    assert!(state == "warn" && words.contains("create pods/eviction"), "{state} {words}");
    let (_, checked, _) = site.run_with_config(&["check"]);
    assert!(checked.contains("changed with the credentials for reading"), "{checked}");
    assert!(cluster.changes().is_empty(), "asking changes nothing");
}
