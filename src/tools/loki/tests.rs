//! The tools against a server that answers as Loki's documentation says.

use crate::domain::{Clock, Redactor};
use crate::edge::LokiReader;
use crate::edge::http::tests::{Asked, http, peer};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
struct Recorded;
impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }
}

fn registry(body: Value) -> (Registry, Asked) {
    let (address, asked) = peer(move |_| http(200, "application/json", body.to_string().as_bytes()));
    let loki = Some(LokiReader::new(&address, None, Some("team-a")).unwrap());
    let sources = Sources { loki, ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), asked)
}

fn streams(result: Value) -> Value {
    json!({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}})
}

#[tokio::test]
async fn lines_are_told_with_time_and_what_sets_streams_apart() {
    let at = |seconds: i64| (1_795_219_000_000_000_000i64 + seconds * 1_000_000_000).to_string();
    let (registry, asked) = registry(streams(json!([
        {"stream": {"app": "shop", "pod": "a"}, "values": [[at(3), "ERROR password=hunter2222 refused"], [at(1), "started"]]},
        {"stream": {"app": "shop", "pod": "b"}, "values": [[at(2), "has s3cr3t-value\u{1b}[31m in it\nforged line"]]}])));
    let seen = registry.look("loki_query", &json!({"query": "{app=\"shop\"}", "window": "6h"})).await.unwrap();
    insta::assert_snapshot!("lines", seen.text);
    assert!(!seen.data.to_string().contains("hunter2222") && !seen.data.to_string().contains("s3cr3t"));
    assert_eq!(seen.data["lines"].as_array().unwrap().len(), 3);
    let asked = asked.lock().unwrap().remove(0);
    assert!(
        asked.contains("&start=1795197600000000000&end=1795219200000000000&limit=1000&direction=backward"),
        "{asked}"
    );
}

#[tokio::test]
async fn many_lines_are_few_words() {
    let values: Vec<Value> = (0..1000)
        .map(|n| json!([(1_795_219_000_000_000_000i64 + n).to_string(), format!("GET /orders/{n} took {n} ms")]))
        .collect();
    let (registry, asked) = registry(streams(json!([{"stream": {"app": "shop"}, "values": values}])));
    let seen = registry.look("loki_query", &json!({"query": "{app=\"shop\"}"})).await.unwrap();
    assert!(seen.text.chars().count() <= 8000 && seen.truncated, "{}", seen.text.len());
    assert!(seen.text.contains("x1000 <*> GET /orders/<*> took <*> ms"), "{}", seen.text);
    assert!(seen.text.contains("note: 1000 lines were read"), "{}", seen.text);
    // What is told in few words can be read on in.
    assert!(seen.whole().lines().count() == 300 && seen.whole().contains("GET /orders/701 "));
    let seen = registry.look("loki_query", &json!({"query": "x", "grep": "took 77 ms", "context": 1})).await.unwrap();
    assert_eq!(seen.data["lines"].as_array().unwrap().len(), 3);
    let seen = registry.look("loki_query", &json!({"query": "x", "head": 2})).await.unwrap();
    assert_eq!(seen.data["lines"].as_array().unwrap().len(), 2);
    assert!(asked.lock().unwrap()[2].contains("limit=2&direction=forward"));
}

#[tokio::test]
async fn counts_are_shown_as_series_and_nothing_is_said_in_a_line() {
    let matrix = json!([{"metric": {"app": "a"}, "values": [[1_795_219_000, "2"], [1_795_219_060, "4"]]}]);
    let (counted, _) = registry(json!({"data": {"resultType": "matrix", "result": matrix}}));
    let seen = counted.look("loki_query", &json!({"query": "sum by (app) (rate({a=\"b\"}[5m]))"})).await.unwrap();
    assert!(seen.text.contains("FIRST") && seen.text.contains("app=\"a\""), "{}", seen.text);
    let (none, _) = registry(streams(json!([])));
    let seen = none.look("loki_query", &json!({"query": "{a=\"b\"}"})).await.unwrap();
    assert_eq!(seen.text, "no lines match the query in this window\n");
    let (labels, asked) = registry(json!({"status": "success", "data": ["shop", "default"]}));
    let seen = labels.look("loki_labels", &json!({"label": "namespace"})).await.unwrap();
    assert_eq!(seen.text, "2 values of namespace: default, shop\ndefault\nshop\n");
    assert!(asked.lock().unwrap()[0].starts_with("GET /loki/api/v1/label/namespace/values?"));
}

#[tokio::test]
async fn no_call_chooses_a_tenant_a_path_or_a_year() {
    let (registry, asked) = registry(streams(json!([])));
    for args in [
        json!({"query": "x", "tenant": "other"}),
        json!({"query": "x", "window": "90d"}),
        json!({"query": "x", "head": 1, "tail": 1}),
        json!({"query": ""}),
    ] {
        assert!(matches!(registry.look("loki_query", &args).await, Err(ToolError::Invalid { .. })), "{args}");
    }
    for label in ["../../ready", "a/b", "a%2f", "1a", "x\r\ny"] {
        assert!(matches!(registry.look("loki_labels", &json!({"label": label})).await, Err(ToolError::Invalid { .. })));
    }
    assert!(asked.lock().unwrap().is_empty());
    registry.look("loki_query", &json!({"query": "x\r\nX-Scope-OrgID: other"})).await.unwrap();
    let asked = asked.lock().unwrap();
    let tenants: Vec<&str> = asked[0].lines().filter(|l| l.to_ascii_lowercase().starts_with("x-scope-orgid")).collect();
    assert_eq!(tenants, ["x-scope-orgid: team-a"]);
}
