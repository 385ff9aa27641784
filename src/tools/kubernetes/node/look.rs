//! What a node and its pods say together. Pure.

use super::super::object::{items, meta};
use super::super::{amount, columns};
use super::ill;
use crate::tools::render::age;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Roles are labels with this in front.
const ROLE: &str = "node-role.kubernetes.io/";

/// All that is told of `node`. Without `pods` (they could not be read) nothing is said of what they ask for.
pub(super) fn at(node: &Value, pods: Option<&[Value]>, now: Timestamp) -> Value {
    let (spec, status) = (&node["spec"], &node["status"]);
    let [word, problems, _] = columns::node(node);
    let info = &status["nodeInfo"];
    let labels = &node["metadata"]["labels"];
    let roles = labels.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_prefix(ROLE));
    let addresses = items(&status["addresses"]).filter_map(|a| a["address"].as_str()).take(8);
    let not_well: Vec<Value> = pods.unwrap_or_default().iter().filter(|p| !well(p, now)).map(|p| ill(p, now)).collect();
    json!({
        "name": meta(node, "name"), "created": node["metadata"]["creationTimestamp"],
        "status": word, "problems": problems, "unschedulable": spec["unschedulable"] == true,
        "kubelet": info["kubeletVersion"], "runtime": info["containerRuntimeVersion"],
        "kernel": info["kernelVersion"], "os": info["osImage"], "zone": labels["topology.kubernetes.io/zone"],
        "roles": roles.collect::<Vec<_>>().join(","), "addresses": addresses.collect::<Vec<_>>().join(" "),
        "taints": spec["taints"].as_array().cloned().unwrap_or_default(),
        "conditions": status["conditions"].as_array().cloned().unwrap_or_default(),
        "resources": resources(&amount::all(&status["allocatable"]), pods),
        "pods": pods.map(<[Value]>::len), "pods_ill": pods.map(|_| not_well.len()), "ill": not_well,
    })
}

/// Each resource that the node offers or a pod asks for: cpu, memory, pods first.
fn resources(allocatable: &amount::Amounts, pods: Option<&[Value]>) -> Vec<Value> {
    let (mut requested, mut limits) = (amount::Amounts::new(), amount::Amounts::new());
    let counted = pods.unwrap_or_default().iter().filter(|pod| !over(pod));
    let mut running = 0.0;
    for pod in counted {
        running += 1.0;
        amount::add(&mut requested, &amount::of_pod(pod, "requests"));
        amount::add(&mut limits, &amount::of_pod(pod, "limits"));
    }
    requested.insert("pods".to_owned(), running);
    let mut names: Vec<&String> = allocatable.keys().chain(requested.keys()).collect();
    let rank = |name: &str| ["cpu", "memory", "pods", "ephemeral-storage"].iter().position(|n| *n == name).unwrap_or(9);
    names.sort_by_key(|name| (rank(name), (*name).clone()));
    names.dedup();
    // Huge pages that nobody offers and nobody asks for say nothing.
    let telling = |name: &&&String| allocatable.get(**name).is_some_and(|a| *a > 0.0) || requested.contains_key(**name);
    let names = names.iter().filter(telling).take(32);
    names
        .map(|name| {
            let sum = |of: &amount::Amounts| pods.map(|_| of.get(*name).copied().unwrap_or(0.0));
            let limits = if *name == "pods" { None } else { sum(&limits) };
            json!({"resource": name, "allocatable": allocatable.get(*name), "requested": sum(&requested), "limits": limits})
        })
        .collect()
}

/// Whether a pod is through, so that it takes nothing any more.
fn over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn well(pod: &Value, now: Timestamp) -> bool {
    let state = columns::pod(pod, now);
    let ready = state.ready.split_once('/').is_some_and(|(ready, total)| ready == total);
    pod["status"]["phase"] == "Succeeded" || (state.status == "Running" && ready)
}

/// `dedicated=gpu:NoSchedule since 5m`.
pub(super) fn taint(taint: &Value, now: Timestamp) -> String {
    let text = |key: &str| taint[key].as_str().unwrap_or_default();
    let value = if text("value").is_empty() { String::new() } else { format!("={}", text("value")) };
    let since = match age(&taint["timeAdded"], now) {
        age if age.is_empty() => age,
        age => format!(" since {age}"),
    };
    format!("{}{value}:{}{since}", text("key"), text("effect"))
}
