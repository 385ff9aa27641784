//! What is one workload with the thing that an alert names, as far as objects that were read say so: never by
//! what names look like alone, and never what several workloads share.

use super::need::Case;
use super::scene::{namespace_of, subject_of};
use super::snapshot::{Meta, Snapshot};
use crate::domain::{Entity, ResourceType, SreEvent, thing_of, workload_kind};
use std::collections::{BTreeSet, HashMap};

/// Most things of one workload.
const MOST: usize = 16;
/// Longest way to the top; three in clusters as they are.
const STEPS: usize = 6;

/// The things, in the words of [`SreEvent::thing`], that are one workload with what the opening alert names:
/// that, its owners up to the top, and the volumes that only this workload's Pods mount. Empty where nothing is
/// known beyond the alert.
pub fn things(case: &Case<'_>) -> Vec<String> {
    let Some(event) = case.events.first() else { return vec![] };
    let (object, owner) = (named_object(event), named_owner(event));
    let Some(start) = object.as_ref().or(owner.as_ref()) else { return vec![] };
    let workloads = Workloads { snapshot: &Snapshot::of(case.seen) };
    let mut chain = match is_claim(start) {
        true => workloads.of_claim(start).unwrap_or_default(),
        false => workloads.owners(start),
    };
    // What was read counts for more than what labels say.
    let is_settled =
        !chain.is_empty() || if is_claim(start) { workloads.is_shared(start) } else { workloads.meta(start).is_some() };
    if let Some(owner) = owner.as_ref().filter(|owner| !is_settled && *owner != start) {
        chain.extend([owner.clone()].into_iter().chain(workloads.owners(owner)));
    }
    let top = chain.last().or(Some(start).filter(|start| !is_claim(start)));
    let parts = top.map(|top| workloads.parts(top)).unwrap_or_default();
    let cluster = event.resource.cluster.as_deref();
    let own = thing_of(cluster, start);
    let tops = workloads.tops(&start.namespace, cluster);
    let mut found: Vec<String> = own.iter().cloned().collect();
    for thing in chain.iter().chain(&parts).filter_map(|part| thing_of(cluster, part)) {
        let is_its_own = tops.get(&thing).is_none_or(|tops| tops.iter().all(|known| Some(known) == top));
        if is_its_own && !found.contains(&thing) {
            found.push(thing);
        }
    }
    found.truncate(MOST);
    // By the first thing that the alert names its like is found already.
    let stored = event.named_things().into_iter().next();
    let is_known = !chain.is_empty() || !parts.is_empty();
    if is_known && found.iter().any(|thing| Some(thing) != stored.as_ref()) { found } else { vec![] }
}

/// The object that an alert names; nothing where it is not a part of a workload.
fn named_object(event: &SreEvent) -> Option<Entity> {
    // A node's exporter may wear the name of its own workload.
    let is_about_one = event.resource.kind != ResourceType::K8sNode && !event.named_things().is_empty();
    let subject = subject_of(event).filter(|_| is_about_one)?;
    // A target is scraped at its own Pod.
    let subject = match (subject.kind.as_str(), event.resource.kind) {
        ("Target", ResourceType::K8sPod) => Entity::new("Pod", namespace_of(event)?, event.resource.id.trim()),
        _ => subject,
    };
    let is_part = matches!(subject.kind.as_str(), "Pod" | "PersistentVolumeClaim") || is_workload(&subject);
    (is_part && !subject.namespace.is_empty()).then_some(subject)
}

fn named_owner(event: &SreEvent) -> Option<Entity> {
    let owner = event.named_owner()?;
    Some(Entity { namespace: namespace_of(event)?.to_owned(), ..owner })
}

fn is_workload(entity: &Entity) -> bool {
    workload_kind(&entity.kind) == Some(entity.kind.as_str())
}

fn is_claim(entity: &Entity) -> bool {
    entity.kind == "PersistentVolumeClaim"
}

/// Who owns what, by what was read.
struct Workloads<'a> {
    snapshot: &'a Snapshot,
}

impl Workloads<'_> {
    fn meta(&self, entity: &Entity) -> Option<&Meta> {
        let snapshot = self.snapshot;
        match entity.kind.as_str() {
            "Pod" => snapshot.pod(entity).map(|pod| &pod.meta),
            "PersistentVolumeClaim" => snapshot.claim(entity).map(|claim| &claim.meta),
            "Job" | "CronJob" => snapshot.jobs.iter().find(|job| job.entity == *entity),
            _ => snapshot.workload(entity).map(|workload| &workload.meta),
        }
    }

    /// The owners of a thing, up to the top. One that is no workload, a custom resource or a node, ends the way.
    fn owners(&self, entity: &Entity) -> Vec<Entity> {
        let mut owners: Vec<Entity> = vec![];
        while owners.len() < STEPS {
            let here = owners.last().unwrap_or(entity);
            let above = self.meta(here).and_then(|meta| meta.owners.first());
            let fits = |above: &&Entity| is_workload(above) || (is_claim(entity) && above.kind == "Pod");
            match above.filter(fits).filter(|above| *above != entity && !owners.contains(above)) {
                Some(above) => owners.push(above.clone()),
                None => break,
            }
        }
        owners
    }

    fn top(&self, entity: &Entity) -> Entity {
        self.owners(entity).pop().unwrap_or_else(|| entity.clone())
    }

    /// The workloads whose Pods mount a claim.
    fn mounting(&self, claim: &Entity) -> BTreeSet<Entity> {
        self.snapshot.users_of(claim).map(|pod| self.top(&pod.meta.entity)).collect()
    }

    fn is_shared(&self, claim: &Entity) -> bool {
        self.mounting(claim).len() > 1
    }

    /// The one workload that a claim belongs to, and what leads up to it: whoever mounts it, else whom it was made
    /// for. Who mounts it is known where every Pod was seen.
    fn of_claim(&self, claim: &Entity) -> Option<Vec<Entity>> {
        let made_for = self.made_for(claim);
        let mut users = self.snapshot.users_of(claim).map(|pod| &pod.meta.entity);
        let Some(user) = users.next() else { return made_for };
        if self.is_shared(claim) {
            return None;
        }
        let by_pod: Vec<Entity> = [user.clone()].into_iter().chain(self.owners(user)).collect();
        let is_known = self.snapshot.listed("Pod", &claim.namespace).is_some()
            || made_for.is_some_and(|made_for| made_for.last() == by_pod.last());
        is_known.then_some(by_pod)
    }

    /// By its own owner, else by the one StatefulSet with a template for claims of such names.
    fn made_for(&self, claim: &Entity) -> Option<Vec<Entity>> {
        let owners = self.owners(claim);
        if !owners.is_empty() {
            return Some(owners);
        }
        let here = self.snapshot.workloads.iter().filter(|w| w.meta.namespace() == claim.namespace);
        let mut makers = here.filter(|workload| {
            workload.claim_templates.iter().any(|template| is_made_of(&claim.name, template, workload.meta.name()))
        });
        let maker = makers.next().filter(|_| makers.next().is_none())?;
        let entity = &maker.meta.entity;
        Some([entity.clone()].into_iter().chain(self.owners(entity)).collect())
    }

    /// The Pods of a workload, and the claims that are its own.
    fn parts(&self, top: &Entity) -> Vec<Entity> {
        let pods = self.snapshot.pods.iter().filter(|pod| pod.meta.namespace() == top.namespace);
        let pods: Vec<_> = pods.filter(|pod| self.top(&pod.meta.entity) == *top).collect();
        let mounted = pods.iter().flat_map(|pod| &pod.claims).cloned();
        let claims = self.snapshot.claims.iter().map(|claim| &claim.meta.entity);
        let made = claims.filter(|claim| claim.namespace == top.namespace);
        let made = made.filter(|claim| self.made_for(claim).is_some_and(|chain| chain.last() == Some(top)));
        let made = made.map(|claim| claim.name.clone());
        let claims: BTreeSet<String> = mounted.chain(made).collect();
        let claims = claims.into_iter().map(|name| Entity::new("PersistentVolumeClaim", &top.namespace, name));
        let own = claims.filter(|claim| self.of_claim(claim).is_some_and(|chain| chain.last() == Some(top)));
        pods.iter().map(|pod| pod.meta.entity.clone()).chain(own).collect()
    }

    /// Which workloads of a namespace are known by the same name.
    fn tops(&self, namespace: &str, cluster: Option<&str>) -> HashMap<String, BTreeSet<Entity>> {
        let pods = self.snapshot.pods.iter().map(|pod| &pod.meta);
        let workloads = self.snapshot.workloads.iter().map(|workload| &workload.meta);
        let mut tops: HashMap<String, BTreeSet<Entity>> = HashMap::new();
        for meta in pods.chain(workloads).chain(&self.snapshot.jobs).filter(|meta| meta.namespace() == namespace) {
            if let Some(thing) = thing_of(cluster, &meta.entity) {
                tops.entry(thing).or_default().insert(self.top(&meta.entity));
            }
        }
        tops
    }
}

/// A StatefulSet names its claims after the template, itself and the Pod's number.
fn is_made_of(claim: &str, template: &str, owner: &str) -> bool {
    let rest = claim.strip_prefix(template).and_then(|rest| rest.strip_prefix('-'));
    let number = rest.and_then(|rest| rest.strip_prefix(owner)).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
