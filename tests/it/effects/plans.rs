//! What is planned, and what is refused before anybody is asked.

use super::scene::{changes, objects};
use crate::support::bench::registry;
use crate::support::cluster::Cluster;
use firewarden::domain::Digest;
use firewarden::edge::SystemClock;
use firewarden::tools::{CaseText, Plan, Registry, Setting, ToolError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

async fn plan(registry: &Registry, tool: &str, args: &Value) -> Result<Plan, ToolError> {
    let (incident, case) = (Digest::of("incident"), CaseText::default());
    let setting =
        Setting { incident: &incident, began: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH, case: &case };
    registry.plan(tool, args, &setting).await
}

#[tokio::test]
async fn a_plan_says_what_would_change_and_who_would_suffer() {
    let cluster = Cluster::serve(objects()).await;
    let registry = registry(&cluster, Arc::new(SystemClock));
    let mut told = String::new();
    for change in changes() {
        let plan = plan(&registry, change.tool, &change.args).await.unwrap();
        let again = self::plan(&registry, change.tool, &change.args).await.unwrap();
        assert_eq!(plan, again, "the same world gives the same plan");
        let target = &plan.targets[0];
        let radius = &plan.blast_radius;
        told.push_str(&format!(
            "{}\n  {} {} {} uid {}\n  {} pods known {}, stateful {}, controlled {}, reversible {}, undo {}\n{}\n\n",
            plan.title,
            target.verb,
            target.api_version,
            target.label(),
            target.uid.is_some(),
            radius.pods,
            radius.known,
            target.stateful,
            target.controlled,
            plan.reversible,
            plan.undo.as_ref().map_or("none".to_owned(), |undo| format!("{} {}", undo.tool, undo.args)),
            plan.preview.text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"),
        ));
    }
    assert!(cluster.ledger().is_empty() && cluster.changes().is_empty(), "planning changes nothing");
    insta::assert_snapshot!("plans", told);
}

#[tokio::test]
async fn what_should_not_be_done_is_refused_with_what_to_do_instead() {
    let cluster = Cluster::serve(objects()).await;
    cluster.owned_by("/api/v1/namespaces/shop/configmaps/limits", "/data/pool", "argocd");
    let registry = registry(&cluster, Arc::new(SystemClock));
    let object = |object: Value| json!({"object": object});
    let workload = |kind: &str, name: &str| json!({"kind": kind, "namespace": "shop", "name": name});
    let scaled = |name: &str, replicas: u64| json!({"kind": "Deployment", "namespace": "shop", "name": name, "replicas": replicas});
    for (tool, args, says) in [
        ("kubernetes_rollout_restart", workload("Pod", "api-1"), "only Deployment, StatefulSet, DaemonSet"),
        ("kubernetes_rollout_restart", workload("StatefulSet", "db"), "OnDelete"),
        ("kubernetes_rollout_restart", workload("StatefulSet", "held"), "holds back every Pod"),
        ("kubernetes_rollout_restart", workload("Deployment", "halted"), "paused"),
        ("kubernetes_rollout_restart", workload("Deployment", "absent"), "not found"),
        ("kubernetes_scale", scaled("web", 5), "HorizontalPodAutoscaler web-hpa decides"),
        ("kubernetes_scale", scaled("api", 2), "2 replicas already"),
        ("kubernetes_scale", scaled("api", 0), "minimum"),
        ("kubernetes_scale", scaled("api", 11), "at most 10 replicas"),
        ("kubernetes_delete_pod", json!({"namespace": "shop", "name": "bare"}), "has no controller"),
        ("kubernetes_cordon", json!({"name": "n3"}), "cordoned already"),
        ("kubernetes_uncordon", json!({"name": "n1"}), "is not cordoned"),
        ("kubernetes_rollout_undo", json!({"namespace": "shop", "name": "web"}), "no earlier revision"),
        ("kubernetes_rollout_undo", json!({"namespace": "shop", "name": "api", "revision": 7}), "there are 1, 2"),
        (
            "kubernetes_expand_volume",
            json!({"namespace": "shop", "name": "fixed", "size": "12Gi"}),
            "does not allow expansion",
        ),
        ("kubernetes_expand_volume", json!({"namespace": "shop", "name": "data", "size": "21Gi"}), "more_than_double"),
        ("kubernetes_expand_volume", json!({"namespace": "shop", "name": "data", "size": "9Gi"}), "cannot shrink"),
        ("kubernetes_run_cronjob", json!({"namespace": "shop", "name": "busy"}), "it runs now (busy-1)"),
        ("kubernetes_delete", workload("Pod", "api-1"), "kubernetes_delete_pod"),
        ("kubernetes_delete", json!({"kind": "Namespace", "name": "shop"}), "never changed or deleted"),
        ("kubernetes_delete", json!({"kind": "Node", "name": "n1"}), "never changed or deleted"),
        ("kubernetes_delete", workload("secrets", "x"), "never changed or deleted"),
        ("kubernetes_delete", workload("rolebindings.rbac.authorization.k8s.io", "x"), "never changed or deleted"),
        (
            "kubernetes_apply",
            object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}})),
            "never changed or deleted",
        ),
        (
            "kubernetes_apply",
            object(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "shop"}, "data": {"pool": "40"}}),
            ),
            "others own these fields, and they are not taken from them: .data.pool: conflict with \"argocd\"",
        ),
        (
            "kubernetes_apply",
            object(
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "spec": {"hostPID": true}}),
            ),
            "would gain the namespaces of its node",
        ),
        (
            "kubernetes_apply",
            object(
                json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "shop"}, "spec": {"template": {"spec": {
                    "containers": [{"name": "a", "image": "a", "envFrom": [{"secretRef": {"name": "db"}}]}]}}}}),
            ),
            "would gain the Secret db",
        ),
        (
            "kubernetes_apply",
            object(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop", "annotations": {"firewarden.io/action": "x"}}}),
            ),
            "set by the program alone",
        ),
    ] {
        let refused = plan(&registry, tool, &args).await.map(|plan| plan.title);
        let said = refused.clone().map_err(|e| e.for_reader().to_owned());
        assert!(said.clone().is_err_and(|said| said.contains(says)), "{tool} {args}: {said:?}");
    }
    assert!(cluster.ledger().is_empty() && cluster.changes().is_empty());
}

#[tokio::test]
async fn the_last_node_that_takes_pods_is_not_cordoned() {
    let cluster = Cluster::serve(objects()).await;
    cluster.meddle("/api/v1/nodes/n2", &json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}));
    let registry = registry(&cluster, Arc::new(SystemClock));
    let refused = plan(&registry, "kubernetes_cordon", &json!({"name": "n1"})).await.unwrap_err();
    assert!(refused.for_reader().contains("the last one that takes Pods"), "{refused}");
}

#[tokio::test]
async fn an_eviction_that_a_budget_forbids_is_not_even_planned() {
    let cluster = Cluster::serve(objects()).await;
    cluster.forbid_evictions();
    let registry = registry(&cluster, Arc::new(SystemClock));
    let refused = plan(&registry, "kubernetes_delete_pod", &json!({"namespace": "shop", "name": "api-1"})).await;
    let refused = refused.unwrap_err();
    assert!(refused.for_reader().contains("a disruption budget forbids it now"), "{refused}");
}

#[tokio::test]
async fn code_that_a_manifest_brings_is_something_that_it_touches() {
    let cluster = Cluster::serve(objects()).await;
    let registry = registry(&cluster, Arc::new(SystemClock));
    let workload = |kind: &str, api: &str, name: &str, containers: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
        match kind {
            "Pod" => object["spec"]["containers"] = containers,
            _ => object["spec"]["template"]["spec"]["containers"] = containers,
        }
        json!({"object": object})
    };
    let one = |image: &str| json!([{"name": "api", "image": image}]);
    for (args, touched, known) in [
        (workload("Pod", "v1", "p", one("a")), &["p:api"][..], false),
        (workload("Job", "batch/v1", "j", one("a")), &["j:api"], false),
        (workload("Deployment", "apps/v1", "new", one("a")), &["new:api"], false),
        (workload("Deployment", "apps/v1", "api", one("api:3")), &[], true),
        (workload("Deployment", "apps/v1", "api", one("evil/api:2")), &["api:api"], true),
        (
            workload(
                "Deployment",
                "apps/v1",
                "api",
                json!([{"name": "api", "image": "api:2"}, {"name": "side", "image": "s"}]),
            ),
            &["api:side"],
            true,
        ),
    ] {
        let plan = plan(&registry, "kubernetes_apply", &args).await.unwrap();
        let told: Vec<&str> = plan.targets[1..].iter().map(|target| target.name.as_str()).collect();
        assert_eq!((told.as_slice(), plan.blast_radius.known), (touched, known), "{args}");
        assert!(plan.targets[1..].iter().all(|target| target.kind == "Container" && target.verb == "run"));
    }
}
