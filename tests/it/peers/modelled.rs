//! An investigation of the recorded incident with a model, and what must hold however the model
//! behaves: it ends with a report, the journal is sound, and nothing was made up on the way.

use crate::support::chain::{assert_sound, entries};
use crate::support::site::Site;
use crate::support::world::{Stage, TYPEDB};
use firewarden::journal::{Body, Entry, Proposal};
use serde_json::{Value, json};
use std::time::Duration;

/// Repeats, waits and a slow model included.
const LIMIT: Duration = Duration::from_secs(180);

/// How it went.
#[derive(Debug)]
pub struct Told {
    pub entries: Vec<Entry>,
    pub report: Value,
    _site: Site,
}

/// Investigates with `model`, the entry for `models:`.
pub async fn investigate(model: Value, budget: Value) -> Told {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({"models": [model], "budgets": {"per_investigation": budget}}));
    let server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    let inv = site.closed(&id, LIMIT).await;
    assert_eq!(inv["outcome"], "reported", "{inv:#}");
    let report = site.report(&id).await;
    drop(server);
    let entries = entries(&site, &id).await;
    assert_sound(&id, &entries);
    site.verify_audit();
    let told = Told { entries, report, _site: site };
    // The cause is known without a model, and no model may make it unknown.
    assert!(told.report.to_string().contains("data-typedb-0"), "{:#}", told.report);
    told
}

impl Told {
    /// Questions that were put to the model: for each the demand for a final answer.
    pub fn asked(&self) -> Vec<bool> {
        let asked = |entry: &Entry| match &entry.body {
            Body::ModelAsked { must_answer, .. } => Some(*must_answer),
            _ => None,
        };
        self.entries.iter().filter_map(asked).collect()
    }

    /// What was made of the model's answers.
    pub fn proposals(&self) -> Vec<&Proposal> {
        let bodies = self.entries.iter().map(|entry| &entry.body);
        let replied = bodies.filter_map(|body| match body {
            Body::ModelReplied { proposal, .. } => Some(proposal),
            _ => None,
        });
        replied.collect()
    }

    /// Why the model gave no answer, as the journal says it.
    pub fn failures(&self) -> Vec<&str> {
        let bodies = self.entries.iter().map(|entry| &entry.body);
        let failed = bodies.filter_map(|body| match body {
            Body::ModelFailed { error, .. } => Some(error.as_str()),
            _ => None,
        });
        failed.collect()
    }

    /// Tools that were called because the model wanted it.
    pub fn calls(&self) -> Vec<&str> {
        let bodies = self.entries.iter().map(|entry| &entry.body);
        let started = bodies.filter_map(|body| match body {
            Body::ReadStarted { call, .. } if call.id.starts_with("call_") => Some(call.tool.as_str()),
            _ => None,
        });
        started.collect()
    }

    /// What the report says about a model that gave none.
    pub fn without_model(&self) -> String {
        let missing = self.report["provenance"]["collections_failed"].as_array().cloned().unwrap_or_default();
        let lines = missing.iter().filter_map(Value::as_str);
        lines.filter(|line| line.starts_with("the model gave no report")).collect()
    }

    pub fn mode(&self) -> &str {
        self.report["provenance"]["mode"].as_str().unwrap_or_default()
    }
}
