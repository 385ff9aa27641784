//! Alertmanager alone, whose alerts the tests make.

use super::program::Program;
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::SOON;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A real Alertmanager that ends with the test, or earlier.
pub struct Manager {
    address: SocketAddr,
    program: Option<Program>,
    dir: TempDir,
}

impl Manager {
    /// One that tells nobody.
    pub async fn up() -> Self {
        Self::with(&json!({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})).await
    }

    /// One with this configuration.
    pub async fn with(config: &Value) -> Self {
        let (dir, address) = (TempDir::new().unwrap(), free_address());
        std::fs::write(dir.path().join("alertmanager.yml"), config.to_string()).unwrap();
        let mut manager = Self { address, program: None, dir };
        manager.start().await;
        manager
    }

    /// Starts it, at the address that it always has. Its silences are what they were; alerts it knows none.
    pub async fn start(&mut self) {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        self.program = None;
        self.program = Some(Program::start(
            "alertmanager",
            "prometheus-alertmanager",
            &[
                format!("--config.file={}", path("alertmanager.yml")),
                format!("--storage.path={}", path("data")),
                format!("--web.listen-address={}", self.address),
                // Without it, gossip binds every interface.
                "--cluster.listen-address=".to_owned(),
            ],
            self.dir.path(),
            "install the Debian package `prometheus-alertmanager`",
        ));
        eventually("Alertmanager is ready", SOON, async || {
            send(client().get(self.url("/-/ready"))).await.filter(|answer| answer.status == 200)
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program = None;
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Value {
        send(client().get(self.url(path))).await.unwrap().json()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = send(client().post(self.url(path)).json(body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// An alert with the usual labels.
    pub async fn fire(&self, name: &str) {
        self.fire_with(name, json!({"namespace": "shop", "service": "cart", "severity": "info"})).await;
    }

    /// An alert called `name` with `labels`, from now on until it is ended.
    pub async fn fire_with(&self, name: &str, mut labels: Value) {
        labels["alertname"] = name.into();
        self.put(&labels, Timestamp::now(), Timestamp::now() + SignedDuration::from_hours(1)).await;
        eventually(&format!("{name} fires"), SOON, async || (!self.state_of(name).await.is_null()).then_some(())).await;
    }

    /// Says that the alert called `name`, which has `labels`, is over.
    pub async fn say_over(&self, name: &str, mut labels: Value) {
        labels["alertname"] = name.into();
        let now = Timestamp::now();
        self.put(&labels, now, now).await;
    }

    /// Ends the one alert called `name`, which has `labels`.
    pub async fn end(&self, name: &str, labels: Value) {
        self.say_over(name, labels).await;
        eventually(&format!("{name} is over"), SOON, async || self.state_of(name).await.is_null().then_some(())).await;
    }

    async fn put(&self, labels: &Value, starts_at: Timestamp, ends_at: Timestamp) {
        let alert = json!({"labels": labels, "startsAt": starts_at, "endsAt": ends_at});
        send(client().post(self.url("/api/v2/alerts")).json(&json!([alert])))
            .await
            .filter(|answer| answer.status == 200)
            .expect("Alertmanager takes the alert");
    }

    /// `active`, or `suppressed` while it is silenced or inhibited; null when it does not fire.
    pub async fn state_of(&self, name: &str) -> Value {
        let alerts = self.get("/api/v2/alerts").await;
        let found = alerts.as_array().into_iter().flatten().find(|alert| alert["labels"]["alertname"] == name);
        found.map(|alert| alert["status"]["state"].clone()).unwrap_or_default()
    }

    /// Silences alerts called `name`, and gives the silence.
    pub async fn silence(&self, name: &str) -> String {
        let now = Timestamp::now();
        let silence = json!({"matchers": [{"name": "alertname", "value": name, "isRegex": false}], "startsAt": now,
                             "endsAt": now + SignedDuration::from_hours(1), "createdBy": "ann", "comment": "at work"});
        let made = self.post("/api/v2/silences", &silence).await;
        made["silenceID"].as_str().unwrap().to_owned()
    }

    /// Ends a silence.
    pub async fn expire(&self, silence: &str) {
        let answer = send(client().delete(self.url(&format!("/api/v2/silence/{silence}")))).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
