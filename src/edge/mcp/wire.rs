//! Messages in and out, over pipes or by HTTP. What a server asks of us (to think for it, to ask
//! people, to list folders) is refused here, before anybody else sees it; notices are dropped, but for
//! the one that its tools have changed.

use crate::edge::call::{Bounds, Caller, Request};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::pinned::Answer;
use crate::edge::sse::Decoder;
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// Bytes of one message.
pub(super) const MESSAGE_BYTES: usize = 4 << 20;
/// Messages that wait to be read.
const WAITING: usize = 64;
/// Messages between two answers, whatever they are: more is a flood.
const BETWEEN: u32 = 1000;
/// Lines that are no messages. Some programs greet.
const STRAY: u32 = 100;
/// How long a session may take to be closed.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a message may not have been heard.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub(super) struct Broken {
    pub error: EdgeError,
    /// It was sent, or may have been.
    pub sent: bool,
}

/// One connection, as rmcp takes it.
pub(super) struct Wire {
    way: Arc<Way>,
    incoming: mpsc::Receiver<ServerJsonRpcMessage>,
    reading: Option<AbortHandle>,
}

enum Way {
    Pipe { peer: String, stdin: tokio::sync::Mutex<Option<ChildStdin>> },
    Post(Box<Post>),
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Wire {
    /// Over the pipes of a command. `why` is set when it is we who end it.
    pub(super) fn pipe(
        peer: &str,
        stdin: ChildStdin,
        stdout: impl AsyncRead + Unpin + Send + 'static,
        changed: watch::Sender<u64>,
        why: Arc<OnceLock<String>>,
    ) -> Self {
        let (into, incoming) = mpsc::channel(WAITING);
        let way = Arc::new(Way::Pipe { peer: peer.to_owned(), stdin: tokio::sync::Mutex::new(Some(stdin)) });
        let answering = way.clone();
        let reading = tokio::spawn(async move {
            // Why comes before the end that it explains.
            if let Some(text) = lines(stdout, &answering, &into, &Sorting::new(changed)).await {
                let _ = why.set(text);
            }
            drop(into);
        });
        Self { way, incoming, reading: Some(reading.abort_handle()) }
    }

    /// By requests like `request`.
    pub(super) fn post(
        peer: &str,
        caller: Caller,
        request: Request,
        total: Duration,
        changed: watch::Sender<u64>,
    ) -> Self {
        let (into, incoming) = mpsc::channel(WAITING);
        let post = Post {
            peer: peer.to_owned(),
            caller,
            request,
            total,
            session: Mutex::default(),
            into,
            sorting: Sorting::new(changed),
        };
        Self { way: Arc::new(Way::Post(Box::new(post))), incoming, reading: None }
    }
}

impl Transport<RoleClient> for Wire {
    type Error = Broken;

    fn send(&mut self, item: ClientJsonRpcMessage) -> impl Future<Output = Result<(), Broken>> + Send + 'static {
        let way = self.way.clone();
        async move {
            match serde_json::to_value(&item) {
                Ok(message) => way.send(&message).await,
                Err(e) => Err(Broken { error: way.error(EdgeErrorKind::Invalid, e.to_string()), sent: false }),
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> Result<(), Broken> {
        self.incoming.close();
        match self.way.as_ref() {
            // Its end of input is how a command is told to end.
            Way::Pipe { stdin, .. } => drop(stdin.lock().await.take()),
            Way::Post(post) => post.close().await,
        }
        Ok(())
    }
}

impl Way {
    fn error(&self, kind: EdgeErrorKind, text: impl AsRef<str>) -> EdgeError {
        let peer = match self {
            Self::Pipe { peer, .. } => peer,
            Self::Post(post) => &post.peer,
        };
        EdgeError::new(peer, kind, text)
    }

    async fn send(&self, message: &Value) -> Result<(), Broken> {
        match self {
            Self::Post(post) => post.send(message).await,
            Self::Pipe { stdin, .. } => {
                let mut stdin = stdin.lock().await;
                let gone = |sent| Broken { error: self.error(EdgeErrorKind::Unreachable, "it has ended"), sent };
                let Some(stdin) = stdin.as_mut() else { return Err(gone(false)) };
                let line = format!("{message}\n");
                let written = async {
                    stdin.write_all(line.as_bytes()).await?;
                    stdin.flush().await
                };
                written.await.map_err(|_| gone(true))
            }
        }
    }
}

/// What becomes of a message.
enum Sorted {
    /// It is for rmcp.
    Ours(Box<ServerJsonRpcMessage>),
    /// It asks something of us: this is what it is told.
    Refused(Value),
    Dropped,
    /// Nobody needs so many.
    Flood,
}

/// Looks at messages before anybody else does.
struct Sorting {
    changed: watch::Sender<u64>,
    between: Mutex<u32>,
}

impl Sorting {
    fn new(changed: watch::Sender<u64>) -> Self {
        Self { changed, between: Mutex::new(0) }
    }

    fn sort(&self, message: Value) -> Sorted {
        let mut between = self.between.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(method) = message["method"].as_str() else {
            *between = 0;
            return match serde_json::from_value(message) {
                Ok(message) => Sorted::Ours(Box::new(message)),
                Err(_) => Sorted::Dropped,
            };
        };
        *between += 1;
        if *between > BETWEEN {
            return Sorted::Flood;
        }
        match (method, message.get("id").filter(|id| !id.is_null())) {
            ("ping", Some(id)) => Sorted::Refused(json!({"jsonrpc": "2.0", "id": id, "result": {}})),
            (_, Some(id)) => {
                let error = json!({"code": -32601, "message": "this client does nothing for a server"});
                Sorted::Refused(json!({"jsonrpc": "2.0", "id": id, "error": error}))
            }
            ("notifications/tools/list_changed", None) => {
                self.changed.send_modify(|times| *times += 1);
                Sorted::Dropped
            }
            (_, None) => Sorted::Dropped,
        }
    }
}

/// Reads until the end; in words why it is we who end it.
async fn lines(
    stdout: impl AsyncRead + Unpin,
    way: &Way,
    into: &mpsc::Sender<ServerJsonRpcMessage>,
    sorting: &Sorting,
) -> Option<String> {
    let mut reader = BufReader::new(stdout);
    let (mut line, mut stray) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = (&mut reader).take(MESSAGE_BYTES as u64).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.len() >= MESSAGE_BYTES && !line.ends_with(b"\n") => {
                return Some(format!("it wrote a message of more than {} MiB", MESSAGE_BYTES >> 20));
            }
            Ok(_) => {}
        }
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            stray += 1;
            match stray > STRAY {
                true => return Some("what it writes are no messages".to_owned()),
                false => continue,
            }
        };
        match sorting.sort(message) {
            Sorted::Ours(message) => into.send(*message).await.ok()?,
            // One that does not read what it asked for is not waited for.
            Sorted::Refused(answer) => {
                let told = tokio::time::timeout(CLOSING, way.send(&answer)).await;
                if !matches!(told, Ok(Ok(()))) {
                    return Some("it asks, and does not read the answer".to_owned());
                }
            }
            Sorted::Dropped => {}
            Sorted::Flood => return Some(format!("it wrote {BETWEEN} messages that answer nothing")),
        }
    }
}

/// An address that messages are posted to.
struct Post {
    peer: String,
    caller: Caller,
    /// Address and headers.
    request: Request,
    total: Duration,
    session: Mutex<Session>,
    into: mpsc::Sender<ServerJsonRpcMessage>,
    sorting: Sorting,
}

/// What later requests have to say.
#[derive(Debug, Clone, Default)]
struct Session {
    id: Option<String>,
    version: Option<String>,
}

impl Post {
    fn broken(&self, kind: EdgeErrorKind, text: impl AsRef<str>, sent: bool) -> Broken {
        Broken { error: EdgeError::new(&self.peer, kind, text), sent }
    }

    fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with_session(&self, request: Request) -> Result<Request, EdgeError> {
        let Session { id, version } = self.session();
        let headers = [("mcp-session-id", id), ("mcp-protocol-version", version)];
        headers.into_iter().try_fold(request, |request, (name, value)| match value {
            Some(value) => request.header(name, &value),
            None => Ok(request),
        })
    }

    async fn exchange(&self, message: &Value) -> Result<Answer, Broken> {
        let request = self
            .with_session(self.request.clone())
            .and_then(|request| request.header("accept", "application/json, text/event-stream")?.json(message));
        let request = request.map_err(|error| Broken { error, sent: false })?;
        let bounds = Bounds { total: self.total, body_bytes: MESSAGE_BYTES };
        let answer = self.caller.exchange(&request, bounds).await;
        answer.map_err(|(error, sent)| Broken { error, sent })
    }

    async fn send(&self, message: &Value) -> Result<(), Broken> {
        let answer = self.exchange(message).await?;
        self.refused(&answer)?;
        for message in self.messages(&answer)? {
            let is_first = message["result"]["protocolVersion"].is_string();
            if is_first {
                self.begin(&answer, &message);
            }
            match self.sorting.sort(message) {
                Sorted::Ours(message) => {
                    let full = "it answered with more messages than were asked for";
                    self.into.try_send(*message).map_err(|_| self.broken(EdgeErrorKind::BadBody, full, true))?;
                }
                // Whether it listens is its business, and so is what it says to that.
                Sorted::Refused(answer) => drop(self.exchange(&answer).await),
                Sorted::Dropped => {}
                Sorted::Flood => return Err(self.broken(EdgeErrorKind::BadBody, "it floods", true)),
            }
        }
        Ok(())
    }

    /// What a status says of the request.
    fn refused(&self, answer: &Answer) -> Result<(), Broken> {
        let code = answer.status;
        let other = EdgeErrorKind::Status { code, reason: String::new() };
        let (kind, text, sent) = match code {
            200..=299 => return Ok(()),
            401 | 403 => (EdgeErrorKind::Denied, format!("it answered {code}: is its credential right?"), false),
            404 if self.session().id.is_some() => {
                (EdgeErrorKind::Unreachable, "it has ended the session".to_owned(), false)
            }
            300..=399 => (EdgeErrorKind::Denied, format!("it answered {code}: redirects are not followed"), false),
            408 | 409 => (other, format!("it answered {code}"), true),
            400..=499 => (other, format!("it answered {code}"), false),
            _ => (other, format!("it answered {code}"), true),
        };
        Err(self.broken(kind, text, sent))
    }

    fn messages(&self, answer: &Answer) -> Result<Vec<Value>, Broken> {
        let kind = answer.header(hyper::header::CONTENT_TYPE).to_ascii_lowercase();
        if answer.cut {
            let text = format!("it answered with more than {} MiB", MESSAGE_BYTES >> 20);
            return Err(self.broken(EdgeErrorKind::TooLarge, text, true));
        }
        let no_message = |_| self.broken(EdgeErrorKind::BadBody, "its answer is no message", true);
        if answer.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(vec![]);
        }
        if !kind.starts_with("text/event-stream") {
            return Ok(match serde_json::from_slice(&answer.body).map_err(no_message)? {
                Value::Array(several) => several,
                one => vec![one],
            });
        }
        let mut decoder = Decoder::new(MESSAGE_BYTES);
        let too_large = |_| self.broken(EdgeErrorKind::TooLarge, "one of its messages is too large", true);
        let mut events = decoder.feed(&answer.body).map_err(too_large)?;
        events.extend(decoder.finish());
        let data = events.iter().map(|event| event.data.as_str()).filter(|data| !data.trim().is_empty());
        data.map(|data| serde_json::from_str(data).map_err(no_message)).collect()
    }

    fn begin(&self, answer: &Answer, message: &Value) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let id = answer.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
        session.id = id.filter(|id| !id.is_empty() && id.len() <= 512).map(str::to_owned);
        session.version = message["result"]["protocolVersion"].as_str().map(str::to_owned);
    }

    /// Tells the server that the session is over, if it can be told quickly.
    async fn close(&self) {
        if self.session().id.is_none() {
            return;
        }
        if let Ok(request) = self.with_session(self.request.clone().by("DELETE")) {
            let _ = self.caller.exchange(&request, Bounds { total: CLOSING, body_bytes: 1 << 10 }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(sorting: &Sorting, message: Value) -> &'static str {
        match sorting.sort(message) {
            Sorted::Ours(_) => "ours",
            Sorted::Refused(answer) if answer.get("error").is_some() => "refused",
            Sorted::Refused(_) => "answered",
            Sorted::Dropped => "dropped",
            Sorted::Flood => "flood",
        }
    }

    #[test]
    fn what_a_server_asks_of_us_is_refused_and_only_a_changed_list_is_noted() {
        let (changed, times) = watch::channel(0);
        let sorting = Sorting::new(changed);
        for method in ["sampling/createMessage", "elicitation/create", "roots/list", "tools/call", "x"] {
            assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "id": 7, "method": method})), "refused", "{method}");
        }
        assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "id": 7, "method": "ping"})), "answered");
        for method in ["notifications/message", "notifications/progress", "notifications/prompts/list_changed"] {
            assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "method": method})), "dropped", "{method}");
        }
        assert_eq!(*times.borrow(), 0);
        assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})), "dropped");
        assert_eq!(*times.borrow(), 1);
        assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})), "ours");
        assert_eq!(sort(&sorting, json!("no message")), "dropped");
        for _ in 0..BETWEEN {
            assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "method": "notifications/message"})), "dropped");
        }
        assert_eq!(sort(&sorting, json!({"jsonrpc": "2.0", "method": "notifications/message"})), "flood");
    }
}
