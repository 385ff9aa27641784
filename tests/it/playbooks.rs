//! Playbooks from outside: what senders say, step by step to what was done about it, without a model.

use crate::effects::scene::objects;
use crate::support::chain::{assert_sound, entries};
use crate::support::cluster::Cluster;
use crate::support::http::{eventually, send};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};
use tempfile::TempDir;

const CADDY: &str = "/apis/apps/v1/namespaces/tools/deployments/caddy-mcp";

/// A Deployment of which `ready` of two Pods are ready.
fn caddy(ready: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
           "metadata": {"name": "caddy-mcp", "namespace": "tools", "generation": 1},
           "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "caddy-mcp"}},
                    "template": {"metadata": {"labels": {"app": "caddy-mcp"}},
                                 "spec": {"containers": [{"name": "caddy", "image": "caddy:2"}]}}},
           "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready, "availableReplicas": ready}})
}

/// A site that sees `cluster`, and may change it.
fn site(cluster: &Cluster, mut config: Value) -> Site {
    let dir = TempDir::new().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig().to_string()).unwrap();
    config["tools"]["kubernetes"] = json!({"kubeconfig": kubeconfig, "write": true});
    Site::within(dir, config)
}

/// What Portainer says of caddy-mcp, as in the worked example of the fleet gateway.
fn portainer(status: &str) -> Value {
    json!({"service": "caddy-mcp", "severity": "critical", "status": status, "summary": format!("synthetic: caddy-mcp is {status}")})
}

async fn sent(site: &Site, body: &Value) -> (String, String) {
    let answer = site.post("/api/fleet/events?source=portainer", body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let row = answer.json()["events"][0].clone();
    (row["event_id"].as_str().unwrap().to_owned(), row["job_id"].as_str().unwrap_or_default().to_owned())
}

async fn event(site: &Site, id: &str) -> Value {
    site.json(&format!("/api/v1/events/{id}")).await
}

/// Waits until what was done last about `id` is `status`.
async fn until(site: &Site, id: &str, status: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{id} is {status}"), SOON, async || {
        last = event(site, id).await;
        (last["remediation_status"] == status).then_some(())
    })
    .await;
    last
}

fn steps(event: &Value) -> Vec<String> {
    let word = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let log = event["remediation_log"].as_array().unwrap();
    log.iter().map(|row| format!("{}:{}", word(row, "step"), word(row, "outcome"))).collect()
}

async fn pending(site: &Site, tool: &str) -> Value {
    eventually(&format!("people are asked about {tool}"), SOON, async || {
        let list = site.json("/api/v1/approvals?state=pending").await;
        list["items"].as_array().unwrap().iter().find(|asked| asked["action"]["tool"] == tool).cloned()
    })
    .await
}

async fn grant(site: &Site, asked: &Value) {
    let path = format!("/api/v1/approvals/{}/grant", asked["id"].as_str().unwrap());
    let body = json!({"action_digest": asked["action_digest"], "comment": "go"});
    let answer = send(site.client.post(site.url(&path)).body(body.to_string())).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_is_restarted_once_people_agree_and_is_seen_to_be_up() {
    let mut all = objects();
    all.push(caddy(0));
    let cluster = Cluster::serve(all).await;
    let site = site(&cluster, json!({}));
    let _server = site.up().await;
    let (id, job) = sent(&site, &portainer("down")).await;

    let asked = until(&site, &id, "escalate:queued").await;
    assert_eq!(
        steps(&asked),
        ["observe:complete", "classify:service_down", "confirm:confirmed", "policy:ask", "escalate:queued"]
    );
    assert_eq!((&asked["class"], &asked["triage_status"]), (&json!("service_down"), &json!("triaged")));
    assert_eq!((&asked["summary"], &asked["source"]), (&json!("synthetic: caddy-mcp is down"), &json!("portainer")));
    assert_eq!(asked["raw"]["service"], "caddy-mcp");
    let question = pending(&site, "kubernetes_rollout_restart").await;
    assert_eq!(question["action"]["target"], "Deployment tools/caddy-mcp", "{question:#}");
    assert!(cluster.changes().is_empty(), "nothing happens by itself");

    grant(&site, &question).await;
    until(&site, &id, "verify:scheduled").await;
    assert_eq!(cluster.effects("deployments/caddy-mcp"), 1);
    let up = json!({"status": {"observedGeneration": 99, "readyReplicas": 2, "availableReplicas": 2}});
    cluster.meddle(CADDY, &up);
    sent(&site, &portainer("up")).await;
    let held = until(&site, &id, "verify:held").await;
    let all = steps(&held);
    let behind: Vec<&str> = all.iter().skip(5).map(String::as_str).collect();
    assert_eq!(behind, ["escalate:granted", "actuate:started", "actuate:done", "verify:scheduled", "verify:held"]);
    let closed = site.closed(&job, SOON).await;
    assert_eq!(closed["actions"][0]["state"], "verified", "{closed:#}");
    assert_eq!(event(&site, &id).await["remediation_status"], "verify:held", "the end changes nothing");
    assert_sound(&job, &entries(&site, &job).await);
    site.verify_audit();
    let (code, shown, _) = site.run_with_config(&["events", "show", &id]);
    assert!(
        code == Some(0) && shown.contains("verify:held") && shown.contains("restart Deployment tools/caddy-mcp"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_runs_is_left_alone_and_a_route_or_sender_may_have_no_playbook() {
    let mut all = objects();
    all.push(caddy(2));
    let cluster = Cluster::serve(all).await;
    let config = json!({"playbooks": {"portainer:error": "none"},
                        "routes": [{"name": "quiet", "matchers": ["team=\"quiet\""], "playbook": "none"}]});
    let site = site(&cluster, config);
    let _server = site.up().await;
    let (id, job) = sent(&site, &portainer("down")).await;
    let over = until(&site, &id, "confirm:recovered").await;
    let closed = site.closed(&job, SOON).await;
    assert_eq!((&closed["actions"], &closed["outcome"]), (&json!([]), &json!("reported")));
    assert_eq!(steps(&event(&site, &id).await), steps(&over), "that is the end of it");

    cluster.meddle(CADDY, &json!({"status": {"readyReplicas": 0, "availableReplicas": 0}}));
    for (more, by) in [
        (json!({"severity": "error", "id": "a"}), "portainer:error"),
        (json!({"labels": {"team": "quiet"}, "id": "b"}), "route quiet"),
    ] {
        let mut body = portainer("down");
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body["summary"] = json!(format!("caddy-mcp is down, by {by}"));
        let (id, job) = sent(&site, &body).await;
        let told = until(&site, &id, "escalate:told").await;
        let classified = told["remediation_log"].as_array().unwrap().iter().find(|row| row["step"] == "classify");
        let classified = classified.unwrap_or_else(|| panic!("{told:#}"));
        assert_eq!((&classified["by"], classified.get("playbook")), (&json!(by), None), "{told:#}");
        site.closed(&job, SOON).await;
    }
    assert!(cluster.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_down_again_and_again_is_asked_about_and_never_restarted_alone() {
    let mut all = objects();
    all.push(caddy(0));
    let cluster = Cluster::serve(all).await;
    let site = site(&cluster, json!({}));
    let _server = site.up().await;
    let mut last = String::new();
    for n in 0..3 {
        if n > 0 {
            sent(&site, &portainer("up")).await;
        }
        (last, _) = sent(&site, &portainer("down")).await;
        if n == 0 {
            until(&site, &last, "escalate:queued").await;
        }
    }
    let asked = eventually("the flap is seen", SOON, async || {
        let event = event(&site, &last).await;
        (event["class"] == "service_flapping" && event["remediation_status"] == "escalate:queued").then_some(event)
    })
    .await;
    let rows = asked["remediation_log"].as_array().unwrap();
    let policy = rows.iter().rfind(|row| row["step"] == "policy").unwrap();
    let rules = policy["rules"].as_array().unwrap();
    assert!(rules.contains(&json!("action/flapping/flapping")), "{policy:#}");
    assert!(cluster.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_out_is_looked_at_more_closely_once_people_agree() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({"playbooks": {"default": "classified"}}));
    let _server = site.up().await;
    let answer = site.deliver(stage.world.alert()).await;
    let row = &answer["events"][0];
    let (id, job) = (row["event_id"].as_str().unwrap(), row["job_id"].as_str().unwrap());
    let question = pending(&site, "investigate_resource_pressure").await;
    assert_eq!(question["action"]["effect"], "write");
    let asked = event(&site, id).await;
    assert_eq!(asked["class"], "resource_pressure");
    let rules = question["requirements"].as_array().unwrap();
    assert!(rules.iter().any(|needed| needed["rule"] == "action/pressure/pressure"), "{question:#}");
    let before = site.report(job).await;
    assert!(before["revision"] == 1 && before.get("closer").is_none(), "{before:#}");

    grant(&site, &question).await;
    let after = eventually("a further report is there", SOON, async || {
        let report = site.report(job).await;
        (report["revision"].as_u64() >= Some(2) && report["closer"].is_array()).then_some(report)
    })
    .await;
    let lines: Vec<&str> =
        after["closer"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    let grown = lines.iter().find(|line| line.starts_with("what PersistentVolumeClaim")).unwrap();
    assert!(grown.contains("now") && grown.contains("ago"), "{lines:#?}");
    assert_eq!(after["verdict"], before["verdict"]);
    let chain = entries(&site, job).await;
    assert_sound(job, &chain);
    let made = site.json(&format!("/api/v1/investigations/{job}")).await;
    let look = made["actions"].as_array().unwrap().iter().filter(|a| a["tool"] == "investigate_resource_pressure");
    assert_eq!(look.map(|a| a["state"].as_str().unwrap()).collect::<Vec<_>>(), ["done"], "asked once: {made:#}");
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_known_object_explains_is_told_and_listed() {
    let cluster = Cluster::serve(objects()).await;
    let site = site(&cluster, json!({}));
    let _server = site.up().await;
    let mut ghost = portainer("down");
    ghost["service"] = json!("ghost");
    let (id, job) = sent(&site, &ghost).await;
    let told = until(&site, &id, "escalate:told").await;
    assert!(steps(&told).contains(&"observe:failure_gap".to_owned()), "{told:#}");
    site.closed(&job, SOON).await;
    let listed = site.json("/api/alerts?category=failure_pattern").await;
    assert_eq!(listed["total"], 1, "{listed:#}");
    assert!(listed["alerts"][0]["title"].as_str().unwrap().contains("ghost"), "{listed:#}");
    assert_eq!(site.json("/check").await["failure_reports"]["default"]["failure_gaps"][0]["count"], 1);
}
