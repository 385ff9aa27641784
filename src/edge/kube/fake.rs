//! An API server for tests: recorded answers by path.

use super::KubeReader;
use ::kube::{Client, client::Body};
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

    pub(crate) fn reader(&self) -> KubeReader {
        let fake = self.clone();
        let service = tower::service_fn(move |request: axum::http::Request<Body>| {
            let (status, body) = fake.serve(&request);
            async move {
                let body = Body::from(body);
                Ok::<_, std::convert::Infallible>(axum::http::Response::builder().status(status).body(body).unwrap())
            }
        });
        KubeReader::with_client(Client::new(service, "default"))
    }

    fn serve(&self, request: &axum::http::Request<Body>) -> (u16, Vec<u8>) {
        assert_eq!(request.method(), "GET", "a reader only looks");
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let accept = request.headers().get("accept").map_or("", |v| v.to_str().unwrap()).to_owned();
        assert!(!path.contains("/secrets") || accept.contains("as=PartialObjectMetadata"), "{path} asked for data");
        let shown = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        self.asked.lock().unwrap().push((shown, accept));
        let answer = self.answers.lock().unwrap().iter().find(|(p, _)| *p == path).map(|(_, a)| a.clone());
        match answer {
            Some(answer) => answer(&query),
            None if path.contains("/namespaces/") || path.starts_with("/api/v1/") => {
                let status = json!({"kind": "Status", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404});
                (404, status.to_string().into_bytes())
            }
            None => (404, b"404 page not found\n".to_vec()),
        }
    }
}
