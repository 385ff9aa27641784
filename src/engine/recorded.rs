//! Decisions as the journal has them: what was asked, what was answered, and what came of it.

use super::EngineError;
use crate::domain::{
    Action, ActionId, BlobRef, DecisionId, Digest, InvestigationId, Reconciled, Risk, Ruling, Verdict,
};
use crate::journal::{Asked, Body, Call, Entry, RulingPhase, Watched};
use crate::policy::{Decision, InputKind};
use crate::store::{InvestigationFilter, Store, StoreError};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Rows that are read at once.
const PAGE: u32 = 500;
/// Investigations that are looked through for the last decisions.
const MOST_CHAINS: usize = 200;

/// A decision of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its id.
    pub id: DecisionId,
    /// Whose it is.
    pub investigation: String,
    /// The number of its entry.
    pub seq: u64,
    /// When it was written down.
    pub at: Timestamp,
    /// What was judged.
    pub kind: InputKind,
    /// The tool, or `risk`.
    pub about: String,
    /// What was answered.
    pub decision: Decision,
    /// What it was about, beside the input.
    pub question: Question,
    /// The input is kept there.
    kept: Kept,
}

/// What the gate was asked, beside the input.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How dangerous the incident is.
    Incident,
    /// Whether a reading call may be made. The journal does not have every call beside its input.
    Look(Option<Box<Call>>),
    /// Whether a planned change may be made.
    Change(Box<Change>),
    /// Whether a change may be made that was never planned: no chain that we wrote has one.
    Nothing(ActionId),
}

/// A planned change as it was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The change as it was planned last.
    pub action: Action,
    /// Before anybody was asked, or right before it was made.
    pub phase: RulingPhase,
    /// What exactly was judged.
    pub digest: Digest,
    /// The level as it stood.
    pub level: Risk,
}

/// Where an input is kept.
#[derive(Debug, Clone, PartialEq)]
enum Kept {
    /// It was written before inputs of reading calls were kept.
    Nowhere,
    Whole(BlobRef),
    /// Among those of calls that were judged together.
    Among(BlobRef, String),
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// It is what was judged, by its digest.
    Exact(Value),
    /// It was deleted, or never kept.
    Gone,
    /// What is kept is not what was judged.
    Other,
}

/// What came of a change, by its last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aftermath {
    /// It was made and held.
    Held,
    /// It was made and did not hold.
    DidNotHold,
    /// It was made; nothing more is known.
    Made,
    /// The target refused it.
    Failed,
    /// People refused it, or did not answer.
    Refused,
    /// It was not made.
    NotMade,
}

impl Aftermath {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "made, and held",
            Self::DidNotHold => "made, and did not hold",
            Self::Made => "made",
            Self::Failed => "tried, and failed",
            Self::Refused => "refused by people",
            Self::NotMade => "not made",
        }
    }
}

/// The decisions in a chain, oldest first.
pub fn decisions(entries: &[Entry]) -> Vec<Recorded> {
    let mut planned: HashMap<ActionId, &Action> = HashMap::new();
    let mut level = Risk::Low;
    let mut found = vec![];
    for entry in entries {
        let mut add = |id, kind, about: &str, decision, question, kept| {
            let (investigation, about) = (entry.chain.clone(), about.to_owned());
            let (seq, at) = (entry.seq, entry.at);
            found.push(Recorded { id, investigation, seq, at, kind, about, decision, question, kept });
        };
        let mut ruled = |ruling: &Ruling, about: &str, question: Question, kept: Kept| {
            add(ruling.id, InputKind::Action, about, Decision::Action(ruling.clone()), question, kept);
        };
        let among = |input: &Option<BlobRef>, call: &str| match input {
            Some(blob) => Kept::Among(blob.clone(), call.to_owned()),
            None => Kept::Nowhere,
        };
        match &entry.body {
            Body::RiskAssessed { decision, input, .. } => {
                level = level.max(decision.level);
                let answer = Decision::Risk(decision.clone());
                let kept = Kept::Whole(input.clone());
                add(decision.id, InputKind::Risk, "risk", answer, Question::Incident, kept);
            }
            Body::RiskRaised { to, .. } => level = level.max(*to),
            Body::ReadStarted { call, ruling, input }
            | Body::CallRejected { call, ruling: Some(ruling), input, .. } => {
                ruled(ruling, &call.tool, Question::Look(Some(Box::new(call.clone()))), among(input, &call.id));
            }
            Body::ActionPlanned { action, .. } => {
                planned.insert(action.id, action);
            }
            Body::ActionRuled { action, phase, digest, ruling, input, .. } => {
                let (phase, digest) = (*phase, digest.clone());
                let (tool, question) = match planned.get(action) {
                    Some(&action) => {
                        let change = Change { action: action.clone(), phase, digest, level };
                        (action.tool.as_str(), Question::Change(Box::new(change)))
                    }
                    None => ("a change", Question::Nothing(*action)),
                };
                ruled(ruling, tool, question, Kept::Whole(input.clone()));
            }
            Body::ActionObserved { ruling: Some(ruling), input, .. } => {
                // One call was judged, under a name that its own input tells.
                let kept = input.clone().map_or(Kept::Nowhere, |blob| Kept::Among(blob, String::new()));
                ruled(ruling, "alerts", Question::Look(None), kept);
            }
            _ => {}
        }
    }
    found
}

/// What came of each change of a chain.
pub fn aftermath(entries: &[Entry]) -> BTreeMap<ActionId, Aftermath> {
    let mut found = BTreeMap::new();
    let mut asked = HashMap::new();
    for entry in entries {
        let (action, word) = match &entry.body {
            Body::ActionPlanned { action, .. } => {
                found.entry(action.id).or_insert(Aftermath::NotMade);
                continue;
            }
            Body::ApprovalRequested { approval, action, .. } => {
                asked.insert(*approval, *action);
                continue;
            }
            Body::ApprovalDecided { approval, granted: false, .. } | Body::ApprovalExpired { approval } => {
                match asked.get(approval) {
                    Some(action) => (*action, Aftermath::Refused),
                    None => continue,
                }
            }
            Body::ActionFinished { action, .. }
            | Body::ActionReconciled { action, found: Reconciled::Applied { .. } } => (*action, Aftermath::Made),
            Body::ActionFailed { action, .. } => (*action, Aftermath::Failed),
            Body::Verified { action, outcome, .. } => {
                let word = match outcome {
                    Watched::Held => Aftermath::Held,
                    Watched::Failed => Aftermath::DidNotHold,
                    Watched::Unobserved => Aftermath::Made,
                };
                (*action, word)
            }
            _ => continue,
        };
        found.insert(action, word);
    }
    found
}

/// Objections that the gate itself had, whatever the policy says.
const OF_THE_GATE: &[&str] = &["engine/mismatch", "engine/dry-run", "engine/blast-radius"];

impl Recorded {
    /// The gate refused it on its own account: no policy can change that.
    pub fn was_refused_by_the_gate(&self) -> bool {
        self.kind == InputKind::Action
            && self.decision.verdict() == Verdict::Deny
            && self.decision.reasons().iter().any(|reason| OF_THE_GATE.contains(&reason.rule.as_str()))
    }

    /// The change that it was about.
    pub fn action(&self) -> Option<ActionId> {
        match &self.question {
            Question::Change(change) => Some(change.action.id),
            Question::Nothing(action) => Some(*action),
            Question::Incident | Question::Look(_) => None,
        }
    }

    /// The payload that holds its input, alone or among others.
    pub fn payload(&self) -> Option<&BlobRef> {
        match &self.kept {
            Kept::Nowhere => None,
            Kept::Whole(blob) | Kept::Among(blob, _) => Some(blob),
        }
    }
}

/// Reads inputs out of payloads; those that were kept together are read once.
#[derive(Debug, Default)]
pub struct Inputs {
    last: Option<(Digest, Asked)>,
}

impl Inputs {
    /// The payload without which [`Inputs::of`] cannot tell what was judged.
    pub fn lacking<'r>(&self, recorded: &'r Recorded) -> Option<&'r BlobRef> {
        recorded.payload().filter(|blob| match recorded.kept {
            Kept::Among(..) => self.last.as_ref().is_none_or(|(known, _)| *known != blob.commitment),
            Kept::Whole(_) | Kept::Nowhere => true,
        })
    }

    /// What was judged. `payload` is what [`Inputs::lacking`] names, if it is still there.
    pub fn of(&mut self, recorded: &Recorded, payload: Option<&[u8]>) -> Input {
        let found = match &recorded.kept {
            Kept::Nowhere => return Input::Gone,
            Kept::Whole(_) => match payload {
                None => return Input::Gone,
                Some(bytes) => serde_json::from_slice(bytes).ok(),
            },
            Kept::Among(blob, call) => {
                if self.lacking(recorded).is_some() {
                    let Some(bytes) = payload else { return Input::Gone };
                    let Ok(asked) = serde_json::from_slice(bytes) else { return Input::Other };
                    self.last = Some((blob.commitment.clone(), asked));
                }
                self.last.as_ref().and_then(|(_, asked)| match call.is_empty() {
                    true => asked.only(),
                    false => asked.input(call),
                })
            }
        };
        let digest = recorded.decision.input_digest();
        let exact = found.filter(|input| crate::policy::input_digest(input).as_ref() == Some(digest));
        exact.map_or(Input::Other, Input::Exact)
    }

    /// What was judged, out of `store`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(&mut self, store: &dyn Store, recorded: &Recorded) -> Result<Input, StoreError> {
        let payload = match self.lacking(recorded) {
            Some(blob) => store.blob(blob).await?,
            None => None,
        };
        Ok(self.of(recorded, payload.as_deref()))
    }
}

/// All entries of one chain.
///
/// # Errors
/// When the store does not answer.
pub async fn chain(store: &dyn Store, name: &str) -> Result<Vec<Entry>, EngineError> {
    let mut entries: Vec<Entry> = vec![];
    loop {
        let page = store.entries(name, entries.len() as u64, PAGE).await?;
        let last = page.len() < PAGE as usize;
        entries.extend(page);
        if last {
            return Ok(entries);
        }
    }
}

/// The last recorded decisions whose inputs are kept, the newest first: at most `most`, of the last
/// investigations.
///
/// # Errors
/// When the store does not answer.
pub async fn latest(store: &dyn Store, most: usize) -> Result<Vec<(DecisionId, Value)>, EngineError> {
    let mut chains = Chains::newest_first(store, None, None);
    let mut inputs = Inputs::default();
    let mut found = vec![];
    for _ in 0..MOST_CHAINS {
        let Some(entries) = chains.next().await? else { break };
        for recorded in decisions(&entries).into_iter().rev() {
            if found.len() >= most {
                return Ok(found);
            }
            if let Input::Exact(input) = inputs.read(store, &recorded).await? {
                found.push((recorded.id, input));
            }
        }
    }
    Ok(found)
}

/// The decision of that id.
///
/// # Errors
/// When the store does not answer.
pub async fn find(store: &dyn Store, id: DecisionId) -> Result<Option<Recorded>, EngineError> {
    // Ids grow with time, so its investigation opened just before it or some time earlier: those are looked
    // through first, then all others, for clocks go back.
    for newest in [just_after(id.uuid()).map(|uuid| InvestigationId::new(uuid).to_string()), None] {
        let mut chains = Chains::newest_first(store, newest, None);
        while let Some(entries) = chains.next().await? {
            if let Some(found) = decisions(&entries).into_iter().find(|recorded| recorded.id == id) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The greatest id of the same millisecond; `None` for an id that tells no time.
fn just_after(id: Uuid) -> Option<Uuid> {
    id.get_timestamp()?;
    let mut bytes = [0xff; 16];
    bytes[..6].copy_from_slice(&id.as_bytes()[..6]);
    Some(Uuid::from_bytes(bytes))
}

/// Chains of investigations, one after the other.
#[derive(Debug)]
pub struct Chains<'a> {
    store: &'a dyn Store,
    since: Option<Timestamp>,
    waiting: std::vec::IntoIter<String>,
    cursor: Option<String>,
    done: bool,
}

impl<'a> Chains<'a> {
    /// Newest first, those older than `cursor`, without those that ended before `since`.
    pub fn newest_first(store: &'a dyn Store, cursor: Option<String>, since: Option<Timestamp>) -> Self {
        Self { store, since, waiting: vec![].into_iter(), cursor, done: false }
    }

    /// The entries of the next one; `None` when there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, EngineError> {
        loop {
            if let Some(name) = self.waiting.next() {
                return chain(self.store, &name).await.map(Some);
            }
            if self.done {
                return Ok(None);
            }
            // What had ended before has no decision in the time, and is not even listed.
            let filter = InvestigationFilter {
                cursor: self.cursor.take(),
                not_closed_before: self.since,
                limit: PAGE,
                ..Default::default()
            };
            let page = self.store.investigations(&filter).await?;
            self.waiting = page.items.into_iter().map(|view| view.id).collect::<Vec<_>>().into_iter();
            self.done = page.next_cursor.is_none();
            self.cursor = page.next_cursor;
        }
    }
}
