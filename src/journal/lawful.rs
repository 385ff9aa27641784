//! What must hold of changes in any chain that we wrote: nothing happens without a plan, an allowing
//! decision about exactly that plan, enough people where people were asked, and an intent before it.

use super::body::Body;
use super::deed::RulingPhase;
use super::{Entry, Proposal};
use crate::domain::{
    ActionId, ApprovalId, ApprovalState, Digest, Effect, Excepted, Grant, Requirement, Risk, Verdict, floor, is_met,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a change while its chain is read.
struct Known<'e> {
    effect: Effect,
    scope: &'e Digest,
    /// The last ruling: verdict, phase, what exactly was judged, who has to agree, at which level.
    ruled: Option<(Verdict, RulingPhase, &'e Digest, &'e [Requirement], Risk)>,
    /// It may be in the world.
    out: bool,
    /// It was begun at all.
    begun: bool,
    over: bool,
}

struct Asked<'e> {
    action: ActionId,
    digest: &'e Digest,
    requirements: &'e [Requirement],
    grants: Vec<Grant>,
    expires_at: jiff::Timestamp,
    open: bool,
}

/// What an exception may have taken out of a decision.
const LIFTED: [&str; 3] = ["approve", "raise", "warn"];
/// Longest time ahead for which an exception is given.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24 * 91);
/// A decision may be older than its entry by this.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// What is wrong with the exceptions of a decision: they end, they are given for a time, and they never
/// take out a refusal or a level.
pub(super) fn exceptions(used: &[Excepted], at: Timestamp) -> Option<String> {
    used.iter().find_map(|Excepted { id, rule, effect, until, .. }| {
        let left = until.duration_since(at);
        if !LIFTED.contains(&effect.as_str()) {
            Some(format!("the exception {id} took out {rule}, which is a {effect} and cannot be excepted"))
        } else if left < -LATE {
            Some(format!("the exception {id} was used after its end at {until}"))
        } else if left > MAX_AHEAD {
            Some(format!("the exception {id} was given for longer than exceptions are"))
        } else {
            None
        }
    })
}

/// Checks the changes of a chain whose links hold. Number of the entry and what is wrong with it.
pub(super) fn violations(entries: &[Entry]) -> Vec<(u64, String)> {
    let mut found = vec![];
    let mut level = Risk::Low;
    let mut proposed: BTreeSet<&str> = BTreeSet::new();
    let mut changes: BTreeMap<ActionId, Known> = BTreeMap::new();
    let mut questions: BTreeMap<ApprovalId, Asked> = BTreeMap::new();
    for entry in entries {
        let mut broken = |what: String| found.push((entry.seq, what));
        match &entry.body {
            Body::RiskAssessed { decision, .. } => level = level.max(decision.level),
            Body::RiskRaised { to, .. } => level = level.max(*to),
            Body::ModelReplied { proposal: Proposal::Calls { accepted, .. }, .. } => {
                proposed.extend(accepted.iter().filter(|call| call.acts()).map(|call| call.id.as_str()));
            }
            Body::CallsProposed { calls, .. } => proposed.extend(calls.iter().map(|call| call.id.as_str())),
            Body::ActionPlanned { call_id, action, keys, .. } => {
                if !proposed.contains(call_id.as_str()) {
                    broken(format!("{} was planned and nobody proposed it", action.id));
                }
                if action.effect == Effect::Read || action.targets.is_empty() {
                    broken(format!("{} names nothing that it would change", action.id));
                }
                let known = changes.entry(action.id).or_insert(Known {
                    effect: action.effect,
                    scope: &keys.scope,
                    ruled: None,
                    out: false,
                    begun: false,
                    over: false,
                });
                known.ruled = None;
            }
            Body::ActionRuled { action, phase, digest, ruling, .. } => match changes.get_mut(action) {
                None => broken(format!("{action} was judged and never planned")),
                Some(known) => {
                    if ruling.verdict < floor(level, known.effect) {
                        broken(format!("{action} was judged more mildly than {level} permits"));
                    }
                    if ruling.error.is_some() && ruling.verdict != Verdict::Deny {
                        broken(format!("the policy failed and {action} was not denied"));
                    }
                    if let Some(wrong) = exceptions(&ruling.exceptions, entry.at) {
                        broken(format!("{action}: {wrong}"));
                    }
                    known.ruled = Some((ruling.verdict, *phase, digest, &ruling.requirements, level));
                }
            },
            Body::ApprovalRequested { approval, action, digest, requirements, expires_at } => {
                let asked = Asked {
                    action: *action,
                    digest,
                    requirements,
                    grants: vec![],
                    expires_at: *expires_at,
                    open: true,
                };
                if requirements.is_empty() || *expires_at <= entry.at {
                    broken(format!("{approval} asks nobody"));
                }
                questions.insert(*approval, asked);
            }
            Body::ApprovalDecided { approval, granted, digest, by, answered_at, comment } => {
                match questions.get_mut(approval) {
                    None => broken(format!("{approval} was answered and never asked")),
                    Some(asked) => {
                        if !asked.open || *digest != *asked.digest || *answered_at >= asked.expires_at {
                            broken(format!("{approval} was not open for the answer of {}", by.name));
                        }
                        match granted {
                            true => {
                                let grant = Grant { by: by.clone(), at: entry.at, comment: comment.clone() };
                                asked.grants.push(grant);
                            }
                            false => asked.open = false,
                        }
                    }
                }
            }
            Body::ApprovalExpired { approval } | Body::ApprovalWithdrawn { approval, .. } => {
                if let Some(asked) = questions.get_mut(approval) {
                    asked.open = false;
                }
                if let Body::ApprovalWithdrawn { state, .. } = &entry.body
                    && !matches!(state, ApprovalState::Withdrawn | ApprovalState::Invalidated)
                {
                    broken(format!("{approval} was taken back as {state}"));
                }
            }
            Body::ActionStarted { action, digest, .. } => {
                let held: Vec<ActionId> = match changes.get(action) {
                    None => vec![],
                    Some(known) => changes
                        .iter()
                        .filter(|(other, is)| *other != action && is.scope == known.scope && is.out)
                        .map(|(other, _)| *other)
                        .collect(),
                };
                if let Some(other) = held.first() {
                    broken(format!("{action} repeats {other}, which may be in the world"));
                }
                let Some(known) = changes.get_mut(action) else {
                    broken(format!("{action} was begun and never planned"));
                    continue;
                };
                match known.ruled {
                    Some((Verdict::Allow, RulingPhase::Execute, judged, _, at)) if judged == digest && at == level => {}
                    Some((Verdict::Ask, RulingPhase::Execute, judged, needed, at))
                        if judged == digest && at == level =>
                    {
                        let answers = questions.values().filter(|q| q.action == *action && q.open);
                        let agreed = answers.filter(|q| q.digest == digest && is_met(q.requirements, &q.grants));
                        if !agreed.into_iter().any(|q| is_met(needed, &q.grants)) {
                            broken(format!("{action} was begun before the people agreed whom its decision names"));
                        }
                    }
                    _ => broken(format!("{action} was begun without a decision about exactly this, at this level")),
                }
                if level == Risk::Critical {
                    broken(format!("{action} was begun at CRITICAL"));
                }
                if known.out || known.over {
                    broken(format!("{action} was begun though it may be in the world already"));
                }
                (known.out, known.begun) = (true, true);
            }
            Body::ActionFinished { action, .. }
            | Body::ActionFailed { action, .. }
            | Body::ActionDoubted { action, .. } => match changes.get_mut(action) {
                // What was seen to be absent may still be on its way.
                Some(known) if known.out || known.begun && matches!(entry.body, Body::ActionDoubted { .. }) => {
                    known.over = !matches!(entry.body, Body::ActionDoubted { .. });
                    known.out = !matches!(entry.body, Body::ActionFailed { .. });
                }
                _ => broken(format!("{action} has an end and no beginning")),
            },
            Body::ActionReconciled { action, found: seen } => match changes.get_mut(action) {
                Some(known) if known.begun => {
                    let applied = matches!(seen, crate::domain::Reconciled::Applied { .. });
                    (known.out, known.over) = (applied, applied);
                    known.ruled = None;
                }
                _ => broken(format!("{action} was looked for and never begun")),
            },
            Body::ActionPutOff(put_off) if changes.get(&put_off.action).is_none_or(|known| known.out) => {
                broken(format!("{} was put off though it may be in the world", put_off.action));
            }
            Body::ActionDropped { action, .. } if changes.get(action).is_none_or(|known| known.out) => {
                broken(format!("{action} was dropped though it may be in the world"));
            }
            Body::ActionObserved { action, ruling: Some(ruling), .. } if ruling.verdict != Verdict::Allow => {
                broken(format!("{action} was looked at though the ruling was {}", ruling.verdict));
            }
            Body::Verified { action, .. } if changes.get(action).is_none_or(|known| !known.over) => {
                broken(format!("{action} was watched and never made"));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_lawful_for_a_time_and_for_what_may_be_excepted() {
        let at = Timestamp::UNIX_EPOCH;
        let used = |effect: &str, hours: i64| Excepted {
            id: "x".into(),
            rule: "action/m/rule".into(),
            effect: effect.into(),
            until: at + SignedDuration::from_hours(hours),
            owner: "ann".into(),
            reason: "because".into(),
        };
        for (effect, hours, wrong) in [
            ("approve", 24, None),
            ("warn", 24 * 90, None),
            ("raise", 1, None),
            // Decided just before its end, and written down just after it.
            ("approve", 0, None),
            ("approve", -2, Some("after its end")),
            ("approve", 24 * 92, Some("longer than")),
            ("deny", 24, Some("cannot be excepted")),
            ("level", 24, Some("cannot be excepted")),
            ("allow", 24, Some("cannot be excepted")),
        ] {
            let found = exceptions(&[used("approve", 1), used(effect, hours)], at);
            match (found, wrong) {
                (None, None) => {}
                (Some(found), Some(wrong)) => assert!(found.contains(wrong), "{effect} {hours}: {found}"),
                (found, _) => panic!("{effect} {hours}: {found:?}"),
            }
        }
        assert_eq!(exceptions(&[], at), None);
    }
}
