//! What would suffer from a change.

use super::super::object::items;
use super::super::selector;
use super::Hands;
use crate::domain::BlastRadius;
use crate::edge::kube::ListQuery;
use crate::tools::spec::ToolError;
use serde_json::Value;

/// Most Pods that are counted; more are not known.
const COUNTED: usize = 2000;

impl Hands {
    /// The Pods that a workload's selector selects. Without an answer the radius is not known.
    pub(super) async fn radius(&self, workload: &Value) -> BlastRadius {
        let namespace = workload["metadata"]["namespace"].as_str();
        let selected = selector::query(&workload["spec"]["selector"]);
        match (namespace, selected) {
            (Some(_), Some(selected)) => self.counted(namespace, Some(selected), |_| true).await,
            _ => BlastRadius::default(),
        }
    }

    /// The Pods of a namespace that `fits` says yes to.
    pub(super) async fn counted(
        &self,
        namespace: Option<&str>,
        label_selector: Option<String>,
        fits: impl Fn(&Value) -> bool + Send,
    ) -> BlastRadius {
        let metadata_only = label_selector.is_some();
        let query = ListQuery { label_selector, metadata_only, limit: COUNTED, ..ListQuery::default() };
        let pods = async {
            let kind = self.reader.resolve("Pod", Some("v1")).await?;
            Ok::<_, ToolError>(self.reader.list(&kind, namespace, &query).await?)
        };
        match pods.await {
            Ok(listing) if listing.complete => measured(listing.items.iter().filter(|pod| fits(pod)).count()),
            Ok(_) | Err(_) => BlastRadius::default(),
        }
    }
}

/// So many Pods in one namespace.
pub(super) fn measured(pods: usize) -> BlastRadius {
    BlastRadius { known: true, pods: pods as u64, namespaces: 1, clusters: 1, ..BlastRadius::default() }
}

/// Whether what a workload runs keeps data.
pub(super) fn is_stateful(workload: &Value) -> bool {
    let spec = match workload["kind"].as_str() {
        Some("StatefulSet") => return true,
        Some("Pod") => &workload["spec"],
        _ => &workload["spec"]["template"]["spec"],
    };
    items(&spec["volumes"]).any(|volume| volume["persistentVolumeClaim"].is_object() || volume["ephemeral"].is_object())
}

/// Whether the Pod mounts the claim.
pub(super) fn mounts(pod: &Value, claim: &str) -> bool {
    items(&pod["spec"]["volumes"]).any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}
