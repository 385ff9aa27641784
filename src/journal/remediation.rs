//! What was done about an incident, step by step: another fold of the same entries. Nothing is kept for
//! it, so it cannot say anything else than the journal does.
//!
//! | step | tells |
//! |---|---|
//! | `observe` | the survey came to its end; nothing known explains what it found |
//! | `confirm` | whether what the alert says still holds |
//! | `classify` | what kind of incident it is |
//! | `policy` | what policy says of a change, or that nobody is dispatched |
//! | `escalate` | people are asked, answer, or are told because nothing else is going to happen |
//! | `actuate` | a change is made |
//! | `verify` | it is watched, and held or not |

use super::body::Body;
use super::deed::{LOOKS_CLOSER, RulingPhase, Watched};
use super::proposal::Call;
use super::remedy::Confirmation;
use super::{Entry, PutOff};
use crate::domain::{Action, ActionId, ApprovalId, Reconciled, Ruling, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Most steps that are kept, the newest.
const MOST: usize = 200;
/// Longest text of one field, in characters.
const TEXT: usize = 300;
/// Most items of one list.
const ITEMS: usize = 8;

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taken {
    /// `observe|confirm|classify|policy|actuate|verify|escalate`.
    pub step: &'static str,
    /// What came of it, in a word.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
    /// The entry that says so.
    pub entry: u64,
    /// What belongs to it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A change as far as the steps need it.
#[derive(Debug)]
struct Known {
    title: String,
    tool: String,
    target: String,
    verdict: Option<Verdict>,
    /// What was last said of it.
    rules: Vec<String>,
    verify_s: Option<u64>,
    /// It is a closer look: people are told what it showed.
    looks: bool,
    /// Something may still come of it, or it held.
    lives: bool,
}

/// The steps of one incident.
#[derive(Debug, Default)]
pub struct Remediation {
    taken: VecDeque<Taken>,
    changes: BTreeMap<ActionId, Known>,
    questions: BTreeMap<ApprovalId, ActionId>,
    recovered: bool,
    /// The revision that people were last told of.
    told: u32,
}

impl Remediation {
    /// The steps that `entries` tell of.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut all = Self::default();
        entries.into_iter().for_each(|entry| all.note(entry));
        all
    }

    /// The steps in order, the newest 200.
    pub fn steps(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter()
    }

    /// The last step as `<step>:<outcome>`; nothing before the first.
    pub fn status(&self) -> Option<String> {
        self.taken.back().map(|last| format!("{}:{}", last.step, last.outcome))
    }

    /// Takes the next entry.
    pub fn note(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Surveyed { stopped, findings, top_cause, .. } => {
                let more = json!({"findings": findings, "top_cause": top_cause.as_deref().map(cut)});
                self.take(entry, "observe", stopped, more);
            }
            Body::GapFiled(gap) => {
                let more = json!({"topic": cut(&gap.topic), "reason": cut(&gap.reason)});
                self.take(entry, "observe", "failure_gap", more);
            }
            Body::Confirmed(confirmed) => {
                self.recovered = confirmed.outcome == Confirmation::Recovered;
                let evidence: Vec<&String> = confirmed.evidence.iter().take(ITEMS).collect();
                let more = json!({"reason": cut(&confirmed.reason), "evidence": evidence});
                self.take(entry, "confirm", confirmed.outcome.as_str(), more);
            }
            Body::Classified(classified) => {
                let more =
                    json!({"playbook": classified.playbook, "by": cut(&classified.by), "downs": classified.downs});
                let class = classified.class.map_or("none", |class| class.as_str());
                self.take(entry, "classify", class, more);
            }
            Body::Declined { reason } => {
                self.recovered = false;
                self.take(entry, "policy", "declined", json!({"reason": cut(reason)}));
            }
            Body::CallRejected { call, reason, .. } if call.acts() => {
                self.take(entry, "policy", "not_planned", rejected(call, reason));
            }
            Body::ActionPlanned { action, .. } => self.planned(action),
            Body::ActionRuled { action, phase, ruling, .. } => self.ruled(entry, *action, *phase, ruling),
            Body::ActionPutOff(PutOff { action, reason, until }) => {
                self.about(entry, "actuate", "put_off", *action, json!({"reason": cut(reason), "until": until}));
            }
            Body::ActionDropped { action, reason } => {
                self.ends(*action, false);
                self.about(entry, "policy", "dropped", *action, json!({"reason": cut(reason)}));
            }
            Body::ApprovalRequested { approval, action, requirements, expires_at, .. } => {
                self.questions.insert(*approval, *action);
                let whom = requirements
                    .iter()
                    .take(ITEMS)
                    .map(|needed| json!({"groups": needed.groups, "count": needed.count}));
                let more = json!({"approval": approval, "asked": whom.collect::<Vec<_>>(), "expires_at": expires_at});
                self.about(entry, "escalate", "queued", *action, more);
            }
            Body::ApprovalDecided { approval, granted, by, comment, .. } => {
                let outcome = if *granted { "granted" } else { "denied" };
                self.answered(
                    entry,
                    outcome,
                    *approval,
                    *granted,
                    json!({"by": cut(&by.name), "comment": cut(comment)}),
                );
            }
            Body::ApprovalExpired { approval } => self.answered(entry, "expired", *approval, false, json!({})),
            Body::ApprovalWithdrawn { approval, state, reason } => {
                // The change itself may be asked about anew.
                self.answered(entry, state.as_str(), *approval, true, json!({"reason": cut(reason)}));
            }
            Body::ActionStarted { action, attempt, .. } => {
                self.about(entry, "actuate", "started", *action, json!({"attempt": attempt}));
            }
            Body::ActionFinished { action, receipt } => self.made(entry, *action, &receipt.summary, &receipt.reference),
            Body::ActionReconciled { action, found } => match found {
                Reconciled::Applied { receipt } => self.made(entry, *action, &receipt.summary, &receipt.reference),
                Reconciled::Absent { .. } => self.about(entry, "actuate", "absent", *action, json!({})),
                Reconciled::Superseded { why } => self.failed(entry, *action, why),
            },
            Body::ActionFailed { action, error } => self.failed(entry, *action, error),
            Body::ActionDoubted { action, error, look_at } => {
                if look_at.is_none() {
                    self.ends(*action, false);
                }
                self.about(entry, "actuate", "unknown", *action, json!({"reason": cut(error), "look_at": look_at}));
            }
            Body::Verified { action, outcome, reason } => {
                let word = match outcome {
                    Watched::Held => "held",
                    Watched::Failed => "failed",
                    Watched::Unobserved => "unobserved",
                };
                self.ends(*action, *outcome == Watched::Held);
                self.about(entry, "verify", word, *action, json!({"reason": cut(reason)}));
            }
            Body::Cancelled { reason } => self.take(entry, "escalate", "cancelled", json!({"reason": cut(reason)})),
            Body::Notified { sink, revision, error: None } => self.told(entry, sink, *revision),
            _ => {}
        }
    }

    fn take(&mut self, entry: &Entry, step: &'static str, outcome: &str, more: Value) {
        let Value::Object(mut more) = more else { return };
        more.retain(|_, value| !value.is_null());
        if self.taken.len() >= MOST {
            self.taken.pop_front();
        }
        self.taken.push_back(Taken { step, outcome: cut(outcome), at: entry.at, entry: entry.seq, more });
    }

    /// A step about a change.
    fn about(&mut self, entry: &Entry, step: &'static str, outcome: &str, action: ActionId, mut more: Value) {
        more["action"] = json!(action);
        if let Some(known) = self.changes.get(&action) {
            more["title"] = json!(known.title);
        }
        self.take(entry, step, outcome, more);
    }

    fn planned(&mut self, action: &Action) {
        let (title, tool, target) = (cut(&action.title), cut(&action.tool), cut(&action.target().label()));
        let looks = action.facts.get(LOOKS_CLOSER).is_some();
        let known = Known { title, tool, target, verdict: None, rules: vec![], verify_s: None, looks, lives: true };
        // Planned anew it is the same change, judged anew.
        self.changes.insert(action.id, known);
    }

    fn ruled(&mut self, entry: &Entry, action: ActionId, phase: RulingPhase, ruling: &Ruling) {
        let Some(known) = self.changes.get_mut(&action) else { return };
        let rules: Vec<String> = ruling.reasons.iter().take(ITEMS).map(|reason| cut(&reason.rule)).collect();
        let said_before = known.verdict == Some(ruling.verdict) && known.rules == rules;
        (known.verdict, known.rules) = (Some(ruling.verdict), rules.clone());
        known.verify_s = ruling.duties.verify_after.map(|watch| watch.within_s);
        known.lives = ruling.verdict != Verdict::Deny;
        // Right before it is made the same is asked once more.
        if said_before && phase == RulingPhase::Execute {
            return;
        }
        let more = json!({"tool": known.tool, "target": known.target, "rules": rules, "decision": ruling.id});
        self.about(entry, "policy", ruling.verdict.as_str(), action, more);
    }

    fn answered(&mut self, entry: &Entry, outcome: &str, approval: ApprovalId, lives: bool, mut more: Value) {
        more["approval"] = json!(approval);
        match self.questions.get(&approval).copied() {
            Some(action) => {
                self.ends(action, lives);
                self.about(entry, "escalate", outcome, action, more);
            }
            None => self.take(entry, "escalate", outcome, more),
        }
    }

    fn made(&mut self, entry: &Entry, action: ActionId, summary: &str, reference: &str) {
        self.about(entry, "actuate", "done", action, json!({"summary": cut(summary), "reference": cut(reference)}));
        let looks = self.changes.get(&action).is_some_and(|known| known.looks);
        if looks {
            return self.ends(action, false);
        }
        let watched = self.changes.get(&action).and_then(|known| known.verify_s);
        let within = watched.and_then(|s| i64::try_from(s).ok()).map(SignedDuration::from_secs);
        if let Some(until) = within.and_then(|within| entry.at.checked_add(within).ok()) {
            self.about(entry, "verify", "scheduled", action, json!({"until": until}));
        }
    }

    fn failed(&mut self, entry: &Entry, action: ActionId, why: &str) {
        self.ends(action, false);
        self.about(entry, "actuate", "failed", action, json!({"reason": cut(why)}));
    }

    fn ends(&mut self, action: ActionId, lives: bool) {
        if let Some(known) = self.changes.get_mut(&action) {
            known.lives = lives;
        }
    }

    /// People are told of each revision. A step is that only where the rest is left to them.
    fn told(&mut self, entry: &Entry, sink: &str, revision: u32) {
        if self.recovered || self.told >= revision || self.changes.values().any(|known| known.lives) {
            return;
        }
        self.told = revision;
        self.take(entry, "escalate", "told", json!({"sink": cut(sink), "revision": revision}));
    }
}

fn rejected(call: &Call, reason: &str) -> Value {
    json!({"tool": cut(&call.tool), "reason": cut(reason)})
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests;
