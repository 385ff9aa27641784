//! Decisions that were really made are made again; what was changed in them is told, whoever signed it.

use super::*;
use crate::gate::Gate;
use crate::policy::{ActionInput, Bundle, CallFacts, InvestigationFacts, RegoPolicy, RiskInput};
use std::sync::Arc;
use std::time::Duration;

const CHAIN: &str = "inv_00000000-0000-7000-8000-000000000001";

fn decision(n: u128) -> DecisionId {
    DecisionId::new(Uuid::from_u128(n))
}

fn call() -> Call {
    Call {
        id: "s1".into(),
        tool: "kubernetes_get".into(),
        args: serde_json::json!({"kind": "Pod"}),
        effect: None,
        need: serde_json::Value::Null,
    }
}

/// A chain whose decisions the shipped policies made: of the incident, and of a reading call.
fn made() -> Memory {
    let bundle = Bundle::embedded();
    let policy = RegoPolicy::load(&bundle).unwrap().with_limit(Duration::from_secs(10));
    let gate = Gate::new(Arc::new(policy));
    let mut memory = Memory::default();
    let kept = memory.blob_of(&bundle.to_json());
    memory.append(
        SYSTEM,
        Body::Started(Started {
            version: "1".into(),
            policy: PolicyRef { digest: bundle.digest().clone(), bundle: bundle.name() },
            prompts: Digest::of("p"),
            tools: Digest::of("t"),
            bundle: Some(kept),
            governing: Default::default(),
        }),
    );
    let alert = event("A", "d");
    let (now, call) = (Timestamp::UNIX_EPOCH, call());
    let incident = RiskInput::of(&alert, now, 1);
    let asked = CallFacts::new("s1", "kubernetes_get", Effect::Read, call.args.as_object().unwrap().clone());
    let background = crate::policy::Background::of(&alert);
    let look = ActionInput::for_call(&background, &Risk::Low, &[], InvestigationFacts::default(), asked, now);
    let risk = gate.assess(decision(1), &incident);
    let (ruling, pass) = gate.read(decision(2), &call, &look);
    assert!(pass.is_some(), "{ruling:?}");
    let risk_input = memory.blob_of(&serde_json::to_string(&incident).unwrap());
    let look = crate::journal::Asked::of(vec![("s1".into(), serde_json::to_value(&look).unwrap())]);
    let look = memory.blob_of(&serde_json::to_string(&look).unwrap());
    for body in bodies(Verdict::Allow, |text| memory.blob_of(text)) {
        let body = match body {
            Body::RiskAssessed { phase, .. } => {
                Body::RiskAssessed { phase, decision: risk.clone(), input: risk_input.clone() }
            }
            Body::SurveyPlanned { round, .. } => Body::SurveyPlanned { round, calls: vec![call.clone()] },
            Body::ReadStarted { .. } => {
                Body::ReadStarted { call: call.clone(), ruling: ruling.clone(), input: Some(look.clone()) }
            }
            other => other,
        };
        memory.append(CHAIN, body);
    }
    memory.sign(&signer());
    memory
}

/// The entry of that number with another body, signed as if it had always been so.
fn forged(memory: &Memory, seq: u64, change: impl Fn(&mut Body)) -> Memory {
    let mut forged = memory.clone();
    let mut body = forged.chains[CHAIN][seq as usize - 1].body.clone();
    change(&mut body);
    forged.rewrite(CHAIN, seq, body);
    forged.notes.clear();
    forged.sign(&signer());
    forged
}

#[tokio::test]
async fn what_was_decided_is_decided_again() {
    let memory = made();
    let audit = verify(&memory).await.unwrap();
    assert!(audit.pass, "{audit:#?}");
    assert_eq!((audit.decisions, audit.decisions_not_made_again.len()), (2, 0));
    let skipped = verify::verify(&memory, &Terms { skip_decisions: true, ..terms() }).await.unwrap();
    assert_eq!((skipped.pass, skipped.decisions), (true, 0));
    assert_eq!(skipped.decisions_not_made_again["it was not asked for"], 2);
}

#[tokio::test]
async fn an_answer_that_its_policies_do_not_give_is_found_though_everything_is_signed() {
    let memory = made();
    type Forgery = fn(&mut Body);
    let cases: [(&str, u64, Forgery); 6] = [
        ("the level", 2, |body| {
            let Body::RiskAssessed { decision, .. } = body else { panic!() };
            decision.level = if decision.level == Risk::Low { Risk::Medium } else { Risk::Low };
        }),
        ("a reason", 2, |body| {
            let Body::RiskAssessed { decision, .. } = body else { panic!() };
            decision.reasons[0].reason = "because".into();
        }),
        ("a rule", 5, |body| {
            let Body::ReadStarted { ruling, .. } = body else { panic!() };
            ruling.reasons.clear();
        }),
        ("what is demanded", 5, |body| {
            let Body::ReadStarted { ruling, .. } = body else { panic!() };
            ruling.duties.max_pods = Some(3);
        }),
        ("what was judged", 5, |body| {
            let Body::ReadStarted { ruling, .. } = body else { panic!() };
            ruling.input_digest = Digest::of("other");
        }),
        ("by what", 5, |body| {
            let Body::ReadStarted { ruling, .. } = body else { panic!() };
            ruling.policy.bundle = "other@1".into();
        }),
    ];
    let mut out = String::new();
    for (what, seq, change) in cases {
        let forged = forged(&memory, seq, change);
        let audit = verify(&forged).await.unwrap();
        assert_eq!(audit.failed.keys().collect::<Vec<_>>(), [&Check::Decisions], "{what}: {audit:#?}");
        out.push_str(&format!("{what}: {}\n", audit.failures[0].what));
    }
    insta::assert_snapshot!(out);
}

#[tokio::test]
async fn what_cannot_be_decided_again_is_counted_and_said() {
    let memory = made();
    let not = async |memory: &Memory| {
        let audit = verify(memory).await.unwrap();
        (audit.failed.contains_key(&Check::Decisions), audit.decisions, audit.decisions_not_made_again)
    };
    let payloads = memory.chains[CHAIN].iter().flat_map(|entry| entry.body.payloads()).cloned();
    let mut gone = memory.clone();
    payloads.for_each(|payload| drop(gone.blobs.remove(payload.commitment.as_str())));
    assert_eq!(not(&gone).await, (false, 0, [("its input was deleted", 2)].into()));

    let never = forged(&memory, 5, |body| {
        let Body::ReadStarted { input, .. } = body else { panic!() };
        *input = None;
    });
    assert_eq!(not(&never).await, (false, 1, [("its input was never kept", 1)].into()));

    let late = forged(&memory, 2, |body| {
        let Body::RiskAssessed { decision, .. } = body else { panic!() };
        (decision.level, decision.error) = (Risk::Critical, Some("evaluation took longer than 100 ms".into()));
    });
    let (_, decisions, why) = not(&late).await;
    assert_eq!((decisions, why["its time was over when it was made"]), (1, 1));

    let mut without = memory.clone();
    let bundle = without.chains[SYSTEM][0].body.payloads()[0].commitment.clone();
    without.blobs.remove(bundle.as_str());
    assert_eq!(not(&without).await, (false, 0, [("its policies were deleted", 2)].into()));

    // Another interpreter: its digest is another one, and so is its reference.
    let mut other = memory.clone();
    let mut kept: KeptBundle = serde_json::from_str(&Bundle::embedded().to_json()).unwrap();
    kept.engine = "regorus 0.1.0".into();
    let policy = PolicyRef { digest: kept.digest(), bundle: "b@1".into() };
    let blob = other.blob_of(&serde_json::to_string(&kept).unwrap());
    let Body::Started(started) = other.chains[SYSTEM][0].body.clone() else { panic!() };
    other.rewrite(SYSTEM, 1, Body::Started(Started { policy: policy.clone(), bundle: Some(blob), ..started }));
    for seq in [2, 5] {
        let mut body = other.chains[CHAIN][seq as usize - 1].body.clone();
        match &mut body {
            Body::RiskAssessed { decision, .. } => decision.policy = policy.clone(),
            Body::ReadStarted { ruling, .. } => ruling.policy = policy.clone(),
            _ => panic!(),
        }
        other.rewrite(CHAIN, seq, body);
    }
    other.notes.clear();
    other.sign(&signer());
    assert_eq!(not(&other).await, (false, 0, [("it was made with another interpreter or contract", 2)].into()));
    assert!(shown(&other).await.contains("0 of 2 decisions made again, alike; 2 not: it was made with another"));
}
