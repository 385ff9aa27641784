//! Series drawn as curves: `metrics/*.yaml`.
//!
//! ```yaml
//! defaults: {every: 30s, from: -7d, labels: {job: kubelet}}
//! metadata: {queue_depth: {type: gauge, help: Jobs that wait}}
//! series:
//!   - {metric: up, each: [{instance: a}, {instance: b}], value: 1}
//!   - {metric: used_bytes, line: {-7d: 9.7G, -3h28m: 11.7G, 0s: 16.2G}, jitter: 2M}
//!   - {metric: replicas, steps: {-7d: 1, "2026-04-01T09:40:12Z": 0}}
//!   - {metric: requests, wave: {mean: 40, amplitude: 15, period: 1d}, jitter: 3}
//!   - {metric: created, instant: "2026-03-01T08:00:00Z"}
//!   - {metric: seconds_bucket, value: 7, exemplars: [{at: -4m, value: 2.5, labels: {trace_id: 4bf9}}]}
//! ```
//!
//! Moments are distances from `now` (`-3h28m`) or instants. Samples lie on a grid that passes
//! through `now`. After its last point a curve keeps its value, so that a demo may stay open.

use super::{
    error::{Place, ScenarioError},
    series::{Exemplar, Labels, Sample, Series, Source},
    shift::Shift,
};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How long after `now` the curves go on: longer than anyone leaves a demo open.
const AFTERWARDS_MS: i64 = 30 * 86_400_000;
const MAX_SERIES: usize = 20_000;
const MAX_HISTORY_MS: i64 = 400 * 86_400_000;

/// What `/api/v1/metadata` says of a metric.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub help: String,
    #[serde(default)]
    pub unit: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    metadata: BTreeMap<String, Metadata>,
    series: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    every: Option<String>,
    from: Option<String>,
    #[serde(default)]
    labels: Labels,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    metric: String,
    #[serde(default)]
    labels: Labels,
    /// One series for each of these label sets.
    #[serde(default)]
    each: Vec<Labels>,
    every: Option<String>,
    from: Option<String>,
    /// The series disappears here.
    until: Option<String>,
    value: Option<Quantity>,
    line: Option<BTreeMap<String, Quantity>>,
    steps: Option<BTreeMap<String, Quantity>>,
    wave: Option<WaveEntry>,
    instant: Option<Timestamp>,
    /// At most this much is added or taken away, the same at every reading.
    jitter: Option<Quantity>,
    /// Round down to whole numbers.
    #[serde(default)]
    whole: bool,
    /// Single requests behind it.
    #[serde(default)]
    exemplars: Vec<ExemplarEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExemplarEntry {
    at: String,
    value: Quantity,
    labels: Labels,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WaveEntry {
    mean: Quantity,
    amplitude: Quantity,
    period: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(f64),
    Text(String),
}

/// A value as a function of time.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// First and last moment, Unix milliseconds, inclusive.
    from_ms: i64,
    until_ms: i64,
    /// A moment on the grid, and the distance of its points.
    anchor_ms: i64,
    every_ms: i64,
    shape: Shape,
    jitter: f64,
    whole: bool,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Shape {
    Constant(f64),
    Line(Vec<(i64, f64)>),
    Steps(Vec<(i64, f64)>),
    Wave { mean: f64, amplitude: f64, period_ms: i64 },
}

impl Curve {
    pub(crate) fn window(&self, after_ms: i64, until_ms: i64) -> Vec<Sample> {
        let last = until_ms.min(self.until_ms);
        let first = self.grid_at_or_after((after_ms.saturating_add(1)).max(self.from_ms));
        let mut samples = Vec::new();
        let mut at = first;
        while at <= last {
            samples.push(Sample { at_ms: at, value: self.at(at) });
            at += self.every_ms;
        }
        samples
    }

    pub(crate) fn newest(&self, after_ms: i64, until_ms: i64) -> Option<Sample> {
        let last = until_ms.min(self.until_ms);
        let at = last - (last - self.anchor_ms).rem_euclid(self.every_ms);
        (at > after_ms && at >= self.from_ms).then(|| Sample { at_ms: at, value: self.at(at) })
    }

    fn grid_at_or_after(&self, at_ms: i64) -> i64 {
        at_ms + (self.anchor_ms - at_ms).rem_euclid(self.every_ms)
    }

    fn at(&self, at_ms: i64) -> f64 {
        let smooth = match &self.shape {
            Shape::Constant(value) => *value,
            Shape::Line(points) => line(points, at_ms),
            Shape::Steps(points) => {
                let reached = points.partition_point(|(at, _)| *at <= at_ms);
                points.get(reached.saturating_sub(1)).map_or(0.0, |(_, value)| *value)
            }
            Shape::Wave { mean, amplitude, period_ms } => {
                let turn = (at_ms.rem_euclid(*period_ms)) as f64 / *period_ms as f64;
                mean + amplitude * (turn * std::f64::consts::TAU).sin()
            }
        };
        // The grid index, not the time: a shifted world must read the same values.
        let index = (at_ms - self.anchor_ms).div_euclid(self.every_ms);
        let value = smooth + self.jitter * noise(self.seed, index);
        if self.whole { value.floor() } else { value }
    }
}

fn line(points: &[(i64, f64)], at_ms: i64) -> f64 {
    let next = points.partition_point(|(at, _)| *at <= at_ms);
    match (next.checked_sub(1).and_then(|i| points.get(i)), points.get(next)) {
        (Some((at, a)), Some((bt, b))) => a + (b - a) * ((at_ms - at) as f64 / (bt - at) as f64),
        (Some((_, value)), None) | (None, Some((_, value))) => *value,
        (None, None) => 0.0,
    }
}

/// Between -1 and 1, always the same for the same series and grid point (splitmix64).
fn noise(seed: u64, index: i64) -> f64 {
    let mut z = seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn seed(labels: &Labels) -> u64 {
    labels
        .iter()
        .flat_map(|(k, v)| k.bytes().chain([0]).chain(v.bytes()).chain([1]))
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Reads one `metrics/*.yaml`. `now` is the recording's own anchor; `shift` is applied afterwards.
pub(crate) fn read(
    place: Place<'_>,
    text: &str,
    now: Timestamp,
    shift: Shift,
) -> Result<(Vec<Series>, BTreeMap<String, Metadata>), ScenarioError> {
    let file: File = super::about::parse(place, text)?;
    let mut all = Vec::new();
    for (number, entry) in file.series.iter().enumerate() {
        let key = || format!("series {} (`{}`)", number + 1, entry.metric);
        let broken = |reason: String| place.broken(key(), reason);
        let moment = |text: &str| moment(text, now).map_err(broken);
        let anchor_ms = now.as_millisecond() + shift.millis();
        let from = entry.from.as_deref().or(file.defaults.from.as_deref()).unwrap_or("-7d");
        let every = entry.every.as_deref().or(file.defaults.every.as_deref()).unwrap_or("30s");
        let curve = Curve {
            from_ms: moment(from)? + shift.millis(),
            until_ms: match entry.until.as_deref() {
                Some(until) => moment(until)? + shift.millis(),
                None => anchor_ms + AFTERWARDS_MS,
            },
            anchor_ms,
            every_ms: positive(every).map_err(broken)?,
            shape: shape(entry, now, shift).map_err(broken)?,
            jitter: entry.jitter.as_ref().map_or(Ok(0.0), number_of).map_err(broken)?,
            whole: entry.whole,
            seed: 0,
        };
        if anchor_ms - curve.from_ms > MAX_HISTORY_MS || curve.from_ms > curve.until_ms {
            return Err(broken("begins more than 400 days ago, or after its end".into()));
        }
        let exemplars = entry
            .exemplars
            .iter()
            .map(|one| {
                let value = number_of(&one.value).map_err(broken)?;
                Ok(Exemplar { at_ms: moment(&one.at)? + shift.millis(), value, labels: one.labels.clone() })
            })
            .collect::<Result<Vec<_>, ScenarioError>>()?;
        let plain = [Labels::new()];
        for extra in if entry.each.is_empty() { plain.as_slice() } else { entry.each.as_slice() } {
            let mut labels = file.defaults.labels.clone();
            labels.extend(entry.labels.clone());
            labels.extend(extra.clone());
            labels.insert("__name__".into(), entry.metric.clone());
            // Prometheus knows no empty label: writing one removes a default.
            labels.retain(|_, value| !value.is_empty());
            let curve = Curve { seed: seed(&labels), ..curve.clone() };
            all.push(Series { labels, source: Source::Drawn(curve), exemplars: exemplars.clone() });
        }
        if all.len() > MAX_SERIES {
            return Err(broken(format!("more than {MAX_SERIES} series in one file")));
        }
    }
    Ok((all, file.metadata))
}

fn shape(entry: &Entry, now: Timestamp, shift: Shift) -> Result<Shape, String> {
    let points = |given: &BTreeMap<String, Quantity>| -> Result<Vec<(i64, f64)>, String> {
        let mut points = given
            .iter()
            .map(|(at, value)| Ok((moment(at, now)? + shift.millis(), number_of(value)?)))
            .collect::<Result<Vec<_>, String>>()?;
        points.sort_by_key(|(at, _)| *at);
        if points.is_empty() { Err("has no points".into()) } else { Ok(points) }
    };
    match (&entry.value, &entry.line, &entry.steps, &entry.wave, entry.instant) {
        (Some(value), None, None, None, None) => Ok(Shape::Constant(number_of(value)?)),
        (None, Some(line), None, None, None) => Ok(Shape::Line(points(line)?)),
        (None, None, Some(steps), None, None) => Ok(Shape::Steps(points(steps)?)),
        (None, None, None, Some(wave), None) => Ok(Shape::Wave {
            mean: number_of(&wave.mean)?,
            amplitude: number_of(&wave.amplitude)?,
            period_ms: positive(&wave.period)?,
        }),
        (None, None, None, None, Some(at)) => Ok(Shape::Constant(shift.instant(at).as_millisecond() as f64 / 1e3)),
        _ => Err("needs exactly one of value, line, steps, wave, instant".into()),
    }
}

/// `-3h28m` before `now`, or an instant; Unix milliseconds.
fn moment(text: &str, now: Timestamp) -> Result<i64, String> {
    if text.contains('T') {
        return text.parse::<Timestamp>().map(|at| at.as_millisecond()).map_err(|e| format!("`{text}`: {e}"));
    }
    let (sign, distance) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    Ok(now.as_millisecond() + sign * duration_ms(distance)?)
}

fn positive(text: &str) -> Result<i64, String> {
    match duration_ms(text)? {
        0 => Err(format!("`{text}` must be longer than nothing")),
        ms => Ok(ms),
    }
}

/// `1h30m`, `45s`, `250ms`, `7d`: Prometheus' durations, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no duration: expected something like 1h30m, 45s or 7d");
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(unit_ms).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

fn number_of(quantity: &Quantity) -> Result<f64, String> {
    let text = match quantity {
        Quantity::Number(number) => return Ok(*number),
        Quantity::Text(text) => text,
    };
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return Err(format!("`{text}` is no quantity: units are k, M, G, T, Ki, Mi, Gi, Ti")),
    };
    number.trim().parse::<f64>().map(|n| n * factor).map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-04-01T15:20:00Z".parse().unwrap()
    }

    fn series(text: &str) -> Vec<Series> {
        read(Place { scenario: "t", file: "m.yaml" }, text, now(), Shift::NONE).unwrap().0
    }

    fn error(text: &str) -> String {
        read(Place { scenario: "t", file: "m.yaml" }, text, now(), Shift::NONE).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_straight_between_its_points_and_level_after_them() {
        let all = series("series: [{metric: m, every: 1m, from: -10m, line: {-10m: 0, 0s: 100}}]");
        let at = |minute: i64| {
            let ms = now().as_millisecond() + minute * 60_000;
            all[0].newest(ms - 300_000, ms).map(|s| (s.at_ms - now().as_millisecond(), s.value))
        };
        assert_eq!(at(-10), Some((-600_000, 0.0)));
        assert_eq!(at(-5), Some((-300_000, 50.0)));
        assert_eq!(at(0), Some((0, 100.0)));
        assert_eq!(at(60), Some((3_600_000, 100.0)));
        assert_eq!(at(-11), None);
        let ms = now().as_millisecond();
        assert_eq!(all[0].window(ms - 120_000, ms).len(), 2, "the left edge is not part of a window");
    }

    #[test]
    fn steps_hold_and_a_series_may_end() {
        let all = series(
            "series: [{metric: m, from: -10m, until: -1m, steps: {-10m: 3, '2026-04-01T15:15:00Z': 0}, each: [{a: x}, {a: y}]}]",
        );
        assert_eq!(all.len(), 2);
        let ms = now().as_millisecond();
        assert_eq!(all[1].newest(ms - 900_000, ms - 301_000).unwrap().value, 3.0);
        assert_eq!(all[1].newest(ms - 900_000, ms - 300_000).unwrap().value, 0.0);
        assert_eq!(all[1].newest(ms - 59_000, ms), None);
    }

    #[test]
    fn jitter_is_bounded_and_a_shifted_world_reads_the_same() {
        let text = "series: [{metric: m, value: 10, jitter: 2}]";
        let shift = Shift::between(now(), "2027-01-01T00:00:07Z".parse().unwrap());
        let place = Place { scenario: "t", file: "m.yaml" };
        let moved = read(place, text, now(), shift).unwrap().0;
        let ms = now().as_millisecond();
        let here: Vec<f64> = series(text)[0].window(ms - 3_600_000, ms).iter().map(|s| s.value).collect();
        let there: Vec<f64> =
            moved[0].window(ms + shift.millis() - 3_600_000, ms + shift.millis()).iter().map(|s| s.value).collect();
        assert_eq!(here, there);
        assert!(here.iter().all(|v| (8.0..=12.0).contains(v)) && here.iter().any(|v| *v != here[0]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error("series: [{metric: m, value: 1, line: {0s: 2}}]").contains("exactly one of"));
        assert!(error("series: [{metric: m, value: 1, every: 0s}]").contains("series 1 (`m`)"));
        assert!(error("series: [{metric: m, value: 3q}]").contains("no quantity"));
        assert!(error("series: [{metric: m, value: 1, from: yesterday}]").contains("no duration"));
        assert!(error("series: [{metric: m, colour: red}]").contains("m.yaml"));
        assert_eq!(duration_ms("1h30m5s"), Ok(5_405_000));
    }
}
