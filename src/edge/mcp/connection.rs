//! One server: connected to when it is needed, and again when it is gone, at first at once and then
//! ever later. Whoever waits for it waits for nobody else.

use super::offered::{self, Answer, Offered};
use super::wire::{Broken, Wire};
use super::{Call, Pin};
use crate::domain::Target;
use crate::edge::call::{Caller, Request, Unanswered};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::exec::{Life, Order, Runner};
use crate::gate::Permit;
use jiff::Timestamp;
use rmcp::model::{
    CallToolRequest, ClientCapabilities, ClientConfig, ClientRequest, ErrorCode, Implementation, ListToolsRequest,
};
use rmcp::service::{Peer, PeerRequestOptions, RunningService, ServiceError};
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

/// How long a server may take to greet, and to tell its tools.
pub const GREETING: Duration = Duration::from_secs(10);
/// How long a list of tools counts for calls that look.
const LISTED: Duration = Duration::from_secs(60);
/// Longest time between two attempts to connect.
const LATEST: Duration = Duration::from_secs(60);
/// A connection that held this long was no failure.
const HELD: Duration = Duration::from_secs(60);
/// Pages of a list, and tools on them.
const PAGES: usize = 20;
const TOOLS: usize = 1000;
/// Calls of one server at once: one that is slow does not keep the others from being called.
const AT_ONCE: usize = 8;

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a command that stays.
    Command(Order),
    /// By requests like this one.
    Http(Request),
}

/// One server. Cheap to clone.
#[derive(Clone)]
pub struct McpServer(Arc<Inner>);

struct Inner {
    name: String,
    way: Way,
    runner: Runner,
    caller: Caller,
    state: Mutex<State>,
    /// Grows when the server says that its tools have changed.
    changed: watch::Sender<u64>,
    slots: Semaphore,
}

/// A connection that somebody uses.
struct Used {
    peer: Peer<RoleClient>,
    number: u64,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Connections so far.
    made: u64,
    /// Failures in a row.
    failed: u32,
    /// Before this nobody connects again, and why.
    rest: Option<(Instant, EdgeError)>,
}

struct Live {
    /// Which of all connections it is.
    number: u64,
    service: RunningService<RoleClient, ClientConfig>,
    life: Option<Life>,
    /// Why we ended it, if we did.
    why: Arc<OnceLock<String>>,
    since: Instant,
    listed: Option<Listed>,
}

#[derive(Clone)]
struct Listed {
    tools: Arc<Vec<Offered>>,
    /// Tools that were not taken: without a name, or with parameters that are too large.
    odd: usize,
    at: Instant,
    /// How often the list had changed by then.
    version: u64,
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl McpServer {
    /// The server `name`. Nothing is begun yet.
    pub fn new(name: &str, way: Way, runner: Runner, caller: Caller) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            way,
            runner,
            caller,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            slots: Semaphore::new(AT_ONCE),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Turns when the server says that its tools have changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// What it offers now.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn offers(&self) -> Result<(Arc<Vec<Offered>>, usize), EdgeError> {
        self.listed(true).await.map(|listed| (listed.tools, listed.odd))
    }

    /// Calls a tool that only looks.
    ///
    /// # Errors
    /// When it cannot be called, or is not what it was.
    pub async fn look(&self, call: &Call) -> Result<Answer, EdgeError> {
        let _slot = self.slot()?;
        let listed = self.listed(false).await?;
        self.pinned(&listed.tools, &call.tool, &call.pin)?;
        self.called(call).await.map_err(|broken| broken.error)
    }

    /// Calls a tool that changes `target`, which `permit` has to name. That it still is what it was is
    /// looked at right before.
    ///
    /// # Errors
    /// Whether it may have been sent.
    pub async fn change(
        &self,
        permit: &Permit,
        target: &Target,
        call: &Call,
        now: Timestamp,
    ) -> Result<Answer, Unanswered> {
        permit.covers(target, now)?;
        let _slot = self.slot().map_err(Unanswered::NotSent)?;
        let listed = self.listed(true).await.map_err(Unanswered::NotSent)?;
        self.pinned(&listed.tools, &call.tool, &call.pin).map_err(Unanswered::NotSent)?;
        self.called(call).await.map_err(|broken| match broken.sent {
            true => Unanswered::Unknown(broken.error),
            false => Unanswered::NotSent(broken.error),
        })
    }

    fn error(&self, kind: EdgeErrorKind, text: impl AsRef<str>) -> EdgeError {
        EdgeError::new(format!("mcp server {}", self.0.name), kind, text)
    }

    fn slot(&self) -> Result<tokio::sync::SemaphorePermit<'_>, EdgeError> {
        self.0.slots.try_acquire().map_err(|_| {
            self.error(EdgeErrorKind::Timeout, format!("{AT_ONCE} calls of it are under way already; try again"))
        })
    }

    fn pinned(&self, tools: &[Offered], tool: &str, pin: &Pin) -> Result<(), EdgeError> {
        let changed = |text: String| Err(self.error(EdgeErrorKind::Unserved, text));
        match tools.iter().find(|offered| offered.name == tool) {
            None => changed(format!("it does not offer {tool} any more")),
            Some(offered) if offered.pin != *pin => changed(format!(
                "{tool} is not what it was when it was listed: its digest is {}, and not {}",
                offered.pin.digest, pin.digest
            )),
            Some(_) => Ok(()),
        }
    }

    /// What it offers: what it said last, unless that is old, has changed, or has to be `fresh`.
    async fn listed(&self, fresh: bool) -> Result<Listed, EdgeError> {
        let used = {
            let mut state = self.0.state.lock().await;
            let used = self.connected(&mut state).await?;
            let known = state.live.as_ref().and_then(|live| live.listed.clone());
            let version = *self.0.changed.borrow();
            if let Some(known) = known.filter(|known| !fresh && known.version == version && known.at.elapsed() < LISTED)
            {
                return Ok(known);
            }
            used
        };
        let version = *self.0.changed.borrow();
        let (mut tools, mut odd, mut cursor) = (vec![], 0, None);
        for page in 0..PAGES {
            let params = cursor.as_ref().map_or(json!({}), |cursor| json!({"cursor": cursor}));
            let request: ListToolsRequest = self.typed(json!({"method": "tools/list", "params": params}))?;
            let asked = self.asked(&used, ClientRequest::ListToolsRequest(request), GREETING).await;
            let (more, left, next) = offered::page(&asked.map_err(|broken| broken.error)?);
            tools.extend(more);
            odd += left;
            cursor = next;
            if cursor.is_none() {
                break;
            }
            if page + 1 == PAGES || tools.len() > TOOLS {
                return Err(self.error(EdgeErrorKind::TooLarge, format!("it offers more than {TOOLS} tools")));
            }
        }
        let listed = Listed { tools: Arc::new(tools), odd, at: Instant::now(), version };
        if let Some(live) = self.0.state.lock().await.live.as_mut().filter(|live| live.number == used.number) {
            live.listed = Some(listed.clone());
        }
        Ok(listed)
    }

    async fn called(&self, call: &Call) -> Result<Answer, Broken> {
        let unsent = |error| Broken { error, sent: false };
        let used = {
            let mut state = self.0.state.lock().await;
            self.connected(&mut state).await.map_err(unsent)?
        };
        let params = offered::params(&call.tool, &call.arguments, &call.names);
        let request: CallToolRequest = self.typed(json!({"method": "tools/call", "params": params})).map_err(unsent)?;
        let result = self.asked(&used, ClientRequest::CallToolRequest(request), call.total).await?;
        let answer = Answer::of(&format!("mcp server {}", self.0.name), &result);
        answer.map_err(|error| Broken { error, sent: true })
    }

    fn typed<T: serde::de::DeserializeOwned>(&self, request: Value) -> Result<T, EdgeError> {
        serde_json::from_value(request).map_err(|e| self.error(EdgeErrorKind::Invalid, format!("cannot be asked: {e}")))
    }

    /// The result of one request.
    async fn asked(&self, used: &Used, request: ClientRequest, total: Duration) -> Result<Value, Broken> {
        let sent = used.peer.send_cancellable_request(request, PeerRequestOptions::no_options());
        let answer = match sent.await {
            Ok(mut handle) => match tokio::time::timeout(total, &mut handle.rx).await {
                Ok(answer) => answer.unwrap_or(Err(ServiceError::TransportClosed)),
                Err(_) => {
                    // That it need not go on is told it beside: whoever asked has waited long enough.
                    tokio::spawn(async move { handle.cancel(Some("no answer in time".to_owned())).await });
                    Err(ServiceError::Timeout { timeout: total })
                }
            },
            Err(error) => Err(error),
        };
        match answer {
            Ok(result) => serde_json::to_value(result)
                .map_err(|e| Broken { error: self.error(EdgeErrorKind::BadBody, e.to_string()), sent: true }),
            Err(error) => Err(self.failed(error, total, used.number).await),
        }
    }

    /// What a failure means, and what follows from it for the connection.
    async fn failed(&self, error: ServiceError, total: Duration, number: u64) -> Broken {
        let broken = match error {
            ServiceError::McpError(error) => {
                let refused = [
                    ErrorCode::METHOD_NOT_FOUND,
                    ErrorCode::INVALID_PARAMS,
                    ErrorCode::INVALID_REQUEST,
                    ErrorCode::PARSE_ERROR,
                ]
                .contains(&error.code);
                let code = error.code.0;
                let kind = match refused {
                    true => EdgeErrorKind::Invalid,
                    false => EdgeErrorKind::Status { code: 500, reason: code.to_string() },
                };
                let text = format!("it answered with error {code}: {}", error.message);
                return Broken { error: self.error(kind, text), sent: !refused };
            }
            ServiceError::Timeout { .. } => {
                let text = format!("no answer within {} s", total.as_secs_f32());
                return Broken { error: self.error(EdgeErrorKind::Timeout, text), sent: true };
            }
            ServiceError::TransportSend(error) => match error.error.downcast::<Broken>() {
                Ok(broken) => *broken,
                Err(error) => Broken { error: self.error(EdgeErrorKind::Unreachable, error.to_string()), sent: true },
            },
            other => Broken { error: self.error(EdgeErrorKind::Unreachable, other.to_string()), sent: true },
        };
        // An answer of a server by HTTP, however bad, is no reason to connect anew.
        if *broken.error.kind() == EdgeErrorKind::Unreachable || matches!(self.0.way, Way::Command(_)) {
            let mut state = self.0.state.lock().await;
            // Somebody else may have connected anew meanwhile.
            if let Some(live) = state.live.take_if(|live| live.number == number) {
                let told = ended(live, &mut state, &broken.error).await;
                return Broken { error: told, sent: broken.sent };
            }
        }
        broken
    }

    /// A connection: the one that stands, or a new one.
    async fn connected(&self, state: &mut State) -> Result<Used, EdgeError> {
        if let Some(live) = state.live.take_if(|live| live.service.is_closed() || live.why.get().is_some()) {
            let error = self.error(EdgeErrorKind::Unreachable, "it has ended");
            ended(live, state, &error).await;
        }
        if let Some(live) = &state.live {
            return Ok(live.used());
        }
        if let Some((until, why)) = &state.rest
            && let Some(left) = until.checked_duration_since(Instant::now())
        {
            let text = format!("{}; it is tried again in {} s", why.text(), left.as_secs() + 1);
            return Err(why.clone().because(text));
        }
        state.made += 1;
        match tokio::time::timeout(GREETING, self.connect(state.made)).await {
            Ok(Ok(live)) => {
                let used = live.used();
                state.live = Some(live);
                Ok(used)
            }
            Ok(Err(error)) => Err(state.rests(error)),
            Err(_) => {
                let text = format!("it did not greet within {} s", GREETING.as_secs());
                Err(state.rests(self.error(EdgeErrorKind::Timeout, text)))
            }
        }
    }

    async fn connect(&self, number: u64) -> Result<Live, EdgeError> {
        let peer = format!("mcp server {}", self.0.name);
        let why: Arc<OnceLock<String>> = Arc::default();
        let changed = self.0.changed.clone();
        let (wire, life) = match &self.0.way {
            Way::Command(order) => {
                let lasting =
                    self.0.runner.begin(order).map_err(|e| self.error(EdgeErrorKind::Unserved, e.to_string()))?;
                let wire = Wire::pipe(&peer, lasting.stdin, lasting.stdout, changed, why.clone());
                (wire, Some(lasting.life))
            }
            Way::Http(request) => {
                (Wire::post(&peer, self.0.caller.clone(), request.clone(), order_total(), changed), None)
            }
        };
        let us = Implementation::new("firewarden", env!("CARGO_PKG_VERSION"));
        match ClientConfig::new(ClientCapabilities::default(), us).serve(wire).await {
            Ok(service) => Ok(Live { number, service, life, why, since: Instant::now(), listed: None }),
            Err(error) => {
                let said = match life {
                    Some(life) => life.end().await,
                    None => crate::edge::http::causes(&error),
                };
                let said = why.get().map_or(said, |why| why.clone());
                Err(self.error(EdgeErrorKind::Unreachable, format!("it does not greet as an MCP server: {said}")))
            }
        }
    }
}

/// How long one request may be under way; each call has its own, shorter, limit.
const fn order_total() -> Duration {
    Duration::from_secs(300)
}

impl Live {
    fn used(&self) -> Used {
        Used { peer: self.service.peer().clone(), number: self.number }
    }
}

impl State {
    /// Notes a failure: the next attempt comes at once, then later and later.
    fn rests(&mut self, error: EdgeError) -> EdgeError {
        self.failed = self.failed.saturating_add(1);
        let wait = match self.failed {
            0 | 1 => Duration::ZERO,
            n => Duration::from_secs(1 << (n - 2).min(10)).min(LATEST),
        };
        self.rest = Some((Instant::now() + wait, error.clone()));
        error
    }
}

/// Ends what is left of a connection. `error` as far as the connection knows, told with what the
/// command said at its end.
async fn ended(live: Live, state: &mut State, error: &EdgeError) -> EdgeError {
    if live.since.elapsed() > HELD {
        state.failed = 0;
    }
    let Live { service, life, why, .. } = live;
    drop(service);
    let said = match life {
        Some(life) => Some(life.end().await),
        None => None,
    };
    let text = match (why.get(), said) {
        (Some(why), _) => why.clone(),
        (None, Some(said)) => format!("it has ended: {said}"),
        (None, None) => error.text().to_owned(),
    };
    let kind = match why.get() {
        Some(_) => EdgeErrorKind::TooLarge,
        None => EdgeErrorKind::Unreachable,
    };
    state.rests(EdgeError::new(error.peer(), kind, text))
}
