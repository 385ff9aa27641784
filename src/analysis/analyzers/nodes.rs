//! Nodes that are not ready or under pressure.

use super::found;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::Event;
use crate::analysis::text::quote;
use crate::domain::Finding;

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in &scene.snapshot.nodes {
        let entity = &node.meta.entity;
        let pods = scene.snapshot.pods.iter().filter(|p| p.node.as_deref() == Some(node.meta.name())).count();
        let events: Vec<_> = scene.snapshot.events_of(entity).collect();
        for condition in node.complaints() {
            let (code, category, says, remedy) = match condition.kind.as_str() {
                "Ready" => (
                    "node_not_ready",
                    "platform",
                    "is not ready",
                    "Look at the kubelet and the machine; drain it if it stays away.",
                ),
                "DiskPressure" => (
                    "disk_pressure",
                    "capacity",
                    "is short of disk",
                    "Find what fills the node's disk: images, logs, emptyDir volumes.",
                ),
                "MemoryPressure" => {
                    ("memory_pressure", "capacity", "is short of memory", "Find pods far above their memory requests.")
                }
                "PIDPressure" => {
                    ("pid_pressure", "capacity", "is short of process ids", "Find the pod that forks without end.")
                }
                _ => continue,
            };
            let taint = node.taints.iter().find(|t| t.key.starts_with("node.kubernetes.io/")).and_then(|t| t.added);
            let mut evidence = vec![node.meta.evidence.clone()];
            let related = |e: &&&Event| {
                e.reason.contains("NotReady") || e.reason.contains("Pressure") || e.reason.starts_with("Evict")
            };
            evidence.extend(events.iter().filter(related).take(2).map(|e| e.evidence.clone()));
            findings.push(Finding {
                onset: condition.since.or(taint),
                evidence,
                remedy: Some(remedy.to_owned()),
                ..found(
                    entity,
                    code,
                    category,
                    0.85,
                    format!(
                        "node {} {says} ({}: {}); {pods} of the pods seen run on it",
                        entity.name,
                        condition.reason,
                        quote(&condition.message)
                    ),
                )
            });
        }
    }
    findings
}
