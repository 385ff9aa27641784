//! From a well-formed file to a [`Config`]: well-known variables, paths, secrets, names.

use super::file::{self, Provider};
use super::secret::{self, Reference};
use super::suggest::nearest;
use super::tree::{Place, Step, path_text};
use super::{
    AccessToken, Config, ConfigError, Credential, Intake, IntakeToken, Kubernetes, Loaded, Model, Notify, Places,
    Problem, Prometheus, Route, RouteModel, Server,
};
use crate::domain::{Budget, Secret};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sources that we know; `routes[].sources` may name pollers and own senders besides.
const NAME_HELP: &str = "use letters, digits, `-`, `_` and `.`, at most 64";
/// Where Ollama listens.
const OLLAMA: &str = "http://127.0.0.1:11434";
/// Where OpenAI answers.
const OPENAI: &str = "https://api.openai.com/v1";

macro_rules! path {
    ($($step:expr),+ $(,)?) => { &[$(Step::from($step)),+] };
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

/// Collects problems on the way.
struct Resolver<'a> {
    loaded: &'a Loaded,
    problems: Vec<Problem>,
}

impl Loaded {
    /// Checks names, reads secrets, makes paths absolute.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let mut r = Resolver { loaded: self, problems: vec![] };
        let file = &self.file;
        let models = r.models();
        let config = Config {
            server: r.server(),
            access: r.access(),
            intake: r.intake(),
            places: r.places(),
            routes: r.routes(&models),
            models,
            budget: r.budget(),
            kubernetes: r.kubernetes(),
            prometheus: r.prometheus(),
            notify: r.notify(),
            log: file.telemetry.log,
        };
        r.finish(config)
    }

    /// Files and folders alone, for commands that need no secret.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn places(&self) -> Result<Places, ConfigError> {
        let mut r = Resolver { loaded: self, problems: vec![] };
        let places = r.places();
        r.finish(places)
    }

    /// How log lines look, before anything else is known.
    pub fn log(&self) -> file::LogFormat {
        self.file.telemetry.log
    }
}

impl Resolver<'_> {
    fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        match self.problems.is_empty() {
            true => Ok(value),
            false => Err(ConfigError { file: self.loaded.sources.file.clone(), problems: self.problems }),
        }
    }

    fn problem(&mut self, path: &[Step], what: impl Into<String>, help: impl Into<String>) {
        let at = self.loaded.tree.place(path);
        self.problems.push(Problem { at, path: path_text(path), what: what.into(), help: help.into() });
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.loaded.sources.env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A path stands in the file's folder, or in the working folder when it came from elsewhere.
    fn absolute(&self, key: &[Step], path: &str) -> PathBuf {
        match self.loaded.tree.place(key) {
            Place::Line(_) => self.loaded.sources.base().join(path),
            Place::Variable(_) | Place::Flag(_) | Place::Nowhere => self.loaded.sources.cwd.join(path),
        }
    }

    fn secret(&mut self, key: &[Step], reference: &Reference) -> Secret {
        let base = match self.loaded.tree.place(key) {
            Place::Line(_) => self.loaded.sources.base(),
            Place::Variable(_) | Place::Flag(_) | Place::Nowhere => self.loaded.sources.cwd.clone(),
        };
        secret::resolve(&reference.0, &base, &self.loaded.sources.env).unwrap_or_else(|error| {
            self.problem(key, format!("names a secret that is not there: {error}"), "set it, or take the key out");
            Secret::new("", "nowhere")
        })
    }

    fn address(&mut self, key: &[Step], text: &str) -> String {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        match host {
            None | Some("") => self.problem(key, "is no address", "write http://HOST:PORT or https://HOST"),
            Some(host) if host.contains('@') => self.problem(
                key,
                "carries a credential",
                "take the part before `@` out; name the secret in a key of its own (`bearer`, `basic`, `api_key`)",
            ),
            Some(_) if text.contains(char::is_whitespace) => {
                self.problem(key, "is no address: it has a space in it", "write http://HOST:PORT or https://HOST");
            }
            Some(_) => {}
        }
        text.trim_end_matches('/').to_owned()
    }

    fn name(&mut self, key: &[Step], name: &str, taken: &mut BTreeSet<String>) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            self.problem(key, "is no name", NAME_HELP);
        }
        if !taken.insert(name.to_owned()) {
            self.problem(key, format!("names `{name}` a second time"), "give each its own name");
        }
    }

    fn server(&mut self) -> Server {
        let server = &self.loaded.file.server;
        let text = server.listen.replace("localhost:", "127.0.0.1:");
        let listen = text.parse().unwrap_or_else(|_| {
            let help = "write ADDRESS:PORT, 127.0.0.1:8080 or [::]:8080 for instance";
            self.problem(path!["server", "listen"], format!("is no address to listen on: `{text}`"), help);
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        });
        let public_url = server.public_url.as_ref().map(|url| self.address(path!["server", "public_url"], url));
        let max_body = server.max_body.0;
        if !(1 << 10..=256 << 20).contains(&max_body) {
            let help = "32MiB takes 20,000 alerts";
            self.problem(path!["server", "max_body"], "is not between 1KiB and 256MiB", help);
        }
        Server { listen, public_url, max_body: usize::try_from(max_body).unwrap_or(usize::MAX) }
    }

    fn access(&mut self) -> Vec<AccessToken> {
        let mut names = BTreeSet::new();
        let tokens = self.loaded.file.access.tokens.iter().enumerate();
        tokens
            .map(|(n, token)| {
                self.name(path!["access", "tokens", n, "name"], &token.name, &mut names);
                AccessToken {
                    name: token.name.clone(),
                    role: token.role,
                    groups: token.groups.clone(),
                    token: self.secret(path!["access", "tokens", n, "token"], &token.token),
                }
            })
            .collect()
    }

    fn intake(&mut self) -> Intake {
        let intake = &self.loaded.file.intake;
        let mut tokens: Vec<IntakeToken> = intake
            .tokens
            .iter()
            .enumerate()
            .map(|(n, token)| IntakeToken {
                source: token.source.clone(),
                token: self.secret(path!["intake", "tokens", n, "token"], &token.token),
            })
            .collect();
        if tokens.is_empty()
            && let Some(value) = self.variable("FLEET_EVENTS_TOKEN")
        {
            tokens.push(IntakeToken { source: "*".into(), token: Secret::new(value, "env:FLEET_EVENTS_TOKEN") });
        }
        Intake { tokens, allow_anonymous: intake.allow_anonymous }
    }

    fn places(&mut self) -> Places {
        let file = &self.loaded.file;
        let policies = self.folder(path!["policies", "dir"], file.policies.dir.as_deref(), Some("policies"));
        let prompts = self.folder(path!["prompts", "dir"], file.prompts.dir.as_deref(), Some("prompts"));
        // No folder of this name by chance: many projects have one.
        let tools = self.folder(path!["tools", "dir"], file.tools.dir.as_deref(), None);
        Places { store: self.store(), policies, prompts, tools }
    }

    fn folder(&mut self, key: &[Step], configured: Option<&str>, usual: Option<&str>) -> Option<PathBuf> {
        match configured {
            Some(path) => {
                let path = self.absolute(key, path);
                if !path.is_dir() {
                    let help = "`firewarden init` writes the embedded ones there; null takes the embedded ones";
                    self.problem(key, format!("names no folder: {}", path.display()), help);
                }
                Some(path)
            }
            None => usual.map(|usual| self.loaded.sources.base().join(usual)).filter(|path| path.is_dir()),
        }
    }

    fn store(&mut self) -> PathBuf {
        let key = path!["store", "url"];
        let (url, from) = match (&self.loaded.file.store.url, self.variable("DATABASE_URL")) {
            (Some(url), _) => (url.clone(), None),
            (None, Some(url)) => (url.to_owned(), Some("DATABASE_URL")),
            (None, None) => return self.default_store(),
        };
        let mut refuse = |what: &str, help: &str| match from {
            // What the address says may be a credential: it is not repeated.
            Some(name) => self.problems.push(Problem {
                at: Place::Variable(name.to_owned()),
                path: String::new(),
                what: what.to_owned(),
                help: format!("{help}; `store.url` in the configuration goes before {name}"),
            }),
            None => self.problem(key, what, help),
        };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            refuse("names PostgreSQL, which is not in this version yet", "use sqlite:PATH");
            return PathBuf::new();
        }
        let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            None => {
                refuse("names no store that we know", "use sqlite:PATH, or leave it out");
                PathBuf::new()
            }
            Some(path) if path.is_empty() || path.contains('?') || path.contains(":memory:") => {
                refuse("names no file", "use sqlite:PATH without parameters: the journal must outlive the process");
                PathBuf::new()
            }
            Some(path) if from.is_some() => self.loaded.sources.cwd.join(path),
            Some(path) => self.absolute(key, path),
        }
    }

    /// Where a program keeps its state by the XDG base directory specification.
    fn default_store(&mut self) -> PathBuf {
        let absolute = |path: &&str| Path::new(path).is_absolute();
        let state = self.variable("XDG_STATE_HOME").filter(absolute).map(PathBuf::from);
        let home = self.variable("HOME").filter(absolute).map(|home| Path::new(home).join(".local/state"));
        match state.or(home) {
            Some(state) => state.join("firewarden/firewarden.db"),
            None => {
                let what = "is needed: neither XDG_STATE_HOME nor HOME says where state is kept";
                self.problem(path!["store", "url"], what, "set store.url to sqlite:/var/lib/firewarden/firewarden.db");
                PathBuf::new()
            }
        }
    }

    fn models(&mut self) -> Vec<Model> {
        let mut names = BTreeSet::new();
        let configured = &self.loaded.file.models;
        let mut models: Vec<Model> = configured
            .iter()
            .enumerate()
            .map(|(n, model)| {
                self.name(path!["models", n, "name"], &model.name, &mut names);
                if model.name == "none" {
                    let help = "choose another: `model: none` in a route means that no model is asked";
                    self.problem(path!["models", n, "name"], "is taken", help);
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
                price: file::Price::default(),
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
        let own_url = model.base_url.as_ref().map(|url| self.address(path!["models", n, "base_url"], url));
        let host = model.host.as_ref().map(|host| self.address(path!["models", n, "host"], host));
        if host.is_some() && (own_url.is_some() || model.provider != Provider::Ollama) {
            let help = "`host` is Ollama's address without /v1; everything else takes `base_url`";
            self.problem(path!["models", n, "host"], "does not belong here", help);
        }
        let ask = |url: Option<String>| own_url.clone().or(url);
        let base_url = match model.provider {
            Provider::Openai => ask(None).unwrap_or_else(|| self.openai_url()),
            Provider::Ollama => ask(host.map(|host| format!("{host}/v1"))).unwrap_or_else(|| {
                let host = self.variable("OLLAMA_HOST").or_else(|| self.variable("OLLAMA_BASE_URL"));
                ollama_url(host.unwrap_or(OLLAMA))
            }),
        };
        let api_key = match (&model.api_key, model.provider) {
            (Some(reference), _) => Some(self.secret(path!["models", n, "api_key"], reference)),
            // OpenAI's key goes to nobody but whom OPENAI_BASE_URL names, or OpenAI.
            (None, Provider::Openai) if own_url.is_none() => self.openai_key(),
            (None, Provider::Openai | Provider::Ollama) => None,
        };
        if model.timeout.0.is_zero() {
            self.problem(path!["models", n, "timeout"], "is zero", "120s is the default");
        }
        for (key, price) in
            [("input_per_mtok", model.price.input_per_mtok), ("output_per_mtok", model.price.output_per_mtok)]
        {
            if !(price.is_finite() && price >= 0.0) {
                self.problem(path!["models", n, "price", key], "is no price", "US dollars for a million tokens");
            }
        }
        Model {
            name: model.name.clone(),
            provider: model.provider,
            model: model.model.clone(),
            base_url,
            api_key,
            timeout: model.timeout.0,
            price: model.price,
        }
    }

    fn routes(&mut self, models: &[Model]) -> Vec<Route> {
        let mut names = BTreeSet::from(["default".to_owned()]);
        let routes = self.loaded.file.routes.iter().enumerate();
        routes
            .map(|(n, route)| {
                if route.name == "default" {
                    let help = "`default` takes what no route takes; a last route without matchers replaces it";
                    self.problem(path!["routes", n, "name"], "is taken", help);
                } else {
                    self.name(path!["routes", n, "name"], &route.name, &mut names);
                }
                if route.timeout.is_some_and(|t| t.0 < Duration::from_secs(1)) {
                    self.problem(path!["routes", n, "timeout"], "is shorter than a second", "10m is usual");
                }
                Route {
                    name: route.name.clone(),
                    matchers: route.matchers.clone(),
                    sources: route.sources.clone(),
                    severities: route.severities.clone(),
                    correlate: route.correlate.clone(),
                    prompt: route.prompt.clone(),
                    model: self.route_model(n, route.model.as_deref(), models),
                    tools: route.tools.clone(),
                    timeout: route.timeout.map(|t| t.0),
                }
            })
            .collect()
    }

    fn route_model(&mut self, n: usize, name: Option<&str>, models: &[Model]) -> RouteModel {
        let known = || models.iter().map(|m| m.name.as_str());
        match name {
            None => RouteModel::InOrder,
            Some("none") => RouteModel::Without,
            Some(name) => {
                if !known().any(|k| k == name) {
                    let help = match nearest(name, known()) {
                        Some(other) => format!("did you mean `{other}`?"),
                        None => {
                            "add it to `models`, write `none`, or leave it out for the models in their order".into()
                        }
                    };
                    self.problem(
                        path!["routes", n, "model"],
                        format!("names `{name}`, which is not in `models`"),
                        help,
                    );
                }
                RouteModel::Named(name.to_owned())
            }
        }
    }

    fn budget(&mut self) -> Budget {
        let (of, survey) = (&self.loaded.file.budgets.per_investigation, &self.loaded.file.budgets.survey);
        let zero = [
            ("per_investigation", "wall", of.wall.0 < Duration::from_secs(1)),
            ("per_investigation", "cost_usd", !(of.cost_usd.is_finite() && of.cost_usd >= 0.0)),
            ("survey", "wall", survey.wall.0 < Duration::from_secs(1)),
            ("survey", "tool_calls", survey.tool_calls == 0),
        ];
        for (section, key, wrong) in zero {
            if wrong {
                self.problem(
                    path!["budgets", section, key],
                    "leaves no room for any work",
                    "leave it out for the default",
                );
            }
        }
        Budget {
            turns: of.turns,
            tool_calls: of.tool_calls,
            tokens: of.tokens,
            cost_usd: of.cost_usd,
            wall_s: of.wall.0.as_secs(),
            survey_calls: survey.tool_calls,
            survey_s: survey.wall.0.as_secs(),
        }
    }

    /// A cluster is configured when the file names one, KUBECONFIG does, or we run inside one.
    fn kubernetes(&mut self) -> Option<Kubernetes> {
        let of = self.loaded.file.tools.kubernetes.as_ref();
        let elsewhere = self.variable("KUBECONFIG").or_else(|| self.variable("KUBERNETES_SERVICE_HOST"));
        if of.is_none() && elsewhere.is_none() {
            return None;
        }
        let key = path!["tools", "kubernetes", "kubeconfig"];
        let kubeconfig = of.and_then(|k| k.kubeconfig.as_ref()).map(|path| self.absolute(key, path));
        if let Some(path) = kubeconfig.as_ref().filter(|path| !path.is_file()) {
            let what = format!("names no file: {}", path.display());
            self.problem(key, what, "leave it out to look where kubectl looks");
        }
        Some(Kubernetes { kubeconfig, context: of.and_then(|k| k.context.clone()) })
    }

    fn prometheus(&mut self) -> Option<Prometheus> {
        let of = &self.loaded.file.tools.prometheus;
        let key = |name: &str| [Step::from("tools"), Step::from("prometheus"), Step::from(name)];
        let credential = match (&of.bearer, &of.basic) {
            (Some(_), Some(_)) => {
                self.problem(&key("basic"), "stands beside `bearer`", "keep one of them");
                None
            }
            (Some(reference), None) => Some(Credential::Bearer(self.secret(&key("bearer"), reference))),
            (None, Some(basic)) => Some(Credential::Basic {
                username: basic.username.clone(),
                password: self.secret(path!["tools", "prometheus", "basic", "password"], &basic.password),
            }),
            (None, None) => None,
        };
        match (&of.url, self.variable("PROMETHEUS_URL")) {
            (Some(url), _) => Some(Prometheus { url: self.address(&key("url"), url), credential }),
            (None, Some(url)) => {
                let url = url.trim_end_matches('/').to_owned();
                Some(Prometheus { url, credential })
            }
            (None, None) => {
                if credential.is_some() {
                    self.problem(&key("url"), "is missing beside a credential", "add `url: http://HOST:9090`");
                }
                None
            }
        }
    }

    fn notify(&mut self) -> Vec<Notify> {
        let mut names = BTreeSet::from(["log".to_owned()]);
        let sinks = self.loaded.file.notify.iter().enumerate();
        sinks
            .map(|(n, sink)| {
                self.name(path!["notify", n, "name"], &sink.name, &mut names);
                let key = path!["notify", n, "webhook"];
                let webhook = match secret::is_reference(&sink.webhook) {
                    true => self.secret(key, &Reference(sink.webhook.clone())),
                    false => Secret::new(self.address(key, &sink.webhook), "configuration"),
                };
                Notify { name: sink.name.clone(), webhook }
            })
            .collect()
    }
}

/// Ollama's variable may lack the scheme, and names all addresses by 0.0.0.0.
fn ollama_url(host: &str) -> String {
    let host = host.trim_end_matches('/').replace("0.0.0.0", "127.0.0.1");
    match host.contains("://") {
        true => format!("{host}/v1"),
        false if host.contains(':') => format!("http://{host}/v1"),
        false => format!("http://{host}:11434/v1"),
    }
}
