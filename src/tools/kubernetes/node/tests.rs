//! One node, against recorded answers.

use crate::edge::kube::fake::{Fake, fixture};
use crate::tools::kubernetes::tests::registry;
use serde_json::{Value, json};

const NODE: &str = "kubernetes_node";

fn node(name: &str) -> Value {
    let nodes = fixture("nodes");
    let items = nodes["response"]["body"]["items"].as_array().unwrap();
    let mut node = items.iter().find(|n| n["metadata"]["name"] == name).unwrap().clone();
    node["kind"] = "Node".into();
    node
}

fn served(node: &Value, pods: Value) -> Fake {
    let fake = Fake::new();
    fake.on(&format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap()), 200, node.clone());
    fake.on("/api/v1/pods", 200, pods);
    fake.on(
        "/api/v1/events",
        200,
        json!({"items": [
        {"metadata": {"name": "e1", "namespace": "default"}, "type": "Warning", "reason": "NodeNotReady", "count": 3,
         "lastTimestamp": "2026-11-21T00:07:00Z", "message": "Node node-b status is now: NodeNotReady",
         "involvedObject": {"kind": "Node", "name": "node-b"}}]}),
    );
    fake.on(
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-b",
        200,
        json!({"metadata": {"name": "node-b"}, "spec": {"renewTime": "2026-11-21T00:08:51.000000Z"}}),
    );
    fake
}

fn pods() -> Value {
    let mut pods = fixture("pods-list")["response"]["body"].clone();
    let finished = json!({"metadata": {"name": "done", "namespace": "batch"}, "status": {"phase": "Succeeded"},
        "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "64", "memory": "1Ti"}}}]}});
    pods["items"].as_array_mut().unwrap().push(finished);
    pods
}

#[tokio::test]
async fn a_node_is_told_with_what_is_asked_of_it_and_what_does_not_run() {
    let mut node = node("node-b");
    node["spec"]["unschedulable"] = true.into();
    node["spec"]["taints"] = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2026-11-21T00:05:00Z"},
        {"key": "dedicated", "value": "db", "effect": "NoExecute"}]);
    let fake = served(&node, pods());
    let seen = registry(&fake).look(NODE, &json!({"name": "node-b"})).await.unwrap();
    insta::assert_snapshot!("node", seen.text);
    assert!(
        fake.asked()
            .iter()
            .any(|a| a.starts_with("/api/v1/pods?") && a.contains("fieldSelector=spec.nodeName%3Dnode-b"))
    );
    let cpu = &seen.data["resources"][0];
    assert!(cpu["requested"].as_f64().unwrap() < 4.0, "what is through asks for nothing: {cpu}");
    assert_eq!((&seen.data["pods"], &seen.data["pods_ill"]), (&json!(6), &json!(2)));
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_hides_nothing_else() {
    let fake = served(&node("node-b"), json!({}));
    let forbidden = json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"});
    for path in
        ["/api/v1/pods", "/api/v1/events", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-b"]
    {
        fake.on(path, 403, forbidden.clone());
    }
    let seen = registry(&fake).look(NODE, &json!({"name": "node-b"})).await.unwrap();
    for gap in [
        "pods on it could not be read: kubernetes: forbidden: no; grant list on pods in the cluster",
        "its events could not be read: kubernetes: forbidden: no; grant list on events in the cluster",
        "its lease could not be read: kubernetes: forbidden: no; grant get on leases.coordination.k8s.io in namespace kube-node-lease",
    ] {
        assert!(seen.text.contains(gap), "{gap}\n{}", seen.text);
    }
    assert!(seen.text.starts_with("Node node-b: Ready, MemoryPressure\n"), "{}", seen.text);
    assert_eq!((&seen.data["pods"], &seen.data["resources"][0]["requested"]), (&Value::Null, &Value::Null));
    assert_eq!(seen.data["unread"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn many_pods_that_are_ill_are_counted_and_some_are_named() {
    let pending = |n: usize| {
        json!({"metadata": {"name": format!("p{n}"), "namespace": "a"}, "spec": {"containers": [{"name": "c"}]},
               "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}})
    };
    let fake = served(&node("node-b"), json!({"items": (0..60).map(pending).collect::<Vec<_>>()}));
    let seen = registry(&fake).look(NODE, &json!({"name": "node-b"})).await.unwrap();
    assert!(seen.text.contains("60 of 60 pods not well"), "{}", seen.text);
    assert!(seen.text.contains("note: 40 of 60 pods that are not well are shown") && seen.truncated, "{}", seen.text);
    assert_eq!(seen.data["ill"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn a_name_that_is_none_reaches_no_selector() {
    let fake = Fake::new();
    let error = registry(&fake).look(NODE, &json!({"name": "a,metadata.name=b"})).await.unwrap_err();
    assert!(error.for_reader().contains("is no name") && fake.asked().is_empty(), "{error}");
}
