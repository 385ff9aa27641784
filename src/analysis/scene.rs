//! What the alerts are about, beside what was seen.

use super::lookup::{is_looked_up, lacks_namespace, owners_by_name, subjects};
use super::need::Case;
use super::snapshot::Snapshot;
use super::topology::Topology;
use crate::domain::{Entity, SreEvent};
use jiff::Timestamp;
use std::collections::HashMap;

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
    /// Namespaces that an alert is about without naming a thing in them.
    scopes: Vec<&'a str>,
    /// An alert names neither a thing nor a namespace.
    cluster_wide: bool,
}

/// From here on a thing has nothing to do with what the alerts name.
pub(super) const UNRELATED: u32 = 5;

impl<'a> Scene<'a> {
    pub(super) fn new(case: &Case<'a>, snapshot: &'a Snapshot, topology: &'a Topology) -> Self {
        let subjects = subjects(case.events, snapshot);
        let starts = || case.events.iter().map(|e| e.starts_at);
        let mut hops: HashMap<Entity, u32> = HashMap::new();
        let mut anchored = false;
        for subject in &subjects {
            hops.insert(subject.clone(), 0);
            // Of a pod that is gone its makers are still there.
            for known in owners_by_name(snapshot, subject).iter().chain([subject]) {
                for (entity, far) in topology.causes_of(known).into_iter().chain(topology.effects_of(known)) {
                    anchored = true;
                    hops.entry(entity.clone()).and_modify(|h| *h = far.min(*h)).or_insert(far);
                }
            }
        }
        let unnamed = || case.events.iter().filter(|e| subject_of(e).is_none());
        let scopes: Vec<&str> = unnamed().filter_map(namespace_of).collect();
        if !anchored && !scopes.is_empty() {
            for (entity, far) in topology.causes_of_all(|e| scopes.contains(&e.namespace.as_str())) {
                hops.entry(entity.clone()).and_modify(|h| *h = (far + 1).min(*h)).or_insert(far + 1);
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
            scopes,
            cluster_wide: unnamed().any(|e| namespace_of(e).is_none()),
        }
    }

    /// How far a thing is from what the alerts name.
    pub fn hops(&self, entity: &Entity) -> u32 {
        if let Some(hops) = self.hops.get(entity) {
            return *hops;
        }
        let namespace = entity.namespace.as_str();
        // An alert that names only a namespace is about all of it.
        if !self.anchored && self.scopes.contains(&namespace) {
            return 1;
        }
        if self.subjects.is_empty() && self.cluster_wide {
            return 2;
        }
        // Of what is never looked up, an autoscaler or a target without pod, the namespace is the
        // best guess. Of what was looked up and not seen nothing is guessed.
        let guessed = |s: &Entity| !is_looked_up(s) && !namespace.is_empty() && s.namespace == namespace;
        if !self.anchored && self.subjects.iter().any(guessed) {
            return 2;
        }
        match self.events.iter().filter_map(namespace_of).any(|n| n == namespace) {
            true => UNRELATED,
            false => UNRELATED + 1,
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

/// What one alert names, without namespace where the alert leaves it out. The labels of an
/// exporter's own pod and service are not the subject.
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
    let mut named = LABELS.iter().filter_map(|(name, kind)| {
        let value = label(name);
        let own = *name == "pod" && exporter(label("job")) && exporter(value);
        (!value.is_empty() && !own).then(|| Entity::new(*kind, if *kind == "Node" { "" } else { namespace }, value))
    });
    // What can be found without a search goes first.
    let named = named.clone().find(|e| !lacks_namespace(e)).or_else(|| named.next());
    let scraped = !label("instance").is_empty() && !label("job").is_empty() && !exporter(label("job"));
    let service = || {
        let value = label("service");
        (!value.is_empty() && namespace.is_empty() && !exporter(value)).then(|| Entity::new("Service", "", value))
    };
    named.or_else(|| scraped.then(|| target_entity(namespace, label("job"), label("instance")))).or_else(service)
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
