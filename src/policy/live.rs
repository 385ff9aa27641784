//! The policy in force, which can be exchanged while decisions are made, and one that is tried beside it.

use super::{
    ActionInput, BadInput, Bundle, Calendar, Decision, Diagnostic, Outcome, Policy, PolicyError, RegoPolicy, RiskInput,
    drill, run_tests,
};
use crate::domain::{DecisionId, PolicyRef, RiskDecision, Ruling};
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Errors that are kept of a refusal.
const MOST_ERRORS: usize = 20;
/// Time for one decision while a bundle proves itself.
const PROOF_LIMIT: Duration = Duration::from_secs(5);

/// A bundle that decides, or is tried.
#[derive(Debug)]
pub struct InForce {
    policy: RegoPolicy,
    bundle: Bundle,
    since: Timestamp,
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
    shadow: ArcSwapOption<InForce>,
    trying: Option<SyncSender<Tried>>,
    tally: Mutex<Tally>,
}

/// Proves a bundle before it decides: parse, contract, its own tests, the drill. All that stands against it
/// is told.
///
/// # Errors
/// One line for each objection.
pub fn prove(bundle: &Bundle) -> Result<RegoPolicy, Vec<String>> {
    let told = |error: PolicyError| match error {
        PolicyError::Load { diagnostics } => diagnostics.iter().map(Diagnostic::to_string).collect(),
        other => vec![other.to_string()],
    };
    let policy = RegoPolicy::load(bundle).map_err(told)?;
    let report = run_tests(bundle, None).map_err(told)?;
    let failed = report.tests.iter().filter(|test| test.outcome == Outcome::Fail);
    let mut errors: Vec<String> =
        failed.map(|test| format!("{}: test {}.{} fails", test.at, test.package, test.name)).collect();
    let patient = RegoPolicy::load(bundle).map_err(told)?.with_limit(PROOF_LIMIT);
    let report = drill(&patient, bundle, false).map_err(told)?;
    errors
        .extend(report.let_through.iter().map(|case| format!("{}: drill `{}` is {}", case.path, case.name, case.said)));
    errors.truncate(MOST_ERRORS);
    if errors.is_empty() { Ok(policy) } else { Err(errors) }
}

/// Proves that a bundle refuses what every bundle has to refuse.
///
/// # Errors
/// When it lets a case of the drill through.
pub fn refuses_all_drills(policy: RegoPolicy, bundle: &Bundle) -> Result<RegoPolicy, PolicyError> {
    let limit = policy.limit();
    let patient = policy.with_limit(PROOF_LIMIT);
    let report = drill(&patient, bundle, false)?;
    let told = report.let_through.iter().take(MOST_ERRORS).map(|case| {
        let help = "`firewarden policy drill` and `firewarden policy explain` say more";
        Diagnostic::of_file("drill", &case.path, format!("`{}` is {}", case.name, case.said)).help(Some(help))
    });
    let diagnostics: Vec<Diagnostic> = told.collect();
    if diagnostics.is_empty() { Ok(patient.with_limit(limit)) } else { Err(PolicyError::Load { diagnostics }) }
}

impl LivePolicy {
    /// Begins with a bundle. Questions go to `trying` as well, where there is something to try.
    pub fn new(policy: RegoPolicy, bundle: Bundle, since: Timestamp, trying: Option<SyncSender<Tried>>) -> Self {
        Self {
            active: ArcSwap::from_pointee(InForce { policy, bundle, since }),
            refused: ArcSwapOption::empty(),
            shadow: ArcSwapOption::empty(),
            trying,
            tally: Mutex::default(),
        }
    }

    /// Puts another bundle in force; gives the one before.
    pub fn activate(&self, policy: RegoPolicy, bundle: Bundle, now: Timestamp) -> PolicyRef {
        let before = self.active.swap(Arc::new(InForce { policy, bundle, since: now }));
        self.refused.store(None);
        before.policy.reference()
    }

    /// Notes that a bundle was refused.
    pub fn refuse(&self, policy: Option<PolicyRef>, errors: Vec<String>, at: Timestamp) {
        self.refused.store(Some(Arc::new(Refusal { policy, at, errors })));
    }

    /// Tries a bundle beside the one in force; `None` ends that.
    pub fn try_beside(&self, tried: Option<(RegoPolicy, Bundle)>, now: Timestamp) {
        let tried = tried.map(|(policy, bundle)| Arc::new(InForce { policy, bundle, since: now }));
        self.shadow.store(tried);
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
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
        let tally = *self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::json!({
            "active": {
                "bundle": active.bundle.name(), "digest": active.bundle.digest(), "since": active.since,
                "contract": super::contract::CONTRACT, "engine": super::rego::ENGINE, "modules": active.policy.modules(),
                "rules": active.policy.loaded().rules().map(|(module, rule, set, full)| serde_json::json!({
                    "rule": full, "set": set.set, "at": format!("{}:{}", module.path, rule.at.line),
                })).collect::<Vec<_>>(),
            },
            "rejected": self.refused.load().as_deref(),
            "shadow": shadow.as_ref().map(|shadow| serde_json::json!({
                "bundle": shadow.bundle.name(), "digest": shadow.bundle.digest(), "since": shadow.since, "tally": tally,
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
        Ok(decision.document(input, active.policy.modules(), Some(us)))
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
        let (was, now) = (tried.decision.strictness(), other.strictness());
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.compared += 1;
        tally.errors += u64::from(other.error().is_some());
        if was == now {
            return None;
        }
        tally.differs += 1;
        tally.widens += u64::from(now < was);
        tally.narrows += u64::from(now > was);
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
            widens: now < was,
            gained: after.difference(&before).cloned().collect(),
            lost: before.difference(&after).cloned().collect(),
        })
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

    const ID: DecisionId = DecisionId::new(uuid::Uuid::from_u128(7));

    fn edited(path: &str, from: &str, to: &str) -> Bundle {
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.to_owned(), t.to_owned())).collect();
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(from));
        *text = text.replace(from, to);
        Bundle::from_files(files)
    }

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
        let bundle = edited("data/org.yaml", "pods_approve: 10", "pods_approve: 20");
        assert_eq!(live.differing_files(&bundle), ["data/org.yaml"]);
        live.refuse(None, vec!["no".into()], now);
        let before = live.activate(load(&bundle), bundle, now);
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
        let bundle = edited("data/org.yaml", "pods_approve: 10", "pods_approve: 20");
        live.try_beside(Some((load(&bundle), bundle)), now);
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
    fn a_bundle_proves_itself_before_it_decides() {
        assert!(prove(&Bundle::embedded()).is_ok());
        let failing = edited("data/org.yaml", "pods_approve: 10", "pods_approve: 2");
        assert!(prove(&failing).unwrap_err()[0].contains("test firewarden.action.blast_test."));
        let open = edited(
            "action/secrets.rego",
            "some kind in kinds\n\tkind in secrets",
            "some kind in kinds\n\tkind in {\"x\"}",
        );
        let errors = prove(&open).unwrap_err();
        assert!(errors.iter().any(|error| error.contains("fails") || error.contains("drill")), "{errors:?}");
        let broken = edited("action/blast.rego", "package firewarden.action.blast", "package firewarden.action");
        assert!(prove(&broken).unwrap_err()[0].contains("error["));
    }
}
