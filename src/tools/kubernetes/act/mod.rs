//! Changing a cluster. Reading is done with the reader's credentials, changing with the writer's.
//!
//! - [`patch`]: the way of every tool that patches one object: sketch, dry run, patch with mark and
//!   precondition, look.
//! - [`gone`]: the same for what takes an object away.
//! - [`marks`]: what a change leaves on an object, so that it is recognised.
//! - [`preview`], [`blast`], [`rollout`]: what would change, what would suffer, how it fares.
//! - [`forbidden`], [`gains`]: kinds that nothing here touches; what a manifest would give to what runs.
//! - [`restart`], [`scale`], [`pod`], [`node`], [`undo`], [`volume`], [`job`], [`apply`], [`delete`]:
//!   the tools.

mod apply;
mod blast;
mod delete;
mod forbidden;
mod gains;
mod gone;
mod job;
pub mod marks;
mod node;
mod patch;
mod pod;
mod preview;
mod restart;
mod rollout;
mod scale;
mod undo;
mod volume;

use crate::domain::{Action, Effect, Receipt, Reconciled};
use crate::edge::kube::{ApiKind, Place, Unmade};
use crate::edge::{EdgeError, KubeReader, KubeWriter};
use crate::tools::act::{ActError, ActTool};
use crate::tools::spec::{ToolError, ToolSpec};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run, with what it does to the world.
pub const BUILTINS: [(&str, Effect); 10] = [
    ("kubernetes_rollout_restart", Effect::Write),
    ("kubernetes_scale", Effect::Write),
    ("kubernetes_delete_pod", Effect::Write),
    ("kubernetes_cordon", Effect::Write),
    ("kubernetes_uncordon", Effect::Write),
    ("kubernetes_rollout_undo", Effect::Write),
    ("kubernetes_expand_volume", Effect::Write),
    ("kubernetes_run_cronjob", Effect::Write),
    ("kubernetes_apply", Effect::Write),
    ("kubernetes_delete", Effect::Destroy),
];

/// What every tool here works with.
#[derive(Debug, Clone)]
struct Hands {
    spec: Arc<ToolSpec>,
    reader: KubeReader,
    writer: KubeWriter,
}

/// The tool that `spec` runs, if it is one of ours.
pub fn build(spec: Arc<ToolSpec>, reader: KubeReader, writer: KubeWriter) -> Option<Box<dyn ActTool>> {
    let builtin = spec.builtin.clone();
    let hands = Hands { spec, reader, writer };
    Some(match builtin.as_str() {
        "kubernetes_rollout_restart" => Box::new(patch::Patches { hands, of: restart::Restart }),
        "kubernetes_scale" => Box::new(patch::Patches { hands, of: scale::Scale }),
        "kubernetes_delete_pod" => Box::new(gone::Takes { hands, of: pod::DeletePod }),
        "kubernetes_cordon" => Box::new(patch::Patches { hands, of: node::Cordon { on: true } }),
        "kubernetes_uncordon" => Box::new(patch::Patches { hands, of: node::Cordon { on: false } }),
        "kubernetes_rollout_undo" => Box::new(patch::Patches { hands, of: undo::RolloutUndo }),
        "kubernetes_expand_volume" => Box::new(patch::Patches { hands, of: volume::ExpandVolume }),
        "kubernetes_run_cronjob" => Box::new(job::RunCronJob(hands)),
        "kubernetes_apply" => Box::new(apply::Apply(hands)),
        "kubernetes_delete" => Box::new(gone::Takes { hands, of: delete::Delete }),
        _ => return None,
    })
}

impl Hands {
    /// The kind that `word` means among `among`, by its one true name.
    fn one_of(&self, word: &str, among: &[&str]) -> Result<ApiKind, ToolError> {
        let known = self.reader.known_kind(word, None);
        known
            .filter(|kind| among.contains(&kind.kind.as_str()))
            .ok_or_else(|| ToolError::invalid(format!("kind: only {} can be changed so", among.join(", "))))
    }

    /// The kind of the main object of an action.
    async fn kind_of(&self, action: &Action) -> Result<ApiKind, ToolError> {
        let target = action.target();
        Ok(self.reader.resolve(&target.kind, Some(&target.api_version)).await?)
    }

    /// The main object of an action as it is now; `None` when it is not there.
    async fn now(&self, action: &Action) -> Result<Option<Value>, ToolError> {
        let (target, kind) = (action.target(), self.kind_of(action).await?);
        let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        match self.reader.get(&kind, namespace, &target.name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if *error.kind() == crate::edge::EdgeErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where the main object of an action is.
fn place<'a>(kind: &'a ApiKind, target: &'a crate::domain::Target) -> Place<'a> {
    let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    Place { kind, namespace, name: &target.name }
}

/// `metadata.<key>`, or nothing.
fn meta<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// The state that a plan was made from.
fn precondition(object: &Value) -> Value {
    json!({"uid": meta(object, "uid"), "resource_version": meta(object, "resourceVersion")})
}

/// What is said of a change that was made.
fn receipt(action: &Action, object: &Value) -> Receipt {
    let version = meta(object, "resourceVersion");
    let reference = match version.is_empty() {
        true => action.target().label(),
        false => format!("{} at {version}", action.target().label()),
    };
    Receipt { reference, summary: format!("{}: accepted by the API server", action.title), detail: Value::Null }
}

/// What follows from a change that did not go through, with one `look` where the object is not in the
/// state that the request was for: an earlier copy of it may be why.
async fn after(
    unmade: Unmade,
    look: impl Future<Output = Result<Reconciled, ToolError>> + Send,
) -> Result<Receipt, ActError> {
    let text = unmade.to_string();
    match &unmade {
        Unmade::Unknown { .. } => return Err(ActError::unknown(text)),
        Unmade::Refused { .. } if !unmade.is_absent() && !unmade.is_taken() => return Err(ActError::refused(text)),
        Unmade::Refused { .. } | Unmade::Stale { .. } => {}
    }
    match look.await {
        Ok(Reconciled::Applied { receipt }) => Ok(receipt),
        Ok(Reconciled::Superseded { why }) => Err(ActError::refused(why)),
        Ok(Reconciled::Absent { definite: true }) => Err(ActError::stale(text)),
        // The server has seen another state, and shows the old one: what it shows is not to be trusted.
        Ok(Reconciled::Absent { definite: false }) => {
            Err(ActError::unknown(format!("{text}; yet a look shows the state of before")))
        }
        Err(error) => Err(ActError::unknown(format!("{text}; and it could not be looked at: {}", error.for_reader()))),
    }
}

/// What a trial that the server refused means for the proposer.
fn untried(unmade: &Unmade) -> ToolError {
    match unmade {
        Unmade::Refused { code: 403 | 401, .. } => ToolError::Refused { text: unmade.to_string() },
        Unmade::Refused { .. } => {
            ToolError::invalid(format!("the API server would refuse it: {unmade}; it was not made"))
        }
        Unmade::Stale { .. } | Unmade::Unknown { .. } => {
            ToolError::failed(format!("the change could not be tried: {unmade}; nothing was made"), true)
        }
    }
}

/// Nothing can be planned on an object that says nothing of itself.
fn identified(object: &Value, what: &str) -> Result<(), ToolError> {
    match meta(object, "uid").is_empty() || meta(object, "resourceVersion").is_empty() {
        true => Err(ToolError::failed(format!("{what} came without uid or resourceVersion"), false)),
        false => Ok(()),
    }
}

/// An object that is being deleted is not changed any more.
fn alive(object: &Value, what: &str) -> Result<(), ToolError> {
    match object["metadata"]["deletionTimestamp"].is_string() {
        true => Err(ToolError::invalid(format!("{what} is being deleted already"))),
        false => Ok(()),
    }
}

/// Whether what could not be read is not there at all.
fn absent(error: &EdgeError) -> bool {
    *error.kind() == crate::edge::EdgeErrorKind::NotFound
}
