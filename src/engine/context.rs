//! What prompts are rendered from, and what reports cite.

use super::driver::Session;
use super::propose::{Case, PastChange};
use crate::analysis::{self, Need};
use crate::domain::{Analysis, EvidenceItem, QueryMade, RiskSummary, SreEvent};
use crate::journal::view::ViewAction;
use crate::journal::{Aside, CallState, Progress, Proposal};
use crate::template::fence::{fence, inline};
use serde_json::Value;

/// Alerts that joined, and that are over, of which a model is told in the middle of its work.
const MOST_ASIDES: usize = 10;
/// Characters about what the alerts of a storm share.
const MOST_SHARED: usize = 6_000;

impl Session<'_> {
    /// The variables of the prompts.
    pub(super) fn prompt_context(&self, found: &Analysis) -> Value {
        // The first message never changes between turns: only what the survey saw belongs in it.
        let survey: Vec<&CallState> = self.inv.calls.iter().filter(|c| c.turn.is_none()).collect();
        let evidence: Vec<EvidenceItem> = survey.iter().filter_map(|state| evidence_item(state)).collect();
        let not_collected: Vec<String> = survey.iter().filter_map(|state| gap(state)).collect();
        let changes = self.past_changes();
        let budget = self.inv.frozen.as_ref().map(|frozen| frozen.budget).unwrap_or_default();
        let opened = self.inv.opened_at.unwrap_or_default();
        let events = &self.inv.events_when_asked(self.events_at_opening());
        let mut context = Case {
            events,
            beyond: self.inv.survey.beyond.joined,
            risk: &self.risk_summary(),
            analysis: found,
            evidence: &evidence,
            not_collected: &not_collected,
            changes: &changes,
            budget: &budget,
            room: self.room(),
            nonce: &self.nonce(),
            now: opened,
        }
        .context();
        if self.inv.is_storm() {
            // What it is about is what its alerts share, not the one that came first.
            let beyond = self.inv.survey.beyond;
            context["title"] = format!("{}: {} alerts", self.inv.alert(), events.len() + beyond.joined).into();
            let shared = analysis::in_words(&analysis::together(events, beyond));
            let shared = fence(&shared, "alert", &self.nonce(), MOST_SHARED);
            context["body"] = shared.as_str().into();
            context["storm"] = shared.into();
        }
        context
    }

    /// What happened to the alerts behind this turn, for the model.
    pub(super) fn meanwhile(&self, turn: u32) -> Option<String> {
        let (mut joined, mut counted, mut over) = (vec![], 0, vec![]);
        for aside in self.inv.meanwhile(turn) {
            match aside {
                Aside::Joined(places) => joined.extend(self.inv.events.get(places.clone()).unwrap_or_default()),
                Aside::Counted(alerts) => counted += alerts,
                Aside::Over(id) => over.extend(self.inv.events.iter().filter(|event| event.id == *id)),
            }
        }
        if joined.is_empty() && counted == 0 && over.is_empty() {
            return None;
        }
        let began = |event: &SreEvent| {
            let (name, about) = (inline(&event.name, 200), inline(&event.resource.id, 200));
            format!(
                "joined: {name}, {}, {about}, since {}: {}",
                event.severity,
                event.starts_at,
                inline(&event.title, 300)
            )
        };
        let ended = |event: &&SreEvent| format!("over: {}, since {}", inline(&event.name, 200), event.starts_at);
        let shown = joined.iter().take(MOST_ASIDES).map(|event| began(event));
        let shown: Vec<String> = shown.chain(over.iter().take(MOST_ASIDES).map(ended)).collect();
        let (joined, over) = (joined.len() + counted, over.len());
        let words = format!("Alerts of this incident meanwhile: {joined} joined, {over} over.");
        Some(format!("{words}\n{}", fence(&shown.join("\n"), "alert", &self.nonce(), MOST_SHARED)))
    }

    /// Changes of earlier revisions; what this one proposes is in its conversation.
    fn past_changes(&self) -> Vec<PastChange> {
        let of_revision = |call_id: &str| {
            let call = self.inv.calls.iter().find(|state| state.call.id == call_id);
            call.and_then(|state| state.turn).is_some_and(|turn| turn >= self.inv.first_turn)
        };
        let past = self.inv.deeds.iter().filter(|deed| !of_revision(&deed.call_id));
        past.map(|deed| {
            let view = ViewAction::of(deed);
            let said = deed.question().map(|question| question.reason.clone()).filter(|reason| !reason.is_empty());
            PastChange { title: view.title, state: view.state, reason: said.or(view.detail).unwrap_or_default() }
        })
        .collect()
    }

    /// Alerts that were there when the survey was judged; later ones would change the first message.
    fn events_at_opening(&self) -> usize {
        self.inv.events.len().min(self.inv.assessed_events).max(1).min(self.inv.events.len())
    }

    pub(super) fn risk_summary(&self) -> RiskSummary {
        RiskSummary { level: self.level(), reasons: self.inv.risk_reasons.clone() }
    }

    /// Everything that was seen.
    pub(super) fn evidence_items(&self) -> Vec<EvidenceItem> {
        self.inv.calls.iter().filter_map(evidence_item).collect()
    }

    /// Everything that was asked of the world.
    pub(super) fn queries_made(&self) -> Vec<QueryMade> {
        let asked = |state: &CallState| {
            let (Progress::Seen { evidence_id, .. } | Progress::Failed { evidence_id, .. }) = &state.progress else {
                return None;
            };
            Some(QueryMade {
                tool: state.call.tool.clone(),
                query: query_line(state),
                evidence_id: evidence_id.clone(),
            })
        };
        self.inv.calls.iter().filter_map(asked).collect()
    }

    /// What could not be collected, and why.
    pub(super) fn gaps(&self) -> Vec<String> {
        self.inv.calls.iter().filter_map(gap).collect()
    }

    /// Why the report does without the model that was asked, and how far that one came; nothing where
    /// the model submitted a report, or none was asked.
    pub(super) fn without_model(&self) -> Option<String> {
        let turns: Vec<_> = self.inv.turns.iter().filter(|turn| turn.number >= self.inv.first_turn).collect();
        let why = match turns.last()?.proposal.as_ref() {
            Some(Proposal::Report { .. }) => return None,
            Some(Proposal::Invalid { remedy }) => format!("its last answer was not usable: {remedy}"),
            Some(Proposal::Calls { .. }) => "it went on calling tools instead of reporting".to_owned(),
            None => match turns.last()?.failures.last() {
                Some((error, _)) => error.clone(),
                None => "it was not waited for".to_owned(),
            },
        };
        let made = self.inv.calls.iter().filter(|c| c.turn.is_some_and(|t| t >= self.inv.first_turn));
        let seen = made.clone().filter(|c| matches!(c.progress, Progress::Seen { .. })).count();
        let (turns, calls) = (turns.len(), made.count());
        Some(format!("the model gave no report after {turns} turns, {calls} calls and {seen} answers to them: {why}"))
    }
}

fn gap(state: &CallState) -> Option<String> {
    match &state.progress {
        Progress::Failed { error, .. } => Some(format!("{}: {error}", query_line(state))),
        Progress::Rejected { remedy } if state.is_of_survey() => Some(format!("{}: {remedy}", query_line(state))),
        _ => None,
    }
}

fn evidence_item(state: &CallState) -> Option<EvidenceItem> {
    let Progress::Seen { evidence_id, excerpt, digest, truncated, redacted, at, .. } = &state.progress else {
        return None;
    };
    Some(EvidenceItem {
        id: evidence_id.clone(),
        kind: kind_of(state).to_owned(),
        tool: state.call.tool.clone(),
        query: query_line(state),
        at: *at,
        excerpt: excerpt.clone(),
        hash: digest.clone(),
        truncated: *truncated,
        redacted: *redacted,
    })
}

/// What kind of evidence a call gives.
pub(super) fn kind_of(state: &CallState) -> &'static str {
    if let Ok(need) = serde_json::from_value::<Need>(state.call.need.clone()) {
        return need.evidence_kind();
    }
    match state.call.tool.as_str() {
        "kubernetes_logs" | "loki_query" | "elasticsearch_search" => "log",
        "runbook_fetch" => "memory",
        "github_commits" | "github_pulls" => "change",
        "github_file" | "github_tree" | "github_search_code" => "config",
        "kubernetes_events" => "event",
        "prometheus_rules" => "config",
        tool if tool.starts_with("prometheus_") => "metric",
        _ => "state",
    }
}

/// The call in one line.
pub(super) fn query_line(state: &CallState) -> String {
    if let Ok(need) = serde_json::from_value::<Need>(state.call.need.clone()) {
        return need.to_string();
    }
    let args = state.call.args.as_object().map(|args| {
        let pairs = args.iter().map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        });
        pairs.collect::<Vec<_>>().join(" ")
    });
    args.unwrap_or_default().chars().take(300).collect()
}
