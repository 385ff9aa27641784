//! Language models.

use super::{Resolver, Step, at};
use crate::config::Model;
use crate::config::file::{self, Provider};
use crate::domain::Secret;
use crate::model::{CacheMarks, Structured};
use std::collections::BTreeSet;
use std::time::Duration;

/// Where Ollama listens.
const OLLAMA: &str = "http://127.0.0.1:11434";
/// Where OpenAI answers.
const OPENAI: &str = "https://api.openai.com/v1";
/// Tokens that a report needs at least: instructions, the survey's evidence and an answer.
const SMALLEST_CONTEXT: u64 = 8_192;

impl Resolver<'_> {
    pub(super) fn models(&mut self) -> Vec<Model> {
        let mut names = BTreeSet::new();
        let configured = &self.loaded.file.models;
        let mut models: Vec<Model> = configured
            .iter()
            .enumerate()
            .map(|(n, model)| {
                self.name(at!["models", n, "name"], &model.name, &mut names);
                if model.name == "none" {
                    let help = "choose another: `model: none` in a route means that no model is asked";
                    self.problem(at!["models", n, "name"], "is taken", help);
                }
                self.model(n, model)
            })
            .collect();
        // No model is asked unless somebody named one.
        if models.is_empty()
            && let Some(name) = self.variable("OPENAI_MODEL")
        {
            models.push(Model {
                name: "openai".into(),
                provider: Provider::Openai,
                model: name.to_owned(),
                base_url: self.openai_url(),
                api_key: self.openai_key(),
                timeout: Duration::from_secs(120),
                context_tokens: None,
                stream: true,
                structured: Structured::Auto,
                cache: CacheMarks::Auto,
                pin: None,
                num_ctx: None,
                pull: false,
                file: None,
                strict: false,
                price: file::Price::default(),
                cheap: false,
            });
        }
        models
    }

    fn openai_url(&mut self) -> String {
        let url = self.variable("OPENAI_BASE_URL").or_else(|| self.variable("OPENAI_API_BASE"));
        url.unwrap_or(OPENAI).trim_end_matches('/').to_owned()
    }

    fn openai_key(&self) -> Option<Secret> {
        self.variable("OPENAI_API_KEY").map(|value| Secret::new(value, "env:OPENAI_API_KEY"))
    }

    fn model(&mut self, n: usize, model: &file::Model) -> Model {
        self.belongs(n, model);
        let own_url = model.base_url.as_ref().map(|url| self.address(at!["models", n, "base_url"], url));
        let host = model.host.as_ref().map(|host| self.address(at!["models", n, "host"], host));
        let base_url = match model.provider {
            Provider::Openai => own_url.clone().unwrap_or_else(|| self.openai_url()),
            // Who has written its OpenAI-compatible address means the same server.
            Provider::Ollama => match own_url.clone().or(host) {
                Some(url) => url.strip_suffix("/v1").unwrap_or(&url).to_owned(),
                None => {
                    let host = self.variable("OLLAMA_HOST").or_else(|| self.variable("OLLAMA_BASE_URL"));
                    ollama_url(host.unwrap_or(OLLAMA))
                }
            },
            Provider::Replay => String::new(),
        };
        let api_key = match (&model.api_key, model.provider) {
            (Some(reference), _) => Some(self.secret(at!["models", n, "api_key"], reference)),
            // OpenAI's key goes to nobody but whom OPENAI_BASE_URL names, or OpenAI.
            (None, Provider::Openai) if own_url.is_none() => self.openai_key(),
            (None, Provider::Openai | Provider::Ollama | Provider::Replay) => None,
        };
        let file = model.file.as_ref().map(|file| self.absolute(at!["models", n, "file"], file));
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            let help = "save what /api/v1/investigations/ID/transcript answers, or write a script";
            self.problem(at!["models", n, "file"], format!("names no file: {}", file.display()), help);
        }
        if model.timeout.0.is_zero() {
            self.problem(at!["models", n, "timeout"], "is zero", "120s is the default");
        }
        if model.context_tokens.is_some_and(|tokens| tokens < SMALLEST_CONTEXT) {
            let help = format!("an incident needs {SMALLEST_CONTEXT} tokens at least; null leaves it open");
            self.problem(at!["models", n, "context_tokens"], "is too small", help);
        }
        if model.num_ctx.is_some_and(|tokens| tokens < SMALLEST_CONTEXT) {
            let help = format!("an incident needs {SMALLEST_CONTEXT} tokens at least; null takes what the model has");
            self.problem(at!["models", n, "num_ctx"], "is too small", help);
        }
        if model.pin.as_ref().is_some_and(|pin| pin.trim().is_empty()) {
            self.problem(at!["models", n, "pin"], "is empty", "null admits any model");
        }
        for (key, price) in
            [("input_per_mtok", model.price.input_per_mtok), ("output_per_mtok", model.price.output_per_mtok)]
        {
            if !(price.is_finite() && price >= 0.0) {
                self.problem(at!["models", n, "price", key], "is no price", "US dollars for a million tokens");
            }
        }
        if let Some(cached) = model.price.cached_per_mtok
            && !(cached >= 0.0 && cached <= model.price.input_per_mtok)
        {
            let help = "from 0 to `input_per_mtok`; null is the full price";
            self.problem(at!["models", n, "price", "cached_per_mtok"], "is no price of cached tokens", help);
        }
        Model {
            name: model.name.clone(),
            provider: model.provider,
            model: model.model.clone(),
            base_url,
            api_key,
            timeout: model.timeout.0,
            context_tokens: model.context_tokens,
            stream: model.stream,
            structured: model.structured,
            cache: model.cache,
            pin: model.pin.clone(),
            num_ctx: model.num_ctx,
            pull: model.pull,
            file,
            strict: model.strict,
            price: model.price,
            cheap: model.cheap,
        }
    }
}

impl Resolver<'_> {
    /// Keys that only some providers have: at another one they would be ignored for months.
    fn belongs(&mut self, n: usize, model: &file::Model) {
        let ollama = model.provider == Provider::Ollama;
        let replay = model.provider == Provider::Replay;
        let host = "`host` is Ollama's address without /v1; everything else takes `base_url`";
        if model.host.is_some() && (model.base_url.is_some() || !ollama) {
            self.problem(at!["models", n, "host"], "does not belong here", host);
        }
        for (key, is_set, belongs, help) in [
            ("num_ctx", model.num_ctx.is_some(), ollama, "only Ollama takes it; other servers set it themselves"),
            ("pull", model.pull, ollama, "only Ollama pulls models"),
            ("file", model.file.is_some(), replay, "only `provider: replay` reads one"),
            ("strict", model.strict, replay, "only `provider: replay` compares requests"),
            ("base_url", model.base_url.is_some(), !replay, "a replay asks nobody"),
            ("api_key", model.api_key.is_some(), !replay, "a replay asks nobody"),
        ] {
            if is_set && !belongs {
                self.problem(at!["models", n, key], "does not belong here", help);
            }
        }
        if replay && model.file.is_none() {
            self.problem(at!["models", n], "has no `file`", "name the script or transcript that is to be repeated");
        }
    }
}

/// Ollama's variable may lack the scheme, and names all addresses by 0.0.0.0.
fn ollama_url(host: &str) -> String {
    let host = host.trim_end_matches('/').replace("0.0.0.0", "127.0.0.1");
    match host.contains("://") {
        true => host.strip_suffix("/v1").unwrap_or(&host).to_owned(),
        false if host.contains(':') => format!("http://{host}"),
        false => format!("http://{host}:11434"),
    }
}
