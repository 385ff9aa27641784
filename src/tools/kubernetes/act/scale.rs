//! `kubernetes_scale`: another number of Pods, within bounds, where nothing else decides about it.

use super::super::object::{items, meta};
use super::patch::{Patching, Sketch};
use super::{Hands, blast, rollout};
use crate::domain::{Action, Undo};
use crate::edge::kube::ListQuery;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_scale`.
pub(super) struct Scale;

/// Most Pods of one workload; beyond that a quarter more at once.
const MOST: u64 = 100;
/// So many Pods are never too many.
const FEW: u64 = 10;
/// More or fewer by at most this factor.
const FACTOR: u64 = 4;
/// Autoscalers of a namespace that are looked through.
const AUTOSCALERS: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: String,
    namespace: String,
    name: String,
    replicas: u64,
}

#[async_trait]
impl Patching for Scale {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError> {
        let Args { kind, namespace, name, replicas } = arguments(args)?;
        let kind = hands.one_of(&kind, &["Deployment", "StatefulSet"])?;
        let (namespace, name) = (namespace.trim(), name.trim());
        let object = hands.reader.get(&kind, Some(namespace), name).await?;
        let what = format!("{} {namespace}/{name}", kind.kind);
        let current = object["spec"]["replicas"].as_u64().unwrap_or(1);
        out_of_bounds(current, replicas).map_or(Ok(()), |why| Err(ToolError::invalid(format!("{what}: {why}"))))?;
        if let Some(autoscaler) = autoscaler(hands, &kind.kind, namespace, name).await? {
            return Err(ToolError::invalid(format!(
                "{what}: HorizontalPodAutoscaler {autoscaler} decides how many Pods it has and would undo this; its \
                 maxReplicas may be what has to change"
            )));
        }
        let mut blast_radius = hands.radius(&object).await;
        if blast_radius.known {
            blast_radius.pods = current.abs_diff(replicas);
        }
        let undo = Undo {
            tool: hands.spec.name.clone(),
            args: json!({"kind": kind.kind, "namespace": namespace, "name": name, "replicas": current}),
            restores: format!("{current} replicas"),
        };
        let stateful = blast::is_stateful(&object);
        let title = format!("scale {what} from {current} to {replicas}");
        let sketch = Sketch::new(kind, object, title, json!({"spec": {"replicas": replicas}}));
        Ok(Sketch { undo: Some(undo), stateful, blast_radius, ..sketch })
    }

    fn observe(&self, action: &Action, object: &Value) -> Observed {
        match object["spec"]["replicas"] == action.args["replicas"] {
            true => rollout::of(object),
            false => Observed::Broken(format!("somebody else set {} replicas", object["spec"]["replicas"])),
        }
    }
}

/// Why a workload is not scaled from `current` to `wanted`. What is permitted can be taken back.
fn out_of_bounds(current: u64, wanted: u64) -> Option<String> {
    let most = |of: u64| of.saturating_mul(FACTOR).max(FEW).min(MOST.max(of.saturating_add(of / 4)));
    match () {
        () if wanted == current => Some(format!("it has {current} replicas already")),
        () if wanted == 0 => Some("it would be switched off with 0 replicas; a person does that".to_owned()),
        () if current == 0 => Some("it is switched off (0 replicas); a person switches it on".to_owned()),
        () if wanted > most(current) => Some(format!("at most {} replicas from {current}", most(current))),
        () if current > most(wanted) => Some(format!(
            "{wanted} replicas are too few at once: there are {current}, and the way back would be too long"
        )),
        () => None,
    }
}

/// The autoscaler that decides about a workload. Where that cannot be read, nothing is scaled.
async fn autoscaler(hands: &Hands, kind: &str, namespace: &str, name: &str) -> Result<Option<String>, ToolError> {
    let autoscalers = hands.reader.resolve("HorizontalPodAutoscaler", Some("autoscaling")).await?;
    let query = ListQuery { limit: AUTOSCALERS, ..ListQuery::default() };
    let listing = hands.reader.list(&autoscalers, Some(namespace), &query).await?;
    if !listing.complete {
        return Err(ToolError::invalid("the namespace has more autoscalers than can be looked through"));
    }
    let decides = |autoscaler: &&Value| {
        let of = &autoscaler["spec"]["scaleTargetRef"];
        of["kind"] == kind && of["name"] == name
    };
    Ok(items(&Value::from(listing.items)).find(decides).map(|found| meta(found, "name").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_off_nor_on_nor_without_bound_and_never_without_a_way_back() {
        for (current, wanted, permitted) in [
            (2, 3, true),
            (3, 2, true),
            (2, 2, false),
            (2, 0, false),
            (0, 2, false),
            (1, 10, true),
            (1, 11, false),
            (3, 12, true),
            (3, 13, false),
            (50, 100, true),
            (50, 101, false),
            (150, 140, true),
            (150, 187, true),
            (150, 188, false),
            (50, 2, false),
            (10, 1, true),
        ] {
            assert_eq!(out_of_bounds(current, wanted).is_none(), permitted, "{current} to {wanted}");
        }
        for current in 1..300 {
            for wanted in 1..300 {
                if out_of_bounds(current, wanted).is_none() {
                    assert_eq!(out_of_bounds(wanted, current), None, "{current} to {wanted} and back");
                }
            }
        }
    }
}
