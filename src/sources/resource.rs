//! What an alert is about: by its labels, then by its name, then by its text.

use super::clean::one_line;
use crate::domain::{Resource, ResourceType};
use std::collections::BTreeMap;

use ResourceType::{
    Ceph, Certificate, Database, Host, K8sDeployment, K8sJob, K8sNode, K8sPod, K8sPvc, K8sStatefulset, Service, Unknown,
};

/// Labels that name the thing, the most telling first. The workloads stand before `instance`: where
/// both are, `instance` is the exporter that reports about the workload.
const NAMING: [(&str, ResourceType); 8] = [
    ("persistentvolumeclaim", K8sPvc),
    ("pod", K8sPod),
    ("node", K8sNode),
    ("statefulset", K8sStatefulset),
    ("deployment", K8sDeployment),
    ("job_name", K8sJob),
    ("cronjob", K8sJob),
    ("instance", Unknown),
];

/// Labels that tell the kind without naming the thing.
const TELLING: [(&str, ResourceType); 7] = [
    ("ceph_daemon", Ceph),
    ("ceph_cluster", Ceph),
    ("datname", Database),
    ("database", Database),
    ("certificate", Certificate),
    ("nodename", Host),
    ("hostname", Host),
];

/// Words in an alert's name, the most telling first.
const IN_NAMES: &[(&str, ResourceType)] = &[
    ("pvc", K8sPvc),
    ("persistentvolume", K8sPvc),
    ("statefulset", K8sStatefulset),
    ("deployment", K8sDeployment),
    ("cronjob", K8sJob),
    ("kubejob", K8sJob),
    ("ceph", Ceph),
    ("certificate", Certificate),
    ("certmanager", Certificate),
    ("x509", Certificate),
    ("postgres", Database),
    ("mysql", Database),
    ("mariadb", Database),
    ("mongo", Database),
    ("redis", Database),
    ("typedb", Database),
    ("etcd", Database),
    ("database", Database),
    ("pod", K8sPod),
    ("container", K8sPod),
    ("crashloop", K8sPod),
    ("oomkilled", K8sPod),
    ("kubenode", K8sNode),
    ("kubelet", K8sNode),
    ("nodenotready", K8sNode),
    ("host", Host),
    ("node", Host),
    ("filesystem", Host),
    ("disk", Host),
    ("target", Service),
    ("service", Service),
    ("endpoint", Service),
    ("probe", Service),
    ("http", Service),
    ("latency", Service),
    ("errorrate", Service),
];

/// Whole words in an alert's text.
const IN_TEXTS: &[(&str, ResourceType)] = &[
    ("pvc", K8sPvc),
    ("persistentvolumeclaim", K8sPvc),
    ("statefulset", K8sStatefulset),
    ("deployment", K8sDeployment),
    ("cronjob", K8sJob),
    ("ceph", Ceph),
    ("certificate", Certificate),
    ("database", Database),
    ("postgres", Database),
    ("postgresql", Database),
    ("mysql", Database),
    ("redis", Database),
    ("pod", K8sPod),
    ("container", K8sPod),
    ("node", K8sNode),
    ("host", Host),
    ("service", Service),
    ("endpoint", Service),
];

/// The thing that an alert with these `labels`, this `name` and this `text` is about.
pub fn resource(labels: &BTreeMap<String, String>, name: &str, text: &str) -> Resource {
    let label = |key: &str| labels.get(key).map(|v| one_line(v, usize::MAX)).filter(|v| !v.is_empty());
    let named = NAMING.iter().find_map(|(key, kind)| label(key).map(|id| (id, *kind)));
    let (id, kind) = named.unwrap_or((String::new(), Unknown));
    let kind = match kind {
        Unknown => TELLING
            .iter()
            .find_map(|(key, kind)| label(key).map(|_| *kind))
            .or_else(|| by_name(name))
            .or_else(|| by_text(text))
            .or_else(|| label("service").map(|_| Service))
            .unwrap_or(Unknown),
        kind => kind,
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| label(key));
    Resource {
        kind,
        id,
        namespace: first(&["namespace", "exported_namespace", "kubernetes_namespace"]),
        cluster: first(&["cluster", "cluster_name"]),
    }
}

fn by_name(name: &str) -> Option<ResourceType> {
    let name = name.to_ascii_lowercase().replace(['_', '-', ' '], "");
    IN_NAMES.iter().find(|(word, _)| name.contains(word)).map(|(_, kind)| *kind)
}

fn by_text(text: &str) -> Option<ResourceType> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).take(2_000).collect();
    IN_TEXTS.iter().find(|(word, _)| words.contains(word)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)], name: &str, text: &str) -> (ResourceType, String) {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = resource(&labels, name, text);
        (found.kind, found.id)
    }

    #[test]
    fn labels_then_name_then_text_tell_what_an_alert_is_about() {
        for (labels, name, text, kind, id) in [
            (&[("persistentvolumeclaim", "data-0"), ("pod", "p"), ("instance", "i")][..], "X", "", K8sPvc, "data-0"),
            (&[("pod", "p"), ("node", "n"), ("instance", "i")], "PVCUsageHigh", "", K8sPod, "p"),
            (&[("persistentvolumeclaim", ""), ("node", "n"), ("instance", "i")], "X", "", K8sNode, "n"),
            (
                &[("deployment", "web"), ("instance", "10.0.0.3:8080")],
                "KubeDeploymentReplicasMismatch",
                "",
                K8sDeployment,
                "web",
            ),
            (&[("instance", "db:9187"), ("datname", "shop")], "TooManyConnections", "", Database, "db:9187"),
            (&[("instance", "a:9100")], "NodeFilesystemAlmostOutOfSpace", "", Host, "a:9100"),
            (&[("instance", "a:1"), ("job", "dead")], "TargetDown", "", Service, "a:1"),
            (&[("instance", "a:1")], "Weird", "the certificate of a pod expires", Certificate, "a:1"),
            (&[("service", "checkout")], "Weird", "", Service, ""),
            (&[("instance", "a:1")], "Weird", "nothing that we know", Unknown, "a:1"),
            (&[], "", "", Unknown, ""),
        ] {
            assert_eq!(of(labels, name, text), (kind, id.to_owned()), "{labels:?} {name} {text}");
        }
    }
}
