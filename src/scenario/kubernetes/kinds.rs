//! Which kinds the API server knows: the usual built-in ones, and whatever else the world contains.

use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// One resource of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub plural: Cow<'static, str>,
    pub short: Cow<'static, [&'static str]>,
    pub namespaced: bool,
    /// Built-in kinds are listed without `kind` and `apiVersion` on each item, custom ones with them.
    pub built_in: bool,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// `deployments.apps`, `pods`: how the server's messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }
}

type Row = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], bool);

/// group, version, kind, plural, short names, namespaced.
const BUILT_IN: &[Row] = &[
    ("", "v1", "ConfigMap", "configmaps", &["cm"], true),
    ("", "v1", "Endpoints", "endpoints", &["ep"], true),
    ("", "v1", "Event", "events", &["ev"], true),
    ("", "v1", "LimitRange", "limitranges", &["limits"], true),
    ("", "v1", "Namespace", "namespaces", &["ns"], false),
    ("", "v1", "Node", "nodes", &["no"], false),
    ("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true),
    ("", "v1", "Pod", "pods", &["po"], true),
    ("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], true),
    ("", "v1", "ResourceQuota", "resourcequotas", &["quota"], true),
    ("", "v1", "Secret", "secrets", &[], true),
    ("", "v1", "Service", "services", &["svc"], true),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], true),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", &[], false),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        &[],
        false,
    ),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], false),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", &[], true),
    ("apps", "v1", "DaemonSet", "daemonsets", &["ds"], true),
    ("apps", "v1", "Deployment", "deployments", &["deploy"], true),
    ("apps", "v1", "ReplicaSet", "replicasets", &["rs"], true),
    ("apps", "v1", "StatefulSet", "statefulsets", &["sts"], true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], true),
    ("batch", "v1", "CronJob", "cronjobs", &["cj"], true),
    ("batch", "v1", "Job", "jobs", &[], true),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", &["csr"], false),
    ("coordination.k8s.io", "v1", "Lease", "leases", &[], true),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], true),
    ("events.k8s.io", "v1", "Event", "events", &["ev"], true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], true),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], false),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", &[], false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", &[], false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", &[], true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", &[], true),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], false),
    ("storage.k8s.io", "v1", "CSIDriver", "csidrivers", &[], false),
    ("storage.k8s.io", "v1", "CSINode", "csinodes", &[], false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], false),
    ("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", &[], false),
];

/// Everything that the server knows, by group and version.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    kinds: Vec<Kind>,
}

impl Catalogue {
    /// The built-in kinds and those of `objects`.
    pub(crate) fn of<'a>(objects: impl Iterator<Item = &'a Value> + Clone) -> Self {
        let mut kinds: Vec<Kind> = BUILT_IN
            .iter()
            .map(|&(group, version, kind, plural, short, namespaced)| Kind {
                group: group.into(),
                version: version.into(),
                kind: kind.into(),
                plural: plural.into(),
                short: short.into(),
                namespaced,
                built_in: true,
            })
            .collect();
        let plurals = declared_plurals(objects.clone());
        for object in objects {
            let (Some(api_version), Some(kind)) = (text(object, "/apiVersion"), text(object, "/kind")) else {
                continue;
            };
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            if kinds.iter().any(|k| k.group == group && k.version == version && k.kind == kind) {
                continue;
            }
            let plural = plurals
                .get(&(group.to_owned(), kind.to_owned()))
                .cloned()
                .unwrap_or_else(|| plural_of(&kind.to_lowercase()));
            kinds.push(Kind {
                group: group.to_owned().into(),
                version: version.to_owned().into(),
                kind: kind.to_owned().into(),
                plural: plural.into(),
                short: Cow::Borrowed(&[]),
                namespaced: text(object, "/metadata/namespace").is_some(),
                built_in: false,
            });
        }
        kinds.sort_by(|a, b| (&a.group, &a.version, &a.plural).cmp(&(&b.group, &b.version, &b.plural)));
        Self { kinds }
    }

    /// The same with `more` kinds, whose objects are computed.
    #[must_use]
    pub(crate) fn with(mut self, more: Vec<Kind>) -> Self {
        self.kinds.extend(more);
        self.kinds.sort_by(|a, b| (&a.group, &a.version, &a.plural).cmp(&(&b.group, &b.version, &b.plural)));
        self
    }

    /// The kind behind a path.
    pub(crate) fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<&Kind> {
        self.in_version(group, version).find(|k| k.plural == plural)
    }

    /// The kind of an object.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.in_version(group, version).find(|k| k.kind == kind)
    }

    pub(crate) fn in_version(&self, group: &str, version: &str) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().filter(move |k| k.group == group && k.version == version)
    }

    /// Named groups with their versions; the core group is not among them.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in self.kinds.iter().filter(|k| !k.group.is_empty()) {
            let versions = groups.entry(kind.group.as_ref()).or_default();
            if !versions.contains(&kind.version.as_ref()) {
                versions.push(kind.version.as_ref());
            }
        }
        groups
    }
}

fn text<'v>(object: &'v Value, pointer: &str) -> Option<&'v str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// Plural names that the world's own CustomResourceDefinitions declare.
fn declared_plurals<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeMap<(String, String), String> {
    objects
        .filter(|o| text(o, "/kind") == Some("CustomResourceDefinition"))
        .filter_map(|crd| {
            let group = text(crd, "/spec/group")?.to_owned();
            let kind = text(crd, "/spec/names/kind")?.to_owned();
            Some(((group, kind), text(crd, "/spec/names/plural")?.to_owned()))
        })
        .collect()
}

/// The plural that Kubernetes' own generator would guess.
fn plural_of(singular: &str) -> String {
    if let Some(stem) = singular.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        format!("{stem}ies")
    } else if singular.ends_with(['s', 'x', 'z']) || singular.ends_with("ch") || singular.ends_with("sh") {
        format!("{singular}es")
    } else {
        format!("{singular}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_custom_kind_gets_its_declared_or_its_guessed_plural() {
        let objects = [
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"},
                   "spec": {"group": "x.example", "names": {"kind": "Octopus", "plural": "octopodes"}}}),
            json!({"apiVersion": "x.example/v1", "kind": "Octopus", "metadata": {"name": "o", "namespace": "n"}}),
            json!({"apiVersion": "y.example/v1", "kind": "Policy", "metadata": {"name": "p"}}),
        ];
        let catalogue = Catalogue::of(objects.iter());
        assert!(catalogue.by_plural("x.example", "v1", "octopodes").unwrap().namespaced);
        assert!(!catalogue.by_plural("y.example", "v1", "policies").unwrap().namespaced);
        assert_eq!(catalogue.by_plural("apps", "v1", "deployments").unwrap().qualified(), "deployments.apps");
        assert_eq!(catalogue.groups()["apps"], ["v1"]);
    }
}
