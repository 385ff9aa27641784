//! Ollama in its own protocol: it alone can set the size of the context and tell what a model can do.
//!
//! ollama-rs has the types of requests, asks `show` and pulls. The answer to a question is read here:
//! ollama-rs reads it without a limit, fails on `tool_calls: null` and on a missing `content`, loses the
//! status of errors, and when it streams it drops characters that the network split.

mod lines;
mod shapes;

use super::dialect::Structured;
use super::fault::{Fault, Peer, innermost};
use super::pace::Pace;
use super::transport::{MAX_ERROR_BYTES, message, retry_after};
use super::{Limits, ModelError, ModelProvider, Progress, wire};
use crate::domain::{ChatReply, ChatRequest, Clock, Entropy, FinishReason, Redactor, Secret};
use async_trait::async_trait;
use futures::StreamExt as _;
use lines::{Lines, Wrong};
use ollama_rs::error::OllamaError;
use reqwest012::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;
use shapes::{Known, Manner, request_body};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Until `show` has answered.
const SHOW: Duration = Duration::from_secs(10);
/// Until a model is there; what was loaded stays, and the next attempt goes on.
const PULL: Duration = Duration::from_secs(3 * 3600);
/// Ollama checks what it has loaded without a word.
const PULL_IDLE: Duration = Duration::from_secs(600);
/// A conversation of more characters for each token of the context certainly does not fit. Ollama
/// would drop its beginning without a word.
const CHARS_PER_TOKEN: u64 = 5;

/// How to reach a model of Ollama.
#[derive(Debug, Clone)]
pub struct OllamaOptions {
    /// The configured name, for errors and reports.
    pub name: String,
    /// The model to ask for, `qwen3:8b` for instance.
    pub model: String,
    /// Ollama's address, without `/v1` and `/api`.
    pub host: String,
    /// Sent as bearer token, where something in front of Ollama wants one.
    pub api_key: Option<Secret>,
    /// Sampling temperature; the model's own unless set.
    pub temperature: Option<f64>,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until the whole answer is there, repeats and waits included.
    pub timeout: Duration,
    /// The longest silence within a streamed answer that has begun.
    pub idle_timeout: Duration,
    /// Longest waits before the repeats of a request that failed; as many repeats as waits.
    pub backoff: Vec<Duration>,
    /// Bytes of one answer.
    pub max_body: usize,
    /// Ask for the answer piece by piece.
    pub stream: bool,
    /// Tokens that the context is to hold; `None` is what the model has, at most 32,768.
    pub num_ctx: Option<u64>,
    /// Tokens that a conversation may have, where that is less.
    pub context_tokens: Option<u64>,
    /// Let Ollama pull a model that it does not have.
    pub pull: bool,
    /// What the answering model must call itself.
    pub pin: Option<String>,
    /// How the final report is asked for.
    pub structured: Structured,
}

impl OllamaOptions {
    /// The usual limits: 3 s to connect, 120 s in all, 60 s of silence, two repeats, 8 MiB.
    pub fn new(name: impl Into<String>, model: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            host: host.into(),
            api_key: None,
            temperature: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(60),
            backoff: vec![Duration::from_millis(500), Duration::from_secs(2)],
            max_body: 8 << 20,
            stream: true,
            num_ctx: None,
            context_tokens: None,
            pull: false,
            pin: None,
            structured: Structured::Auto,
        }
    }
}

/// A model of Ollama.
#[derive(Debug)]
pub struct Ollama {
    options: OllamaOptions,
    http: reqwest012::Client,
    chat_url: reqwest012::Url,
    api: ollama_rs::Ollama,
    peer: Peer,
    pace: Pace,
    known: OnceLock<Known>,
    no_schema: AtomicBool,
}

impl Ollama {
    /// Prepares the client; nothing is sent. The process-wide TLS provider must be installed.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when address, model or key cannot be used.
    pub fn new(options: OllamaOptions, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Settings { model: options.name.clone(), what };
        // Without the slash a path in the address would run into the API's.
        let base = format!("{}/", options.host.trim_end_matches('/'));
        let no_address =
            |why: &dyn std::fmt::Display| wrong(format!("`host` {:?} is no address ({why})", options.host));
        let url = reqwest012::Url::parse(&base).map_err(|e| no_address(&e))?;
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err(no_address(&"it must begin with http:// or https://"));
        };
        let chat_url = url.join("api/chat").map_err(|e| no_address(&e))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("`host` must not hold a user or password; use `api_key`".to_owned()));
        }
        if options.model.trim().is_empty() {
            return Err(wrong("`model` is empty".to_owned()));
        }
        let key = options.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| wrong("`api_key` holds characters that no header may hold".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let redactor = Redactor::new(key).map_err(|_| wrong("`api_key` is too long".to_owned()))?;
        let mut builder = reqwest012::Client::builder()
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.timeout.max(PULL_IDLE))
            .redirect(reqwest012::redirect::Policy::none())
            .default_headers(headers)
            .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")));
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| wrong(format!("no HTTP client: {e}")))?;
        let mut api = ollama_rs::Ollama::builder().reqwest_client(http.clone());
        api = api.url(base.as_str());
        let peer = Peer {
            name: options.name.clone(),
            base_url: options.host.clone(),
            timeout: options.timeout,
            max_body: options.max_body,
            redactor,
        };
        let pace = Pace::new(options.backoff.clone(), clock, entropy);
        let (known, no_schema) = (OnceLock::new(), AtomicBool::new(false));
        Ok(Self { options, http, chat_url, api: api.build(), peer, pace, known, no_schema })
    }

    /// What is known of the model; asked for once. A server that does not tell is no error, a model
    /// that is not there is one.
    async fn known(&self) -> Result<Known, ModelError> {
        if let Some(known) = self.known.get() {
            return Ok(*known);
        }
        let nothing = Known::nothing(self.options.num_ctx);
        let info = match self.show().await {
            Err(OllamaError::Other(body)) if is_missing(&message(body.as_bytes())) => {
                self.pull().await?;
                self.show().await
            }
            shown => shown,
        };
        match info {
            Ok(info) => Ok(*self.known.get_or_init(|| Known::of(&info, self.options.num_ctx))),
            Err(error) => {
                tracing::debug!(
                    model = self.options.name,
                    error = self.peer.clean(&innermost(&error)),
                    "nothing is told of the model"
                );
                Ok(nothing)
            }
        }
    }

    async fn show(&self) -> Result<ollama_rs::models::ModelInfo, OllamaError> {
        let shown = self.api.show_model_info(self.options.model.clone());
        let late = |_| OllamaError::Other(format!("no answer within {SHOW:?}"));
        tokio::time::timeout(SHOW, shown).await.map_err(late)?
    }

    async fn pull(&self) -> Result<(), ModelError> {
        let missing = ModelError::NotPulled {
            model: self.options.name.clone(),
            host: self.options.host.clone(),
            wanted: self.options.model.clone(),
        };
        if !self.options.pull {
            return Err(missing);
        }
        tracing::info!(model = self.options.name, wanted = self.options.model, "Ollama pulls the model");
        let unable = |why: String| ModelError::Unable {
            model: self.options.name.clone(),
            what: format!("{} cannot be pulled ({})", self.options.model, self.peer.clean(&why)),
            remedy: "Pull it by hand with `ollama pull`.",
        };
        let pulled = async {
            let mut states = self.api.pull_model_stream(self.options.model.clone(), false).await?;
            while let Some(state) = states.next().await {
                // Not within the macro: it looks at nothing that is not logged, an error neither.
                let state = self.peer.clean(&state?.message);
                tracing::debug!(model = self.options.name, state, "pulling");
            }
            Ok(())
        };
        match tokio::time::timeout(PULL, pulled).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err::<(), OllamaError>(OllamaError::Other(body))) => Err(unable(message(body.as_bytes()))),
            Ok(Err(error)) => Err(unable(innermost(&error))),
            Err(_) => Err(unable(format!("not done within {PULL:?}"))),
        }
    }

    async fn ask(&self, request: &ChatRequest, progress: &Progress) -> Result<ChatReply, ModelError> {
        let known = self.known().await?;
        self.check(request, known)?;
        let mut repeats = 0;
        loop {
            self.pace.turn().await.map_err(|fault| self.peer.explain(fault))?;
            let manner = Manner {
                known,
                temperature: self.options.temperature,
                stream: self.options.stream,
                schema: request.must_answer && self.by_schema(known),
            };
            let body = request_body(&self.options.model, request, manner)
                .map_err(|what| ModelError::Settings { model: self.options.name.clone(), what })?;
            progress.begin(&body);
            let fault = match self.send(&body, progress).await {
                Ok(answer) => {
                    self.pace.answered();
                    return self.read(manner, &answer);
                }
                Err(fault) => fault,
            };
            if manner.schema && refuses_schema(&fault) && !self.no_schema.swap(true, Ordering::Relaxed) {
                continue;
            }
            match self.pace.failed(&fault, repeats).filter(|_| self.remedy(&fault).is_none()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.remedy(&fault).unwrap_or_else(|| self.peer.explain(fault))),
            }
            repeats += 1;
        }
    }

    /// Refuses what cannot go well, before anything is sent.
    fn check(&self, request: &ChatRequest, known: Known) -> Result<(), ModelError> {
        let by_schema = request.must_answer && self.by_schema(known);
        if !request.tools.is_empty() && !known.calls_tools && !by_schema {
            return Err(ModelError::Unable {
                model: self.options.name.clone(),
                what: format!("{} cannot call tools", self.options.model),
                remedy: "Choose a model that can: `ollama show` lists `tools` under its capabilities.",
            });
        }
        let said: usize = request.messages.iter().map(|message| message.content.chars().count()).sum();
        match known.num_ctx {
            Some(num_ctx) if said as u64 / CHARS_PER_TOKEN > num_ctx => Err(ModelError::TooLong {
                model: self.options.name.clone(),
                message: format!("{said} characters, and `num_ctx` is {num_ctx} tokens"),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn by_schema(&self, known: Known) -> bool {
        let wanted = match self.options.structured {
            // The grammar would hold the thoughts of a thinking model to the schema, too.
            Structured::Auto => !known.thinks,
            Structured::JsonSchema => true,
            Structured::Tool => false,
        };
        wanted && !self.no_schema.load(Ordering::Relaxed)
    }

    async fn send(&self, body: &Value, progress: &Progress) -> Result<Value, Fault> {
        let sent = self.http.post(self.chat_url.clone()).json(body).send().await;
        let mut response = sent.map_err(|error| fault(&error))?;
        let status = response.status();
        if !status.is_success() {
            let mut text = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                text.extend_from_slice(&chunk);
                if text.len() >= MAX_ERROR_BYTES {
                    break;
                }
            }
            text.truncate(MAX_ERROR_BYTES);
            let retry_after = retry_after(response.headers());
            return Err(Fault::Status { status: status.as_u16(), message: message(&text), retry_after });
        }
        let (mut lines, mut bytes) = (Lines::default(), 0_usize);
        while let Some(chunk) = self.chunk(&mut response, progress).await? {
            bytes += chunk.as_ref().len();
            if bytes > self.options.max_body {
                return Err(Fault::TooLarge);
            }
            (0..lines.feed(chunk.as_ref()).map_err(wrong)?).for_each(|_| progress.piece());
            if lines.is_over() {
                break;
            }
        }
        lines.finish().map_err(wrong)
    }

    /// The next bytes; before the first piece a model may be loaded and a prompt read, for as long as
    /// the whole may take.
    async fn chunk(
        &self,
        response: &mut reqwest012::Response,
        progress: &Progress,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
        let idle = self.options.idle_timeout;
        let next = response.chunk();
        let chunk = match progress.tokens() {
            0 => next.await,
            _ => tokio::time::timeout(idle, next).await.map_err(|_| Fault::Stalled(idle))?,
        };
        chunk.map_err(|error| fault(&error))
    }

    fn read(&self, manner: Manner, answer: &Value) -> Result<ChatReply, ModelError> {
        self.peer.pinned(self.options.pin.as_deref(), answer)?;
        let reply = wire::reply(&self.options.model, answer).map_err(|what| self.peer.malformed(&what))?;
        if manner.schema && reply.finish == FinishReason::Stop && !wire::is_object(&reply.content) {
            self.no_schema.store(true, Ordering::Relaxed);
        }
        Ok(reply)
    }

    /// What Ollama says when repeating does not help, with what does.
    fn remedy(&self, fault: &Fault) -> Option<ModelError> {
        let Fault::Status { status, message, .. } = fault else { return None };
        let model = self.options.name.clone();
        let says = |word: &str| message.contains(word);
        if *status == 404 && is_missing(message) {
            let (host, wanted) = (self.options.host.clone(), self.options.model.clone());
            return Some(ModelError::NotPulled { model, host, wanted });
        }
        let remedy = if says("does not support tools") {
            "Choose a model that can: `ollama show` lists `tools` under its capabilities."
        } else if says("more system memory") || says("out of memory") {
            "Choose a smaller model, or a smaller `num_ctx`."
        } else if says("unexpectedly stopped") || says("runner process has terminated") {
            "Look at Ollama's log; a smaller `num_ctx` needs less memory."
        } else {
            return None;
        };
        Some(ModelError::Unable { model, what: self.peer.clean(message), remedy })
    }
}

#[async_trait]
impl ModelProvider for Ollama {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn limits(&self) -> Limits {
        let known = self.known.get().and_then(|known| known.num_ctx).or(self.options.num_ctx);
        let context_tokens = known.into_iter().chain(self.options.context_tokens).min();
        Limits { context_tokens }
    }

    async fn prepare(&self) {
        if let Err(error) = self.known().await {
            tracing::warn!(%error, "the model is not ready");
        }
    }

    async fn chat(&self, request: &ChatRequest, progress: &Arc<Progress>) -> Result<ChatReply, ModelError> {
        match tokio::time::timeout(self.options.timeout, self.ask(request, progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.peer.explain(Fault::Timeout)),
        }
    }
}

fn fault(error: &reqwest012::Error) -> Fault {
    Fault::of_network(error.is_connect(), error.is_timeout(), error)
}

fn wrong(wrong: Wrong) -> Fault {
    match wrong {
        // In the middle of a success: no status says what kind of trouble it is.
        Wrong::Told(message) => Fault::Status { status: 500, message, retry_after: None },
        Wrong::NotJson(what) => Fault::NotJson(what),
        Wrong::Cut => Fault::Broken("the answer ended in the middle; nothing of it was used".to_owned()),
    }
}

/// `model "x" not found, try pulling it first`, `model 'x' not found`.
fn is_missing(message: &str) -> bool {
    message.contains("model") && message.contains("not found")
}

fn refuses_schema(fault: &Fault) -> bool {
    let words = ["format", "schema", "grammar"];
    matches!(fault, Fault::Status { status: 400 | 422 | 500, message, .. } if words.iter().any(|word| message.contains(word)))
}
