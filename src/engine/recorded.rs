//! Decisions as the journal has them: what was asked, what was answered, and what came of it.

use super::EngineError;
use crate::domain::{ActionId, BlobRef, DecisionId, Digest, InvestigationId, PolicyRef, Reason, Reconciled, Verdict};
use crate::journal::{Asked, Body, Entry, Watched};
use crate::policy::InputKind;
use crate::store::{InvestigationFilter, Store};
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
    /// Verdict or level.
    pub word: String,
    /// What contributed.
    pub reasons: Vec<Reason>,
    /// The bundle that judged.
    pub policy: PolicyRef,
    /// The change that it was about.
    pub action: Option<ActionId>,
    /// Digest of the input.
    pub input_digest: Digest,
    /// The input is kept there.
    kept: Kept,
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
    let mut tools: HashMap<ActionId, &str> = HashMap::new();
    let mut found = vec![];
    for entry in entries {
        let mut ruled = |ruling: &crate::domain::Ruling, about: &str, action: Option<ActionId>, kept: Kept| {
            found.push(Recorded {
                id: ruling.id,
                investigation: entry.chain.clone(),
                seq: entry.seq,
                at: entry.at,
                kind: InputKind::Action,
                about: about.to_owned(),
                word: ruling.verdict.to_string(),
                reasons: ruling.reasons.clone(),
                policy: ruling.policy.clone(),
                action,
                input_digest: ruling.input_digest.clone(),
                kept,
            });
        };
        let among = |input: &Option<BlobRef>, call: &str| match input {
            Some(blob) => Kept::Among(blob.clone(), call.to_owned()),
            None => Kept::Nowhere,
        };
        match &entry.body {
            Body::RiskAssessed { decision, input, .. } => found.push(Recorded {
                id: decision.id,
                investigation: entry.chain.clone(),
                seq: entry.seq,
                at: entry.at,
                kind: InputKind::Risk,
                about: "risk".into(),
                word: decision.level.to_string(),
                reasons: decision.reasons.clone(),
                policy: decision.policy.clone(),
                action: None,
                input_digest: decision.input_digest.clone(),
                kept: Kept::Whole(input.clone()),
            }),
            Body::ReadStarted { call, ruling, input } => ruled(ruling, &call.tool, None, among(input, &call.id)),
            Body::CallRejected { call, ruling: Some(ruling), input, .. } => {
                ruled(ruling, &call.tool, None, among(input, &call.id));
            }
            Body::ActionPlanned { action, .. } => {
                tools.insert(action.id, &action.tool);
            }
            Body::ActionRuled { action, ruling, input, .. } => {
                let tool = tools.get(action).copied().unwrap_or("a change");
                ruled(ruling, tool, Some(*action), Kept::Whole(input.clone()));
            }
            Body::ActionObserved { ruling: Some(ruling), input, .. } => {
                // One call was judged, under a name that its own input tells.
                let kept = input.clone().map_or(Kept::Nowhere, |blob| Kept::Among(blob, String::new()));
                ruled(ruling, "alerts", None, kept);
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
            && self.word == Verdict::Deny.as_str()
            && self.reasons.iter().any(|reason| OF_THE_GATE.contains(&reason.rule.as_str()))
    }
}

/// Reads inputs; those that were kept together are read once.
#[derive(Debug)]
pub struct Inputs<'a> {
    store: &'a dyn Store,
    last: Option<(Digest, Asked)>,
}

impl<'a> Inputs<'a> {
    /// Out of this store.
    pub fn of(store: &'a dyn Store) -> Self {
        Self { store, last: None }
    }

    /// What was judged.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(&mut self, recorded: &Recorded) -> Result<Input, EngineError> {
        let found = match &recorded.kept {
            Kept::Nowhere => return Ok(Input::Gone),
            Kept::Whole(blob) => match self.store.blob(blob).await? {
                None => return Ok(Input::Gone),
                Some(bytes) => serde_json::from_slice(&bytes).ok(),
            },
            Kept::Among(blob, call) => {
                if self.last.as_ref().is_none_or(|(known, _)| *known != blob.commitment) {
                    let Some(bytes) = self.store.blob(blob).await? else { return Ok(Input::Gone) };
                    let Ok(asked) = serde_json::from_slice(&bytes) else { return Ok(Input::Other) };
                    self.last = Some((blob.commitment.clone(), asked));
                }
                self.last.as_ref().and_then(|(_, asked)| match call.is_empty() {
                    true => asked.only(),
                    false => asked.input(call),
                })
            }
        };
        let exact = found.filter(|input| crate::policy::input_digest(input).as_ref() == Some(&recorded.input_digest));
        Ok(exact.map_or(Input::Other, Input::Exact))
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
    let mut inputs = Inputs::of(store);
    let mut found = vec![];
    for _ in 0..MOST_CHAINS {
        let Some(entries) = chains.next().await? else { break };
        for recorded in decisions(&entries).into_iter().rev() {
            if found.len() >= most {
                return Ok(found);
            }
            if let Input::Exact(input) = inputs.read(&recorded).await? {
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
