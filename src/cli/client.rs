//! A running server, over its HTTP API.

use super::{Exit, Failure};
use crate::domain::{Report, Secret};
use crate::edge::http::{HttpAnswer, Limits};
use crate::edge::stream::EventStream;
use crate::edge::{Auth, EdgeError, EdgeErrorKind, HttpPeer};
use crate::engine::live::Awaited;
use crate::journal::{Body, Entry};
use serde_json::Value;
use std::time::Duration;

/// What answers may take and hold.
const LIMITS: Limits = Limits { total: Duration::from_secs(60), body_bytes: 64 << 20 };
/// A stream that breaks off is opened again so often in a row.
const AGAIN: u32 = 5;

/// What is seen of an investigation that is followed.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// It went on.
    Entry(&'a Entry),
    /// It waits for a model.
    Awaited(&'a Awaited),
}

/// What follows from a look.
pub trait Looked {
    /// Nothing more needs to be seen.
    fn suffices(self) -> bool;
}

impl Looked for () {
    fn suffices(self) -> bool {
        false
    }
}

impl Looked for bool {
    fn suffices(self) -> bool {
        self
    }
}

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    peer: HttpPeer,
    token: Option<Secret>,
}

impl Client {
    /// A client of the server at `address`, which shows `token`.
    ///
    /// # Errors
    /// When `address` is none.
    pub fn new(address: &str, token: Option<Secret>) -> Result<Self, Failure> {
        let peer = HttpPeer::new("firewarden", address, token.clone().map(Auth::Bearer))
            .map_err(|e| Failure::usage(e, "write http://HOST:PORT after --server or into FIREWARDEN_URL"))?;
        Ok(Self { peer, token })
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let answer = self.peer.get(path, query, LIMITS).await;
        self.json(answer)
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.peer.post_json(path, body, LIMITS).await;
        self.json(answer)
    }

    /// The report of an investigation.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached.
    pub async fn report(&self, id: &str) -> Result<Report, Failure> {
        let value = self.get(&format!("/api/v1/investigations/{id}/report"), &[]).await?;
        serde_json::from_value(value)
            .map_err(|e| Failure::internal(format!("{} sent a report that cannot be read: {e}", self.address())))
    }

    /// Whether the server is ready to take alerts.
    pub async fn is_ready(&self) -> bool {
        let limits = Limits { total: Duration::from_secs(5), body_bytes: 64 << 10 };
        self.peer.get("/readyz", &[], limits).await.is_ok_and(|answer| answer.status == 200)
    }

    /// Shows `look` an investigation as it happens, until it is closed or `look` has seen enough. A stream that breaks off is opened again behind the last entry.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or `look` fails.
    pub async fn follow<T: Looked>(
        &self,
        id: &str,
        mut look: impl AsyncFnMut(Seen<'_>) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let url = format!("{}/api/v1/investigations/{id}/stream", self.address());
        let mut last: Option<String> = None;
        let (mut broken, mut closed) = (0, false);
        loop {
            let opened = EventStream::open(&url, self.token.as_ref(), last.as_deref()).await;
            let error = match opened {
                Ok(None) => return Ok(()),
                Ok(Some(mut stream)) => loop {
                    match stream.next().await {
                        Ok(Some(event)) if event.kind.as_deref() == Some("progress") => {
                            // Of a later version it may say what we do not know.
                            if let Ok(awaited) = serde_json::from_str(&event.data) {
                                look(Seen::Awaited(&awaited)).await?;
                            }
                        }
                        Ok(Some(event)) => {
                            let entry: Entry = serde_json::from_str(&event.data).map_err(|e| {
                                Failure::internal(format!("{} sent an entry that cannot be read: {e}", self.address()))
                            })?;
                            last = event.id.or(last);
                            broken = 0;
                            closed = matches!(entry.body, Body::Closed { .. });
                            if look(Seen::Entry(&entry)).await?.suffices() {
                                return Ok(());
                            }
                        }
                        // It went on where it was opened again; now this is the end.
                        Ok(None) if closed => return Ok(()),
                        // The server ends a stream early when it stops or lags; behind the end it answers 204.
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                },
                Err(error) => Some(error),
            };
            broken += 1;
            match error {
                Some(error) if !error.is_transient() || broken > AGAIN => return Err(self.failure(&error)),
                None if broken > AGAIN => {
                    let what = format!("{} ends the stream of {id} again and again", self.address());
                    return Err(Failure::unreachable(what, "is it being stopped?"));
                }
                Some(_) | None => tokio::time::sleep(Duration::from_millis(200 * u64::from(broken))).await,
            }
        }
    }

    fn json(&self, answer: Result<HttpAnswer, EdgeError>) -> Result<Value, Failure> {
        let answer = answer.map_err(|e| self.failure(&e))?;
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            let what = format!("{} answers {} without JSON", self.address(), answer.status);
            Failure::unreachable(what, "is this a firewarden server? Check --server and FIREWARDEN_URL")
        })
    }

    fn failure(&self, error: &EdgeError) -> Failure {
        match error.kind() {
            EdgeErrorKind::NotFound => {
                Failure::usage(error.text(), "`firewarden investigations list` shows what there is")
            }
            EdgeErrorKind::Denied => {
                Failure::unreachable(error.text(), "FIREWARDEN_TOKEN must hold one of `access.tokens`")
            }
            _ => Failure::unreachable(error.text(), "start it with `firewarden serve`, or name another with --server"),
        }
    }

    /// What the server says in its problem document.
    fn refused(&self, answer: &HttpAnswer) -> Failure {
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("without saying why");
        let what = format!("{} answers {}: {detail}", self.address(), answer.status);
        match problem["type"].as_str().and_then(|kind| kind.strip_prefix("urn:firewarden:problem:")) {
            Some("policy-unsound") => {
                return Failure::does_not_load(what, "`firewarden policy check` and `test` say more");
            }
            Some("promotion-refused") => return Failure::new(Exit::Found, what, ""),
            _ => {}
        }
        match answer.status {
            401 => Failure::unreachable(what, "FIREWARDEN_TOKEN must hold one of `access.tokens`"),
            403 => Failure::unreachable(what, "FIREWARDEN_TOKEN must hold a token whose role and groups allow it"),
            400 | 404 | 406 | 409 | 410 | 413 | 422 => Failure::usage(what, ""),
            _ => Failure::unreachable(what, "its log says more"),
        }
    }
}
