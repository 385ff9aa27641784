//! The reading tools against the real Prometheus, called as people call them.

use super::stand::Stand;
use crate::support::http::eventually;
use crate::support::site::{SOON, Site};
use serde_json::Value;

/// `firewarden tools call`: its exit code and all that it says.
fn call(site: &Site, tool: &str, args: &[&str]) -> (Option<i32>, String) {
    let (code, stdout, stderr) = site.run_with_config(&[&["tools", "call", tool], args].concat());
    (code, format!("{stdout}{stderr}"))
}

/// What the call says once it succeeds and says `wanted`.
async fn says(site: &Site, tool: &str, args: &[&str], wanted: &str) -> String {
    eventually(&format!("{tool} {args:?} says {wanted}"), SOON, async || {
        let (code, said) = call(site, tool, args);
        (code == Some(0) && said.contains(wanted)).then_some(said)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn the_reading_tools_understand_a_real_prometheus() {
    let stand = Stand::up().await;
    let site = stand.site();
    for (volume, percent) in [("data-a", 93.0), ("data-b", 80.0), ("data-c", 20.0)] {
        stand.exporter.fill("shop", volume, percent);
    }

    // Why it fires: the rule, each part, and how far each volume is from the limit.
    // From when the rule itself has seen it: the metrics are there a moment before.
    let rule = "rule: PVCUsageCritical of group incidents, firing (1 firing, 0 pending)";
    let told = says(&site, "prometheus_explain", &["alert=PVCUsageCritical"], rule).await;
    for part in [
        "PVCUsageCritical is true: 93 > 90",
        "by the alert",
        "1 > 90: holds for 1 of 3",
        "[left of `/`]",
        "data-c",
        "-70",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let query = "query=absent(up{job=\"gone\"}) or kubelet_volume_stats_used_bytes{namespace=\"nowhere\"} > 1";
    let told = says(&site, "prometheus_explain", &[query], "is true").await;
    assert!(told.contains("missing: up{job=\"gone\"} has no series at all"), "{told}");
    assert!(told.contains("missing: kubelet_volume_stats_used_bytes{namespace=\"nowhere\"}"), "{told}");

    // Labels and meanings.
    let label = ["label=persistentvolumeclaim", "match=kubelet_volume_stats_used_bytes"];
    says(&site, "prometheus_labels", &label, "3 values of persistentvolumeclaim: data-a, data-b, data-c").await;
    says(&site, "prometheus_metadata", &["metric=checkout_seconds_bucket"], "checkout_seconds, histogram").await;

    // Exemplars, the slowest first; none where there are none.
    let told = says(&site, "prometheus_exemplars", &["query=checkout_seconds_bucket"], "slowest-1").await;
    assert!(told.find("slowest-1") < told.find("\"slow-1"), "{told}");
    says(&site, "prometheus_exemplars", &["query=up"], "keeps exemplars and has none here").await;

    // The guard: what is too wide is counted, or not even that, and refused.
    let path = site.dir.path().join("firewarden.yaml");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["tools"]["prometheus"]["max_series"] = 2.into();
    std::fs::write(&path, config.to_string()).unwrap();
    let (used, open) = ("query=kubelet_volume_stats_used_bytes", "query={job=\"kubelet\"}");
    for (tool, query, says) in [
        ("prometheus_query_range", used, "`kubelet_volume_stats_used_bytes` has 3 series now; at most 2"),
        ("prometheus_query", open, "series now; at most 2 may be answered"),
        ("prometheus_query", "query=count({__name__=~\".+\"})", "may mean every series"),
    ] {
        let (code, said) = call(&site, tool, &[query]);
        assert!(code != Some(0) && said.contains(says), "{query}: {said}");
    }
    says(&site, "prometheus_query_range", &["query=sum(kubelet_volume_stats_used_bytes)"], "1 series").await;
    says(&site, "prometheus_query_range", &["query=topk(2, kubelet_volume_stats_used_bytes)"], "series").await;
    // At one moment it is sent, and cut: by the server where it knows `limit`, here where it does not.
    says(&site, "prometheus_query", &[used], "2 of more than 2 series are shown").await;
}
