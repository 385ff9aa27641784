//! The listeners of one world: API server and Prometheus, and GitHub and Jira where it has them.

use super::{
    World,
    about::PrometheusFault,
    error::ScenarioError,
    github::{Hub, RecordedPull},
    jira::{Jira, RecordedIssue},
    kubernetes, prometheus,
    wire::{Peer, WireLog, WireRequest},
};
use arc_swap::ArcSwap;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::{net::TcpListener, task::JoinHandle};

const MAX_BODY_BYTES: usize = 1 << 20;

/// A world that is being served. Dropping it closes its listeners.
#[derive(Debug)]
pub struct Served {
    /// Address of the API server, `http://127.0.0.1:…`.
    pub kube_url: String,
    /// Address of Prometheus.
    pub prometheus_url: String,
    /// Address of GitHub's API, where it is served.
    pub github_url: Option<String>,
    /// Address of Jira, where it is served.
    pub jira_url: Option<String>,
    world: Arc<Shared>,
    wire: Arc<WireLog>,
    tasks: Vec<JoinHandle<()>>,
}

impl Served {
    /// Serves GitHub and Jira, too: those of them that the world has.
    ///
    /// # Errors
    /// [`ScenarioError::Listener`] if a listener has no local address.
    pub fn with_desks(mut self, github: TcpListener, jira: TcpListener) -> Result<Self, ScenarioError> {
        let world = self.world.now.load_full();
        if world.hub.is_some() {
            self.github_url = Some(format!("{}/api/v3", url(&github)?));
            self.tasks.push(open(&self.world, github, Peer::Github, &self.wire));
        }
        if world.jira.is_some() {
            self.jira_url = Some(url(&jira)?);
            self.tasks.push(open(&self.world, jira, Peer::Jira, &self.wire));
        }
        Ok(self)
    }

    /// The newest requests that any listener answered, oldest first (at most 10,000).
    pub fn requests(&self) -> Vec<WireRequest> {
        self.wire.all()
    }

    /// The world as it is now.
    pub fn world(&self) -> Arc<World> {
        self.world.now.load_full()
    }

    /// The pull requests that stand there now.
    pub fn pulls(&self) -> Vec<RecordedPull> {
        held(&self.world.hub).as_ref().map(Hub::ledger).unwrap_or_default()
    }

    /// The issues that stand in Jira now.
    pub fn issues(&self) -> Vec<RecordedIssue> {
        held(&self.world.jira).as_ref().map(Jira::ledger).unwrap_or_default()
    }
}

fn url(listener: &TcpListener) -> Result<String, ScenarioError> {
    let at = listener.local_addr().map_err(|e| ScenarioError::Listener { reason: e.to_string() })?;
    Ok(format!("http://{at}"))
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The world as it is now, for all its doors.
#[derive(Debug)]
struct Shared {
    now: ArcSwap<World>,
    /// One change at a time.
    changing: Mutex<()>,
    hub: Mutex<Option<Hub>>,
    jira: Mutex<Option<Jira>>,
}

#[derive(Debug)]
struct Door {
    world: Arc<Shared>,
    wire: Arc<WireLog>,
    peer: Peer,
    answered: AtomicU64,
}

impl World {
    /// Serves this world until the answer is dropped. Must be called within a Tokio runtime; the
    /// listeners should be bound to loopback.
    ///
    /// # Errors
    /// [`ScenarioError::Listener`] if a listener has no local address.
    pub fn serve(self: Arc<Self>, kube: TcpListener, prometheus: TcpListener) -> Result<Served, ScenarioError> {
        let (kube_url, prometheus_url) = (url(&kube)?, url(&prometheus)?);
        let wire = Arc::new(WireLog::default());
        let faults = self.faults.prometheus;
        let (hub, jira) = (Mutex::new(self.hub.clone()), Mutex::new(self.jira.clone()));
        let world = Arc::new(Shared { now: ArcSwap::new(self), changing: Mutex::default(), hub, jira });
        let mut tasks = vec![open(&world, kube, Peer::Kubernetes, &wire)];
        match faults {
            // The address stays free: whoever asks is refused by the operating system, as in life.
            Some(PrometheusFault::Down) => drop(prometheus),
            Some(PrometheusFault::Unavailable | PrometheusFault::Timeout) | None => {
                tasks.push(open(&world, prometheus, Peer::Prometheus, &wire));
            }
        }
        Ok(Served { kube_url, prometheus_url, github_url: None, jira_url: None, world, wire, tasks })
    }
}

fn open(world: &Arc<Shared>, listener: TcpListener, peer: Peer, wire: &Arc<WireLog>) -> JoinHandle<()> {
    let door = Arc::new(Door { world: world.clone(), wire: wire.clone(), peer, answered: AtomicU64::new(0) });
    let router = Router::new().fallback(answer).with_state(door);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, ?peer, "recorded world stopped answering");
        }
    })
}

impl Shared {
    /// Answers as the API server, and is another world from then on if the request changed it.
    fn kubernetes(&self, asked: &kubernetes::Asked<'_>) -> Response {
        let _one = (!matches!(asked.method.as_str(), "GET" | "HEAD")).then(|| held(&self.changing));
        let world = self.now.load_full();
        let (response, objects) = kubernetes::answer(&world, asked);
        if let Some(objects) = objects {
            self.now.store(Arc::new(world.with_objects(objects)));
        }
        response
    }

    /// Answers as GitHub or as Jira.
    fn desk(&self, peer: Peer, method: &str, uri: &Uri, with_token: bool, body: &[u8]) -> Response {
        let now = self.now.load().now();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let (status, body, more) = match peer {
            Peer::Jira => match held(&self.jira).as_mut() {
                Some(jira) => {
                    let (status, body) = jira.answer(method, target, with_token, body, now);
                    (status, body, false)
                }
                None => (404, serde_json::Value::Null, false),
            },
            _ => match held(&self.hub).as_mut() {
                Some(hub) => {
                    let told = hub.answer(method, target, with_token, body, now);
                    (told.status, told.body, told.more)
                }
                None => (404, serde_json::Value::Null, false),
            },
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(body)).into_response();
        if more {
            let next = HeaderValue::from_static("<http://localhost/?page=next>; rel=\"next\"");
            response.headers_mut().insert(header::LINK, next);
        }
        response
    }
}

async fn answer(State(door): State<Arc<Door>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let said = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (accept, media) = (said(header::ACCEPT), said(header::CONTENT_TYPE));
    let with_token = said(header::AUTHORIZATION).starts_with("Bearer ");
    let mut response = match to_bytes(body, MAX_BODY_BYTES).await {
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "request body is too large\n").into_response(),
        Ok(body) => {
            let (world, peer, uri, method) =
                (Arc::clone(&door.world), door.peer, parts.uri.clone(), parts.method.clone());
            let accept = accept.clone();
            // Long range queries are pure computation; they must not hold up other requests.
            let work = tokio::task::spawn_blocking(move || match peer {
                Peer::Kubernetes => {
                    let query = pairs(uri.query().unwrap_or_default());
                    let (accept, media) = (accept.as_str(), media.as_str());
                    let asked = kubernetes::Asked { method, path: uri.path(), query: &query, accept, media, body };
                    world.kubernetes(&asked)
                }
                Peer::Prometheus => {
                    let mut query = pairs(uri.query().unwrap_or_default());
                    query.extend(pairs(&String::from_utf8_lossy(&body)));
                    prometheus::answer(&world.now.load(), &method, uri.path(), &query)
                }
                Peer::Github | Peer::Jira => world.desk(peer, method.as_str(), &uri, with_token, &body),
            });
            match work.await {
                Ok(response) => response,
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response(),
            }
        }
    };
    let number = door.answered.fetch_add(1, Ordering::Relaxed);
    if door.peer == Peer::Kubernetes
        && let Ok(id) = HeaderValue::from_str(&format!("00000000-0000-4000-8000-{number:012x}"))
    {
        response.headers_mut().insert("audit-id", id);
    }
    door.wire.record(WireRequest {
        peer: door.peer,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        accept,
        status: response.status().as_u16(),
    });
    response
}

/// Decoded pairs of a query string or a form.
pub(super) fn pairs(encoded: &str) -> Vec<(String, String)> {
    // The extractor decodes `+` and `%xx` and keeps repeated names; it wants a whole URI.
    Uri::builder()
        .path_and_query(format!("/?{encoded}"))
        .build()
        .ok()
        .and_then(|uri| axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok())
        .map(|query| query.0)
        .unwrap_or_default()
}
