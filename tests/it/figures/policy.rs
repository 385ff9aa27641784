//! What a decision of the shipped policies costs, in this process, its input made anew each time; and
//! what it costs to judge those of the past again.

use super::{ms, percentile, row};
use crate::support::chain::entries;
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::domain::{DecisionId, Effect, Risk, Verdict};
use firewarden::engine::recorded::{Input, Inputs, chain, decisions};
use firewarden::journal::Body;
use firewarden::policy::{
    ActionInput, Background, Bundle, CallFacts, InvestigationFacts, Past, Policy, RegoPolicy, Replay, RiskInput,
};
use firewarden::store::sqlite::SqliteStore;
use serde_json::json;
use std::time::{Duration, Instant};

const DECISIONS: usize = 2_000;

/// The recorded incident, investigated to its end, and the store that is left of it.
async fn investigated() -> (Site, String) {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    drop(server);
    (site, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn h_a_decision() {
    let (site, id) = investigated().await;
    let first = entries(&site, &id).await.remove(0);
    let Body::EventReceived { event, .. } = first.body else { panic!("a chain begins with its alert") };
    let mut loads: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            RegoPolicy::load(&Bundle::embedded()).unwrap();
            begun.elapsed()
        })
        .collect();
    row("the shipped bundle loaded: read, checked, prepared, median of 20", &ms(percentile(&mut loads, 50)), "");
    let policy = RegoPolicy::load(&Bundle::embedded()).unwrap();
    let now = jiff::Timestamp::now();
    let id = DecisionId::new(uuid::Uuid::nil());

    // The engine prepares it once for an investigation.
    let background = Background::of(&event);
    let mut assessed = vec![];
    let mut ruled = vec![];
    for _ in 0..DECISIONS {
        let begun = Instant::now();
        let decision = policy.assess(id, &RiskInput::of(&event, now, 1));
        assessed.push(begun.elapsed());
        assert_eq!((decision.level, decision.error), (Risk::Medium, None));

        let begun = Instant::now();
        let args = json!({"kind": "Pod", "namespace": "f3iai", "name": "typedb-0"});
        let mut call = CallFacts::new("call_1_1", "kubernetes_get", Effect::Read, args.as_object().cloned().unwrap());
        call.targets = vec![
            json!({"cluster": "", "namespace": "f3iai", "api_version": "v1", "kind": "Pod", "name": "typedb-0", "verb": "get"}),
        ];
        let rules = ["risk/base/severity".to_owned()];
        let about = InvestigationFacts::default();
        let input = ActionInput::for_call(&background, &Risk::Medium, &rules, about, call, now);
        let ruling = policy.rule(id, &input);
        ruled.push(begun.elapsed());
        assert_eq!((ruling.verdict, ruling.error), (Verdict::Allow, None));
    }
    let micros = |time: Duration| format!("{} µs", time.as_micros());
    for (what, mut times) in [("risk of an alert", assessed), ("ruling on a call", ruled)] {
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        let what = format!(
            "{what} by the shipped policies, input made and digested, median of {DECISIONS} (p99), on one core"
        );
        let per_second = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
        row(&what, &format!("{} ({}), {per_second:.0}/s", micros(p50), micros(p99)), "≤ 250 µs");
    }
}

/// Decisions that are judged again.
const REPLAYED: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn h_b_replay() {
    let (site, id) = investigated().await;
    let store = SqliteStore::open_to_read(&site.database()).await.unwrap();
    let recorded = decisions(&chain(&store, &id).await.unwrap());
    let policy = RegoPolicy::load(&Bundle::embedded()).unwrap().with_limit(Duration::from_secs(5));
    let mut replay = Replay::default();
    let begun = Instant::now();
    // As many incidents one after the other; each reads its own payloads.
    while replay.replayed < REPLAYED {
        let mut inputs = Inputs::default();
        for decision in recorded.iter().take(REPLAYED - replay.replayed) {
            let Input::Exact(input) = inputs.read(&store, decision).await.unwrap() else { panic!("an input is gone") };
            let past = Past {
                id: decision.id,
                investigation: &decision.investigation,
                at: decision.at,
                kind: decision.kind,
                about: &decision.about,
                word: decision.decision.word(),
                rules: decision.decision.reasons().iter().map(|reason| reason.rule.as_str()).collect(),
                is_fixed: decision.was_refused_by_the_gate(),
                after: None,
            };
            replay.add(&policy, &past, &input);
        }
    }
    let took = begun.elapsed();
    assert_eq!((replay.widening, replay.narrowing), (0, 0));
    let each = took.as_micros() / REPLAYED as u128;
    row(
        "replay of 10,000 recorded decisions, payloads read and digests compared",
        &format!("{:.1} s ({each} µs each)", took.as_secs_f64()),
        "",
    );
}
