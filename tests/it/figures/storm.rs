//! Intake under load, from a process of its own: this one.

use super::line::Line;
use super::{body, ms, on_disk, percentile, row};
use crate::support::site::Site;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What came of bodies that were sent.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) sent: u64,
    pub(super) taken: u64,
    pub(super) refused: u64,
    pub(super) opened: u64,
    pub(super) taken_in: Vec<Duration>,
    pub(super) refused_in: Vec<Duration>,
    pub(super) seconds: f64,
}

pub(super) fn site(max_open: u32) -> Site {
    let budgets = json!({"survey": {"tool_calls": 1, "wall": "1s"}, "per_day": {"investigations": null}});
    Site::within(on_disk(), json!({"intake": {"storm": {"max_open": max_open}}, "budgets": budgets}))
}

/// The largest memory that the server had, in MiB.
pub(super) fn peak_mib(server: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// What is sent, and how fast.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) alerts: usize,
    pub(super) connections: usize,
    pub(super) bodies: Range<u64>,
    pub(super) time: Duration,
    /// Bodies per second over all connections, as far as answers come in time; as fast as they come without.
    pub(super) rate: Option<f64>,
}

/// Sends until all was sent or the time is over.
pub(super) async fn send(site: &Site, load: &Load) -> Came {
    let Load { alerts, connections, bodies, time, rate } = load.clone();
    let (number, over, begun) = (AtomicU64::new(bodies.start), AtomicBool::new(false), Instant::now());
    let gap = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
    let sender = async |nth: usize| {
        let (mut line, mut came) = (Line::open(site.address).await, Came::default());
        // They do not all send at the same moment.
        let mut due = begun + gap.unwrap_or_default().mul_f64(nth as f64 / connections as f64);
        while begun.elapsed() < time && !over.load(Ordering::Relaxed) {
            if let Some(gap) = gap {
                tokio::time::sleep_until(due.into()).await;
                due = (due + gap).max(Instant::now());
            }
            let n = number.fetch_add(1, Ordering::Relaxed);
            if n >= bodies.end {
                over.store(true, Ordering::Relaxed);
                break;
            }
            let body = body(n * alerts as u64, alerts);
            let sent = Instant::now();
            let (status, text) = line.post("/webhook/alertmanager", &body).await;
            came.sent += alerts as u64;
            match status {
                200 => {
                    came.taken_in.push(sent.elapsed());
                    came.taken += alerts as u64;
                    let answer: Value = serde_json::from_str(&text).unwrap();
                    came.opened += answer["accepted"].as_u64().unwrap();
                }
                503 => {
                    came.refused_in.push(sent.elapsed());
                    came.refused += alerts as u64;
                }
                other => panic!("{other}: {text}"),
            }
        }
        came
    };
    let mut all = Came::default();
    for came in futures::future::join_all((0..connections).map(sender)).await {
        all.sent += came.sent;
        all.taken += came.taken;
        all.refused += came.refused;
        all.opened += came.opened;
        all.taken_in.extend(came.taken_in);
        all.refused_in.extend(came.refused_in);
    }
    all.seconds = begun.elapsed().as_secs_f64();
    assert_eq!(all.taken + all.refused, all.sent, "each is accounted for");
    all
}

impl Came {
    fn told(&mut self) -> String {
        let rate = |alerts: u64| alerts as f64 / self.seconds;
        let (taken, refused) = (rate(self.taken), rate(self.refused));
        let (p50, p99) = (percentile(&mut self.taken_in, 50), percentile(&mut self.taken_in, 99));
        let slow = percentile(&mut self.refused_in, 99);
        let refused = match self.refused {
            0 => String::new(),
            _ => format!("; {refused:.0}/s refused, p99 {}", ms(slow)),
        };
        format!("{taken:.0} alerts/s, p50 {}, p99 {}{refused}", ms(p50), ms(p99))
    }
}

/// Alerts that the store holds.
async fn kept(site: &Site) -> u64 {
    site.events().await.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn f_bodies_of_each_size_on_each_number_of_connections() {
    for alerts in [1_usize, 10, 100] {
        for connections in [1_usize, 16, 64] {
            let site = site(50);
            let server = site.up().await;
            let time = Duration::from_secs(5);
            let mut came = send(&site, &Load { alerts, connections, bodies: 0..u64::MAX, time, rate: None }).await;
            let what = format!("intake, {alerts} alerts to a body, {connections} connections");
            let memory = peak_mib(server.id());
            row(&what, &format!("{}; memory {memory:.0} MiB at its highest", came.told()), "memory ≤ 300 MiB");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn g_a_storm_is_durable_and_opens_few() {
    for (causes, what) in [(1_u64, "one cause"), (50, "50 causes"), (500, "500 causes")] {
        let site = site(50);
        let server = site.up().await;
        let alerts: Vec<Value> = (0..10_000_u64)
            .map(|n| {
                json!({"status": "firing", "fingerprint": format!("{n:016x}"), "startsAt": "2026-11-20T10:00:00Z",
                       "endsAt": "0001-01-01T00:00:00Z", "annotations": {"summary": "a storm that says about as much as most do"},
                       "labels": {"alertname": format!("Storm{}", n % causes), "namespace": "load", "severity": "warning",
                                  "service": format!("service-{}", n % causes)}, "generatorURL": "http://prometheus/graph"})
            })
            .collect();
        let body = json!({"version": "4", "status": "firing", "receiver": "load", "alerts": alerts}).to_string();
        let sent = Instant::now();
        let answer = site.post("/webhook/alertmanager", body).await.unwrap();
        let took = sent.elapsed();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let opened = answer.json()["accepted"].as_u64().unwrap();
        assert!(opened <= if causes == 1 { 1 } else { 50 }, "{opened} were opened");
        assert_eq!(kept(&site).await, 10_000);
        let memory = peak_mib(server.id());
        let figure = format!("{}; {opened} investigations; memory {memory:.0} MiB at its highest", ms(took));
        row(&format!("one body of 10,000 alerts of {what}, durable"), &figure, "≤ 2 s, ≤ 50 investigations, ≤ 300 MiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn h_many_bodies_and_more_than_can_be_written() {
    let site = site(50);
    let server = site.up().await;
    let memory = || format!("{:.0} MiB", peak_mib(server.id()));
    let steady = Load { alerts: 1, connections: 64, bodies: 0..10_000, time: Duration::from_secs(600), rate: None };
    let mut came = send(&site, &steady).await;
    assert_eq!((came.sent, kept(&site).await), (10_000, came.taken));
    assert!(came.opened <= 50);
    row("10,000 bodies of one alert, 64 connections", &came.told(), "≥ 1,000/s, p99 ≤ 500 ms");
    row("memory meanwhile, at its highest", &memory(), "≤ 300 MiB");
    // Five times of that, on more connections than there is room for before the disk.
    let capacity = came.taken as f64 / came.seconds;
    let (time, rate) = (Duration::from_secs(60), Some(5.0 * capacity));
    let mut more =
        send(&site, &Load { connections: 900, bodies: 10_000..u64::MAX, time, rate, ..steady.clone() }).await;
    let sent = more.sent as f64 / more.seconds / capacity;
    let what = format!("{sent:.1} times of that for a minute, 900 connections: what is beyond is refused");
    row(&what, &more.told(), "p99 ≤ 1 s; refused ≤ 50 ms");
    assert_eq!(kept(&site).await, came.taken + more.taken);
    row("memory after that, at its highest", &memory(), "≤ 300 MiB");
    let from = 10_000 + more.sent;
    let mut after = send(&site, &Load { bodies: from..from + 5_000, ..steady }).await;
    row("the next 5,000 bodies, 64 connections", &after.told(), "as before within 5 s");
}
