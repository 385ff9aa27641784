//! What the findings amount to: one cause or two, none, or not enough seen.

use super::build::*;
use crate::analysis::verdict;
use crate::domain::*;
use serde_json::{Value, json};

#[test]
fn interchangeable_pods_are_one_finding() {
    let pods = (0..5).map(|i| crash_looping(pod("shop", &format!("api-1-{i}"), Some("api")), 1));
    let mut world = World::of(pods);
    world.objects.extend([
        workload("Deployment", "shop", "api", 5, 0),
        replica_set("shop", "api", 1, "registry.example/api:1.4.2", -90_000, 0),
    ]);
    let events = vec![alert("KubeDeploymentReplicasMismatch", &[("namespace", "shop"), ("deployment", "api")])];
    let analysis = world.investigate(&events);
    assert_eq!(analysis.findings.len(), 1);
    assert!(analysis.findings[0].statement.contains("4 more pods of Deployment shop/api"));
    assert_eq!(analysis.impact.statement, "down: shop/api");
}

#[test]
fn two_independent_causes_stand_side_by_side() {
    let mut world = around(crash_looping(api(), 1)).log("api-1-x", &["panic: boom"]);
    world
        .objects
        .push(with(waiting(pod("shop", "web-1-x", Some("web")), "ImagePullBackOff", "manifest unknown"), json!({})));
    let mut events = pod_alert();
    events.push(alert("KubeContainerWaiting", &[("namespace", "shop"), ("pod", "web-1-x")]));
    let analysis = world.investigate(&events);
    let mut roots: Vec<&str> =
        crate::analysis::rank::causes(&analysis).map(|h| h.finding.cause_code.as_str()).collect();
    roots.sort_unstable();
    assert_eq!(roots, ["app_panic", "image_ref_wrong"]);
    // Without an alert on the second it is a rival of no weight.
    let analysis = world.investigate(&events[..1]);
    let roots: Vec<&str> = crate::analysis::rank::causes(&analysis).map(|h| h.finding.cause_code.as_str()).collect();
    assert_eq!(roots, ["app_panic"]);
    assert!(analysis.hypotheses[1].why_less_likely.as_deref().is_some_and(|w| w.contains("no path")));
}

#[test]
fn what_began_after_does_not_explain() {
    // The node failed long after the pod began to crash.
    let sick = with(
        node("node-a"),
        json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "R", "message": "m", "lastTransitionTime": at(-3)}]}}),
    );
    let world = World::of([crash_looping(api(), 1), sick])
        .events([pod_event("BackOff", "Back-off restarting failed container")]);
    let analysis = world.investigate(&pod_alert());
    let node = analysis.hypotheses.iter().find(|h| h.finding.cause_code == "node_not_ready").unwrap();
    assert!(node.explains.is_empty());
}

#[test]
fn denied_collections_lower_the_claim_and_are_told() {
    let world = around(crash_looping(api(), 1)).log("api-1-x", &["panic: boom"]);
    let open = world.investigate(&pod_alert());
    let mut denied = world.clone();
    denied.refuse.push(("events in".into(), "403 Forbidden: cannot list events".into()));
    denied.refuse.push(("every Node".into(), "403 Forbidden: cannot list nodes".into()));
    let less = denied.investigate(&pod_alert());
    assert!(less.hypotheses[0].confidence < open.hypotheses[0].confidence);
    assert_eq!(less.open_questions.iter().filter(|q| q.blocked_by.is_some()).count(), 2);
    let mut nothing = World::default();
    nothing.refuse.push((String::new(), "403 Forbidden".into()));
    let events = vec![alert("HighErrorRate", &[("namespace", "shop"), ("service", "api")])];
    let analysis = nothing.investigate(&events);
    assert_eq!(verdict(&analysis), ReportVerdict::InsufficientEvidence);
    assert!(analysis.open_questions.len() >= 5);
}

#[test]
fn an_alert_on_latency_is_never_called_groundless() {
    let events = vec![alert("HighLatency", &[("namespace", "shop"), ("pod", "api-1-x")])];
    let analysis = expect(around(api()), &events, None);
    assert_eq!(verdict(&analysis), ReportVerdict::InsufficientEvidence);
}

#[test]
fn an_alert_on_errors_is_groundless_when_its_expression_was_never_true_and_all_is_well() {
    let events = vec![alert("HighErrorRate", &[("namespace", "shop"), ("service", "api"), ("severity", "warning")])];
    let labels = || json!({"namespace": "shop", "service": "api"});
    let vector = |labels: Value, value: &str| json!({"resultType": "vector", "result": [{"metric": labels, "value": [start().as_second(), value]}]});
    let well = || {
        let mut world = World::of([
            api(),
            workload("Deployment", "shop", "api", 1, 1),
            replica_set("shop", "api", 1, "registry.example/api:1.4.2", -90_000, 1),
            node("node-a"),
        ]);
        world.rules.push(("HighErrorRate".into(), "errors / requests > 0.05".into()));
        world
    };
    let quiet = || matrix(labels(), 120, 60, |_| 0.002);
    let busy = || matrix(labels(), 120, 60, |x| if (0.4..0.6).contains(&x) { 0.3 } else { 0.002 });
    let sick = || {
        let mut world = well().metric("requests", 120, quiet());
        world.objects.push(waiting(pod("shop", "web-1-x", None), "ContainerCreating", ""));
        world
    };
    let firing = || {
        let mut world = well().metric("requests", 120, quiet());
        world.alerts.push(json!({"labels": {"alertname": "HighErrorRate", "service": "api"}, "state": "pending"}));
        world
    };
    let others = json!({"namespace": "shop", "service": "web"});
    for (what, world, groundless, told) in [
        ("quiet", well().metric("requests", 120, quiet()), true, "is not true now and reads 0.002 (limit: > 0.05)"),
        (
            "another service",
            well().metric("requests", 120, quiet()).metric("> 0.05", 0, vector(others, "0.4")),
            true,
            "is not true now",
        ),
        ("true", well().metric("> 0.05", 0, vector(labels(), "0.061")), false, "reads 0.061 (limit: > 0.05)"),
        ("was true", well().metric("requests", 120, busy()), false, "is no longer true since 2026-04-01 11:1"),
        ("nothing measured", well(), false, "is not true now"),
        ("a sick pod", sick(), false, "is not true now"),
        ("pending", firing(), false, "is not true now"),
    ] {
        let analysis = world.investigate(&events);
        assert_eq!(verdict(&analysis) == ReportVerdict::NoFault, groundless, "{what}: {analysis:#?}");
        let step = analysis.chain.last().unwrap();
        assert!(step.event.contains(told) && !step.inferred, "{what}: {}", step.event);
        assert!(analysis.timeline.iter().any(|t| t.text.contains(told)), "{what}: {:#?}", analysis.timeline);
    }
    // A rule of that name with other labels is another rule.
    let mut world = well().metric("requests", 120, quiet());
    world.rules = vec![("HighErrorRateOfOthers".into(), "errors / requests > 0.05".into())];
    assert_eq!(verdict(&world.investigate(&events)), ReportVerdict::InsufficientEvidence);
}

/// A namespace of a hundred things that are as they should be.
fn calm() -> World {
    let mut world = World::of((0..4).map(|i| node(&format!("node-{i}"))));
    for i in 0..20 {
        let name = format!("svc-{i}");
        let restarted = json!({"status": {"containerStatuses": [{"name": "app", "ready": true, "restartCount": 2,
            "state": {"running": {"startedAt": at(-2000)}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(-2001)}}}]}});
        let one = pod("shop", &format!("{name}-1-x"), Some(&name));
        world.objects.extend([
            if i % 4 == 0 { with(one, restarted) } else { one },
            workload("Deployment", "shop", &name, 1, 1),
            replica_set("shop", &name, 1, "registry.example/api:1", -9000, 0),
            replica_set("shop", &name, 2, "registry.example/api:2", -15, 1),
            claim("shop", &format!("data-{i}"), "10Gi"),
        ]);
        // Complaints that were followed by success.
        world.events.push(event(
            "Pod",
            "shop",
            &format!("{name}-1-x"),
            "FailedScheduling",
            "0/4 nodes are available: 4 Insufficient cpu",
            -20,
            -19,
        ));
        world.events.push(event("Pod", "shop", &format!("{name}-1-x"), "FailedMount", "timed out", -18, -17));
        world.events.push(event(
            "Pod",
            "shop",
            &format!("{name}-1-x"),
            "Unhealthy",
            "Readiness probe failed",
            -16,
            -15,
        ));
    }
    let done = json!({"spec": {"nodeName": "node-1"}, "status": {"phase": "Succeeded", "containerStatuses": [{"name": "app",
        "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": at(-5)}}}]}});
    world.objects.push(with(pod("shop", "migrate-x", None), done));
    world.objects.push(workload("Deployment", "shop", "resting", 0, 0));
    world.objects.push(workload("Deployment", "shop", "rest-operator", 0, 0));
    world
}

#[test]
fn a_calm_namespace_has_no_findings() {
    let events = vec![alert("KubePodNotReady", &[("namespace", "shop"), ("pod", "svc-1-1-x")])];
    let analysis = expect(calm(), &events, None);
    assert_eq!(codes(&analysis), [""; 0]);
    assert_eq!(verdict(&analysis), ReportVerdict::NoFault);
}

#[test]
fn trouble_elsewhere_is_not_taken_for_the_cause() {
    let events = vec![alert("KubePodNotReady", &[("namespace", "shop"), ("pod", "svc-1-1-x")])];
    let mut world = calm();
    world.objects.push(waiting(pod("shop", "other-1-x", Some("other")), "ImagePullBackOff", "manifest unknown"));
    let analysis = world.investigate(&events);
    assert_eq!(codes(&analysis), ["image_ref_wrong"]);
    assert_eq!(verdict(&analysis), ReportVerdict::NoFault);
    assert_eq!(analysis.impact.services, [""; 0]);
}

#[test]
fn an_alert_on_something_that_was_not_seen_is_about_its_namespace() {
    let events = vec![alert("KubeHpaMaxedOut", &[("namespace", "shop"), ("horizontalpodautoscaler", "api")])];
    let world = around(crash_looping(api(), 1)).log("api-1-x", &["panic: boom"]);
    let analysis = expect(world, &events, Some("app_panic"));
    assert!(analysis.hypotheses[0].confidence >= 0.4, "{}", analysis.hypotheses[0].confidence);
}

#[test]
fn a_failed_job_says_why() {
    let failed = json!({"metadata": {"ownerReferences": [{"kind": "Job", "name": "nightly"}]}, "status": {"phase": "Failed",
        "containerStatuses": [{"name": "app", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": at(-5)}}}]}});
    let world = World::of([with(pod("shop", "nightly-x", None), failed)]);
    let mut world = world.log("nightly-x", &["FATAL: password authentication failed for user \"etl\""]);
    // A pod that never restarted has only a present run.
    world.logs[0].1 = false;
    let events = vec![alert("KubeJobFailed", &[("namespace", "shop"), ("job_name", "nightly")])];
    expect(world, &events, Some("dependency_auth"));
}
