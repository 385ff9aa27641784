//! Volumes that pods wait for: missing objects, stuck attachments, absent CSI drivers.

use super::found;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Event, Pod};
use crate::analysis::text::{quote, seconds_between, some_of};
use crate::analysis::topology::{driver_entity, node_plugin};
use crate::domain::{Entity, Finding};
use std::collections::BTreeMap;

const NOT_REGISTERED: &str = "not found in the list of registered csi drivers";

/// A pod that waits, and the last event that says for what.
fn waiting<'a>(scene: &Scene<'a>) -> Vec<(&'a Pod, &'a Event)> {
    const FAILED: [&str; 3] = ["FailedMount", "FailedAttachVolume", "FailedMapVolume"];
    const DONE: [&str; 2] = ["Started", "SuccessfulMountVolume"];
    let mut found = Vec::new();
    for pod in &scene.snapshot.pods {
        // A container that ever ran has its volumes.
        let ran = pod.containers.iter().any(|c| c.running_since.is_some() || c.last_end().is_some());
        if pod.healthy() || ran {
            continue;
        }
        let events = || scene.snapshot.events_of(&pod.meta.entity);
        let failed = events().rfind(|e| FAILED.contains(&e.reason.as_str()));
        let done = events().rfind(|e| DONE.contains(&e.reason.as_str()));
        if let Some(event) = failed.filter(|f| done.is_none_or(|d| d.last < f.last)) {
            found.push((pod, event));
        }
    }
    found
}

/// A CSI driver that pods wait for.
#[derive(Debug)]
pub(super) struct Missing {
    pub driver: String,
    pub pods: Vec<String>,
    evidence: Vec<String>,
    onset: Option<jiff::Timestamp>,
    said: bool,
    unregistered_on: Vec<String>,
}

/// The drivers that pods wait for and that their nodes do not have.
pub(super) fn missing_drivers(scene: &Scene<'_>) -> Vec<Missing> {
    let mut all: BTreeMap<String, Missing> = BTreeMap::new();
    for (pod, event) in waiting(scene) {
        let lower = event.message.to_lowercase();
        let said = lower.contains(NOT_REGISTERED);
        let from_text = said.then(|| named_driver(&event.message)).flatten();
        let claims = pod.claims.iter().filter_map(|name| {
            let claim = Entity::new("PersistentVolumeClaim", pod.meta.namespace(), name);
            scene.snapshot.driver_of(scene.snapshot.claim(&claim)?).map(str::to_owned)
        });
        let drivers: Vec<String> = from_text.map_or_else(|| claims.collect(), |d| vec![d]);
        let csi_node = scene.snapshot.csi_nodes.iter().find(|n| Some(n.meta.name()) == pod.node.as_deref());
        for driver in drivers {
            let unregistered = csi_node.filter(|n| !n.drivers.contains(&driver));
            if !said && unregistered.is_none() {
                continue;
            }
            let missing = all.entry(driver.clone()).or_insert_with(|| Missing {
                driver,
                pods: Vec::new(),
                evidence: Vec::new(),
                onset: None,
                said: false,
                unregistered_on: Vec::new(),
            });
            missing.pods.push(pod.meta.name().to_owned());
            missing.evidence.push(event.evidence.clone());
            missing.onset = match (missing.onset, event.first) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            missing.said |= said;
            if let Some(node) = unregistered {
                missing.evidence.push(node.meta.evidence.clone());
                let name = node.meta.name().to_owned();
                if !missing.unregistered_on.contains(&name) {
                    missing.unregistered_on.push(name);
                }
            }
        }
    }
    all.into_values().collect()
}

/// `… driver name X not found in the list …`.
fn named_driver(message: &str) -> Option<String> {
    let at = message.find("driver name ")? + "driver name ".len();
    let name = message.get(at..)?.split_whitespace().next()?;
    Some(name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()).filter(|n| !n.is_empty() && n.len() <= 253)
}

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = missing_drivers(scene).iter().map(|m| csi_absent(scene, m)).collect();
    for (pod, event) in waiting(scene) {
        findings.push(mount(scene, pod, event));
    }
    findings.extend(missing_refs(scene));
    findings
}

fn csi_absent(scene: &Scene<'_>, missing: &Missing) -> Finding {
    let plugin = node_plugin(scene.snapshot, &missing.driver);
    let listed = scene.snapshot.listed("DaemonSet", "");
    let mut evidence = missing.evidence.clone();
    let mut specificity: f64 = if missing.said { 0.7 } else { 0.6 };
    if !missing.unregistered_on.is_empty() {
        specificity += 0.1;
    }
    let why = match plugin {
        Some(plugin) if plugin.replicas == 0 || plugin.ready == 0 => {
            evidence.push(plugin.meta.evidence.clone());
            specificity += 0.1;
            format!("; its node plugin {} has {} of {} pods ready", plugin.meta.entity, plugin.ready, plugin.replicas)
        }
        Some(plugin) => format!("; its node plugin {} has {} pods ready", plugin.meta.entity, plugin.ready),
        None => match listed {
            Some(list) => {
                evidence.push(list.to_owned());
                specificity += 0.1;
                "; no DaemonSet of its node plugin exists".to_owned()
            }
            None => String::new(),
        },
    };
    let nodes = match missing.unregistered_on.is_empty() {
        true => "the node".to_owned(),
        false => some_of(&missing.unregistered_on, 2),
    };
    Finding {
        onset: missing.onset,
        evidence,
        remedy: Some("Bring the driver's node plugin back; restarting the waiting pods does not help.".into()),
        ..found(
            &driver_entity(&missing.driver),
            "csi_absent",
            "platform",
            specificity,
            format!(
                "the CSI driver {} is not registered on {nodes}, so {} cannot mount{why}",
                missing.driver,
                some_of(&missing.pods, 3)
            ),
        )
    }
}

fn mount(scene: &Scene<'_>, pod: &Pod, event: &Event) -> Finding {
    let entity = &pod.meta.entity;
    let evidence = vec![event.evidence.clone(), pod.meta.evidence.clone()];
    let lower = event.message.to_lowercase();
    if lower.contains("multi-attach") {
        let mut evidence = evidence;
        let elsewhere = scene.snapshot.attachments.iter().find(|a| {
            a.attached && Some(a.node.as_str()) != pod.node.as_deref() && mounts_volume(scene, pod, &a.volume)
        });
        evidence.extend(elsewhere.map(|a| a.meta.evidence.clone()));
        let holder = elsewhere.map_or("elsewhere".to_owned(), |a| format!("to node {}", a.node));
        return Finding {
            onset: event.first,
            evidence,
            remedy: Some(
                "Confirm that the old node is really down before anything is detached; two writers destroy a volume."
                    .into(),
            ),
            ..found(
                entity,
                "multi_attach",
                "platform",
                if elsewhere.is_some() { 0.85 } else { 0.6 },
                format!("the volume of {} is still attached {holder}: {}", entity.name, quote(&event.message)),
            )
        };
    }
    if let Some(reference) = missing_ref(pod, &event.message) {
        return missing_object(scene, pod, &reference, &event.message, evidence, event.first);
    }
    Finding {
        symptom: true,
        onset: event.first,
        evidence,
        ..found(
            entity,
            "mount_failed",
            "dependency",
            0.3,
            format!("{} waits for a volume; {} times it was told {}", entity.name, event.count, quote(&event.message)),
        )
    }
}

fn mounts_volume(scene: &Scene<'_>, pod: &Pod, volume: &str) -> bool {
    let claims = pod.claims.iter().map(|c| Entity::new("PersistentVolumeClaim", pod.meta.namespace(), c));
    claims.filter_map(|c| scene.snapshot.claim(&c)?.volume.as_deref()).any(|v| v == volume)
}

/// `secret "x" not found`, `configmap "x" not found`, `couldn't find key k in ConfigMap ns/x`.
fn missing_ref(pod: &Pod, message: &str) -> Option<Entity> {
    let lower = message.to_lowercase();
    if !lower.contains("not found")
        && !lower.contains("couldn't find key")
        && !lower.contains("references non-existent")
    {
        return None;
    }
    pod.refs
        .iter()
        .filter(|r| lower.contains(&r.kind.to_lowercase()))
        .find(|r| {
            let name = r.name.to_lowercase();
            lower.contains(&format!("\"{name}\"")) || lower.contains(&format!("/{name}"))
        })
        .cloned()
}

fn missing_object(
    scene: &Scene<'_>,
    pod: &Pod,
    reference: &Entity,
    message: &str,
    mut evidence: Vec<String>,
    onset: Option<jiff::Timestamp>,
) -> Finding {
    // An object that is seen now speaks against it; the message may concern one key of it.
    let list = scene.snapshot.listed(&reference.kind, &reference.namespace);
    evidence.extend(list.map(str::to_owned));
    Finding {
        onset: onset.or(pod.started),
        evidence,
        remedy: Some(format!("Restore {} (or its key), or correct the reference to it.", reference.name)),
        ..found(
            reference,
            "missing_ref",
            "config",
            0.9,
            format!("{} needs {reference}, which is not there: {}", pod.meta.name(), quote(message)),
        )
    }
}

/// Containers that cannot be created because something they refer to is missing.
fn missing_refs(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in &scene.snapshot.pods {
        let waiting = pod.containers.iter().find(|c| c.waits_for("CreateContainerConfigError"));
        let Some((_, message)) = waiting.and_then(|c| c.waiting.as_ref()) else { continue };
        let Some(reference) = missing_ref(pod, message) else { continue };
        let event = scene
            .snapshot
            .events_of(&pod.meta.entity)
            .rfind(|e| e.reason == "Failed" && e.last.is_none_or(|at| seconds_between(at, scene.now) < 3600));
        let mut evidence = vec![pod.meta.evidence.clone()];
        evidence.extend(event.map(|e| e.evidence.clone()));
        findings.push(missing_object(scene, pod, &reference, message, evidence, event.and_then(|e| e.first)));
    }
    // Pods of one workload miss the same object.
    findings.sort_by(|a, b| a.entity.cmp(&b.entity));
    findings.dedup_by(|a, b| a.entity == b.entity);
    findings
}
