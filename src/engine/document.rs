//! What has to be written down behind a report: an issue where policy demands one, and on it what became
//! of each change. Proposed like anything else, and judged by the same gate.

use super::EngineError;
use super::driver::Session;
use crate::domain::{Effect, Risk};
use crate::journal::{Actor, Body, Call, Deed, DeedState, Draft, Investigation};
use serde_json::{Value, json};

/// The tools that write it down.
const CREATE: &str = "jira_create_issue";
const COMMENT: &str = "jira_comment";
/// How often an issue is proposed: the first time, and once more when that failed.
const MOST: usize = 2;

impl Session<'_> {
    /// Proposes what has to be written down now that a report stands.
    pub(super) fn document(&mut self) -> Result<(), EngineError> {
        let effect = |tool: &str| self.engine.tools.spec(tool).map(|spec| spec.effect);
        for (call, reason) in wanted(&self.inv, effect) {
            let reason = reason.to_owned();
            self.record(Draft::new(Actor::Engine, Body::CallsProposed { calls: vec![call], reason }))?;
        }
        Ok(())
    }
}

/// The calls that write down what is not written down yet, each with its reason.
fn wanted(inv: &Investigation, effect: impl Fn(&str) -> Option<Effect>) -> Vec<(Call, &'static str)> {
    if inv.declined.is_some() || inv.cancelled.is_some() {
        return vec![];
    }
    let call = |id: String, tool: &str, args: Value| {
        let call = Call { id, tool: tool.to_owned(), args, effect: Some(effect(tool)?), need: Value::Null };
        call.acts().then_some(call)
    };
    let revision = inv.report.as_ref().map_or(0, |report| report.revision);
    let issue = must_be_documented(inv)
        .then(|| call(format!("document_{revision}"), CREATE, json!({})))
        .flatten()
        .map(|call| (call, "documented as policy demands"));
    let key = inv.deeds.iter().filter(|deed| deed.action.tool == CREATE).find_map(reference);
    let watched = inv.deeds.iter().filter(|deed| {
        matches!(deed.state, DeedState::Watched { .. }) && ![CREATE, COMMENT].contains(&deed.action.tool.as_str())
    });
    let comments = watched.filter_map(|deed| {
        let id = format!("told_{}", deed.action.id);
        let is_new = inv.calls.iter().all(|known| known.call.id != id);
        let call = call(id, COMMENT, json!({"key": key?, "about": deed.action.id.to_string()}))?;
        is_new.then_some((call, "what became of a change belongs beside the incident"))
    });
    issue.into_iter().chain(comments).collect()
}

/// Policy wants an issue, none stands or is under way, and nobody said no to it.
fn must_be_documented(inv: &Investigation) -> bool {
    let wanted = inv.risk >= Some(Risk::High) || inv.duties.contains("jira");
    let asked = inv.calls.iter().filter(|known| known.call.id.starts_with("document_")).count();
    let deeds = || inv.deeds.iter().filter(|deed| deed.action.tool == CREATE);
    // What was denied a model says nothing about ours.
    let ours = |deed: &&Deed| deed.proposer == Actor::Engine;
    let refused = || deeds().filter(ours).any(|deed| matches!(deed.state, DeedState::Refused { .. }));
    wanted && asked < MOST && !deeds().any(Deed::holds_scope) && !refused()
}

/// What names in the world what was made.
fn reference(deed: &Deed) -> Option<&str> {
    match &deed.state {
        DeedState::Done { receipt, .. } | DeedState::Watched { receipt, .. } => Some(&receipt.reference),
        _ => None,
    }
}
