//! What to look at next. Four rounds by construction: each round's questions follow from the
//! answers to the rounds before it alone, so that no answer can enlarge an earlier round.

use super::lookup::{kinds_to_list, lacks_namespace, resolved, subjects};
use super::need::{Case, Need, Seen};
use super::scene::{is_target_alert, namespace_of, subject_of};
use super::snapshot::{Pod, Snapshot};
use super::topology::{drivers, operator};
use super::{closer, expression};
use crate::domain::Entity;
use std::collections::HashSet;

/// Most namespaces that are looked at as a whole.
const MAX_NAMESPACES: usize = 3;
/// Most pods whose logs are read in one round.
const MAX_LOGGED_PODS: usize = 4;
/// Log lines asked for.
const TAIL: u32 = 200;

/// What to look at next, in one parallel round: nothing that was seen already, at most
/// `calls_left`, the most telling first. Empty when enough was seen.
pub fn plan(case: &Case<'_>) -> Vec<Need> {
    let seen: HashSet<&Need> = case.seen.iter().map(|s| &s.need).collect();
    let mut known: HashSet<Need> = HashSet::new();
    let mut snapshot = Snapshot::default();
    for round in [first, second, third, fourth] {
        let mut wanted = Vec::new();
        for need in round(case, &snapshot) {
            if allowed(case, &need) && !known.contains(&need) && !wanted.contains(&need) {
                wanted.push(need);
            }
        }
        let mut open: Vec<Need> = wanted.iter().filter(|n| !seen.contains(n)).cloned().collect();
        if !open.is_empty() {
            open.truncate(case.calls_left as usize);
            return open;
        }
        snapshot.add(case.seen.iter().filter(|s: &&Seen| wanted.contains(&s.need)));
        known.extend(wanted);
    }
    Vec::new()
}

fn allowed(case: &Case<'_>, need: &Need) -> bool {
    match need {
        Need::Object { .. } | Need::List { .. } | Need::Logs { .. } | Need::Events { .. } => case.kubernetes,
        Need::Query { .. } | Need::Range { .. } | Need::Alerts | Need::Targets | Need::Rules => case.prometheus,
        Need::Runbook { .. } => case.runbook.is_some(),
    }
}

fn namespaces(case: &Case<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for namespace in case.events.iter().filter_map(namespace_of) {
        if !found.iter().any(|f| f == namespace) && found.len() < MAX_NAMESPACES {
            found.push(namespace.to_owned());
        }
    }
    found
}

/// From the alerts alone: the subjects and what surrounds them.
fn first(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = Vec::new();
    let subjects = subjects(case.events, snapshot);
    for subject in subjects.iter().take(5) {
        match lacks_namespace(subject) {
            true => needs.extend(kinds_to_list(subject).iter().map(|kind| Need::list(kind, None))),
            false => needs.extend(about(subject)),
        }
    }
    let namespaces = namespaces(case);
    for namespace in &namespaces {
        needs.extend(around(namespace));
    }
    if case.events.iter().any(is_target_alert) || subjects.is_empty() || subjects.iter().any(|s| s.kind == "Target") {
        needs.push(Need::Targets);
    }
    needs.push(Need::list("Node", None));
    needs.push(Need::Alerts);
    needs.push(Need::Rules);
    for namespace in &namespaces {
        needs.push(Need::Query { promql: usage(namespace, None) });
        needs.push(Need::object("Namespace", None, namespace));
    }
    if subjects.iter().any(|s| s.kind == "Node") {
        needs.push(Need::list("Pod", None));
        // Events about nodes live in this namespace.
        needs.push(Need::Events { namespace: Some("default".into()) });
    }
    // Advice comes behind what is the case.
    needs.extend(case.runbook.cloned());
    needs
}

/// One thing that an alert names.
fn about(subject: &Entity) -> Vec<Need> {
    let mut needs = Vec::new();
    let namespace = (!subject.namespace.is_empty()).then_some(subject.namespace.as_str());
    if subject.kind != "Target" {
        needs.push(Need::object(&subject.kind, namespace, &subject.name));
    }
    if subject.kind == "PersistentVolumeClaim" {
        let promql = usage(&subject.namespace, Some(&subject.name));
        needs.push(Need::Range { promql: promql.clone(), minutes: 360 });
        needs.push(Need::Range { promql, minutes: 60 });
    }
    needs
}

/// What an alert names without its namespace, where the first round found it, and its surroundings.
fn found(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut known = namespaces(case);
    let unplaced = case.events.iter().filter_map(subject_of).filter(lacks_namespace);
    for subject in unplaced.flat_map(|s| resolved(snapshot, &s)).filter(|s| !lacks_namespace(s)) {
        if !known.contains(&subject.namespace) {
            if known.len() >= MAX_NAMESPACES {
                continue;
            }
            needs.extend(around(&subject.namespace));
            needs.push(Need::Query { promql: usage(&subject.namespace, None) });
            needs.push(Need::object("Namespace", None, &subject.namespace));
            known.push(subject.namespace.clone());
        }
        needs.extend(about(&subject));
    }
    needs
}

/// Everything that runs in a namespace.
fn around(namespace: &str) -> Vec<Need> {
    const KINDS: [&str; 6] = ["Pod", "PersistentVolumeClaim", "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"];
    let mut needs: Vec<Need> = KINDS.iter().map(|kind| Need::list(kind, Some(namespace))).collect();
    needs.insert(1, Need::Events { namespace: Some(namespace.to_owned()) });
    needs
}

/// What the alerts' own expressions say, logs of what fails, and the storage behind what cannot mount.
fn second(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = expression::needs(case.events, snapshot);
    needs.extend(closer::needs(case));
    needs.extend(found(case, snapshot));
    needs.extend(logs(case, snapshot));
    needs.extend(storage(case, snapshot));
    for pod in snapshot.pods.iter().filter(|p| oom_killed(p)).take(2) {
        needs.push(Need::Range { promql: working_set(&pod.meta.entity), minutes: 360 });
    }
    let known = namespaces(case);
    let of_targets = snapshot.targets.iter().filter(|t| !t.up && concerns(case, snapshot, &t.entity()));
    let mut more: Vec<&str> = of_targets.map(|t| t.label("namespace")).filter(|n| !n.is_empty()).collect();
    more.sort_unstable();
    more.dedup();
    for namespace in more.into_iter().filter(|n| !known.iter().any(|k| k == n)).take(2) {
        needs.extend(around(namespace));
    }
    needs
}

/// Where the storage driver lives, if asking the whole cluster was refused or its claims turned up
/// only now; and what the second round brought in for targets.
fn third(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = logs(case, snapshot);
    needs.extend(storage(case, snapshot));
    let cluster_wide = snapshot.listed("DaemonSet", "").is_some() && snapshot.listed("Deployment", "").is_some();
    if mounts_fail(snapshot) && !cluster_wide {
        let mut namespaces: Vec<&String> = snapshot.classes.iter().flat_map(|c| &c.namespaces).collect();
        namespaces.sort();
        namespaces.dedup();
        for namespace in namespaces.into_iter().take(2) {
            needs.push(Need::list("DaemonSet", Some(namespace)));
            needs.push(Need::list("Deployment", Some(namespace)));
        }
    }
    needs.extend(operators(snapshot));
    needs
}

/// Who scaled the operator, and what became of its pods.
fn fourth(_: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    operators(snapshot)
}

fn operators(snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = Vec::new();
    if !mounts_fail(snapshot) {
        return needs;
    }
    for driver in drivers(snapshot).iter().take(8) {
        if let Some(operator) = operator(snapshot, driver) {
            let entity = &operator.meta.entity;
            needs.push(Need::object("Deployment", Some(&entity.namespace), &entity.name));
            needs.push(Need::Events { namespace: Some(entity.namespace.clone()) });
            needs.push(Need::list("Pod", Some(&entity.namespace)));
        }
    }
    needs
}

fn concerns(case: &Case<'_>, snapshot: &Snapshot, entity: &Entity) -> bool {
    case.events.iter().any(|e| match subject_of(e) {
        Some(subject) if subject.kind == "Target" => subject.name == entity.name,
        Some(subject) if lacks_namespace(&subject) => {
            resolved(snapshot, &subject).iter().any(|s| s.namespace.is_empty() || s.namespace == entity.namespace)
        }
        _ => namespace_of(e).is_none_or(|n| n == entity.namespace),
    })
}

fn logs(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let subjects = subjects(case.events, snapshot);
    let mut pods: Vec<(u8, &Pod)> = Vec::new();
    for pod in &snapshot.pods {
        let entity = &pod.meta.entity;
        let mounts = |s: &Entity| {
            s.kind == "PersistentVolumeClaim" && s.namespace == entity.namespace && pod.claims.contains(&s.name)
        };
        let named = subjects.iter().any(|s| {
            s == entity || mounts(s) || pod.meta.owners.contains(s) || snapshot.controller_of(pod).as_ref() == Some(s)
        });
        let restarts: i64 = pod.containers.iter().map(|c| c.restarts).sum();
        let crashing = pod.containers.iter().any(|c| c.waits_for("CrashLoopBackOff"));
        // A container that never started has no logs.
        let ran = restarts > 0 || pod.containers.iter().any(|c| c.running_since.is_some() || c.terminated.is_some());
        match (ran, named, crashing, pod.healthy()) {
            (false, ..) | (_, false, false, true) => {}
            (_, true, true, _) => pods.push((0, pod)),
            (_, true, false, _) => pods.push((1, pod)),
            (_, false, true, _) => pods.push((2, pod)),
            (_, false, false, false) => pods.push((3, pod)),
        }
    }
    pods.sort_by(|a, b| (a.0, &a.1.meta.entity).cmp(&(b.0, &b.1.meta.entity)));
    let mut needs = Vec::new();
    for (_, pod) in pods.into_iter().take(MAX_LOGGED_PODS) {
        let worst = pod.containers.iter().max_by_key(|c| (!c.ready, c.restarts));
        let Some(container) = worst else { continue };
        let need = |previous| Need::Logs {
            namespace: pod.meta.namespace().to_owned(),
            pod: pod.meta.name().to_owned(),
            container: Some(container.name.clone()),
            previous,
            tail: TAIL,
        };
        if container.restarts > 0 {
            needs.push(need(true));
        }
        needs.push(need(false));
    }
    needs
}

fn storage(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs = Vec::new();
    let subjects = subjects(case.events, snapshot);
    let trouble = mounts_fail(snapshot);
    let sick: HashSet<(&str, &str)> = snapshot
        .pods
        .iter()
        .filter(|p| !p.healthy())
        .flat_map(|p| p.claims.iter().map(|c| (p.meta.namespace(), c.as_str())))
        .collect();
    let mut volumes: Vec<(bool, &str)> = Vec::new();
    for claim in &snapshot.claims {
        let named = subjects.contains(&claim.meta.entity);
        let needed = trouble && sick.contains(&(claim.meta.namespace(), claim.meta.name()));
        if let Some(volume) = claim.volume.as_deref().filter(|_| named || needed) {
            volumes.push((!named, volume));
        }
    }
    volumes.sort_unstable();
    needs.extend(volumes.iter().take(4).map(|(_, name)| Need::object("PersistentVolume", None, name)));
    let stuck_claims = snapshot.claims.iter().any(|c| c.phase == "Pending");
    if !volumes.is_empty() || stuck_claims || trouble {
        needs.push(Need::list("StorageClass", None));
    }
    if trouble || stuck_claims {
        for kind in ["CSINode", "CSIDriver", "DaemonSet", "Deployment", "VolumeAttachment"] {
            needs.push(Need::list(kind, None));
        }
    }
    needs
}

/// Pods wait for volumes.
fn mounts_fail(snapshot: &Snapshot) -> bool {
    const REASONS: [&str; 2] = ["FailedMount", "FailedAttachVolume"];
    snapshot
        .pods
        .iter()
        .any(|pod| !pod.healthy() && snapshot.events_of(&pod.meta.entity).any(|e| REASONS.contains(&e.reason.as_str())))
}

fn oom_killed(pod: &Pod) -> bool {
    pod.containers.iter().any(|c| c.last_end().is_some_and(|t| t.reason == "OOMKilled"))
}

/// Used part of volumes, 0 to 1.
pub(super) fn usage(namespace: &str, claim: Option<&str>) -> String {
    let mut selector = format!("namespace=\"{}\"", escape(namespace));
    if let Some(claim) = claim {
        selector.push_str(&format!(",persistentvolumeclaim=\"{}\"", escape(claim)));
    }
    format!("kubelet_volume_stats_used_bytes{{{selector}}} / kubelet_volume_stats_capacity_bytes{{{selector}}}")
}

/// Memory in use by the containers of a pod, bytes.
pub(super) fn working_set(pod: &Entity) -> String {
    let (namespace, name) = (escape(&pod.namespace), escape(&pod.name));
    format!("container_memory_working_set_bytes{{namespace=\"{namespace}\",pod=\"{name}\",container!=\"\"}}")
}

/// Names come from labels of alerts: nothing in them may end the quotation.
pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
