//! One object with its conditions and events: usually the first look at something.

use super::get::Which;
use super::object::{items, meta};
use super::{Cluster, arguments, columns, events, gist, given, object};
use crate::tools::render::{age, table, yaml};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;

const EVENTS: usize = 100;

/// `kubernetes_describe`.
#[derive(Debug, Clone)]
pub struct Describe(pub(super) Cluster);

#[async_trait]
impl ReadTool for Describe {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(which) = arguments::<Which>(args) else { return Vec::new() };
        let namespace = given(&which.namespace);
        vec![
            self.0.target("get", &which.kind, given(&which.api_version), namespace, Some(&which.name)),
            self.0.target("list", "Event", Some("v1"), namespace, None),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let which: Which = arguments(args)?;
        let reader = &self.0.reader;
        let kind = reader.resolve(&which.kind, given(&which.api_version)).await?;
        let name = which.name.trim();
        let namespace = given(&which.namespace).filter(|_| kind.namespaced);
        let (object, listing) = tokio::join!(
            reader.get(&kind, namespace, name),
            reader.events(namespace, Some(&kind.kind), Some(name), events::READ)
        );
        let object = object::trim(object?);
        let mut seen = Seen::all(Value::Null);
        let mut found = Vec::new();
        match listing {
            Ok(listing) => {
                let (newest, dropped) = events::newest(listing.items, EVENTS);
                found = newest;
                if dropped > 0 || !listing.complete {
                    seen.truncated = true;
                    seen.notes.push(format!("only the newest {EVENTS} events are shown"));
                }
            }
            // The object is worth telling without them.
            Err(e) => seen.notes.push(format!("its events could not be read: {e}")),
        }
        let conditions = object["status"].get("conditions").cloned().unwrap_or_else(|| json!([]));
        seen.data = json!({"object": object, "events": found, "conditions": conditions});
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::description(&seen.data, self.0.clock.now())
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let object = &seen.data["object"];
        let mut out = head(object, now);
        if object["kind"] == "Pod" {
            out.push_str(&containers(object, now));
        }
        let rows: Vec<Vec<String>> = items(&seen.data["conditions"])
            .map(|c| {
                let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
                vec![text("type"), text("status"), age(&c["lastTransitionTime"], now), text("reason"), text("message")]
            })
            .collect();
        if !rows.is_empty() {
            out.push_str("\nConditions:\n");
            out.push_str(&table(&["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"], &rows));
        }
        let events = events::shown(items(&seen.data["events"]), now, false);
        if !events.is_empty() {
            let _ = write!(out, "\nEvents:\n{events}");
        }
        let mut rest = object::readable(object);
        if let Some(status) = rest["status"].as_object_mut() {
            for told in ["conditions", "containerStatuses", "initContainerStatuses"] {
                status.remove(told);
            }
        }
        for part in ["spec", "status", "data"] {
            if rest[part].as_object().is_some_and(|map| !map.is_empty()) {
                let _ = write!(out, "\n{}", yaml(&json!({ part: rest[part].take() })));
            }
        }
        out
    }
}

fn head(object: &Value, now: Timestamp) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    let place = match meta(object, "namespace") {
        "" => String::new(),
        namespace => format!(" in namespace {namespace}"),
    };
    let mut out =
        format!("{kind} {}{place}, age {}\n", meta(object, "name"), age(&object["metadata"]["creationTimestamp"], now));
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if !labels.is_empty() {
        let _ = writeln!(out, "Labels: {}", labels.join(" "));
    }
    for owner in items(&object["metadata"]["ownerReferences"]) {
        let part = |key: &str| owner[key].as_str().unwrap_or_default();
        let _ = writeln!(out, "Owned by: {}/{}", part("kind"), part("name"));
    }
    if let Some(at) = object["metadata"]["deletionTimestamp"].as_str() {
        let finalizers: Vec<&str> = items(&object["metadata"]["finalizers"]).filter_map(Value::as_str).collect();
        let _ = writeln!(out, "Being deleted since {at}; finalizers: {}", finalizers.join(", "));
    }
    let cells = columns::cells(kind, object, now);
    let told: Vec<String> = columns::heads(kind)
        .iter()
        .zip(cells)
        .filter(|(_, cell)| !cell.is_empty())
        .map(|(head, cell)| format!("{head}: {cell}"))
        .collect();
    if !told.is_empty() {
        let _ = writeln!(out, "{}", told.join("  "));
    }
    out
}

/// What each container of a pod does, did before, and may use.
fn containers(pod: &Value, now: Timestamp) -> String {
    let mut rows = Vec::new();
    for (specs, statuses) in [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")] {
        for container in items(&pod["spec"][specs]) {
            let status = items(&pod["status"][statuses]).find(|s| s["name"] == container["name"]);
            let none = Value::Null;
            let status = status.unwrap_or(&none);
            let limits = container["resources"]["limits"].as_object().into_iter().flatten();
            let limits: Vec<String> =
                limits.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
            rows.push(vec![
                container["name"].as_str().unwrap_or_default().to_owned(),
                status["ready"].as_bool().map(|r| r.to_string()).unwrap_or_default(),
                status["restartCount"].as_u64().unwrap_or(0).to_string(),
                state(&status["state"], now),
                state(&status["lastState"], now),
                limits.join(","),
                container["image"].as_str().unwrap_or_default().to_owned(),
            ]);
        }
    }
    let heads = ["CONTAINER", "READY", "RESTARTS", "STATE", "BEFORE", "LIMITS", "IMAGE"];
    format!("\n{}", table(&heads, &rows))
}

/// `terminated OOMKilled exit 137 4m ago: message`.
fn state(state: &Value, now: Timestamp) -> String {
    let Some((word, detail)) = state.as_object().and_then(|map| map.iter().next()) else {
        return String::new();
    };
    let mut out = word.clone();
    if let Some(reason) = detail["reason"].as_str() {
        let _ = write!(out, " {reason}");
    }
    if let Some(code) = detail["exitCode"].as_i64() {
        let _ = write!(out, " exit {code}");
    }
    let at = if word == "terminated" { &detail["finishedAt"] } else { &detail["startedAt"] };
    let ago = age(at, now);
    if !ago.is_empty() {
        let _ = write!(out, " {ago} ago");
    }
    if let Some(message) = detail["message"].as_str() {
        let _ = write!(out, ": {message}");
    }
    out
}
