use super::super::submit::{parse, tests::sample};
use super::*;
use serde_json::{Value, json};

fn evidence() -> BTreeMap<String, Cited> {
    let cited = |kind: &str, text: &str| Cited { kind: kind.into(), text: text.into() };
    BTreeMap::from([
        (
            "E1".into(),
            cited(
                "metric",
                "prometheus_query used/capacity{persistentvolumeclaim=\"data-typedb-0\",namespace=\"f3iai\"} 0.9713",
            ),
        ),
        (
            "E2".into(),
            cited("log", "f3iai/typedb-0: write /opt/data-typedb-0/wal: no space left on device (os error 28)"),
        ),
        ("E3".into(), cited("state", "Pod typedb-0 CrashLoopBackOff restartCount 12")),
    ])
}

fn checked(change: impl FnOnce(&mut Value)) -> (ModelReport, Verification) {
    let mut args = sample();
    change(&mut args);
    verify(parse(&args).unwrap(), &evidence(), &Analysis::default())
}

#[test]
fn a_report_that_the_evidence_carries_stays_as_it_is() {
    let (report, verification) = checked(|_| ());
    assert_eq!(serde_json::to_value(report).unwrap(), sample());
    assert_eq!(verification, Verification { claims: 4, supported: 4, removed: 0, checks: vec![] });
}

#[test]
fn a_root_claim_without_support_falls_and_takes_the_verdict_with_it() {
    for (path, value, why) in [
        ("/root_causes/0/evidence_ids", json!(["E99"]), "no evidence that exists"),
        ("/root_causes/0/entity/name", json!("data-postgres-0"), "is not named in E1, E2"),
        ("/root_causes/0/entity/name", json!("typedb"), "is not named in E1"),
        ("/root_causes/0/entity/namespace", json!("kube-system"), "is not named in E1"),
        ("/root_causes/0/statement", json!("data-typedb-0 is 43 % full."), "43 % is not in E1, E2"),
        ("/root_causes/0/statement", json!("It restarted 4711 times."), "4711 is not in E1, E2"),
        ("/root_causes/0/confidence", json!(0.2), "below 0.4"),
    ] {
        let (report, verification) = checked(|args| {
            if path.ends_with("name") && value == json!("typedb") {
                args["root_causes"][0]["evidence_ids"] = json!(["E1"]);
            }
            *args.pointer_mut(path).unwrap() = value;
        });
        assert_eq!(report.verdict, ReportVerdict::InsufficientEvidence, "{path}");
        assert!(report.root_causes.is_empty() && report.causal_chain.is_empty(), "{path}");
        assert!(report.recommendations[0].addresses.is_empty());
        assert_eq!(report.summary, "The evidence does not carry a cause.");
        assert!(verification.checks.iter().any(|check| check.contains(why)), "{why}: {:?}", verification.checks);
        assert_eq!(verification.claims, verification.supported + verification.removed);
    }
}

#[test]
fn unknown_ids_go_and_the_claim_stays_with_the_rest() {
    let (report, verification) =
        checked(|args| args["root_causes"][0]["evidence_ids"] = json!(["E1", "E99", "E1", "E2"]));
    assert_eq!(report.root_causes[0].evidence_ids, ["E1", "E2"]);
    assert_eq!(verification.checks, ["C1: E99 does not exist"]);
}

#[test]
fn confidence_needs_two_kinds_of_evidence() {
    let (report, _) = checked(|args| {
        args["verdict"] = json!("confirmed");
        args["root_causes"][0]["confidence"] = json!(0.97);
        args["root_causes"][0]["evidence_ids"] = json!(["E1"]);
    });
    assert_eq!((report.root_causes[0].confidence, report.verdict), (0.89, ReportVerdict::Likely));
    let (report, verification) = checked(|args| {
        args["verdict"] = json!("confirmed");
        args["root_causes"][0]["confidence"] = json!(0.97);
    });
    assert_eq!((report.root_causes[0].confidence, report.verdict), (0.97, ReportVerdict::Confirmed));
    assert_eq!(verification.checks, Vec::<String>::new());
}

#[test]
fn a_verdict_is_never_stronger_than_its_causes_nor_than_the_model_said() {
    for (said, confidence, expected) in [
        ("confirmed", 0.5, "possible"),
        ("likely", 0.95, "likely"),
        ("possible", 0.95, "possible"),
        ("confirmed", 0.8, "likely"),
    ] {
        let (report, _) = checked(|args| {
            args["verdict"] = json!(said);
            args["root_causes"][0]["confidence"] = json!(confidence);
        });
        assert_eq!(report.verdict.as_str(), expected, "{said} {confidence}");
    }
}

#[test]
fn the_second_cause_moves_up_with_its_recommendations() {
    let (report, _) = checked(|args| {
        let good = args["root_causes"][0].clone();
        args["root_causes"][0]["entity"]["name"] = json!("nowhere-1");
        args["root_causes"].as_array_mut().unwrap().push(good);
        args["recommendations"] = json!([{"type": "fix", "text": "a", "addresses": ["C1"]}, {"type": "fix", "text": "b", "addresses": ["C2", "C9"]}]);
    });
    let addresses: Vec<_> = report.recommendations.iter().map(|r| r.addresses.clone()).collect();
    assert_eq!(addresses, [vec![], vec!["C1".to_owned()]]);
    assert_eq!(report.summary, "data-typedb-0 is 97 % full.");
}

#[test]
fn chain_steps_without_evidence_are_inferred_and_strangers_go() {
    let (report, verification) = checked(|args| {
        let mut seen = args["causal_chain"][0].clone();
        seen["evidence_ids"] = json!(["E98"]);
        let mut stranger = seen.clone();
        stranger["entity"]["name"] = json!("stranger");
        let mut invented = seen.clone();
        invented["event"] = json!("grew by 812 GiB");
        args["causal_chain"] = json!([seen, stranger, invented]);
    });
    assert_eq!(report.causal_chain.len(), 1);
    assert!(report.causal_chain[0].inferred);
    assert_eq!(verification.removed, 2);
}

#[test]
fn figures_that_only_our_findings_hold_are_evidence_too() {
    let mut analysis = Analysis::default();
    analysis.findings.push(Finding {
        analyzer: "pvc".into(),
        entity: Entity::new("PersistentVolumeClaim", "f3iai", "data-typedb-0"),
        cause_code: "volume_full".into(),
        statement: "full in 44 minutes".into(),
        category: "capacity".into(),
        specificity: 0.9,
        symptom: false,
        onset: None,
        evidence: vec!["E1".into()],
        change: None,
        remedy: None,
    });
    let mut args = sample();
    args["root_causes"][0]["statement"] = json!("data-typedb-0 is full in 44 minutes.");
    let report = parse(&args).unwrap();
    assert_eq!(verify(report.clone(), &evidence(), &analysis).1.removed, 0);
    // The cause, and with it the chain and the summary.
    assert_eq!(verify(report, &evidence(), &Analysis::default()).1.removed, 3);
}

#[test]
fn a_summary_with_an_invented_figure_is_replaced() {
    let (report, _) = checked(|args| args["summary"] = json!("4,711 customers suffer."));
    assert_eq!(report.summary, "data-typedb-0 is 97 % full.");
}

#[test]
fn no_fault_stays_no_fault() {
    let (report, _) = checked(|args| {
        args["verdict"] = json!("no_fault");
        args["root_causes"] = json!([]);
        args["causal_chain"] = json!([]);
    });
    assert_eq!(report.verdict, ReportVerdict::NoFault);
}

#[test]
fn hostile_sentences_fall() {
    let seen = "2026-04-01T10:40:00Z pod typedb-0 on node-3: exit code 101, port 1729, image typedb:3.4.0, 64 MiB of \
                20Gi, p99 250 ms, from 10 to 20 %";
    let evidence = BTreeMap::from([
        ("E1".to_owned(), Cited { kind: "state".into(), text: seen.into() }),
        ("E2".to_owned(), Cited { kind: "log".into(), text: "f3iai/postgres-0 listens on port 5432".into() }),
    ]);
    let kept = |statement: &str, ids: Value| {
        let mut args = sample();
        args["root_causes"][0] = json!({"cause_code": "x", "category": "code", "confidence": 0.8, "evidence_ids": ids,
            "entity": {"kind": "Pod", "namespace": "f3iai", "name": "typedb-0"}, "statement": statement});
        verify(parse(&args).unwrap(), &evidence, &Analysis::default()).0.root_causes.len() == 1
    };
    for statement in [
        "typedb-0 exits with code 101.",
        "typedb-0 on node-3 listens on port 1729 since 10:40 UTC.",
        "64 MiB of 20 GiB are used by typedb:3.4.0; p99 is 0.25 s.",
        "10-20 % of the requests to typedb-0 fail.",
    ] {
        assert!(kept(statement, json!(["E1"])), "{statement}");
    }
    for statement in [
        "typedb-0 exits with code 102.",
        "typedb-0 on node-4 fails.",
        "typedb-1 exits with code 101.",
        "typedb-0 uses 64 GiB of 20 GiB.",
        "typedb-0 uses 64 % of its volume.",
        "p99 of typedb-0 is 250 s.",
        "10-30 % of the requests to typedb-0 fail.",
        "typedb-0 fails since 10:04 UTC.",
        "typedb-0 fails since 2026-04-02.",
        "typedb:3.4.1 breaks typedb-0.",
        "The log of typedb-0 says \"disk on fire\".",
        // True, but of what is not cited.
        "typedb-0 cannot reach port 5432.",
        "typedb-0 waits for f3iai/postgres-0.",
        // Nobody did that.
        "typedb-0 exited with code 101, so I restarted it.",
    ] {
        assert!(!kept(statement, json!(["E1"])), "{statement}");
    }
    assert!(!kept("typedb-0 exits with code 101.", json!(["E2"])), "E2 is about another pod");
}

/// A chain of `events` about the pods a-0, b-0, … and what is left of it.
fn chained(events: &[(&str, &str)], ours: &Analysis) -> (Vec<String>, Verification) {
    let (report, verification) = with_chain(events, ours);
    (report.causal_chain.into_iter().map(|step| step.entity.name).collect(), verification)
}

fn with_chain(events: &[(&str, &str)], ours: &Analysis) -> (ModelReport, Verification) {
    let evidence = BTreeMap::from([
        ("E1".to_owned(), Cited { kind: "event".into(), text: "a-0 2026-04-01T10:40:00Z b-0 c-0 f3iai".into() }),
        ("E2".to_owned(), Cited { kind: "event".into(), text: "b-0 2026-04-01T10:45:30Z f3iai".into() }),
        ("E3".to_owned(), Cited { kind: "event".into(), text: "c-0 2026-04-01T10:50:00Z f3iai".into() }),
    ]);
    let pod = |n: usize| json!({"kind": "Pod", "namespace": "f3iai", "name": format!("{}-0", ["a", "b", "c"][n])});
    let mut args = sample();
    args["summary"] = json!("It fails.");
    args["root_causes"][0] = json!({"cause_code": "x", "category": "code", "confidence": 0.8, "evidence_ids": ["E1"],
        "entity": pod(0), "statement": "It fails."});
    args["alternatives"] = json!([]);
    args["causal_chain"] = events
        .iter()
        .enumerate()
        .map(|(n, (event, relation))| {
            json!({"entity": pod(n), "event": event, "relation": relation,
            "evidence_ids": [format!("E{}", n + 1)], "inferred": false})
        })
        .collect();
    verify(parse(&args).unwrap(), &evidence, ours)
}

#[test]
fn a_step_has_the_time_that_its_evidence_gives() {
    let events = [("fails at 10:40 UTC", "causes"), ("follows", "causes"), ("ends at 10:50", "causes")];
    let times = |ours: &Analysis| -> Vec<Option<String>> {
        let (report, _) = with_chain(&events, ours);
        report.causal_chain.iter().map(|step| step.at.map(|at| at.to_string())).collect()
    };
    let at = |time: &str| Some(format!("2026-04-01T{time}Z"));
    assert_eq!(times(&Analysis::default()), [at("10:40:00"), None, at("10:50:00")], "what nobody dated has no time");
    let mut ours = Analysis::default();
    ours.timeline.push(crate::domain::TimelineItem {
        at: "2026-04-01T10:45:30Z".parse().unwrap(),
        source: "event".into(),
        text: "Pod f3iai/b-0 is killed".into(),
        evidence_id: "E2".into(),
    });
    assert_eq!(times(&ours), [at("10:40:00"), at("10:45:30"), at("10:50:00")]);
    // A model cannot date its own steps.
    let mut args = sample();
    args["causal_chain"][0]["at"] = json!("2020-01-01T00:00:00Z");
    assert!(parse(&args).is_err() || parse(&args).unwrap().causal_chain[0].at.is_none());
}

#[test]
fn a_step_that_came_before_its_cause_is_removed() {
    let none = Analysis::default();
    let causes = "causes";
    // In order.
    let events = [("fails at 10:40 UTC", causes), ("follows at 10:45 UTC", causes), ("ends at 10:50", causes)];
    assert_eq!(chained(&events, &none).0, ["a-0", "b-0", "c-0"]);
    // The middle step came last, so the third came before its cause.
    let mut late = events;
    late[1] = ("follows at 10:45", causes);
    late[0] = ("fails", causes);
    assert_eq!(chained(&late, &none).0, ["a-0", "b-0", "c-0"], "what has no time contradicts nothing");
    let mut ours = Analysis::default();
    let finding = |name: &str, id: &str, at: &str| Finding {
        analyzer: "x".into(),
        entity: Entity::new("Pod", "f3iai", name),
        cause_code: "x".into(),
        statement: "x".into(),
        category: "code".into(),
        specificity: 0.5,
        symptom: false,
        onset: Some(at.parse().unwrap()),
        evidence: vec![id.into()],
        change: None,
        remedy: None,
    };
    ours.findings.push(finding("a-0", "E1", "2026-04-01T10:58:00Z"));
    let (left, verification) = chained(&[("fails", causes), ("follows at 10:45 UTC", causes), ("ends", causes)], &ours);
    assert_eq!(left, ["a-0", "c-0"]);
    assert_eq!(verification.removed, 1);
    assert_eq!(verification.checks, ["chain step 2 removed: by the evidence it came before its cause, chain step 1"]);
    assert_eq!(verification.claims, verification.supported + verification.removed);
    // What amplifies may come later; and times within the tolerance are one moment.
    assert_eq!(chained(&[("fails", "amplifies"), ("follows at 10:45 UTC", causes)], &ours).0, ["a-0", "b-0"]);
    ours.findings[0].onset = Some("2026-04-01T10:49:00Z".parse().unwrap());
    assert_eq!(chained(&[("fails", causes), ("follows at 10:45 UTC", causes)], &ours).0, ["a-0", "b-0"]);
}

#[test]
fn a_chain_goes_with_its_cause_and_is_counted() {
    let (report, verification) = checked(|args| args["root_causes"][0]["evidence_ids"] = json!(["E99"]));
    assert!(report.causal_chain.is_empty());
    assert_eq!(verification.claims, verification.supported + verification.removed);
    // The cause, its chain step and the summary; the alternative stays.
    assert_eq!((verification.supported, verification.removed), (1, 3), "{:?}", verification.checks);
    let lines = verification.checks.iter().filter(|check| check.contains(" removed: ")).count();
    assert_eq!(lines as u32, verification.removed, "{:?}", verification.checks);
    assert!(verification.checks.contains(&"recommendation 1: there is no cause C1".to_owned()));
}

#[test]
fn claimed_actions_are_marked_and_never_deeds() {
    let (report, verification) = checked(|args| {
        args["summary"] = json!("I restarted typedb-0.");
        args["recommendations"] = json!([{"type": "fix", "text": "I have expanded the volume; nothing is left to do.", "addresses": ["C1"]},
                   {"type": "fix", "text": "Deleted the WAL."}, {"type": "prevent", "text": "Watch the volume."}]);
        args["open_questions"][0]["question"] = json!("We rolled back; did it help?");
    });
    assert_eq!(report.summary, "data-typedb-0 is 97 % full.");
    let texts: Vec<&str> = report.recommendations.iter().map(|advice| advice.text.as_str()).collect();
    assert!(texts[0].starts_with(deeds::MARK) && texts[1].starts_with(deeds::MARK), "{texts:?}");
    assert_eq!(texts[2], "Watch the volume.");
    assert!(report.open_questions[0].question.starts_with(deeds::MARK));
    for line in ["summary removed", "recommendation 1 marked", "recommendation 2 marked", "open question 1 marked"] {
        assert!(verification.checks.iter().any(|check| check.starts_with(line)), "{line}: {:?}", verification.checks);
    }
}
