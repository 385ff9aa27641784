//! Traces beside values: what single requests did that a metric only counts.

use super::inventory::items;
use super::series::{factored, number};
use super::time::{Written, text, window, written};
use super::{Server, arguments, promql, target};
use crate::tools::gist::{CHARS, counted, listed, quoted};
use crate::tools::render::{clip, span, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The window when none is given, in seconds.
const WINDOW: f64 = 3600.0;
/// Most exemplars that are kept: half of them the largest, half the newest of the others.
const KEPT: usize = 100;
/// Labels under which programs put the id of a trace.
const TRACE: [&str; 4] = ["trace_id", "traceID", "traceId", "TraceID"];

/// `prometheus_exemplars`.
#[derive(Debug, Clone)]
pub struct Exemplars(pub(super) Server);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    query: String,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
    #[serde(default)]
    order: Order,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// The largest value.
    #[default]
    Largest,
    /// The last one.
    Newest,
}

/// One exemplar.
#[derive(Debug, Clone, PartialEq)]
struct Exemplar {
    at_s: f64,
    value: f64,
    labels: Value,
    series: Value,
}

#[async_trait]
impl ReadTool for Exemplars {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target("query_exemplars")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let query = promql(&args.query)?;
        let (start, end, length) = (text(&args.start), text(&args.end), text(&args.window));
        let window = window(start.as_deref(), end.as_deref(), length.as_deref(), WINDOW, self.0.clock.now())?;
        let reader = &self.0.reader;
        let mut answer = reader.exemplars(query.text, &written(window.start), &written(window.end)).await?;
        let (exemplars, total) = chosen(read(answer.data.take()), args.order);
        let mut seen = Seen::all(Value::Null);
        if total > exemplars.len() {
            seen.truncated = true;
            seen.notes.push(format!(
                "{} of {total} exemplars are kept, the largest and the newest; ask about fewer series or a shorter window",
                exemplars.len()
            ));
        }
        if total == 0 {
            // A server that keeps none answers like one that has none.
            seen.notes.push(why_none(reader.flags().await.ok().map(|flags| flags.data).as_ref()));
        }
        let shown: Vec<Value> = exemplars
            .into_iter()
            .map(|e| json!({"at": e.at_s, "value": e.value, "labels": e.labels, "series": e.series}))
            .collect();
        seen.data = json!({"exemplars": shown, "total": total, "start": window.start, "end": window.end});
        seen.notes.extend(answer.warnings);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let parts: Vec<String> = items(&seen.data["exemplars"])
            .map(|one| {
                let trace = trace(&one["labels"]).map(|(_, id)| format!(" {}", quoted(id, 40))).unwrap_or_default();
                format!("{}{trace}", one["value"].as_f64().map(number).unwrap_or_default())
            })
            .collect();
        match seen.data["total"].as_u64().unwrap_or(0) as usize {
            0 => "no exemplars in this window".to_owned(),
            total => listed(&counted(total, "exemplar", "exemplars"), &parts, CHARS),
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let all: Vec<&Value> = items(&seen.data["exemplars"]).collect();
        if all.is_empty() {
            return String::new();
        }
        let (common, own) = factored(&all.iter().map(|one| &one["series"]).collect::<Vec<_>>());
        let now_s = self.0.clock.now().as_millisecond() as f64 / 1000.0;
        let rows: Vec<Vec<String>> = all
            .iter()
            .zip(own)
            .map(|(one, series)| {
                let ago = one["at"].as_f64().map(|at| span((now_s - at) as i64)).unwrap_or_default();
                let value = one["value"].as_f64().map(number).unwrap_or_default();
                let found = trace(&one["labels"]);
                let others: Vec<String> = one["labels"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| found.is_none_or(|(trace, _)| trace != key.as_str()))
                    .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                    .collect();
                let id = found.map(|(_, id)| clip(id, 80)).unwrap_or_default();
                vec![value, ago, id, clip(&others.join(" "), 110), series]
            })
            .collect();
        let common = if all.len() > 1 { format!("all: {common}\n") } else { String::new() };
        format!("{common}{}", table(&["VALUE", "AGO", "TRACE", "OTHER LABELS", "SERIES"], &rows))
    }
}

/// The exemplars of an answer; what is none, or no number, is left out.
fn read(mut answer: Value) -> Vec<Exemplar> {
    let mut all = Vec::new();
    for series in answer.as_array_mut().into_iter().flatten() {
        let labels = series["seriesLabels"].take();
        for one in series["exemplars"].as_array_mut().into_iter().flatten() {
            let value = one["value"].as_str().and_then(|v| v.parse::<f64>().ok()).or_else(|| one["value"].as_f64());
            let (Some(at_s), Some(value)) = (one["timestamp"].as_f64(), value.filter(|v| v.is_finite())) else {
                continue;
            };
            all.push(Exemplar { at_s, value, labels: one["labels"].take(), series: labels.clone() });
        }
    }
    // A bucket's exemplar belongs to the buckets above it, too, for some programs.
    let mut known = BTreeSet::new();
    all.retain(|e| {
        let mut series = e.series.as_object().cloned().unwrap_or_default();
        series.remove("le");
        known.insert((e.at_s.to_bits(), e.value.to_bits(), e.labels.to_string(), Value::from(series).to_string()))
    });
    all
}

/// At most [`KEPT`] in `order`, and how many there were. Whatever comes first, neither the largest nor
/// the newest are cut.
fn chosen(mut all: Vec<Exemplar>, order: Order) -> (Vec<Exemplar>, usize) {
    let total = all.len();
    let newest = |a: &Exemplar, b: &Exemplar| b.at_s.total_cmp(&a.at_s).then(b.value.total_cmp(&a.value));
    let largest = |a: &Exemplar, b: &Exemplar| b.value.total_cmp(&a.value).then(b.at_s.total_cmp(&a.at_s));
    if total > KEPT {
        all.sort_by(largest);
        let mut rest = all.split_off(KEPT / 2);
        rest.sort_by(newest);
        rest.truncate(KEPT - KEPT / 2);
        all.extend(rest);
    }
    match order {
        Order::Largest => all.sort_by(largest),
        Order::Newest => all.sort_by(newest),
    }
    (all, total)
}

/// Why there are none, by the server's flags where it tells them.
fn why_none(flags: Option<&Value>) -> String {
    const NEEDS: &str = "a target gives exemplars only in the OpenMetrics format, and only few of its series have them \
                         (`…_bucket`, `…_total`)";
    let Some(flags) = flags.and_then(Value::as_object) else {
        return format!(
            "the server may keep none: Prometheus does so only with --enable-feature=exemplar-storage, and this one \
             does not tell its flags; {NEEDS}"
        );
    };
    // One that knows no such flag is no Prometheus.
    match flags.get("enable-feature").and_then(Value::as_str) {
        Some(features) if !features.split(',').any(|f| f.trim() == "exemplar-storage") => {
            "this Prometheus keeps no exemplars: it runs without --enable-feature=exemplar-storage".to_owned()
        }
        Some(_) => format!("the server keeps exemplars and has none here: {NEEDS}; look further back"),
        None => format!("the server does not say whether it keeps exemplars; {NEEDS}"),
    }
}

/// The label that holds a trace's id, and the id.
fn trace(labels: &Value) -> Option<(&'static str, &str)> {
    let labels: &Map<String, Value> = labels.as_object()?;
    TRACE.into_iter().find_map(|key| Some((key, labels.get(key)?.as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(at_s: f64, value: f64) -> Exemplar {
        Exemplar { at_s, value, labels: json!({"trace_id": format!("{at_s}-{value}")}), series: json!({}) }
    }

    #[test]
    fn a_cut_leaves_the_largest_and_the_newest() {
        // The older, the larger.
        let all: Vec<Exemplar> = (0..500).map(|n| exemplar(f64::from(n), f64::from(1000 - n))).collect();
        for order in [Order::Largest, Order::Newest] {
            let (kept, total) = chosen(all.clone(), order);
            assert_eq!((kept.len(), total), (KEPT, 500));
            assert!(kept.contains(&exemplar(0.0, 1000.0)) && kept.contains(&exemplar(499.0, 501.0)));
            let first = if order == Order::Largest { exemplar(0.0, 1000.0) } else { exemplar(499.0, 501.0) };
            assert_eq!(kept[0], first);
        }
        assert_eq!(chosen(vec![], Order::Newest), (vec![], 0));
    }

    #[test]
    fn what_is_no_exemplar_is_left_out_and_none_is_told_twice() {
        let one = json!({"labels": {"trace_id": "a"}, "value": "0.5", "timestamp": 10.5});
        let answer = json!([
            {"seriesLabels": {"__name__": "x_bucket", "le": "1"}, "exemplars": [one.clone(), {"value": "NaN", "timestamp": 1}, {"value": "1"}, 7]},
            {"seriesLabels": {"__name__": "x_bucket", "le": "+Inf"}, "exemplars": [one.clone()]},
            {"seriesLabels": {"__name__": "x_bucket", "le": "1", "pod": "b"}, "exemplars": [one]},
            {"seriesLabels": {}},
        ]);
        let all = read(answer);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].at_s, all[0].value), (10.5, 0.5));
        assert!(read(json!({"odd": 1})).is_empty() && read(Value::Null).is_empty());
    }

    #[test]
    fn an_empty_answer_says_why_as_far_as_the_server_tells() {
        for (flags, says) in [
            (Some(json!({"enable-feature": ""})), "runs without --enable-feature=exemplar-storage"),
            (Some(json!({"enable-feature": "native-histograms"})), "runs without"),
            (
                Some(json!({"enable-feature": "native-histograms, exemplar-storage"})),
                "keeps exemplars and has none here",
            ),
            (Some(json!({"version": "x"})), "does not say whether"),
            (None, "does not tell its flags"),
        ] {
            assert!(why_none(flags.as_ref()).contains(says), "{}", why_none(flags.as_ref()));
        }
    }
}
