//! Kinds that no tool here touches, whatever policy says: what holds secrets, what decides who may do
//! what and what the API server admits, and what whole clusters hang on.

use super::super::object::items;
use crate::edge::kube::ApiKind;
use serde_json::Value;

/// Groups of the API whose objects decide over others.
const GROUPS: [&str; 9] = [
    "rbac.authorization.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "admissionregistration.k8s.io",
    "apiregistration.k8s.io",
    "apiextensions.k8s.io",
    "certificates.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "storage.k8s.io",
];
/// Kinds of the core group.
const CORE: [&str; 6] = ["Secret", "ServiceAccount", "Namespace", "Node", "PersistentVolume", "ComponentStatus"];

/// Why objects of this kind are left alone; `None` where they need not be.
pub(super) fn untouchable(kind: &ApiKind) -> Option<String> {
    let core = kind.group.is_empty() && CORE.contains(&kind.kind.as_str());
    let listed = core || GROUPS.contains(&kind.group.as_str());
    listed.then(|| {
        format!(
            "a {} is never changed or deleted from here: say in your report what has to change, for a person",
            kind.kind
        )
    })
}

/// What `after` may do on its node or under another name that `before` may not; both are whole objects.
pub(super) fn gains(before: &Value, after: &Value) -> Option<&'static str> {
    let (before, after) = (pod_spec(before), pod_spec(after));
    type Look = fn(&Value) -> bool;
    let powers: [(&str, Look); 3] = [
        ("the namespaces of its node", |spec| {
            ["hostPID", "hostIPC", "hostNetwork"].iter().any(|key| spec[key] == true)
        }),
        ("folders of its node", |spec| items(&spec["volumes"]).any(|volume| volume["hostPath"].is_object())),
        ("privileged containers", |spec| {
            ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|key| items(&spec[*key])).any(
                |container| {
                    container["securityContext"]["privileged"] == true
                        || items(&container["securityContext"]["capabilities"]["add"]).next().is_some()
                },
            )
        }),
    ];
    let account =
        |spec: &Value| spec["serviceAccountName"].as_str().filter(|name| *name != "default").map(str::to_owned);
    let gained = powers.iter().find(|(_, has)| has(after) && !has(before)).map(|(what, _)| *what);
    let renamed = account(after).is_some() && account(after) != account(before);
    gained.or_else(|| renamed.then_some("another ServiceAccount"))
}

/// Where a kind keeps what its Pods are like.
fn pod_spec(object: &Value) -> &Value {
    let spec = &object["spec"];
    match object["kind"].as_str() {
        Some("Pod") => spec,
        Some("CronJob") => &spec["jobTemplate"]["spec"]["template"]["spec"],
        _ => &spec["template"]["spec"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_decides_over_others_is_left_alone() {
        let kind = |group: &str, kind: &str| ApiKind {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: String::new(),
            singular: String::new(),
            short_names: vec![],
            namespaced: true,
        };
        for (group, name, left_alone) in [
            ("", "Secret", true),
            ("", "ServiceAccount", true),
            ("", "Namespace", true),
            ("", "Node", true),
            ("", "PersistentVolume", true),
            ("rbac.authorization.k8s.io", "RoleBinding", true),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", true),
            ("apiextensions.k8s.io", "CustomResourceDefinition", true),
            ("apiregistration.k8s.io", "APIService", true),
            ("certificates.k8s.io", "CertificateSigningRequest", true),
            ("", "ConfigMap", false),
            ("apps", "Deployment", false),
            ("batch", "Job", false),
            ("example.org", "Secret", false),
        ] {
            assert_eq!(untouchable(&kind(group, name)).is_some(), left_alone, "{group} {name}");
        }
    }

    #[test]
    fn a_manifest_gains_no_power_over_its_node() {
        let deployment = |spec: Value| json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}});
        let plain = deployment(json!({"containers": [{"name": "a"}]}));
        for (spec, expected) in [
            (json!({"containers": [{"name": "a", "image": "b"}]}), None),
            (json!({"hostNetwork": true}), Some("the namespaces of its node")),
            (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), Some("folders of its node")),
            (json!({"containers": [{"securityContext": {"privileged": true}}]}), Some("privileged containers")),
            (
                json!({"initContainers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}),
                Some("privileged containers"),
            ),
            (json!({"serviceAccountName": "admin"}), Some("another ServiceAccount")),
            (json!({"serviceAccountName": "default"}), None),
        ] {
            let after = deployment(spec);
            assert_eq!(gains(&plain, &after), expected, "{after}");
            assert_eq!(gains(&after, &after), None, "what it has already it does not gain: {after}");
        }
        let cron =
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostPID": true}}}}}});
        assert!(gains(&json!({}), &cron).is_some());
    }
}
