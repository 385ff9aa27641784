//! Samples beside what was asked for. Pure.

use super::super::object::{items, meta};
use super::super::{amount, columns};
use super::named;
use crate::tools::gist::name as short;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// What to rank by, when it is not the share of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// The cores in use.
    Cpu,
    /// The bytes in use.
    Memory,
}

/// A row for each sampled container, with what its pod's spec says of it.
pub(super) fn containers(samples: &[Value], pods: &[Value]) -> Vec<Value> {
    let mut rows = Vec::new();
    for sample in samples {
        let (name, namespace) = (meta(sample, "name"), meta(sample, "namespace"));
        let pod = named(pods, name, namespace);
        for measured in items(&sample["containers"]) {
            let spec = pod.and_then(|pod| {
                ["containers", "initContainers"]
                    .iter()
                    .flat_map(|list| items(&pod["spec"][*list]))
                    .find(|c| c["name"] == measured["name"])
            });
            let resources = spec.map_or(&Value::Null, |spec| &spec["resources"]);
            let of = |resource: &str| {
                let used = amount::of(&measured["usage"][resource]);
                let limit = amount::of(&resources["limits"][resource]);
                json!({"used": used, "request": amount::of(&resources["requests"][resource]), "limit": limit,
                       "share": amount::share(used, limit)})
            };
            rows.push(json!({
                "namespace": namespace, "pod": name, "container": measured["name"], "cpu": of("cpu"),
                "memory": of("memory"), "at": sample["timestamp"], "window": sample["window"],
            }));
        }
    }
    rows
}

/// A row for each sampled node, its limit being what pods may use of it.
pub(super) fn nodes(samples: &[Value], nodes: &[Value]) -> Vec<Value> {
    let row = |sample: &Value| {
        let node = named(nodes, meta(sample, "name"), "");
        let allocatable = node.map_or(&Value::Null, |node| &node["status"]["allocatable"]);
        let of = |resource: &str| {
            let (used, limit) = (amount::of(&sample["usage"][resource]), amount::of(&allocatable[resource]));
            json!({"used": used, "limit": limit, "share": amount::share(used, limit)})
        };
        let problems = node.map(|node| columns::node(node)[1].clone());
        json!({"name": meta(sample, "name"), "cpu": of("cpu"), "memory": of("memory"), "problems": problems,
               "at": sample["timestamp"], "window": sample["window"]})
    };
    samples.iter().map(row).collect()
}

/// Worst first: what is nearest to a limit, then what has none by the memory that it takes.
pub(super) fn rank(rows: &mut [Value], by: Option<By>) {
    let figure = |value: &Value| (value.as_f64().unwrap_or(0.0) * 1e6) as i128;
    rows.sort_by_cached_key(|row| {
        let worst = figure(&row["cpu"]["share"]).max(figure(&row["memory"]["share"]));
        let (cpu, memory) = (figure(&row["cpu"]["used"]), figure(&row["memory"]["used"]));
        let order = match by {
            None => (worst, memory, cpu),
            Some(By::Memory) => (memory, worst, cpu),
            Some(By::Cpu) => (cpu, worst, memory),
        };
        let name =
            ["namespace", "pod", "name", "container"].map(|key| row[key].as_str().unwrap_or_default().to_owned());
        (Reverse(order), name)
    });
}

/// The names of what should have a sample and has none: running pods, nodes.
pub(super) fn unsampled(samples: &[Value], objects: &[Value], of_nodes: bool) -> Vec<String> {
    let should = |object: &&Value| of_nodes || object["status"]["phase"] == "Running";
    let missing = |object: &&Value| named(samples, meta(object, "name"), meta(object, "namespace")).is_none();
    objects.iter().filter(should).filter(missing).map(|object| short(meta(object, "name"))).collect()
}

/// `api-0/app memory 98% of 512Mi`; without a limit what it uses.
pub(super) fn in_words(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().map(short).unwrap_or_default();
    let whose = match text("pod") {
        pod if pod.is_empty() => text("name"),
        pod => format!("{pod}/{}", text("container")),
    };
    let worst = ["memory", "cpu"].into_iter().filter_map(|r| Some((r, row[r]["share"].as_f64()?)));
    match worst.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((resource, share)) => {
            let limit = row[resource]["limit"].as_f64().unwrap_or(0.0);
            format!("{whose} {resource} {} of {}", amount::percent(share), amount::shown(resource, limit))
        }
        None => {
            let used = |r: &str| amount::shown(r, row[r]["used"].as_f64().unwrap_or(0.0));
            format!("{whose} {} and {} cpu, no limit", used("memory"), used("cpu"))
        }
    }
}
