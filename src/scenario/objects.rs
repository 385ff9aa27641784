//! The objects of a world: `cluster/*.yaml`, many documents to a file.
//!
//! What every real object has and no reader misses is filled in where it is left out: uid,
//! resourceVersion, creationTimestamp, an event's name, namespace and counters, and the uids by which
//! objects point at each other.

use super::{
    error::{Place, ScenarioError},
    shift::Shift,
};
use crate::domain::Digest;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const MAX_OBJECTS: usize = 50_000;

/// Reads one file.
pub(crate) fn read(
    place: Place<'_>,
    text: &str,
    now: Timestamp,
    shift: Shift,
    into: &mut Vec<Value>,
) -> Result<(), ScenarioError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| place.broken("YAML", e))?;
    for (number, mut object) in documents.into_iter().enumerate() {
        let broken = |key: &str, reason: &str| place.broken(format!("document {}, key `{key}`", number + 1), reason);
        for (key, pointer) in [("apiVersion", "/apiVersion"), ("kind", "/kind")] {
            if object.pointer(pointer).and_then(Value::as_str).is_none() {
                return Err(broken(key, "is missing or no text"));
            }
        }
        if let Some(bad) = bad_instant(&object, "") {
            return Err(broken(&bad, "is no RFC 3339 instant, such as 2026-04-01T15:20:00Z"));
        }
        // An event with a name was captured whole; one without was written down by hand, in short.
        let named = object.pointer("/metadata/name").is_some();
        if object.get("kind").and_then(Value::as_str) == Some("Event") && !named {
            complete_event(&mut object);
        }
        if !object.pointer("/metadata/name").is_some_and(Value::is_string) {
            return Err(broken("metadata.name", "is missing or no text"));
        }
        complete(&mut object, into.len(), now);
        shift.json(&mut object);
        if into.len() >= MAX_OBJECTS {
            return Err(broken("kind", "is one object too many: a world holds at most 50,000"));
        }
        into.push(object);
    }
    Ok(())
}

/// The path of the first `…Timestamp`, `…Time` or `…At` that is a text and no instant.
fn bad_instant(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let named_so =
                key.ends_with("Timestamp") || matches!(key.as_str(), "startedAt" | "finishedAt" | "eventTime");
            match field {
                Value::String(text) if named_so && text.parse::<Timestamp>().is_err() => Some(here),
                other => bad_instant(other, &here),
            }
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| bad_instant(item, &format!("{path}[{at}]")))
        }
        _ => None,
    }
}

fn fields<'v>(object: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
    object.as_object_mut()?.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

fn complete_event(event: &mut Value) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, namespace, name) =
        (text("/involvedObject/kind"), text("/involvedObject/namespace"), text("/involvedObject/name"));
    let (reason, message, first) = (text("/reason"), text("/message"), text("/firstTimestamp"));
    let last = Some(text("/lastTimestamp")).filter(|t| !t.is_empty());
    let component = text("/source/component");
    let host = text("/source/host");
    let suffix = Digest::of_parts([&kind, &name, &reason, &message, &first]).short(16).to_owned();
    if let Some(metadata) = fields(event, "metadata") {
        // Events about cluster-wide things live in `default`.
        let home = if namespace.is_empty() { "default".to_owned() } else { namespace };
        metadata.entry("namespace").or_insert_with(|| home.into());
        metadata.entry("name").or_insert_with(|| format!("{name}.{suffix}").into());
        metadata.entry("creationTimestamp").or_insert_with(|| first.clone().into());
    }
    if let Some(about) = fields(event, "involvedObject") {
        // To be linked.
        about.entry("uid").or_insert(Value::Null);
    }
    if let Some(event) = event.as_object_mut() {
        event.entry("type").or_insert_with(|| "Normal".into());
        event.entry("count").or_insert_with(|| 1.into());
        event.entry("lastTimestamp").or_insert_with(|| last.unwrap_or(first).into());
        event.entry("eventTime").or_insert(Value::Null);
        event.entry("reportingComponent").or_insert_with(|| component.into());
        event.entry("reportingInstance").or_insert_with(|| host.into());
    }
}

fn complete(object: &mut Value, index: usize, now: Timestamp) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let identity = [text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name")];
    let uid = uid(&identity);
    let a_month_ago = now.checked_sub(SignedDuration::from_hours(30 * 24)).unwrap_or(now);
    if let Some(metadata) = fields(object, "metadata") {
        metadata.entry("uid").or_insert_with(|| uid.into());
        metadata.entry("resourceVersion").or_insert_with(|| (1_000 + index).to_string().into());
        metadata
            .entry("creationTimestamp")
            .or_insert_with(|| a_month_ago.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    }
}

/// Fills in the uids by which objects point at each other: owners, and what events are about.
pub(crate) fn link(objects: &mut [Value]) {
    let name_of = |object: &Value, pointers: [&str; 3]| {
        pointers.map(|p| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    let uids: BTreeMap<[String; 3], Value> = objects
        .iter()
        .filter_map(|o| {
            Some((name_of(o, ["/kind", "/metadata/namespace", "/metadata/name"]), o.pointer("/metadata/uid")?.clone()))
        })
        .collect();
    for object in objects {
        if let Some(about) = object.get("involvedObject") {
            let key = name_of(about, ["/kind", "/namespace", "/name"]);
            if about.get("uid").is_some_and(Value::is_null)
                && let Some(about) = fields(object, "involvedObject")
            {
                // What is gone has no uid here.
                match uids.get(&key) {
                    Some(uid) => about.insert("uid".into(), uid.clone()),
                    None => about.remove("uid"),
                };
            }
        }
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
        let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
        for owner in owners.into_iter().flatten() {
            let [kind, _, name] = name_of(owner, ["/kind", "/none", "/name"]);
            // An owner is in the same namespace or cluster-wide.
            let found = uids
                .get(&[kind.clone(), namespace.clone(), name.clone()])
                .or_else(|| uids.get(&[kind, String::new(), name]))
                .cloned();
            if let (Some(uid), Some(owner)) = (found, owner.as_object_mut()) {
                owner.entry("uid").or_insert(uid);
            }
        }
    }
}

/// A uid that is the same each time the world is loaded.
fn uid(identity: &[String]) -> String {
    let digest = Digest::of_parts(identity);
    let hex = digest.short(32);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
