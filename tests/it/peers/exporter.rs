//! An exporter with the metrics of a kubelet and of kube-state-metrics, switchable by the test.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

const CAPACITY_BYTES: f64 = 10_737_418_240.0;

#[derive(Debug, Default)]
struct Cluster {
    /// Percent used, by namespace and volume.
    volumes: BTreeMap<(String, String), f64>,
    /// Pods in a crash loop, by namespace and pod.
    crashing: Vec<(String, String)>,
    down: bool,
}

/// The exporter. Dropping it closes it.
#[derive(Debug)]
pub struct Exporter {
    pub address: String,
    cluster: Arc<Mutex<Cluster>>,
    task: JoinHandle<()>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporter {
    pub async fn serve() -> Self {
        let cluster: Arc<Mutex<Cluster>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router =
            Router::new().route("/metrics", get(metrics)).route("/traced", get(traced)).with_state(cluster.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, cluster, task }
    }

    /// The volume is this full from now on.
    pub fn fill(&self, namespace: &str, volume: &str, percent: f64) {
        self.cluster.lock().unwrap().volumes.insert((namespace.to_owned(), volume.to_owned()), percent);
    }

    /// The pod crashes again and again.
    pub fn crash_loop(&self, namespace: &str, pod: &str) {
        self.cluster.lock().unwrap().crashing.push((namespace.to_owned(), pod.to_owned()));
    }

    /// It answers no more.
    pub fn go_down(&self) {
        self.cluster.lock().unwrap().down = true;
    }
}

async fn metrics(State(cluster): State<Arc<Mutex<Cluster>>>) -> Result<String, StatusCode> {
    let cluster = cluster.lock().unwrap();
    match cluster.down {
        true => Err(StatusCode::SERVICE_UNAVAILABLE),
        false => Ok(cluster.text()),
    }
}

/// A service whose requests are traced, in the only format that has exemplars.
async fn traced() -> ([(&'static str, &'static str); 1], String) {
    let mut out = "# TYPE checkout_seconds histogram\n".to_owned();
    for (le, count, trace) in [("0.5", 90, "quick-1"), ("2.5", 99, "slow-1"), ("+Inf", 100, "slowest-1")] {
        let took = if le == "+Inf" { 7.25 } else { le.parse::<f64>().unwrap_or_default() - 0.125 };
        let _ = writeln!(out, "checkout_seconds_bucket{{le=\"{le}\"}} {count} # {{trace_id=\"{trace}\"}} {took}");
    }
    out.push_str("checkout_seconds_count 100\ncheckout_seconds_sum 61.5\n# EOF\n");
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], out)
}

impl Cluster {
    fn text(&self) -> String {
        let mut out = String::new();
        for (name, share) in [
            ("used", (|percent| percent / 100.0) as fn(f64) -> f64),
            ("available", |percent| 1.0 - percent / 100.0),
            ("capacity", |_| 1.0),
        ] {
            let _ = writeln!(out, "# TYPE kubelet_volume_stats_{name}_bytes gauge");
            for ((namespace, volume), percent) in &self.volumes {
                let bytes = CAPACITY_BYTES * share(*percent);
                let labels = format!("namespace=\"{namespace}\",persistentvolumeclaim=\"{volume}\",node=\"node-a\"");
                let _ = writeln!(out, "kubelet_volume_stats_{name}_bytes{{{labels}}} {bytes}");
            }
        }
        let _ = writeln!(out, "# TYPE kube_pod_container_status_restarts_total counter");
        for (namespace, pod) in &self.crashing {
            let labels = format!("namespace=\"{namespace}\",pod=\"{pod}\",container=\"app\"");
            let _ = writeln!(out, "kube_pod_container_status_restarts_total{{{labels}}} 12");
        }
        let _ = writeln!(out, "# TYPE kube_pod_container_status_waiting_reason gauge");
        for (namespace, pod) in &self.crashing {
            let labels =
                format!("namespace=\"{namespace}\",pod=\"{pod}\",container=\"app\",reason=\"CrashLoopBackOff\"");
            let _ = writeln!(out, "kube_pod_container_status_waiting_reason{{{labels}}} 1");
        }
        out
    }
}
