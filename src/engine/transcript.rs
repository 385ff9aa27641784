//! What a model was told and what it answered, as the journal has it. A request is journaled as what
//! it adds to the one before; here it is whole again, and its digest says whether it is the one that
//! was sent.

mod asides;

pub use asides::Aside;

use super::kept::digest_of;
use crate::domain::{BlobRef, ChatReply, Digest, InvestigationId, Message, Role, ToolOffer, Usage};
use crate::journal::{Body, Compacted, Entry, Proposal};
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Entries that are read from the store at once.
const PAGE: u32 = 500;
/// Requests that one request may continue; a longer row is no conversation of ours.
const MAX_ROW: usize = 2_000;

/// What a model was told and answered in one investigation.
#[derive(Debug, Clone, Serialize)]
pub struct Transcript {
    /// The investigation.
    pub investigation: InvestigationId,
    /// Digest of all prompts as they were when it opened.
    pub prompts_digest: Option<Digest>,
    /// Digest of all tools as they were when it opened.
    pub tools_digest: Option<Digest>,
    /// Turn by turn, oldest first.
    pub items: Vec<Exchange>,
    /// What a cheap model was asked to condense before these turns, oldest first.
    pub summaries: Vec<Aside>,
    /// The last turn in `items` when more follow.
    pub next_cursor: Option<String>,
}

/// One turn.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// From 1.
    pub turn: u32,
    /// The configured name of the model that was asked last.
    pub asked: String,
    /// When it was first asked.
    pub asked_at: Timestamp,
    /// How often it was asked.
    pub attempts: u32,
    /// A final answer was demanded.
    pub must_answer: bool,
    /// Why attempts failed.
    pub failures: Vec<Failure>,
    /// The model's name for itself.
    pub answered: Option<String>,
    /// When it answered.
    pub replied_at: Option<Timestamp>,
    /// Milliseconds from the last question to the answer.
    pub took_ms: Option<u64>,
    /// Tokens, as counted.
    pub usage: Option<Usage>,
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// The request.
    pub request: Kept<Request>,
    /// What the server was last sent beside the messages, in its own words: where the answer is asked
    /// for by schema, that stands here, and no tool was offered. Of tools that were, the names.
    pub sent: Option<Kept<Value>>,
    /// The answer, as it was used: bounded, and without secrets.
    pub reply: Option<Kept<ChatReply>>,
    /// What was made of the answer.
    pub outcome: Option<Outcome>,
    /// What the model did not get to see of the messages that this request adds.
    pub cut: Vec<Cut>,
    /// What was made shorter before this turn, since the conversation had grown too long.
    pub compacted: Vec<Compaction>,
    #[serde(skip)]
    asked_last: Timestamp,
    #[serde(skip)]
    request_ref: BlobRef,
    #[serde(skip)]
    digest: Digest,
    #[serde(skip)]
    sent_ref: Option<BlobRef>,
    #[serde(skip)]
    reply_ref: Option<BlobRef>,
}

/// A failed attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// What went wrong.
    pub error: String,
    /// Another attempt may help.
    pub transient: bool,
}

/// A payload, if it is there.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Kept<T> {
    /// It is.
    There(T),
    /// It was deleted, cannot be read, or does not fit into this answer.
    Missing {
        /// Why it is not here.
        missing: String,
    },
}

impl<T> Kept<T> {
    fn missing(why: impl Into<String>) -> Self {
        Self::Missing { missing: why.into() }
    }

    /// The payload.
    pub fn there(&self) -> Option<&T> {
        match self {
            Self::There(payload) => Some(payload),
            Self::Missing { .. } => None,
        }
    }
}

/// A request, whole.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// As they were sent, in order.
    pub messages: Vec<Message>,
    /// The first message that the request before did not hold, from 0.
    pub new_from: usize,
    /// What was on offer.
    pub tools: Vec<ToolOffer>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Digest of messages and tools, journaled before they were sent.
    pub digest: Digest,
    /// Whether what is shown has that digest.
    pub digest_holds: bool,
}

/// What was made of an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// It wanted to call tools.
    Calls {
        /// Calls that went on to policy, by our ids.
        accepted: Vec<NamedCall>,
        /// Calls that did not run, and what the model was told.
        refused: Vec<RefusedCall>,
        /// They stood in its text and were taken from there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
    },
    /// It handed in a report, which the verifier then read.
    Report {},
    /// Nothing could be done with it.
    Unusable {
        /// What the model was told.
        remedy: String,
    },
}

/// A call.
#[derive(Debug, Clone, Serialize)]
pub struct NamedCall {
    /// Ours.
    pub id: String,
    /// The tool.
    pub tool: String,
}

/// A call that did not run.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedCall {
    /// The tool, as it was called.
    pub tool: String,
    /// What the model was told.
    pub remedy: String,
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The message, from 0.
    pub message: usize,
    /// What, and why.
    pub what: String,
}

/// Earlier results that were made shorter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// The calls whose results they are, by our ids.
    pub calls: Vec<String>,
    /// Characters of the conversation before.
    pub chars_before: u64,
    /// Characters of the conversation after.
    pub chars_after: u64,
}

/// A request as it is kept. Fields of later versions are of no concern here.
#[derive(Debug, Deserialize)]
struct RequestKept {
    #[serde(default)]
    continues: Option<BlobRef>,
    #[serde(default)]
    messages_before: usize,
    messages: Vec<Message>,
    /// Absent where the request that this one continues offered the same.
    #[serde(default)]
    tools: Option<Vec<ToolOffer>>,
    #[serde(default)]
    max_tokens: u32,
}

/// Reads the turns after `after`, at most `limit` of them and at most `room` bytes of payloads.
///
/// # Errors
/// When the store fails.
pub async fn read(
    store: &dyn Store,
    id: InvestigationId,
    after: u32,
    limit: usize,
    room: usize,
) -> Result<Transcript, StoreError> {
    let mut turns = Turns::default();
    let chain = id.to_string();
    let mut seq = 0;
    loop {
        let entries = store.entries(&chain, seq, PAGE).await?;
        entries.iter().for_each(|entry| turns.note(entry));
        match entries.last() {
            Some(last) if entries.len() == PAGE as usize => seq = last.seq,
            _ => break,
        }
    }
    let mut payloads = Payloads { store, room, last: None };
    let mut items = vec![];
    let mut rest = turns.list.into_iter().filter(|turn| turn.turn > after).peekable();
    while let Some(mut turn) = rest.next_if(|_| items.len() < limit) {
        turn.request = payloads.request(&turn.request_ref, &turn.digest).await?;
        if let Some(reference) = &turn.sent_ref {
            turn.sent = Some(payloads.json(reference).await?);
        }
        if let Some(reference) = &turn.reply_ref {
            turn.reply = Some(payloads.json(reference).await?);
        }
        if let Kept::There(request) = &turn.request {
            turn.cut = cuts(request, &turns.truncated);
        }
        turn.compacted = turns.compacted.remove(&turn.turn).unwrap_or_default();
        items.push(turn);
    }
    let more = rest.peek().is_some();
    let last = items.last().filter(|_| more).map(|last: &Exchange| last.turn);
    let mut summaries = turns.summaries;
    summaries.retain(|aside| aside.before_turn > after && last.is_none_or(|last| aside.before_turn <= last));
    for aside in &mut summaries {
        aside.fill(&mut payloads).await?;
    }
    Ok(Transcript {
        investigation: id,
        prompts_digest: turns.prompts_digest,
        tools_digest: turns.tools_digest,
        items,
        summaries,
        next_cursor: last.map(|last| last.to_string()),
    })
}

/// The turns, without their payloads.
#[derive(Debug, Default)]
struct Turns {
    list: Vec<Exchange>,
    summaries: Vec<Aside>,
    prompts_digest: Option<Digest>,
    tools_digest: Option<Digest>,
    /// Calls whose tool left something out, and the evidence that they became.
    truncated: HashMap<String, String>,
    /// What was made shorter, by the turn before which it was.
    compacted: HashMap<u32, Vec<Compaction>>,
}

impl Turns {
    fn note(&mut self, entry: &Entry) {
        let open = |list: &mut Vec<Exchange>, turn: u32| -> Option<usize> {
            list.last().filter(|last| last.turn == turn).map(|_| list.len() - 1)
        };
        asides::note(&mut self.summaries, entry);
        match &entry.body {
            Body::Opened(frozen) => {
                self.prompts_digest = Some(frozen.prompts_digest.clone());
                self.tools_digest = Some(frozen.tools_digest.clone());
            }
            Body::ModelAsked { turn, model, request_digest, request, must_answer, .. } => {
                match open(&mut self.list, *turn) {
                    // Asked again after a failure: the same turn, and the request that counts.
                    Some(at) => {
                        let last = &mut self.list[at];
                        last.attempts += 1;
                        last.asked.clone_from(model);
                        last.asked_last = entry.at;
                        last.request_ref = request.clone();
                        last.digest = request_digest.clone();
                    }
                    None => self.list.push(Exchange {
                        turn: *turn,
                        asked: model.clone(),
                        asked_at: entry.at,
                        attempts: 1,
                        must_answer: *must_answer,
                        failures: vec![],
                        answered: None,
                        replied_at: None,
                        took_ms: None,
                        usage: None,
                        cost_usd: None,
                        request: Kept::missing("not read yet"),
                        sent: None,
                        reply: None,
                        outcome: None,
                        cut: vec![],
                        compacted: vec![],
                        asked_last: entry.at,
                        request_ref: request.clone(),
                        digest: request_digest.clone(),
                        sent_ref: None,
                        reply_ref: None,
                    }),
                }
            }
            Body::ModelReplied { turn, model, reply, proposal, usage, cost_usd, sent } => {
                if let Some(at) = open(&mut self.list, *turn) {
                    let last = &mut self.list[at];
                    last.answered = Some(model.clone());
                    last.replied_at = Some(entry.at);
                    last.took_ms = u64::try_from(entry.at.duration_since(last.asked_last).as_millis()).ok();
                    last.usage = Some(*usage);
                    last.cost_usd = Some(*cost_usd);
                    last.sent_ref.clone_from(sent);
                    last.reply_ref = Some(reply.clone());
                    last.outcome = Some(outcome(proposal));
                }
            }
            Body::ModelFailed { turn, error, transient, sent, .. } => {
                if let Some(at) = open(&mut self.list, *turn) {
                    self.list[at].sent_ref.clone_from(sent);
                    let failure = Failure { at: entry.at, error: error.clone(), transient: *transient };
                    self.list[at].failures.push(failure);
                }
            }
            Body::Compacted(Compacted { turn, calls, chars_before, chars_after }) => {
                let (chars_before, chars_after) = (*chars_before, *chars_after);
                let compaction = Compaction { calls: calls.clone(), chars_before, chars_after };
                self.compacted.entry(*turn).or_default().push(compaction);
            }
            Body::ReadFinished { call_id, evidence_id, truncated: true, .. } => {
                self.truncated.insert(call_id.clone(), evidence_id.clone());
            }
            _ => {}
        }
    }
}

fn outcome(proposal: &Proposal) -> Outcome {
    match proposal {
        Proposal::Calls { accepted, rejected, recovered } => Outcome::Calls {
            recovered: *recovered,
            accepted: accepted.iter().map(|c| NamedCall { id: c.id.clone(), tool: c.tool.clone() }).collect(),
            refused: rejected
                .iter()
                .map(|r| RefusedCall { tool: r.call.tool.clone(), remedy: r.remedy.clone() })
                .collect(),
        },
        Proposal::Report { .. } => Outcome::Report {},
        Proposal::Invalid { remedy } => Outcome::Unusable { remedy: remedy.clone() },
    }
}

/// What was left out of the messages that a request adds. A fence says in its last line but one how
/// much did not fit; what a tool left out stands in the journal.
fn cuts(request: &Request, truncated: &HashMap<String, String>) -> Vec<Cut> {
    let mut found = vec![];
    for (n, message) in request.messages.iter().enumerate().skip(request.new_from) {
        if let Some(evidence) = message.answers.as_ref().and_then(|call| truncated.get(call)) {
            found.push(Cut { message: n, what: format!("{evidence}: the tool gave a part of what there is") });
        }
        let mut lines = message.content.lines().rev();
        let marks =
            std::iter::from_fn(|| lines.find(|line| line.starts_with("[end untrusted ")).and_then(|_| lines.next()));
        let left_out = marks.filter_map(|line| line.strip_prefix("(… ")?.strip_suffix(" more characters left out)"));
        for chars in left_out.filter(|chars| chars.parse::<u64>().is_ok()) {
            found.push(Cut { message: n, what: format!("{chars} characters: more than one text of it may hold") });
        }
        // What was too long for a result is read on by its evidence id.
        let ends = |line: &&str| line.starts_with("[lines ") && line.contains(" left out: evidence_read");
        if let Some(mark) = message.content.lines().filter(|_| message.role == Role::Tool).find(ends) {
            found.push(Cut { message: n, what: mark.trim_matches(['[', ']']).chars().take(200).collect() });
        }
        if message.role == Role::Tool && message.content == "not run" {
            found.push(Cut { message: n, what: "the call was not run".to_owned() });
        }
    }
    found
}

/// Payloads of the store, as long as there is room for them.
struct Payloads<'a> {
    store: &'a dyn Store,
    room: usize,
    /// The request that was made whole last: the next one continues it.
    last: Option<(BlobRef, (Vec<Message>, Vec<ToolOffer>))>,
}

impl Payloads<'_> {
    /// A request, made whole from those that it continues.
    async fn request(&mut self, reference: &BlobRef, digest: &Digest) -> Result<Kept<Request>, StoreError> {
        let mut row = vec![];
        let mut next = Some(reference.clone());
        let (mut messages, mut tools): (Vec<Message>, Vec<ToolOffer>) = (vec![], vec![]);
        while let Some(reference) = next.take() {
            if let Some((_, known)) = self.last.as_ref().filter(|(last, _)| *last == reference) {
                messages.clone_from(&known.0);
                tools.clone_from(&known.1);
                break;
            }
            let Some(bytes) = self.store.blob(&reference).await? else {
                return Ok(Kept::missing("it, or one that it continues, was deleted"));
            };
            let Ok(kept) = serde_json::from_slice::<RequestKept>(&bytes) else {
                return Ok(Kept::missing("it never left the house: no request could be made"));
            };
            if row.len() >= MAX_ROW {
                return Ok(Kept::missing("it continues too many others"));
            }
            next.clone_from(&kept.continues);
            row.push(kept);
        }
        let (mut new_from, mut max_tokens) = (0, 0);
        for kept in row.into_iter().rev() {
            if kept.messages_before > messages.len() {
                return Ok(Kept::missing("what it continues is shorter than it says"));
            }
            messages.truncate(kept.messages_before);
            new_from = kept.messages_before;
            messages.extend(kept.messages);
            max_tokens = kept.max_tokens;
            tools = kept.tools.unwrap_or(tools);
        }
        self.last = Some((reference.clone(), (messages.clone(), tools.clone())));
        let parts: Vec<Digest> = messages.iter().map(digest_of).chain([digest_of(&tools)]).collect();
        let digest_holds = Digest::of_parts(parts.iter().map(Digest::as_str)) == *digest;
        let said: usize = messages.iter().map(|message| message.content.len()).sum();
        let offered: usize = tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len()).sum();
        Ok(match self.take(said + offered) {
            true => {
                Kept::There(Request { messages, new_from, tools, max_tokens, digest: digest.clone(), digest_holds })
            }
            false => Kept::missing("too large for this answer; ask for fewer turns with limit"),
        })
    }

    async fn json<T: DeserializeOwned>(&mut self, reference: &BlobRef) -> Result<Kept<T>, StoreError> {
        let Some(bytes) = self.store.blob(reference).await? else { return Ok(Kept::missing("it was deleted")) };
        if !self.take(bytes.len()) {
            return Ok(Kept::missing("too large for this answer; ask for fewer turns with limit"));
        }
        Ok(serde_json::from_slice(&bytes).map_or_else(|_| Kept::missing("it cannot be read"), Kept::There))
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::fence::fence;

    #[test]
    fn what_did_not_fit_is_told_from_our_own_marks() {
        let say = |role, content: String, answers: Option<&str>| Message {
            role,
            content,
            calls: vec![],
            answers: answers.map(str::to_owned),
        };
        // The text itself lies about what was left out.
        let liar = "a\n(… 9 more characters left out)\nb";
        let request = Request {
            messages: vec![
                say(Role::User, fence(&"x".repeat(50), "alert", "n", 10), None),
                say(
                    Role::Tool,
                    format!("Evidence E7:\n{}", fence(&"y".repeat(50), "tool result", "n", 20)),
                    Some("call_1_1"),
                ),
                say(Role::Tool, fence(liar, "tool result", "n", 100), Some("call_1_2")),
                say(Role::Tool, "not run".into(), Some("call_1_3")),
                say(
                    Role::Tool,
                    "Evidence E8:\na\n[lines 2 to 9 of 10 left out: evidence_read x]\nj".into(),
                    Some("call_1_4"),
                ),
            ],
            new_from: 1,
            tools: vec![],
            max_tokens: 1,
            digest: Digest::of("x"),
            digest_holds: true,
        };
        let truncated = HashMap::from([("call_1_1".to_owned(), "E7".to_owned())]);
        let told: Vec<(usize, String)> =
            cuts(&request, &truncated).into_iter().map(|cut| (cut.message, cut.what)).collect();
        assert_eq!(
            told,
            [
                (1, "E7: the tool gave a part of what there is".to_owned()),
                (1, "30 characters: more than one text of it may hold".to_owned()),
                (3, "the call was not run".to_owned()),
                (4, "lines 2 to 9 of 10 left out: evidence_read x".to_owned()),
            ]
        );
    }
}
