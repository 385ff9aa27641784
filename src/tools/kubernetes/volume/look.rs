//! What a claim, its volume, its class and its pods say together. Pure.

use super::super::object::{items, meta};
use super::super::{amount, columns};
use super::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Which facts of which part are shown, in this order.
pub(super) const SHOWN: [(&str, &[&str]); 3] = [
    (
        "claim",
        &[
            "phase",
            "asked",
            "given",
            "access_modes",
            "mode",
            "class",
            "volume",
            "template",
            "resize",
            "created",
            "being_deleted_since",
            "finalizers",
        ],
    ),
    ("class", &["provisioner", "expandable", "binding", "reclaim"]),
    ("volume", &["phase", "capacity", "driver", "handle", "reclaim", "claimed_by"]),
];

/// The class that a claim names, by field or by the annotation of old.
pub(super) fn class_of(claim: &Value) -> Option<&str> {
    let old = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    claim["spec"]["storageClassName"].as_str().or(old.as_str()).filter(|name| !name.is_empty())
}

/// The attachments of one volume.
pub(super) fn attached(all: Vec<Value>, volume: Option<&str>) -> Vec<Value> {
    all.into_iter()
        .filter(|a| volume.is_some() && a["spec"]["source"]["persistentVolumeName"].as_str() == volume)
        .collect()
}

/// The pods that mount the claim called `name`, by name or as an ephemeral volume.
pub(super) fn mounting(pods: Vec<Value>, name: &str) -> Vec<Value> {
    pods.into_iter().filter(|pod| mounts(pod, name).next().is_some()).collect()
}

/// The volumes of `pod` that are the claim called `name`.
fn mounts<'p>(pod: &'p Value, name: &str) -> impl Iterator<Item = &'p Value> {
    items(&pod["spec"]["volumes"]).filter(move |volume| {
        let by_name = volume["persistentVolumeClaim"]["claimName"] == name;
        // The claim of an ephemeral volume is called after pod and volume.
        let (own, of) = (volume["name"].as_str().unwrap_or_default(), meta(pod, "name"));
        let ephemeral = || {
            volume["ephemeral"].is_object()
                && name.strip_prefix(of).is_some_and(|rest| rest.strip_prefix('-') == Some(own))
        };
        by_name || ephemeral()
    })
}

/// The nodes where the claim is mounted.
pub(super) fn nodes(parts: &Parts) -> Vec<String> {
    let mut nodes: Vec<String> =
        parts.pods.iter().flatten().filter_map(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned)).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// All that is told of the claim.
pub(super) fn at(parts: &Parts, namespace: &str, now: Timestamp) -> Value {
    let claim = &parts.claim;
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let class = parts.class.as_ref().map(|class| {
        // What a class leaves out is the server's default.
        json!({
            "name": meta(class, "name"), "provisioner": class["provisioner"],
            "expandable": class["allowVolumeExpansion"] == true,
            "binding": class["volumeBindingMode"].as_str().unwrap_or("Immediate"),
            "reclaim": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
        })
    });
    let class = class.or_else(|| class_of(claim).map(|name| json!({"name": name, "expandable": null})));
    let volume = parts.volume.as_ref().map(|volume| {
        let (spec, holder) = (&volume["spec"], &volume["spec"]["claimRef"]);
        let holder =
            holder["name"].as_str().map(|n| format!("{}/{n}", holder["namespace"].as_str().unwrap_or_default()));
        json!({
            "name": meta(volume, "name"), "phase": volume["status"]["phase"], "capacity": spec["capacity"]["storage"],
            "reclaim": spec["persistentVolumeReclaimPolicy"], "driver": spec["csi"]["driver"],
            "handle": spec["csi"]["volumeHandle"], "claimed_by": holder,
        })
    });
    let attachments = parts.attachments.as_ref().map(|all| {
        let row = |a: &Value| {
            let status = &a["status"];
            let error = status["attachError"]["message"].as_str().or(status["detachError"]["message"].as_str());
            json!({"node": a["spec"]["nodeName"], "attached": status["attached"] == true,
                   "since": a["metadata"]["creationTimestamp"], "error": error})
        };
        all.iter().map(row).collect::<Vec<_>>()
    });
    let mounted = parts.pods.as_ref().map(|pods| {
        let row = |pod: &Value| {
            let how: Vec<String> = mounts(pod, meta(claim, "name")).map(how).collect();
            json!({"pod": meta(pod, "name"), "status": columns::pod(pod, now).status, "node": pod["spec"]["nodeName"],
                   "how": how.join(", ")})
        };
        pods.iter().map(row).collect::<Vec<_>>()
    });
    let conditions = items(&status["conditions"]).map(|c| {
        json!({"type": c["type"], "status": c["status"], "since": c["lastTransitionTime"],
               "message": c["message"].as_str().or(c["reason"].as_str())})
    });
    let modes = |list: &Value| items(list).filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let name = meta(claim, "name");
    let labels = format!("{{namespace=\"{namespace}\",persistentvolumeclaim=\"{name}\"}}");
    json!({
        "claim": {
            "namespace": namespace, "name": name, "phase": status["phase"],
            "asked": spec["resources"]["requests"]["storage"], "given": status["capacity"]["storage"],
            "access_modes": modes(&spec["accessModes"]), "mode": spec["volumeMode"], "class": class_of(claim),
            "volume": spec["volumeName"], "template": template(claim, &parts.sets), "resize": resize(status),
            "created": claim["metadata"]["creationTimestamp"],
            "being_deleted_since": claim["metadata"]["deletionTimestamp"],
            "finalizers": modes(&claim["metadata"]["finalizers"]),
        },
        "class": class, "volume": volume, "attachments": attachments, "mounted_by": mounted,
        "conditions": conditions.collect::<Vec<_>>(), "problems": problems(parts, namespace),
        "usage_query": format!("kubelet_volume_stats_used_bytes{labels} / kubelet_volume_stats_capacity_bytes{labels}"),
    })
}

/// `volume data`, `ephemeral volume scratch, read only`.
fn how(volume: &Value) -> String {
    let kind = if volume["ephemeral"].is_object() { "ephemeral volume" } else { "volume" };
    let read_only = if volume["persistentVolumeClaim"]["readOnly"] == true { ", read only" } else { "" };
    format!("{kind} {}{read_only}", volume["name"].as_str().unwrap_or_default())
}

/// The StatefulSet whose template makes claims of this name: `data of StatefulSet typedb`.
fn template(claim: &Value, sets: &[Value]) -> Option<String> {
    let name = meta(claim, "name");
    sets.iter().find_map(|set| {
        let made = items(&set["spec"]["volumeClaimTemplates"]).map(|t| meta(t, "name")).find(|template| {
            let ordinal = name.strip_prefix(&format!("{template}-{}-", meta(set, "name")));
            ordinal.is_some_and(|o| !o.is_empty() && o.bytes().all(|b| b.is_ascii_digit()))
        })?;
        Some(format!("{made} of StatefulSet {}", meta(set, "name")))
    })
}

/// What becomes of a change of size: `storage NodeResizePending to 40Gi`.
fn resize(status: &Value) -> Option<String> {
    let states = status["allocatedResourceStatuses"].as_object().into_iter().flatten();
    let told: Vec<String> = states
        .map(|(resource, state)| {
            let to = status["allocatedResources"][resource].as_str().map(|to| format!(" to {to}")).unwrap_or_default();
            format!("{resource} {}{to}", state.as_str().unwrap_or_default())
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// What is plainly wrong, in sentences.
fn problems(parts: &Parts, namespace: &str) -> Vec<String> {
    let (claim, mut found) = (&parts.claim, Vec::new());
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let expandable = parts.class.as_ref().map(|class| class["allowVolumeExpansion"] == true);
    let waits = parts.class.as_ref().is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
    match status["phase"].as_str() {
        Some("Bound") | None => {}
        Some("Pending") if waits && parts.pods.as_ref().is_some_and(Vec::is_empty) => {
            found.push("Pending until a pod mounts it: its class binds at the first one".to_owned());
        }
        Some("Pending") if class_of(claim).is_none() && spec["volumeName"].is_null() => {
            found.push("Pending without a class: no default class was there when it was made".to_owned());
        }
        Some(phase) => found.push(format!("the claim is {phase}")),
    }
    let (asked, given) = (&spec["resources"]["requests"]["storage"], &status["capacity"]["storage"]);
    if let (Some(more), Some(has)) = (amount::of(asked), amount::of(given))
        && more > has
    {
        let why = match expandable {
            Some(false) => ": its class does not allow expansion",
            _ if resize(status).is_some() || items(&status["conditions"]).next().is_some() => ": see its conditions",
            _ => ": nobody began to expand it",
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.push(format!("it asks for {} and has {}{why}", text(asked), text(given)));
    }
    if let Some(volume) = &parts.volume {
        let holder = &volume["spec"]["claimRef"];
        if holder["name"].is_string() && (holder["name"] != meta(claim, "name") || holder["namespace"] != namespace) {
            found.push("its volume is claimed by another claim".to_owned());
        }
        if let Some(phase) = volume["status"]["phase"].as_str().filter(|phase| *phase != "Bound") {
            found.push(format!("its volume is {phase}"));
        }
    }
    found.extend(attachment_problems(parts));
    if claim["metadata"]["deletionTimestamp"].is_string() {
        found.push("it is being deleted and waits for its finalizers".to_owned());
    }
    found
}

fn attachment_problems(parts: &Parts) -> Vec<String> {
    let mut found = Vec::new();
    let attachments: Vec<&Value> = parts.attachments.iter().flatten().collect();
    let node = |a: &Value| a["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    for attachment in &attachments {
        if attachment["status"]["attached"] != true {
            found.push(format!("it is not attached to node {}", node(attachment)));
        }
    }
    let once = items(&parts.claim["spec"]["accessModes"]).all(|m| m == "ReadWriteOnce" || m == "ReadWriteOncePod");
    if once && attachments.len() > 1 {
        let nodes: Vec<String> = attachments.iter().map(|a| node(a)).collect();
        found.push(format!("only one node may have it, and {} want it", nodes.join(" and ")));
    }
    let driver = parts.volume.as_ref().and_then(|v| v["spec"]["csi"]["driver"].as_str());
    for csi_node in &parts.csi_nodes {
        if let Some(driver) = driver
            && !items(&csi_node["spec"]["drivers"]).any(|d| d["name"] == driver)
        {
            found.push(format!("its driver {driver} is not registered on node {}", meta(csi_node, "name")));
        }
    }
    found
}
