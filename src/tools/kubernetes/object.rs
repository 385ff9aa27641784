//! An object without what nobody reads.

use serde_json::{Map, Value, json};

/// Takes out what only machines need: field ownership down to who changed what when, the copies
/// that appliers leave behind in annotations, and the data of Secrets should any ever be there.
pub fn trim(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(fields) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
            for field in fields {
                let mut kept = Map::new();
                for key in ["manager", "operation", "time", "subresource"] {
                    if let Some(value) = field.get(key) {
                        kept.insert(key.to_owned(), value.clone());
                    }
                }
                *field = Value::Object(kept);
            }
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            // `kubectl apply` leaves the whole object here, of a Secret with its data.
            annotations.retain(|key, _| !key.contains("last-applied"));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if object["kind"] == "Secret"
        && let Some(secret) = object.as_object_mut()
    {
        secret.remove("data");
        secret.remove("stringData");
    }
    object
}

/// Gives an item of a list the kind that the list has for all.
pub fn of_kind(mut object: Value, kind: &str, api_version: &str) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.insert("kind".to_owned(), kind.into());
        map.insert("apiVersion".to_owned(), api_version.into());
    }
    object
}

/// The object as a person reads it: no ids of the machine, changes one per line.
pub fn readable(object: &Value) -> Value {
    let mut shown = object.clone();
    if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["uid", "resourceVersion", "selfLink", "generateName"] {
            metadata.remove(key);
        }
        if let Some(fields) = metadata.remove("managedFields").as_ref().and_then(Value::as_array) {
            let changes: Vec<String> = fields.iter().map(change).collect();
            metadata.insert("changedBy".to_owned(), json!(changes));
        }
    }
    shown
}

/// `2026-11-21T00:07:52Z kubectl-patch Update status`.
fn change(field: &Value) -> String {
    let part = |key: &str| field[key].as_str().unwrap_or_default();
    format!("{} {} {} {}", part("time"), part("manager"), part("operation"), part("subresource")).trim().to_owned()
}

/// `metadata.<key>`, or nothing.
pub fn meta<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// The items of a list below `value`, empty when it is none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
