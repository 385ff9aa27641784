//! The engine in this process, on a real store, with a clock that the test turns, before a GitHub of our
//! own. A process that dies leaves its store and nothing else.

use super::REPO;
use crate::support::github::{Hub, TOKEN};
use arc_swap::ArcSwap;
use firewarden::domain::{Budget, Clock, DayBudget, Entropy, EventId, InvestigationId, Person, Redactor, Secret};
use firewarden::edge::github::{Client, Credential, Repo};
use firewarden::edge::{GithubReader, GithubWriter, SystemEntropy};
use firewarden::engine::intake::Intake;
use firewarden::engine::ledger::Ledger;
use firewarden::engine::routes::{Route, Routes};
use firewarden::engine::{Engine, Summaries, driver};
use firewarden::gate::Gate;
use firewarden::journal::{Body, Deed, Investigation, PullPlace};
use firewarden::policy::{Bundle, RegoPolicy};
use firewarden::sources::{AlertSource, Alertmanager, Mapping};
use firewarden::store::sqlite::SqliteStore;
use firewarden::store::{Journal, Signal, Store};
use firewarden::template::Templates;
use firewarden::tools::{Manifests, Registry, Sources};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

/// Steps after which whatever has not ended never will.
const PATIENCE: usize = 600;
/// When the alert began.
const BEGAN: &str = "2026-11-20T10:00:00Z";
/// A rule that has what was done watched for two minutes.
const WATCH: &str = r#"package firewarden.action.watch

oblige contains {"id": "watch", "kind": "verify_after", "within_s": 120, "reason": "it is watched"} if {
	input.call.tool == "github_open_pull_request"
}
"#;

/// A clock that stands still until it is turned.
#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// One investigation and everything that it works with.
pub struct Bench {
    store: Arc<SqliteStore>,
    clock: Arc<Turned>,
    registry: Arc<Registry>,
    routes: Arc<ArcSwap<Routes>>,
    entropy: Arc<dyn Entropy>,
    _dir: TempDir,
}

/// Loading the policies takes longer than most cases.
static POLICY: LazyLock<Arc<RegoPolicy>> = LazyLock::new(|| {
    let embedded = Bundle::embedded();
    let mut files: BTreeMap<String, String> =
        embedded.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    files.insert("action/watch.rego".to_owned(), WATCH.to_owned());
    let policy = RegoPolicy::load(&Bundle::from_files(files)).unwrap();
    Arc::new(policy.with_limit(Duration::from_secs(30)))
});
static TEMPLATES: LazyLock<Arc<Templates>> = LazyLock::new(|| Arc::new(Templates::load(None).unwrap()));

/// What the route says.
pub fn place(repo: &str) -> PullPlace {
    PullPlace {
        repo: repo.to_owned(),
        base: Some("main".to_owned()),
        branch: Some("fix/alert-{{ id }}".to_owned()),
        paths: vec!["clusters/**".to_owned(), ".github/**".to_owned()],
    }
}

impl Bench {
    pub async fn on(hub: &Hub) -> Self {
        Self::with(hub, Some(place(REPO))).await
    }

    pub async fn with(hub: &Hub, pulls: Option<PullPlace>) -> Self {
        Self::at(&hub.base_url, &[REPO, "acme/other"], pulls).await
    }

    /// Before the GitHub at `base_url`.
    pub async fn at(base_url: &str, repos: &[&str], pulls: Option<PullPlace>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let store = Arc::new(SqliteStore::open(&dir.path().join("firewarden.db"), entropy.as_ref()).await.unwrap());
        let clock = Arc::new(Turned(AtomicI64::new(BEGAN.parse::<Timestamp>().unwrap().as_second() + 60)));
        let client = || {
            let token = Credential::Token(Secret::new(TOKEN, "test"));
            Client::new(base_url, token, clock.clone()).unwrap()
        };
        let repos = repos.iter().map(|repo| Repo::parse(repo).unwrap()).collect();
        let sources = Sources {
            github: Some(GithubReader::new(client(), repos)),
            github_write: Some(GithubWriter::new(client())),
            ..Sources::none(clock.clone())
        };
        let registry = Registry::new(&Manifests::embedded().unwrap(), sources, redactor()).unwrap();
        let routes = Routes::new(vec![Route { pulls, ..Route::named("all") }]).unwrap();
        let routes = Arc::new(ArcSwap::from_pointee(routes));
        Self { store, clock, registry: Arc::new(registry), routes, entropy, _dir: dir }
    }

    /// A process as it starts: nothing but the store is of an earlier one.
    fn engine(&self) -> Engine {
        let store: Arc<dyn Store> = self.store.clone();
        Engine {
            store,
            gate: Gate::new(POLICY.clone()),
            tools: self.registry.clone(),
            templates: TEMPLATES.clone(),
            models: vec![],
            summaries: Summaries::default(),
            routes: self.routes.clone(),
            sinks: vec![],
            budget: Budget { survey_calls: 0, survey_s: 0, ..Budget::default() },
            ledger: Ledger::new(DayBudget::default()),
            redactor: redactor(),
            marker_key: Secret::new("a-key", "test"),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            live: Arc::default(),
            public_url: Some("https://firewarden.example.org".to_owned()),
        }
    }

    fn turn(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// An alert of this severity opens an investigation, for which somebody proposes changes.
    pub async fn propose(&self, severity: &str, calls: &[(&str, Value)]) -> InvestigationId {
        let now = self.clock.now();
        let labels = json!({"alertname": "Case", "namespace": "shop", "severity": severity});
        let summary = "ask @acme/oncall, fixes #12, see https://evil.example ![x](http://evil.example/x.png)";
        let body = json!({"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "groupLabels": {},
            "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am", "truncatedAlerts": 0,
            "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": summary}, "startsAt": BEGAN,
                        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "f00d"}]});
        let redactor = Redactor::new([]).unwrap();
        let mapping = Mapping { at: now, entropy: self.entropy.as_ref(), redactor: &redactor, hmac_key: b"k" };
        let normalised = Alertmanager.normalise(&body, body.to_string().as_bytes(), &mapping).unwrap();
        let intake = Intake::new(self.store.clone(), self.routes.clone(), self.clock.clone(), self.entropy.clone());
        let receipt = intake.accept("alertmanager", normalised).await.unwrap();
        let id = receipt.rows[0].job_id.unwrap();
        for (tool, args) in calls {
            let (by, tool, reason) = ("ann".to_owned(), (*tool).to_owned(), "why not".to_owned());
            let signal = Signal::Propose { by, tool, args: args.clone(), reason };
            assert!(self.store.signal(id, "ann", signal, now).await.unwrap());
        }
        id
    }

    /// The alert is over.
    pub async fn resolve(&self, id: InvestigationId) {
        let event: EventId = self.folded(id).await.opening().unwrap().id;
        let now = self.clock.now();
        assert!(self.store.signal(id, "am", Signal::Resolved { event, ends_at: now }, now).await.unwrap());
    }

    /// Works until nothing is left to do, over crashes and waits. Questions are answered with yes.
    /// `between` is called whenever nothing is due. Answers how often the process died.
    pub async fn work(
        &self,
        id: InvestigationId,
        hub: Option<&Hub>,
        mut between: impl AsyncFnMut(&Investigation),
    ) -> usize {
        let mut deaths = 0;
        for _ in 0..PATIENCE {
            let now = self.clock.now();
            let until = now.checked_add(SignedDuration::from_secs(30)).unwrap();
            let Some(lease) = self.store.claim("bench", now, until).await.unwrap() else {
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
                () = crashed(hub) => true,
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
        let (approval, digest) = (question.id, question.digest.clone());
        let (at, comment) = (self.clock.now(), "go".to_owned());
        let signal = Signal::Answer { approval, digest, granted: true, by, at, comment };
        assert!(self.store.signal(id, "bea", signal, self.clock.now()).await.unwrap());
    }

    /// The investigation as its journal has it.
    pub async fn folded(&self, id: InvestigationId) -> Investigation {
        let mut inv = Investigation::empty(&id.to_string());
        for entry in self.store.entries(&id.to_string(), 0, 1000).await.unwrap() {
            inv.apply(&entry).unwrap();
        }
        inv
    }

    /// Why a call was refused, where it was.
    pub async fn refusals(&self, id: InvestigationId) -> Vec<String> {
        let entries = self.store.entries(&id.to_string(), 0, 1000).await.unwrap();
        let refused = entries.into_iter().filter_map(|entry| match entry.body {
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

async fn crashed(hub: Option<&Hub>) {
    match hub {
        Some(hub) => hub.crashed().await,
        None => std::future::pending().await,
    }
}

fn redactor() -> Arc<ArcSwap<Redactor>> {
    Arc::new(ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()))
}
