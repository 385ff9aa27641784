//! Figures for `docs/benchmarks.md`: whole processes, release binary, ratios in one run. Nothing
//! here fails by time; `tests/bench/run` prints the table.

mod change;
mod claims;
mod disk;
mod line;
mod log;
mod model;
mod policy;
mod storm;

use crate::support::http::{client, send};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder on the disk that the build lies on: temporary folders are often memory.
fn on_disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn row(figure: &str, measured: &str, goal: &str) {
    println!("| {figure} | {measured} | {goal} |");
}

fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn a_head() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "\n{cores} cores, load {load} at the start, {} build\n",
        if cfg!(debug_assertions) { "debug" } else { "release" }
    );
    row("figure", "measured", "goal");
    row("---", "---", "---");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn b_start_and_memory() {
    let mut starts = vec![];
    let mut resident_kib = 0;
    for _ in 0..11 {
        let site = Site::within(on_disk(), json!({}));
        let begun = Instant::now();
        let server = site.start(&[]);
        while site.get("/readyz").await.is_none_or(|a| a.status != 200) {
            assert!(begun.elapsed() < SOON, "it never became ready");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        starts.push(begun.elapsed());
        for _ in 0..20 {
            site.get("/healthz").await;
        }
        // Idle: what a second without work leaves behind.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        resident_kib = resident_kib.max(line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap());
    }
    row("start to the first 200 on `/readyz`, empty store, median of 11", &ms(percentile(&mut starts, 50)), "≤ 150 ms");
    row(
        "memory, idle (largest VmRSS of 11 processes)",
        &format!("{:.1} MiB", resident_kib as f64 / 1024.0),
        "≤ 40 MiB",
    );
}

/// The same incident on another day: another group, another fingerprint.
fn distinct(envelope: &mut Value, n: usize) {
    envelope["groupKey"] = json!(format!("{{}}:{{run=\"{n}\"}}"));
    for (at, alert) in envelope["alerts"].as_array_mut().into_iter().flatten().enumerate() {
        alert["fingerprint"] = json!(format!("{n:08x}{at:08x}"));
        alert["startsAt"] = json!((jiff::Timestamp::now()).to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn d_report_without_a_model() {
    let mut times = vec![];
    for _ in 0..5 {
        let stage = Stage::embedded(TYPEDB).await;
        let site = stage.site(json!({}));
        let _server = site.up().await;
        let begun = Instant::now();
        let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
        site.closed(&id, SOON).await;
        times.push(begun.elapsed());
    }
    row(
        &format!("alert to delivered report without a model, `{TYPEDB}`, median of 5"),
        &ms(percentile(&mut times, 50)),
        "≤ 5 s",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn e_durable_intake_against_the_disk() {
    let disk = disk::rate(env!("CARGO_TARGET_TMPDIR").as_ref(), Duration::from_secs(3));
    row("this disk: appends of 4 KiB with fdatasync, one after the other", &format!("{disk:.0}/s"), "");
    for (alerts, connections) in [(1_usize, 32_usize), (100, 8)] {
        let site = Site::within(
            on_disk(),
            json!({"budgets": {"survey": {"tool_calls": 1, "wall": "1s"}, "per_day": {"investigations": null}}}),
        );
        let _server = site.up().await;
        let (accepted, mut times, seconds) = load(&site, alerts, connections, Duration::from_secs(8)).await;
        let rate = accepted as f64 / seconds;
        let what = format!("alerts accepted durably, {alerts} to a body, {connections} connections");
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        row(&what, &format!("{rate:.0}/s = {:.2} × the disk; p50 {}, p99 {}", rate / disk, ms(p50), ms(p99)), "");
        let kept = site.json("/api/v1/events?limit=1").await;
        assert!(!kept["items"].as_array().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn i_a_large_log() {
    const RUNS: u32 = 10;
    let whole = log::lines();
    let megabytes = whole.len() as f64 / 1e6;
    assert!(megabytes > 10.0);
    let small = Site::new(log::config(&log::cluster("one line\n".to_owned()).await));
    let large = Site::new(log::config(&log::cluster(whole).await));
    for (what, extra) in [("", vec![]), (", filtered", vec!["grep=error"])] {
        // What the call costs beside starting the program and reading one line.
        let measured = |site: &Site| {
            let costs: Vec<log::Cost> = (0..RUNS).map(|_| log::call(site, &extra)).collect();
            let cpu = costs.iter().map(|cost| cost.cpu).sum::<Duration>() / RUNS;
            let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or(0);
            (cpu, peak, costs.into_iter().next_back().map(|cost| cost.text).unwrap_or_default())
        };
        let (base_cpu, base_peak, _) = measured(&small);
        let (cpu, peak, text) = measured(&large);
        for secret in log::SECRETS {
            assert!(!text.contains(secret), "{secret} came out");
        }
        let tokens = text.chars().count() / 4;
        assert!(tokens <= 2000, "{tokens} tokens");
        let figure = format!(
            "a container's log of {megabytes:.1} MB as a tool result{what}: CPU, more memory, tokens to a reader"
        );
        let memory = peak.saturating_sub(base_peak) as f64 / 1024.0;
        row(
            &figure,
            &format!("{}, {memory:.1} MiB, {tokens}", ms(cpu.saturating_sub(base_cpu))),
            "≤ 150 ms, ≤ 24 MiB, ≤ 2,000",
        );
    }
}

/// Posts until the time is over. Answers accepted alerts, the time of each request, and seconds.
async fn load(site: &Site, alerts: usize, connections: usize, time: Duration) -> (u64, Vec<Duration>, f64) {
    let (number, accepted, begun) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let senders = futures::stream::iter(0..connections)
        .map(|_| {
            let (number, accepted, client, url) = (&number, &accepted, client(), site.url("/webhook/alertmanager"));
            async move {
                let mut times = vec![];
                while begun.elapsed() < time {
                    let body = body(number.fetch_add(alerts as u64, Ordering::Relaxed), alerts);
                    let sent = Instant::now();
                    let answer = send(client.post(&url).body(body)).await;
                    if answer.is_some_and(|a| a.status == 200) {
                        times.push(sent.elapsed());
                        accepted.fetch_add(alerts as u64, Ordering::Relaxed);
                    }
                }
                times
            }
        })
        .buffer_unordered(connections)
        .concat()
        .await;
    (accepted.into_inner(), senders, begun.elapsed().as_secs_f64())
}

/// Alerts of 40 groups, each alert a new one.
fn body(first: u64, count: usize) -> String {
    let group = first / count as u64 % 40;
    let alerts: Vec<Value> = (first..first + count as u64)
        .map(|n| {
            json!({"status": "firing", "fingerprint": format!("{n:016x}"), "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
                   "labels": {"alertname": format!("Load{group}"), "namespace": "load", "service": format!("service-{n}"), "severity": "info"},
                   "annotations": {"summary": "a load that says about as much as most alerts do"}, "generatorURL": "http://prometheus/graph"})
        })
        .collect();
    json!({"version": "4", "status": "firing", "receiver": "load", "groupKey": format!("{{}}:{{alertname=\"Load{group}\"}}"),
           "truncatedAlerts": 0, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": alerts})
    .to_string()
}
