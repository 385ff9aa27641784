//! What it costs to let a change happen, without the target: the gate's decision, and the intent on disk.

use super::{percentile, row};
use crate::effects::scene;
use crate::support::bench::Bench;
use crate::support::cluster::Cluster;
use firewarden::domain::{Action, ActionId, BlastRadius, DecisionId, Effect, Preview, Retry, Risk, Target, Verdict};
use firewarden::gate::{Answer, Gate, Wanted};
use firewarden::journal::{Body, Draft, RulingPhase};
use firewarden::policy::{ActionInput, Background, Bundle, CallFacts, InvestigationFacts, RegoPolicy};
use firewarden::store::{Append, Blob, Journal};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHANGES: usize = 1_000;

fn action(n: u128) -> Action {
    let args = json!({"kind": "Deployment", "namespace": "shop", "name": "api", "replicas": 3});
    Action {
        id: ActionId::new(uuid::Uuid::from_u128(n)),
        tool: "kubernetes_scale".into(),
        effect: Effect::Write,
        reversible: true,
        args,
        title: "scale Deployment shop/api from 2 to 3 replicas".into(),
        targets: vec![Target {
            system: "kubernetes".into(),
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "api".into(),
            verb: "patch".into(),
            uid: Some("u".into()),
            ..Target::default()
        }],
        preview: Preview { kind: "server_dry_run".into(), text: "- 2\n+ 3".into(), ..Preview::default() },
        precondition: json!({"resource_version": "7"}),
        carries: Value::Null,
        undo: None,
        retry: Retry::Keyed,
        blast_radius: BlastRadius { known: true, pods: 3, namespaces: 1, ..BlastRadius::default() },
        facts: Value::Null,
        nonce: "n".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: run tests/bench/run"]
async fn i_a_change() {
    let cluster = Cluster::serve(scene::objects()).await;
    let bench = Bench::on(&cluster).await;
    let id = bench.open("info", "f").await;
    let now = bench.clock_now();
    let until = now.checked_add(SignedDuration::from_hours(1)).unwrap();
    let lease = bench.store.claim("figure", now, until).await.unwrap().unwrap();
    let first = bench.entries(id).await.remove(0);
    let mut head = first.head();
    let Body::EventReceived { event, .. } = first.body else { panic!("a chain begins with its alert") };
    let background = Background::of(&event);
    let gate = Gate::new(Arc::new(RegoPolicy::load(&Bundle::embedded()).unwrap()));
    let (mut decided, mut appended) = (vec![], vec![]);
    for n in 0..CHANGES {
        let action = action(n as u128);
        let begun = Instant::now();
        let digest = action.digest(id, Risk::Low);
        let args = action.args.as_object().cloned().unwrap();
        let mut call = CallFacts::new(action.id.to_string(), action.tool.clone(), action.effect, args);
        call.targets = action.targets.iter().map(|target| serde_json::to_value(target).unwrap()).collect();
        call.action_digest = digest.to_string();
        let about = InvestigationFacts::default();
        let mut input = ActionInput::for_call(&background, &Risk::Low, &[], about, call, now);
        (input.phase, input.blast_radius) = ("execute".into(), action.blast_radius.clone());
        let phase = RulingPhase::Execute;
        let wanted =
            Wanted { action: &action, investigation: id, level: Risk::Low, input: &input, agreed: None, phase };
        let decision = DecisionId::new(uuid::Uuid::from_u128(n as u128));
        let (ruling, answer) = gate.authorize(decision, &wanted);
        decided.push(begun.elapsed());
        assert!(matches!(answer, Answer::Cleared(_)) && ruling.verdict == Verdict::Allow, "{ruling:?}");

        let begun = Instant::now();
        let blob = Blob::new([0; 16], serde_json::to_vec(&input).unwrap());
        let bodies = [
            Body::ActionRuled {
                action: action.id,
                phase,
                digest: digest.clone(),
                ruling,
                input: blob.reference.clone(),
                told: String::new(),
            },
            Body::ActionStarted {
                action: action.id,
                decision,
                digest,
                attempt: 1,
                precondition: action.precondition.clone(),
                carries: Value::Null,
                send_by: now,
            },
        ];
        let before = head.clone();
        let entries = bodies.map(|body| {
            let entry = head.seal(&id.to_string(), now, Draft::engine(body)).unwrap();
            head = entry.head();
            entry
        });
        let append = Append { entries: entries.into(), blobs: vec![blob], ..Append::default() };
        bench.store.append(&lease, &before, append).await.unwrap();
        appended.push(begun.elapsed());
    }
    let micros = |time: Duration| format!("{} µs", time.as_micros());
    for (what, mut times) in [
        ("the gate's decision on a change, digest and input made", decided),
        ("decision and intent on disk: two entries sealed, one commit with fsync", appended),
    ] {
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        row(&format!("{what}, median of {CHANGES} (p99)"), &format!("{} ({})", micros(p50), micros(p99)), "");
    }
}
