//! Functions of a range vector.

use super::{
    Evaluated,
    value::{Point, Row},
};
use crate::scenario::series::Sample;

/// The function's value for one row, or none if its samples do not suffice. `parameter` is the
/// scalar argument of the two functions that have one.
pub(super) fn apply(name: &str, row: &Row, parameter: f64, at_ms: i64) -> Option<Option<f64>> {
    let samples = row.samples.as_slice();
    let values = || samples.iter().map(|s| s.value);
    let count = samples.len() as f64;
    Some(match name {
        "rate" => extrapolated(row, Counter::Yes).map(|grown| grown / seconds(row.until_ms - row.after_ms)),
        "increase" => extrapolated(row, Counter::Yes),
        "delta" => extrapolated(row, Counter::No),
        "irate" => last_two(samples).map(|(a, b)| {
            let grown = if b.value < a.value { b.value } else { b.value - a.value };
            grown / seconds(b.at_ms - a.at_ms)
        }),
        "idelta" => last_two(samples).map(|(a, b)| b.value - a.value),
        "deriv" => samples.first().and_then(|first| regression(samples, first.at_ms)).map(|(slope, _)| slope),
        "predict_linear" => regression(samples, at_ms).map(|(slope, intercept)| slope * parameter + intercept),
        "changes" => Some(pairs(samples).filter(|(a, b)| differ(a.value, b.value)).count() as f64),
        "resets" => Some(pairs(samples).filter(|(a, b)| b.value < a.value).count() as f64),
        "avg_over_time" => Some(values().sum::<f64>() / count),
        "sum_over_time" => Some(values().sum()),
        "count_over_time" => Some(count),
        "min_over_time" => values().reduce(f64::min),
        "max_over_time" => values().reduce(f64::max),
        "last_over_time" => samples.last().map(|s| s.value),
        "first_over_time" => samples.first().map(|s| s.value),
        "present_over_time" => Some(1.0),
        "stdvar_over_time" => Some(variance(values(), count)),
        "stddev_over_time" => Some(variance(values(), count).sqrt()),
        "quantile_over_time" => Some(quantile(parameter, values().collect())),
        _ => return None,
    })
}

/// Applies a function to every row; `None` if there is no such function.
pub(super) fn over(name: &str, rows: Vec<Row>, parameter: f64, at_ms: i64) -> Option<Evaluated<Vec<Point>>> {
    let keeps_name = matches!(name, "last_over_time" | "first_over_time");
    let mut points = Vec::new();
    for row in rows {
        if let Some(value) = apply(name, &row, parameter, at_ms)? {
            let point = Point { labels: row.labels, value };
            points.push(if keeps_name { point } else { point.unnamed(|v| v) });
        }
    }
    Some(Ok(points))
}

/// Whether the name is one of the functions above.
pub(super) fn known(name: &str) -> bool {
    let row = Row { labels: Default::default(), samples: Vec::new(), after_ms: 0, until_ms: 0 };
    apply(name, &row, 0.0, 0).is_some()
}

#[derive(Clone, Copy, PartialEq)]
enum Counter {
    Yes,
    No,
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// How much a series grew in its window. The window is seldom full to its edges, so the growth
/// between first and last sample is stretched: to the edge if a sample is near it, else by half the
/// mean distance of samples; a counter never to before its zero.
fn extrapolated(row: &Row, counter: Counter) -> Option<f64> {
    let (first, last) = (row.samples.first()?, row.samples.last()?);
    if row.samples.len() < 2 || last.at_ms == first.at_ms {
        return None;
    }
    let mut grown = last.value - first.value;
    if counter == Counter::Yes {
        grown += pairs(&row.samples).filter(|(a, b)| b.value < a.value).map(|(a, _)| a.value).sum::<f64>();
    }
    let sampled = seconds(last.at_ms - first.at_ms);
    let mean_distance = sampled / (row.samples.len() - 1) as f64;
    let near = mean_distance * 1.1;
    let mut before = seconds(first.at_ms - row.after_ms);
    let mut after = seconds(row.until_ms - last.at_ms);
    if before >= near {
        before = mean_distance / 2.0;
    }
    if counter == Counter::Yes && grown > 0.0 && first.value >= 0.0 {
        before = before.min(sampled * (first.value / grown));
    }
    if after >= near {
        after = mean_distance / 2.0;
    }
    Some(grown * (sampled + before + after) / sampled)
}

/// Least squares: slope per second, and the value at `origin_ms`.
fn regression(samples: &[Sample], origin_ms: i64) -> Option<(f64, f64)> {
    let first = samples.first()?;
    if samples.len() < 2 {
        return None;
    }
    if samples.iter().all(|s| s.value == first.value) {
        return first.value.is_finite().then_some((0.0, first.value));
    }
    // Around the first sample the sums stay small; the intercept is moved to the origin at the end.
    let n = samples.len() as f64;
    let (mut sx, mut sy, mut sxy, mut sxx) = (0.0, 0.0, 0.0, 0.0);
    for sample in samples {
        let (x, y) = (seconds(sample.at_ms - first.at_ms), sample.value - first.value);
        sx += x;
        sy += y;
        sxy += x * y;
        sxx += x * x;
    }
    let slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    let at_first = first.value + (sy - slope * sx) / n;
    Some((slope, at_first + slope * seconds(origin_ms - first.at_ms)))
}

fn pairs(samples: &[Sample]) -> impl Iterator<Item = (&Sample, &Sample)> {
    samples.iter().zip(samples.iter().skip(1))
}

fn last_two(samples: &[Sample]) -> Option<(&Sample, &Sample)> {
    match samples {
        [.., a, b] if b.at_ms > a.at_ms => Some((a, b)),
        _ => None,
    }
}

fn differ(a: f64, b: f64) -> bool {
    a != b && !(a.is_nan() && b.is_nan())
}

pub(super) fn variance(values: impl Iterator<Item = f64> + Clone, count: f64) -> f64 {
    let mean = values.clone().sum::<f64>() / count;
    values.map(|v| (v - mean).powi(2)).sum::<f64>() / count
}

/// Linear between the neighbouring ranks.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len() - 1) as f64;
    let (low, weight) = (rank.floor() as usize, rank.fract());
    match (values.get(low), values.get(low + 1)) {
        (Some(a), Some(b)) => a * (1.0 - weight) + b * weight,
        (Some(a), None) => *a,
        _ => f64::NAN,
    }
}
