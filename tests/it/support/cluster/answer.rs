//! Requests as they come over the wire, and answers as an API server words them.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub media: String,
    pub body: Value,
}

impl Asked {
    /// Whether nothing is to be kept of it.
    pub fn is_trial(&self) -> bool {
        self.query.contains("dryRun=All") || self.body["dryRun"] == json!(["All"])
    }

    /// The path of the object that it is about.
    pub fn object(&self) -> String {
        match self.method.as_str() {
            "POST" if self.path.ends_with("/eviction") => self.path.trim_end_matches("/eviction").to_owned(),
            "POST" => format!("{}/{}", self.path, self.body["metadata"]["name"].as_str().unwrap_or_default()),
            _ => self.path.clone(),
        }
    }
}

/// Reads one request to its end.
pub async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (vec![], [0; 16 << 10]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                })
            };
            let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let mut line = head.lines().next()?.split(' ');
                let (method, target) = (line.next()?.to_owned(), line.next()?);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or_default();
                let media = header("content-type").unwrap_or_default();
                return Some(Asked { method, path: path.to_owned(), query: query.to_owned(), media, body });
            }
        }
        match socket.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

/// One HTTP/1.1 answer, the last of its connection.
pub fn http(status: u16, media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn json(status: u16, body: &Value) -> Vec<u8> {
    http(status, "application/json", body.to_string().as_bytes())
}

/// A Status that tells of a failure.
pub fn status(code: u16, reason: &str, message: &str, causes: Value) -> Value {
    let causes = if causes.is_null() { json!([]) } else { causes };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
           "reason": reason, "code": code, "details": {"causes": causes}})
}

/// SelfSubjectAccessReview and SelfSubjectReview.
pub fn review(asked: &Value, denied: &[String]) -> (u16, Value) {
    let attributes = &asked["spec"]["resourceAttributes"];
    if attributes.is_null() {
        return (201, json!({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "a-user"}}}));
    }
    let word = |key: &str| attributes[key].as_str().unwrap_or_default();
    let resource = match word("subresource") {
        "" => word("resource").to_owned(),
        below => format!("{}/{below}", word("resource")),
    };
    let right = format!("{} {}/{resource}", word("verb"), word("group"));
    let allowed = !denied.contains(&right) && word("verb") != "*";
    (201, json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}))
}
