//! A database that crashes before it can compact, on a cluster whose storage operator was scaled
//! to zero: two independent causes, one alert.

use super::build::*;
use crate::analysis::{ReportFrame, Seen, markdown, report};
use crate::domain::*;
use serde_json::{Value, json};

const DRIVER: &str = "vault-ceph.rbd.csi.example.com";

fn stuck(name: &str, claim: &str) -> (Value, Value) {
    let waits = mounting(waiting(pod("lab", name, Some(name)), "ContainerCreating", ""), claim);
    let message = format!(
        "MountVolume.MountDevice failed for volume \"pvc-{claim}\" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name {DRIVER} not found in the list of registered CSI drivers"
    );
    (waits, event("Pod", "lab", name, "FailedMount", &message, -80, -1))
}

pub(super) fn world() -> World {
    let graph = with(
        mounting(crash_looping(pod("lab", "graph-0", None), 101), "data-graph-0"),
        json!({"metadata": {"ownerReferences": [{"kind": "StatefulSet", "name": "graph", "controller": true}],
            "labels": {"app": "graph", "team": "knowledge"}}}),
    );
    let (search, search_event) = stuck("search", "search-data");
    let (cache, cache_event) = stuck("cache", "cache-data");
    let operator = with(
        workload("Deployment", "vault-ceph", "vault-ceph-operator", 0, 0),
        json!({"metadata": {"managedFields": [
            {"manager": "helm", "operation": "Update", "time": at(-90_000)},
            {"manager": "kubectl", "operation": "Update", "time": at(-95), "subresource": "scale"},
            {"manager": "kube-controller-manager", "operation": "Update", "time": at(-94), "subresource": "status"}]}}),
    );
    let class = json!({"kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": DRIVER,
        "allowVolumeExpansion": true, "parameters": {"clusterID": "vault-ceph"}});
    let csi_node = json!({"kind": "CSINode", "metadata": {"name": "node-a"}, "spec": {"drivers": []}});
    let usage = json!({"namespace": "lab", "persistentvolumeclaim": "data-graph-0"});
    let mut world = World::of([
        graph,
        search,
        cache,
        operator,
        class,
        csi_node,
        workload("StatefulSet", "lab", "graph", 1, 0),
        workload("Deployment", "lab", "search", 1, 0),
        workload("Deployment", "lab", "cache", 1, 0),
        replica_set("lab", "search", 1, "registry.example/api:1.4.2", -90_000, 0),
        replica_set("lab", "cache", 1, "registry.example/api:1.4.2", -90_000, 0),
        claim("lab", "data-graph-0", "20Gi"),
        claim("lab", "search-data", "5Gi"),
        claim("lab", "cache-data", "5Gi"),
        volume("lab", "data-graph-0", DRIVER),
        volume("lab", "search-data", DRIVER),
        node("node-a"),
        json!({"kind": "Namespace", "metadata": {"name": "lab", "labels": {"environment": "staging"}}}),
    ])
    .events([
        search_event,
        cache_event,
        event(
            "Pod",
            "lab",
            "graph-0",
            "BackOff",
            "Back-off restarting failed container graph in pod graph-0",
            -400,
            -1,
        ),
    ])
    .log(
        "graph-0",
        &[
            "2026-04-01T11:57:01Z INFO storage: opening database",
            "2026-04-01T11:57:02Z INFO wal: 962 files (15.0 GB) wait for compaction; last checkpoint never completed",
            "2026-04-01T11:57:03Z INFO recovery: loading checkpoint 1775044273271069",
            "thread 'main' panicked at storage/recovery.rs:88:",
            "checkpoint directory 1775044273271069 is empty",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ],
    )
    .metric("data-graph-0", 360, matrix(usage.clone(), 360, 120, |x| 0.70 + 0.13 * x))
    .metric("data-graph-0", 60, matrix(usage, 60, 60, |x| 0.81 + 0.02 * x));
    world.rules.push((
        "PVCUsageHigh".into(),
        "(kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes) * 100 > 75".into(),
    ));
    let percent = json!({"namespace": "lab", "persistentvolumeclaim": "data-graph-0", "node": "node-a"});
    let mut world = world.metric(") * 100", 120, matrix(percent.clone(), 120, 60, |x| 74.0 + 9.0 * x)).metric(
        "* 100 > 75",
        0,
        json!({"resultType": "vector", "result": [
            {"metric": {"namespace": "lab", "persistentvolumeclaim": "other"}, "value": [start().as_second(), "99"]},
            {"metric": percent, "value": [start().as_second(), "83"]}]}),
    );
    world.alerts.push(json!({"labels": {"alertname": "PVCUsageHigh", "namespace": "lab",
        "persistentvolumeclaim": "data-graph-0"}, "state": "firing", "activeAt": at(-10)}));
    world
}

pub(super) fn alerts() -> Vec<SreEvent> {
    vec![alert(
        "PVCUsageHigh",
        &[("namespace", "lab"), ("persistentvolumeclaim", "data-graph-0"), ("severity", "warning")],
    )]
}

pub(super) fn frame<'a>(events: &'a [SreEvent], seen: &[Seen]) -> ReportFrame<'a> {
    let evidence = seen.iter().map(|s| EvidenceItem {
        id: s.id.clone(),
        kind: s.need.evidence_kind().into(),
        tool: "kubernetes_get".into(),
        query: s.need.to_string(),
        at: s.at,
        excerpt: match &s.outcome {
            Ok(value) => value.to_string().chars().take(60).collect(),
            Err(error) => error.clone(),
        },
        hash: Digest::of(s.id.as_bytes()),
        truncated: false,
        redacted: false,
    });
    ReportFrame {
        investigation_id: "inv_01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        revision: 1,
        events,
        risk: RiskSummary { level: Risk::Medium, reasons: Vec::new() },
        provenance: Provenance { mode: "deterministic".into(), ..Provenance::default() },
        evidence: evidence.collect(),
        queries: Vec::new(),
        actions: Vec::new(),
        runbooks: Vec::new(),
        declined: false,
    }
}

#[test]
fn both_causes_are_named_with_their_chains() {
    let events = alerts();
    let (seen, rounds) = world().survey(&events, 64);
    assert!(rounds <= 4 && seen.len() <= 64, "{rounds} rounds, {} calls", seen.len());
    let analysis = crate::analysis::conclude(&case(&events, &seen, 0));
    let report = report(&analysis, frame(&events, &seen));
    let causes: Vec<(&str, &str)> =
        report.root_causes.iter().map(|c| (c.cause_code.as_str(), c.entity.name.as_str())).collect();
    assert_eq!(causes, [("corrupt_data", "graph-0"), ("scaled_to_zero", "vault-ceph-operator")], "{report:#?}");
    let chain: Vec<&str> = report.causal_chain.iter().map(|s| s.entity.kind.as_str()).collect();
    assert_eq!(
        chain,
        ["Pod", "Pod", "Pod", "PersistentVolumeClaim", "PersistentVolumeClaim", "Deployment", "CSIDriver", "Pod"]
    );
    let scaled = report.root_causes[1].change_ref.clone().unwrap();
    assert_eq!((scaled.author.as_deref(), scaled.at), (Some("kubectl"), Some(t(&at(-95)))));
    assert!(report.root_causes[0].statement.contains("before it can compact"));
    assert!(report.verdict >= ReportVerdict::Likely);
}

#[test]
fn the_facts_are_in_the_policys_words() {
    let events = alerts();
    let facts = world().investigate(&events).facts;
    insta::assert_json_snapshot!("facts", facts);
}

#[test]
fn the_report_reads_well() {
    let events = alerts();
    let (seen, _) = world().survey(&events, 64);
    let analysis = crate::analysis::conclude(&case(&events, &seen, 0));
    let report = report(&analysis, frame(&events, &seen));
    insta::assert_json_snapshot!("report", report);
    insta::assert_snapshot!("markdown", markdown(&report));
}

#[test]
fn the_plan_is_stable() {
    let events = alerts();
    let (seen, rounds) = world().survey(&events, 64);
    let asked: Vec<String> = seen.iter().map(|s| s.need.to_string()).collect();
    insta::assert_snapshot!("plan", format!("{rounds} rounds\n{}", asked.join("\n")));
}

#[test]
fn without_the_logs_nothing_is_claimed_of_the_checkpoint() {
    let mut world = world();
    world.refuse.push(("log lines".into(), "403 Forbidden: pods/log".into()));
    let events = alerts();
    let analysis = world.investigate(&events);
    assert!(!codes(&analysis).contains(&"corrupt_data".to_owned()));
    let blocked = analysis.open_questions.iter().filter(|q| q.blocked_by.as_deref().is_some_and(|b| b.contains("403")));
    assert!(blocked.count() >= 1);
    assert!(analysis.hypotheses.iter().any(|h| h.finding.cause_code == "volume_filling"));
}

fn causes_of(world: &World) -> Vec<(String, String)> {
    let analysis = world.investigate(&alerts());
    let causes = crate::analysis::rank::causes(&analysis);
    causes.map(|h| (h.finding.cause_code.clone(), h.finding.entity.name.clone())).collect()
}

fn both() -> Vec<(String, String)> {
    vec![("corrupt_data".into(), "graph-0".into()), ("scaled_to_zero".into(), "vault-ceph-operator".into())]
}

#[test]
fn the_words_of_the_log_may_differ() {
    for lines in [
        vec![
            "WAL directory holds 962 files, 15.0 GiB",
            "ERROR checkpoint 1775044273271069 contains no data files",
            "thread 'main' panicked at src/main.rs:40: called `Result::unwrap()` on an `Err` value: Storage",
        ],
        vec![
            "recovering: 962 WAL files (14.9GB) to replay",
            "panic: open checkpoint 1775044273271069/metadata: no such file or directory",
            "",
            "goroutine 1 [running]:",
        ],
        vec!["write-ahead log: 962 segments pending", "FATAL corrupt manifest"],
    ] {
        let mut world = world();
        world.logs.clear();
        assert_eq!(causes_of(&world.log("graph-0", &lines)), both(), "{lines:?}");
    }
}

#[test]
fn a_node_plugin_that_wants_no_pods_is_as_good_as_none() {
    let mut world = world();
    world.objects.push(workload("DaemonSet", "vault-ceph", "csi-rbdplugin", 0, 0));
    world.objects.push(workload("DaemonSet", "vault-ceph", "csi-cephfsplugin", 0, 0));
    world.objects.push(workload("DaemonSet", "monitoring", "node-exporter", 3, 3));
    world.objects.push(workload("Deployment", "monitoring", "prometheus-operator", 0, 0));
    assert_eq!(causes_of(&world), both());
    let analysis = world.investigate(&alerts());
    let csi = analysis.findings.iter().find(|f| f.cause_code == "csi_absent").unwrap();
    assert!(csi.statement.contains("vault-ceph/csi-rbdplugin has 0 of 0"), "{}", csi.statement);
}

#[test]
fn the_operator_is_found_in_its_namespace_when_the_cluster_may_not_be_listed() {
    let mut world = world();
    for kind in ["DaemonSet", "Deployment"] {
        // Exactly the cluster-wide list: that of a namespace reads "every Deployment in …".
        world.refuse_exactly.push(format!("every {kind}"));
    }
    assert_eq!(causes_of(&world), both());
}

#[test]
fn a_running_operator_is_no_cause() {
    let mut world = world();
    for object in &mut world.objects {
        if object["metadata"]["name"] == "vault-ceph-operator" {
            object["spec"]["replicas"] = json!(1);
        }
    }
    let codes: Vec<String> = causes_of(&world).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["corrupt_data", "csi_absent"]);
}

#[test]
fn a_volume_that_is_full_to_the_brim_changes_nothing_in_the_order() {
    let mut world = world();
    let usage = json!({"namespace": "lab", "persistentvolumeclaim": "data-graph-0"});
    world.metrics = vec![("data-graph-0".into(), 360, matrix(usage, 360, 120, |_| 1.0))];
    assert_eq!(causes_of(&world), both());
    let analysis = world.investigate(&alerts());
    assert!(analysis.hypotheses[0].explains.iter().any(|f| f.cause_code == "volume_full"));
}
