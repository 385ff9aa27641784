//! The investigation as the API shows it: one row of a list, one line of a terminal.

use super::deed::{Deed, DeedState};
use super::{Debt, Investigation, Outcome};
use crate::domain::{
    ActionId, AlertStatus, ApprovalId, Digest, Effect, EventId, ReportVerdict, Resource, Risk, Verdict,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An investigation for readers outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// `inv_…`.
    pub id: String,
    /// `queued|running|waiting_approval|verifying|paused|closed`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Firing while any of its alerts is.
    pub alert_status: AlertStatus,
    /// How dangerous, and by which rules; `null` while nobody has judged.
    pub risk: Option<ViewRisk>,
    /// What the last report claims.
    pub verdict: Option<ReportVerdict>,
    /// What the last report says in one line.
    pub summary: Option<String>,
    /// The route.
    pub route: String,
    /// The opening alert's name.
    pub alert: String,
    /// Whom it concerns.
    pub subject: String,
    /// What it concerns.
    pub resource: Resource,
    /// `service_down|service_flapping|resource_pressure`, once classified.
    pub class: Option<String>,
    /// What no known object explains, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_gap: Option<String>,
    /// Its alerts, the first 100.
    pub events: Vec<EventId>,
    /// How many alerts it has.
    pub alerts: usize,
    /// What was planned or done.
    pub actions: Vec<ViewAction>,
    /// The model's name for itself.
    pub model: Option<String>,
    /// What was spent.
    pub usage: ViewUsage,
    /// Number of the last report's revision; 0 without one.
    pub revision: u32,
    /// When the alert was accepted.
    pub opened_at: Option<Timestamp>,
    /// When the first readable report was there.
    pub reported_at: Option<Timestamp>,
    /// When nothing waited any more.
    pub closed_at: Option<Timestamp>,
    /// Sinks that could not be told yet, when nothing else is waited for.
    #[serde(default)]
    pub undelivered: Vec<Debt>,
    /// Number of entries.
    pub entries: u64,
    /// The chain's last hash.
    pub head: Digest,
}

/// A change for readers outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewAction {
    /// `act_…`.
    pub id: ActionId,
    /// The tool.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// In one line.
    pub title: String,
    /// The object.
    pub target: String,
    /// `planned|asked|refused|started|done|failed|unknown|verified`.
    pub state: String,
    /// What policy says; `null` before it was asked.
    pub verdict: Option<Verdict>,
    /// The rules behind the verdict.
    pub rules: Vec<String>,
    /// The question about it.
    pub approval_id: Option<ApprovalId>,
    /// Until when it may be answered, while it stands.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// What names the result in the world.
    pub reference: Option<String>,
    /// What became of it, for people.
    pub detail: Option<String>,
}

impl ViewAction {
    /// Shows `deed`.
    pub fn of(deed: &Deed) -> Self {
        let decisive = |effect: &str, verdict: Verdict| match verdict {
            Verdict::Allow => effect == "allow",
            Verdict::Ask => effect == "approve",
            Verdict::Deny => effect == "deny",
        };
        let ruling = deed.ruling.as_ref().map(|(ruling, _)| ruling);
        let rules = ruling.map(|ruling| {
            let fired = ruling.reasons.iter().filter(|reason| decisive(&reason.effect, ruling.verdict));
            fired.map(|reason| reason.rule.clone()).collect()
        });
        let (reference, detail) = match &deed.state {
            DeedState::Done { receipt, .. } => (Some(receipt.reference.clone()), Some(receipt.summary.clone())),
            DeedState::Watched { receipt, outcome } => {
                let held = match outcome {
                    super::Watched::Held => "it held",
                    super::Watched::Failed => "it did not hold",
                    super::Watched::Unobserved => "whether it held could not be observed",
                };
                (Some(receipt.reference.clone()), Some(format!("{}; {held}", receipt.summary)))
            }
            DeedState::Failed { error } => (None, Some(error.clone())),
            DeedState::Refused { reason } => (None, Some(reason.clone())),
            DeedState::Planned | DeedState::Ruled | DeedState::Started | DeedState::Doubtful { .. } => (None, None),
        };
        Self {
            id: deed.action.id,
            tool: deed.action.tool.clone(),
            effect: deed.action.effect,
            title: deed.action.title.clone(),
            target: deed.action.target().label(),
            state: deed.word().to_owned(),
            verdict: ruling.map(|ruling| ruling.verdict),
            rules: rules.unwrap_or_default(),
            approval_id: deed.question().map(|question| question.id),
            expires_at: deed.waits().map(|question| question.expires_at),
            reference,
            detail,
        }
    }
}

/// How dangerous, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewRisk {
    /// The level.
    pub level: Risk,
    /// The rules that gave it.
    pub rules: Vec<String>,
    /// Their reasons.
    pub reasons: Vec<String>,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewUsage {
    /// Turns of the model.
    pub turns: u32,
    /// Reading calls, the survey's included.
    pub tool_calls: u32,
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// US dollars.
    pub cost_usd: f64,
}

impl View {
    /// When the work ended: alerts that begin later are another incident, even while a sink that is
    /// down still waits for the report.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.closed_at.or(self.reported_at.filter(|_| !self.undelivered.is_empty()))
    }

    /// Shows `investigation`; `None` before its first entry.
    pub fn of(investigation: &Investigation) -> Option<Self> {
        let inv = investigation;
        let opening = inv.opening()?;
        let spent = inv.committed();
        let open = |of: fn(&Deed) -> bool| inv.report.is_some() && !inv.reopened && inv.deeds.iter().any(of);
        let state = match (inv.outcome, inv.risk) {
            (Some(_), _) => "closed",
            (None, None) => "queued",
            // It was judged, and waits for further alerts or for a place of its route.
            (None, Some(_)) if inv.frozen.is_none() && inv.declined.is_none() && inv.report.is_none() => "queued",
            (None, Some(_)) if open(|deed| deed.waits().is_some()) => "waiting_approval",
            (None, Some(_)) if open(|deed| deed.watch_until().is_some()) => "verifying",
            (None, Some(_)) => "running",
        };
        Some(Self {
            id: inv.chain.clone(),
            state: state.to_owned(),
            outcome: inv.outcome,
            alert_status: inv.alert_status(),
            risk: inv.risk.map(|level| ViewRisk {
                level,
                rules: inv.risk_reasons.iter().map(|r| r.rule.clone()).collect(),
                reasons: inv.risk_reasons.iter().map(|r| r.reason.clone()).collect(),
            }),
            verdict: inv.report.as_ref().map(|r| r.verdict),
            summary: inv.report.as_ref().map(|r| r.summary.clone()),
            route: inv.route.clone(),
            alert: inv.alert().to_owned(),
            subject: inv.subject().to_owned(),
            resource: if inv.is_storm() { Resource::nothing() } else { opening.resource.clone() },
            class: inv.class.map(|class| class.to_string()),
            failure_gap: inv.remedy.gap.as_ref().map(|gap| gap.topic.clone()),
            events: inv.events.iter().take(100).map(|e| e.id).collect(),
            alerts: inv.alerts(),
            actions: inv.deeds.iter().map(ViewAction::of).collect(),
            model: inv.model_seen.clone(),
            usage: ViewUsage {
                turns: spent.turns,
                tool_calls: inv.evidence,
                tokens_in: spent.tokens_in,
                tokens_out: spent.tokens_out,
                cost_usd: spent.cost_usd,
            },
            revision: inv.report.as_ref().map_or(0, |r| r.revision),
            opened_at: inv.admitted_at,
            reported_at: inv.report.as_ref().map(|r| r.at),
            closed_at: inv.closed_at,
            undelivered: match inv.outbox.is_put_off() && !inv.reopened && inv.deeds.iter().all(Deed::is_settled) {
                true => inv.outbox.debts().to_vec(),
                false => vec![],
            },
            entries: inv.head.seq,
            head: inv.head.hash.clone(),
        })
    }
}
