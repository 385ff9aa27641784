//! An explanation for a terminal.

use super::{ConditionTrace, Counterfactual, Explanation, RuleTrace};
use serde_json::Value;
use std::fmt::Write;

/// Silent rules that are shown unless all are wanted.
const NEAR: usize = 12;

impl Explanation {
    /// The explanation as text. `all` shows every silent rule, not only those that nearly spoke.
    pub fn render(&self, all: bool) -> String {
        let mut out = String::new();
        let text = |pointer: &str| self.decision.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(out, "{}  {}   policy {}", text("/id"), self.in_short(), text("/policy/bundle"));
        if let Some(error) = self.decision["error"].as_str() {
            let _ = writeln!(out, "  the evaluation failed: {error}");
        }
        let fired = self.rules.iter().filter(|rule| rule.fired);
        let width = self.rules.iter().map(|rule| rule.rule.len()).max().unwrap_or(0).min(44);
        for rule in fired {
            let word = if rule.exception.is_some() { "excepted".to_owned() } else { rule.set.to_uppercase() };
            let _ = writeln!(out, "  {word:<9} {:<width$}  {}", rule.rule, rule.at);
            let _ = writeln!(out, "            {}", rule.reason.as_deref().unwrap_or_default());
            rule.conditions.iter().for_each(|condition| line(&mut out, condition));
        }
        // What the program itself adds, the floor for instance.
        for reason in self.decision["reasons"].as_array().into_iter().flatten() {
            if let Some(rule) = reason["rule"].as_str().filter(|rule| rule.starts_with("engine/")) {
                let effect = reason["effect"].as_str().unwrap_or_default().to_uppercase();
                let _ = writeln!(out, "  {effect:<9} {rule:<width$}  the program itself");
                let _ = writeln!(out, "            {}", reason["reason"].as_str().unwrap_or_default());
            }
        }
        let silent: Vec<&RuleTrace> = self.rules.iter().filter(|rule| !rule.fired).collect();
        let shown: Vec<&&RuleTrace> = match all {
            true => silent.iter().collect(),
            false => silent.iter().filter(|rule| rule.is_near()).take(NEAR).collect(),
        };
        for rule in &shown {
            let _ = writeln!(out, "  silent    {:<width$}  {}  {} {}", rule.rule, rule.at, rule.set, stopped(rule));
        }
        if shown.len() < silent.len() {
            let _ = writeln!(out, "  and {} more that stayed silent (--all shows them)", silent.len() - shown.len());
        }
        for (n, other) in self.counterfactuals.iter().enumerate() {
            let lead = if n == 0 { "counterfactual:" } else { "or" };
            let _ = writeln!(out, "{lead:<15} {}", in_words(other));
        }
        out
    }

    fn in_short(&self) -> String {
        match (self.decision["kind"].as_str(), self.decision["level"].as_str()) {
            (Some("action"), Some(level)) => format!("{} at {level}", self.verdict),
            _ => self.verdict.to_owned(),
        }
    }
}

fn line(out: &mut String, condition: &ConditionTrace) {
    let ConditionTrace { line, text, values, holds } = condition;
    let text: String = text.chars().take(64).collect();
    let _ = writeln!(out, "      {line:>4}  {text:<64}  {holds:<5}  {values}");
}

fn stopped(rule: &RuleTrace) -> String {
    match rule.conditions.last() {
        None => "was not asked".into(),
        Some(ConditionTrace { line, text, values, .. }) => {
            let text: String = text.chars().take(90).collect();
            match values.is_empty() {
                true => format!("stops at line {line}: {text}"),
                false => format!("stops at line {line}: {text}: {values}"),
            }
        }
    }
}

fn in_words(other: &Counterfactual) -> String {
    let changes = other.changes.iter().map(|change| match &change.to {
        None => format!("{} without {}", change.path, short(&change.from)),
        Some(to) => format!("{} {} → {}", change.path, short(&change.from), short(to)),
    });
    format!("{}: {}", other.verdict, changes.collect::<Vec<_>>().join(" and "))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
