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
    assert_eq!(verify(report, &evidence(), &Analysis::default()).1.removed, 2);
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
fn names_are_compared_as_names() {
    for (text, name, found) in [
        ("ns/data-typedb-0 is bound", "data-typedb-0", true),
        ("pod csi-operator-7f9-x2 runs", "csi-operator", true),
        ("mariadb", "db", false),
        ("data-typedb-0", "typedb-0", false),
        ("TypeDB-0".to_lowercase().as_str(), "TYPEDB-0", true),
        ("typedb-01", "typedb-0", false),
        ("anything", "", false),
    ] {
        assert_eq!(occurs(text, name), found, "{text} {name}");
    }
}
