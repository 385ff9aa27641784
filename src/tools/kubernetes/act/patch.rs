//! The way of every tool that patches one object. The patch is a merge patch of the object itself, never
//! of a subresource, so that the change and its mark arrive together or not at all; it holds the version
//! that was read, so that of two copies the server takes one.

use super::super::revisions::is_controlled;
use super::{Hands, after, alive, identified, marks, meta, place, precondition, preview, receipt, untried};
use crate::domain::{Action, BlastRadius, Marker, Receipt, Reconciled, Retry, Target, Undo};
use crate::edge::kube::{ApiKind, Change, Place};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Observed, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A patch before the server has tried it.
pub(super) struct Sketch {
    /// The object's kind.
    pub(super) kind: ApiKind,
    /// The object as it was read.
    pub(super) object: Value,
    /// In one line.
    pub(super) title: String,
    /// What changes, without mark and precondition; [`marks::MARK`] stands for the marker.
    pub(super) patch: Value,
    /// What travels in the journal in the patch's place, where that holds what the journal need not keep.
    pub(super) instead: Option<Value>,
    /// How it would be taken back.
    pub(super) undo: Option<Undo>,
    /// It can be taken back.
    pub(super) reversible: bool,
    /// It keeps data.
    pub(super) stateful: bool,
    /// What would suffer.
    pub(super) blast_radius: BlastRadius,
    /// What policy is told beside.
    pub(super) facts: Value,
}

impl Sketch {
    /// A patch that can be taken back, of an object that keeps no data.
    pub(super) fn new(kind: ApiKind, object: Value, title: String, patch: Value) -> Self {
        Self {
            kind,
            object,
            title,
            patch,
            instead: None,
            undo: None,
            reversible: true,
            stateful: false,
            blast_radius: BlastRadius::default(),
            facts: Value::Null,
        }
    }
}

/// What is particular to one patching tool.
#[async_trait]
pub(super) trait Patching: Send + Sync {
    /// Reads what is needed and says what would be patched.
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError>;

    /// The patch at the time of execution.
    async fn patch(&self, _hands: &Hands, action: &Action) -> Result<Value, ActError> {
        Ok(action.carries["patch"].clone())
    }

    /// How the patched object fares.
    fn observe(&self, action: &Action, object: &Value) -> Observed;
}

/// A tool that patches one object.
pub(super) struct Patches<P> {
    pub(super) hands: Hands,
    pub(super) of: P,
}

#[async_trait]
impl<P: Patching> ActTool for Patches<P> {
    fn spec(&self) -> &ToolSpec {
        &self.hands.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let sketch = self.of.sketch(&self.hands, args).await?;
        let object = &sketch.object;
        identified(object, &sketch.title)?;
        alive(object, &sketch.title)?;
        let uid = meta(object, "uid");
        let at = Place {
            kind: &sketch.kind,
            namespace: object["metadata"]["namespace"].as_str(),
            name: meta(object, "name"),
        };
        let seen = precondition(object);
        let body = whole(sketch.patch.clone(), &seen, marks::borne(object), marks::MARK);
        let tried = self.hands.writer.try_out(&at, &Change::Merge(body)).await.map_err(|e| untried(&e))?;
        let preview = preview::of("spec", &object["spec"], &tried["spec"]);
        if preview.text.is_empty() {
            return Err(ToolError::invalid(format!("{}: nothing would change", sketch.title)));
        }
        let target = Target {
            resource_version: Some(meta(object, "resourceVersion").to_owned()),
            stateful: sketch.stateful,
            controlled: is_controlled(object),
            ..self.hands.writer.target(&at, "patch", Some(uid))
        };
        let mut carries = sketch.instead.unwrap_or_else(|| json!({"patch": sketch.patch}));
        carries["marks"] = marks::borne(object).into();
        Ok(Plan {
            title: sketch.title,
            targets: vec![target],
            preview,
            precondition: seen,
            carries,
            undo: sketch.undo,
            reversible: sketch.reversible,
            retry: Retry::Probe,
            blast_radius: sketch.blast_radius,
            facts: sketch.facts,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.hands.spec.name, now)?;
        let kind = self.hands.kind_of(&action).await.map_err(|e| ActError::refused(e.for_reader()))?;
        let patch = self.of.patch(&self.hands, &action).await?;
        let mark = permit.marker().as_str();
        let borne = action.carries["marks"].as_str().unwrap_or_default();
        let body = whole(patch, &action.precondition, borne, mark);
        let target = action.target();
        match self.hands.writer.make(&permit, now, &place(&kind, &target), &Change::Merge(body)).await {
            Ok(object) => Ok(receipt(&action, &object)),
            Err(unmade) => after(unmade, self.reconcile(&action, permit.marker())).await,
        }
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        Ok(found(action, marker, self.hands.now(action).await?.as_ref()))
    }

    async fn observe(&self, action: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        Ok(match self.hands.now(action).await? {
            Some(object) if Some(meta(&object, "uid")) == action.target().uid.as_deref() => {
                self.of.observe(action, &object)
            }
            Some(_) | None => Observed::Broken(format!("{} is gone", action.target().label())),
        })
    }
}

/// The patch with its mark and the state that it is for.
fn whole(patch: Value, seen: &Value, borne: &str, mark: &str) -> Value {
    let mut body = marks::stamped(patch, mark);
    let metadata = &mut body["metadata"];
    metadata["uid"] = seen["uid"].clone();
    metadata["resourceVersion"] = seen["resource_version"].clone();
    metadata["annotations"][marks::ACTION] = marks::added(borne, mark).into();
    body
}

/// What the object tells of a change that may have been made.
pub(super) fn found(action: &Action, marker: &Marker, object: Option<&Value>) -> Reconciled {
    let label = action.target().label();
    let Some(object) = object else {
        return Reconciled::Superseded { why: format!("{label} is gone") };
    };
    if action.precondition["uid"] != object["metadata"]["uid"] {
        return Reconciled::Superseded { why: format!("{label} was made anew: it is another object") };
    }
    match marks::bears(object, marker) {
        true => Reconciled::Applied { receipt: receipt(action, object) },
        // In another state than the request was for, the object refuses a copy that is still on its way.
        false => Reconciled::Absent {
            definite: action.precondition["resource_version"] != object["metadata"]["resourceVersion"],
        },
    }
}
