//! When what was reported goes on to a further revision.

use super::*;
use crate::journal::{AlertsCounted, CountedAlert, FLAP_REST, STORM_KEY, STORM_REST};

fn reported(correlation_key: &str) -> Life {
    let mut life =
        Life { entries: vec![], state: Investigation::empty(CHAIN), second: 0, dice: vec![2], rolled: 0, model: false };
    life.write(Body::EventReceived {
        event: Box::new(event(1)),
        correlation_key: correlation_key.into(),
        incident_key: Digest::of("k"),
        route: "default".into(),
    });
    until_done(&mut life);
    assert_eq!(life.state.outcome, Some(Outcome::Reported));
    life
}

fn until_done(life: &mut Life) {
    // A sink that could not be told is waited for; a closed one waits for its next revision.
    while !matches!((life.step(), life.state.outcome), (Step::Done, _) | (Step::Wait(_), Some(_))) {
        life.second += 1;
        match life.step() {
            // No alert raises the level: that would be another reason to go on.
            Step::Assess(phase) => {
                life.write(Body::RiskAssessed { phase, decision: decision(Risk::Low), input: blob(1) });
            }
            step => life.perform(step),
        }
    }
}

fn again(life: &mut Life, second: i64, flapping: bool) {
    let mut back = event(1);
    (back.id, back.starts_at) = (EventId::new(uuid::Uuid::from_u128(1_000 + second as u128)), at(second));
    life.write(Body::AlertsMerged { events: vec![back], flapping });
    life.second = second;
}

#[test]
fn a05_what_comes_and_goes_is_told_once_and_then_now_and_then() {
    let mut life = reported("k");
    let revision = |life: &Life| life.state.report.as_ref().unwrap().revision;
    again(&mut life, 600, true);
    assert_eq!(life.state.class, Some(crate::domain::Class::ServiceFlapping));
    until_done(&mut life);
    assert_eq!(revision(&life), 2, "that it comes and goes is news");
    let told_at = life.state.report.as_ref().unwrap().at;
    for second in [900, 1_200, 1_500] {
        again(&mut life, second, true);
        until_done(&mut life);
        assert_eq!((revision(&life), life.step()), (2, Step::Wait(told_at + FLAP_REST)));
    }
    life.second = (told_at + FLAP_REST).as_second() - at(0).as_second();
    until_done(&mut life);
    assert_eq!((revision(&life), life.step()), (3, Step::Done));
    assert!(semantics::violations(CHAIN, &life.entries).is_empty());
}

#[test]
fn a_storm_goes_on_at_most_every_few_minutes_however_much_joins_it() {
    let mut life = reported(STORM_KEY);
    assert!(life.state.is_storm() && life.state.class.is_none());
    let told_at = life.state.report.as_ref().unwrap().at;
    for n in 2..30 {
        life.write(Body::AlertsMerged { events: vec![event(n)], flapping: false });
        until_done(&mut life);
        assert_eq!(life.step(), Step::Wait(told_at + STORM_REST), "alert {n}");
    }
    life.second = (told_at + STORM_REST).as_second() - at(0).as_second();
    until_done(&mut life);
    assert_eq!((life.state.report.as_ref().unwrap().revision, life.step()), (2, Step::Done));
    assert_eq!(life.state.report.as_ref().unwrap().events, 29);
    assert!(semantics::violations(CHAIN, &life.entries).is_empty());
}

#[test]
fn of_a_storm_that_was_declined_people_hear_what_joins_it() {
    let mut life = reported(STORM_KEY);
    life.write(Body::AlertsMerged { events: vec![event(2)], flapping: false });
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Critical), input: blob(1) });
    until_done(&mut life);
    assert_eq!(life.state.outcome, Some(Outcome::Declined));
    let revision = life.state.report.as_ref().unwrap().revision;
    life.second += 3_600;
    life.write(Body::AlertsMerged { events: vec![event(3)], flapping: false });
    until_done(&mut life);
    assert_eq!(life.state.report.as_ref().unwrap().revision, revision + 1);
    assert!(semantics::violations(CHAIN, &life.entries).is_empty());
}

#[test]
fn what_comes_and_goes_at_critical_is_told_of_though_nobody_looks_into_it() {
    let mut life = reported("k");
    again(&mut life, 600, true);
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Critical), input: blob(1) });
    until_done(&mut life);
    assert_eq!(life.state.outcome, Some(Outcome::Declined));
    let (revision, told_at) = (life.state.report.as_ref().unwrap().revision, life.state.report.as_ref().unwrap().at);
    again(&mut life, 900, true);
    until_done(&mut life);
    assert_eq!(life.step(), Step::Wait(told_at + FLAP_REST));
    life.second = (told_at + FLAP_REST).as_second() - at(0).as_second();
    until_done(&mut life);
    assert_eq!(
        (life.state.report.as_ref().unwrap().revision, life.state.outcome),
        (revision + 1, Some(Outcome::Declined))
    );
    assert!(semantics::violations(CHAIN, &life.entries).is_empty());
}

fn counted(life: &mut Life, from: u128, alerts: u128, flapping: bool) {
    let raw = event(1).raw;
    let ids = (from..from + alerts).map(|n| EventId::new(uuid::Uuid::from_u128(n)));
    let alerts = ids.map(|id| CountedAlert { id, raw: raw.clone() }).collect();
    life.write(Body::AlertsCounted(AlertsCounted { alerts, flapping }));
}

#[test]
fn alerts_that_are_only_counted_are_judged_and_people_hear_of_them() {
    let mut life = reported(STORM_KEY);
    let told_at = life.state.report.as_ref().unwrap().at;
    counted(&mut life, 500, 40, false);
    assert_eq!((life.state.alerts(), life.step()), (41, Step::Assess(Phase::Signal)));
    until_done(&mut life);
    assert_eq!(life.step(), Step::Wait(told_at + STORM_REST));
    life.second = (told_at + STORM_REST).as_second() - at(0).as_second();
    assert_eq!(life.step(), Step::Reopen("the storm goes on: 40 further alerts joined it".into()));
    until_done(&mut life);
    let report = life.state.report.clone().unwrap();
    assert_eq!((report.revision, report.events, report.counted), (2, 1, 40));
    assert!(semantics::violations(CHAIN, &life.entries).is_empty());
}

#[test]
fn what_comes_and_goes_is_told_of_though_it_is_only_counted() {
    let mut life = reported("k");
    counted(&mut life, 500, 2, true);
    until_done(&mut life);
    assert_eq!(life.state.report.as_ref().unwrap().revision, 2);
}

#[test]
fn it_fires_while_one_that_was_counted_does() {
    let mut life = reported("k");
    counted(&mut life, 500, 2, false);
    let opening = life.state.events[0].id;
    let end = |life: &mut Life, event: EventId| {
        life.write(Body::AlertResolved { event, fingerprint: "f".into(), ends_at: at(5_000) });
        life.state.alert_status()
    };
    assert_eq!(end(&mut life, opening), AlertStatus::Firing);
    assert_eq!(end(&mut life, EventId::new(uuid::Uuid::from_u128(500))), AlertStatus::Firing);
    assert_eq!(end(&mut life, EventId::new(uuid::Uuid::from_u128(501))), AlertStatus::Resolved);
    let more = Body::AlertResolved {
        event: EventId::new(uuid::Uuid::from_u128(502)),
        fingerprint: "f".into(),
        ends_at: at(6_000),
    };
    let entry = life.state.head.seal(CHAIN, at(6_000), Draft::engine(more)).unwrap();
    assert!(life.state.clone().apply(&entry).is_err(), "none of them is left");
}
