//! The tool against a server that answers what a test wants it to.

use crate::edge::PrometheusReader;
use crate::edge::http::tests::{Asked, http, peer};
use crate::edge::prometheus::tests::fixture;
use crate::tools::prometheus::tests::registry;
use crate::tools::{Registry, ToolError};
use serde_json::{Value, json};

/// A server with the recorded rules, whose queries are answered by `values`: pods and their values, or
/// `None` for a query that it cannot evaluate.
fn server(values: fn(&str, f64) -> Option<Vec<(&'static str, f64)>>) -> (Registry, Asked) {
    let rules = fixture("3.5.3", "rules")["body"].to_string();
    let (address, asked) = peer(move |request| {
        let line = request.lines().next().unwrap_or_default();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let url = url::Url::parse(&format!("http://x{path}")).unwrap();
        let of = |key: &str| url.query_pairs().find(|(k, _)| k == key).map(|(_, v)| v.into_owned()).unwrap_or_default();
        let query = of("query");
        let matrix = url.path().ends_with("query_range");
        let at: f64 = if matrix { of("end") } else { of("time") }.parse().unwrap_or(0.0);
        let body = match url.path() {
            "/api/v1/rules" => rules.clone(),
            _ => match values(&query, at) {
                None => {
                    let error = json!({"status": "error", "errorType": "execution", "error": "many-to-many"});
                    return http(422, "application/json", error.to_string().as_bytes());
                }
                Some(values) => {
                    let step: f64 = of("step").parse().unwrap_or(1.0);
                    let one = |(pod, value): &(&str, f64)| match matrix {
                        false => json!({"metric": {"pod": pod}, "value": [at, value.to_string()]}),
                        // It holds since ten samples.
                        true => {
                            json!({"metric": {"pod": pod}, "values": (0..10).rev().map(|n| json!([at - f64::from(n) * step, value.to_string()])).collect::<Vec<_>>()})
                        }
                    };
                    let result: Vec<Value> = values.iter().map(one).collect();
                    let kind = if matrix { "matrix" } else { "vector" };
                    json!({"status": "success", "data": {"resultType": kind, "result": result}}).to_string()
                }
            },
        };
        http(200, "application/json", body.as_bytes())
    });
    (registry(PrometheusReader::new(&address, None).unwrap()), asked)
}

#[tokio::test]
async fn an_expression_without_an_alert_is_followed_back_to_its_beginning() {
    let (registry, asked) = server(|query, _| {
        Some(match query {
            "queue > 10 and on (pod) up == 1" => vec![("a", 25.0)],
            "queue > 10" => vec![("a", 25.0), ("b", 11.0)],
            "queue" => vec![("a", 25.0), ("b", 11.0), ("c", 9.5)],
            "up == 1" | "up" => vec![("a", 1.0)],
            _ => vec![],
        })
    });
    let seen = registry.look("prometheus_explain", &json!({"query": "queue > 10 and on (pod) up == 1"})).await.unwrap();
    insta::assert_snapshot!("query", seen.text);
    assert_eq!(seen.data["onset"], json!(1_795_219_410.0 - 9.0 * 120.0));
    assert_eq!(seen.data["comparisons"][0]["rows"][2]["distance"], -0.5);
    // The course, whose wide selectors are counted first, and each of the five parts now and then.
    let queries = asked.lock().unwrap().len();
    assert_eq!(queries, 2 + 2 * 5, "{:#?}", asked.lock().unwrap());
}

#[tokio::test]
async fn a_part_that_is_empty_is_told_with_what_is_missing() {
    let (registry, _) = server(|query, _| match query {
        "errors / requests > 0.1" => Some(vec![]),
        "errors / requests" => Some(vec![]),
        "requests" => Some(vec![("a", 100.0)]),
        _ => Some(vec![]),
    });
    let seen = registry.look("prometheus_explain", &json!({"query": "errors / requests > 0.1"})).await.unwrap();
    assert_eq!(seen.data["absent"], json!(["errors"]));
    assert!(seen.text.starts_with("the expression is not true now: errors has no series\n"), "{}", seen.text);
    assert!(seen.text.contains("missing: errors has no series at all"), "{}", seen.text);
    assert!(seen.text.contains("not true within the last 6h"), "{}", seen.text);
}

#[tokio::test]
async fn a_part_that_fails_does_not_hide_the_others() {
    let (registry, _) = server(|query, _| match query {
        "a" => None,
        _ => Some(vec![("p", 3.0)]),
    });
    let seen = registry.look("prometheus_explain", &json!({"query": "a / b > 2"})).await.unwrap();
    assert!(seen.text.contains("no answer: prometheus: the query cannot be evaluated: many-to-many"), "{}", seen.text);
    assert!(seen.text.starts_with("the expression is true: 3 > 2 (by +1) p"), "{}", seen.text);
    let (registry, _) = server(|_, _| None);
    let error = registry.look("prometheus_explain", &json!({"query": "a / b > 2"})).await.unwrap_err();
    assert!(matches!(error, ToolError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn an_alert_is_explained_from_its_own_rule_and_its_own_beginning() {
    let (registry, asked) = server(|query, at| {
        let then = at < 1_795_219_400.0;
        Some(match query {
            "up == 0" => vec![("a", 0.0)],
            "up" if then => vec![("a", 0.0), ("b", 1.0)],
            "up" => vec![("a", 0.0), ("b", 1.0), ("c", 1.0)],
            _ => vec![],
        })
    });
    let seen = registry.look("prometheus_explain", &json!({"alert": "targetdown"})).await.unwrap();
    insta::assert_snapshot!("alert", seen.text);
    assert_eq!((&seen.data["onset_from"], &seen.data["rule"]["name"]), (&json!("the alert"), &json!("TargetDown")));
    assert!((seen.data["onset"].as_f64().unwrap() - 1_795_219_357.919).abs() < 0.01);
    assert_eq!(asked.lock().unwrap().len(), 1 + 2 * 2, "the rules, and two parts at two moments");
}

#[tokio::test]
async fn what_cannot_be_explained_says_what_to_send() {
    let (registry, asked) = server(|_, _| Some(vec![]));
    for (args, says) in [
        (json!({"alert": "Nope"}), "no rule is called `Nope`; there is PVCUsageHigh, PVCUsageCritical"),
        (json!({}), "one of alert"),
        (json!({"alert": "TargetDown", "query": "up"}), "one of alert"),
        (json!({"alert": " ", "query": "up ="}), "no valid PromQL"),
        (json!({"query": "sum({job=~\".+\"}) > 1"}), "may mean every series"),
        (json!({"query": "up", "onset": "yesterday"}), "onset: `yesterday` is no time"),
    ] {
        let error = registry.look("prometheus_explain", &args).await.unwrap_err();
        assert!(matches!(error, ToolError::Invalid { .. }) && error.to_string().contains(says), "{args}: {error}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "only for the rules");
}
