//! What was seen of a cluster, in a line.

use super::columns::{self, name};
use super::object::{items, meta};
use crate::tools::gist::name as short;
use crate::tools::gist::{CHARS, counted, listed, tallied};
use crate::tools::render::{age, clip};
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Restarts from which a pod is worth naming though it runs.
const MANY_RESTARTS: u64 = 3;

/// Most names of objects that stand alike.
const NAMES: usize = 4;

/// How an object stands.
struct Standing {
    /// In a word that others can share.
    word: String,
    /// Nothing is wrong with it.
    well: bool,
    /// What to say beside its name: `, 42 restarts`.
    note: String,
    /// How often it was started again.
    restarts: u64,
}

impl Standing {
    fn new(word: impl Into<String>, well: bool) -> Self {
        Self { word: short(&word.into()), well, note: String::new(), restarts: 0 }
    }
}

/// `Pod typedb-0: CrashLoopBackOff, 0/1 ready, 42 restarts, on node-2`.
pub(super) fn object(object: &Value, now: Timestamp) -> String {
    let kind = object["kind"].as_str().unwrap_or("object");
    format!("{} {}: {}", short(kind), short(meta(object, "name")), facts(kind, object, now).join(", "))
}

/// `6 Pods in shop: 4 Running, 1 CrashLoopBackOff (api-0, 42 restarts), 1 Pending (web-0)`.
pub(super) fn list(kind: &str, objects: &[&Value], namespace: Option<&str>, complete: bool, now: Timestamp) -> String {
    let place = namespace.map(|n| format!(" in {}", short(n))).unwrap_or_default();
    let head = match (objects.len(), complete) {
        (count, true) => counted(count, kind, &plural(kind)),
        (count, false) => format!("the first {count} {}", plural(kind)),
    };
    let head = format!("{head}{place}");
    let called = |object: &Value| clip(&name(object, namespace.is_none()), 80);
    if let [one] = objects {
        return format!("{head}: {}, {}", called(one), facts(kind, one, now).join(", "));
    }
    let standings: Vec<Option<Standing>> = objects.iter().map(|o| standing(kind, o, now)).collect();
    if standings.iter().all(Option::is_none) {
        let names: Vec<String> = objects.iter().map(|o| called(o)).collect();
        return listed(&head, &names, CHARS);
    }
    let mut groups: BTreeMap<(bool, String), Group> = BTreeMap::new();
    for (object, standing) in objects.iter().zip(standings) {
        let standing = standing.unwrap_or_else(|| Standing::new("without a status", true));
        let group = groups.entry((!standing.well, standing.word.clone())).or_default();
        group.count += 1;
        group.restarts = group.restarts.saturating_add(standing.restarts);
        if !standing.well || !standing.note.is_empty() {
            group.names.push(format!("{}{}", called(object), standing.note));
        }
    }
    // Well before ill, then many before few, then what keeps failing.
    let mut groups: Vec<((bool, String), Group)> = groups.into_iter().collect();
    groups.sort_by_key(|((ill, _), group)| (*ill, Reverse(group.count), Reverse(group.restarts)));
    grouped(&head, &groups.into_iter().map(|((_, word), group)| Group { word, ..group }).collect::<Vec<_>>())
}

/// Objects that stand alike.
#[derive(Default)]
struct Group {
    word: String,
    count: usize,
    restarts: u64,
    /// Those worth naming.
    names: Vec<String>,
}

/// `head: 4 Running, 2 Pending (a; b)`, with as many names as there is room for.
fn grouped(head: &str, groups: &[Group]) -> String {
    let mut named = vec![0; groups.len()];
    let parts = |named: &[usize]| -> Vec<String> {
        let told = |(Group { word, count, names, .. }, shown): (&Group, &usize)| {
            let count = if groups.len() == 1 { "all".to_owned() } else { count.to_string() };
            let more = match names.len() - shown {
                0 => String::new(),
                more => format!("; {more} more"),
            };
            match shown {
                0 => format!("{count} {word}"),
                shown => format!("{count} {word} ({}{more})", names[..*shown].join("; ")),
            }
        };
        groups.iter().zip(named).map(told).collect()
    };
    // A name for each before a second one for any.
    for _ in 0..NAMES {
        for at in 0..groups.len() {
            let mut longer = named.clone();
            longer[at] += 1;
            let fits = || format!("{head}: {}", parts(&longer).join(", ")).chars().count() <= CHARS;
            if longer[at] <= groups[at].names.len() && fits() {
                named = longer;
            }
        }
    }
    listed(head, &parts(&named), CHARS)
}

/// `48 events, 31 warnings: FailedMount ×98 (minio-0), BackOff ×40 (typedb-0)`.
pub(super) fn events<'e>(events: impl Iterator<Item = &'e Value>, complete: bool) -> String {
    let events: Vec<&Value> = events.collect();
    let about = |event: &Value| {
        let reason = short(event["reason"].as_str().filter(|r| !r.is_empty()).unwrap_or("without a reason"));
        (reason, short(event["involvedObject"]["name"].as_str().unwrap_or_default()))
    };
    let Some(newest) = events.last() else {
        return "no events (the cluster forgets them after an hour by default)".to_owned();
    };
    let head = match complete {
        true => counted(events.len(), "event", "events"),
        false => format!("{} of more events", events.len()),
    };
    let warnings: Vec<&&Value> = events.iter().filter(|e| e["type"] == "Warning").collect();
    if warnings.is_empty() {
        let (reason, object) = about(newest);
        return format!("{head}, no warnings; the newest: {reason} ({object})");
    }
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    for event in &warnings {
        let count = event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1).max(1);
        let sum = sums.entry(about(event)).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut sums: Vec<((String, String), u64)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| Reverse(*count));
    let parts: Vec<String> = sums
        .into_iter()
        .map(|((reason, object), count)| {
            let times = if count == 1 { String::new() } else { format!(" ×{count}") };
            let object = if object.is_empty() { object } else { format!(" ({object})") };
            format!("{reason}{times}{object}")
        })
        .collect();
    listed(&format!("{head}, {}", counted(warnings.len(), "warning", "warnings")), &parts, CHARS)
}

/// An object, and what its events warn of.
pub(super) fn description(seen: &Value, now: Timestamp) -> String {
    let warnings = items(&seen["events"]).filter(|e| e["type"] == "Warning").map(|e| {
        let count = e["series"]["count"].as_u64().or(e["count"].as_u64()).unwrap_or(1).max(1);
        (short(e["reason"].as_str().unwrap_or_default()), count)
    });
    let warnings = tallied(warnings);
    let (head, count) = (object(&seen["object"], now), items(&seen["events"]).count());
    match (count, warnings.is_empty()) {
        (0, _) => format!("{head}; no events"),
        (count, true) => format!("{head}; {}, no warnings", counted(count, "event", "events")),
        (_, false) => listed(&format!("{head}; warnings"), &warnings, CHARS),
    }
}

fn standing(kind: &str, object: &Value, now: Timestamp) -> Option<Standing> {
    let status = &object["status"];
    Some(match kind {
        "Pod" => {
            let pod = columns::pod(object, now);
            let ready = pod.ready.split_once('/').is_some_and(|(ready, total)| ready == total);
            let well = matches!(pod.status.as_str(), "Completed" | "Succeeded") || (pod.status == "Running" && ready);
            let word = if pod.status == "Running" && !ready { "not ready" } else { &pod.status };
            let mut standing = Standing { restarts: pod.restart_count, ..Standing::new(word, well) };
            if pod.restart_count >= MANY_RESTARTS || (!well && pod.restart_count > 0) {
                standing.note = format!(", {}", counted(pod.restart_count as usize, "restart", "restarts"));
            }
            standing
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => match (columns::replicas(kind, object), kind) {
            ((_, 0), "DaemonSet") => Standing::new("with 0 desired", false),
            // Of a Deployment's old revisions there is one each.
            ((_, 0), kind) => Standing::new("scaled to 0", kind == "ReplicaSet"),
            ((ready, wanted), _) if ready >= wanted => Standing::new("ready", true),
            ((ready, wanted), _) => {
                Standing { note: format!(" {ready}/{wanted}"), ..Standing::new("not ready", false) }
            }
        },
        "Node" => {
            let [status, problems, _] = columns::node(object);
            let words: Vec<String> = [status, problems].into_iter().filter(|w| !w.is_empty()).collect();
            Standing::new(words.join(" with "), words == ["Ready"])
        }
        "Job" => {
            let holds = |kind: &str| items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True");
            match (holds("Complete"), holds("Failed")) {
                (true, _) => Standing::new("Complete", true),
                (false, true) => Standing::new("Failed", false),
                (false, false) => Standing::new("unfinished", true),
            }
        }
        "CSINode" => match items(&object["spec"]["drivers"]).count() {
            0 => Standing::new("without a driver", false),
            count => Standing::new(format!("with {}", counted(count, "driver", "drivers")), true),
        },
        "VolumeAttachment" => match status["attached"] == true {
            true => Standing::new("attached", true),
            false => Standing::new("not attached", false),
        },
        _ => {
            if let Some(phase) = status["phase"].as_str().filter(|p| !p.is_empty()) {
                let well = ["Active", "Available", "Bound", "Complete", "Healthy", "Ready", "Running", "Succeeded"];
                return Some(Standing::new(phase, well.contains(&phase)));
            }
            let usual =
                |c: &&Value| matches!(c["type"].as_str(), Some("Ready" | "Available" | "Healthy" | "Established"));
            let condition = items(&status["conditions"]).find(usual)?;
            let word = condition["type"].as_str().unwrap_or_default();
            match condition["status"] == "True" {
                true => Standing::new(word, true),
                false => Standing::new(format!("not {word}"), false),
            }
        }
    })
}

/// What is worth knowing of one object, the most telling first.
fn facts(kind: &str, object: &Value, now: Timestamp) -> Vec<String> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
    let word = || standing(kind, object, now).map(|s| s.word).unwrap_or_default();
    let keys = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let mut facts = match kind {
        "Pod" => {
            let pod = columns::pod(object, now);
            let ended =
                items(&status["containerStatuses"]).map(|c| &c["lastState"]["terminated"]).find(|t| t.is_object());
            let ended = ended.map(|t| match (t["reason"].as_str(), t["exitCode"].as_i64()) {
                (Some("Error") | None, Some(code)) => format!("last exit {code}"),
                (reason, _) => format!("last ended {}", short(reason.unwrap_or_default())),
            });
            let restarts = match pod.restart_count {
                0 => String::new(),
                count => counted(count as usize, "restart", "restarts"),
            };
            let node = match text(&spec["nodeName"]) {
                node if node.is_empty() => "on no node".to_owned(),
                node => format!("on {node}"),
            };
            vec![short(&pod.status), format!("{} ready", pod.ready), restarts, ended.unwrap_or_default(), node]
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => {
            let (ready, wanted) = columns::replicas(kind, object);
            let zero = if wanted == 0 { word() } else { String::new() };
            vec![format!("{ready}/{wanted} ready"), zero, columns::images(spec)]
        }
        "PersistentVolumeClaim" => {
            let size = match text(&status["capacity"]["storage"]) {
                size if size.is_empty() => format!("asks for {}", text(&spec["resources"]["requests"]["storage"])),
                size => size,
            };
            vec![word(), size, text(&spec["storageClassName"])]
        }
        "PersistentVolume" => {
            let claim = match spec["claimRef"]["name"].as_str() {
                Some(claim) => format!("claim {}/{}", text(&spec["claimRef"]["namespace"]), short(claim)),
                None => "no claim".to_owned(),
            };
            let driver = text(&spec["csi"]["driver"]);
            vec![word(), text(&spec["capacity"]["storage"]), claim, text(&spec["storageClassName"]), driver]
        }
        "Node" => vec![word(), text(&status["nodeInfo"]["kubeletVersion"])],
        "ConfigMap" => vec![counted(keys(&object["data"]) + keys(&object["binaryData"]), "key", "keys")],
        "Secret" => vec!["only its metadata is read".to_owned()],
        "Service" => {
            let ports: Vec<String> = items(&spec["ports"]).take(4).map(|p| p["port"].to_string()).collect();
            let selected = spec["selector"].as_object().into_iter().flatten();
            let selected: Vec<String> =
                selected.map(|(key, value)| format!("{}={}", short(key), text(value))).collect();
            let selected = if selected.is_empty() { "no selector".to_owned() } else { selected.join(" ") };
            vec![text(&spec["type"]), format!("port {}", ports.join("/")), selected]
        }
        "CronJob" => {
            let suspended = if spec["suspend"] == true { "suspended" } else { "" };
            let last = match age(&status["lastScheduleTime"], now) {
                last if last.is_empty() => "never run".to_owned(),
                last => format!("last run {last} ago"),
            };
            vec![text(&spec["schedule"]), suspended.to_owned(), last]
        }
        "StorageClass" => {
            let grows = if object["allowVolumeExpansion"] == true { "expandable" } else { "not expandable" };
            vec![text(&object["provisioner"]), grows.to_owned()]
        }
        "CSINode" => {
            let drivers: Vec<String> = items(&spec["drivers"]).map(|d| text(&d["name"])).collect();
            vec![word(), drivers.join(" ")]
        }
        "VolumeAttachment" => {
            let volume = text(&spec["source"]["persistentVolumeName"]);
            vec![word(), volume, format!("node {}", text(&spec["nodeName"]))]
        }
        _ => vec![word()],
    };
    if kind != "Pod" && object["metadata"]["deletionTimestamp"].is_string() {
        facts.push("being deleted".to_owned());
    }
    facts.retain(|fact| !fact.is_empty());
    if facts.is_empty() {
        facts.push(match age(&object["metadata"]["creationTimestamp"], now) {
            age if age.is_empty() => "no status".to_owned(),
            age => format!("created {age} ago"),
        });
    }
    facts
}

/// `Pods`, `Ingresses`, `NetworkPolicies`, `Endpoints`.
fn plural(kind: &str) -> String {
    match kind {
        kind if kind == "Endpoints" => kind.to_owned(),
        kind if kind.ends_with(['s', 'x']) || kind.ends_with("ch") => format!("{kind}es"),
        kind => match kind.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
            Some(stem) => format!("{stem}ies"),
            None => format!("{kind}s"),
        },
    }
}

#[cfg(test)]
mod tests;
