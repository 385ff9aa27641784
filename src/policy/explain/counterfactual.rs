//! The smallest change that would have given a less strict answer: a bounded search over the scalars of
//! input and data that the deciding rules mention.

use super::super::rego::syntax::Reference;
use super::super::{Decision, InputKind, RegoPolicy};
use super::RuleTrace;
use crate::domain::{DecisionId, Risk};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Most questions to the policy.
const MAX_TRIES: usize = 3_000;
/// Most of them with other data: each prepares the rules anew.
const MAX_DATA_TRIES: usize = 120;
/// Longest search.
const MAX_TIME: Duration = Duration::from_secs(5);
/// Scalars below one mentioned path.
const MAX_LEAVES: usize = 32;
/// Values that are tried for one scalar.
const MAX_VALUES: usize = 16;
/// Changes that help a little and are tried in pairs.
const MAX_HELPFUL: usize = 24;
/// Answers for one verdict.
const MAX_ANSWERS: usize = 3;

/// A different world with a less strict answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The answer there.
    pub verdict: &'static str,
    /// What is different there.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `input.blast_radius.pods`, `data.org.blast.pods_approve`.
    pub path: String,
    /// As it is.
    pub from: Value,
    /// As it would be; `None` when it would not be there.
    pub to: Option<Value>,
}

/// What cannot be otherwise without being another question.
const FIXED: &[&str] = &["/schema", "/mode", "/now_ns", "/call/effect", "/call/tool", "/phase"];

/// A place in input or data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Leaf {
    of_data: bool,
    pointer: String,
}

impl Leaf {
    fn path(&self) -> String {
        let root = if self.of_data { "data" } else { "input" };
        format!("{root}{}", self.pointer.replace('/', "."))
    }
}

/// Looks for changes, those of the input first.
pub(super) fn search(
    policy: &RegoPolicy,
    kind: InputKind,
    input: &Value,
    decision: &Decision,
    rules: &[RuleTrace],
) -> Vec<Counterfactual> {
    if decision.strictness() == 0 || decision.error().is_some() {
        return vec![];
    }
    let mut search = Search { policy, kind, input, began: Instant::now(), tries: 0, data_tries: 0 };
    let candidates = search.candidates(decision, rules);
    let blocking = weight(decision);
    let mut found: BTreeMap<u8, Vec<Counterfactual>> = BTreeMap::new();
    let mut helpful = vec![];
    let note = |decision: &Decision, changes: Vec<Change>, found: &mut BTreeMap<u8, Vec<Counterfactual>>| {
        let answers = found.entry(decision.strictness()).or_default();
        let paths = |changes: &[Change]| changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>();
        // Candidates come nearest first, so the first answer for a path is its smallest change.
        if answers.len() < MAX_ANSWERS && answers.iter().all(|known| paths(&known.changes) != paths(&changes)) {
            answers.push(Counterfactual { verdict: decision.word(), changes });
        }
    };
    for candidate in &candidates {
        let Some(other) = search.with(std::slice::from_ref(candidate)) else { continue };
        if other.strictness() < decision.strictness() {
            note(&other, vec![candidate.change()], &mut found);
        } else if weight(&other) < blocking && helpful.len() < MAX_HELPFUL {
            helpful.push(candidate);
        }
    }
    if !found.contains_key(&0) {
        for (n, first) in helpful.iter().enumerate() {
            for second in helpful.iter().skip(n + 1).filter(|second| second.leaf != first.leaf) {
                let Some(other) = search.with(&[(*first).clone(), (*second).clone()]) else { continue };
                if other.strictness() < decision.strictness() {
                    note(&other, vec![first.change(), second.change()], &mut found);
                }
            }
        }
    }
    found.into_values().flatten().collect()
}

/// What stands against a less strict answer.
fn weight(decision: &Decision) -> usize {
    decision.reasons().iter().filter(|r| matches!(r.effect.as_str(), "deny" | "approve" | "level" | "raise")).count()
}

#[derive(Debug, Clone)]
struct Candidate {
    leaf: Leaf,
    from: Value,
    to: Option<Value>,
}

impl Candidate {
    fn change(&self) -> Change {
        Change { path: self.leaf.path(), from: self.from.clone(), to: self.to.clone() }
    }

    /// Smaller is nearer.
    fn distance(&self) -> u64 {
        match (self.from.as_f64(), self.to.as_ref().and_then(Value::as_f64)) {
            (Some(from), Some(to)) => ((from - to).abs() * 16.0).min(1e15) as u64,
            _ if self.to.is_none() => 1 << 20,
            _ => 16,
        }
    }
}

#[derive(Debug)]
struct Search<'a> {
    policy: &'a RegoPolicy,
    kind: InputKind,
    input: &'a Value,
    began: Instant,
    tries: usize,
    data_tries: usize,
}

impl Search<'_> {
    fn with(&mut self, changes: &[Candidate]) -> Option<Decision> {
        self.tries += 1;
        if self.tries > MAX_TRIES || self.began.elapsed() > MAX_TIME {
            return None;
        }
        let (mut input, mut data) = (self.input.clone(), None);
        for Candidate { leaf, to, .. } in changes {
            let document =
                if leaf.of_data { data.get_or_insert_with(|| self.policy.data().clone()) } else { &mut input };
            put(document, &leaf.pointer, to.clone())?;
        }
        let id = DecisionId::new(uuid::Uuid::nil());
        let decision = match data {
            None => self.policy.decide_as_it_is(id, self.kind, &input),
            Some(data) => {
                self.data_tries += 1;
                if self.data_tries > MAX_DATA_TRIES {
                    return None;
                }
                self.policy.with_data(data).ok()?.decide_as_it_is(id, self.kind, &input)
            }
        };
        decision.error().is_none().then_some(decision)
    }

    /// What may be changed to what, nearest first.
    fn candidates(&self, decision: &Decision, rules: &[RuleTrace]) -> Vec<Candidate> {
        let mut leaves: BTreeSet<Leaf> = BTreeSet::new();
        let mut words: BTreeSet<String> = BTreeSet::new();
        let nothing_permits = !rules.iter().any(|r| r.fired && matches!(r.set.as_str(), "allow" | "approve"));
        for rule in rules {
            let decides = match rule.set.as_str() {
                "deny" | "approve" | "level" | "raise" => rule.fired,
                "allow" => nothing_permits,
                _ => false,
            };
            if decides {
                self.mentioned(&rule.rule, &mut leaves, &mut words);
            }
        }
        if decision.reasons().iter().any(|reason| reason.rule == "engine/floor") {
            leaves.insert(Leaf { of_data: false, pointer: "/risk/level".into() });
        }
        let document = |leaf: &Leaf| if leaf.of_data { self.policy.data() } else { self.input };
        let value = |leaf: &Leaf| document(leaf).pointer(&leaf.pointer).cloned();
        let numbers: BTreeSet<i64> = leaves.iter().filter_map(|leaf| value(leaf)?.as_i64()).collect();
        let mut candidates = vec![];
        for leaf in &leaves {
            let Some(from) = value(leaf) else { continue };
            let mut of_leaf: Vec<Candidate> = values_for(leaf, &from, &numbers, &words)
                .into_iter()
                .filter(|to| *to != Some(from.clone()))
                .map(|to| Candidate { leaf: leaf.clone(), from: from.clone(), to })
                .collect();
            of_leaf.sort_by_key(Candidate::distance);
            of_leaf.truncate(MAX_VALUES);
            candidates.extend(of_leaf);
        }
        // A person can change the world sooner than the rules of the house.
        candidates.sort_by_key(|candidate| (candidate.leaf.of_data, candidate.distance()));
        candidates
    }

    /// The scalars that a rule mentions, by itself or through other rules of its module, and the texts that
    /// it compares with.
    fn mentioned(&self, full: &str, leaves: &mut BTreeSet<Leaf>, words: &mut BTreeSet<String>) {
        let Some((module, rule, ..)) = self.policy.loaded().rules().find(|(_, _, _, name)| name == full) else {
            return;
        };
        words.extend(module.literals.iter().cloned());
        let mut references: Vec<&Reference> = vec![];
        let (mut waiting, mut seen): (Vec<&str>, BTreeSet<&str>) = (vec![], BTreeSet::new());
        for condition in &rule.conditions {
            references.extend(&condition.references);
            waiting.extend(condition.names.iter().map(String::as_str));
        }
        while let Some(name) = waiting.pop() {
            if !seen.insert(name) {
                continue;
            }
            for helper in module.rules.iter().filter(|helper| helper.name == name) {
                references.extend(&helper.references);
                waiting.extend(helper.names.iter().map(String::as_str));
            }
        }
        for reference in references {
            self.below(reference, leaves);
        }
    }

    fn below(&self, reference: &Reference, leaves: &mut BTreeSet<Leaf>) {
        let (of_data, document) = match reference.steps.first().map(String::as_str) {
            Some("input") => (false, self.input),
            Some("data") if reference.steps.get(1).is_some_and(|root| root == "org") => (true, self.policy.data()),
            _ => return,
        };
        let pointer = reference.steps.iter().skip(1).map(|step| format!("/{step}")).collect::<String>();
        if FIXED.contains(&pointer.as_str()) || pointer.is_empty() {
            return;
        }
        let Some(value) = document.pointer(&pointer) else { return };
        let mut waiting = vec![(pointer, value)];
        let mut taken = 0;
        while let Some((pointer, value)) = waiting.pop() {
            if taken >= MAX_LEAVES {
                return;
            }
            taken += 1;
            match value {
                Value::Object(map) => {
                    waiting.extend(map.iter().map(|(key, value)| (format!("{pointer}/{key}"), value)))
                }
                Value::Array(items) => {
                    // An element may also be absent.
                    let elements = items.iter().enumerate().map(|(n, item)| (format!("{pointer}/{n}"), item));
                    for (pointer, item) in elements.take(MAX_LEAVES) {
                        leaves.insert(Leaf { of_data, pointer: pointer.clone() });
                        if !item.is_string() {
                            waiting.push((pointer, item));
                        }
                    }
                }
                _ => {
                    leaves.insert(Leaf { of_data, pointer });
                }
            }
        }
    }
}

/// What a scalar might be instead; `None` takes an element out of its list.
fn values_for(leaf: &Leaf, from: &Value, numbers: &BTreeSet<i64>, words: &BTreeSet<String>) -> Vec<Option<Value>> {
    let in_list = leaf.pointer.rsplit('/').next().is_some_and(|step| step.bytes().all(|b| b.is_ascii_digit()));
    let mut values: Vec<Option<Value>> = match from {
        Value::Bool(truth) => vec![Some(Value::from(!truth))],
        Value::Number(_) => {
            let near = numbers.iter().flat_map(|n| [*n, n.saturating_sub(1), n.saturating_add(1)]);
            near.chain([0]).filter(|n| *n >= 0).map(|n| Some(Value::from(n))).collect()
        }
        Value::String(_) if leaf.pointer == "/risk/level" => {
            Risk::ALL.iter().map(|level| Some(Value::from(level.as_str()))).collect()
        }
        Value::String(_) if in_list => vec![],
        Value::String(_) => words.iter().map(|word| Some(Value::from(word.as_str()))).collect(),
        Value::Null | Value::Array(_) | Value::Object(_) => vec![],
    };
    if in_list {
        values.push(None);
    }
    values
}

/// Changes one place of `document`.
fn put(document: &mut Value, pointer: &str, to: Option<Value>) -> Option<()> {
    match to {
        Some(to) => *document.pointer_mut(pointer)? = to,
        None => {
            let (list, n) = pointer.rsplit_once('/')?;
            let list = document.pointer_mut(list)?.as_array_mut()?;
            let n = n.parse::<usize>().ok().filter(|n| *n < list.len())?;
            list.remove(n);
        }
    }
    Some(())
}
