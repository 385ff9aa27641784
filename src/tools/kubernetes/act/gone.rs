//! The way of every tool that takes an object away. Nothing can be left on what is gone: the object's
//! identity is the mark, and a second request for it finds nothing that it could take.

use super::{Hands, after, alive, identified, meta, place, receipt, untried};
use crate::domain::{Action, BlastRadius, Marker, Preview, Receipt, Reconciled, Retry, Target};
use crate::edge::kube::{ApiKind, Change, Place};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Observed, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What would be taken away.
pub(super) struct Taken {
    pub(super) kind: ApiKind,
    pub(super) object: Value,
    pub(super) title: String,
    /// What becomes of it, in words.
    pub(super) fate: String,
    /// Something makes it anew.
    pub(super) controlled: bool,
    pub(super) stateful: bool,
    pub(super) blast_radius: BlastRadius,
    /// What is watched afterwards, in the tool's own form.
    pub(super) carries: Value,
}

/// What is particular to one tool that takes away.
#[async_trait]
pub(super) trait Taking: Send + Sync {
    /// Reads what is needed and says what would be taken.
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Taken, ToolError>;

    /// What is sent for the object that `precondition` names.
    fn change(&self, precondition: &Value) -> Change;

    /// How it fares afterwards; `object` is what is under that name now.
    async fn observe(&self, hands: &Hands, action: &Action, object: Option<&Value>) -> Result<Observed, ToolError>;
}

/// A tool that takes one object away.
pub(super) struct Takes<T> {
    pub(super) hands: Hands,
    pub(super) of: T,
}

#[async_trait]
impl<T: Taking> ActTool for Takes<T> {
    fn spec(&self) -> &ToolSpec {
        &self.hands.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let taken = self.of.sketch(&self.hands, args).await?;
        let object = &taken.object;
        identified(object, &taken.title)?;
        alive(object, &taken.title)?;
        let namespace = object["metadata"]["namespace"].as_str();
        let at = Place { kind: &taken.kind, namespace, name: meta(object, "name") };
        let seen = super::precondition(object);
        let change = self.of.change(&seen);
        self.hands.writer.try_out(&at, &change).await.map_err(|e| untried(&e))?;
        let target = Target {
            resource_version: Some(meta(object, "resourceVersion").to_owned()),
            stateful: taken.stateful,
            controlled: taken.controlled,
            ..self.hands.writer.target(&at, change.verb(), Some(meta(object, "uid")))
        };
        let text = format!("removes {}: {}", target.label(), taken.fate);
        Ok(Plan {
            title: taken.title,
            targets: vec![target],
            preview: Preview { kind: "server_dry_run".to_owned(), text, removes: 1, ..Preview::default() },
            precondition: seen,
            carries: taken.carries,
            undo: None,
            reversible: taken.controlled,
            retry: Retry::Probe,
            blast_radius: taken.blast_radius,
            facts: Value::Null,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.hands.spec.name, now)?;
        let kind = self.hands.kind_of(&action).await.map_err(|e| ActError::refused(e.for_reader()))?;
        let (target, change) = (action.target(), self.of.change(&action.precondition));
        match self.hands.writer.make(&permit, now, &place(&kind, &target), &change).await {
            Ok(_) => Ok(receipt(&action, &json!({}))),
            Err(unmade) => after(unmade, self.reconcile(&action, permit.marker())).await,
        }
    }

    async fn reconcile(&self, action: &Action, _: &Marker) -> Result<Reconciled, ToolError> {
        let object = self.hands.now(action).await?;
        Ok(found(action, &self.of.change(&action.precondition), object.as_ref()))
    }

    async fn observe(&self, action: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        let object = self.hands.now(action).await?;
        self.of.observe(&self.hands, action, object.as_ref()).await
    }
}

/// What is under the name tells whether the object is gone or going.
fn found(action: &Action, change: &Change, object: Option<&Value>) -> Reconciled {
    let same = object.filter(|object| action.precondition["uid"] == object["metadata"]["uid"]);
    match same {
        Some(object) if !object["metadata"]["deletionTimestamp"].is_string() => {
            let moved = action.precondition["resource_version"] != object["metadata"]["resourceVersion"];
            let bound = matches!(change, Change::Delete { resource_version: Some(_), .. });
            Reconciled::Absent { definite: bound && moved }
        }
        Some(_) | None => Reconciled::Applied { receipt: receipt(action, &json!({})) },
    }
}
