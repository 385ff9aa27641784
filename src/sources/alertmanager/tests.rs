use super::super::Mapped;
use super::super::draft::NOTE;
use super::*;
use crate::domain::{Entropy, Redactor, ResourceType, Severity, SreEvent};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn uuid(&self, _: Timestamp) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn salt(&self) -> [u8; 16] {
        [7; 16]
    }
}

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(["s3cr3t-value"]).unwrap());

fn normalise(body: &Value) -> Result<Normalised, SourceError> {
    let entropy = Counting::default();
    let at = "2026-11-21T00:00:00Z".parse().unwrap();
    let mapping = Mapping { at, entropy: &entropy, redactor: &REDACTOR, hmac_key: b"key" };
    let raw = body.to_string();
    Alertmanager.normalise(&Delivery::plain(body, raw.as_bytes()), &mapping)
}

fn one(alert: Value) -> SreEvent {
    match normalise(&json!({"alerts": [alert]})).unwrap().items.remove(0) {
        Mapped::Alert { event, .. } => *event,
        other => panic!("no alert: {other:?}"),
    }
}

fn quarantined(alert: Value) -> String {
    match normalise(&json!({"alerts": [alert]})).unwrap().items.remove(0) {
        Mapped::Quarantined { reason, .. } => reason,
        other => panic!("not quarantined: {other:?}"),
    }
}

/// Every recorded request of three Alertmanager versions, and the events that it becomes.
#[test]
fn recorded_requests_become_their_golden_events() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|version| std::fs::read_dir(version.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 51);
    for file in files {
        let record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let normalised = normalise(&record["body"]).unwrap();
        let alerts = record["body"]["alerts"].as_array().unwrap();
        assert_eq!(normalised.items.len(), alerts.len());
        let events: Vec<Value> = normalised
            .items
            .iter()
            .zip(alerts)
            .map(|(item, alert)| match item {
                Mapped::Alert { event, raw } => {
                    assert!(event.raw.opens_with(&raw.salt, &raw.bytes));
                    assert_eq!(serde_json::from_slice::<Value>(&raw.bytes).unwrap(), *alert);
                    serde_json::to_value(event).unwrap()
                }
                other => panic!("{}: {other:?}", file.display()),
            })
            .collect();
        let version = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name = format!("{version}-{}", file.file_stem().unwrap().to_string_lossy());
        insta::assert_json_snapshot!(name, json!({"truncated": normalised.truncated, "events": events}));
    }
}

#[test]
fn fields_come_from_where_the_contract_says() {
    let full = one(json!({
        "status": "firing",
        "labels": {"alertname": "KubePodCrashLooping", "severity": "page", "namespace": "shop", "pod": "web-1",
                   "instance": "10.0.0.1:8080", "job": "ksm", "service": "web", "cluster": "eu"},
        "annotations": {"summary": "web-1 restarts", "description": "long", "runbook_url": "https://run.example/x"},
        "startsAt": "2026-11-20T23:30:30.098+01:00", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prom/graph", "fingerprint": "abc", "unknown": {"key": 1},
    }));
    assert_eq!((full.severity, full.status, full.ends_at), (Severity::Critical, AlertStatus::Firing, None));
    assert_eq!((full.subject.as_str(), full.name.as_str()), ("web", "KubePodCrashLooping"));
    assert_eq!((full.description.as_str(), full.title.as_str()), ("[shop] web-1 restarts", "web-1 restarts"));
    assert_eq!((full.resource.kind, full.resource.id.as_str()), (ResourceType::K8sPod, "web-1"));
    assert_eq!(full.resource.cluster.as_deref(), Some("eu"));
    assert_eq!((full.fingerprint.as_str(), full.starts_at.to_string().as_str()), ("abc", "2026-11-20T22:30:30.098Z"));
    assert_eq!(full.links.iter().map(|l| l.rel.as_str()).collect::<Vec<_>>(), ["source", "runbook"]);

    for (labels, subject) in [
        (json!({"alertname": "A", "job": "j", "instance": "i"}), "i"),
        (json!({"alertname": "A", "job": "j"}), "j"),
        (json!({"alertname": "A", "service": " "}), "A"),
    ] {
        assert_eq!(one(json!({"labels": labels})).subject, subject);
    }
    assert_eq!(one(json!({"labels": {"alertname": "A"}, "annotations": {"description": "d"}})).description, "d");
    assert_eq!(one(json!({"labels": {"alertname": "A", "namespace": "n"}})).description, "[n] A");
}

#[test]
fn nothing_invisible_or_turning_stands_in_a_line_and_the_original_stays() {
    let alert = json!({"status": "firing", "fingerprint": "f\u{200b}1", "labels": {
        "alertname": "Disk\u{202e}lluF\r\nINFO forged", "service": "\u{200b}\u{feff}", "instance": "db\u{2066}-0\u{2028}x",
        "pod": "db\u{200d}-0\u{1b}[31m", "namespace": "sh\u{202a}op", "cluster": "\u{2060}"},
        "annotations": {"summary": "\u{e0041}It is\u{ad} full"}});
    let event = one(alert);
    assert_eq!((event.name.as_str(), event.subject.as_str()), ("DisklluF  INFO forged", "db-0 x"));
    assert_eq!((event.title.as_str(), event.fingerprint.as_str()), ("It is full", "f1"));
    assert_eq!((event.resource.id.as_str(), event.resource.namespace.as_deref()), ("db-0 [31m", Some("shop")));
    assert_eq!(event.resource.cluster, None);
    assert_eq!(event.labels["namespace"], "sh\u{202a}op");
}

#[test]
fn severities_of_senders_become_four_words() {
    for (word, expected) in [
        (json!("critical"), Severity::Critical),
        (json!("page"), Severity::Critical),
        (json!("major"), Severity::Error),
        (json!("sev-42"), Severity::Error),
        (json!("minor"), Severity::Warning),
        (json!(""), Severity::Warning),
        (json!("none"), Severity::Info),
        (json!(2), Severity::Error),
        (Value::Null, Severity::Warning),
    ] {
        assert_eq!(one(json!({"labels": {"alertname": "A", "severity": word}})).severity, expected, "{word}");
    }
    let resolved = one(json!({"status": "resolved", "labels": {"alertname": "A", "severity": "critical"}}));
    assert_eq!((resolved.severity, resolved.ends_at), (Severity::Info, Some(resolved.received_at)));
}

#[test]
fn times_that_are_missing_zero_or_in_the_future_are_understood() {
    let missing = one(json!({"labels": {"alertname": "A"}}));
    assert_eq!(missing.starts_at, missing.received_at);
    let zero = one(json!({"labels": {"alertname": "A"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": null}));
    assert_eq!((zero.starts_at, zero.ends_at), (zero.received_at, None));
    let future = one(json!({"labels": {"alertname": "A"}, "startsAt": "2099-01-01T00:00:00Z"}));
    assert_eq!(future.starts_at.to_string(), "2099-01-01T00:00:00Z");
    let by_end = one(json!({"labels": {"alertname": "A"}, "endsAt": "2026-11-20T00:00:00Z"}));
    assert_eq!(by_end.status, AlertStatus::Resolved);
    let by_envelope = normalise(&json!({"status": "resolved", "alerts": [{"labels": {"a": "b"}}]})).unwrap();
    let Mapped::Alert { event, .. } = &by_envelope.items[0] else { panic!("an alert") };
    assert_eq!(event.status, AlertStatus::Resolved);
}

#[test]
fn a_missing_fingerprint_is_made_of_the_labels_and_stays_the_same() {
    let of = |labels: Value| one(json!({"labels": labels, "startsAt": "2026-11-20T00:00:00Z"})).fingerprint;
    assert_eq!(of(json!({"alertname": "A", "x": "1"})), of(json!({"x": "1", "alertname": "A"})));
    assert_ne!(of(json!({"alertname": "A", "x": "1"})), of(json!({"alertname": "A", "x": "2"})));
    assert_eq!(one(json!({"labels": {"a": "b"}, "fingerprint": ""})).fingerprint, of(json!({"a": "b"})));
}

#[test]
fn what_cannot_be_mapped_is_quarantined_with_its_reason_and_the_others_go_on() {
    for (alert, says) in [
        (json!("text"), "a string, not an object"),
        (json!(null), "null, not an object"),
        (json!({}), "neither labels"),
        (json!({"labels": ["a"]}), "`labels` is a list"),
        (json!({"labels": {"a": "b"}, "annotations": "x"}), "`annotations` is a string"),
        (json!({"labels": {"a": "b"}, "startsAt": "yesterday"}), "`startsAt` is no RFC 3339 time: `yesterday`"),
        (json!({"labels": {"a": "b"}, "startsAt": 7}), "`startsAt` is a number"),
        (json!({"labels": {"a": "b"}, "fingerprint": {}}), "`fingerprint` is an object"),
        (json!({"labels": {"a": "b"}, "status": "burning"}), "neither `firing` nor `resolved`"),
    ] {
        let reason = quarantined(alert);
        assert!(reason.contains(says), "{reason}");
    }
    let body = json!({"alerts": [{"labels": {"a": "1"}}, 7, {"labels": {"a": "2"}}]});
    let items = normalise(&body).unwrap().items;
    assert!(matches!(&items[1], Mapped::Quarantined { index: 1, payload, .. } if *payload == json!(7)));
    assert!(matches!(&items[2], Mapped::Alert { event, .. } if event.labels["a"] == "2"));
}

#[test]
fn bodies_of_others_are_not_recognised() {
    for body in [json!([1]), json!({}), json!({"alerts": null}), json!({"alerts": {}}), json!({"heartbeat": {}})] {
        let error = normalise(&body).unwrap_err();
        assert!(matches!(error, SourceError::NotRecognised { .. }), "{error}");
        assert!(error.to_string().contains("Check which path"), "{error}");
    }
    assert_eq!(normalise(&json!({"alerts": []})), Ok(Normalised::default()));
    let many = json!({"alerts": vec![Value::Null; MAX_ALERTS + 1]});
    assert_eq!(normalise(&many), Err(SourceError::TooMany { alerts: 20_001, limit: 20_000 }));
}

#[test]
fn secrets_and_sizes_are_dealt_with_before_anything_is_kept() {
    let event = one(json!({
        "labels": {"alertname": "A", "blob": "x".repeat(1_000_000), "token": "password=hunter22"},
        "annotations": {"summary": "the key s3cr3t-value leaked", "dashboard_url": "javascript:alert(1)",
                        "runbook_url": "https://user:s3cr3t-value@run.example"},
        "generatorURL": "ftp://x", "fingerprint": "f".repeat(10_000),
    }));
    let json = serde_json::to_string(&event).unwrap();
    assert!(!json.contains("s3cr3t") && !json.contains("hunter22"), "redacted");
    assert!(json.len() < 300 << 10 && event.fingerprint.len() == 32);
    // What is too long is shortened so that two stay two.
    let other = one(json!({"labels": {"alertname": "A"}, "fingerprint": format!("{}g", "f".repeat(9_999))}));
    assert_ne!(event.fingerprint, other.fingerprint);
    assert!(event.labels["blob"].ends_with("[cut: 1000000 bytes in all]"));
    assert!(event.links.iter().all(|link| link.url.starts_with("https://")), "{:?}", event.links);
    let many: Map<String, Value> = (0..300).map(|n| (format!("l{n}"), json!("v"))).collect();
    let event = one(json!({"labels": many}));
    assert_eq!((event.labels.len(), event.annotations[NOTE].as_str()), (256, "44 labels were left out"));
}

/// JSON that is often nearly an envelope.
fn nearly_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "firing",
        "resolved",
        "critical",
        "0001-01-01T00:00:00Z",
        "2026-11-20T23:30:30Z",
        "-9999-01-01T00:00:00Z",
        "",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "alerts",
        "labels",
        "annotations",
        "status",
        "startsAt",
        "endsAt",
        "fingerprint",
        "generatorURL",
        "groupKey",
        "truncatedAlerts",
        "alertname",
        "severity",
        "namespace",
        "pod",
        "summary",
        "x",
    ]);
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| pairs
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_answered_alert_by_alert(alerts in prop::collection::vec(nearly_json(), 0..8), other in nearly_json()) {
        let _ = normalise(&other);
        let normalised = normalise(&json!({"alerts": alerts, "status": other})).unwrap();
        prop_assert_eq!(normalised.items.len(), alerts.len());
    }
}
