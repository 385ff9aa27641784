//! One volume: the claim, what it is bound to, where it is attached and who mounts it.

mod look;

#[cfg(test)]
mod tests;

use super::object::items;
use super::unread::Unread;
use super::{Cluster, arguments, events};
use crate::edge::EdgeError;
use crate::edge::kube::{ApiKind, ListQuery, Listing};
use crate::tools::gist::{CHARS, listed, name as short};
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Most pods, StatefulSets and attachments that are looked through.
const READ: usize = 1000;
/// The newest events that are kept.
const EVENTS: usize = 50;
/// Most nodes that are asked for their drivers.
const NODES: usize = 5;

/// `kubernetes_volume`.
#[derive(Debug, Clone)]
pub struct Volume(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    name: String,
}

/// What belongs to a claim, as far as it could be read.
#[derive(Debug, Default)]
struct Parts {
    claim: Value,
    volume: Option<Value>,
    class: Option<Value>,
    attachments: Option<Vec<Value>>,
    pods: Option<Vec<Value>>,
    sets: Vec<Value>,
    /// CSINodes of the nodes that mount it.
    csi_nodes: Vec<Value>,
}

#[async_trait]
impl ReadTool for Volume {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let namespace = Some(args.namespace.as_str());
        let storage = Some("storage.k8s.io/v1");
        vec![
            self.0.target("get", "PersistentVolumeClaim", Some("v1"), namespace, Some(&args.name)),
            self.0.target("get", "PersistentVolume", Some("v1"), None, None),
            self.0.target("get", "StorageClass", storage, None, None),
            self.0.target("list", "VolumeAttachment", storage, None, None),
            self.0.target("get", "CSINode", storage, None, None),
            self.0.target("list", "Pod", Some("v1"), namespace, None),
            self.0.target("list", "StatefulSet", Some("apps/v1"), namespace, None),
            self.0.target("list", "Event", Some("v1"), namespace, None),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, namespace, name) = (&self.0.reader, args.namespace.trim(), args.name.trim());
        let claims = reader.resolve("PersistentVolumeClaim", Some("v1")).await?;
        let claim = reader.get(&claims, Some(namespace), name).await?;
        let mut unread = Unread::default();
        let mut notes = Vec::new();
        let class = look::class_of(&claim).map(str::to_owned);
        let volume = claim["spec"]["volumeName"].as_str().filter(|v| !v.is_empty()).map(str::to_owned);
        let (bound, class, attachments, pods, sets, found) = tokio::join!(
            self.one("PersistentVolume", "v1", volume.as_deref()),
            self.one("StorageClass", "storage.k8s.io/v1", class.as_deref()),
            self.all("VolumeAttachment", "storage.k8s.io/v1", volume.as_ref().and(Some(None))),
            self.all("Pod", "v1", Some(Some(namespace))),
            self.all("StatefulSet", "apps/v1", Some(Some(namespace))),
            reader.events(Some(namespace), Some("PersistentVolumeClaim"), Some(name), events::READ)
        );
        let mut listed = |what: &str, answer: Result<Listing, _>, unread: &mut Unread| {
            let listing = unread.take(what, answer)?;
            if !listing.complete {
                notes.push(format!("only {READ} {what} were looked through"));
            }
            Some(listing.items)
        };
        let attachments = listed("volume attachments", attachments, &mut unread);
        let pods = listed("pods of the namespace", pods, &mut unread);
        let sets = listed("StatefulSets of the namespace", sets, &mut unread).unwrap_or_default();
        let mut parts = Parts {
            volume: unread.take("its PersistentVolume", bound).flatten(),
            class: unread.take("its StorageClass", class).flatten(),
            attachments: attachments.map(|all| look::attached(all, volume.as_deref())),
            pods: pods.map(|all| look::mounting(all, name)),
            sets,
            claim,
            ..Parts::default()
        };
        for node in look::nodes(&parts).iter().take(NODES) {
            let csi = self.one("CSINode", "storage.k8s.io/v1", Some(node)).await;
            parts.csi_nodes.extend(unread.take(&format!("the CSI drivers of node {}", short(node)), csi).flatten());
        }
        let mut seen = Seen::all(look::at(&parts, namespace, self.0.clock.now()));
        if let Some(listing) = unread.take("its events", found) {
            let complete = listing.complete;
            let (newest, dropped) = events::newest(listing.items, EVENTS);
            if dropped > 0 || !complete {
                notes.push(format!("only the newest {EVENTS} events are shown"));
            }
            seen.data["events"] = newest.into();
        }
        seen.truncated = !notes.is_empty();
        seen.notes = notes;
        unread.tell(&mut seen);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let (claim, class) = (&seen.data["claim"], &seen.data["class"]);
        let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
        let size = match (text(&claim["given"]), text(&claim["asked"])) {
            (given, asked) if given.is_empty() => format!("asks for {asked}"),
            (given, asked) if asked.is_empty() || given == asked => given,
            (given, asked) => format!("{given} given, {asked} asked"),
        };
        let mut parts = vec![text(&claim["phase"]), size];
        parts.push(match text(&class["name"]) {
            name if name.is_empty() => "no class".to_owned(),
            name => match class["expandable"].as_bool() {
                Some(true) => format!("{name} expandable"),
                Some(false) => format!("{name} not expandable"),
                None => name,
            },
        });
        let mounting: Vec<String> = items(&seen.data["mounted_by"]).map(|p| text(&p["pod"])).collect();
        parts.push(match (mounting.as_slice(), seen.data["mounted_by"].is_array()) {
            ([], true) => "no pod mounts it".to_owned(),
            ([], false) => String::new(),
            ([one], _) => format!("mounted by {one}"),
            ([first, rest @ ..], _) => format!("mounted by {first} and {} more", rest.len()),
        });
        parts.extend(items(&seen.data["problems"]).map(text).take(2));
        parts.retain(|part| !part.is_empty());
        listed(&format!("PersistentVolumeClaim {}", text(&claim["name"])), &parts, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let data = &seen.data;
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let mut out = String::new();
        for problem in items(&data["problems"]) {
            let _ = writeln!(out, "Problem: {}", text(problem));
        }
        let mut rows = Vec::new();
        for (part, keys) in look::SHOWN {
            for key in keys {
                let value = &data[part][*key];
                let told = if key.ends_with("since") || *key == "created" { age(value, now) } else { text(value) };
                if !told.is_empty() {
                    rows.push(vec![part.to_owned(), key.replace('_', " "), told]);
                }
            }
        }
        out.push_str(&table(&["PART", "WHAT", "VALUE"], &rows));
        let rows = |key: &str, columns: &[&str]| -> Vec<Vec<String>> {
            let row = |item: &Value| {
                let cell = |c: &&str| if c.ends_with("since") { age(&item[*c], now) } else { text(&item[*c]) };
                columns.iter().map(cell).collect()
            };
            items(&data[key]).map(row).collect()
        };
        for (title, key, head, columns) in [
            (
                "Conditions",
                "conditions",
                &["TYPE", "STATUS", "SINCE", "MESSAGE"][..],
                &["type", "status", "since", "message"][..],
            ),
            (
                "Attached to",
                "attachments",
                &["NODE", "ATTACHED", "AGE", "ERROR"],
                &["node", "attached", "since", "error"],
            ),
            ("Mounted by", "mounted_by", &["POD", "STATUS", "NODE", "HOW"], &["pod", "status", "node", "how"]),
        ] {
            let rows = rows(key, columns);
            if !rows.is_empty() {
                let _ = write!(out, "\n{title}:\n{}", table(head, &rows));
            }
        }
        let events = events::shown(items(&data["events"]), now, false);
        if !events.is_empty() {
            let _ = write!(out, "\nEvents:\n{events}");
        }
        let _ = writeln!(out, "\nHow full it is, Prometheus knows: prometheus_query {}", text(&data["usage_query"]));
        out
    }
}

impl Volume {
    /// One object without a namespace; nothing when there is no name to ask by.
    async fn one(&self, kind: &str, version: &str, name: Option<&str>) -> Result<Option<Value>, EdgeError> {
        let Some(name) = name else { return Ok(None) };
        let kind: ApiKind = self.0.reader.resolve(kind, Some(version)).await?;
        self.0.reader.get(&kind, None, name).await.map(Some)
    }

    /// Objects of a kind, in a namespace or everywhere; none when `place` says that there is nothing to ask.
    async fn all(&self, kind: &str, version: &str, place: Option<Option<&str>>) -> Result<Listing, EdgeError> {
        let Some(namespace) = place else { return Ok(Listing { complete: true, ..Listing::default() }) };
        let kind = self.0.reader.resolve(kind, Some(version)).await?;
        self.0.reader.list(&kind, namespace, &ListQuery { limit: READ, ..ListQuery::default() }).await
    }
}
