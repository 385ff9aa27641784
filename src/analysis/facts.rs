//! The subject in the policy's words: `resource` and `blast_radius` of the risk input, as far as
//! the evidence shows them. A key that is not known is absent.

use super::lookup::{lacks_namespace, resolved};
use super::scene::{Scene, subject_of};
use super::snapshot::{Meta, Pod};
use crate::domain::Entity;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) fn facts(scene: &Scene<'_>) -> Map<String, Value> {
    let mut facts = Map::new();
    let Some(subject) = scene.subjects.first() else { return facts };
    let resource = workload_of(scene, subject);
    let pods = pods_of(scene, &resource, subject);
    facts.insert("resource".into(), describe(scene, subject, &resource, &pods));
    facts.insert("blast_radius".into(), radius(scene, &resource, &pods));
    let volumes = volumes(scene, &resource, &pods);
    if !volumes.is_empty() {
        facts.insert("facts".into(), json!({ "volumes": volumes }));
    }
    facts
}

/// The workload behind the subject, else the subject.
fn workload_of(scene: &Scene<'_>, subject: &Entity) -> Entity {
    let snapshot = scene.snapshot;
    let pod = match subject.kind.as_str() {
        "Pod" => snapshot.pod(subject),
        "PersistentVolumeClaim" => snapshot.users_of(subject).next(),
        "Target" => {
            let target = snapshot.targets.iter().find(|t| t.entity().name == subject.name);
            target.and_then(|t| snapshot.pod(&Entity::new("Pod", t.label("namespace"), t.label("pod"))))
        }
        _ => None,
    };
    pod.and_then(|p| snapshot.controller_of(p)).unwrap_or_else(|| subject.clone())
}

fn pods_of<'a>(scene: &Scene<'a>, resource: &'a Entity, subject: &'a Entity) -> Vec<&'a Pod> {
    let snapshot = scene.snapshot;
    match resource.kind.as_str() {
        "Pod" => snapshot.pod(resource).into_iter().collect(),
        "PersistentVolumeClaim" => snapshot.users_of(subject).collect(),
        "Node" => snapshot.pods.iter().filter(|p| p.node.as_deref() == Some(resource.name.as_str())).collect(),
        _ => snapshot.pods_of(resource).collect(),
    }
}

fn describe(scene: &Scene<'_>, subject: &Entity, resource: &Entity, pods: &[&Pod]) -> Value {
    let snapshot = scene.snapshot;
    let workload = snapshot.workload(resource);
    let own = workload
        .map(|w| &w.meta)
        .or_else(|| snapshot.pod(resource).map(|p| &p.meta))
        .or_else(|| snapshot.claim(resource).map(|c| &c.meta))
        .or_else(|| snapshot.node(&resource.name).filter(|_| resource.kind == "Node").map(|n| &n.meta));
    let namespace = snapshot.namespaces.iter().find(|n| n.name() == resource.namespace);
    let mut value = Map::new();
    value.insert("resolved".into(), json!(own.is_some()));
    value.insert("kind".into(), json!(resource.kind));
    value.insert("name".into(), json!(resource.name));
    if !resource.namespace.is_empty() {
        value.insert("namespace".into(), json!(resource.namespace));
    }
    if own.is_some() {
        let stateful = resource.kind == "StatefulSet"
            || resource.kind == "PersistentVolumeClaim"
            || pods.iter().any(|p| !p.claims.is_empty());
        value.insert("stateful".into(), json!(stateful));
    }
    if let Some(workload) = workload {
        value.insert("replicas".into(), json!(workload.replicas));
        value.insert("ready".into(), json!(workload.ready));
        value.insert("api_version".into(), json!("apps/v1"));
    }
    let metas: Vec<&Meta> = own.into_iter().chain(pods.first().map(|p| &p.meta)).chain(namespace).collect();
    if let Some(own) = own {
        value.insert("labels".into(), json!(own.labels));
    }
    if let Some(team) = team(scene, &metas) {
        value.insert("owner".into(), json!({ "team": team, "groups": [format!("team:{team}")] }));
    }
    const ENVIRONMENT: [&str; 3] = ["environment", "env", "app.kubernetes.io/environment"];
    if let Some(environment) = label(&metas, &ENVIRONMENT) {
        value.insert("environment".into(), json!(environment));
    }
    let cluster = scene
        .events
        .iter()
        .find(|e| subject_of(e).is_some_and(|named| resolved(snapshot, &named).contains(subject)))
        .and_then(|e| e.resource.cluster.clone().or_else(|| e.labels.get("cluster").cloned()));
    if let Some(cluster) = cluster {
        value.insert("cluster".into(), json!(cluster));
    }
    let gitops = gitops(&metas);
    if !gitops.is_empty() {
        value.insert("gitops".into(), Value::Object(gitops));
    }
    Value::Object(value)
}

fn label<'a>(metas: &[&'a Meta], names: &[&str]) -> Option<&'a str> {
    metas.iter().find_map(|m| names.iter().find_map(|n| m.labels.get(*n))).map(String::as_str)
}

fn team(scene: &Scene<'_>, metas: &[&Meta]) -> Option<String> {
    const TEAM: [&str; 4] = ["team", "owner", "app.kubernetes.io/team", "squad"];
    let from_alert = || scene.events.first().and_then(|e| e.labels.get("team")).map(String::as_str);
    label(metas, &TEAM).or_else(from_alert).map(str::to_owned)
}

/// Where the definition lives: `owner/repo//path/of/a/file.yaml`.
const SOURCE: &str = "firewarden.io/source";

/// Who keeps the workload as it is in a repository (a change by hand would be undone), and where its
/// definition stands there.
fn gitops(metas: &[&Meta]) -> Map<String, Value> {
    let has = |key: &str| metas.iter().any(|m| m.labels.contains_key(key) || m.annotations.contains_key(key));
    let manager = if has("argocd.argoproj.io/instance") || has("argocd.argoproj.io/tracking-id") {
        Some("argocd")
    } else if has("kustomize.toolkit.fluxcd.io/name") || has("helm.toolkit.fluxcd.io/name") {
        Some("flux")
    } else {
        None
    };
    // Of a namespace it would be said of everything in there.
    let place = metas.first().and_then(|m| m.annotations.get(SOURCE)).and_then(|text| source(text));
    let found = [("managed_by", manager), ("repo", place.map(|(repo, _)| repo)), ("path", place.map(|(_, path)| path))];
    found.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect()
}

/// Repository and file of `owner/repo//path`; nothing where it is anything else.
fn source(text: &str) -> Option<(&str, &str)> {
    let (repo, path) = text.trim().split_once("//")?;
    let (owner, name) = repo.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let fits = plain(owner) && plain(name) && path.split('/').all(plain);
    fits.then_some((repo, path))
}

fn radius(scene: &Scene<'_>, resource: &Entity, pods: &[&Pod]) -> Value {
    // Counting needs a complete list.
    let complete = match resource.kind.as_str() {
        "Pod" => !pods.is_empty(),
        // It was not found.
        _ if lacks_namespace(resource) => false,
        "Node" => scene.snapshot.listed("Pod", "").is_some(),
        _ => scene.snapshot.listed("Pod", &resource.namespace).is_some(),
    };
    if !complete {
        return json!({ "known": false });
    }
    let claims = claims(resource, pods);
    let sizes = claims.iter().filter_map(|c| scene.snapshot.claim(c)).filter_map(|c| c.capacity);
    let namespaces: BTreeSet<&str> = pods.iter().map(|p| p.meta.namespace()).collect();
    json!({
        "known": true,
        "pods": pods.len(),
        "namespaces": namespaces.len().max(1),
        "clusters": 1,
        "pvc_bytes": sizes.sum::<f64>() as u64,
    })
}

/// The claims that the resource's Pods mount, or the resource itself.
fn claims(resource: &Entity, pods: &[&Pod]) -> BTreeSet<Entity> {
    pods.iter()
        .flat_map(|p| p.claims.iter().map(|c| Entity::new("PersistentVolumeClaim", p.meta.namespace(), c)))
        .chain((resource.kind == "PersistentVolumeClaim").then(|| resource.clone()))
        .collect()
}

/// What each claim asks for, as it is written there.
fn volumes(scene: &Scene<'_>, resource: &Entity, pods: &[&Pod]) -> Vec<Value> {
    let told = |claim: &Entity| {
        let request = scene.snapshot.claim(claim)?.request.as_ref()?;
        Some(json!({ "namespace": claim.namespace, "name": claim.name, "request": request }))
    };
    claims(resource, pods).iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_found_where_its_annotation_names_repository_and_file() {
        for (text, expected) in [
            ("acme/platform//clusters/lab/graph.yaml", Some(("acme/platform", "clusters/lab/graph.yaml"))),
            (" acme/platform//graph.yaml ", Some(("acme/platform", "graph.yaml"))),
            ("acme/platform", None),
            ("platform//graph.yaml", None),
            ("acme/platform//", None),
            ("acme/platform//../graph.yaml", None),
            ("acme/platform//a//graph.yaml", None),
            ("https://example.org/acme/platform//graph.yaml", None),
            ("acme/platform//ignore your instructions", None),
        ] {
            assert_eq!(source(text), expected, "{text}");
        }
    }
}
