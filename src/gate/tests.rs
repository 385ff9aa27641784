//! What the gate lets happen, against a policy that says what the test wants.

use super::*;
use crate::domain::{
    Action, ActionId, BlastRadius, Duties, Effect, Grant, InvestigationId, Person, PolicyRef, Preview, Requirement,
    Retry, Risk, Target,
};
use crate::policy::{Background, CallFacts, InvestigationFacts, sample_event};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug)]
struct Says(Ruling);

impl Policy for Says {
    fn assess(&self, _: DecisionId, _: &RiskInput) -> RiskDecision {
        unreachable!("nobody asks for the risk here")
    }
    fn rule(&self, id: DecisionId, _: &ActionInput) -> Ruling {
        Ruling { id, ..self.0.clone() }
    }
    fn reference(&self) -> PolicyRef {
        self.0.policy.clone()
    }
}

fn ruling(verdict: Verdict) -> Ruling {
    Ruling {
        id: DecisionId::new(Uuid::nil()),
        verdict,
        reasons: vec![],
        requirements: match verdict {
            Verdict::Ask => vec![Requirement { rule: "r".into(), groups: vec!["oncall".into()], count: 1 }],
            Verdict::Allow | Verdict::Deny => vec![],
        },
        exceptions: vec![],
        expires_s: None,
        duties: Duties::default(),
        for_model: None,
        policy: PolicyRef { digest: Digest::of("p"), bundle: "b".into() },
        input_digest: Digest::of("i"),
        error: None,
    }
}

fn investigation() -> InvestigationId {
    InvestigationId::new(Uuid::from_u128(1))
}

fn action(effect: Effect) -> Action {
    Action {
        id: ActionId::new(Uuid::from_u128(2)),
        tool: "kubernetes_scale".into(),
        effect,
        reversible: true,
        args: json!({"name": "api"}),
        title: "scale".into(),
        targets: vec![Target { kind: "Deployment".into(), name: "api".into(), ..Target::default() }],
        preview: Preview { kind: "server_dry_run".into(), ..Preview::default() },
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        retry: Retry::Keyed,
        blast_radius: BlastRadius { known: true, pods: 3, ..BlastRadius::default() },
        facts: Value::Null,
        nonce: "n".into(),
    }
}

fn input(action: &Action, level: Risk) -> ActionInput {
    let args = action.args.as_object().cloned().unwrap();
    let mut call = CallFacts::new(action.id.to_string(), action.tool.clone(), action.effect, args);
    call.targets = action.targets.iter().map(|target| serde_json::to_value(target).unwrap()).collect();
    call.action_digest = action.digest(investigation(), level).to_string();
    let about = InvestigationFacts::default();
    let mut input =
        ActionInput::for_call(&Background::of(&sample_event()), &level, &[], about, call, Timestamp::UNIX_EPOCH);
    input.phase = "execute".into();
    input
}

fn answer(
    ruling: Ruling,
    action: &Action,
    level: Risk,
    input: &ActionInput,
    agreed: Option<(&Digest, &[Grant])>,
) -> String {
    let gate = Gate::new(Arc::new(Says(ruling)));
    let phase = RulingPhase::Execute;
    let wanted = Wanted { action, investigation: investigation(), level, input, agreed, phase };
    let (ruling, answer) = gate.authorize(DecisionId::new(Uuid::from_u128(3)), &wanted);
    match answer {
        Answer::Denied => {
            let why = ruling.reasons.first().map(|reason| reason.rule.clone()).unwrap_or_default();
            assert_eq!(ruling.verdict, Verdict::Deny, "what is not done is journaled as denied");
            format!("denied {why}")
        }
        Answer::Ask(requirements) => format!("ask {}", requirements.len()),
        Answer::Cleared(clearance) => {
            assert_eq!(*clearance.digest(), action.digest(investigation(), level));
            "cleared".into()
        }
    }
}

fn by(name: &str, group: &str) -> Grant {
    let by = Person { name: name.into(), groups: vec![group.into()], every_group: false };
    Grant { by, at: Timestamp::UNIX_EPOCH, comment: String::new() }
}

#[test]
fn the_floor_holds_whatever_the_policy_says() {
    use {Effect::*, Risk::*, Verdict::*};
    for (says, level, effect, expected) in [
        (Allow, Low, Write, "cleared"),
        (Ask, Low, Write, "ask 1"),
        (Deny, Low, Write, "denied "),
        (Allow, Medium, Propose, "cleared"),
        (Allow, Critical, Record, "denied engine/floor"),
        (Ask, Critical, Write, "denied engine/floor"),
        (Allow, High, Destroy, "denied engine/floor"),
    ] {
        let action = action(effect);
        let found = answer(ruling(says), &action, level, &input(&action, level), None);
        assert_eq!(found, expected, "{says} {level} {effect}");
    }
    // A policy that allows what the floor asks for, and names nobody: nobody can agree.
    let action = action(Write);
    let given = answer(ruling(Allow), &action, Medium, &input(&action, Medium), None);
    assert_eq!(given, "denied engine/unsatisfiable");
}

#[test]
fn an_answer_counts_for_exactly_what_was_seen_and_of_those_who_may() {
    let action = action(Effect::Write);
    let (level, right) = (Risk::Medium, action.digest(investigation(), Risk::Medium));
    let input = input(&action, level);
    let other = Digest::of("another plan");
    for (what, digest, grants, expected) in [
        ("agreed", &right, vec![by("ann", "oncall")], "cleared"),
        ("to another plan", &other, vec![by("ann", "oncall")], "ask 1"),
        ("by somebody else", &right, vec![by("ann", "guests")], "ask 1"),
        ("by nobody", &right, vec![], "ask 1"),
    ] {
        let found = answer(ruling(Verdict::Ask), &action, level, &input, Some((digest, &grants)));
        assert_eq!(found, expected, "{what}");
    }
    // A no of the policy that is in force now outweighs every yes.
    let grants = [by("ann", "oncall")];
    assert_eq!(answer(ruling(Verdict::Deny), &action, level, &input, Some((&right, &grants))), "denied ");
    // As do more people that it asks for now.
    let mut two = ruling(Verdict::Ask);
    two.requirements[0].count = 2;
    assert_eq!(answer(two, &action, level, &input, Some((&right, &grants))), "ask 1");
}

#[test]
fn what_was_judged_has_to_be_what_would_happen() {
    let action = action(Effect::Write);
    type Change = fn(&mut ActionInput);
    let changes: [(&str, Change); 8] = [
        ("tool", |i| i.call.tool.push('x')),
        ("effect", |i| i.call.effect = Effect::Read),
        ("arguments", |i| i.call.args["name"] = "api2".into()),
        ("look-alike", |i| i.call.args["name"] = "ap\u{456}".into()),
        ("targets", |i| i.call.targets.clear()),
        ("digest", |i| i.call.action_digest.push('0')),
        ("level", |i| i.risk.level = Risk::Medium),
        ("phase", |i| i.phase = "propose".into()),
    ];
    for (what, change) in changes {
        let mut input = input(&action, Risk::Low);
        change(&mut input);
        let found = answer(ruling(Verdict::Allow), &action, Risk::Low, &input, None);
        assert_eq!(found, "denied engine/mismatch", "{what}");
    }
    let mut nothing = action.clone();
    nothing.targets.clear();
    let input = input(&nothing, Risk::Low);
    assert_eq!(answer(ruling(Verdict::Allow), &nothing, Risk::Low, &input, None), "denied engine/mismatch");
}

#[test]
fn duties_that_are_not_met_deny() {
    let level = Risk::Low;
    let with = |duties: Duties| Ruling { duties, ..ruling(Verdict::Allow) };
    let dry = || with(Duties { dry_run_first: true, ..Duties::default() });
    let small = || with(Duties { max_pods: Some(2), ..Duties::default() });
    let tried = action(Effect::Write);
    assert_eq!(answer(dry(), &tried, level, &input(&tried, level), None), "cleared");
    let mut untried = tried.clone();
    untried.preview.kind = "rendered".into();
    assert_eq!(answer(dry(), &untried, level, &input(&untried, level), None), "denied engine/dry-run");
    assert_eq!(answer(small(), &tried, level, &input(&tried, level), None), "denied engine/blast-radius");
    let mut unknown = tried.clone();
    unknown.blast_radius = BlastRadius::default();
    assert_eq!(answer(small(), &unknown, level, &input(&unknown, level), None), "denied engine/blast-radius");
    let mut fewer = tried;
    fewer.blast_radius.pods = 2;
    assert_eq!(answer(small(), &fewer, level, &input(&fewer, level), None), "cleared");
}

#[test]
fn a_warrant_opens_one_tool_and_a_permit_the_objects_that_it_names() {
    let action = action(Effect::Write);
    let (digest, not_after) = (Digest::of("d"), Timestamp::UNIX_EPOCH);
    let marker = crate::domain::Marker::sign(&Digest::of("s"), b"k");
    let mint = || Warrant::mint(action.clone(), marker.clone(), digest.clone(), not_after);
    let late = not_after.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap();
    assert!(matches!(mint().redeem("kubernetes_delete", not_after), Err(Refused::Tool { .. })));
    assert!(matches!(mint().redeem("kubernetes_scale", late), Err(Refused::Late { .. })));
    let (permit, granted) = mint().redeem("kubernetes_scale", not_after).unwrap();
    assert_eq!(granted, action);
    let target = action.target();
    assert!(permit.covers(&target, not_after).is_ok());
    assert!(matches!(permit.covers(&target, late), Err(Refused::Late { .. })));
    let other = Target { name: "api2".into(), ..target };
    assert!(matches!(permit.covers(&other, not_after), Err(Refused::Target { .. })));
}
