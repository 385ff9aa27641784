//! What follows from not finding a change.

use super::*;
use crate::domain::{BlastRadius, Digest, Effect, Marker, Preview, Target};
use crate::journal::Actor;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn deed(retry: Retry, looks: u32) -> Deed {
    let action = Action {
        id: ActionId::new(uuid::Uuid::nil()),
        tool: "t".into(),
        effect: Effect::Write,
        reversible: false,
        args: Value::Null,
        title: "t".into(),
        targets: vec![Target::default()],
        preview: Preview::default(),
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        retry,
        blast_radius: BlastRadius::default(),
        facts: Value::Null,
        nonce: String::new(),
    };
    let keys = action.keys(&Digest::of("i"));
    Deed {
        call_id: "c".into(),
        proposer: Actor::Engine,
        marker: Marker::sign(&keys.scope, b"k"),
        action,
        keys,
        plans: 1,
        ruling: None,
        judged_as: None,
        questions: vec![],
        attempts: 1,
        started_at: Some(at(0)),
        send_by: Some(at(30)),
        put_offs: 0,
        not_before: None,
        looks,
        looked_at: None,
        state: DeedState::Doubtful { look_at: None },
    }
}

#[test]
fn how_a_target_can_be_looked_at_decides_what_may_be_sent_again() {
    use Retry::*;
    let word = |retry, looks, definite, now| match absent(&deed(retry, looks), definite, at(now)) {
        Absent::Again => "again".to_owned(),
        Absent::LookAgain(then) => format!("look at {}", then.duration_since(at(0)).as_secs()),
        Absent::Unknown(_) => "unknown".to_owned(),
    };
    // What no longer may be tried is only called failed when none can arrive.
    let tried = Deed { attempts: MAX_ATTEMPTS, ..deed(Keyed, 1) };
    assert!(matches!(absent(&tried, false, at(1)), Absent::LookAgain(then) if then == at(40)));
    assert!(matches!(absent(&tried, false, at(40)), Absent::Again));
    assert!(matches!(absent(&tried, true, at(1)), Absent::Again));
    for (retry, looks, definite, now, expected) in [
        // A late copy would be refused: nothing to wait for.
        (Keyed, 0, false, 1, "again"),
        // The request could still arrive until ten seconds after it could last be sent.
        (Probe, 0, false, 1, "look at 40"),
        (Probe, 1, false, 39, "look at 40"),
        (Probe, 1, false, 40, "again"),
        (Probe, 0, true, 1, "again"),
        // The target tells late: not again without a person, however it looks.
        (Settle, 0, true, 1, "look at 16"),
        (Settle, 1, false, 16, "look at 46"),
        (Settle, 8, false, 100, "unknown"),
        (Settle, 2, false, 640, "unknown"),
        (Never, 0, true, 1, "unknown"),
    ] {
        assert_eq!(word(retry, looks, definite, now), expected, "{retry:?} {looks} {definite} {now}");
    }
}
