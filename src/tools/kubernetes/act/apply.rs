//! `kubernetes_apply`: one manifest, by server-side apply. What others own is shown and never taken.

use super::super::object::holds_a_copy;
use super::super::revisions::is_controlled;
use super::patch::found;
use super::{
    Hands, absent, after, alive, blast, forbidden, gains, identified, job, marks, meta, place, precondition, preview,
};
use super::{receipt, rollout, untried};
use crate::domain::{Action, BlastRadius, Marker, Preview, Receipt, Reconciled, Retry, Target};
use crate::edge::kube::{ApiKind, Change, Place};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Observed, Plan, Setting};
use crate::tools::blank;
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_apply`.
pub(super) struct Apply(pub(super) Hands);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    object: Value,
}

/// Parts of metadata that a manifest says; the others are the server's, or ours.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// What is done with code that a manifest brings, in the word that policies read.
const RUN: &str = "run";
/// Kinds of the core group of which a new object changes nothing by itself.
const QUIET: [&str; 2] = ["ConfigMap", "PersistentVolumeClaim"];

#[async_trait]
impl ActTool for Apply {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let Args { object } = arguments(args)?;
        checked(&object).map_err(ToolError::invalid)?;
        let api_version = object["apiVersion"].as_str();
        let kind = self.0.reader.resolve(object["kind"].as_str().unwrap_or_default(), api_version).await?;
        if let Some(why) = forbidden::untouchable(&kind) {
            return Err(ToolError::invalid(why));
        }
        let namespace = object["metadata"]["namespace"].as_str().filter(|_| kind.namespaced);
        let name = meta(&object, "name");
        let existing = match self.0.reader.get(&kind, namespace, name).await {
            Ok(existing) => Some(existing),
            Err(error) if absent(&error) => None,
            Err(error) => return Err(error.into()),
        };
        let at = Place { kind: &kind, namespace, name };
        let what = self.0.writer.target(&at, "", None).label();
        if let Some(existing) = &existing {
            identified(existing, &what)?;
            alive(existing, &what)?;
        }
        let seen = existing.as_ref().map_or(Value::Null, precondition);
        let change = change(&object, &seen, marks::MARK);
        let tried = self.0.writer.try_out(&at, &change).await.map_err(|e| untried(&e))?;
        if let Some(power) = gains::powers(existing.as_ref(), &tried, &object) {
            return Err(ToolError::invalid(format!("{what} would gain {power}, which nothing gets from here")));
        }
        let target = Target {
            resource_version: existing.as_ref().map(|existing| meta(existing, "resourceVersion").to_owned()),
            stateful: kind.kind == "PersistentVolumeClaim" || blast::is_stateful(&tried),
            controlled: existing.as_ref().is_some_and(is_controlled),
            ..self.0.writer.target(&at, change.verb(), existing.as_ref().map(|existing| meta(existing, "uid")))
        };
        let preview = shown(existing.as_ref(), &tried);
        if preview.text.is_empty() {
            return Err(ToolError::invalid(format!("{what}: nothing would change")));
        }
        Ok(Plan {
            title: format!("{} {what}", if existing.is_some() { "apply" } else { "create" }),
            targets: std::iter::once(target).chain(self.run_by(&at, existing.as_ref(), &tried)).collect(),
            preview,
            precondition: seen,
            carries: Value::Null,
            undo: None,
            reversible: false,
            retry: match existing.is_none() && !stays(&kind) {
                true => Retry::Settle,
                false => Retry::Probe,
            },
            blast_radius: self.suffers(&kind, existing.as_ref()).await,
            facts: Value::Null,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let kind = self.0.kind_of(&action).await.map_err(|e| ActError::refused(e.for_reader()))?;
        let change = change(&action.args["object"], &action.precondition, permit.marker().as_str());
        let target = action.target();
        match self.0.writer.make(&permit, now, &place(&kind, &target), &change).await {
            Ok(made) => Ok(receipt(&action, &made)),
            Err(unmade) => after(unmade, self.reconcile(&action, permit.marker())).await,
        }
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let now = self.0.now(action).await?;
        Ok(match action.precondition.is_null() {
            true => job::created(action, marker, now.as_ref()),
            false => found(action, marker, now.as_ref()),
        })
    }

    async fn observe(&self, action: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        Ok(match self.0.now(action).await? {
            Some(object) => rollout::of(&object),
            None => Observed::Broken(format!("{} is gone", action.target().label())),
        })
    }
}

impl Apply {
    async fn suffers(&self, kind: &ApiKind, existing: Option<&Value>) -> BlastRadius {
        match existing {
            // Nobody has it yet, and nothing runs by it.
            None if kind.group.is_empty() && QUIET.contains(&kind.kind.as_str()) => blast::measured(0),
            Some(existing) if kind.group == "apps" => self.0.radius(existing).await,
            // Who reads it, or what would run, is not known from here.
            _ => BlastRadius::default(),
        }
    }

    /// The containers that would run other code, each as something that is touched, for the policy.
    fn run_by(&self, at: &Place<'_>, existing: Option<&Value>, tried: &Value) -> Vec<Target> {
        let container = |name: String| Target {
            kind: "Container".to_owned(),
            name: format!("{}:{name}", at.name),
            ..self.0.writer.target(at, RUN, None)
        };
        gains::code(existing, tried).into_iter().map(container).collect()
    }
}

/// Whether what is made of this kind is there until somebody takes it away. Jobs and Pods are taken away
/// when they are through, and of kinds that are not Kubernetes' own nobody knows: that none is found does
/// not say that none was made.
fn stays(kind: &ApiKind) -> bool {
    const GROUPS: [&str; 6] = ["", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"];
    const PASSING: [&str; 3] = ["Pod", "Job", "Event"];
    GROUPS.contains(&kind.group.as_str()) && !PASSING.contains(&kind.kind.as_str())
}

/// Whether a manifest says what a manifest may say.
fn checked(object: &Value) -> Result<(), String> {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    if !text(&object["apiVersion"]) || !text(&object["kind"]) || !text(&object["metadata"]["name"]) {
        return Err("object: needs apiVersion, kind and metadata.name".to_owned());
    }
    if object.get("status").is_some() {
        return Err("object: `status` is its controller's; leave it out".to_owned());
    }
    let metadata = object["metadata"].as_object().into_iter().flatten();
    if let Some((key, _)) = metadata.into_iter().find(|(key, _)| !METADATA.contains(&key.as_str())) {
        return Err(format!("object: metadata.{key} is not for a manifest; leave it out"));
    }
    let mut annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    match annotations.find(|(key, _)| key.starts_with(marks::PREFIX)) {
        Some((key, _)) => Err(format!("object: the annotation {key} is set by the program alone")),
        None => Ok(()),
    }
}

/// What is sent: an apply of what is there in the state that was seen, else a new object.
fn change(object: &Value, seen: &Value, mark: &str) -> Change {
    let mut body = object.clone();
    let metadata = &mut body["metadata"];
    if seen.is_null() {
        metadata["annotations"][marks::ACTION] = mark.into();
        return Change::Create(body);
    }
    metadata["annotations"][marks::APPLIED] = mark.into();
    metadata["uid"] = seen["uid"].clone();
    metadata["resourceVersion"] = seen["resource_version"].clone();
    Change::Apply(body)
}

/// What would come, or what would be other than it is.
fn shown(existing: Option<&Value>, tried: &Value) -> Preview {
    let after = told(tried);
    match existing {
        Some(existing) => preview::of("object", &told(existing), &after),
        None => {
            let mut after = after;
            blank::pairs(&mut after);
            let text = serde_json::to_string_pretty(&after).unwrap_or_default();
            Preview { kind: "server_dry_run".to_owned(), text, adds: 1, ..Preview::default() }
        }
    }
}

/// The object without what the server keeps of it, and without our marks.
fn told(object: &Value) -> Value {
    let mut told = object.clone();
    if let Some(map) = told.as_object_mut() {
        map.remove("status");
        let metadata = &object["metadata"];
        let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
        annotations.retain(|key, _| !key.starts_with(marks::PREFIX) && !holds_a_copy(key));
        map.insert("metadata".to_owned(), json!({"labels": metadata["labels"], "annotations": annotations}));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}})
    }

    #[test]
    fn a_manifest_says_neither_what_the_server_says_nor_what_we_say() {
        assert_eq!(checked(&manifest()), Ok(()));
        let without = |path: &str| {
            let mut object = manifest();
            *object.pointer_mut(path).unwrap() = Value::Null;
            object
        };
        let with = |path: &str, value: Value| {
            let mut object = manifest();
            match path {
                "status" => object["status"] = value,
                key => object["metadata"][key] = value,
            }
            object
        };
        for object in [
            json!("text"),
            without("/kind"),
            without("/metadata/name"),
            with("status", json!({})),
            with("uid", json!("u")),
            with("resourceVersion", json!("1")),
            with("generateName", json!("a-")),
            with("ownerReferences", json!([])),
            with("finalizers", json!(["x"])),
            with("annotations", json!({marks::ACTION: "fw-forged"})),
        ] {
            assert!(checked(&object).is_err(), "{object}");
        }
    }

    #[test]
    fn what_is_there_is_applied_in_its_state_and_what_is_not_is_made_under_its_name() {
        let Change::Create(body) = change(&manifest(), &Value::Null, "m") else { panic!() };
        assert_eq!(body["metadata"]["annotations"][marks::ACTION], "m");
        let Change::Apply(body) = change(&manifest(), &json!({"uid": "u", "resource_version": "7"}), "m") else {
            panic!()
        };
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["annotations"], json!({marks::APPLIED: "m"}));
    }

    #[test]
    fn marks_and_what_the_server_keeps_are_no_difference() {
        let mut after = manifest();
        after["metadata"]["annotations"] = json!({marks::APPLIED: "m"});
        after["metadata"]["resourceVersion"] = json!("9");
        after["status"] = json!({"x": 1});
        assert_eq!(shown(Some(&manifest()), &after).text, "");
        after["data"]["a"] = json!("c");
        assert_eq!(shown(Some(&manifest()), &after).text, "object.data.a: b -> c");
        assert!(shown(None, &after).text.contains("\"a\": \"c\""));
    }
}
