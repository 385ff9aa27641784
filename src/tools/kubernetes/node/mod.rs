//! One node: how it is, what is asked of it, and what does not run on it.

mod look;

#[cfg(test)]
mod tests;

use super::object::items;
use super::unread::Unread;
use super::{Cluster, amount, arguments, events, object};
use crate::edge::kube::{ApiKind, ListQuery};
use crate::tools::gist::{CHARS, counted, listed, name as short};
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Most pods that are counted: more than a kubelet takes.
const PODS: usize = 1000;
/// Most pods that are named.
const NAMED: usize = 40;
/// The newest events that are kept.
const EVENTS: usize = 50;
/// Where kubelets renew their leases.
const LEASES: &str = "kube-node-lease";

/// `kubernetes_node`.
#[derive(Debug, Clone)]
pub struct Node(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
}

#[async_trait]
impl ReadTool for Node {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let name = Some(args.name.as_str());
        vec![
            self.0.target("get", "Node", Some("v1"), None, name),
            self.0.target("list", "Pod", Some("v1"), None, None),
            self.0.target("get", "Lease", Some("coordination.k8s.io/v1"), Some(LEASES), name),
            self.0.target("list", "Event", Some("v1"), None, None),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, name) = (&self.0.reader, args.name.trim());
        let stable = async |kind: &str, version: &str| -> Result<ApiKind, ToolError> {
            Ok(reader.resolve(kind, Some(version)).await?)
        };
        let (nodes, pods) = (stable("Node", "v1").await?, stable("Pod", "v1").await?);
        let leases = stable("Lease", "coordination.k8s.io/v1").await?;
        // A name that is none stops here, before it becomes part of a selector.
        let node = reader.get(&nodes, None, name).await?;
        let on_it =
            ListQuery { field_selector: Some(format!("spec.nodeName={name}")), limit: PODS, ..ListQuery::default() };
        let (pods, lease, events) = tokio::join!(
            reader.list(&pods, None, &on_it),
            reader.get(&leases, Some(LEASES), name),
            reader.events(None, Some("Node"), Some(name), events::READ)
        );
        let mut unread = Unread::default();
        let pods = unread.take("pods on it", pods);
        let lease = unread.take("its lease", lease);
        let found = unread.take("its events", events);
        let (found, dropped) = match found {
            Some(listing) => {
                let complete = listing.complete;
                let (newest, dropped) = events::newest(listing.items, EVENTS);
                (newest, dropped > 0 || !complete)
            }
            None => (Vec::new(), false),
        };
        let mut seen = Seen::all(look::at(&node, pods.as_ref().map(|l| l.items.as_slice()), self.0.clock.now()));
        seen.data["lease_renewed"] = lease.map(|l| l["spec"]["renewTime"].clone()).unwrap_or_default();
        seen.data["events"] = found.into();
        if dropped {
            seen.truncated = true;
            seen.notes.push(format!("only the newest {EVENTS} events are shown"));
        }
        if pods.is_some_and(|l| !l.complete) {
            seen.truncated = true;
            seen.notes.push(format!("only {PODS} of its pods were counted: sums are too low"));
        }
        let ill = seen.data["ill"].as_array_mut().map_or(0, |ill| {
            let all = ill.len();
            ill.truncate(NAMED);
            all
        });
        if ill > NAMED {
            seen.truncated = true;
            seen.notes.push(format!("{NAMED} of {ill} pods that are not well are shown"));
        }
        unread.tell(&mut seen);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
        let mut parts = vec![text(&data["status"]), text(&data["problems"])];
        parts.retain(|part| !part.is_empty());
        if let Some(pods) = data["pods"].as_u64() {
            let ill = data["pods_ill"].as_u64().unwrap_or(0);
            parts.push(match ill {
                0 => format!("{}, all well", counted(pods as usize, "pod", "pods")),
                ill => format!("{ill} of {} not well", counted(pods as usize, "pod", "pods")),
            });
        }
        for resource in ["cpu", "memory"] {
            let row = items(&data["resources"]).find(|r| r["resource"] == resource);
            if let Some(share) = row.and_then(|r| amount::share(r["requested"].as_f64(), r["allocatable"].as_f64())) {
                parts.push(format!("{resource} {} requested", amount::percent(share)));
            }
        }
        let taints = items(&data["taints"]).count();
        if taints > 0 {
            parts.push(counted(taints, "taint", "taints"));
        }
        listed(&format!("Node {}", text(&data["name"])), &parts, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let data = &seen.data;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut out = format!("age {}", age(&data["created"], now));
        for (what, key) in [
            ("kubelet", "kubelet"),
            ("runtime", "runtime"),
            ("kernel", "kernel"),
            ("os", "os"),
            ("zone", "zone"),
            ("roles", "roles"),
            ("addresses", "addresses"),
        ] {
            match text(&data[key]) {
                value if value.is_empty() => {}
                value => drop(write!(out, "  {what} {value}")),
            }
        }
        out.push('\n');
        if data["unschedulable"] == true {
            out.push_str("Cordoned: no new pods are scheduled to it\n");
        }
        let taints: Vec<String> = items(&data["taints"]).map(|t| look::taint(t, now)).collect();
        let _ = writeln!(out, "Taints: {}", if taints.is_empty() { "none".to_owned() } else { taints.join("; ") });
        let renewed = age(&data["lease_renewed"], now);
        if !renewed.is_empty() {
            let _ = writeln!(out, "Lease: renewed {renewed} ago");
        }
        let rows: Vec<Vec<String>> = items(&data["conditions"])
            .map(|c| {
                vec![
                    text(&c["type"]),
                    text(&c["status"]),
                    age(&c["lastTransitionTime"], now),
                    age(&c["lastHeartbeatTime"], now),
                    text(&c["reason"]),
                    text(&c["message"]),
                ]
            })
            .collect();
        if !rows.is_empty() {
            let head = ["TYPE", "STATUS", "SINCE", "HEARTBEAT", "REASON", "MESSAGE"];
            let _ = write!(out, "\nConditions:\n{}", table(&head, &rows));
        }
        let rows: Vec<Vec<String>> = items(&data["resources"])
            .map(|r| {
                let name = text(&r["resource"]);
                let allocatable = r["allocatable"].as_f64();
                let one = |key: &str| r[key].as_f64().map(|a| amount::shown(&name, a)).unwrap_or_default();
                let share =
                    |key: &str| amount::share(r[key].as_f64(), allocatable).map(amount::percent).unwrap_or_default();
                vec![
                    name.clone(),
                    one("allocatable"),
                    one("requested"),
                    share("requested"),
                    one("limits"),
                    share("limits"),
                ]
            })
            .collect();
        let head = ["RESOURCE", "ALLOCATABLE", "REQUESTED", "SHARE", "LIMITS", "SHARE"];
        let _ = write!(out, "\nResources, with what its pods ask for and may use:\n{}", table(&head, &rows));
        let rows: Vec<Vec<String>> = items(&data["ill"])
            .map(|p| {
                let row = ["name", "ready", "status", "restarts", "message"];
                let mut cells: Vec<String> = row.iter().map(|key| text(&p[*key])).collect();
                cells.insert(4, age(&p["created"], now));
                cells
            })
            .collect();
        if !rows.is_empty() {
            let head = ["POD", "READY", "STATUS", "RESTARTS", "AGE", "MESSAGE"];
            let _ = write!(out, "\nPods that are not running and ready:\n{}", table(&head, &rows));
        }
        let events = events::shown(object::items(&data["events"]), now, false);
        if !events.is_empty() {
            let _ = write!(out, "\nEvents:\n{events}");
        }
        out
    }
}

/// `{name, ready, status, restarts, created, message}` of a pod.
fn ill(pod: &Value, now: jiff::Timestamp) -> Value {
    let state = super::columns::pod(pod, now);
    let message = pod["status"]["message"].as_str();
    let message = message.or_else(|| {
        let waiting =
            items(&pod["status"]["containerStatuses"]).find_map(|c| c["state"]["waiting"]["message"].as_str());
        let why = items(&pod["status"]["conditions"]).find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
        waiting.or(why.and_then(|c| c["message"].as_str()))
    });
    json!({
        "name": super::columns::name(pod, true), "ready": state.ready, "status": state.status,
        "restarts": state.restarts, "created": pod["metadata"]["creationTimestamp"], "message": message,
    })
}
