//! The namespace around an object: each kind in one bounded list, all at once.

use super::super::object::{items, meta};
use super::super::unread::Unread;
use super::super::{object, selector};
use super::Related;
use crate::edge::EdgeError;
use crate::edge::kube::{ListQuery, Listing};
use futures::future::join_all;
use serde_json::Value;

/// Most objects of one kind.
const READ: usize = 500;

/// What is listed. Of ConfigMaps only the names; Secrets are not asked for at all: what needs one
/// says so in its spec.
pub(super) const KINDS: [(&str, &str); 12] = [
    ("Pod", "v1"),
    ("ReplicaSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("Service", "v1"),
    ("EndpointSlice", "discovery.k8s.io/v1"),
    ("Ingress", "networking.k8s.io/v1"),
    ("HTTPRoute", "gateway.networking.k8s.io"),
    ("HorizontalPodAutoscaler", "autoscaling/v2"),
    ("PodDisruptionBudget", "policy/v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("PersistentVolumeClaim", "v1"),
    ("ConfigMap", "v1"),
];

/// What was read of a namespace. A kind that is missing could not be read, or is not served.
#[derive(Debug, Default)]
pub(super) struct Around {
    lists: Vec<(&'static str, Vec<Value>)>,
}

impl Around {
    /// The objects of `kind`, when they could be read.
    pub(super) fn known(&self, kind: &str) -> Option<&[Value]> {
        self.lists.iter().find(|(k, _)| *k == kind).map(|(_, items)| items.as_slice())
    }

    /// The objects of `kind`; none when they could not be read.
    pub(super) fn of(&self, kind: &str) -> &[Value] {
        self.known(kind).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn with(mut self, kind: &'static str, items: Vec<Value>) -> Self {
        self.lists.push((kind, items));
        self
    }
}

impl Related {
    /// Reads what `subject` may be related to.
    pub(super) async fn around(&self, subject: &Value, unread: &mut Unread, notes: &mut Vec<String>) -> Around {
        let kind = subject["kind"].as_str().unwrap_or_default();
        let mut lists = Vec::new();
        let (namespace, kinds, on_node) = match (kind, meta(subject, "namespace")) {
            ("Node", _) => (None, &KINDS[..1], Some(format!("spec.nodeName={}", meta(subject, "name")))),
            // A volume's pods are in the namespace of its claim.
            ("PersistentVolume", _) => match subject["spec"]["claimRef"]["namespace"].as_str() {
                Some(namespace) => (Some(namespace), &KINDS[..2], None),
                None => return Around::default(),
            },
            (_, "") => return Around::default(),
            (_, namespace) => (Some(namespace), &KINDS[..], None),
        };
        let mut wanted: Vec<(&'static str, &'static str)> = kinds.to_vec();
        if kind == "Pod" {
            // It is known already, and the others of the namespace are not its own.
            wanted.retain(|(kind, _)| *kind != "Pod");
        }
        let answers = join_all(wanted.iter().map(|(kind, version)| {
            let query = ListQuery {
                label_selector: if *kind == "Pod" { pods_by(subject) } else { None },
                field_selector: on_node.clone(),
                metadata_only: *kind == "ConfigMap",
                limit: READ,
            };
            self.listed(kind, version, namespace, query)
        }))
        .await;
        for ((kind, version), answer) in wanted.into_iter().zip(answers) {
            let Some(listing) = unread.take(&format!("{kind} objects"), answer).flatten() else { continue };
            if !listing.complete {
                notes.push(format!("only {READ} {kind} objects were looked through; others may be related, too"));
            }
            let of_kind = |item| object::of_kind(item, kind, version);
            lists.push((kind, listing.items.into_iter().map(of_kind).collect()));
        }
        if kind == "Pod" {
            lists.push(("Pod", vec![subject.clone()]));
        }
        Around { lists }
    }

    /// Objects of a kind; nothing when this server does not serve it.
    async fn listed(
        &self,
        kind: &str,
        version: &str,
        namespace: Option<&str>,
        query: ListQuery,
    ) -> Result<Option<Listing>, EdgeError> {
        let reader = &self.0.reader;
        let known = match reader.known_kind(kind, Some(version)) {
            Some(known) => known,
            None => {
                reader.discover().await?;
                match reader.known_kind(kind, Some(version)) {
                    Some(known) => known,
                    None => return Ok(None),
                }
            }
        };
        reader.list(&known, namespace, &query).await.map(Some)
    }
}

/// The selector by which the pods of `subject` can be asked for; without one all of the namespace are read.
fn pods_by(subject: &Value) -> Option<String> {
    let (kind, spec) = (subject["kind"].as_str().unwrap_or_default(), &subject["spec"]);
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "PodDisruptionBudget" => {
            selector::query(&spec["selector"])
        }
        "NetworkPolicy" => selector::query(&spec["podSelector"]),
        "Service" => {
            let pairs = spec["selector"].as_object().into_iter().flatten();
            let pairs: Vec<String> =
                pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
            Some(pairs.join(",")).filter(|s| !s.is_empty())
        }
        _ => None,
    }
}

/// The names of what `list` holds.
pub(super) fn names(list: &[Value]) -> impl Iterator<Item = &str> {
    list.iter().map(|item| meta(item, "name"))
}

/// Whether `object` is owned by `owner`, by uid.
pub(super) fn owned(object: &Value, owner: &Value) -> bool {
    let uid = &owner["metadata"]["uid"];
    uid.is_string() && items(&object["metadata"]["ownerReferences"]).any(|reference| reference["uid"] == *uid)
}
