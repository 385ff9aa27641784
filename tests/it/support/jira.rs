//! A Jira with a memory, in both dialects: what it holds is what happened, whatever it answered.
//!
//! Its index finds a new issue only after so many searches, and each writing request can be made to go
//! wrong in one of the ways of [`Fault`].

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest text that a field takes.
const TEXT: usize = 32_767;
const ME: &str = "5f00aa";

/// What goes wrong with a request that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, and the connection breaks.
    DropAfter,
    /// It is done, and a gateway says otherwise.
    GatewayAfter,
    /// A gateway gives up before anything is done.
    GatewayBefore,
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

/// An issue as Jira keeps it.
#[derive(Debug, Clone, Default)]
pub struct Issue {
    pub key: String,
    pub fields: Value,
    pub creator: String,
    pub properties: BTreeMap<String, Value>,
    pub comments: Vec<Comment>,
    pub links: BTreeMap<String, Value>,
    pub moves: Vec<Value>,
    /// The search that finds it first.
    found_from: usize,
}

/// A comment as Jira keeps it.
#[derive(Debug, Clone)]
pub struct Comment {
    pub id: String,
    pub author: String,
    pub body: Value,
    pub properties: BTreeMap<String, Value>,
}

#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    body: Value,
    authorization: String,
}

/// What stands in it, and what it will do wrong.
#[derive(Debug, Default)]
pub struct Memory {
    cloud: bool,
    pub issues: Vec<Issue>,
    /// A new issue is found after so many more searches.
    pub lag: usize,
    /// The n-th writing request from now (0 is the next one) goes wrong so.
    pub faults: VecDeque<(usize, Fault)>,
    /// Somebody copies label and properties of every issue that we try to make.
    pub impostor: bool,
    /// Behind each comment that we make, others write so many.
    pub crowd: usize,
    /// Writing requests that arrived.
    pub writes: usize,
    /// A request that hangs arrived.
    pub hanging: bool,
    searches: usize,
    next: u64,
    late: Vec<(usize, Request)>,
}

/// A Jira that is being served. Dropping it closes it.
#[derive(Debug)]
pub struct Jira {
    pub url: String,
    cloud: bool,
    memory: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

impl Drop for Jira {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As Jira says that something is not there.
fn missing() -> (u16, Value) {
    (404, json!({"errorMessages": ["It does not exist or you do not have permission to see it."], "errors": {}}))
}

impl Jira {
    pub async fn serve(cloud: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jira", listener.local_addr().unwrap());
        let memory = Arc::new(Mutex::new(Memory { cloud, ..Memory::default() }));
        let shared = memory.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, shared.clone()));
            }
        });
        let jira = Self { url, cloud, memory, task };
        jira.reset();
        jira
    }

    /// As it was at first: one open issue of ours and one of another project.
    pub fn reset(&self) {
        let mut memory = self.memory();
        *memory = Memory { cloud: self.cloud, next: 1, ..Memory::default() };
        for project in ["OPS", "HR"] {
            memory.add(project, "ann", json!({"summary": "an old one"}), BTreeMap::new());
        }
    }

    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// `tools.jira` of a configuration.
    pub fn config(&self) -> Value {
        let mut config =
            json!({"url": self.url, "project": "OPS", "token": "env:JIRA_TEST_TOKEN", "projects": ["WEB"]});
        if self.cloud {
            config["deployment"] = json!("cloud");
            config["username"] = json!("fw@example.org");
        }
        config
    }
}

impl Memory {
    /// Issues that our account made.
    pub fn made(&self) -> Vec<&Issue> {
        self.issues.iter().filter(|issue| issue.creator == ME).collect()
    }

    /// Comments that our account wrote on an issue.
    pub fn comments(&self, key: &str) -> usize {
        self.issue(key).comments.iter().filter(|comment| comment.author == ME).count()
    }

    pub fn issue(&self, key: &str) -> &Issue {
        self.issues.iter().find(|issue| issue.key == key).unwrap()
    }

    /// Lets everything arrive that is still on its way.
    pub fn arrive(&mut self) {
        for (_, request) in std::mem::take(&mut self.late) {
            self.answer(&request);
        }
    }

    fn add(&mut self, project: &str, creator: &str, mut fields: Value, properties: BTreeMap<String, Value>) -> String {
        let key = format!("{project}-{}", self.next);
        self.next += 1;
        fields["project"] = json!({"key": project});
        fields["status"] = json!({"id": "1", "name": "Open"});
        let found_from = self.searches + self.lag;
        let creator = creator.to_owned();
        self.issues.push(Issue { key: key.clone(), fields, creator, properties, found_from, ..Issue::default() });
        key
    }

    fn user(&self, name: &str) -> Value {
        match self.cloud {
            true => json!({"accountId": name, "displayName": name}),
            false => json!({"key": name, "name": name, "displayName": name}),
        }
    }

    /// What becomes of a request: the bytes of an answer, nothing where the connection breaks, or silence.
    fn receive(&mut self, request: Request) -> Fate {
        let due: Vec<usize> = (0..self.late.len()).filter(|at| self.late[*at].0 <= 1).collect();
        for at in due.into_iter().rev() {
            let (_, late) = self.late.remove(at);
            self.answer(&late);
        }
        self.late.iter_mut().for_each(|(left, _)| *left -= 1);
        let writes = request.method == "PUT" || request.method == "POST" && !request.path.contains("/search");
        if !writes || !self.may(&request) {
            return Fate::Answer(self.answer(&request));
        }
        let number = self.writes;
        self.writes += 1;
        let fault = self.faults.iter().position(|(at, _)| *at == number).and_then(|at| self.faults.remove(at));
        match fault.map(|(_, fault)| fault) {
            None => Fate::Answer(self.answer(&request)),
            Some(Fault::DropBefore) => Fate::Break,
            Some(Fault::DropAfter) => {
                self.answer(&request);
                Fate::Break
            }
            Some(Fault::GatewayBefore) => Fate::Answer((502, json!("<html>Bad Gateway</html>"))),
            Some(Fault::GatewayAfter) => {
                self.answer(&request);
                Fate::Answer((502, json!("<html>Bad Gateway</html>")))
            }
            Some(Fault::Garbage) => {
                let (status, _) = self.answer(&request);
                Fate::Answer((status, json!("<html>")))
            }
            Some(Fault::Late(later)) => {
                self.late.push((later, request));
                Fate::Break
            }
            Some(Fault::Twice) => {
                self.answer(&request);
                Fate::Answer(self.answer(&request))
            }
            Some(Fault::Refuse(status)) => Fate::Answer((status, json!({"errorMessages": ["no"], "errors": {}}))),
            Some(Fault::HangBefore) => {
                self.hanging = true;
                Fate::Silence
            }
            Some(Fault::HangAfter) => {
                self.answer(&request);
                self.hanging = true;
                Fate::Silence
            }
        }
    }

    fn may(&self, request: &Request) -> bool {
        match self.cloud {
            // fw@example.org:t0ken
            true => request.authorization == "Basic ZndAZXhhbXBsZS5vcmc6dDBrZW4=",
            false => request.authorization == "Bearer t0ken",
        }
    }

    fn answer(&mut self, request: &Request) -> (u16, Value) {
        if !self.may(request) {
            return (401, json!({"errorMessages": ["You are not authenticated."]}));
        }
        let version = if self.cloud { "/jira/rest/api/3/" } else { "/jira/rest/api/2/" };
        let Some(rest) = request.path.strip_prefix(version) else { return missing() };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parts: Vec<&str> = rest.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["myself"]) => (200, self.user(ME)),
            ("GET", ["project", key @ ("OPS" | "WEB")]) => {
                (200, json!({"key": key, "issueTypes": [{"name": "Task"}, {"name": "Bug"}]}))
            }
            ("GET", ["mypermissions"]) => {
                let may = |name: &str| (name.to_owned(), json!({"havePermission": !name.starts_with("LINK")}));
                let names = ["BROWSE_PROJECTS", "CREATE_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES", "LINK_ISSUES"];
                (200, json!({"permissions": names.map(may).into_iter().collect::<serde_json::Map<_, _>>()}))
            }
            ("POST", ["search", "jql"]) if self.cloud => self.search(&request.body),
            ("POST", ["search"]) if !self.cloud => self.search(&request.body),
            ("POST", ["issue"]) => self.create(&request.body),
            ("GET", ["comment", id, "properties", name]) => {
                let comments = self.issues.iter().flat_map(|issue| &issue.comments);
                let found =
                    comments.filter(|comment| comment.id == *id).find_map(|comment| comment.properties.get(*name));
                found.map_or(missing(), |value| (200, json!({"key": name, "value": value})))
            }
            (method, ["issue", key, rest @ ..]) => {
                match self.issues.iter().position(|issue| issue.key == *key && !issue.key.starts_with("HR")) {
                    Some(at) => self.of_issue(at, method, rest, query, &request.body),
                    None => (
                        404,
                        json!({"errorMessages": ["Issue does not exist or you do not have permission to see it."]}),
                    ),
                }
            }
            _ => missing(),
        }
    }

    fn of_issue(&mut self, at: usize, method: &str, rest: &[&str], query: &str, body: &Value) -> (u16, Value) {
        let text_fits = self.is_text(&body["body"]);
        let id = self.next.to_string();
        let me = self.user(ME);
        let shown = |comment: &Comment, user: Value| json!({"id": comment.id, "author": user, "created": "2026-11-20T10:00:00.000+0000", "body": comment.body});
        let comments: Vec<Value> = self.issues[at].comments.iter().map(|c| shown(c, self.user(&c.author))).collect();
        let fields = self.shown(&self.issues[at]);
        let issue = &mut self.issues[at];
        match (method, rest) {
            ("GET", []) => {
                let mut told = json!({"key": issue.key, "fields": fields});
                if query.contains("changelog") {
                    told["changelog"] = json!({"histories": issue.moves});
                }
                (200, told)
            }
            ("GET", ["properties", name]) => match issue.properties.get(*name) {
                Some(value) => (200, json!({"key": name, "value": value})),
                None => missing(),
            },
            ("PUT", ["properties", name]) => match issue.properties.insert((*name).to_owned(), body.clone()) {
                None => (201, json!({})),
                Some(_) => (200, json!({})),
            },
            ("GET", ["comment"]) => {
                let number =
                    |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse::<usize>().ok());
                let (start, most) = (number("startAt=").unwrap_or(0), number("maxResults=").unwrap_or(50));
                let page: Vec<&Value> = comments.iter().skip(start).take(most).collect();
                (200, json!({"startAt": start, "total": comments.len(), "comments": page}))
            }
            ("POST", ["comment"]) => {
                if !text_fits {
                    return (400, json!({"errorMessages": [], "errors": {"comment": "is not valid"}}));
                }
                let properties = properties(&body["properties"]);
                self.next += 1;
                issue.comments.push(Comment {
                    id: id.clone(),
                    author: ME.into(),
                    body: body["body"].clone(),
                    properties,
                });
                for _ in 0..self.crowd {
                    let id = self.next.to_string();
                    self.next += 1;
                    let (author, body) = ("ann".to_owned(), json!("me too"));
                    issue.comments.push(Comment { id, author, body, properties: BTreeMap::new() });
                }
                (201, json!({"id": id, "author": me}))
            }
            ("GET", ["transitions"]) => (200, json!({"transitions": ways(&issue.fields["status"])})),
            ("POST", ["transitions"]) => {
                let Some(way) =
                    ways(&issue.fields["status"]).into_iter().find(|way| way["id"] == body["transition"]["id"])
                else {
                    return (
                        400,
                        json!({"errorMessages": ["It seems that you have tried to perform an illegal workflow operation."]}),
                    );
                };
                issue.fields["status"] = way["to"].clone();
                issue
                    .moves
                    .push(json!({"id": id, "author": me, "items": [{"field": "status", "to": way["to"]["id"]}]}));
                issue.properties.extend(properties(&body["properties"]));
                self.next += 1;
                (204, Value::Null)
            }
            ("GET", ["remotelink"]) => {
                let wanted = query.split('&').find_map(|pair| pair.strip_prefix("globalId="));
                match wanted {
                    None => (200, issue.links.values().cloned().collect()),
                    Some(id) => issue.links.get(id).map_or(missing(), |link| (200, link.clone())),
                }
            }
            ("POST", ["remotelink"]) => {
                let Some(id) = body["globalId"].as_str() else { return (400, json!({})) };
                let is_new = issue.links.insert(id.to_owned(), body.clone()).is_none();
                (if is_new { 201 } else { 200 }, json!({"id": 1}))
            }
            _ => missing(),
        }
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        let fields = &body["fields"];
        let mut wrong = serde_json::Map::new();
        let summary = fields["summary"].as_str().unwrap_or_default();
        if summary.is_empty() || summary.contains('\n') || summary.chars().count() > 255 {
            wrong.insert("summary".into(), json!("You must specify a summary of the issue."));
        }
        if !matches!(fields["issuetype"]["name"].as_str(), Some("Task" | "Bug")) {
            wrong.insert("issuetype".into(), json!("Specify a valid issue type"));
        }
        if !self.is_text(&fields["description"]) {
            wrong.insert("description".into(), json!("Operation value must be an Atlassian Document"));
        }
        let labels = fields["labels"].as_array().cloned().unwrap_or_default();
        if labels.iter().any(|label| label.as_str().is_none_or(|label| label.contains(' '))) {
            wrong.insert("labels".into(), json!("The label contains spaces which is invalid."));
        }
        let project = fields["project"]["key"].as_str().unwrap_or_default().to_owned();
        if !["OPS", "WEB"].contains(&project.as_str()) {
            wrong.insert("project".into(), json!("valid project is required"));
        }
        if !wrong.is_empty() {
            return (400, json!({"errorMessages": [], "errors": wrong}));
        }
        let properties = properties(&body["properties"]);
        let key = self.add(&project, ME, fields.clone(), properties);
        (201, json!({"id": "1", "key": key}))
    }

    /// Only what our own queries say is understood: a label, words.
    fn search(&mut self, body: &Value) -> (u16, Value) {
        self.searches += 1;
        let jql = body["jql"].as_str().unwrap_or_default();
        let Some(listed) = jql.strip_prefix("project in (").and_then(|rest| rest.split(')').next()) else {
            return (400, json!({"errorMessages": ["unbounded"]}));
        };
        let value = |name: &str| Some(jql.split_once(name)?.1.split('"').nth(1)?.to_owned());
        let (label, words) = (value("labels = "), value("text ~ "));
        let fits = |issue: &&Issue| {
            let of_project =
                listed.split(", ").any(|project| issue.key.starts_with(&format!("{}-", project.trim_matches('"'))));
            let labelled = label.as_ref().is_none_or(|label| {
                issue.fields["labels"].as_array().into_iter().flatten().any(|known| known == label.as_str())
            });
            let says = words.as_ref().is_none_or(|words| issue.fields.to_string().contains(words));
            of_project && labelled && says && issue.found_from < self.searches
        };
        let found = self.issues.iter().filter(fits);
        let found: Vec<Value> = found.map(|issue| json!({"key": issue.key, "fields": self.shown(issue)})).collect();
        match self.cloud {
            true => (200, json!({"issues": found, "isLast": true})),
            false => (200, json!({"total": found.len(), "issues": found})),
        }
    }

    fn shown(&self, issue: &Issue) -> Value {
        let mut fields = issue.fields.clone();
        fields["creator"] = self.user(&issue.creator);
        // Whoever makes an issue may say that somebody else reported it.
        fields["reporter"] = self.user(ME);
        fields
    }

    fn is_text(&self, value: &Value) -> bool {
        let size = match value {
            Value::String(text) => text.chars().count(),
            other => other.to_string().chars().count(),
        };
        let kind = match self.cloud {
            true => value["type"] == "doc" && value["version"] == 1 && value["content"].is_array(),
            false => value.is_string(),
        };
        kind && size <= TEXT
    }

    /// What somebody does who sees what we are about to make.
    fn imitate(&mut self, request: &Request) {
        if self.impostor && request.method == "POST" && request.path.ends_with("/issue") {
            let properties = properties(&request.body["properties"]);
            let mut fields = request.body["fields"].clone();
            fields["summary"] = json!("nothing to see here");
            self.add("OPS", "mallory", fields, properties);
        }
    }
}

/// What a client sees.
enum Fate {
    Answer((u16, Value)),
    Break,
    Silence,
}

fn properties(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|property| Some((property["key"].as_str()?.to_owned(), property["value"].clone()))).collect()
}

/// Open, in progress, done; each leads to the next one.
fn ways(status: &Value) -> Vec<Value> {
    match status["id"].as_str() {
        Some("1") => vec![json!({"id": "11", "name": "Start", "to": {"id": "3", "name": "In Progress"}})],
        Some("3") => vec![json!({"id": "21", "name": "Finish", "to": {"id": "4", "name": "Done"}})],
        _ => vec![],
    }
}

/// One request on each connection.
async fn serve(mut socket: TcpStream, memory: Arc<Mutex<Memory>>) {
    let Some(request) = read(&mut socket).await else { return };
    let fate = {
        let mut memory = memory.lock().unwrap();
        memory.imitate(&request);
        memory.receive(request)
    };
    match fate {
        Fate::Break => {}
        Fate::Silence => {
            // Until the other side is gone.
            let _ = socket.read(&mut [0; 1]).await;
        }
        Fate::Answer((status, body)) => {
            let body = match body {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
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
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let mut line = head.lines().next()?.split(' ');
                return Some(Request {
                    method: line.next()?.to_owned(),
                    path: line.next()?.to_owned(),
                    body: serde_json::from_str(body).unwrap_or_default(),
                    authorization: header("authorization").unwrap_or_default(),
                });
            }
        }
        match socket.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
