//! `kubernetes_run_cronjob`: a Job of a CronJob, now. Its name follows from the incident, so that there is
//! one for each incident and not one for each attempt.

use super::super::object::{items, meta};
use super::{Hands, after, alive, blast, identified, marks, place, receipt, untried};
use crate::domain::{Action, Digest, Marker, Preview, Receipt, Reconciled, Retry};
use crate::edge::kube::{Change, Place};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Observed, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_run_cronjob`.
pub(super) struct RunCronJob(pub(super) Hands);

/// Letters of a CronJob's name in the name of its Job: a Job's Pods carry it in a label.
const NAME: usize = 40;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    name: String,
}

#[async_trait]
impl ActTool for RunCronJob {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let Args { namespace, name } = arguments(args)?;
        let (namespace, name) = (namespace.trim(), name.trim());
        let crons = self.0.reader.resolve("CronJob", Some("batch/v1")).await?;
        let cron = self.0.reader.get(&crons, Some(namespace), name).await?;
        let what = format!("CronJob {namespace}/{name}");
        identified(&cron, &what)?;
        alive(&cron, &what)?;
        let running: Vec<&str> = items(&cron["status"]["active"]).filter_map(|job| job["name"].as_str()).collect();
        if cron["spec"]["concurrencyPolicy"] != "Allow" && !running.is_empty() {
            let running = running.join(", ");
            return Err(ToolError::invalid(format!(
                "{what}: it runs now ({running}), and permits no second one beside it"
            )));
        }
        let job_name = job_name(setting.incident, namespace, name);
        let kind = self.0.reader.resolve("Job", Some("batch/v1")).await?;
        let at = Place { kind: &kind, namespace: Some(namespace), name: &job_name };
        let tried = self.0.writer.try_out(&at, &Change::Create(job(&cron, &job_name, marks::MARK))).await;
        let images: Vec<&str> = items(&cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"])
            .filter_map(|container| container["image"].as_str())
            .collect();
        let mut preview = Preview {
            kind: "server_dry_run".to_owned(),
            text: format!("adds Job {namespace}/{job_name}, as {what} makes it; images: {}", images.join(", ")),
            adds: 1,
            ..Preview::default()
        };
        match tried {
            Ok(_) => {}
            // It is taken for this change when it bears its mark; that is looked at when it is made.
            Err(unmade) if unmade.is_taken() => preview.kind = "rendered".to_owned(),
            Err(unmade) => return Err(untried(&unmade)),
        }
        let template = digest(&cron);
        Ok(Plan {
            title: format!("run {what} now, as Job {job_name}"),
            targets: vec![self.0.writer.target(&at, "create", None)],
            preview,
            precondition: json!({"cron_job": name, "uid": meta(&cron, "uid"), "template": template}),
            carries: Value::Null,
            undo: None,
            reversible: false,
            // A Job that ran may be gone again, by its time to live or its CronJob's limits: that none is
            // found does not say that none ran.
            retry: Retry::Settle,
            blast_radius: blast::measured(0),
            facts: json!({"cron_job": name, "suspended": cron["spec"]["suspend"] == true}),
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let target = action.target();
        let read = async {
            let crons = self.0.reader.resolve("CronJob", Some("batch/v1")).await?;
            let name = action.precondition["cron_job"].as_str().unwrap_or_default();
            let cron = self.0.reader.get(&crons, Some(&target.namespace), name).await?;
            Ok::<_, ToolError>((cron, self.0.kind_of(&action).await?))
        };
        let (cron, kind) = read.await.map_err(|e| ActError::refused(e.for_reader()))?;
        let planned = &action.precondition;
        if planned["uid"] != meta(&cron, "uid") || planned["template"] != digest(&cron).as_str() {
            return Err(ActError::stale("the CronJob is not what it was when this was planned"));
        }
        let body = job(&cron, &target.name, permit.marker().as_str());
        match self.0.writer.make(&permit, now, &place(&kind, &target), &Change::Create(body)).await {
            Ok(made) => Ok(receipt(&action, &made)),
            Err(unmade) => after(unmade, self.reconcile(&action, permit.marker())).await,
        }
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        Ok(created(action, marker, self.0.now(action).await?.as_ref()))
    }

    async fn observe(&self, action: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        Ok(match self.0.now(action).await? {
            None => Observed::Nothing("the Job is gone; its CronJob or its time to live took it away".to_owned()),
            Some(job) => watched(&job),
        })
    }
}

/// What is under the name tells whether a new object was made, and by whom.
pub(super) fn created(action: &Action, marker: &Marker, object: Option<&Value>) -> Reconciled {
    match object {
        None => Reconciled::Absent { definite: false },
        Some(object) if marks::bears(object, marker) => Reconciled::Applied { receipt: receipt(action, object) },
        Some(_) => Reconciled::Superseded { why: format!("{} is there, and not by us", action.target().label()) },
    }
}

fn job_name(incident: &Digest, namespace: &str, cron: &str) -> String {
    let digest = Digest::of_parts(["firewarden/job/v1", incident.as_str(), namespace, cron]);
    let cut: String = cron.chars().take(NAME).collect();
    format!("{}-fw-{}", cut.trim_end_matches(['-', '.']), digest.short(10))
}

/// The Job that the CronJob's controller would make.
fn job(cron: &Value, name: &str, mark: &str) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), "manual".into());
    annotations.insert(marks::ACTION.to_owned(), mark.into());
    let mut metadata = json!({
        "name": name, "namespace": meta(cron, "namespace"), "annotations": annotations,
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": meta(cron, "name"),
                             "uid": meta(cron, "uid"), "controller": true}],
    });
    if let Some(labels) = template["metadata"]["labels"].as_object() {
        metadata["labels"] = json!(labels);
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}

fn digest(cron: &Value) -> Digest {
    Digest::of(serde_json_canonicalizer::to_vec(&cron["spec"]["jobTemplate"]).unwrap_or_default())
}

fn watched(job: &Value) -> Observed {
    let is = |word: &str| {
        items(&job["status"]["conditions"]).any(|condition| condition["type"] == word && condition["status"] == "True")
    };
    match () {
        () if is("Complete") => Observed::Settled("the Job is complete".to_owned()),
        () if is("Failed") => Observed::Broken("the Job failed".to_owned()),
        () => Observed::Moving(format!("{} Pods of the Job run", job["status"]["active"].as_u64().unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_its_incident_and_fits_into_a_label() {
        let (one, other) = (Digest::of("one"), Digest::of("other"));
        assert_eq!(job_name(&one, "shop", "backup"), job_name(&one, "shop", "backup"));
        assert_ne!(job_name(&one, "shop", "backup"), job_name(&other, "shop", "backup"));
        assert_ne!(job_name(&one, "shop", "backup"), job_name(&one, "blog", "backup"));
        let long = job_name(&one, "shop", &"a".repeat(52));
        assert!(long.len() <= 63, "{long}");
        assert!(job_name(&one, "shop", &format!("{}-b", "a".repeat(39))).contains("a-fw-"));
    }

    #[test]
    fn a_job_is_what_its_cronjob_would_make() {
        let cron = json!({"metadata": {"name": "backup", "namespace": "shop", "uid": "u-1"}, "spec": {"jobTemplate": {
            "metadata": {"labels": {"app": "backup"}, "annotations": {"a": "b"}}, "spec": {"backoffLimit": 1}}}});
        let made = job(&cron, "n", "m");
        assert_eq!(made["spec"], json!({"backoffLimit": 1}));
        assert_eq!(made["metadata"]["labels"], json!({"app": "backup"}));
        assert_eq!(made["metadata"]["annotations"]["a"], "b");
        assert_eq!(made["metadata"]["annotations"][marks::ACTION], "m");
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u-1");
        for (status, expected) in [
            (json!({"conditions": [{"type": "Complete", "status": "True"}]}), true),
            (json!({"conditions": [{"type": "Complete", "status": "False"}]}), false),
        ] {
            let seen = watched(&json!({"status": status}));
            assert_eq!(matches!(seen, Observed::Settled(_)), expected, "{seen:?}");
        }
    }
}
