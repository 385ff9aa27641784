//! The whole program within the test's own process, on a clock that is put forward by hand.

use super::http::eventually;
use super::site::SOON;
use firewarden::app::App;
use firewarden::config::Sources;
use firewarden::domain::{Clock, InvestigationId};
use firewarden::journal::{Entry, View, chain, semantics};
use firewarden::sources::{AlertSource, Alertmanager, Delivery, Mapping};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time that stands still until it is put forward.
#[derive(Debug)]
pub struct ByHand(Mutex<Timestamp>);

impl ByHand {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::now())))
    }

    pub fn forward(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }
}

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A whole that works, until it is stopped.
pub struct Whole {
    pub app: App,
    clock: Arc<ByHand>,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
}

impl Whole {
    /// Begins with `config` in `folder`; `env` is what its secrets refer to.
    pub async fn begin(folder: &Path, config: &Value, env: &[(&str, &str)], clock: &Arc<ByHand>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = folder.join("firewarden.yaml");
        let mut config = config.clone();
        config["store"] = json!({"url": "sqlite://firewarden.db"});
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file: Some(file), env, flags: vec![], cwd: folder.to_owned() };
        let mut app = App::build(sources.load().unwrap().resolve().unwrap()).await.unwrap();
        Arc::get_mut(&mut app.engine).unwrap().clock = clock.clone();
        let (stop, stopped) = watch::channel(false);
        let working = app.work(stopped);
        Self { app, clock: clock.clone(), stop, working }
    }

    /// Stops the work wherever it is: what is under way is cut off. The store stays open as long as what is
    /// left is kept.
    pub async fn end(self) -> App {
        self.stop.send(true).unwrap();
        self.working.await.unwrap();
        self.app
    }

    /// Puts the clock forward, and lets whoever waits for that notice.
    pub fn forward(&self, seconds: i64) {
        self.clock.forward(seconds);
        self.app.engine.store.work().notify_one();
    }

    /// Lets an alert arrive, and tells its investigation and what became of it.
    pub async fn alert(&self, name: &str, severity: &str, starts_at: Timestamp) -> (InvestigationId, String) {
        let labels = json!({"alertname": name, "namespace": "shop", "severity": severity, "service": "cart"});
        let body = json!({
            "version": "4", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"), "status": "firing",
            "receiver": "firewarden", "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {},
            "externalURL": "http://am", "truncatedAlerts": 0,
            "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "slow"}, "generatorURL": "",
                        "startsAt": starts_at, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{starts_at}")}]
        });
        let engine = &self.app.engine;
        let redactor = engine.redactor.load();
        let mapping = Mapping {
            at: engine.clock.now(),
            entropy: engine.entropy.as_ref(),
            redactor: &redactor,
            hmac_key: self.app.hmac_key(),
        };
        let raw = serde_json::to_vec(&body).unwrap();
        let mapped = Alertmanager.normalise(&Delivery::plain(&body, &raw), &mapping).unwrap();
        let receipt = self.app.intake.accept("alertmanager", mapped).await.unwrap();
        (receipt.rows[0].job_id.unwrap(), receipt.rows[0].outcome.as_str().to_owned())
    }

    pub async fn view(&self, id: InvestigationId) -> View {
        self.app.engine.store.investigation(id).await.unwrap().unwrap()
    }

    /// Waits until the chat was tried so often in vain and nothing else is waited for.
    pub async fn put_off(&self, id: InvestigationId, attempts: u32) -> View {
        eventually(&format!("attempt {attempts} has failed"), SOON, async || {
            let view = self.view(id).await;
            view.undelivered.iter().any(|debt| debt.attempts == attempts).then_some(view)
        })
        .await
    }

    /// Waits until it is closed, and gives its entries, which make sense.
    pub async fn closed(&self, id: InvestigationId) -> Vec<Entry> {
        eventually("it is closed", SOON, async || (self.view(id).await.state == "closed").then_some(())).await;
        let name = id.to_string();
        let entries = self.app.engine.store.entries(&name, 0, 10_000).await.unwrap();
        chain::verify(&name, &entries).unwrap();
        assert_eq!(semantics::violations(&name, &entries), Vec::<String>::new());
        entries
    }
}
