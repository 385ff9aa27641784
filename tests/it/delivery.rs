//! People are told in the end, though their chat is down: the whole engine on a real store and a real
//! HTTP sink, with a clock that is put forward by hand.

use crate::support::http::eventually;
use crate::support::site::SOON;
use crate::support::whole::{ByHand, Whole};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use firewarden::domain::{Clock, InvestigationId};
use firewarden::journal::{Body, Entry, View};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A chat that fails so often, and a pager that works. Dropping it closes both.
struct Sinks {
    address: String,
    state: Arc<Told>,
    task: JoinHandle<()>,
}

#[derive(Default)]
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
    async fn serve(failures: usize) -> Self {
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

    fn chat(&self) -> Vec<u16> {
        self.state.chat.lock().unwrap().iter().map(|(status, _)| status.as_u16()).collect()
    }

    /// The investigation and the revision of each notice that the pager had.
    fn paged(&self) -> Vec<(String, u64)> {
        let paged = self.state.pager.lock().unwrap();
        paged
            .iter()
            .map(|n| (n["investigation"].as_str().unwrap().to_owned(), n["revision"].as_u64().unwrap()))
            .collect()
    }
}

async fn begin(folder: &Path, sinks: &Sinks, clock: &Arc<ByHand>) -> Whole {
    let sink = |name: &str| json!({"name": name, "webhook": format!("{}/{name}", sinks.address)});
    Whole::begin(folder, &json!({"notify": [sink("chat"), sink("pager")]}), &[], clock).await
}

/// Waits until the chat was tried so often in vain and nothing else is waited for.
async fn put_off(whole: &Whole, id: InvestigationId, attempts: u32) -> View {
    eventually(&format!("attempt {attempts} has failed"), SOON, async || {
        let view = whole.view(id).await;
        view.undelivered.iter().any(|debt| debt.attempts == attempts).then_some(view)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_is_down_is_told_later_even_by_the_next_process_and_the_others_once() {
    let (folder, sinks, clock) = (tempfile::tempdir().unwrap(), Sinks::serve(3).await, ByHand::new());
    let running = begin(folder.path(), &sinks, &clock).await;
    let began = clock.now();
    let (id, _) = running.alert("Slow", "info", began).await;
    let view = put_off(&running, id, 1).await;
    assert_eq!((view.state.as_str(), view.closed_at, view.revision), ("running", None, 1));
    assert_eq!((sinks.chat(), sinks.paged()), (vec![503], vec![(view.id.clone(), 1)]));
    let debt = &view.undelivered[0];
    assert_eq!((debt.sink.as_str(), debt.error.as_deref()), ("chat", Some("chat: status 503")));
    let pause = debt.again_at.duration_since(clock.now());
    assert!((3_750..=5_000).contains(&pause.as_millis()), "{pause:?}");
    // A new incident is none of its business, and is worked on meanwhile.
    clock.forward(1);
    let (other, outcome) = running.alert("Slow", "info", clock.now()).await;
    assert_eq!((outcome.as_str(), other == id), ("opened", false));
    put_off(&running, other, 1).await;
    assert_eq!(sinks.chat(), [503, 503], "while no time passes nobody is tried again");
    running.end().await;

    let running = begin(folder.path(), &sinks, &clock).await;
    clock.forward(5);
    // One of both is tried before the other: the third failure goes to either.
    eventually("the chat is up again", SOON, async || (sinks.chat().last() == Some(&200)).then_some(())).await;
    clock.forward(20);
    for id in [id, other] {
        let entries = running.closed(id).await;
        let told = |sink: &str| {
            let told = |e: &&Entry| matches!(&e.body, Body::Notified { sink: s, error: None, .. } if s == sink);
            entries.iter().filter(told).count()
        };
        assert_eq!((told("log"), told("chat"), told("pager")), (1, 1, 1));
    }
    assert_eq!(sinks.chat(), [503, 503, 503, 200, 200]);
    assert_eq!(sinks.paged().len(), 2, "who was told is not told again: {:?}", sinks.paged());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_stays_down_is_given_up_after_a_day_and_the_report_stands() {
    let (folder, sinks, clock) = (tempfile::tempdir().unwrap(), Sinks::serve(usize::MAX).await, ByHand::new());
    let running = begin(folder.path(), &sinks, &clock).await;
    let (id, _) = running.alert("Slow", "info", clock.now()).await;
    for attempt in 1..=4 {
        put_off(&running, id, attempt).await;
        clock.forward(301);
    }
    put_off(&running, id, 5).await;
    clock.forward(24 * 3600);
    let entries = running.closed(id).await;
    let given_up = |e: &&Entry| matches!(&e.body, Body::Notified { sink, error: Some(_), .. } if sink == "chat");
    assert_eq!((entries.iter().filter(given_up).count(), sinks.chat().len(), sinks.paged().len()), (1, 6, 1));
    let view = running.view(id).await;
    assert_eq!((view.outcome.map(|o| o.as_str()), view.undelivered), (Some("reported"), vec![]));
    running.end().await;
}
