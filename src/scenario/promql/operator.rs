//! Binary operators and how the elements of two vectors find each other.

use super::{Evaluated, Moment, QueryError, Value, unsupported, value::Point};
use crate::scenario::series::Labels;
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};
use std::collections::{BTreeMap, BTreeSet};

/// What an operator does with two numbers.
enum Outcome {
    /// Arithmetic: the new value.
    Number(f64),
    /// A comparison that holds or not.
    Holds(bool),
}

fn apply(operator: &str, a: f64, b: f64) -> Option<Outcome> {
    Some(match operator {
        "+" => Outcome::Number(a + b),
        "-" => Outcome::Number(a - b),
        "*" => Outcome::Number(a * b),
        "/" => Outcome::Number(a / b),
        "%" => Outcome::Number(a % b),
        "^" => Outcome::Number(a.powf(b)),
        "atan2" => Outcome::Number(a.atan2(b)),
        "==" => Outcome::Holds(a == b),
        "!=" => Outcome::Holds(a != b),
        ">" => Outcome::Holds(a > b),
        "<" => Outcome::Holds(a < b),
        ">=" => Outcome::Holds(a >= b),
        "<=" => Outcome::Holds(a <= b),
        _ => return None,
    })
}

fn as_number(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

impl Moment<'_> {
    pub(super) fn binary(&self, expr: &BinaryExpr, depth: usize) -> Evaluated<Value> {
        let operator = expr.op.to_string();
        let (left, right) = (self.evaluate(&expr.lhs, depth)?, self.evaluate(&expr.rhs, depth)?);
        let unknown = || unsupported(&format!("the operator `{operator}`"));
        if expr.modifier.as_ref().is_some_and(|m| m.fill_values.lhs.is_some() || m.fill_values.rhs.is_some()) {
            return Err(unsupported("fill modifiers"));
        }
        match (left, right) {
            (Value::Scalar(a), Value::Scalar(b)) => match apply(&operator, a, b).ok_or_else(unknown)? {
                Outcome::Number(value) => Ok(Value::Scalar(value)),
                Outcome::Holds(holds) => Ok(Value::Scalar(as_number(holds))),
            },
            (Value::Vector(points), Value::Scalar(b)) => {
                with_scalar(points, expr, |value| apply(&operator, value, b).ok_or_else(unknown))
            }
            (Value::Scalar(a), Value::Vector(points)) => {
                with_scalar(points, expr, |value| apply(&operator, a, value).ok_or_else(unknown))
            }
            (Value::Vector(left), Value::Vector(right)) => {
                let plain = BinModifier::default();
                let modifier = expr.modifier.as_ref().unwrap_or(&plain);
                match operator.as_str() {
                    "and" | "or" | "unless" => Ok(Value::Vector(sets(&operator, left, right, modifier))),
                    _ => matched(&operator, left, right, modifier).map(Value::Vector),
                }
            }
            (left, right) => Err(QueryError::Execution(format!(
                "operator {operator} is not defined between {} and {}",
                left.type_name(),
                right.type_name()
            ))),
        }
    }
}

fn with_scalar(points: Vec<Point>, expr: &BinaryExpr, outcome: impl Fn(f64) -> Evaluated<Outcome>) -> Evaluated<Value> {
    let mut result = Vec::new();
    for point in points {
        match outcome(point.value)? {
            Outcome::Number(value) => result.push(point.unnamed(|_| value)),
            Outcome::Holds(holds) if expr.return_bool() => result.push(point.unnamed(|_| as_number(holds))),
            Outcome::Holds(true) => result.push(point),
            Outcome::Holds(false) => {}
        }
    }
    Ok(Value::Vector(result))
}

/// The labels by which two elements belong together.
fn signature(labels: &Labels, modifier: &BinModifier) -> Labels {
    let keep = |name: &str| match &modifier.matching {
        Some(LabelModifier::Include(on)) => on.labels.iter().any(|l| l == name),
        Some(LabelModifier::Exclude(ignoring)) => name != "__name__" && !ignoring.labels.iter().any(|l| l == name),
        None => name != "__name__",
    };
    labels.iter().filter(|(name, _)| keep(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn sets(operator: &str, left: Vec<Point>, right: Vec<Point>, modifier: &BinModifier) -> Vec<Point> {
    let keys =
        |points: &[Point]| -> BTreeSet<Labels> { points.iter().map(|p| signature(&p.labels, modifier)).collect() };
    match operator {
        "and" => {
            let there = keys(&right);
            left.into_iter().filter(|p| there.contains(&signature(&p.labels, modifier))).collect()
        }
        "unless" => {
            let there = keys(&right);
            left.into_iter().filter(|p| !there.contains(&signature(&p.labels, modifier))).collect()
        }
        _ => {
            let there = keys(&left);
            let more = right.into_iter().filter(|p| !there.contains(&signature(&p.labels, modifier)));
            left.into_iter().chain(more).collect()
        }
    }
}

/// Matches the elements of two vectors one to one, or many to one with `group_left`/`group_right`.
fn matched(operator: &str, left: Vec<Point>, right: Vec<Point>, modifier: &BinModifier) -> Evaluated<Vec<Point>> {
    // With group_right the "one" side is on the left; swapping keeps a single path below.
    let swapped = matches!(modifier.card, VectorMatchCardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let one_to_one = matches!(modifier.card, VectorMatchCardinality::OneToOne);
    let mut index: BTreeMap<Labels, Point> = BTreeMap::new();
    for point in one {
        let key = signature(&point.labels, modifier);
        if let Some(other) = index.get(&key) {
            let side = if swapped { "left" } else { "right" };
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                shown(&key),
                shown(&point.labels),
                shown(&other.labels),
            )));
        }
        index.insert(key, point);
    }
    let mut used: BTreeSet<Labels> = BTreeSet::new();
    let mut result = Vec::new();
    for point in many {
        let key = signature(&point.labels, modifier);
        let Some(partner) = index.get(&key) else { continue };
        if one_to_one && !used.insert(key) {
            return Err(QueryError::Execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".into(),
            ));
        }
        let (a, b) = if swapped { (partner.value, point.value) } else { (point.value, partner.value) };
        let outcome = apply(operator, a, b).ok_or_else(|| unsupported(&format!("the operator `{operator}`")))?;
        let (value, keeps_name) = match outcome {
            Outcome::Number(value) => (value, false),
            Outcome::Holds(holds) if modifier.return_bool => (as_number(holds), false),
            // A filter passes on what stood on the left.
            Outcome::Holds(true) => (a, true),
            Outcome::Holds(false) => continue,
        };
        let labels = result_labels(point.labels, partner, modifier, keeps_name);
        result.push(Point { labels, value });
    }
    Ok(result)
}

fn result_labels(mut labels: Labels, partner: &Point, modifier: &BinModifier, keeps_name: bool) -> Labels {
    if !keeps_name {
        labels.remove("__name__");
    }
    match &modifier.card {
        VectorMatchCardinality::OneToOne => match &modifier.matching {
            Some(LabelModifier::Include(on)) => labels.retain(|name, _| on.labels.contains(name)),
            Some(LabelModifier::Exclude(ignoring)) => labels.retain(|name, _| !ignoring.labels.contains(name)),
            None => {}
        },
        VectorMatchCardinality::ManyToOne(include) | VectorMatchCardinality::OneToMany(include) => {
            for name in &include.labels {
                match partner.labels.get(name) {
                    Some(value) => labels.insert(name.clone(), value.clone()),
                    None => labels.remove(name),
                };
            }
        }
        VectorMatchCardinality::ManyToMany => {}
    }
    labels
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
