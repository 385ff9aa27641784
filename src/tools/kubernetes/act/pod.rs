//! `kubernetes_delete_pod`: eviction of one Pod, which its controller makes anew.

use super::super::object::items;
use super::gone::{Taken, Taking};
use super::{Hands, blast, rollout};
use crate::domain::{Action, Effect};
use crate::edge::kube::Change;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_delete_pod`.
pub(super) struct DeletePod;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    name: String,
}

#[async_trait]
impl Taking for DeletePod {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Taken, ToolError> {
        let Args { namespace, name } = arguments(args)?;
        let (namespace, name) = (namespace.trim(), name.trim());
        let kind = hands.reader.resolve("Pod", Some("v1")).await?;
        let object = hands.reader.get(&kind, Some(namespace), name).await?;
        if object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
            return Err(ToolError::invalid(format!(
                "Pod {namespace}/{name} is kept by its node's kubelet, not by the API server"
            )));
        }
        let owner = items(&object["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true).cloned();
        let may_end_for_good = hands.spec.effect == Effect::Destroy;
        let fate = match &owner {
            Some(owner) => format!("{} {} makes it anew", word(&owner["kind"]), word(&owner["name"])),
            None if may_end_for_good => "nothing makes it anew".to_owned(),
            None => {
                return Err(ToolError::invalid(format!(
                    "Pod {namespace}/{name} has no controller: nothing would make it anew, so it is not deleted from here"
                )));
            }
        };
        let carries = owner.as_ref().map_or(Value::Null, |owner| {
            json!({"owner": {"kind": owner["kind"], "api_version": owner["apiVersion"], "name": owner["name"]}})
        });
        Ok(Taken {
            kind,
            title: format!("evict Pod {namespace}/{name}"),
            fate,
            controlled: owner.is_some(),
            stateful: blast::is_stateful(&object) || owner.is_some_and(|owner| owner["kind"] == "StatefulSet"),
            blast_radius: blast::measured(1),
            carries,
            object,
        })
    }

    fn change(&self, precondition: &Value) -> Change {
        Change::Evict { uid: word(&precondition["uid"]).to_owned() }
    }

    async fn observe(&self, hands: &Hands, action: &Action, object: Option<&Value>) -> Result<Observed, ToolError> {
        if object.is_some_and(|object| object["metadata"]["uid"] == action.precondition["uid"]) {
            return Ok(Observed::Moving("it is still ending".to_owned()));
        }
        let owner = &action.carries["owner"];
        let Some(kind) = owner["kind"].as_str() else {
            return Ok(Observed::Settled("it is gone".to_owned()));
        };
        let kind = hands.reader.resolve(kind, owner["api_version"].as_str()).await?;
        let namespace = action.target().namespace;
        Ok(rollout::readiness(&hands.reader.get(&kind, Some(&namespace), word(&owner["name"])).await?))
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
