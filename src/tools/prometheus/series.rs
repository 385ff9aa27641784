//! Samples bounded, summarised and shown.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most samples of one series that are kept.
pub const SAMPLES: usize = 300;
/// Most series that are kept.
pub const SERIES: usize = 200;

/// The number in a sample's text; `NaN` and the infinities are none.
fn finite(sample: &Value) -> Option<(f64, f64)> {
    let value: f64 = sample[1].as_str()?.parse().ok()?;
    Some((sample[0].as_f64()?, value)).filter(|(_, v)| v.is_finite())
}

/// What a series did: `{min, max, first, last, mean, trend_per_hour, points}`. All but `points`
/// are `null` when there is no finite sample; the trend is that of the straight line through all
/// samples, and `null` with fewer than two.
pub fn summary(samples: &[Value]) -> Value {
    let points: Vec<(f64, f64)> = samples.iter().filter_map(finite).collect();
    let number = |value: Option<f64>| value.filter(|v| v.is_finite()).map_or(Value::Null, |v| json!(v));
    let n = points.len() as f64;
    let mean = (!points.is_empty()).then(|| points.iter().map(|p| p.1 / n).sum::<f64>());
    let trend = mean.filter(|_| points.len() > 1).map(|mean| {
        let middle = points.iter().map(|p| p.0 / n).sum::<f64>();
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (at, value) in &points {
            covariance += (at - middle) * (value - mean);
            variance += (at - middle) * (at - middle);
        }
        covariance / variance * 3600.0
    });
    json!({
        "min": number(points.iter().map(|p| p.1).reduce(f64::min)),
        "max": number(points.iter().map(|p| p.1).reduce(f64::max)),
        "first": number(points.first().map(|p| p.1)),
        "last": number(points.last().map(|p| p.1)),
        "mean": number(mean),
        "trend_per_hour": number(trend),
        "points": samples.len(),
    })
}

/// At most `keep` (four or more) of the samples: the first, the last, and of every stretch between
/// them the lowest and the highest, in order of time.
pub fn downsample(samples: Vec<Value>, keep: usize) -> Vec<Value> {
    if samples.len() <= keep {
        return samples;
    }
    let last = samples.len() - 1;
    let stretches = (keep.max(4) - 2) / 2;
    let mut chosen = vec![0];
    for stretch in 0..stretches {
        let from = 1 + stretch * (last - 1) / stretches;
        let to = 1 + (stretch + 1) * (last - 1) / stretches;
        let value = |at: &usize| finite(&samples[*at]).map(|p| p.1);
        let order = |a: &usize, b: &usize| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal);
        let finite_ones = || (from..to).filter(|at| value(at).is_some());
        let low = finite_ones().min_by(order).or((from < to).then_some(from));
        let high = finite_ones().max_by(order);
        chosen.extend(low);
        chosen.extend(high);
    }
    chosen.push(last);
    chosen.sort_unstable();
    chosen.dedup();
    let mut chosen = chosen.into_iter().peekable();
    let keep_it = |at: usize| chosen.next_if(|next| *next == at).is_some();
    let mut keep_it = keep_it;
    samples.into_iter().enumerate().filter_map(|(at, sample)| keep_it(at).then_some(sample)).collect()
}

/// A matrix's series, at most [`SERIES`] of at most [`SAMPLES`] samples, each with its summary;
/// and how many there were.
pub fn bounded(series: Vec<Value>) -> (Vec<Value>, usize) {
    let total = series.len();
    let kept = series
        .into_iter()
        .take(SERIES)
        .map(|mut one| {
            let samples = match one["values"].take() {
                Value::Array(samples) => samples,
                _ => Vec::new(),
            };
            json!({"metric": one["metric"].take(), "summary": summary(&samples), "values": downsample(samples, SAMPLES)})
        })
        .collect();
    (kept, total)
}

/// How many series there are when `count` were answered and one more than `asked` were asked for.
pub fn total(count: usize, asked: usize) -> String {
    if count > asked { format!("more than {asked}") } else { count.to_string() }
}

/// Labels that all series share, and the labels of each without them.
pub fn factored(series: &[&Value]) -> (String, Vec<String>) {
    let metrics: Vec<&Map<String, Value>> = series.iter().filter_map(|s| s.as_object()).collect();
    let mut common: BTreeMap<&str, &Value> = BTreeMap::new();
    if metrics.len() > 1
        && let Some(first) = metrics.first()
    {
        common = first
            .iter()
            .filter(|(key, value)| metrics.iter().all(|m| m.get(*key) == Some(*value)))
            .map(|(k, v)| (k.as_str(), v))
            .collect();
    }
    let own = series.iter().map(|one| {
        let labels = one.as_object().into_iter().flatten();
        named(labels.map(|(k, v)| (k.as_str(), v)).filter(|(key, _)| !common.contains_key(key)))
    });
    let own = own.collect();
    (named(common.iter().map(|(k, v)| (*k, *v))), own)
}

/// `name{a="x",b="y"}`.
fn named<'l>(labels: impl Iterator<Item = (&'l str, &'l Value)>) -> String {
    let mut name = String::new();
    let mut pairs = Vec::new();
    for (key, value) in labels {
        match (key, value.as_str()) {
            ("__name__", Some(text)) => name = text.to_owned(),
            (key, Some(text)) => pairs.push(format!("{key}={text:?}")),
            (_, None) => {}
        }
    }
    pairs.sort();
    match pairs.is_empty() {
        true if name.is_empty() => "{}".to_owned(),
        true => name,
        false => format!("{name}{{{}}}", pairs.join(",")),
    }
}

/// A number with as many digits as a reader needs.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match () {
        () if !value.is_finite() => value.to_string(),
        () if value == 0.0 => "0".to_owned(),
        () if value.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        () if !(1e-3..1e15).contains(&size) => format!("{value:.3e}"),
        () => {
            let digits = (4 - size.log10().floor() as i32).clamp(0, 7) as usize;
            let text = format!("{value:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(values: &[f64]) -> Vec<Value> {
        values.iter().enumerate().map(|(i, v)| json!([1000.0 + 60.0 * i as f64, v.to_string()])).collect()
    }

    #[test]
    fn a_summary_tells_shape_and_trend() {
        let rising: Vec<f64> = (0..61).map(|n| 10.0 + f64::from(n)).collect();
        let told = summary(&samples(&rising));
        assert_eq!(
            (told["min"].as_f64(), told["max"].as_f64(), told["points"].as_u64()),
            (Some(10.0), Some(70.0), Some(61))
        );
        assert!((told["trend_per_hour"].as_f64().unwrap() - 60.0).abs() < 1e-6, "{told}");
        let gaps = vec![json!([1, "NaN"]), json!([2, "+Inf"]), json!([3, "5"])];
        let told = summary(&gaps);
        assert_eq!((&told["last"], &told["trend_per_hour"], &told["points"]), (&json!(5.0), &Value::Null, &json!(3)));
        assert_eq!(summary(&[])["mean"], Value::Null);
    }

    #[test]
    fn labels_that_all_share_are_told_once() {
        let a = json!({"__name__": "up", "job": "node", "instance": "a:1"});
        let b = json!({"__name__": "up", "job": "node", "instance": "b:1"});
        let (common, own) = factored(&[&a, &b]);
        assert_eq!(common, r#"up{job="node"}"#);
        assert_eq!(own, [r#"{instance="a:1"}"#, r#"{instance="b:1"}"#]);
        assert_eq!(factored(&[&a]).1, [r#"up{instance="a:1",job="node"}"#]);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (93.500_000_000_1, "93.5"),
            (10_039_486_054.400_002, "10039486054"),
            (0.000_012, "1.200e-5"),
            (12.0, "12"),
            (0.123_456_789, "0.12346"),
            (1234.5678, "1234.6"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    proptest! {
        #[test]
        fn downsampling_keeps_ends_extremes_and_order(values in proptest::collection::vec(-1e6..1e6f64, 0..900), keep in 4usize..50) {
            let all = samples(&values);
            let kept = downsample(all.clone(), keep);
            prop_assert!(kept.len() <= keep);
            prop_assert!(kept.windows(2).all(|w| w[0][0].as_f64() < w[1][0].as_f64()));
            prop_assert_eq!(kept.first(), all.first());
            prop_assert_eq!(kept.last(), all.last());
            let (before, after) = (summary(&all), summary(&kept));
            prop_assert_eq!(&before["min"], &after["min"]);
            prop_assert_eq!(&before["max"], &after["max"]);
        }
    }
}
