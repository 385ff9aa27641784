//! What an alert is about, by a name that outlives the object: the Pods of a workload come and go, and
//! what happened to the last one counts for the next.

use super::event::{ResourceType, SreEvent};

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
            ResourceType::K8sPod => Some(format!("workload/{}", workload(id))),
            ResourceType::K8sDeployment | ResourceType::K8sStatefulset => Some(format!("workload/{id}")),
            ResourceType::K8sJob => Some(format!("{kind}/{}", without_number(id))),
            ResourceType::K8sPvc | ResourceType::K8sNode => Some(format!("{kind}/{id}")),
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
                let part = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
                // A node is in no namespace, whatever its exporter is in.
                let namespace = if kind == ResourceType::K8sNode { String::new() } else { part(&resource.namespace) };
                format!("{}/{namespace}/{named}", part(&resource.cluster))
            }
        };
        name[..name.floor_char_boundary(MOST)].to_owned()
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
    use crate::domain::{AlertStatus, BlobRef, EventId, Resource, Severity};
    use jiff::Timestamp;

    fn about(kind: ResourceType, id: &str, instance: &str) -> String {
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
            labels: [("instance".to_owned(), instance.to_owned())].into(),
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
        .thing()
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
}
