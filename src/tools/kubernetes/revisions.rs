//! The revisions that a workload's controller keeps.

use super::object::items;
use serde_json::Value;

/// Where the number of a revision stands, on a Deployment and its ReplicaSets.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";

/// Whether `owner` is what controls `item`.
pub(super) fn controls(owner: &Value, item: &Value) -> bool {
    let uid = &owner["metadata"]["uid"];
    uid.is_string() && controllers(item).any(|controller| controller["uid"] == *uid)
}

/// Whether anything controls `item`.
pub(super) fn is_controlled(item: &Value) -> bool {
    controllers(item).next().is_some()
}

fn controllers(item: &Value) -> impl Iterator<Item = &Value> {
    items(&item["metadata"]["ownerReferences"]).filter(|owner| owner["controller"] == true)
}

/// The number of a Deployment's present revision, or of the one that a ReplicaSet is.
pub(super) fn number(object: &Value) -> Option<i64> {
    object["metadata"]["annotations"][REVISION].as_str()?.parse().ok()
}

/// The pod template of a ReplicaSet or a ControllerRevision, as its workload had it.
pub(super) fn template(kept: &Value) -> Value {
    let spec = if kept["spec"]["template"].is_object() { &kept["spec"] } else { &kept["data"]["spec"] };
    let mut template = spec["template"].clone();
    if let Some(map) = template.as_object_mut() {
        // How the controller patches it back.
        map.remove("$patch");
    }
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_controls_is_known_by_identity_alone() {
        let owner = json!({"metadata": {"uid": "u-1", "name": "api"}});
        let item = |uid: Value, controller: bool| json!({"metadata": {"ownerReferences": [{"name": "api", "uid": uid, "controller": controller}]}});
        assert!(controls(&owner, &item(json!("u-1"), true)));
        for other in [item(json!("u-2"), true), item(json!("u-1"), false), json!({})] {
            assert!(!controls(&owner, &other), "{other}");
        }
        assert!(!controls(&json!({}), &item(json!(null), true)), "nobody's identity is no identity");
        assert!(is_controlled(&item(json!("u-2"), true)) && !is_controlled(&item(json!("u-1"), false)));
    }

    #[test]
    fn a_template_is_told_without_what_its_controller_adds() {
        let pods = json!({"metadata": {"labels": {"app": "a"}}, "spec": {}});
        let hashed = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "1"}}, "spec": {}});
        let patch = json!({"$patch": "replace", "metadata": {"labels": {"app": "a"}}, "spec": {}});
        assert_eq!(template(&json!({"spec": {"template": hashed}})), pods);
        assert_eq!(template(&json!({"data": {"spec": {"template": patch}}})), pods);
        assert_eq!(number(&json!({"metadata": {"annotations": {REVISION: "7"}}})), Some(7));
        assert_eq!(number(&json!({"metadata": {"annotations": {REVISION: "x"}}})), None);
    }
}
