//! `kubernetes_cordon` and `kubernetes_uncordon`: whether new Pods may come to a node.

use super::super::object::items;
use super::Hands;
use super::patch::{Patching, Sketch};
use crate::domain::{Action, BlastRadius, Undo};
use crate::edge::kube::ListQuery;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_cordon` when `on`, else `kubernetes_uncordon`.
pub(super) struct Cordon {
    pub(super) on: bool,
}

/// Nodes that are looked through.
const NODES: usize = 5000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
}

#[async_trait]
impl Patching for Cordon {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError> {
        let Args { name } = arguments(args)?;
        let name = name.trim();
        let kind = hands.reader.resolve("Node", Some("v1")).await?;
        let object = hands.reader.get(&kind, None, name).await?;
        if is_cordoned(&object) == self.on {
            let state = if self.on { "is cordoned already" } else { "is not cordoned" };
            return Err(ToolError::invalid(format!("Node {name} {state}")));
        }
        if self.on {
            let nodes = hands.reader.list(&kind, None, &ListQuery { limit: NODES, ..ListQuery::default() }).await?;
            let others = nodes.items.iter().filter(|node| node["metadata"]["name"] != name);
            if !others.into_iter().any(|node| is_ready(node) && !is_cordoned(node)) {
                return Err(ToolError::invalid(format!("Node {name} is the last one that takes Pods")));
            }
        }
        let (verb, other, wanted) = match self.on {
            true => ("cordon", "kubernetes_uncordon", json!(true)),
            false => ("uncordon", "kubernetes_cordon", Value::Null),
        };
        let restores = if self.on { "that new Pods come to it" } else { "that no new Pods come to it" };
        let undo = Undo { tool: other.to_owned(), args: json!({"name": name}), restores: restores.to_owned() };
        let patch = json!({"spec": {"unschedulable": wanted}});
        let sketch = Sketch::new(kind, object, format!("{verb} Node {name}"), patch);
        // Pods that run there stay.
        let blast_radius = BlastRadius { known: true, clusters: 1, ..BlastRadius::default() };
        Ok(Sketch { undo: Some(undo), blast_radius, ..sketch })
    }

    fn observe(&self, _: &Action, object: &Value) -> Observed {
        match (is_cordoned(object) == self.on, self.on) {
            (true, true) => Observed::Settled("no new Pods come to it".to_owned()),
            (true, false) => Observed::Settled("new Pods may come to it".to_owned()),
            (false, _) => Observed::Broken("somebody took it back".to_owned()),
        }
    }
}

fn is_cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

fn is_ready(node: &Value) -> bool {
    items(&node["status"]["conditions"]).any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
