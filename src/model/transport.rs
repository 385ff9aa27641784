//! One request, one bounded answer: the HTTP service under async-openai.
//!
//! async-openai alone repeats three times, waits as long as the server says, reads bodies without
//! end, drops what it does not know of a stream and loses the status of errors in other words than
//! OpenAI's. So it is given this service, which repeats nothing, caps what it reads, makes one JSON
//! document of a stream, and reports failures as they were.

use super::assemble::{Assembly, Cut};
use super::fault::Fault;
use super::{Progress, wire};
use crate::edge::sse::Decoder;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, SERVER};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of an error's body that are read.
pub(super) const MAX_ERROR_BYTES: usize = 64 << 10;

/// How long the end of a body may take once the answer is whole.
const LINGER: Duration = Duration::from_millis(50);
/// Bytes of one event of a stream.
const MAX_EVENT_BYTES: usize = 4 << 20;

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

/// One exchange: its bounds, and what is heard of it.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub http: reqwest::Client,
    /// Bytes of the answer.
    pub max_body: usize,
    /// The longest silence within an answer that has begun.
    pub idle: Duration,
    /// Hears of each piece.
    pub progress: Arc<Progress>,
    /// What the server calls itself.
    pub server: Arc<OnceLock<String>>,
}

impl Exchange {
    /// Sends one request and reads its answer: JSON, or a stream that becomes JSON.
    pub(super) async fn send(self, factory: HttpRequestFactory) -> Result<reqwest::Response, Fault> {
        let request = factory.build().await.map_err(|e| Fault::Broken(e.to_string()))?;
        let response = self.http.execute(request).await.map_err(fault)?;
        let said = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if let Some(server) = said(SERVER) {
            let _ = self.server.set(server.chars().take(40).collect());
        }
        let streams = said(CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("event-stream"));
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers());
            // What cannot be read of an error's text is no further error.
            let body = read_error(response).await;
            return Err(Fault::Status { status: status.as_u16(), message: message(&body), retry_after });
        }
        let body = self.read(response, streams).await?;
        Ok(http::Response::new(body).into())
    }

    async fn read(&self, mut response: reqwest::Response, streams: bool) -> Result<Vec<u8>, Fault> {
        if response.content_length().is_some_and(|length| length > self.max_body as u64) {
            return Err(Fault::TooLarge);
        }
        let mut answer = if streams { Reading::stream() } else { Reading::Unknown(Vec::new()) };
        let mut bytes = 0_usize;
        while let Some(chunk) = self.chunk(&mut response).await? {
            bytes += chunk.as_ref().len();
            if bytes > self.max_body {
                return Err(Fault::TooLarge);
            }
            if answer.take(chunk.as_ref(), &self.progress)? {
                // A connection whose body was read to its end serves the next turn, too.
                let _ = tokio::time::timeout(LINGER, response.chunk()).await;
                break;
            }
        }
        answer.finish(&self.progress)
    }

    /// The next bytes. Until the first piece of the answer the server may think as long as the whole
    /// request may take; then it must not fall silent.
    async fn chunk(&self, response: &mut reqwest::Response) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
        let next = response.chunk();
        let chunk = match self.progress.tokens() {
            0 => next.await,
            _ => tokio::time::timeout(self.idle, next).await.map_err(|_| Fault::Stalled(self.idle))?,
        };
        chunk.map_err(fault)
    }
}

/// An answer that is being read.
enum Reading {
    /// It has not shown yet which of the others it is.
    Unknown(Vec<u8>),
    /// In one piece.
    Whole(Vec<u8>),
    /// In events.
    Stream(Decoder, Box<Assembly>),
}

impl Reading {
    fn stream() -> Self {
        Self::Stream(Decoder::new(MAX_EVENT_BYTES), Box::default())
    }

    /// Takes the next bytes; whether nothing more is to come.
    fn take(&mut self, chunk: &[u8], progress: &Progress) -> Result<bool, Fault> {
        match self {
            // A proxy may lose the content type, and a server may stream what was not to be streamed.
            Self::Unknown(begun) => {
                begun.extend_from_slice(chunk);
                let Some(streams) = looks_like_events(begun) else { return Ok(false) };
                let begun = std::mem::take(begun);
                *self = if streams { Self::stream() } else { Self::Whole(Vec::new()) };
                self.take(&begun, progress)
            }
            Self::Whole(body) => {
                body.extend_from_slice(chunk);
                Ok(false)
            }
            Self::Stream(decoder, assembly) => {
                for event in decoder.feed(chunk).map_err(|_| Fault::TooLarge)? {
                    hear(assembly, &event.data, progress)?;
                }
                Ok(assembly.is_over())
            }
        }
    }

    /// The whole answer as JSON.
    fn finish(self, progress: &Progress) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Unknown(body) | Self::Whole(body) => {
                // Checked here because async-openai would log the whole body of an answer that does not parse.
                serde_json::from_slice::<Value>(&body)
                    .map_err(|e| Fault::NotJson(format!("{e}; it begins with {:?}", start(&body))))?;
                Ok(body)
            }
            Self::Stream(mut decoder, mut assembly) => {
                // The last event of a stream that was cut is no JSON: the cut is what happened.
                if let Some(event) = decoder.finish().filter(|_| !assembly.is_over()) {
                    hear(&mut assembly, &event.data, progress).map_err(|_| cut())?;
                }
                let answer = assembly.finish().map_err(|Cut| cut())?;
                Ok(answer.to_string().into_bytes())
            }
        }
    }
}

fn cut() -> Fault {
    Fault::Broken("the stream ended in the middle of the answer; nothing of it was used".to_owned())
}

fn hear(assembly: &mut Assembly, event: &str, progress: &Progress) -> Result<(), Fault> {
    if assembly.event(event).map_err(Fault::NotJson)? {
        progress.piece();
    }
    Ok(())
}

/// Whether a body begins like events; `None` while it is too short to tell.
fn looks_like_events(body: &[u8]) -> Option<bool> {
    const FIELDS: [&[u8]; 5] = [b"data:", b":", b"event:", b"id:", b"retry:"];
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    if FIELDS.iter().any(|field| body.starts_with(field)) {
        return Some(true);
    }
    let may_become = FIELDS.iter().any(|field| field.starts_with(body));
    if may_become { None } else { Some(false) }
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

async fn read_error(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ERROR_BYTES {
            break;
        }
    }
    body.truncate(MAX_ERROR_BYTES);
    body
}

/// What a failed exchange was.
pub(super) fn fault(error: reqwest::Error) -> Fault {
    Fault::of_network(error.is_connect(), error.is_timeout(), &error)
}

/// `Retry-After` in seconds; dates are not used by these servers.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

pub(super) fn message(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => wire::error_message(value.get("error").filter(|e| !e.is_null()).unwrap_or(&value)),
        Err(_) if body.is_empty() => "no text".to_owned(),
        Err(_) => start(body),
    }
}

pub(super) fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}
