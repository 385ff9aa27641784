//! An API server that keeps objects, as far as changes need it: versions and identities, trials,
//! preconditions, evictions under a budget, field owners. It answers as badly as a script says, and its
//! own ledger tells what happened to its objects, whatever the askers believe.
//!
//! It speaks HTTP itself: a server of a library would not hang up in the middle.

mod answer;
mod objects;

use answer::{Asked, read};
use objects::Objects;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What goes wrong with one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is made, and the connection breaks before the answer.
    AnswerDropped,
    /// It is made, and a proxy says 502.
    BadGateway,
    /// It is made, and the answer is no JSON.
    Garbage,
    /// The connection breaks before it is made.
    RequestDropped,
    /// The connection breaks, and it is made after so many looks at the object.
    Late(u32),
    /// A proxy sends it twice and passes the second answer on.
    Duplicated,
    /// It is made, the answer is lost, and so many looks show the object as it was.
    StaleLooks(u32),
    /// It is not made: somebody else changed the object right before.
    Overtaken,
}

/// Where whoever sends the first change dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before it arrives.
    BeforeSend,
    /// It is on its way, and arrives after one look.
    OnItsWay,
    /// It is made, and the answer was not read.
    AfterEffect,
}

/// A server. Dropping it closes it.
#[derive(Debug)]
pub struct Cluster {
    /// Where it answers.
    pub url: String,
    state: Arc<Mutex<State>>,
    /// Told when whoever sends a change is to die.
    pub crashed: Arc<Notify>,
    /// How much has happened.
    pub happened: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    crash: Option<Crash>,
    faults: VecDeque<Fault>,
    /// Changes on their way: they arrive after so many looks at their object.
    late: Vec<(u32, Asked)>,
    /// What so many looks at one object still show.
    stale: Option<(u32, String, Value)>,
    /// Bodies of changes, trials not counted.
    changes: Vec<Asked>,
    forbid_after: Option<usize>,
    forges: Option<fn(&str) -> String>,
    recreates: Option<String>,
    /// Rights that are denied, as `verb group/resource`.
    denied: Vec<String>,
    /// What containers say, by the path of their log.
    logs: BTreeMap<String, String>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// A server that keeps `objects`.
    pub async fn serve(objects: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut state = State::default();
        for object in objects {
            state.objects.put(object);
        }
        let (state, crashed) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let (shared, told) = (state.clone(), crashed.clone());
        let happened: Arc<AtomicUsize> = Arc::default();
        let counted = happened.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(exchange(socket, shared.clone(), told.clone(), counted.clone()));
            }
        });
        Self { url, state, crashed, happened, task }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What goes wrong with the next changes, one after the other.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// Whoever sends the next change dies there.
    pub fn kill_at(&self, crash: Crash) {
        self.state().crash = Some(crash);
    }

    /// How often something happened to an object: `deployments/api`, `pods/api-1`.
    pub fn effects(&self, on: &str) -> usize {
        self.state().objects.ledger.iter().filter(|effect| effect.ends_with(on)).count()
    }

    /// All that happened, in order.
    pub fn ledger(&self) -> Vec<String> {
        self.state().objects.ledger.clone()
    }

    /// An object as it is.
    pub fn object(&self, path: &str) -> Value {
        self.state().objects.get(path).cloned().unwrap_or_default()
    }

    /// Somebody else merges `patch` into an object.
    pub fn meddle(&self, path: &str, patch: &Value) {
        self.state().objects.meddle(path, patch);
    }

    /// Fields that somebody else owns: `(path of the object, pointer, manager)`.
    pub fn owned_by(&self, path: &str, pointer: &str, manager: &str) {
        self.state().objects.owners.push((path.to_owned(), pointer.to_owned(), manager.to_owned()));
    }

    /// What the container of a Pod says.
    pub fn says(&self, namespace: &str, pod: &str, log: &str) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        self.state().logs.insert(path, log.to_owned());
    }

    /// Nothing may be evicted.
    pub fn forbid_evictions(&self) {
        self.state().objects.evictions_forbidden = true;
    }

    /// Nothing may be evicted any more after so many trials.
    pub fn forbid_evictions_after_trials(&self, trials: usize) {
        self.state().forbid_after = Some(trials);
    }

    /// Somebody who saw the first change coming marks its object in their own way.
    pub fn forge_mark(&self, forge: fn(&str) -> String) {
        self.state().forges = Some(forge);
    }

    /// The object is made anew right before the next change of it arrives.
    pub fn recreate_at_next_change(&self, path: &str) {
        self.state().recreates = Some(path.to_owned());
    }

    /// These rights are denied, as `patch apps/deployments`.
    pub fn deny(&self, rights: &[&str]) {
        self.state().denied = rights.iter().map(|right| (*right).to_owned()).collect();
    }

    /// The bodies of all changes that arrived, trials not counted.
    pub fn changes(&self) -> Vec<Value> {
        self.state().changes.iter().map(|asked| asked.body.clone()).collect()
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "a-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        })
    }
}

/// One request and what is answered to it, if anything is.
async fn exchange(mut socket: TcpStream, state: Arc<Mutex<State>>, crashed: Arc<Notify>, happened: Arc<AtomicUsize>) {
    let Some(asked) = read(&mut socket).await else { return };
    let reply = {
        let mut state = state.lock().unwrap();
        let reply = state.take(asked);
        happened.store(state.objects.ledger.len(), Ordering::SeqCst);
        reply
    };
    let reply = match reply {
        Reply::Answer(status, body) => answer::json(status, &body),
        Reply::Raw(bytes) => bytes,
        Reply::HangUp => return,
        Reply::Die => {
            crashed.notify_one();
            vec![]
        }
    };
    if reply.is_empty() {
        // Whoever asked is gone before there is an answer.
        std::future::pending::<()>().await;
    }
    let _ = socket.write_all(&reply).await;
}

enum Reply {
    Answer(u16, Value),
    Raw(Vec<u8>),
    HangUp,
    Die,
}

impl State {
    fn take(&mut self, asked: Asked) -> Reply {
        if asked.method == "GET" {
            let reply = self.look(&asked);
            self.arrive(&asked.path);
            return reply;
        }
        if asked.path.contains("/selfsubject") {
            let (status, body) = answer::review(&asked.body, &self.denied);
            return Reply::Answer(status, body);
        }
        if asked.is_trial() {
            match self.forbid_after.as_mut() {
                Some(0) => self.objects.evictions_forbidden = true,
                Some(trials) => *trials -= 1,
                None => {}
            }
            let (status, body) = self.objects.change(&asked, false);
            return Reply::Answer(status, body);
        }
        self.changes.push(asked.clone());
        self.objects.evictions_forbidden |= self.forbid_after == Some(0);
        if let Some(forge) = self.forges.take() {
            const MARK: &str = "firewarden.io/action";
            let forged = forge(asked.body["metadata"]["annotations"][MARK].as_str().unwrap());
            self.objects.meddle(&asked.object(), &json!({"metadata": {"annotations": {MARK: forged}}}));
        }
        if let Some(path) = self.recreates.take() {
            let object = self.objects.get(&path).cloned().unwrap();
            self.objects.put(object);
        }
        match self.crash.take() {
            Some(Crash::BeforeSend) => return Reply::Die,
            Some(Crash::OnItsWay) => {
                self.late.push((1, asked));
                return Reply::Die;
            }
            Some(Crash::AfterEffect) => {
                self.objects.change(&asked, true);
                return Reply::Die;
            }
            None => {}
        }
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        let object = asked.object();
        match fault {
            Fault::RequestDropped => return Reply::HangUp,
            Fault::Late(looks) => {
                self.late.push((looks, asked));
                return Reply::HangUp;
            }
            Fault::StaleLooks(looks) => {
                let before = self.objects.get(&object).cloned().unwrap_or_default();
                self.stale = Some((looks, object, before));
            }
            Fault::Overtaken => {
                self.objects.meddle(&object, &json!({"metadata": {"labels": {"touched": "by-another"}}}));
            }
            Fault::Duplicated => drop(self.objects.change(&asked, true)),
            Fault::None | Fault::AnswerDropped | Fault::BadGateway | Fault::Garbage => {}
        }
        let (status, body) = self.objects.change(&asked, true);
        match fault {
            Fault::AnswerDropped | Fault::StaleLooks(_) => Reply::HangUp,
            Fault::BadGateway => Reply::Raw(answer::http(502, "text/html", b"<html>502 Bad Gateway</html>")),
            Fault::Garbage => Reply::Raw(answer::http(200, "application/json", b"{\"kind\": \"Depl\xff")),
            _ => Reply::Answer(status, body),
        }
    }

    fn look(&mut self, asked: &Asked) -> Reply {
        if let Some(log) = self.logs.get(&asked.path) {
            return Reply::Raw(answer::http(200, "text/plain", log.as_bytes()));
        }
        if let Some((looks, path, before)) =
            self.stale.as_mut().filter(|(looks, path, _)| *looks > 0 && *path == asked.path)
        {
            *looks -= 1;
            return match before.is_null() {
                true => Reply::Answer(404, answer::status(404, "NotFound", path, Value::Null)),
                false => Reply::Answer(200, before.clone()),
            };
        }
        let (status, body) = self.objects.look(asked);
        Reply::Answer(status, body)
    }

    /// What was on its way to the object at `path` comes one look nearer.
    fn arrive(&mut self, path: &str) {
        for (looks, asked) in &mut self.late {
            if asked.object() == path {
                *looks = looks.saturating_sub(1);
            }
        }
        let (due, waiting) = std::mem::take(&mut self.late).into_iter().partition(|(looks, _)| *looks == 0);
        self.late = waiting;
        for (_, asked) in due as Vec<(u32, Asked)> {
            self.objects.change(&asked, true);
        }
    }
}
