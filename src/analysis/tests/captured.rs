//! Objects as a Kubernetes 1.36 API server really answers them.

use super::build::*;
use crate::analysis::conclude;
use crate::domain::*;
use serde_json::Value;

fn world() -> World {
    let text = include_str!("../../../tests/fixtures/analysis/kubernetes-1.36.2.json");
    let captured: Value = serde_json::from_str(text).unwrap();
    let all = |key: &str| captured[key].as_array().unwrap().clone();
    World::of(all("objects")).events(all("events"))
}

fn investigate(pod: &str) -> Analysis {
    let mut event = alert("KubePodCrashLooping", &[("namespace", "shop"), ("pod", pod)]);
    event.starts_at = t("2026-11-21T00:05:00Z");
    let events = [event];
    let (mut seen, _) = world().survey(&events, 64);
    let now = t("2026-11-21T00:08:59Z");
    seen.iter_mut().for_each(|s| s.at = now);
    conclude(&crate::analysis::Case { now, ..case(&events, &seen, 0) })
}

fn found(analysis: &Analysis, pod: &str) -> Vec<String> {
    let of_pod = analysis.findings.iter().filter(|f| f.entity.name == pod);
    of_pod.map(|f| f.cause_code.clone()).collect()
}

#[test]
fn a_crash_loop_with_a_termination_message() {
    let pod = "api-65857d5d47-26pgn";
    let analysis = investigate(pod);
    assert_eq!(found(&analysis, pod), ["crash_loop", "dependency_unreachable"]);
    let top = &analysis.hypotheses[0];
    assert!(top.finding.statement.contains("panic: connect: connection refused"), "{}", top.finding.statement);
    assert_eq!(top.finding.onset, Some(t("2026-11-20T23:27:53Z")), "the first back-off");
    // The scheduler's old complaints were followed by a node.
    assert!(!codes(&analysis).iter().any(|c| c == "taint" || c == "cpu"));
}

#[test]
fn an_image_that_is_not_pulled_and_a_container_out_of_memory() {
    assert_eq!(found(&investigate("api-65857d5d47-h8j8n"), "api-65857d5d47-h8j8n"), ["image_pull_failed"]);
    assert_eq!(found(&investigate("api-65857d5d47-8g77c"), "api-65857d5d47-8g77c"), ["oom_limit_low"]);
}

#[test]
fn a_node_under_pressure_and_the_workload_in_the_policys_words() {
    let analysis = investigate("api-65857d5d47-26pgn");
    let node = analysis.findings.iter().find(|f| f.cause_code == "memory_pressure").unwrap();
    assert_eq!(node.entity.name, "node-b");
    assert!(analysis.hypotheses[0].finding.entity.kind == "Pod", "another node's pressure is not the cause");
    let resource = &analysis.facts["resource"];
    assert_eq!((resource["kind"].as_str(), resource["name"].as_str()), (Some("Deployment"), Some("api")));
    assert_eq!((resource["replicas"].as_i64(), resource["ready"].as_i64()), (Some(3), Some(1)));
}
