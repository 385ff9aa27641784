//! Who can affect whom. Edges point from cause to effect; ownership costs no hop, since a workload
//! and its pods are one thing to the people who run it.

use super::snapshot::{Snapshot, Workload};
use crate::domain::Entity;
use std::collections::{HashMap, VecDeque};

/// Farther than this counts as unrelated.
const FAR: u32 = 6;

/// An index of all things seen and the edges between them.
#[derive(Debug, Clone, Default)]
pub(super) struct Topology {
    index: HashMap<Entity, usize>,
    out: Vec<Vec<(usize, u32)>>,
    into: Vec<Vec<(usize, u32)>>,
}

impl Topology {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut topology = Self::default();
        topology.ownership(snapshot);
        topology.pods(snapshot);
        topology.storage(snapshot);
        for target in &snapshot.targets {
            let entity = target.entity();
            let pod = Entity::new("Pod", target.label("namespace"), target.label("pod"));
            let address = target.label("instance").rsplit_once(':').map_or("", |(host, _)| host);
            let by_ip = snapshot.pods.iter().find(|p| p.ip.as_deref().is_some_and(|ip| ip == address));
            let known = snapshot.pod(&pod).or(by_ip);
            if let Some(pod) = known {
                topology.link(&pod.meta.entity, &entity, 1);
            }
            // Without a pod, a workload of the job's name is the best guess.
            for workload in snapshot.workloads.iter().filter(|w| {
                known.is_none()
                    && w.meta.entity.kind != "ReplicaSet"
                    && w.meta.namespace() == target.label("namespace")
                    && [target.label("job"), target.label("service")].contains(&w.meta.name())
            }) {
                topology.link(&workload.meta.entity, &entity, 1);
            }
            if !target.label("node").is_empty() {
                topology.link(&Entity::new("Node", "", target.label("node")), &entity, 1);
            }
        }
        topology
    }

    fn ownership(&mut self, snapshot: &Snapshot) {
        let metas = snapshot.workloads.iter().map(|w| &w.meta).chain(snapshot.pods.iter().map(|p| &p.meta));
        for meta in metas {
            self.node(&meta.entity);
            for owner in &meta.owners {
                self.link(owner, &meta.entity, 0);
            }
        }
    }

    fn pods(&mut self, snapshot: &Snapshot) {
        for pod in &snapshot.pods {
            let entity = &pod.meta.entity;
            if let Some(node) = &pod.node {
                self.link(&Entity::new("Node", "", node), entity, 1);
            }
            for thing in &pod.refs {
                // What a pod refers to is part of it.
                self.link(thing, entity, 0);
            }
            for claim in &pod.claims {
                // A volume can stop its pod, and a pod can fill its volume.
                let claim = Entity::new("PersistentVolumeClaim", &entity.namespace, claim);
                self.link(&claim, entity, 1);
                self.link(entity, &claim, 1);
            }
        }
    }

    fn storage(&mut self, snapshot: &Snapshot) {
        for volume in &snapshot.volumes {
            if let Some(claim) = &volume.claim {
                self.link(&volume.meta.entity, claim, 1);
            }
        }
        for claim in &snapshot.claims {
            if let Some(class) = &claim.class {
                self.link(&Entity::new("StorageClass", "", class), &claim.meta.entity, 1);
            }
            if let Some(driver) = snapshot.driver_of(claim) {
                self.link(&driver_entity(driver), &claim.meta.entity, 1);
            }
        }
        for driver in drivers(snapshot) {
            let entity = driver_entity(&driver);
            let plugin = node_plugin(snapshot, &driver);
            if let Some(plugin) = plugin {
                self.link(&plugin.meta.entity, &entity, 1);
            }
            if let Some(operator) = operator(snapshot, &driver) {
                self.link(&operator.meta.entity, plugin.map_or(&entity, |p| &p.meta.entity), 1);
                self.link(&operator.meta.entity, &entity, 1);
            }
        }
    }

    fn node(&mut self, entity: &Entity) -> usize {
        if let Some(at) = self.index.get(entity) {
            return *at;
        }
        self.out.push(Vec::new());
        self.into.push(Vec::new());
        let at = self.out.len() - 1;
        self.index.insert(entity.clone(), at);
        at
    }

    fn link(&mut self, cause: &Entity, effect: &Entity, hops: u32) {
        let (cause, effect) = (self.node(cause), self.node(effect));
        if cause != effect {
            self.out[cause].push((effect, hops));
            self.into[effect].push((cause, hops));
        }
    }

    /// Hops to everything that `from` can affect.
    pub fn effects_of(&self, from: &Entity) -> HashMap<&Entity, u32> {
        self.walk(self.index.get(from).copied(), &self.out)
    }

    /// Hops to everything that can affect `to`.
    pub fn causes_of(&self, to: &Entity) -> HashMap<&Entity, u32> {
        self.walk(self.index.get(to).copied(), &self.into)
    }

    /// Hops to everything that can affect one of what `chosen` picks, itself included.
    pub fn causes_of_all(&self, chosen: impl Fn(&Entity) -> bool) -> HashMap<&Entity, u32> {
        self.walk(self.index.iter().filter(|(entity, _)| chosen(entity)).map(|(_, at)| *at), &self.into)
    }

    fn walk(&self, from: impl IntoIterator<Item = usize>, edges: &[Vec<(usize, u32)>]) -> HashMap<&Entity, u32> {
        let mut queue: VecDeque<usize> = from.into_iter().collect();
        if queue.is_empty() {
            return HashMap::new();
        }
        let mut hops = vec![u32::MAX; edges.len()];
        for start in &queue {
            hops[*start] = 0;
        }
        while let Some(here) = queue.pop_front() {
            for &(next, cost) in &edges[here] {
                let total = hops[here].saturating_add(cost);
                if total < hops[next] && total <= FAR {
                    hops[next] = total;
                    match cost {
                        0 => queue.push_front(next),
                        _ => queue.push_back(next),
                    }
                }
            }
        }
        self.index.iter().filter(|(_, at)| hops[**at] != u32::MAX).map(|(entity, at)| (entity, hops[*at])).collect()
    }
}

/// A CSI driver as a thing.
pub(super) fn driver_entity(driver: &str) -> Entity {
    Entity::new("CSIDriver", "", driver)
}

/// Every CSI driver that something names.
pub(super) fn drivers(snapshot: &Snapshot) -> Vec<String> {
    let of_claims = snapshot.claims.iter().filter_map(|c| snapshot.driver_of(c)).map(str::to_owned);
    let of_volumes = snapshot.volumes.iter().filter_map(|v| v.driver.clone());
    let known = snapshot.csi_drivers.iter().map(|d| d.name().to_owned());
    let registered = snapshot.csi_nodes.iter().flat_map(|n| n.drivers.iter().cloned());
    let mut all: Vec<String> = of_claims.chain(of_volumes).chain(known).chain(registered).collect();
    all.sort();
    all.dedup();
    all.truncate(64);
    all
}

/// The DaemonSet that registers `driver` with the kubelets.
pub(super) fn node_plugin<'a>(snapshot: &'a Snapshot, driver: &str) -> Option<&'a Workload> {
    let candidates = snapshot.workloads.iter().filter(|w| w.meta.entity.kind == "DaemonSet");
    let names = Names::of(snapshot, driver);
    best(candidates.map(|w| {
        // The registrar's socket path names the driver exactly.
        let exact = w.template.iter().any(|c| c.to_string().contains(driver));
        let looks_like_csi = exact || w.meta.name().contains("csi");
        let score = names.affinity(w);
        (w, if exact { score + 10.0 } else { score }, looks_like_csi)
    }))
}

/// The Deployment that installs `driver`'s node plugin and provisioner.
pub(super) fn operator<'a>(snapshot: &'a Snapshot, driver: &str) -> Option<&'a Workload> {
    let plugin = node_plugin(snapshot, driver).map(|p| p.meta.namespace().to_owned());
    let candidates = snapshot.workloads.iter().filter(|w| w.meta.entity.kind == "Deployment");
    let names = Names::of(snapshot, driver);
    best(candidates.map(|w| {
        let beside = plugin.as_deref() == Some(w.meta.namespace());
        let score = names.affinity(w) + if beside { 0.5 } else { 0.0 };
        (w, score, w.meta.name().contains("operator"))
    }))
}

fn best<'a>(candidates: impl Iterator<Item = (&'a Workload, f64, bool)>) -> Option<&'a Workload> {
    candidates
        .filter(|(_, score, fits)| *fits && *score > 0.0)
        // Of equals the first by name, so that the answer does not depend on order.
        .max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.meta.entity.cmp(&a.0.meta.entity)))
        .map(|(w, _, _)| w)
}

/// What tells a driver's own workloads from others'.
struct Names<'a> {
    /// Telling words, and what each weighs.
    tokens: Vec<(String, f64)>,
    /// Where its storage classes say that it lives.
    namespaces: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot, driver: &str) -> Self {
        let others: Vec<Vec<String>> = drivers(snapshot).iter().filter(|d| *d != driver).map(|d| tokens(d)).collect();
        // A word that every driver of a vendor shares tells the vendor, not the driver.
        let weight = |token: &String| if others.iter().any(|o| o.contains(token)) { 0.3 } else { 1.0 };
        let classes = snapshot.classes.iter().filter(|c| c.provisioner == driver);
        Self {
            tokens: tokens(driver).into_iter().map(|t| (t.clone(), weight(&t))).collect(),
            namespaces: classes.flat_map(|c| &c.namespaces).map(String::as_str).collect(),
        }
    }

    /// How much a workload's name and namespace look like belonging to the driver.
    fn affinity(&self, workload: &Workload) -> f64 {
        let (name, namespace) = (workload.meta.name(), workload.meta.namespace());
        let fits = self.tokens.iter().filter(|(token, _)| name.contains(token) || namespace.contains(token));
        let at_home = if self.namespaces.contains(&namespace) { 1.0 } else { 0.0 };
        fits.map(|(_, weight)| weight).sum::<f64>() + at_home
    }
}

/// The telling words of a driver's name.
fn tokens(driver: &str) -> Vec<String> {
    const COMMON: [&str; 12] =
        ["csi", "com", "io", "org", "net", "k8s", "sigs", "driver", "storage", "kubernetes", "example", "test"];
    driver
        .split(['.', '-', '/', '_'])
        .filter(|token| token.len() > 2 && !COMMON.contains(token))
        .map(str::to_owned)
        .collect()
}
