//! An object without what nobody reads.

use serde_json::{Map, Value, json};

/// Takes out what only machines need: field ownership down to who changed what when, the copies
/// that appliers leave behind in annotations, and data and annotations of Secrets should any ever be there.
pub fn trim(mut object: Value) -> Value {
    let secret = object["kind"] == "Secret";
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
            annotations.retain(|key, _| !secret && !holds_a_copy(key));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if let Some(object) = object.as_object_mut().filter(|_| secret) {
        object.remove("data");
        object.remove("stringData");
    }
    object
}

/// Whether an annotation of this name holds a copy of the object, as whoever applied it left it there: of
/// a Secret with its data, packed at times.
pub fn holds_a_copy(annotation: &str) -> bool {
    const COPIES: [&str; 3] = ["last-applied", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"];
    COPIES.iter().any(|known| annotation.contains(known))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_objects_and_what_secrets_hold_are_left_out() {
        let annotated = |kind: &str, keys: &[&str]| {
            let annotations: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!("x"))).collect();
            json!({"kind": kind, "metadata": {"name": "n", "annotations": annotations}, "data": {"a": "b"}})
        };
        let copies = [
            "kubectl.kubernetes.io/last-applied-configuration",
            "kapp.k14s.io/original",
            "kapp.k14s.io/original-diff",
            "kapp.k14s.io/original-diff-md5",
            "objectset.rio.cattle.io/applied",
        ];
        assert_eq!(
            trim(annotated("ConfigMap", &copies)),
            json!({"kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": "b"}})
        );
        let kept = trim(annotated("ConfigMap", &["kapp.k14s.io/identity", "objectset.rio.cattle.io/id"]));
        assert_eq!(kept["metadata"]["annotations"].as_object().map(Map::len), Some(2));
        assert_eq!(trim(annotated("Secret", &["note"])), json!({"kind": "Secret", "metadata": {"name": "n"}}));
    }
}
