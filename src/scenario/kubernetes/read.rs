//! Single objects and lists.

use super::{
    Asked, Kind, Refused, Target, json_answer, list_meta, metrics,
    select::{FieldSelector, LabelSelector},
};
use crate::{domain::Digest, scenario::World};
use axum::response::Response;
use serde_json::{Value, json};

/// The object of that name.
pub(super) fn find<'w>(world: &'w World, target: &Target<'_>, name: &str) -> Result<&'w Value, Refused> {
    of_kind(world, target.kind)
        .find(|object| held(object, "/metadata/name") == name && in_namespace(object, target.namespace))
        .ok_or_else(|| Refused::not_found(target.kind, name))
}

pub(super) fn get(world: &World, asked: &Asked<'_>, target: &Target<'_>, name: &str) -> Result<Response, Refused> {
    let computed = computed(world, target.kind);
    let object = match &computed {
        None => find(world, target, name)?,
        Some(all) => all
            .iter()
            .find(|object| held(object, "/metadata/name") == name && in_namespace(object, target.namespace))
            .ok_or_else(|| Refused::not_found(target.kind, name))?,
    };
    if computed.is_some() {
        let mut object = object.clone();
        object["kind"] = target.kind.kind.as_ref().into();
        object["apiVersion"] = target.kind.api_version().into();
        return Ok(json_answer(&object));
    }
    if asked.wants("PartialObjectMetadata") {
        return Ok(json_answer(&partial(object)));
    }
    Ok(json_answer(&as_version(object, target.kind)))
}

/// `scale` of a workload.
pub(super) fn scale(world: &World, target: &Target<'_>, name: &str) -> Result<Response, Refused> {
    if !matches!(target.kind.kind.as_ref(), "Deployment" | "ReplicaSet" | "StatefulSet") {
        return Err(Refused::UnknownPath);
    }
    let object = find(world, target, name)?;
    let selector = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object).map(|labels| {
        labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
    });
    Ok(json_answer(&json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": name, "namespace": target.namespace,
            "uid": object.pointer("/metadata/uid"), "resourceVersion": object.pointer("/metadata/resourceVersion"),
            "creationTimestamp": object.pointer("/metadata/creationTimestamp"),
        },
        "spec": {"replicas": object.pointer("/spec/replicas").cloned().unwrap_or_else(|| 1.into())},
        "status": {
            "replicas": object.pointer("/status/replicas").cloned().unwrap_or_else(|| 0.into()),
            "selector": selector,
        },
    })))
}

pub(super) fn list(world: &World, asked: &Asked<'_>, target: &Target<'_>) -> Result<Response, Refused> {
    let kind = target.kind;
    let labels = asked.parameter("labelSelector").map(LabelSelector::parse).transpose()?.unwrap_or_default();
    let fields =
        asked.parameter("fieldSelector").map(|text| FieldSelector::parse(text, kind)).transpose()?.unwrap_or_default();
    let computed = computed(world, kind);
    let all: Vec<&Value> = match &computed {
        Some(all) => all.iter().collect(),
        None => of_kind(world, kind).collect(),
    };
    let found: Vec<&Value> = all
        .into_iter()
        .filter(|object| in_namespace(object, target.namespace) && labels.matches(object) && fields.matches(object))
        .collect();
    let limit = match asked.parameter("limit") {
        Some(text) => text.parse::<usize>().map_err(|_| Refused::bad_request(format!("invalid limit \"{text}\"")))?,
        None => 0,
    };
    let start = asked.parameter("continue").map_or(Ok(0), position)?;
    let page = if limit == 0 { found.len() } else { limit };
    let end = start.saturating_add(page).min(found.len());
    let items = found.get(start..end).unwrap_or_default();

    let mut metadata = list_meta(world);
    if end < found.len() {
        metadata["continue"] = token(end).into();
        // The real server does not count what it would have to select first.
        if asked.parameter("labelSelector").is_none() && asked.parameter("fieldSelector").is_none() {
            metadata["remainingItemCount"] = (found.len() - end).into();
        }
    }
    if asked.wants("PartialObjectMetadataList") {
        let items: Vec<Value> = items.iter().map(|object| partial(object)).collect();
        return Ok(json_answer(&json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
        })));
    }
    let items: Vec<Value> = items
        .iter()
        .map(|object| {
            let mut item = as_version(object, kind);
            if kind.built_in
                && let Some(fields) = item.as_object_mut()
            {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            item
        })
        .collect();
    Ok(json_answer(&json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items,
    })))
}

/// The objects of a kind that is not stored.
fn computed(world: &World, kind: &Kind) -> Option<Vec<Value>> {
    (kind.group == metrics::GROUP).then(|| metrics::objects(world, kind))
}

/// Objects of a kind. Events are stored once and served by both groups.
fn of_kind<'w>(world: &'w World, kind: &Kind) -> impl Iterator<Item = &'w Value> {
    let stored = if kind.group == "events.k8s.io" { "v1".to_owned() } else { kind.api_version() };
    let name = kind.kind.to_string();
    world.objects.iter().filter(move |object| held(object, "/kind") == name && held(object, "/apiVersion") == stored)
}

fn held<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn in_namespace(object: &Value, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| held(object, "/metadata/namespace") == namespace)
}

fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata"),
    })
}

/// The object in the asked version: only events differ between their two groups.
fn as_version(object: &Value, kind: &Kind) -> Value {
    if kind.group != "events.k8s.io" {
        return object.clone();
    }
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or(Value::Null);
    json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": at("/metadata"),
        "eventTime": at("/eventTime"), "reason": at("/reason"), "note": at("/message"), "type": at("/type"),
        "regarding": at("/involvedObject"), "reportingController": at("/reportingComponent"),
        "reportingInstance": at("/reportingInstance"), "deprecatedSource": at("/source"),
        "deprecatedFirstTimestamp": at("/firstTimestamp"), "deprecatedLastTimestamp": at("/lastTimestamp"),
        "deprecatedCount": at("/count"),
    })
}

/// Where a later page begins. Opaque to the client; the check catches what we did not write.
fn token(start: usize) -> String {
    format!("{start:08x}{}", Digest::of_parts(["continue", &start.to_string()]).short(8))
}

fn position(given: &str) -> Result<usize, Refused> {
    given
        .get(..8)
        .and_then(|hex| usize::from_str_radix(hex, 16).ok())
        .filter(|start| token(*start) == given)
        .ok_or_else(|| {
            Refused::bad_request(
                "invalid continue token: continue key is not valid: it was not given out by this server",
            )
        })
}
