//! Changes of a recorded world: what it holds from then on. Only what tools of this program send is
//! understood: merge patches, evictions, removals, new objects, each with its precondition, and each
//! tried first. Nothing in the world reacts: no controller runs, no volume grows by itself.

use super::{Asked, Kind, Refused, Target, json_answer, read, with_status};
use crate::{domain::Digest, scenario::World};
use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use serde_json::{Map, Value, json};

/// An answer, and the objects of the world from then on where they are others.
pub(super) type Written = (Response, Option<Vec<Value>>);

/// Makes or tries a change.
pub(super) fn answer(world: &World, asked: &Asked<'_>, target: &Target<'_>) -> Result<Written, Refused> {
    let body: Value = match asked.body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&asked.body)
            .map_err(|e| Refused::bad_request(format!("the body of the request is no JSON: {e}")))?,
    };
    let dry = asked.parameter("dryRun") == Some("All")
        || [&body, &body["deleteOptions"]].iter().any(|options| options["dryRun"][0] == "All");
    let (response, objects) = match (&asked.method, target.name, target.subresource) {
        (&Method::PATCH, Some(name), None) => patch(world, asked, target, name, &body)?,
        (&Method::DELETE, Some(name), None) => remove(world, target, name, &body)?,
        (&Method::POST, Some(name), Some("eviction")) if target.kind.plural == "pods" => {
            let (_, objects) = remove(world, target, name, &body["deleteOptions"])?;
            (with_status(StatusCode::CREATED, &success()), objects)
        }
        (&Method::POST, None, None) => create(world, target, body)?,
        _ => return Err(Refused::UnknownPath),
    };
    Ok((response, Some(objects).filter(|_| !dry)))
}

type Changed = (Response, Vec<Value>);

fn patch(world: &World, asked: &Asked<'_>, target: &Target<'_>, name: &str, body: &Value) -> Result<Changed, Refused> {
    if asked.media != "application/merge-patch+json" {
        return Err(Refused::unsupported(asked.media));
    }
    let before = read::find(world, target, name)?;
    precondition(target.kind, before, &body["metadata"])?;
    let mut after = before.clone();
    merge(&mut after, body);
    if after["spec"] != before["spec"] {
        let generation = before.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(1);
        after["metadata"]["generation"] = (generation + 1).into();
    }
    after["metadata"]["resourceVersion"] = next_version(world).into();
    let objects = world.objects.iter().map(|object| if std::ptr::eq(object, before) { &after } else { object });
    Ok((json_answer(&after), objects.cloned().collect()))
}

fn remove(world: &World, target: &Target<'_>, name: &str, options: &Value) -> Result<Changed, Refused> {
    let gone = read::find(world, target, name)?;
    precondition(target.kind, gone, &options["preconditions"])?;
    let objects = world.objects.iter().filter(|object| !std::ptr::eq(*object, gone));
    Ok((json_answer(&success()), objects.cloned().collect()))
}

fn create(world: &World, target: &Target<'_>, mut object: Value) -> Result<Changed, Refused> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if name.is_empty() || object["kind"] != *target.kind.kind {
        return Err(Refused::bad_request("the new object has no name, or is of another kind than its path"));
    }
    if read::find(world, target, &name).is_ok() {
        return Err(Refused::exists(target.kind, &name));
    }
    let identity = Digest::of_parts(["created", &target.kind.kind, target.namespace.unwrap_or_default(), &name]);
    let metadata = &mut object["metadata"];
    if let Some(namespace) = target.namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata["uid"] = format!("{}-{}", identity.short(8), &identity.short(20)[8..]).into();
    metadata["creationTimestamp"] = world.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    metadata["resourceVersion"] = next_version(world).into();
    let mut objects = world.objects.clone();
    objects.push(object.clone());
    Ok((with_status(StatusCode::CREATED, &object), objects))
}

/// What the change was made for has to be what is there.
fn precondition(kind: &Kind, object: &Value, wanted: &Value) -> Result<(), Refused> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    for key in ["uid", "resourceVersion"] {
        if let Some(wanted) = wanted[key].as_str()
            && object["metadata"][key] != wanted
        {
            return Err(Refused::conflict(kind, name));
        }
    }
    Ok(())
}

/// Merge patch, RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Value::Object(into) = into {
        for (key, value) in patch {
            match value.is_null() {
                true => drop(into.remove(key)),
                false => merge(into.entry(key.clone()).or_insert(Value::Null), value),
            }
        }
    }
}

/// Higher than any that an object carries.
fn next_version(world: &World) -> String {
    let versions = world.objects.iter().filter_map(|object| object.pointer("/metadata/resourceVersion")?.as_str());
    let highest = versions.filter_map(|version| version.parse::<u64>().ok()).max().unwrap_or(0);
    (highest.max(1_000 + world.objects.len() as u64) + 1).to_string()
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_sets_adds_and_takes_away() {
        let mut object = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        merge(&mut object, &json!({"a": {"b": null, "c": [3], "e": {"f": 2}}, "d": {"g": null, "h": 1}}));
        assert_eq!(object, json!({"a": {"c": [3], "e": {"f": 2}}, "d": {"h": 1}}));
    }
}
