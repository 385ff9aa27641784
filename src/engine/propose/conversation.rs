//! The request of a turn: what was said before, letter by letter, and what is new.

use super::calls::{MAX_CALLS_PER_TURN, call_id};
use super::strict_json;
use super::submit::submit_offer;
use crate::domain::{Budget, ChatReply, ChatRequest, Message, ProposedCall, Role, ToolOffer};
use crate::template::fence::{fence, visible};
use serde_json::Value;

/// Characters of one tool result: about 8,000 tokens.
const MAX_RESULT_CHARS: usize = 32_000;
/// Characters of all results of one turn.
const MAX_TURN_CHARS: usize = 64_000;
/// Characters of the model's own words that are said back to it.
const MAX_ECHO_CHARS: usize = 16_000;
/// From here on the model is told how many turns remain.
const LAST_TURNS: u32 = 3;

/// What came of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallResult {
    /// It ran.
    Observed {
        /// Our id of the call.
        call_id: String,
        /// The evidence that it became, `E7`.
        evidence_id: String,
        /// What was seen; written by others.
        text: String,
    },
    /// It ran and failed; the text comes from the other side.
    Failed {
        /// Our id of the call.
        call_id: String,
        /// What went wrong.
        text: String,
    },
    /// It did not run.
    Refused {
        /// Our id of the call.
        call_id: String,
        /// The remedy, in our words.
        text: String,
    },
}

impl CallResult {
    fn call_id(&self) -> &str {
        match self {
            Self::Observed { call_id, .. } | Self::Failed { call_id, .. } | Self::Refused { call_id, .. } => call_id,
        }
    }

    fn say(&self, nonce: &str, max_chars: usize) -> String {
        match self {
            Self::Observed { evidence_id, text, .. } => {
                format!("Evidence {evidence_id}:\n{}", fence(text, "tool result", nonce, max_chars))
            }
            Self::Failed { text, .. } => format!("The call failed:\n{}", fence(text, "error", nonce, 2_000)),
            Self::Refused { text, .. } => visible(text).chars().take(1_000).collect(),
        }
    }
}

/// One turn that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Its number in the investigation, from 1; our ids of calls carry it.
    pub number: u32,
    /// What the model answered.
    pub reply: ChatReply,
    /// What came of its calls, in any order.
    pub results: Vec<CallResult>,
    /// What is said to it about an answer that was not usable.
    pub remedy: Option<String>,
}

/// Everything that the next request is made of. The same turns give the same messages, so a request
/// repeats the one before it and adds to its end.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// The rendered `system` prompt.
    pub system: &'a str,
    /// The rendered prompt of the incident.
    pub user: &'a str,
    /// As in the prompts' context.
    pub nonce: &'a str,
    /// Turns that are over, oldest first.
    pub turns: &'a [Turn],
    /// Tools on offer; `submit_report` is added.
    pub offers: &'a [ToolOffer],
    /// The limits.
    pub budget: &'a Budget,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

impl Conversation<'_> {
    /// The request of the next turn. With `last_word`, the rendered `final` prompt, it is the last:
    /// nothing but `submit_report` is offered.
    pub fn request(&self, last_word: Option<&str>) -> ChatRequest {
        let mut messages = vec![say(Role::System, self.system.to_owned()), say(Role::User, self.user.to_owned())];
        for turn in self.turns {
            self.replay(turn, &mut messages);
        }
        messages.extend(last_word.map(|text| say(Role::User, text.to_owned())));
        let tools = match last_word {
            Some(_) => vec![submit_offer()],
            None => self.tools(),
        };
        ChatRequest { messages, tools, must_answer: last_word.is_some(), max_tokens: self.max_tokens }
    }

    /// What is on offer, sorted by name; also what [`interpret`](super::interpret()) is given.
    pub fn tools(&self) -> Vec<ToolOffer> {
        let mut tools: Vec<ToolOffer> = self.offers.to_vec();
        tools.push(submit_offer());
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools.dedup_by(|a, b| a.name == b.name);
        tools
    }

    fn replay(&self, turn: &Turn, messages: &mut Vec<Message>) {
        let calls: Vec<ProposedCall> = turn
            .reply
            .calls
            .iter()
            .take(MAX_CALLS_PER_TURN)
            .enumerate()
            .map(|(n, call)| ProposedCall {
                id: call_id(turn.number, n),
                tool: call.tool.clone(),
                args: readable(&call.args),
            })
            .collect();
        let mut words: String = turn.reply.content.chars().take(MAX_ECHO_CHARS).collect();
        if words.trim().is_empty() && calls.is_empty() {
            // Servers refuse a message that says nothing.
            words = "(no answer)".to_owned();
        }
        // Every call needs its answer, or the server refuses the conversation.
        let max_chars = MAX_RESULT_CHARS.min(MAX_TURN_CHARS / calls.len().max(1));
        let answers: Vec<Message> = calls
            .iter()
            .map(|call| {
                let result = turn.results.iter().find(|result| result.call_id() == call.id);
                let content = result.map_or_else(|| "not run".to_owned(), |result| result.say(self.nonce, max_chars));
                Message { answers: Some(call.id.clone()), ..say(Role::Tool, content) }
            })
            .collect();
        messages.push(Message { calls, ..say(Role::Assistant, words) });
        messages.extend(answers);
        messages.extend(self.note(turn).map(|text| say(Role::User, text)));
    }

    /// What we add after a turn. It follows from the turn and its number alone.
    fn note(&self, turn: &Turn) -> Option<String> {
        let mut lines: Vec<String> =
            turn.remedy.iter().map(|remedy| visible(remedy).chars().take(1_500).collect()).collect();
        let refused = turn.reply.calls.len().saturating_sub(MAX_CALLS_PER_TURN);
        if refused > 0 {
            lines.push(format!(
                "{refused} further calls of this turn were not run: at most {MAX_CALLS_PER_TURN} per turn."
            ));
        }
        match self.budget.turns.saturating_sub(turn.number) {
            1 => lines.push("One turn remains: finish with `submit_report`.".to_owned()),
            left @ 2..=LAST_TURNS => lines.push(format!("{left} turns remain, the last of them for `submit_report`.")),
            _ => {}
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn say(role: Role, content: String) -> Message {
    Message { role, content, calls: Vec::new(), answers: None }
}

/// Arguments as an object where they are one.
fn readable(args: &Value) -> Value {
    match args {
        Value::String(text) => strict_json::object(text).map_or_else(|_| args.clone(), Value::Object),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FinishReason;
    use serde_json::json;

    fn reply(content: &str, calls: usize) -> ChatReply {
        let call = |n| ProposedCall { id: "dup".into(), tool: "look".into(), args: json!(format!("{{\"n\":{n}}}")) };
        ChatReply {
            model: "m".into(),
            content: content.into(),
            calls: (0..calls).map(call).collect(),
            finish: FinishReason::Stop,
            usage: None,
        }
    }

    fn observed(call_id: &str, text: &str) -> CallResult {
        CallResult::Observed { call_id: call_id.into(), evidence_id: "E7".into(), text: text.into() }
    }

    fn conversation<'a>(turns: &'a [Turn], offers: &'a [ToolOffer], budget: &'a Budget) -> Conversation<'a> {
        Conversation { system: "rules", user: "case", nonce: "n", turns, offers, budget, max_tokens: 900 }
    }

    fn turns() -> Vec<Turn> {
        vec![
            Turn {
                number: 1,
                reply: reply("", 2),
                results: vec![observed("call_1_2", "second"), observed("call_1_1", "first")],
                remedy: None,
            },
            Turn { number: 2, reply: reply("I think", 0), results: vec![], remedy: Some("Call a tool.".into()) },
            Turn {
                number: 3,
                reply: reply("", 11),
                results: vec![
                    CallResult::Refused { call_id: "call_3_1".into(), text: "not run: no".into() },
                    CallResult::Failed { call_id: "call_3_2".into(), text: "403".into() },
                ],
                remedy: None,
            },
            Turn { number: 4, reply: reply("", 0), results: vec![], remedy: None },
        ]
    }

    #[test]
    fn each_request_repeats_the_one_before_and_adds_to_its_end() {
        let (turns, budget) = (turns(), Budget { turns: 5, ..Budget::default() });
        let mut before: Vec<Message> = Vec::new();
        for n in 0..=turns.len() {
            let request = conversation(&turns[..n], &[], &budget).request(None);
            assert_eq!(request.messages[..before.len()], before);
            assert_eq!(request.messages.iter().filter(|m| m.role == Role::Assistant).count(), n);
            before = request.messages;
        }
        let last = conversation(&turns, &[], &budget).request(Some("finish")).messages;
        assert_eq!(last[..before.len()], before);
        insta::assert_json_snapshot!(last);
    }

    #[test]
    fn every_call_is_answered_once_by_our_id() {
        let (turns, budget) = (turns(), Budget::default());
        let messages = conversation(&turns, &[], &budget).request(None).messages;
        let asked: Vec<&String> = messages.iter().flat_map(|m| &m.calls).map(|call| &call.id).collect();
        let answered: Vec<&String> = messages.iter().filter_map(|m| m.answers.as_ref()).collect();
        assert_eq!(asked, answered);
        assert_eq!(asked.len(), 10);
        assert_eq!(messages[2].calls[0].args, json!({"n": 0}));
    }

    #[test]
    fn tools_are_sorted_and_the_last_request_offers_the_report_alone() {
        let offer = |name: &str| ToolOffer { name: name.into(), description: String::new(), parameters: json!({}) };
        let (offers, budget) = ([offer("z"), offer("a"), offer("submit_report")], Budget::default());
        let conversation = conversation(&[], &offers, &budget);
        let names = |request: ChatRequest| request.tools.into_iter().map(|t| t.name).collect::<Vec<_>>();
        assert_eq!(names(conversation.request(None)), ["a", "submit_report", "z"]);
        let last = conversation.request(Some("finish"));
        assert!(last.must_answer);
        assert_eq!(names(last), ["submit_report"]);
    }

    #[test]
    fn results_are_fenced_and_bounded() {
        let flood = "x".repeat(100_000);
        let results = (1..=8).map(|n| observed(&format!("call_1_{n}"), &flood)).collect();
        let (turns, budget) = ([Turn { number: 1, reply: reply("", 8), results, remedy: None }], Budget::default());
        let messages = conversation(&turns, &[], &budget).request(None).messages;
        let chars: usize = messages.iter().map(|m| m.content.chars().count()).sum();
        assert!(chars < MAX_TURN_CHARS + 3_000, "{chars}");
        assert!(messages[3].content.starts_with("Evidence E7:\n[untrusted tool result "));
    }
}
