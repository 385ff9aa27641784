//! Why a decision is what it is: what fired and the values that made it fire, what stayed silent and the
//! condition that stopped it, and the smallest change that would have given another answer.
//!
//! - [`probe`]: values of the parts of a condition
//! - [`counterfactual`]: the search for the change

mod counterfactual;
pub(super) mod probe;
mod render;

pub use counterfactual::{Change, Counterfactual};

use super::check::{Area, ContributingSet};
use super::rego::syntax::{Condition, Module, Rule};
use super::{BadInput, Decision, InputKind, RegoPolicy, schema};
use crate::domain::{DecisionId, Excepted};
use probe::Prober;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Wall time for one set of rules; generous, for it is no decision.
const LIMIT: Duration = Duration::from_secs(2);

/// A decision with what led to it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Verdict or level.
    pub verdict: &'static str,
    /// The decision as a document.
    pub decision: Value,
    /// Every rule that could have spoken, those that did first.
    pub rules: Vec<RuleTrace>,
    /// Smallest changes that would have given a less strict answer.
    pub counterfactuals: Vec<Counterfactual>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace {
    /// `action/blast/soft-limit`.
    pub rule: String,
    /// The set that it adds to: `deny`, `approve`, `level`, …
    pub set: String,
    /// `file:line` of its head.
    pub at: String,
    /// It spoke.
    pub fired: bool,
    /// What it said.
    pub reason: Option<String>,
    /// Its conditions as far as they were looked at; the last one of a silent rule is what stopped it.
    pub conditions: Vec<ConditionTrace>,
    /// Conditions that it has in all.
    pub of: usize,
    /// The exception that took it out: it spoke and does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionTrace {
    /// Its line.
    pub line: u32,
    /// Its text.
    pub text: String,
    /// It held.
    pub holds: bool,
    /// The values that it rests on, `12 > 10` for instance; empty when its text says it all.
    pub values: String,
}

impl RuleTrace {
    /// Conditions that held.
    pub fn held(&self) -> usize {
        self.conditions.iter().filter(|condition| condition.holds).count()
    }

    /// It stayed silent, and not at once.
    pub fn is_near(&self) -> bool {
        !self.fired && self.held() > 0
    }
}

impl RegoPolicy {
    /// Judges `input` and says why the answer is what it is. `what_if` looks for changes that would give
    /// a less strict one.
    ///
    /// # Errors
    /// When it is no input.
    pub fn explain(&self, id: DecisionId, input: &Value, what_if: bool) -> Result<Explanation, BadInput> {
        let kind = InputKind::of(input)?;
        schema::validate(kind, input)?;
        let decision = self.decide_as_it_is(id, kind, input);
        let area = match kind {
            InputKind::Risk => Area::Risk,
            InputKind::Action => Area::Action,
        };
        let mut rules = self.traces(area, input, &decision);
        rules.sort_by_key(|rule| (!rule.fired, strength(&rule.set), rule.of - rule.held(), rule.rule.clone()));
        let counterfactuals = match what_if {
            true => counterfactual::search(self, kind, input, &decision, &rules),
            false => vec![],
        };
        Ok(Explanation {
            verdict: decision.word(),
            decision: decision.document(input, Some(self.loaded().modules.len()), None),
            rules,
            counterfactuals,
        })
    }

    fn traces(&self, area: Area, input: &Value, decision: &Decision) -> Vec<RuleTrace> {
        let said: BTreeMap<&str, &str> =
            decision.reasons().iter().map(|reason| (reason.rule.as_str(), reason.reason.as_str())).collect();
        let excepted: BTreeMap<&str, &Excepted> =
            decision.exceptions().iter().map(|used| (used.rule.as_str(), used)).collect();
        let mut reached: BTreeMap<ContributingSet, BTreeSet<u32>> = BTreeMap::new();
        let mut traces = vec![];
        for (module, rule, set, full) in self.loaded().rules().filter(|(_, _, set, _)| set.area == area) {
            let lines = reached.entry(set.clone()).or_insert_with(|| self.reached(&set, module, input));
            let exception = excepted.get(full.as_str()).copied();
            let said = said.get(full.as_str()).map(|reason| (*reason).to_owned()).or_else(|| exception.map(in_words));
            let mut trace = self.trace(module, rule, input, lines, said);
            (trace.rule, trace.set, trace.exception) = (full, set.set, exception.map(|used| used.id.clone()));
            traces.push(trace);
        }
        traces
    }

    /// The lines of a module that answering for one set touches.
    fn reached(&self, set: &ContributingSet, module: &Module, input: &Value) -> BTreeSet<u32> {
        let mut session = self.loaded().interpreter.session(Some(input), LIMIT);
        session.watch_lines();
        let _ = session.value(&set.path());
        session.reached_lines(&module.path)
    }

    /// The trace of a rule, its names left open.
    fn trace(
        &self,
        module: &Module,
        rule: &Rule,
        input: &Value,
        lines: &BTreeSet<u32>,
        reason: Option<String>,
    ) -> RuleTrace {
        let fired = reason.is_some();
        let looked_at = match fired {
            true => rule.conditions.len(),
            false => stop(rule, lines).map_or(0, |n| n + 1),
        };
        let looked_at = rule.conditions.get(..looked_at).unwrap_or_default();
        let prober = Prober { interpreter: &self.loaded().interpreter, module, rule, limit: LIMIT };
        // What stopped at its first condition is told by that condition's text alone, unless it is short.
        let values = prober.values(Some(input), looked_at);
        let last = looked_at.len().saturating_sub(1);
        let conditions = looked_at.iter().enumerate().map(|(n, condition)| ConditionTrace {
            line: *condition.lines.start(),
            text: condition.text.clone(),
            holds: fired || n < last,
            values: values.get(n).cloned().unwrap_or_default(),
        });
        RuleTrace {
            rule: String::new(),
            set: String::new(),
            exception: None,
            at: format!("{}:{}", module.path, rule.at.line),
            fired,
            reason,
            conditions: conditions.collect(),
            of: rule.conditions.len(),
        }
    }
}

/// Why a rule that spoke does not count.
fn in_words(used: &Excepted) -> String {
    let Excepted { id, owner, until, reason, .. } = used;
    format!("does not count: the exception {id} of {owner}, until {until}: {reason}")
}

/// The condition that stopped a rule: the last one whose lines were reached.
pub(super) fn stop(rule: &Rule, reached: &BTreeSet<u32>) -> Option<usize> {
    let last = rule.conditions.iter().rposition(|c: &Condition| c.lines.clone().any(|line| reached.contains(&line)));
    last.or_else(|| (!rule.conditions.is_empty()).then_some(0))
}

/// The order in which sets are shown.
fn strength(set: &str) -> usize {
    const ORDER: [&str; 8] = ["deny", "level", "approve", "raise", "allow", "oblige", "warn", ""];
    ORDER.iter().position(|known| *known == set).unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests;
