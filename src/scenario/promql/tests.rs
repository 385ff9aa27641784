//! Expressions and what they are worth, computed by hand.
//!
//! The samples: every 60 s from 0 to 600 s.
//! `c{i="a"}` counts 0, 60, 120, … (one a second); `c{i="b"}` the same at half speed with a reset to 0
//! at 360 s; `g{i="a",z="x"}` is 10 + t/60, `g{i="b",z="y"}` is 20 - t/60; `cap{i="a"}` is 40,
//! `cap{i="b"}` 80; `info{i,version}` is 1; `old` ended at 120 s; `h_bucket` is a histogram.

use super::*;
use crate::scenario::series::Source;
use proptest::prelude::*;

fn one(name: &str, labels: &[(&str, &str)], value: impl Fn(i64) -> f64, until: i64) -> Series {
    let mut all: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    all.insert("__name__".into(), name.into());
    let samples = (0..=until / 60).map(|n| Sample { at_ms: n * 60_000, value: value(n * 60) }).collect();
    Series { labels: all, source: Source::Stored(samples), exemplars: vec![] }
}

fn world() -> Vec<Series> {
    let mut all = vec![
        one("c", &[("i", "a")], |t| t as f64, 600),
        one("c", &[("i", "b")], |t| if t < 360 { t as f64 / 2.0 } else { (t - 360) as f64 / 2.0 }, 600),
        one("g", &[("i", "a"), ("z", "x")], |t| 10.0 + t as f64 / 60.0, 600),
        one("g", &[("i", "b"), ("z", "y")], |t| 20.0 - t as f64 / 60.0, 600),
        one("cap", &[("i", "a")], |_| 40.0, 600),
        one("cap", &[("i", "b")], |_| 80.0, 600),
        one("info", &[("i", "a"), ("version", "1.2")], |_| 1.0, 600),
        one("info", &[("i", "b"), ("version", "1.3")], |_| 1.0, 600),
        one("old", &[], |_| 7.0, 120),
        one("neg", &[], |_| -2.5, 600),
    ];
    for (le, count) in [("0.1", 10.0), ("0.5", 30.0), ("1", 40.0), ("+Inf", 40.0)] {
        all.push(one("h_bucket", &[("le", le)], move |_| count, 600));
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

/// A value as text: `{labels} value` by line, or a bare scalar.
fn shown(value: &Value) -> String {
    match value {
        Value::Scalar(v) => number(*v),
        Value::Text(text) => format!("{text:?}"),
        Value::Vector(points) => points
            .iter()
            .map(|p| {
                let labels: Vec<String> = p.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                // Nine digits: least squares and extrapolation end in the last few bits of a double.
                let rounded = if p.value.is_finite() { format!("{:.9}", p.value).parse().unwrap() } else { p.value };
                format!("{{{}}} {}", labels.join(","), number(rounded))
            })
            .collect::<Vec<_>>()
            .join("; "),
        Value::Matrix(rows) => format!("{} rows", rows.len()),
    }
}

fn at(query: &str, seconds: i64) -> String {
    match Query::parse(query).and_then(|q| q.instant(&world(), seconds * 1_000)) {
        Ok(value) => shown(&value),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn expressions_are_worth_what_they_are_by_hand() {
    let table: &[(&str, &str)] = &[
        // Literals, scalars, time.
        ("1 + 2 * 3", "7"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "-4"),
        ("7 % 4", "3"),
        ("1 / 0", "+Inf"),
        ("-1 / 0", "-Inf"),
        ("0 / 0", "NaN"),
        ("time()", "600"),
        ("1 > bool 2", "0"),
        ("scalar(cap{i=\"a\"})", "40"),
        ("scalar(cap)", "NaN"),
        ("vector(3)", "{} 3"),
        ("\"hello\"", "\"hello\""),
        // Selectors.
        ("g", "{__name__=g,i=a,z=x} 20; {__name__=g,i=b,z=y} 10"),
        ("g{i=\"a\"}", "{__name__=g,i=a,z=x} 20"),
        ("g{i!=\"a\"}", "{__name__=g,i=b,z=y} 10"),
        ("g{i=~\"a|c\"}", "{__name__=g,i=a,z=x} 20"),
        ("g{i=~\"\"}", ""),
        ("g{i!~\"a.*\"}", "{__name__=g,i=b,z=y} 10"),
        ("{__name__=~\"ca.\",i=\"b\"}", "{__name__=cap,i=b} 80"),
        ("g{nope=\"\",i=\"a\"}", "{__name__=g,i=a,z=x} 20"),
        ("g{i=\"a\"} offset 2m", "{__name__=g,i=a,z=x} 18"),
        ("g{i=\"a\"} @ 60", "{__name__=g,i=a,z=x} 11"),
        ("old", ""),
        ("old offset 2m", ""),
        ("old offset 5m", "{__name__=old} 7"),
        // Arithmetic and comparison with scalars.
        ("cap / 4", "{i=a} 10; {i=b} 20"),
        ("100 - cap", "{i=a} 60; {i=b} 20"),
        ("-g{i=\"a\"}", "{i=a,z=x} -20"),
        ("cap > 50", "{__name__=cap,i=b} 80"),
        ("50 < cap", "{__name__=cap,i=b} 80"),
        ("cap > bool 50", "{i=a} 0; {i=b} 1"),
        ("cap == 40", "{__name__=cap,i=a} 40"),
        ("cap != 40", "{__name__=cap,i=b} 80"),
        // Vector matching.
        ("cap / ignoring(z) g", "{i=a} 2; {i=b} 8"),
        ("g / on(i) cap * 100", "{i=a} 50; {i=b} 12.5"),
        ("g / cap", ""),
        ("cap > on(i) g", "{i=a} 40; {i=b} 80"),
        ("g * on(i) group_left(version) info", "{i=a,version=1.2,z=x} 20; {i=b,version=1.3,z=y} 10"),
        ("info * on(i) group_right() g", "{i=a,z=x} 20; {i=b,z=y} 10"),
        ("cap and on(i) g{i=\"a\"}", "{__name__=cap,i=a} 40"),
        ("cap unless on(i) g{i=\"a\"}", "{__name__=cap,i=b} 80"),
        ("cap{i=\"a\"} or g{i=\"a\"}", "{__name__=cap,i=a} 40; {__name__=g,i=a,z=x} 20"),
        ("(g / on(i) cap) * 100 > 20", "{i=a} 50"),
        // Counters. A window of 5 min ending at 600 s holds the samples 360…600: 240 of 300 s seen. The
        // sample before the left edge is 60 s away (< 66 s), so growth is stretched to the whole window.
        ("increase(c{i=\"a\"}[5m])", "{i=a} 300"),
        ("rate(c{i=\"a\"}[5m])", "{i=a} 1"),
        ("irate(c[5m])", "{i=a} 1; {i=b} 0.5"),
        // b begins its window at 0 (the reset): a counter is not stretched below zero, so 120 stays 120.
        ("increase(c{i=\"b\"}[5m])", "{i=b} 120"),
        // Across the reset: 10 min hold 30,60,…,150,0,…,120. Grown: 120-30+150 = 240 in 540 s; to the left
        // edge there are 60 s, and the counter's zero lies 540*30/240 = 67.5 s back, so all 60 are taken.
        ("increase(c{i=\"b\"}[10m])", "{i=b} 266.666666667"),
        ("resets(c[10m])", "{i=a} 0; {i=b} 1"),
        ("changes(g{i=\"a\"}[5m])", "{i=a,z=x} 4"),
        ("delta(g{i=\"b\"}[5m])", "{i=b,z=y} -5"),
        ("idelta(g[5m])", "{i=a,z=x} 1; {i=b,z=y} -1"),
        ("rate(c[30s])", ""),
        // Regression: g rises one a minute.
        ("deriv(g{i=\"a\"}[5m])", "{i=a,z=x} 0.016666667"),
        ("predict_linear(g{i=\"a\"}[5m], 600)", "{i=a,z=x} 30"),
        ("predict_linear(cap{i=\"a\"}[5m], 3600)", "{i=a} 40"),
        // Over time: g{a} in the last 5 min is 16, 17, 18, 19, 20.
        ("avg_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 18"),
        ("min_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 16"),
        ("max_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 20"),
        ("sum_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 90"),
        ("count_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 5"),
        ("last_over_time(g{i=\"a\"}[5m])", "{__name__=g,i=a,z=x} 20"),
        ("stddev_over_time(g{i=\"a\"}[5m])", "{i=a,z=x} 1.414213562"),
        ("quantile_over_time(0.5, g{i=\"a\"}[5m])", "{i=a,z=x} 18"),
        ("last_over_time(old[10m])", "{__name__=old} 7"),
        // Absence.
        ("absent(old)", "{} 1"),
        ("absent(g)", ""),
        ("absent(nope{i=\"a\",z=~\"b\"})", "{i=a} 1"),
        ("absent_over_time(old[5m])", "{} 1"),
        ("absent_over_time(old[10m])", ""),
        // Aggregation.
        ("sum(g)", "{} 30"),
        ("sum by (i) (g)", "{i=a} 20; {i=b} 10"),
        ("sum without (z) (g)", "{i=a} 20; {i=b} 10"),
        ("avg(cap)", "{} 60"),
        ("min(g)", "{} 10"),
        ("max(g)", "{} 20"),
        ("count(g)", "{} 2"),
        ("count(nope)", ""),
        ("group by (z) (g)", "{z=x} 1; {z=y} 1"),
        ("topk(1, g)", "{__name__=g,i=a,z=x} 20"),
        ("bottomk(1, g)", "{__name__=g,i=b,z=y} 10"),
        ("topk by (i) (1, g)", "{__name__=g,i=a,z=x} 20; {__name__=g,i=b,z=y} 10"),
        ("quantile(0.5, g)", "{} 15"),
        ("stddev(cap)", "{} 20"),
        ("count_values(\"v\", info)", "{v=1} 2"),
        ("sum(rate(c[5m])) by (i)", "{i=a} 1; {i=b} 0.4"),
        // Functions of an instant.
        ("abs(neg)", "{} 2.5"),
        ("ceil(neg)", "{} -2"),
        ("floor(neg)", "{} -3"),
        ("round(neg)", "{} -2"),
        ("round(cap, 30)", "{i=a} 30; {i=b} 90"),
        ("clamp(cap, 50, 60)", "{i=a} 50; {i=b} 60"),
        ("clamp_min(cap, 50)", "{i=a} 50; {i=b} 80"),
        ("clamp_max(cap, 50)", "{i=a} 40; {i=b} 50"),
        ("sort_desc(cap)", "{__name__=cap,i=b} 80; {__name__=cap,i=a} 40"),
        ("timestamp(g{i=\"a\"} offset 1m)", "{i=a,z=x} 540"),
        ("label_replace(cap{i=\"a\"}, \"n\", \"x-$1\", \"i\", \"(.*)\")", "{__name__=cap,i=a,n=x-a} 40"),
        ("label_join(g{i=\"a\"}, \"k\", \"/\", \"i\", \"z\")", "{__name__=g,i=a,k=a/x,z=x} 20"),
        // Rank 20 of 40 lies in (0.1, 0.5], which holds the 11th to the 30th: 0.1 + 0.4 * 10/20.
        ("histogram_quantile(0.5, h_bucket)", "{} 0.3"),
        ("histogram_quantile(0.99, h_bucket)", "{} 0.98"),
    ];
    let wrong: Vec<String> = table
        .iter()
        .filter(|(query, expected)| at(query, 600) != *expected)
        .map(|(query, expected)| format!("{query}\n  is {}\n  not {expected}", at(query, 600)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_newest_sample_serves_for_five_minutes_and_no_longer() {
    assert_eq!(at("old", 419), "{__name__=old} 7");
    assert_eq!(at("old", 420), "", "the window is open on the left");
}

#[test]
fn what_cannot_be_evaluated_says_what_and_why() {
    for (query, kind, says) in [
        ("up{", "BadData", "parse error"),
        ("", "BadData", "no expression found"),
        ("rate(g)", "BadData", "expected type"),
        ("nonsense(g)", "BadData", "unknown function"),
        ("max_over_time(g[5m:1m])", "Execution", "subquery"),
        ("g / on() cap", "Execution", "many-to-many matching not allowed"),
        ("sum(g) + on() cap", "Execution", "duplicate series"),
        ("days_in_month(g)", "Execution", "`days_in_month`"),
        ("limitk(1, g)", "Execution", "`limitk`"),
    ] {
        let said = at(query, 600);
        assert!(said.starts_with(kind) && said.contains(says), "{query}: {said}");
    }
}

#[test]
fn a_range_query_steps_through_its_window() {
    let rows = Query::parse("g{i=\"a\"} > 11").unwrap().range(&world(), 0, 180_000, 60_000).unwrap();
    assert_eq!(rows.len(), 1);
    let values: Vec<(i64, f64)> = rows[0].1.iter().map(|s| (s.at_ms, s.value)).collect();
    assert_eq!(values, [(120_000, 12.0), (180_000, 13.0)]);
    let ends = Query::parse("g{i=\"a\"} @ end()").unwrap().range(&world(), 0, 180_000, 60_000).unwrap();
    assert!(ends[0].1.iter().all(|s| s.value == 13.0));
    let refused = Query::parse("g[5m]").unwrap().range(&world(), 0, 1, 1).unwrap_err();
    assert!(refused.to_string().contains("must be Scalar or instant Vector"));
}

#[test]
fn deep_nesting_is_refused_and_not_a_stack_overflow() {
    let query = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(at(&query, 0).contains("nested deeper"));
}

proptest! {
    /// Whatever is typed, the engine answers or refuses; it does not panic.
    #[test]
    fn any_text_is_answered_or_refused(text in "[ -~]{0,40}") {
        let _ = Query::parse(&text).and_then(|q| q.instant(&world(), 600_000));
    }

    /// A counter's increase never depends on where it resets, as long as samples lie close.
    #[test]
    fn rate_is_never_negative(steps in prop::collection::vec(-50.0_f64..50.0, 2..20)) {
        let mut value: f64 = 0.0;
        let samples: Vec<Sample> = steps.iter().enumerate().map(|(n, step)| {
            value = if *step < 0.0 { 0.0 } else { value + step };
            Sample { at_ms: n as i64 * 30_000, value }
        }).collect();
        let labels = Labels::from([("__name__".into(), "x".into())]);
        let series = vec![Series { labels, source: Source::Stored(samples), exemplars: vec![] }];
        let end = steps.len() as i64 * 30_000;
        if let Value::Vector(points) = Query::parse("rate(x[10m])").unwrap().instant(&series, end).unwrap() {
            prop_assert!(points.iter().all(|p| p.value >= 0.0));
        }
    }
}
