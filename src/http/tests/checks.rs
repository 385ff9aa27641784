//! Self-checks, as a client sees them.

use super::stage::{Stage, alert};
use crate::journal::{Body, FailureGap, Outcome};
use axum::body::Body as HttpBody;
use axum::http::Request;
use serde_json::json;

#[tokio::test]
async fn what_no_known_object_explains_is_listed() {
    let stage = Stage::open().await;
    let nothing = stage.get("/check").await.json();
    assert_eq!(
        (&nothing["alert_count"], &nothing["alerts"], &nothing["failure_reports"]),
        (&json!(0), &json!([]), &json!({}))
    );
    stage.deliver(&json!({"alerts": [alert("Down", 1)]})).await;
    let gap = FailureGap { topic: "Down: ghost".into(), reason: "r".into() };
    stage.work(vec![Body::GapFiled(gap), Body::Closed { outcome: Outcome::Cancelled }], vec![]).await;

    let check = stage.get("/check").await.json();
    assert_eq!(
        (&check["alert_count"], &check["critical"], &check["warning"], &check["info"]),
        (&json!(1), &json!(0), &json!(0), &json!(1))
    );
    let found = &check["alerts"][0];
    assert_eq!(
        (&found["category"], &found["agent"], &found["domain"]),
        (&json!("failure_pattern"), &json!("default"), &json!("shop"))
    );
    assert_eq!(check["failure_reports"]["default"]["failure_gaps"], json!([{"name": "Down: ghost", "count": 1}]));
    for (query, total) in [
        ("", 1),
        ("?severity=info&category=failure_pattern&agent=default&domain=shop", 1),
        ("?severity=critical", 0),
        ("?category=health", 0),
        ("?agent=other", 0),
        ("?domain=other", 0),
    ] {
        let list = stage.get(&format!("/api/alerts{query}")).await.json();
        assert_eq!((&list["total"], list["alerts"].as_array().unwrap().len()), (&json!(total), total), "{query}");
        assert!(list["last_check"].is_string());
    }
    let report = stage.get("/api/failure-report/default?hours=1").await.json();
    assert_eq!(
        (&report["agent"], &report["period_hours"], &report["investigations"]),
        (&json!("default"), &json!(1), &json!(1))
    );
    let none = json!({"agent": "other", "status": "no_rejections", "period_hours": 24});
    assert_eq!(stage.get("/api/failure-report/other").await.json(), none);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_strangers_see_nothing() {
    let stage = Stage::open().await;
    for path in [
        "/api/failure-report/default?hours=x",
        "/api/failure-report/default?hours=0",
        "/api/failure-report/default?hours=721",
        "/api/failure-report/default?days=1",
        "/api/alerts?severity=loud",
        "/api/alerts?category=mood",
        "/check?x=1",
    ] {
        stage.get(path).await.problem(400, "bad-request");
    }
    let guarded = Stage::guarded().await;
    for path in ["/check", "/api/alerts", "/api/failure-report/default"] {
        let request = Request::get(path).header("host", "127.0.0.1").body(HttpBody::empty()).unwrap();
        guarded.send(request).await.problem(401, "unauthorized");
    }
}
