//! A router over a SQLite store in a temporary folder, whose commits can be made to fail ([`super::breakable`]).

use super::breakable::Breakable;
use crate::domain::{Clock, DayBudget, Entropy, InvestigationId, Redactor, Secret};
use crate::edge::AlertmanagerReader;
use crate::engine::intake::Intake;
use crate::engine::rest::{Queue, Rest};
use crate::engine::routes::Routes;
use crate::http::{
    Access, AccessToken, Caller, Gates, IntakeToken, Limits, Policies, Problem, Promoting, Role, Status, Storm, Trying,
    Web, router,
};
use crate::journal::{ApprovalView, Body, Draft, Entry, Outcome};
use crate::sources::Senders;
use crate::store::sqlite::SqliteStore;
use crate::store::*;
use arc_swap::ArcSwap;
use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, Request, StatusCode};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tower::ServiceExt;
use uuid::Uuid;

/// Stands still; put forward by hand, in seconds.
#[derive(Debug, Default)]
pub(super) struct Now(AtomicI64);

impl Now {
    pub(super) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn uuid(&self, _: Timestamp) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn salt(&self) -> [u8; 16] {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed))).into_bytes()
    }
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a whole problem document of this status and kind, and gives its detail.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(
            (&json["status"], json["type"].as_str()),
            (&status.into(), Some(&*format!("urn:firewarden:problem:{kind}")))
        );
        assert!(json["title"].is_string() && json["instance"].as_str().unwrap().starts_with('/'), "{json}");
        json["detail"].as_str().unwrap().to_owned()
    }
}

pub(super) struct Stage {
    pub(super) web: Arc<Web>,
    pub(super) store: Arc<Breakable>,
    pub(super) clock: Arc<Now>,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn open() -> Self {
        Self::with(Access::default()).await
    }

    /// With intake token `for-alerts` and access tokens `ann-views`, `bob-operates` and `eve-rules`.
    pub(super) async fn guarded() -> Self {
        let token = |name: &str, role, token: &str| AccessToken {
            name: name.into(),
            role,
            groups: vec![],
            token: Secret::new(token, "env:X"),
        };
        Self::with(Access {
            intake: vec![IntakeToken { source: "*".into(), token: Secret::new("for-alerts", "env:Y"), signed: None }],
            tokens: vec![
                token("ann", Role::Viewer, "ann-views"),
                token("bob", Role::Operator, "bob-operates"),
                token("eve", Role::Admin, "eve-rules"),
            ],
        })
        .await
    }

    pub(super) async fn with(access: Access) -> Self {
        Self::beside(access, None).await
    }

    /// With an Alertmanager that can be asked.
    pub(super) async fn beside(access: Access, alertmanager: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entropy = Arc::new(Counting::default());
        let inner = SqliteStore::open(&folder.path().join("x.db"), &*entropy).await.unwrap();
        let store = Arc::new(Breakable::over(inner));
        let clock = Arc::new(Now::default());
        let intake = Intake::new(
            store.clone(),
            Arc::new(ArcSwap::from_pointee(Routes::default())),
            clock.clone(),
            entropy.clone(),
        );
        let intake = Arc::new(intake);
        let redactor = Arc::new(ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
        let rest = alertmanager.map(|url| {
            Arc::new(Rest {
                reader: AlertmanagerReader::new(url, None).unwrap(),
                intake: intake.clone(),
                redactor: redactor.clone(),
                hmac_key: b"key".as_slice().into(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                queue: Queue::default(),
            })
        });
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let web = Web {
            intake,
            senders: Senders::default(),
            storm: Storm::new(120),
            rest,
            store: store.clone(),
            access: ArcSwap::from_pointee(access),
            redactor,
            hmac_key: b"key".to_vec(),
            status: Arc::new(|| Status {
                policies_loaded: true,
                model_name: Some("m".into()),
                ollama_url: None,
                llm_connected: Some(true),
                audit_key: Some("log.example/a+0+A".into()),
            }),
            metrics: Some(recorder.handle()),
            policies: Policies {
                status: Arc::new(|| serde_json::json!({"active": {"bundle": "t@1"}})),
                evaluate: Arc::new(|input| match input["schema"].as_str() {
                    Some(schema) => Ok(serde_json::json!({"judged": schema})),
                    None => Err("the input names no schema".into()),
                }),
                govern: Arc::new(Governor),
            },
            live: Arc::default(),
            render_markdown: |report| format!("# {}\n", report.summary),
            limits: Arc::new(|| Limits {
                per_day: DayBudget { cost_usd: Some(2.0), tokens: Some(9_000), investigations: Some(3) },
                routes: vec![("default".into(), 2), ("quiet".into(), 5)],
                totals: vec![("default".into(), 9)],
            }),
            clock: clock.clone(),
            entropy,
            gates: Gates::default(),
        };
        Self { web: Arc::new(web), store, clock, _folder: folder }
    }

    pub(super) async fn raw(&self, request: Request<HttpBody>) -> axum::response::Response {
        router(self.web.clone()).oneshot(request).await.unwrap()
    }

    pub(super) async fn send(&self, request: Request<HttpBody>) -> Answer {
        let response = self.raw(request).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("host", "127.0.0.1").body(HttpBody::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<HttpBody>) -> Answer {
        self.send(Request::post(path).header("host", "127.0.0.1").body(body.into()).unwrap()).await
    }

    pub(super) async fn deliver(&self, body: &Value) -> Answer {
        self.post("/webhook/alertmanager", body.to_string()).await
    }

    /// Takes hold of the next investigation that has work.
    pub(super) async fn claim(&self) -> Lease {
        let now = self.web.clock.now();
        let until = now + jiff::SignedDuration::from_secs(30);
        self.store.claim("test", now, until).await.unwrap().expect("work")
    }

    /// Shows these questions of `lease` from now on.
    pub(super) async fn ask(&self, lease: &Lease, approvals: Vec<ApprovalView>) {
        let last = self.store.entries(&lease.investigation.to_string(), 0, 1000).await.unwrap().pop().unwrap();
        self.store.append(lease, &last.head(), Append { approvals, ..Append::default() }).await.unwrap();
    }

    /// Works on the next investigation as a worker would: appends `bodies` and shows them.
    pub(super) async fn work(&self, bodies: Vec<Body>, blobs: Vec<Blob>) -> InvestigationId {
        let (lease, now) = (self.claim().await, self.web.clock.now());
        let id = lease.investigation;
        let chain = id.to_string();
        let head = self.store.entries(&chain, 0, 1000).await.unwrap().last().unwrap().head();
        let mut view = self.store.investigation(id).await.unwrap().unwrap();
        let mut entries: Vec<Entry> = vec![];
        for body in bodies {
            match &body {
                Body::Reported { revision, .. } => (view.revision, view.reported_at) = (*revision, Some(now)),
                Body::Closed { outcome } => (view.outcome, view.state) = (Some(*outcome), "closed".into()),
                Body::GapFiled(gap) => view.failure_gap = Some(gap.topic.clone()),
                _ => {}
            }
            let behind = entries.last().map_or(head.clone(), Entry::head);
            entries.push(behind.seal(&chain, now, Draft::engine(body)).unwrap());
        }
        let last = entries.last().unwrap().head();
        (view.entries, view.head) = (last.seq, last.hash);
        let append = Append { entries, blobs, view: Some(view), ..Append::default() };
        self.store.append(&lease, &head, append).await.unwrap();
        self.store.release(&lease).await.unwrap();
        id
    }

    /// Reports with this summary, and closes.
    pub(super) async fn report(&self, summary: &str) -> InvestigationId {
        let report = serde_json::json!({
            "schema_version": "rca_report/v1", "revision": 1, "verdict": "likely", "summary": summary,
            "incident": {"id": "inv", "fingerprint": "f", "alert": "A", "started_at": "2026-11-20T00:00:00Z",
                         "subject": {"kind": "pvc", "namespace": null, "name": "d", "cluster": null}},
            "risk": {"level": "MEDIUM", "reasons": []}, "root_causes": [], "causal_chain": [], "alternatives": [],
            "impact": {"services": [], "statement": "", "since": null, "evidence_ids": []}, "timeline": [],
            "actions": [], "recommendations": [], "queries": [], "open_questions": [], "similar": [], "runbooks": [],
            "evidence": [], "provenance": {"mode": "deterministic", "model": null, "prompt_digest": null,
                "tokens_in": 0, "tokens_out": 0, "cost_usd": 0.0, "duration_ms": 1,
                "time_to_first_evidence_ms": null, "collections_failed": []},
            "verification": {"claims": 0, "supported": 0, "removed": 0, "checks": []}
        });
        let blob = Blob::new([1; 16], report.to_string().into_bytes());
        let reported = Body::Reported {
            revision: 1,
            verdict: crate::domain::ReportVerdict::Likely,
            summary: summary.into(),
            report: blob.reference.clone(),
            sinks: vec![],
        };
        self.work(vec![reported, Body::Closed { outcome: Outcome::Reported }], vec![blob]).await
    }
}

/// The recorded request `name` of Alertmanager `version`.
pub(super) fn recorded(version: &str, name: &str) -> Value {
    let path = format!("{}/tests/fixtures/alertmanager/{version}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// One firing alert.
pub(super) fn alert(name: &str, n: usize) -> Value {
    serde_json::json!({
        "status": "firing", "startsAt": "2026-11-20T23:30:30Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": name, "severity": "critical", "namespace": "shop", "service": format!("s{n}")},
        "annotations": {"summary": format!("{name} {n}")}, "fingerprint": format!("{name}-{n}"),
    })
}

/// Says what it was told.
struct Governor;

impl crate::http::Governs for Governor {
    fn begin(&self, who: Caller, wanted: Trying) -> BoxFuture<'_, Result<Value, Problem>> {
        let told = serde_json::json!({"by": who.name, "files": wanted.files.len(), "until": wanted.until});
        Box::pin(std::future::ready(Ok(told)))
    }

    fn end(&self, who: Caller) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(std::future::ready(Err(Problem::policy_conflict(format!("{}: nothing is tried", who.name)))))
    }

    fn promote(&self, who: Caller, wanted: Promoting) -> BoxFuture<'_, Result<Value, Problem>> {
        let told = serde_json::json!({"by": who.name, "needed": wanted.require_shadow, "why": wanted.accept_widening});
        Box::pin(std::future::ready(Ok(told)))
    }
}
