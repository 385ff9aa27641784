//! Telling people: who is told when, and when nothing waits any more.

use super::*;

/// An investigation whose report was just written, for `log` and `chat`.
fn reported() -> Life {
    let mut life = Life::new(vec![2], false);
    while life.step() != Step::Report {
        life.perform(life.step());
    }
    life.perform(Step::Report);
    life
}

fn notify(revision: u32, sinks: &[&str]) -> Step {
    Step::Notify { revision, sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect() }
}

fn told(sink: &str, revision: u32) -> Body {
    Body::Notified { sink: sink.into(), revision, error: None }
}

/// `chat` failed for the `attempt`th time and is tried again `pause` seconds later.
fn failed(life: &Life, attempt: u32, pause: i64) -> Body {
    let again_at = at(life.second + pause);
    Body::NoticeFailed { sink: "chat".into(), revision: 1, attempt, error: "chat: status 503".into(), again_at }
}

#[test]
fn one_sink_that_is_down_is_waited_for_and_holds_nobody_up() {
    let mut life = reported();
    assert_eq!(life.step(), notify(1, &["log", "chat"]));
    life.write(failed(&life, 1, 5));
    assert_eq!(life.step(), notify(1, &["log"]), "the other one is told");
    life.write(told("log", 1));
    let begun = life.second;
    for second in 0..5 {
        life.second = begun + second;
        assert_eq!(life.step(), Step::Wait(at(begun + 5)));
    }
    let view = View::of(&life.state).unwrap();
    assert_eq!((view.state.as_str(), view.undelivered.len(), view.ended_at()), ("running", 1, view.reported_at));
    life.second = begun + 5;
    assert_eq!(life.step(), notify(1, &["chat"]), "who was told is not told again");
    life.write(failed(&life, 2, 10));
    assert_eq!(life.step(), Step::Wait(at(begun + 15)));
    life.second = begun - 60;
    assert_eq!(life.step(), notify(1, &["chat"]), "the clock went back behind the last attempt");
    life.second = begun + 99;
    life.write(told("chat", 1));
    assert_eq!(life.step(), Step::Close(Outcome::Reported));
    life.perform(life.step());
    assert_eq!((life.step(), semantics::violations(CHAIN, &life.entries)), (Step::Done, vec![]));
}

#[test]
fn what_is_given_up_closes_and_says_so() {
    let mut life = reported();
    life.write(told("log", 1));
    life.write(Body::Notified { sink: "chat".into(), revision: 1, error: Some("chat: status 404".into()) });
    assert_eq!(life.step(), Step::Close(Outcome::Reported));
}

#[test]
fn what_arrives_while_a_sink_is_waited_for_is_not_put_off() {
    let waiting = || {
        let mut life = reported();
        life.write(told("log", 1));
        life.write(failed(&life, 1, 300));
        assert!(matches!(life.step(), Step::Wait(_)));
        life
    };
    // The same thing again, and a resolve: nothing but the sink is waited for.
    let mut life = waiting();
    life.write(Body::AlertsMerged { events: vec![event(1)], flapping: false });
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Medium), input: blob(1) });
    let resolved = event(1);
    life.write(Body::AlertResolved { event: resolved.id, fingerprint: resolved.fingerprint, ends_at: at(9) });
    assert!(matches!(life.step(), Step::Wait(_)), "{:?}", life.step());
    // Something that the report does not know: a further revision at once, for everybody.
    let mut life = waiting();
    life.write(Body::AlertsMerged { events: vec![event(9)], flapping: false });
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Medium), input: blob(1) });
    assert!(matches!(life.step(), Step::Reopen(_)), "{:?}", life.step());
    while life.step() != Step::Report {
        life.perform(life.step());
        assert_eq!(View::of(&life.state).unwrap().ended_at(), None, "it is worked on again");
    }
    life.perform(Step::Report);
    assert_eq!(life.step(), notify(2, &["log", "chat"]), "the second revision takes the first one's place");
    // A person does not want to wait.
    let mut life = waiting();
    life.write(Body::Cancelled { reason: "the chat is gone for good".into() });
    assert_eq!(life.step(), Step::Close(Outcome::Cancelled));
    life.perform(life.step());
    assert_eq!((life.step(), semantics::violations(CHAIN, &life.entries)), (Step::Done, vec![]));
    // CRITICAL: people must hear of that behind the sink that is down, too.
    let mut life = waiting();
    life.write(Body::AlertsMerged { events: vec![event(1)], flapping: false });
    life.write(Body::RiskAssessed { phase: Phase::Signal, decision: decision(Risk::Critical), input: blob(1) });
    assert_eq!(life.step(), Step::Decline);
    life.perform(Step::Decline);
    assert_eq!(life.step(), Step::Report);
}

#[test]
fn a_chain_from_before_reports_named_their_sinks_ends_as_it_did() {
    let mut life = Life::new(vec![2], false);
    while life.step() != Step::Report {
        life.perform(life.step());
    }
    let (verdict, report) = (ReportVerdict::Likely, blob(7));
    life.write(Body::Reported { revision: 1, verdict, summary: "s".into(), report, sinks: vec![] });
    assert_eq!(life.step(), notify(1, &["log"]));
    life.write(told("log", 1));
    life.write(told("chat", 1));
    assert_eq!(life.step(), Step::Close(Outcome::Reported));
    life.perform(life.step());
    assert_eq!(semantics::violations(CHAIN, &life.entries), Vec::<String>::new());
}

#[test]
fn telling_twice_and_closing_early_are_found_in_a_chain() {
    let close = || Body::Closed { outcome: Outcome::Reported };
    for (bodies, expected) in [
        (vec![told("log", 1), close()], Some("it was closed before chat heard of revision 1")),
        (vec![told("log", 1), told("log", 1)], Some("log was told of revision 1 though nothing was owed")),
        (vec![told("log", 2)], Some("log was told of revision 2 though nothing was owed")),
        (vec![told("pager", 1)], Some("pager was told of revision 1 though nothing was owed")),
        (vec![told("log", 1), told("chat", 1), close()], None),
    ] {
        let mut life = reported();
        bodies.into_iter().for_each(|body| life.write(body));
        let found = semantics::violations(CHAIN, &life.entries).join("\n");
        match expected {
            Some(expected) => assert!(found.contains(expected), "{expected} in {found}"),
            None => assert_eq!(found, ""),
        }
    }
}
