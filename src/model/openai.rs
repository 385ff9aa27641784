//! Any server of the OpenAI chat completions protocol, through async-openai with our own types.

use super::dialect::{CacheMarks, Learned, Structured};
use super::fault::{Fault, Peer};
use super::pace::Pace;
use super::transport::{Endpoint, Exchange};
use super::{Limits, ModelError, ModelProvider, Progress, wire};
use crate::domain::{ChatReply, ChatRequest, Clock, Entropy, FinishReason, Redactor, Secret};
use async_openai::Client;
use async_openai::error::OpenAIError;
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How to reach a model.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The configured name, for errors and reports.
    pub name: String,
    /// The model to ask for.
    pub model: String,
    /// Where `/chat/completions` is appended, `https://api.openai.com/v1` for instance.
    pub base_url: String,
    /// Sent as bearer token. Many local servers need none.
    pub api_key: Option<Secret>,
    /// Sampling temperature; left out unless set, since some models refuse it.
    pub temperature: Option<f64>,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until the whole answer is there, repeats and waits included.
    pub timeout: Duration,
    /// The longest silence within a streamed answer that has begun.
    pub idle_timeout: Duration,
    /// Longest waits before the repeats of a request that failed with 429, 5xx or without a
    /// connection; as many repeats as waits.
    pub backoff: Vec<Duration>,
    /// Bytes of one answer.
    pub max_body: usize,
    /// Tokens that the model's context holds, where somebody said so.
    pub context_tokens: Option<u64>,
    /// Ask for the answer piece by piece.
    pub stream: bool,
    /// What the answering model must call itself.
    pub pin: Option<String>,
    /// How the final report is asked for.
    pub structured: Structured,
    /// Whether what repeats is marked.
    pub cache: CacheMarks,
}

impl OpenAiOptions {
    /// The usual limits: 3 s to connect, 120 s in all, 60 s of silence, two repeats, 8 MiB.
    pub fn new(name: impl Into<String>, model: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            base_url: base_url.into(),
            api_key: None,
            temperature: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(60),
            backoff: vec![Duration::from_millis(500), Duration::from_secs(2)],
            max_body: 8 << 20,
            context_tokens: None,
            stream: true,
            pin: None,
            structured: Structured::Auto,
            cache: CacheMarks::Auto,
        }
    }
}

/// A server of the OpenAI chat completions protocol.
#[derive(Debug)]
pub struct OpenAi {
    options: OpenAiOptions,
    http: reqwest::Client,
    endpoint: Endpoint,
    peer: Peer,
    learned: Learned,
    pace: Pace,
}

impl OpenAi {
    /// Prepares the client; nothing is sent. The process-wide TLS provider must be installed.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when address, model or key cannot be used.
    pub fn new(options: OpenAiOptions, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Settings { model: options.name.clone(), what };
        let base_url = options.base_url.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base_url)
            .map_err(|e| wrong(format!("`base_url` {base_url:?} is no address ({e})")))?;
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err(wrong(format!("`base_url` {base_url:?} must begin with http:// or https://")));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("`base_url` must not hold a user or password; use `api_key`".to_owned()));
        }
        if options.model.trim().is_empty() {
            return Err(wrong("`model` is empty".to_owned()));
        }
        let key = options.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        let endpoint = Endpoint::new(base_url, key)
            .ok_or_else(|| wrong("`api_key` holds characters that no header may hold".to_owned()))?;
        let redactor = Redactor::new(key).map_err(|_| wrong("`api_key` is too long".to_owned()))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")));
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| wrong(format!("no HTTP client: {e}")))?;
        let learned = Learned::new(options.stream, options.structured, options.cache, host, &options.model);
        let peer = Peer {
            name: options.name.clone(),
            base_url: options.base_url.clone(),
            timeout: options.timeout,
            max_body: options.max_body,
            redactor,
        };
        let pace = Pace::new(options.backoff.clone(), clock, entropy);
        Ok(Self { options, http, endpoint, peer, learned, pace })
    }

    async fn ask(&self, request: &ChatRequest, progress: &Arc<Progress>) -> Result<ChatReply, ModelError> {
        let mut repeats = 0;
        loop {
            self.pace.turn().await.map_err(|fault| self.peer.explain(fault))?;
            let body =
                wire::request_body(&self.options.model, self.options.temperature, request, self.learned.dialect());
            progress.begin_beside(Value::Object(body.beside().clone()));
            let fault = match self.send(&body, progress).await {
                Ok(answer) => {
                    self.pace.answered();
                    return self.read(body.beside(), &answer);
                }
                Err(fault) => fault,
            };
            if self.learned.refusal(&fault, body.beside()) {
                continue;
            }
            match self.pace.failed(&fault, repeats) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.peer.explain(fault)),
            }
            repeats += 1;
        }
    }

    async fn send(&self, body: &wire::Body<'_>, progress: &Arc<Progress>) -> Result<Value, Fault> {
        let server = Arc::new(OnceLock::new());
        let exchange = Exchange {
            http: self.http.clone(),
            max_body: self.options.max_body,
            idle: self.options.idle_timeout,
            progress: progress.clone(),
            server: server.clone(),
        };
        let service = tower::service_fn(move |factory| exchange.clone().send(factory));
        // A client of its own for each exchange: what is heard of it belongs to one investigation.
        let client = Client::build(self.http.clone(), self.endpoint.clone()).with_http_service(service);
        let answer = client.chat().create_byot::<_, Value>(body).await;
        if let Some(server) = server.get() {
            self.learned.server(server);
        }
        answer.map_err(fault)
    }

    fn read(&self, sent: &Map<String, Value>, answer: &Value) -> Result<ChatReply, ModelError> {
        self.peer.pinned(self.options.pin.as_deref(), answer)?;
        let reply = wire::reply(&self.options.model, answer).map_err(|what| self.peer.malformed(&what))?;
        if sent.get("response_format").is_some()
            && reply.finish == FinishReason::Stop
            && !wire::is_object(&reply.content)
        {
            self.learned.schema_was_ignored();
        }
        Ok(reply)
    }
}

#[async_trait]
impl ModelProvider for OpenAi {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn limits(&self) -> Limits {
        Limits { context_tokens: self.options.context_tokens }
    }

    async fn chat(&self, request: &ChatRequest, progress: &Arc<Progress>) -> Result<ChatReply, ModelError> {
        match tokio::time::timeout(self.options.timeout, self.ask(request, progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.peer.explain(Fault::Timeout)),
        }
    }
}

/// Our own fault again, out of async-openai's error.
fn fault(error: OpenAIError) -> Fault {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(other) => Fault::Broken(other.to_string()),
        },
        OpenAIError::JSONDeserialize(error, _) => Fault::NotJson(error.to_string()),
        OpenAIError::Reqwest(error) if error.is_timeout() => Fault::Timeout,
        other => Fault::Broken(other.to_string()),
    }
}
