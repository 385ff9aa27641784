//! What went wrong on one route: for whoever looks after it.

use super::domain;
use crate::domain::{ReportVerdict, Verdict};
use crate::journal::{Outcome, View};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most rows of one list.
const ROWS: usize = 20;

/// Something that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What.
    pub name: String,
    /// How often.
    pub count: usize,
}

/// What went wrong on a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// The route.
    pub agent: String,
    /// Always `rejections`.
    pub status: &'static str,
    /// How far back it looks.
    pub period_hours: u32,
    /// When it was made.
    pub generated_at: Timestamp,
    /// Investigations of the route in that time.
    pub investigations: usize,
    /// Those that were given up by a fault of ours.
    pub failed: usize,
    /// Those whose report names no cause.
    pub insufficient_evidence: usize,
    /// Changes that policy refused.
    pub refused_by_policy: usize,
    /// Changes that people refused, or did not answer.
    pub refused_by_people: usize,
    /// Changes that their target refused, and those of which nobody knows.
    pub changes_failed: usize,
    /// Rules behind refusals, most frequent first.
    pub rules: Vec<Counted>,
    /// Tools whose changes came to nothing, most frequent first.
    pub tools: Vec<Counted>,
    /// Where it went wrong: namespaces, else types.
    pub domains: Vec<Counted>,
    /// What no known object explains.
    pub failure_gaps: Vec<Counted>,
}

/// What went wrong among `views`, all of the route `agent`; `None` when nothing did.
pub fn failure_report(agent: &str, views: &[View], period_hours: u32, now: Timestamp) -> Option<FailureReport> {
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    let mut tools: BTreeMap<String, usize> = BTreeMap::new();
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    let mut gaps: BTreeMap<String, usize> = BTreeMap::new();
    let (mut failed, mut blind, mut by_policy, mut by_people, mut changes) = (0, 0, 0, 0, 0);
    for view in views {
        let mut wrong = false;
        if view.outcome == Some(Outcome::Failed) {
            (failed, wrong) = (failed + 1, true);
        }
        if view.verdict == Some(ReportVerdict::InsufficientEvidence) {
            (blind, wrong) = (blind + 1, true);
        }
        if let Some(topic) = &view.failure_gap {
            *gaps.entry(topic.clone()).or_default() += 1;
            wrong = true;
        }
        for action in &view.actions {
            match (action.state.as_str(), action.verdict) {
                ("refused", Some(Verdict::Deny)) => {
                    by_policy += 1;
                    action.rules.iter().for_each(|rule| *rules.entry(rule.clone()).or_default() += 1);
                }
                // Without a question nobody refused it: it was overtaken, or could not be planned.
                ("refused", _) if action.approval_id.is_some() => by_people += 1,
                ("failed" | "unknown", _) => changes += 1,
                _ => continue,
            }
            *tools.entry(action.tool.clone()).or_default() += 1;
            wrong = true;
        }
        if wrong {
            *domains.entry(domain(view)).or_default() += 1;
        }
    }
    (!domains.is_empty()).then(|| FailureReport {
        agent: agent.to_owned(),
        status: "rejections",
        period_hours,
        generated_at: now,
        investigations: views.len(),
        failed,
        insufficient_evidence: blind,
        refused_by_policy: by_policy,
        refused_by_people: by_people,
        changes_failed: changes,
        rules: sorted(rules),
        tools: sorted(tools),
        domains: sorted(domains),
        failure_gaps: sorted(gaps),
    })
}

fn sorted(counts: BTreeMap<String, usize>) -> Vec<Counted> {
    let mut rows: Vec<Counted> = counts.into_iter().map(|(name, count)| Counted { name, count }).collect();
    rows.sort_by(|a, b| (b.count, &a.name).cmp(&(a.count, &b.name)));
    rows.truncate(ROWS);
    rows
}
