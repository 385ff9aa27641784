//! Values against thresholds, then and now. Pure.

use super::split::{Comparison, Limit};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most label sets of a comparison that are told.
const ROWS: usize = 20;

/// What a part was worth at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    /// Labels and value of each element; of a scalar one without labels.
    pub elements: Vec<(Map<String, Value>, f64)>,
    /// The server has more than these.
    pub more: bool,
    /// Why there is no answer.
    pub error: Option<String>,
    /// It is a number, not a vector.
    pub scalar: bool,
}

impl Reading {
    /// Reads the `data` of a query's answer, of which at most one element more than `asked` were asked
    /// for.
    pub(super) fn of(data: &Value, asked: usize) -> Self {
        let value = |sample: &Value| sample[1].as_str().and_then(|v| v.parse::<f64>().ok());
        match data["resultType"].as_str() {
            Some("scalar") => Self {
                elements: value(&data["result"]).map(|v| (Map::new(), v)).into_iter().collect(),
                scalar: true,
                ..Self::default()
            },
            Some("vector") => {
                let result = data["result"].as_array().map_or(&[][..], Vec::as_slice);
                // Of a histogram there is no one value; that it is there counts.
                let element = |one: &Value| {
                    let labels = one["metric"].as_object().cloned().unwrap_or_default();
                    (labels, value(&one["value"]).unwrap_or(f64::NAN))
                };
                Self {
                    elements: result.iter().take(asked).map(element).collect(),
                    more: result.len() > asked,
                    ..Self::default()
                }
            }
            _ => Self::failed("the answer is neither a vector nor a number"),
        }
    }

    /// No answer, and why.
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::default() }
    }

    /// It was answered, and there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.error.is_none() && self.elements.is_empty()
    }

    /// `{count, more, scalar, low, high, error}`.
    pub(super) fn summary(&self) -> Value {
        let finite = || self.elements.iter().map(|(_, v)| *v).filter(|v| v.is_finite());
        json!({
            "count": self.elements.len(), "more": self.more, "scalar": self.scalar, "error": self.error,
            "low": finite().reduce(f64::min), "high": finite().reduce(f64::max),
        })
    }
}

/// One label set of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub labels: Map<String, Value>,
    pub value: f64,
    pub limit: f64,
    pub over: bool,
    /// Its value at the onset.
    pub then: Option<f64>,
}

/// What a comparison says of every label set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// Those over the threshold first, the farthest first; then the nearest.
    pub rows: Vec<Row>,
    /// Label sets for which it holds.
    pub over: usize,
    /// Label sets that were compared.
    pub of: usize,
    /// Values without a counterpart.
    pub alone: usize,
}

/// Compares the values of `now`; `then` is the same part at the onset.
pub(super) fn judge(comparison: &Comparison, readings: &[Reading], then: Option<&Reading>) -> Judged {
    let none = Reading::default();
    let of = |part: usize| readings.get(part).unwrap_or(&none);
    let limits: Option<BTreeMap<String, f64>> = match comparison.limit {
        Limit::Number(_) => None,
        Limit::Part(part) if of(part).scalar => None,
        Limit::Part(part) => {
            Some(of(part).elements.iter().map(|(labels, v)| (named(&comparison.key(labels)), *v)).collect())
        }
    };
    let limit_of = |labels: &Map<String, Value>| match (&limits, comparison.limit) {
        (Some(limits), _) => limits.get(&named(&comparison.key(labels))).copied(),
        (None, Limit::Number(limit)) => Some(limit),
        (None, Limit::Part(part)) => of(part).elements.first().map(|(_, v)| *v),
    };
    let before: BTreeMap<String, f64> =
        then.into_iter().flat_map(|r| &r.elements).map(|(labels, v)| (named(labels), *v)).collect();
    let mut alone = 0;
    let mut rows: Vec<Row> = Vec::new();
    for (labels, value) in &of(comparison.value).elements {
        let Some(limit) = limit_of(labels) else {
            alone += 1;
            continue;
        };
        let over = comparison.holds(*value, limit);
        rows.push(Row {
            labels: labels.clone(),
            value: *value,
            limit,
            over,
            then: before.get(&named(labels)).copied(),
        });
    }
    let (over, of) = (rows.iter().filter(|row| row.over).count(), rows.len());
    let distance = |row: &Row| (row.value - row.limit).abs();
    rows.sort_by(|a, b| {
        let order = distance(a).total_cmp(&distance(b));
        b.over.cmp(&a.over).then(if a.over { order.reverse() } else { order })
    });
    rows.truncate(ROWS);
    Judged { rows, over, of, alone }
}

fn named(labels: &Map<String, Value>) -> String {
    // Keys are sorted: the same labels are the same text.
    let sorted: BTreeMap<&String, &Value> = labels.iter().collect();
    serde_json::to_string(&sorted).unwrap_or_default()
}

/// Since when each series of a matrix is there without a gap up to `end_s`, the earliest first; whether
/// that is only where the window begins; and else when one was there last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Course {
    /// It holds since then.
    Since(f64),
    /// It holds since before the window.
    Before(f64),
    /// It held last then.
    Until(f64),
    /// It never held in the window.
    Never,
}

/// How the samples of a matrix went, from `start_s` to `end_s` each `step_s`.
pub(super) fn course(matrix: &Value, start_s: f64, end_s: f64, step_s: f64) -> Course {
    let gap = 1.5 * step_s;
    let (mut since, mut last): (Option<f64>, Option<f64>) = (None, None);
    for series in matrix["result"].as_array().into_iter().flatten() {
        let times: Vec<f64> =
            series["values"].as_array().into_iter().flatten().filter_map(|sample| sample[0].as_f64()).collect();
        let Some(newest) = times.last().copied() else { continue };
        last = Some(last.map_or(newest, |known: f64| known.max(newest)));
        if newest < end_s - gap {
            continue;
        }
        let mut first = newest;
        for at in times.iter().rev() {
            if first - at > gap {
                break;
            }
            first = *at;
        }
        since = Some(since.map_or(first, |known: f64| known.min(first)));
    }
    match (since, last) {
        (Some(first), _) if first <= start_s + gap => Course::Before(first),
        (Some(first), _) => Course::Since(first),
        (None, Some(last)) => Course::Until(last),
        (None, None) => Course::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::Parts;
    use super::*;
    use promql_parser::parser::parse;

    fn vector(elements: &[(&str, f64)]) -> Reading {
        let element = |(pod, value): &(&str, f64)| json!({"metric": {"__name__": "m", "pod": pod}, "value": [1, value.to_string()]});
        let result: Vec<Value> = elements.iter().map(element).collect();
        Reading::of(&json!({"resultType": "vector", "result": result}), 100)
    }

    fn judged(query: &str, readings: &[Reading], then: Option<&Reading>) -> Judged {
        judge(&Parts::of(&parse(query).unwrap()).comparisons[0], readings, then)
    }

    #[test]
    fn what_is_over_comes_first_with_its_distance_and_its_past() {
        let now = vector(&[("a", 40.0), ("b", 93.0), ("c", 77.0), ("d", 70.0)]);
        let then = vector(&[("b", 75.5)]);
        let found = judged("m > 75", &[vector(&[]), now], Some(&then));
        let order: Vec<(&str, bool, f64, Option<f64>)> =
            found.rows.iter().map(|r| (r.labels["pod"].as_str().unwrap(), r.over, r.value - r.limit, r.then)).collect();
        assert_eq!(
            order,
            [
                ("b", true, 18.0, Some(75.5)),
                ("c", true, 2.0, None),
                ("d", false, -5.0, None),
                ("a", false, -35.0, None)
            ]
        );
        assert_eq!((found.over, found.of, found.alone), (2, 4, 0));
        let many: Vec<(String, f64)> = (0..50).map(|n| (format!("p{n}"), f64::from(n))).collect();
        let many = vector(&many.iter().map(|(p, v)| (p.as_str(), *v)).collect::<Vec<_>>());
        let found = judged("m < 45", &[vector(&[]), many], None);
        assert_eq!((found.rows.len(), found.over, found.of, found.rows[0].value), (ROWS, 45, 50, 0.0));
    }

    #[test]
    fn a_limit_may_be_a_vector_or_a_number_of_the_server() {
        let (now, limits) = (vector(&[("a", 4.0), ("b", 9.0), ("c", 1.0)]), vector(&[("a", 3.0), ("b", 10.0)]));
        let found = judged("m > l", &[vector(&[]), now.clone(), limits], None);
        assert_eq!((found.over, found.of, found.alone), (1, 2, 1));
        let scalar = Reading::of(&json!({"resultType": "scalar", "result": [1, "5"]}), 9);
        assert!(scalar.scalar);
        let found = judged("m > scalar(l)", &[vector(&[]), now.clone(), scalar], None);
        assert_eq!((found.over, found.of), (1, 3));
        let found = judged("m > l", &[vector(&[]), now, Reading::failed("no")], None);
        assert_eq!((found.of, found.alone), (0, 3));
    }

    #[test]
    fn what_cannot_be_read_is_no_emptiness() {
        assert!(vector(&[]).is_empty());
        assert!(!Reading::failed("x").is_empty());
        assert!(!Reading::of(&json!({"resultType": "matrix"}), 9).is_empty());
        let two = Reading::of(&json!({"resultType": "vector", "result": [{}, {}]}), 1);
        assert_eq!((two.elements.len(), two.more), (1, true));
        assert_eq!(two.summary()["low"], Value::Null);
    }

    #[test]
    fn a_course_tells_since_when() {
        let matrix = |runs: &[&[i64]]| {
            let one = |run: &&[i64]| json!({"metric": {}, "values": run.iter().map(|at| json!([at, "1"])).collect::<Vec<_>>()});
            json!({"result": runs.iter().map(one).collect::<Vec<_>>()})
        };
        for (runs, expected) in [
            (vec![&[40, 50, 60, 100, 110, 120][..]], Course::Since(100.0)),
            (vec![&[100, 110, 120][..], &[80, 90, 100, 110, 120][..]], Course::Since(80.0)),
            (vec![&[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120][..]], Course::Before(0.0)),
            (vec![&[40, 50][..], &[70][..]], Course::Until(70.0)),
            (vec![], Course::Never),
        ] {
            assert_eq!(course(&matrix(&runs), 0.0, 120.0, 10.0), expected);
        }
    }
}
