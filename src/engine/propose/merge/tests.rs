use super::super::submit::{parse, tests::sample};
use super::*;
use crate::domain::{Change, Impact, Incident, Provenance, Risk, RiskSummary, Subject};
use serde_json::{Value, json};

fn cause(id: &str, code: &str, kind: &str, name: &str, confidence: f64) -> RootCause {
    RootCause {
        id: id.into(),
        cause_code: code.into(),
        entity: Entity::new(kind, "f3iai", name),
        statement: format!("{name} has {code}."),
        confidence,
        category: "capacity".into(),
        onset: Some("2025-11-20T10:30:00Z".parse().unwrap()),
        evidence_ids: vec!["E1".into()],
        contradicting_ids: vec![],
        change_ref: Some(Change { kind: "scale".into(), what: "5 to 0".into(), author: None, at: None }),
    }
}

/// The survey's report: the full volume, and an absent driver.
fn survey(verdict: ReportVerdict) -> Report {
    let advice =
        |text: &str, id: &str| Recommendation { kind: "fix".into(), text: text.into(), addresses: vec![id.into()] };
    let step = ChainStep {
        seq: 1,
        entity: Entity::new("Deployment", "f3iai", "csi-operator"),
        event: "scaled to 0".into(),
        at: None,
        evidence_ids: vec!["E1".into()],
        relation: "causes".into(),
        inferred: false,
    };
    Report {
        closer: vec![],
        schema_version: "rca_report/v1".into(),
        revision: 1,
        incident: Incident {
            id: "inv_1".into(),
            fingerprint: "f".into(),
            alert: "a".into(),
            started_at: "2025-11-20T10:42:00Z".parse().unwrap(),
            subject: Subject { kind: "Pod".into(), namespace: None, name: "typedb-0".into(), cluster: None },
        },
        verdict,
        risk: RiskSummary { level: Risk::High, reasons: vec![] },
        summary: "survey".into(),
        root_causes: vec![
            cause("C1", "csi_absent", "Deployment", "csi-operator", 0.8),
            cause("C2", "volume_full", "PersistentVolumeClaim", "data-typedb-0", 0.7),
        ],
        causal_chain: vec![step],
        alternatives: vec![],
        impact: Impact::default(),
        timeline: vec![],
        storm: None,
        actions: vec![],
        recommendations: vec![
            advice("Scale back.", "C1"),
            advice("Clean up.", "C2"),
            advice("Expand the volume.", "C2"),
        ],
        queries: vec![],
        open_questions: vec![],
        similar: vec![],
        runbooks: vec![],
        evidence: vec![],
        provenance: Provenance { mode: "deterministic".into(), ..Provenance::default() },
        verification: Verification::default(),
    }
}

fn merged(survey: Report, change: impl FnOnce(&mut Value)) -> Report {
    let mut args = sample();
    change(&mut args);
    merge(survey, parse(&args).unwrap(), Verification::default())
}

fn no_cause(args: &mut Value, verdict: &str) {
    args["verdict"] = json!(verdict);
    args["root_causes"] = json!([]);
    args["causal_chain"] = json!([]);
}

fn ids(report: &Report) -> Vec<(&str, &str)> {
    report.root_causes.iter().map(|c| (c.id.as_str(), c.cause_code.as_str())).collect()
}

fn rivals(report: &Report) -> Vec<&str> {
    report.alternatives.iter().map(|a| a.cause_code.as_str()).collect()
}

#[test]
fn the_models_cause_leads_and_the_surveys_other_cause_remains_as_an_alternative() {
    let report = merged(survey(ReportVerdict::Likely), |_| ());
    assert_eq!(ids(&report), [("C1", "volume_full")]);
    assert_eq!(rivals(&report), ["oom", "csi_absent"]);
    assert!(report.alternatives[1].why_less_likely.starts_with("found by the survey"));
    // What the survey knew of the same cause stays known.
    assert!(report.root_causes[0].onset.is_some() && report.root_causes[0].change_ref.is_some());
    assert_eq!((report.verdict, report.provenance.mode.as_str()), (ReportVerdict::Likely, "hybrid"));
    let advice: Vec<_> = report.recommendations.iter().map(|r| (r.text.as_str(), r.addresses.join(","))).collect();
    assert_eq!(
        advice,
        [("Expand the volume.", "C1".into()), ("Scale back.", String::new()), ("Clean up.", "C1".into())]
    );
    assert_eq!(report.causal_chain[0].event, "fills up");
}

#[test]
fn a_refuted_cause_carries_the_models_reason() {
    let report = merged(survey(ReportVerdict::Likely), |args| {
        args["alternatives"][0] = json!({"cause_code": "csi_absent", "confidence": 0.1, "evidence_ids": ["E2"],
            "entity": {"kind": "deployment", "namespace": "f3iai", "name": "csi-operator"}, "why_less_likely": "it runs"});
    });
    let reasons: Vec<_> = report.alternatives.iter().map(|a| a.why_less_likely.as_str()).collect();
    assert_eq!(reasons, ["it runs"]);
}

#[test]
fn a_chain_from_a_cause_that_nobody_claims_any_more_goes() {
    let report = merged(survey(ReportVerdict::Likely), |args| {
        args["causal_chain"] = json!([]);
        args["root_causes"][0]["cause_code"] = json!("disk_broken");
    });
    assert!(report.causal_chain.is_empty());
}

#[test]
fn a_model_without_a_cause_does_not_take_the_surveys_away() {
    for verdict in ["insufficient_evidence", "no_fault"] {
        let report = merged(survey(ReportVerdict::Likely), |args| no_cause(args, verdict));
        assert_eq!(ids(&report), [("C1", "csi_absent"), ("C2", "volume_full")]);
        assert_eq!((report.verdict, report.summary.as_str()), (ReportVerdict::Likely, "survey"));
        assert_eq!(report.recommendations[1].addresses, ["C1"]);
        assert!(report.verification.checks[0].contains("the survey's causes stand"));
        assert_eq!(report.open_questions[0].question, "Who writes?");
    }
}

#[test]
fn no_fault_outweighs_what_is_merely_possible() {
    let report = merged(survey(ReportVerdict::Possible), |args| no_cause(args, "no_fault"));
    assert_eq!((report.verdict, report.root_causes.len(), report.causal_chain.len()), (ReportVerdict::NoFault, 0, 0));
    assert_eq!(rivals(&report), ["oom", "csi_absent", "volume_full"]);
}

#[test]
fn without_any_cause_the_verdict_is_insufficient_evidence() {
    let mut empty = survey(ReportVerdict::InsufficientEvidence);
    empty.root_causes.clear();
    let report = merged(empty, |args| no_cause(args, "insufficient_evidence"));
    assert_eq!(
        (report.verdict, report.summary.as_str()),
        (ReportVerdict::InsufficientEvidence, "The volume of typedb-0 is full.")
    );
}

#[test]
fn causes_are_empty_exactly_when_the_verdict_says_so() {
    for base in [ReportVerdict::InsufficientEvidence, ReportVerdict::Possible, ReportVerdict::Confirmed] {
        for verdict in ["likely", "no_fault", "insufficient_evidence"] {
            let mut survey = survey(base);
            if base == ReportVerdict::InsufficientEvidence {
                survey.root_causes.clear();
            }
            let report = merged(survey, |args| {
                if verdict != "likely" {
                    no_cause(args, verdict)
                }
            });
            let none = matches!(report.verdict, ReportVerdict::InsufficientEvidence | ReportVerdict::NoFault);
            assert_eq!(report.root_causes.is_empty(), none, "{base} {verdict}");
        }
    }
}
