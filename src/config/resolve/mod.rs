//! From a well-formed file to a [`Config`]: well-known variables, paths, secrets, names.
//!
//! - [`alertmanager`], [`budgets`], [`custom`], [`github`], [`jira`], [`keeping`], [`looking`], [`mcp`], [`models`], [`places`], [`routes`], [`senders`]:
//!   those parts that take most words

mod alertmanager;
mod budgets;
mod custom;
mod github;
mod jira;
mod keeping;
mod looking;
mod mcp;
mod models;
mod places;
mod pollers;
mod routes;
mod senders;

use super::file;
use super::secret::{self, Reference};
use super::tree::{Place, Step, path_text};
use super::{
    AccessToken, Config, ConfigError, Kubernetes, KubernetesWriter, Loaded, Notify, Places, Problem, Prometheus, Server,
};
use crate::domain::{Playbooks, Secret};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// What a name may be.
const NAME_HELP: &str = "use letters, digits, `-`, `_` and `.`, at most 64";

/// Largest `tools.prometheus.max_series`.
const SERIES: usize = 100_000;

macro_rules! at {
    ($($step:expr),+ $(,)?) => { &[$(Step::from($step)),+] };
}
use at;

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
        let places = r.places();
        let config = Config {
            server: r.server(),
            access: r.access(),
            intake: r.intake(),
            pollers: r.pollers(),
            tool_secrets: r.tool_secrets(places.tools.as_deref()),
            places,
            routes: r.routes(&models),
            playbooks: r.playbooks(),
            models,
            budget: r.budget(),
            summaries: file.investigation.summaries,
            per_day: r.per_day(),
            kubernetes: r.kubernetes(),
            prometheus: r.prometheus(),
            loki: r.loki(),
            alertmanager: r.alertmanager(),
            elasticsearch: r.elasticsearch(),
            probe_targets: r.probe_targets(),
            runbooks: r.runbooks(),
            github: r.github(),
            jira: r.jira(),
            mcp: r.mcp(),
            notify: r.notify(),
            checkpoint_every: r.checkpoint_every(),
            retention: r.retention(),
            log: file.telemetry.log,
            origin: Arc::new(self.clone()),
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

    /// The address under which this machine reaches the server that this configuration starts.
    ///
    /// # Errors
    /// When `server.listen` is no address.
    pub fn local_address(&self) -> Result<String, ConfigError> {
        let mut r = Resolver { loaded: self, problems: vec![] };
        let mut listen = r.server().listen;
        if listen.ip().is_unspecified() {
            let loopback: std::net::IpAddr = match listen {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            listen.set_ip(loopback);
        }
        r.finish(format!("http://{listen}"))
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
            self.problem(at!["server", "listen"], format!("is no address to listen on: `{text}`"), help);
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        });
        let public_url = server.public_url.as_ref().map(|url| self.address(at!["server", "public_url"], url));
        let max_body = server.max_body.0;
        if !(1 << 10..=256 << 20).contains(&max_body) {
            let help = "32MiB takes 20,000 alerts";
            self.problem(at!["server", "max_body"], "is not between 1KiB and 256MiB", help);
        }
        Server { listen, public_url, max_body: usize::try_from(max_body).unwrap_or(usize::MAX) }
    }

    fn access(&mut self) -> Vec<AccessToken> {
        let mut names = BTreeSet::new();
        let tokens = self.loaded.file.access.tokens.iter().enumerate();
        tokens
            .map(|(n, token)| {
                self.name(at!["access", "tokens", n, "name"], &token.name, &mut names);
                AccessToken {
                    name: token.name.clone(),
                    role: token.role,
                    groups: token.groups.clone(),
                    token: self.secret(at!["access", "tokens", n, "token"], &token.token),
                }
            })
            .collect()
    }

    fn playbooks(&mut self) -> Playbooks {
        let playbooks = self.loaded.file.playbooks.clone();
        for key in playbooks.0.keys() {
            if let Some(word) = Playbooks::odd_severity(key) {
                let what = format!("names a severity that there is not: `{word}`");
                let help = "write SOURCE:SEVERITY (info, warning, error or critical), SOURCE, or `default`";
                self.problem(at!["playbooks", key.as_str()], what, help);
            }
        }
        playbooks
    }

    /// A cluster is configured when the file names one, KUBECONFIG does, or we run inside one.
    fn kubernetes(&mut self) -> Option<Kubernetes> {
        let of = self.loaded.file.tools.kubernetes.as_ref();
        let elsewhere = self.variable("KUBECONFIG").or_else(|| self.variable("KUBERNETES_SERVICE_HOST"));
        if of.is_none() && elsewhere.is_none() {
            return None;
        }
        let key = at!["tools", "kubernetes", "kubeconfig"];
        let kubeconfig = of.and_then(|k| k.kubeconfig.as_ref()).map(|path| self.absolute(key, path));
        if let Some(path) = kubeconfig.as_ref().filter(|path| !path.is_file()) {
            let what = format!("names no file: {}", path.display());
            self.problem(key, what, "leave it out to look where kubectl looks");
        }
        let url = of.and_then(|k| k.url.as_ref()).map(|url| self.address(at!["tools", "kubernetes", "url"], url));
        let bearer = of.and_then(|k| k.bearer.as_ref());
        let bearer = bearer.map(|token| self.secret(at!["tools", "kubernetes", "bearer"], token));
        let context = of.and_then(|k| k.context.clone());
        if url.is_some() && (kubeconfig.is_some() || context.is_some()) || url.is_none() && bearer.is_some() {
            let help = "either `url` (and `bearer`), or `kubeconfig` and `context`";
            self.problem(at!["tools", "kubernetes"], "names the cluster in two ways", help);
        }
        let write = self.kubernetes_writer(context.as_deref());
        Some(Kubernetes { url, bearer, kubeconfig, context, write })
    }

    /// As whom the cluster is changed, when it may be. A context alone picks one of the reader's kubeconfig.
    fn kubernetes_writer(&mut self, context: Option<&str>) -> Option<KubernetesWriter> {
        let of = self.loaded.file.tools.kubernetes.as_ref()?;
        let written = of.writer.clone();
        let key = at!["tools", "kubernetes", "writer", "kubeconfig"];
        let kubeconfig = written.kubeconfig.as_ref().map(|path| self.absolute(key, path));
        if let Some(path) = kubeconfig.as_ref().filter(|path| !path.is_file()) {
            let what = format!("names no file: {}", path.display());
            self.problem(key, what, "write the kubeconfig of the account that may change the cluster");
        }
        let writer = KubernetesWriter { kubeconfig, context: written.context };
        if !of.write && !writer.is_the_reader() {
            let help = "add `write: true`, or take `writer` out";
            self.problem(at!["tools", "kubernetes", "writer"], "stands beside `write: false`", help);
        }
        if writer.kubeconfig.is_none() && writer.context.is_some() && writer.context.as_deref() == context {
            let help = "name another context, or leave `writer` out: then it is the reader who writes";
            self.problem(at!["tools", "kubernetes", "writer", "context"], "is the reader's own", help);
        }
        of.write.then_some(writer)
    }

    fn prometheus(&mut self) -> Option<Prometheus> {
        let of = &self.loaded.file.tools.prometheus;
        let credential = self.credential("prometheus", None, of.bearer.as_ref(), of.basic.as_ref());
        let url = self.peer_address("prometheus", of.url.as_ref(), &["PROMETHEUS_URL"], credential.is_some())?;
        if !(1..=SERIES).contains(&of.max_series) {
            let help = format!("1 to {SERIES}; an answer of more helps nobody");
            self.problem(at!["tools", "prometheus", "max_series"], format!("is {}", of.max_series), help);
        }
        Some(Prometheus { url, credential, max_series: of.max_series })
    }

    fn notify(&mut self) -> Vec<Notify> {
        let mut names = BTreeSet::from(["log".to_owned()]);
        let sinks = self.loaded.file.notify.iter().enumerate();
        sinks
            .map(|(n, sink)| {
                self.name(at!["notify", n, "name"], &sink.name, &mut names);
                let key = at!["notify", n, "webhook"];
                let webhook = match secret::is_reference(&sink.webhook) {
                    true => self.secret(key, &Reference(sink.webhook.clone())),
                    false => Secret::new(self.address(key, &sink.webhook), "configuration"),
                };
                Notify { name: sink.name.clone(), webhook }
            })
            .collect()
    }
}
