//! What of a namespace belongs to one object. Pure.

use super::super::object::{items, meta};
use super::super::{columns, selector};
use super::around::{Around, names, owned};
use super::needs::{self, Needs};
use super::row;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every relation of `subject`, grouped by relation: `{relation, kind, name, namespace, state, problem}`.
/// `owners` are its owners, nearest first.
pub(super) fn all(subject: &Value, owners: &[Value], around: &Around, now: Timestamp) -> Vec<Value> {
    let pods = pods(subject, around);
    let mut rows: Vec<Value> = owners.iter().map(|owner| row::owner(owner, now)).collect();
    rows.extend(children(subject, around, now));
    rows.extend(runs(subject, &pods, around, now));
    let faces = faces(subject, &pods);
    let services: Vec<&Value> =
        around.of("Service").iter().filter(|service| reaches(service, subject, &faces)).collect();
    if subject["kind"] == "Service" {
        rows.push(row::service("endpoint", subject, around.known("EndpointSlice"), None));
    }
    let one = (subject["kind"] == "Pod").then(|| meta(subject, "name"));
    let told = services.iter().filter(|s| !same(s, subject));
    rows.extend(told.map(|service| row::service("service", service, around.known("EndpointSlice"), one)));
    rows.extend(["Ingress", "HTTPRoute"].iter().flat_map(|kind| around.of(kind)).filter_map(|route| {
        let named = row::backends(route);
        let leads = named.iter().any(|(_, to)| services.iter().any(|s| to.split(':').next() == Some(meta(s, "name"))));
        (leads && !same(route, subject)).then(|| row::route(route, &named))
    }));
    rows.extend(backends(subject, around));
    let family = family(subject, owners, &pods, around);
    let scales = |hpa: &&Value| {
        let target = &hpa["spec"]["scaleTargetRef"];
        family.iter().any(|(kind, name)| target["kind"] == kind.as_str() && target["name"] == name.as_str())
    };
    rows.extend(around.of("HorizontalPodAutoscaler").iter().filter(scales).map(row::autoscaler));
    let selects = |at: &'static str| {
        let faces = &faces;
        move |object: &&Value| faces.iter().any(|(labels, _)| selector::matches(&object["spec"][at], labels))
    };
    let not_itself = |object: &&Value| !same(object, subject);
    let budgets = around.of("PodDisruptionBudget").iter().filter(selects("selector")).filter(not_itself);
    rows.extend(budgets.map(row::budget));
    let policies = around.of("NetworkPolicy").iter().filter(selects("podSelector")).filter(not_itself);
    rows.extend(policies.map(row::policy));
    rows.extend(needed(subject, &faces, around));
    rows.extend(nodes(subject, &pods));
    rows
}

/// The pods that `subject` is about.
fn pods<'a>(subject: &Value, around: &'a Around) -> Vec<&'a Value> {
    let (name, spec) = (meta(subject, "name"), &subject["spec"]);
    let all = around.of("Pod").iter();
    let needing = |kind: &'static str, name: &str| {
        let key = (kind, name.to_owned());
        move |pod: &&Value| needs_of([pod].into_iter().copied()).contains_key(&key)
    };
    match subject["kind"].as_str().unwrap_or_default() {
        "Pod" | "Node" => all.collect(),
        "Service" => all.filter(|pod| selected(subject, &pod["metadata"]["labels"])).collect(),
        "PodDisruptionBudget" => {
            all.filter(|p| selector::matches(&spec["selector"], &p["metadata"]["labels"])).collect()
        }
        "NetworkPolicy" => all.filter(|p| selector::matches(&spec["podSelector"], &p["metadata"]["labels"])).collect(),
        "PersistentVolumeClaim" => all.filter(needing("PersistentVolumeClaim", name)).collect(),
        "PersistentVolume" => {
            let claim = spec["claimRef"]["name"].as_str().unwrap_or_default();
            all.filter(needing("PersistentVolumeClaim", claim)).collect()
        }
        "ConfigMap" => all.filter(needing("ConfigMap", name)).collect(),
        "Secret" => all.filter(needing("Secret", name)).collect(),
        "ServiceAccount" => all.filter(needing("ServiceAccount", name)).collect(),
        "HorizontalPodAutoscaler" => {
            let target = &spec["scaleTargetRef"];
            all.filter(|pod| {
                let (kind, name) = root(pod, around);
                target["kind"] == kind.as_str() && target["name"] == name.as_str()
            })
            .collect()
        }
        "Ingress" | "HTTPRoute" => {
            let named = row::backends(subject);
            let services = around.of("Service").iter();
            let services: Vec<&Value> = services
                .filter(|s| named.iter().any(|(_, to)| to.split(':').next() == Some(meta(s, "name"))))
                .collect();
            all.filter(|pod| services.iter().any(|s| selected(s, &pod["metadata"]["labels"]))).collect()
        }
        _ => {
            let sets: Vec<&Value> = ["ReplicaSet", "Job"].iter().flat_map(|kind| around.of(kind)).collect();
            let between: Vec<&Value> = sets.into_iter().filter(|set| owned(set, subject)).collect();
            all.filter(|pod| owned(pod, subject) || between.iter().any(|set| owned(pod, set))).collect()
        }
    }
}

/// Labels and pod specs that stand for the subject: those of its pods, and of the template that it has.
fn faces<'a>(subject: &'a Value, pods: &[&'a Value]) -> Vec<(&'a Value, &'a Value)> {
    let templates = [&subject["spec"]["template"], &subject["spec"]["jobTemplate"]["spec"]["template"]];
    let of_template =
        templates.into_iter().filter(|t| t["spec"].is_object()).map(|t| (&t["metadata"]["labels"], &t["spec"]));
    // A node's pods have nothing in common but the node.
    let of_pods =
        pods.iter().filter(|_| subject["kind"] != "Node").map(|pod| (&pod["metadata"]["labels"], &pod["spec"]));
    of_template.chain(of_pods).collect()
}

/// Whether a Service leads to the subject.
fn reaches(service: &Value, subject: &Value, faces: &[(&Value, &Value)]) -> bool {
    match subject["kind"].as_str() {
        Some("Service") => same(service, subject),
        Some("Ingress" | "HTTPRoute") => false,
        _ => faces.iter().any(|(labels, _)| selected(service, labels)),
    }
}

fn selected(service: &Value, labels: &Value) -> bool {
    let wanted = &service["spec"]["selector"];
    wanted.as_object().is_some_and(|pairs| !pairs.is_empty()) && selector::plain(wanted, labels)
}

fn same(a: &Value, b: &Value) -> bool {
    a["kind"] == b["kind"] && a["metadata"]["name"] == b["metadata"]["name"]
}

/// What the subject controls, pods apart. Old ReplicaSets without pods are not worth a row each.
fn children(subject: &Value, around: &Around, now: Timestamp) -> Vec<Value> {
    let all = ["ReplicaSet", "Job"].iter().flat_map(|kind| around.of(kind)).filter(|o| owned(o, subject));
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (old, live): (Vec<&Value>, Vec<&Value>) = all.partition(|o| {
        o["kind"] == "ReplicaSet" && o["spec"]["replicas"].as_u64() == Some(0) && count(&o["status"]["replicas"]) == 0
    });
    let mut rows: Vec<Value> = live.into_iter().map(|o| row::of("child", o, row::standing(o, now), false)).collect();
    if !old.is_empty() {
        let more = if old.len() == 1 { "old one" } else { "old ones" };
        let state = "scaled to 0, kept for a rollback";
        rows.push(
            json!({"relation": "child", "kind": "ReplicaSet", "name": format!("{} {more}", old.len()), "state": state}),
        );
    }
    rows
}

/// The pods themselves for whoever owns them; for all others the workloads that they belong to.
fn runs(subject: &Value, pods: &[&Value], around: &Around, now: Timestamp) -> Vec<Value> {
    const OWN: [&str; 6] = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"];
    let kind = subject["kind"].as_str().unwrap_or_default();
    let stands = |pod: &Value| {
        let state = columns::pod(pod, now);
        let well = state.ready.split_once('/').is_some_and(|(ready, total)| ready == total);
        (well && state.status == "Running", state)
    };
    if kind == "Pod" {
        return Vec::new();
    }
    if OWN.contains(&kind) {
        let mut told: Vec<(bool, Value)> = pods
            .iter()
            .map(|pod| {
                let (well, state) = stands(pod);
                let node = pod["spec"]["nodeName"].as_str().map(|n| format!(" on {n}")).unwrap_or_default();
                let text = format!("{} {}, {} restarts{node}", state.ready, state.status, state.restarts);
                let problem = !well && state.status != "Completed";
                (well, row::of("pod", pod, text, problem))
            })
            .collect();
        told.sort_by_key(|(well, _)| *well);
        return told.into_iter().map(|(_, row)| row).collect();
    }
    let mut roots: BTreeMap<(String, String, String), (usize, usize)> = BTreeMap::new();
    for pod in pods {
        let (kind, name) = root(pod, around);
        let (ready, all) = roots.entry((meta(pod, "namespace").to_owned(), kind, name)).or_default();
        *ready += usize::from(stands(pod).0);
        *all += 1;
    }
    roots
        .into_iter()
        .map(|((namespace, kind, name), (ready, all))| {
            json!({"relation": "workload", "kind": kind, "name": name, "namespace": namespace,
                   "state": format!("{ready} of {all} pods ready"), "problem": ready < all})
        })
        .collect()
}

/// The workload that a pod belongs to; the pod itself when it is alone.
fn root(pod: &Value, around: &Around) -> (String, String) {
    let controller = |object: &Value| {
        items(&object["metadata"]["ownerReferences"]).find(|o| o["controller"] == true).map(|owner| {
            let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("name"))
        })
    };
    let Some((kind, name)) = controller(pod) else { return ("Pod".to_owned(), meta(pod, "name").to_owned()) };
    let between = around.of(&kind).iter().find(|o| meta(o, "name") == name);
    if between.is_none() && kind == "ReplicaSet" {
        // It was not read; a Deployment names its ReplicaSets after itself and the hash that their pods carry.
        let hash = pod["metadata"]["labels"]["pod-template-hash"].as_str();
        let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-')).filter(|d| !d.is_empty());
        return deployment.map_or((kind, name.clone()), |d| ("Deployment".to_owned(), d.to_owned()));
    }
    between.and_then(controller).unwrap_or((kind, name))
}

/// Kind and name of the subject and of all workloads above and below it.
fn family(subject: &Value, owners: &[Value], pods: &[&Value], around: &Around) -> Vec<(String, String)> {
    let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
    // An owner that was not read is a reference, with its name at the top.
    let called = |object: &Value| object["name"].as_str().unwrap_or(meta(object, "name")).to_owned();
    let mut family: Vec<(String, String)> =
        std::iter::once(subject).chain(owners).map(|object| (kind(object), called(object))).collect();
    if subject["kind"] != "Node" {
        family.extend(pods.iter().map(|pod| root(pod, around)));
    }
    family
}

/// What a route or an autoscaler leads to.
fn backends(subject: &Value, around: &Around) -> Vec<Value> {
    let mut rows = Vec::new();
    match subject["kind"].as_str() {
        Some("Ingress" | "HTTPRoute") => {
            let mut names: Vec<String> = row::backends(subject)
                .into_iter()
                .filter_map(|(_, to)| Some(to.split(':').next()?.to_owned()))
                .collect();
            names.sort();
            names.dedup();
            for name in names {
                let service = around.of("Service").iter().find(|s| meta(s, "name") == name);
                rows.push(match (service, around.known("Service")) {
                    (Some(service), _) => row::service("backend", service, around.known("EndpointSlice"), None),
                    (None, known) => {
                        let (state, gone) = if known.is_some() { ("does not exist", true) } else { ("", false) };
                        json!({"relation": "backend", "kind": "Service", "name": name, "state": state, "problem": gone})
                    }
                });
            }
        }
        Some("HorizontalPodAutoscaler") => {
            let target = &subject["spec"]["scaleTargetRef"];
            rows.push(json!({"relation": "target", "kind": target["kind"], "name": target["name"], "state": ""}));
        }
        Some("PersistentVolume") if subject["spec"]["claimRef"]["name"].is_string() => {
            let claim = &subject["spec"]["claimRef"];
            rows.push(json!({"relation": "claim", "kind": "PersistentVolumeClaim", "name": claim["name"],
                             "namespace": claim["namespace"], "state": subject["status"]["phase"]}));
        }
        Some("PersistentVolumeClaim") => {
            for (kind, name) in [("PersistentVolume", "volumeName"), ("StorageClass", "storageClassName")] {
                if let Some(name) = subject["spec"][name].as_str().filter(|name| !name.is_empty()) {
                    rows.push(json!({"relation": "storage", "kind": kind, "name": name, "state": ""}));
                }
            }
        }
        _ => {}
    }
    rows
}

fn needs_of<'a>(pods: impl Iterator<Item = &'a Value>) -> Needs {
    let mut needs = Needs::new();
    for pod in pods {
        needs::add(&mut needs, &pod["spec"], Some(meta(pod, "name")));
    }
    needs
}

/// What the subject cannot do without, and whether it is there.
fn needed(subject: &Value, faces: &[(&Value, &Value)], around: &Around) -> Vec<Value> {
    const OWN: [&str; 7] = ["Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"];
    if !OWN.contains(&subject["kind"].as_str().unwrap_or_default()) {
        return Vec::new();
    }
    let mut needs = Needs::new();
    for (_, spec) in faces {
        needs::add(&mut needs, spec, None);
    }
    // Only a pod's name tells what its ephemeral claims are called.
    needs.extend(needs_of(around.of("Pod").iter().filter(|p| faces.iter().any(|(_, spec)| **spec == p["spec"]))));
    needs
        .iter()
        .map(|((kind, name), need)| {
            let known = around.known(kind);
            let missing = known.is_some_and(|list| !names(list).any(|n| n == name));
            let held = known.and_then(|list| list.iter().find(|o| meta(o, "name") == name));
            let phase = held.and_then(|o| o["status"]["phase"].as_str());
            let mut state = need.in_words();
            if missing {
                state = format!("does not exist; {state}");
            }
            if let Some(phase) = phase {
                state = format!("{phase}; {state}");
            }
            let problem = (missing && !need.optional) || phase.is_some_and(|phase| phase != "Bound");
            json!({"relation": "need", "kind": kind, "name": name, "state": state, "problem": problem})
        })
        .collect()
}

/// The nodes of its pods.
fn nodes(subject: &Value, pods: &[&Value]) -> Vec<Value> {
    if subject["kind"] == "Node" {
        return Vec::new();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()) {
        *counts.entry(node).or_default() += 1;
    }
    let told = counts.into_iter().map(|(node, count)| {
        let state = if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
        json!({"relation": "node", "kind": "Node", "name": node, "state": state})
    });
    told.collect()
}
