//! What is proposed becomes a planned change, or a remedy.

use super::super::EngineError;
use super::super::driver::Session;
use super::super::propose::incident_slug;
use super::branch::branch_name;
use crate::analysis::markdown;
use crate::audit::Checkpoint;
use crate::domain::{Action, ActionId, ApprovalState, Digest, Effect, EffectKeys, Marker, Report};
use crate::gate::{Answer, is_possible};
use crate::journal::{Actor, Body, Call, Deed, Draft, Question, RulingPhase};
use crate::tools::{CaseText, Plan, PullRoute, Setting, ToolError};
use serde_json::Value;
use std::time::Duration;

/// Changes of one investigation.
const MAX_CHANGES: usize = 16;
/// Attempts to plan a change, and the pause between them.
const REPLANS: u32 = 3;
const REPLAN_PAUSE: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// Tries proposed changes without making them, and puts each before the gate.
    pub(in super::super) async fn plan_changes(&mut self, calls: Vec<Call>) -> Result<(), EngineError> {
        for call in calls {
            match self.planned(&call).await {
                Ok((action, keys, marker)) => {
                    let (id, actor) = (action.id, self.proposer_of(&call));
                    let action = Box::new(action);
                    let body = Body::ActionPlanned { call_id: call.id.clone(), action: action.clone(), keys, marker };
                    self.record(Draft::new(actor, body))?;
                    let told = || planned_words(&action);
                    if let Answer::Ask(_) = self.rule(&action, None, RulingPhase::Propose, told).await? {
                        self.question(id)?;
                    }
                }
                Err(error) => {
                    let remedy = error.for_reader().to_owned();
                    let reason = format!("it is not a change that could be made: {remedy}");
                    let actor = self.proposer_of(&call);
                    self.record(Draft::new(
                        actor,
                        Body::CallRejected { call, reason, remedy, ruling: None, input: None },
                    ))?;
                }
            }
        }
        Ok(())
    }

    async fn planned(&self, call: &Call) -> Result<(Action, EffectKeys, Marker), ToolError> {
        let tools = &self.engine.tools;
        tools.validate(&call.tool, &call.args)?;
        let spec = tools.spec(&call.tool).ok_or_else(|| ToolError::invalid("there is no such tool"))?;
        let frozen = self.inv.frozen.as_ref();
        let of_model = matches!(self.proposer_of(call), Actor::Model(_));
        if of_model && !tools.offered(&call.tool, frozen.map_or(&[][..], |frozen| &frozen.tools)) {
            return Err(ToolError::invalid("this route does not offer that tool"));
        }
        if !is_possible(self.level(), spec.effect) {
            return Err(ToolError::invalid(
                "at this level of risk nothing of the kind may happen; put it into the report",
            ));
        }
        if self.inv.deeds.len() >= MAX_CHANGES {
            return Err(ToolError::invalid(format!(
                "at most {MAX_CHANGES} changes may be proposed in one investigation"
            )));
        }
        let plan = self.plan_patiently(&call.tool, &call.args, None).await?;
        let id = ActionId::new(self.engine.entropy.uuid(self.now()));
        let nonce = Digest::of(self.engine.entropy.salt()).short(32).to_owned();
        let action = assembled(id, nonce, spec.effect, &call.tool, &call.args, plan);
        let incident = self.inv.incident_key.clone().unwrap_or_else(|| Digest::of(&self.inv.chain));
        // What takes a change back has a purpose of its own, though it may be the same tool on the same
        // object.
        let purpose = match self.proposer_of(call) {
            Actor::Engine => Digest::of_parts(["firewarden/undo/v1", incident.as_str(), &call.id]),
            _ => incident,
        };
        let keys = action.keys(&purpose);
        // One change per purpose: a second one, however it is worded, is the first one again.
        if let Some(other) = self.inv.deeds.iter().find(|deed| deed.keys.scope == keys.scope && deed.holds_scope()) {
            let state = other.word();
            return Err(ToolError::invalid(format!(
                "this change stands already ({state}): {}. Do not propose it again.",
                other.action.title
            )));
        }
        let marker = Marker::sign(&keys.scope, self.engine.marker_key.expose().as_bytes());
        Ok((action, keys, marker))
    }

    /// Lets the tool plan. `deed` is what was decided of the change so far.
    pub(super) async fn plan_of(&self, tool: &str, args: &Value, deed: Option<&Deed>) -> Result<Plan, ToolError> {
        let incident = self.inv.incident_key.clone().unwrap_or_else(|| Digest::of(&self.inv.chain));
        let case = CaseText { decision: deed.and_then(decision), ..self.case_text().await };
        let began = self.inv.opening().map_or_else(|| self.now(), |event| event.starts_at);
        let setting = Setting { incident: &incident, began, now: self.now(), case: &case };
        self.engine.tools.plan(tool, args, &setting).await
    }

    /// The same, once more and again where time may mend what failed.
    pub(super) async fn plan_patiently(
        &self,
        tool: &str,
        args: &Value,
        deed: Option<&Deed>,
    ) -> Result<Plan, ToolError> {
        let mut tries = 1;
        loop {
            match self.plan_of(tool, args, deed).await {
                Err(error) if error.is_transient() && tries < REPLANS => {
                    tokio::time::sleep(REPLAN_PAUSE).await;
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// A plan made anew, under the names of `earlier`.
    pub(super) fn action_of(&self, id: ActionId, nonce: String, args: &Value, plan: Plan, earlier: &Action) -> Action {
        assembled(id, nonce, earlier.effect, &earlier.tool, args, plan)
    }

    /// What tickets and pull requests say of the incident.
    async fn case_text(&self) -> CaseText {
        let Some(event) = self.inv.opening() else { return CaseText::default() };
        let report: Option<Report> = match &self.inv.report {
            None => None,
            Some(last) => match self.engine.store.blob(&last.report).await {
                Ok(Some(bytes)) => serde_json::from_slice(&bytes).ok(),
                _ => None,
            },
        };
        let base = self.engine.public_url.as_ref();
        CaseText {
            title: event.title.clone(),
            alert: event.name.clone(),
            slug: incident_slug(event),
            markdown: report.as_ref().map(markdown).unwrap_or_default(),
            report,
            url: base.map(|base| format!("{base}/investigations/{}", self.inv.chain)),
            chain: format!("{} {}@{}", self.inv.chain, self.inv.head.seq, self.inv.head.hash.short(16)),
            checkpoint: self.last_checkpoint().await,
            decision: None,
            pull: self.pull_route(),
        }
    }

    /// The last checkpoint in one line. Without one, what is written names the chain alone.
    async fn last_checkpoint(&self) -> Option<String> {
        let kept = self.engine.store.last_checkpoint().await.ok().flatten()?;
        Checkpoint::read(&kept.note).ok().map(|checkpoint| checkpoint.line())
    }

    /// Where this investigation's pull requests go: as the route said when it opened.
    fn pull_route(&self) -> Option<PullRoute> {
        let pulls = self.inv.frozen.as_ref()?.pulls.as_ref()?;
        let event = self.inv.opening()?;
        let branch = pulls.branch.as_ref().and_then(|template| {
            branch_name(&self.engine.templates, template, event)
                .map_err(
                    |error| tracing::error!(investigation = %self.inv.chain, %error, "the branch gets our own name"),
                )
                .ok()
        });
        Some(PullRoute { repo: pulls.repo.clone(), base: pulls.base.clone(), branch, paths: pulls.paths.clone() })
    }

    /// Who proposed the call that `action` is.
    pub(super) fn proposer_of_action(&self, action: &Action) -> Actor {
        let deed = self.inv.deed(action.id);
        deed.map_or(Actor::Engine, |deed| deed.proposer.clone())
    }
}

/// Why a change may happen, for people: the rules that permit it, and who agreed.
fn decision(deed: &Deed) -> Option<String> {
    let (ruling, digest) = deed.ruling.as_ref()?;
    let said: Vec<String> =
        ruling.reasons.iter().map(|reason| format!("{} (`{}`)", reason.reason, reason.rule)).collect();
    let counts = |question: &&Question| {
        question.digest == *digest && matches!(question.state, ApprovalState::Approved | ApprovalState::Executing)
    };
    let granted = deed.question().filter(counts).map(|question| &question.grants[..]).unwrap_or_default();
    let people: Vec<&str> = granted.iter().map(|grant| grant.by.name.as_str()).collect();
    let by = if people.is_empty() { String::new() } else { format!(" Approved by {}.", people.join(", ")) };
    Some(format!("Decision {} (`{}`): {}.{by}", ruling.verdict, ruling.id, said.join("; ")))
}

fn assembled(id: ActionId, nonce: String, effect: Effect, tool: &str, args: &Value, plan: Plan) -> Action {
    Action {
        id,
        tool: tool.to_owned(),
        effect,
        reversible: plan.reversible,
        args: args.clone(),
        title: plan.title,
        targets: plan.targets,
        preview: plan.preview,
        precondition: plan.precondition,
        carries: plan.carries,
        undo: plan.undo,
        retry: plan.retry,
        blast_radius: plan.blast_radius,
        facts: plan.facts,
        nonce,
    }
}

/// What the proposer hears of a change that policy did not deny.
fn planned_words(action: &Action) -> String {
    let shown = match action.preview.text.trim() {
        "" => String::new(),
        text => format!("\nIt would change:\n{}", text.chars().take(1_200).collect::<String>()),
    };
    format!(
        "Noted as a proposed change, not made yet: {}. Policy decides, and a person where it asks for one, after your \
         report; its outcome is added to the report by the program. Do not propose it again and do not report it as \
         done.{shown}",
        action.title
    )
}
