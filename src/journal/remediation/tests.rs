//! Whole lives of incidents, as steps.

use super::*;
use crate::domain::{BlobRef, Class, Digest, Effect, ReportVerdict};
use crate::journal::{Classified, Confirmed, Draft, FailureGap, Head};
use serde_json::json;
use uuid::Uuid;

const CHAIN: &str = "inv_00000000-0000-0000-0000-000000000001";

fn entries(bodies: Vec<Body>) -> Vec<Entry> {
    let mut head = Head::genesis(CHAIN);
    let seal = |(n, body): (usize, Body)| {
        let at = Timestamp::from_second(1_800_000_000 + 10 * n as i64).unwrap();
        let entry = head.seal(CHAIN, at, Draft::engine(body)).unwrap();
        head = entry.head();
        entry
    };
    bodies.into_iter().enumerate().map(seal).collect()
}

fn blob() -> BlobRef {
    BlobRef::commit(&[0; 16], b"x")
}

fn act() -> ActionId {
    ActionId::new(Uuid::from_u128(7))
}

fn asked() -> ApprovalId {
    ApprovalId::new(Uuid::from_u128(8))
}

fn surveyed(top: Option<&str>) -> Body {
    Body::Surveyed {
        stopped: "complete".into(),
        analysis: blob(),
        findings: 2,
        top_cause: top.map(str::to_owned),
        things: vec![],
    }
}

fn confirmed(outcome: Confirmation) -> Body {
    Body::Confirmed(Confirmed { outcome, reason: "0 of 2 Pods are ready".into(), evidence: vec!["E1".into()] })
}

fn classified(class: Option<Class>) -> Body {
    Body::Classified(Classified { class, playbook: class, by: "default".into(), downs: 1 })
}

fn planned(facts: Value) -> Body {
    let action = json!({
        "id": act(), "tool": "kubernetes_rollout_restart", "effect": "write", "reversible": false, "args": {},
        "title": "restart Deployment tools/caddy-mcp", "preview": {"kind": "k", "text": "", "adds": 0, "changes": 0, "removes": 0},
        "targets": [{"system": "kubernetes", "cluster": "", "namespace": "tools", "api_version": "apps/v1",
                     "kind": "Deployment", "name": "caddy-mcp", "verb": "patch"}],
        "precondition": null, "carries": null, "undo": null, "retry": "keyed", "nonce": "n", "facts": facts,
        "blast_radius": {"known": true, "pods": 2, "namespaces": 1, "clusters": 1, "dependents": 0, "pvc_bytes": 0},
    });
    let action: Action = serde_json::from_value(action).unwrap();
    let keys = action.keys(&Digest::of("k"));
    let marker = crate::domain::Marker::sign(&keys.scope, b"k");
    Body::ActionPlanned { call_id: "playbook_1_1".into(), action: Box::new(action), keys, marker }
}

fn ruled(phase: RulingPhase, verdict: &str) -> Body {
    let ruling = json!({
        "id": format!("dec_{}", Uuid::from_u128(9)), "verdict": verdict,
        "reasons": [{"rule": "action/effects/within-level", "effect": "allow", "reason": "r", "at": null}],
        "requirements": [], "expires_s": 900, "duties": {"verify_after": {"within_s": 600, "rollback_on_failure": false}},
        "for_model": null, "policy": {"digest": Digest::of("p"), "bundle": "b"}, "input_digest": Digest::of("i"), "error": null,
    });
    Body::ActionRuled {
        action: act(),
        phase,
        digest: Digest::of("d"),
        ruling: serde_json::from_value(ruling).unwrap(),
        input: blob(),
        told: String::new(),
    }
}

fn question() -> Body {
    let requirements = serde_json::from_value(json!([{"rule": "r", "groups": ["oncall"], "count": 1}])).unwrap();
    let expires_at = Timestamp::from_second(1_800_001_000).unwrap();
    Body::ApprovalRequested { approval: asked(), action: act(), digest: Digest::of("d"), requirements, expires_at }
}

fn answer(granted: bool) -> Body {
    let by = serde_json::from_value(json!({"name": "ann", "groups": ["oncall"], "every_group": false})).unwrap();
    let answered_at = Timestamp::from_second(1_800_000_100).unwrap();
    Body::ApprovalDecided { approval: asked(), granted, digest: Digest::of("d"), by, answered_at, comment: "go".into() }
}

fn started() -> Body {
    Body::ActionStarted {
        action: act(),
        decision: serde_json::from_value(json!(format!("dec_{}", Uuid::from_u128(9)))).unwrap(),
        digest: Digest::of("d"),
        attempt: 1,
        precondition: Value::Null,
        carries: Value::Null,
        send_by: Timestamp::from_second(1_800_000_200).unwrap(),
    }
}

fn finished() -> Body {
    let receipt = serde_json::from_value(
        json!({"reference": "Deployment tools/caddy-mcp at 8", "summary": "accepted", "detail": null}),
    );
    Body::ActionFinished { action: act(), receipt: receipt.unwrap() }
}

fn told(revision: u32) -> [Body; 2] {
    let (verdict, summary) = (ReportVerdict::Possible, "s".to_owned());
    [
        Body::Reported { revision, verdict, summary, report: blob(), sinks: vec!["log".into()] },
        Body::Notified { sink: "log".into(), revision, error: None },
    ]
}

#[test]
fn a_restart_from_alert_to_a_service_that_is_up_again() {
    let held =
        Body::Verified { action: act(), outcome: Watched::Held, reason: "2 of 2 ready; the alert is resolved".into() };
    let mut bodies = vec![
        surveyed(Some("not_ready: Deployment tools/caddy-mcp")),
        classified(Some(Class::ServiceDown)),
        confirmed(Confirmation::Confirmed),
    ];
    bodies.extend([planned(Value::Null), ruled(RulingPhase::Propose, "ask"), question()]);
    bodies.extend(told(1));
    bodies.extend([answer(true), ruled(RulingPhase::Execute, "ask"), started(), finished(), held]);
    bodies.extend(told(2));
    let entries = entries(bodies);
    let all = Remediation::of(&entries);
    let at_each: Vec<Option<String>> = (0..=entries.len()).map(|n| Remediation::of(&entries[..n]).status()).collect();
    let mut seen: Vec<String> = at_each.into_iter().flatten().collect();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "observe:complete",
            "classify:service_down",
            "confirm:confirmed",
            "policy:ask",
            "escalate:queued",
            "escalate:granted",
            "actuate:started",
            "verify:scheduled",
            "verify:held",
        ]
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&all.steps().collect::<Vec<_>>()).unwrap());
}

#[test]
fn what_is_left_to_people_ends_with_their_being_told() {
    let status = |bodies: Vec<Body>| Remediation::of(&entries(bodies)).status().unwrap_or_default();
    let seen = |outcome, class| vec![surveyed(None), classified(class), confirmed(outcome)];
    let with = |mut all: Vec<Body>, more: Vec<Body>| {
        all.extend(more);
        all
    };
    let down = || seen(Confirmation::Confirmed, Some(Class::ServiceDown));
    let denied = || vec![planned(Value::Null), ruled(RulingPhase::Propose, "deny")];
    let asks = || vec![planned(Value::Null), ruled(RulingPhase::Propose, "ask"), question()];
    for (bodies, expected) in [
        (vec![], ""),
        (with(seen(Confirmation::Recovered, Some(Class::ServiceDown)), told(1).into()), "confirm:recovered"),
        (with(down(), told(1).into()), "escalate:told"),
        (with(with(down(), denied()), told(1).into()), "escalate:told"),
        (with(with(down(), asks()), told(1).into()), "escalate:queued"),
        (with(with(down(), asks()), with(told(1).into(), vec![answer(false)])), "escalate:denied"),
        (
            with(with(down(), asks()), with(vec![Body::ApprovalExpired { approval: asked() }], told(2).into())),
            "escalate:told",
        ),
        (with(vec![Body::Declined { reason: "CRITICAL".into() }], told(1).into()), "escalate:told"),
        (vec![Body::Cancelled { reason: "enough".into() }], "escalate:cancelled"),
        (
            vec![surveyed(None), Body::GapFiled(FailureGap { topic: "A: b".into(), reason: "r".into() })],
            "observe:failure_gap",
        ),
    ] {
        assert_eq!(status(bodies), expected);
    }
}

#[test]
fn a_closer_look_is_no_change_and_ends_with_what_it_showed() {
    let look = planned(json!({LOOKS_CLOSER: {"kind": "Pod", "namespace": "a", "name": "b"}}));
    let mut bodies = vec![look, ruled(RulingPhase::Propose, "ask"), question(), answer(true), started(), finished()];
    let status = |bodies: &[Body]| Remediation::of(&entries(bodies.to_vec())).status().unwrap();
    assert_eq!(status(&bodies), "actuate:done", "nothing is watched");
    bodies.extend(told(2));
    assert_eq!(status(&bodies), "escalate:told");
}

#[test]
fn refused_calls_count_where_they_would_change_something_and_all_is_bounded() {
    let call = |effect| Call { id: "c".into(), tool: "t".into(), args: json!({}), effect, need: Value::Null };
    let refused = |effect| Body::CallRejected {
        call: call(effect),
        reason: "x".repeat(9_000),
        remedy: String::new(),
        ruling: None,
        input: None,
    };
    assert_eq!(Remediation::of(&entries(vec![refused(None)])).status(), None);
    let many = Remediation::of(&entries((0..500).map(|_| refused(Some(Effect::Write))).collect()));
    let steps: Vec<&Taken> = many.steps().collect();
    assert_eq!((steps.len(), steps[0].entry, steps[0].outcome.as_str()), (MOST, 301, "not_planned"));
    assert!(steps.iter().all(|step| step.more["reason"].as_str().unwrap().len() == TEXT));
}
