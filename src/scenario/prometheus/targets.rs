//! Scrape targets: one for each `up` series.

use crate::scenario::World;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) fn answer(world: &World, state: &str) -> Value {
    let now_ms = world.now().as_millisecond();
    let active: Vec<Value> = world
        .series
        .iter()
        .filter(|series| series.label("__name__") == "up")
        .filter_map(|series| Some((series, series.newest(now_ms - 300_000, now_ms)?)))
        .map(|(series, sample)| {
            let mut labels = series.labels.clone();
            labels.remove("__name__");
            let instance = series.label("instance");
            let url = format!("http://{instance}/metrics");
            let healthy = sample.value != 0.0;
            let error = if healthy { String::new() } else { format!("Get \"{url}\": dial tcp {instance}: connect: connection refused") };
            let last = Timestamp::from_millisecond(sample.at_ms).unwrap_or(world.now());
            json!({
                "discoveredLabels": {"__address__": instance, "__metrics_path__": "/metrics", "__scheme__": "http",
                                     "__scrape_interval__": "30s", "__scrape_timeout__": "10s", "job": series.label("job")},
                "labels": labels, "scrapePool": series.label("job"), "scrapeUrl": url, "globalUrl": url,
                "lastError": error, "lastScrape": last.to_string(), "lastScrapeDuration": 0.004,
                "health": if healthy { "up" } else { "down" }, "scrapeInterval": "30s", "scrapeTimeout": "10s",
            })
        })
        .collect();
    let shown = if matches!(state, "dropped") { Vec::new() } else { active };
    json!({"activeTargets": shown, "droppedTargets": [], "droppedTargetCounts": {}})
}
