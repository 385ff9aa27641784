use super::*;
use crate::domain::*;
use crate::journal::{Actor, AlertsCounted, CountedAlert, Draft, Frozen, Head};
use serde_json::json;
use uuid::Uuid;

const START: i64 = 1_795_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn blob() -> BlobRef {
    BlobRef::commit(&[0; 16], b"payload")
}

fn policy() -> PolicyRef {
    PolicyRef { digest: Digest::of("policy"), bundle: "firewarden@1".into() }
}

fn decision(level: Risk, reasons: Vec<Reason>) -> RiskDecision {
    RiskDecision {
        id: DecisionId::new(Uuid::from_u128(1)),
        level,
        reasons,
        exceptions: vec![],
        obligations: vec![],
        policy: policy(),
        input_digest: Digest::of("input"),
        error: None,
    }
}

fn ruling(verdict: Verdict) -> Ruling {
    Ruling {
        id: DecisionId::new(Uuid::from_u128(2)),
        verdict,
        reasons: vec![reason("action/secrets/read", "deny", "secrets are never read", Some("secrets.rego:9"))],
        requirements: vec![],
        exceptions: vec![],
        expires_s: None,
        duties: Default::default(),
        for_model: None,
        policy: policy(),
        input_digest: Digest::of("input"),
        error: None,
    }
}

fn reason(rule: &str, effect: &str, text: &str, at: Option<&str>) -> Reason {
    Reason { rule: rule.into(), effect: effect.into(), reason: text.into(), at: at.map(str::to_owned) }
}

pub(crate) fn event(name: &str, description: &str) -> SreEvent {
    SreEvent {
        id: EventId::new(Uuid::from_u128(3)),
        source: "alertmanager".into(),
        fingerprint: "f00d".into(),
        group_key: None,
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        name: name.into(),
        subject: "typedb-0".into(),
        resource: Resource {
            kind: ResourceType::K8sPvc,
            id: "data-typedb-0".into(),
            namespace: Some("f3iai".into()),
            cluster: None,
        },
        title: name.into(),
        description: description.into(),
        labels: Default::default(),
        annotations: Default::default(),
        starts_at: at(-60),
        ends_at: None,
        received_at: at(0),
        links: vec![],
        raw: blob(),
        raw_hmac: "00".into(),
        via: None,
        ended_by: None,
    }
}

fn call(id: &str, tool: &str) -> Call {
    Call { id: id.into(), tool: tool.into(), args: json!({"kind": "Pod", "limit": 3}), effect: None, need: json!(null) }
}

fn asking(id: &str, need: serde_json::Value) -> Call {
    Call { need, ..call(id, "kubernetes_get") }
}

fn seen(call: &str, evidence: &str, excerpt: &str) -> Body {
    Body::ReadFinished {
        call_id: call.into(),
        evidence_id: evidence.into(),
        observation: blob(),
        excerpt: excerpt.into(),
        digest: Digest::of("seen"),
        truncated: false,
        redacted: 0,
        duration_ms: 12,
        instructions: vec![],
    }
}

fn frozen(model: Option<&str>) -> Body {
    Body::Opened(Frozen {
        route: "default".into(),
        prompt: "incident".into(),
        tools: vec![],
        model: model.map(str::to_owned),
        fallbacks: vec![],
        budget: Budget::default(),
        context_tokens: None,
        windows: std::collections::BTreeMap::new(),
        pulls: None,
        playbook: Default::default(),
        prompts_digest: Digest::of("p"),
        tools_digest: Digest::of("t"),
    })
}

fn watch(colour: Colour, bodies: Vec<(i64, Body)>) -> String {
    let mut watcher = Watcher::new(colour);
    let mut head = Head::genesis("inv");
    let mut lines = vec![];
    for (second, body) in bodies {
        let entry = head.seal("inv", at(second), Draft::new(Actor::Engine, body)).unwrap();
        head = entry.head();
        lines.extend(watcher.lines(&entry));
    }
    lines.join("\n")
}

fn received(name: &str, description: &str) -> Body {
    Body::EventReceived {
        event: Box::new(event(name, description)),
        correlation_key: "k".into(),
        incident_key: Digest::of("i"),
        route: "default".into(),
    }
}

fn whole() -> Vec<(i64, Body)> {
    let claim = asking(
        "s1",
        json!({"need": "object", "kind": "PersistentVolumeClaim", "namespace": "f3iai", "name": "data-typedb-0"}),
    );
    vec![
        (0, received("PVCUsageHigh", "[f3iai] The volume data-typedb-0 is 91 % full and will be full within two hours at this pace; the pod that mounts it has restarted 14 times")),
        (0, Body::RiskAssessed { phase: Phase::Alert, input: blob(), decision: decision(Risk::Medium, vec![
            reason("risk/base/severity", "level", "an alert of severity warning is MEDIUM", Some("risk/base.rego:14")),
            reason("risk/protected/namespace", "raise", "the namespace f3iai holds production data, and whoever looks there must take care not to disturb it", None),
        ]) }),
        (0, frozen(Some("main"))),
        (0, Body::SurveyPlanned { round: 1, calls: vec![
            claim.clone(),
            asking("s2", json!({"need": "range", "promql": "kubelet_volume_stats_used_bytes{namespace=\"f3iai\"}", "minutes": 360})),
        ] }),
        (0, Body::ReadStarted { call: claim.clone(), ruling: ruling(Verdict::Allow), input: None }),
        (1, seen("s1", "E1", "PersistentVolumeClaim data-typedb-0: Bound, 20Gi, local-path")),
        (1, Body::ReadFailed { call_id: "s2".into(), evidence_id: "E2".into(), error: "prometheus: http://p:9090 cannot be reached (connection refused); check the address and that it runs, please".into(), duration_ms: 3, instructions: vec![] }),
        (2, Body::Surveyed { stopped: "calls".into(), analysis: blob(), findings: 4, top_cause: Some("the CSI driver's controller was scaled to 0, so no volume can be mounted".into()), things: vec![] }),
        (2, Body::RiskRaised { from: Risk::Medium, to: Risk::High }),
        (2, Body::ModelAsked { turn: 1, model: "main".into(), request_digest: Digest::of("r"), request: blob(), reserved_tokens: 100, reserved_usd: 0.0, max_tokens: 40, must_answer: false }),
        (61, Body::ModelReplied { turn: 1, model: "m".into(), reply: blob(), proposal: Proposal::Calls { accepted: vec![call("c1", "kubernetes_logs")], rejected: vec![], recovered: false }, usage: Usage { tokens_in: 1200, tokens_out: 80, tokens_cached: 0 }, cost_usd: 0.0012, sent: None }),
        (61, Body::CallRejected { call: call("c2", "kubernetes_get"), reason: "denied".into(), remedy: "no".into(), ruling: Some(ruling(Verdict::Deny)), input: None }),
        (62, seen("c1", "E3", "21 lines; last error: \"panicked at checkpoint: directory is empty\"")),
        (125, Body::Reported { revision: 1, verdict: ReportVerdict::Likely, summary: "The operator was scaled to 0 at 13:02; since then no CSI pod runs and the volume of typedb-0 cannot be mounted.".into(), report: blob(), sinks: vec!["log".into()] }),
        (125, Body::Notified { sink: "log".into(), revision: 1, error: None }),
        (126, Body::NoticeFailed { sink: "chat".into(), revision: 1, attempt: 1, error: "chat: status 503".into(), again_at: at(131) }),
        (131, Body::Notified { sink: "chat".into(), revision: 1, error: None }),
        (131, Body::Closed { outcome: Outcome::Reported }),
    ]
}

#[test]
fn a_whole_investigation_reads_calmly() {
    let shown = watch(Colour::Off, whole());
    assert!(shown.lines().all(|l| l.chars().count() <= COLUMNS), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn colours_are_for_levels_and_verdicts() {
    let shown = watch(Colour::On, whole()).replace('\x1b', "ESC");
    insta::assert_snapshot!(shown.lines().filter(|l| l.contains("ESC")).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_declined_incident_says_why() {
    let mut failed = decision(
        Risk::Critical,
        vec![reason("engine/policy-error", "raise", "the policy could not be evaluated", None)],
    );
    failed.error = Some("risk/base.rego:3: undefined function\x1b[2J".into());
    insta::assert_snapshot!(watch(
        Colour::Off,
        vec![
            (0, received("CephClusterCritical", "")),
            (0, Body::RiskAssessed { phase: Phase::Alert, input: blob(), decision: failed }),
            (0, Body::Declined { reason: "CRITICAL dispatches no agent: people are told at once".into() }),
            (
                1,
                Body::Reported {
                    revision: 1,
                    verdict: ReportVerdict::Declined,
                    summary: "Policy said CRITICAL.".into(),
                    report: blob(),
                    sinks: vec![],
                }
            ),
            (1, Body::Closed { outcome: Outcome::Declined }),
        ]
    ));
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    let evil = "\x1b]0;owned\x07\x1b[2J\u{202e}evil\r\n00:00  report    confirmed\x08";
    let mut hostile = event(evil, &evil.repeat(500));
    hostile.resource.id = evil.into();
    hostile.resource.namespace = Some(evil.into());
    hostile.source = evil.into();
    let opening = Body::EventReceived {
        event: Box::new(hostile.clone()),
        correlation_key: evil.into(),
        incident_key: Digest::of("i"),
        route: evil.into(),
    };
    let shown = watch(
        Colour::Off,
        vec![
            (0, opening),
            (
                0,
                Body::RiskAssessed {
                    phase: Phase::Alert,
                    input: blob(),
                    decision: decision(Risk::Low, vec![reason(evil, evil, evil, Some(evil))]),
                },
            ),
            (0, Body::AlertsMerged { events: vec![hostile], flapping: false }),
            (0, Body::SurveyPlanned { round: 1, calls: vec![call("s1", evil)] }),
            (0, seen("s1", evil, evil)),
            (
                0,
                Body::ModelFailed {
                    turn: 1,
                    error: evil.repeat(100),
                    transient: false,
                    too_long: false,
                    charged: false,
                    sent: None,
                },
            ),
            (
                0,
                Body::Reported {
                    revision: 1,
                    verdict: ReportVerdict::Possible,
                    summary: evil.repeat(100),
                    report: blob(),
                    sinks: vec![],
                },
            ),
            (0, Body::Cancelled { reason: evil.into() }),
        ],
    );
    for text in shown.lines() {
        assert!(text.chars().count() <= COLUMNS, "{text}");
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
    assert!(shown.lines().count() < 60);
    // No line of ours can be forged: each begins with a time and a label that we wrote, or is indented.
    assert_eq!(shown.lines().filter(|l| l.starts_with("00:00  report")).count(), 1);
}

#[test]
fn of_alerts_that_join_together_a_few_are_shown() {
    let events = vec![event("Slow", ""); JOINED + 143];
    let raw = events[0].raw.clone();
    let alerts = (0..1_000).map(|n| CountedAlert { id: EventId::new(uuid::Uuid::from_u128(n)), raw: raw.clone() });
    let shown = watch(
        Colour::Off,
        vec![
            (0, received("Slow", "")),
            (0, Body::AlertsMerged { events, flapping: false }),
            (1, Body::AlertsCounted(AlertsCounted { alerts: alerts.collect(), flapping: false })),
        ],
    );
    let joined: Vec<&str> = shown.lines().filter(|line| line.contains("joined")).collect();
    assert_eq!(joined.len(), JOINED + 2, "{shown}");
    assert_eq!(
        joined[JOINED..],
        ["00:00  joined    143 further alerts", "00:01  joined    1000 further alerts, counted"]
    );
}

#[test]
fn findings_name_cause_confidence_and_evidence() {
    let finding = Finding {
        analyzer: "csi".into(),
        entity: Entity::new("Deployment", "ceph-csi", "operator"),
        cause_code: "scaled_to_zero".into(),
        statement: "The Deployment ceph-csi/operator was scaled from 1 to 0 by kubectl-scale, 40 minutes before the first alert, and nothing has scaled it back since.".into(),
        category: "change".into(),
        specificity: 0.9,
        symptom: false,
        onset: None,
        evidence: vec!["E4".into(), "E9".into()],
        change: None,
        remedy: None,
    };
    let analysis = Analysis {
        hypotheses: vec![Hypothesis { finding, score: 2.0, confidence: 0.87, explains: vec![], why_less_likely: None }],
        ..Analysis::default()
    };
    insta::assert_snapshot!(Watcher::new(Colour::Off).findings(&analysis).join("\n"));
}

#[test]
fn changes_are_planned_asked_answered_and_made() {
    use crate::journal::{RulingPhase, Watched};
    let action: Action = serde_json::from_value(json!({
        "id": "act_00000000-0000-0000-0000-000000000001", "tool": "kubernetes_scale", "effect": "write",
        "reversible": true, "args": {"name": "api", "replicas": 3},
        "title": "scale Deployment payments/api from 2 to 3 replicas\x1b[2J", "targets": [],
        "preview": {"kind": "server_dry_run", "text": "-   replicas: 2\n+   replicas: 3", "adds": 1, "changes": 0, "removes": 1},
        "precondition": null, "carries": null, "undo": null, "retry": "keyed",
        "blast_radius": {"known": true, "pods": 2, "namespaces": 1, "clusters": 1, "dependents": 0, "pvc_bytes": 0},
        "facts": null, "nonce": "n",
    }))
    .unwrap();
    let digest = action.digest("inv_00000000-0000-0000-0000-000000000007".parse().unwrap(), Risk::Medium);
    let (id, approval) = (action.id, ApprovalId::new(Uuid::from_u128(9)));
    let requirement =
        Requirement { rule: "action/pressure".into(), groups: vec!["oncall".into(), "leads".into()], count: 2 };
    let ruled = |phase, verdict| {
        let mut ruling = ruling(verdict);
        ruling.reasons = vec![reason("action/pressure", "approve", "under pressure every write is asked", None)];
        Body::ActionRuled { action: id, phase, digest: digest.clone(), ruling, input: blob(), told: String::new() }
    };
    let decided = |granted, name: &str, comment: &str| Body::ApprovalDecided {
        approval,
        granted,
        digest: digest.clone(),
        by: Person { name: name.into(), groups: vec![], every_group: false },
        answered_at: jiff::Timestamp::UNIX_EPOCH,
        comment: comment.into(),
    };
    let receipt = Receipt { reference: "r".into(), summary: "3 replicas wanted".into(), detail: json!(null) };
    let shown = watch(
        Colour::Off,
        vec![
            (0, Body::CallsProposed { calls: vec![call("beside_1", "kubernetes_scale")], reason: "it is full".into() }),
            (
                1,
                Body::ActionPlanned {
                    call_id: "beside_1".into(),
                    keys: action.keys(&Digest::of("i")),
                    marker: Marker::sign(&Digest::of("s"), b"k"),
                    action: Box::new(action),
                },
            ),
            (1, ruled(RulingPhase::Propose, Verdict::Ask)),
            (
                1,
                Body::ApprovalRequested {
                    approval,
                    action: id,
                    digest: digest.clone(),
                    requirements: vec![requirement],
                    expires_at: at(901),
                },
            ),
            (60, decided(true, "ann", "")),
            (90, decided(true, "bea", "go\x1b[2J ahead")),
            (
                90,
                Body::ApprovalWithdrawn {
                    approval,
                    state: ApprovalState::Invalidated,
                    reason: "the risk is not what it was".into(),
                },
            ),
            (91, decided(false, "cid", "not now")),
            (92, Body::ApprovalExpired { approval }),
            (93, Body::ActionFinished { action: id, receipt }),
            (94, Body::Verified { action: id, outcome: Watched::Held, reason: "the alert is over".into() }),
        ],
    );
    insta::assert_snapshot!(shown);
}
