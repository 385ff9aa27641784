//! L8: `firewarden.yaml`, variables and flags, read into one [`Config`].
//!
//! - [`tree`]: what was written, with its place
//! - [`read`]: from there to types; [`file`] has the types, [`later`] the keys of later versions
//! - [`load`]: file, variables and flags in their order; every problem at once
//! - [`resolve`]: paths, secrets and names checked
//! - [`keys`]: what each key means, for docs/configuration.md and for suggestions
//! - [`looking`]: the peers of the reading tools beside cluster and Prometheus
//! - [`keeping`]: what is signed, and how long payloads are kept
//! - [`mcp`]: MCP servers
//! - [`senders`]: who sends alerts; [`pollers`]: who is asked for them; [`routes`]: which way they take
//! - [`units`], [`secret`]: durations, sizes, references to secrets

mod file;
mod forge;
mod keeping;
pub mod keys;
mod later;
mod load;
mod looking;
mod mcp;
mod pollers;
mod read;
mod resolve;
mod routes;
mod secret;
mod senders;
mod silences;
mod suggest;
mod tree;
mod units;

pub use crate::http::IntakeToken;
pub use file::{JiraDeployment, LogFormat, Price, ProbeMethod, Provider, Role};
pub use load::{Loaded, Sources};
pub use looking::{Alertmanager, Elasticsearch, Github, GithubCredential, Jira, Loki, ProbeTarget, Runbooks};
pub use mcp::{McpPeer, McpWay};
pub use pollers::Poller;
pub use secret::resolve as resolve_secret;
pub use tree::Place;
pub use units::{Size, Span};

use crate::domain::{Budget, DayBudget, Playbook, Playbooks, Secret, Severity};
use crate::engine::retention::Retention;
use crate::engine::{Coalesce, Summaries};
use crate::journal::PullPlace;
use crate::model::{CacheMarks, Structured};
use crate::sources::JsonMapping;
use crate::store::StormCap;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The configuration, checked: names refer to something, secrets are read, paths are absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where people and senders reach us.
    pub server: Server,
    /// Who may use the API.
    pub access: Vec<AccessToken>,
    /// Who may send alerts.
    pub intake: Intake,
    /// Who is asked for alerts.
    pub pollers: Vec<Poller>,
    /// Where everything is kept.
    pub places: Places,
    /// First match wins; the implicit route `default` is not in here.
    pub routes: Vec<Route>,
    /// Who proposes changes where no model does, by sender and severity.
    pub playbooks: Playbooks,
    /// Tried in this order.
    pub models: Vec<Model>,
    /// Who condenses what is too long for a conversation.
    pub summaries: Summaries,
    /// What one investigation may spend.
    pub budget: Budget,
    /// What all investigations of a UTC day may spend together.
    pub per_day: DayBudget,
    /// The cluster to look at, if one is configured.
    pub kubernetes: Option<Kubernetes>,
    /// The Prometheus to ask, if one is configured.
    pub prometheus: Option<Prometheus>,
    /// The Loki to ask, if one is configured.
    pub loki: Option<Loki>,
    /// The Alertmanager whose silences are looked at, if one is configured.
    pub alertmanager: Option<Alertmanager>,
    /// The Elasticsearch or OpenSearch to ask, if one is configured.
    pub elasticsearch: Option<Elasticsearch>,
    /// The services that may be probed.
    pub probe_targets: Vec<ProbeTarget>,
    /// Where runbooks are, if anywhere.
    pub runbooks: Option<Runbooks>,
    /// The repositories to look at, if any are configured.
    pub github: Option<Github>,
    /// The secrets of tools that manifests describe whole, by tool and reference.
    pub tool_secrets: BTreeMap<(String, String), Secret>,
    /// The Jira to look at and to write into, if one is configured.
    pub jira: Option<Jira>,
    /// MCP servers, and what of them is offered.
    pub mcp: Vec<McpPeer>,
    /// Who is told of reports.
    pub notify: Vec<Notify>,
    /// How often what was appended is signed.
    pub checkpoint_every: Duration,
    /// How long payloads are kept.
    pub retention: Retention,
    /// How log lines look.
    pub log: LogFormat,
    /// What was read, and where, to be read again.
    pub origin: Arc<Loaded>,
}

/// Where people and senders reach us.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address under which others reach us, without a slash at its end.
    pub public_url: Option<String>,
    /// Largest accepted body, in bytes.
    pub max_body: usize,
}

/// One credential of the API.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// Stands in the journal for whoever uses it.
    pub name: String,
    /// What it permits.
    pub role: Role,
    /// The groups whose questions it may answer.
    pub groups: Vec<String>,
    /// The credential.
    pub token: Secret,
}

/// Who may send alerts.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Credentials by source; several for one source are all valid.
    pub tokens: Vec<IntakeToken>,
    /// Accept alerts without a credential even off loopback.
    pub allow_anonymous: bool,
    /// Alerts that one sender may send in a minute, Alertmanager excepted; 0 sets no cap.
    pub storm_per_minute: u32,
    /// How long alerts of one incident are gathered before the work begins.
    pub coalesce: Coalesce,
    /// Investigations that are opened at most.
    pub storm: Option<StormCap>,
    /// Senders whose JSON is described.
    pub sources: Vec<JsonMapping>,
}

/// Files and folders. `None` means what is embedded in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The SQLite database.
    pub store: PathBuf,
    /// The key that signs checkpoints, where one is configured.
    pub signing_key: Option<PathBuf>,
    /// Rego policies.
    pub policies: Option<PathBuf>,
    /// Rego policies that are tried beside them and decide nothing.
    pub shadow: Option<PathBuf>,
    /// Prompts, over the embedded ones.
    pub prompts: Option<PathBuf>,
    /// Manifests of tools, over the embedded ones.
    pub tools: Option<PathBuf>,
}

impl Places {
    /// The key that signs checkpoints: the configured one, or that beside the store.
    pub fn signing_key(&self) -> PathBuf {
        self.signing_key.clone().unwrap_or_else(|| {
            let mut beside = self.store.clone().into_os_string();
            beside.push(".signing-key");
            beside.into()
        })
    }
}

/// Which alerts take which way.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name, unique.
    pub name: String,
    /// Alertmanager matchers over labels; all must hold.
    pub matchers: Vec<String>,
    /// Sources; empty is any.
    pub sources: Vec<String>,
    /// Severities; empty is any.
    pub severities: Vec<Severity>,
    /// Labels that make the correlation key; empty leaves it to the sender's group key.
    pub correlate: Vec<String>,
    /// The prompt, `incident` for instance.
    pub prompt: String,
    /// Which model investigates.
    pub model: RouteModel,
    /// Tools by name or tag; empty is all.
    pub tools: Vec<String>,
    /// From opening to report; `None` takes the budget's.
    pub timeout: Option<Duration>,
    /// What one investigation may spend; `None` is the budget of all.
    pub budget: Option<Budget>,
    /// Investigations that are worked on at once; `None` is any number.
    pub max_concurrency: Option<u32>,
    /// Investigations that it may open over all; `None` is any number.
    pub max_total: Option<u64>,
    /// Investigations that may use the route's model in a UTC day; `None` is any number.
    pub max_per_day: Option<u32>,
    /// Where its pull requests go.
    pub pulls: Option<PullPlace>,
    /// Who proposes changes where no model does; `None` leaves it to `playbooks`.
    pub playbook: Option<Playbook>,
}

/// Which model investigates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteModel {
    /// The configured ones, in their order.
    InOrder,
    /// None: the deterministic investigation is the whole one.
    Without,
    /// This one.
    Named(String),
}

/// A language model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Our name for it, unique.
    pub name: String,
    /// What it speaks.
    pub provider: Provider,
    /// The server's name for it.
    pub model: String,
    /// Address of the API, without a slash at its end: `/v1` included, for Ollama without it, for a
    /// replay empty.
    pub base_url: String,
    /// The credential, where the server wants one.
    pub api_key: Option<Secret>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// Tokens that its context holds, where somebody said so.
    pub context_tokens: Option<u64>,
    /// Ask for answers piece by piece.
    pub stream: bool,
    /// How the final report is asked for.
    pub structured: Structured,
    /// Whether the server is told what repeats.
    pub cache: CacheMarks,
    /// What the answering model must call itself.
    pub pin: Option<String>,
    /// For Ollama: tokens that the context is to hold.
    pub num_ctx: Option<u64>,
    /// For Ollama: pull the model where it is missing.
    pub pull: bool,
    /// For a replay: the script or transcript.
    pub file: Option<PathBuf>,
    /// For a replay: refuse a request that differs from the recorded one.
    pub strict: bool,
    /// What it costs.
    pub price: Price,
    /// It is asked when the money of the day runs low.
    pub cheap: bool,
}

/// A cluster.
#[derive(Debug, Clone, Default)]
pub struct Kubernetes {
    /// The API server's address, without a slash at its end, where no kubeconfig is used.
    pub url: Option<String>,
    /// The credential for `url`.
    pub bearer: Option<Secret>,
    /// The kubeconfig; `None` looks where kubectl looks, then for a service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context; `None` takes the current one.
    pub context: Option<String>,
    /// Whether, and as whom, it may be changed.
    pub write: Option<KubernetesWriter>,
}

/// As whom a cluster is changed. Without any of it: as who reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesWriter {
    /// A kubeconfig of its own.
    pub kubeconfig: Option<PathBuf>,
    /// A context of its own.
    pub context: Option<String>,
}

impl KubernetesWriter {
    /// It has no credentials of its own.
    pub fn is_the_reader(&self) -> bool {
        *self == Self::default()
    }
}

/// A Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    /// Its address, without a slash at its end.
    pub url: String,
    /// How it is to be asked.
    pub credential: Option<Credential>,
    /// Series that one query may answer.
    pub max_series: usize,
}

/// How an HTTP peer is to be asked.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: ApiKey …`
    ApiKey(Secret),
}

impl Credential {
    /// The secret in it, to be exchanged.
    pub fn secret_mut(&mut self) -> &mut Secret {
        match self {
            Self::Bearer(secret) | Self::Basic { password: secret, .. } | Self::ApiKey(secret) => secret,
        }
    }

    /// The secret in it.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Bearer(secret) | Self::Basic { password: secret, .. } | Self::ApiKey(secret) => secret,
        }
    }
}

/// Somebody who is told of reports.
#[derive(Debug, Clone)]
pub struct Notify {
    /// Its name, unique.
    pub name: String,
    /// The address that reports are sent to. Such addresses often are credentials, so it is kept as
    /// one.
    pub webhook: Secret,
}

impl Config {
    /// Every secret of the configuration, for the redactor.
    pub fn secrets(&self) -> Vec<&Secret> {
        let prometheus = self.prometheus.as_ref().and_then(|p| p.credential.as_ref());
        let loki = self.loki.as_ref().and_then(|l| l.credential.as_ref());
        let alertmanager = self.alertmanager.as_ref().and_then(|a| a.credential.as_ref());
        let elasticsearch = self.elasticsearch.as_ref().and_then(|e| e.credential.as_ref());
        let jira = self.jira.as_ref().and_then(|j| j.credential.as_ref());
        let peers = prometheus.into_iter().chain(loki).chain(alertmanager).chain(elasticsearch).chain(jira);
        let peers = peers.chain(self.pollers.iter().filter_map(|poller| poller.credential.as_ref()));
        let peers = peers.map(Credential::secret);
        let probes = self.probe_targets.iter().flat_map(|target| target.headers.iter().map(|(_, value)| value));
        let access = self.access.iter().map(|t| &t.token);
        let intake = self.intake.tokens.iter().map(|t| &t.token);
        let models = self.models.iter().filter_map(|m| m.api_key.as_ref());
        let notify = self.notify.iter().map(|n| &n.webhook);
        let kubernetes = self.kubernetes.iter().filter_map(|k| k.bearer.as_ref());
        let github =
            self.github.iter().flat_map(|g| g.write.iter().chain([&g.credential]).map(GithubCredential::secret));
        let tools = self.tool_secrets.values().chain(self.mcp.iter().flat_map(McpPeer::secrets));
        let peers = peers.chain(probes).chain(kubernetes).chain(github).chain(tools);
        access.chain(intake).chain(models).chain(peers).chain(notify).collect()
    }

    /// Whether the peer that manifests call `name` is configured.
    pub fn has_peer(&self, name: &str) -> bool {
        match name {
            "kubernetes" => self.kubernetes.is_some(),
            "kubernetes_write" => self.kubernetes.as_ref().is_some_and(|cluster| cluster.write.is_some()),
            "prometheus" => self.prometheus.is_some(),
            "loki" => self.loki.is_some(),
            "alertmanager" => self.alertmanager.is_some(),
            "alertmanager_write" => self.alertmanager.as_ref().is_some_and(|of| of.write),
            "elasticsearch" => self.elasticsearch.is_some(),
            "http_probe" => !self.probe_targets.is_empty(),
            "runbooks" => self.runbooks.is_some(),
            "github" => self.github.is_some(),
            "jira" => self.jira.is_some(),
            "jira_write" => self.jira.as_ref().is_some_and(|jira| jira.write),
            "github_write" => self.github.as_ref().is_some_and(|github| github.write.is_some()),
            _ => false,
        }
    }

    /// Refuses to open a door to the network that nobody watches.
    ///
    /// # Errors
    /// When `server.listen` is no loopback address and intake or API would accept anybody.
    pub fn check_doors(&self) -> Result<(), ConfigError> {
        if self.server.listen.ip().is_loopback() {
            return Ok(());
        }
        let mut problems = vec![];
        if self.intake.tokens.is_empty() && !self.intake.allow_anonymous {
            problems.push(Problem {
                at: Place::Nowhere,
                path: "intake.tokens".into(),
                what: format!("is empty, and {} is reachable from outside: anybody could send alerts", self.server.listen),
                help: "add\n\n      intake:\n        tokens:\n          - {source: \"*\", token: \"env:FLEET_EVENTS_TOKEN\"}\n\n    \
                       or, if something in front of firewarden checks its callers, `intake: {allow_anonymous: true}`,\n    \
                       or listen on 127.0.0.1"
                    .into(),
            });
        }
        if self.access.is_empty() {
            problems.push(Problem {
                at: Place::Nowhere,
                path: "access.tokens".into(),
                what: format!("is empty, and {} is reachable from outside: anybody could use the API", self.server.listen),
                help: "add\n\n      access:\n        tokens:\n          - {name: oncall, role: operator, token: \"env:FIREWARDEN_TOKEN\"}\n\n    \
                       or listen on 127.0.0.1"
                    .into(),
            });
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { file: None, problems }) }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub at: Place,
    /// The key, `routes[0].name`; empty for the file as a whole.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Each problem as what happened and what to do.
    pub fn lines(&self) -> Vec<(String, String)> {
        let file = self.file.as_ref().map_or("configuration".to_owned(), |file| file.display().to_string());
        self.problems
            .iter()
            .map(|problem| {
                let place = match &problem.at {
                    Place::Nowhere => file.clone(),
                    Place::Line(line) => format!("{file}:{line}"),
                    Place::Variable(name) => format!("variable {name}"),
                    Place::Flag(name) => name.clone(),
                };
                let key = if problem.path.is_empty() { String::new() } else { format!("`{}` ", problem.path) };
                (format!("{place}: {key}{}", problem.what), problem.help.clone())
            })
            .collect()
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (what, help)) in self.lines().into_iter().enumerate() {
            let newline = if number > 0 { "\n" } else { "" };
            write!(f, "{newline}{what}\n  help: {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
