//! What the reading tools make of a recorded Prometheus.

use super::serve;
use crate::domain::{Clock, Redactor};
use crate::edge::PrometheusReader;
use crate::scenario::{Served, World};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
struct Standing(Timestamp);
impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// The tools on a world at its own moment.
async fn tools(world: &str, max_series: usize) -> (Registry, Served) {
    let (world, served) = serve(World::embedded(world, None).unwrap()).await;
    let reader = PrometheusReader::new(&served.prometheus_url, None).unwrap().with_max_series(max_series);
    let sources = Sources { prometheus: Some(reader), ..Sources::none(Arc::new(Standing(world.now()))) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), served)
}

async fn look(registry: &Registry, tool: &str, args: Value) -> Result<String, ToolError> {
    let tool = registry.get(tool).unwrap();
    let seen = tool.read(&args).await?;
    let notes: String = seen.notes.iter().map(|note| format!("note: {note}\n")).collect();
    Ok(format!("{}\n{}{notes}", tool.gist(&args, &seen), tool.text(&args, &seen)))
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_explained() {
    let mut all = String::new();
    for (world, args) in [
        ("typedb-pvc-full", json!({"alert": "PVCUsageHigh"})),
        ("typedb-pvc-full", json!({"alert": "PVCUsageCritical"})),
        ("no-fault", json!({"alert": "HighErrorRate"})),
        ("crashloop-bad-rollout", json!({"alert": "KubePodCrashLooping"})),
        ("no-fault", json!({"query": "absent(up{job=\"search\"}) or absent(up{job=\"gone\"})"})),
    ] {
        let (registry, _served) = tools(world, 2000).await;
        let told = look(&registry, "prometheus_explain", args.clone()).await.unwrap();
        all.push_str(&format!("== {world} {args}\n{told}\n"));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_are_found_and_their_absence_is_explained() {
    let (registry, _served) = tools("no-fault", 2000).await;
    let told = look(&registry, "prometheus_exemplars", json!({"query": "http_requests_total{job=\"search\"}"})).await;
    insta::assert_snapshot!(told.unwrap());
    let none = look(&registry, "prometheus_exemplars", json!({"query": "up"})).await.unwrap();
    assert!(none.starts_with("no exemplars in this window\nnote: the server keeps exemplars"), "{none}");
    let short = json!({"query": "http_requests_total", "window": "5m", "order": "newest"});
    let told = look(&registry, "prometheus_exemplars", short).await.unwrap();
    assert!(told.contains("5b8aa5a2") && !told.contains("0af76519"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_queries_are_refused_and_narrow_ones_cost_nothing_more() {
    let (registry, served) = tools("typedb-pvc-full", 2).await;
    let wide = "kube_pod_container_status_restarts_total";
    let count = look(&registry, "prometheus_query", json!({"query": format!("count({wide})")})).await.unwrap();
    let range = |query: &str| json!({"query": query, "window": "6h"});
    let before = served.requests().len();
    let refused = look(&registry, "prometheus_query_range", range(wide)).await.unwrap_err().to_string();
    assert!(refused.contains("series now; at most 2 may be answered"), "{refused} {count}");
    let asked: Vec<String> = served.requests()[before..].iter().map(|r| r.path.clone()).collect();
    assert_eq!(asked, ["/api/v1/query"], "it was counted and not sent");
    // However few series are allowed, every selector is counted.
    let many = "absent_metric + on (pod) other_absent or kube_nothing or kubelet_volume_stats_used_bytes";
    let refused = look(&registry, "prometheus_query_range", range(many)).await.unwrap_err().to_string();
    assert!(refused.contains("`kubelet_volume_stats_used_bytes` has 3 series now"), "{refused}");
    for query in ["{__name__=~\".+\"}", "count({__name__!=\"\"})"] {
        let before = served.requests().len();
        assert!(look(&registry, "prometheus_query", json!({"query": query})).await.is_err(), "{query}");
        assert_eq!(served.requests().len(), before, "{query} was sent");
    }
    for query in [format!("sum({wide})"), format!("{wide}{{pod=\"typedb-0\"}}"), format!("topk(2, {wide})")] {
        let before = served.requests().len();
        look(&registry, "prometheus_query_range", range(&query)).await.unwrap();
        assert_eq!(served.requests().len(), before + 1, "{query} was counted first");
    }
    // At one moment reading is as cheap as counting: it is sent, and cut by the server.
    let before = served.requests().len();
    let cut = look(&registry, "prometheus_query", json!({"query": wide})).await.unwrap();
    assert_eq!(served.requests().len(), before + 1);
    assert!(cut.contains("more than 2 series"), "{cut}");
}
