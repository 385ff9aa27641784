//! Kubernetes objects, as far as the analyzers look at them.

use crate::analysis::json::{at, flag, int, items, map, quantity, some, text, time};
use crate::domain::Entity;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Who wrote to an object, from `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::analysis) struct Edit {
    pub manager: String,
    pub at: Timestamp,
    pub subresource: String,
}

/// What every object has.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Meta {
    pub entity: Entity,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Who controls it stands first.
    pub owners: Vec<Entity>,
    pub created: Option<Timestamp>,
    pub edits: Vec<Edit>,
    pub evidence: String,
}

impl Meta {
    pub(super) fn read(entity: Entity, value: &Value, evidence: &str) -> Self {
        let namespace = entity.namespace.as_str();
        let mut owners: Vec<&Value> = items(value, "/metadata/ownerReferences").iter().take(8).collect();
        owners.sort_by_key(|owner| !flag(owner, "/controller"));
        let edits = items(value, "/metadata/managedFields").iter().take(32);
        Self {
            labels: map(value, "/metadata/labels"),
            annotations: map(value, "/metadata/annotations"),
            owners: owners
                .into_iter()
                .filter_map(|o| Some(Entity::new(some(o, "/kind")?, namespace, some(o, "/name")?)))
                .collect(),
            created: time(value, "/metadata/creationTimestamp"),
            edits: edits
                .filter_map(|e| {
                    Some(Edit {
                        manager: some(e, "/manager")?,
                        at: time(e, "/time")?,
                        subresource: text(e, "/subresource").to_owned(),
                    })
                })
                .collect(),
            evidence: evidence.to_owned(),
            entity,
        }
    }

    /// The last edit of the specification that was not the control plane's own bookkeeping.
    pub fn last_edit(&self) -> Option<&Edit> {
        const CONTROL_PLANE: [&str; 3] = ["kube-controller-manager", "kube-scheduler", "kubelet"];
        self.edits
            .iter()
            .filter(|e| e.subresource != "status" && !CONTROL_PLANE.contains(&e.manager.as_str()))
            .max_by_key(|e| (e.at, e.subresource == "scale"))
    }

    pub fn name(&self) -> &str {
        &self.entity.name
    }

    pub fn namespace(&self) -> &str {
        &self.entity.namespace
    }
}

/// One line of `status.conditions`.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Condition {
    pub kind: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: Option<Timestamp>,
}

fn conditions(value: &Value) -> Vec<Condition> {
    let conditions = items(value, "/status/conditions").iter().take(32);
    conditions
        .map(|c| Condition {
            kind: text(c, "/type").to_owned(),
            status: text(c, "/status").to_owned(),
            reason: text(c, "/reason").to_owned(),
            message: text(c, "/message").to_owned(),
            since: time(c, "/lastTransitionTime"),
        })
        .collect()
}

/// How a container ended.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Termination {
    pub exit_code: i64,
    pub reason: String,
    pub message: String,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
}

impl Termination {
    fn read(value: &Value) -> Option<Self> {
        value.as_object()?;
        Some(Self {
            exit_code: int(value, "/exitCode").unwrap_or(0),
            reason: text(value, "/reason").to_owned(),
            message: text(value, "/message").to_owned(),
            started: time(value, "/startedAt"),
            finished: time(value, "/finishedAt"),
        })
    }
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct Container {
    pub name: String,
    pub image: String,
    pub ready: bool,
    pub restarts: i64,
    /// Reason and message of a waiting container.
    pub waiting: Option<(String, String)>,
    pub running_since: Option<Timestamp>,
    pub terminated: Option<Termination>,
    pub last: Option<Termination>,
    pub memory_limit: Option<f64>,
}

impl Container {
    fn read(status: &Value, specs: &[Value]) -> Self {
        let name = text(status, "/name");
        let spec = specs.iter().find(|s| text(s, "/name") == name).unwrap_or(&Value::Null);
        let waiting = at(status, "/state/waiting");
        Self {
            name: name.to_owned(),
            image: some(spec, "/image").unwrap_or_else(|| text(status, "/image").to_owned()),
            ready: flag(status, "/ready"),
            restarts: int(status, "/restartCount").unwrap_or(0),
            waiting: waiting
                .is_object()
                .then(|| (text(waiting, "/reason").to_owned(), text(waiting, "/message").to_owned())),
            running_since: time(status, "/state/running/startedAt"),
            terminated: Termination::read(at(status, "/state/terminated")),
            last: Termination::read(at(status, "/lastState/terminated")),
            memory_limit: quantity(spec, "/resources/limits/memory"),
        }
    }

    /// The most recent end of a run.
    pub fn last_end(&self) -> Option<&Termination> {
        self.terminated.as_ref().or(self.last.as_ref())
    }

    pub fn waits_for(&self, reason: &str) -> bool {
        self.waiting.as_ref().is_some_and(|(r, _)| r == reason)
    }
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct Toleration {
    pub key: String,
    pub exists: bool,
    pub value: String,
    pub effect: String,
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct Pod {
    pub meta: Meta,
    pub phase: String,
    pub node: Option<String>,
    pub conditions: Vec<Condition>,
    pub containers: Vec<Container>,
    /// Names of the claims that it mounts.
    pub claims: Vec<String>,
    /// Secrets and ConfigMaps that it needs; optional ones left out.
    pub refs: Vec<Entity>,
    pub node_selector: BTreeMap<String, String>,
    pub required_node_affinity: bool,
    pub tolerations: Vec<Toleration>,
    pub pull_secrets: bool,
    pub cpu_request: f64,
    pub memory_request: f64,
    pub ip: Option<String>,
    pub started: Option<Timestamp>,
}

impl Pod {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        let specs = items(v, "/spec/containers");
        let init_specs = items(v, "/spec/initContainers");
        let statuses = items(v, "/status/containerStatuses").iter().take(32).map(|s| Container::read(s, specs));
        let init = items(v, "/status/initContainerStatuses").iter().take(32).map(|s| Container::read(s, init_specs));
        let containers: Vec<Container> = init
            // A finished init container is history.
            .filter(|c| c.terminated.as_ref().is_none_or(|t| t.exit_code != 0))
            .chain(statuses)
            .collect();
        let volumes = items(v, "/spec/volumes");
        let namespace = meta.entity.namespace.clone();
        let sum = |pointer: &str| specs.iter().filter_map(|c| quantity(c, pointer)).sum();
        let tolerations = items(v, "/spec/tolerations").iter().take(64);
        Self {
            phase: text(v, "/status/phase").to_owned(),
            node: some(v, "/spec/nodeName"),
            conditions: conditions(v),
            containers,
            claims: volumes.iter().filter_map(|v| some(v, "/persistentVolumeClaim/claimName")).take(32).collect(),
            refs: refs(&namespace, volumes, specs.iter().chain(init_specs)),
            node_selector: map(v, "/spec/nodeSelector"),
            required_node_affinity: at(v, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution")
                .is_object(),
            tolerations: tolerations
                .map(|t| Toleration {
                    key: text(t, "/key").to_owned(),
                    exists: text(t, "/operator") == "Exists",
                    value: text(t, "/value").to_owned(),
                    effect: text(t, "/effect").to_owned(),
                })
                .collect(),
            pull_secrets: !items(v, "/spec/imagePullSecrets").is_empty(),
            cpu_request: sum("/resources/requests/cpu"),
            memory_request: sum("/resources/requests/memory"),
            ip: some(v, "/status/podIP"),
            started: time(v, "/status/startTime").or(meta.created),
            meta,
        }
    }

    /// It does what it should: finished, or running with every container ready.
    pub fn healthy(&self) -> bool {
        match self.phase.as_str() {
            "Succeeded" => true,
            "Running" => !self.containers.is_empty() && self.containers.iter().all(|c| c.ready),
            _ => false,
        }
    }

    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }
}

fn refs<'a>(namespace: &str, volumes: &[Value], containers: impl Iterator<Item = &'a Value>) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut add = |kind: &str, source: &Value, name: &str| {
        if !flag(source, "/optional")
            && let Some(name) = some(source, name)
        {
            found.push(Entity::new(kind, namespace, name));
        }
    };
    for volume in volumes {
        add("Secret", at(volume, "/secret"), "/secretName");
        add("ConfigMap", at(volume, "/configMap"), "/name");
    }
    for container in containers {
        for source in items(container, "/envFrom") {
            add("Secret", at(source, "/secretRef"), "/name");
            add("ConfigMap", at(source, "/configMapRef"), "/name");
        }
        for env in items(container, "/env") {
            add("Secret", at(env, "/valueFrom/secretKeyRef"), "/name");
            add("ConfigMap", at(env, "/valueFrom/configMapKeyRef"), "/name");
        }
    }
    found.sort();
    found.dedup();
    found.truncate(64);
    found
}

/// Deployment, StatefulSet, DaemonSet or ReplicaSet.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Workload {
    pub meta: Meta,
    /// What is wanted; for a DaemonSet the number of nodes that it fits.
    pub replicas: i64,
    pub ready: i64,
    /// `deployment.kubernetes.io/revision`.
    pub revision: Option<i64>,
    /// The pod template's containers, for comparison of revisions.
    pub template: Vec<Value>,
    /// The names of a StatefulSet's templates of claims.
    pub claim_templates: Vec<String>,
}

impl Workload {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        let daemon = meta.entity.kind == "DaemonSet";
        let templates = items(v, "/spec/volumeClaimTemplates").iter().take(32);
        let (replicas, ready) = match daemon {
            true => (int(v, "/status/desiredNumberScheduled").unwrap_or(0), int(v, "/status/numberReady")),
            // An absent `spec.replicas` means one.
            false => (int(v, "/spec/replicas").unwrap_or(1), int(v, "/status/readyReplicas")),
        };
        Self {
            replicas,
            ready: ready.unwrap_or(0),
            revision: meta.annotations.get("deployment.kubernetes.io/revision").and_then(|r| r.parse().ok()),
            template: items(v, "/spec/template/spec/containers").iter().take(32).cloned().collect(),
            claim_templates: templates.filter_map(|t| some(t, "/metadata/name")).collect(),
            meta,
        }
    }
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Claim {
    pub meta: Meta,
    pub phase: String,
    pub class: Option<String>,
    pub volume: Option<String>,
    pub provisioner: Option<String>,
    pub capacity: Option<f64>,
    /// What it asks for, as it is written.
    pub request: Option<String>,
}

impl Claim {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        const KEYS: [&str; 2] =
            ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
        Self {
            phase: text(v, "/status/phase").to_owned(),
            class: some(v, "/spec/storageClassName"),
            volume: some(v, "/spec/volumeName"),
            provisioner: KEYS.iter().find_map(|key| meta.annotations.get(*key).cloned()),
            capacity: quantity(v, "/status/capacity/storage")
                .or_else(|| quantity(v, "/spec/resources/requests/storage")),
            request: some(v, "/spec/resources/requests/storage"),
            meta,
        }
    }
}

/// A PersistentVolume.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Volume {
    pub meta: Meta,
    pub driver: Option<String>,
    pub claim: Option<Entity>,
}

impl Volume {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        let claim = some(v, "/spec/claimRef/name");
        Self {
            driver: some(v, "/spec/csi/driver"),
            claim: claim.map(|name| Entity::new("PersistentVolumeClaim", text(v, "/spec/claimRef/namespace"), name)),
            meta,
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct StorageClass {
    pub meta: Meta,
    pub provisioner: String,
    pub expandable: bool,
    /// Namespaces that its parameters name: where the driver lives.
    pub namespaces: Vec<String>,
}

impl StorageClass {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        let parameters = map(v, "/parameters").into_iter();
        let mut namespaces: Vec<String> = parameters
            .filter(|(key, _)| key.ends_with("secret-namespace") || key == "clusterID")
            .map(|(_, value)| value)
            .collect();
        namespaces.sort();
        namespaces.dedup();
        Self {
            provisioner: text(v, "/provisioner").to_owned(),
            expandable: flag(v, "/allowVolumeExpansion"),
            namespaces,
            meta,
        }
    }
}

/// What the kubelet of a node has registered.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct CsiNode {
    pub meta: Meta,
    pub drivers: Vec<String>,
}

impl CsiNode {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        Self { drivers: items(v, "/spec/drivers").iter().filter_map(|d| some(d, "/name")).collect(), meta }
    }
}

/// A VolumeAttachment.
#[derive(Debug, Clone)]
pub(in crate::analysis) struct Attachment {
    pub meta: Meta,
    pub node: String,
    pub volume: String,
    pub attached: bool,
}

impl Attachment {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        Self {
            node: text(v, "/spec/nodeName").to_owned(),
            volume: text(v, "/spec/source/persistentVolumeName").to_owned(),
            attached: flag(v, "/status/attached"),
            meta,
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
    pub added: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(in crate::analysis) struct Node {
    pub meta: Meta,
    pub conditions: Vec<Condition>,
    pub taints: Vec<Taint>,
    pub cordoned: bool,
    pub cpu: f64,
    pub memory: f64,
    pub pods: f64,
}

impl Node {
    pub(super) fn read(meta: Meta, v: &Value) -> Self {
        let taints = items(v, "/spec/taints").iter().take(64);
        Self {
            conditions: conditions(v),
            taints: taints
                .map(|t| Taint {
                    key: text(t, "/key").to_owned(),
                    value: text(t, "/value").to_owned(),
                    effect: text(t, "/effect").to_owned(),
                    added: time(t, "/timeAdded"),
                })
                .collect(),
            cordoned: flag(v, "/spec/unschedulable"),
            cpu: quantity(v, "/status/allocatable/cpu").unwrap_or(f64::INFINITY),
            memory: quantity(v, "/status/allocatable/memory").unwrap_or(f64::INFINITY),
            pods: quantity(v, "/status/allocatable/pods").unwrap_or(f64::INFINITY),
            meta,
        }
    }

    /// The conditions that speak against it.
    pub fn complaints(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|c| match c.kind.as_str() {
            "Ready" => c.status != "True",
            kind if kind.ends_with("Pressure") => c.status == "True",
            _ => false,
        })
    }
}
