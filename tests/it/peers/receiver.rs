//! A receiver that keeps what Alertmanager delivers.

use super::instant;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// The receiver. Dropping it closes it.
#[derive(Debug)]
pub struct Receiver {
    pub url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn serve() -> Self {
        let alerts: Arc<Mutex<Vec<Value>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(alerts.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, alerts, task }
    }

    fn all(&self) -> Vec<Value> {
        self.alerts.lock().unwrap().clone()
    }

    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    pub fn fingerprints(&self) -> BTreeSet<String> {
        self.all().iter().map(|a| a["fingerprint"].to_string()).collect()
    }

    /// Whether an alert of this name came.
    pub fn heard_of(&self, name: &str) -> bool {
        self.all().iter().any(|a| a["labels"]["alertname"] == name)
    }

    /// Names of the alerts on a volume.
    pub fn names_of(&self, volume: &str) -> Vec<String> {
        let all = self.all();
        let of_volume = all.iter().filter(|a| a["labels"]["persistentvolumeclaim"] == volume);
        let names: BTreeSet<&str> = of_volume.filter_map(|a| a["labels"]["alertname"].as_str()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// How many volumes it heard of.
    pub fn volumes(&self) -> usize {
        let all = self.all();
        all.iter().filter_map(|a| a["labels"]["persistentvolumeclaim"].as_str()).collect::<BTreeSet<_>>().len()
    }

    /// Fingerprint, name and start of each firing alert.
    pub fn deliveries(&self) -> BTreeSet<(String, String, String)> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let all = self.all();
        let firing = all.iter().filter(|a| a["status"] == "firing");
        firing.map(|a| (text(&a["fingerprint"]), text(&a["labels"]["alertname"]), instant(&a["startsAt"]))).collect()
    }
}

async fn take(State(alerts): State<Arc<Mutex<Vec<Value>>>>, Json(envelope): Json<Value>) {
    alerts.lock().unwrap().extend(envelope["alerts"].as_array().cloned().unwrap_or_default());
}
