use super::stage::{Stage, alert, recorded};
use crate::domain::Secret;
use crate::edge::http::tests::{http, peer};
use crate::http::signature::tests::sign;
use crate::http::{Access, IntakeToken, Signed};
use axum::http::{Method, Request, StatusCode};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// As `seeds` of this interface write it: an Uptime Kuma in its shortest form.
const KUMA: &str = r#"{
    "heartbeat": {"status": 0, "msg": "connect ECONNREFUSED"},
    "monitor": {"name": "vector-mcp", "url": "https://vector-mcp.arpa"},
    "msg": "[vector-mcp] [DOWN] connect ECONNREFUSED"
}"#;
/// And a script that calls itself portainer.
const CADDY: &str = r#"{"service": "caddy-mcp", "severity": "critical",
       "status": "down", "summary": "synthetic: caddy-mcp is down"}"#;

fn sample(name: &str) -> Value {
    let file = format!("{}/tests/fixtures/senders/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut body: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|key, _| !key.starts_with('_'));
    }
    body
}

fn with(path: &str, headers: &[(&str, &str)], body: impl Into<axum::body::Body>) -> Request<axum::body::Body> {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn the_fleet_path_takes_what_its_documentation_shows() {
    let stage = Stage::open().await;
    let answer = stage.post("/api/fleet/events?source=portainer", CADDY).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = answer.json();
    let row = &answer["events"][0];
    assert_eq!((&answer["status"], &answer["accepted"]), (&json!("success"), &json!(1)));
    assert_eq!(
        (&row["source"], &row["severity"], &row["subject"]),
        (&json!("portainer"), &json!("critical"), &json!("caddy-mcp"))
    );
    assert!(row["event_id"].is_string() && row["job_id"].as_str().unwrap().starts_with("inv_"));
    let event = stage.get(&format!("/api/v1/events/{}", row["event_id"].as_str().unwrap())).await.json();
    assert_eq!((&event["source"], &event["name"]), (&json!("portainer"), &json!("caddy-mcp")));

    let answer = stage.post("/api/fleet/events", KUMA).await.json();
    let row = &answer["events"][0];
    assert_eq!(
        (&row["source"], &row["severity"], &row["subject"], &row["outcome"]),
        (&json!("uptime-kuma"), &json!("critical"), &json!("vector-mcp"), &json!("opened"))
    );
    let up = KUMA.replace("\"status\": 0", "\"status\": 1");
    let answer = stage.post("/api/fleet/events", up).await.json();
    assert_eq!((&answer["resolved"], &answer["events"][0]["job_id"]), (&json!(1), &row["job_id"]));
    // The header says who it is as the query does.
    let named = with("/api/fleet/events", &[("x-event-source", "cron")], CADDY.replace("caddy-mcp", "backup"));
    assert_eq!(stage.send(named).await.json()["events"][0]["source"], json!("cron"));
}

#[tokio::test]
async fn curl_without_a_content_type_sends_a_form_and_is_understood() {
    let stage = Stage::open().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let empty = stage.send(with("/webhook/alert", &form, r#"{"alerts":[]}"#)).await;
    assert_eq!((empty.status, &empty.json()["message"]), (StatusCode::OK, &json!("Processed 0 alerts")));
    let alerts = r#"{"alerts": [{"status": "firing",
      "labels": {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"},
      "annotations": {"summary": "High CPU usage", "description": "CPU usage above 80%"}}]}"#;
    let answer = stage.send(with("/webhook/alert", &form, alerts)).await.json();
    assert_eq!((&answer["message"], &answer["service"]), (&json!("Processed 1 alerts"), &json!("firewarden")));
    assert_eq!(answer["results"][0]["thread_id"], answer["events"][0]["job_id"]);
    // Uptime Kuma's "form-data".
    let kind = "multipart/form-data; boundary=----kuma";
    let body = format!("------kuma\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{KUMA}\r\n------kuma--\r\n");
    let answer = stage.send(with("/webhook/uptime-kuma", &[("content-type", kind)], body)).await;
    assert_eq!(answer.json()["accepted"], json!(1));
    // Datadog's "encode as form".
    let pairs = "alert_id=1234&alert_cycle_key=9bd4&transition=Triggered&alert_type=error&title=%5BTriggered%5D+PVC";
    let answer = stage.send(with("/api/fleet/events", &form, pairs)).await.json();
    assert_eq!(answer["events"][0]["source"], json!("datadog"));
}

#[tokio::test]
async fn every_sender_is_taken_by_its_own_path_and_by_its_shape() {
    for (name, body) in [
        ("alertmanager", recorded("0.33.1", "firing-single-pvc-high")["body"].clone()),
        ("grafana", sample("grafana/firing")),
        ("uptime-kuma", sample("uptime-kuma/down")),
        ("cloudevents", sample("cloudevents/structured")),
        ("pagerduty", sample("pagerduty/incident.triggered")),
        ("opsgenie", sample("opsgenie/create")),
        ("sentry", sample("sentry/metric_alert.critical")),
        ("datadog", sample("datadog/recommended-template")),
    ] {
        let stage = Stage::open().await;
        let first = stage.post(&format!("/webhook/{name}"), body.to_string()).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        let row = first.json()["events"][0].clone();
        assert_eq!((&row["source"], &row["outcome"]), (&json!(name), &json!("opened")), "{name}");
        let again = stage.post("/api/fleet/events", body.to_string()).await.json();
        assert_eq!((&again["ignored"], &again["events"][0]["event_id"]), (&json!(1), &row["event_id"]), "{name}");
        assert_eq!(again["events"][0]["job_id"], row["job_id"], "{name}");
    }
    let stage = Stage::open().await;
    let put = Request::put("/webhook/grafana").body(sample("grafana/firing").to_string().into()).unwrap();
    assert_eq!(stage.send(put).await.json()["accepted"], json!(1));
    let detail = stage.post("/webhook/nagios", "{}").await.problem(404, "not-found");
    assert!(detail.contains("uptime-kuma") && detail.contains("/webhook/generic?source=nagios"), "{detail}");
    let answer = stage.post("/webhook/generic?source=nagios", CADDY).await.json();
    assert_eq!(answer["events"][0]["source"], json!("nagios"));
    // Nobody gets the name of a sender with a shape by asking for it.
    let answer = stage.post("/webhook/generic?source=pagerduty", CADDY).await.json();
    assert_eq!(answer["events"][0]["source"], json!("generic"));
}

#[tokio::test]
async fn binary_cloudevents_carry_their_attributes_in_headers() {
    let stage = Stage::open().await;
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "A234"),
        ("ce-source", "//monitoring.example.test/prod%20eu"),
        ("ce-type", "com.example.alert.firing"),
        ("ce-subject", "shop/data-postgres-0"),
        ("ce-time", "2026-11-20T23:31:02.123Z"),
    ];
    let answer = stage.send(with("/api/fleet/events", &headers, r#"{"alertname":"PVCUsageHigh"}"#)).await.json();
    let id = answer["events"][0]["event_id"].as_str().unwrap().to_owned();
    let event = stage.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!((&event["source"], &event["name"]), (&json!("cloudevents"), &json!("PVCUsageHigh")));
    assert_eq!(event["labels"]["ce_source"], json!("//monitoring.example.test/prod eu"));
    let asks = Request::builder().method(Method::OPTIONS).uri("/webhook/cloudevents");
    let asks = asks.header("webhook-request-origin", "eventemitter.example.com").body("".into()).unwrap();
    let answer = stage.send(asks).await;
    assert_eq!(answer.header("webhook-allowed-origin"), "eventemitter.example.com");
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_no_alert_is_answered_and_opens_nothing() {
    let stage = Stage::open().await;
    for name in ["uptime-kuma/test-button", "pagerduty/pagey.ping"] {
        let answer = stage.post("/api/fleet/events", sample(name).to_string()).await.json();
        let row = &answer["events"][0];
        assert_eq!((&answer["ignored"], &row["outcome"]), (&json!(1), &json!("ignored")), "{name}");
        assert!(row["event_id"].is_null() && !row["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
}

#[tokio::test]
async fn what_nobody_understands_is_refused_and_kept_once() {
    let stage = Stage::open().await;
    for (body, kind, says) in [
        (r#"{"x":1}"#, "not-recognised", "intake.sources"),
        (r#"{"service":"a","service":"b"}"#, "ambiguous", "`service` twice"),
        ("service=a&service=b", "not-json", "Send one JSON document"),
        ("[]", "no-alerts", "an empty list"),
    ] {
        let detail = stage.post("/api/fleet/events", body).await.problem(400, kind);
        assert!(detail.contains(says), "{detail}");
    }
    let letters = stage.store.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), 4);
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
}

#[tokio::test]
async fn a_credential_of_one_sender_lets_in_no_other_whatever_the_body_looks_like() {
    let token = |source: &str, token: &str, signed: Option<Signed>| IntakeToken {
        source: source.into(),
        token: Secret::new(token, "test"),
        signed,
    };
    let stage = Stage::with(Access {
        intake: vec![
            token("grafana", "for-grafana", None),
            token("generic", "for-scripts", None),
            token("pagerduty", "key-1", Some(Signed::of("pagerduty"))),
            token("pagerduty", "key-2", Some(Signed::of("pagerduty"))),
        ],
        tokens: vec![],
    })
    .await;
    let grafana = sample("grafana/firing").to_string();
    let duty = sample("pagerduty/incident.triggered").to_string();
    let alerts = json!({"alerts": [alert("A", 1)]}).to_string();
    let bearer = |token: &str| format!("Bearer {token}");
    for (path, token, body, fits) in [
        ("/api/fleet/events", "for-grafana", &grafana, true),
        ("/webhook/grafana", "for-grafana", &grafana, true),
        ("/api/fleet/events", "for-grafana", &alerts, false),
        ("/webhook/alertmanager", "for-grafana", &alerts, false),
        ("/api/fleet/events", "for-scripts", &alerts, false),
        ("/api/fleet/events", "for-scripts", &grafana, false),
        ("/api/fleet/events?source=cron", "for-scripts", &CADDY.to_owned(), true),
        ("/webhook/generic?source=cron", "for-scripts", &CADDY.to_owned(), true),
        // The key of a signature is no token.
        ("/webhook/pagerduty", "key-1", &duty, false),
        ("/webhook/nagios", "wrong", &duty, false),
    ] {
        let answer = stage.send(with(path, &[("authorization", &bearer(token))], body.clone())).await;
        let expected = if fits { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status, expected, "{path} {token}: {}", answer.text());
    }
    let before = stage.web.store.counts().await.unwrap().events;
    for (key, fits) in [("key-0", false), ("key-1", true), ("key-2", true)] {
        let signature = format!("v1={}", sign(key, &[duty.as_bytes()]));
        let headers = [("x-pagerduty-signature", signature.as_str())];
        for path in ["/webhook/pagerduty", "/api/fleet/events"] {
            let answer = stage.send(with(path, &headers, duty.clone())).await;
            let expected = if fits { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(answer.status, expected, "{path} {key}: {}", answer.text());
        }
        let changed = duty.replace("QDEMO1", "QDEMO2");
        stage.send(with("/webhook/pagerduty", &headers, changed)).await.problem(401, "unauthorized");
    }
    // A repeat of what is signed is known, and nothing of what was refused is kept.
    assert_eq!(stage.web.store.counts().await.unwrap().events, before + 1);
    assert!(stage.store.letters.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_sender_that_passes_its_cap_is_asked_to_wait_and_alertmanager_never_is() {
    let stage = Stage::open().await;
    let numbered = |n: usize| json!({"service": format!("s{n}"), "summary": "down", "id": n}).to_string();
    for n in 0..120 {
        let answer = stage.post("/api/fleet/events?source=cron", numbered(n)).await;
        assert_eq!(answer.status, StatusCode::OK, "{n}: {}", answer.text());
    }
    let answer = stage.post("/api/fleet/events?source=cron", numbered(120)).await;
    assert_eq!(answer.header("retry-after"), "1");
    let detail = answer.problem(429, "storm");
    assert!(detail.contains("nothing of this body was taken") && detail.contains("`cron`"), "{detail}");
    // Others are counted apart; time heals.
    assert_eq!(stage.post("/api/fleet/events?source=nightly", numbered(121)).await.status, StatusCode::OK);
    stage.clock.forward(1);
    assert_eq!(stage.post("/api/fleet/events?source=cron", numbered(120)).await.json()["accepted"], json!(1));
    for n in 0..130 {
        assert_eq!(stage.deliver(&json!({"alerts": [alert("A", n)]})).await.status, StatusCode::OK);
    }
    assert_eq!(stage.web.store.counts().await.unwrap().events, 120 + 2 + 130);
}

/// What `max_alerts` cut off is read from the API of the same version, once, and joins the same
/// investigation.
#[tokio::test]
async fn what_alertmanager_left_out_is_read_from_its_api() {
    for version in ["0.25.0", "0.28.1", "0.33.1"] {
        let file =
            format!("{}/tests/fixtures/alertmanager_api/{version}/alerts-filtered.json", env!("CARGO_MANIFEST_DIR"));
        let told = std::fs::read(file).unwrap();
        let listed: Value = serde_json::from_slice(&told).unwrap();
        let (address, asked) = peer(move |_| http(200, "application/json", &told));
        let stage = Stage::beside(Access::default(), Some(&address)).await;
        let cut = recorded(version, "truncated-firing")["body"].clone();
        let answer = stage.deliver(&cut).await.json();
        assert_eq!((&answer["accepted"], &answer["truncated_alerts"]), (&json!(1), &cut["truncatedAlerts"]));
        let expected = listed.as_array().unwrap().len();
        let began = Instant::now();
        let items = loop {
            let items = stage.get("/api/v1/events?limit=100").await.json()["items"].as_array().unwrap().clone();
            let known = |alert: &&Value| items.iter().any(|item| item["fingerprint"] == alert["fingerprint"]);
            if listed.as_array().unwrap().iter().filter(known).count() == expected {
                break items;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{version}: {items:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let job = &answer["events"][0]["job_id"];
        assert!(
            items.iter().all(|item| item["investigation"] == *job && item["status"] == json!("firing")),
            "{version}"
        );
        assert_eq!(stage.web.store.counts().await.unwrap().investigations, 1);
        let asked = asked.lock().unwrap().clone();
        assert!(asked[0].starts_with("GET /api/v2/alerts?active=true") && asked[0].contains("alertname"), "{asked:?}");
    }
}

#[tokio::test]
async fn an_alertmanager_that_does_not_answer_costs_nothing_that_was_sent() {
    let (address, asked) = peer(|_| http(500, "text/plain", b"oops"));
    let stage = Stage::beside(Access::default(), Some(&address)).await;
    let cut = recorded("0.33.1", "truncated-firing")["body"].clone();
    let answer = stage.deliver(&cut).await;
    assert_eq!((answer.status, answer.json()["accepted"].clone()), (StatusCode::OK, json!(1)));
    let began = Instant::now();
    while asked.lock().unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "it is not asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stage.get("/readyz").await.status, StatusCode::OK);
}

/// A body of some sender with bytes of it changed, left out, or said twice.
fn broken_body() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<Vec<u8>> = [
        "grafana/firing",
        "uptime-kuma/down",
        "cloudevents/batch",
        "pagerduty/incident.triggered",
        "opsgenie/create",
        "sentry/event_alert.triggered",
        "datadog/recommended-template",
        "portainer/generic",
    ]
    .iter()
    .map(|name| sample(name).to_string().into_bytes())
    .chain([recorded("0.33.1", "firing-group-mixed-with-resolved")["body"].to_string().into_bytes()])
    .collect();
    let change = (any::<prop::sample::Index>(), prop::sample::select(b"\"{}[]:,\\0 \xFF\x00n".to_vec()), 0..4_u8);
    (prop::sample::select(samples), prop::collection::vec(change, 0..4)).prop_map(|(mut body, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(body.len().max(1)).min(body.len().saturating_sub(1));
            match how {
                _ if body.is_empty() => {}
                0 => body[at] = byte,
                1 => drop(body.drain(at..)),
                2 => {
                    let twice = body[at..(at + 40).min(body.len())].to_vec();
                    body.splice(at..at, twice);
                }
                _ => body.insert(at, byte),
            }
        }
        body
    })
}

/// Nothing is lost silently: a body is refused with a text that helps, or each of its alerts has a row,
/// and whatever has an id can be read back.
#[tokio::test]
async fn any_body_is_refused_with_a_text_or_kept() {
    let stage = Stage::open().await;
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..200 {
        let body = broken_body().new_tree(&mut runner).unwrap().current();
        let shown = String::from_utf8_lossy(&body).into_owned();
        stage.clock.forward(60);
        let answer = stage.post("/api/fleet/events?source=cron", body).await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}: {}", answer.text());
            assert!(answer.json()["detail"].as_str().unwrap().contains("Send"), "{shown}: {}", answer.text());
            refused += 1;
            continue;
        }
        taken += 1;
        let answer = answer.json();
        let counters = ["accepted", "merged", "resolved", "ignored", "quarantined"];
        let sum: u64 = counters.iter().map(|key| answer[*key].as_u64().unwrap()).sum();
        let rows = answer["events"].as_array().unwrap();
        assert_eq!(sum, rows.len() as u64, "{shown}: {answer}");
        for row in rows {
            match row["event_id"].as_str() {
                Some(id) => assert_eq!(stage.get(&format!("/api/v1/events/{id}")).await.status, StatusCode::OK),
                None => assert!(row["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{shown}: {row}"),
            }
        }
    }
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused");
}

/// Attributes of a binary CloudEvent stand in headers, and a signature is of the body alone.
#[tokio::test]
async fn what_only_a_signature_lets_in_is_taken_by_its_body_alone() {
    let token = |source: &str, token: &str, signed: Option<Signed>| IntakeToken {
        source: source.into(),
        token: Secret::new(token, "test"),
        signed,
    };
    let intake = vec![
        token("cloudevents", "key", Some(Signed::of("cloudevents"))),
        token("cloudevents", "shown", None),
        token("pagerduty", "key", Some(Signed::of("pagerduty"))),
    ];
    let stage = Stage::with(Access { intake, tokens: vec![] }).await;
    let body = r#"{"service": "shop", "summary": "slow"}"#;
    let signature = sign("key", &[body.as_bytes()]);
    let attributes =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "forged"), ("ce-type", "x.alert"), ("ce-data", "{}")];
    for path in ["/webhook/cloudevents", "/api/fleet/events"] {
        let signed = [&attributes[..], &[("x-signature", signature.as_str())]].concat();
        let detail = stage.send(with(path, &signed, body)).await.problem(401, "unauthorized");
        assert!(detail.contains("structured"), "{path}: {detail}");
    }
    // Nor does the header make another sender's signed body a CloudEvent.
    let duty = sample("pagerduty/incident.triggered").to_string();
    let signature = format!("v1={}", sign("key", &[duty.as_bytes()]));
    let headers = [&attributes[..], &[("x-pagerduty-signature", signature.as_str())]].concat();
    stage.send(with("/api/fleet/events", &headers, duty)).await.problem(401, "unauthorized");
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
    // A credential that is shown stands for the headers, too; and the data is the body.
    let shown = [&attributes[..], &[("authorization", "Bearer shown")]].concat();
    let answer = stage.send(with("/webhook/cloudevents", &shown, body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json()["events"][0]["subject"], json!("shop"));
}
