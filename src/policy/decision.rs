//! A decision as a document, and decisions on inputs that come as documents.

use super::contract::CONTRACT;
use super::host::document;
use super::rego::{ENGINE, OUT_OF_TIME};
use super::{RegoPolicy, schema};
use crate::domain::{
    DecisionId, Digest, Effect, Excepted, PolicyRef, Reason, Requirement, Risk, RiskDecision, Ruling, Verdict,
};
use serde_json::{Value, json};
use std::str::FromStr;

/// The name of the document.
const SCHEMA: &str = "firewarden.decision/v1";

/// What a bundle says of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Of an incident.
    Risk(RiskDecision),
    /// Of a call.
    Action(Ruling),
}

/// Why an input cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInput {
    /// Nobody knows what it is.
    #[error("the input names the schema `{found}`; expected firewarden.risk/v1 or firewarden.action/v1")]
    UnknownSchema {
        /// What `schema` says.
        found: String,
    },
    /// It is not what its schema says.
    #[error("the input is not {schema}: {}", .wrong.join("; "))]
    Invalid {
        /// The schema.
        schema: &'static str,
        /// What is wrong, by its place; the first ten.
        wrong: Vec<String>,
    },
}

/// Which of the two documents an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// `firewarden.risk/v1`
    Risk,
    /// `firewarden.action/v1`
    Action,
}

impl InputKind {
    /// What `input` says that it is.
    ///
    /// # Errors
    /// When it says something else, or nothing.
    pub fn of(input: &Value) -> Result<Self, BadInput> {
        match input["schema"].as_str() {
            Some("firewarden.risk/v1") => Ok(Self::Risk),
            Some("firewarden.action/v1") => Ok(Self::Action),
            other => Err(BadInput::UnknownSchema { found: other.unwrap_or("").chars().take(80).collect() }),
        }
    }

    /// The name of the schema.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Risk => "firewarden.risk/v1",
            Self::Action => "firewarden.action/v1",
        }
    }
}

/// Digest of an input's canonical form, as decisions carry it.
pub fn input_digest(input: &Value) -> Option<Digest> {
    let (document, digest) = document(input);
    document.ok().map(|_| digest)
}

/// Whether the error of a decision says that its time was over: the one that depends on the machine.
pub fn ran_out_of_time(error: &str) -> bool {
    error.starts_with(OUT_OF_TIME)
}

impl RegoPolicy {
    /// Judges an input that comes as a document, once it is what its schema says.
    ///
    /// # Errors
    /// When it is not.
    pub fn decide(&self, id: DecisionId, input: &Value) -> Result<Decision, BadInput> {
        let kind = InputKind::of(input)?;
        schema::validate(kind, input)?;
        Ok(self.decide_as_it_is(id, kind, input))
    }

    /// Judges an input beneath its validation, as one of the past that an older program wrote. Where the
    /// words that set the floor are not there, the strictest are taken.
    pub(super) fn decide_as_it_is(&self, id: DecisionId, kind: InputKind, input: &Value) -> Decision {
        let word = |pointer: &str| input.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match kind {
            InputKind::Risk => {
                let of = (word("/resource/environment"), word("/event/severity"));
                Decision::Risk(self.assess_document(id, document(input), of))
            }
            InputKind::Action => {
                let risk = Risk::from_str(word("/risk/level")).unwrap_or(Risk::Critical);
                let effect = serde_json::from_value(input["call"]["effect"].clone()).unwrap_or(Effect::Destroy);
                Decision::Action(self.rule_document(id, document(input), (risk, effect)))
            }
        }
    }
}

impl Decision {
    /// `allow|ask|deny`, or the level.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Risk(decision) => decision.level.as_str(),
            Self::Action(ruling) => ruling.verdict.as_str(),
        }
    }

    /// The verdict; of an incident whether an agent may be dispatched.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Risk(decision) if decision.level == Risk::Critical => Verdict::Deny,
            Self::Risk(_) => Verdict::Allow,
            Self::Action(ruling) => ruling.verdict,
        }
    }

    /// More is stricter.
    pub fn strictness(&self) -> u8 {
        match self {
            Self::Risk(decision) => Risk::ALL.iter().position(|level| *level == decision.level).unwrap_or(0) as u8,
            Self::Action(ruling) => match ruling.verdict {
                Verdict::Allow => 0,
                Verdict::Ask => 1,
                Verdict::Deny => 2,
            },
        }
    }

    /// Whether it is less strict than `before`: by its word, or by the people and duties that it asks for.
    pub fn asks_less_than(&self, before: &Self) -> bool {
        match (before, self) {
            _ if self.strictness() != before.strictness() => self.strictness() < before.strictness(),
            (Self::Action(before), Self::Action(now)) => {
                let is_met = |old: &Requirement| {
                    let implies = |new: &Requirement| {
                        new.count >= old.count && new.groups.iter().all(|group| old.groups.contains(group))
                    };
                    now.requirements.iter().any(implies)
                };
                !before.requirements.iter().all(is_met) || before.duties.and(now.duties) != now.duties
            }
            _ => false,
        }
    }

    /// What contributed.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Risk(decision) => &decision.reasons,
            Self::Action(ruling) => &ruling.reasons,
        }
    }

    /// What an exception took out.
    pub fn exceptions(&self) -> &[Excepted] {
        match self {
            Self::Risk(decision) => &decision.exceptions,
            Self::Action(ruling) => &ruling.exceptions,
        }
    }

    /// Digest of the canonical input.
    pub fn input_digest(&self) -> &Digest {
        match self {
            Self::Risk(decision) => &decision.input_digest,
            Self::Action(ruling) => &ruling.input_digest,
        }
    }

    /// The bundle that judged.
    pub fn policy(&self) -> &PolicyRef {
        match self {
            Self::Risk(decision) => &decision.policy,
            Self::Action(ruling) => &ruling.policy,
        }
    }

    /// Why the evaluation failed, if it did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Risk(decision) => decision.error.as_deref(),
            Self::Action(ruling) => ruling.error.as_deref(),
        }
    }

    /// `firewarden.decision/v1`. `input` is what was judged, `modules` how many the bundle has, `eval_us` how
    /// long it took.
    pub fn document(&self, input: &Value, modules: Option<usize>, eval_us: Option<u64>) -> Value {
        let id = match self {
            Self::Risk(decision) => decision.id,
            Self::Action(ruling) => ruling.id,
        };
        let policy = self.policy();
        let of = |effect: &str, wanted: bool| -> Vec<&Reason> {
            self.reasons().iter().filter(|reason| (reason.effect == effect) == wanted).collect()
        };
        let level = match self {
            Self::Risk(decision) => json!(decision.level),
            Self::Action(_) => input["risk"]["level"].clone(),
        };
        let obligations = match self {
            Self::Risk(decision) => json!(decision.obligations),
            Self::Action(ruling) => json!({
                "approval": (!ruling.requirements.is_empty())
                    .then(|| json!({"requirements": ruling.requirements, "expires_s": ruling.expires_s})),
                "dry_run_first": ruling.duties.dry_run_first,
                "verify_after": ruling.duties.verify_after,
                "max_blast_radius": ruling.duties.max_pods,
            }),
        };
        let for_model = match self {
            Self::Risk(_) => None,
            Self::Action(ruling) => ruling.for_model.as_ref(),
        };
        json!({
            "schema": SCHEMA,
            "id": id,
            "kind": match self { Self::Risk(_) => "risk", Self::Action(_) => "action" },
            "phase": input["phase"],
            "mode": input["mode"],
            "verdict": self.verdict(),
            "level": level,
            "reasons": of("warn", false),
            "warnings": of("warn", true),
            "exceptions": self.exceptions(),
            "obligations": obligations,
            "for_model": for_model.map(|text| json!({"text": text, "retry": false})),
            "action_digest": input["call"]["action_digest"],
            "input_digest": self.input_digest(),
            "policy": {
                "digest": policy.digest, "bundle": policy.bundle, "contract": CONTRACT, "engine": ENGINE, "modules": modules,
            },
            "shadow": null,
            "eval": {"us": eval_us},
            "error": self.error(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bundle, Policy, sample};
    use super::*;
    use std::sync::LazyLock;
    use std::time::Duration;

    static SHIPPED: LazyLock<RegoPolicy> =
        LazyLock::new(|| RegoPolicy::load(&Bundle::embedded()).unwrap().with_limit(Duration::from_secs(10)));
    const ID: DecisionId = DecisionId::new(uuid::Uuid::from_u128(7));

    #[test]
    fn a_document_is_judged_as_the_input_that_it_tells() {
        let (risk, action) = (sample::risk_input(), sample::action_input());
        let told = SHIPPED.decide(ID, &serde_json::to_value(&risk).unwrap()).unwrap();
        assert_eq!(told, Decision::Risk(SHIPPED.assess(ID, &risk)));
        let input = serde_json::to_value(&action).unwrap();
        let told = SHIPPED.decide(ID, &input).unwrap();
        assert_eq!(told, Decision::Action(SHIPPED.rule(ID, &action)));
        let document = told.document(&input, Some(13), None);
        assert_eq!((&document["verdict"], &document["level"]), (&json!("allow"), &json!("MEDIUM")));
        assert_eq!(document["reasons"][0]["rule"], "action/effects/look");
    }

    #[test]
    fn what_is_no_input_is_refused_with_its_place() {
        let wrong = |input: Value| SHIPPED.decide(ID, &input).unwrap_err().to_string();
        assert!(wrong(json!({})).contains("the schema ``"));
        assert!(wrong(json!([])).contains("firewarden.action/v1"));
        let mut input = serde_json::to_value(sample::action_input()).unwrap();
        input["call"].as_object_mut().unwrap().remove("effect");
        input["blast_radius"]["pods"] = json!("many");
        let told = wrong(input);
        assert!(told.contains("effect") && told.contains("/blast_radius/pods"), "{told}");
    }

    #[test]
    fn words_that_are_not_there_are_the_strictest() {
        for pointer in ["risk", "call"] {
            let mut input = serde_json::to_value(sample::action_input()).unwrap();
            input.as_object_mut().unwrap().remove(pointer);
            let decision = SHIPPED.decide_as_it_is(ID, InputKind::Action, &input);
            assert_ne!(decision.verdict(), Verdict::Allow, "{pointer}");
        }
    }

    #[test]
    fn fewer_people_and_fewer_duties_are_less_strict() {
        let ruling = |requirements: Value, duties: Value| {
            let Decision::Action(shipped) =
                SHIPPED.decide(ID, &serde_json::to_value(sample::action_input()).unwrap()).unwrap()
            else {
                panic!("a ruling")
            };
            let requirements = serde_json::from_value(requirements).unwrap();
            let duties = serde_json::from_value(duties).unwrap();
            Decision::Action(Ruling { verdict: Verdict::Ask, requirements, duties, ..shipped })
        };
        let asks = |groups: Value, count: u32| json!([{"rule": "action/m/a", "groups": groups, "count": count}]);
        let before = ruling(asks(json!(["oncall"]), 2), json!({"dry_run_first": true}));
        for (requirements, duties, less) in [
            (asks(json!(["oncall"]), 2), json!({"dry_run_first": true}), false),
            (asks(json!(["oncall"]), 3), json!({"dry_run_first": true, "max_pods": 3}), false),
            (asks(json!(["oncall"]), 1), json!({"dry_run_first": true}), true),
            (asks(json!(["interns"]), 2), json!({"dry_run_first": true}), true),
            (asks(json!(["oncall", "interns"]), 2), json!({"dry_run_first": true}), true),
            (asks(json!(["oncall"]), 2), json!({}), true),
        ] {
            let now = ruling(requirements.clone(), duties.clone());
            assert_eq!(now.asks_less_than(&before), less, "{requirements} {duties}");
        }
    }
}
