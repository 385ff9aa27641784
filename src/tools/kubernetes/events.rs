//! What the cluster says happened.

use super::{Cluster, arguments, gist, given, object};
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most events that are read, and of these the newest that are kept.
pub(super) const READ: usize = 2000;
const KEPT: usize = 400;

/// `kubernetes_events`.
#[derive(Debug, Clone)]
pub struct Events(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
}

#[async_trait]
impl ReadTool for Events {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        vec![self.0.target("list", "Event", Some("v1"), given(&args.namespace), None)]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let kind = match given(&args.kind) {
            Some(kind) => Some(self.0.reader.resolve(kind, None).await?),
            None => None,
        };
        // Events about things without a namespace lie in namespace `default`, whatever is asked.
        let namespace = given(&args.namespace).filter(|_| kind.as_ref().is_none_or(|k| k.namespaced));
        let kind = kind.as_ref().map(|k| k.kind.as_str());
        let listing = self.0.reader.events(namespace, kind, given(&args.name), READ).await?;
        let complete = listing.complete;
        let (items, dropped) = newest(listing.items, KEPT);
        let mut seen = Seen::all(json!({"items": items}));
        if dropped > 0 || !complete {
            seen.truncated = true;
            let among = if complete { "" } else { " of those that were read; there are more" };
            seen.notes.push(format!("the newest {KEPT} events{among}; name a namespace, kind or name"));
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::events(object::items(&seen.data["items"]), !seen.truncated)
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        let named = args["name"].as_str().is_some_and(|n| !n.is_empty());
        shown(object::items(&seen.data["items"]), self.0.clock.now(), !named)
    }
}

/// Trimmed events, oldest first, at most `keep` of the newest; and how many were dropped.
pub(super) fn newest(items: Vec<Value>, keep: usize) -> (Vec<Value>, usize) {
    let mut items: Vec<Value> =
        items.into_iter().map(|item| object::trim(object::of_kind(item, "Event", "v1"))).collect();
    items.sort_by_cached_key(|item| last_seen(item).map(|at| at.parse::<Timestamp>().ok()));
    let dropped = items.len().saturating_sub(keep);
    items.drain(..dropped);
    (items, dropped)
}

/// When it happened last. Which field says so depends on who wrote the event.
fn last_seen(event: &Value) -> Option<&str> {
    let metadata = &event["metadata"];
    [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["firstTimestamp"],
        &metadata["creationTimestamp"],
    ]
    .into_iter()
    .find_map(Value::as_str)
}

/// Events as a table, oldest first; nothing when there are none.
pub(super) fn shown<'e>(events: impl Iterator<Item = &'e Value>, now: Timestamp, with_object: bool) -> String {
    let rows: Vec<Vec<String>> = events
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let count = event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1);
            let about = &event["involvedObject"];
            let mut row = vec![
                last_seen(event).map(|at| age(&at.into(), now)).unwrap_or_default(),
                text(&event["type"]),
                text(&event["reason"]),
                count.to_string(),
            ];
            if with_object {
                row.push(format!("{}/{}", text(&about["kind"]), text(&about["name"])));
            }
            row.push(text(&event["message"]));
            row
        })
        .collect();
    match (rows.is_empty(), with_object) {
        (true, _) => String::new(),
        (false, true) => table(&["AGE", "TYPE", "REASON", "COUNT", "OBJECT", "MESSAGE"], &rows),
        (false, false) => table(&["AGE", "TYPE", "REASON", "COUNT", "MESSAGE"], &rows),
    }
}
