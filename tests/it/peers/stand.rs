//! Prometheus and Alertmanager as child processes on loopback.

use super::exporter::Exporter;
use super::program::Program;
use super::receiver::Receiver;
use super::routes;
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use tempfile::TempDir;

/// Both programs, the exporter below them and the receivers behind them.
#[derive(Debug)]
pub struct Stand {
    pub exporter: Exporter,
    /// Sees what firewarden must see, and more.
    pub second: Receiver,
    /// The root receiver, to which nothing may fall through.
    pub nobody: Receiver,
    prometheus: SocketAddr,
    alertmanager: SocketAddr,
    firewarden: Mutex<Option<Site>>,
    _processes: Vec<Program>,
    _dir: TempDir,
}

impl Stand {
    pub async fn up() -> Self {
        let dir = TempDir::new().unwrap();
        let (exporter, second, nobody) = (Exporter::serve().await, Receiver::serve().await, Receiver::serve().await);
        let (prometheus, alertmanager) = (free_address(), free_address());
        let site = Site::new(json!({
            "playbooks": {"default": "none"},
            "tools": {"prometheus": {"url": format!("http://{prometheus}")}},
        }));
        let hook = site.url("/webhook/alertmanager");
        let write = |name: &str, value: Value| std::fs::write(dir.path().join(name), value.to_string()).unwrap();
        write("alertmanager.yml", routes(&hook, &second.url, &nobody.url));
        write("rules.yml", rules());
        write("prometheus.yml", scrape(&exporter.address, alertmanager));
        let path = |name: &str| dir.path().join(name).display().to_string();
        let processes = vec![
            Program::start(
                "alertmanager",
                "prometheus-alertmanager",
                &[
                    format!("--config.file={}", path("alertmanager.yml")),
                    format!("--storage.path={}", path("alertmanager")),
                    format!("--web.listen-address={alertmanager}"),
                    // Without it, gossip binds every interface.
                    "--cluster.listen-address=".to_owned(),
                ],
                dir.path(),
                "install the Debian package `prometheus-alertmanager`",
            ),
            Program::start(
                "prometheus",
                "prometheus",
                &[
                    format!("--config.file={}", path("prometheus.yml")),
                    format!("--storage.tsdb.path={}", path("tsdb")),
                    format!("--web.listen-address={prometheus}"),
                    format!("--web.external-url=http://{prometheus}"),
                    "--enable-feature=exemplar-storage".to_owned(),
                    // What fired before Prometheus knew its Alertmanager is not sent again for a minute otherwise.
                    "--rules.alert.resend-delay=2s".to_owned(),
                ],
                dir.path(),
                "install the Debian package `prometheus`",
            ),
        ];
        let stand = Self {
            exporter,
            second,
            nobody,
            prometheus,
            alertmanager,
            firewarden: Mutex::new(Some(site)),
            _processes: processes,
            _dir: dir,
        };
        let client = client();
        for address in [stand.prometheus, stand.alertmanager] {
            eventually(&format!("{address} is ready"), SOON, async || {
                send(client.get(format!("http://{address}/-/ready"))).await.filter(|a| a.status == 200).map(|_| ())
            })
            .await;
        }
        stand
    }

    /// The site that Alertmanager delivers to.
    pub fn site(&self) -> Site {
        self.firewarden.lock().unwrap().take().unwrap()
    }

    /// How many queries Prometheus has answered, by its own count.
    pub async fn prometheus_queries(&self) -> f64 {
        let metrics = send(client().get(format!("http://{}/metrics", self.prometheus))).await.unwrap();
        let queries = metrics.text.lines().filter(|l| l.starts_with("prometheus_http_requests_total{"));
        let queries = queries.filter(|l| l.contains("handler=\"/api/v1/query"));
        queries.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

fn scrape(exporter: &str, alertmanager: SocketAddr) -> Value {
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s",
                   "external_labels": {"cluster": "test-1"}},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
        "scrape_configs": [
            {"job_name": "kubelet", "static_configs": [{"targets": [exporter]}]},
            {"job_name": "checkout", "metrics_path": "/traced", "static_configs": [{"targets": [exporter]}]},
        ],
    })
}

fn rules() -> Value {
    let usage = "100 * kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes";
    let rule = |alert: &str, expr: String, severity: &str, summary: &str| json!({"alert": alert, "expr": expr, "for": "0s", "labels": {"severity": severity}, "annotations": {"summary": summary}});
    let volume = "Volume {{ $labels.persistentvolumeclaim }} is {{ $value | printf \"%.1f\" }}% full";
    json!({"groups": [{"name": "incidents", "interval": "1s", "rules": [
        rule("PVCUsageHigh", format!("{usage} > 75"), "warning", volume),
        rule("PVCUsageCritical", format!("{usage} > 90"), "critical", volume),
        rule(
            "PodCrashLooping",
            "kube_pod_container_status_waiting_reason{reason=\"CrashLoopBackOff\"} == 1".into(),
            "critical",
            "Pod {{ $labels.pod }} crashes again and again",
        ),
        rule("TargetDown", "up == 0".into(), "warning", "Target {{ $labels.instance }} of {{ $labels.job }} is down"),
        rule("Watchdog", "vector(1)".into(), "none", "The pipeline is alive"),
    ]}]})
}
