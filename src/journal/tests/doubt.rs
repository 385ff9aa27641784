//! Changes that may be under way, and changes whose peer does not answer.

use super::deeds::waiting;
use super::*;
use crate::domain::{ActionId, ApprovalState, Reconciled};
use crate::journal::{DeedState, PutOff};

fn absent(definite: bool) -> impl Fn(ActionId) -> Body {
    move |action| Body::ActionReconciled { action, found: Reconciled::Absent { definite } }
}

/// A life whose change was granted, sent and not found.
fn sent(definite: bool) -> (Life, ActionId) {
    let (mut life, id) = waiting();
    life.decide(true);
    life.start(id);
    life.write(absent(definite)(id));
    (life, id)
}

#[test]
fn what_was_not_found_may_still_arrive_for_a_while() {
    let (life, id) = sent(false);
    let deed = life.state.deed(id).unwrap();
    let settled = deed.send_by.unwrap().checked_add(SignedDuration::from_secs(10)).unwrap();
    assert_eq!(deed.underway_until(at(life.second)), Some(settled));
    assert_eq!(deed.underway_until(settled), None);
    // A target that refuses late copies leaves nothing to wait for.
    let (life, id) = sent(true);
    assert_eq!(life.state.deed(id).unwrap().underway_until(at(life.second)), None);
}

#[test]
fn a_no_behind_a_request_that_may_arrive_waits_until_it_was_looked_for() {
    let (mut life, id) = sent(false);
    life.write(Body::Cancelled { reason: "enough".into() });
    assert_eq!(life.step(), Step::Drop(id));
    let look_at = life.state.deed(id).unwrap().underway_until(at(life.second)).unwrap();
    life.write(Body::ActionDoubted { action: id, error: "it was cancelled".into(), look_at: Some(look_at) });
    assert_eq!(life.step(), Step::Wait(look_at), "nothing is closed over a change that may come to be");
    life.second = look_at.as_second() - at(0).as_second();
    assert_eq!(life.step(), Step::Reconcile(id));
    life.write(absent(false)(id));
    assert_eq!(life.step(), Step::Drop(id));
    assert_eq!(life.state.deed(id).unwrap().underway_until(at(life.second)), None);
    life.write(Body::ActionDropped { action: id, reason: "it was cancelled".into() });
    assert_eq!(life.violations(), Vec::<String>::new());
}

#[test]
fn a_change_that_was_not_found_revives_no_question_that_was_taken_back() {
    let (mut life, id) = sent(true);
    assert_eq!(life.state.deed(id).unwrap().question().unwrap().state, ApprovalState::Approved);
    let (approval, _) = life.question();
    life.write(Body::ApprovalWithdrawn { approval, state: ApprovalState::Invalidated, reason: "moved".into() });
    let action = life.state.deed(id).unwrap().action.clone();
    life.ruled(&action, crate::journal::RulingPhase::Execute, crate::domain::Verdict::Allow);
    let digest = action.digest(CHAIN.parse().unwrap(), life.level());
    life.write(Body::ActionStarted {
        action: id,
        decision: allowing().id,
        digest,
        attempt: 2,
        precondition: Value::Null,
        carries: Value::Null,
        send_by: at(life.second + 30),
    });
    life.write(absent(true)(id));
    assert_eq!(life.state.deed(id).unwrap().question().unwrap().state, ApprovalState::Invalidated);
}

#[test]
fn a_peer_that_does_not_answer_puts_a_change_off_and_does_not_end_it() {
    let (mut life, id) = waiting();
    life.decide(true);
    assert_eq!(life.step(), Step::Authorize(id));
    let until = at(life.second + 5);
    life.write(Body::ActionPutOff(PutOff { action: id, reason: "the API does not answer".into(), until }));
    life.perform(Step::Report);
    for sink in ["log", "chat"] {
        life.write(Body::Notified { sink: sink.into(), revision: 2, error: None });
    }
    life.second = life.second.min(until.as_second() - at(0).as_second() - 1);
    assert_eq!(life.step(), Step::Wait(until));
    assert_eq!(next(&life.state, until), Step::Authorize(id));
    assert_eq!(life.state.deed(id).unwrap().state, DeedState::Ruled);
    assert_eq!(life.state.deed(id).unwrap().question().unwrap().state, ApprovalState::Approved);
    assert_eq!(life.violations(), Vec::<String>::new());
}
