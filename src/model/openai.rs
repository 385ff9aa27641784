//! Any server of the OpenAI chat completions protocol, through async-openai with our own types.

use super::transport::{Endpoint, Fault, send};
use super::wire::{self, Dialect};
use super::{Limits, ModelError, ModelProvider};
use crate::domain::{ChatReply, ChatRequest, Redactor, Secret};
use async_openai::Client;
use async_openai::error::OpenAIError;
use async_trait::async_trait;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest wait that a server may ask for; above it the caller is told instead.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// Characters of a server's error text that are kept.
const MAX_MESSAGE_CHARS: usize = 300;

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
    /// Waits before the repeats of a request that failed with 429, 5xx or without a connection; as
    /// many repeats as waits.
    pub backoff: Vec<Duration>,
    /// Bytes of one answer.
    pub max_body: usize,
    /// Tokens that the model's context holds, where somebody said so.
    pub context_tokens: Option<u64>,
}

impl OpenAiOptions {
    /// The usual limits: 3 s to connect, 120 s in all, two repeats, 8 MiB.
    pub fn new(name: impl Into<String>, model: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            base_url: base_url.into(),
            api_key: None,
            temperature: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(120),
            backoff: vec![Duration::from_millis(500), Duration::from_secs(2)],
            max_body: 8 << 20,
            context_tokens: None,
        }
    }
}

/// A server of the OpenAI chat completions protocol.
#[derive(Debug)]
pub struct OpenAi {
    options: OpenAiOptions,
    client: Client<Endpoint>,
    redactor: Redactor,
    auto_choice_only: AtomicBool,
    completion_tokens: AtomicBool,
}

impl OpenAi {
    /// Prepares the client; nothing is sent. The process-wide TLS provider must be installed.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when address, model or key cannot be used.
    pub fn new(options: OpenAiOptions) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Settings { model: options.name.clone(), what };
        let base_url = options.base_url.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base_url)
            .map_err(|e| wrong(format!("`base_url` {base_url:?} is no address ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(format!("`base_url` {base_url:?} must begin with http:// or https://")));
        }
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
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| wrong(format!("no HTTP client: {e}")))?;
        let max_body = options.max_body;
        let service = tower::service_fn({
            let http = http.clone();
            move |factory| send(http.clone(), factory, max_body)
        });
        let client = Client::build(http, endpoint).with_http_service(service);
        Ok(Self {
            options,
            client,
            redactor,
            auto_choice_only: AtomicBool::new(false),
            completion_tokens: AtomicBool::new(false),
        })
    }

    async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let mut waits = self.options.backoff.iter();
        loop {
            let dialect = Dialect {
                auto_choice_only: self.auto_choice_only.load(Ordering::Relaxed),
                completion_tokens: self.completion_tokens.load(Ordering::Relaxed),
            };
            let body = wire::request_body(&self.options.model, self.options.temperature, request, dialect);
            let fault = match self.client.chat().create_byot::<_, Value>(&body).await {
                Ok(answer) => {
                    return wire::reply(&self.options.model, &answer).map_err(|what| self.malformed(&what));
                }
                Err(error) => fault(error),
            };
            if self.learn(&fault, &body) {
                continue;
            }
            let Some(asked) = wait_wanted(&fault) else { return Err(self.explain(fault)) };
            match waits.next() {
                Some(backoff) if asked <= MAX_RETRY_AFTER => tokio::time::sleep(asked.max(*backoff)).await,
                _ => return Err(self.explain(fault)),
            }
        }
    }

    /// Whether the server refused a word that there is another one for; it is used from now on.
    fn learn(&self, fault: &Fault, sent: &Value) -> bool {
        let Fault::Status { status: 400 | 404 | 422 | 500, message, .. } = fault else { return false };
        if sent.get("max_tokens").is_some() && message.contains("max_completion_tokens") {
            return !self.completion_tokens.swap(true, Ordering::Relaxed);
        }
        let forced = sent.get("tool_choice").is_some_and(|choice| choice == "required");
        let about_choice = ["tool_choice", "tool choice"].iter().any(|word| message.contains(word));
        forced && about_choice && !self.auto_choice_only.swap(true, Ordering::Relaxed)
    }

    fn explain(&self, fault: Fault) -> ModelError {
        let model = self.options.name.clone();
        match fault {
            Fault::Connect(why) => {
                ModelError::Unreachable { model, base_url: self.options.base_url.clone(), why: self.clean(&why) }
            }
            Fault::Broken(why) => ModelError::Unreachable {
                model,
                base_url: self.options.base_url.clone(),
                why: format!("the connection broke ({})", self.clean(&why)),
            },
            Fault::Timeout => ModelError::Timeout { model, after: self.options.timeout },
            Fault::TooLarge => ModelError::TooLarge { model, limit: self.options.max_body },
            Fault::NotJson(what) => self.malformed(&format!("no JSON ({what})")),
            Fault::Status { status: 429, message, retry_after } => {
                ModelError::RateLimited { model, retry_after, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } if is_context_overflow(status, &message) => {
                ModelError::TooLong { model, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } if status >= 500 => {
                ModelError::Unavailable { model, status, message: self.clean(&message) }
            }
            Fault::Status { status, message, .. } => {
                ModelError::Rejected { model, status, message: self.clean(&message) }
            }
        }
    }

    fn malformed(&self, what: &str) -> ModelError {
        ModelError::Malformed { model: self.options.name.clone(), what: self.clean(what) }
    }

    /// A server's words, fit for logs: some echo the key.
    fn clean(&self, text: &str) -> String {
        let (text, _) = self.redactor.text(text);
        let plain: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect();
        plain.trim().to_owned()
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

    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        match tokio::time::timeout(self.options.timeout, self.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.explain(Fault::Timeout)),
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

/// How long the server wants us to wait before the same request; `None` when repeating is useless.
fn wait_wanted(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Connect(_) => Some(Duration::ZERO),
        Fault::Status { status: 429, message, .. } if message.contains("insufficient_quota") => None,
        Fault::Status { status, message, .. } if is_context_overflow(*status, message) => None,
        Fault::Status { status: 429 | 500..=599, retry_after, .. } => Some(retry_after.unwrap_or_default()),
        // A request that broke off may have been worked on and paid for.
        Fault::Status { .. } | Fault::Broken(_) | Fault::Timeout | Fault::TooLarge | Fault::NotJson(_) => None,
    }
}

fn is_context_overflow(status: u16, message: &str) -> bool {
    const WORDS: [&str; 5] =
        ["context_length_exceeded", "exceed_context_size", "context size", "context length", "context window"];
    matches!(status, 400 | 413 | 422 | 500) && WORDS.iter().any(|word| message.to_ascii_lowercase().contains(word))
}
