//! How the contributions of rules become one answer. Pure, and in Rust, so that no policy can
//! change it: errors close, the strictest wins, silence never permits.

use super::exceptions::Exception;
use super::obligation;
use crate::domain::{Duties, Effect, Excepted, Reason, Requirement, Risk, Verdict, floor};
use serde_json::{Map, Value};

/// Most contributions that one decision may have.
const MAX_CONTRIBUTIONS: usize = 256;
/// Longest reason or remedy, in characters.
const MAX_REASON_CHARS: usize = 500;
/// Longest text for the proposer, in characters.
const MAX_REMEDY_CHARS: usize = 600;
/// The module whose levels `data.org.risk.baseline` replaces.
const BASE_MODULE: &str = "risk/base/";

/// The sets that mean something in a risk module.
pub(super) const RISK_SETS: &[&str] = &["level", "raise", "oblige"];
/// The sets that mean something in an action module.
pub(super) const ACTION_SETS: &[&str] = &["deny", "approve", "allow", "oblige", "warn"];
/// Duties of an incident that this program carries out.
pub(super) const RISK_DUTIES: &[&str] = &["budget", "jira", "notify"];
/// Duties of a call that this program carries out; any other denies.
pub(super) const ACTION_DUTIES: &[&str] = &obligation::KINDS;
/// Most people that one rule can ask for.
const MAX_COUNT: u64 = 10;
/// How long a question may stand, in seconds.
const EXPIRES_S: std::ops::RangeInclusive<u64> = 10..=7 * 24 * 3600;

/// One object that one rule put into one of the sets, with its form checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contribution {
    /// `area/module/id`.
    pub(super) rule: String,
    /// `file:line`.
    pub(super) at: Option<String>,
    pub(super) reason: String,
    pub(super) kind: Kind,
}

/// What a contribution wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Level(Risk),
    Raise { steps: u8 },
    Deny { remedy: Option<String> },
    Approve { groups: Vec<String>, count: u32, expires_s: Option<u64> },
    Allow,
    Warn,
    Oblige(Map<String, Value>),
}

impl Contribution {
    /// Reads one element of the set `set`. The error says what is malformed.
    pub(super) fn read(
        set: &str,
        rule: String,
        at: Option<String>,
        object: &Map<String, Value>,
    ) -> Result<Self, String> {
        let text = |key: &str| match object.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(clip(text, MAX_REASON_CHARS)),
            _ => None,
        };
        let wrong = |what: &str| format!("{rule}: {what}");
        let kind = match set {
            "level" => Kind::Level(
                text("level")
                    .and_then(|word| word.parse().ok())
                    .ok_or_else(|| wrong("`level` must be LOW, MEDIUM, HIGH or CRITICAL"))?,
            ),
            "raise" => match object.get("steps").and_then(Value::as_u64) {
                Some(steps @ 1..=2) => Kind::Raise { steps: steps as u8 },
                _ => return Err(wrong("`steps` must be 1 or 2")),
            },
            "deny" => Kind::Deny {
                remedy: match object.get("remedy") {
                    None => None,
                    Some(_) => Some(text("remedy").ok_or_else(|| wrong("`remedy` must be a text"))?),
                },
            },
            "approve" => {
                let groups =
                    object.get("groups").and_then(Value::as_array).ok_or_else(|| wrong("`groups` must be a list"))?;
                let groups = groups.iter().map(|g| g.as_str().filter(|g| !g.is_empty()).map(str::to_owned));
                let count = match object.get("count").map(Value::as_u64) {
                    None => 1,
                    Some(Some(count @ 1..=MAX_COUNT)) => count as u32,
                    Some(_) => return Err(wrong("`count` must be a whole number from 1 to 10")),
                };
                let expires_s = match object.get("expires_s").map(Value::as_u64) {
                    None => None,
                    Some(Some(seconds)) if EXPIRES_S.contains(&seconds) => Some(seconds),
                    Some(_) => return Err(wrong("`expires_s` must be seconds, from 10 to 604800")),
                };
                Kind::Approve {
                    groups: groups.collect::<Option<_>>().ok_or_else(|| wrong("`groups` must hold names only"))?,
                    count,
                    expires_s,
                }
            }
            "allow" => Kind::Allow,
            "warn" => Kind::Warn,
            "oblige" => {
                let kind = text("kind").ok_or_else(|| wrong("`kind` must name the duty"))?;
                let reason = text("reason").unwrap_or(kind);
                return Ok(Self { rule, at, reason, kind: Kind::Oblige(object.clone()) });
            }
            other => return Err(wrong(&format!("`{other}` means nothing here"))),
        };
        let reason = text("reason").ok_or_else(|| wrong("`reason` must be a text"))?;
        Ok(Self { rule, at, reason, kind })
    }

    /// The word for what it wants.
    fn effect(&self) -> &'static str {
        match self.kind {
            Kind::Level(_) => "level",
            Kind::Raise { .. } => "raise",
            Kind::Deny { .. } => "deny",
            Kind::Approve { .. } => "approve",
            Kind::Allow => "allow",
            Kind::Warn => "warn",
            Kind::Oblige(_) => "oblige",
        }
    }

    fn as_reason(&self) -> Reason {
        let effect = self.effect().to_owned();
        Reason { rule: self.rule.clone(), effect, reason: self.reason.clone(), at: self.at.clone() }
    }

    /// The duty that this program does not know, if it is one.
    fn unknown_duty(&self, known: &[&str]) -> Option<String> {
        let Kind::Oblige(object) = &self.kind else { return None };
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
        (!known.contains(&kind)).then(|| format!("{}: this program cannot carry out the duty `{kind}`", self.rule))
    }
}

/// What came out for an incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RiskOutcome {
    pub(super) level: Risk,
    pub(super) reasons: Vec<Reason>,
    pub(super) exceptions: Vec<Excepted>,
    pub(super) obligations: Vec<Value>,
    pub(super) error: Option<String>,
}

/// What came out for a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ActionOutcome {
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<Reason>,
    pub(super) exceptions: Vec<Excepted>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) expires_s: Option<u64>,
    pub(super) duties: Duties,
    pub(super) for_model: Option<String>,
    pub(super) error: Option<String>,
}

/// The level of an incident. `baseline` is what the organisation's data says of this environment
/// and severity; it takes the place of what `risk/base` says, except of a CRITICAL. `exceptions` are those
/// about this incident: they take raises out, and nothing of a CRITICAL.
pub(super) fn risk(
    evaluated: Result<Vec<Contribution>, String>,
    baseline: Option<Risk>,
    exceptions: &[&Exception],
) -> RiskOutcome {
    let given = match within_bounds(evaluated, RISK_DUTIES) {
        Ok(given) => given,
        Err(error) => {
            let reasons = vec![engine("error", "level", &error)];
            let (exceptions, obligations) = (vec![], vec![]);
            return RiskOutcome { level: Risk::Critical, reasons, exceptions, obligations, error: Some(error) };
        }
    };
    let plain = levelled(&given, baseline);
    if plain.level == Risk::Critical {
        return plain;
    }
    let (counting, lifted) = lift(given, exceptions, |kind| matches!(kind, Kind::Raise { .. }));
    match lifted.is_empty() {
        true => plain,
        false => RiskOutcome { exceptions: lifted, ..levelled(&counting, baseline) },
    }
}

/// The level by the contributions that count.
fn levelled(given: &[Contribution], baseline: Option<Risk>) -> RiskOutcome {
    let baseline = baseline.filter(|level| *level < Risk::Critical);
    let mut reasons: Vec<(Risk, Reason)> = Vec::new();
    let mut replaced = false;
    let mut level: Option<Risk> = None;
    for contribution in given {
        let Kind::Level(said) = contribution.kind else { continue };
        let counts = match baseline {
            Some(baseline) if contribution.rule.starts_with(BASE_MODULE) && said < Risk::Critical => {
                replaced |= baseline != said;
                baseline
            }
            _ => said,
        };
        level = level.max(Some(counts));
        reasons.push((said, contribution.as_reason()));
    }
    let mut own = Vec::new();
    if let (true, Some(baseline)) = (replaced, baseline) {
        let why = format!("data.org.risk.baseline says {baseline} for this environment and severity");
        own.push(engine("baseline", "level", &why));
    }
    let mut level = level.unwrap_or_else(|| {
        own.push(engine("silent", "level", "no rule gave a level"));
        Risk::High
    });
    let steps: u32 = given.iter().map(|c| if let Kind::Raise { steps } = c.kind { u32::from(steps) } else { 0 }).sum();
    for _ in 0..steps.min(3) {
        level = level.max(match level {
            Risk::Low => Risk::Medium,
            Risk::Medium | Risk::High => Risk::High,
            Risk::Critical => Risk::Critical,
        });
    }
    reasons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.rule.cmp(&b.1.rule)));
    let mut reasons: Vec<Reason> = reasons.into_iter().map(|(_, reason)| reason).collect();
    reasons.extend(own);
    reasons.extend(given.iter().filter(|c| matches!(c.kind, Kind::Raise { .. })).map(Contribution::as_reason));
    let obligations = given.iter().filter_map(|c| match &c.kind {
        Kind::Oblige(object) => Some(Value::Object(named(object, &c.rule))),
        _ => None,
    });
    RiskOutcome { level, reasons, exceptions: vec![], obligations: obligations.collect(), error: None }
}

/// The verdict on a call, floor included. `default_approvers` are asked where no rule names any.
/// `exceptions` are those about this call: they take requirements and warnings out, and never a refusal.
pub(super) fn action(
    evaluated: Result<Vec<Contribution>, String>,
    risk: Risk,
    effect: Effect,
    default_approvers: &[String],
    exceptions: &[&Exception],
) -> ActionOutcome {
    let read = within_bounds(evaluated, ACTION_DUTIES).and_then(|given| {
        let demanded = given.iter().filter_map(|c| match &c.kind {
            Kind::Oblige(object) => Some(obligation::read(object).map_err(|why| format!("{}: {why}", c.rule))),
            _ => None,
        });
        let demanded = demanded.collect::<Result<Vec<Duties>, String>>()?;
        Ok((given, demanded.into_iter().fold(Duties::default(), Duties::and)))
    });
    let (given, duties) = match read {
        Ok(read) => read,
        Err(error) => {
            return ActionOutcome {
                verdict: Verdict::Deny,
                reasons: vec![engine("error", "deny", &error)],
                exceptions: vec![],
                requirements: vec![],
                expires_s: None,
                duties: Duties::default(),
                for_model: Some(
                    "The policy could not judge this call, so it does not run. A person has to look.".into(),
                ),
                error: Some(error),
            };
        }
    };
    let plain = judged(&given, duties, risk, effect, default_approvers);
    if plain.verdict == Verdict::Deny {
        return plain;
    }
    // An exception waives a requirement; permission comes from a rule that gives it.
    let is_permitted = given.iter().any(|c| matches!(c.kind, Kind::Allow));
    let (counting, lifted) = lift(given, exceptions, |kind| match kind {
        Kind::Approve { .. } => is_permitted,
        kind => matches!(kind, Kind::Warn),
    });
    if lifted.is_empty() {
        return plain;
    }
    let with = judged(&counting, duties, risk, effect, default_approvers);
    // Where nobody but the excepted rule names somebody to ask, it counts: an exception makes nothing stricter.
    match with.verdict <= plain.verdict {
        true => ActionOutcome { exceptions: lifted, ..with },
        false => plain,
    }
}

/// Takes out what `exceptions` are about, as far as it `may` be taken out at all.
fn lift(
    given: Vec<Contribution>,
    exceptions: &[&Exception],
    may: impl Fn(&Kind) -> bool,
) -> (Vec<Contribution>, Vec<Excepted>) {
    let mut lifted: Vec<Excepted> = vec![];
    let mut counting = given;
    counting.retain(|contribution| {
        let about = exceptions.iter().find(|exception| exception.rule == contribution.rule);
        let Some(exception) = about.filter(|_| may(&contribution.kind)) else { return true };
        let used = exception.used(contribution.effect());
        if !lifted.contains(&used) {
            lifted.push(used);
        }
        false
    });
    (counting, lifted)
}

/// The verdict by the contributions that count.
fn judged(
    given: &[Contribution],
    duties: Duties,
    risk: Risk,
    effect: Effect,
    default_approvers: &[String],
) -> ActionOutcome {
    let any = |wanted: fn(&Kind) -> bool| given.iter().any(|c| wanted(&c.kind));
    let mut own = Vec::new();
    let by_policy = if any(|k| matches!(k, Kind::Deny { .. })) {
        Verdict::Deny
    } else if any(|k| matches!(k, Kind::Approve { .. })) {
        Verdict::Ask
    } else if any(|k| matches!(k, Kind::Allow)) {
        Verdict::Allow
    } else {
        own.push(engine("default-deny", "deny", "no rule allows this call"));
        Verdict::Deny
    };
    let lowest = floor(risk, effect);
    let mut verdict = by_policy.max(lowest);
    match lowest {
        Verdict::Allow => {}
        Verdict::Ask => {
            own.push(engine("floor", "approve", &format!("{effect} at {risk} always needs a person's approval")))
        }
        Verdict::Deny => own.push(engine("floor", "deny", &format!("{effect} is never possible at {risk}"))),
    }
    let mut asked = match verdict {
        Verdict::Ask => requirements(given, default_approvers),
        Verdict::Allow | Verdict::Deny => vec![],
    };
    // Each requirement has to be met, so each needs somebody who can meet it.
    if verdict == Verdict::Ask && asked.iter().any(|requirement| requirement.groups.is_empty()) {
        let why = "approval is needed and nobody may give it: name groups in data.org.approvers.default";
        own.push(engine("unsatisfiable", "deny", why));
        (verdict, asked) = (Verdict::Deny, vec![]);
    }
    let expires_s = given.iter().filter_map(|c| match &c.kind {
        Kind::Approve { expires_s, .. } => *expires_s,
        _ => None,
    });
    let expires_s = expires_s.min().filter(|_| verdict == Verdict::Ask);
    let mut reasons: Vec<Reason> = given.iter().map(Contribution::as_reason).chain(own).collect();
    reasons.sort_by_key(|reason| match reason.effect.as_str() {
        "deny" => 0,
        "approve" => 1,
        "allow" => 2,
        _ => 3,
    });
    let for_model = match verdict {
        Verdict::Allow => None,
        Verdict::Ask => Some("A person has to approve this action before it runs.".into()),
        Verdict::Deny => Some(remedy(given)),
    };
    let duties = if verdict == Verdict::Deny { Duties::default() } else { duties };
    let exceptions = vec![];
    ActionOutcome { verdict, reasons, exceptions, requirements: asked, expires_s, duties, for_model, error: None }
}

/// Who has to agree: everybody whom a rule names, and those whom the organisation names where none
/// does.
fn requirements(given: &[Contribution], default_approvers: &[String]) -> Vec<Requirement> {
    let or_default = |groups: &[String]| if groups.is_empty() { default_approvers.to_vec() } else { groups.to_vec() };
    let mut asked: Vec<Requirement> = vec![];
    for contribution in given {
        let Kind::Approve { groups, count, .. } = &contribution.kind else { continue };
        asked.push(Requirement { rule: contribution.rule.clone(), groups: or_default(groups), count: *count });
    }
    if asked.is_empty() {
        asked.push(Requirement { rule: "engine/floor".into(), groups: default_approvers.to_vec(), count: 1 });
    }
    asked.sort_by(|a, b| a.rule.cmp(&b.rule));
    asked
}

fn remedy(given: &[Contribution]) -> String {
    let mut remedies: Vec<&str> = given
        .iter()
        .filter_map(|c| match &c.kind {
            Kind::Deny { remedy } => remedy.as_deref(),
            _ => None,
        })
        .collect();
    remedies.dedup();
    match remedies.is_empty() {
        true => "This call is not permitted here. Go on without it, or finish with what you know.".into(),
        false => clip(&remedies.join(" "), MAX_REMEDY_CHARS),
    }
}

fn within_bounds(evaluated: Result<Vec<Contribution>, String>, duties: &[&str]) -> Result<Vec<Contribution>, String> {
    let given = evaluated?;
    if given.len() > MAX_CONTRIBUTIONS {
        return Err(format!("more than {MAX_CONTRIBUTIONS} contributions to one decision"));
    }
    match given.iter().find_map(|c| c.unknown_duty(duties)) {
        Some(unknown) => Err(unknown),
        None => Ok(given),
    }
}

/// A duty under its full rule name.
fn named(object: &Map<String, Value>, rule: &str) -> Map<String, Value> {
    let mut object = object.clone();
    object.insert("rule".into(), rule.into());
    object
}

fn engine(id: &str, effect: &str, reason: &str) -> Reason {
    Reason { rule: format!("engine/{id}"), effect: effect.into(), reason: clip(reason, MAX_REASON_CHARS), at: None }
}

fn clip(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn risk(evaluated: Result<Vec<Contribution>, String>, baseline: Option<Risk>) -> RiskOutcome {
        super::risk(evaluated, baseline, &[])
    }

    fn action(
        evaluated: Result<Vec<Contribution>, String>,
        risk: Risk,
        effect: Effect,
        default_approvers: &[String],
    ) -> ActionOutcome {
        super::action(evaluated, risk, effect, default_approvers, &[])
    }

    /// An exception from `rule`.
    fn except(rule: &str) -> Exception {
        let (id, owner, reason) = ("x".into(), "ann".into(), "because".into());
        Exception { id, rule: rule.into(), matches: Default::default(), until: Default::default(), owner, reason }
    }

    fn give(rule: &str, kind: Kind) -> Contribution {
        Contribution { rule: rule.into(), at: None, reason: "because".into(), kind }
    }

    fn level(level: Risk) -> Contribution {
        give("risk/other/rule", Kind::Level(level))
    }

    fn base(level: Risk) -> Contribution {
        give("risk/base/severity", Kind::Level(level))
    }

    fn raise(steps: u8) -> Contribution {
        give("risk/other/raise", Kind::Raise { steps })
    }

    fn deny() -> Contribution {
        give("action/m/deny", Kind::Deny { remedy: None })
    }

    fn approve(groups: &[&str]) -> Contribution {
        give(
            "action/m/approve",
            Kind::Approve { groups: groups.iter().map(|g| (*g).to_owned()).collect(), count: 1, expires_s: None },
        )
    }

    fn allow() -> Contribution {
        give("action/m/allow", Kind::Allow)
    }

    fn rules(reasons: &[Reason]) -> String {
        reasons.iter().map(|r| r.rule.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn risk_follows_the_table() {
        use Risk::*;
        for (given, baseline, expected) in [
            (vec![], None, High),
            (vec![level(Low)], None, Low),
            (vec![level(Low), level(High), level(Medium)], None, High),
            (vec![level(Critical), level(Low)], None, Critical),
            (vec![level(Low), raise(1)], None, Medium),
            (vec![level(Low), raise(2)], None, High),
            (vec![level(Low), raise(2), raise(2), raise(2)], None, High),
            (vec![level(High), raise(2)], None, High),
            (vec![raise(2)], None, High),
            (vec![base(High)], Some(Low), Low),
            (vec![base(High), raise(1)], Some(Low), Medium),
            (vec![base(High), level(High)], Some(Low), High),
            (vec![base(Medium)], Some(High), High),
            (vec![base(Critical)], Some(Low), Critical),
            (vec![base(Low)], Some(Critical), Low),
            (vec![], Some(Low), High),
        ] {
            let outcome = risk(Ok(given.clone()), baseline);
            assert_eq!((outcome.level, &outcome.error), (expected, &None), "{given:?} {baseline:?}");
            assert!(!outcome.reasons.is_empty());
        }
    }

    #[test]
    fn our_own_part_is_named() {
        assert_eq!(rules(&risk(Ok(vec![]), None).reasons), "engine/silent");
        assert_eq!(
            rules(&risk(Ok(vec![base(Risk::High), raise(1)]), Some(Risk::Low)).reasons),
            "risk/base/severity engine/baseline risk/other/raise"
        );
        let failed = risk(Err("it broke".into()), Some(Risk::Low));
        assert_eq!((failed.level, rules(&failed.reasons).as_str()), (Risk::Critical, "engine/error"));
        assert_eq!(failed.error.as_deref(), Some("it broke"));
    }

    #[test]
    fn actions_follow_the_table() {
        use {Effect::*, Risk::*};
        let oncall = ["oncall".to_owned()];
        for (given, at, effect, expected, first) in [
            (vec![], Low, Read, Verdict::Deny, "engine/default-deny"),
            (vec![allow()], Low, Write, Verdict::Allow, "action/m/allow"),
            (vec![allow(), approve(&["sre"])], Low, Write, Verdict::Ask, "action/m/approve"),
            (vec![approve(&[])], Low, Write, Verdict::Ask, "action/m/approve"),
            (vec![allow(), approve(&["sre"]), deny()], Low, Read, Verdict::Deny, "action/m/deny"),
            (vec![allow()], Medium, Write, Verdict::Ask, "engine/floor"),
            (vec![allow()], High, Destroy, Verdict::Deny, "engine/floor"),
            (vec![allow()], Critical, Read, Verdict::Deny, "engine/floor"),
            (vec![approve(&["sre"])], Critical, Read, Verdict::Deny, "engine/floor"),
        ] {
            let outcome = action(Ok(given.clone()), at, effect, &oncall);
            assert_eq!(
                (outcome.verdict, outcome.reasons[0].rule.as_str()),
                (expected, first),
                "{given:?} {at} {effect}"
            );
            assert_eq!(outcome.for_model.is_some(), expected != Verdict::Allow);
        }
        let failed = action(Err("it broke".into()), Low, Read, &oncall);
        assert_eq!((failed.verdict, rules(&failed.reasons).as_str()), (Verdict::Deny, "engine/error"));
    }

    #[test]
    fn an_exception_takes_a_requirement_out_and_no_more() {
        use {Effect::Write, Risk::*};
        let oncall = ["oncall".to_owned()];
        let exception = except("action/m/approve");
        let ask = |given: &[Contribution], at, approvers: &[String]| {
            super::action(Ok(given.to_vec()), at, Write, approvers, &[&exception])
        };
        let waived = ask(&[allow(), approve(&["sre"])], Low, &oncall);
        assert_eq!((waived.verdict, rules(&waived.reasons).as_str()), (Verdict::Allow, "action/m/allow"));
        assert_eq!((waived.exceptions[0].id.as_str(), waived.exceptions[0].effect.as_str()), ("x", "approve"));
        // The floor asks for itself.
        let floored = ask(&[allow(), approve(&["sre"])], Medium, &oncall);
        assert_eq!((floored.verdict, floored.requirements[0].rule.as_str()), (Verdict::Ask, "engine/floor"));
        // Permission is given by rules.
        let unpermitted = ask(&[approve(&["sre"])], Low, &oncall);
        assert_eq!((unpermitted.verdict, unpermitted.exceptions.len()), (Verdict::Ask, 0));
        let refused = ask(&[allow(), approve(&["sre"]), deny()], Low, &oncall);
        assert_eq!((refused.verdict, refused.exceptions.len()), (Verdict::Deny, 0));
        let unanswerable = ask(&[allow(), approve(&[])], Low, &[]);
        assert_eq!((unanswerable.verdict, unanswerable.exceptions.len()), (Verdict::Deny, 0));
        let from_raise = except("risk/other/raise");
        let raised = super::risk(Ok(vec![level(Low), raise(2)]), None, &[&from_raise]);
        assert_eq!((raised.level, raised.exceptions[0].effect.as_str()), (Low, "raise"));
    }

    #[test]
    fn asking_needs_somebody_to_ask() {
        let ask = |given: Vec<Contribution>| {
            let outcome = action(Ok(given), Risk::Medium, Effect::Write, &[]);
            (outcome.verdict, outcome.reasons[0].rule.clone())
        };
        assert_eq!(ask(vec![allow()]), (Verdict::Deny, "engine/unsatisfiable".into()));
        assert_eq!(ask(vec![approve(&[])]), (Verdict::Deny, "engine/unsatisfiable".into()));
        assert_eq!(ask(vec![approve(&["sre"]), approve(&[])]), (Verdict::Deny, "engine/unsatisfiable".into()));
        assert_eq!(ask(vec![approve(&["sre"])]).0, Verdict::Ask);
    }

    #[test]
    fn unknown_duties_close() {
        let oblige = |kind: &str| {
            let object = json!({"id": "duty", "kind": kind});
            Contribution::read("oblige", "risk/m/duty".into(), None, object.as_object().unwrap()).unwrap()
        };
        let known = risk(Ok(vec![level(Risk::Low), oblige("notify")]), None);
        assert_eq!((known.level, known.obligations[0]["rule"].as_str()), (Risk::Low, Some("risk/m/duty")));
        let unknown = risk(Ok(vec![level(Risk::Low), oblige("sing")]), None);
        assert_eq!(unknown.level, Risk::Critical);
        assert!(unknown.error.unwrap().contains("`sing`"));
        let unknown = action(Ok(vec![allow(), oblige("sing")]), Risk::Low, Effect::Read, &[]);
        assert_eq!(unknown.verdict, Verdict::Deny);
    }

    #[test]
    fn malformed_contributions_are_refused() {
        for (set, object) in [
            ("level", json!({"level": "SEVERE", "reason": "r"})),
            ("level", json!({"level": "LOW"})),
            ("level", json!({"level": "LOW", "reason": "  "})),
            ("level", json!({"level": 3, "reason": "r"})),
            ("raise", json!({"steps": 3, "reason": "r"})),
            ("raise", json!({"steps": -1, "reason": "r"})),
            ("raise", json!({"steps": 1.5, "reason": "r"})),
            ("deny", json!({"reason": 1})),
            ("deny", json!({"reason": "r", "remedy": ["x"]})),
            ("approve", json!({"reason": "r"})),
            ("approve", json!({"reason": "r", "groups": "sre"})),
            ("approve", json!({"reason": "r", "groups": ["sre", 1]})),
            ("allow", json!({})),
            ("oblige", json!({"reason": "r"})),
            ("permit", json!({"reason": "r"})),
        ] {
            let read = Contribution::read(set, "m/r".into(), None, object.as_object().unwrap());
            assert!(read.is_err(), "{set} {object}: {read:?}");
        }
    }

    #[test]
    fn a_denial_tells_the_proposer_what_to_do_instead_and_nothing_of_the_rules() {
        let with = give("action/m/a", Kind::Deny { remedy: Some("Read the Pod instead.".into()) });
        let told = |given| action(Ok(given), Risk::Low, Effect::Read, &[]).for_model.unwrap();
        assert_eq!(told(vec![with, deny(), allow()]), "Read the Pod instead.");
        for text in [told(vec![deny()]), told(vec![])] {
            assert!(!text.contains('/') && text.starts_with("This call is not permitted here."), "{text}");
        }
    }

    #[test]
    fn too_many_contributions_are_an_error() {
        assert_eq!(risk(Ok(vec![level(Risk::Low); 257]), None).level, Risk::Critical);
        assert_eq!(action(Ok(vec![allow(); 257]), Risk::Low, Effect::Read, &[]).verdict, Verdict::Deny);
    }

    fn any_risk() -> impl Strategy<Value = Risk> {
        prop::sample::select(Risk::ALL)
    }

    fn any_risk_contribution() -> impl Strategy<Value = Contribution> {
        prop_oneof![any_risk().prop_map(level), any_risk().prop_map(base), (1u8..=2).prop_map(raise)]
    }

    fn any_action_contribution() -> impl Strategy<Value = Contribution> {
        prop_oneof![
            Just(deny()),
            Just(approve(&["sre"])),
            Just(approve(&[])),
            Just(allow()),
            Just(give("action/m/warn", Kind::Warn))
        ]
    }

    #[test]
    fn a_rule_that_alone_names_people_is_not_excepted_where_people_are_needed() {
        let given = vec![allow(), approve(&["sre"])];
        let exception = except("action/m/approve");
        let with = |approvers: &[String]| {
            super::action(Ok(given.clone()), Risk::High, Effect::Propose, approvers, &[&exception])
        };
        let kept = with(&[]);
        assert_eq!((kept.verdict, kept.exceptions.len()), (Verdict::Ask, 0));
        assert_eq!(kept.requirements[0].groups, ["sre"]);
        let lifted = with(&["oncall".to_owned()]);
        assert_eq!((lifted.verdict, lifted.exceptions.len()), (Verdict::Ask, 1));
        assert_eq!(lifted.requirements[0].groups, ["oncall"]);
    }

    proptest! {
        #[test]
        fn more_raises_never_lower_and_order_never_matters(
            given in prop::collection::vec(any_risk_contribution(), 0..8), steps in 1u8..=2, baseline in prop::option::of(any_risk())
        ) {
            let before = risk(Ok(given.clone()), baseline).level;
            let mut more = given.clone();
            more.push(raise(steps));
            let after = risk(Ok(more.clone()), baseline).level;
            prop_assert!(after >= before);
            let said = given.iter().any(|c| c.kind == Kind::Level(Risk::Critical));
            prop_assert_eq!(after == Risk::Critical, said);
            more.reverse();
            prop_assert_eq!(risk(Ok(more), baseline).level, after);
        }

        #[test]
        fn an_added_level_never_lowers_what_was_said(
            given in prop::collection::vec(any_risk_contribution(), 0..8), added in any_risk()
        ) {
            // The exception is silence, which counts as HIGH until somebody says something.
            prop_assume!(given.iter().any(|c| matches!(c.kind, Kind::Level(_))));
            let before = risk(Ok(given.clone()), None).level;
            let mut more = given;
            more.push(level(added));
            prop_assert!(risk(Ok(more), None).level >= before);
        }

        #[test]
        fn no_exception_turns_a_refusal_or_goes_below_the_floor(
            given in prop::collection::vec(any_action_contribution(), 0..8),
            at in any_risk(), effect in prop::sample::select(Effect::ALL), someone in any::<bool>(),
            from in prop::collection::vec(prop::sample::select(vec!["action/m/deny", "action/m/approve", "action/m/allow", "action/m/warn"]), 0..5)
        ) {
            let approvers = if someone { vec!["oncall".to_owned()] } else { vec![] };
            let exceptions: Vec<Exception> = from.into_iter().map(except).collect();
            let exceptions: Vec<&Exception> = exceptions.iter().collect();
            let plain = action(Ok(given.clone()), at, effect, &approvers);
            let with = super::action(Ok(given), at, effect, &approvers, &exceptions);
            prop_assert_eq!(plain.verdict == Verdict::Deny, with.verdict == Verdict::Deny);
            prop_assert!(with.verdict <= plain.verdict, "an exception makes nothing stricter");
            prop_assert!(with.verdict >= floor(at, effect));
            prop_assert_eq!(with.verdict == Verdict::Ask, !with.requirements.is_empty());
            for used in &with.exceptions {
                prop_assert!(["approve", "warn"].contains(&used.effect.as_str()));
                prop_assert!(with.reasons.iter().all(|reason| reason.rule != used.rule));
            }
            if with.exceptions.is_empty() {
                prop_assert_eq!(with, plain);
            }
        }

        #[test]
        fn no_exception_lowers_critical_or_what_a_rule_says_outright(
            given in prop::collection::vec(any_risk_contribution(), 0..8), baseline in prop::option::of(any_risk()),
            from in prop::collection::vec(prop::sample::select(vec!["risk/other/rule", "risk/other/raise", "risk/base/severity"]), 0..4)
        ) {
            let exceptions: Vec<Exception> = from.into_iter().map(except).collect();
            let exceptions: Vec<&Exception> = exceptions.iter().collect();
            let plain = risk(Ok(given.clone()), baseline);
            let with = super::risk(Ok(given.clone()), baseline, &exceptions);
            prop_assert_eq!(plain.level == Risk::Critical, with.level == Risk::Critical);
            prop_assert!(with.level <= plain.level);
            let unraised = given.into_iter().filter(|c| !matches!(c.kind, Kind::Raise { .. })).collect();
            prop_assert!(with.level >= risk(Ok(unraised), baseline).level);
            prop_assert!(with.exceptions.iter().all(|used| used.effect == "raise"));
        }

        #[test]
        fn restrictions_never_weaken_and_the_floor_holds(
            given in prop::collection::vec(any_action_contribution(), 0..8),
            at in any_risk(), effect in prop::sample::select(Effect::ALL), someone in any::<bool>()
        ) {
            let approvers = if someone { vec!["oncall".to_owned()] } else { vec![] };
            let verdict = |given: Vec<Contribution>| action(Ok(given), at, effect, &approvers).verdict;
            let before = verdict(given.clone());
            prop_assert!(before >= floor(at, effect));
            let with = |one: Contribution| { let mut more = given.clone(); more.push(one); verdict(more) };
            prop_assert_eq!(with(deny()), Verdict::Deny);
            prop_assert!(with(give("action/m/warn", Kind::Warn)) >= before);
            // Naming an approver answers silence, and answers "nobody may approve": only then may it open a door.
            let silent = !given.iter().any(|c| matches!(c.kind, Kind::Allow | Kind::Approve { .. }));
            if someone && !silent {
                prop_assert!(with(approve(&["sre"])) >= before);
            }
        }
    }
}
