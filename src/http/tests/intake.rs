use super::stage::{Stage, alert, recorded};
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn sum(answer: &Value) -> u64 {
    ["accepted", "merged", "resolved", "ignored", "quarantined"].iter().map(|key| answer[*key].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn recorded_requests_are_taken_in_and_every_alert_is_answered() {
    for version in ["0.25.0", "0.28.1", "0.33.1"] {
        let stage = Stage::open().await;
        let mixed = recorded(version, "firing-group-mixed-with-resolved");
        let first = stage.deliver(&mixed["body"]).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        let first = first.json();
        assert_eq!((sum(&first), first["events"].as_array().unwrap().len()), (5, 5));
        assert_eq!((&first["accepted"], &first["merged"], &first["resolved"]), (&json!(1), &json!(2), &json!(2)));
        let row = &first["events"][1];
        assert_eq!(
            (&row["outcome"], &row["source"], &row["severity"]),
            (&json!("opened"), &json!("alertmanager"), &json!("warning"))
        );
        assert!(
            row["event_id"].as_str().unwrap().starts_with("evt_")
                && row["job_id"].as_str().unwrap().starts_with("inv_")
        );
        // A retry is byte-identical: nothing is opened twice, and the first delivery's ids are given.
        let again = stage.deliver(&mixed["body"]).await.json();
        assert_eq!((&again["ignored"], &again["events"][1]["event_id"]), (&json!(5), &row["event_id"]));
        assert_eq!(again["events"][1]["job_id"], row["job_id"]);
        assert_eq!(stage.web.store.counts().await.unwrap().investigations, 1);
    }
}

#[tokio::test]
async fn every_recorded_request_is_taken_in_whole() {
    let stage = Stage::open().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager");
    let mut bodies = 0;
    for version in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            let record: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            let answer = stage.deliver(&record["body"]).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            assert_eq!(sum(&answer.json()), record["body"]["alerts"].as_array().unwrap().len() as u64);
            assert_eq!(answer.json()["quarantined"], json!(0));
            let left_out = record["body"]["truncatedAlerts"].as_u64().unwrap();
            assert_eq!(answer.json()["truncated_alerts"].as_u64().unwrap_or(0), left_out);
            bodies += 1;
        }
    }
    assert_eq!(bodies, 51);
}

#[tokio::test]
async fn resolving_ends_an_alert_and_opens_nothing() {
    let stage = Stage::open().await;
    let opened = stage.deliver(&recorded("0.33.1", "firing-single-pvc-high")["body"]).await.json();
    let resolved = stage.deliver(&recorded("0.33.1", "resolved-single-pvcusagehigh")["body"]).await.json();
    assert_eq!((&opened["accepted"], &resolved["resolved"]), (&json!(1), &json!(1)));
    let counts = stage.web.store.counts().await.unwrap();
    assert_eq!(counts.investigations, 1);
}

#[tokio::test]
async fn other_paths_answer_alike_and_webhook_alert_says_more() {
    let stage = Stage::open().await;
    let empty = stage.post("/alertmanager", r#"{"alerts":[]}"#).await;
    assert_eq!(empty.status, StatusCode::OK);
    assert_eq!((sum(&empty.json()), empty.json()["events"].clone()), (0, json!([])));
    let body = json!({"alerts": [alert("A", 1), 7]}).to_string();
    let answer = stage.post("/webhook/alert?cluster=prod&wait=never", body).await.json();
    assert_eq!((&answer["message"], &answer["service"]), (&json!("Processed 2 alerts"), &json!("firewarden")));
    assert_eq!((&answer["quarantined"], &answer["accepted"]), (&json!(1), &json!(1)));
    let result = &answer["results"][0];
    assert_eq!(
        (&result["alert_name"], &result["severity"], &result["analysis"]),
        (&json!("A"), &json!("critical"), &Value::Null)
    );
    assert_eq!(result["thread_id"], answer["events"][0]["job_id"]);
    assert_eq!(answer["events"][1]["reason"], json!("the alert is a number, not an object"));
    let system = stage.web.store.entries("system", 0, 10).await.unwrap();
    assert!(
        matches!(&system[0].body, crate::journal::Body::Quarantined(alert) if alert.reason.starts_with("alert 1: "))
    );
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_and_kept_as_letters() {
    let stage = Stage::open().await;
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let cases: [(&[u8], &str, &str); 9] = [
        (b"alert!", "not-json", "Send one JSON document"),
        (b"", "not-json", "Send one JSON document"),
        (b"\xFF\xFE", "not-json", "Send one JSON document"),
        (&deep, "too-deep", "deeper than 64"),
        (b"[]", "no-alerts", "an empty list"),
        (b"12", "no-alerts", "a number"),
        (b"[1]", "not-recognised", "this body is a list"),
        (br#"{"heartbeat":{"status":0},"password":"a b c","x":"s3cr3t-value"}"#, "not-recognised", "without `alerts`"),
        (br#"{"alerts":{}}"#, "not-recognised", "no list"),
    ];
    for (body, kind, says) in &cases {
        let detail = stage.post("/webhook/alertmanager", body.to_vec()).await.problem(400, kind);
        assert!(detail.contains(says), "{detail}");
    }
    let letters = stage.store.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), cases.len());
    assert!(letters.iter().all(|l| l.source == "alertmanager" && l.body.len() <= 64 << 10 && !l.reason.is_empty()));
    let all: String = letters.iter().map(|l| l.body.clone()).collect();
    assert!(all.contains("heartbeat") && !all.contains("s3cr3t") && !all.contains("a b c"), "{all}");
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
}

#[tokio::test]
async fn broken_characters_and_any_content_type_are_taken() {
    let stage = Stage::open().await;
    let mut body = json!({"alerts": [alert("Br@ken", 1)]}).to_string().into_bytes();
    let at = body.iter().position(|b| *b == b'@').unwrap();
    body[at] = 0xFF;
    let request =
        Request::post("/webhook/alertmanager").header("content-type", "text/plain").body(body.into()).unwrap();
    let answer = stage.send(request).await.json();
    assert_eq!(answer["accepted"], json!(1));
    let events = stage.get("/api/v1/events").await.json();
    assert_eq!(events["items"][0]["name"], json!("Br\u{fffd}ken"));
}

#[tokio::test]
async fn a_body_of_33_mib_is_refused_whether_announced_or_not() {
    let stage = Stage::open().await;
    let big = format!(r#"{{"alerts":[],"x":"{}"}}"#, "y".repeat(33 << 20));
    let announced = Request::post("/webhook/alertmanager").header("content-length", big.len());
    let detail = stage.send(announced.body(big.clone().into()).unwrap()).await.problem(413, "too-large");
    assert!(detail.contains("max_alerts"), "{detail}");
    let parts = big.as_bytes().chunks(1 << 20).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect::<Vec<_>>();
    let streamed = HttpBody::from_stream(futures::stream::iter(parts));
    stage.post("/webhook/alertmanager", streamed).await.problem(413, "too-large");
    assert!(stage.store.letters.lock().unwrap().is_empty());
    assert_eq!(stage.post("/webhook/alertmanager", r#"{"alerts":[]}"#).await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_alerts_are_refused_and_ten_thousand_are_taken_in_one_commit() {
    let stage = Stage::open().await;
    let many = json!({"alerts": vec![Value::Null; 20_001]});
    stage.deliver(&many).await.problem(413, "too-large");
    let alerts: Vec<Value> = (0..10_000).map(|n| alert("Storm", n)).collect();
    let answer = stage.deliver(&json!({"alerts": alerts, "groupKey": "{}:{alertname=\"Storm\"}"})).await.json();
    assert_eq!((&answer["accepted"], &answer["merged"], sum(&answer)), (&json!(1), &json!(9_999), 10_000));
    assert_eq!((answer["events"].as_array().unwrap().len(), &answer["events_omitted"]), (1_000, &json!(9_000)));
    assert_eq!(stage.web.store.counts().await.unwrap().events, 10_000);
}

#[tokio::test]
async fn a_label_of_a_megabyte_is_cut_and_an_unknown_severity_is_an_error() {
    let stage = Stage::open().await;
    let mut alert = alert("Long", 1);
    alert["labels"]["blob"] = "x".repeat(1 << 20).into();
    alert["labels"]["severity"] = "sev-42".into();
    let answer = stage.deliver(&json!({"alerts": [alert]})).await.json();
    assert_eq!((&answer["accepted"], &answer["events"][0]["severity"]), (&json!(1), &json!("error")));
    let id = answer["events"][0]["event_id"].as_str().unwrap();
    let event = stage.get(&format!("/api/v1/events/{id}")).await;
    assert!(event.json()["labels"]["blob"].as_str().unwrap().ends_with("[cut: 1048576 bytes in all]"));
    assert!(event.bytes.len() < 300 << 10);
}

#[tokio::test]
async fn without_its_credential_nothing_is_taken() {
    let stage = Stage::guarded().await;
    let body = json!({"alerts": [alert("A", 1)]}).to_string();
    for (name, value) in [
        ("x-none", ""),
        ("authorization", "Bearer wrong"),
        ("authorization", "Bearer bob-operates"),
        ("x-fleet-events-token", "for-alert"),
    ] {
        let request = Request::post("/webhook/alertmanager").header(name, value).body(body.clone().into()).unwrap();
        let answer = stage.send(request).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(answer.problem(401, "unauthorized").contains("Nothing was stored"));
    }
    let not_json = Request::post("/webhook/alertmanager").body("junk".into()).unwrap();
    stage.send(not_json).await.problem(401, "unauthorized");
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
    assert!(stage.store.letters.lock().unwrap().is_empty());
    // "am:for-alerts"
    for (name, value) in [
        ("authorization", "Bearer for-alerts"),
        ("authorization", "Basic YW06Zm9yLWFsZXJ0cw=="),
        ("x-fleet-events-token", "for-alerts"),
    ] {
        let request = Request::post("/webhook/alertmanager").header(name, value).body(body.clone().into()).unwrap();
        assert_eq!(stage.send(request).await.status, StatusCode::OK, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_commit_is_a_503_and_the_repeat_is_taken_once() {
    let stage = Stage::open().await;
    let body = json!({"alerts": [alert("A", 1), 7]});
    stage.store.broken.store(true, Ordering::Relaxed);
    for body in [body.clone(), json!({"alerts": [7]}), json!({"no": "alerts"})] {
        let answer = stage.deliver(&body).await;
        assert_eq!(answer.header("retry-after"), "5");
        let detail = answer.problem(503, "store-unavailable");
        assert!(!detail.contains("/secret/place") && detail.contains("Repeat it later"), "{detail}");
    }
    stage.get("/readyz").await.problem(503, "not-ready");
    assert_eq!(stage.get("/healthz").await.status, StatusCode::OK);
    stage.store.broken.store(false, Ordering::Relaxed);
    assert_eq!(stage.deliver(&body).await.json()["accepted"], json!(1));
    assert_eq!(stage.deliver(&body).await.json()["ignored"], json!(1));
    assert_eq!(stage.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_much_at_once_is_a_503() {
    let stage = Stage::open().await;
    let all = stage.web.gates.bodies.try_acquire_many(2_048).unwrap();
    let answer = stage.deliver(&json!({"alerts": []})).await;
    assert_eq!(answer.header("retry-after"), "5");
    answer.problem(503, "overloaded");
    drop(all);
    let nearly_all = stage.web.gates.bodies.try_acquire_many(2_046).unwrap();
    assert_eq!(stage.deliver(&json!({"alerts": []})).await.status, StatusCode::OK);
    let large = json!({"alerts": [], "x": "y".repeat(200 << 10)});
    stage.deliver(&large).await.problem(503, "overloaded");
    drop(nearly_all);
    assert_eq!(stage.deliver(&large).await.status, StatusCode::OK);
    assert_eq!(stage.web.gates.bodies.available_permits(), 2_048);
}

#[tokio::test]
async fn waiting_ends_with_the_report_or_with_the_time() {
    let stage = Stage::open().await;
    let began = Instant::now();
    let body = json!({"alerts": [alert("A", 1)]}).to_string();
    let (answer, _) = tokio::join!(stage.post("/webhook/alert?wait=60", body.clone()), async {
        while stage.web.store.counts().await.unwrap().investigations == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.report("the volume is full").await
    });
    assert_eq!(answer.json()["results"][0]["analysis"], json!("# the volume is full\n"));
    assert!(began.elapsed() < Duration::from_secs(30));
    let other = json!({"alerts": [alert("B", 2)]}).to_string();
    let answer = stage.post("/webhook/alert?wait=1", other).await.json();
    assert_eq!((&answer["accepted"], &answer["results"][0]["analysis"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn a_page_elsewhere_cannot_send_alerts_through_a_browser() {
    let stage = Stage::open().await;
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = Request::post("/webhook/alertmanager").header("host", "127.0.0.1:8080").header(name, value);
        stage
            .send(request.body(json!({"alerts": [alert("A", 1)]}).to_string().into()).unwrap())
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(stage.web.store.counts().await.unwrap().events, 0);
}

#[tokio::test]
async fn who_finds_no_room_before_the_disk_is_told_at_once() {
    let stage = Stage::open().await;
    let few = json!({"alerts": [alert("A", 1)]});
    let many = json!({"alerts": (0..400).map(|n| alert("B", n)).collect::<Vec<_>>()});
    let all = stage.web.gates.commits.available_permits();
    let mut held = stage.web.gates.commits.try_acquire_many(u32::try_from(all - 50).unwrap()).unwrap();
    // There is room for a small body, and none for a large one.
    let answer = stage.deliver(&many).await;
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.problem(503, "overloaded").contains("nothing of this body was taken"));
    assert_eq!(stage.deliver(&few).await.json()["accepted"], json!(1));
    held.merge(stage.web.gates.commits.try_acquire_many(50).unwrap());
    stage.deliver(&few).await.problem(503, "overloaded");
    drop(held);
    assert_eq!(sum(&stage.deliver(&many).await.json()), 400);
    assert_eq!(stage.web.store.counts().await.unwrap().events, 401);
    assert_eq!(stage.web.gates.commits.available_permits(), all, "what was answered waits no more");
}

#[tokio::test]
async fn a11_what_is_quarantined_is_listed_shown_and_read_again_once() {
    let stage = Stage::open().await;
    let mut late = alert("Late", 2);
    late["startsAt"] = json!("yesterday");
    let answer = stage.deliver(&json!({"alerts": [alert("A", 1), late]})).await.json();
    let id = answer["events"][1]["event_id"].as_str().unwrap().to_owned();
    stage.post("/webhook/alertmanager", r#"{"alert":"s3cr3t-value"}"#).await.problem(400, "not-recognised");
    stage.post("/webhook/alertmanager", r#"{"alert":"s3cr3t-value"}"#).await.problem(400, "not-recognised");
    let page = stage.get("/api/v1/events?outcome=quarantined").await.json();
    let items = page["items"].as_array().unwrap();
    let told = |n: usize| (items[n]["kind"].clone(), items[n]["deliveries"].clone(), items[n]["outcome"].clone());
    assert_eq!(
        (told(0), told(1)),
        ((json!("body"), json!(2), json!("quarantined")), (json!("alert"), json!(1), json!("quarantined")))
    );
    assert!(items[1]["reason"].as_str().unwrap().contains("startsAt") && items[1]["id"] == json!(id));
    assert!(!page.to_string().contains("s3cr3t"));
    assert_eq!(stage.get("/api/v1/events?outcome=opened").await.json()["items"].as_array().unwrap().len(), 1);
    stage.get("/api/v1/events?outcome=lost").await.problem(400, "bad-request");
    stage.get("/api/v1/events?outcome=quarantined&subject=x").await.problem(400, "bad-request");
    let shown = stage.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!((&shown["raw"]["startsAt"], &shown["outcome"]), (&json!("yesterday"), &json!("quarantined")));
    // The mapping is as it was, so it is still not understood; and what was taken in is not replayed.
    let path = |id: &str| format!("/api/v1/events/{id}/replay");
    let detail = stage.post(&path(&id), "").await.problem(409, "not-replayed");
    assert!(detail.contains("still not understood"), "{detail}");
    let taken = answer["events"][0]["event_id"].as_str().unwrap();
    stage.post(&path(taken), "").await.problem(409, "not-replayed");
    stage.post(&path("evt_00000000-0000-0000-0000-00000000ffff"), "").await.problem(404, "not-found");
    // What a mended mapping understands is taken in, once, and the journal says for whom.
    let letter = stage.web.store.letter(id.parse().unwrap()).await.unwrap().unwrap();
    let mut mended = letter.clone();
    mended.id = "evt_00000000-0000-0000-0000-00000000aaaa".parse().unwrap();
    mended.digest = crate::domain::Digest::of("mended");
    mended.body = letter.body.replace("yesterday", "2026-11-20T23:30:30Z");
    stage.web.store.keep_letters(vec![mended.clone()]).await.unwrap();
    let first = stage.post(&path(&mended.id.to_string()), "").await.json();
    assert_eq!((&first["replayed_before"], &first["became"]["accepted"]), (&json!(false), &json!(1)));
    let again = stage.post(&path(&mended.id.to_string()), "").await.json();
    assert_eq!((&again["replayed_before"], &again["became"]), (&json!(true), &first["became"]));
    assert_eq!(stage.web.store.counts().await.unwrap().events, 2);
    let system = stage.web.store.entries("system", 0, 100).await.unwrap();
    let replayed: Vec<_> = system
        .iter()
        .filter_map(|entry| match &entry.body {
            crate::journal::Body::Replayed(replayed) => Some((entry.actor.clone(), replayed.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(replayed.len(), 1);
    assert_eq!(
        (replayed[0].1.by.as_str(), replayed[0].1.outcomes["opened"], replayed[0].1.letter),
        ("local", 1, mended.id)
    );
}
