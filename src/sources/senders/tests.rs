use super::*;
use crate::domain::{AlertStatus, Entropy, Redactor, Severity, SreEvent};
use crate::sources::mapped::Pointers;
use crate::sources::{Mapped, Mapping, Normalised, SourceError, read_json};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
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

/// A body with its headers, as its fixture notes them.
fn normalise(senders: &Senders, body: &Value, hint: Option<&str>) -> (String, Result<Normalised, SourceError>) {
    let noted = body.get("_headers").and_then(Value::as_object).cloned().unwrap_or_default();
    let headers: BTreeMap<String, String> =
        noted.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect();
    let mut body = body.get("_body").unwrap_or(body).clone();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|key, _| !key.starts_with('_'));
    }
    let raw = body.to_string();
    let delivery = Delivery { body: &body, raw: raw.as_bytes(), headers: &headers };
    let sender = senders.detect(&delivery, hint);
    let entropy = Counting::default();
    let at = "2026-11-21T00:00:00Z".parse().unwrap();
    let mapping = Mapping { at, entropy: &entropy, redactor: &REDACTOR, hmac_key: b"key" };
    (sender.name().to_owned(), sender.normalise(&delivery, &mapping))
}

fn shown(normalised: &Normalised) -> Value {
    let items = normalised.items.iter().map(|item| match item {
        Mapped::Alert { event, raw } => {
            assert!(event.raw.opens_with(&raw.salt, &raw.bytes));
            json!({"alert": event})
        }
        Mapped::Quarantined { reason, payload, .. } => json!({"quarantined": reason, "payload": payload}),
        Mapped::Notice { reason, severity, subject } => {
            json!({"notice": reason, "severity": severity, "subject": subject})
        }
    });
    items.collect()
}

fn one(body: Value, hint: Option<&str>) -> SreEvent {
    match normalise(&Senders::default(), &body, hint).1.unwrap().items.remove(0) {
        Mapped::Alert { event, .. } => *event,
        other => panic!("no alert: {other:?}"),
    }
}

fn fixture(name: &str) -> Value {
    let file = format!("{}/tests/fixtures/senders/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Nobody gets a known sender's name by writing it so that it looks the same once it is kept.
#[test]
fn a_name_is_compared_as_it_is_kept() {
    let senders = Senders::default();
    let body = json!({"title": "x"});
    let delivery = Delivery::plain(&body, b"{}");
    let long = format!("alertmanager{}x", " ".repeat(60));
    for hint in ["alertmanager", "alert\u{200b}manager", " alertmanager ", long.as_str(), "grafana\u{feff}"] {
        let sender = senders.detect(&delivery, Some(hint));
        assert_ne!(sender.kind(), "generic", "{hint:?} is read as the sender that it names");
    }
    assert_eq!(senders.detect(&delivery, Some("my-script")).kind(), "generic");
}

/// Every sample of every sender is recognised by its shape and becomes its golden event.
#[test]
fn samples_are_recognised_and_become_their_golden_events() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/senders");
    let folders = std::fs::read_dir(folder).unwrap().map(|folder| folder.unwrap().path());
    let mut files: Vec<_> =
        folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 23);
    for file in files {
        let sender = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let sample = file.file_stem().unwrap().to_string_lossy().into_owned();
        let body = fixture(&format!("{sender}/{sample}"));
        // Only what has no shape needs to be told who it is.
        let hint = (sender == "portainer").then_some("portainer");
        let (name, normalised) = normalise(&Senders::default(), &body, hint);
        assert_eq!(name, sender, "{sample}");
        insta::assert_json_snapshot!(format!("{sender}-{sample}"), shown(&normalised.unwrap()));
        let by_name = Senders::default().named(&sender).unwrap();
        assert_eq!(by_name.name(), sender);
    }
}

#[test]
fn bodies_of_alertmanager_are_its_own_in_every_version_and_grafana_is_told_apart() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager");
    for version in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            let record: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            let (name, normalised) = normalise(&Senders::default(), &record["body"], Some("my-script"));
            assert_eq!(name, "alertmanager");
            let left_out = record["body"]["truncatedAlerts"].as_u64().unwrap();
            let group = normalised.unwrap().group;
            assert_eq!(group.is_some(), left_out > 0);
            if let Some(group) = group {
                assert_eq!(group.receiver.as_deref(), record["body"]["receiver"].as_str());
                assert_eq!(serde_json::to_value(group.labels).unwrap(), record["body"]["groupLabels"]);
            }
        }
    }
}

#[test]
fn what_grafana_left_out_is_counted_and_asked_of_nobody() {
    let mut body = fixture("grafana/firing");
    body["truncatedAlerts"] = 3.into();
    let normalised = normalise(&Senders::default(), &body, None).1.unwrap();
    assert_eq!((normalised.truncated, &normalised.group), (3, &None));
    let Mapped::Alert { event, .. } = &normalised.items[0] else { panic!("an alert") };
    assert!(event.annotations["firewarden_note"].starts_with("Grafana left 3 alerts"), "{:?}", event.annotations);
}

#[test]
fn whoever_has_no_shape_is_who_it_says_and_cannot_pass_for_another() {
    let senders = Senders::default();
    let caddy = fixture("portainer/caddy");
    assert_eq!(normalise(&senders, &caddy, None).0, "generic");
    assert_eq!(normalise(&senders, &caddy, Some(" nightly\u{202e}-backup ")).0, "nightly-backup");
    // A name of a sender with a shape is no name for a body without one.
    let (name, refused) = normalise(&senders, &caddy, Some("alertmanager"));
    assert!(name == "alertmanager" && matches!(refused, Err(SourceError::NotRecognised { .. })));
    for nothing in [json!({}), json!({"x": 1}), json!([1, 2]), json!([{"y": {}}]), json!({"service": " "})] {
        let (name, refused) = normalise(&senders, &nothing, None);
        let error = refused.unwrap_err();
        assert!(name == "generic" && error.to_string().contains("intake.sources"), "{error}");
    }
    assert!(senders.named("pagerduty2").is_none());
    assert!(senders.names().windows(2).all(|pair| pair[0] < pair[1]) && senders.names().len() == 10);
}

#[test]
fn a_custom_payload_is_refused_with_what_would_be_understood() {
    let senders = Senders::default();
    for (name, body, says) in [
        ("alertmanager", json!({"text": "PVC is full"}), "a `payload` of the receiver replaces it"),
        ("grafana", json!({"summary": "PVC is full"}), "a custom payload template replaces it"),
        ("uptime-kuma", json!({"text": "down"}), "has `heartbeat`"),
        ("pagerduty", json!({"messages": []}), "version 3"),
        ("opsgenie", json!({"alert": {}}), "`alert.alertId`"),
        ("sentry", json!({"data": {}}), "`installation`"),
        ("datadog", json!({"title": "x"}), "docs/senders.md"),
        ("cloudevents", json!({"id": "1"}), "`specversion`"),
    ] {
        let sender = senders.named(name).unwrap();
        let raw = body.to_string();
        let entropy = Counting::default();
        let at = "2026-11-21T00:00:00Z".parse().unwrap();
        let mapping = Mapping { at, entropy: &entropy, redactor: &REDACTOR, hmac_key: b"key" };
        let error = sender.normalise(&Delivery::plain(&body, raw.as_bytes()), &mapping).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("intake.sources"), "{name}: {error}");
    }
}

#[test]
fn what_ends_an_alert_has_the_identity_of_what_began_it() {
    for (begin, end) in [
        ("grafana/firing", "grafana/resolved"),
        ("uptime-kuma/down", "uptime-kuma/up"),
        ("pagerduty/incident.triggered", "pagerduty/incident.resolved"),
        ("opsgenie/create", "opsgenie/close"),
        ("sentry/metric_alert.critical", "sentry/metric_alert.resolved"),
        ("datadog/recommended-template", "datadog/recovered"),
    ] {
        let (began, ended) = (one(fixture(begin), None), one(fixture(end), None));
        assert_eq!((began.status, ended.status), (AlertStatus::Firing, AlertStatus::Resolved), "{begin}");
        assert_eq!((&began.source, &began.fingerprint), (&ended.source, &ended.fingerprint), "{begin}");
        // The same start, or that of whichever episode is open.
        assert!(began.starts_at == ended.starts_at || ended.starts_at == ended.received_at, "{begin}");
    }
    let fires = |kind: &str| {
        json!({"specversion": "1.0", "id": kind, "source": "/a", "subject": "db",
               "type": format!("com.example.alert.{kind}"), "data": {"alertname": "A"}})
    };
    let (began, ended) = (one(fires("firing"), None), one(fires("resolved"), None));
    assert_eq!((began.fingerprint, ended.status), (ended.fingerprint, AlertStatus::Resolved));
    let other = json!({"specversion": "1.0", "id": "3", "source": "/a", "subject": "web",
                       "type": "com.example.alert.firing", "data": {"alertname": "A"}});
    assert_ne!(one(other, None).fingerprint, one(fires("firing"), None).fingerprint);
}

#[test]
fn monitors_that_are_pending_or_maintained_are_no_alerts() {
    for (status, word) in [(2, "pending"), (3, "maintenance")] {
        let mut body = fixture("uptime-kuma/down");
        body["heartbeat"]["status"] = status.into();
        let normalised = normalise(&Senders::default(), &body, None).1.unwrap();
        let Mapped::Notice { reason, severity, subject } = &normalised.items[0] else { panic!("a notice") };
        assert!(reason.contains(word), "{reason}");
        assert_eq!((*severity, subject.as_deref()), (Severity::Info, Some("shop-web")));
    }
    // The seed of this format: no ids, no times.
    let seed = json!({"heartbeat": {"status": 0, "msg": "connect ECONNREFUSED"},
        "monitor": {"name": "vector-mcp", "url": "https://vector-mcp.arpa"},
        "msg": "[vector-mcp] [DOWN] connect ECONNREFUSED"});
    let event = one(seed, None);
    assert_eq!((event.source.as_str(), event.severity), ("uptime-kuma", Severity::Critical));
    assert_eq!((event.subject.as_str(), event.labels["service"].as_str()), ("vector-mcp", "vector-mcp"));
    let nameless = json!({"heartbeat": {"status": 0}, "monitor": {"url": "https://a.test"}, "msg": "x"});
    assert_eq!(one(nameless, None).subject, "https://a.test");
    let neither = normalise(&Senders::default(), &json!({"heartbeat": {"status": 0}, "monitor": {}}), None);
    assert!(
        matches!(&neither.1.unwrap().items[0], Mapped::Quarantined { reason, .. } if reason.contains("monitor.id"))
    );
}

#[test]
fn a_credential_of_a_monitor_is_not_kept() {
    let mut body = fixture("uptime-kuma/down");
    body["monitor"]["basic_auth_user"] = "kuma".into();
    body["monitor"]["headers"] = "{\"X-Key\": \"abcdef\"}".into();
    let normalised = normalise(&Senders::default(), &body, None).1.unwrap();
    let Mapped::Alert { raw, .. } = &normalised.items[0] else { panic!("an alert") };
    let kept = String::from_utf8_lossy(&raw.bytes);
    assert!(!kept.contains("kuma") && !kept.contains("abcdef") && kept.contains("shop-web"), "{kept}");
}

fn checkmk() -> JsonMapping {
    let at = |pointer: &str| Some(pointer.to_owned());
    JsonMapping {
        name: "checkmk".into(),
        alerts: at("/events"),
        fields: Pointers {
            name: at("/check"),
            subject: at("/host/name"),
            severity: at("/state"),
            status: at("/kind"),
            summary: at("/output"),
            starts_at: at("/since"),
            labels: at("/tags"),
            link: at("/url"),
            ..Pointers::default()
        },
        labels: BTreeMap::from([("node".into(), "/host/name".into())]),
        severities: BTreeMap::from([("CRIT".into(), Severity::Critical)]),
        resolved: vec!["RECOVERY".into()],
        ignored: vec!["ACKNOWLEDGEMENT".into()],
    }
}

#[test]
fn json_of_ones_own_is_read_by_its_mapping() {
    let senders = Senders::new(vec![checkmk()]);
    let event = |kind: &str| {
        json!({"check": "Filesystem /var", "host": {"name": "node-a"}, "state": "crit", "kind": kind,
               "output": "97% used", "since": 1_795_217_417, "tags": ["team:infra"], "url": "https://mk.test/1"})
    };
    let body = json!({"events": [event("PROBLEM"), event("RECOVERY"), event("ACKNOWLEDGEMENT"), {"x": 1}, 7]});
    let (name, normalised) = normalise(&senders, &body, Some("checkmk"));
    assert_eq!(name, "checkmk");
    insta::assert_json_snapshot!("mapped-checkmk", shown(&normalised.unwrap()));
    // Named by its path it is the same; without its name it is nobody's.
    assert_eq!(senders.named("checkmk").unwrap().name(), "checkmk");
    assert!(normalise(&senders, &body, None).1.is_err());
    for (body, says) in [
        (json!({"other": []}), "nothing stands at `alerts`"),
        (json!({"events": {}}), "no list stands at `alerts`"),
        (json!({"events": [{"x": 1}]}), "none of its `fields`"),
    ] {
        let error = normalise(&senders, &body, Some("checkmk")).1.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(normalise(&senders, &json!({"events": []}), Some("checkmk")).1, Ok(Normalised::default()));
}

/// JSON that is often nearly what some sender sends.
fn nearly_json() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "firing",
        "resolved",
        "critical",
        "Create",
        "Close",
        "incident.triggered",
        "triggered",
        "warning",
        "1.0",
        "$ID",
        "[Recovered] x",
        "[[",
        "2026-11-20 23:31:02.123",
        "0001-01-01T00:00:00Z",
        "certificate expires",
        "a:b,c",
        "",
        "x",
    ];
    const KEYS: &[&str] = &[
        "alerts",
        "labels",
        "annotations",
        "status",
        "startsAt",
        "orgId",
        "state",
        "title",
        "heartbeat",
        "monitor",
        "msg",
        "name",
        "id",
        "tags",
        "event",
        "event_type",
        "data",
        "issue",
        "metric_alert",
        "action",
        "alert",
        "alertId",
        "createdAt",
        "installation",
        "specversion",
        "source",
        "type",
        "time",
        "data_base64",
        "subject",
        "alert_id",
        "transition",
        "scope",
        "date_ms",
        "org",
        "service",
        "severity",
        "summary",
        "x",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..8).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// A sample with one of its values replaced.
fn bent_sample() -> impl Strategy<Value = Value> {
    const SAMPLES: &[&str] = &[
        "grafana/firing",
        "uptime-kuma/down",
        "uptime-kuma/certificate",
        "pagerduty/incident.triggered",
        "opsgenie/create",
        "sentry/event_alert.triggered",
        "sentry/metric_alert.critical",
        "datadog/default",
        "datadog/recommended-template",
        "cloudevents/structured",
        "cloudevents/batch",
        "portainer/generic",
    ];
    (prop::sample::select(SAMPLES), any::<prop::sample::Index>(), nearly_json()).prop_map(|(name, index, value)| {
        let mut body = fixture(name);
        let mut places = vec![];
        places_in(&body, String::new(), &mut places);
        if let Some(place) = body.pointer_mut(&places[index.index(places.len())]) {
            *place = value;
        }
        body
    })
}

fn places_in(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| places_in(item, format!("{at}/{n}"), places));
        }
        Value::Object(map) => map.iter().filter(|(key, _)| !key.starts_with('_')).for_each(|(key, item)| {
            places_in(item, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), places)
        }),
        _ => {}
    }
    places.push(at);
}

/// Everything of a body is answered: an alert, a notice, a reason, or one text for the whole.
fn is_answered(senders: &Senders, body: &Value, hint: Option<&str>) {
    let raw = body.to_string();
    let delivery = Delivery::plain(body, raw.as_bytes());
    let entropy = Counting::default();
    let at = "2026-11-21T00:00:00Z".parse().unwrap();
    let mapping = Mapping { at, entropy: &entropy, redactor: &REDACTOR, hmac_key: b"key" };
    match senders.detect(&delivery, hint).normalise(&delivery, &mapping) {
        Ok(normalised) => {
            for item in &normalised.items {
                match item {
                    Mapped::Alert { event, .. } => {
                        assert!(!event.fingerprint.is_empty() && !event.name.is_empty() && !event.source.is_empty());
                        assert!(event.fingerprint.len() <= 256 && event.subject.len() <= 256);
                    }
                    Mapped::Quarantined { reason, .. } | Mapped::Notice { reason, .. } => assert!(!reason.is_empty()),
                }
            }
            let lists = matches!(body, Value::Array(_)) || body.get("alerts").is_some();
            assert!(lists || !normalised.items.is_empty(), "nothing is said of {body}");
        }
        Err(error) => assert!(error.to_string().contains("Check which path"), "{error}"),
    }
}

proptest! {
    #[test]
    fn any_json_is_answered_whoever_sends_it(body in nearly_json()) {
        let senders = Senders::new(vec![checkmk()]);
        is_answered(&senders, &body, None);
        for name in senders.names() {
            is_answered(&senders, &body, Some(&name));
        }
    }

    #[test]
    fn a_sample_with_anything_in_any_place_is_answered(body in bent_sample()) {
        is_answered(&Senders::default(), &body, None);
    }

    #[test]
    fn any_bytes_are_refused_with_a_text_or_answered(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\":,\\u00dF\xFF\xEF\xBB\xBF 01e-.tfn\x00".to_vec()), 0..80)) {
        match read_json(&bytes) {
            Ok(body) => is_answered(&Senders::default(), &body, None),
            Err(error) => prop_assert!(error.to_string().contains("Send")),
        }
    }
}
