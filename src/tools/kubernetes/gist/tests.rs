use super::*;
use crate::tools::gist::line;
use serde_json::json;

fn now() -> Timestamp {
    "2026-11-21T00:09:00Z".parse().unwrap()
}

fn pod(name: &str, phase: &str, waiting: Option<&str>, restarts: u64) -> Value {
    let state = match waiting {
        Some(reason) => json!({"waiting": {"reason": reason}}),
        None => json!({"running": {}}),
    };
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "f3iai"}, "spec": {"containers": [{}], "nodeName": "n1"},
        "status": {"phase": phase, "containerStatuses": [{"state": state, "restartCount": restarts, "ready": waiting.is_none(),
        "lastState": if restarts > 0 { json!({"terminated": {"reason": "Error", "exitCode": 101}}) } else { json!({}) }}]}})
}

fn workload(kind: &str, name: &str, ready: u64, wanted: u64) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": {"replicas": wanted, "template": {"spec": {"containers": [{"image": "r/a:1"}]}}},
        "status": {"readyReplicas": ready, "numberReady": ready, "desiredNumberScheduled": wanted}})
}

#[test]
fn a_list_names_what_is_ill() {
    let node = |name: &str, ready: &str, pressure: &str| {
        json!({"metadata": {"name": name}, "status": {"conditions": [
            {"type": "Ready", "status": ready}, {"type": "MemoryPressure", "status": pressure}]}})
    };
    let phase =
        |name: &str, phase: &str| json!({"metadata": {"name": name, "namespace": "a"}, "status": {"phase": phase}});
    let named = |name: &str| json!({"metadata": {"name": name, "namespace": "a"}});
    let long = |n: usize| pod(&format!("a-rather-long-name-of-a-pod-{n}"), "Pending", None, 0);
    for (kind, objects, namespace, complete, told) in [
        (
            "Pod",
            vec![
                pod("a", "Running", None, 0),
                pod("b", "Running", None, 2),
                pod("typedb-0", "Running", Some("CrashLoopBackOff"), 42),
                pod("minio-0", "Pending", Some("ContainerCreating"), 0),
            ],
            Some("f3iai"),
            true,
            "4 Pods in f3iai: 2 Running, 1 CrashLoopBackOff (typedb-0, 42 restarts), 1 ContainerCreating (minio-0)",
        ),
        (
            "Pod",
            vec![pod("a", "Running", None, 0), pod("b", "Running", None, 9)],
            Some("f3iai"),
            true,
            "2 Pods in f3iai: all Running (b, 9 restarts)",
        ),
        (
            "Pod",
            vec![pod("typedb-0", "Running", Some("CrashLoopBackOff"), 42)],
            None,
            true,
            "1 Pod: f3iai/typedb-0, CrashLoopBackOff, 0/1 ready, 42 restarts, last exit 101, on n1",
        ),
        (
            "Pod",
            (0..7).map(long).collect(),
            Some("f3iai"),
            false,
            "the first 7 Pods in f3iai: all Pending (a-rather-long-name-of-a-pod-0; a-rather-long-name-of-a-pod-1; 5 more)",
        ),
        (
            "Deployment",
            vec![
                workload("Deployment", "api", 2, 2),
                workload("Deployment", "web", 1, 3),
                workload("Deployment", "operator", 0, 0),
            ],
            None,
            true,
            "3 Deployments: 1 ready, 1 not ready (shop/web 1/3), 1 scaled to 0 (shop/operator)",
        ),
        (
            "ReplicaSet",
            vec![workload("ReplicaSet", "api-1", 2, 2), workload("ReplicaSet", "api-0", 0, 0)],
            Some("shop"),
            true,
            "2 ReplicaSets in shop: 1 ready, 1 scaled to 0",
        ),
        (
            "DaemonSet",
            vec![workload("DaemonSet", "csi", 0, 0), workload("DaemonSet", "fluent", 3, 3)],
            Some("shop"),
            true,
            "2 DaemonSets in shop: 1 ready, 1 with 0 desired (csi)",
        ),
        (
            "Node",
            vec![node("a", "True", "False"), node("b", "True", "False"), node("c", "True", "False")],
            None,
            true,
            "3 Nodes: all Ready",
        ),
        (
            "Node",
            vec![node("a", "True", "True"), node("b", "Unknown", "False"), node("c", "True", "False")],
            None,
            true,
            "3 Nodes: 1 Ready, 1 NotReady (b), 1 Ready with MemoryPressure (a)",
        ),
        (
            "PersistentVolumeClaim",
            vec![phase("x", "Bound"), phase("y", "Pending")],
            Some("a"),
            true,
            "2 PersistentVolumeClaims in a: 1 Bound, 1 Pending (y)",
        ),
        (
            "CSINode",
            vec![
                json!({"metadata": {"name": "n1"}, "spec": {"drivers": [{"name": "d"}]}}),
                json!({"metadata": {"name": "n2"}, "spec": {}}),
            ],
            None,
            true,
            "2 CSINodes: 1 with 1 driver, 1 without a driver (n2)",
        ),
        ("NetworkPolicy", vec![named("x"), named("y")], None, true, "2 NetworkPolicies: a/x, a/y"),
        ("Ingress", vec![named("x"), named("y")], Some("a"), true, "2 Ingresses in a: x, y"),
        (
            "Certificate",
            vec![
                json!({"metadata": {"name": "x"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
                named("y"),
            ],
            Some("a"),
            true,
            "2 Certificates in a: 1 without a status, 1 not Ready (x)",
        ),
    ] {
        assert_eq!(list(kind, &objects.iter().collect::<Vec<_>>(), namespace, complete, now()), told);
    }
}

#[test]
fn an_object_is_told_by_its_kind() {
    let meta = |name: &str| json!({"name": name, "namespace": "a", "creationTimestamp": "2026-11-20T22:09:00Z"});
    for (seen, told) in [
        (
            json!({"kind": "PersistentVolumeClaim", "metadata": meta("data-typedb-0"), "spec": {"storageClassName": "ceph-rbd"}, "status": {"phase": "Bound", "capacity": {"storage": "20Gi"}}}),
            "PersistentVolumeClaim data-typedb-0: Bound, 20Gi, ceph-rbd",
        ),
        (
            json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "d", "deletionTimestamp": "2026-11-20T22:09:00Z"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Pending"}}),
            "PersistentVolumeClaim d: Pending, asks for 1Gi, being deleted",
        ),
        (
            json!({"kind": "PersistentVolume", "metadata": meta("v"), "spec": {"capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "a", "name": "d"}, "csi": {"driver": "rbd"}}, "status": {"phase": "Released"}}),
            "PersistentVolume v: Released, 1Gi, claim a/d, rbd",
        ),
        (workload("Deployment", "operator", 0, 0), "Deployment operator: 0/0 ready, scaled to 0, r/a:1"),
        (
            json!({"kind": "ConfigMap", "metadata": meta("x"), "data": {"a": "1", "b": "2"}, "binaryData": {"c": "3"}}),
            "ConfigMap x: 3 keys",
        ),
        (json!({"kind": "Secret", "metadata": meta("x")}), "Secret x: only its metadata is read"),
        (
            json!({"kind": "Service", "metadata": meta("s"), "spec": {"type": "ClusterIP", "ports": [{"port": 80}, {"port": 443}], "selector": {"app": "s"}}}),
            "Service s: ClusterIP, port 80/443, app=s",
        ),
        (
            json!({"kind": "CronJob", "metadata": meta("c"), "spec": {"schedule": "*/5 * * * *", "suspend": true}, "status": {"lastScheduleTime": "2026-11-20T23:59:00Z"}}),
            "CronJob c: */5 * * * *, suspended, last run 10m ago",
        ),
        (
            json!({"kind": "Job", "metadata": meta("j"), "status": {"conditions": [{"type": "Failed", "status": "True"}]}}),
            "Job j: Failed",
        ),
        (
            json!({"kind": "StorageClass", "metadata": meta("s"), "provisioner": "rbd"}),
            "StorageClass s: rbd, not expandable",
        ),
        (
            json!({"kind": "VolumeAttachment", "metadata": meta("v"), "spec": {"nodeName": "n", "source": {"persistentVolumeName": "pv"}}, "status": {"attached": false}}),
            "VolumeAttachment v: not attached, pv, node n",
        ),
        (json!({"kind": "Namespace", "metadata": meta("a"), "status": {"phase": "Active"}}), "Namespace a: Active"),
        (json!({"kind": "Widget", "metadata": meta("w")}), "Widget w: created 2h ago"),
        (json!({"left_out": "12 bytes"}), "object : no status"),
    ] {
        assert_eq!(object(&seen, now()), told);
    }
}

#[test]
fn events_are_summed_by_reason_and_object() {
    let event = |kind: &str, reason: &str, name: &str, count: Value| json!({"type": kind, "reason": reason, "involvedObject": {"name": name}, "count": count});
    let mount = event("Warning", "FailedMount", "minio-0", json!(49));
    let back = event("Warning", "BackOff", "typedb-0", json!(40));
    let fine = event("Normal", "Scheduled", "minio-0", json!(null));
    let probe = event("Warning", "Unhealthy", "", json!(null));
    for (seen, told) in [
        (
            vec![&back, &mount, &fine, &mount, &probe],
            "5 events, 4 warnings: FailedMount ×98 (minio-0), BackOff ×40 (typedb-0), Unhealthy",
        ),
        (vec![&fine], "1 event, no warnings; the newest: Scheduled (minio-0)"),
        (vec![], "no events (the cluster forgets them after an hour by default)"),
    ] {
        assert_eq!(events(seen.into_iter(), true), told);
    }
    assert_eq!(events([&fine].into_iter(), false), "1 of more events, no warnings; the newest: Scheduled (minio-0)");
    let described = json!({"object": workload("StatefulSet", "db", 0, 1), "events": [mount, fine, back]});
    assert_eq!(
        description(&described, now()),
        "StatefulSet db: 0/1 ready, r/a:1; warnings: FailedMount ×49, BackOff ×40"
    );
}

#[test]
fn of_a_log_the_last_error_is_told() {
    let json_line = r#"{"level":"error","ts":1,"msg":"cannot open \"x\""}"#;
    for (lines, total, filtered, told) in [
        (
            vec![
                "a",
                "2026-11-21T03:09:29.044Z ERROR disk full",
                "thread 'main' panicked at x.rs:1",
                "note: run with a backtrace",
                "",
            ],
            5,
            false,
            "5 lines; last error: \"thread 'main' panicked at x.rs:1\"",
        ),
        (vec!["2026-11-21T03:09:29.044Z ERROR disk full", "bye"], 2, false, "2 lines; last error: \"ERROR disk full\""),
        (vec![json_line], 1, false, "1 line; last error: \"cannot open 'x'\""),
        (vec!["starting", "ready \u{202e}\"ignore all", "  "], 3, false, "3 lines; last: \"ready 'ignore all\""),
        (vec!["GET /x"], 300, true, "1 of 300 lines, last: \"GET /x\""),
        (vec![], 300, true, "none of 300 lines matches"),
        (vec![], 0, true, "no lines: the log is empty"),
        (vec![], 0, false, "no lines: the log is empty"),
    ] {
        assert_eq!(crate::tools::log::gist::log(&json!({"lines": lines, "total_lines": total}), filtered), told);
    }
    let long = crate::tools::log::gist::log(&json!({"lines": ["error ".repeat(900)], "total_lines": 1}), false);
    assert_eq!((long.chars().count(), line(&long)), (CHARS, long.clone()));
}
