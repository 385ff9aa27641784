//! A typed view of what was seen. Tolerant: odd shapes are skipped, never an error.

mod objects;
mod signals;

pub(super) use objects::{
    Attachment, Claim, Container, CsiNode, Meta, Node, Pod, StorageClass, Taint, Termination, Volume, Workload,
};
pub(super) use signals::{ActiveAlert, Answer, Event, Log, Rule, Series, Target};

use super::json::{at, flag, items, text};
use super::need::{Need, Seen};
use crate::domain::Entity;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Most objects of one answer that are looked at.
const MAX_ITEMS: usize = 5000;

/// A question that got no answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub need: Need,
    pub error: String,
}

/// Everything that was seen, by kind. Of an object seen twice the later sight counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub pods: Vec<Pod>,
    pub workloads: Vec<Workload>,
    /// Jobs and CronJobs.
    pub jobs: Vec<Meta>,
    pub claims: Vec<Claim>,
    pub volumes: Vec<Volume>,
    pub classes: Vec<StorageClass>,
    pub csi_nodes: Vec<CsiNode>,
    pub csi_drivers: Vec<Meta>,
    pub attachments: Vec<Attachment>,
    pub nodes: Vec<Node>,
    /// Labels of namespaces.
    pub namespaces: Vec<Meta>,
    pub events: Vec<Event>,
    pub logs: Vec<Log>,
    pub series: Vec<Series>,
    pub targets: Vec<Target>,
    pub alerts: Vec<ActiveAlert>,
    /// The evidence that every active alert was seen.
    pub alerts_seen: Option<String>,
    /// Alerting rules.
    pub rules: Vec<Rule>,
    /// What was answered to queries, empty answers included.
    pub answers: Vec<Answer>,
    pub failures: Vec<Failure>,
    /// Complete, unfiltered lists: kind and namespace (empty: everywhere) to evidence id.
    lists: BTreeMap<(String, String), String>,
    /// Where in their lists things stand.
    index: Index,
    /// Evidence id to kind of evidence.
    pub kinds: BTreeMap<String, &'static str>,
}

/// Positions by entity, so that no analyzer searches.
#[derive(Debug, Clone, Default)]
struct Index {
    pods: HashMap<Entity, usize>,
    workloads: HashMap<Entity, usize>,
    claims: HashMap<Entity, usize>,
    events: HashMap<Entity, Vec<usize>>,
}

impl Snapshot {
    pub(super) fn of<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Self {
        let mut snapshot = Self::default();
        snapshot.add(seen);
        snapshot
    }

    /// Adds what was seen after everything that is in already. Each answer is read once, however
    /// many rounds look at it.
    pub(super) fn add<'a>(&mut self, seen: impl IntoIterator<Item = &'a Seen>) {
        let mut objects: BTreeMap<Entity, (&'a Value, &'a str)> = BTreeMap::new();
        for seen in seen {
            self.kinds.insert(seen.id.clone(), seen.need.evidence_kind());
            match &seen.outcome {
                Ok(data) => self.take(seen, data, &mut objects),
                Err(error) => {
                    self.failures.push(Failure { need: seen.need.clone(), error: error.clone() });
                }
            }
        }
        for (entity, (value, evidence)) in objects {
            self.place(entity, value, evidence);
        }
        self.settle();
        self.dedup_events();
        self.build_index();
    }

    /// Each list in the order of its entities, each thing once, the latest sight of it.
    fn settle(&mut self) {
        fn latest<T>(list: &mut Vec<T>, entity: impl Fn(&T) -> &Entity) {
            if list.is_sorted_by(|a, b| entity(a) < entity(b)) {
                return;
            }
            list.sort_by(|a, b| entity(a).cmp(entity(b)));
            list.dedup_by(|later, kept| {
                let same = entity(later) == entity(kept);
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        latest(&mut self.pods, |o| &o.meta.entity);
        latest(&mut self.workloads, |o| &o.meta.entity);
        latest(&mut self.jobs, |o| &o.entity);
        latest(&mut self.claims, |o| &o.meta.entity);
        latest(&mut self.volumes, |o| &o.meta.entity);
        latest(&mut self.classes, |o| &o.meta.entity);
        latest(&mut self.csi_nodes, |o| &o.meta.entity);
        latest(&mut self.csi_drivers, |o| &o.entity);
        latest(&mut self.attachments, |o| &o.meta.entity);
        latest(&mut self.nodes, |o| &o.meta.entity);
        latest(&mut self.namespaces, |o| &o.entity);
    }

    fn build_index(&mut self) {
        self.index.events.clear();
        let index = &mut self.index;
        index.pods = self.pods.iter().enumerate().map(|(i, p)| (p.meta.entity.clone(), i)).collect();
        index.workloads = self.workloads.iter().enumerate().map(|(i, w)| (w.meta.entity.clone(), i)).collect();
        index.claims = self.claims.iter().enumerate().map(|(i, c)| (c.meta.entity.clone(), i)).collect();
        for (i, event) in self.events.iter().enumerate() {
            index.events.entry(event.entity.clone()).or_default().push(i);
        }
    }

    fn take<'a>(&mut self, seen: &'a Seen, data: &'a Value, objects: &mut BTreeMap<Entity, (&'a Value, &'a str)>) {
        let id = seen.id.as_str();
        match &seen.need {
            Need::Object { kind, .. } => {
                // A description wraps the object and brings its events.
                let object = if at(data, "/object").is_object() { at(data, "/object") } else { data };
                self.events.extend(items(data, "/events").iter().filter_map(|e| Event::read(e, id)));
                remember(objects, kind, object, id);
            }
            Need::List { kind, namespace, selector } => {
                // An API server leaves `kind` out of list items.
                let listed = text(data, "/kind").strip_suffix("List").unwrap_or("");
                let kind = if listed.is_empty() { kind } else { listed };
                for item in items(data, "/items").iter().take(MAX_ITEMS) {
                    remember(objects, kind, item, id);
                }
                let complete = flag(data, "/complete") || at(data, "/complete").is_null();
                if complete && selector.is_none() && at(data, "/items").is_array() {
                    let namespace = namespace.clone().unwrap_or_default();
                    self.lists.insert((canonical(kind).to_owned(), namespace), id.to_owned());
                }
            }
            Need::Logs { namespace, pod, previous, .. } => {
                let pod = Entity::new("Pod", namespace, pod);
                self.logs.push(signals::log(pod, data, *previous, id));
            }
            Need::Events { .. } => {
                let events = items(data, "/items").iter().take(MAX_ITEMS);
                self.events.extend(events.filter_map(|e| Event::read(e, id)));
            }
            Need::Query { promql } => {
                self.answers.push(Answer::read(data, promql, seen));
                self.series.extend(Series::read_all(data, promql, 0, id));
            }
            Need::Range { promql, minutes } => self.series.extend(Series::read_all(data, promql, *minutes, id)),
            Need::Targets => {
                let targets = items(data, "/activeTargets").iter().take(MAX_ITEMS);
                self.targets.extend(targets.map(|t| Target::read(t, id)));
            }
            Need::Alerts => {
                let alerts = items(data, "/alerts").iter().take(MAX_ITEMS);
                self.alerts.extend(alerts.map(|a| ActiveAlert::read(a, id)));
                self.alerts_seen = at(data, "/alerts").is_array().then(|| id.to_owned());
            }
            Need::Rules => {
                let rules = items(data, "/groups").iter().flat_map(|group| items(group, "/rules"));
                self.rules.extend(rules.take(MAX_ITEMS).filter_map(|rule| Rule::read(rule, id)));
            }
            // Words of people: nothing that could be computed with.
            Need::Runbook { .. } => {}
        }
    }

    fn place(&mut self, entity: Entity, value: &Value, evidence: &str) {
        let kind = entity.kind.clone();
        let meta = Meta::read(entity, value, evidence);
        match kind.as_str() {
            "Pod" => self.pods.push(Pod::read(meta, value)),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => {
                self.workloads.push(Workload::read(meta, value));
            }
            "Job" | "CronJob" => self.jobs.push(meta),
            "PersistentVolumeClaim" => self.claims.push(Claim::read(meta, value)),
            "PersistentVolume" => self.volumes.push(Volume::read(meta, value)),
            "StorageClass" => self.classes.push(StorageClass::read(meta, value)),
            "CSINode" => self.csi_nodes.push(CsiNode::read(meta, value)),
            "CSIDriver" => self.csi_drivers.push(meta),
            "VolumeAttachment" => self.attachments.push(Attachment::read(meta, value)),
            "Node" => self.nodes.push(Node::read(meta, value)),
            "Namespace" => self.namespaces.push(meta),
            _ => {}
        }
    }

    /// The same event may be seen in a namespace's list and in a description.
    fn dedup_events(&mut self) {
        self.events.sort_by(|a, b| {
            (a.last, &a.entity, &a.reason, &a.message).cmp(&(b.last, &b.entity, &b.reason, &b.message))
        });
        self.events.dedup_by(|a, b| {
            a.entity == b.entity && a.reason == b.reason && a.message == b.message && a.last == b.last
        });
        self.events.truncate(MAX_ITEMS);
    }

    /// The evidence that every object of `kind` in `namespace` was seen.
    pub fn listed(&self, kind: &str, namespace: &str) -> Option<&str> {
        let here = self.lists.get(&(kind.to_owned(), namespace.to_owned()));
        here.or_else(|| self.lists.get(&(kind.to_owned(), String::new()))).map(String::as_str)
    }

    pub fn pod(&self, entity: &Entity) -> Option<&Pod> {
        self.index.pods.get(entity).and_then(|i| self.pods.get(*i))
    }

    pub fn workload(&self, entity: &Entity) -> Option<&Workload> {
        self.index.workloads.get(entity).and_then(|i| self.workloads.get(*i))
    }

    pub fn claim(&self, entity: &Entity) -> Option<&Claim> {
        self.index.claims.get(entity).and_then(|i| self.claims.get(*i))
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.meta.name() == name)
    }

    pub fn class(&self, name: &str) -> Option<&StorageClass> {
        self.classes.iter().find(|c| c.meta.name() == name)
    }

    /// The pods that mount a claim.
    pub fn users_of<'a>(&'a self, claim: &'a Entity) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(|p| p.meta.entity.namespace == claim.namespace && p.claims.contains(&claim.name))
    }

    /// Events about a thing, oldest first.
    pub fn events_of<'a>(&'a self, entity: &'a Entity) -> impl DoubleEndedIterator<Item = &'a Event> {
        self.index.events.get(entity).into_iter().flatten().filter_map(|i| self.events.get(*i))
    }

    /// The CSI driver behind a claim: from its volume, else its class, else its annotation.
    pub fn driver_of<'a>(&'a self, claim: &'a Claim) -> Option<&'a str> {
        let volume = self
            .volumes
            .iter()
            .find(|v| Some(v.meta.name()) == claim.volume.as_deref() || v.claim.as_ref() == Some(&claim.meta.entity));
        volume
            .and_then(|v| v.driver.as_deref())
            .or_else(|| claim.class.as_deref().and_then(|c| self.class(c)).map(|c| c.provisioner.as_str()))
            .or(claim.provisioner.as_deref())
    }

    /// The workload that owns a pod in the end: ReplicaSets are looked through.
    pub fn controller_of(&self, pod: &Pod) -> Option<Entity> {
        let owner = pod.meta.owners.first()?;
        if owner.kind != "ReplicaSet" {
            return Some(owner.clone());
        }
        let above = self.workload(owner).and_then(|rs| rs.meta.owners.first().cloned());
        Some(above.unwrap_or_else(|| owner.clone()))
    }

    /// The pods of a workload, ReplicaSets looked through.
    pub fn pods_of<'a>(&'a self, workload: &'a Entity) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |p| {
            p.meta.owners.iter().any(|o| o == workload) || self.controller_of(p).as_ref() == Some(workload)
        })
    }
}

fn remember<'a>(
    objects: &mut BTreeMap<Entity, (&'a Value, &'a str)>,
    kind: &str,
    object: &'a Value,
    evidence: &'a str,
) {
    let own = text(object, "/kind");
    let kind = canonical(if own.is_empty() { kind } else { own });
    let name = text(object, "/metadata/name");
    if !name.is_empty() {
        let entity = Entity::new(kind, text(object, "/metadata/namespace"), name);
        objects.insert(entity, (object, evidence));
    }
}

/// The kind as the API writes it, for what `kubectl` would understand.
pub(super) fn canonical(kind: &str) -> &str {
    const KINDS: &[(&str, &[&str])] = &[
        ("Pod", &["pod", "pods", "po"]),
        ("Deployment", &["deployment", "deployments", "deploy"]),
        ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
        ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
        ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
        ("PersistentVolumeClaim", &["persistentvolumeclaim", "persistentvolumeclaims", "pvc"]),
        ("PersistentVolume", &["persistentvolume", "persistentvolumes", "pv"]),
        ("StorageClass", &["storageclass", "storageclasses", "sc"]),
        ("CSINode", &["csinode", "csinodes"]),
        ("CSIDriver", &["csidriver", "csidrivers"]),
        ("VolumeAttachment", &["volumeattachment", "volumeattachments"]),
        ("Node", &["node", "nodes", "no"]),
        ("Namespace", &["namespace", "namespaces", "ns"]),
    ];
    let lower = kind.to_ascii_lowercase();
    KINDS.iter().find(|(_, words)| words.contains(&lower.as_str())).map_or(kind, |(kind, _)| kind)
}
