//! The query API: envelopes and errors as a real Prometheus answers them, alerts that follow from samples.

use super::{fetch, recorded, serve};
use crate::scenario::{Served, World, about::PrometheusFault};
use serde_json::{Value, json};

async fn demo() -> Served {
    serve(World::embedded("typedb-pvc-full", None).unwrap()).await.1
}

async fn get(served: &Served, path: &str, query: &[(&str, &str)]) -> (u16, String, Value) {
    let request = reqwest::Client::new().get(format!("{}{path}", served.prometheus_url)).query(query);
    fetch(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_recorded_status_and_type() {
    let served = demo().await;
    let (query, range, series) = ("/api/v1/query", "/api/v1/query_range", "/api/v1/series");
    let up = ("query", "up");
    let table: &[(&str, &str, &[(&str, &str)])] = &[
        ("error-bad-query", query, &[("query", "rate(")]),
        ("error-missing-query", query, &[]),
        ("error-type", query, &[("query", "rate(up)")]),
        ("error-bad-time", query, &[up, ("time", "yesterday")]),
        ("error-timeout", query, &[up, ("timeout", "1ns")]),
        (
            "error-execution",
            query,
            &[("query", "kubelet_volume_stats_used_bytes / on(namespace) kubelet_volume_stats_used_bytes")],
        ),
        ("error-end-before-start", range, &[up, ("start", "10"), ("end", "5"), ("step", "1")]),
        ("error-zero-step", range, &[up, ("start", "0"), ("end", "5"), ("step", "0")]),
        ("error-too-many-points", range, &[up, ("start", "0"), ("end", "100000"), ("step", "1")]),
        ("error-series-no-match", series, &[]),
        ("error-unknown-path", "/api/v1/nonsense", &[]),
        ("query-empty", query, &[("query", "nope")]),
        ("query-range-empty", range, &[("query", "nope"), ("start", "0"), ("end", "5"), ("step", "1")]),
    ];
    for (name, path, parameters) in table {
        let expected = recorded(&format!("prometheus/{name}"));
        let (status, kind, body) = get(&served, path, parameters).await;
        assert_eq!(status, expected["status"], "{name}: {body}");
        assert_eq!(kind, expected["headers"]["Content-Type"], "{name}");
        match expected["body"].get("errorType") {
            // Texts differ between versions; these do not.
            Some(error_type) => {
                assert_eq!((&body["status"], &body["errorType"]), (&json!("error"), error_type), "{name}");
                assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            }
            None => assert_eq!(body, expected["body"], "{name}"),
        }
    }
    for (name, path, parameters) in table.iter().filter(|(name, ..)| {
        matches!(
            *name,
            "error-bad-time"
                | "error-timeout"
                | "error-end-before-start"
                | "error-zero-step"
                | "error-too-many-points"
                | "error-series-no-match"
                | "error-missing-query"
        )
    }) {
        let expected = recorded(&format!("prometheus/{name}"));
        assert_eq!(get(&served, path, parameters).await.2, expected["body"], "{name}: the whole text");
    }
    let method = recorded("prometheus/error-method");
    let deleted = reqwest::Client::new().delete(format!("{}/api/v1/query", served.prometheus_url));
    let (status, kind, body) = fetch(deleted).await;
    assert_eq!(
        (json!(status), json!(kind), &body),
        (method["status"].clone(), method["headers"]["Content-Type"].clone(), &method["body"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_the_recorded_form() {
    let served = demo().await;
    let time = ("time", "1795219394.966");
    let (_, _, scalar) = get(&served, "/api/v1/query", &[("query", "1+2"), time]).await;
    assert_eq!(scalar, recorded("prometheus/query-scalar")["body"]);
    let (_, _, text) = get(&served, "/api/v1/query", &[("query", "\"hello\""), ("time", "1795219395.518")]).await;
    assert_eq!(text, recorded("prometheus/query-string")["body"]);

    let query = "kubelet_volume_stats_capacity_bytes{persistentvolumeclaim=\"data-typedb-0\"}";
    let form = [("query", query), ("time", "2026-04-01T15:20:00Z")];
    let (_, _, got) = get(&served, "/api/v1/query", &form).await;
    assert_eq!(got["data"]["resultType"], "vector");
    assert_eq!(got["data"]["result"][0]["value"], json!([1_775_056_800, "20957446144"]));
    let posted = reqwest::Client::new().post(format!("{}/api/v1/query", served.prometheus_url)).form(&form);
    assert_eq!(fetch(posted).await.2, got, "a posted form is the same question");
    // Without a time, the world's own present counts.
    assert_eq!(get(&served, "/api/v1/query", &form[..1]).await.2, got);

    let window = [("query", query), ("start", "1775056200"), ("end", "1775056800"), ("step", "5m")];
    let (_, _, matrix) = get(&served, "/api/v1/query_range", &window).await;
    assert_eq!(matrix["data"]["resultType"], "matrix");
    assert_eq!(matrix["data"]["result"][0]["values"].as_array().unwrap().len(), 3);
    let (_, _, raw) = get(&served, "/api/v1/query", &[("query", &format!("{query}[2m]"))]).await;
    assert_eq!(raw["data"]["result"][0]["values"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn series_labels_and_targets_can_be_listed() {
    let served = demo().await;
    let matched = [("match[]", "kubelet_volume_stats_used_bytes{namespace=\"f3iai\"}")];
    let (_, _, series) = get(&served, "/api/v1/series", &matched).await;
    assert_eq!(series["data"].as_array().unwrap().len(), 2);
    let (_, _, names) = get(&served, "/api/v1/labels", &matched).await;
    assert!(names["data"].as_array().unwrap().contains(&json!("persistentvolumeclaim")));
    let (_, _, values) = get(&served, "/api/v1/label/namespace/values", &[]).await;
    assert!(values["data"].as_array().unwrap().contains(&json!("f3iai")));
    let (_, _, limited) = get(&served, "/api/v1/label/__name__/values", &[("limit", "1")]).await;
    assert_eq!(
        (limited["data"].as_array().unwrap().len(), &limited["warnings"][0]),
        (1, &json!("results truncated due to limit"))
    );
    let (_, _, targets) = get(&served, "/api/v1/targets", &[("state", "active")]).await;
    let down: Vec<&Value> =
        targets["data"]["activeTargets"].as_array().unwrap().iter().filter(|t| t["health"] == "down").collect();
    assert_eq!(down.len(), 1);
    assert_eq!(down[0]["labels"]["job"], "typedb");
    let (_, _, metadata) = get(&served, "/api/v1/metadata", &[("metric", "up")]).await;
    assert_eq!(metadata["data"]["up"][0]["type"], "gauge");
    let (_, _, info) = get(&served, "/api/v1/status/buildinfo", &[]).await;
    let expected = recorded("prometheus/buildinfo");
    assert!(expected["body"]["data"].as_object().unwrap().keys().all(|key| info["data"].get(key).is_some()));
    assert_eq!(get(&served, "/-/ready", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cut_at_its_limit_and_says_so() {
    let served = demo().await;
    let query = ("query", "kubelet_volume_stats_used_bytes");
    let (_, _, all) = get(&served, "/api/v1/query", &[query, ("limit", "0")]).await;
    let count = all["data"]["result"].as_array().unwrap().len();
    assert!(count > 1 && all.get("warnings").is_none());
    let window = [query, ("start", "1775056200"), ("end", "1775056800"), ("step", "5m"), ("limit", "1")];
    for (path, asked) in [("/api/v1/query", &[query, ("limit", "1")][..]), ("/api/v1/query_range", &window[..])] {
        let (_, _, cut) = get(&served, path, asked).await;
        let warned = recorded("prometheus/../../prometheus/3.5.3/query-limit")["body"]["warnings"].clone();
        assert_eq!((cut["data"]["result"].as_array().unwrap().len(), &cut["warnings"]), (1, &warned), "{path}");
    }
    let (_, _, exact) = get(&served, "/api/v1/query", &[query, ("limit", &count.to_string())]).await;
    assert!(exact.get("warnings").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_of_the_selected_series_are_told_in_their_window() {
    let served = serve(World::embedded("no-fault", None).unwrap()).await.1;
    let asked = |query: &'static str| [("query", query), ("start", "0"), ("end", "9999999999")];
    let path = "/api/v1/query_exemplars";
    let (status, _, found) = get(&served, path, &asked("sum(rate(http_requests_total{code=~\"5..\"}[5m]))")).await;
    assert_eq!((status, &found["status"]), (200, &json!("success")));
    let one = &found["data"][0];
    assert!(one["seriesLabels"]["__name__"] == "http_requests_total", "{found}");
    let exemplar = &one["exemplars"][0];
    assert!(
        exemplar["labels"]["trace_id"].is_string()
            && exemplar["value"].is_string()
            && exemplar["timestamp"].is_number()
    );
    for none in ["http_requests_total{code=\"200\"}", "vector(1)"] {
        assert_eq!(get(&served, path, &asked(none)).await.2["data"], json!([]), "{none}");
    }
    let early = [("query", "http_requests_total"), ("start", "0"), ("end", "1")];
    assert_eq!(get(&served, path, &early).await.2["data"], json!([]));
    assert_eq!(get(&served, path, &[("query", "rate(")]).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_rules_say_the_same() {
    let served = demo().await;
    let (_, _, alerts) = get(&served, "/api/v1/alerts", &[]).await;
    let alerts = alerts["data"]["alerts"].as_array().unwrap();
    let high = alerts.iter().find(|a| a["labels"]["alertname"] == "PVCUsageHigh").unwrap();
    assert_eq!((&high["state"], &high["activeAt"]), (&json!("firing"), &json!("2026-04-01T14:58:00Z")));
    assert_eq!(high["annotations"]["summary"], "PVC data-typedb-0 in f3iai is 77.3% full");
    assert!(high["value"].as_str().unwrap().starts_with("7.72") || high["value"].as_str().unwrap().starts_with("7.73"));
    let (_, _, rules) = get(&served, "/api/v1/rules", &[("type", "alert"), ("rule_name[]", "PVCUsageHigh")]).await;
    let rule = &rules["data"]["groups"][0]["rules"][0];
    assert_eq!((&rule["state"], &rule["duration"], &rule["alerts"][0]), (&json!("firing"), &json!(600.0), high));
    let (_, _, all) = get(&served, "/api/v1/rules", &[]).await;
    let states: Vec<&str> = all["data"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .filter_map(|rule| rule["state"].as_str())
        .collect();
    assert_eq!(states, ["firing", "inactive", "firing", "firing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_prometheus_is_faulty() {
    let faulty = |fault: PrometheusFault| {
        let mut world = World::embedded("no-fault", None).unwrap();
        world.faults.prometheus = Some(fault);
        world
    };
    let (_, served) = serve(faulty(PrometheusFault::Down)).await;
    let refused = reqwest::Client::new().get(format!("{}/-/ready", served.prometheus_url)).send().await;
    assert!(refused.unwrap_err().is_connect());
    for (fault, kind) in [(PrometheusFault::Unavailable, "unavailable"), (PrometheusFault::Timeout, "timeout")] {
        let (_, served) = serve(faulty(fault)).await;
        let (status, _, body) = get(&served, "/api/v1/query", &[("query", "up")]).await;
        assert_eq!((status, &body["errorType"]), (503, &json!(kind)));
    }
}
