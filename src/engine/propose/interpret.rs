//! What an answer of the model wants, and what to do with one that wants nothing usable.

use super::calls::{self, PastCall};
use super::strict_json;
use super::submit::{self, ModelReport, SUBMIT_REPORT};
use crate::domain::{ChatReply, FinishReason, ProposedCall, ToolOffer};
use serde_json::Value;

/// Times that the model is asked again after an answer that nothing can be done with.
pub const MAX_RE_ASKS: u32 = 2;

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

/// Reads the answer of turn `turn` (from 1). `history` holds the calls that were made before,
/// `offers` what was on offer, [`submit_report`](SUBMIT_REPORT) included.
pub fn interpret(reply: &ChatReply, turn: u32, history: &[PastCall], offers: &[ToolOffer]) -> Interpretation {
    if reply.finish == FinishReason::Length {
        let remedy = "Your answer was cut at the token limit, so nothing of it was used. Answer more briefly: fewer calls, shorter sentences.";
        return Interpretation::Invalid { remedy: remedy.to_owned() };
    }
    if reply.calls.is_empty() {
        return from_text(&reply.content);
    }
    // A report that holds ends the work, whatever stands beside it.
    for call in reply.calls.iter().filter(|call| call.tool == SUBMIT_REPORT).take(1) {
        if let Some(report) = arguments(&call.args).and_then(|args| submit::parse(&args).ok()) {
            return Interpretation::Report(report);
        }
    }
    let checked = calls::check(&reply.calls, turn, history, offers);
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
    let text = content.trim();
    let unfenced =
        text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|t| t.strip_suffix("```"));
    let remedy = match strict_json::object(unfenced.unwrap_or(text)) {
        Ok(object) => match submit::parse(&Value::Object(object)) {
            Ok(report) => return Interpretation::Report(report),
            Err(problems) => format!("Your text is not a complete report: {}.", problems.join("; ")),
        },
        Err(_) if text.contains("<tool_call") || text.contains("<function") => {
            "A call written into the text does not run.".to_owned()
        }
        Err(_) => "A text alone does not end the investigation.".to_owned(),
    };
    Interpretation::Invalid {
        remedy: format!("{remedy} Call a tool for what is missing, or call `{SUBMIT_REPORT}` with the result."),
    }
}

/// What follows an unusable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Ask again, with the remedy.
    AskAgain,
    /// Offer nothing but the report.
    ForceFinal,
    /// Keep the deterministic report.
    GiveUp,
}

/// What to do after `unusable` unusable answers in a row; `forced` says that the last one was
/// already an answer to the forced final prompt.
pub const fn recovery(unusable: u32, forced: bool) -> Recovery {
    match (unusable <= MAX_RE_ASKS, forced) {
        (true, false) => Recovery::AskAgain,
        (false, false) => Recovery::ForceFinal,
        (_, true) => Recovery::GiveUp,
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

    fn offers() -> Vec<ToolOffer> {
        let look = ToolOffer { name: "look".into(), description: String::new(), parameters: json!({"type": "object"}) };
        vec![look, submit::submit_offer()]
    }

    fn read(content: &str, calls: &[(&str, Value)]) -> Interpretation {
        interpret(&reply(content, calls, FinishReason::ToolCalls), 1, &[], &offers())
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
        assert!(remedy.starts_with("A call written into the text does not run."), "{remedy}");
    }

    #[test]
    fn a_cut_answer_is_never_used() {
        let cut = reply(&sample().to_string(), &[("look", json!({}))], FinishReason::Length);
        assert!(matches!(interpret(&cut, 1, &[], &offers()), Interpretation::Invalid { .. }));
    }

    #[test]
    fn circles_end_in_the_final_answer() {
        let history = vec![PastCall { tool: "look".into(), args: json!({}) }; 2];
        let again = reply("", &[("look", json!({}))], FinishReason::ToolCalls);
        assert!(matches!(interpret(&again, 3, &history, &offers()), Interpretation::Repetition { .. }));
    }

    #[test]
    fn two_re_asks_then_the_final_prompt_then_the_deterministic_report() {
        use Recovery::*;
        assert_eq!([1, 2, 3].map(|n| recovery(n, false)), [AskAgain, AskAgain, ForceFinal]);
        assert_eq!(recovery(1, true), GiveUp);
    }
}
