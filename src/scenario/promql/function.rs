//! Functions of an instant vector, a scalar or a text; range functions are handed on.

use super::{
    Evaluated, Moment, QueryError, Value, range, unsupported,
    value::{Point, Row},
};
use crate::scenario::series::Labels;
use promql_parser::{
    label::MatchOp,
    parser::{Call, Expr, VectorSelector},
};
use std::collections::BTreeMap;

impl Moment<'_> {
    pub(super) fn call(&self, call: &Call, depth: usize) -> Evaluated<Value> {
        let name = call.func.name;
        let argument = |at: usize| -> Evaluated<Option<Value>> {
            call.args.args.get(at).map(|expr| self.evaluate(expr, depth)).transpose()
        };
        let needed = |at: usize| -> Evaluated<Value> {
            argument(at)?.ok_or_else(|| QueryError::Execution(format!("argument {} of {name} is missing", at + 1)))
        };
        let scalar = |at: usize| needed(at).and_then(Value::into_scalar);
        let text = |at: usize| needed(at).and_then(Value::into_text);
        let vector = |at: usize| needed(at).and_then(Value::into_vector);
        let each = |change: &dyn Fn(f64) -> f64| -> Evaluated<Value> {
            Ok(Value::Vector(vector(0)?.into_iter().map(|p| p.unnamed(change)).collect()))
        };

        if range::known(name) {
            let (rows, parameter) = match name {
                "quantile_over_time" => (needed(1)?.into_rows()?, scalar(0)?),
                "predict_linear" => (needed(0)?.into_rows()?, scalar(1)?),
                _ => (needed(0)?.into_rows()?, 0.0),
            };
            return match range::over(name, rows, parameter, self.at_ms) {
                Some(points) => points.map(Value::Vector),
                None => Ok(Value::Vector(Vec::new())),
            };
        }
        match name {
            "time" => Ok(Value::Scalar(self.at_ms as f64 / 1e3)),
            "pi" => Ok(Value::Scalar(std::f64::consts::PI)),
            "scalar" => Ok(Value::Scalar(match vector(0)?.as_slice() {
                [only] => only.value,
                _ => f64::NAN,
            })),
            "vector" => Ok(Value::Vector(vec![Point { labels: Labels::new(), value: scalar(0)? }])),
            "abs" => each(&f64::abs),
            "ceil" => each(&f64::ceil),
            "floor" => each(&f64::floor),
            "exp" => each(&f64::exp),
            "sqrt" => each(&f64::sqrt),
            "ln" => each(&f64::ln),
            "log2" => each(&f64::log2),
            "log10" => each(&f64::log10),
            "sgn" => each(&|v| {
                if v > 0.0 {
                    1.0
                } else if v < 0.0 {
                    -1.0
                } else {
                    v
                }
            }),
            "round" => {
                let to = if call.args.args.len() > 1 { scalar(1)? } else { 1.0 };
                // As in Prometheus: halves go up, also below zero.
                each(&|v| (v * (1.0 / to) + 0.5).floor() / (1.0 / to))
            }
            "clamp" => {
                let (low, high) = (scalar(1)?, scalar(2)?);
                if high < low {
                    return Ok(Value::Vector(Vec::new()));
                }
                each(&|v| v.max(low).min(high))
            }
            "clamp_min" => scalar(1).and_then(|low| each(&|v| v.max(low))),
            "clamp_max" => scalar(1).and_then(|high| each(&|v| v.min(high))),
            "sort" => Ok(Value::Vector(sorted(vector(0)?, |a, b| a.value.total_cmp(&b.value)))),
            "sort_desc" => Ok(Value::Vector(sorted(vector(0)?, |a, b| b.value.total_cmp(&a.value)))),
            "timestamp" => Ok(Value::Vector(match call.args.args.first().map(|e| unwrapped(e)) {
                Some(Expr::VectorSelector(selector)) => self.select_times(selector)?,
                _ => vector(0)?.into_iter().map(|p| p.unnamed(|_| self.at_ms as f64 / 1e3)).collect(),
            })),
            "absent" => {
                let labels = call.args.args.first().map(|e| absent_labels(e)).unwrap_or_default();
                Ok(Value::Vector(present(vector(0)?.is_empty(), labels)))
            }
            "absent_over_time" => {
                let labels = call.args.args.first().map(|e| absent_labels(e)).unwrap_or_default();
                Ok(Value::Vector(present(needed(0)?.into_rows()?.iter().all(|r: &Row| r.samples.is_empty()), labels)))
            }
            "label_replace" => label_replace(vector(0)?, &text(1)?, &text(2)?, &text(3)?, &text(4)?),
            "label_join" => {
                let (to, separator) = (text(1)?, text(2)?);
                let from = (3..call.args.args.len()).map(text).collect::<Evaluated<Vec<_>>>()?;
                Ok(Value::Vector(
                    vector(0)?
                        .into_iter()
                        .map(|mut point| {
                            let parts: Vec<&str> =
                                from.iter().map(|l| point.labels.get(l).map_or("", String::as_str)).collect();
                            let joined = parts.join(&separator);
                            set(&mut point.labels, &to, joined);
                            point
                        })
                        .collect(),
                ))
            }
            "histogram_quantile" => Ok(Value::Vector(histogram_quantile(scalar(0)?, vector(1)?))),
            other => Err(unsupported(&format!("the function `{other}`"))),
        }
    }
}

fn sorted(mut points: Vec<Point>, order: impl Fn(&Point, &Point) -> std::cmp::Ordering) -> Vec<Point> {
    points.sort_by(order);
    points
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => unwrapped(&inner.expr),
        other => other,
    }
}

fn present(is_absent: bool, labels: Labels) -> Vec<Point> {
    if is_absent { vec![Point { labels, value: 1.0 }] } else { Vec::new() }
}

/// The labels that an absent series would have had: those that its selector fixes.
fn absent_labels(expr: &Expr) -> Labels {
    let of = |selector: &VectorSelector| {
        let mut labels = Labels::new();
        let mut twice = Vec::new();
        for matcher in selector.matchers.matchers.iter().filter(|m| m.name != "__name__") {
            match matcher.op {
                MatchOp::Equal if !labels.contains_key(&matcher.name) => {
                    labels.insert(matcher.name.clone(), matcher.value.clone());
                }
                _ => twice.push(matcher.name.clone()),
            }
        }
        labels.retain(|name, value| !twice.contains(name) && !value.is_empty());
        labels
    };
    match unwrapped(expr) {
        Expr::VectorSelector(selector) => of(selector),
        Expr::MatrixSelector(selector) => of(&selector.vs),
        _ => Labels::new(),
    }
}

fn set(labels: &mut Labels, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else {
        labels.insert(name.to_owned(), value);
    }
}

fn label_replace(points: Vec<Point>, to: &str, replacement: &str, from: &str, pattern: &str) -> Evaluated<Value> {
    let pattern = regex::Regex::new(&format!("^(?s:{pattern})$"))
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    let changed = points.into_iter().map(|mut point| {
        let source = point.labels.get(from).cloned().unwrap_or_default();
        if let Some(found) = pattern.captures(&source) {
            let mut value = String::new();
            found.expand(replacement, &mut value);
            set(&mut point.labels, to, value);
        }
        point
    });
    Ok(Value::Vector(changed.collect()))
}

/// The quantile of classic histograms: linear within the bucket that holds its rank.
fn histogram_quantile(q: f64, points: Vec<Point>) -> Vec<Point> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for mut point in points {
        point.labels.remove("__name__");
        let Some(edge) = point.labels.remove("le").and_then(|le| match le.as_str() {
            "+Inf" => Some(f64::INFINITY),
            le => le.parse().ok(),
        }) else {
            continue;
        };
        histograms.entry(point.labels).or_default().push((edge, point.value));
    }
    histograms
        .into_iter()
        .map(|(labels, mut buckets)| {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            Point { labels, value: bucket_quantile(q, &buckets) }
        })
        .collect()
}

fn bucket_quantile(q: f64, buckets: &[(f64, f64)]) -> f64 {
    let Some((last, finite)) = buckets.split_last() else { return f64::NAN };
    if q.is_nan() || last.0 != f64::INFINITY || finite.is_empty() || last.1 == 0.0 || last.1.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = q * last.1;
    let at = finite.partition_point(|(_, count)| *count < rank);
    let Some((edge, count)) = finite.get(at) else {
        return finite.last().map_or(f64::NAN, |(edge, _)| *edge);
    };
    let (lower, below) = match at.checked_sub(1).and_then(|i| finite.get(i)) {
        Some((edge, count)) => (*edge, *count),
        None if *edge <= 0.0 => return *edge,
        None => (0.0, 0.0),
    };
    lower + (edge - lower) * ((rank - below) / (count - below))
}
