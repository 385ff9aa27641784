//! One request, one bounded answer: the HTTP service under async-openai.
//!
//! async-openai alone repeats three times, waits as long as the server says, reads bodies without
//! end and loses the status of errors in other words than OpenAI's. So it is given this service,
//! which repeats nothing, caps what it reads, and reports failures as they were.

use super::wire;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;

/// Bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How one request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection.
    #[error("not connected: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The connection broke in the middle.
    #[error("broken off: {0}")]
    Broken(String),
    /// A status that is no success.
    #[error("status {status}")]
    Status { status: u16, message: String, retry_after: Option<Duration> },
    /// More bytes than allowed.
    #[error("too large")]
    TooLarge,
    /// No JSON.
    #[error("no JSON: {0}")]
    NotJson(String),
}

impl From<Fault> for OpenAIError {
    fn from(fault: Fault) -> Self {
        Self::Boxed(Box::new(fault))
    }
}

/// Where to send, with which key; reads no environment.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub base_url: String,
    headers: HeaderMap,
    no_key: SecretString,
}

impl Endpoint {
    /// `None` when the key cannot stand in a header.
    pub(super) fn new(base_url: String, api_key: Option<&str>) -> Option<Self> {
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Some(Self { base_url, headers, no_key: SecretString::from(String::new()) })
    }
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }
    fn api_base(&self) -> &str {
        &self.base_url
    }
    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

/// Sends one request and reads its answer, at most `max_body` bytes, which must be JSON.
pub(super) async fn send(
    http: reqwest::Client,
    factory: HttpRequestFactory,
    max_body: usize,
) -> Result<reqwest::Response, Fault> {
    let request = factory.build().await.map_err(|e| Fault::Broken(e.to_string()))?;
    let response = http.execute(request).await.map_err(fault)?;
    let status = response.status();
    if !status.is_success() {
        let retry_after = retry_after(response.headers());
        // What cannot be read of an error's text is no further error.
        let body = read(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        return Err(Fault::Status { status: status.as_u16(), message: message(&body), retry_after });
    }
    let body = read(response, max_body).await?;
    // Checked here because async-openai would log the whole body of an answer that does not parse.
    serde_json::from_slice::<Value>(&body)
        .map_err(|e| Fault::NotJson(format!("{e}; it begins with {:?}", start(&body))))?;
    Ok(http::Response::new(body).into())
}

/// The body, at most `limit` bytes.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Fault> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(Fault::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > limit {
            return Err(Fault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a failed exchange was.
pub(super) fn fault(error: reqwest::Error) -> Fault {
    // The address is ours and known; the innermost cause is what helps.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = cause.to_string();
    if error.is_connect() {
        Fault::Connect(why)
    } else if error.is_timeout() {
        Fault::Timeout
    } else {
        Fault::Broken(why)
    }
}

/// `Retry-After` in seconds; dates are not used by these servers.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

fn message(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => wire::error_message(value.get("error").filter(|e| !e.is_null()).unwrap_or(&value)),
        Err(_) if body.is_empty() => "no text".to_owned(),
        Err(_) => start(body),
    }
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}
