//! What the alerts are about, beside what was seen.

use super::need::Case;
use super::snapshot::Snapshot;
use super::topology::Topology;
use crate::domain::{Entity, SreEvent};
use jiff::Timestamp;
use std::collections::HashMap;

/// Most alerts that are resolved to subjects.
const MAX_EVENTS: usize = 20;

/// What an analyzer may look at.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub events: &'a [SreEvent],
    pub snapshot: &'a Snapshot,
    pub topology: &'a Topology,
    /// What the alerts name, the opening one's first.
    pub subjects: Vec<Entity>,
    /// Start of the earliest alert.
    pub started_at: Timestamp,
    /// Start of the latest alert.
    pub last_start: Timestamp,
    pub now: Timestamp,
    hops: HashMap<Entity, u32>,
    /// Something that an alert names was seen in its surroundings.
    anchored: bool,
}

/// From here on a thing has nothing to do with what the alerts name.
pub(super) const UNRELATED: u32 = 5;

impl<'a> Scene<'a> {
    pub(super) fn new(case: &Case<'a>, snapshot: &'a Snapshot, topology: &'a Topology) -> Self {
        let subjects = subjects(case.events);
        let starts = || case.events.iter().map(|e| e.starts_at);
        let mut hops: HashMap<Entity, u32> = HashMap::new();
        let mut anchored = false;
        for subject in &subjects {
            hops.insert(subject.clone(), 0);
            for (entity, far) in topology.causes_of(subject).into_iter().chain(topology.effects_of(subject)) {
                anchored = true;
                hops.entry(entity.clone()).and_modify(|h| *h = far.min(*h)).or_insert(far);
            }
        }
        Self {
            events: case.events,
            snapshot,
            topology,
            subjects,
            started_at: starts().min().unwrap_or(case.now),
            last_start: starts().max().unwrap_or(case.now),
            now: case.now,
            hops,
            anchored,
        }
    }

    /// How far a thing is from what the alerts name.
    pub fn hops(&self, entity: &Entity) -> u32 {
        if let Some(hops) = self.hops.get(entity) {
            return *hops;
        }
        let namespaces: Vec<&str> = self.events.iter().filter_map(namespace_of).collect();
        let here = namespaces.contains(&entity.namespace.as_str());
        match (self.subjects.is_empty(), self.anchored, here) {
            // An alert that names only a namespace is about all of it.
            (true, _, true) => 1,
            (true, _, false) => 2,
            // What it names was not seen: its namespace is the best guess.
            (false, false, true) => 2,
            (false, true, true) => UNRELATED,
            (false, _, false) => UNRELATED + 1,
        }
    }

    /// An alert names it, or its owner, or its pods.
    pub fn is_subject(&self, entity: &Entity) -> bool {
        self.hops(entity) == 0
    }
}

/// The namespace that an alert is about.
pub(super) fn namespace_of(event: &SreEvent) -> Option<&str> {
    let label = event.labels.get("exported_namespace").or_else(|| event.labels.get("namespace"));
    label.map(String::as_str).or(event.resource.namespace.as_deref()).filter(|n| !n.is_empty())
}

/// What the alerts name, without repeats.
pub(super) fn subjects(events: &[SreEvent]) -> Vec<Entity> {
    let mut found: Vec<Entity> = Vec::new();
    for subject in events.iter().take(MAX_EVENTS).filter_map(subject_of) {
        if !found.contains(&subject) {
            found.push(subject);
        }
    }
    found
}

/// What one alert names. The labels of an exporter's own pod and service are not the subject.
pub(super) fn subject_of(event: &SreEvent) -> Option<Entity> {
    const LABELS: [(&str, &str); 9] = [
        ("persistentvolumeclaim", "PersistentVolumeClaim"),
        ("deployment", "Deployment"),
        ("statefulset", "StatefulSet"),
        ("daemonset", "DaemonSet"),
        ("job_name", "Job"),
        ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
        ("exported_pod", "Pod"),
        ("pod", "Pod"),
        ("node", "Node"),
    ];
    let label = |name: &str| event.labels.get(name).map_or("", String::as_str);
    let namespace = namespace_of(event).unwrap_or("");
    if is_target_alert(event) && !label("instance").is_empty() {
        return Some(target_entity(namespace, label("job"), label("instance")));
    }
    let exporter = |value: &str| value.contains("kube-state-metrics") || value.contains("node-exporter");
    let named = LABELS.iter().find_map(|(name, kind)| {
        let value = label(name);
        let own = *name == "pod" && exporter(label("job")) && exporter(value);
        let namespaced = *kind != "Node";
        (!(value.is_empty() || own || namespaced && namespace.is_empty()))
            .then(|| Entity::new(*kind, if namespaced { namespace } else { "" }, value))
    });
    let scraped = !label("instance").is_empty() && !label("job").is_empty() && !exporter(label("job"));
    named.or_else(|| scraped.then(|| target_entity(namespace, label("job"), label("instance"))))
}

fn target_entity(namespace: &str, job: &str, instance: &str) -> Entity {
    Entity::new("Target", namespace, format!("{job}/{instance}"))
}

/// The alert says that something cannot be scraped.
pub(super) fn is_target_alert(event: &SreEvent) -> bool {
    let name = event.name.to_ascii_lowercase();
    name.contains("target") || name.contains("scrape") || name == "instancedown"
}

/// The alert is about the state of objects or volumes that we look at, so that seeing them well
/// means that the alert is wrong. An alert on latency or errors is not.
pub(super) fn is_about_state(event: &SreEvent) -> bool {
    const WORDS: [&str; 18] = [
        "crash",
        "notready",
        "not_ready",
        "replicas",
        "waiting",
        "unavailable",
        "oom",
        "restart",
        "pending",
        "pvc",
        "volume",
        "target",
        "scrape",
        "instancedown",
        "imagepull",
        "unschedulable",
        "poddown",
        "nodepressure",
    ];
    let name = event.name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}
