//! What a list shows of each kind.

use super::figures::Figures;
use super::object::{items, meta};
use crate::tools::render::{age, clip};
use jiff::Timestamp;
use serde_json::Value;

/// The columns for objects of `kind`, between its name and its age.
pub fn heads(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["READY", "STATUS", "RESTARTS", "NODE"],
        "Deployment" => &["READY", "UP-TO-DATE", "AVAILABLE", "IMAGES"],
        "StatefulSet" | "ReplicaSet" => &["READY", "IMAGES"],
        "DaemonSet" => &["READY", "UP-TO-DATE", "IMAGES"],
        "Job" => &["STATUS", "COMPLETIONS"],
        "CronJob" => &["SCHEDULE", "SUSPEND", "LAST"],
        "Node" => &["STATUS", "PROBLEMS", "VERSION"],
        "PersistentVolumeClaim" => &["STATUS", "VOLUME", "CAPACITY", "STORAGECLASS"],
        "PersistentVolume" => &["STATUS", "CAPACITY", "CLAIM", "STORAGECLASS"],
        "Service" => &["TYPE", "CLUSTER-IP", "PORTS", "SELECTOR"],
        "ConfigMap" => &["KEYS"],
        "Secret" => &[],
        _ => &["STATUS"],
    }
}

/// The cells under [`heads`].
pub fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<String> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let count = |value: &Value| value.as_u64().unwrap_or(0).to_string();
    match kind {
        "Pod" => {
            let pod = pod(object, now);
            vec![pod.ready, pod.status, pod.restarts, text(&spec["nodeName"])]
        }
        "Deployment" => vec![
            fraction(replicas(kind, object)),
            count(&status["updatedReplicas"]),
            count(&status["availableReplicas"]),
            images(spec),
        ],
        "StatefulSet" | "ReplicaSet" => {
            vec![fraction(replicas(kind, object)), images(spec)]
        }
        "DaemonSet" => vec![fraction(replicas(kind, object)), count(&status["updatedNumberScheduled"]), images(spec)],
        "Job" => vec![conditions(status), format!("{}/{}", count(&status["succeeded"]), text(&spec["completions"]))],
        "CronJob" => vec![text(&spec["schedule"]), text(&spec["suspend"]), age(&status["lastScheduleTime"], now)],
        "Node" => node(object).into(),
        "PersistentVolumeClaim" => vec![
            text(&status["phase"]),
            text(&spec["volumeName"]),
            text(&status["capacity"]["storage"]),
            text(&spec["storageClassName"]),
        ],
        "PersistentVolume" => {
            let claim = &spec["claimRef"];
            let claim = match claim["name"].as_str() {
                Some(name) => format!("{}/{name}", claim["namespace"].as_str().unwrap_or_default()),
                None => String::new(),
            };
            vec![text(&status["phase"]), text(&spec["capacity"]["storage"]), claim, text(&spec["storageClassName"])]
        }
        "Service" => {
            let ports: Vec<String> =
                items(&spec["ports"]).map(|p| format!("{}->{}", text(&p["port"]), text(&p["targetPort"]))).collect();
            let selector = spec["selector"].as_object().into_iter().flatten();
            let selector: Vec<String> = selector.map(|(key, value)| format!("{key}={}", text(value))).collect();
            vec![text(&spec["type"]), text(&spec["clusterIP"]), ports.join(","), selector.join(",")]
        }
        "ConfigMap" => {
            let keys = object["data"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
            vec![keys.collect::<Vec<_>>().join(",")]
        }
        "Secret" => Vec::new(),
        _ => {
            let phase = text(&status["phase"]);
            vec![if phase.is_empty() { conditions(status) } else { phase }]
        }
    }
}

/// The name, or `namespace/name` when the list spans namespaces.
pub fn name(object: &Value, with_namespace: bool) -> String {
    match (with_namespace, meta(object, "namespace")) {
        (true, namespace) if !namespace.is_empty() => format!("{namespace}/{}", meta(object, "name")),
        _ => meta(object, "name").to_owned(),
    }
}

/// How a pod stands, in kubectl's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// `1/2`.
    pub ready: String,
    /// `CrashLoopBackOff`, `Init:0/1`, `Running`.
    pub status: String,
    /// `7 (4m ago)`.
    pub restarts: String,
    /// The 7 of it.
    pub restart_count: u64,
}

/// How `pod` stands at `now`.
pub fn pod(pod: &Value, now: Timestamp) -> PodState {
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or("Unknown");
    let mut word = status["reason"].as_str().unwrap_or(phase).to_owned();
    let total = items(&pod["spec"]["containers"]).count();
    let init_total = items(&pod["spec"]["initContainers"]).count();
    let mut starting = false;
    for (at, container) in items(&status["initContainerStatuses"]).enumerate() {
        let state = &container["state"];
        if state["terminated"]["exitCode"] == 0 || container["started"] == true {
            continue;
        }
        starting = true;
        let reason = state["terminated"]["reason"].as_str().or(state["waiting"]["reason"].as_str());
        word = match reason.filter(|r| *r != "PodInitializing") {
            Some(reason) => format!("Init:{reason}"),
            None => format!("Init:{at}/{init_total}"),
        };
        break;
    }
    let (mut ready, mut restarts, mut last, mut running) = (0, 0, None, false);
    // From the last to the first, so that the first container's trouble is the one that is named.
    for container in status["containerStatuses"].as_array().into_iter().flatten().rev() {
        let state = &container["state"];
        restarts += container["restartCount"].as_u64().unwrap_or(0);
        last = last.max(container["lastState"]["terminated"]["finishedAt"].as_str());
        if container["ready"] == true && state["running"].is_object() {
            ready += 1;
            running = true;
        } else if !starting {
            let reason = state["waiting"]["reason"].as_str().or(state["terminated"]["reason"].as_str());
            let code = state["terminated"]["exitCode"].as_i64().map(|code| format!("ExitCode:{code}"));
            word = reason.map(str::to_owned).or(code).unwrap_or(word);
        }
    }
    if word == "Completed" && running {
        word = "Running".to_owned();
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        word = if word == "NodeLost" { "Unknown".to_owned() } else { "Terminating".to_owned() };
    }
    let ago = last.filter(|_| restarts > 0).map(|at| format!(" ({} ago)", age(&at.into(), now))).unwrap_or_default();
    PodState {
        ready: format!("{ready}/{total}"),
        status: word,
        restarts: format!("{restarts}{ago}"),
        restart_count: restarts,
    }
}

/// Status, problems and version of a node.
pub(super) fn node(node: &Value) -> [String; 3] {
    let mut status = Vec::new();
    let mut problems = Vec::new();
    for condition in items(&node["status"]["conditions"]) {
        match (condition["type"].as_str().unwrap_or_default(), condition["status"].as_str().unwrap_or_default()) {
            ("Ready", "True") => status.push("Ready"),
            ("Ready", _) => status.push("NotReady"),
            (kind, "True") => problems.push(kind),
            _ => {}
        }
    }
    if node["spec"]["unschedulable"] == true {
        status.push("SchedulingDisabled");
    }
    let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
    [status.join(","), problems.join(","), version.to_owned()]
}

/// How many pods of a workload are ready, and how many are wanted.
pub(super) fn replicas(kind: &str, object: &Value) -> (u64, u64) {
    let Figures { ready, wanted, .. } = Figures::of(kind, object);
    (ready, wanted)
}

fn fraction((ready, wanted): (u64, u64)) -> String {
    format!("{ready}/{wanted}")
}

pub(super) fn images(spec: &Value) -> String {
    let images: Vec<&str> =
        items(&spec["template"]["spec"]["containers"]).filter_map(|c| c["image"].as_str()).collect();
    clip(&images.join(","), 120)
}

/// `Ready`, `Ready=False (reason)`, …: what holds, and what of the usual health conditions does not.
fn conditions(status: &Value) -> String {
    let said: Vec<String> = items(&status["conditions"])
        .filter_map(|c| {
            let kind = c["type"].as_str()?;
            match c["status"].as_str()? {
                "True" => Some(kind.to_owned()),
                _ if matches!(kind, "Ready" | "Available" | "Healthy" | "Synced" | "Established") => {
                    let reason = c["reason"].as_str().map(|r| format!(" ({r})")).unwrap_or_default();
                    Some(format!("{kind}={}{reason}", c["status"].as_str()?))
                }
                _ => None,
            }
        })
        .collect();
    said.join(",")
}
