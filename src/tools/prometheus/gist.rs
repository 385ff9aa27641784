//! What was seen of metrics, in a line.

use super::range::covered;
use super::series::number;
use crate::tools::gist::name as short;
use crate::tools::gist::{CHARS, counted, listed, quoted, tallied};
use crate::tools::render::{clip, span};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Labels that tell best which thing a series is about, the most telling first.
const TELLING: [&str; 17] = [
    "persistentvolumeclaim",
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "container",
    "node",
    "device",
    "mountpoint",
    "service",
    "instance",
    "reason",
    "phase",
    "condition",
    "job",
    "namespace",
];

/// `2 series: 0.773 data-typedb-0, 0.417 data-minio-0`.
pub(super) fn query(data: &Value) -> String {
    let result = &data["result"];
    let series = result.as_array().map_or(&[][..], Vec::as_slice);
    match data["resultType"].as_str() {
        Some("matrix") => range(series),
        Some("vector") if series.is_empty() => "no series: nothing matches at this moment".to_owned(),
        Some("vector") => {
            let parts: Vec<String> = series
                .iter()
                .zip(distinct(series))
                .map(|(one, which)| {
                    let value = match one["value"][1].as_str() {
                        Some(value) => value.parse().map_or_else(|_| quoted(value, 40), rounded),
                        None => "a histogram".to_owned(),
                    };
                    format!("{value} {which}").trim_end().to_owned()
                })
                .collect();
            listed(&format!("{} series", series.len()), &parts, CHARS)
        }
        Some("scalar") => {
            format!("scalar {}", result[1].as_str().and_then(|v| v.parse().ok()).map_or_else(String::new, rounded))
        }
        Some("string") => format!("string {}", quoted(result[1].as_str().unwrap_or_default(), CHARS - 7)),
        _ => "no result".to_owned(),
    }
}

/// `1 series over 6h: 0.556 → 0.773 (+0.0385/h, min 0.556, max 0.773)`.
pub(in crate::tools) fn range(series: &[Value]) -> String {
    if series.is_empty() {
        return "no series: nothing matches in this window".to_owned();
    }
    let over = covered(series).map(|(from, to)| format!(" over {}", span(to - from))).unwrap_or_default();
    let course = |one: &Value| {
        let told = |key: &str| one["summary"][key].as_f64();
        match (told("first"), told("last"), told("min"), told("max")) {
            (Some(_), Some(last), Some(min), Some(max)) if min == max => format!("{} throughout", rounded(last)),
            (Some(first), Some(last), ..) => format!("{} → {}", rounded(first), rounded(last)),
            _ => "no finite sample".to_owned(),
        }
    };
    let bounds = |one: &Value| {
        let told = |key: &str| one["summary"][key].as_f64();
        let (Some(min), Some(max)) = (told("min"), told("max")) else { return String::new() };
        let trend = told("trend_per_hour").map(|t| format!("{}{}/h, ", if t > 0.0 { "+" } else { "" }, rounded(t)));
        match min == max {
            true => String::new(),
            false => format!(" ({}min {}, max {})", trend.unwrap_or_default(), rounded(min), rounded(max)),
        }
    };
    if let [one] = series {
        return format!("1 series{over}: {}{}", course(one), bounds(one));
    }
    let parts: Vec<String> = series
        .iter()
        .zip(distinct(series))
        .map(|(one, which)| format!("{which} {}", course(one)).trim().to_owned())
        .collect();
    listed(&format!("{} series{over}", series.len()), &parts, CHARS)
}

/// `3 series of up: node-a, node-b, node-c`.
pub(super) fn series(data: &Value) -> String {
    let list = data["series"].as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return "no series match".to_owned();
    }
    let metrics: Vec<&Map<String, Value>> = list.iter().filter_map(Value::as_object).collect();
    let first = metrics.first().and_then(|m| m.get("__name__"));
    let of = first.filter(|name| metrics.iter().all(|m| m.get("__name__") == Some(*name)));
    let of = of.and_then(Value::as_str).map(|name| format!(" of {}", short(name))).unwrap_or_default();
    let parts: Vec<String> = telling(&metrics).into_iter().filter(|which| !which.is_empty()).collect();
    listed(&format!("{} series{of}", data["total"].as_u64().unwrap_or(list.len() as u64)), &parts, CHARS)
}

/// `4 alerts firing: PVCUsageHigh ×2, TargetDown, Watchdog; 1 pending: KubeJobFailed`.
pub(super) fn alerts<'a>(alerts: impl Iterator<Item = &'a Value>) -> String {
    let (firing, others): (Vec<&Value>, Vec<&Value>) = alerts.partition(|alert| alert["state"] == "firing");
    let names = |alerts: &[&Value]| {
        tallied(alerts.iter().map(|a| (short(a["labels"]["alertname"].as_str().unwrap_or_default()), 1)))
    };
    let pending = match others.len() {
        0 => String::new(),
        count => listed(&format!("; {count} pending"), &names(&others), 50),
    };
    match (firing.len(), others.len()) {
        (0, 0) => "no alerts are pending or firing".to_owned(),
        (0, count) => listed(&format!("no alerts firing; {count} pending"), &names(&others), CHARS),
        (count, _) => {
            let head = format!("{} firing", counted(count, "alert", "alerts"));
            format!("{}{pending}", listed(&head, &names(&firing), CHARS - pending.chars().count()))
        }
    }
}

/// `12 rules in 3 groups, 2 firing: PVCUsageHigh, TargetDown`.
pub(super) fn rules(data: &Value, asked: Option<&str>) -> String {
    let groups = data["groups"].as_array().map_or(&[][..], Vec::as_slice);
    let rules: Vec<&Value> = groups.iter().flat_map(|g| g["rules"].as_array().into_iter().flatten()).collect();
    let text = |value: &Value| short(value.as_str().unwrap_or_default());
    let broken: Vec<&&Value> =
        rules.iter().filter(|r| !matches!(r["health"].as_str(), Some("ok" | "unknown") | None)).collect();
    match (&rules[..], asked) {
        ([], Some(asked)) => return format!("no rule and no group is called {}", quoted(asked, 80)),
        ([], None) => return "no rules".to_owned(),
        ([one], _) => {
            let state = if one["type"] == "recording" { "recording".to_owned() } else { text(&one["state"]) };
            let ill = if broken.is_empty() { "" } else { ", its evaluation fails" };
            let head = format!("1 rule: {}, {state}{ill}, ", text(&one["name"]));
            let room = CHARS.saturating_sub(head.chars().count());
            return format!("{head}{}", quoted(one["query"].as_str().unwrap_or_default(), room));
        }
        _ => {}
    }
    let of = |state: &str| -> Vec<(String, u64)> {
        rules.iter().filter(|r| r["state"] == state).map(|r| (text(&r["name"]), 1)).collect()
    };
    let head = format!("{} rules in {}", rules.len(), counted(groups.len(), "group", "groups"));
    let broken = match broken.len() {
        0 => String::new(),
        count => listed(
            &format!("; {count} cannot be evaluated"),
            &tallied(broken.iter().map(|r| (text(&r["name"]), 1))),
            70,
        ),
    };
    let (firing, pending) = (of("firing"), of("pending"));
    let told = match (firing.len(), pending.len()) {
        (0, 0) => format!("{head}, none firing"),
        (0, count) => listed(&format!("{head}, {count} pending"), &tallied(pending), CHARS - broken.chars().count()),
        (count, _) => listed(&format!("{head}, {count} firing"), &tallied(firing), CHARS - broken.chars().count()),
    };
    format!("{told}{broken}")
}

/// `14 targets: 13 up, 1 down (node 192.0.2.12:9100: "connection refused")`.
pub(super) fn targets<'t>(targets: impl Iterator<Item = &'t Value>, state: Option<&str>) -> String {
    let (up, down): (Vec<&Value>, Vec<&Value>) = targets.partition(|t| t["health"] == "up");
    let head = counted(up.len() + down.len(), "target", "targets");
    if down.is_empty() {
        return match (up.len(), state) {
            (0, Some(state)) => format!("no target is {}", short(state)),
            (0, None) => "no targets".to_owned(),
            (1, _) => format!("{head}: up"),
            _ => format!("{head}: all up"),
        };
    }
    let parts: Vec<String> = down
        .iter()
        .map(|target| {
            let label = |key: &str| short(target["labels"][key].as_str().unwrap_or_default());
            // The last part of `Get "http://…": dial tcp …: connect: connection refused` says why.
            let why = target["lastError"].as_str().unwrap_or_default().rsplit(": ").next().unwrap_or_default();
            let why = if why.is_empty() { String::new() } else { format!(": {}", quoted(why, 48)) };
            format!("{}/{}{why}", label("job"), label("instance"))
        })
        .collect();
    let healthy = if up.is_empty() { String::new() } else { format!("{} up, ", up.len()) };
    // `unknown` is what a target is before it was scraped first.
    let unscraped = down.iter().filter(|t| t["health"] == "unknown").count();
    let ill = match (unscraped, down.len()) {
        (0, all) => format!("{all} down"),
        (some, all) if some == all => format!("{all} not scraped yet"),
        (some, all) => format!("{} down, {some} not scraped yet", all - some),
    };
    let listed = listed(&format!("{head}: {healthy}{ill} ("), &parts, CHARS - 1);
    format!("{})", listed.replacen(" (: ", " (", 1))
}

/// What tells each of these results from the others; of one alone what it is about.
fn distinct(series: &[Value]) -> Vec<String> {
    let none = Map::new();
    telling(&series.iter().map(|one| one["metric"].as_object().unwrap_or(&none)).collect::<Vec<_>>())
}

/// Of each the label that tells most; two where one leaves doubt.
pub(super) fn telling(metrics: &[&Map<String, Value>]) -> Vec<String> {
    let [first, others @ ..] = metrics else { return Vec::new() };
    let differs = |key: &str| others.is_empty() || others.iter().any(|m| m.get(key) != first.get(key));
    let told = |labels: usize| -> Vec<String> {
        metrics
            .iter()
            .map(|metric| {
                let known = TELLING.iter().filter_map(|key| metric.get_key_value(*key));
                let rest = metric.iter().filter(|(key, _)| !TELLING.contains(&key.as_str()));
                let told = known.chain(rest).filter(|(key, _)| differs(key)).take(labels).map(labelled);
                clip(&told.collect::<Vec<_>>().join(" "), 80)
            })
            .collect()
    };
    let one = told(1);
    let clear = one.iter().collect::<BTreeSet<_>>().len() == one.len();
    if clear { one } else { told(2) }
}

fn labelled((key, value): (&String, &Value)) -> String {
    let value = short(value.as_str().unwrap_or_default());
    match key.as_str() {
        // These say by themselves what they are.
        "persistentvolumeclaim" | "pod" | "container" | "node" | "__name__" => value,
        key => format!("{}={value}", short(key)),
    }
}

/// Three digits that matter; whole numbers whole.
fn rounded(value: f64) -> String {
    let size = value.abs();
    match () {
        () if !value.is_finite() => match value.is_nan() {
            true => "NaN".to_owned(),
            false => (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned(),
        },
        () if size >= 1000.0 => number(value.round()),
        () if value.fract() == 0.0 || size < 1e-3 => number(value),
        () => {
            let digits = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
            let text = format!("{value:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    }
}
