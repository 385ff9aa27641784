//! Where the things that alerts name are: their namespace when the alert leaves it out, and what
//! stands for them when they are gone.

use super::scene::subject_of;
use super::snapshot::Snapshot;
use crate::domain::{Entity, SreEvent};

/// Most alerts that are resolved to subjects.
const MAX_EVENTS: usize = 20;
/// Most things of one name that are taken for what an alert without namespace names.
const MAX_NAMESAKES: usize = 3;
/// What Kubernetes makes random parts of names from.
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";

/// The alert names a thing that lives in a namespace, but not which.
pub(super) fn lacks_namespace(subject: &Entity) -> bool {
    subject.namespace.is_empty() && !matches!(subject.kind.as_str(), "Node" | "Target")
}

/// The kinds to list everywhere to find something whose namespace the alert leaves out.
pub(super) fn kinds_to_list(subject: &Entity) -> &'static [&'static str] {
    match subject.kind.as_str() {
        "Pod" => &["Pod"],
        "Deployment" => &["Deployment"],
        "StatefulSet" => &["StatefulSet"],
        "DaemonSet" => &["DaemonSet"],
        "PersistentVolumeClaim" => &["PersistentVolumeClaim"],
        "Service" => &["Deployment", "StatefulSet", "DaemonSet"],
        _ => &[],
    }
}

/// It would be in the snapshot if it were there.
pub(super) fn is_looked_up(subject: &Entity) -> bool {
    lacks_namespace(subject) || subject.kind == "Node" || !kinds_to_list(subject).is_empty()
}

/// What the alerts name, without repeats, in its namespace as far as that was seen.
pub(super) fn subjects(events: &[SreEvent], snapshot: &Snapshot) -> Vec<Entity> {
    let mut found: Vec<Entity> = Vec::new();
    for subject in events.iter().take(MAX_EVENTS).filter_map(subject_of) {
        for subject in resolved(snapshot, &subject) {
            if !found.contains(&subject) {
                found.push(subject);
            }
        }
    }
    found
}

/// The things of a subject's name where the alert leaves its namespace out; else, or if none was
/// seen, the subject as named.
pub(super) fn resolved(snapshot: &Snapshot, subject: &Entity) -> Vec<Entity> {
    let mut found = Vec::new();
    if lacks_namespace(subject) {
        let kinds = kinds_to_list(subject);
        let workloads = snapshot.workloads.iter().map(|w| &w.meta);
        let all = snapshot.pods.iter().map(|p| &p.meta).chain(workloads).chain(snapshot.claims.iter().map(|c| &c.meta));
        let same = all.map(|m| &m.entity).filter(|e| e.name == subject.name && kinds.contains(&e.kind.as_str()));
        found.extend(same.take(MAX_NAMESAKES).cloned());
    }
    if found.is_empty() {
        found.push(subject.clone());
    }
    found
}

/// It was seen itself.
pub(super) fn is_seen(snapshot: &Snapshot, subject: &Entity) -> bool {
    match subject.kind.as_str() {
        "Node" => snapshot.node(&subject.name).is_some(),
        "PersistentVolumeClaim" => snapshot.claim(subject).is_some(),
        "Pod" => snapshot.pod(subject).is_some(),
        _ => snapshot.workload(subject).is_some(),
    }
}

/// What a pod that is gone belonged to, by the names that controllers give.
pub(super) fn owners_by_name(snapshot: &Snapshot, subject: &Entity) -> Vec<Entity> {
    if subject.kind != "Pod" || lacks_namespace(subject) || is_seen(snapshot, subject) {
        return Vec::new();
    }
    let workloads = snapshot.workloads.iter().map(|w| &w.meta.entity);
    let here = snapshot.pods.iter().filter(|p| p.meta.namespace() == subject.namespace);
    let owners = workloads.chain(here.flat_map(|p| &p.meta.owners));
    let mut found: Vec<Entity> =
        owners.filter(|o| o.namespace == subject.namespace && made(o, &subject.name)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

/// A controller of this kind and name makes pods of such names.
fn made(owner: &Entity, pod: &str) -> bool {
    let Some(rest) = pod.strip_prefix(&owner.name).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let random = |part: &str| part.len() == 5 && part.chars().all(|c| RANDOM.contains(c));
    match (owner.kind.as_str(), rest.split_once('-')) {
        ("StatefulSet", None) => !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()),
        ("DaemonSet" | "ReplicaSet" | "Job", None) => random(rest),
        ("Deployment", Some((hash, tail))) => {
            (1..=10).contains(&hash.len()) && hash.chars().all(|c| RANDOM.contains(c)) && random(tail)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pods_tell_who_made_them() {
        for (kind, owner, pod, yes) in [
            ("Deployment", "api", "api-65857d5d47-26pgn", true),
            ("Deployment", "api", "api-gateway-65857d5d47-26pgn", false),
            ("Deployment", "api", "api-v2-26pgn", true), // Could be a hash.
            ("Deployment", "api", "api-65857d5d47", false),
            ("ReplicaSet", "api-65857d5d47", "api-65857d5d47-26pgn", true),
            ("StatefulSet", "graph", "graph-0", true),
            ("StatefulSet", "graph", "graph-a", false),
            ("StatefulSet", "graph", "graph-", false),
            ("DaemonSet", "agent", "agent-x7k2p", true),
            ("DaemonSet", "agent", "agent-other", false),
            ("Deployment", "api", "api", false),
        ] {
            assert_eq!(made(&Entity::new(kind, "shop", owner), pod), yes, "{kind} {owner} {pod}");
        }
    }
}
