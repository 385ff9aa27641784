//! The tools against recorded answers of real servers.

use super::series::{SAMPLES, SERIES};
use crate::domain::{Clock, Redactor};
use crate::edge::PrometheusReader;
use crate::edge::prometheus::tests::{fixture, replaying};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
struct Recorded;
impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        "2026-11-21T00:03:30Z".parse().unwrap()
    }
}

pub(super) fn registry(reader: PrometheusReader) -> Registry {
    let sources = Sources { prometheus: Some(reader), ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap()
}

fn matrix(series: usize, samples: usize) -> Value {
    let values: Vec<Value> = (0..samples).map(|n| json!([1_795_000_000 + 10 * n, format!("{}", n % 977)])).collect();
    let result: Vec<Value> =
        (0..series).map(|n| json!({"metric": {"pod": format!("p{n}"), "job": "j"}, "values": values})).collect();
    json!({"status": 200, "body": {"status": "success", "data": {"resultType": "matrix", "result": result}}})
}

#[tokio::test]
async fn answers_of_every_shape_are_shown() {
    let mut all = String::new();
    for name in
        ["query-vector", "query-nan-inf", "query-scalar", "query-string", "query-empty", "query-matrix", "query-limit"]
    {
        let (reader, asked) = replaying(fixture("3.5.3", name));
        let seen = registry(reader).look("prometheus_query", &json!({"query": "up"})).await.unwrap();
        all.push_str(&format!("== {name}\n{}\n", seen.text));
        assert!(
            asked.lock().unwrap()[0].starts_with("GET /api/v1/query?query=up&time=1795219410&timeout=20s&limit=2001 ")
        );
        assert!(seen.data["resultType"].is_string());
    }
    insta::assert_snapshot!("queries", all);
}

#[tokio::test]
async fn a_range_is_told_as_summaries() {
    for version in ["2.42.0", "3.5.3"] {
        let (reader, asked) = replaying(fixture(version, "query-range"));
        let args = json!({"query": "kubelet_volume_stats_used_bytes", "window": "6h", "end": 1_795_219_394});
        let seen = registry(reader).look("prometheus_query_range", &args).await.unwrap();
        assert_eq!(
            seen.data["result"][0]["summary"]["points"],
            seen.data["result"][0]["values"].as_array().unwrap().len()
        );
        let asked = asked.lock().unwrap()[1].clone();
        assert!(asked.contains("start=1795197794&end=1795219394&step=120&timeout=20s&limit=2001 "), "{asked}");
        if version == "3.5.3" {
            insta::assert_snapshot!("range", seen.text);
        }
    }
}

#[tokio::test]
async fn a_large_matrix_is_bounded_in_series_and_samples() {
    let (reader, _) = replaying(matrix(220, 900));
    let seen = registry(reader).look("prometheus_query_range", &json!({"query": "x"})).await.unwrap();
    let result = seen.data["result"].as_array().unwrap();
    assert_eq!(result.len(), SERIES);
    for one in result {
        assert!(one["values"].as_array().unwrap().len() <= SAMPLES);
        assert_eq!((&one["summary"]["points"], &one["summary"]["max"]), (&json!(900), &json!(899.0)));
    }
    assert!(seen.truncated && seen.text.len() <= 32 << 10, "{}", seen.text.len());
    assert!(seen.text.contains("200 of 220 series are shown"), "{}", &seen.text[..400]);
}

#[tokio::test]
async fn a_typing_error_is_told_before_anything_is_sent() {
    let (reader, asked) = replaying(fixture("3.5.3", "query-vector"));
    let registry = registry(reader);
    for (tool, args) in [
        ("prometheus_query", json!({"query": "rate(http_requests_total[5m]"})),
        ("prometheus_query", json!({"query": "sum by (pod"})),
        ("prometheus_query_range", json!({"query": "up{job=}"})),
        ("prometheus_query_range", json!({"query": "up", "window": "6 parsecs"})),
        ("prometheus_query_range", json!({"query": "up", "window": "6h", "start": "-1h"})),
        ("prometheus_series", json!({"match": "up{"})),
        ("prometheus_query", json!({"query": "up", "time": "yesterday"})),
    ] {
        let error = registry.look(tool, &args).await.unwrap_err();
        assert!(matches!(error, ToolError::Invalid { .. }), "{args}: {error}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn what_people_write_is_valid() {
    for query in [
        "up",
        "{__name__=~\"kubelet_volume.*\"}",
        "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))",
        "topk(5, sum(rate(container_cpu_usage_seconds_total{container!=\"\"}[5m])) by (pod))",
        "max_over_time((up == bool 0)[1h:1m])",
        "predict_linear(kubelet_volume_stats_available_bytes[6h], 4 * 3600) < 0",
        "a * on (pod) group_left (node) kube_pod_info",
        "x offset -5m > 1e3 and y @ end()",
        "count_values(\"v\", x) unless absent(up{job!~\"a|b\"})",
        "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")",
        "brand_new_function(x[5m])",
    ] {
        super::promql(query).unwrap();
    }
    let said = ["rate(x[5m]", "sum by (pod", "up{job=}", "rate(x)", "x[5m", "select * from up", ""]
        .map(|query| format!("{query:?}: {}", super::promql(query).unwrap_err()));
    insta::assert_snapshot!("wrong_queries", said.join("\n"));
}

#[tokio::test]
async fn errors_of_the_server_say_who_can_mend_them() {
    for version in ["2.42.0", "3.5.3"] {
        for (name, expected) in [
            ("error-bad-query", "invalid"),
            ("error-execution", "invalid"),
            ("error-real-timeout", "later"),
            ("error-unknown-path", "failed"),
        ] {
            let (reader, _) = replaying(fixture(version, name));
            let error = registry(reader).look("prometheus_query", &json!({"query": "up"})).await.unwrap_err();
            let kind = match &error {
                ToolError::Invalid { .. } => "invalid",
                ToolError::Refused { .. } => "refused",
                ToolError::Failed { transient: true, .. } => "later",
                ToolError::Failed { .. } => "failed",
            };
            assert_eq!(kind, expected, "{version} {name}: {error}");
        }
    }
}

#[tokio::test]
async fn inventories_are_shown_in_both_versions() {
    for version in ["2.42.0", "3.5.3"] {
        let mut all = String::new();
        for (name, tool, args, key) in [
            ("series", "prometheus_series", json!({"match": ["kubelet_volume_stats_used_bytes"]}), "series"),
            ("alerts", "prometheus_alerts", json!({}), "alerts"),
            ("rules", "prometheus_rules", json!({"name": "pvcusagehigh"}), "groups"),
            ("rules", "prometheus_rules", json!({"name": "nosuch"}), "groups"),
            ("targets", "prometheus_targets", json!({}), "activeTargets"),
        ] {
            let (reader, _) = replaying(fixture(version, name));
            let seen = registry(reader).look(tool, &args).await.unwrap();
            assert!(seen.data[key].is_array(), "{tool}");
            all.push_str(&format!("== {tool} {args}\n{}\n", seen.text));
        }
        insta::assert_snapshot!(format!("inventory_{version}"), all);
    }
}

#[tokio::test]
async fn targets_come_broken_first_and_without_what_discovery_knew() {
    let (reader, _) = replaying(fixture("3.5.3", "targets"));
    let registry = registry(reader);
    let seen = registry.look("prometheus_targets", &json!({})).await.unwrap();
    assert!(!seen.data.to_string().contains("discoveredLabels"));
    let health: Vec<&str> =
        seen.data["activeTargets"].as_array().unwrap().iter().map(|t| t["health"].as_str().unwrap()).collect();
    assert!(health.len() > 1 && health[0] == "down" && health.is_sorted(), "{health:?}");
    let down = registry.look("prometheus_targets", &json!({"state": "down"})).await.unwrap();
    assert!(down.data["activeTargets"].as_array().unwrap().iter().all(|t| t["health"] == "down"));
}

#[tokio::test]
async fn every_answer_begins_with_what_was_seen() {
    let mut told = Vec::new();
    for version in ["2.42.0", "3.5.3"] {
        for (name, tool, args) in [
            ("query-vector", "prometheus_query", json!({"query": "up"})),
            ("query-nan-inf", "prometheus_query", json!({"query": "up"})),
            ("query-scalar", "prometheus_query", json!({"query": "up"})),
            ("query-string", "prometheus_query", json!({"query": "up"})),
            ("query-matrix", "prometheus_query", json!({"query": "up"})),
            ("query-empty", "prometheus_query", json!({"query": "up"})),
            ("query-range", "prometheus_query_range", json!({"query": "up"})),
            ("query-range-empty", "prometheus_query_range", json!({"query": "up"})),
            ("series", "prometheus_series", json!({"match": "up"})),
            ("alerts", "prometheus_alerts", json!({})),
            ("rules", "prometheus_rules", json!({})),
            ("rules", "prometheus_rules", json!({"name": "PVCUsageHigh"})),
            ("rules", "prometheus_rules", json!({"name": "nosuch"})),
            ("targets", "prometheus_targets", json!({})),
            ("targets", "prometheus_targets", json!({"state": "up"})),
            ("targets", "prometheus_targets", json!({"state": "unknown"})),
        ] {
            let (reader, _) = replaying(fixture(version, name));
            let text = registry(reader).look(tool, &args).await.unwrap().text;
            let first = text.lines().next().unwrap();
            assert!(first.chars().count() <= crate::tools::gist::CHARS, "{first}");
            told.push(format!("{version} {name} {args}\n    {first}"));
        }
    }
    insta::assert_snapshot!("gists", told.join("\n"));
}

#[test]
fn metrics_are_told_with_what_tells_them_apart() {
    use super::gist;
    let series = |pvc: &str, first: f64, last: f64| {
        let (low, high) = (first.min(last), first.max(last));
        json!({"metric": {"namespace": "a", "persistentvolumeclaim": pvc, "job": "kubelet"}, "values": [[0, "0"], [21600, "1"]],
            "summary": {"first": first, "last": last, "min": low, "max": high, "trend_per_hour": (last - first) / 6.0}})
    };
    for (seen, told) in [
        (
            vec![series("data-typedb-0", 0.5561, 0.772_99)],
            "1 series over 6h: 0.556 → 0.773 (+0.0361/h, min 0.556, max 0.773)",
        ),
        (vec![series("d", 7.0, 7.0)], "1 series over 6h: 7 throughout"),
        (vec![series("x", 9.0, 3.0), series("y", 1234.5, 1234.5)], "2 series over 6h: x 9 → 3, y 1235 throughout"),
        (vec![json!({"metric": {}, "values": [[0, "NaN"]], "summary": {}})], "1 series over 0s: no finite sample"),
        (vec![], "no series: nothing matches in this window"),
    ] {
        assert_eq!(gist::range(&seen), told);
    }
    let alert = |name: &str, state: &str| json!({"labels": {"alertname": name}, "state": state});
    let (a, b, c) = (alert("PVCUsageHigh", "firing"), alert("KubePodCrashLooping", "firing"), alert("Slow", "pending"));
    for (seen, told) in [
        (vec![&a, &b, &b], "3 alerts firing: KubePodCrashLooping ×2, PVCUsageHigh"),
        (vec![&a, &c, &c], "1 alert firing: PVCUsageHigh; 2 pending: Slow ×2"),
        (vec![&c], "no alerts firing; 1 pending: Slow"),
        (vec![], "no alerts are pending or firing"),
    ] {
        assert_eq!(gist::alerts(seen.into_iter()), told);
    }
    let target = |health: &str, error: &str| json!({"health": health, "lastError": error, "labels": {"job": "node", "instance": "a:1"}});
    let (up, down, new) =
        (target("up", ""), target("down", "Get \"http://a\": dial: connection refused"), target("unknown", ""));
    for (seen, told) in [
        (vec![&up, &up, &down], "3 targets: 2 up, 1 down (node/a:1: \"connection refused\")"),
        (vec![&down, &new], "2 targets: 1 down, 1 not scraped yet (node/a:1: \"connection refused\", node/a:1)"),
        (vec![&new], "1 target: 1 not scraped yet (node/a:1)"),
        (vec![&up, &up], "2 targets: all up"),
    ] {
        assert_eq!(gist::targets(seen.into_iter(), None), told);
    }
}

#[tokio::test]
async fn labels_and_meanings_are_told_in_both_versions() {
    for version in ["2.42.0", "3.5.3"] {
        let mut all = String::new();
        for (name, tool, args, path) in [
            ("labels", "prometheus_labels", json!({}), "GET /api/v1/labels?start="),
            (
                "label-values",
                "prometheus_labels",
                json!({"label": "namespace", "match": "kubelet_volume_stats_used_bytes"}),
                "GET /api/v1/label/namespace/values?match%5B%5D=kubelet_volume_stats_used_bytes&start=1795215810&end=1795219410&limit=10000 ",
            ),
            (
                "metadata",
                "prometheus_metadata",
                json!({"metric": "kubelet_volume_stats_used_bytes"}),
                "GET /api/v1/metadata?limit=10000&metric=kubelet_volume_stats_used_bytes ",
            ),
            ("metadata", "prometheus_metadata", json!({"contains": "USED bytes"}), "GET /api/v1/metadata?limit=10000 "),
            (
                "metadata",
                "prometheus_metadata",
                json!({"contains": "nothing like it"}),
                "GET /api/v1/metadata?limit=10000 ",
            ),
        ] {
            let (reader, asked) = replaying(fixture(version, name));
            let seen = registry(reader).look(tool, &args).await.unwrap();
            assert!(asked.lock().unwrap()[0].starts_with(path), "{:?}", asked.lock().unwrap());
            assert!(seen.text.lines().next().unwrap().chars().count() <= crate::tools::gist::CHARS);
            all.push_str(&format!("== {tool} {args}\n{}\n", seen.text));
        }
        insta::assert_snapshot!(format!("names_{version}"), all);
    }
}

#[tokio::test]
async fn a_partial_list_of_values_says_so_and_a_path_is_no_label() {
    let body = json!({"status": "success", "data": ["a"], "warnings": ["results truncated due to limit"]});
    let (reader, asked) = replaying(json!({"status": 200, "body": body}));
    let registry = registry(reader);
    let seen = registry.look("prometheus_labels", &json!({"label": "pod"})).await.unwrap();
    assert!(seen.truncated && seen.data["complete"] == false);
    assert!(seen.text.starts_with("at least 1 value of pod: a\n"), "{}", seen.text);
    assert!(seen.text.contains("note: partial, Prometheus warns: results truncated due to limit"), "{}", seen.text);
    for label in ["a/../../admin", "1a", "a b", "?x"] {
        let error = registry.look("prometheus_labels", &json!({"label": label})).await.unwrap_err();
        assert!(matches!(error, ToolError::Invalid { .. }), "{label}: {error}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_part_of_a_histogram_is_told_under_its_family() {
    let (reader, asked) = replaying(json!({"status": 200, "body": {"status": "success", "data": {}}}));
    let seen =
        registry(reader).look("prometheus_metadata", &json!({"metric": "latency_seconds_bucket"})).await.unwrap();
    assert!(seen.text.starts_with("no metadata"), "{}", seen.text);
    assert!(asked.lock().unwrap()[1].starts_with("GET /api/v1/metadata?limit=10000&metric=latency_seconds "));
}

#[tokio::test]
async fn a_function_that_the_parser_does_not_know_is_no_way_round_the_guard() {
    let (reader, asked) = replaying(fixture("3.5.3", "query-vector"));
    let registry = registry(reader);
    for query in ["brand_new({__name__=~\".+\"})", "sum(brand_new(x[5m]))"] {
        let error = registry.look("prometheus_query", &json!({"query": query})).await.unwrap_err().to_string();
        assert!(error.contains("unknown function with name 'brand_new'"), "{error}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_even_count_is_not_asked_for_more() {
    let (reader, asked) = replaying(fixture("3.5.3", "error-real-timeout"));
    let error = registry(reader).look("prometheus_query_range", &json!({"query": "x"})).await.unwrap_err();
    assert!(error.to_string().contains("did not even count `x` within 5s") && !error.is_transient(), "{error}");
    let asked = asked.lock().unwrap();
    assert!(asked.len() == 1 && asked[0].contains("timeout=5s"), "{asked:?}");
}
