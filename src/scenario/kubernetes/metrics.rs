//! `metrics.k8s.io`: what a metrics server would say, computed from the world's own container series.
//! A world without them has no metrics server.

use super::Kind;
use crate::scenario::World;
use crate::scenario::series::Series;
use jiff::Timestamp;
use serde_json::{Value, json};

const CPU: &str = "container_cpu_usage_seconds_total";
const MEMORY: &str = "container_memory_working_set_bytes";
pub(crate) const GROUP: &str = "metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";
/// Older samples are none, as in a query.
const STALE_MS: i64 = 5 * 60_000;

/// The kinds that can be served from `series`.
pub(crate) fn kinds(series: &[Series]) -> Vec<Kind> {
    let kind = |kind: &'static str, plural: &'static str, namespaced: bool| Kind {
        group: GROUP.into(),
        version: VERSION.into(),
        kind: kind.into(),
        plural: plural.into(),
        short: (&[]).into(),
        namespaced,
        built_in: true,
    };
    // The server registers both as soon as it is there.
    match series.iter().any(|one| is_container(one) && one.label("__name__") == CPU) {
        true => vec![kind("PodMetrics", "pods", true), kind("NodeMetrics", "nodes", false)],
        false => Vec::new(),
    }
}

/// The objects of one of [`kinds`], computed for this moment.
pub(super) fn objects(world: &World, kind: &Kind) -> Vec<Value> {
    let now_ms = world.now().as_millisecond();
    let of =
        |wanted: &'static str| world.objects.iter().filter(move |o| o["kind"] == wanted && o["apiVersion"] == "v1");
    match kind.kind.as_ref() {
        "PodMetrics" => of("Pod").filter_map(|pod| of_pod(world, pod, now_ms)).collect(),
        _ => of("Node").filter_map(|node| of_node(world, node, now_ms)).collect(),
    }
}

/// A container's own series, not that of a pod, a slice or the pause container.
fn is_container(series: &Series) -> bool {
    !series.label("pod").is_empty() && !matches!(series.label("container"), "" | "POD")
}

fn of_pod(world: &World, pod: &Value, now_ms: i64) -> Option<Value> {
    let name = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
    let (namespace, own) = (name("namespace"), name("name"));
    let mine = || {
        let here = move |s: &&Series| is_container(s) && s.label("namespace") == namespace && s.label("pod") == own;
        world.series.iter().filter(here)
    };
    let mut newest: Option<(i64, i64)> = None;
    let mut containers = Vec::new();
    for cpu in mine().filter(|s| s.label("__name__") == CPU) {
        let memory = mine().find(|s| s.label("__name__") == MEMORY && s.label("container") == cpu.label("container"));
        let Some((usage, at, window)) = memory.and_then(|memory| usage(cpu, memory, now_ms)) else { continue };
        newest = newest.max(Some((at, window)));
        containers.push(json!({"name": cpu.label("container"), "usage": usage}));
    }
    let mut metrics = measured(own, newest?, &pod["metadata"]["labels"])?;
    metrics["metadata"]["namespace"] = namespace.into();
    metrics["containers"] = containers.into();
    Some(metrics)
}

/// A node's use is that of its root cgroup, under the node's name.
fn of_node(world: &World, node: &Value, now_ms: i64) -> Option<Value> {
    let name = node["metadata"]["name"].as_str()?;
    let root = |metric: &str| {
        let here = |s: &&Series| s.label("id") == "/" && s.label("node") == name && s.label("__name__") == metric;
        world.series.iter().find(here)
    };
    let (usage, at, window) = usage(root(CPU)?, root(MEMORY)?, now_ms)?;
    let mut metrics = measured(name, (at, window), &node["metadata"]["labels"])?;
    metrics["usage"] = usage;
    Some(metrics)
}

fn measured(name: &str, (at_ms, window_ms): (i64, i64), labels: &Value) -> Option<Value> {
    let at = Timestamp::from_millisecond(at_ms).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Some(json!({
        "metadata": {"name": name, "creationTimestamp": at, "labels": labels},
        "timestamp": at, "window": format!("{}s", window_ms as f64 / 1000.0),
    }))
}

/// Usage between the two newest samples, when the newest is, and their distance. Nothing when the
/// counter began anew between them: the real server waits for the next sample, too.
fn usage(cpu: &Series, memory: &Series, now_ms: i64) -> Option<(Value, i64, i64)> {
    let last = cpu.newest(now_ms - STALE_MS, now_ms)?;
    let before = cpu.newest(now_ms - STALE_MS, last.at_ms - 1)?;
    let bytes = memory.newest(now_ms - STALE_MS, now_ms)?;
    let window_ms = last.at_ms - before.at_ms;
    let cores = (last.value - before.value) * 1000.0 / window_ms as f64;
    (cores >= 0.0).then(|| {
        let usage = json!({"cpu": format!("{:.0}n", cores * 1e9), "memory": format!("{:.0}Ki", bytes.value / 1024.0)});
        (usage, last.at_ms, window_ms)
    })
}
