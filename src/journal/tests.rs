//! Whole lives of investigations, without I/O: a performer that answers each step at random, and the
//! rules that must hold whatever happens.

use super::*;
use crate::domain::*;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod deeds;
mod delivery;
mod doubt;
mod loops;
mod reopening;
mod spending;
mod things;

const CHAIN: &str = "inv_00000000-0000-7000-8000-000000000001";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn blob(n: u64) -> BlobRef {
    BlobRef::commit(&[0; 16], &n.to_be_bytes())
}

fn event(n: u64) -> SreEvent {
    SreEvent {
        id: EventId::new(uuid::Uuid::from_u128(u128::from(n))),
        source: "alertmanager".into(),
        fingerprint: format!("f{n}"),
        group_key: None,
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        name: "PVCUsageHigh".into(),
        subject: "typedb".into(),
        resource: Resource { kind: ResourceType::K8sPvc, id: format!("d{n}"), namespace: None, cluster: None },
        title: "t".into(),
        description: "d".into(),
        labels: Default::default(),
        annotations: Default::default(),
        starts_at: at(0),
        ends_at: None,
        received_at: at(0),
        links: vec![],
        raw: blob(n),
        raw_hmac: String::new(),
        via: None,
        ended_by: None,
    }
}

fn policy() -> PolicyRef {
    PolicyRef { digest: Digest::of("p"), bundle: "test@1".into() }
}

fn decision(level: Risk) -> RiskDecision {
    RiskDecision {
        id: DecisionId::new(uuid::Uuid::from_u128(1)),
        level,
        reasons: vec![],
        exceptions: vec![],
        obligations: vec![],
        policy: policy(),
        input_digest: Digest::of("i"),
        error: None,
    }
}

fn allowing() -> Ruling {
    Ruling {
        id: DecisionId::new(uuid::Uuid::from_u128(2)),
        verdict: Verdict::Allow,
        reasons: vec![],
        requirements: vec![],
        exceptions: vec![],
        expires_s: None,
        duties: Default::default(),
        for_model: None,
        policy: policy(),
        input_digest: Digest::of("i"),
        error: None,
    }
}

/// A driver without a world: `dice` decides how each step turns out.
struct Life {
    entries: Vec<Entry>,
    state: Investigation,
    second: i64,
    dice: Vec<u8>,
    rolled: usize,
    model: bool,
}

impl Life {
    fn new(dice: Vec<u8>, model: bool) -> Self {
        let mut life = Self { entries: vec![], state: Investigation::empty(CHAIN), second: 0, dice, rolled: 0, model };
        life.write(Body::EventReceived {
            event: Box::new(event(1)),
            correlation_key: "k".into(),
            incident_key: Digest::of("k"),
            route: "default".into(),
        });
        life
    }

    fn roll(&mut self, sides: u8) -> u8 {
        self.rolled += 1;
        self.dice.get(self.rolled % self.dice.len().max(1)).map_or(0, |n| n.wrapping_add(self.rolled as u8) % sides)
    }

    fn write(&mut self, body: Body) {
        self.write_as(Actor::Engine, body);
    }

    fn write_as(&mut self, actor: Actor, body: Body) {
        let entry = self.state.head.seal(CHAIN, at(self.second), Draft::new(actor, body)).unwrap();
        self.state.apply(&entry).unwrap();
        self.entries.push(entry);
    }

    fn step(&self) -> Step {
        next(&self.state, at(self.second))
    }

    fn live(&mut self) {
        for _ in 0..2000 {
            // Something may arrive at any time.
            if self.roll(40) == 0 && self.state.events.len() < 6 {
                let n = self.state.events.len() as u64 + 1;
                self.write(Body::AlertsMerged { events: vec![event(n)], flapping: false });
            }
            if self.roll(9) == 0 {
                self.somebody_answers();
            }
            self.second += 1;
            let step = self.step();
            assert_eq!(
                step,
                next(&Investigation::fold(CHAIN, &self.entries).unwrap(), at(self.second)),
                "replay differs"
            );
            if step == Step::Done {
                return;
            }
            self.perform(step);
        }
        panic!("it does not end: {:?}", self.entries.iter().map(|e| e.body.kind()).collect::<Vec<_>>());
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Assess(phase) => {
                let level =
                    *[Risk::Low, Risk::Medium, Risk::High, Risk::Critical].get(usize::from(self.roll(4))).unwrap();
                let level = if self.roll(3) == 0 { level } else { Risk::Medium };
                self.write(Body::RiskAssessed { phase, decision: decision(level), input: blob(1) });
            }
            Step::Decline => self.write(Body::Declined { reason: "critical".into() }),
            Step::Open => self.write(Body::Opened(Frozen {
                route: "default".into(),
                prompt: "incident".into(),
                tools: vec![],
                model: self.model.then(|| "m".into()),
                fallbacks: vec![],
                budget: Budget { turns: 6, tool_calls: 9, wall_s: 5_000, ..Budget::default() },
                context_tokens: None,
                windows: std::collections::BTreeMap::new(),
                pulls: None,
                playbook: Default::default(),
                prompts_digest: Digest::of(""),
                tools_digest: Digest::of(""),
            })),
            Step::TakeRung => {
                // Mostly full; the other rungs often enough.
                let rung = match self.roll(12) {
                    9 => Rung::Cheap,
                    10 => Rung::Deterministic,
                    11 => Rung::Notice,
                    _ => Rung::Full,
                };
                let revision = self.state.revision();
                let model = (rung == Rung::Cheap).then(|| "small".to_owned());
                self.write(Body::LadderTaken { revision, rung, from: None, model, reason: "so it is".into() });
            }
            Step::Survey => match self.state.survey.rounds < 3 && self.roll(2) == 0 {
                true => {
                    let round = self.state.survey.rounds + 1;
                    let revision = self.state.report.as_ref().map_or(1, |r| r.revision + 1);
                    let calls =
                        (0..self.roll(4)).map(|n| call(&format!("survey_{revision}_{round}_{n}"), json!({}))).collect();
                    self.write(Body::SurveyPlanned { round, calls });
                }
                false => self.write(Body::Surveyed {
                    stopped: "complete".into(),
                    analysis: blob(2),
                    findings: 1,
                    top_cause: None,
                    things: vec![],
                }),
            },
            Step::Read(calls) => {
                for call in calls {
                    match self.roll(5) {
                        0 => self.write(Body::CallRejected {
                            call,
                            reason: "no".into(),
                            remedy: "no".into(),
                            ruling: None,
                            input: None,
                        }),
                        1 => {
                            self.write(Body::ReadStarted { call: call.clone(), ruling: allowing(), input: None });
                            self.write(Body::ReadFailed {
                                call_id: call.id,
                                evidence_id: format!("E{}", self.state.evidence + 1),
                                error: "403".into(),
                                duration_ms: 1,
                                instructions: vec![],
                            });
                        }
                        _ => {
                            self.write(Body::ReadStarted { call: call.clone(), ruling: allowing(), input: None });
                            self.write(Body::ReadFinished {
                                call_id: call.id,
                                evidence_id: format!("E{}", self.state.evidence + 1),
                                observation: blob(3),
                                excerpt: "x".into(),
                                digest: Digest::of("x"),
                                truncated: false,
                                redacted: 0,
                                duration_ms: 1,
                                instructions: vec![],
                            });
                        }
                    }
                }
            }
            Step::Ask { turn, must_answer } => {
                self.write(Body::ModelAsked {
                    turn,
                    model: "m".into(),
                    request_digest: Digest::of("r"),
                    request: blob(4),
                    reserved_tokens: 100,
                    reserved_usd: 0.0,
                    max_tokens: 40,
                    must_answer,
                });
                let proposal = match self.roll(8) {
                    0 => {
                        return self.write(Body::ModelFailed {
                            turn,
                            error: "503".into(),
                            transient: true,
                            charged: true,
                            too_long: false,
                            sent: None,
                        });
                    }
                    1 => {
                        return self.write(Body::ModelFailed {
                            turn,
                            error: "401".into(),
                            transient: false,
                            charged: false,
                            too_long: false,
                            sent: None,
                        });
                    }
                    2 => Proposal::Invalid { remedy: "say it again".into() },
                    3 => Proposal::Report { report: blob(5), recovered: false },
                    n => Proposal::Calls {
                        accepted: (0..2)
                            .map(|i| match n == 7 {
                                true => deeds::change(&format!("call_{turn}_{i}"), ["api", "web"][i]),
                                false => call(&format!("call_{turn}_{i}"), json!({"n": n})),
                            })
                            .collect(),
                        rejected: vec![],
                        recovered: false,
                    },
                };
                let usage = Usage { tokens_in: 90, tokens_out: 20, tokens_cached: 0 };
                self.write(Body::ModelReplied {
                    turn,
                    model: "m-2026".into(),
                    reply: blob(6),
                    proposal,
                    usage,
                    cost_usd: 0.01,
                    sent: None,
                });
            }
            Step::Report => {
                let revision = self.state.report.as_ref().map_or(1, |r| r.revision + 1);
                self.write(Body::Reported {
                    revision,
                    verdict: ReportVerdict::Likely,
                    summary: "s".into(),
                    report: blob(7),
                    sinks: vec!["log".into(), "chat".into()],
                });
            }
            Step::Notify { revision, sinks } => {
                for sink in sinks {
                    let attempt = self.state.outbox.debts().iter().find(|d| d.sink == sink).unwrap().attempts + 1;
                    let reported = self.state.report.as_ref().unwrap().at;
                    let again = outbox::again_at(attempt, reported, at(self.second), 0);
                    let error = "chat: status 503".to_owned();
                    match (self.roll(3), again) {
                        (0, Some(again_at)) => {
                            self.write(Body::NoticeFailed { sink, revision, attempt, error, again_at })
                        }
                        (0, None) => self.write(Body::Notified { sink, revision, error: Some(error) }),
                        _ => self.write(Body::Notified { sink, revision, error: None }),
                    }
                }
            }
            step @ (Step::Plan(_)
            | Step::Authorize(_)
            | Step::Reconcile(_)
            | Step::Verify(_)
            | Step::Expire(_)
            | Step::Drop(_)) => self.act(step),
            Step::Wait(until) => self.second += until.duration_since(at(self.second)).as_secs().max(0) + 1,
            Step::Close(outcome) => self.write(Body::Closed { outcome }),
            Step::Reopen(reason) => self.write(Body::Reopened { reason }),
            Step::Done => {}
        }
    }
}

fn call(id: &str, args: Value) -> Call {
    Call { id: id.into(), tool: "kubernetes_get".into(), args, effect: None, need: Value::Null }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_life_ends_closed_reported_and_sound(dice in prop::collection::vec(any::<u8>(), 1..60), model: bool) {
        let mut life = Life::new(dice, model);
        life.live();
        let state = &life.state;
        prop_assert!(state.outcome.is_some());
        prop_assert!(state.report.is_some());
        prop_assert!(state.outbox.debts().is_empty());
        prop_assert!(state.unsettled().is_empty() || state.risk == Some(Risk::Critical) );
        let violations = semantics::violations(CHAIN, &life.entries);
        prop_assert!(violations.is_empty(), "{:?}", violations);
        prop_assert!(chain::verify(CHAIN, &life.entries).is_ok());
        // The budget: never more turns than allowed.
        prop_assert!(state.spent.turns <= 6);
        let ids: BTreeSet<_> = state.calls.iter().map(|c| &c.call.id).collect();
        prop_assert_eq!(ids.len(), state.calls.len());
        // At CRITICAL nobody is dispatched from then on.
        let critical = life.entries.iter().position(|e| matches!(&e.body, Body::RiskAssessed { decision, .. } if decision.level == Risk::Critical));
        if let Some(position) = critical {
            let dispatched = |e: &Entry| matches!(e.body, Body::ReadStarted { .. } | Body::ModelAsked { .. });
            prop_assert!(!life.entries[position..].iter().any(dispatched));
        }
    }
}

#[test]
fn the_level_is_a_ratchet() {
    let mut life = Life::new(vec![0], false);
    life.write(Body::RiskAssessed { phase: Phase::Alert, decision: decision(Risk::High), input: blob(1) });
    life.write(Body::RiskAssessed { phase: Phase::Survey, decision: decision(Risk::Low), input: blob(1) });
    assert_eq!(life.state.risk, Some(Risk::High));
}

#[test]
fn a_later_alert_on_something_new_reopens_and_on_the_same_does_not() {
    let mut life = Life::new(vec![2], false);
    life.live();
    assert!(life.state.outcome.is_some());
    let revision = life.state.report.as_ref().unwrap().revision;
    life.write(Body::AlertsMerged { events: vec![event(1)], flapping: false });
    life.second += 1;
    life.perform(life.step());
    assert_eq!(life.step(), Step::Done, "the same thing again");
    life.write(Body::AlertsMerged { events: vec![event(99)], flapping: false });
    life.live();
    assert!(life.state.report.as_ref().unwrap().revision > revision);
    assert!(life.state.outcome.is_some());
}

#[test]
fn time_runs_out_into_a_report() {
    let mut life = Life::new(vec![2], true);
    while !matches!(life.step(), Step::Ask { .. }) {
        life.perform(life.step());
    }
    let later = at(life.second).checked_add(SignedDuration::from_secs(4_500)).unwrap();
    assert!(matches!(next(&life.state, later), Step::Ask { must_answer: true, .. }));
    let too_late = at(life.second).checked_add(SignedDuration::from_secs(5_001)).unwrap();
    assert_eq!(next(&life.state, too_late), Step::Report);
}

#[test]
fn what_may_not_happen_is_found_in_a_chain_whose_links_hold() {
    let mut life = Life::new(vec![2], false);
    let mut ruling = allowing();
    ruling.verdict = Verdict::Ask;
    let mut head = life.state.head.clone();
    for body in [
        Body::ReadStarted { call: call("x", json!({})), ruling, input: None },
        Body::ReadFailed {
            call_id: "y".into(),
            evidence_id: "E1".into(),
            error: String::new(),
            duration_ms: 0,
            instructions: vec![],
        },
        Body::Closed { outcome: Outcome::Reported },
    ] {
        let entry = head.seal(CHAIN, at(1), Draft::engine(body)).unwrap();
        head = entry.head();
        life.entries.push(entry);
    }
    assert!(chain::verify(CHAIN, &life.entries).is_ok());
    let found = semantics::violations(CHAIN, &life.entries).join("\n");
    for expected in ["ruling was ask", "before the work began", "no allowing ruling", "without a report"] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
}

#[test]
fn what_policy_calls_critical_is_told_even_behind_a_cancel() {
    let mut life = Life::new(vec![2], false);
    life.write(Body::RiskAssessed { phase: Phase::Alert, decision: decision(Risk::Low), input: blob(1) });
    life.write(Body::Cancelled { reason: "not now".into() });
    life.perform(life.step());
    assert_eq!(life.state.outcome, Some(Outcome::Cancelled));
    life.write(Body::AlertsMerged { events: vec![event(7)], flapping: false });
    assert_eq!(life.step(), Step::Assess(Phase::Signal));
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Critical), input: blob(1) });
    while life.step() != Step::Done {
        life.perform(life.step());
    }
    assert_eq!(life.state.outcome, Some(Outcome::Declined));
    assert!(life.entries.iter().any(|e| matches!(&e.body, Body::Notified { revision: 1, error: None, .. })));
}

#[test]
fn what_joins_behind_the_survey_is_looked_at_in_a_further_revision() {
    let mut life = Life::new(vec![2], false);
    while !matches!(life.step(), Step::Report) {
        life.perform(life.step());
    }
    life.write(Body::AlertsMerged { events: vec![event(42)], flapping: false });
    while life.step() != Step::Done {
        life.second += 1;
        let step = life.step();
        life.perform(step);
    }
    assert_eq!(life.state.report.as_ref().unwrap().revision, 2);
    assert_eq!(life.state.survey.events, 2);
}
