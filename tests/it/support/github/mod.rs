//! A GitHub of our own: repositories with true git ids, branches, pull requests, comments and issues
//! behind the REST interface, with faults on demand. What it refuses, GitHub refuses.
//!
//! - [`git`]: objects with the ids of git
//! - [`repository`]: one repository and what may be done with it
//! - [`rest`]: from method and path to an answer
//!
//! `tests/it/peers/github.rs` holds it against an emulator of independent make.

pub mod git;
mod repository;
mod rest;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
pub use repository::Ledger;
use repository::Repository;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Tokens: of `octo`, who may do everything; of `reader`, who may only look; of `mallory`, who may do
/// everything, too, and is not us.
pub const TOKEN: &str = "t0ken-of-the-owner";
pub const READER: &str = "t0ken-of-a-reader";
pub const STRANGER: &str = "t0ken-of-a-stranger";

/// What becomes of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It is done and answered: the fault after it is for the request after it.
    AsUsual,
    /// It is done, and the connection breaks before the answer.
    DoneThenDropped,
    /// It is done, and a proxy answers 502.
    DoneThen502,
    /// It is done, and the answer waits for [`Hub::release`].
    DoneThenHeld,
    /// It is done, and whoever asked dies before the answer: see [`Hub::crashed`].
    DoneThenDies,
    /// A proxy sends it twice.
    DoneTwice,
    /// It is not done, and the connection breaks.
    Dropped,
    /// Whoever asked dies before it is done.
    Dies,
    /// The connection breaks, and after so many further requests it is done all the same.
    Late(usize),
    /// It is not done, and this is the answer: status, headers, body.
    Answered(u16, Vec<(&'static str, String)>, Value),
}

/// Which request a fault is for: the first one that fits uses it up.
struct Planned {
    method: Method,
    /// What its path holds.
    path: String,
    fault: Fault,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Value,
    /// What it was answered; `None` when the connection broke.
    pub status: Option<u16>,
}

struct Inner {
    repositories: BTreeMap<String, Repository>,
    planned: Vec<Planned>,
    /// Requests that are on their way, and after how many others they arrive.
    late: Vec<(usize, Method, Uri, HeaderMap, Value)>,
    seen: Vec<Request>,
    now: Option<jiff::Timestamp>,
}

struct Shared {
    inner: Mutex<Inner>,
    crashed: Arc<Notify>,
    released: watch::Sender<bool>,
}

/// A GitHub that is being served. Dropping it closes it.
pub struct Hub {
    /// For `tools.github.base_url`.
    pub base_url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hub {
    /// Serves the empty repository `name` (`owner/name`), whose default branch is `main`.
    pub async fn serve(name: &str) -> Self {
        let inner = Inner {
            repositories: BTreeMap::from([(name.to_owned(), Repository::new(name))]),
            planned: vec![],
            late: vec![],
            seen: vec![],
            now: None,
        };
        let shared =
            Arc::new(Shared { inner: Mutex::new(inner), crashed: Arc::default(), released: watch::Sender::new(false) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/api/v3", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, shared, task }
    }

    /// Another empty repository; a private one is hidden from [`READER`].
    pub fn add(&self, name: &str, private: bool) {
        let repository = Repository { private, ..Repository::new(name) };
        self.shared.inner.lock().unwrap().repositories.insert(name.to_owned(), repository);
    }

    /// Commits `files` (path and text; `None` removes) to `branch`, which begins at `main` if it is new.
    /// Gives the commit's id.
    pub fn commit(&self, name: &str, branch: &str, at: &str, message: &str, files: &[(&str, Option<&str>)]) -> String {
        let at = at.parse().unwrap();
        let mut inner = self.shared.inner.lock().unwrap();
        inner.repositories.get_mut(name).unwrap().write(branch, at, message, files)
    }

    /// The time that it takes for now; without, the real one.
    pub fn set_now(&self, at: &str) {
        self.shared.inner.lock().unwrap().now = Some(at.parse().unwrap());
    }

    /// Plans `fault` for the next request with `method` whose path holds `path`.
    pub fn plan(&self, method: &str, path: &str, fault: Fault) {
        let planned = Planned { method: method.parse().unwrap(), path: path.to_owned(), fault };
        self.shared.inner.lock().unwrap().planned.push(planned);
    }

    /// Lets answers go that are held.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Is told when whoever asks is dead.
    pub fn crashed(&self) -> Arc<Notify> {
        self.shared.crashed.clone()
    }

    /// Everything that stands in `name`, to be counted.
    pub fn ledger(&self, name: &str) -> Ledger {
        Ledger::of(&self.shared.inner.lock().unwrap().repositories[name])
    }

    /// Closes a pull request or an issue.
    pub fn close(&self, name: &str, number: u64) {
        let mut inner = self.shared.inner.lock().unwrap();
        let repo = inner.repositories.get_mut(name).unwrap();
        repo.edit(number, &json!({"state": "closed"}), jiff::Timestamp::now()).unwrap();
    }

    /// Merges a pull request.
    pub fn merge(&self, name: &str, number: u64) {
        let mut inner = self.shared.inner.lock().unwrap();
        let repo = inner.repositories.get_mut(name).unwrap();
        repo.merge(number, &json!({}), jiff::Timestamp::now()).unwrap();
    }

    /// Puts a symlink, a submodule or whatever else `mode` says at `path` of main.
    pub fn put(&self, name: &str, path: &str, mode: &str, text: &str) {
        self.shared.inner.lock().unwrap().repositories.get_mut(name).unwrap().put(path, mode, text);
    }

    /// What a file of a branch holds.
    pub fn file(&self, name: &str, branch: &str, path: &str) -> Option<(String, String)> {
        self.shared.inner.lock().unwrap().repositories[name].file(branch, path)
    }

    /// What it was asked, oldest first.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.inner.lock().unwrap().seen.clone()
    }

    /// The entry for `tools.github`.
    pub fn config(&self, repos: &[&str]) -> Value {
        json!({"base_url": self.base_url, "token": "env:GITHUB_TOKEN", "repos": repos})
    }
}

/// An answer before it is sent.
pub(crate) struct Told {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap_or_default() };
    let (told, fault) = {
        let mut inner = shared.inner.lock().unwrap();
        let fits = |planned: &Planned| planned.method == method && uri.path().contains(&planned.path);
        let fault = inner.planned.iter().position(fits).map(|at| inner.planned.remove(at).fault);
        let told = match &fault {
            Some(Fault::Dropped | Fault::Dies) => None,
            Some(Fault::Late(after)) => {
                inner.late.push((*after + 1, method.clone(), uri.clone(), headers.clone(), body.clone()));
                None
            }
            Some(Fault::Answered(status, headers, body)) => {
                Some(Told { status: *status, headers: headers.clone(), body: body.clone() })
            }
            _ => Some(rest::handle(&mut inner, &method, &uri, &headers, &body)),
        };
        if fault == Some(Fault::DoneTwice) {
            rest::handle(&mut inner, &method, &uri, &headers, &body);
        }
        let status = match fault {
            Some(Fault::Dropped | Fault::Dies | Fault::Late(_) | Fault::DoneThenDropped | Fault::DoneThenDies) => None,
            Some(Fault::DoneThen502) => Some(502),
            _ => told.as_ref().map(|told| told.status),
        };
        let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        inner.seen.push(Request { method: method.to_string(), path, body, status });
        arrive(&mut inner);
        (told, fault)
    };
    if matches!(fault, Some(Fault::Dies | Fault::DoneThenDies)) {
        shared.crashed.notify_one();
        std::future::pending::<()>().await;
    }
    match (fault, told) {
        // The connection's task ends here, and the connection with it.
        (Some(Fault::Dropped | Fault::DoneThenDropped), _) | (_, None) => {
            std::panic::resume_unwind(Box::new("dropped"))
        }
        (Some(Fault::DoneThen502), _) => written(502, &[], "<html>502 Bad Gateway</html>".to_owned()),
        (fault, Some(told)) => {
            if fault == Some(Fault::DoneThenHeld) {
                let _ = shared.released.subscribe().wait_for(|released| *released).await;
            }
            let text = if told.status == 204 { String::new() } else { told.body.to_string() };
            written(told.status, &told.headers, text)
        }
    }
}

/// What was on its way long enough is done now.
fn arrive(inner: &mut Inner) {
    inner.late.iter_mut().for_each(|(after, ..)| *after -= 1);
    let (due, still): (Vec<_>, Vec<_>) =
        std::mem::take(&mut inner.late).into_iter().partition(|(after, ..)| *after == 0);
    inner.late = still;
    for (_, method, uri, headers, body) in due {
        rest::handle(inner, &method, &uri, &headers, &body);
    }
}

fn written(status: u16, headers: &[(&'static str, String)], body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
