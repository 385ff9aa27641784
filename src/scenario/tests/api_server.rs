//! The API server, asked by `kube` and compared with exchanges recorded from a real one.

use super::{fetch, recorded, serve};
use crate::scenario::{Served, World};
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DynamicObject, ListParams, LogParams, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{self, Discovery, Scope},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc};

async fn demo() -> (Arc<World>, Served, Client) {
    let (world, served) = serve(World::embedded("typedb-pvc-full", None).unwrap()).await;
    let client = Client::try_from(Config::new(served.kube_url.parse().unwrap())).unwrap();
    (world, served, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_finds_built_in_and_custom_kinds_either_way() {
    let (_world, served, client) = demo().await;
    let aggregated = Discovery::new(client.clone()).run_aggregated().await.unwrap();
    assert_eq!(served.requests().len(), 2, "two requests are all that aggregated discovery needs");
    let plain = Discovery::new(client.clone()).run().await.unwrap();
    for found in [&aggregated, &plain] {
        for (group, version, kind, plural, scope) in [
            ("", "v1", "Pod", "pods", Scope::Namespaced),
            ("", "v1", "Node", "nodes", Scope::Cluster),
            ("apps", "v1", "Deployment", "deployments", Scope::Namespaced),
            ("storage.k8s.io", "v1", "CSINode", "csinodes", Scope::Cluster),
            ("ceph.rook.io", "v1", "CephCluster", "cephclusters", Scope::Namespaced),
        ] {
            let (resource, can) = found.resolve_gvk(&GroupVersionKind::gvk(group, version, kind)).unwrap();
            assert_eq!((resource.plural.as_str(), can.scope), (plural, scope));
        }
    }
    let (resource, _) =
        discovery::pinned_kind(&client, &GroupVersionKind::gvk("batch", "v1", "CronJob")).await.unwrap();
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    assert!(all.list(&ListParams::default()).await.unwrap().items.is_empty(), "an empty kind is an empty list");
    assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.33.4+k3s1");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_select_page_and_count() {
    let (world, _served, client) = demo().await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "f3iai");
    let names = |list: &kube::core::ObjectList<Pod>| list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>();

    let all = pods.list(&ListParams::default()).await.unwrap();
    let in_world = world.objects.iter().filter(|o| o["kind"] == "Pod" && o["metadata"]["namespace"] == "f3iai").count();
    assert_eq!(all.items.len(), in_world);
    let chosen = pods.list(&ListParams::default().labels("app in (typedb,minio),!x")).await.unwrap();
    assert_eq!(names(&chosen), ["minio-0", "typedb-0"]);
    let pending = pods.list(&ListParams::default().fields("status.phase=Pending")).await.unwrap();
    assert_eq!(names(&pending), ["minio-0"]);

    let mut paged = Vec::new();
    let mut params = ListParams::default().limit(2);
    loop {
        let page = pods.list(&params).await.unwrap();
        assert!(page.items.len() <= 2);
        paged.extend(names(&page));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => break,
        }
    }
    assert_eq!(paged, names(&all));

    let nowhere: Api<Pod> = Api::namespaced(client.clone(), "ghost");
    assert!(nowhere.list(&ListParams::default()).await.unwrap().items.is_empty(), "200 with nothing, never 404");
    let everywhere: Api<Pod> = Api::all(client.clone());
    let stuck = everywhere.list(&ListParams::default().fields("status.phase=Pending")).await.unwrap();
    assert_eq!(stuck.items.len(), 3);
    let events: Api<Event> = Api::namespaced(client, "f3iai");
    let of_typedb =
        events.list(&ListParams::default().fields("involvedObject.name=typedb-0,type=Warning")).await.unwrap();
    assert!(of_typedb.items.iter().any(|e| e.reason.as_deref() == Some("BackOff")));
    assert!(of_typedb.items.iter().all(|e| e.involved_object.uid.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_asked_for_without_the_secret_itself() {
    let (_world, served, client) = demo().await;
    let secrets: Api<Secret> = Api::namespaced(client, "f3iai");
    let metadata = secrets.get_metadata("postgres-credentials").await.unwrap();
    assert_eq!(metadata.name_any(), "postgres-credentials");
    let list = secrets.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let raw = reqwest::Client::new()
        .get(format!("{}/api/v1/namespaces/f3iai/secrets/postgres-credentials", served.kube_url))
        .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    assert!(fetch(raw).await.2.get("data").is_none());
    // Whoever asks in full gets the bait, so that a test can prove that no tool asks.
    assert!(secrets.get("postgres-credentials").await.unwrap().data.unwrap().contains_key("password"));
    let asked = served.requests();
    assert_eq!(asked.iter().filter(|r| !r.accept.contains("as=PartialObjectMetadata")).count(), 1);
    assert!(asked.iter().all(|r| r.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_those_of_the_run_that_was_asked_for() {
    let (_world, _served, client) = demo().await;
    let pods: Api<Pod> = Api::namespaced(client, "f3iai");
    let previous = LogParams { previous: true, ..LogParams::default() };
    let whole = pods.logs("typedb-0", &previous).await.unwrap();
    assert!(whole.contains("No space left on device") && whole.contains("1775044273271069"));
    // Between two starts the last run's log is the current one.
    assert_eq!(pods.logs("typedb-0", &LogParams::default()).await.unwrap(), whole);
    let tail = pods.logs("typedb-0", &LogParams { tail_lines: Some(2), ..previous.clone() }).await.unwrap();
    assert_eq!(tail.lines().count(), 2);
    assert!(whole.ends_with(&tail));
    let short = pods.logs("typedb-0", &LogParams { limit_bytes: Some(10), ..previous.clone() }).await.unwrap();
    assert_eq!(short, "2026-04-01");
    let recent = LogParams { since_seconds: Some(60), ..LogParams::default() };
    let lines = pods.logs("sre-dispatch-7f6c5d9b4-8hxrm", &recent).await.unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    for (pod, params, says) in [
        ("postgres-0", previous.clone(), "previous terminated container \"postgres\" in pod \"postgres-0\" not found"),
        ("minio-0", LogParams::default(), "is waiting to start: ContainerCreating"),
        (
            "typedb-0",
            LogParams { container: Some("x".into()), ..LogParams::default() },
            "container x is not valid for pod typedb-0",
        ),
        ("nope", LogParams::default(), "pods \"nope\" not found"),
    ] {
        let error = pods.logs(pod, &params).await.unwrap_err().to_string();
        assert!(error.contains(says), "{pod}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_takes_changes_is_another_one_from_then_on() {
    let world = World::embedded("typedb-pvc-full", None).unwrap().writable();
    let (_world, served) = serve(world).await;
    let client = reqwest::Client::new();
    let claim = format!("{}/api/v1/namespaces/f3iai/persistentvolumeclaims/data-typedb-0", served.kube_url);
    let (_, _, before) = fetch(client.get(&claim)).await;
    let patch = |version: &str, more: &str| {
        let (uid, size) = (&before["metadata"]["uid"], json!({"requests": {"storage": "70Gi"}}));
        let body = json!({"metadata": {"uid": uid, "resourceVersion": version}, "spec": {"resources": size}});
        let asked = client.patch(format!("{claim}?fieldManager=t{more}")).body(body.to_string());
        fetch(asked.header("content-type", "application/merge-patch+json"))
    };
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    let size = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].clone();
    let (status, _, tried) = patch(version, "&dryRun=All").await;
    assert_eq!((status, size(&tried)), (200, json!("70Gi")));
    assert_eq!(fetch(client.get(&claim)).await.2, before, "a trial is kept by nobody");
    let (status, _, made) = patch(version, "").await;
    assert_eq!((status, size(&made)), (200, json!("70Gi")));
    assert_eq!(fetch(client.get(&claim)).await.2, made);
    assert!(made["metadata"]["generation"].as_u64() > before["metadata"]["generation"].as_u64());
    let (status, _, late) = patch(version, "").await;
    assert_eq!((status, &late["reason"]), (409, &json!("Conflict")), "a second copy is refused");

    let other = json!({"preconditions": {"uid": "another"}});
    let (status, _, _) = fetch(client.delete(&claim).body(other.to_string())).await;
    assert_eq!(status, 409);
    let dry = json!({"dryRun": ["All"], "preconditions": {"uid": before["metadata"]["uid"]}});
    assert_eq!(fetch(client.delete(&claim).body(dry.to_string())).await.0, 200);
    assert_eq!(fetch(client.get(&claim)).await.0, 200, "a trial");
    let real = json!({"preconditions": {"uid": before["metadata"]["uid"]}});
    assert_eq!(fetch(client.delete(&claim).body(real.to_string())).await.0, 200);
    assert_eq!(fetch(client.get(&claim)).await.0, 404);

    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"}, "spec": {}});
    let pods = format!("{}/api/v1/namespaces/f3iai/pods", served.kube_url);
    let create = || fetch(client.post(&pods).body(pod.to_string()));
    let (status, _, made) = create().await;
    assert_eq!((status, &made["metadata"]["namespace"]), (201, &json!("f3iai")));
    assert_eq!(create().await.2["reason"], "AlreadyExists");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes() {
    let (_world, _served, client) = demo().await;
    let pods: Api<Pod> = Api::namespaced(client, "f3iai");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    for error in [
        pods.patch("typedb-0", &PatchParams::default(), &patch).await.unwrap_err(),
        pods.delete("typedb-0", &Default::default()).await.unwrap_err(),
    ] {
        match error {
            kube::Error::Api(status) => {
                assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
                assert!(status.message.contains("cannot") && status.message.contains("\"pods\""), "{}", status.message);
            }
            other => panic!("{other}"),
        }
    }
}

/// A world made of the objects that the real server answered with, so that its answers can be compared.
fn recorded_world() -> World {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("recorded");
    fs::create_dir_all(dir.join("cluster")).unwrap();
    let subject = "subject: {kind: Pod, namespace: shop, name: api}";
    fs::write(
        dir.join("scenario.yaml"),
        format!("id: recorded\ntitle: t\nfamily: f\ndifficulty: easy\nnow: 2026-11-21T00:09:00Z\nuser: agent-ro\n{subject}\n"),
    )
    .unwrap();
    fs::write(dir.join("alert.json"), r#"{"alerts":[{}]}"#).unwrap();
    fs::write(dir.join("expected.yaml"), "verdict: no_fault").unwrap();
    fs::write(dir.join("faults.yaml"), "kubernetes: [{resource: secrets}]").unwrap();
    let mut documents = Vec::new();
    for (file, kind) in [("pods-list", "Pod"), ("events-pod", "Event")] {
        for item in recorded(&format!("kubernetes/{file}"))["response"]["body"]["items"].as_array().unwrap() {
            let mut item = item.clone();
            item["apiVersion"] = "v1".into();
            item["kind"] = kind.into();
            documents.push(item.to_string());
        }
    }
    fs::write(dir.join("cluster/all.yaml"), documents.join("\n---\n")).unwrap();
    World::from_dir(&dir, None).unwrap()
}

/// What differs between any two servers: list versions and page tokens, and texts that we word alike
/// only in part.
fn comparable(mut body: Value) -> Value {
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
        && !metadata.contains_key("name")
    {
        metadata.remove("resourceVersion");
        metadata.entry("continue").and_modify(|token| *token = "token".into());
    }
    if let Some(message) = body.get("message").and_then(Value::as_str).map(str::to_owned)
        && let Some((stem, _)) = message.split_once("continue key is not valid")
    {
        body["message"] = stem.into();
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_a_real_server() {
    let (_world, served) = serve(recorded_world()).await;
    let client = reqwest::Client::new();
    for name in [
        "pods-list",
        "pods-list-field",
        "pods-list-limit2",
        "pods-partial-metadata",
        "events-pod",
        "pod-crashloop",
        "error-403-secret",
        "error-404-pod",
        "error-404-path",
        "error-404-ns-list-empty",
        "error-logs-need-container",
        "error-continue-bad",
        "error-403-patch",
        "metrics-absent",
        "healthz",
    ] {
        let exchange = recorded(&format!("kubernetes/{name}"));
        let (request, expected) = (&exchange["request"], &exchange["response"]);
        let method = request["method"].as_str().unwrap().parse().unwrap();
        let mut asked = client.request(method, format!("{}{}", served.kube_url, request["path"].as_str().unwrap()));
        if name == "pods-partial-metadata" {
            asked = asked.header("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        }
        if !request["body"].is_null() {
            asked = asked.body(request["body"].to_string());
        }
        let (status, kind, body) = fetch(asked).await;
        assert_eq!(status, expected["status"], "{name}");
        assert_eq!(kind, expected["headers"]["Content-Type"], "{name}");
        assert_eq!(comparable(body), comparable(expected["body"].clone()), "{name}");
    }
    // Discovery: ours may offer fewer subresources, never other names.
    let offered = recorded("kubernetes/apiresources");
    let (_, _, ours) = fetch(client.get(format!("{}/apis/apps/v1", served.kube_url))).await;
    for resource in ours["resources"].as_array().unwrap() {
        let theirs = offered["response"]["body"]["resources"].as_array().unwrap().iter();
        let same = theirs.into_iter().find(|r| r["name"] == resource["name"]).expect("exists on the real server");
        for key in ["kind", "namespaced", "singularName", "shortNames"] {
            assert_eq!(resource.get(key), same.get(key), "{key} of {}", resource["name"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_reviews_tell_what_is_denied() {
    let (_world, served) = serve(recorded_world()).await;
    let client = reqwest::Client::new();
    for (resource, verb, allowed) in [("pods", "list", true), ("secrets", "get", false), ("pods", "patch", false)] {
        let sent = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                          "spec": {"resourceAttributes": {"namespace": "shop", "verb": verb, "resource": resource}}});
        let url = format!("{}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", served.kube_url);
        let (status, _, body) = fetch(client.post(url).body(sent.to_string())).await;
        assert_eq!((status, &body["status"]["allowed"]), (201, &json!(allowed)), "{verb} {resource}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metrics_server_answers_where_containers_were_measured() {
    let (_world, served) = serve(World::embedded("no-fault", None).unwrap()).await;
    let client = reqwest::Client::new();
    let get = async |path: &str| fetch(client.get(format!("{}/apis/{path}", served.kube_url))).await;
    let (status, _, groups) = get("").await;
    assert!(status == 200 && groups.to_string().contains("metrics.k8s.io"), "{groups}");
    let (_, _, pods) = get("metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector=app%3Dsearch").await;
    assert_eq!((&pods["kind"], pods["items"].as_array().unwrap().len()), (&json!("PodMetricsList"), 3));
    let one = &pods["items"][0];
    assert_eq!((&one["timestamp"], &one["window"]), (&json!("2026-07-08T11:00:00Z"), &json!("30s")));
    let usage = &one["containers"][0]["usage"];
    let (cores, bytes) = (quantity(&usage["cpu"]), quantity(&usage["memory"]));
    // 124,000 s of cpu in a week, and the curve of the working set at its middle, give or take its noise.
    assert!((cores - 124_000.0 / 604_800.0).abs() < 1e-4, "{usage}");
    assert!((380e6..=460e6).contains(&bytes), "{usage}");
    let (status, _, pod) = get("metrics.k8s.io/v1beta1/namespaces/shop/pods/search-6b5d9c8f7-4dkqz").await;
    assert_eq!((status, &pod["kind"], &pod["containers"][0]["name"]), (200, &json!("PodMetrics"), &json!("search")));
    let (_, _, node) = get("metrics.k8s.io/v1beta1/nodes/node-a").await;
    assert!((quantity(&node["usage"]["cpu"]) - 2_420_000.0 / 604_800.0).abs() < 1e-3, "{node}");
    let (status, _, gone) = get("metrics.k8s.io/v1beta1/namespaces/shop/pods/nope").await;
    assert_eq!((status, &gone["message"]), (404, &json!("pods.metrics.k8s.io \"nope\" not found")));

    // What does not run is not measured.
    let (_world, served) = serve(World::embedded("typedb-pvc-full", None).unwrap()).await;
    let url = format!("{}/apis/metrics.k8s.io/v1beta1/namespaces/f3iai/pods", served.kube_url);
    let (_, _, pods) = fetch(client.get(url)).await;
    let names: Vec<&str> =
        pods["items"].as_array().unwrap().iter().map(|p| p["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["postgres-0"]);
}

fn quantity(value: &Value) -> f64 {
    crate::domain::quantity(value.as_str().unwrap()).unwrap()
}
