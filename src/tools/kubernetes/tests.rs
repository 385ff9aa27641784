//! The tools against recorded answers of a real API server.

use crate::domain::{Clock, Redactor};
use crate::edge::kube::fake::{Fake, fixture};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
struct Recorded;
impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        "2026-11-21T00:09:00Z".parse().unwrap()
    }
}

pub(super) fn registry(fake: &Fake) -> Registry {
    let sources = Sources { kubernetes: Some(fake.reader().named("prod")), ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap()
}

fn shop() -> Fake {
    let fake = Fake::new();
    for name in
        ["pod-crashloop", "pod-imagepull", "pod-oomkilled", "pods-list", "deployment", "nodes", "pvc", "replicasets"]
    {
        fake.replay(&fixture(name));
    }
    fake.replay_at(&fixture("events-pod"), "/api/v1/namespaces/shop/events");
    fake
}

pub(super) async fn text(registry: &Registry, tool: &str, args: Value) -> String {
    registry.look(tool, &args).await.unwrap().text
}

#[tokio::test]
async fn a_list_says_of_pods_what_kubectl_says() {
    let fake = shop();
    let seen = registry(&fake).look("kubernetes_list", &json!({"kind": "po", "namespace": "shop"})).await.unwrap();
    insta::assert_snapshot!("pods", seen.text);
    assert_eq!((&seen.data["kind"], &seen.data["complete"]), (&json!("PodList"), &json!(true)));
    assert_eq!(seen.data["items"][0]["kind"], "Pod");
    // READY, STATUS and the count of RESTARTS are those of the server's own table.
    let table = fixture("pods-table");
    for row in table["response"]["body"]["rows"].as_array().unwrap() {
        let cells: Vec<&str> = (0..4).map(|n| row["cells"][n].as_str().unwrap()).collect();
        let line = seen.text.lines().find(|l| l.starts_with(cells[0])).unwrap();
        let ours: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((ours[1], ours[2]), (cells[1], cells[2]), "{line}");
        assert_eq!(ours[3], cells[3].split(' ').next().unwrap(), "{line}");
    }
}

#[tokio::test]
async fn other_kinds_have_their_columns() {
    let fake = shop();
    let registry = registry(&fake);
    let nodes = text(&registry, "kubernetes_list", json!({"kind": "nodes"})).await;
    let replicasets = text(&registry, "kubernetes_list", json!({"kind": "rs", "namespace": "shop"})).await;
    let events = text(&registry, "kubernetes_list", json!({"kind": "ev", "namespace": "shop", "limit": 1})).await;
    assert!(events.starts_with("1 of more events, 1 warning: BackOff ×17") && events.contains("OBJECT"), "{events}");
    insta::assert_snapshot!("other_kinds", format!("{nodes}\n{replicasets}"));
}

#[tokio::test]
async fn an_object_keeps_who_changed_it_and_loses_the_rest() {
    let fake = shop();
    let registry = registry(&fake);
    let args = json!({"kind": "Deployment", "namespace": "shop", "name": "api"});
    let seen = registry.look("kubernetes_get", &args).await.unwrap();
    let fields = seen.data["metadata"]["managedFields"].as_array().unwrap();
    assert!(fields.iter().all(|f| f.get("fieldsV1").is_none() && f["manager"].is_string() && f["time"].is_string()));
    assert!(!seen.data.to_string().contains("last-applied"));
    insta::assert_snapshot!("deployment", seen.text);
}

#[tokio::test]
async fn a_description_tells_why_a_pod_does_not_run() {
    let fake = shop();
    let registry = registry(&fake);
    let mut all = String::new();
    for name in ["pod-crashloop", "pod-imagepull", "pod-oomkilled"] {
        let name = fixture(name)["response"]["body"]["metadata"]["name"].as_str().unwrap().to_owned();
        let args = json!({"kind": "pod", "namespace": "shop", "name": name});
        let seen = registry.look("kubernetes_describe", &args).await.unwrap();
        assert_eq!(seen.data["object"]["kind"], "Pod");
        assert!(seen.data["conditions"].is_array() && seen.data["events"].is_array());
        // What follows the events is the object itself.
        all.push_str(seen.text.split("\nspec:").next().unwrap());
        all.push_str("---\n");
    }
    insta::assert_snapshot!("descriptions", all);
}

#[tokio::test]
async fn events_that_may_not_be_read_do_not_hide_the_object() {
    let fake = shop();
    fake.on(
        "/api/v1/namespaces/shop/events",
        403,
        json!({"kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}),
    );
    let args = json!({"kind": "pvc", "namespace": "shop", "name": "data-postgres-0"});
    let seen = registry(&fake).look("kubernetes_describe", &args).await.unwrap();
    assert!(
        seen.text.contains("note: its events could not be read: kubernetes: forbidden: no; grant list on events"),
        "{}",
        seen.text
    );
    assert!(seen.text.contains("PersistentVolumeClaim data-postgres-0 in namespace shop"), "{}", seen.text);
}

#[tokio::test]
async fn events_come_newest_last() {
    let fake = shop();
    let event = |name: &str, at: &str| {
        json!({"metadata": {"name": name, "namespace": "a"}, "lastTimestamp": at, "reason": name,
        "type": "Warning", "message": "m", "involvedObject": {"kind": "Pod", "name": "p"}})
    };
    fake.on("/api/v1/events", 200, json!({"items": [
        event("third", "2026-11-21T00:08:00Z"), event("first", "2026-11-20T23:00:00+00:00"),
        {"metadata": {"name": "second", "namespace": "a"}, "reason": "second", "eventTime": "2026-11-21T00:07:59.500000Z", "lastTimestamp": null,
         "series": {"count": 40, "lastObservedTime": "2026-11-21T00:07:59.900000Z"}}]}));
    let registry = registry(&fake);
    let seen = registry.look("kubernetes_events", &json!({})).await.unwrap();
    let order: Vec<&str> =
        seen.data["items"].as_array().unwrap().iter().map(|e| e["reason"].as_str().unwrap()).collect();
    assert_eq!(order, ["first", "second", "third"]);
    insta::assert_snapshot!("events", seen.text);
    registry.look("kubernetes_events", &json!({"kind": "nodes", "namespace": "shop", "name": "node-a"})).await.unwrap();
    assert!(
        fake.asked().last().unwrap().starts_with("/api/v1/events?fieldSelector=involvedObject.kind%3DNode%2C"),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn logs_are_filtered_and_cut_to_what_was_asked() {
    let fake = shop();
    let pod = "api-65857d5d47-26pgn";
    let log: String =
        (0..1000).map(|n| format!("{} line {n}\n", if n % 100 == 7 { "ERROR" } else { "info" })).collect();
    fake.text(&format!("/api/v1/namespaces/shop/pods/{pod}/log"), 200, &format!("{log}{}", "same\n".repeat(5)));
    let registry = registry(&fake);
    let call = |extra: Value| {
        let mut args = json!({"namespace": "shop", "pod": pod});
        args.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let registry = &registry;
        async move { registry.look("kubernetes_logs", &args).await }
    };
    let seen = call(json!({"grep": "error", "tail": 3})).await.unwrap();
    assert_eq!(seen.data["lines"], json!(["ERROR line 707", "ERROR line 807", "ERROR line 907"]));
    assert_eq!(
        (&seen.data["total_lines"], &seen.data["container"], seen.truncated),
        (&json!(1005), &json!("app"), true)
    );
    assert!(seen.text.contains("note: 10 lines match, 3 are shown"), "{}", seen.text);
    let seen = call(json!({"head": 2})).await.unwrap();
    assert_eq!(seen.data["lines"], json!(["info line 0", "info line 1"]));
    let seen = call(json!({"previous": true})).await.unwrap();
    assert!(seen.text.ends_with("same  (x5)\n") && seen.text.contains("\nprevious log of pod"), "{}", seen.text);
    let last = fake.asked().last().unwrap().clone();
    assert!(
        last.contains("previous=true") && last.contains("tailLines=20000") && last.contains("container=app"),
        "{last}"
    );
    assert!(matches!(call(json!({"head": 2, "tail": 2})).await, Err(ToolError::Invalid { .. })));
}

#[tokio::test]
async fn a_container_has_to_be_chosen_among_several() {
    let fake = shop();
    let web = fixture("error-logs-need-container");
    fake.replay(&web);
    let pods = fixture("pods-list");
    let items = pods["response"]["body"]["items"].as_array().unwrap();
    let pod = items.iter().find(|p| p["metadata"]["name"] == "web-595985d47b-8xk89").unwrap();
    fake.on("/api/v1/namespaces/shop/pods/web-595985d47b-8xk89", 200, pod.clone());
    let args = json!({"namespace": "shop", "pod": "web-595985d47b-8xk89"});
    let error = registry(&fake).look("kubernetes_logs", &args).await.unwrap_err();
    assert!(matches!(error, ToolError::Invalid { .. }));
    assert_eq!(
        error.for_reader(),
        "kubernetes: pod web-595985d47b-8xk89 has several containers; say whose log is wanted: nginx, sidecar"
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let fake = shop();
    fake.replay(&fixture("error-404-pod"));
    fake.replay(&fixture("error-404-ns-list-empty"));
    fake.replay(&fixture("error-403-secret"));
    fake.on("/api/v1/namespaces/shop", 200, json!({}));
    fake.on("/api/v1/namespaces", 200, json!({"items": [{"metadata": {"name": "shop"}}]}));
    let registry = registry(&fake);
    let mut said = Vec::new();
    for (tool, args) in [
        ("kubernetes_get", json!({"kind": "pod", "namespace": "shop", "name": "nope"})),
        ("kubernetes_list", json!({"kind": "pods", "namespace": "ghost"})),
        ("kubernetes_get", json!({"kind": "secrets", "namespace": "shop", "name": "db"})),
        ("kubernetes_get", json!({"kind": "pod", "name": "x"})),
        ("kubernetes_get", json!({"kind": "pod", "namespace": "../..", "name": "x"})),
        ("kubernetes_get", json!({"kind": "pod", "namespace": "shop", "name": "x/log"})),
    ] {
        said.push(registry.look(tool, &args).await.unwrap_err().for_reader().to_owned());
    }
    insta::assert_snapshot!("not_there", said.join("\n"));
}

#[tokio::test]
async fn a_secret_shows_its_metadata_and_nothing_of_its_data() {
    let fake = shop();
    let applied = json!({"data": {"password": "aHVudGVyMg=="}}).to_string();
    let secret = json!({"kind": "PartialObjectMetadata", "metadata": {"name": "db", "namespace": "shop",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}});
    fake.on("/api/v1/namespaces/shop/secrets/db", 200, secret.clone());
    fake.on("/api/v1/namespaces/shop/secrets", 200, json!({"items": [secret]}));
    let registry = registry(&fake);
    for (tool, args) in [
        ("kubernetes_get", json!({"kind": "SECRETS", "namespace": "shop", "name": "db"})),
        ("kubernetes_describe", json!({"kind": "secret", "namespace": "shop", "name": "db"})),
        ("kubernetes_list", json!({"kind": "secret", "namespace": "shop"})),
    ] {
        let seen = registry.look(tool, &args).await.unwrap();
        assert!(!format!("{}{}", seen.data, seen.text).contains("aHVu"), "{tool}");
        assert!(seen.text.contains("db"), "{tool}: {}", seen.text);
    }
}

#[tokio::test]
async fn a_policy_sees_one_name_for_a_kind_however_it_is_spelled() {
    let fake = shop();
    let registry = registry(&fake);
    for word in ["secret", "Secrets", " SECRET"] {
        let target =
            registry.targets("kubernetes_get", &json!({"kind": word, "namespace": "shop", "name": "db"})).unwrap();
        assert_eq!(
            target,
            [
                json!({"cluster": "prod", "namespace": "shop", "api_version": "v1", "kind": "Secret", "name": "db", "verb": "get"})
            ]
        );
    }
    let node =
        &registry.targets("kubernetes_describe", &json!({"kind": "no", "namespace": "x", "name": "a"})).unwrap()[0];
    assert_eq!((&node["kind"], &node["namespace"]), (&json!("Node"), &Value::Null));
    let list = |kind: &str| registry.targets("kubernetes_list", &json!({"kind": kind})).unwrap().remove(0);
    assert_eq!(list("certs")["resolved"], false);
    fake.on("/api", 200, json!({"kind": "APIVersions", "versions": []}));
    fake.on("/apis", 200, json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "cert-manager.io"},
        "versions": [{"version": "v1", "resources": [{"resource": "certificates", "responseKind": {"kind": "Certificate"},
        "scope": "Namespaced", "shortNames": ["certs"], "verbs": ["get", "list"]}]}]}]}));
    registry.warm().await.unwrap();
    assert_eq!((&list("certs")["kind"], list("certs").get("resolved")), (&json!("Certificate"), None));
}

#[tokio::test]
async fn every_answer_begins_with_what_was_seen() {
    let fake = shop();
    fake.text("/api/v1/namespaces/shop/pods/api-65857d5d47-26pgn/log", 200, "start\npanic: connection refused\n");
    fake.on(
        "/apis/apps/v1/namespaces/shop/daemonsets",
        200,
        json!({"kind": "DaemonSetList", "metadata": {}, "items": []}),
    );
    fake.on("/api/v1/namespaces/shop", 200, json!({}));
    let registry = registry(&fake);
    let mut told = Vec::new();
    for (tool, args) in [
        ("kubernetes_list", json!({"kind": "po", "namespace": "shop"})),
        ("kubernetes_list", json!({"kind": "rs", "namespace": "shop"})),
        ("kubernetes_list", json!({"kind": "nodes"})),
        ("kubernetes_list", json!({"kind": "ds", "namespace": "shop"})),
        ("kubernetes_list", json!({"kind": "ds", "namespace": "shop", "label_selector": "a=b"})),
        ("kubernetes_get", json!({"kind": "pvc", "namespace": "shop", "name": "data-postgres-0"})),
        ("kubernetes_get", json!({"kind": "deploy", "namespace": "shop", "name": "api"})),
        ("kubernetes_get", json!({"kind": "pod", "namespace": "shop", "name": "api-65857d5d47-26pgn"})),
        ("kubernetes_describe", json!({"kind": "pod", "namespace": "shop", "name": "api-65857d5d47-26pgn"})),
        ("kubernetes_events", json!({"namespace": "shop"})),
        ("kubernetes_logs", json!({"namespace": "shop", "pod": "api-65857d5d47-26pgn"})),
        ("kubernetes_logs", json!({"namespace": "shop", "pod": "api-65857d5d47-26pgn", "grep": "nothing like it"})),
    ] {
        let text = text(&registry, tool, args.clone()).await;
        let first = text.lines().next().unwrap();
        assert!(first.chars().count() <= crate::tools::gist::CHARS, "{first}");
        told.push(format!("{tool} {args}\n    {first}"));
    }
    insta::assert_snapshot!("gists", told.join("\n"));
}
