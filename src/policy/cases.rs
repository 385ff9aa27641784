//! Test cases without Rego: an input, given whole or as an alert or a call, and what is expected of it.
//! `cases/*.yaml` are the bundle's own; `drills/*.yaml` are those that every bundle has to refuse.

use super::check::Area;
use super::contract::{ActionInput, Background, CallFacts, InvestigationFacts, RiskInput};
use super::{Decision, InputKind, RegoPolicy, sample, schema};
use crate::domain::{DecisionId, ResourceType, Risk, Severity, SreEvent};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The place that `each` fills.
const EACH: &str = "${each}";
/// Most cases that one file may stand for.
const MOST: usize = 2_000;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the cases have in common, for readers.
    #[serde(default)]
    #[allow(dead_code)]
    about: String,
    cases: Vec<Case>,
}

/// One case as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Why it is expected, for readers.
    #[serde(default)]
    #[allow(dead_code)]
    why: String,
    /// The case once for each of these, which take the place of `${each}`.
    #[serde(default)]
    each: Vec<Value>,
    /// A whole input; nothing else is taken beside it but `patch`.
    #[serde(default)]
    input: Option<Value>,
    /// What is special about the alert.
    #[serde(default)]
    alert: Option<Value>,
    /// What is special about the call; with it, it is a call that is judged.
    #[serde(default)]
    call: Option<Map<String, Value>>,
    /// The level at which the call is judged.
    #[serde(default)]
    level: Option<Risk>,
    /// Merged over the input (RFC 7396).
    #[serde(default)]
    patch: Option<Value>,
    /// Merged over `data.org`.
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    expect: Expect,
}

/// What is expected; what is left out is not compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// `allow|ask|deny`
    #[serde(default)]
    verdict: Option<String>,
    /// `LOW|MEDIUM|HIGH|CRITICAL`, of an incident.
    #[serde(default)]
    level: Option<Risk>,
    #[serde(default)]
    rules_include: Vec<String>,
    #[serde(default)]
    rules_exclude: Vec<String>,
}

/// What is special about an alert.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alert {
    name: Option<String>,
    severity: Option<Severity>,
    title: Option<String>,
    description: Option<String>,
    namespace: Option<String>,
    resource: Option<ResourceType>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// When it is judged.
    now: Option<Timestamp>,
}

/// A case that can be judged.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// The file that it stands in.
    pub(super) path: String,
    pub(super) name: String,
    pub(super) kind: InputKind,
    pub(super) input: Value,
    /// Over `data.org`.
    data: Option<Value>,
    expect: Expect,
}

/// The cases of a file, or what is wrong with it.
pub(super) fn read(path: &str, text: &str) -> Result<Vec<Ready>, String> {
    let wrong = |error: serde_saphyr::Error| {
        let told = error.to_string();
        told.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
    };
    // One case may stand alone.
    let document: Value = serde_saphyr::from_str(text).map_err(wrong)?;
    let file: File = match document.get("cases") {
        Some(_) => serde_json::from_value(document).map_err(|e| e.to_string())?,
        None => {
            File { about: String::new(), cases: vec![serde_json::from_value(document).map_err(|e| e.to_string())?] }
        }
    };
    let mut ready = vec![];
    for case in &file.cases {
        let about = |error: String| format!("case `{}`: {error}", case.name);
        match case.each.is_empty() {
            true => ready.push(case.ready(path, &Value::Null).map_err(about)?),
            false => {
                for each in &case.each {
                    ready.push(case.ready(path, each).map_err(about)?);
                }
            }
        }
        if ready.len() > MOST {
            return Err(format!("more than {MOST} cases in one file"));
        }
    }
    Ok(ready)
}

impl Case {
    fn ready(&self, path: &str, each: &Value) -> Result<Ready, String> {
        let filled = |value: &Value| fill(value, each);
        let alert = self.alert.as_ref().map(filled).unwrap_or_else(|| json!({}));
        let alert: Alert = serde_json::from_value(alert).map_err(|e| format!("alert: {e}"))?;
        let now = alert.now.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut input = match (&self.input, &self.call) {
            (Some(input), None) => filled(input),
            (Some(_), Some(_)) => return Err("it has both `input` and `call`".into()),
            (None, None) => to_value(&RiskInput::of(&alert.event(), now, 1))?,
            (None, Some(call)) => {
                let mut told = to_value(&sample::action_input().call)?;
                if let (Value::Object(told), Value::Object(call)) = (&mut told, filled(&Value::Object(call.clone()))) {
                    told.extend(call);
                }
                let call: CallFacts = serde_json::from_value(told).map_err(|e| format!("call: {e}"))?;
                let level = self.level.unwrap_or(Risk::Low);
                let background = Background::of(&alert.event());
                let rules = ["risk/base/severity".to_owned()];
                let about = InvestigationFacts::default();
                let mut input = ActionInput::for_call(&background, &level, &rules, about, call, now);
                // A case is about its rule, not about a number that nobody gave.
                (input.blast_radius.known, input.blast_radius.pods) = (true, 1);
                to_value(&input)?
            }
        };
        if let Some(patch) = &self.patch {
            merge(&mut input, &filled(patch));
        }
        let kind = InputKind::of(&input).map_err(|e| e.to_string())?;
        schema::validate(kind, &input).map_err(|e| e.to_string())?;
        let name = match each {
            Value::Null => self.name.clone(),
            Value::String(text) => format!("{}: {}", self.name, text.escape_debug()),
            other => format!("{}: {other}", self.name),
        };
        let name = name.chars().take(160).collect();
        Ok(Ready { path: path.into(), name, kind, input, data: self.data.clone(), expect: self.expect.clone() })
    }
}

impl Alert {
    fn event(&self) -> SreEvent {
        let mut event = sample::event();
        let text = |slot: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                slot.clone_from(value);
            }
        };
        text(&mut event.name, &self.name);
        text(&mut event.title, &self.title);
        text(&mut event.description, &self.description);
        if let Some(severity) = self.severity {
            event.severity = severity;
        }
        if let Some(namespace) = &self.namespace {
            event.resource.namespace = Some(namespace.clone());
            event.labels.insert("namespace".into(), namespace.clone());
        }
        if let Some(resource) = self.resource {
            event.resource.kind = resource;
        }
        event.labels.extend(self.labels.clone());
        event.annotations.extend(self.annotations.clone());
        event
    }
}

impl Ready {
    /// Judges it.
    pub(super) fn decide(&self, policy: &RegoPolicy) -> Result<Decision, String> {
        let own = self.own_policy(policy)?;
        Ok(self.judged_by(own.as_ref().unwrap_or(policy)))
    }

    /// What `policy` says of it, with the data that it has.
    pub(super) fn judged_by(&self, policy: &RegoPolicy) -> Decision {
        policy.decide_as_it_is(DecisionId::new(uuid::Uuid::nil()), self.kind, &self.input)
    }

    /// `policy` with the data that the case brings; `None` where it brings none.
    pub(super) fn own_policy(&self, policy: &RegoPolicy) -> Result<Option<RegoPolicy>, String> {
        let Some(patch) = &self.data else { return Ok(None) };
        let mut data = policy.data().clone();
        merge(&mut data, &json!({ "org": patch }));
        policy.with_data(data).map(Some)
    }

    /// What is not as expected; nothing when all is.
    pub(super) fn objection(&self, decision: &Decision) -> Option<String> {
        let rules: Vec<&str> = decision.reasons().iter().map(|reason| reason.rule.as_str()).collect();
        let said = || format!("it is {} by {}", decision.word(), rules.join(" "));
        if let Some(error) = decision.error() {
            return Some(format!("the evaluation failed: {error}"));
        }
        if let Some(verdict) = self.expect.verdict.as_ref().filter(|v| *v != decision.verdict().as_str()) {
            return Some(format!("expected {verdict}, {}", said()));
        }
        if let (Some(level), Decision::Risk(risk)) = (self.expect.level, decision)
            && risk.level != level
        {
            return Some(format!("expected {level}, {}", said()));
        }
        if let Some(missing) = self.expect.rules_include.iter().find(|rule| !rules.contains(&rule.as_str())) {
            return Some(format!("{missing} did not speak, {}", said()));
        }
        let unwanted = self.expect.rules_exclude.iter().find(|rule| rules.contains(&rule.as_str()));
        unwanted.map(|rule| format!("{rule} spoke, {}", said()))
    }

    /// The area of its rules.
    pub(super) fn area(&self) -> Area {
        match self.kind {
            InputKind::Risk => Area::Risk,
            InputKind::Action => Area::Action,
        }
    }
}

/// A decision of the past as a case.
///
/// # Errors
/// When it cannot be written.
pub fn case_of(id: DecisionId, word: &str, rules: &[String], input: &Value) -> Result<String, String> {
    let own: Vec<&String> = rules.iter().filter(|rule| !rule.starts_with("engine/")).collect();
    let expected = match InputKind::of(input).map_err(|e| e.to_string())? {
        InputKind::Risk => json!({"level": word, "rules_include": own}),
        InputKind::Action => json!({"verdict": word, "rules_include": own}),
    };
    let case = json!({"name": format!("as decided in {id}"), "expect": expected, "input": input});
    let mut text = String::from("# Change what is expected to what should have been decided, then the rules.\n");
    let _ = write!(text, "{}", serde_saphyr::to_string(&case).map_err(|e| e.to_string())?);
    Ok(text)
}

fn to_value<T: serde::Serialize>(value: &T) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|e| e.to_string())
}

/// `value` with `each` in its places.
fn fill(value: &Value, each: &Value) -> Value {
    match value {
        Value::String(text) if text == EACH => each.clone(),
        Value::String(text) => match each {
            Value::String(each) => Value::from(text.replace(EACH, each)),
            Value::Null => value.clone(),
            other => Value::from(text.replace(EACH, &other.to_string())),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, each)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), fill(value, each))).collect(),
        other => other.clone(),
    }
}

/// RFC 7396.
pub(super) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                // A key of the contract is always there: null is a value of its own then.
                match into.get_mut(key) {
                    Some(slot) => *slot = Value::Null,
                    None => {
                        into.insert(key.clone(), Value::Null);
                    }
                }
            }
            value => merge(into.entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bundle;
    use super::*;
    use std::time::Duration;

    fn policy() -> RegoPolicy {
        RegoPolicy::load(&Bundle::embedded()).unwrap().with_limit(Duration::from_secs(10))
    }

    const CASES: &str = r#"
about: two ways to say it
cases:
  - name: a Secret is refused
    each: [Secret, secrets.v1]
    call: {effect: read, args: {kind: "${each}"}}
    expect: {verdict: deny, rules_include: [action/secrets/secret], rules_exclude: [action/secrets/token]}
  - name: a warning is MEDIUM
    alert: {severity: warning, description: "disk is 80 % full"}
    expect: {level: MEDIUM, verdict: allow}
  - name: fewer Pods ask
    call: {effect: write}
    patch: {blast_radius: {pods: 4}}
    data: {blast: {pods_approve: 3}}
    expect: {verdict: ask, rules_include: [action/blast/soft-limit]}
"#;

    #[test]
    fn cases_are_judged_without_rego() {
        let policy = policy();
        let ready = read("cases/a.yaml", CASES).unwrap();
        assert_eq!(ready.len(), 4);
        for case in &ready {
            let decision = case.decide(&policy).unwrap();
            assert_eq!(case.objection(&decision), None, "{}", case.name);
        }
    }

    #[test]
    fn what_is_not_as_expected_is_told() {
        let policy = policy();
        let objection = |expect: &str| {
            let text = format!("name: a\ncall: {{effect: read}}\nexpect: {expect}\n");
            let case = read("cases/a.yaml", &text).unwrap().remove(0);
            case.objection(&case.decide(&policy).unwrap()).unwrap()
        };
        assert_eq!(objection("{verdict: deny}"), "expected deny, it is allow by action/effects/look");
        assert!(objection("{rules_include: [action/pr/path]}").starts_with("action/pr/path did not speak"));
        assert!(objection("{rules_exclude: [action/effects/look]}").starts_with("action/effects/look spoke"));
    }

    #[test]
    fn a_case_that_makes_no_sense_is_an_error() {
        for (text, told) in [
            ("name: a\ncall: {effect: dance}\n", "case `a`: call: "),
            ("name: a\nsurprise: 1\n", "unknown field `surprise`"),
            ("name: a\npatch: {event: {severity: 3}}\n", "case `a`: the input is not firewarden.risk/v1"),
            ("name: a\ninput: {}\n", "names the schema"),
            ("cases: 3\n", "invalid type"),
            ("a: [", ""),
        ] {
            let error = read("cases/a.yaml", text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_captured_decision_is_a_case_that_passes() {
        let policy = policy();
        for case in read("cases/a.yaml", CASES).unwrap().iter().take(3) {
            let decision = case.decide(&policy).unwrap();
            let rules: Vec<String> = decision.reasons().iter().map(|reason| reason.rule.clone()).collect();
            let text = case_of(DecisionId::new(uuid::Uuid::nil()), decision.word(), &rules, &case.input).unwrap();
            let again = read("cases/b.yaml", &text).unwrap().remove(0);
            assert_eq!(again.input, case.input);
            assert_eq!(again.objection(&again.decide(&policy).unwrap()), None);
        }
    }
}
