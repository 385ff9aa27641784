//! A closer look at what runs out. People are asked as about a change; what is then done is that the
//! investigation goes on, and all that it does is read, call by call through the gate.

use super::act::{ActError, ActTool, Observed, Plan, Setting};
use super::spec::{ToolError, ToolSpec, arguments};
use crate::analysis::closer_look;
use crate::domain::{Action, BlastRadius, Effect, Entity, Marker, Preview, Receipt, Reconciled, Retry, Target};
use crate::gate::Warrant;
use crate::journal::LOOKS_CLOSER;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run, with what it is judged as.
pub const BUILTINS: [(&str, Effect); 1] = [("investigate_resource_pressure", Effect::Write)];

/// `investigate_resource_pressure`.
#[derive(Debug, Clone)]
struct LookCloser(Arc<ToolSpec>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: String,
    #[serde(default)]
    namespace: String,
    name: String,
}

/// The tool that `spec` runs, if it is this one.
pub fn build(spec: Arc<ToolSpec>) -> Option<Box<dyn ActTool>> {
    BUILTINS.iter().any(|(name, _)| *name == spec.builtin).then(|| Box::new(LookCloser(spec)) as Box<dyn ActTool>)
}

#[async_trait]
impl ActTool for LookCloser {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let entity = Entity::new(args.kind.trim(), args.namespace.trim(), args.name.trim());
        let everywhere = matches!(entity.kind.as_str(), "Node" | "Host");
        if everywhere != entity.namespace.is_empty() {
            let wanted = if everywhere { "leave it out" } else { "name one" };
            return Err(ToolError::invalid(format!("namespace: {wanted} for a {}", entity.kind)));
        }
        if entity.name.is_empty() || entity.name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(ToolError::invalid("name: it is empty, or has a space in it"));
        }
        let reads: Vec<String> = closer_look(&entity).into_iter().map(|what| format!("- {what}")).collect();
        let text = format!("Read, and change nothing:\n{}\nThen report again.", reads.join("\n"));
        let target = Target {
            system: if entity.kind == "Host" { "host" } else { "kubernetes" }.into(),
            namespace: entity.namespace.clone(),
            kind: entity.kind.clone(),
            name: entity.name.clone(),
            verb: "look".into(),
            ..Target::default()
        };
        Ok(Plan {
            title: format!("look more closely at {entity}"),
            targets: vec![target],
            preview: Preview { kind: "rendered".into(), text, ..Preview::default() },
            precondition: Value::Null,
            carries: Value::Null,
            undo: None,
            // Nothing is there that would have to be taken back.
            reversible: true,
            retry: Retry::Keyed,
            blast_radius: BlastRadius { known: true, ..BlastRadius::default() },
            facts: json!({ LOOKS_CLOSER: entity }),
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (_, action) = warrant.redeem(&self.0.name, now)?;
        Ok(Receipt {
            reference: action.target().label(),
            summary: "the investigation goes on with a closer look".into(),
            detail: Value::Null,
        })
    }

    async fn reconcile(&self, _: &Action, _: &Marker) -> Result<Reconciled, ToolError> {
        // It leaves nothing in the world; once more is the same.
        Ok(Reconciled::Absent { definite: true })
    }

    async fn observe(&self, _: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        Ok(Observed::Nothing("looking changes nothing".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;
    use crate::tools::{CaseText, Manifests};

    async fn planned(args: Value) -> Result<Plan, ToolError> {
        let manifests = Manifests::embedded().unwrap();
        let (_, spec) = manifests.specs().find(|(_, spec)| spec.name == BUILTINS[0].0).unwrap();
        let tool = build(Arc::new(spec.clone())).unwrap();
        let (case, incident) = (CaseText::default(), Digest::of("i"));
        let setting =
            Setting { incident: &incident, began: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH, case: &case };
        tool.plan(&args, &setting).await
    }

    #[tokio::test]
    async fn people_read_what_will_be_read() {
        let plan =
            planned(json!({"kind": "PersistentVolumeClaim", "namespace": "lab", "name": "data-0"})).await.unwrap();
        insta::assert_snapshot!(plan.preview.text);
        assert_eq!(plan.title, "look more closely at PersistentVolumeClaim lab/data-0");
        assert_eq!(
            plan.facts,
            json!({"looks_closer": {"kind": "PersistentVolumeClaim", "namespace": "lab", "name": "data-0"}})
        );
        assert_eq!((plan.blast_radius.known, plan.blast_radius.pods, plan.retry), (true, 0, Retry::Keyed));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        for (args, says) in [
            (json!({"kind": "Pod", "name": "a"}), "name one"),
            (json!({"kind": "Node", "namespace": "a", "name": "a"}), "leave it out"),
            (json!({"kind": "Host", "name": "a b"}), "space"),
            (json!({"kind": "Host", "name": "a", "more": 1}), "cannot be read"),
        ] {
            let error = planned(args.clone()).await.unwrap_err();
            assert!(error.for_reader().contains(says), "{args}: {}", error.for_reader());
        }
    }
}
