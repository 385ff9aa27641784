//! Reading a cluster; [`act`] changes it.
//!
//! - [`object`]: an object without what nobody reads.
//! - [`columns`]: what a list shows of each kind.
//! - [`gist`]: what was seen, in a line.
//! - [`template`]: what differs between two pod templates.
//! - [`figures`], [`revisions`]: how many Pods a workload has; what its controller keeps of earlier ones.
//! - [`amount`], [`selector`]: what pods ask for, and which labels they have.
//! - [`unread`]: what could not be read, told and never hidden.
//! - [`get`], [`list`], [`describe`], [`events`], [`logs`], [`rollout`], [`top`], [`node`], [`volume`],
//!   [`related`]: the tools.

pub mod act;
mod amount;
pub mod columns;
pub mod describe;
pub mod events;
mod figures;
pub mod get;
mod gist;
pub mod list;
pub mod logs;
pub mod node;
pub mod object;
pub mod related;
mod revisions;
pub mod rollout;
mod selector;
mod template;
pub mod top;
mod unread;
pub mod volume;

#[cfg(test)]
mod tests;

use super::spec::{ReadTool, ToolSpec, arguments, given};
use crate::domain::{Clock, Redactor};
use crate::edge::KubeReader;
use crate::edge::kube::ApiKind;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 10] = [
    "kubernetes_get",
    "kubernetes_list",
    "kubernetes_describe",
    "kubernetes_logs",
    "kubernetes_events",
    "kubernetes_rollout_history",
    "kubernetes_top",
    "kubernetes_node",
    "kubernetes_volume",
    "kubernetes_related",
];

/// What every tool here works with.
#[derive(Debug, Clone)]
pub struct Cluster {
    spec: Arc<ToolSpec>,
    reader: KubeReader,
    clock: Arc<dyn Clock>,
}

/// The tool that `spec` runs, if it is one of ours.
pub fn build(
    spec: Arc<ToolSpec>,
    reader: KubeReader,
    clock: Arc<dyn Clock>,
    redactor: &Arc<ArcSwap<Redactor>>,
) -> Option<Box<dyn ReadTool>> {
    let builtin = spec.builtin.clone();
    let cluster = Cluster { spec, reader, clock };
    Some(match builtin.as_str() {
        "kubernetes_get" => Box::new(get::Get(cluster)),
        "kubernetes_list" => Box::new(list::List(cluster)),
        "kubernetes_describe" => Box::new(describe::Describe(cluster)),
        "kubernetes_logs" => Box::new(logs::Logs { cluster, redactor: redactor.clone() }),
        "kubernetes_events" => Box::new(events::Events(cluster)),
        "kubernetes_rollout_history" => Box::new(rollout::RolloutHistory(cluster)),
        "kubernetes_top" => Box::new(top::Top(cluster)),
        "kubernetes_node" => Box::new(node::Node(cluster)),
        "kubernetes_volume" => Box::new(volume::Volume(cluster)),
        "kubernetes_related" => Box::new(related::Related(cluster)),
        _ => return None,
    })
}

impl Cluster {
    /// What a call touches. The kind is told by its one true name, however it was spelled, so that
    /// a policy on `Secret` holds for `secrets` too.
    fn target(
        &self,
        verb: &str,
        kind: &str,
        api_version: Option<&str>,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Value {
        let known = self.reader.known_kind(kind, api_version);
        let mut target = json!({
            "cluster": self.reader.cluster(),
            "namespace": namespace.map(str::trim),
            "api_version": known.as_ref().map(|k| k.api_version()).or(api_version.map(str::to_owned)),
            "kind": known.as_ref().map_or_else(|| kind.trim().to_owned(), |k| k.kind.clone()),
            "name": name.map(str::trim),
            "verb": verb,
        });
        match known {
            None => target["resolved"] = Value::Bool(false),
            // What a namespaced argument says of a kind without namespaces means nothing.
            Some(known) if !known.namespaced => target["namespace"] = Value::Null,
            Some(_) => {}
        }
        target
    }

    /// What a call touches of a kind that is known here: a list of them, or with a name one.
    fn target_of(&self, kind: &ApiKind, namespace: Option<&str>, name: Option<&str>) -> Value {
        json!({
            "cluster": self.reader.cluster(),
            "namespace": namespace.filter(|_| kind.namespaced).map(str::trim),
            "api_version": kind.api_version(), "kind": kind.kind, "name": name.map(str::trim),
            "verb": if name.is_some() { "get" } else { "list" },
        })
    }
}
