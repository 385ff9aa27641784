//! Changes in the life of an investigation, without a world.

use super::*;
use crate::domain::{
    Action, ActionId, ApprovalId, ApprovalState, BlastRadius, Duties, Effect, Marker, Person, Preview, Receipt,
    Reconciled, Requirement, Retry, Target, VerifyAfter, floor,
};
use crate::journal::{Deed, DeedState, RulingPhase, Watched};

pub(super) fn change(id: &str, name: &str) -> Call {
    Call {
        id: id.into(),
        tool: "kubernetes_scale".into(),
        args: json!({"name": name}),
        effect: Some(Effect::Write),
        need: Value::Null,
    }
}

fn planned(n: u128, call: &Call) -> Action {
    Action {
        id: ActionId::new(uuid::Uuid::from_u128(n)),
        tool: call.tool.clone(),
        effect: Effect::Write,
        reversible: true,
        args: call.args.clone(),
        title: "scale".into(),
        targets: vec![Target { name: call.args["name"].to_string(), ..Target::default() }],
        preview: Preview::default(),
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        retry: Retry::Keyed,
        blast_radius: BlastRadius::default(),
        facts: Value::Null,
        nonce: "n".into(),
    }
}

fn person(name: &str) -> Person {
    Person { name: name.into(), groups: vec!["oncall".into()], every_group: false }
}

impl Life {
    pub(super) fn level(&self) -> Risk {
        self.state.risk.unwrap_or(Risk::Critical)
    }

    /// A ruling on a change, as the gate gives it.
    fn rule(&mut self, action: &Action, phase: RulingPhase) -> Verdict {
        let wish =
            *[Verdict::Allow, Verdict::Ask, Verdict::Deny].get(usize::from(self.roll(5))).unwrap_or(&Verdict::Allow);
        let verdict = wish.max(floor(self.level(), action.effect));
        let requirements = match verdict {
            Verdict::Ask => {
                let count = u32::from(self.roll(2)) + 1;
                vec![Requirement { rule: "r".into(), groups: vec!["oncall".into()], count }]
            }
            _ => vec![],
        };
        let duties = Duties {
            verify_after: (self.roll(2) == 0).then_some(VerifyAfter { within_s: 300, rollback_on_failure: false }),
            ..Duties::default()
        };
        let ruling = Ruling { verdict, requirements, duties, ..allowing() };
        let digest = action.digest(CHAIN.parse().unwrap(), self.level());
        let told = "noted".to_owned();
        self.write(Body::ActionRuled { action: action.id, phase, digest, ruling, input: blob(8), told });
        verdict
    }

    fn ask_people(&mut self, id: ActionId) {
        let deed = self.state.deed(id).unwrap();
        let (ruling, digest) = deed.ruling.clone().unwrap();
        let n = self.entries.len() as u128;
        self.write(Body::ApprovalRequested {
            approval: ApprovalId::new(uuid::Uuid::from_u128(n)),
            action: id,
            digest,
            requirements: ruling.requirements,
            expires_at: at(self.second + 900),
        });
    }

    /// People answer when they like.
    pub(super) fn somebody_answers(&mut self) {
        let open = self.state.deeds.iter().find_map(Deed::waits).cloned();
        let Some(question) = open.filter(|q| at(self.second) < q.expires_at) else { return };
        let name = ["ann", "bea"][usize::from(self.roll(2))];
        let granted = self.roll(4) != 0;
        if question.grants.iter().all(|grant| grant.by.name != name) {
            let (by, digest, answered_at) = (person(name), question.digest, at(self.second));
            let (approval, comment) = (question.id, "c".to_owned());
            self.write(Body::ApprovalDecided { approval, granted, digest, by, answered_at, comment });
        }
    }

    pub(super) fn act(&mut self, step: Step) {
        match step {
            Step::Plan(calls) => {
                for call in calls {
                    let action = planned(self.entries.len() as u128, &call);
                    let keys = action.keys(&Digest::of("k"));
                    let stands = |deed: &Deed| deed.keys.scope == keys.scope && deed.holds_scope();
                    if self.state.deeds.iter().any(stands) || self.roll(6) == 0 {
                        let no = "no".to_owned();
                        self.write(Body::CallRejected {
                            call,
                            reason: no.clone(),
                            remedy: no,
                            ruling: None,
                            input: None,
                        });
                        continue;
                    }
                    let marker = Marker::sign(&keys.scope, b"k");
                    let action = Box::new(action);
                    self.write(Body::ActionPlanned { call_id: call.id, action: action.clone(), keys, marker });
                    if self.rule(&action, RulingPhase::Propose) == Verdict::Ask {
                        self.ask_people(action.id);
                    }
                }
            }
            Step::Authorize(id) => self.authorize(id),
            Step::Reconcile(id) => {
                let deed = self.state.deed(id).unwrap();
                let looks = deed.looks;
                let body = match self.roll(6) {
                    0 => Body::ActionDoubted {
                        action: id,
                        error: "503".into(),
                        look_at: (looks < 4).then(|| at(self.second + 30)),
                    },
                    1 => Body::ActionReconciled { action: id, found: Reconciled::Absent { definite: true } },
                    2 => Body::ActionReconciled { action: id, found: Reconciled::Superseded { why: "gone".into() } },
                    3 => Body::ActionFailed { action: id, error: "absent".into() },
                    _ => Body::ActionReconciled { action: id, found: Reconciled::Applied { receipt: receipt() } },
                };
                self.write(body);
            }
            Step::Verify(id) => {
                let over = self.state.deed(id).unwrap().watch_until().unwrap() <= at(self.second);
                match over || self.roll(4) == 0 {
                    false => self.write(Body::ActionObserved {
                        action: id,
                        seen: "2 of 3".into(),
                        ruling: None,
                        input: None,
                    }),
                    true => self.write(Body::Verified { action: id, outcome: Watched::Held, reason: "r".into() }),
                }
            }
            Step::Expire(approval) => self.write(Body::ApprovalExpired { approval }),
            Step::Drop(action) => self.write(Body::ActionDropped { action, reason: "not wanted".into() }),
            other => panic!("not about changes: {other:?}"),
        }
    }

    fn authorize(&mut self, id: ActionId) {
        let deed = self.state.deed(id).unwrap().clone();
        let digest = deed.action.digest(CHAIN.parse().unwrap(), self.level());
        let judged = deed.ruling.as_ref().map(|(_, judged)| judged.clone());
        let moved = self.roll(7) == 0;
        if deed.state == DeedState::Planned || judged.as_ref() != Some(&digest) || moved {
            if deed.plans >= changing::MAX_PLANS || deed.questions.len() >= changing::MAX_QUESTIONS {
                return self.write(Body::ActionDropped { action: id, reason: "it keeps changing".into() });
            }
            self.withdraw(&deed);
            let mut action = deed.action.clone();
            action.preview.text.push('x');
            let (keys, marker) = (deed.keys.clone(), deed.marker.clone());
            let boxed = Box::new(action.clone());
            self.write(Body::ActionPlanned { call_id: deed.call_id, action: boxed, keys, marker });
            if self.rule(&action, RulingPhase::Propose) == Verdict::Ask {
                self.ask_people(id);
            }
            return;
        }
        let verdict = self.rule(&deed.action, RulingPhase::Execute);
        let needed = self.state.deed(id).unwrap().ruling.clone().unwrap().0.requirements;
        let answered = deed.question().filter(|q| q.state == ApprovalState::Approved && q.digest == digest);
        let agreed = answered.is_some_and(|q| crate::domain::is_met(&needed, &q.grants));
        match verdict {
            Verdict::Deny => return,
            Verdict::Ask if !agreed => {
                if deed.questions.len() >= changing::MAX_QUESTIONS {
                    return self.write(Body::ActionDropped { action: id, reason: "asked too often".into() });
                }
                self.withdraw(&deed);
                return self.ask_people(id);
            }
            Verdict::Ask | Verdict::Allow => {}
        }
        self.write(Body::ActionStarted {
            action: id,
            decision: allowing().id,
            digest,
            attempt: deed.attempts + 1,
            precondition: Value::Null,
            carries: Value::Null,
            send_by: at(self.second + 30),
        });
        let body = match self.roll(5) {
            0 => return, // killed
            1 => Body::ActionFailed { action: id, error: "409".into() },
            2 => Body::ActionDoubted { action: id, error: "502".into(), look_at: Some(at(self.second)) },
            _ => Body::ActionFinished { action: id, receipt: receipt() },
        };
        self.write(body);
    }

    fn withdraw(&mut self, deed: &Deed) {
        if let Some(question) = deed.question().filter(|q| !q.state.is_final()) {
            let (approval, state) = (question.id, ApprovalState::Invalidated);
            self.write(Body::ApprovalWithdrawn { approval, state, reason: "changed".into() });
        }
    }
}

fn receipt() -> Receipt {
    Receipt { reference: "rv 8".into(), summary: "scaled".into(), detail: Value::Null }
}

/// A life up to a change that waits for a person, at MEDIUM and with its report out.
pub(super) fn waiting() -> (Life, ActionId) {
    waiting_for(Actor::Engine)
}

/// The same, proposed by `proposer`.
fn waiting_for(proposer: Actor) -> (Life, ActionId) {
    let mut life = Life::new(vec![0], matches!(proposer, Actor::Model(_)));
    life.write(Body::RiskAssessed { phase: Phase::Alert, decision: decision(Risk::Medium), input: blob(1) });
    life.perform(Step::Open);
    life.write(Body::CallsProposed { calls: vec![change("c1", "api")], reason: "r".into() });
    let action = planned(77, &change("c1", "api"));
    let keys = action.keys(&Digest::of("k"));
    let marker = Marker::sign(&keys.scope, b"k");
    let id = action.id;
    let body = Body::ActionPlanned { call_id: "c1".into(), action: Box::new(action.clone()), keys, marker };
    life.write_as(proposer, body);
    life.ruled(&action, RulingPhase::Propose, Verdict::Ask);
    life.ask_people(id);
    life.perform(Step::Report);
    for sink in ["log", "chat"] {
        life.write(Body::Notified { sink: sink.into(), revision: 1, error: None });
    }
    (life, id)
}

impl Life {
    pub(super) fn ruled(&mut self, action: &Action, phase: RulingPhase, verdict: Verdict) {
        let requirements = match verdict {
            Verdict::Ask => vec![Requirement { rule: "r".into(), groups: vec!["oncall".into()], count: 1 }],
            _ => vec![],
        };
        let digest = action.digest(CHAIN.parse().unwrap(), self.level());
        let ruling = Ruling { verdict, requirements, ..allowing() };
        let told = String::new();
        self.write(Body::ActionRuled { action: action.id, phase, digest, ruling, input: blob(8), told });
    }

    pub(super) fn question(&self) -> (ApprovalId, Digest) {
        let question = self.state.deeds[0].question().unwrap();
        (question.id, question.digest.clone())
    }

    pub(super) fn start(&mut self, id: ActionId) {
        let action = self.state.deed(id).unwrap().action.clone();
        self.ruled(&action, RulingPhase::Execute, Verdict::Ask);
        let attempt = self.state.deed(id).unwrap().attempts + 1;
        self.write(Body::ActionStarted {
            action: id,
            decision: allowing().id,
            digest: action.digest(CHAIN.parse().unwrap(), self.level()),
            attempt,
            precondition: Value::Null,
            carries: Value::Null,
            send_by: at(self.second + 30),
        });
    }

    pub(super) fn decide(&mut self, granted: bool) {
        let (approval, digest) = self.question();
        let (by, answered_at, comment) = (person("ann"), at(self.second), "c".to_owned());
        self.write(Body::ApprovalDecided { approval, granted, digest, by, answered_at, comment });
    }

    pub(super) fn violations(&self) -> Vec<String> {
        semantics::violations(CHAIN, &self.entries)
    }
}

#[test]
fn a_question_waits_for_its_answer_or_its_end() {
    let (mut life, id) = waiting();
    let expires = life.state.deeds[0].question().unwrap().expires_at;
    // An answer that was given in time may still be on its way.
    let too_late = expires.checked_add(SignedDuration::from_secs(5)).unwrap();
    assert_eq!(life.step(), Step::Wait(too_late));
    assert_eq!(View::of(&life.state).unwrap().state, "waiting_approval");
    let (approval, _) = life.question();
    assert_eq!(next(&life.state, expires), Step::Wait(too_late));
    assert_eq!(next(&life.state, too_late), Step::Expire(approval));
    life.decide(true);
    assert_eq!(life.step(), Step::Authorize(id));
    life.start(id);
    assert_eq!(life.step(), Step::Reconcile(id), "killed between intent and outcome: look first");
    life.write(Body::ActionFinished { action: id, receipt: receipt() });
    assert_eq!(life.step(), Step::Report, "people hear what became of it");
    assert_eq!(life.violations(), Vec::<String>::new());
    assert_eq!(life.state.deeds[0].question().unwrap().state, ApprovalState::Succeeded);
}

#[test]
fn no_is_a_no_and_silence_is_one_too() {
    for granted in [Some(false), None] {
        let (mut life, _) = waiting();
        match granted {
            Some(granted) => life.decide(granted),
            None => {
                let (approval, _) = life.question();
                life.second += 900;
                life.write(Body::ApprovalExpired { approval });
            }
        }
        assert!(matches!(life.state.deeds[0].state, DeedState::Refused { .. }));
        assert_eq!(life.step(), Step::Report);
        assert!(life.violations().is_empty());
    }
}

#[test]
fn a_model_hears_once_why_a_person_refused_its_change() {
    for (proposer, reconsiders) in [(Actor::Model("m".into()), true), (Actor::Engine, false)] {
        let (mut life, _) = waiting_for(proposer);
        life.decide(false);
        assert_eq!(life.step(), Step::Report, "people first");
        life.perform(Step::Report);
        for sink in ["log", "chat"] {
            life.write(Body::Notified { sink: sink.into(), revision: 2, error: None });
        }
        let step = life.step();
        assert_eq!(matches!(step, Step::Reopen(_)), reconsiders, "{step:?}");
        if reconsiders {
            life.perform(step);
            life.perform(Step::Report);
            for sink in ["log", "chat"] {
                life.write(Body::Notified { sink: sink.into(), revision: 3, error: None });
            }
            assert_eq!(life.step(), Step::Close(Outcome::Reported), "once");
        }
    }
}

#[test]
fn another_level_is_another_question() {
    let (mut life, id) = waiting();
    life.write(Body::RiskRaised { from: Risk::Medium, to: Risk::High });
    assert_eq!(life.step(), Step::Authorize(id), "what was asked at MEDIUM is not answered at HIGH");
}

#[test]
fn what_may_be_in_the_world_is_looked_for_whatever_happens() {
    for stop in [Body::Cancelled { reason: "r".into() }, Body::RiskRaised { from: Risk::Medium, to: Risk::Critical }] {
        let (mut life, id) = waiting();
        life.decide(true);
        life.start(id);
        life.write(stop);
        assert_eq!(life.step(), Step::Reconcile(id));
        let later = at(life.second + 60);
        life.write(Body::ActionDoubted { action: id, error: "503".into(), look_at: Some(later) });
        assert!(!matches!(life.step(), Step::Drop(_) | Step::Close(_)), "{:?}", life.step());
        assert_eq!(next(&life.state, later), Step::Reconcile(id));
        // Seen not to be there: now it can be dropped.
        life.write(Body::ActionReconciled { action: id, found: Reconciled::Absent { definite: true } });
        assert_eq!(life.step(), Step::Drop(id));
        assert!(life.violations().is_empty(), "{:?}", life.violations());
    }
}

#[test]
fn a_chain_that_says_what_may_not_happen_is_found_out() {
    type Forge = fn(&mut Life, ActionId);
    let forgeries: [(&str, Forge); 6] = [
        ("before the people agreed", |life, id| {
            life.entries.retain(|e| !matches!(e.body, Body::ApprovalDecided { .. }));
            let _ = id;
        }),
        ("without a decision about exactly this", |life, _| {
            for entry in &mut life.entries {
                if let Body::ActionStarted { digest, .. } = &mut entry.body {
                    *digest = Digest::of("another plan");
                }
            }
        }),
        ("never planned", |life, _| life.entries.retain(|e| !matches!(e.body, Body::ActionPlanned { .. }))),
        ("nobody proposed it", |life, _| life.entries.retain(|e| !matches!(e.body, Body::CallsProposed { .. }))),
        ("an end and no beginning", |life, _| life.entries.retain(|e| !matches!(e.body, Body::ActionStarted { .. }))),
        ("more mildly than MEDIUM permits", |life, _| {
            for entry in &mut life.entries {
                if let Body::ActionRuled { ruling, .. } = &mut entry.body {
                    ruling.verdict = Verdict::Allow;
                }
            }
        }),
    ];
    for (expected, forge) in forgeries {
        let (mut life, id) = waiting();
        life.decide(true);
        life.start(id);
        life.write(Body::ActionFinished { action: id, receipt: receipt() });
        assert!(life.violations().is_empty(), "{:?}", life.violations());
        forge(&mut life, id);
        let found = crate::journal::lawful::violations(&life.entries);
        assert!(found.iter().any(|(_, what)| what.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn the_same_change_cannot_be_begun_twice() {
    let (mut life, id) = waiting();
    life.decide(true);
    life.start(id);
    let again = life.entries.last().unwrap().body.clone();
    let entry = life.state.head.seal(CHAIN, at(9), Draft::engine(again)).unwrap();
    assert!(life.state.clone().apply(&entry).is_err());
    // Nor under another name.
    let (call, other) = (change("c2", "api"), planned(78, &change("c2", "api")));
    life.write(Body::CallsProposed { calls: vec![call], reason: "r".into() });
    let keys = other.keys(&Digest::of("k"));
    let marker = Marker::sign(&keys.scope, b"k");
    let body = Body::ActionPlanned { call_id: "c2".into(), action: Box::new(other), keys, marker };
    let entry = life.state.head.seal(CHAIN, at(9), Draft::engine(body)).unwrap();
    let refused = life.state.clone().apply(&entry).unwrap_err();
    assert!(refused.why.contains("stands already"), "{refused}");
}

#[test]
fn a_change_is_watched_less_and_less_often_until_its_window_ends() {
    let (mut life, id) = waiting();
    life.decide(true);
    let action = life.state.deed(id).unwrap().action.clone();
    let watch = VerifyAfter { within_s: 300, rollback_on_failure: false };
    let requirements = vec![Requirement { rule: "r".into(), groups: vec!["oncall".into()], count: 1 }];
    let duties = Duties { verify_after: Some(watch), ..Duties::default() };
    let ruling = Ruling { verdict: Verdict::Ask, requirements, duties, ..allowing() };
    let digest = action.digest(CHAIN.parse().unwrap(), Risk::Medium);
    let (phase, told) = (RulingPhase::Execute, String::new());
    life.write(Body::ActionRuled { action: id, phase, digest: digest.clone(), ruling, input: blob(8), told });
    life.write(Body::ActionStarted {
        action: id,
        decision: allowing().id,
        digest,
        attempt: 1,
        precondition: Value::Null,
        carries: Value::Null,
        send_by: at(30),
    });
    life.write(Body::ActionFinished { action: id, receipt: receipt() });
    life.perform(Step::Report);
    for sink in ["log", "chat"] {
        life.write(Body::Notified { sink: sink.into(), revision: 2, error: None });
    }
    let made = life.second;
    assert_eq!(View::of(&life.state).unwrap().state, "verifying");
    let mut looks = vec![];
    loop {
        match life.step() {
            Step::Wait(until) => life.second = until.as_second() - at(0).as_second(),
            Step::Verify(_) => {
                looks.push(life.second - made);
                if looks.last() == Some(&300) {
                    break;
                }
                life.write(Body::ActionObserved { action: id, seen: "2 of 3".into(), ruling: None, input: None });
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(looks, [15, 45, 105, 225, 300]);
    life.write(Body::Verified { action: id, outcome: Watched::Held, reason: "r".into() });
    assert_eq!(life.state.deeds[0].word(), "verified");
    assert_eq!(life.step(), Step::Report);
}
