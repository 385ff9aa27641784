//! `kubernetes_rollout_restart`: a new pod template, equal but for a mark.

use super::patch::{Patching, Sketch};
use super::{Hands, blast, marks, rollout};
use crate::domain::Action;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_rollout_restart`.
pub(super) struct Restart;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[async_trait]
impl Patching for Restart {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError> {
        let args: Args = arguments(args)?;
        let kind = hands.one_of(&args.kind, &["Deployment", "StatefulSet", "DaemonSet"])?;
        let object = hands.reader.get(&kind, Some(args.namespace.trim()), args.name.trim()).await?;
        let what = format!("{} {}/{}", kind.kind, args.namespace.trim(), args.name.trim());
        if let Some(why) = stands_still(&object) {
            return Err(ToolError::invalid(format!("{what}: {why}")));
        }
        let annotations = json!({marks::RESTARTED: marks::MARK});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let blast_radius = hands.radius(&object).await;
        let stateful = blast::is_stateful(&object);
        let sketch = Sketch::new(kind, object, format!("restart {what}"), patch);
        Ok(Sketch { stateful, blast_radius, ..sketch })
    }

    fn observe(&self, _: &Action, object: &Value) -> Observed {
        rollout::of(object)
    }
}

/// Why a new template would make no new Pods.
fn stands_still(workload: &Value) -> Option<&'static str> {
    let spec = &workload["spec"];
    match () {
        () if spec["paused"] == true => Some("its rollout is paused, so nothing would be restarted"),
        () if spec["updateStrategy"]["type"] == "OnDelete" => {
            Some("its strategy is OnDelete: Pods change only when they are deleted; delete the one that is ill")
        }
        () if workload["kind"] == "StatefulSet" && spec["replicas"] != 0 && rollout::renewed(workload) == 0 => Some(
            "its partition (updateStrategy.rollingUpdate.partition) holds back every Pod, so nothing would be restarted",
        ),
        () if spec["replicas"] == 0 => Some("it wants no Pods (0 replicas), so there is nothing to restart"),
        () => None,
    }
}
