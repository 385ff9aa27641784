//! What must hold in any chain that we wrote: links show that nothing was changed, these rules show
//! that what was written is what may happen.

use super::lawful;
use super::summary::MAX_SUMMARIES;
use super::{Body, Call, Entry, Investigation, Outcome, Proposal};
use crate::domain::{Risk, Rung, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Checks an investigation's chain whose links hold. One line for each rule that is broken.
pub fn violations(chain: &str, entries: &[Entry]) -> Vec<String> {
    let mut found = vec![];
    if let Err(misfit) = Investigation::fold(chain, entries) {
        found.push(format!("{chain}: {misfit}"));
    }
    found.extend(lawful::violations(entries).into_iter().map(|(seq, what)| format!("{chain} entry {seq}: {what}")));
    let mut level: Option<Risk> = None;
    let mut open = false;
    let mut planned: BTreeMap<&str, &Call> = BTreeMap::new();
    let mut allowed: BTreeSet<&str> = BTreeSet::new();
    let mut evidence: BTreeSet<&str> = BTreeSet::new();
    let mut revision = 0;
    let mut owed: BTreeSet<&str> = BTreeSet::new();
    let (mut named, mut cancelled) = (false, false);
    let mut rung = Rung::Full;
    for entry in entries {
        let mut broken = |what: String| found.push(format!("{chain} entry {}: {what}", entry.seq));
        match &entry.body {
            Body::RiskAssessed { decision, .. } => {
                if decision.error.is_some() && decision.level != Risk::Critical {
                    broken("the policy failed and the level is not CRITICAL".into());
                }
                if decision.level == Risk::Critical && !decision.exceptions.is_empty() {
                    broken("an exception was used at CRITICAL, where nothing is excepted".into());
                }
                if let Some(wrong) = lawful::exceptions(&decision.exceptions, entry.at) {
                    broken(wrong);
                }
                level = Some(level.map_or(decision.level, |l| l.max(decision.level)));
            }
            Body::Opened(_) => {
                match level {
                    None => broken("the work began before the risk was judged".into()),
                    Some(Risk::Critical) => broken("the work began at CRITICAL".into()),
                    Some(Risk::Low | Risk::Medium | Risk::High) => {}
                }
                open = true;
            }
            Body::LadderTaken { rung: taken, .. } => rung = *taken,
            Body::Reopened { .. } => rung = Rung::Full,
            Body::SurveyPlanned { calls, .. } => planned.extend(calls.iter().map(|call| (call.id.as_str(), call))),
            Body::ModelReplied { proposal: Proposal::Calls { accepted, .. }, .. } => {
                planned.extend(accepted.iter().map(|call| (call.id.as_str(), call)));
            }
            Body::ReadStarted { call, ruling, .. } => {
                if planned.get(call.id.as_str()).is_none_or(|planned| *planned != call) {
                    broken(format!("{} was made otherwise than it was proposed", call.id));
                }
                if ruling.verdict != Verdict::Allow {
                    broken(format!("{} was made though the ruling was {}", call.tool, ruling.verdict));
                }
                if let Some(wrong) = lawful::exceptions(&ruling.exceptions, entry.at) {
                    broken(format!("{}: {wrong}", call.tool));
                }
                if !open {
                    broken(format!("{} was made before the work began", call.tool));
                }
                if rung == Rung::Notice {
                    broken(format!("{} was made though the budgets left nothing for it", call.tool));
                }
                allowed.insert(&call.id);
            }
            Body::ReadFinished { call_id, evidence_id, .. } | Body::ReadFailed { call_id, evidence_id, .. } => {
                if !allowed.remove(call_id.as_str()) {
                    broken(format!("{call_id} has a result and no allowing ruling of its own before it"));
                }
                if !evidence.insert(evidence_id) {
                    broken(format!("evidence id {evidence_id} was given out twice"));
                }
            }
            Body::ModelAsked { .. } if !open => broken("a model was asked before the work began".into()),
            Body::ModelAsked { .. } if rung >= Rung::Deterministic => {
                broken("a model was asked though the budgets left nothing for one".into());
            }
            Body::SummaryAsked { number, .. } => {
                if !open || rung >= Rung::Deterministic {
                    broken(format!("summary {number} was asked for though no model might be"));
                }
                if usize::try_from(*number).map_or(true, |number| number > MAX_SUMMARIES) {
                    broken(format!("summary {number} was asked for, more than {MAX_SUMMARIES}"));
                }
            }
            Body::Reported { revision: number, sinks, .. } => {
                if *number != revision + 1 {
                    broken(format!("revision {number} follows revision {revision}"));
                }
                revision = *number;
                named = !sinks.is_empty();
                owed = sinks.iter().map(String::as_str).collect();
            }
            // Entries from before reports named their sinks say nothing about who is owed what.
            Body::Notified { sink, revision: number, .. } if named => {
                let due = *number == revision && owed.remove(sink.as_str());
                if !due {
                    broken(format!("{sink} was told of revision {number} though nothing was owed to it"));
                }
            }
            Body::NoticeFailed { sink, revision: number, .. } => {
                let due = *number == revision && (!named || owed.contains(sink.as_str()));
                if !due {
                    broken(format!("{sink} was tried with revision {number} though nothing was owed to it"));
                }
            }
            Body::Cancelled { .. } => cancelled = true,
            Body::Closed { .. } if revision == 0 && !cancelled => broken("it was closed without a report".into()),
            Body::Closed { outcome: Outcome::Reported | Outcome::Declined } if !owed.is_empty() => {
                let owed = owed.iter().copied().collect::<Vec<_>>().join(", ");
                broken(format!("it was closed before {owed} heard of revision {revision}"));
            }
            Body::Closed { .. } => owed.clear(),
            _ => {}
        }
    }
    found
}
