//! The engine in this process, on a real store, with the shipped policies and a clock that the test
//! turns: what takes minutes takes none.

use super::cluster::Cluster;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use firewarden::domain::{Budget, Clock, DayBudget, Entropy, EventId, InvestigationId, Person, Redactor, Secret};
use firewarden::edge::{KubeReader, KubeWriter, SystemEntropy};
use firewarden::engine::intake::Intake;
use firewarden::engine::ledger::Ledger;
use firewarden::engine::notify::{Notice, Sink, Undelivered};
use firewarden::engine::routes::{Route, Routes};
use firewarden::engine::warm::Warm;
use firewarden::engine::{Coalesce, Engine, PricedModel, Summaries, driver};
use firewarden::gate::Gate;
use firewarden::journal::{Body, Deed, Entry, Investigation};
use firewarden::policy::{Bundle, RegoPolicy};
use firewarden::sources::{AlertSource, Alertmanager, Delivery, Mapping};
use firewarden::store::sqlite::SqliteStore;
use firewarden::store::{Journal, Signal, Store};
use firewarden::template::Templates;
use firewarden::tools::{Manifests, Registry, Sources};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;

/// Steps of the clock after which whatever has not ended never will.
const PATIENCE: usize = 600;
/// When the first alert began: a minute before the clock stands.
pub const BEGAN: &str = "2026-11-20T10:00:00Z";
/// A secret that nobody may be told.
pub const SECRET: &str = "s3cr3t-value";

/// A clock that stands still until it is turned.
#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A sink at which the process dies, once it is armed and something has happened: people are told of an
/// outcome when it is in the journal.
#[derive(Debug, Default)]
struct Grave {
    armed: AtomicBool,
    happened: Arc<AtomicUsize>,
    reached: Notify,
}

#[async_trait]
impl Sink for Grave {
    fn name(&self) -> &str {
        "grave"
    }

    async fn tell(&self, _: &Notice) -> Result<(), Undelivered> {
        if self.happened.load(Ordering::SeqCst) > 0 && self.armed.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Investigations, and everything that they work with. A process that dies leaves the store and nothing
/// else.
#[derive(Debug)]
pub struct Bench {
    pub store: Arc<SqliteStore>,
    pub registry: Arc<Registry>,
    /// Models that propose, in order.
    pub models: Vec<PricedModel>,
    /// The peer tells here that whoever asked it is dead.
    crashed: Arc<Notify>,
    grave: Arc<Grave>,
    clock: Arc<Turned>,
    routes: Arc<ArcSwap<Routes>>,
    policy: Arc<RegoPolicy>,
    entropy: Arc<dyn Entropy>,
    _dir: TempDir,
}

/// The shipped policies and a file of the test's own.
pub fn policy_with(path: &str, text: &str) -> Arc<RegoPolicy> {
    let shipped = Bundle::embedded();
    let files = shipped.files().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let all = files.chain([(path.to_owned(), text.to_owned())]).collect();
    patient(&Bundle::from_files(all))
}

/// A busy machine may take longer over a decision than production allows.
fn patient(bundle: &Bundle) -> Arc<RegoPolicy> {
    Arc::new(RegoPolicy::load(bundle).unwrap().with_limit(Duration::from_secs(30)))
}

/// Loading the policies takes longer than most cases.
static POLICY: LazyLock<Arc<RegoPolicy>> = LazyLock::new(|| patient(&Bundle::embedded()));
static MANIFESTS: LazyLock<Manifests> = LazyLock::new(|| Manifests::embedded().unwrap());
static REDACTOR: LazyLock<Arc<ArcSwap<Redactor>>> =
    LazyLock::new(|| Arc::new(ArcSwap::from_pointee(Redactor::new([SECRET]).unwrap())));
static TEMPLATES: LazyLock<Arc<Templates>> = LazyLock::new(|| Arc::new(Templates::load(None).unwrap()));

/// The tools on `sources`.
fn tools(sources: Sources) -> Registry {
    Registry::new(&MANIFESTS, sources, REDACTOR.clone()).unwrap()
}

fn of_cluster(cluster: &Cluster, clock: Arc<dyn Clock>) -> Sources {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let access = KubeReader::at(&cluster.url, None).unwrap();
    Sources {
        kubernetes: Some(access.clone()),
        kubernetes_write: Some(KubeWriter::with(access)),
        ..Sources::none(clock)
    }
}

/// The tools on `cluster`.
pub fn registry(cluster: &Cluster, clock: Arc<dyn Clock>) -> Registry {
    tools(of_cluster(cluster, clock))
}

impl Bench {
    /// Before the peers that `sources` reaches; `crashed` is told when one of them saw the process die.
    pub async fn before(sources: impl FnOnce(Arc<dyn Clock>) -> Sources, crashed: Arc<Notify>) -> Self {
        let dir = TempDir::new().unwrap();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let store = Arc::new(SqliteStore::open(&dir.path().join("firewarden.db"), entropy.as_ref()).await.unwrap());
        let clock = Arc::new(Turned(AtomicI64::new(BEGAN.parse::<Timestamp>().unwrap().as_second() + 60)));
        let registry = Arc::new(tools(sources(clock.clone())));
        Self {
            store,
            registry,
            models: vec![],
            crashed,
            grave: Arc::default(),
            clock,
            routes: Arc::default(),
            policy: POLICY.clone(),
            entropy,
            _dir: dir,
        }
    }

    /// Before a cluster.
    pub async fn on(cluster: &Cluster) -> Self {
        let bench = Self::before(|clock| of_cluster(cluster, clock), cluster.crashed.clone()).await;
        let grave = Grave { happened: cluster.happened.clone(), ..Grave::default() };
        Self { grave: Arc::new(grave), ..bench }
    }

    /// The same, judged by this policy.
    pub fn judged_by(self, policy: Arc<RegoPolicy>) -> Self {
        Self { policy, ..self }
    }

    /// The same, where every alert takes this route.
    pub fn routed(self, route: Route) -> Self {
        let routes = Routes::new(vec![route]).unwrap();
        Self { routes: Arc::new(ArcSwap::from_pointee(routes)), ..self }
    }

    /// From now on its route has no place: what is to be investigated stands in line.
    pub fn full(&self) {
        let full = |route: &Route| Route { max_concurrency: Some(0), ..route.clone() };
        let routes = self.routes.load().iter().map(full).collect();
        self.routes.store(Arc::new(Routes::new(routes).unwrap()));
    }

    /// The same, after the store was closed and opened again: what is not in the file is forgotten.
    pub async fn reopened(self) -> Self {
        let Self { store, registry, models, crashed, grave, clock, routes, policy, entropy, _dir } = self;
        drop(store);
        let store = Arc::new(SqliteStore::open(&_dir.path().join("firewarden.db"), entropy.as_ref()).await.unwrap());
        Self { store, registry, models, crashed, grave, clock, routes, policy, entropy, _dir }
    }

    /// The process dies when people are told of the first thing that happened at the cluster.
    pub fn dies_after_outcome(&self) {
        self.grave.armed.store(true, Ordering::SeqCst);
    }

    /// A process as it starts: nothing but the store is of an earlier one.
    pub fn engine(&self) -> Engine {
        let store: Arc<dyn Store> = self.store.clone();
        Engine {
            store,
            gate: Gate::new(self.policy.clone()),
            tools: self.registry.clone(),
            templates: TEMPLATES.clone(),
            models: self.models.clone(),
            summaries: Summaries::default(),
            routes: self.routes.clone(),
            coalesce: Coalesce::default(),
            sinks: vec![self.grave.clone()],
            budget: ArcSwap::from_pointee(Budget { survey_calls: 0, survey_s: 0, ..Budget::default() }),
            ledger: Ledger::new(DayBudget::default()),
            redactor: REDACTOR.clone(),
            marker_key: Secret::new("a-key", "test"),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            live: Arc::default(),
            warm: Warm::default(),
            public_url: Some("https://firewarden.example.org".to_owned()),
        }
    }

    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn turn(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// An alert of this severity opens an investigation, for which somebody proposes a change.
    pub async fn propose(&self, severity: &str, tool: &str, args: &Value) -> InvestigationId {
        let id = self.open(severity, "f00d").await;
        self.propose_again(id, tool, args).await;
        id
    }

    /// An alert of this severity and fingerprint opens an investigation.
    pub async fn open(&self, severity: &str, fingerprint: &str) -> InvestigationId {
        let now = self.clock.now();
        let began = now - SignedDuration::from_secs(60);
        let labels = json!({"alertname": "Case", "namespace": "shop", "severity": severity});
        let summary = "ask @acme/oncall, fixes #12, see https://evil.example ![x](http://evil.example/x.png)";
        let body = json!({"version": "4", "groupKey": fingerprint, "status": "firing", "receiver": "r", "groupLabels": {},
            "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am", "truncatedAlerts": 0,
            "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": summary}, "startsAt": began,
                        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint}]});
        let redactor = REDACTOR.load();
        let mapping = Mapping { at: now, entropy: self.entropy.as_ref(), redactor: &redactor, hmac_key: b"k" };
        let raw = body.to_string();
        let normalised = Alertmanager.normalise(&Delivery::plain(&body, raw.as_bytes()), &mapping).unwrap();
        let intake = Intake::new(self.store.clone(), self.routes.clone(), self.clock.clone(), self.entropy.clone());
        let receipt = intake.accept("alertmanager", normalised).await.unwrap();
        receipt.rows[0].job_id.unwrap()
    }

    /// Somebody proposes a further change.
    pub async fn propose_again(&self, id: InvestigationId, tool: &str, args: &Value) {
        let signal =
            Signal::Propose { by: "ann".into(), tool: tool.into(), args: args.clone(), reason: "why not".into() };
        assert!(self.store.signal(id, "ann", signal, self.clock.now()).await.unwrap());
    }

    /// The alert is over.
    pub async fn resolve(&self, id: InvestigationId) {
        let event: EventId = self.folded(id).await.opening().unwrap().id;
        let now = self.clock.now();
        assert!(self.store.signal(id, "am", Signal::Resolved { event, ends_at: now }, now).await.unwrap());
    }

    /// Works until nothing is left to do, over crashes and waits. Questions are answered with yes.
    /// Answers how often the process died.
    pub async fn work(&self, id: InvestigationId) -> usize {
        self.work_and(id, async |_| {}).await
    }

    /// The same; `between` is called whenever nothing is due, and after each death.
    pub async fn work_and(&self, id: InvestigationId, mut between: impl AsyncFnMut(&Investigation)) -> usize {
        let mut deaths = 0;
        for _ in 0..PATIENCE {
            let now = self.clock.now();
            let until = now.checked_add(SignedDuration::from_secs(30)).unwrap();
            let places = self.routes.load().places();
            let Some(lease) = self.store.claim_within(&places, "bench", now, until).await.unwrap() else {
                let inv = self.folded(id).await;
                if inv.outcome.is_some() {
                    return deaths;
                }
                self.answer(id, &inv).await;
                between(&inv).await;
                self.turn(5);
                continue;
            };
            let engine = self.engine();
            let died = tokio::select! {
                worked = driver::drive(&engine, &lease) => { worked.unwrap(); false }
                () = self.crashed.notified() => true,
                () = self.grave.reached.notified() => true,
            };
            if died {
                deaths += 1;
                between(&self.folded(id).await).await;
                // The lease of a dead process runs out.
                self.turn(31);
            }
        }
        panic!("it never ended: {:#?}", self.folded(id).await.deeds);
    }

    async fn answer(&self, id: InvestigationId, inv: &Investigation) {
        let Some(question) = inv.deeds.iter().find_map(Deed::waits) else { return };
        let by = Person { name: "bea".into(), groups: vec!["oncall".into()], every_group: false };
        let signal = Signal::Answer {
            approval: question.id,
            digest: question.digest.clone(),
            granted: true,
            by,
            at: self.clock.now(),
            comment: "go".into(),
        };
        assert!(self.store.signal(id, "bea", signal, self.clock.now()).await.unwrap());
    }

    pub async fn entries(&self, id: InvestigationId) -> Vec<Entry> {
        self.store.entries(&id.to_string(), 0, 1000).await.unwrap()
    }

    /// The investigation as its journal has it.
    pub async fn folded(&self, id: InvestigationId) -> Investigation {
        let mut inv = Investigation::empty(&id.to_string());
        for entry in self.entries(id).await {
            inv.apply(&entry).unwrap();
        }
        inv
    }

    /// What was said against changes, where anything was.
    pub async fn refusals(&self, id: InvestigationId) -> Vec<String> {
        let refused = self.entries(id).await.into_iter().filter_map(|entry| match entry.body {
            Body::CallRejected { remedy, .. } => Some(remedy),
            Body::ActionDropped { reason, .. } => Some(reason),
            Body::ActionFailed { error, .. } => Some(error),
            Body::ActionRuled { told, ruling, .. } if !ruling.reasons.is_empty() => {
                let said = ruling.reasons.iter().map(|reason| reason.reason.as_str());
                Some(format!("{told} {}", said.collect::<Vec<_>>().join("; ")))
            }
            _ => None,
        });
        refused.collect()
    }
}
