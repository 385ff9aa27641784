//! `kubernetes_delete`: one object for good.

use super::gone::{Taken, Taking};
use super::{Hands, blast, forbidden};
use crate::domain::{Action, BlastRadius};
use crate::edge::kube::Change;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

/// `kubernetes_delete`.
pub(super) struct Delete;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: String,
    api_version: Option<String>,
    namespace: Option<String>,
    name: String,
}

#[async_trait]
impl Taking for Delete {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Taken, ToolError> {
        let args: Args = arguments(args)?;
        let kind = hands.reader.resolve(&args.kind, given(&args.api_version)).await?;
        if let Some(why) = forbidden::untouchable(&kind) {
            return Err(ToolError::invalid(why));
        }
        if kind.group.is_empty() && kind.kind == "Pod" {
            return Err(ToolError::invalid(
                "a Pod is deleted with kubernetes_delete_pod, which heeds disruption budgets",
            ));
        }
        let object = hands.reader.get(&kind, given(&args.namespace), args.name.trim()).await?;
        let blast_radius = match object["spec"]["selector"].is_object() {
            true => hands.radius(&object).await,
            false => BlastRadius::default(),
        };
        let stateful = kind.kind == "PersistentVolumeClaim" || blast::is_stateful(&object);
        let place =
            object["metadata"]["namespace"].as_str().map_or_else(String::new, |namespace| format!("{namespace}/"));
        Ok(Taken {
            title: format!("delete {} {place}{}", kind.kind, args.name.trim()),
            fate: "for good, with what it owns".to_owned(),
            controlled: false,
            stateful,
            blast_radius,
            carries: Value::Null,
            kind,
            object,
        })
    }

    fn change(&self, precondition: &Value) -> Change {
        let text = |key: &str| precondition[key].as_str().map(str::to_owned);
        Change::Delete { uid: text("uid").unwrap_or_default(), resource_version: text("resource_version") }
    }

    async fn observe(&self, _: &Hands, action: &Action, object: Option<&Value>) -> Result<Observed, ToolError> {
        let same = object.is_some_and(|object| object["metadata"]["uid"] == action.precondition["uid"]);
        Ok(match same {
            true => Observed::Moving("it is still ending".to_owned()),
            false => Observed::Settled("it is gone".to_owned()),
        })
    }
}
