//! What a reader gets of an explanation. Pure.

use crate::tools::gist::{CHARS, counted, name as short};
use crate::tools::prometheus::gist::telling;
use crate::tools::prometheus::inventory::{items, text as string};
use crate::tools::prometheus::series::{factored, number};
use crate::tools::render::{clip, span, table};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// `PVCUsageHigh is true: 77.3 > 75 (by 2.27) data-typedb-0, since 22m`.
pub(super) fn gist(data: &Value) -> String {
    let who = data["rule"]["name"].as_str().map_or_else(|| "the expression".to_owned(), short);
    let Some(whole) = items(&data["parts"]).next() else {
        return format!("{who} could not be taken apart");
    };
    let count = whole["now"]["count"].as_u64().unwrap_or(0) as usize;
    let since = match (data["onset"].as_f64(), data["at"].as_f64()) {
        (Some(onset), Some(at)) if count > 0 => format!(", since {}", span((at - onset) as i64)),
        _ => String::new(),
    };
    if whole["now"]["error"].is_string() {
        return format!("{who} could not be evaluated: {}", string(&whole["now"]["error"]));
    }
    let state = match count {
        0 => format!("{who} is not true now"),
        1 => format!("{who} is true"),
        several => format!("{who} is true for {several} label sets"),
    };
    let nearest = items(&data["comparisons"]).find_map(|comparison| {
        let row = items(&comparison["rows"]).next()?;
        let labels: Vec<&Map<String, Value>> = row["labels"].as_object().into_iter().collect();
        let which = telling(&labels).into_iter().next().unwrap_or_default();
        let operator = string(&comparison["operator"]);
        Some(format!("{} {operator} {} {}", compared(row), beside(row), which).trim_end().to_owned())
    });
    let absent = items(&data["absent"]).next().and_then(Value::as_str).map(|s| format!("{} has no series", short(s)));
    let told = match (nearest, absent) {
        (Some(nearest), _) if count > 0 => format!("{state}: {nearest}"),
        (_, Some(absent)) => format!("{state}: {absent}"),
        (Some(nearest), None) => format!("{state}: at best {nearest}"),
        (None, None) => state,
    };
    clip(&format!("{}{since}", clip(&told, CHARS - since.chars().count())), CHARS)
}

fn compared(row: &Value) -> String {
    row["value"].as_f64().map_or_else(|| "?".to_owned(), number)
}

/// The limit, and how far away it is.
fn beside(row: &Value) -> String {
    let limit = row["limit"].as_f64().map_or_else(|| "?".to_owned(), number);
    format!("{limit} (by {})", row["distance"].as_f64().map_or_else(|| "?".to_owned(), signed))
}

fn signed(value: f64) -> String {
    format!("{}{}", if value > 0.0 { "+" } else { "" }, number(value))
}

/// The rule, the parts, and every comparison.
pub(super) fn text(data: &Value) -> String {
    let at = data["at"].as_f64().unwrap_or(0.0);
    let onset = data["onset"].as_f64();
    let mut out = String::new();
    if data["rule"].is_object() {
        out.push_str(&rule(&data["rule"], at, onset));
    }
    out.push_str(&format!("expression: {}\n", clip(&string(&data["expression"]), 1000)));
    out.push_str(&began(data, at));
    let rows: Vec<Vec<String>> = items(&data["parts"])
        .map(|part| {
            let before = if part["then"].is_object() { worth(&part["then"]) } else { String::new() };
            let recorded =
                part["recorded_as"].as_str().map(|query| format!("; recorded as {query}")).unwrap_or_default();
            let what = format!("{} [{}{recorded}]", clip(&string(&part["query"]), 200), string(&part["role"]));
            vec![string(&part["part"]), worth(&part["now"]), before, what]
        })
        .collect();
    out.push_str(&table(&["PART", "NOW", "AT ONSET", "WHAT"], &rows));
    for comparison in items(&data["comparisons"]) {
        out.push_str(&compared_with(comparison, at));
    }
    for selector in items(&data["absent"]).filter_map(Value::as_str) {
        out.push_str(&format!("missing: {} has no series at all\n", clip(selector, 200)));
    }
    out
}

fn rule(rule: &Value, at: f64, onset: Option<f64>) -> String {
    let seconds = |key: &str| rule[key].as_f64().unwrap_or(0.0);
    let of = |key: &str| rule[key].as_u64().unwrap_or(0) as usize;
    let mut told = format!(
        "rule: {} of group {}, {} ({} firing, {} pending)",
        string(&rule["name"]),
        string(&rule["group"]),
        string(&rule["state"]),
        of("firing"),
        of("pending")
    );
    if seconds("for_s") > 0.0 {
        told.push_str(&format!(", has to hold for {}", span(seconds("for_s") as i64)));
        // All are pending: how long it is to the first that fires.
        if let (Some(onset), 0) = (onset, of("firing")) {
            let left = (onset + seconds("for_s") - at) as i64;
            told.push_str(&format!(": fires in {} if it holds on", span(left.max(0))));
        }
    }
    if seconds("keep_firing_for_s") > 0.0 {
        told.push_str(&format!(", keeps firing for {}", span(seconds("keep_firing_for_s") as i64)));
    }
    told.push('\n');
    match string(&rule["last_error"]) {
        error if error.is_empty() => {}
        error => told.push_str(&format!("its last evaluation failed: {}\n", clip(&error, 300))),
    }
    told
}

/// When it began, or ceased.
fn began(data: &Value, at: f64) -> String {
    let ago = |moment: f64| format!("{} ({} before)", moment_text(moment), span((at - moment) as i64));
    let course = &data["course"];
    match (data["onset"].as_f64(), course["until"].as_f64()) {
        (Some(onset), _) if course["since_before"].is_number() => format!("true since {} or longer\n", ago(onset)),
        (Some(onset), _) => format!("true since {}, by {}\n", ago(onset), string(&data["onset_from"])),
        (None, Some(until)) => format!("last true at {}\n", ago(until)),
        (None, None) => match course["window_s"].as_f64() {
            Some(window) => format!("not true within the last {}\n", span(window as i64)),
            None => String::new(),
        },
    }
}

/// What a part is worth, in few words.
fn worth(reading: &Value) -> String {
    if let Some(error) = reading["error"].as_str() {
        return format!("no answer: {}", clip(error, 80));
    }
    let figure = |key: &str| reading[key].as_f64().map(number);
    let range = match (figure("low"), figure("high")) {
        (Some(low), Some(high)) if low == high => format!(": {low}"),
        (Some(low), Some(high)) => format!(": {low} to {high}"),
        _ => String::new(),
    };
    let count = reading["count"].as_u64().unwrap_or(0) as usize;
    match (count, reading["scalar"] == true, reading["more"] == true) {
        (0, _, _) => "empty".to_owned(),
        (_, true, _) => format!("number{range}"),
        (_, _, true) => format!("more than {count} series{range}"),
        _ => format!("{}{range}", counted(count, "series", "series")),
    }
}

fn compared_with(comparison: &Value, at: f64) -> String {
    let rows: Vec<&Value> = items(&comparison["rows"]).collect();
    let (over, of) = (comparison["over"].as_u64().unwrap_or(0), comparison["of"].as_u64().unwrap_or(0));
    let operator = string(&comparison["operator"]);
    let limit = match comparison["limit"].as_f64() {
        Some(limit) => format!("{operator} {}", number(limit)),
        None => format!("{operator} its limit"),
    };
    let mut out = format!("{} {limit}: holds for {over} of {of}", string(&comparison["part"]));
    match comparison["without_limit"].as_u64().unwrap_or(0) {
        0 => {}
        alone => out.push_str(&format!("; {alone} have nothing to be compared with")),
    }
    if (rows.len() as u64) < of {
        out.push_str(&format!("; the {} farthest over and nearest below are shown", rows.len()));
    }
    out.push('\n');
    if rows.is_empty() {
        return out;
    }
    let (common, own) = factored(&rows.iter().map(|row| &row["labels"]).collect::<Vec<_>>());
    if rows.len() > 1 {
        out.push_str(&format!("all: {common}\n"));
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .zip(own)
        .map(|(row, labels)| {
            let figure = |key: &str| row[key].as_f64().map(number).unwrap_or_default();
            let since = row["since"].as_f64().map(|since| span((at - since) as i64)).unwrap_or_default();
            let distance = row["distance"].as_f64().map(signed).unwrap_or_default();
            let holds = if row["over"] == true { "yes" } else { "no" };
            vec![holds.to_owned(), figure("value"), figure("limit"), distance, figure("then"), since, labels]
        })
        .collect();
    out.push_str(&table(&["HOLDS", "VALUE", "LIMIT", "DISTANCE", "AT ONSET", "ACTIVE", "SERIES"], &cells));
    out
}

fn moment_text(seconds: f64) -> String {
    Timestamp::from_second(seconds as i64).map(|at| at.to_string()).unwrap_or_default()
}
