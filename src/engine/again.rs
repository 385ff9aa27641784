//! A decision of the past, made again: its recorded input goes through the same gate, before the policies
//! that were in force. Whoever holds the journal can see that what it says was answered is what those
//! policies answer.

use super::recorded::{Change, Question, Recorded};
use crate::domain::{Action, DecisionId, InvestigationId, PolicyRef, Reason, Requirement, Ruling, Target};
use crate::gate::{Gate, Wanted};
use crate::journal::Call;
use crate::policy::{ActionInput, Decision, KeptPolicy, RiskInput, ran_out_of_time};
use serde_json::Value;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The same in all its parts.
    Same,
    /// Something else; what, in words.
    Differs(String),
    /// It cannot be made again; why.
    Cannot(&'static str),
}

/// Makes `recorded` again from `input`, which is what was judged, by `policy`, which is what judged it.
pub fn again(policy: &KeptPolicy, recorded: &Recorded, input: &Value) -> Again {
    if recorded.decision.error().is_some_and(ran_out_of_time) {
        return Again::Cannot("its time was over when it was made");
    }
    let gate = Gate::new(policy.about(input.clone()));
    let made = match &recorded.question {
        Question::Incident => match serde_json::from_value::<RiskInput>(input.clone()) {
            Ok(input) => Decision::Risk(gate.assess(recorded.id, &input)),
            Err(_) => return unreadable(input),
        },
        Question::Nothing(_) => return Again::Cannot("it is about a change that was never planned"),
        question => {
            let Ok(input) = serde_json::from_value::<ActionInput>(input.clone()) else {
                return unreadable(input);
            };
            match question {
                Question::Change(change) => {
                    let Ok(investigation) = recorded.investigation.parse() else {
                        return Again::Cannot("it belongs to no investigation");
                    };
                    match judged(&gate, recorded.id, change, investigation, &input) {
                        Ok(ruling) => Decision::Action(ruling),
                        Err(what) => return Again::Differs(what),
                    }
                }
                Question::Look(call) => {
                    let call = call.as_deref().cloned().unwrap_or_else(|| call_of(&input));
                    Decision::Action(gate.read(recorded.id, &call, &input).0)
                }
                Question::Incident | Question::Nothing(_) => return Again::Cannot("it is about nothing"),
            }
        }
    };
    if made.error().is_some_and(ran_out_of_time) {
        return Again::Cannot("this machine is too slow for it");
    }
    match difference(&recorded.decision, &made) {
        None => Again::Same,
        Some(what) => Again::Differs(what),
    }
}

/// No policy of ours judged an input that this program cannot read: it is not one, or of a newer program.
fn unreadable(input: &Value) -> Again {
    let schema: String = input["schema"].as_str().unwrap_or("no schema").chars().take(80).collect();
    Again::Differs(format!(
        "its input is of {schema}, which this firewarden does not read; verify with the one that wrote it"
    ))
}

/// What the gate says of a change as it was when it was judged: planned as the journal has it, on the
/// objects and with the radius that stand in the input.
fn judged(
    gate: &Gate,
    id: DecisionId,
    change: &Change,
    investigation: InvestigationId,
    input: &ActionInput,
) -> Result<Ruling, String> {
    let targets: Result<Vec<Target>, _> = input.call.targets.iter().cloned().map(serde_json::from_value).collect();
    let targets = targets.map_err(|error| format!("an object in its input cannot be read: {error}"))?;
    let action = Action { targets, blast_radius: input.blast_radius.clone(), ..change.action.clone() };
    let digest = action.digest(investigation, change.level);
    if digest != change.digest {
        return Err(format!("it names the plan {}…, the journal has {}…", change.digest.short(12), digest.short(12)));
    }
    let (level, phase) = (change.level, change.phase);
    Ok(gate.authorize(id, &Wanted { action: &action, investigation, level, input, agreed: None, phase }).0)
}

/// The call that an input is about.
fn call_of(input: &ActionInput) -> Call {
    Call {
        id: input.call.id.clone(),
        tool: input.call.tool.clone(),
        args: Value::Object(input.call.args.clone()),
        effect: None,
        need: Value::Null,
    }
}

/// The first thing in which two answers differ, what matters most first.
fn difference(was: &Decision, now: &Decision) -> Option<String> {
    if was == now {
        return None;
    }
    if was.word() != now.word() {
        return Some(format!("it says {}, its policies say {}", was.word(), now.word()));
    }
    let rules = |reasons: &[Reason]| reasons.iter().map(|reason| reason.rule.clone()).collect::<Vec<_>>().join(", ");
    if was.reasons() != now.reasons() {
        let (was, now) = (rules(was.reasons()), rules(now.reasons()));
        return Some(match was == now {
            true => format!("the rules {was} give other reasons than it says"),
            false => format!("it names the rules {}, its policies {}", or_none(&was), or_none(&now)),
        });
    }
    if was.error() != now.error() {
        return Some("its policies fail otherwise than it says".into());
    }
    Some(match (was, now) {
        (Decision::Risk(was), Decision::Risk(now)) if was.obligations != now.obligations => {
            "its policies demand other duties".into()
        }
        (Decision::Action(was), Decision::Action(now)) => {
            let asked = |asked: &[Requirement]| asked.iter().map(|a| a.rule.clone()).collect::<Vec<_>>().join(", ");
            match () {
                () if was.requirements != now.requirements => format!(
                    "it asks people for {}, its policies for {}",
                    or_none(&asked(&was.requirements)),
                    or_none(&asked(&now.requirements))
                ),
                () if was.expires_s != now.expires_s => "its question stands another time".into(),
                () if was.duties != now.duties => "its policies demand other duties".into(),
                () if was.for_model != now.for_model => "the proposer is told otherwise".into(),
                () => of_another(&was.policy, &now.policy),
            }
        }
        (was, now) => of_another(was.policy(), now.policy()),
    })
}

fn of_another(was: &PolicyRef, now: &PolicyRef) -> String {
    match was == now {
        true => "its policies give an answer with other parts".into(),
        false => format!("it names the policies {}, they call themselves {}", was.bundle, now.bundle),
    }
}

fn or_none(names: &str) -> &str {
    if names.is_empty() { "none" } else { names }
}
