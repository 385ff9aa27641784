//! L8: the only place that names concrete adapters. A configuration becomes a working whole here.

mod access;
mod governor;
pub mod handover;
mod keeping;
mod metrics;
mod models;
mod peers;
mod policies;
mod polling;
mod reload;
mod rotation;
mod rounds;
mod rules;
pub mod signing;
mod sinks;
mod stores;
mod watched;

pub use peers::{
    alertmanager, elasticsearch, github, github_as_writer, github_writer, http_probe, jira, kubernetes,
    kubernetes_writer, loki, mcp, prometheus, runbooks,
};
pub use polling::polled_alertmanager;
pub use rules::routes;
pub use stores::{holder, probe_store, reader};

use crate::analysis;
use crate::config::{Config, Provider};
use crate::domain::{Clock, Digest, Entropy, Redactor, Secret};
use crate::edge::{EdgeError, SystemClock, SystemEntropy};
use crate::engine::checkpoints::{Checkpoints, CheckpointsError};
use crate::engine::governing;
use crate::engine::intake::Intake;
use crate::engine::ledger::Ledger;
use crate::engine::notify::{LogSink, Sink};
use crate::engine::rest::{Queue, Rest};
use crate::engine::routes::{RouteError, Routes};
use crate::engine::warm::Warm;
use crate::engine::{Engine, PricedModel, worker};
use crate::gate::Gate;
use crate::http::{self, Access, Gates, Limits, Status, Storm, Web};
use crate::journal::{Body, Draft, Started};
use crate::model::ModelError;
use crate::policy::{Bundle, LivePolicy, Policy, PolicyError, Tried};
use crate::sources::Senders;
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, Log, Store, StoreError};
use crate::template::{TemplateError, Templates};
use crate::tools::custom::Doors;
use crate::tools::{ManifestError, Manifests, Registry, Sources};
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use models::{model, profile};
pub use policies::{AuthorsPolicy, bundle, policy_of};

/// Investigations that are worked on at once. Most of the time they wait for a model; how many calls
/// are made of the cluster at once is bounded where the calls are made.
const AT_ONCE: usize = 64;

/// Why the whole cannot work. Each text names what and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policies.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The prompts.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The tools.
    #[error(transparent)]
    Tools(#[from] ManifestError),
    /// The routes.
    #[error(transparent)]
    Routes(#[from] RouteError),
    /// A model's settings.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A peer's settings.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// The key that signs the journal.
    #[error(transparent)]
    SigningKey(#[from] signing::SigningKeyError),
    /// The journal as it was signed.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointsError),
    /// Secrets that cannot be looked for.
    #[error("the configured secrets cannot be looked for in texts: {0}")]
    Redactor(#[from] regex::Error),
    /// A template for branches that does not render.
    #[error("routes, `{route}`, github.branch: {source}")]
    Branch {
        /// The route.
        route: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// A prompt that does not render.
    #[error("prompts do not render:\n{}", .0.join("\n"))]
    Prompts(Vec<String>),
    /// The address to listen on.
    #[error("{address} cannot be listened on: {source}. Stop what uses it, or set server.listen.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Everything but the store: what can be judged without opening it.
#[derive(Debug)]
pub struct Parts {
    /// The policy in force.
    pub policy: Arc<LivePolicy>,
    /// The same as text.
    pub bundle: Bundle,
    /// What is to be asked of the policy that is tried beside it.
    tried: Receiver<Tried>,
    /// Prompts.
    pub templates: Arc<Templates>,
    /// Routes.
    pub routes: Routes,
    /// Models.
    pub models: Vec<PricedModel>,
    /// Tools whose peers are configured.
    pub tools: Arc<Registry>,
    /// Knows every secret; changed when a secret is.
    pub redactor: Arc<ArcSwap<Redactor>>,
}

/// A working whole.
#[derive(Debug)]
pub struct App {
    /// From alert to report.
    pub engine: Arc<Engine>,
    /// Takes alerts in.
    pub intake: Arc<Intake>,
    /// Whose alerts are understood.
    pub senders: Senders,
    rest: Option<Arc<Rest>>,
    /// The concrete store, for what only it can do.
    store: Arc<SqliteStore>,
    checkpoints: Arc<Checkpoints>,
    access: Access,
    policy: Arc<LivePolicy>,
    /// The configured policies, as they were read.
    configured: Digest,
    /// Whoever holds it may change what is in force.
    turn: Arc<tokio::sync::Mutex<()>>,
    config: Config,
    metrics: Option<PrometheusHandle>,
}

/// The manifests of `dir` over the embedded ones.
///
/// # Errors
/// When one does not load.
pub fn manifests(dir: Option<&Path>) -> Result<Manifests, ManifestError> {
    match dir {
        Some(dir) => Manifests::with_dir(dir),
        None => Manifests::embedded(),
    }
}

/// What takes every configured secret out of texts.
///
/// # Errors
/// When they cannot be looked for.
pub fn redactor(config: &Config) -> Result<Redactor, AppError> {
    Ok(Redactor::new(config.secrets().into_iter().map(Secret::expose))?)
}

impl Parts {
    /// Loads and checks everything that the configuration names, except the store.
    ///
    /// # Errors
    /// At the first thing that does not load.
    pub async fn load(config: &Config) -> Result<Self, AppError> {
        let redactor = Arc::new(ArcSwap::from_pointee(redactor(config)?));
        let sources = Sources {
            kubernetes: kubernetes(config.kubernetes.as_ref()).await?,
            kubernetes_write: kubernetes_writer(config.kubernetes.as_ref()).await?,
            prometheus: peers::prometheus(config)?,
            loki: peers::loki(config)?,
            alertmanager: peers::alertmanager(config)?,
            alertmanager_write: peers::alertmanager_writer(config)?,
            elasticsearch: peers::elasticsearch(config)?,
            http_probe: peers::http_probe(config)?,
            runbooks: peers::runbooks(config)?,
            github: peers::github(config)?,
            custom: Doors { secrets: config.tool_secrets.clone(), ..Doors::default() },
            mcp: peers::mcp(config)?,
            jira: peers::jira(config)?,
            jira_writer: peers::jira_writer(config)?,
            github_write: peers::github_writer(config)?,
            clock: Arc::new(SystemClock),
        };
        let templates = Templates::load(config.places.prompts.as_deref())?;
        let problems = templates.lint();
        if !problems.is_empty() {
            return Err(AppError::Prompts(problems));
        }
        let routes = rules::checked(config, &templates)?;
        let (policy, tried, bundle) = policies::governing(&config.places)?;
        Ok(Self {
            policy: Arc::new(policy),
            bundle,
            tried,
            templates: Arc::new(templates),
            routes,
            models: models::models(config)?,
            tools: Arc::new(Registry::new(&manifests(config.places.tools.as_deref())?, sources, redactor.clone())?),
            redactor,
        })
    }
}

impl App {
    /// Puts a whole together and opens its store.
    ///
    /// # Errors
    /// When something does not load or somebody else holds the store.
    pub async fn build(config: Config) -> Result<Self, AppError> {
        let metrics = metrics::recorder();
        let parts = Parts::load(&config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let store = Arc::new(SqliteStore::open(&config.places.store, entropy.as_ref()).await?);
        let routes = Arc::new(ArcSwap::from_pointee(parts.routes));
        let mut sinks: Vec<Arc<dyn Sink>> = vec![Arc::new(LogSink)];
        for notify in &config.notify {
            sinks.push(Arc::new(sinks::WebhookSink::new(&notify.name, notify.webhook.expose())?));
        }
        let dynamic: Arc<dyn Store> = store.clone();
        let is_missed = store.last_checkpoint().await?.is_some();
        let public_url = config.server.public_url.as_deref();
        let key_file = config.places.signing_key();
        let signer = signing::read_or_make(&key_file, public_url, is_missed, entropy.as_ref())?;
        let signer = handover::finished(&dynamic, &key_file, signer, &clock).await?;
        let checkpoints =
            Arc::new(Checkpoints::new(dynamic.clone(), signer, clock.clone()).behind(signing::pinned(&key_file)?));
        // Whoever signs with another key would break what strangers rely on. What is damaged is no reason to let
        // an incident pass; `audit verify` tells.
        if let Err(error @ CheckpointsError::Foreign { .. }) = checkpoints.are_ours().await {
            return Err(error.into());
        }
        let (standing, last) = governing::standing(dynamic.as_ref()).await?;
        let (governing, bundle) = policies::resume(&parts.policy, &parts.bundle, standing, dynamic.as_ref()).await?;
        let policy = parts.policy.reference();
        let is_another = last.is_some_and(|last| last.digest != policy.digest);
        let started = Body::Started(Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy,
            prompts: parts.templates.digest(),
            tools: parts.tools.digest(),
            bundle: Some(bundle.reference.clone()),
            governing,
        });
        store.append_system(vec![Draft::engine(started)], vec![bundle], clock.now()).await?;
        if is_another {
            reload::judge_questions_again(dynamic.as_ref(), clock.as_ref()).await?;
        }
        if let Err(error) = checkpoints.make().await {
            tracing::error!(%error, "no checkpoint could be made");
        }
        let engine = Arc::new(Engine {
            marker_key: marker_key(&store),
            store: dynamic.clone(),
            gate: Gate::new(parts.policy.clone()),
            tools: parts.tools,
            templates: parts.templates,
            models: parts.models,
            summaries: config.summaries,
            routes: routes.clone(),
            coalesce: config.intake.coalesce,
            sinks,
            budget: ArcSwap::from_pointee(config.budget),
            ledger: Ledger::new(config.per_day),
            redactor: parts.redactor,
            clock: clock.clone(),
            entropy: entropy.clone(),
            live: Arc::default(),
            warm: Warm::default(),
            public_url: config.server.public_url.clone(),
        });
        // What was spent today bounds what comes; without knowing it nothing is begun.
        engine.ledger.today(engine.store.as_ref(), engine.clock.now()).await?;
        let intake = Arc::new(Intake::new(dynamic, routes, clock.clone(), entropy.clone()).capped(config.intake.storm));
        let reader = peers::alertmanager(&config)?;
        let rest = reader.map(|reader| Rest {
            reader,
            intake: intake.clone(),
            redactor: engine.redactor.clone(),
            hmac_key: store.hmac_key().into(),
            clock,
            entropy,
            queue: Queue::default(),
        });
        let senders = Senders::new(config.intake.sources.clone());
        let policy = parts.policy;
        reload::try_beside(&policy, parts.tried, &engine.store, engine.clock.clone());
        let (rest, access) = (rest.map(Arc::new), access::access(&config));
        let (configured, turn) = (parts.bundle.digest().clone(), Arc::default());
        Ok(Self {
            engine,
            intake,
            senders,
            rest,
            store,
            checkpoints,
            access,
            policy,
            configured,
            turn,
            config,
            metrics,
        })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The key under which original bytes of alerts are vouched for.
    pub fn hmac_key(&self) -> &[u8] {
        self.store.hmac_key()
    }

    /// Begins to work on whatever is in the store, until `stop` says so.
    pub fn work(&self, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let engine = self.engine.clone();
        let owner = format!("{}-{}", std::process::id(), engine.entropy.uuid(engine.clock.now()));
        tokio::spawn(async move {
            // Kinds of the cluster that are not built in; without an answer they stay as written.
            if let Err(error) = engine.tools.warm().await {
                tracing::warn!(error = error.for_reader(), "the cluster did not tell what kinds it serves");
            }
        });
        let (engine, mut ended) = (self.engine.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = engine.tools.keep() => {}
                _ = ended.wait_for(|stop| *stop) => {}
            }
        });
        // What a server can do is better known before the first incident than in its middle.
        for model in &self.engine.models {
            let provider = model.provider.clone();
            tokio::spawn(async move { provider.prepare().await });
        }
        tokio::spawn(worker::run(self.engine.clone(), owner, AT_ONCE, stop))
    }

    /// Listens on the configured address.
    ///
    /// # Errors
    /// When somebody else does.
    pub async fn listen(&self) -> Result<TcpListener, AppError> {
        let address = self.config.server.listen;
        TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })
    }

    /// Receives alerts, works on them and answers the API, until `stop` turns true. Credentials in files
    /// and pollers are read again every few seconds, and at once on SIGHUP.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(&self, listener: TcpListener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
        if let Ok(address) = listener.local_addr() {
            self.store.announce(&format!("http://{address}"));
        }
        let workers = self.work(stop.clone());
        let keeping = self.keep(&stop);
        let mut ended = stop.clone();
        let stopped = async move {
            let _ = ended.wait_for(|stop| *stop).await;
        };
        let web = self.web();
        let (pollers, wanted) = watch::channel(Arc::from(self.config.pollers.as_slice()));
        let polling = self.poll(wanted, &stop);
        let rotating = rotation::Rotation::new(self.access.clone(), &self.config, self.engine.templates.clone()).begin(
            web.clone(),
            self.engine.clone(),
            pollers,
        );
        let reloading: Vec<_> = self.reloads().into_iter().map(reload::Reload::begin).collect();
        let served = http::serve(listener, web, stopped).await;
        rotating.abort();
        reloading.iter().for_each(JoinHandle::abort);
        let _ = polling.await;
        let _ = workers.await;
        for task in keeping {
            let _ = task.await;
        }
        let goodbye = vec![Draft::engine(Body::Stopped {})];
        if let Err(error) = self.store.append_system(goodbye, vec![], self.engine.clock.now()).await {
            tracing::warn!(%error, "the end could not be noted");
        }
        self.checkpoint().await;
        served
    }

    fn web(&self) -> Arc<Web> {
        let engine = self.engine.clone();
        let ollama = self.config.models.iter().find(|model| model.provider == Provider::Ollama);
        let ollama = ollama.map(|model| model.base_url.clone());
        let audit_key = self.checkpoints.key().to_string();
        Arc::new(Web {
            intake: self.intake.clone(),
            senders: self.senders.clone(),
            storm: Storm::new(self.config.intake.storm_per_minute),
            rest: self.rest.clone(),
            store: self.engine.store.clone(),
            access: ArcSwap::from_pointee(self.access.clone()),
            redactor: self.engine.redactor.clone(),
            hmac_key: self.store.hmac_key().to_vec(),
            status: Arc::new(move || Status {
                policies_loaded: true,
                model_name: engine.models.first().map(|model| model.provider.model().to_owned()),
                ollama_url: ollama.clone(),
                audit_key: Some(audit_key.clone()),
                llm_connected: engine.models.first().and_then(|model| model.pulse.answered()),
            }),
            policies: self.policies(),
            live: self.engine.live.clone(),
            metrics: self.metrics.clone(),
            render_markdown: analysis::markdown,
            limits: {
                let engine = self.engine.clone();
                Arc::new(move || {
                    let routes = engine.routes.load();
                    Limits {
                        per_day: engine.ledger.limits(),
                        routes: routes.iter().filter_map(|r| Some((r.name.clone(), r.max_per_day?))).collect(),
                        totals: routes.iter().filter_map(|r| Some((r.name.clone(), r.max_total?))).collect(),
                    }
                })
            },
            clock: self.engine.clock.clone(),
            entropy: self.engine.entropy.clone(),
            gates: Gates::for_bodies_of(self.config.server.max_body),
        })
    }
}

/// Digest of everything that decides: policy, prompts, tools. Two programs with one digest decide
/// alike.
pub fn revision(parts: &Parts) -> Digest {
    let policy = parts.policy.reference().digest;
    Digest::of_parts([policy.as_str(), parts.templates.digest().as_str(), parts.tools.digest().as_str()])
}

/// What changes carry into the world is signed with a key of the store's own.
fn marker_key(store: &SqliteStore) -> Secret {
    let derived = Digest::of_parts([b"firewarden/marker-key".as_slice(), store.hmac_key()]);
    Secret::new(derived.to_string(), "the store")
}
