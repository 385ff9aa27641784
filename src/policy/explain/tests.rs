use super::super::{Bundle, sample};
use super::*;
use crate::domain::{Effect, Risk};
use serde_json::json;
use std::sync::LazyLock;

static SHIPPED: LazyLock<RegoPolicy> =
    LazyLock::new(|| RegoPolicy::load(&Bundle::embedded()).unwrap().with_limit(Duration::from_secs(10)));
const ID: DecisionId = DecisionId::new(uuid::Uuid::from_u128(7));

fn write(pods: u64) -> Value {
    let mut input = sample::action_input();
    (input.call.effect, input.risk.level) = (Effect::Write, Risk::Low);
    (input.blast_radius.known, input.blast_radius.pods) = (true, pods);
    serde_json::to_value(input).unwrap()
}

fn rule<'a>(explanation: &'a Explanation, name: &str) -> &'a RuleTrace {
    explanation.rules.iter().find(|rule| rule.rule == name).unwrap()
}

#[test]
fn what_fired_is_told_with_the_values_that_made_it_fire() {
    let told = SHIPPED.explain(ID, &write(12), false).unwrap();
    assert_eq!(told.verdict, "ask");
    let soft = rule(&told, "action/blast/soft-limit");
    assert!(soft.fired && soft.at.starts_with("action/blast.rego:"), "{soft:?}");
    let compared = soft.conditions.iter().find(|c| c.text.contains("pods_approve") && c.text.contains('>')).unwrap();
    assert_eq!((compared.holds, compared.values.as_str()), (true, "12 > 10"));
    let effect = &soft.conditions[0];
    assert!(effect.values.starts_with("\"write\" in "), "{effect:?}");
}

#[test]
fn what_nearly_fired_is_told_with_the_line_that_stopped_it() {
    let told = SHIPPED.explain(ID, &write(12), false).unwrap();
    let hard = rule(&told, "action/blast/hard-limit");
    let last = hard.conditions.last().unwrap();
    assert!(!hard.fired && hard.is_near() && !last.holds);
    assert_eq!(last.values, "12 > 50");
    let rate = rule(&told, "action/rate/resource");
    assert_eq!(rate.conditions.last().unwrap().values, "0 >= 3");
    assert!(told.render(false).contains("12 > 50"), "{}", told.render(false));
    let text = told.render(true);
    assert!(text.contains("stops at line") && text.contains("0 >= 3"), "{text}");
    // A text that a condition ends with is shown whole.
    let locked = rule(&told, "action/effects/locked-down").conditions.last().unwrap();
    assert_eq!(locked.values, "\"standard\" == \"locked_down\"");
    assert!(locked.text.ends_with("\"locked_down\""), "{locked:?}");
}

#[test]
fn iteration_and_helpers_have_values_too() {
    let mut input = write(1);
    input["call"]["targets"][0]["namespace"] = json!("kube-system");
    let told = SHIPPED.explain(ID, &input, false).unwrap();
    let namespace = rule(&told, "action/protected/namespace");
    assert!(namespace.fired, "{namespace:?}");
    let matched = namespace.conditions.iter().find(|c| c.text.starts_with("glob.match")).unwrap();
    assert!(matched.values.contains("kube-system"), "{matched:?}");
}

#[test]
fn the_smallest_change_is_found_in_input_and_in_data() {
    let told = SHIPPED.explain(ID, &write(12), true).unwrap();
    let paths: Vec<(&str, Option<&Value>)> =
        told.counterfactuals.iter().map(|c| (c.changes[0].path.as_str(), c.changes[0].to.as_ref())).collect();
    assert!(paths.contains(&("input.blast_radius.pods", Some(&json!(10)))), "{paths:?}");
    assert!(paths.contains(&("data.org.blast.pods_approve", Some(&json!(12)))), "{paths:?}");
    assert!(told.counterfactuals.iter().all(|c| c.verdict == "allow"));
    assert!(
        told.render(false).contains("counterfactual: allow: input.blast_radius.pods 12 → 10"),
        "{}",
        told.render(false)
    );
}

#[test]
fn two_changes_are_found_where_one_is_not_enough() {
    let mut input = write(12);
    input["history"]["resource_actions_1h"] = json!(5);
    let told = SHIPPED.explain(ID, &input, true).unwrap();
    let both = told.counterfactuals.iter().find(|c| c.verdict == "allow").unwrap();
    assert_eq!(both.changes.len(), 2, "{:?}", told.counterfactuals);
}

#[test]
fn the_floor_is_told_and_can_be_lifted_by_the_level() {
    let mut input = write(1);
    input["risk"]["level"] = json!("MEDIUM");
    let told = SHIPPED.explain(ID, &input, true).unwrap();
    assert_eq!(told.verdict, "ask");
    assert!(told.render(false).contains("engine/floor"));
    assert!(
        told.counterfactuals
            .iter()
            .any(|c| c.changes[0].path == "input.risk.level" && c.changes[0].to == Some(json!("LOW")))
    );
}

#[test]
fn an_incident_is_explained_as_well() {
    let mut event = sample::event();
    event.resource.namespace = Some("kube-system".into());
    let input = super::super::RiskInput::of(&event, jiff::Timestamp::UNIX_EPOCH, 1);
    let told = SHIPPED.explain(ID, &serde_json::to_value(input).unwrap(), true).unwrap();
    assert_eq!(told.verdict, "HIGH");
    assert!(rule(&told, "risk/protected/namespace").fired);
}

#[test]
fn an_allowed_call_needs_no_other_world() {
    let told = SHIPPED.explain(ID, &serde_json::to_value(sample::action_input()).unwrap(), true).unwrap();
    assert_eq!((told.verdict, told.counterfactuals.len()), ("allow", 0));
}
