//! The calls of one turn: named by us, read strictly, bounded in number, and not for ever the same.

use super::strict_json;
use crate::domain::{ProposedCall, ToolOffer};
use crate::model::{MAX_NAME_CHARS, bounded_args};
use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Calls of one turn that may run; the rest is refused.
pub const MAX_CALLS_PER_TURN: usize = 8;
/// Refused calls of one turn that are kept.
pub const MAX_REFUSED: usize = 16;
/// Bytes of a refused call's arguments that are kept, as JSON.
const MAX_REFUSED_BYTES: usize = 4 << 10;
/// An identical call with an identical result is made at most this often, less one.
const REPETITIONS: usize = 3;
/// The longest cycle of calls that is recognised.
const MAX_CYCLE: usize = 4;

/// A call of an earlier turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastCall {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
    /// What came of it, as a digest or in words; `None` when it was refused.
    pub result: Option<String>,
}

/// The calls of one turn, sorted into those that may go on to policy and those that may not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// With our ids, arguments that are objects of the offered schema.
    pub accept: Vec<ProposedCall>,
    /// With a short remedy for the model.
    pub rejected: Vec<(ProposedCall, String)>,
    /// Every call of the turn was made before, again and again: more turns bring nothing.
    pub repeating: bool,
}

/// Checks the calls of turn `turn` (from 1) against what is offered and what was called before.
pub fn check(proposed: &[ProposedCall], turn: u32, history: &[PastCall], offers: &[ToolOffer]) -> Checked {
    let mut checked = Checked::default();
    let mut repeated = 0;
    for (n, call) in proposed.iter().enumerate() {
        let mut call = ProposedCall { id: call_id(turn, n), ..call.clone() };
        let verdict = match n < MAX_CALLS_PER_TURN {
            false => {
                Err(format!("not run: at most {MAX_CALLS_PER_TURN} calls per turn; call it again in the next turn"))
            }
            true => read(&call, offers).map(|args| call.args = args),
        };
        let verdict = verdict.and_then(|()| {
            if checked.accept.iter().any(|other| same(other, &call.tool, &call.args)) {
                return Err("not run: the same call stands earlier in this turn".to_owned());
            }
            if is_known(history, &call) || closes_cycle(history, &call) {
                repeated += 1;
                return Err(
                    "not run: this call was made before and its answer is above; use it, or ask something else"
                        .to_owned(),
                );
            }
            Ok(())
        });
        match verdict {
            Ok(()) => checked.accept.push(call),
            Err(_) if checked.rejected.len() >= MAX_REFUSED => {}
            Err(remedy) => checked.rejected.push((refused(call), remedy)),
        }
    }
    checked.repeating = repeated > 0 && checked.accept.is_empty();
    checked
}

/// What is kept of a call that is not run: nobody reads more of it.
pub(super) fn refused(call: ProposedCall) -> ProposedCall {
    let tool = call.tool.chars().take(MAX_NAME_CHARS).collect();
    ProposedCall { tool, args: bounded_args(call.args, MAX_REFUSED_BYTES), id: call.id }
}

/// Our id of the `n`-th call (from 0) of a turn; the model's own ids are never used.
pub fn call_id(turn: u32, n: usize) -> String {
    format!("call_{turn}_{}", n + 1)
}

fn same(call: &ProposedCall, tool: &str, args: &Value) -> bool {
    call.tool == tool && call.args == *args
}

/// The arguments as an object that the tool's schema admits.
pub(super) fn read(call: &ProposedCall, offers: &[ToolOffer]) -> Result<Value, String> {
    let Some(offer) = offers.iter().find(|offer| offer.name == call.tool) else {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        return Err(format!("not run: there is no tool of this name; there are: {}", names.join(", ")));
    };
    let not_run = |why: String| format!("not run: {why}");
    let args = match &call.args {
        Value::String(text) => Value::Object(strict_json::object(text).map_err(not_run)?),
        Value::Object(map) => {
            strict_json::bounded(map).map_err(not_run)?;
            call.args.clone()
        }
        _ => return Err("not run: the arguments are no JSON object".to_owned()),
    };
    let problems = problems(&offer.parameters, &args);
    if problems.is_empty() { Ok(args) } else { Err(format!("not run: {}", problems.join("; "))) }
}

/// What `value` has against `schema`, in short lines that do not repeat the value.
pub(super) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    // A schema that cannot be used is reported where tools are loaded, and their own check stands.
    let Some(validator) = compiled(schema) else { return Vec::new() };
    let line = |error: jsonschema::ValidationError<'_>| {
        let path = error.instance_path().to_string();
        let place = if path.is_empty() { "the arguments".to_owned() } else { path };
        let text: String = format!("{place}: {}", error.masked()).chars().take(200).collect();
        text
    };
    validator.iter_errors(value).take(6).map(line).collect()
}

/// Schemas that are kept compiled; there are as many as tools.
const COMPILED: usize = 256;

/// The validator of a schema. Tools keep their schemas, and compiling one costs more than a check.
fn compiled(schema: &Value) -> Option<Arc<Validator>> {
    static KNOWN: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let text = schema.to_string();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(validator) = known.get(&text) {
        return Some(validator.clone());
    }
    let validator = Arc::new(jsonschema::validator_for(schema).ok()?);
    if known.len() >= COMPILED {
        known.clear();
    }
    known.insert(text, validator.clone());
    Some(validator)
}

/// Whether `next` was made twice with the same result: a third one would not say anything else. A
/// result that changes is worth another look.
fn is_known(history: &[PastCall], next: &ProposedCall) -> bool {
    let made: Vec<_> = history.iter().filter(|past| past.tool == next.tool && past.args == next.args).collect();
    made.iter().any(|call| made.iter().filter(|other| other.result == call.result).count() + 1 >= REPETITIONS)
}

/// Whether `next` completes the same two to four calls for the third time. Their results do not count:
/// some change with the clock.
fn closes_cycle(history: &[PastCall], next: &ProposedCall) -> bool {
    (2..=MAX_CYCLE).any(|length| {
        let needed = length * REPETITIONS - 1;
        let Some(start) = history.len().checked_sub(needed) else { return false };
        let tail = &history[start..];
        let alike = |a: &PastCall, b: &PastCall| a.tool == b.tool && a.args == b.args;
        let periodic = (length..needed).all(|i| alike(&tail[i], &tail[i - length]));
        let last = &tail[needed - length];
        periodic && last.tool == next.tool && last.args == next.args
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offers() -> Vec<ToolOffer> {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                            "required": ["name"], "additionalProperties": false});
        vec![ToolOffer { name: "get_pod".into(), description: String::new(), parameters: schema }]
    }

    fn call(tool: &str, args: Value) -> ProposedCall {
        ProposedCall { id: "theirs".into(), tool: tool.into(), args }
    }

    fn past(name: &str) -> PastCall {
        PastCall { tool: "get_pod".into(), args: json!({"name": name}), result: Some(name.into()) }
    }

    #[test]
    fn l13_calls_get_our_ids_and_arguments_become_objects() {
        let calls = [call("get_pod", json!("{\"name\":\"a\"}")), call("get_pod", json!({"name": "b", "n": 1}))];
        let checked = check(&calls, 3, &[], &offers());
        assert_eq!(checked.rejected, []);
        let ids: Vec<_> = checked.accept.iter().map(|c| (c.id.as_str(), c.args["name"].as_str().unwrap())).collect();
        assert_eq!(ids, [("call_3_1", "a"), ("call_3_2", "b")]);
    }

    #[test]
    fn l08_what_does_not_fit_is_refused_with_a_remedy() {
        for (tool, args, words) in [
            ("Get_Pod", json!({"name": "a"}), "no tool of this name; there are: get_pod"),
            ("get_pоd", json!({"name": "a"}), "no tool of this name"), // Cyrillic о
            ("get_pod ", json!({"name": "a"}), "no tool of this name"),
            ("", json!({"name": "a"}), "no tool of this name"),
            ("get_pod", json!({}), "\"name\" is a required property"),
            ("get_pod", json!({"name": 7}), "/name: "),
            ("get_pod", json!({"name": "a", "force": true}), "'force' was unexpected"),
            ("get_pod", json!("{\"name\":\"a\""), "not valid JSON"),
            ("get_pod", json!("{\"name\":\"a\",\"name\":\"b\"}"), "stands twice"),
            ("get_pod", json!(""), "are empty"),
            ("get_pod", json!(null), "no JSON object"),
        ] {
            let checked = check(&[call(tool, args.clone())], 1, &[], &offers());
            assert!(checked.accept.is_empty() && !checked.repeating);
            let remedy = &checked.rejected[0].1;
            assert!(remedy.starts_with("not run: ") && remedy.contains(words), "{tool} {args}: {remedy}");
        }
    }

    #[test]
    fn a_value_is_not_thrown_back_at_the_model() {
        let checked = check(&[call("get_pod", json!({"name": ["x".repeat(5_000)]}))], 1, &[], &offers());
        assert!(checked.rejected[0].1.len() < 300, "{}", checked.rejected[0].1);
    }

    #[test]
    fn l10_the_ninth_call_of_a_turn_waits() {
        let calls: Vec<_> = (0..200).map(|n| call("get_pod", json!({"name": format!("p{n}")}))).collect();
        let checked = check(&calls, 1, &[], &offers());
        assert_eq!((checked.accept.len(), checked.rejected.len()), (8, MAX_REFUSED));
        assert!(checked.rejected[0].1.contains("at most 8 calls per turn"));
        assert_eq!(checked.rejected[0].0.id, "call_1_9");
    }

    #[test]
    fn little_is_kept_of_what_is_refused() {
        let long = call(&"x".repeat(500), json!({"name": "y".repeat(5_000)}));
        let text = call("get_pod", json!("{".repeat(50_000)));
        let checked = check(&[long, text, call("get_pod", json!({"nmae": "a"}))], 1, &[], &offers());
        assert_eq!(checked.rejected[0].0.tool.len(), MAX_NAME_CHARS);
        assert!(checked.rejected.iter().all(|(call, _)| call.args.to_string().len() <= MAX_REFUSED_BYTES));
        assert_eq!(checked.rejected[2].0.args, json!({"nmae": "a"}));
    }

    #[test]
    fn l09_the_third_identical_call_is_a_repetition_and_the_second_is_not() {
        let again = [call("get_pod", json!("{\"name\": \"a\"}"))];
        assert_eq!(check(&again, 2, &[past("a")], &offers()).accept.len(), 1);
        let third = check(&again, 3, &[past("a"), past("b"), past("a")], &offers());
        assert!(third.repeating && third.accept.is_empty());
        let beside =
            check(&[again[0].clone(), call("get_pod", json!({"name": "c"}))], 3, &[past("a"), past("a")], &offers());
        assert!(!beside.repeating);
        assert_eq!((beside.accept.len(), beside.rejected.len()), (1, 1));
    }

    #[test]
    fn the_same_call_twice_in_a_turn_runs_once() {
        let twice = [call("get_pod", json!({"name": "a"})), call("get_pod", json!("{\"name\":\"a\"}"))];
        let checked = check(&twice, 1, &[], &offers());
        assert_eq!((checked.accept.len(), checked.rejected.len(), checked.repeating), (1, 1, false));
    }

    #[test]
    fn l09_ping_pong_is_a_repetition_and_progress_is_none() {
        let history: Vec<_> = ["a", "b", "a", "b", "a"].map(past).into();
        let next = call("get_pod", json!({"name": "b"}));
        assert!(closes_cycle(&history, &next));
        assert!(!closes_cycle(&history[1..], &next));
        assert!(!closes_cycle(&["a", "b", "c", "d", "e"].map(past), &next));
        let mut moving = history.clone();
        moving[1].result = Some("b has changed".into());
        assert!(closes_cycle(&moving, &next), "the same calls, another result");
        let four: Vec<_> = "abcdabcdabc".chars().map(|c| past(&c.to_string())).collect();
        assert!(closes_cycle(&four, &call("get_pod", json!({"name": "d"}))));
    }

    #[test]
    fn l09_a_call_whose_result_changes_is_no_repetition() {
        let again = [call("get_pod", json!({"name": "a"}))];
        let mut history = vec![past("a"), past("a")];
        history[1].result = Some("it is Running now".into());
        assert_eq!(check(&again, 3, &history, &offers()).accept.len(), 1);
        history.push(history[1].clone());
        assert!(check(&again, 4, &history, &offers()).repeating);
        // Refused twice: a third time is a repetition, too.
        let refused = PastCall { result: None, ..past("a") };
        assert!(check(&again, 3, &[refused.clone(), refused], &offers()).repeating);
    }

    #[test]
    fn l07_a_name_that_only_looks_right_is_no_tool() {
        for name in
            ["GET_POD", "get-pod", "get_pod\u{200b}", "get_\u{440}od", "functions.get_pod", "get_pods", "get_po"]
        {
            let checked = check(&[call(name, json!({"name": "a"}))], 1, &[], &offers());
            assert!(checked.accept.is_empty(), "{name}");
            assert!(checked.rejected[0].1.contains("no tool of this name; there are: get_pod"), "{name}");
        }
    }
}
