use super::stage::{Stage, alert};
use crate::domain::{ChatReply, FinishReason, Usage};
use crate::http::serve;
use crate::journal::{Body, Classified, Confirmation, Confirmed, Proposal};
use crate::store::Blob;
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn with_alerts(stage: &Stage, names: &[&str]) -> Vec<Value> {
    let mut rows = vec![];
    for (n, name) in names.iter().enumerate() {
        let answer = stage.deliver(&json!({"alerts": [alert(name, n)]})).await.json();
        rows.push(answer["events"][0].clone());
    }
    rows
}

#[tokio::test]
async fn events_are_listed_newest_first_by_filter_and_page() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A", "B", "C"]).await;
    let page = stage.get("/api/v1/events?limit=2").await.json();
    let ids: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|e| &e["id"]).collect();
    assert_eq!(ids, [&rows[2]["event_id"], &rows[1]["event_id"]]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = stage.get(&format!("/api/v1/events?limit=2&cursor={cursor}")).await.json();
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&rows[0]["event_id"], &Value::Null));
    for (query, count) in [
        ("subject=s1", 1),
        ("subject=none", 0),
        ("source=alertmanager&severity=Critical", 3),
        ("severity=warning", 0),
        ("since=2026-11-20T00:00:00Z", 3),
        ("since=2027-01-01T00:00:00Z", 0),
    ] {
        let found = stage.get(&format!("/api/v1/events?{query}")).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
    let event = stage.get(&format!("/api/v1/events/{}", rows[0]["event_id"].as_str().unwrap())).await.json();
    for (key, value) in [
        ("outcome", json!("opened")),
        ("triage_status", json!("pending")),
        ("summary", json!("[shop] A 0")),
        ("investigation", rows[0]["job_id"].clone()),
        ("remediation_log", json!([])),
        ("class", json!("service_down")),
    ] {
        assert_eq!(event[key], value, "{key}");
    }
    assert_eq!(event["raw"], alert("A", 0));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_said() {
    let stage = Stage::open().await;
    for (path, says) in [
        ("/api/v1/events?limit=0", "from 1 to 1000"),
        ("/api/v1/events?limit=1001", "from 1 to 1000"),
        ("/api/v1/events?limit=ten", "from 1 to 1000"),
        ("/api/v1/events?severity=loud", "info, warning, error or critical"),
        ("/api/v1/events?since=yesterday", "RFC 3339"),
        ("/api/v1/events?sort=asc", "no query parameter `sort`"),
        ("/api/v1/events?limit=1&limit=2", "twice"),
        ("/api/v1/investigations?state=happy", "queued, running"),
        ("/api/v1/investigations?risk=severe", "LOW, MEDIUM, HIGH"),
    ] {
        let detail = stage.get(path).await.problem(400, "bad-request");
        assert!(detail.contains(says), "{path}: {detail}");
    }
    for path in [
        "/api/v1/events/evt_7",
        "/api/v1/investigations/x",
        "/none",
        "/api/v1/investigations/inv_00000000-0000-0000-0000-00000000ffff/report",
    ] {
        stage.get(path).await.problem(404, "not-found");
    }
    stage.get("/webhook/alertmanager").await.problem(405, "method-not-allowed");
    stage.post("/api/v1/events", "").await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn an_investigation_shows_its_journal_its_report_and_its_state() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let path = format!("/api/v1/investigations/{}", rows[0]["job_id"].as_str().unwrap());
    let detail = stage.get(&format!("{path}/report")).await.problem(404, "not-found");
    assert!(detail.contains("it is queued"), "{detail}");
    stage.report("the volume is full").await;
    let view = stage.get(&path).await.json();
    assert_eq!((&view["state"], &view["outcome"], &view["entries"]), (&json!("closed"), &json!("reported"), &json!(3)));
    let list = stage.get("/api/v1/investigations?state=closed&route=default&subject=s0").await.json();
    assert_eq!(list["items"][0]["id"], view["id"]);
    let journal = stage.get(&format!("{path}/journal?limit=2")).await.json();
    assert_eq!((&journal["items"][1]["body"]["type"], &journal["next_cursor"]), (&json!("Reported"), &json!("2")));
    let rest = stage.get(&format!("{path}/journal?after=2")).await.json();
    assert_eq!((&rest["items"][0]["body"]["type"], &rest["next_cursor"]), (&json!("Closed"), &Value::Null));
    let report = stage.get(&format!("{path}/report")).await;
    assert_eq!(
        (report.header("content-type"), &report.json()["summary"]),
        ("application/json", &json!("the volume is full"))
    );
    for (accept, status, text) in
        [("text/markdown", 200, "# the volume is full\n"), ("image/png", 406, ""), ("text/html", 200, "")]
    {
        let request = Request::get(format!("{path}/report")).header("host", "localhost").header("accept", accept);
        let answer = stage.send(request.body(HttpBody::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(text.is_empty() || answer.text() == text);
    }
    let event = stage.get(&format!("/api/v1/events/{}", rows[0]["event_id"].as_str().unwrap())).await.json();
    assert_eq!((&event["remediation_status"], &event["remediation_log"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn an_event_tells_step_by_step_what_was_done_about_it() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let path = format!("/api/v1/events/{}", rows[0]["event_id"].as_str().unwrap());
    let analysis = Blob::new([1; 16], b"{}".to_vec());
    let class = Some(crate::domain::Class::ServiceDown);
    let bodies = vec![
        Body::Surveyed {
            stopped: "complete".into(),
            analysis: analysis.reference.clone(),
            findings: 0,
            top_cause: None,
            things: vec![],
        },
        Body::Classified(Classified { class, playbook: class, by: "default".into(), downs: 1 }),
        Body::Confirmed(Confirmed {
            outcome: Confirmation::Recovered,
            reason: "its sender says that it is over".into(),
            evidence: vec![],
        }),
    ];
    stage.work(bodies, vec![analysis]).await;
    let event = stage.get(&path).await.json();
    assert_eq!(event["remediation_status"], "confirm:recovered");
    let steps: Vec<&str> =
        event["remediation_log"].as_array().unwrap().iter().map(|row| row["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["observe", "classify", "confirm"]);
    let classified = &event["remediation_log"][1];
    assert_eq!((&classified["by"], &classified["entry"]), (&json!("default"), &json!(3)));
}

#[tokio::test]
async fn a_browser_gets_a_page_in_which_nothing_runs() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    stage.report("<script>alert('full & \"done\"')</script>").await;
    let path = format!("/api/v1/investigations/{}/report", rows[0]["job_id"].as_str().unwrap());
    let request = Request::get(path).header("host", "localhost").header("accept", "text/html,*/*;q=0.8");
    let answer = stage.send(request.body(HttpBody::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
    let text = answer.text();
    let escaped = "<pre>\n# &lt;script&gt;alert(&#39;full &amp; &quot;done&quot;&#39;)&lt;/script&gt;";
    assert!(text.contains(escaped) && !text.contains("<script"), "{text}");
}

#[tokio::test]
async fn a_cursor_is_an_id_of_the_listed_kind() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let (event, investigation) = (rows[0]["event_id"].as_str().unwrap(), rows[0]["job_id"].as_str().unwrap());
    for (list, good, other) in [("events", event, investigation), ("investigations", investigation, event)] {
        assert_eq!(stage.get(&format!("/api/v1/{list}?cursor={good}")).await.status.as_u16(), 200);
        for wrong in [other, "zzz", "7", "%27%20OR%201"] {
            let detail = stage.get(&format!("/api/v1/{list}?cursor={wrong}")).await.problem(400, "bad-request");
            assert!(detail.contains("next_cursor"), "{detail}");
        }
    }
}

#[tokio::test]
async fn the_transcript_shows_what_the_model_saw_and_said() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let mut bodies = vec![];
    let mut blobs = vec![];
    for turn in 1..=3_u32 {
        let request = Blob::new(
            [turn as u8; 16],
            json!({"messages": [{"role": "user", "content": format!("asked {turn}")}]}).to_string().into_bytes(),
        );
        let said = ChatReply {
            model: "m-1".into(),
            content: format!("said {turn}"),
            calls: vec![],
            finish: FinishReason::Stop,
            usage: None,
        };
        let reply = Blob::new([100 + turn as u8; 16], serde_json::to_vec(&said).unwrap());
        let asked = Body::ModelAsked {
            turn,
            model: "main".into(),
            request_digest: crate::domain::Digest::of("x"),
            request: request.reference.clone(),
            reserved_tokens: 1,
            reserved_usd: 0.0,
            max_tokens: 0,
            must_answer: false,
        };
        bodies.push(asked.clone());
        bodies.push(Body::ModelFailed {
            turn,
            error: "timeout".into(),
            transient: true,
            too_long: false,
            charged: false,
            sent: None,
        });
        bodies.push(asked);
        if turn < 3 {
            bodies.push(Body::ModelReplied {
                turn,
                model: "m-1".into(),
                reply: reply.reference.clone(),
                proposal: Proposal::Invalid { remedy: "again".into() },
                usage: Usage::default(),
                cost_usd: 0.5,
                sent: None,
            });
            blobs.push(reply);
        }
        blobs.push(request);
    }
    stage.work(bodies, blobs).await;
    let path = format!("/api/v1/investigations/{}/transcript", rows[0]["job_id"].as_str().unwrap());
    let page = stage.get(&format!("{path}?limit=2")).await.json();
    let first = &page["items"][0];
    assert_eq!(
        (&first["turn"], &first["reply"]["content"], &first["cost_usd"]),
        (&json!(1), &json!("said 1"), &json!(0.5))
    );
    assert_eq!(
        (&first["request"]["messages"][0]["content"], &first["failures"][0]["error"]),
        (&json!("asked 1"), &json!("timeout"))
    );
    assert_eq!(
        (&first["attempts"], &first["outcome"], &first["request"]["digest_holds"]),
        (&json!(2), &json!({"kind": "unusable", "remedy": "again"}), &json!(false))
    );
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (2, &json!("2")));
    let rest = stage.get(&format!("{path}?cursor=2")).await.json();
    assert_eq!(
        (&rest["items"][0]["turn"], &rest["items"][0]["reply"], &rest["next_cursor"]),
        (&json!(3), &Value::Null, &Value::Null)
    );
}

/// The events of a server-sent stream, until `count` are there or it ends.
async fn entries(body: HttpBody, count: usize) -> Vec<(u64, Value)> {
    let mut stream = body.into_data_stream();
    let (mut text, mut found) = (String::new(), vec![]);
    while found.len() < count {
        let Some(part) = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("an event in time")
        else {
            break;
        };
        text.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                found.push((id.parse().unwrap(), serde_json::from_str(&data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    found
}

#[tokio::test]
async fn the_stream_follows_resumes_and_ends() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let path = format!("/api/v1/investigations/{}/stream", rows[0]["job_id"].as_str().unwrap());
    let request = |last: &str| {
        let request = Request::get(&path).header("host", "localhost");
        let request = if last.is_empty() { request } else { request.header("last-event-id", last) };
        request.body(HttpBody::empty()).unwrap()
    };
    let live = stage.raw(request("")).await;
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    let (seen, _) = tokio::join!(entries(live.into_body(), usize::MAX), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stage.report("done").await
    });
    let kinds: Vec<_> = seen.iter().map(|(id, entry)| (*id, entry["body"]["type"].as_str().unwrap())).collect();
    assert_eq!(kinds, [(1, "EventReceived"), (2, "Reported"), (3, "Closed")]);
    assert_eq!(seen[2].1["prev"], seen[1].1["hash"]);
    let resumed = entries(stage.raw(request("2")).await.into_body(), usize::MAX).await;
    assert_eq!(resumed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3]);
    assert_eq!(stage.raw(request("3")).await.status(), StatusCode::NO_CONTENT);
    stage.send(request("x")).await.problem(400, "bad-request");
}

#[tokio::test]
async fn the_stream_tells_how_far_a_models_answer_is() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let id = rows[0]["job_id"].as_str().unwrap();
    let (_waiting, progress) = stage.web.live.begin(id, 4, "main", stage.web.clock.now());
    progress.piece();
    let request = Request::get(format!("/api/v1/investigations/{id}/stream")).header("host", "localhost");
    let live = stage.raw(request.body(HttpBody::empty()).unwrap()).await;
    let mut stream = live.into_body().into_data_stream();
    let (mut decoder, mut events) = (crate::edge::sse::Decoder::new(1 << 20), vec![]);
    while events.len() < 2 {
        let part = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("an event in time");
        events.extend(decoder.feed(&part.unwrap().unwrap()).unwrap());
    }
    assert!(events[0].kind.is_none() && events[0].data.contains("EventReceived"), "{events:?}");
    assert_eq!((events[1].kind.as_deref(), &events[1].id), (Some("progress"), &None), "it is in no journal");
    let told: Value = serde_json::from_str(&events[1].data).unwrap();
    assert_eq!((&told["turn"], &told["model"], &told["tokens"]), (&json!(4), &json!("main"), &json!(1)));
}

#[tokio::test]
async fn cancelling_leaves_a_signal_with_its_reason() {
    let stage = Stage::guarded().await;
    let as_who = |path: &str, token: &str, body: &str| {
        Request::post(path).header("authorization", format!("Bearer {token}")).body(body.to_owned().into()).unwrap()
    };
    let body = json!({"alerts": [alert("A", 1)]}).to_string();
    let rows = stage.send(as_who("/webhook/alertmanager", "for-alerts", &body)).await.json();
    let path = format!("/api/v1/investigations/{}/cancel", rows["events"][0]["job_id"].as_str().unwrap());
    stage.send(as_who(&path, "for-alerts", "{}")).await.problem(401, "unauthorized");
    let detail = stage.send(as_who(&path, "ann-views", "{}")).await.problem(403, "forbidden");
    assert_eq!(detail, "ann is viewer, and this needs operator. Use a token with that role.");
    for body in ["", "{}", r#"{"reason":" "}"#, "[1]"] {
        stage.send(as_who(&path, "bob-operates", body)).await.problem(400, "bad-request");
    }
    let answer = stage.send(as_who(&path, "bob-operates", r#"{"reason":"false alarm, s3cr3t-value"}"#)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = rows["events"][0]["job_id"].as_str().unwrap().parse().unwrap();
    let signals = stage.web.store.signals(id).await.unwrap();
    let cancel = serde_json::to_value(&signals[0].signal).unwrap();
    assert_eq!(cancel, json!({"kind": "cancel", "by": "bob", "reason": "false alarm, [redacted]"}));
    stage.report("over").await;
    stage.send(as_who(&path, "bob-operates", r#"{"reason":"late"}"#)).await.problem(409, "closed");
}

#[tokio::test]
async fn health_is_open_the_model_is_not_and_reading_needs_a_caller() {
    let stage = Stage::guarded().await;
    for path in ["/healthz", "/readyz", "/health", "/metrics"] {
        assert_eq!(stage.get(path).await.status, StatusCode::OK, "{path}");
    }
    let health = stage.get("/health").await.json();
    assert_eq!(
        (&health["status"], &health["service"], &health["graph_compiled"]),
        (&json!("healthy"), &json!("firewarden"), &json!(true))
    );
    assert!(health.get("model_name").is_none());
    let request = Request::get("/health").header("authorization", "Bearer ann-views").body(HttpBody::empty()).unwrap();
    assert_eq!(stage.send(request).await.json()["model_name"], json!("m"));
    for path in ["/api/v1/events", "/api/v1/investigations", "/api/v1/investigations/inv_x/stream"] {
        stage.get(path).await.problem(401, "unauthorized");
    }
    let open = Stage::open().await;
    assert_eq!(open.get("/health").await.json()["llm_connected"], json!(true));
    let elsewhere = Request::get("/api/v1/events").header("host", "evil.example").body(HttpBody::empty()).unwrap();
    open.send(elsewhere).await.problem(403, "forbidden");
    let other_page =
        Request::get("/api/v1/events").header("host", "127.0.0.1").header("origin", "https://evil.example");
    open.send(other_page.body(HttpBody::empty()).unwrap()).await.problem(403, "forbidden");
}

#[tokio::test]
async fn other_machines_are_not_served_without_tokens() {
    let (open, guarded) = (Stage::open().await, Stage::guarded().await);
    let listener = || tokio::net::TcpListener::bind("0.0.0.0:0");
    let refused = serve(listener().await.unwrap(), open.web.clone(), std::future::ready(())).await.unwrap_err();
    assert!(refused.to_string().contains("Configure tokens"), "{refused}");
    serve(listener().await.unwrap(), guarded.web.clone(), std::future::ready(())).await.unwrap();
}

#[tokio::test]
async fn the_server_answers_over_tcp_and_stops_with_a_stream_open() {
    let stage = Stage::open().await;
    let rows = with_alerts(&stage, &["A"]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, stage.web.clone(), async {
        let _ = stopped.await;
    }));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let path = format!("/api/v1/investigations/{}/stream", rows[0]["job_id"].as_str().unwrap());
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("EventReceived") {
        let mut part = [0; 4096];
        let read = client.read(&mut part).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(9), serving).await.expect("stops in time").unwrap().unwrap();
}
