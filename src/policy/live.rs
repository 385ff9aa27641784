//! The policy in force, which can be exchanged while decisions are made, and one that is tried beside it.

use super::proof::MOST_ERRORS;
use super::{ActionInput, BadInput, Bundle, Calendar, Decision, Policy, RegoPolicy, RiskInput};
use crate::domain::{DecisionId, Digest, PolicyRef, RiskDecision, Ruling};
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bundle that decides, or is tried.
#[derive(Debug)]
pub struct InForce {
    policy: RegoPolicy,
    bundle: Bundle,
    since: Timestamp,
}

/// A bundle that is tried beside the one in force.
#[derive(Debug)]
pub struct Beside {
    policy: RegoPolicy,
    bundle: Bundle,
    since: Timestamp,
    by: Option<(String, Timestamp)>,
}

impl Beside {
    /// As the configuration names it.
    pub fn configured(policy: RegoPolicy, bundle: Bundle, since: Timestamp) -> Self {
        Self { policy, bundle, since, by: None }
    }

    /// As a person began it, until then.
    pub fn of_person(policy: RegoPolicy, bundle: Bundle, since: Timestamp, by: String, until: Timestamp) -> Self {
        Self { policy, bundle, since, by: Some((by, until)) }
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Its name and digest.
    pub fn reference(&self) -> PolicyRef {
        self.policy.reference()
    }

    /// Who began it, and until when; `None` of what the configuration names.
    pub fn by(&self) -> Option<(&str, Timestamp)> {
        self.by.as_ref().map(|(by, until)| (by.as_str(), *until))
    }
}

/// Why a changed bundle was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The bundle; `None` when its files could not be read.
    pub policy: Option<PolicyRef>,
    /// When.
    pub at: Timestamp,
    /// What stands against it.
    pub errors: Vec<String>,
}

/// One question that the tried policy is asked, too, with what the one in force said.
#[derive(Debug)]
pub struct Tried {
    decision: Decision,
    input: Question,
}

#[derive(Debug)]
enum Question {
    Risk(Box<RiskInput>),
    Action(Box<ActionInput>),
}

/// How the tried policy compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Decisions that both made.
    pub compared: u64,
    /// Answered otherwise.
    pub differs: u64,
    /// Of those, less strict.
    pub widens: u64,
    /// Of those, stricter.
    pub narrows: u64,
    /// The tried one failed.
    pub errors: u64,
    /// It was not asked, for it is slower than decisions come.
    pub skipped: u64,
}

/// The policy in force. Behind the [`Policy`] trait it is asked like any other.
#[derive(Debug)]
pub struct LivePolicy {
    active: ArcSwap<InForce>,
    refused: ArcSwapOption<Refusal>,
    shadow: ArcSwapOption<Beside>,
    /// The configured policies over which the one in force was promoted.
    over: ArcSwapOption<Digest>,
    trying: Option<SyncSender<Tried>>,
    tally: Mutex<Tally>,
}

impl LivePolicy {
    /// Begins with a bundle. Questions go to `trying` as well, where there is something to try.
    pub fn new(policy: RegoPolicy, bundle: Bundle, since: Timestamp, trying: Option<SyncSender<Tried>>) -> Self {
        Self {
            active: ArcSwap::from_pointee(InForce { policy, bundle, since }),
            refused: ArcSwapOption::empty(),
            shadow: ArcSwapOption::empty(),
            over: ArcSwapOption::empty(),
            trying,
            tally: Mutex::default(),
        }
    }

    /// Puts another bundle in force; gives the one before. What is tried is compared with it from now on, and
    /// counted anew. `over` are the configured policies where it is none of them.
    pub fn activate(&self, policy: RegoPolicy, bundle: Bundle, now: Timestamp, over: Option<Digest>) -> PolicyRef {
        self.over.store(over.map(Arc::new));
        let before = self.active.swap(Arc::new(InForce { policy, bundle, since: now }));
        self.refused.store(None);
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
        before.policy.reference()
    }

    /// Whether the one in force was promoted over configured ones.
    pub fn is_promoted(&self) -> bool {
        self.over.load().is_some()
    }

    /// The configured policies are the ones in force: nothing holds over them any more.
    pub fn settled(&self) {
        self.over.store(None);
    }

    /// Whether the one in force was promoted over the configured policies of this digest.
    pub fn is_promoted_over(&self, configured: &Digest) -> bool {
        self.over.load().as_deref() == Some(configured)
    }

    /// Notes that a bundle was refused.
    pub fn refuse(&self, policy: Option<PolicyRef>, errors: Vec<String>, at: Timestamp) {
        self.refused.store(Some(Arc::new(Refusal { policy, at, errors })));
    }

    /// Tries a bundle beside the one in force; `None` ends that.
    pub fn try_beside(&self, tried: Option<Beside>) {
        self.shadow.store(tried.map(Arc::new));
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
    }

    /// What is tried.
    pub fn beside(&self) -> Option<Arc<Beside>> {
        self.shadow.load_full()
    }

    /// How it compares so far.
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a trial whose time is over, and gives it.
    pub fn lapsed(&self, now: Timestamp) -> Option<Arc<Beside>> {
        let shadow = self.shadow.load_full()?;
        let is_over = shadow.by().is_some_and(|(_, until)| until <= now);
        is_over.then(|| self.try_beside(None)).map(|()| shadow)
    }

    /// The last refusal, if nothing was taken since.
    pub fn refusal(&self) -> Option<Arc<Refusal>> {
        self.refused.load_full()
    }

    /// Files that `other` has otherwise than the bundle in force.
    pub fn differing_files(&self, other: &Bundle) -> Vec<String> {
        let active = self.active.load();
        let known: std::collections::BTreeMap<&str, &str> = active.bundle.files().collect();
        let fresh: std::collections::BTreeMap<&str, &str> = other.files().collect();
        let names: std::collections::BTreeSet<&str> = known.keys().chain(fresh.keys()).copied().collect();
        names.into_iter().filter(|name| known.get(name) != fresh.get(name)).map(str::to_owned).collect()
    }

    /// What is in force, refused and tried, for people and programs.
    pub fn status(&self) -> Value {
        let active = self.active.load();
        let shadow = self.shadow.load();
        let tally = self.tally();
        serde_json::json!({
            "active": {
                "bundle": active.bundle.name(), "digest": active.bundle.digest(), "since": active.since,
                "contract": super::contract::CONTRACT, "engine": super::rego::ENGINE, "modules": active.policy.modules(),
                "rules": active.policy.loaded().rules().map(|(module, rule, set, full)| serde_json::json!({
                    "rule": full, "set": set.set, "at": format!("{}:{}", module.path, rule.at.line),
                })).collect::<Vec<_>>(),
                "exceptions": active.policy.exceptions(),
                "promoted_over": self.over.load().as_deref(),
            },
            "rejected": self.refused.load().as_deref(),
            "shadow": shadow.as_ref().map(|shadow| serde_json::json!({
                "bundle": shadow.bundle.name(), "digest": shadow.bundle.digest(), "since": shadow.since, "tally": tally,
                "by": shadow.by().map(|(by, _)| by), "until": shadow.by().map(|(_, until)| until),
            })),
        })
    }

    /// Judges a document by the bundle in force, without consequence.
    ///
    /// # Errors
    /// When it is no input.
    pub fn evaluate(&self, id: DecisionId, input: &Value) -> Result<Value, BadInput> {
        let active = self.active.load();
        let began = Instant::now();
        let decision = active.policy.decide(id, input)?;
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(decision.document(input, Some(active.policy.modules()), Some(us)))
    }

    /// Asks the tried policy, too; the difference, where there is one.
    pub fn compare(&self, tried: &Tried) -> Option<crate::journal::ShadowDiffered> {
        let shadow = self.shadow.load_full()?;
        let id = match &tried.decision {
            Decision::Risk(decision) => decision.id,
            Decision::Action(ruling) => ruling.id,
        };
        let (other, about, investigation) = match &tried.input {
            Question::Risk(input) => {
                (Decision::Risk(shadow.policy.assess(id, input)), "risk".to_owned(), String::new())
            }
            Question::Action(input) => {
                let other = Decision::Action(shadow.policy.rule(id, input));
                (other, input.call.tool.clone(), input.investigation.id.clone())
            }
        };
        let (widens, narrows) = (other.asks_less_than(&tried.decision), tried.decision.asks_less_than(&other));
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.compared += 1;
        tally.errors += u64::from(other.error().is_some());
        if !widens && !narrows {
            return None;
        }
        tally.differs += 1;
        tally.widens += u64::from(widens);
        tally.narrows += u64::from(narrows && !widens);
        drop(tally);
        let rules = |decision: &Decision| -> std::collections::BTreeSet<String> {
            decision.reasons().iter().map(|reason| reason.rule.clone()).collect()
        };
        let (before, after) = (rules(&tried.decision), rules(&other));
        Some(crate::journal::ShadowDiffered {
            decision: id,
            investigation,
            about,
            active: tried.decision.word().to_owned(),
            shadow: other.word().to_owned(),
            policy: shadow.policy.reference(),
            widens,
            gained: after.difference(&before).cloned().collect(),
            lost: before.difference(&after).cloned().collect(),
        })
    }

    /// Judges decisions of the past by `fresh` before it decides, each within the time of a decision. What it
    /// fails on and the bundle in force does not stands against it. Answers how many were judged.
    ///
    /// # Errors
    /// One line for each failure, the first twenty.
    pub fn canary(&self, fresh: &RegoPolicy, past: &[(DecisionId, Value)]) -> Result<u64, Vec<String>> {
        let active = self.active.load();
        let mut judged = 0;
        let mut errors = vec![];
        for (id, input) in past {
            // What an earlier version asked may be no input of today.
            let Ok(decision) = fresh.decide(*id, input) else { continue };
            judged += 1;
            let Some(error) = decision.error() else { continue };
            let fails_too = active.policy.decide(*id, input).is_ok_and(|decision| decision.error().is_some());
            if !fails_too && errors.len() < MOST_ERRORS {
                errors.push(format!("recorded decision {id}: the bundle fails on it: {error}"));
            }
        }
        if errors.is_empty() { Ok(judged) } else { Err(errors) }
    }

    /// Hands a question on; the active path waits for nobody.
    fn hand_on(&self, make: impl FnOnce() -> Tried) {
        let Some(trying) = self.trying.as_ref().filter(|_| self.shadow.load().is_some()) else { return };
        if let Err(TrySendError::Full(_)) = trying.try_send(make()) {
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).skipped += 1;
        }
    }
}

impl Policy for LivePolicy {
    fn assess(&self, id: DecisionId, input: &RiskInput) -> RiskDecision {
        let decision = self.active.load().policy.assess(id, input);
        self.hand_on(|| Tried {
            decision: Decision::Risk(decision.clone()),
            input: Question::Risk(Box::new(input.clone())),
        });
        decision
    }

    fn rule(&self, id: DecisionId, input: &ActionInput) -> Ruling {
        let ruling = self.active.load().policy.rule(id, input);
        self.hand_on(|| Tried {
            decision: Decision::Action(ruling.clone()),
            input: Question::Action(Box::new(input.clone())),
        });
        ruling
    }

    fn reference(&self) -> PolicyRef {
        self.active.load().policy.reference()
    }

    fn calendar(&self, environment: &str, now: Timestamp) -> Calendar {
        self.active.load().policy.calendar(environment, now)
    }

    fn flapping_window(&self) -> SignedDuration {
        self.active.load().policy.flapping_window()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::domain::{Effect, Risk, Verdict};
    use std::collections::BTreeMap;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    const ID: DecisionId = DecisionId::new(uuid::Uuid::from_u128(7));

    fn load(bundle: &Bundle) -> RegoPolicy {
        RegoPolicy::load(bundle).unwrap().with_limit(Duration::from_secs(10))
    }

    fn write(pods: u64) -> ActionInput {
        let mut input = sample::action_input();
        (input.call.effect, input.risk.level) = (Effect::Write, Risk::Low);
        (input.blast_radius.known, input.blast_radius.pods) = (true, pods);
        input
    }

    #[test]
    fn another_bundle_decides_from_the_moment_it_is_active() {
        let now = Timestamp::UNIX_EPOCH;
        let live = LivePolicy::new(load(&Bundle::embedded()), Bundle::embedded(), now, None);
        assert_eq!(live.rule(ID, &write(12)).verdict, Verdict::Ask);
        let bundle = Bundle::edited("data/org.yaml", "pods_approve: 10", "pods_approve: 20");
        assert_eq!(live.differing_files(&bundle), ["data/org.yaml"]);
        live.refuse(None, vec!["no".into()], now);
        let before = live.activate(load(&bundle), bundle, now, None);
        assert_eq!(before.digest, *Bundle::embedded().digest());
        assert_eq!(live.rule(ID, &write(12)).verdict, Verdict::Allow);
        assert_eq!(live.refusal(), None);
        assert_eq!(live.status()["active"]["digest"], serde_json::json!(live.reference().digest));
    }

    #[test]
    fn what_is_tried_beside_decides_nothing_and_its_differences_are_told() {
        let (sender, receiver) = sync_channel(1);
        let now = Timestamp::UNIX_EPOCH;
        let live = LivePolicy::new(load(&Bundle::embedded()), Bundle::embedded(), now, Some(sender));
        live.rule(ID, &write(12));
        assert!(receiver.try_recv().is_err(), "nothing is tried yet");
        let bundle = Bundle::edited("data/org.yaml", "pods_approve: 10", "pods_approve: 20");
        live.try_beside(Some(Beside::configured(load(&bundle), bundle, now)));
        assert_eq!(live.rule(ID, &write(12)).verdict, Verdict::Ask);
        live.rule(ID, &write(12));
        let differs = live.compare(&receiver.try_recv().unwrap()).unwrap();
        assert_eq!((differs.active.as_str(), differs.shadow.as_str(), differs.widens), ("ask", "allow", true));
        assert_eq!(differs.lost, ["action/blast/soft-limit"]);
        live.rule(ID, &write(1));
        assert_eq!(live.compare(&receiver.try_recv().unwrap()), None);
        let tally = live.status()["shadow"]["tally"].clone();
        assert_eq!(
            tally,
            serde_json::json!({"compared": 2, "differs": 1, "widens": 1, "narrows": 0, "errors": 0, "skipped": 1})
        );
    }

    #[test]
    fn a_trial_ends_in_its_time_and_is_counted_anew_under_another_policy() {
        let (sender, receiver) = sync_channel(8);
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let live = LivePolicy::new(load(&Bundle::embedded()), Bundle::embedded(), at(0), Some(sender));
        let embedded = Bundle::embedded();
        live.try_beside(Some(Beside::of_person(load(&embedded), embedded, at(0), "ann".into(), at(100))));
        live.rule(ID, &write(1));
        assert_eq!(live.compare(&receiver.try_recv().unwrap()), None);
        assert_eq!(live.tally().compared, 1);
        let other = Bundle::edited("data/org.yaml", "pods_approve: 10", "pods_approve: 20");
        let over = Digest::of("folder");
        live.activate(load(&other), other, at(1), Some(over.clone()));
        assert_eq!(live.tally(), Tally::default());
        assert!(live.is_promoted_over(&over) && !live.is_promoted_over(Bundle::embedded().digest()));
        assert_eq!(live.status()["shadow"]["by"], "ann");
        assert!(live.lapsed(at(99)).is_none() && live.beside().is_some());
        assert_eq!(live.lapsed(at(100)).unwrap().by().unwrap().0, "ann");
        assert!(live.beside().is_none() && live.lapsed(at(101)).is_none());
        // What the configuration names has no end.
        live.try_beside(Some(Beside::configured(load(&Bundle::embedded()), Bundle::embedded(), at(0))));
        assert!(live.lapsed(Timestamp::MAX).is_none());
        let before = live.activate(load(&Bundle::embedded()), Bundle::embedded(), at(2), None);
        assert_ne!(before.digest, *Bundle::embedded().digest());
        assert!(!live.is_promoted_over(&over));
    }

    #[test]
    fn what_a_bundle_fails_on_stands_against_it_before_it_decides() {
        let now = Timestamp::UNIX_EPOCH;
        let live = LivePolicy::new(load(&Bundle::embedded()), Bundle::embedded(), now, None);
        let named = |tool: &str| {
            let mut input = write(1);
            input.call.tool = tool.to_owned();
            (ID, serde_json::to_value(input).unwrap())
        };
        let past = [named("7"), named("8"), (ID, serde_json::json!({"schema": "firewarden.action/v0"}))];
        assert_eq!(live.canary(&load(&Bundle::embedded()), &past), Ok(2));
        // It is sound for the tools that its author thought of.
        let path = "action/odd.rego";
        let rule = "package firewarden.action.odd\n\nwarn contains {\"id\": \"odd\", \"reason\": \"odd\"} if {\n\tnot startswith(input.call.tool, \"kubernetes_\")\n\tto_number(input.call.tool) == 1\n}\n";
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.to_owned(), t.to_owned())).collect();
        files.insert(path.into(), rule.into());
        let odd = load(&Bundle::from_files(files));
        assert_eq!(live.canary(&odd, &past), Ok(2));
        let errors = live.canary(&odd, &[named("seven"), named("8")]).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains("dec_") && errors[0].contains("fails on it"), "{errors:?}");
        assert_eq!(live.canary(&load(&Bundle::embedded()), &[named("seven")]), Ok(1));
    }
}
