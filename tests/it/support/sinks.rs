//! Where people are told: a chat that fails as often as it is told to, and a pager that works.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A chat that fails so often, and a pager that works. Dropping it closes both.
#[derive(Debug)]
pub struct Sinks {
    address: String,
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

    /// The entries of `notify` for both, the chat first.
    pub fn config(&self) -> Value {
        let webhook = |name: &str| json!({"name": name, "webhook": format!("{}/{name}", self.address)});
        json!({"notify": [webhook("chat"), webhook("pager")]})
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
