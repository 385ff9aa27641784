//! A small Alertmanager with a memory: the silences that it holds are what happened, whatever it answered.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What goes wrong with the next request that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, and the connection breaks.
    DropAfter,
    /// A gateway gives up before anything is done.
    GatewayBefore,
    /// It is done, and a gateway says otherwise.
    GatewayAfter,
    /// It is done, and the answer cannot be read.
    Garbage,
    /// The connection breaks, and it is done so many requests later.
    Late(usize),
    /// A proxy sends it twice.
    Twice,
    /// It is refused with this status.
    Refuse(u16),
    /// Nothing is done, and nothing is answered.
    HangBefore,
    /// It is done, and nothing is answered.
    HangAfter,
}

#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    body: Value,
}

/// What stands in it, and what it will do wrong.
#[derive(Debug, Default)]
pub struct Memory {
    /// Labels of the alerts that fire.
    pub alerts: Vec<Value>,
    pub silences: Vec<Value>,
    pub fault: Option<Fault>,
    /// Writing requests that arrived.
    pub writes: usize,
    /// A request that hangs arrived.
    pub hanging: bool,
    late: Vec<(usize, Request)>,
}

/// An Alertmanager that is being served. Dropping it closes it.
#[derive(Debug)]
pub struct Alertmanager {
    pub url: String,
    memory: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Alertmanager {
    pub async fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let memory: Arc<Mutex<Memory>> = Arc::default();
        let shared = memory.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, shared.clone()));
            }
        });
        Self { url, memory, task }
    }

    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }
}

/// What a client sees.
enum Fate {
    Answer(u16, String),
    Break,
    Silence,
}

impl Memory {
    /// Silences that nobody ended.
    pub fn standing(&self) -> usize {
        self.silences.iter().filter(|silence| silence["status"]["state"] == "active").count()
    }

    /// Lets everything arrive that is still on its way.
    pub fn arrive(&mut self) {
        for (_, request) in std::mem::take(&mut self.late) {
            self.answer(&request);
        }
    }

    /// A silence that somebody makes.
    pub fn add(&mut self, body: &Value) -> String {
        let id = format!("s-{}", self.silences.len() + 1);
        let mut held = body.clone();
        held["id"] = json!(id);
        held["status"] = json!({"state": "active"});
        held["updatedAt"] = held["startsAt"].clone();
        self.silences.push(held);
        id
    }

    fn receive(&mut self, request: &Request) -> Fate {
        let late = std::mem::take(&mut self.late).into_iter();
        let (due, left): (Vec<_>, Vec<_>) = late.partition(|(left, _)| *left <= 1);
        self.late = left;
        self.late.iter_mut().for_each(|(left, _)| *left -= 1);
        due.iter().for_each(|(_, late)| {
            self.answer(late);
        });
        if request.method == "GET" {
            return self.fate(request);
        }
        self.writes += 1;
        match self.fault.take() {
            None => self.fate(request),
            Some(Fault::DropBefore) => Fate::Break,
            Some(Fault::DropAfter) => {
                self.answer(request);
                Fate::Break
            }
            Some(Fault::GatewayBefore) => Fate::Answer(502, "<html>".into()),
            Some(Fault::GatewayAfter) => {
                self.answer(request);
                Fate::Answer(502, "<html>".into())
            }
            Some(Fault::Garbage) => {
                self.answer(request);
                Fate::Answer(200, "<html>".into())
            }
            Some(Fault::Late(later)) => {
                self.late.push((later, request.clone()));
                Fate::Break
            }
            Some(Fault::Twice) => {
                self.answer(request);
                self.fate(request)
            }
            Some(Fault::Refuse(status)) => Fate::Answer(status, "\"no\"".into()),
            Some(Fault::HangBefore) => {
                self.hanging = true;
                Fate::Silence
            }
            Some(Fault::HangAfter) => {
                self.answer(request);
                self.hanging = true;
                Fate::Silence
            }
        }
    }

    fn fate(&mut self, request: &Request) -> Fate {
        let (status, body) = self.answer(request);
        Fate::Answer(status, if body.is_null() { String::new() } else { body.to_string() })
    }

    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let filters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == "filter")
            .filter_map(|(_, f)| equality(&f))
            .collect();
        let holds = |labels: &Value| filters.iter().all(|(name, value)| labels[name] == value.as_str());
        match (request.method.as_str(), path.strip_prefix("/api/v2/").unwrap_or_default()) {
            ("GET", "status") => (200, json!({"versionInfo": {"version": "0.25.0"}})),
            ("GET", "alerts") => {
                let firing = self.alerts.iter().filter(|labels| holds(labels));
                (200, firing.map(|labels| json!({"labels": labels})).collect())
            }
            ("GET", "silences") => {
                let has = |silence: &&Value| {
                    let matchers = silence["matchers"].as_array().cloned().unwrap_or_default();
                    filters.iter().all(|(name, value)| {
                        matchers.iter().any(|m| m["name"] == name.as_str() && m["value"] == value.as_str())
                    })
                };
                (200, self.silences.iter().filter(has).cloned().collect())
            }
            ("POST", "silences") => {
                let ends = request.body["endsAt"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
                if ends.is_none() || request.body["comment"].as_str().is_none_or(str::is_empty) {
                    return (400, json!("bad silence"));
                }
                (200, json!({"silenceID": self.add(&request.body)}))
            }
            (method, rest) => {
                let found =
                    rest.strip_prefix("silence/").and_then(|id| self.silences.iter_mut().find(|s| s["id"] == id));
                match (method, found) {
                    ("GET", Some(silence)) => (200, silence.clone()),
                    ("DELETE", Some(silence)) if silence["status"]["state"] == "expired" => {
                        (500, json!("already expired"))
                    }
                    ("DELETE", Some(silence)) => {
                        silence["status"]["state"] = json!("expired");
                        (200, Value::Null)
                    }
                    _ => (404, Value::Null),
                }
            }
        }
    }
}

/// Name and value of a filter that is no pattern.
fn equality(filter: &str) -> Option<(String, String)> {
    let (name, value) = filter.split_once('=')?;
    Some((name.to_owned(), serde_json::from_str(value).ok()?))
}

/// One request on each connection.
async fn serve(mut socket: TcpStream, memory: Arc<Mutex<Memory>>) {
    let Some(request) = read(&mut socket).await else { return };
    let fate = memory.lock().unwrap().receive(&request);
    match fate {
        Fate::Break => {}
        Fate::Silence => {
            // Until the other side is gone.
            let _ = socket.read(&mut [0; 1]).await;
        }
        Fate::Answer(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let mut line = head.lines().next()?.split(' ');
                let (method, path) = (line.next()?.to_owned(), line.next()?.to_owned());
                return Some(Request { method, path, body: serde_json::from_str(body).unwrap_or_default() });
            }
        }
        match socket.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
