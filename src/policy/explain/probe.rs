//! The values of the parts of a condition. They are asked of the interpreter itself: a module of the same
//! package, with the conditions before it as its body, takes each part into a set.

use super::super::rego::Interpreter;
use super::super::rego::syntax::{Condition, Module, Rule};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// Values of one part that are shown.
const MOST: usize = 3;
/// Longest text of one value, in characters.
const MAX_CHARS: usize = 60;

/// Asks for the values of one rule.
#[derive(Debug)]
pub(in crate::policy) struct Prober<'a> {
    pub(in crate::policy) interpreter: &'a Interpreter,
    pub(in crate::policy) module: &'a Module,
    pub(in crate::policy) rule: &'a Rule,
    /// Time for each part.
    pub(in crate::policy) limit: Duration,
}

impl Prober<'_> {
    /// For each of `conditions`, which are the first ones of the rule: its values as a text. Empty where
    /// there is nothing to tell, or it cannot be found out.
    pub(in crate::policy) fn values(&self, input: Option<&Value>, conditions: &[Condition]) -> Vec<String> {
        let nothing = || conditions.iter().map(|_| String::new()).collect();
        if !self.rule.one_body || conditions.is_empty() {
            return nothing();
        }
        let mut interpreter = self.interpreter.clone();
        let ready = interpreter.add_module("probe.rego", &self.text(conditions)).and_then(|_| interpreter.prepare());
        if ready.is_err() {
            return nothing();
        }
        let mut told = vec![];
        for (n, condition) in conditions.iter().enumerate() {
            let parts = condition.shape.operands.iter().enumerate().map(|(k, operand)| {
                let path = format!("{}.probe_{n}_{k}", self.module.package);
                match interpreter.session(input, self.limit).value(&path) {
                    Ok(Some(Value::Array(values))) => (operand.as_str(), values),
                    _ => (operand.as_str(), vec![]),
                }
            });
            told.push(in_words(condition, &parts.collect::<Vec<_>>()));
        }
        told
    }

    fn text(&self, conditions: &[Condition]) -> String {
        let mut text = format!("package {}\n\n", self.module.package);
        for (name, steps) in &self.module.imports {
            let _ = writeln!(text, "import {} as {name}", steps.join("."));
        }
        for (n, condition) in conditions.iter().enumerate() {
            for (k, operand) in condition.shape.operands.iter().enumerate() {
                let _ = writeln!(text, "\nprobe_{n}_{k} contains probed if {{");
                for before in conditions.iter().take(n) {
                    let _ = writeln!(text, "\t{}", before.source);
                }
                let _ = writeln!(text, "\tprobed := {operand} {}\n}}", condition.shape.with);
            }
        }
        text
    }
}

/// `12 > 10`, or `kind = "Pod"`.
fn in_words(condition: &Condition, parts: &[(&str, Vec<Value>)]) -> String {
    let shape = &condition.shape;
    if let (false, [(_, left), (_, right)]) = (shape.operator.is_empty(), parts) {
        return match (left.is_empty(), right.is_empty()) {
            (true, _) => format!("{} is undefined", shape.operands[0]),
            (_, true) => format!("{} is undefined", shape.operands[1]),
            // Each value is written out in the condition itself.
            _ if is_written_out(&shape.operands[0], left) && is_written_out(&shape.operands[1], right) => String::new(),
            _ => format!("{} {} {}", list(left), shape.operator, list(right)),
        };
    }
    let told = parts.iter().filter(|(operand, values)| !is_written_out(operand, values)).map(|(operand, values)| {
        let operand: String = operand.split_whitespace().collect::<Vec<_>>().join(" ");
        let operand: String = operand.chars().take(MAX_CHARS).collect();
        match values.is_empty() {
            true => format!("{operand} is undefined"),
            false => format!("{operand} = {}", list(values)),
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

fn is_written_out(operand: &str, values: &[Value]) -> bool {
    let [value] = values else { return false };
    let written = value.to_string();
    written == operand
}

fn list(values: &[Value]) -> String {
    let mut shown: Vec<String> = values.iter().take(MOST).map(short).collect();
    if values.len() > MOST {
        shown.push(format!("… {} in all", values.len()));
    }
    shown.join(" or ")
}

/// A value as JSON, shortened; of what is long, how much it holds.
fn short(value: &Value) -> String {
    let whole = value.to_string();
    if whole.chars().count() <= MAX_CHARS {
        return whole;
    }
    match value {
        Value::Array(items) => format!("[… {} elements]", items.len()),
        Value::Object(map) => format!("{{… {} keys}}", map.len()),
        _ => whole.chars().take(MAX_CHARS).chain(['…']).collect(),
    }
}
