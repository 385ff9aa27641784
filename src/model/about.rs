//! What a server says of itself: the models that it serves, and how much they hold.

use super::fault::Fault;
use super::transport::{fault, read};
use super::{ModelError, profile::without_credentials};
use crate::domain::Secret;
use serde_json::{Value, json};
use std::time::Duration;

/// How long each question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer; long lists of models have some hundred thousand.
const MAX_BODY: usize = 4 << 20;
/// A larger window is a mistake.
const ABSURD_TOKENS: u64 = 10_000_000;
/// Where a list of models says how much one holds, in the words of different servers.
const WINDOW_KEYS: [&str; 5] = ["max_model_len", "context_length", "context_window", "max_context_length", "n_ctx"];

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The models that it lists; `None` when it keeps no list.
    pub models: Option<Vec<String>>,
    /// Tokens that a conversation with the model may hold.
    pub context_tokens: Option<u64>,
    /// Where it says so.
    pub said_at: &'static str,
}

impl About {
    /// Whether it serves `model`; `None` when it keeps no list. Ollama's `:latest` goes without saying.
    pub fn serves(&self, model: &str) -> Option<bool> {
        let bare = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
        self.models.as_ref().map(|models| models.iter().any(|known| bare(known) == bare(model)))
    }
}

/// Asks the server at `base_url` about `model`. Besides the list of models of the chat completions
/// protocol, llama.cpp's `/props` and Ollama's `/api/tags`, `/api/ps` and `/api/show` are tried,
/// beside the `/v1` of a base that ends in it.
///
/// # Errors
/// When nobody answers there, or it does not accept the key.
pub async fn about(name: &str, model: &str, base_url: &str, api_key: Option<&Secret>) -> Result<About, ModelError> {
    let asker = Asker::new(name, base_url, api_key)?;
    let mut about = About::default();
    match asker.get("/models", true).await {
        Ok(body) => {
            about.models = served(&body);
            about.tell("/models", window_in_list(&body, model));
        }
        // There is somebody, who keeps no list.
        Err(Fault::Status { status: 400 | 404 | 405 | 501, .. } | Fault::NotJson(_)) => {}
        Err(fault) => return Err(asker.explain(fault)),
    }
    if about.models.is_none() {
        about.models = asker.get("/api/tags", false).await.ok().and_then(|body| served(&body));
    }
    if about.context_tokens.is_none() {
        let question = json!({"model": model});
        let (props, running, shown) =
            tokio::join!(asker.get("/props", false), asker.get("/api/ps", false), asker.post("/api/show", &question),);
        about.tell("/props", props.ok().and_then(|body| window_in_props(&body)));
        about.tell("/api/ps", running.ok().and_then(|body| window_running(&body, model)));
        about.tell("/api/show", shown.ok().and_then(|body| window_in_parameters(&body)));
    }
    Ok(about)
}

impl About {
    fn tell(&mut self, path: &'static str, tokens: Option<u64>) {
        if let (None, Some(tokens)) = (self.context_tokens, tokens.filter(|n| (1..=ABSURD_TOKENS).contains(n))) {
            self.context_tokens = Some(tokens);
            self.said_at = path;
        }
    }
}

struct Asker<'a> {
    name: &'a str,
    base: String,
    /// The server's own address, without `/v1`.
    root: String,
    key: Option<&'a str>,
    client: reqwest::Client,
}

impl<'a> Asker<'a> {
    fn new(name: &'a str, base_url: &str, api_key: Option<&'a Secret>) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Settings { model: name.to_owned(), what };
        let base = base_url.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base).map_err(|e| wrong(format!("`base_url` is no address ({e})")))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")));
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| wrong(format!("no HTTP client: {e}")))?;
        let key = api_key.map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        Ok(Self { name, root: base.strip_suffix("/v1").unwrap_or(&base).to_owned(), base, key, client })
    }

    async fn get(&self, path: &str, below_base: bool) -> Result<Value, Fault> {
        let start = if below_base { &self.base } else { &self.root };
        self.ask(self.client.get(format!("{start}{path}"))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        self.ask(self.client.post(format!("{}{path}", self.root)).json(body)).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, Fault> {
        let request = match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = request.send().await.map_err(fault)?;
        let status = answer.status();
        if !status.is_success() {
            // Its words may echo the key, and the status says enough.
            let message = status.canonical_reason().unwrap_or("no reason").to_owned();
            return Err(Fault::Status { status: status.as_u16(), message, retry_after: None });
        }
        let body = read(answer, MAX_BODY).await?;
        serde_json::from_slice(&body).map_err(|e| Fault::NotJson(e.to_string()))
    }

    fn explain(&self, fault: Fault) -> ModelError {
        let (model, base_url) = (self.name.to_owned(), without_credentials(&self.base));
        match fault {
            Fault::Connect(why) => ModelError::Unreachable { model, base_url, why },
            Fault::Broken(why) => ModelError::Broken { model, base_url, why },
            Fault::Timeout | Fault::Stalled(_) => ModelError::Timeout { model, after: PATIENCE },
            Fault::TooLarge => ModelError::TooLarge { model, limit: MAX_BODY },
            Fault::NotJson(what) => ModelError::Malformed { model, what },
            Fault::Status { status: 429, message, retry_after } => {
                ModelError::RateLimited { model, retry_after, message }
            }
            Fault::Status { status, message, .. } if status >= 500 => {
                ModelError::Unavailable { model, status, message }
            }
            Fault::Status { status, message, .. } => ModelError::Rejected { model, status, message },
        }
    }
}

fn served(body: &Value) -> Option<Vec<String>> {
    let list = body.get("data").or_else(|| body.get("models")).unwrap_or(body).as_array()?;
    let name = |item: &Value| ["id", "name", "model"].iter().find_map(|key| item.get(key)?.as_str().map(str::to_owned));
    Some(list.iter().filter_map(name).take(10_000).collect())
}

fn window_in_list(body: &Value, model: &str) -> Option<u64> {
    let list = body.get("data").or_else(|| body.get("models")).unwrap_or(body).as_array()?;
    let mut about = list.iter().filter(|item| item["id"] == model);
    let about = about.next().or_else(|| list.first().filter(|_| list.len() == 1))?;
    WINDOW_KEYS.iter().find_map(|key| about.get(key).or_else(|| about.get("meta")?.get(key))?.as_u64())
}

/// llama.cpp: what one slot holds.
fn window_in_props(body: &Value) -> Option<u64> {
    body.pointer("/default_generation_settings/n_ctx").or_else(|| body.get("n_ctx"))?.as_u64()
}

/// Ollama: what the loaded model really has, which is often far less than it was trained for.
fn window_running(body: &Value, model: &str) -> Option<u64> {
    let bare = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
    let running = body.get("models")?.as_array()?;
    running.iter().find(|item| item["name"].as_str().map(bare) == Some(bare(model)))?.get("context_length")?.as_u64()
}

/// Ollama: `num_ctx` of the model file. The length it was trained for is not what it is given.
fn window_in_parameters(body: &Value) -> Option<u64> {
    let parameters = body.get("parameters")?.as_str()?;
    parameters.lines().find_map(|line| line.trim().strip_prefix("num_ctx")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_where_servers_write_them() {
        for (body, tokens) in [
            (json!({"data": [{"id": "m", "max_model_len": 40_960}]}), Some(40_960)),
            (
                json!({"data": [{"id": "x", "context_length": 1}, {"id": "m", "context_length": 128_000}]}),
                Some(128_000),
            ),
            (json!({"data": [{"id": "served-alias", "meta": {"n_ctx": 8_192, "n_ctx_train": 131_072}}]}), Some(8_192)),
            (json!({"data": [{"id": "m", "meta": {"n_ctx_train": 131_072}}]}), None),
            (json!({"data": [{"id": "a"}, {"id": "b", "context_length": 7}]}), None),
            (json!({"data": "none"}), None),
            (json!("x"), None),
        ] {
            assert_eq!(window_in_list(&body, "m"), tokens, "{body}");
        }
        assert_eq!(window_in_props(&json!({"default_generation_settings": {"n_ctx": 4096}})), Some(4096));
        let running = json!({"models": [{"name": "qwen3:latest", "context_length": 4096}]});
        assert_eq!(window_running(&running, "qwen3"), Some(4096));
        assert_eq!(window_running(&running, "other"), None);
        let shown = json!({"parameters": "stop \"x\"\nnum_ctx                        32768", "model_info": {"q.context_length": 262_144}});
        assert_eq!(window_in_parameters(&shown), Some(32_768));
        assert_eq!(window_in_parameters(&json!({"model_info": {"q.context_length": 262_144}})), None);
    }

    #[test]
    fn lists_of_models_are_read_in_every_shape() {
        for (body, names) in [
            (json!({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}), Some(vec!["a", "b"])),
            (json!({"models": [{"name": "a"}]}), Some(vec!["a"])),
            (json!([{"id": "a"}]), Some(vec!["a"])),
            (json!({"hello": 1}), None),
        ] {
            assert_eq!(served(&body), names.map(|n| n.into_iter().map(str::to_owned).collect()), "{body}");
        }
        let about = About { models: Some(vec!["qwen3:latest".into()]), ..About::default() };
        assert_eq!(
            (about.serves("qwen3"), about.serves("qwen"), About::default().serves("x")),
            (Some(true), Some(false), None)
        );
        let mut about = About::default();
        about.tell("/models", Some(u64::MAX));
        about.tell("/props", Some(8192));
        about.tell("/api/ps", Some(4096));
        assert_eq!((about.context_tokens, about.said_at), (Some(8192), "/props"));
    }
}
