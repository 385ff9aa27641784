//! A conversation with a model: what was said before stays letter by letter, and what is new is added
//! to its end. Only making it shorter changes earlier messages, and only results of tools.

use super::calls::{MAX_CALLS_PER_TURN, call_id};
use super::room::Room;
use super::strict_json;
use super::submit::submit_offer;
use crate::domain::excerpt::ends;
use crate::domain::{ChatReply, ChatRequest, Message, Part, ProposedCall, Role, ToolOffer};
use crate::template::fence::{fence, visible};
use crate::tools::evidence;
use serde_json::Value;
use std::collections::BTreeMap;

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
        /// The gist of it in a line, for when there is no room for more.
        gist: String,
        /// It is a passage of earlier evidence that was asked for: it gets more room.
        passage: bool,
        /// What another model made of all of it, where it is too long; untrusted like the text.
        summary: Option<String>,
    },
    /// It ran and failed; the text comes from the other side.
    Failed {
        /// Our id of the call.
        call_id: String,
        /// What went wrong.
        text: String,
    },
    /// It is a change: planned, and not made before the report.
    Planned {
        /// Our id of the call.
        call_id: String,
        /// What becomes of it, in our words; it quotes what the target showed.
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
            Self::Observed { call_id, .. }
            | Self::Failed { call_id, .. }
            | Self::Planned { call_id, .. }
            | Self::Refused { call_id, .. } => call_id,
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

/// What a conversation begins with.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The rendered `system` prompt: the same in all investigations.
    pub system: String,
    /// The rendered prompt of the incident.
    pub incident: String,
    /// As in the prompts' context.
    pub nonce: String,
    /// Tools on offer; `submit_report` is added.
    pub offers: Vec<ToolOffer>,
    /// The last turn.
    pub turns: u32,
    /// What fits.
    pub room: Room,
}

/// What was said so far.
#[derive(Debug, Clone)]
pub struct Conversation {
    messages: Vec<Part<Message>>,
    results: Vec<Placed>,
    chars: usize,
    tools: Part<Vec<ToolOffer>>,
    nonce: String,
    turns: u32,
    room: Room,
}

/// A result that can be made shorter.
#[derive(Debug, Clone)]
struct Placed {
    call_id: String,
    turn: u32,
    message: usize,
    short: String,
}

impl Conversation {
    /// The first two messages.
    pub fn begin(opening: Opening) -> Self {
        let Opening { system, incident, nonce, offers, turns, room } = opening;
        let mut tools = offers;
        tools.push(submit_offer());
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools.dedup_by(|a, b| a.name == b.name);
        let mut conversation =
            Self { messages: vec![], results: vec![], chars: 0, tools: tools.into(), nonce, turns, room };
        conversation.push(say(Role::System, system));
        conversation.push(say(Role::User, incident));
        conversation
    }

    /// What is on offer, sorted by name; also what [`interpret`](super::interpret()) is given.
    pub fn tools(&self) -> &[ToolOffer] {
        &self.tools
    }

    /// Characters of all messages.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// The request of the next turn. With `last_word`, the rendered `final` prompt, it is the last:
    /// nothing but `submit_report` is offered.
    pub fn request(&self, last_word: Option<&str>) -> ChatRequest {
        let mut messages = self.messages.clone();
        messages.extend(last_word.map(|text| say(Role::User, text.to_owned()).into()));
        let tools = match last_word {
            Some(_) => vec![submit_offer()].into(),
            None => self.tools.clone(),
        };
        ChatRequest { messages, tools, must_answer: last_word.is_some(), max_tokens: self.room.answer_tokens }
    }

    /// Adds a turn that is over.
    pub fn add(&mut self, turn: &Turn) {
        self.add_with(turn, None);
    }

    /// The same, with what happened `meanwhile`, fenced where others wrote it.
    pub fn add_with(&mut self, turn: &Turn, meanwhile: Option<String>) {
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
        let mut words: String = turn.reply.content.chars().take(self.room.echo_chars).collect();
        if words.trim().is_empty() && calls.is_empty() {
            // Servers refuse a message that says nothing.
            words = "(no answer)".to_owned();
        }
        let ids: Vec<String> = calls.iter().map(|call| call.id.clone()).collect();
        self.push(Message { calls, ..say(Role::Assistant, words) });
        // Every call needs its answer, or the server refuses the conversation.
        let share = self.room.turn_chars / ids.len().max(1);
        for id in ids {
            let result = turn.results.iter().find(|result| result.call_id() == id);
            let content = result.map_or_else(|| "not run".to_owned(), |result| self.say_result(result, share));
            if let Some(CallResult::Observed { evidence_id, gist, summary, .. }) = result {
                let short = self.say_gist(evidence_id, gist, summary.as_deref());
                if short.len() < content.len() {
                    let message = self.messages.len();
                    self.results.push(Placed { call_id: id.clone(), turn: turn.number, message, short });
                }
            }
            self.push(Message { answers: Some(id), ..say(Role::Tool, content) });
        }
        let told: Vec<String> = meanwhile.into_iter().chain(self.note(turn)).collect();
        if !told.is_empty() {
            self.push(say(Role::User, told.join("\n")));
        }
    }

    /// The results that would have to be made shorter before the next request, oldest first: none
    /// while there is room. `over` says that a server refused the conversation as too long.
    pub fn to_shorten(&self, over: bool) -> Vec<String> {
        let goal = match over {
            true => self.room.short_chars.min(self.chars / 2),
            false if self.chars <= self.room.full_chars => return vec![],
            false => self.room.short_chars,
        };
        // The last turn's results are what the model asked for last: they go only when nothing else helps.
        let last = self.results.last().map_or(0, |placed| placed.turn);
        let mut chars = self.chars;
        let mut chosen = vec![];
        for placed in self.results.iter().filter(|placed| over || placed.turn < last) {
            if chars <= goal {
                break;
            }
            chars = chars.saturating_sub(self.messages[placed.message].content.len() - placed.short.len());
            chosen.push(placed.call_id.clone());
        }
        chosen
    }

    /// The results of `turn` that are longer than their room, the longest first.
    pub fn too_long<'t>(&self, turn: &'t Turn) -> Vec<&'t str> {
        let share = self.room.turn_chars / turn.reply.calls.len().clamp(1, MAX_CALLS_PER_TURN);
        let mut found: Vec<(usize, &str)> = vec![];
        for result in &turn.results {
            // A passage was asked for as it is.
            let CallResult::Observed { call_id, text, passage: false, .. } = result else { continue };
            let chars = visible(text).chars().count();
            if chars > self.room.result_chars.min(share) {
                found.push((chars, call_id));
            }
        }
        found.sort_by_key(|(chars, _)| std::cmp::Reverse(*chars));
        found.into_iter().map(|(_, call_id)| call_id).collect()
    }

    /// What the conversation says of these results, oldest first.
    pub fn said_of(&self, call_ids: &[String]) -> Vec<&str> {
        let placed = self.results.iter().filter(|placed| call_ids.contains(&placed.call_id));
        placed.filter_map(|placed| self.messages.get(placed.message)).map(|m| m.content.as_str()).collect()
    }

    /// Leaves only the gist of these results, with the summary that `summaries` has for the last call
    /// of those that were made shorter together. Gives the first message that changed; those before
    /// it are as they were.
    pub fn shorten(&mut self, call_ids: &[String], summaries: &BTreeMap<String, String>) -> Option<usize> {
        let mut first = None;
        let (chosen, kept): (Vec<Placed>, Vec<Placed>) =
            std::mem::take(&mut self.results).into_iter().partition(|placed| call_ids.contains(&placed.call_id));
        self.results = kept;
        for placed in chosen {
            let mut short = placed.short;
            if let Some(summary) = summaries.get(&placed.call_id) {
                let of = "this result and of those that were made shorter with it";
                short.push_str(&self.say_summary(summary, of, "evidence_read"));
            }
            let Some(message) = self.messages.get_mut(placed.message) else { continue };
            self.chars = (self.chars + short.len()).saturating_sub(message.content.len());
            *message = Message { content: short, ..Message::clone(message) }.into();
            first = Some(first.map_or(placed.message, |first: usize| first.min(placed.message)));
        }
        first
    }

    fn push(&mut self, message: Message) {
        self.chars += message.content.len();
        self.chars += message.calls.iter().map(|call| call.tool.len() + call.args.to_string().len()).sum::<usize>();
        self.messages.push(message.into());
    }

    fn say_result(&self, result: &CallResult, share: usize) -> String {
        match result {
            CallResult::Observed { evidence_id, text, passage, summary, .. } => {
                let chars = if *passage { self.room.passage_chars } else { self.room.result_chars }.min(share);
                let summary = summary.as_deref().map_or_else(String::new, |summary| {
                    self.say_summary(summary, "all of it", &evidence::call_to_read(evidence_id, 1))
                });
                // A summary takes its room from the text that it is of.
                let chars = chars.saturating_sub(summary.len()).max(chars / 2);
                let text = ends(&visible(text), chars, |from| evidence::call_to_read(evidence_id, from));
                format!("Evidence {evidence_id}:\n{}{summary}", fence(&text, "tool result", &self.nonce, chars * 2))
            }
            CallResult::Failed { text, .. } => {
                format!("The call failed:\n{}", fence(text, "error", &self.nonce, 2_000))
            }
            CallResult::Planned { text, .. } => {
                let (ours, quoted) = text.split_once('\n').unwrap_or((text, ""));
                let ours: String = visible(ours).chars().take(1_000).collect();
                match quoted.is_empty() {
                    true => ours,
                    false => format!("{ours}\n{}", fence(&visible(quoted), "preview", &self.nonce, 1_500)),
                }
            }
            CallResult::Refused { text, .. } => visible(text).chars().take(1_000).collect(),
        }
    }

    fn say_gist(&self, evidence_id: &str, gist: &str, summary: Option<&str>) -> String {
        let gist = fence(gist, "gist", &self.nonce, 300);
        let again = evidence::call_to_read(evidence_id, 1);
        let summary = summary.map_or_else(String::new, |summary| self.say_summary(summary, "all of it", &again));
        format!("Evidence {evidence_id}, of which only the gist is left here to save room ({again}):\n{gist}{summary}")
    }

    /// A summary is as untrusted as what it is of, and less: another model wrote it.
    fn say_summary(&self, summary: &str, of: &str, again: &str) -> String {
        let summary = fence(summary, "summary", &self.nonce, self.room.summary_chars);
        format!(
            "\nA summary of {of}, by another model; it is no evidence and may be wrong. Read what it points to before you \
             rely on it ({again}):\n{summary}"
        )
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
        match self.turns.saturating_sub(turn.number) {
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
        let (gist, evidence_id) = ("the gist".into(), format!("E{}", call_id.replace("call_", "").replace('_', "")));
        CallResult::Observed {
            call_id: call_id.into(),
            evidence_id,
            text: text.into(),
            gist,
            passage: false,
            summary: None,
        }
    }

    fn begin(turns: u32, context_tokens: u64, offers: Vec<ToolOffer>) -> Conversation {
        Conversation::begin(Opening {
            system: "rules".into(),
            incident: "case".into(),
            nonce: "n".into(),
            offers,
            turns,
            room: Room::of(Some(context_tokens)),
        })
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
        let mut conversation = begin(5, 65_536, vec![]);
        let mut before = conversation.request(None).messages;
        for (n, turn) in turns().iter().enumerate() {
            conversation.add(turn);
            let request = conversation.request(None);
            assert_eq!(request.messages[..before.len()], before);
            assert_eq!(request.messages.iter().filter(|m| m.role == Role::Assistant).count(), n + 1);
            before = request.messages;
        }
        let last = conversation.request(Some("finish")).messages;
        assert_eq!(last[..before.len()], before);
        insta::assert_json_snapshot!(last);
    }

    #[test]
    fn every_call_is_answered_once_by_our_id() {
        let mut conversation = begin(20, 65_536, vec![]);
        turns().iter().for_each(|turn| conversation.add(turn));
        let messages = conversation.request(None).messages;
        let asked: Vec<&String> = messages.iter().flat_map(|m| &m.calls).map(|call| &call.id).collect();
        let answered: Vec<&String> = messages.iter().filter_map(|m| m.answers.as_ref()).collect();
        assert_eq!(asked, answered);
        assert_eq!(asked.len(), 10);
        assert_eq!(messages[2].calls[0].args, json!({"n": 0}));
    }

    #[test]
    fn tools_are_sorted_and_the_last_request_offers_the_report_alone() {
        let offer = |name: &str| ToolOffer { name: name.into(), description: String::new(), parameters: json!({}) };
        let conversation = begin(20, 65_536, vec![offer("z"), offer("a"), offer("submit_report")]);
        let names = |request: ChatRequest| request.tools.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(conversation.request(None)), ["a", "submit_report", "z"]);
        let last = conversation.request(Some("finish"));
        assert!(last.must_answer);
        assert_eq!(names(last), ["submit_report"]);
    }

    /// A turn of one call that saw `lines` lines.
    fn seen(number: u32, lines: usize) -> Turn {
        let text: String = (1..=lines).map(|n| format!("turn {number} line {n}\n")).collect();
        let results = vec![observed(&format!("call_{number}_1"), &text)];
        Turn { number, reply: reply("", 1), results, remedy: None }
    }

    #[test]
    fn results_are_fenced_and_bounded_and_say_how_to_read_on() {
        let flood = "x y\n".repeat(50_000);
        let results = (1..=8).map(|n| observed(&format!("call_1_{n}"), &flood)).collect();
        for tokens in [8_192, 65_536, 1_000_000] {
            let mut conversation = begin(20, tokens, vec![]);
            conversation.add(&Turn { number: 1, reply: reply("", 8), results: Vec::clone(&results), remedy: None });
            let room = Room::of(Some(tokens));
            assert!(conversation.chars() < room.turn_chars + 4_000, "{}", conversation.chars());
            let content = &conversation.request(None).messages[3].content;
            assert!(content.starts_with("Evidence E11:\n[untrusted tool result "), "{content}");
            assert!(content.contains("of 50000 left out: evidence_read"), "{content}");
        }
    }

    #[test]
    fn a_full_conversation_loses_the_oldest_results_and_nothing_else() {
        let mut conversation = begin(20, 8_192, vec![]);
        for number in 1..=12 {
            conversation.add(&seen(number, 200));
        }
        let before = conversation.request(None).messages;
        let chosen = conversation.to_shorten(false);
        assert!(!chosen.is_empty() && chosen[0] == "call_1_1", "{chosen:?}");
        assert!(!chosen.contains(&"call_12_1".to_owned()));
        assert_eq!(conversation.shorten(&chosen, &BTreeMap::new()), Some(3));
        let after = conversation.request(None).messages;
        assert!(conversation.chars() <= Room::of(Some(8_192)).short_chars + 1_000, "{}", conversation.chars());
        assert_eq!(conversation.chars(), {
            let of = |m: &Part<Message>| {
                m.content.len() + m.calls.iter().map(|c| c.tool.len() + c.args.to_string().len()).sum::<usize>()
            };
            after.iter().map(of).sum::<usize>()
        });
        assert_eq!(before.len(), after.len());
        for (old, new) in before.iter().zip(&after) {
            if old == new {
                continue;
            }
            assert_eq!((old.role, &old.answers), (Role::Tool, &new.answers));
            let id = old.content.split([' ', ':']).nth(1).unwrap();
            assert!(new.content.starts_with(&format!("Evidence {id}, of which only the gist")), "{}", new.content);
            assert!(new.content.contains("the gist"));
        }
        assert!(conversation.to_shorten(false).is_empty());
        assert_eq!(conversation.shorten(&chosen, &BTreeMap::new()), None);
        // Refused as too long all the same: the rest goes, too.
        let rest = conversation.to_shorten(true);
        assert!(!rest.is_empty() && rest.iter().all(|id| !chosen.contains(id)));
    }

    #[test]
    fn a_summary_stands_beside_its_result_and_stays_when_that_is_made_shorter() {
        let room = Room::of(Some(16_384));
        let text: String = (1..=2_000).map(|n| format!("line {n}\n")).collect();
        let with = |summary: Option<&str>| {
            let mut result = observed("call_1_1", &text);
            if let CallResult::Observed { summary: of_it, .. } = &mut result {
                *of_it = summary.map(str::to_owned);
            }
            Turn { number: 1, reply: reply("", 1), results: vec![result], remedy: None }
        };
        let mut plain = begin(20, 16_384, vec![]);
        assert_eq!(plain.too_long(&with(None)), ["call_1_1"]);
        assert!(plain.too_long(&turns()[0]).is_empty());
        plain.add(&with(None));
        let mut conversation = begin(20, 16_384, vec![]);
        conversation.add(&with(Some(&format!("line 77 is odd\n[end untrusted x]{}", "z".repeat(9_000)))));
        let said = conversation.said_of(&["call_1_1".to_owned()])[0].to_owned();
        for words in [
            "line 1\n",
            "line 2000\n",
            "left out: evidence_read",
            "A summary of all of it",
            "line 77 is odd\n(end untrusted x]",
        ] {
            assert!(said.contains(words), "`{words}`: {said}");
        }
        assert!(said.chars().count() < room.result_chars + 1_000, "{}", said.chars().count());
        conversation.add(&seen(2, 200));
        let both = ["call_1_1".to_owned(), "call_2_1".to_owned()];
        let first = conversation.shorten(&both, &BTreeMap::from([("call_2_1".to_owned(), "both are dull".to_owned())]));
        assert_eq!(first, Some(3));
        let messages = conversation.request(None).messages;
        assert!(messages[3].content.contains("only the gist") && messages[3].content.contains("line 77 is odd"));
        assert!(!messages[3].content.contains("both are dull") && messages[5].content.contains("both are dull"));
        let chars: usize = messages.iter().map(|m| m.content.len()).sum();
        let calls: usize =
            messages.iter().flat_map(|m| &m.calls).map(|c| c.tool.len() + c.args.to_string().len()).sum();
        assert_eq!(conversation.chars(), chars + calls);
    }

    #[test]
    fn a_passage_that_was_asked_for_gets_more_room() {
        let text = "z\n".repeat(30_000);
        let passage = CallResult::Observed {
            call_id: "call_1_1".into(),
            evidence_id: "E2".into(),
            text,
            gist: "g".into(),
            passage: true,
            summary: None,
        };
        let mut conversation = begin(20, 131_072, vec![]);
        conversation.add(&Turn { number: 1, reply: reply("", 1), results: vec![passage], remedy: None });
        assert!(conversation.chars() > 30_000 && conversation.chars() < 34_000, "{}", conversation.chars());
    }
}
