//! Recorded samples: `metrics/*.om`, OpenMetrics text with a timestamp (Unix seconds) on each line.
//! Exemplars need one, too.

use super::{
    curves::Metadata,
    error::{Place, ScenarioError},
    series::{Exemplar, Labels, Sample, Series, Source},
    shift::Shift,
};
use std::collections::BTreeMap;

const MAX_SAMPLES: usize = 2_000_000;

/// Reads one file. Samples of a series may come in any order.
pub(crate) fn read(
    place: Place<'_>,
    text: &str,
    shift: Shift,
) -> Result<(Vec<Series>, BTreeMap<String, Metadata>), ScenarioError> {
    let mut found: BTreeMap<Labels, (Vec<Sample>, Vec<Exemplar>)> = BTreeMap::new();
    let mut metadata: BTreeMap<String, Metadata> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().take(MAX_SAMPLES) {
        let broken = |reason: &str| place.broken(format!("line {}", number + 1), reason);
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim_start().splitn(3, ' ');
            let (keyword, metric, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
            if let (Some(keyword @ ("TYPE" | "HELP" | "UNIT")), Some(metric)) = (keyword, metric) {
                let unknown = || Metadata { kind: "unknown".into(), help: String::new(), unit: String::new() };
                let entry = metadata.entry(metric.to_owned()).or_insert_with(unknown);
                match keyword {
                    "TYPE" => entry.kind = rest.to_owned(),
                    "HELP" => entry.help = rest.to_owned(),
                    _ => entry.unit = rest.to_owned(),
                }
            }
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let (name_end, has_labels) = match line.find(['{', ' ']) {
            Some(at) => (at, line.as_bytes().get(at) == Some(&b'{')),
            None => return Err(broken("expected a metric, a value and a timestamp")),
        };
        let (name, rest) = line.split_at(name_end);
        let mut labels = Labels::from([("__name__".to_owned(), name.to_owned())]);
        let rest = if has_labels {
            label_set(rest, &mut labels).ok_or_else(|| broken("labels are not well formed"))?
        } else {
            rest
        };
        // Labels are behind us: what follows a `#` now is an exemplar.
        let (rest, exemplar) = rest.split_once('#').map_or((rest, None), |(rest, exemplar)| (rest, Some(exemplar)));
        let mut words = rest.split_whitespace();
        let value = words.next().and_then(number_of).ok_or_else(|| broken("the value is no number"))?;
        let at_ms =
            moment(words.next(), shift).ok_or_else(|| broken("a recorded sample needs a timestamp in Unix seconds"))?;
        let (samples, exemplars) = found.entry(labels).or_default();
        samples.push(Sample { at_ms, value });
        if let Some(text) = exemplar {
            exemplars.push(exemplar_of(text, shift).ok_or_else(|| {
                broken("an exemplar needs labels, a value and a timestamp in Unix seconds: `# {trace_id=\"4bf9\"} 0.7 1700000000`")
            })?);
        }
    }
    let series = found.into_iter().map(|(labels, (mut samples, exemplars))| {
        samples.sort_by_key(|s| s.at_ms);
        samples.dedup_by_key(|s| s.at_ms);
        Series { labels, source: Source::Stored(samples), exemplars }
    });
    Ok((series.collect(), metadata))
}

/// Unix seconds as milliseconds, moved.
fn moment(word: Option<&str>, shift: Shift) -> Option<i64> {
    let seconds = word?.parse::<f64>().ok().filter(|s| s.is_finite())?;
    Some((seconds * 1e3).round() as i64 + shift.millis())
}

/// Reads ` {trace_id="4bf9"} 0.7 1700000000`.
fn exemplar_of(text: &str, shift: Shift) -> Option<Exemplar> {
    let mut labels = Labels::new();
    let mut words = label_set(text.trim_start(), &mut labels)?.split_whitespace();
    let value = words.next().and_then(number_of)?;
    Some(Exemplar { at_ms: moment(words.next(), shift)?, value, labels })
}

/// Reads `{a="b",…}` at the start of `text`; gives what follows it.
fn label_set<'t>(text: &'t str, labels: &mut Labels) -> Option<&'t str> {
    let mut rest = text.strip_prefix('{')?;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut escaped = false;
        let mut end = None;
        for (at, c) in after.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '\\') => {}
                (false, '"') => {
                    end = Some(at + 1);
                    break;
                }
                (false, other) => value.push(other),
            }
            escaped = !escaped && c == '\\';
        }
        labels.insert(name.trim().to_owned(), value);
        rest = after.get(end?..)?;
    }
}

fn number_of(word: &str) -> Option<f64> {
    match word {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        word => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_series_in_time_order() {
        let text = "# TYPE http_requests counter\n# HELP http_requests All of them\nhttp_requests_total{code=\"200\",path=\"a\\\"b\"} 7 20\nhttp_requests_total{code=\"200\",path=\"a\\\"b\"} 3 10.5\nup 1 10\n# EOF\n";
        let (series, metadata) = read(Place { scenario: "t", file: "x.om" }, text, Shift::NONE).unwrap();
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].label("path"), "a\"b");
        assert_eq!(
            series[0].window(0, 30_000),
            [Sample { at_ms: 10_500, value: 3.0 }, Sample { at_ms: 20_000, value: 7.0 }]
        );
        assert_eq!(metadata["http_requests"].help, "All of them");
    }

    #[test]
    fn exemplars_stand_behind_their_sample() {
        let text = "x_bucket{le=\"#1\"} 7 20 # {trace_id=\"4b#f9\",span=\"a\"} 0.7 19.5\nx_bucket{le=\"2\"} 8 20\n";
        let (series, _) = read(Place { scenario: "t", file: "x.om" }, text, Shift::NONE).unwrap();
        let labels = Labels::from([("trace_id".into(), "4b#f9".into()), ("span".into(), "a".into())]);
        assert_eq!(series[0].exemplars, [Exemplar { at_ms: 19_500, value: 0.7, labels }]);
        assert_eq!((series[0].window(0, 30_000).len(), series[1].exemplars.len()), (1, 0));
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, says) in [
            ("up 1 5 # {a=\"b\"} 1", "an exemplar needs"),
            ("up 1", "line 1: a recorded"),
            ("\nup{a=\"b} 1 2", "line 2: labels"),
            ("up x 2", "no number"),
        ] {
            let error = read(Place { scenario: "t", file: "x.om" }, text, Shift::NONE).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
