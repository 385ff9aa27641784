//! What an answer of the model wants, and what to do with one that wants nothing usable.

use super::calls::{self, PastCall};
use super::spoken::{self, Spoken};
use super::strict_json;
use super::submit::{self, ModelReport, SUBMIT_REPORT};
use crate::domain::{ChatReply, ChatRequest, FinishReason, ProposedCall, ToolOffer};
use serde_json::Value;

/// What an answer wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Interpretation {
    /// Calls. `accept` may be empty: then all were refused, and the turn counts as a failed one.
    Calls {
        /// To be judged by policy, in order.
        accept: Vec<ProposedCall>,
        /// Not to be run; the text goes to the model as their result.
        rejected: Vec<(ProposedCall, String)>,
    },
    /// The end, with a report that still has to be verified.
    Report(ModelReport),
    /// It goes in circles: force the final answer.
    Repetition {
        /// All calls of the turn, refused.
        rejected: Vec<(ProposedCall, String)>,
    },
    /// Nothing usable.
    Invalid {
        /// What to tell the model.
        remedy: String,
    },
}

/// An answer as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it wants.
    pub wants: Interpretation,
    /// Calls that stood in its text and were taken from there; 0 when it made its calls.
    pub recovered: usize,
}

/// Reads the answer of turn `turn` (from 1) to `request`. `history` holds the calls of earlier turns.
pub fn interpret(reply: &ChatReply, turn: u32, history: &[PastCall], request: &ChatRequest) -> Reading {
    let plain = |wants: Interpretation| Reading { wants, recovered: 0 };
    if reply.finish == FinishReason::Length {
        let remedy = "Your answer was cut at the token limit, so nothing of it was used. Answer more briefly: fewer calls, shorter sentences.";
        return plain(Interpretation::Invalid { remedy: remedy.to_owned() });
    }
    if !reply.calls.is_empty() {
        return plain(from_calls(&reply.calls, turn, history, &request.tools));
    }
    match spoken::read(reply, request) {
        Spoken::Nothing => plain(from_text(&reply.content)),
        Spoken::Unusable(why) => plain(invalid(&format!("The call in your text was not run: {why}."))),
        Spoken::Calls(calls) => {
            Reading { wants: from_calls(&calls, turn, history, &request.tools), recovered: calls.len() }
        }
    }
}

fn from_calls(proposed: &[ProposedCall], turn: u32, history: &[PastCall], offers: &[ToolOffer]) -> Interpretation {
    // A report that holds ends the work, whatever stands beside it.
    for call in proposed.iter().filter(|call| call.tool == SUBMIT_REPORT).take(1) {
        if let Some(report) = arguments(&call.args).and_then(|args| submit::parse(&args).ok()) {
            return Interpretation::Report(report);
        }
    }
    let checked = calls::check(proposed, turn, history, offers);
    if checked.repeating {
        return Interpretation::Repetition { rejected: checked.rejected };
    }
    let (reports, accept): (Vec<_>, Vec<_>) = checked.accept.into_iter().partition(|call| call.tool == SUBMIT_REPORT);
    let mut rejected = checked.rejected;
    for report in reports {
        // What the schema admits can still contradict itself.
        let problems = submit::parse(&report.args).err().unwrap_or_default();
        rejected.push((calls::refused(report), format!("the report was not taken: {}", problems.join("; "))));
    }
    Interpretation::Calls { accept, rejected }
}

fn arguments(args: &Value) -> Option<Value> {
    match args {
        Value::String(text) => strict_json::object(text).ok().map(Value::Object),
        Value::Object(map) => strict_json::bounded(map).ok().map(|()| args.clone()),
        _ => None,
    }
}

/// Some models write the report instead of submitting it: taken only when the whole text is one.
fn from_text(content: &str) -> Interpretation {
    match strict_json::object(spoken::unfenced(content.trim())) {
        Ok(object) => match submit::parse(&Value::Object(object)) {
            Ok(report) => Interpretation::Report(report),
            Err(problems) => invalid(&format!("Your text is not a complete report: {}.", problems.join("; "))),
        },
        Err(_) => invalid("A text alone does not end the investigation."),
    }
}

fn invalid(what: &str) -> Interpretation {
    Interpretation::Invalid {
        remedy: format!("{what} Call a tool for what is missing, or call `{SUBMIT_REPORT}` with the result."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::submit::tests::sample;
    use super::*;
    use serde_json::json;

    fn reply(content: &str, calls: &[(&str, Value)], finish: FinishReason) -> ChatReply {
        let call =
            |(tool, args): &(&str, Value)| ProposedCall { id: "x".into(), tool: (*tool).into(), args: args.clone() };
        ChatReply {
            model: "m".into(),
            content: content.into(),
            calls: calls.iter().map(call).collect(),
            finish,
            usage: None,
        }
    }

    fn request() -> ChatRequest {
        let look = ToolOffer { name: "look".into(), description: String::new(), parameters: json!({"type": "object"}) };
        let tools = vec![look, submit::submit_offer()];
        ChatRequest::new([], tools, 1_000)
    }

    fn read(content: &str, calls: &[(&str, Value)]) -> Interpretation {
        interpret(&reply(content, calls, FinishReason::ToolCalls), 1, &[], &request()).wants
    }

    #[test]
    fn calls_and_reports_are_told_apart() {
        assert!(matches!(read("", &[("look", json!({}))]), Interpretation::Calls { accept, .. } if accept.len() == 1));
        assert!(matches!(read("", &[(SUBMIT_REPORT, sample())]), Interpretation::Report(_)));
        let with_look = read("", &[("look", json!({})), (SUBMIT_REPORT, Value::String(sample().to_string()))]);
        assert!(matches!(with_look, Interpretation::Report(_)));
    }

    #[test]
    fn a_report_that_does_not_hold_goes_back_with_its_problems() {
        let mut bad = sample();
        bad["verdict"] = json!("surely");
        let Interpretation::Calls { accept, rejected } = read("", &[(SUBMIT_REPORT, bad)]) else { panic!() };
        assert!(accept.is_empty() && rejected[0].1.contains("/verdict"), "{rejected:?}");

        let mut contradiction = sample();
        contradiction["root_causes"] = json!([]);
        let Interpretation::Calls { rejected, .. } = read("", &[(SUBMIT_REPORT, contradiction)]) else { panic!() };
        assert!(rejected[0].1.starts_with("the report was not taken: "), "{rejected:?}");
        assert_eq!(rejected[0].0.id, "call_1_1");
    }

    #[test]
    fn a_text_is_a_report_only_as_a_whole() {
        let json = sample().to_string();
        assert!(matches!(read(&json, &[]), Interpretation::Report(_)));
        assert!(matches!(read(&format!("```json\n{json}\n```"), &[]), Interpretation::Report(_)));
        for text in
            [format!("Here it is: {json}"), json[..json.len() - 2].to_owned(), "{}".into(), "I think it is DNS.".into()]
        {
            assert!(matches!(read(&text, &[]), Interpretation::Invalid { .. }), "{text}");
        }
        let Interpretation::Invalid { remedy } = read("<tool_call>\n{\"name\":\"k", &[]) else { panic!() };
        assert!(remedy.starts_with("The call in your text was not run: "), "{remedy}");
    }

    #[test]
    fn l05_a_cut_answer_is_never_used() {
        let call = "<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>";
        for (content, calls) in
            [(sample().to_string(), vec![]), (String::new(), vec![("look", json!({}))]), (call.to_owned(), vec![])]
        {
            let used = reply(&content, &calls, FinishReason::Stop);
            assert!(!matches!(interpret(&used, 1, &[], &request()).wants, Interpretation::Invalid { .. }), "{content}");
            let cut = reply(&content, &calls, FinishReason::Length);
            let Reading { wants: Interpretation::Invalid { remedy }, recovered: 0 } =
                interpret(&cut, 1, &[], &request())
            else {
                panic!("{content} was used")
            };
            assert!(remedy.contains("cut at the token limit"), "{remedy}");
        }
    }

    #[test]
    fn l04_what_is_left_of_a_cut_call_does_not_run() {
        for rest in ["", "{\"na", "{\"name\":\"a\"", "{\"name\":\"a\",", "[", "\"{\""] {
            let cut = reply("", &[("look", json!(rest))], FinishReason::ToolCalls);
            let Interpretation::Calls { accept, rejected } = interpret(&cut, 1, &[], &request()).wants else {
                panic!("{rest}")
            };
            assert!(accept.is_empty() && rejected[0].1.starts_with("not run: "), "{rest}: {rejected:?}");
        }
    }

    #[test]
    fn l12_an_empty_answer_and_a_refusal_get_a_remedy() {
        for content in ["", "  \n", "I'm sorry, but I can't help with that."] {
            let Interpretation::Invalid { remedy } = read(content, &[]) else { panic!("{content}") };
            assert!(remedy.starts_with("A text alone does not end") && remedy.contains(SUBMIT_REPORT), "{remedy}");
        }
    }

    #[test]
    fn a_call_in_the_text_is_counted_and_one_that_was_made_is_not() {
        let text = "I look.\n<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>";
        let read = interpret(&reply(text, &[], FinishReason::Stop), 2, &[], &request());
        assert_eq!(read.recovered, 1);
        assert!(matches!(read.wants, Interpretation::Calls { accept, .. } if accept[0].id == "call_2_1"));
        let made = interpret(&reply(text, &[("look", json!({"n": 1}))], FinishReason::ToolCalls), 2, &[], &request());
        assert_eq!(made.recovered, 0);
        assert!(matches!(made.wants, Interpretation::Calls { accept, .. } if accept[0].args == json!({"n": 1})));
        let report = json!({"name": SUBMIT_REPORT, "parameters": sample()}).to_string();
        let read = interpret(&reply(&report, &[], FinishReason::Stop), 2, &[], &request());
        assert!(matches!(read, Reading { wants: Interpretation::Report(_), recovered: 1 }), "{read:?}");
    }

    #[test]
    fn l09_circles_end_in_the_final_answer() {
        let history = vec![PastCall { tool: "look".into(), args: json!({}), result: Some("same".into()) }; 2];
        let again = reply("", &[("look", json!({}))], FinishReason::ToolCalls);
        assert!(matches!(interpret(&again, 3, &history, &request()).wants, Interpretation::Repetition { .. }));
        let spoken = reply("{\"name\": \"look\", \"arguments\": {}}", &[], FinishReason::Stop);
        assert!(matches!(interpret(&spoken, 3, &history, &request()).wants, Interpretation::Repetition { .. }));
    }
}
