//! What the work with a model costs: time, memory, tokens. The model answers at once, so what is
//! measured is ours; model, cluster and metrics are served by this process, firewarden is another.

use super::{distinct, ms, on_disk, percentile, row};
use crate::support::chain::entries;
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::journal::Body;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Investigations of each measurement.
const INVESTIGATIONS: usize = 50;
/// Turns that look, and calls of each.
const ROUNDS: usize = 5;

/// What a process has used since it began: processor time, and memory now and at its highest.
struct Used {
    cpu: Duration,
    resident_kib: u64,
    highest_kib: u64,
}

fn used(pid: u32) -> Used {
    // Nanoseconds that each thread ran; the clock of `stat` goes in hundredths of a second.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ran = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    let cpu = Duration::from_nanos(ran.sum());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Used { cpu, resident_kib: kib("VmRSS:"), highest_kib: kib("VmHWM:") }
}

/// As people run it: tests ask for backtraces, which cost time where errors are ordinary.
fn plain(site: Site) -> Site {
    site.variable("RUST_BACKTRACE", "0")
}

/// The recorded alert about another volume, so that it is an incident of its own.
fn about_another_volume(stage: &Stage, n: usize) -> Value {
    let mut alert = stage.world.alert().clone();
    distinct(&mut alert, n);
    for alert in alert["alerts"].as_array_mut().into_iter().flatten() {
        alert["labels"]["persistentvolumeclaim"] = json!(format!("data-typedb-{n}"));
    }
    alert
}

async fn job(site: &Site, alert: &Value) -> String {
    site.deliver(alert).await["events"][0]["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn c_cost_of_a_turn() {
    const TURNS: usize = 18;
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(TURNS)).await;
    let site =
        plain(stage.site_within(on_disk(), json!({"models": [model.config()], "intake": {"storm": {"max_open": 0}}})));
    let server = site.up().await;
    let mut turns = vec![];
    let mut cpu = vec![];
    for n in 0..11 {
        let mut alert = stage.world.alert().clone();
        distinct(&mut alert, n);
        let before = used(server.id()).cpu;
        let id = job(&site, &alert).await;
        site.closed(&id, SOON).await;
        cpu.push(used(server.id()).cpu.saturating_sub(before));
        let entries = entries(&site, &id).await;
        let asked = entries.iter().filter(|e| matches!(e.body, Body::ModelAsked { .. })).map(|e| e.at);
        let asked: Vec<jiff::Timestamp> = asked.collect();
        turns.extend(asked.windows(2).map(|w| Duration::try_from(w[1].duration_since(w[0])).unwrap_or_default()));
    }
    let (p50, p95) = (percentile(&mut turns, 50), percentile(&mut turns, 95));
    let what = format!(
        "one turn with a 0 ms model and two reads, journal fsync and loopback included, median of {} (p95)",
        turns.len()
    );
    row(&what, &format!("{} ({})", ms(p50), ms(p95)), "≤ 3 ms");
    let with = percentile(&mut cpu, 50);
    let without = survey_alone(&stage).await;
    let each = with.saturating_sub(without) / u32::try_from(TURNS + 1).unwrap();
    row(
        "processor time of firewarden for such a turn (a run with 18 turns less one without a model)",
        &ms(each),
        "≤ 1.5 ms",
    );
}

/// Processor time of one investigation without a model.
async fn survey_alone(stage: &Stage) -> Duration {
    let site = plain(stage.site_within(on_disk(), json!({})));
    let server = site.up().await;
    let mut cpu = vec![];
    for n in 0..11 {
        let mut alert = stage.world.alert().clone();
        distinct(&mut alert, n);
        let before = used(server.id()).cpu;
        let id = job(&site, &alert).await;
        site.closed(&id, SOON).await;
        cpu.push(used(server.id()).cpu.saturating_sub(before));
    }
    percentile(&mut cpu, 50)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn f_many_at_once() {
    for at_once in [1_usize, 10, 50] {
        let stage = Stage::embedded(TYPEDB).await;
        let model = Model::serve(Script::ReadsThenReport(ROUNDS)).await;
        let site = plain(stage.site_within(on_disk(), json!({"models": [model.config()]})));
        let server = site.up().await;
        let before = used(server.id());
        let begun = Instant::now();
        for round in 0..INVESTIGATIONS / at_once {
            let numbers = round * at_once..(round + 1) * at_once;
            let alerts: Vec<Value> = numbers.map(|n| about_another_volume(&stage, n)).collect();
            let ids = futures::future::join_all(alerts.iter().map(|alert| job(&site, alert))).await;
            futures::future::join_all(ids.iter().map(|id| site.closed(id, SOON))).await;
        }
        let (took, after) = (begun.elapsed(), used(server.id()));
        let rate = INVESTIGATIONS as f64 / took.as_secs_f64();
        let cpu = after.cpu.saturating_sub(before.cpu) / u32::try_from(INVESTIGATIONS).unwrap();
        let mib = |kib: u64| kib as f64 / 1024.0;
        row(
            &format!("investigations of {ROUNDS} rounds × 2 calls, survey included, {at_once} at once, 0 ms model"),
            &format!(
                "{rate:.1}/s; {} processor time each; memory {:.0} MiB at its highest, {:.0} MiB after",
                ms(cpu),
                mib(after.highest_kib),
                mib(after.resident_kib)
            ),
            if at_once == 50 { "≥ 80/s; ≤ 70 MB" } else { "" },
        );
    }
}

/// What an engineer would ask about the recorded incident, two calls in a turn.
fn realistic() -> Script {
    let typedb = |extra: Value| {
        let mut args = json!({"namespace": "f3iai"});
        for (key, value) in extra.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        args
    };
    Script::Calls(vec![
        vec![
            ("kubernetes_describe", typedb(json!({"kind": "Pod", "name": "typedb-0"}))),
            ("kubernetes_events", typedb(json!({}))),
        ],
        vec![
            ("kubernetes_logs", typedb(json!({"pod": "typedb-0", "previous": true}))),
            ("kubernetes_list", typedb(json!({"kind": "Pod"}))),
        ],
        vec![
            ("prometheus_query_range", json!({"query": "kubelet_volume_stats_used_bytes", "window": "6h"})),
            ("prometheus_alerts", json!({})),
        ],
        vec![
            ("kubernetes_list", json!({"kind": "Deployment", "namespace": "rook-ceph"})),
            ("kubernetes_get", typedb(json!({"kind": "PersistentVolumeClaim", "name": "data-typedb-0"}))),
        ],
        vec![
            ("kubernetes_list", json!({"kind": "CSINode"})),
            (
                "kubernetes_describe",
                json!({"kind": "Deployment", "namespace": "rook-ceph", "name": "rook-ceph-operator"}),
            ),
        ],
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn g_tokens() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(realistic()).await;
    let site = stage.site(json!({"models": [model.config()]}));
    let _server = site.up().await;
    let id = job(&site, stage.world.alert()).await;
    site.closed(&id, SOON).await;
    let bodies = model.bodies();
    let tokens = |value: &Value| value.to_string().len() / 4;
    let head = tokens(&bodies[0]["messages"][0]) + tokens(&bodies[0]["tools"]);
    let first = tokens(&bodies[0]["messages"]) + tokens(&bodies[0]["tools"]);
    let all: Vec<usize> = bodies.iter().map(|body| tokens(&body["messages"]) + tokens(&body["tools"])).collect();
    // What a request repeats of the one before it, letter by letter, can come from a provider's cache.
    let stable: usize = bodies
        .windows(2)
        .map(|pair| {
            let (before, after) = (pair[0]["messages"].to_string(), pair[1]["messages"].to_string());
            let tools = if pair[0]["tools"] == pair[1]["tools"] { tokens(&pair[0]["tools"]) } else { 0 };
            tools + before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count() / 4
        })
        .sum();
    let total: usize = all.iter().sum();
    let later: usize = all[1..].iter().sum();
    row(
        "fixed head of a conversation (instructions and tools), 4 characters to a token",
        &format!("{head} tokens"),
        "≤ 3,500",
    );
    row("first request of the recorded incident, evidence included", &format!("{first} tokens"), "");
    row(
        &format!("all requests of {ROUNDS} rounds × 2 calls on the recorded incident ({} requests)", all.len()),
        &format!("{total} tokens, the largest request {}", all.iter().max().unwrap()),
        "≤ 43,000",
    );
    row(
        "share of a request that repeats the one before it letter by letter",
        &format!("{:.0} %", stable as f64 * 100.0 / later as f64),
        "≥ 70 %",
    );
}
