//! The objects, and what requests do to them.

use super::answer::{Asked, status};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where the objects of a kind are.
const KINDS: [(&str, &str, &str, bool); 14] = [
    ("v1", "Pod", "pods", true),
    ("v1", "Node", "nodes", false),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "ReplicaSet", "replicasets", true),
    ("batch/v1", "Job", "jobs", true),
    ("batch/v1", "CronJob", "cronjobs", true),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
];

#[derive(Debug, Default)]
pub struct Objects {
    by_path: BTreeMap<String, Value>,
    version: u64,
    made: u64,
    /// What happened, as `verb path`; trials and what others did are not in it.
    pub ledger: Vec<String>,
    pub owners: Vec<(String, String, String)>,
    pub evictions_forbidden: bool,
}

type Answer = (u16, Value);

fn conflict(message: &str) -> Answer {
    (409, status(409, "Conflict", message, Value::Null))
}

fn path_of(object: &Value) -> String {
    let kind = KINDS.iter().find(|kind| object["kind"] == kind.1 && object["apiVersion"] == kind.0);
    let (api, _, plural, namespaced) = kind.unwrap_or_else(|| panic!("no such kind: {object}"));
    let root = if api.contains('/') { "apis" } else { "api" };
    let name = object["metadata"]["name"].as_str().unwrap();
    match namespaced {
        true => {
            format!("/{root}/{api}/namespaces/{}/{plural}/{name}", object["metadata"]["namespace"].as_str().unwrap())
        }
        false => format!("/{root}/{api}/{plural}/{name}"),
    }
}

impl Objects {
    fn next_version(&mut self) -> Value {
        self.version += 1;
        (1000 + self.version).to_string().into()
    }

    /// A new object gets identity and version.
    pub fn put(&mut self, mut object: Value) {
        self.made += 1;
        object["metadata"]["uid"] = format!("uid-{}", self.made).into();
        object["metadata"]["resourceVersion"] = self.next_version();
        object["metadata"]["generation"] = 1.into();
        self.by_path.insert(path_of(&object), object);
    }

    pub fn get(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    /// Somebody else changes it.
    pub fn meddle(&mut self, path: &str, patch: &Value) {
        let version = self.next_version();
        if let Some(object) = self.by_path.get_mut(path) {
            merge(object, patch);
            object["metadata"]["resourceVersion"] = version;
        }
    }

    /// A Job with a time to live is through and taken away before anybody looks at it.
    fn collect(&mut self) {
        self.by_path.retain(|_, object| object["spec"]["ttlSecondsAfterFinished"].is_null());
    }

    /// GET of an object or a list.
    pub fn look(&mut self, asked: &Asked) -> Answer {
        self.collect();
        let path = asked.path.as_str();
        if let Some(object) = self.by_path.get(path) {
            return (200, object.clone());
        }
        let plural = path.rsplit('/').next().unwrap_or_default();
        let Some(kind) = KINDS.iter().find(|kind| kind.2 == plural) else {
            return match path {
                "/version" => (200, json!({"gitVersion": "v1.36.2"})),
                _ if path.starts_with("/api/v1/namespaces/") && path.split('/').count() == 5 => {
                    (200, json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": plural}}))
                }
                _ => (404, status(404, "NotFound", &format!("{path} not found"), Value::Null)),
            };
        };
        let namespace = path.split_once("/namespaces/").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        let wanted = selector(&asked.query);
        let items: Vec<&Value> = self
            .by_path
            .values()
            .filter(|object| object["kind"] == kind.1)
            .filter(|object| namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace))
            .filter(|object| wanted.iter().all(|(key, value)| object["metadata"]["labels"][key] == value.as_str()))
            .collect();
        (200, json!({"kind": format!("{}List", kind.1), "apiVersion": kind.0, "metadata": {}, "items": items}))
    }

    /// A change, or with `keep` false the trial of one.
    pub fn change(&mut self, asked: &Asked, keep: bool) -> Answer {
        let path = asked.object();
        match (asked.method.as_str(), asked.media.as_str()) {
            ("PATCH", "application/merge-patch+json") => self.patch(&path, &asked.body, keep),
            ("PATCH", "application/apply-patch+yaml") => self.apply(&path, &asked.body, keep),
            ("POST", _) if asked.path.ends_with("/eviction") => self.evict(&path, &asked.body, keep),
            ("POST", _) => self.create(&path, &asked.body, keep),
            ("DELETE", _) => self.delete(&path, &asked.body["preconditions"], keep, "delete"),
            other => (405, status(405, "MethodNotAllowed", &format!("{other:?}"), Value::Null)),
        }
    }

    /// Whether the object is there, and in the state that a request is for.
    fn expected(&self, path: &str, wanted: &Value) -> Result<Value, Answer> {
        let Some(object) = self.by_path.get(path) else {
            return Err((404, status(404, "NotFound", &format!("{path} not found"), Value::Null)));
        };
        for key in ["uid", "resourceVersion"] {
            if wanted[key].is_string() && wanted[key] != object["metadata"][key] {
                return Err(conflict(&format!("{path}: the object has been modified ({key})")));
            }
        }
        Ok(object.clone())
    }

    fn patch(&mut self, path: &str, body: &Value, keep: bool) -> Answer {
        match self.expected(path, &body["metadata"]) {
            Ok(before) => self.merged(path, &before, body, keep),
            Err(answer) => answer,
        }
    }

    fn merged(&mut self, path: &str, before: &Value, body: &Value, keep: bool) -> Answer {
        let mut after = before.clone();
        merge(&mut after, body);
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if after == *before {
            return (200, after);
        }
        if after["spec"] != before["spec"] {
            after["metadata"]["generation"] = (before["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
        }
        if keep {
            after["metadata"]["resourceVersion"] = self.next_version();
            self.by_path.insert(path.to_owned(), after.clone());
            self.ledger.push(format!("patch {path}"));
        }
        (200, after)
    }

    fn apply(&mut self, path: &str, body: &Value, keep: bool) -> Answer {
        let before = match self.expected(path, &body["metadata"]) {
            Ok(before) => before,
            Err(answer) => return answer,
        };
        let taken: Vec<Value> = self
            .owners
            .iter()
            .filter(|(of, pointer, _)| {
                of == path && body.pointer(pointer).is_some_and(|value| Some(value) != before.pointer(pointer))
            })
            .map(|(_, pointer, manager)| {
                json!({"reason": "FieldManagerConflict", "field": pointer.replace('/', "."), "message": format!("conflict with {manager:?}")})
            })
            .collect();
        match taken.is_empty() {
            true => self.merged(path, &before, body, keep),
            false => (409, status(409, "Conflict", "Apply failed", Value::from(taken))),
        }
    }

    fn create(&mut self, path: &str, body: &Value, keep: bool) -> Answer {
        if self.by_path.contains_key(path) {
            return (409, status(409, "AlreadyExists", &format!("{path} already exists"), Value::Null));
        }
        if keep {
            self.put(body.clone());
            self.ledger.push(format!("create {path}"));
            return (201, self.by_path[path].clone());
        }
        (201, body.clone())
    }

    fn delete(&mut self, path: &str, preconditions: &Value, keep: bool, verb: &str) -> Answer {
        if let Err(answer) = self.expected(path, preconditions) {
            return answer;
        }
        if keep {
            self.by_path.remove(path);
            self.ledger.push(format!("{verb} {path}"));
        }
        (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
    }

    fn evict(&mut self, path: &str, body: &Value, keep: bool) -> Answer {
        if self.evictions_forbidden {
            let causes =
                json!([{"reason": "DisruptionBudget", "message": "The disruption budget api needs 2 healthy pods"}]);
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            return (429, status(429, "TooManyRequests", message, causes));
        }
        self.delete(path, &body["deleteOptions"]["preconditions"], keep, "evict")
    }
}

/// `labelSelector=app=api,tier=b`, as far as it compares.
fn selector(query: &str) -> Vec<(String, String)> {
    let written = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap_or_default();
    let plain = written.replace("%3D", "=").replace("%2C", ",");
    plain.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

/// A merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
            value => merge(&mut target[key.as_str()], value),
        }
    }
}
