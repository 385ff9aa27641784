//! Kinds that no tool here touches, whatever policy says: what holds secrets, what decides who may do
//! what and what the API server admits, and what whole clusters hang on.

use crate::edge::kube::ApiKind;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
