//! Alerts that name what is not there, or leave out where it is: what goes on elsewhere is no cause.

use super::build::*;
use super::incident::{frame, world};
use crate::analysis::{Case, ReportFrame, Seen, conclude, markdown, plan, report};
use crate::domain::*;
use serde_json::json;

fn told(world: &World, events: &[SreEvent]) -> (Analysis, Report) {
    let (seen, rounds) = world.survey(events, 64);
    assert!(rounds <= 4);
    let analysis = conclude(&case(events, &seen, 0));
    let report = report(&analysis, frame(events, &seen));
    (analysis, report)
}

fn title(report: &Report) -> String {
    markdown(report).lines().next().unwrap().trim_start_matches("# ").replace('\\', "")
}

/// Two real faults in the world, none of which is about the alert.
#[test]
fn what_is_not_there_has_no_cause_elsewhere() {
    for (name, labels, headline, gone) in [
        ("HighCPU", vec![("pod", "test-pod")], "HighCPU on Pod test-pod", "no Pod test-pod was seen in any namespace"),
        (
            "PodCrashLooping",
            vec![("namespace", "lab"), ("pod", "test-pod")],
            "PodCrashLooping on Pod lab/test-pod",
            "no Pod test-pod was seen in namespace lab",
        ),
        (
            "KubeDeploymentReplicasMismatch",
            vec![("deployment", "front")],
            "KubeDeploymentReplicasMismatch on Deployment front",
            "no Deployment front was seen in any namespace",
        ),
        (
            "HighErrorRate",
            vec![("service", "front")],
            "HighErrorRate on Service front",
            "no workload of the name front was seen in any namespace",
        ),
        ("KubeNodeNotReady", vec![("node", "node-z")], "KubeNodeNotReady on Node node-z", "no Node node-z was seen"),
        (
            "KubeHpaMaxedOut",
            vec![("horizontalpodautoscaler", "front")],
            "KubeHpaMaxedOut on HorizontalPodAutoscaler front",
            "HorizontalPodAutoscaler front was not looked for",
        ),
    ] {
        // What Prometheus says of its targets leads to the faults.
        let target = json!({"labels": {"job": "graph", "instance": "10.0.0.9:80", "namespace": "lab", "pod": "graph-0"},
            "health": "down", "lastError": "connection refused"});
        let events = [alert(name, &labels)];
        let (analysis, report) = told(&world().target(target), &events);
        assert_eq!(report.verdict, ReportVerdict::InsufficientEvidence, "{name}: {report:#?}");
        assert!(report.root_causes.is_empty() && report.causal_chain.is_empty() && report.impact.services.is_empty());
        assert!(analysis.hypotheses.iter().all(|h| h.confidence <= 0.39), "{name}");
        assert!(report.summary.contains(gone), "{name}: {}", report.summary);
        for other in ["graph", "search", "cache", "operator", "csi"] {
            assert!(!report.summary.contains(other), "{name}: {}", report.summary);
        }
        let elsewhere = |a: &Alternative| a.why_less_likely == "seen elsewhere, with no path to the alert";
        assert!(report.alternatives.iter().all(elsewhere), "{name}: {:#?}", report.alternatives);
        assert_eq!(title(&report), headline);
        assert_eq!(report.open_questions[0].blocked_by.as_deref().map(|b| b.contains(gone)), Some(true));
    }
    let events = [alert("PodCrashLooping", &[("namespace", "lab"), ("pod", "test-pod")])];
    let (_, report) = told(&world(), &events);
    let others: Vec<&str> = report.alternatives.iter().map(|a| a.cause_code.as_str()).collect();
    assert!(others.contains(&"corrupt_data") && others.contains(&"scaled_to_zero"), "{others:?}");
    assert!(report.summary.contains("Other trouble was seen elsewhere"), "{}", report.summary);
}

#[test]
fn a_thing_without_namespace_is_found_and_looked_into() {
    let events = [alert("PodCrashLooping", &[("pod", "graph-0")])];
    let (analysis, report) = told(&world(), &events);
    assert_eq!(report.root_causes[0].cause_code, "corrupt_data", "{report:#?}");
    assert!(report.verdict >= ReportVerdict::Likely);
    assert_eq!(title(&report), "PodCrashLooping on Pod lab/graph-0");
    assert_eq!(analysis.facts["resource"]["name"], "graph");
    let events = [alert("HighErrorRate", &[("service", "search")])];
    let (_, report) = told(&world(), &events);
    assert_eq!(report.root_causes[0].cause_code, "scaled_to_zero", "{report:#?}");
    let events = [alert("PVCUsageHigh", &[("persistentvolumeclaim", "data-graph-0")])];
    assert_eq!(told(&world(), &events).1.root_causes[0].cause_code, "corrupt_data");
}

#[test]
fn a_pod_that_was_replaced_is_known_by_its_makers_name() {
    let events = [alert("KubePodCrashLooping", &[("namespace", "shop"), ("pod", "api-7c5d8b9f64-h2vqn")])];
    let sick = crash_looping(pod("shop", "api-1-x", Some("api")), 1);
    let world = World::of([
        sick,
        workload("Deployment", "shop", "api", 1, 0),
        replica_set("shop", "api", 1, "registry.example/api:1.4.2", -90_000, 0),
        node("node-a"),
    ]);
    let (_, report) = told(&world.log("api-1-x", &["panic: boom"]), &events);
    assert_eq!(report.root_causes[0].cause_code, "app_panic", "{report:#?}");
}

#[test]
fn alerts_that_name_no_thing_find_what_is_in_their_scope() {
    for (name, labels, code) in [
        ("HighErrorRate", vec![("namespace", "lab")], Some("corrupt_data")),
        ("HighErrorRate", vec![("namespace", "lab"), ("service", "graph")], Some("corrupt_data")),
        ("KubeNodeNotReady", vec![("node", "node-a")], Some("node_not_ready")),
        ("HighErrorRate", vec![("namespace", "other")], None),
    ] {
        let mut world = world();
        if name == "KubeNodeNotReady" {
            let sick = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "R",
                "message": "m", "lastTransitionTime": at(-20)}]}});
            world.objects.retain(|o| o["kind"] != "Node");
            world.objects.push(with(node("node-a"), sick));
        }
        let (_, report) = told(&world, &[alert(name, &labels)]);
        let causes: Vec<&str> = report.root_causes.iter().map(|c| c.cause_code.as_str()).collect();
        match code {
            Some(code) => assert!(causes.contains(&code), "{name} {labels:?}: {causes:?}"),
            None => assert!(causes.is_empty(), "{name} {labels:?}: {causes:?}"),
        }
    }
}

fn only_prometheus<'a>(events: &'a [SreEvent], seen: &'a [Seen]) -> Case<'a> {
    Case { kubernetes: false, ..case(events, seen, 64) }
}

/// Only Prometheus: nothing joins another claim to the alert's pod.
#[test]
fn another_claim_is_not_what_an_alert_on_a_pod_is_about() {
    let full = json!({"resultType": "vector", "result": [{"metric":
        {"namespace": "shop", "persistentvolumeclaim": "data-orders-0"}, "value": [start().as_second(), "0.93"]}]});
    let world = World::default().metric("volume_stats", 0, full);
    for (labels, about_it) in [
        (vec![("namespace", "shop"), ("pod", "api-7c5d8b9f64-h2vqn")], false),
        (vec![("namespace", "shop"), ("persistentvolumeclaim", "data-orders-0")], true),
        (vec![("namespace", "shop")], true),
    ] {
        let events = [alert("PodCrashLooping", &labels)];
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            let needs = plan(&only_prometheus(&events, &seen));
            if needs.is_empty() {
                break;
            }
            for need in needs {
                let outcome = world.answer(&need);
                seen.push(Seen { id: format!("E{}", seen.len() + 1), need, at: start(), outcome });
            }
        }
        let analysis = conclude(&only_prometheus(&events, &seen));
        let frame: ReportFrame<'_> = frame(&events, &seen);
        let report = report(&analysis, frame);
        assert!(!analysis.findings.is_empty());
        assert_eq!(report.summary.contains("data-orders-0"), about_it, "{labels:?}: {}", report.summary);
        if !about_it {
            assert_eq!(report.verdict, ReportVerdict::InsufficientEvidence);
            assert!(report.summary.contains("Pod shop/api-7c5d8b9f64-h2vqn could not be looked at"));
            assert!(report.alternatives.iter().any(|a| a.entity.name == "data-orders-0"));
        }
    }
}

#[test]
fn a_name_that_is_no_name_becomes_no_command() {
    let events = [alert("HighCPU", &[("pod", "x; rm -rf /\u{202e}")])];
    let (_, report) = told(&world(), &events);
    let said: String = report.open_questions.iter().map(|q| format!("{} {}", q.question, q.how_to_answer)).collect();
    assert!(!report.summary.contains('\u{202e}') && !said.contains('\u{202e}'));
    assert!(!said.contains("kubectl get pod -A --field-selector metadata.name=x;"), "{said}");
}
