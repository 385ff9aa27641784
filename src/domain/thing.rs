//! What an alert is about, by a name that outlives the object: the Pods of a workload come and go, and
//! what happened to the last one counts for the next.

use super::event::{Resource, ResourceType, SreEvent};
use super::finding::Entity;

/// Longest name, in bytes.
const MOST: usize = 500;
/// Letters and digits that Kubernetes makes the ends of names from.
const DRAWN: &str = "bcdfghjklmnpqrstvwxz2456789";

impl SreEvent {
    /// The thing that its history is kept of: the workload of a Pod, a volume, a node, a service. An
    /// alert that names nothing, or an exporter that reports about others, stands for itself.
    pub fn thing(&self) -> String {
        let resource = &self.resource;
        let (id, kind) = (resource.id.trim(), resource.kind);
        let is_exporter = self.labels.get("instance") == Some(&resource.id);
        let named = match kind {
            ResourceType::K8sPod => name_in_things("Pod", id),
            ResourceType::K8sDeployment | ResourceType::K8sStatefulset => name_in_things("StatefulSet", id),
            ResourceType::K8sJob => name_in_things("Job", id),
            ResourceType::K8sPvc => name_in_things("PersistentVolumeClaim", id),
            ResourceType::K8sNode => Some(format!("{kind}/{id}")),
            ResourceType::Unknown => None,
            ResourceType::Ceph
            | ResourceType::Database
            | ResourceType::Certificate
            | ResourceType::Host
            | ResourceType::Service => Some(format!("{kind}/{id}")).filter(|_| !is_exporter || names_itself(kind)),
        };
        let is_object = kind.as_str().starts_with("k8s_");
        let is_nameless = id.is_empty() || (is_object && is_exporter);
        let name = match named.filter(|_| !is_nameless) {
            None => format!("alert/{}/{}", self.source, self.fingerprint),
            Some(named) => {
                let namespace = resource.namespace.as_deref().unwrap_or_default();
                // A node is in no namespace, whatever its exporter is in.
                let namespace = if kind == ResourceType::K8sNode { "" } else { namespace };
                placed(resource.cluster.as_deref(), namespace, &named)
            }
        };
        short(&name)
    }

    /// The things by which an alert is known to be about a Kubernetes object: its own, and the owner that its labels
    /// name. Alerts on one object are one incident, and so are those on the Pods of one workload, as far as their
    /// names tell. A bare `instance` does not count: exporters put their own address there for everything that
    /// they report.
    pub fn named_things(&self) -> Vec<String> {
        let Resource { kind, id, cluster, .. } = &self.resource;
        let is_exporter = self.labels.get("instance") == Some(id);
        let is_object = kind.as_str().starts_with("k8s_") && !is_exporter && !id.trim().is_empty();
        let own = is_object.then(|| self.thing());
        let owner = self.named_owner().and_then(|owner| thing_of(cluster.as_deref(), &owner));
        let owner = owner.filter(|owner| own.as_ref() != Some(owner));
        own.into_iter().chain(owner).collect()
    }

    /// The workload that labels name outright: as what the alert is about, or as the owner of that. Only where
    /// they can be about it: an exporter that reports about others may wear the name of its own workload.
    pub fn named_owner(&self) -> Option<Entity> {
        let label = |key: &str| self.labels.get(key).map_or("", |value| value.trim());
        let resource = &self.resource;
        let is_named = !resource.id.trim().is_empty() && label("instance") != resource.id.trim();
        let is_trusted = label("instance").is_empty() || label("job").contains("kube-state-metrics");
        let is_about_it = match resource.kind {
            ResourceType::K8sPod
            | ResourceType::K8sDeployment
            | ResourceType::K8sStatefulset
            | ResourceType::K8sJob => is_named || is_trusted,
            ResourceType::K8sPvc | ResourceType::Unknown => is_trusted,
            _ => false,
        };
        let in_pairs = [("workload_type", "workload"), ("created_by_kind", "created_by_name")];
        let [by_workload, by_creator] = in_pairs.map(|(kind, name)| (workload_kind(label(kind)), label(name)));
        let by_label = OWNING.map(|(key, kind)| (Some(kind), label(key)));
        let named = [by_workload].into_iter().chain(by_label).chain([by_creator]);
        let (kind, name) = named.filter(|(_, name)| !name.is_empty()).find_map(|(kind, name)| Some((kind?, name)))?;
        let namespace = resource.namespace.as_deref().unwrap_or_default().trim();
        is_about_it.then(|| Entity::new(kind, namespace, name))
    }
}

/// Labels that name a workload, its kind outright.
const OWNING: [(&str, &str); 5] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
];

/// Kinds that own Pods, and one another.
const WORKLOADS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"];

/// The kind of a workload as the API writes it, whatever case it stands in.
pub fn workload_kind(kind: &str) -> Option<&'static str> {
    WORKLOADS.into_iter().find(|known| known.eq_ignore_ascii_case(kind))
}

/// A Kubernetes object by the name under which [`SreEvent::thing`] knows it; only what can be a part of one
/// workload: it, its Pods, their volumes.
pub fn thing_of(cluster: Option<&str>, object: &Entity) -> Option<String> {
    let name = object.name.trim();
    let named = name_in_things(&object.kind, name).filter(|_| !name.is_empty())?;
    Some(short(&placed(cluster, &object.namespace, &named)))
}

fn placed(cluster: Option<&str>, namespace: &str, named: &str) -> String {
    format!("{}/{}/{named}", cluster.unwrap_or_default().trim(), namespace.trim())
}

fn short(name: &str) -> String {
    name[..name.floor_char_boundary(MOST)].to_owned()
}

fn name_in_things(kind: &str, name: &str) -> Option<String> {
    match kind {
        "Pod" => Some(format!("workload/{}", workload(name))),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => Some(format!("workload/{name}")),
        "Job" | "CronJob" => Some(format!("{}/{}", ResourceType::K8sJob, without_number(name))),
        "PersistentVolumeClaim" => Some(format!("{}/{name}", ResourceType::K8sPvc)),
        _ => None,
    }
}

/// Where the address that is asked is the thing itself.
const fn names_itself(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Host | ResourceType::Service | ResourceType::Database)
}

/// The workload of a Pod, by the Pod's name: without what a ReplicaSet, a DaemonSet or a StatefulSet put
/// behind it.
fn workload(pod: &str) -> &str {
    let drawn = |end: &str| end.chars().all(|c| DRAWN.contains(c));
    let Some((rest, end)) = pod.rsplit_once('-').filter(|(rest, _)| !rest.is_empty()) else { return pod };
    if end.len() == 5 && drawn(end) {
        return match rest.rsplit_once('-') {
            Some((name, hash)) if !name.is_empty() && (6..=10).contains(&hash.len()) && drawn(hash) => name,
            _ => rest,
        };
    }
    without_number(pod)
}

/// The name without the number behind it: a StatefulSet's Pod, a CronJob's Job.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, number)) if !rest.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlertStatus, BlobRef, EventId, Severity};
    use jiff::Timestamp;

    fn about(kind: ResourceType, id: &str, instance: &str) -> String {
        alert(kind, id, &[("instance", instance)]).thing()
    }

    fn alert(kind: ResourceType, id: &str, labels: &[(&str, &str)]) -> SreEvent {
        SreEvent {
            id: EventId::new(uuid::Uuid::nil()),
            source: "alertmanager".into(),
            fingerprint: "f00d".into(),
            group_key: None,
            status: AlertStatus::Firing,
            severity: Severity::Warning,
            name: "A".into(),
            subject: "s".into(),
            resource: Resource { kind, id: id.into(), namespace: Some("shop".into()), cluster: Some("eu1".into()) },
            title: "A".into(),
            description: String::new(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            annotations: Default::default(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            received_at: Timestamp::UNIX_EPOCH,
            links: vec![],
            raw: BlobRef::commit(&[0; 16], b""),
            raw_hmac: String::new(),
            via: None,
            ended_by: None,
        }
    }

    #[test]
    fn a_thing_keeps_its_name_when_it_is_made_anew() {
        use ResourceType::*;
        for (kind, id, instance, expected) in [
            (K8sPod, "api-6d4cf56db6-x2x4z", "", "eu1/shop/workload/api"),
            (K8sPod, "api-6d4cf56db6-b7l9k", "10.0.0.1:8080", "eu1/shop/workload/api"),
            (K8sDeployment, "api", "", "eu1/shop/workload/api"),
            (K8sPod, "db-0", "", "eu1/shop/workload/db"),
            (K8sStatefulset, "db", "", "eu1/shop/workload/db"),
            (K8sPod, "node-exporter-x2x4z", "", "eu1/shop/workload/node-exporter"),
            (K8sPod, "redis-cache", "", "eu1/shop/workload/redis-cache"),
            (K8sPod, "x2x4z", "", "eu1/shop/workload/x2x4z"),
            (K8sJob, "backup-28391040", "", "eu1/shop/k8s_job/backup"),
            (K8sPvc, "data-db-0", "", "eu1/shop/k8s_pvc/data-db-0"),
            (K8sNode, "worker-3", "", "eu1//k8s_node/worker-3"),
            (K8sPod, "10.0.0.9:8080", "10.0.0.9:8080", "alert/alertmanager/f00d"),
            (Host, "web1:9100", "web1:9100", "eu1/shop/host/web1:9100"),
            (Certificate, "prober:9115", "prober:9115", "alert/alertmanager/f00d"),
            (Service, "", "", "alert/alertmanager/f00d"),
            (Unknown, "a:1", "", "alert/alertmanager/f00d"),
        ] {
            assert_eq!(about(kind, id, instance), expected, "{kind} {id}");
        }
        assert!(about(K8sPod, &"ä".repeat(999), "").len() <= MOST);
    }

    #[test]
    fn an_object_has_the_name_that_an_alert_on_it_has() {
        use ResourceType::*;
        for (kind, name, alike) in [
            ("Pod", "api-6d4cf56db6-x2x4z", Some((K8sPod, "api-6d4cf56db6-b7l9k"))),
            ("Pod", "db-0", Some((K8sStatefulset, "db"))),
            ("Deployment", "api", Some((K8sDeployment, "api"))),
            ("DaemonSet", "agent", Some((K8sPod, "agent-x2x4z"))),
            ("Job", "backup-28391040", Some((K8sJob, "backup"))),
            ("CronJob", "backup", Some((K8sJob, "backup-28391041"))),
            ("PersistentVolumeClaim", "data-db-0", Some((K8sPvc, "data-db-0"))),
            ("Node", "worker-3", None),
            ("Namespace", "shop", None),
            ("Service", "api", None),
            ("ConfigMap", "api", None),
            ("Secret", "api", None),
            ("Pod", " ", None),
        ] {
            let object = Entity::new(kind, "shop", name);
            assert_eq!(thing_of(Some("eu1"), &object), alike.map(|(kind, id)| about(kind, id, "")), "{object}");
        }
    }

    #[test]
    fn labels_that_can_be_about_it_name_the_owner() {
        use ResourceType::*;
        let ksm = ("job", "kube-state-metrics");
        let scraped = ("instance", "10.0.0.3:8080");
        for (kind, id, labels, owner) in [
            (K8sPod, "x", &[("workload", "api"), ("workload_type", "deployment")][..], Some("Deployment shop/api")),
            (
                K8sPod,
                "x",
                &[("created_by_kind", "StatefulSet"), ("created_by_name", "db")],
                Some("StatefulSet shop/db"),
            ),
            (K8sPod, "x", &[("created_by_kind", "Node"), ("created_by_name", "n1")], None),
            (K8sPod, "x", &[("workload", "api")], None),
            (K8sPod, "x", &[("workload", "api"), ("workload_type", "rollout")], None),
            (K8sPod, "x", &[scraped, ("job", "app"), ("deployment", "api")], Some("Deployment shop/api")),
            (K8sJob, "b-1", &[("job_name", "b-1"), ("cronjob", "b")], Some("CronJob shop/b")),
            (Unknown, "10.0.0.3:8080", &[scraped, ksm, ("daemonset", "agent")], Some("DaemonSet shop/agent")),
            (Unknown, "", &[("daemonset", "agent")], Some("DaemonSet shop/agent")),
            // An exporter's own workload.
            (Unknown, "10.0.0.3:8080", &[scraped, ("job", "agent"), ("daemonset", "agent")], None),
            (K8sPvc, "data", &[scraped, ("job", "volumes"), ("deployment", "volumes")], None),
            (K8sNode, "n1", &[("daemonset", "node-exporter")], None),
            (Host, "10.0.0.3:8080", &[scraped, ksm, ("daemonset", "node-exporter")], None),
            (K8sPod, "x", &[("deployment", " ")], None),
        ] {
            let named = alert(kind, id, labels).named_owner().map(|owner| owner.to_string());
            assert_eq!(named.as_deref(), owner, "{kind} {id} {labels:?}");
        }
    }
}
