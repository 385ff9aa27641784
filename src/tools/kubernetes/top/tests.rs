//! Use beside limits, against answers in the shape of metrics-server 0.8.

use crate::edge::kube::fake::{Fake, fixture};
use crate::tools::kubernetes::tests::{registry, text};
use serde_json::{Value, json};

const TOP: &str = "kubernetes_top";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

/// A sample of one pod: `(container, cpu, memory)`.
fn sample(pod: &str, at: &str, containers: &[(&str, &str, &str)]) -> Value {
    let one = |(name, cpu, memory): &(&str, &str, &str)| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}});
    json!({"metadata": {"name": pod, "namespace": "shop", "creationTimestamp": at, "labels": {"app": "api"}},
           "timestamp": at, "window": "17.3s", "containers": containers.iter().map(one).collect::<Vec<_>>()})
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items})
}

fn pod(name: &str, limits: Value) -> Value {
    let container = |name: &str, limits: &Value| json!({"name": name, "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": limits}});
    json!({"metadata": {"name": name, "namespace": "shop"}, "status": {"phase": "Running"},
           "spec": {"containers": [container("app", &limits)],
                    "initContainers": [{"name": "mesh", "restartPolicy": "Always", "resources": {"limits": {"cpu": "200m"}}}]}})
}

/// Three pods: one near its memory limit, one throttled beside it, one without limits and without a sample.
fn shop() -> Fake {
    let fake = Fake::new();
    let (at, before) = ("2026-11-21T00:08:48Z", "2026-11-21T00:08:20Z");
    fake.on(
        &format!("{METRICS}/namespaces/shop/pods"),
        200,
        list(&[
            sample("api-b", at, &[("app", "250000000n", "300Mi"), ("mesh", "198m", "20Mi")]),
            sample("api-a", before, &[("app", "50m", "515072Ki")]),
            sample("worker-0", at, &[("app", "1500m", "3Gi")]),
            sample("gone-0", at, &[("app", "1m", "1Mi")]),
        ]),
    );
    let limited = json!({"memory": "512Mi"});
    let pods =
        [pod("api-a", limited.clone()), pod("api-b", limited), pod("worker-0", json!({})), pod("new-0", json!({}))];
    fake.on("/api/v1/namespaces/shop/pods", 200, json!({"items": pods}));
    fake
}

#[tokio::test]
async fn containers_are_told_nearest_to_their_limits_first() {
    let fake = shop();
    let registry = registry(&fake);
    let seen = registry.look(TOP, &json!({"namespace": "shop"})).await.unwrap();
    insta::assert_snapshot!("containers", seen.text);
    let names = |data: &Value| -> Vec<String> {
        let rows = data["rows"].as_array().unwrap().iter();
        rows.map(|r| format!("{}/{}", r["pod"].as_str().unwrap(), r["container"].as_str().unwrap())).collect()
    };
    assert_eq!(names(&seen.data)[..2], ["api-b/mesh", "api-a/app"]);
    assert_eq!((&seen.data["total"], &seen.data["unsampled"]), (&json!(5), &json!(1)));
    for (by, first) in [("memory", "worker-0/app"), ("cpu", "worker-0/app")] {
        let seen = registry.look(TOP, &json!({"namespace": "shop", "by": by, "limit": 1})).await.unwrap();
        assert_eq!((names(&seen.data), seen.truncated), (vec![first.to_owned()], true));
        assert!(seen.text.contains("the first 1 of 5 are shown"), "{}", seen.text);
    }
}

#[tokio::test]
async fn a_workload_is_asked_for_by_its_selector_and_a_pod_by_its_name() {
    let fake = shop();
    fake.replay(&fixture("deployment"));
    let registry = registry(&fake);
    registry.look(TOP, &json!({"kind": "deploy", "namespace": "shop", "name": "api"})).await.unwrap();
    let asked = fake.asked();
    for path in [format!("{METRICS}/namespaces/shop/pods?"), "/api/v1/namespaces/shop/pods?".to_owned()] {
        assert!(asked.iter().any(|a| a.starts_with(&path) && a.contains("labelSelector=app%3Dapi")), "{asked:?}");
    }
    fake.on(
        &format!("{METRICS}/namespaces/shop/pods/api-a"),
        200,
        sample("api-a", "2026-11-21T00:08:48Z", &[("app", "50m", "512Mi")]),
    );
    fake.on("/api/v1/namespaces/shop/pods/api-a", 200, pod("api-a", json!({"memory": "512Mi", "cpu": "1"})));
    let seen = registry.look(TOP, &json!({"namespace": "shop", "name": "api-a"})).await.unwrap();
    assert_eq!(seen.text.lines().next().unwrap(), "1 container of Pod api-a: api-a/app memory 100% of 512Mi");
    // It is there, and nobody has measured it yet.
    fake.on("/api/v1/namespaces/shop/pods/new-0", 200, pod("new-0", json!({})));
    fake.on("/api/v1/namespaces/shop", 200, json!({}));
    let seen = registry.look(TOP, &json!({"namespace": "shop", "name": "new-0"})).await.unwrap();
    assert!(seen.text.starts_with("Pod new-0: no sample of what it uses"), "{}", seen.text);
    assert!(seen.text.contains("1 running pod without a sample"), "{}", seen.text);
}

#[tokio::test]
async fn nodes_are_told_beside_what_pods_may_use_of_them() {
    let fake = Fake::new();
    fake.replay(&fixture("nodes"));
    let sample = |name: &str, cpu: &str, memory: &str| json!({"metadata": {"name": name}, "timestamp": "2026-11-21T00:08:50Z", "window": "20s", "usage": {"cpu": cpu, "memory": memory}});
    fake.on(&format!("{METRICS}/nodes"), 200, list(&[sample("node-a", "400m", "1Gi"), sample("node-b", "1", "7.5Gi")]));
    let seen = registry(&fake).look(TOP, &json!({"kind": "nodes"})).await.unwrap();
    insta::assert_snapshot!("nodes", seen.text);
    assert_eq!(seen.data["rows"][0]["problems"], "MemoryPressure");
}

#[tokio::test]
async fn without_a_metrics_server_it_is_said_what_to_do() {
    let fake = shop();
    let registry = registry(&fake);
    let mut said = Vec::new();
    let forbidden = json!({"kind": "Status", "reason": "Forbidden", "code": 403,
        "message": "pods.metrics.k8s.io is forbidden: User \"agent\" cannot list resource \"pods\" in API group \"metrics.k8s.io\""});
    let path = format!("{METRICS}/namespaces/shop/pods");
    for (status, body) in [
        (404, "404 page not found\n".to_owned()),
        (503, "service unavailable\n".to_owned()),
        (403, forbidden.to_string()),
    ] {
        fake.text(&path, status, &body);
        let error = registry.look(TOP, &json!({"namespace": "shop"})).await.unwrap_err();
        said.push(format!("{status} {}: {}", if error.is_transient() { "later" } else { "never" }, error.for_reader()));
    }
    fake.text(&format!("{METRICS}/nodes"), 404, "404 page not found\n");
    fake.on("/api/v1/nodes", 200, json!({"items": []}));
    said.push(registry.look(TOP, &json!({"kind": "Node"})).await.unwrap_err().for_reader().to_owned());
    for args in
        [json!({}), json!({"kind": "Deployment", "namespace": "shop"}), json!({"kind": "pvc", "namespace": "shop"})]
    {
        said.push(registry.look(TOP, &args).await.unwrap_err().for_reader().to_owned());
    }
    insta::assert_snapshot!("without", said.join("\n"));
}

#[tokio::test]
async fn use_is_worth_telling_without_the_limits() {
    let fake = shop();
    fake.on(
        "/api/v1/namespaces/shop/pods",
        403,
        json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"}),
    );
    let registry = registry(&fake);
    let text = text(&registry, TOP, json!({"namespace": "shop"})).await;
    assert!(text.starts_with("5 containers of shop: worker-0/app 3Gi and 1.5 cpu, no limit"), "{text}");
    assert!(
        text.contains("note: pods could not be read: kubernetes: forbidden: no; grant list on pods in namespace shop"),
        "{text}"
    );
}

#[tokio::test]
async fn a_policy_sees_the_samples_and_the_objects() {
    let registry = registry(&Fake::new());
    let touched = |args: Value| -> Vec<String> {
        let targets = registry.targets(TOP, &args).unwrap();
        let text = |v: &Value| v.as_str().unwrap_or("*").to_owned();
        targets.iter().map(|t| ["verb", "kind", "namespace", "name"].map(|k| text(&t[k])).join(" ")).collect()
    };
    assert_eq!(touched(json!({"namespace": "shop"})), ["list PodMetrics shop *", "list Pod shop *"]);
    assert_eq!(
        touched(json!({"kind": "sts", "namespace": "shop", "name": "db"})),
        ["list PodMetrics shop *", "list Pod shop *", "get StatefulSet shop db"]
    );
    assert_eq!(touched(json!({"kind": "no", "name": "n"})), ["get NodeMetrics * n", "get Node * n"]);
    assert_eq!(touched(json!({"kind": "secret", "namespace": "shop", "name": "s"})), ["get Secret shop s"]);
}
