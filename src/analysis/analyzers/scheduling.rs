//! Pods that no node takes. The scheduler's text names candidates; where it names several, our own
//! evaluation on the node objects says which one binds.

use super::found;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Node, Pod, Taint};
use crate::analysis::text::{bytes, quote, some_of};
use crate::domain::Finding;
use std::collections::BTreeMap;

/// Reasons in the order in which they win when nothing else decides, with the scheduler's words.
const REASONS: [(&str, &[&str]); 11] = [
    ("taint", &["untolerated taint", "had taint"]),
    ("cordon", &["were unschedulable"]),
    ("anti_affinity", &["anti-affinity", "topology spread"]),
    ("node_selector", &["didn't match pod's node affinity/selector", "didn't match node selector"]),
    ("node_affinity", &["didn't match pod's node affinity"]),
    ("cpu", &["insufficient cpu"]),
    ("memory", &["insufficient memory"]),
    ("ports", &["free ports"]),
    ("max_pods", &["too many pods"]),
    ("volume_zone", &["volume node affinity conflict"]),
    ("pvc_unbound", &["unbound immediate persistentvolumeclaims", "persistentvolumeclaim"]),
];

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    scene.snapshot.pods.iter().filter_map(|pod| unscheduled(scene, pod)).collect()
}

fn unscheduled(scene: &Scene<'_>, pod: &Pod) -> Option<Finding> {
    // A pod with a node was scheduled since.
    if pod.node.is_some() || pod.phase != "Pending" {
        return None;
    }
    let entity = &pod.meta.entity;
    let event = scene.snapshot.events_of(entity).rfind(|e| e.reason == "FailedScheduling");
    let condition = pod.condition("PodScheduled").filter(|c| c.status == "False");
    let message = match (&event, condition) {
        (Some(event), _) => event.message.as_str(),
        (None, Some(condition)) => condition.message.as_str(),
        (None, None) => return None,
    };
    // Preemption repeats the counts.
    let head = message.to_lowercase();
    let head = head.split("preemption:").next().unwrap_or(&head);
    let mut named: Vec<&str> =
        REASONS.iter().filter(|(_, words)| words.iter().any(|w| head.contains(w))).map(|(code, _)| *code).collect();
    if named.contains(&"node_selector") {
        // The scheduler does not tell the two apart; the pod does.
        named.retain(|c| *c != "node_affinity");
        if pod.node_selector.is_empty() && pod.required_node_affinity {
            named.iter_mut().filter(|c| **c == "node_selector").for_each(|c| *c = "node_affinity");
        }
    }
    if named.first() == Some(&"taint") && named.len() > 1 && only_control_plane(head) {
        named.remove(0);
    }
    let blocked = evaluate(scene, pod);
    let binding = decide(&named, &blocked);
    let code = binding.or(named.first().copied())?;
    let verified = blocked.values().any(|reasons| reasons.contains(&code));

    let mut evidence: Vec<String> = event.iter().map(|e| e.evidence.clone()).collect();
    evidence.push(pod.meta.evidence.clone());
    evidence.extend(scene.snapshot.nodes.first().filter(|_| verified).map(|n| n.meta.evidence.clone()));
    let symptom = code == "pvc_unbound";
    let specificity = match (symptom, verified, named.len()) {
        (true, ..) => 0.3,
        (false, true, _) => 0.9,
        (false, false, 1) => 0.6,
        (false, false, _) => 0.5,
    };
    Some(Finding {
        symptom,
        onset: event.and_then(|e| e.first).or(condition.and_then(|c| c.since)).or(pod.started),
        evidence,
        remedy: Some(remedy(code).to_owned()),
        ..found(
            entity,
            code,
            if matches!(code, "cpu" | "memory" | "max_pods") { "capacity" } else { "config" },
            specificity,
            format!(
                "no node takes {}: {}{}; the scheduler says: {}",
                entity.name,
                words(code),
                detail(scene, pod, code),
                quote(message)
            ),
        )
    })
}

fn only_control_plane(head: &str) -> bool {
    let taints: Vec<&str> = head.split("taint").skip(1).filter(|t| t.contains('{')).collect();
    !taints.is_empty() && taints.iter().all(|t| t.contains("node-role.kubernetes.io/"))
}

/// What keeps the pod from each node, by our own reading.
fn evaluate<'a>(scene: &Scene<'a>, pod: &Pod) -> BTreeMap<&'a str, Vec<&'static str>> {
    let all_pods = scene.snapshot.listed("Pod", "").is_some();
    let mut blocked = BTreeMap::new();
    for node in &scene.snapshot.nodes {
        let mut reasons = Vec::new();
        if blocking_taint(pod, node).is_some() {
            reasons.push("taint");
        }
        if node.cordoned {
            reasons.push("cordon");
        }
        if pod.node_selector.iter().any(|(key, value)| node.meta.labels.get(key) != Some(value)) {
            reasons.push("node_selector");
        }
        let here = || scene.snapshot.pods.iter().filter(|p| p.node.as_deref() == Some(node.meta.name()));
        let cpu: f64 = here().map(|p| p.cpu_request).sum();
        let memory: f64 = here().map(|p| p.memory_request).sum();
        if cpu + pod.cpu_request > node.cpu {
            reasons.push("cpu");
        }
        if memory + pod.memory_request > node.memory {
            reasons.push("memory");
        }
        if all_pods && here().count() as f64 + 1.0 > node.pods {
            reasons.push("max_pods");
        }
        blocked.insert(node.meta.name(), reasons);
    }
    blocked
}

fn blocking_taint<'a>(pod: &Pod, node: &'a Node) -> Option<&'a Taint> {
    node.taints.iter().filter(|t| t.effect != "PreferNoSchedule").find(|taint| {
        // What a cordon and the node controller add by themselves is told apart by their own causes.
        !taint.key.starts_with("node.kubernetes.io/unschedulable")
            && !pod.tolerations.iter().any(|t| {
                (t.effect.is_empty() || t.effect == taint.effect)
                    && ((t.key.is_empty() && t.exists) || (t.key == taint.key && (t.exists || t.value == taint.value)))
            })
    })
}

/// The reason whose removal would free the most nodes; of equals the first in order. `None` when
/// the node objects say nothing.
fn decide(named: &[&'static str], blocked: &BTreeMap<&str, Vec<&'static str>>) -> Option<&'static str> {
    if named.len() == 1 {
        return named.first().copied();
    }
    let sole = |code: &str| blocked.values().filter(|reasons| reasons.as_slice() == [code]).count();
    REASONS
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| named.contains(code) && sole(code) > 0)
        // `max_by_key` keeps the last of equals, so the order is turned around.
        .rev()
        .max_by_key(|code| sole(code))
}

fn words(code: &str) -> &'static str {
    match code {
        "taint" => "nodes carry a taint that it does not tolerate",
        "cordon" => "nodes are cordoned",
        "anti_affinity" => "its anti-affinity or spread leaves no node",
        "node_selector" => "no free node has the labels of its node selector",
        "node_affinity" => "no free node fits its required node affinity",
        "cpu" => "not enough unrequested CPU",
        "memory" => "not enough unrequested memory",
        "ports" => "its host port is taken on every node",
        "max_pods" => "nodes hold as many pods as they may",
        "volume_zone" => "its volume lives where no free node is",
        _ => "its volume claim is not bound",
    }
}

fn detail(scene: &Scene<'_>, pod: &Pod, code: &str) -> String {
    match code {
        "taint" => {
            let taint = scene.snapshot.nodes.iter().find_map(|n| blocking_taint(pod, n).map(|t| (n, t)));
            taint.map_or(String::new(), |(n, t)| format!(" ({}={}:{} on {})", t.key, t.value, t.effect, n.meta.name()))
        }
        "node_selector" => {
            let pairs: Vec<String> = pod.node_selector.iter().map(|(k, v)| format!("{k}={v}")).take(4).collect();
            if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) }
        }
        "cordon" => {
            let names: Vec<String> =
                scene.snapshot.nodes.iter().filter(|n| n.cordoned).map(|n| n.meta.name().to_owned()).collect();
            if names.is_empty() { String::new() } else { format!(" ({})", some_of(&names, 3)) }
        }
        "cpu" => format!(" (it asks for {} cores)", pod.cpu_request),
        "memory" => format!(" (it asks for {})", bytes(pod.memory_request)),
        _ => String::new(),
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "taint" => "Remove the taint if it was left behind, or add the toleration to the workload.",
        "cordon" => "Uncordon a node once its maintenance is over.",
        "anti_affinity" => "Add a node or relax the rule.",
        "node_selector" | "node_affinity" => "Correct the selector or label a node that fits.",
        "cpu" | "memory" => "Lower the request to what is used, free room, or add a node.",
        "ports" => "Drop the host port or run fewer copies.",
        "max_pods" => "Add a node or move pods away.",
        "volume_zone" => "Bring up a node in the volume's zone.",
        _ => "See why the claim is not bound.",
    }
}
