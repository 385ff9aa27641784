//! PromQL over recorded samples, with the semantics of Prometheus 3 (windows are open on the left).
//!
//! `promql-parser` turns the text into a tree and checks its types; here the tree is evaluated at one
//! moment. What is left out says so: subqueries, native histograms and a few rare functions are
//! execution errors that name what is not supported.
//!
//! | file | idea |
//! |---|---|
//! | `value` | what an expression is worth |
//! | `select` | matchers, look-back, `offset` and `@` |
//! | `range` | functions of a window: rate, deriv, …_over_time |
//! | `function` | functions of an instant |
//! | `aggregate` | sum by, topk, … |
//! | `operator` | arithmetic, comparison, sets, vector matching |

mod aggregate;
mod function;
mod operator;
mod range;
mod select;
mod value;

#[cfg(test)]
mod tests;

use super::series::{Labels, Sample, Series};
use promql_parser::parser::{self, Expr, VectorSelector};
pub(crate) use select::matches_all;
use std::{cell::Cell, collections::BTreeMap};
pub(crate) use value::{Point, Value, number};

/// Samples that one query may look at; Prometheus has such a limit as well.
const MAX_SAMPLES: u64 = 50_000_000;
/// Expressions nest at most this deep.
const MAX_DEPTH: usize = 64;
/// Prometheus' own limit of a range query.
pub(crate) const MAX_STEPS: i64 = 11_000;

/// Why a query has no answer; the variants are Prometheus' `errorType`s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// The text is no expression.
    #[error("{0}")]
    BadData(String),
    /// The expression cannot be evaluated.
    #[error("{0}")]
    Execution(String),
}

pub(crate) type Evaluated<T> = Result<T, QueryError>;

/// A query that parsed.
#[derive(Debug, Clone)]
pub(crate) struct Query(Expr);

/// Where and when an expression is evaluated.
#[derive(Debug)]
struct Moment<'s> {
    series: &'s [Series],
    at_ms: i64,
    /// Bounds of the whole query, for `@ start()` and `@ end()`.
    start_ms: i64,
    end_ms: i64,
    looked_at: &'s Cell<u64>,
}

impl Query {
    /// Parses and type-checks.
    pub(crate) fn parse(text: &str) -> Evaluated<Self> {
        if text.trim().is_empty() {
            return Err(QueryError::BadData("unknown position: parse error: no expression found in input".into()));
        }
        let expr = parser::parse(text).map_err(|e| QueryError::BadData(format!("parse error: {e}")))?;
        Ok(Self(expr))
    }

    /// The expression in its canonical form.
    pub(crate) fn canonical(&self) -> String {
        self.0.to_string()
    }

    /// Every selector in it.
    pub(crate) fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        let mut waiting = vec![&self.0];
        while let Some(expr) = waiting.pop() {
            match expr {
                Expr::VectorSelector(selector) => found.push(selector),
                Expr::MatrixSelector(matrix) => found.push(&matrix.vs),
                Expr::Paren(inner) => waiting.push(&inner.expr),
                Expr::Unary(inner) => waiting.push(&inner.expr),
                Expr::Subquery(inner) => waiting.push(&inner.expr),
                Expr::Aggregate(of) => waiting.extend(std::iter::once(&*of.expr).chain(of.param.as_deref())),
                Expr::Binary(of) => waiting.extend([&*of.lhs, &*of.rhs]),
                Expr::Call(call) => waiting.extend(call.args.args.iter().map(|arg| &**arg)),
                Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
            }
        }
        found
    }

    /// The value at one moment (Unix milliseconds).
    pub(crate) fn instant(&self, series: &[Series], at_ms: i64) -> Evaluated<Value> {
        let looked_at = Cell::new(0);
        Moment { series, at_ms, start_ms: at_ms, end_ms: at_ms, looked_at: &looked_at }.evaluate(&self.0, 0)
    }

    /// The values from `start_ms` to `end_ms`, one each `step_ms`: rows of labels and samples.
    pub(crate) fn range(
        &self,
        series: &[Series],
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Evaluated<Vec<(Labels, Vec<Sample>)>> {
        let looked_at = Cell::new(0);
        let mut rows: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        let mut at_ms = start_ms;
        while at_ms <= end_ms {
            match (Moment { series, at_ms, start_ms, end_ms, looked_at: &looked_at }).evaluate(&self.0, 0)? {
                Value::Scalar(value) => rows.entry(Labels::new()).or_default().push(Sample { at_ms, value }),
                Value::Vector(points) => {
                    for point in points {
                        rows.entry(point.labels).or_default().push(Sample { at_ms, value: point.value });
                    }
                }
                other @ (Value::Matrix(_) | Value::Text(_)) => {
                    return Err(QueryError::BadData(format!(
                        "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                        other.type_name()
                    )));
                }
            }
            at_ms += step_ms;
        }
        Ok(rows.into_iter().collect())
    }
}

impl Moment<'_> {
    fn evaluate(&self, expr: &Expr, depth: usize) -> Evaluated<Value> {
        if depth > MAX_DEPTH {
            return Err(QueryError::Execution(format!("expression is nested deeper than {MAX_DEPTH} levels")));
        }
        let depth = depth + 1;
        match expr {
            Expr::NumberLiteral(literal) => Ok(Value::Scalar(literal.val)),
            Expr::StringLiteral(literal) => Ok(Value::Text(literal.val.clone())),
            Expr::Paren(inner) => self.evaluate(&inner.expr, depth),
            Expr::Unary(unary) => Ok(match self.evaluate(&unary.expr, depth)? {
                Value::Scalar(value) => Value::Scalar(-value),
                other => Value::Vector(other.into_vector()?.into_iter().map(|p| p.unnamed(|v| -v)).collect()),
            }),
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(selector) => self.select_range(selector),
            Expr::Call(call) => self.call(call, depth),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, depth),
            Expr::Binary(binary) => self.binary(binary, depth),
            Expr::Subquery(_) => Err(unsupported("a subquery, `expr[range:step]`")),
            Expr::Extension(_) => Err(unsupported("an extension of the language")),
        }
    }

    /// Counts the samples that were looked at.
    fn look(&self, samples: usize) -> Evaluated<()> {
        let total = self.looked_at.get().saturating_add(samples as u64 + 1);
        self.looked_at.set(total);
        if total > MAX_SAMPLES {
            return Err(QueryError::Execution(
                "query processing would load too many samples into memory in query execution".into(),
            ));
        }
        Ok(())
    }
}

fn unsupported(what: &str) -> QueryError {
    QueryError::Execution(format!("this recorded world does not evaluate {what}"))
}
