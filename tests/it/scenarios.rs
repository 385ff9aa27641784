//! Each recorded world, investigated without a model by the unchanged program: the cause that its
//! `expected.yaml` names must be found, with evidence, and nothing forbidden may be said.

use crate::support::http::eventually;
use firewarden::app::App;
use firewarden::config::Sources;
use firewarden::domain::{Entity, Observation, Report, ReportVerdict};
use firewarden::journal::{Body, chain, semantics};
use firewarden::scenario::{Expected, ExpectedCause, World};
use firewarden::sources::{AlertSource, Alertmanager, Delivery, Mapping};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

struct Run {
    report: Report,
    observations: Vec<(String, String)>,
    requests: Vec<String>,
    took: Duration,
}

async fn investigate(name: &str) -> (Run, Expected) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = Arc::new(World::embedded(name, Some(jiff::Timestamp::now())).unwrap());
    let served = world
        .clone()
        .serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("firewarden.yaml");
    let text = format!(
        "store: {{url: sqlite://fw.db}}\nplaybooks: {{default: none}}\ntools:\n  kubernetes: {{url: {}}}\n  prometheus: {{url: {}}}\n",
        served.kube_url, served.prometheus_url
    );
    std::fs::write(&file, text).unwrap();
    let sources = Sources { file: Some(file), env: BTreeMap::new(), flags: vec![], cwd: folder.path().to_owned() };
    let config = sources.load().unwrap().resolve().unwrap();
    let app = App::build(config).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let working = app.work(stopped);

    let began = Instant::now();
    let body = world.alert().clone();
    let bytes = serde_json::to_vec(&body).unwrap();
    let mapping = Mapping {
        at: app.engine.clock.now(),
        entropy: app.engine.entropy.as_ref(),
        redactor: &app.engine.redactor.load(),
        hmac_key: app.hmac_key(),
    };
    let mapped = Alertmanager.normalise(&Delivery::plain(&body, &bytes), &mapping).unwrap();
    let receipt = app.intake.accept("alertmanager", mapped).await.unwrap();
    let id = receipt.rows[0].job_id.unwrap();
    let view = eventually("it is closed", Duration::from_secs(60), async || {
        app.engine.store.investigation(id).await.unwrap().filter(|view| view.state == "closed")
    })
    .await;
    let took = began.elapsed();
    stop.send(true).unwrap();
    working.await.unwrap();

    let entries = app.engine.store.entries(&view.id, 0, 10_000).await.unwrap();
    chain::verify(&view.id, &entries).unwrap();
    assert_eq!(semantics::violations(&view.id, &entries), Vec::<String>::new());
    let mut report = None;
    let mut observations = vec![];
    for entry in &entries {
        match &entry.body {
            Body::Reported { report: blob, .. } => {
                report = serde_json::from_slice(&app.engine.store.blob(blob).await.unwrap().unwrap()).ok();
            }
            Body::ReadFinished { observation, call_id, .. } => {
                let bytes = app.engine.store.blob(observation).await.unwrap().unwrap();
                let seen: Observation = serde_json::from_slice(&bytes).unwrap();
                observations.push((call_id.clone(), format!("{}\n{}", seen.text, seen.data)));
            }
            _ => {}
        }
    }
    let requests = served.requests().iter().map(|r| format!("{} {} {}", r.method, r.path, r.status)).collect();
    (Run { report: report.unwrap(), observations, requests, took }, world.expected().clone())
}

fn fits(cause: &ExpectedCause, code: &str, entity: &Entity) -> bool {
    let codes = cause.cause_code == code || cause.accept.iter().any(|accepted| accepted == code);
    let same = |e: &Entity| e.kind == entity.kind && e.namespace == entity.namespace && e.name == entity.name;
    codes && (same(&cause.entity) || cause.accept_entities.iter().any(same))
}

fn judge(name: &str, run: &Run, expected: &Expected) {
    let report = &run.report;
    let said = serde_json::to_string_pretty(report).unwrap();
    println!("{name}: {} in {:?}, {} observations", report.verdict, run.took, run.observations.len());
    let verdicts: Vec<ReportVerdict> = [expected.verdict].into_iter().chain(expected.accept_verdicts.clone()).collect();
    assert!(verdicts.contains(&report.verdict), "{name}: verdict {} is none of {verdicts:?}\n{said}", report.verdict);
    for cause in &expected.root_causes {
        let found = report.root_causes.iter().find(|found| fits(cause, &found.cause_code, &found.entity));
        assert!(found.is_some(), "{name}: {} of {} is not named\n{said}", cause.cause_code, cause.entity);
        assert!(!found.unwrap().evidence_ids.is_empty());
    }
    assert_eq!(report.root_causes.len(), expected.root_causes.len(), "{name}: other causes are named, too\n{said}");
    for decoy in &expected.decoys {
        assert!(!report.root_causes.iter().any(|c| c.entity.name == decoy.name), "{name}: {decoy} is no cause");
    }
    for cited in &expected.must_cite {
        let seen = run.observations.iter().any(|(_, text)| text.contains(&cited.contains));
        assert!(seen, "{name}: {:?} was not looked at", cited.contains);
    }
    for claim in &expected.forbidden_claims {
        assert!(!said.contains(claim), "{name}: says {claim:?}");
        let leaked =
            run.observations.iter().any(|(_, text)| text.contains(claim) && claim.len() > 30 && !claim.contains(' '));
        assert!(!leaked, "{name}: {claim:?} was stored");
    }
    assert!(run.requests.iter().all(|r| r.starts_with("GET ") || r.starts_with("POST /api/v1/query")), "only looked");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_world_gets_its_cause_without_a_model() {
    for (name, _) in World::list().unwrap() {
        let (run, expected) = investigate(&name).await;
        judge(&name, &run, &expected);
    }
}
