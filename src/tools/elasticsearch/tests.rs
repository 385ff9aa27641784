//! The tool against a server that answers as the search API's documentation says.

use crate::domain::{Clock, Redactor};
use crate::edge::ElasticsearchReader;
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
    let indices = vec!["logs-*".to_owned(), "audit".to_owned()];
    let elasticsearch = Some(ElasticsearchReader::new(&address, None, indices, "@timestamp").unwrap());
    let sources = Sources { elasticsearch, ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), asked)
}

fn hit(n: u32, source: Value) -> Value {
    json!({"_index": "logs-shop", "_id": n.to_string(), "_score": null, "_source": source, "sort": [n]})
}

fn found(hits: Value, total: Value, failed: u32, timed_out: bool) -> Value {
    json!({"took": 5, "timed_out": timed_out, "_shards": {"total": 5, "successful": 5 - failed, "skipped": 0, "failed": failed,
           "failures": [{"shard": 0, "index": "logs-shop", "reason": {"type": "x", "reason": "too many clauses"}}]},
           "hits": {"total": total, "max_score": null, "hits": hits}})
}

#[tokio::test]
async fn hits_are_lines_oldest_first_without_secrets() {
    let hits = json!([
        hit(
            2,
            json!({"@timestamp": "2026-11-20T23:59:58Z", "message": "connection refused", "level": "error", "kubernetes": {"pod": {"name": "api-1"}}})
        ),
        hit(
            1,
            json!({"@timestamp": "2026-11-20T23:59:57Z", "message": "login", "db_password": "correct horse", "n": 7, "tags": ["a"]})
        ),
    ]);
    let (registry, asked) = registry(found(hits, json!({"value": 2, "relation": "eq"}), 0, false));
    let args = json!({"query": "level:error", "filters": {"service.name": "api", "n": 7}, "fields": ["message", "level"], "index": "logs-shop-*, audit", "window": "2h"});
    let seen = registry.look("elasticsearch_search", &args).await.unwrap();
    insta::assert_snapshot!("hits", seen.text);
    assert!(!seen.data.to_string().contains("horse") && !seen.truncated);
    let asked = asked.lock().unwrap().remove(0);
    assert!(asked.starts_with("POST /logs-shop-*,audit/_search "), "{asked}");
    let body: Value = serde_json::from_str(asked.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    insta::assert_json_snapshot!("question", body);
}

#[tokio::test]
async fn a_part_of_the_hits_is_called_a_part() {
    let one = json!([hit(1, json!({"@timestamp": "t", "log": "x"}))]);
    let (registry, _) = registry(found(one, json!({"value": 10_000, "relation": "gte"}), 2, true));
    let seen = registry.look("elasticsearch_search", &json!({})).await.unwrap();
    assert!(seen.truncated && seen.data["partial"] == true);
    for words in [
        "more than 10000 hits, partial",
        "ran out of time",
        "2 of 5 shards failed, so hits are missing: too many clauses",
        "1 of more than 10000 hits are shown",
    ] {
        assert!(seen.text.contains(words), "{words}: {}", seen.text);
    }
}

#[tokio::test]
async fn no_call_leaves_the_list_or_writes_its_own_query() {
    let (registry, asked) = registry(found(json!([]), json!(0), 0, false));
    for index in ["secrets", "logs-a,secrets", "_all", "*", "logs-x:other", "../_cluster", "<logs-{now}>", ".security"]
    {
        let refused = registry.look("elasticsearch_search", &json!({"index": index})).await;
        assert!(matches!(refused, Err(ToolError::Refused { .. })), "{index}");
    }
    for args in [
        json!({"script": {"source": "1"}}),
        json!({"query": {"match_all": {}}}),
        json!({"filters": {"a": {"script": "x"}}}),
        json!({"filters": {"a\"b": "x"}}),
        json!({"fields": ["a b"]}),
        json!({"size": 100_000}),
    ] {
        assert!(matches!(registry.look("elasticsearch_search", &args).await, Err(ToolError::Invalid { .. })), "{args}");
    }
    assert!(asked.lock().unwrap().is_empty());
    let seen = registry.look("elasticsearch_search", &json!({"index": ""})).await.unwrap();
    assert_eq!(seen.text, "no hits in this window\n");
    let targets = registry.targets("elasticsearch_search", &json!({"index": "audit"})).unwrap();
    assert_eq!((&targets[0]["kind"], &targets[0]["name"]), (&json!("Elasticsearch"), &json!("audit")));
}
