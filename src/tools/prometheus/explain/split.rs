//! An expression taken apart at its outermost operators. Pure.

use promql_parser::parser::{self, BinModifier, BinaryExpr, Expr, LabelModifier};
use serde_json::{Map, Value};

/// Most parts, the whole among them.
const PARTS: usize = 8;
/// How many operators deep.
const DEPTH: usize = 4;

/// One part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Its place: `1` is the whole, `1.2` its second part.
    pub place: String,
    /// PromQL that the server evaluates by itself.
    pub text: String,
    /// What it is to the part that it belongs to, in words.
    pub role: String,
    /// Nothing below it was taken apart.
    pub leaf: bool,
    /// Its tree.
    pub expr: Expr,
}

/// A comparison, with what is compared on its left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    /// The part that compares, by number.
    pub part: usize,
    /// The part whose values are compared.
    pub value: usize,
    /// `>`, `<=`, `==`, …
    pub operator: &'static str,
    /// With what.
    pub limit: Limit,
    /// How elements of two vectors find each other.
    pub matching: Option<LabelModifier>,
}

/// What values are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    /// A number.
    Number(f64),
    /// What a part says, by number.
    Part(usize),
}

/// An expression and its parts, the whole first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parts {
    pub parts: Vec<Part>,
    pub comparisons: Vec<Comparison>,
}

impl Parts {
    /// Takes `expr` apart.
    pub(super) fn of(expr: &Expr) -> Self {
        let mut parts = Self::default();
        parts.add(expr, "1".to_owned(), "the whole".to_owned(), 0);
        parts
    }

    /// Adds `expr` and what it is made of; its number, unless there are too many already.
    fn add(&mut self, expr: &Expr, place: String, role: String, depth: usize) -> Option<usize> {
        let expr = unwrapped(expr);
        let text = expr.to_string();
        // What is written must be what was read: a part that the parser would not write back is left whole.
        let faithful = depth == 0 || parser::parse(&text).is_ok_and(|back| back == *expr);
        if self.parts.len() >= PARTS || !faithful {
            return None;
        }
        let number = self.parts.len();
        self.parts.push(Part { place: place.clone(), text, role, leaf: true, expr: expr.clone() });
        if depth < DEPTH {
            let before = self.parts.len();
            self.below(expr, number, &place, depth + 1);
            let taken_apart = self.parts.len() > before;
            if let Some(part) = self.parts.get_mut(number) {
                part.leaf = !taken_apart;
            }
        }
        Some(number)
    }

    /// Adds what `expr`, the part `number`, is made of.
    fn below(&mut self, expr: &Expr, number: usize, place: &str, depth: usize) {
        let at = |n: usize| format!("{place}.{n}");
        match expr {
            Expr::Binary(of) if of.op.is_comparison_operator() => self.comparison(of, number, place, depth),
            Expr::Binary(of) if of.op.is_set_operator() => {
                let [left, right] = match of.op.to_string().as_str() {
                    "and" => ["has to be there", "has to be there as well"],
                    "or" => ["this, or else the next", "where the left has nothing"],
                    _ => ["has to be there", "must not be there"],
                };
                self.add(&of.lhs, at(1), format!("left of `{}`: {left}", of.op), depth);
                self.add(&of.rhs, at(2), format!("right of `{}`: {right}", of.op), depth);
            }
            Expr::Binary(of) => match (constant(&of.lhs), constant(&of.rhs)) {
                (None, None) => {
                    self.add(&of.lhs, at(1), format!("left of `{}`", of.op), depth);
                    self.add(&of.rhs, at(2), format!("right of `{}`", of.op), depth);
                }
                // A factor changes the unit only.
                (Some(_), None) => self.below(unwrapped(&of.rhs), number, place, depth),
                (None, Some(_)) => self.below(unwrapped(&of.lhs), number, place, depth),
                (Some(_), Some(_)) => {}
            },
            Expr::Call(call) if call.func.name == "absent" => {
                if let Some(arg) = call.args.args.first() {
                    self.add(arg, at(1), "in `absent`: must not be there".to_owned(), depth);
                }
            }
            _ => {}
        }
    }

    fn comparison(&mut self, of: &BinaryExpr, number: usize, place: &str, depth: usize) {
        let Some(operator) = OPERATORS.into_iter().find(|o| *o == of.op.to_string()) else { return };
        let at = |n: usize| format!("{place}.{n}");
        let matching = of.modifier.as_ref().and_then(|modifier: &BinModifier| modifier.matching.clone());
        let role = |operator: &str, than: &str| format!("is it {operator} {than}");
        match (constant(&of.lhs), constant(&of.rhs)) {
            (None, Some(limit)) => {
                let role = role(operator, &limit.to_string());
                if let Some(value) = self.add(&of.lhs, at(1), role, depth) {
                    self.comparisons.push(Comparison {
                        part: number,
                        value,
                        operator,
                        limit: Limit::Number(limit),
                        matching,
                    });
                }
            }
            (Some(limit), None) => {
                let operator = turned(operator);
                if let Some(value) = self.add(&of.rhs, at(1), role(operator, &limit.to_string()), depth) {
                    self.comparisons.push(Comparison {
                        part: number,
                        value,
                        operator,
                        limit: Limit::Number(limit),
                        matching,
                    });
                }
            }
            (None, None) => {
                let value = self.add(&of.lhs, at(1), role(operator, &at(2)), depth);
                let limit = self.add(&of.rhs, at(2), "the limit".to_owned(), depth);
                if let (Some(value), Some(limit)) = (value, limit) {
                    self.comparisons.push(Comparison {
                        part: number,
                        value,
                        operator,
                        limit: Limit::Part(limit),
                        matching,
                    });
                }
            }
            (Some(_), Some(_)) => {}
        }
    }
}

const OPERATORS: [&str; 6] = [">=", "<=", "==", "!=", ">", "<"];

/// The operator with its sides exchanged.
fn turned(operator: &'static str) -> &'static str {
    match operator {
        ">" => "<",
        "<" => ">",
        ">=" => "<=",
        "<=" => ">=",
        same => same,
    }
}

impl Comparison {
    /// Whether the comparison holds.
    pub(super) fn holds(&self, value: f64, limit: f64) -> bool {
        match self.operator {
            ">" => value > limit,
            "<" => value < limit,
            ">=" => value >= limit,
            "<=" => value <= limit,
            "==" => value == limit,
            _ => value != limit,
        }
    }

    /// The labels by which an element finds its counterpart.
    pub(super) fn key(&self, labels: &Map<String, Value>) -> Map<String, Value> {
        let named = |name: &String, of: &[String]| of.contains(name);
        let keep = |name: &String| match &self.matching {
            Some(LabelModifier::Include(on)) => named(name, &on.labels),
            Some(LabelModifier::Exclude(ignoring)) => name != "__name__" && !named(name, &ignoring.labels),
            None => name != "__name__",
        };
        labels.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => unwrapped(&inner.expr),
        other => other,
    }
}

/// The number that `expr` is, when it is made of numbers alone.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(inner) => constant(&inner.expr),
        Expr::Unary(inner) => constant(&inner.expr).map(|value| -value),
        Expr::Binary(of) => {
            let (left, right) = (constant(&of.lhs)?, constant(&of.rhs)?);
            match of.op.to_string().as_str() {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "/" => Some(left / right),
                "%" => Some(left % right),
                "^" => Some(left.powf(right)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        Parts::of(&parser::parse(text).unwrap())
    }

    fn told(text: &str) -> Vec<String> {
        parts(text).parts.iter().map(|p| format!("{} {}", p.place, p.text)).collect()
    }

    #[test]
    fn an_expression_falls_apart_at_its_outermost_operators() {
        for (text, expected) in [
            ("up", vec!["1 up"]),
            ("up == 0", vec!["1 up == 0", "1.1 up"]),
            ("100 * a / b > 75", vec!["1 100 * a / b > 75", "1.1 100 * a / b", "1.1.1 100 * a", "1.1.2 b"]),
            ("(a / b) * 100 > 75", vec!["1 (a / b) * 100 > 75", "1.1 (a / b) * 100", "1.1.1 a", "1.1.2 b"]),
            ("0 < a", vec!["1 0 < a", "1.1 a"]),
            ("a > 60 * 60", vec!["1 a > 60 * 60", "1.1 a"]),
            ("a > b", vec!["1 a > b", "1.1 a", "1.2 b"]),
            (
                "a > 1 and on (x) b == 0",
                vec!["1 a > 1 and on (x) b == 0", "1.1 a > 1", "1.1.1 a", "1.2 b == 0", "1.2.1 b"],
            ),
            ("a unless (b or c)", vec!["1 a unless (b or c)", "1.1 a", "1.2 b or c", "1.2.1 b", "1.2.2 c"]),
            ("absent(up{job=\"x\"})", vec!["1 absent(up{job=\"x\"})", "1.1 up{job=\"x\"}"]),
            (
                "sum(rate(a[5m])) / sum(rate(b[5m])) > 0.05",
                vec![
                    "1 sum(rate(a[5m])) / sum(rate(b[5m])) > 0.05",
                    "1.1 sum(rate(a[5m])) / sum(rate(b[5m]))",
                    "1.1.1 sum(rate(a[5m]))",
                    "1.1.2 sum(rate(b[5m]))",
                ],
            ),
            ("time() - a > 3600", vec!["1 time() - a > 3600", "1.1 time() - a", "1.1.1 time()", "1.1.2 a"]),
            ("count(x == 1) > 2", vec!["1 count(x == 1) > 2", "1.1 count(x == 1)"]),
            ("vector(1)", vec!["1 vector(1)"]),
            ("1 > bool 2", vec!["1 1 > bool 2"]),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn comparisons_stand_with_their_values_on_the_left() {
        for (text, operator, limit) in [
            ("a > 75", ">", Limit::Number(75.0)),
            ("0.5 >= a", "<=", Limit::Number(0.5)),
            ("a != bool -2", "!=", Limit::Number(-2.0)),
            ("a < b", "<", Limit::Part(2)),
            ("a > (2 ^ 3 + 1)", ">", Limit::Number(9.0)),
        ] {
            let found = parts(text).comparisons;
            assert_eq!((found.len(), found[0].operator, found[0].limit), (1, operator, limit), "{text}");
            assert_eq!((found[0].part, found[0].value), (0, 1));
        }
        let deep = parts("a > 1 and (b < 2 or c == 3)").comparisons;
        let places: Vec<(usize, usize)> = deep.iter().map(|c| (c.part, c.value)).collect();
        assert_eq!(places, [(1, 2), (4, 5), (6, 7)]);
        assert!(deep[0].holds(2.0, 1.0) && !deep[0].holds(1.0, 1.0) && !deep[1].holds(f64::NAN, 2.0));
    }

    #[test]
    fn elements_find_each_other_by_the_labels_that_match() {
        let labels = serde_json::json!({"__name__": "m", "pod": "a", "node": "n"});
        let labels = labels.as_object().unwrap();
        for (text, keys) in
            [("a > b", vec!["node", "pod"]), ("a > on (pod) b", vec!["pod"]), ("a > ignoring (pod) b", vec!["node"])]
        {
            let key = parts(text).comparisons[0].key(labels);
            let mut found: Vec<&String> = key.keys().collect();
            found.sort();
            assert_eq!(found, keys, "{text}");
        }
    }

    #[test]
    fn however_long_there_are_few_parts() {
        let long = vec!["a > 1"; 60].join(" and ");
        assert_eq!(parts(&long).parts.len(), PARTS);
        let deep = format!("{}a{} > 1", "(b / ".repeat(40), ")".repeat(40));
        assert!(parts(&deep).parts.len() <= PARTS);
    }

    proptest::proptest! {
        #[test]
        fn every_part_is_an_expression_by_itself(a in "[a-c]", op in "(and|or|unless|>|<|==|/|\\*|-)", b in "(x\\{y=\"[a\\\\\\\\]{0,2}\"\\}|2|sum by \\(q\\) \\(z\\)|-w)", c in "( > 1| and c| / 3)?") {
            if let Ok(expr) = parser::parse(&format!("{a} {op} {b}{c}")) {
                for part in Parts::of(&expr).parts {
                    proptest::prop_assert_eq!(parser::parse(&part.text).map_err(|e| format!("{e}: {}", part.text)), Ok(part.expr));
                }
            }
        }
    }
}
