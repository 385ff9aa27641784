//! What holds whatever is seen.

use super::build::*;
use super::incident::{alerts, frame};
use crate::analysis::*;
use crate::domain::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON that is arbitrary in shape but knows the field names that are looked at.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "Pod",
        "graph-0",
        "lab",
        "data-graph-0",
        "CrashLoopBackOff",
        "FailedMount",
        "OOMKilled",
        "2026-04-01T12:00:00Z",
        "10Gi",
        "-5m",
        "NaN",
        "panic: no space left on device",
        "driver name  not found in the list of registered CSI drivers",
        "0/3 nodes are available: 1 Insufficient cpu",
        "ReplicaSet",
        "",
        "\u{202e}<b>",
        "down",
        "Pending",
        "Running",
        "DaemonSet",
        "PVCUsageHigh",
        "alerting",
        "usage > 75",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "metadata",
        "name",
        "namespace",
        "kind",
        "items",
        "status",
        "spec",
        "phase",
        "containerStatuses",
        "containers",
        "state",
        "lastState",
        "waiting",
        "terminated",
        "running",
        "reason",
        "message",
        "exitCode",
        "finishedAt",
        "startedAt",
        "restartCount",
        "ready",
        "volumes",
        "persistentVolumeClaim",
        "claimName",
        "involvedObject",
        "firstTimestamp",
        "lastTimestamp",
        "conditions",
        "type",
        "lastTransitionTime",
        "ownerReferences",
        "managedFields",
        "manager",
        "time",
        "replicas",
        "result",
        "values",
        "value",
        "metric",
        "labels",
        "lines",
        "activeTargets",
        "health",
        "lastError",
        "drivers",
        "provisioner",
        "taints",
        "key",
        "allocatable",
        "cpu",
        "persistentvolumeclaim",
        "complete",
        "alerts",
        "groups",
        "rules",
        "query",
        "object",
    ]);
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()
            )),
        ]
    })
}

fn any_need() -> impl Strategy<Value = Need> {
    let kind = prop::sample::select(vec![
        "Pod",
        "Deployment",
        "ReplicaSet",
        "DaemonSet",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "StorageClass",
        "CSINode",
        "CSIDriver",
        "VolumeAttachment",
        "Node",
        "Namespace",
        "Secret",
    ]);
    prop_oneof![
        kind.clone().prop_map(|k| Need::list(k, Some("lab"))),
        kind.prop_map(|k| Need::object(k, Some("lab"), "graph-0")),
        Just(Need::Events { namespace: Some("lab".into()) }),
        any::<bool>().prop_map(|previous| Need::Logs {
            namespace: "lab".into(),
            pod: "graph-0".into(),
            container: None,
            previous,
            tail: 200
        }),
        Just(Need::Range { promql: crate::analysis::plan::usage("lab", Some("data-graph-0")), minutes: 360 }),
        Just(Need::Query { promql: crate::analysis::plan::usage("lab", None) }),
        Just(Need::Query { promql: "usage > 75".into() }),
        Just(Need::Range { promql: "usage".into(), minutes: 120 }),
        Just(Need::Alerts),
        Just(Need::Targets),
        Just(Need::Rules),
    ]
}

fn any_seen() -> impl Strategy<Value = Vec<Seen>> {
    let outcome = prop_oneof![9 => any_json().prop_map(Ok), 1 => "\\PC{0,20}".prop_map(Err)];
    prop::collection::vec((any_need(), outcome), 0..12).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered.map(|(i, (need, outcome))| Seen { id: format!("E{}", i + 1), need, at: start(), outcome }).collect()
    })
}

/// The rules of the report, whatever it says.
fn assert_holds(report: &Report) {
    let silent = matches!(
        report.verdict,
        ReportVerdict::Declined | ReportVerdict::NoFault | ReportVerdict::InsufficientEvidence
    );
    assert_eq!(report.root_causes.is_empty(), silent, "{:?}", report.verdict);
    let known = |id: &String| report.evidence.iter().any(|e| e.id == *id);
    for cause in &report.root_causes {
        assert!(!cause.evidence_ids.is_empty() && cause.evidence_ids.iter().all(known));
        assert!((0.4..=1.0).contains(&cause.confidence));
    }
    for (i, step) in report.causal_chain.iter().enumerate() {
        assert_eq!(step.seq as usize, i + 1);
        assert_eq!(step.inferred, step.evidence_ids.is_empty());
        assert!(step.evidence_ids.iter().all(known));
    }
    assert!(report.alternatives.iter().all(|a| a.evidence_ids.iter().all(known)));
    assert!(report.timeline.iter().all(|t| t.evidence_id.is_empty() || known(&t.evidence_id)));
    assert!(report.summary.chars().count() <= 400 && !report.summary.is_empty());
    let page = markdown(report);
    assert!(!page.contains("<b") && !page.contains("<img"), "{page}");
    let back: Report = serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap();
    assert_eq!(back.root_causes, report.root_causes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_shapes_never_panic_and_the_report_holds(seen in any_seen(), declined: bool, cited in 0_usize..12) {
        let events = alerts();
        let case = case(&events, &seen, 64);
        let _ = plan(&case);
        let analysis = conclude(&case);
        // The engine may know less evidence than was seen.
        let some = &seen[..cited.min(seen.len())];
        let frame = ReportFrame { declined, ..frame(&events, some) };
        assert_holds(&report(&analysis, frame));
    }

}

proptest! {
    // Each case plays a whole survey.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_ends_and_never_repeats(
        calls in 0_u32..70,
        drop in prop::collection::vec(any::<bool>(), 64),
        odd in prop::collection::vec(any_json(), 64),
    ) {
        // Each answer is either the world's or nonsense; `survey` asserts rounds, calls and repeats.
        let world = super::incident::world();
        let events = alerts();
        let mut seen: Vec<Seen> = Vec::new();
        let mut rounds = 0;
        loop {
            let needs = plan(&case(&events, &seen, calls - seen.len() as u32));
            if needs.is_empty() { break; }
            rounds += 1;
            prop_assert!(rounds <= 4);
            for need in needs {
                prop_assert!(!seen.iter().any(|s| s.need == need));
                let at = seen.len() % 64;
                let outcome = if drop[at] { Ok(odd[at].clone()) } else { world.answer(&need) };
                seen.push(Seen { id: format!("E{}", seen.len() + 1), need, at: start(), outcome });
            }
            prop_assert!(seen.len() as u32 <= calls);
        }
    }

    #[test]
    fn a_part_of_the_incident_gives_a_valid_report(keep in prop::collection::vec(any::<bool>(), 64)) {
        let events = alerts();
        let (seen, _) = super::incident::world().survey(&events, 64);
        let seen: Vec<Seen> = seen.into_iter().zip(keep).filter(|(_, k)| *k).map(|(s, _)| s).collect();
        let analysis = conclude(&case(&events, &seen, 0));
        assert_holds(&report(&analysis, frame(&events, &seen)));
    }
}

#[test]
fn without_alerts_or_peers_there_is_still_a_report() {
    let analysis = conclude(&case(&[], &[], 0));
    assert_holds(&report(&analysis, frame(&[], &[])));
    let events = alerts();
    let blind = Case { kubernetes: false, prometheus: false, ..case(&events, &[], 64) };
    assert!(plan(&blind).is_empty());
    let analysis = conclude(&blind);
    assert_eq!(analysis.open_questions.iter().filter(|q| q.blocked_by.as_deref() == Some("not configured")).count(), 2);
    let metrics_only = Case { kubernetes: false, ..case(&events, &[], 64) };
    assert!(plan(&metrics_only).iter().all(|n| ["metric", "config"].contains(&n.evidence_kind())));
}

#[test]
fn a_declined_incident_says_who_has_to_act() {
    let events = alerts();
    let risk = RiskSummary {
        level: Risk::Critical,
        reasons: vec![Reason {
            rule: "risk/destructive/wording".into(),
            effect: "level".into(),
            reason: "it asks to delete data".into(),
            at: None,
        }],
    };
    let report = report(&Analysis::default(), ReportFrame { declined: true, risk, ..frame(&events, &[]) });
    assert_holds(&report);
    assert_eq!(report.verdict, ReportVerdict::Declined);
    assert!(report.summary.contains("it asks to delete data"));
}

#[test]
fn needs_survive_the_journal() {
    for need in [
        Need::list("Pod", None),
        Need::object("Pod", Some("a"), "b"),
        Need::Alerts,
        Need::Query { promql: "up".into() },
    ] {
        let written = serde_json::to_value(&need).unwrap();
        assert_eq!(serde_json::from_value::<Need>(written).unwrap(), need);
    }
    assert_eq!(serde_json::to_value(Need::Alerts).unwrap(), json!({"need": "alerts"}));
}

#[test]
fn two_hundred_pods_are_analyzed_at_once() {
    // With the incident's stuck mounts, so that the storage driver is looked for, too.
    let mut world = super::incident::world();
    for i in 0..200 {
        let owner = format!("svc-{}", i % 40);
        let one = pod("lab", &format!("{owner}-1-{i}"), Some(&owner));
        world.objects.push(if i % 3 == 0 { crash_looping(one, 1) } else { one });
        world.events.push(event("Pod", "lab", &format!("{owner}-1-{i}"), "BackOff", "Back-off restarting", -30, -1));
        world.objects.push(replica_set("lab", &format!("other-{i}"), 1, "i", -9000, 1));
        world.objects.push(workload("Deployment", &format!("team-{}", i % 20), &format!("app-{i}"), 1, 1));
        world.objects.push(claim("lab", &format!("claim-{i}"), "1Gi"));
    }
    world.objects.extend((0..10).map(|i| node(&format!("node-{i}"))));
    let events = alerts();
    let (seen, _) = world.survey(&events, 64);
    let began = std::time::Instant::now();
    let analysis = conclude(&case(&events, &seen, 0));
    let took = began.elapsed();
    let began = std::time::Instant::now();
    let next = plan(&case(&events, &seen, 64));
    eprintln!("200 pods: conclude {took:?}, {} findings; plan {:?}", analysis.findings.len(), began.elapsed());
    assert!(next.is_empty());
    assert!(took.as_secs() < 20, "{took:?}");
}
