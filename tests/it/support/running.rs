//! The whole engine in this process, on a real store and real HTTP sinks, with a clock that is put
//! forward by hand.

use super::http::eventually;
use super::site::SOON;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use firewarden::app::App;
use firewarden::config::Sources;
use firewarden::domain::{Clock, InvestigationId};
use firewarden::journal::{Entry, View, chain, semantics};
use firewarden::sources::{AlertSource, Alertmanager, Mapping};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A chat that fails so often, and a pager that works. Dropping it closes both.
#[derive(Debug)]
pub struct Sinks {
    pub address: String,
    state: Arc<Told>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Told {
    failures_left: AtomicUsize,
    chat: Mutex<Vec<(StatusCode, Value)>>,
    pager: Mutex<Vec<Value>>,
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sinks {
    pub async fn serve(failures: usize) -> Self {
        async fn chat(State(told): State<Arc<Told>>, body: String) -> StatusCode {
            let fail = |left: usize| left.checked_sub(1);
            let failed = told.failures_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail).is_ok();
            let status = if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            told.chat.lock().unwrap().push((status, serde_json::from_str(&body).unwrap()));
            status
        }
        async fn pager(State(told): State<Arc<Told>>, body: String) {
            told.pager.lock().unwrap().push(serde_json::from_str(&body).unwrap());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Told { failures_left: failures.into(), ..Told::default() });
        let router = Router::new().route("/chat", post(chat)).route("/pager", post(pager)).with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, task }
    }

    pub fn chat(&self) -> Vec<u16> {
        self.state.chat.lock().unwrap().iter().map(|(status, _)| status.as_u16()).collect()
    }

    /// The last notice that the pager had.
    pub fn last_page(&self) -> Option<Value> {
        self.state.pager.lock().unwrap().last().cloned()
    }

    /// The investigation and the revision of each notice that the pager had.
    pub fn paged(&self) -> Vec<(String, u64)> {
        let paged = self.state.pager.lock().unwrap();
        paged
            .iter()
            .map(|n| (n["investigation"].as_str().unwrap().to_owned(), n["revision"].as_u64().unwrap()))
            .collect()
    }
}

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
#[derive(Debug)]
pub struct Running {
    pub app: App,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
}

impl Running {
    pub async fn begin(folder: &Path, sinks: &Sinks, clock: &Arc<ByHand>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = folder.join("firewarden.yaml");
        let address = &sinks.address;
        let text = format!(
            "store: {{url: sqlite://firewarden.db}}\nnotify:\n  - {{name: chat, webhook: \"{address}/chat\"}}\n  \
             - {{name: pager, webhook: \"{address}/pager\"}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), env: BTreeMap::new(), flags: vec![], cwd: folder.to_owned() };
        let mut app = App::build(sources.load().unwrap().resolve().unwrap()).await.unwrap();
        Arc::get_mut(&mut app.engine).unwrap().clock = clock.clone();
        let (stop, stopped) = watch::channel(false);
        let working = app.work(stopped);
        Self { app, stop, working }
    }

    /// Stops the work; the store stays open as long as what is left of it is kept.
    pub async fn end(self) -> App {
        self.stop.send(true).unwrap();
        self.working.await.unwrap();
        self.app
    }

    pub async fn alert(&self, name: &str, starts_at: Timestamp) -> (InvestigationId, String) {
        let labels = json!({"alertname": name, "namespace": "shop", "severity": "info", "service": "cart"});
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
        let mapped = Alertmanager.normalise(&body, &serde_json::to_vec(&body).unwrap(), &mapping).unwrap();
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

    pub async fn closed(&self, id: InvestigationId) -> Vec<Entry> {
        eventually("it is closed", SOON, async || (self.view(id).await.state == "closed").then_some(())).await;
        let name = id.to_string();
        let entries = self.app.engine.store.entries(&name, 0, 10_000).await.unwrap();
        chain::verify(&name, &entries).unwrap();
        assert_eq!(semantics::violations(&name, &entries), Vec::<String>::new());
        entries
    }
}
