//! What one object stands in: who owns it, what it runs, who reaches it, what it needs.
//!
//! - `around`: the namespace, read once, each kind in one list.
//! - `relate`: which of it belongs to the object; pure.
//! - `needs`: what a pod's spec refers to.
//! - `row`: how each relation is told.

mod around;
mod needs;
mod relate;
mod row;

#[cfg(test)]
mod tests;

use super::object::{items, meta};
use super::unread::Unread;
use super::{Cluster, arguments, given};
use crate::tools::gist::{CHARS, counted, listed, name as short};
use crate::tools::render::{clip, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most rows of one relation.
const EACH: usize = 20;
/// Most characters of a state in the gist.
const STATE: usize = 24;
/// Owners above owners.
const DEPTH: usize = 6;
/// The kinds of owners that are read; of others the name is told.
const OWNERS: [(&str, &str); 6] = [
    ("ReplicaSet", "apps/v1"),
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// `kubernetes_related`.
#[derive(Debug, Clone)]
pub struct Related(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: String,
    namespace: Option<String>,
    name: String,
    api_version: Option<String>,
}

#[async_trait]
impl ReadTool for Related {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let namespace = given(&args.namespace);
        let mut targets = vec![self.0.target("get", &args.kind, given(&args.api_version), namespace, Some(&args.name))];
        // What is around a node or a volume lies in namespaces that are not known yet.
        let namespaced = self.0.reader.known_kind(&args.kind, given(&args.api_version)).is_none_or(|k| k.namespaced);
        let place = namespace.filter(|_| namespaced);
        for (kind, version) in around::KINDS {
            targets.push(self.0.target("list", kind, Some(version), place, None));
        }
        for (kind, version) in OWNERS {
            targets.push(self.0.target("get", kind, Some(version), place, None));
        }
        targets
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let reader = &self.0.reader;
        let kind = reader.resolve(&args.kind, given(&args.api_version)).await?;
        let subject = reader.get(&kind, given(&args.namespace), args.name.trim()).await?;
        let subject = super::object::of_kind(subject, &kind.kind, &kind.api_version());
        let mut unread = Unread::default();
        let mut notes = Vec::new();
        let owners = self.owners(&subject, &mut unread).await;
        let around = self.around(&subject, &mut unread, &mut notes).await;
        let all = relate::all(&subject, &owners, &around, self.0.clock.now());
        let mut rows: Vec<Value> = Vec::new();
        for group in all.chunk_by(|a, b| a["relation"] == b["relation"]) {
            rows.extend(group.iter().take(EACH).cloned());
            if group.len() > EACH {
                let relation = group[0]["relation"].as_str().unwrap_or_default();
                notes.push(format!("{EACH} of {} are shown as {relation}", group.len()));
            }
        }
        let mut seen = Seen::all(json!({
            "kind": kind.kind, "namespace": meta(&subject, "namespace"), "name": meta(&subject, "name"), "related": rows,
        }));
        seen.truncated = !notes.is_empty();
        seen.notes = notes;
        if !kind.namespaced && !matches!(kind.kind.as_str(), "Node" | "PersistentVolume") {
            seen.notes.push(format!("of a {} only its owners are looked for", short(&kind.kind)));
        }
        unread.tell(&mut seen);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
        let rows: Vec<&Value> = items(&data["related"]).collect();
        let of = |row: &Value| format!("{} {}", text(&row["kind"]), text(&row["name"]));
        // What is wrong, then who owns it, then how much there is.
        let ill = rows.iter().filter(|row| row["problem"] == true);
        let mut parts: Vec<String> =
            ill.take(3).map(|row| format!("{} {}", of(row), clip(&text(&row["state"]), STATE))).collect();
        if let Some(root) = rows.iter().rfind(|row| row["relation"] == "owner") {
            parts.push(format!("owned by {}", of(root)));
        }
        for group in rows.chunk_by(|a, b| a["relation"] == b["relation"]).filter(|g| g[0]["relation"] != "owner") {
            let one = group[0]["relation"].as_str().unwrap_or_default();
            parts.push(counted(group.len(), one, &several(one)));
        }
        let head = format!("{} {}", text(&data["kind"]), text(&data["name"]));
        if parts.is_empty() {
            return format!("{head}: nothing related was found");
        }
        listed(&head, &parts, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let own = &seen.data["namespace"];
        let rows: Vec<Vec<String>> = items(&seen.data["related"])
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                let place = match row["namespace"].is_string() && row["namespace"] != *own {
                    true => format!("{}/", text("namespace")),
                    false => String::new(),
                };
                let mark = if row["problem"] == true { "! " } else { "" };
                vec![
                    text("relation"),
                    format!("{} {place}{}", text("kind"), text("name")),
                    format!("{mark}{}", text("state")),
                ]
            })
            .collect();
        if rows.is_empty() { String::new() } else { table(&["RELATION", "OBJECT", "STATE"], &rows) }
    }
}

/// `pods`, `network policies`, `children`.
fn several(relation: &str) -> String {
    match (relation, relation.strip_suffix('y')) {
        ("child", _) => "children".to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (one, None) => format!("{one}s"),
    }
}

impl Related {
    /// The owners of `subject`, nearest first, each as it is or, where it is not read, as it is referred to.
    async fn owners(&self, subject: &Value, unread: &mut Unread) -> Vec<Value> {
        let mut chain = Vec::new();
        let mut at = subject.clone();
        let namespace = meta(subject, "namespace").to_owned();
        while chain.len() < DEPTH {
            let owner = items(&at["metadata"]["ownerReferences"]).max_by_key(|o| o["controller"] == true).cloned();
            let Some(owner) = owner else { break };
            let text = |key: &str| owner[key].as_str().unwrap_or_default();
            let (kind, version, name) = (text("kind"), text("apiVersion"), text("name"));
            if !OWNERS.contains(&(kind, version)) || namespace.is_empty() {
                chain.push(owner);
                break;
            }
            let read = match self.0.reader.resolve(kind, Some(version)).await {
                Ok(known) => self.0.reader.get(&known, Some(&namespace), name).await,
                Err(error) => Err(error),
            };
            match unread.take(&format!("owner {kind} {}", short(name)), read) {
                Some(object) => {
                    at = super::object::of_kind(object, kind, version);
                    chain.push(at.clone());
                }
                None => {
                    chain.push(owner);
                    break;
                }
            }
        }
        chain
    }
}
