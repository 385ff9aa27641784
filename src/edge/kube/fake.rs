//! An API server for tests: recorded answers by path.

use super::KubeReader;
use crate::edge::http::tests::{http, peer};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

type Answer = Arc<dyn Fn(&str) -> (u16, Vec<u8>) + Send + Sync>;

/// Answers GET by path (without query); anything else is a 404 as the real server says it.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    answers: Arc<Mutex<Vec<(String, Answer)>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

/// A recorded exchange of a real API server.
pub(crate) fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/kubernetes/v1.36.2/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn answer(&self, path: &str, answer: Answer) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(p, _)| p != path);
        answers.push((path.to_owned(), answer));
    }

    pub(crate) fn on(&self, path: &str, status: u16, body: Value) {
        self.text(path, status, &body.to_string());
    }

    pub(crate) fn text(&self, path: &str, status: u16, body: &str) {
        let body = body.as_bytes().to_vec();
        self.answer(path, Arc::new(move |_| (status, body.clone())));
    }

    /// Answers as recorded, at the recorded path.
    pub(crate) fn replay(&self, exchange: &Value) {
        let path = exchange["request"]["path"].as_str().unwrap().split('?').next().unwrap().to_owned();
        self.replay_at(exchange, &path);
    }

    /// Answers as recorded, at another path.
    pub(crate) fn replay_at(&self, exchange: &Value, path: &str) {
        let body = &exchange["response"]["body"];
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        self.text(path, exchange["response"]["status"].as_u64().unwrap() as u16, &body);
    }

    /// A collection of `total` objects that is served in pages.
    pub(crate) fn pages(&self, path: &str, total: usize) {
        self.answer(
            path,
            Arc::new(move |query| {
                let number = |key: &str| query.split('&').find_map(|p| p.strip_prefix(key)?.parse::<usize>().ok());
                let (from, limit) = (number("continue=").unwrap_or(0), number("limit=").unwrap_or(total));
                let to = (from + limit).min(total);
                let items: Vec<Value> = (from..to).map(|n| json!({"metadata": {"name": format!("o{n}")}})).collect();
                let mut page = json!({"kind": "PodList", "metadata": {}, "items": items});
                if to < total {
                    page["metadata"] = json!({"continue": to.to_string(), "remainingItemCount": total - to});
                }
                (200, page.to_string().into_bytes())
            }),
        );
    }

    /// Paths with queries, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    /// The Accept headers, in order.
    pub(crate) fn accepts(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, accept)| accept.clone()).collect()
    }

    /// A reader of this server, over a real connection.
    pub(crate) fn reader(&self) -> KubeReader {
        let fake = self.clone();
        let (address, _) = peer(move |request| {
            let (status, body) = fake.serve(request);
            http(status, "application/json", &body)
        });
        KubeReader::at(&address, None).unwrap()
    }

    fn serve(&self, request: &str) -> (u16, Vec<u8>) {
        let mut lines = request.lines();
        let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let accept = lines.find_map(|l| l.split_once(": ").filter(|(k, _)| k.eq_ignore_ascii_case("accept")));
        let accept = accept.map_or("", |(_, value)| value).to_owned();
        let (path, query) = line[1].split_once('?').unwrap_or((line[1], ""));
        let shown =
            if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.trim_start_matches('&')) };
        self.asked.lock().unwrap().push((shown, accept.clone()));
        if line[0] != "GET" {
            return (405, b"a reader only looks".to_vec());
        }
        if path.contains("/secrets") && !accept.contains("as=PartialObjectMetadata") {
            return (400, b"asked for the data of a secret".to_vec());
        }
        let answer = self.answers.lock().unwrap().iter().find(|(p, _)| p == path).map(|(_, a)| a.clone());
        match answer {
            Some(answer) => answer(query),
            None if path.contains("/namespaces/") || path.starts_with("/api/v1/") => {
                let status = json!({"kind": "Status", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404});
                (404, status.to_string().into_bytes())
            }
            None => (404, b"404 page not found\n".to_vec()),
        }
    }
}
