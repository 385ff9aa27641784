//! The policies as data.

use super::stage::Stage;
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

/// What an endpoint answers to `who`.
async fn posted(who: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let stage = Stage::guarded().await;
    let request = Request::post(path).header("authorization", format!("Bearer {who}"));
    let answer = stage.send(request.body(HttpBody::from(body.to_string())).unwrap()).await;
    (answer.status, answer.json())
}

async fn asked(who: Option<&str>, body: Option<&str>) -> (StatusCode, Value) {
    let stage = Stage::guarded().await;
    let mut request = match body {
        None => Request::get("/api/v1/policies"),
        Some(_) => Request::post("/api/v1/policies/evaluate"),
    };
    if let Some(who) = who {
        request = request.header("authorization", format!("Bearer {who}"));
    }
    let body = HttpBody::from(body.unwrap_or_default().to_owned());
    let answer = stage.send(request.body(body).unwrap()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn viewers_read_what_is_in_force_and_try_an_input() {
    let (status, body) = asked(Some("ann-views"), None).await;
    assert_eq!((status, &body["active"]["bundle"]), (StatusCode::OK, &json!("t@1")));
    let (status, body) = asked(Some("ann-views"), Some(r#"{"schema": "firewarden.risk/v1"}"#)).await;
    assert_eq!((status, &body["judged"]), (StatusCode::OK, &json!("firewarden.risk/v1")));
    for (input, told) in [("{", "no JSON"), ("{}", "names no schema"), ("", "no JSON")] {
        let (status, body) = asked(Some("ann-views"), Some(input)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body["detail"].as_str().unwrap().contains(told), "{body}");
    }
    for who in [None, Some("for-alerts")] {
        assert_eq!(asked(who, None).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(asked(who, Some("{}")).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn schemas_are_served_to_viewers_as_they_ship() {
    let stage = Stage::guarded().await;
    let of = async |name: &str, who: &str| {
        let request = Request::get(format!("/api/v1/policies/schema/{name}"));
        let request = request.header("authorization", format!("Bearer {who}"));
        let answer = stage.send(request.body(HttpBody::empty()).unwrap()).await;
        (answer.status, answer.json())
    };
    for (name, title) in [("risk", "firewarden.risk/v1"), ("action", "firewarden.action/v1")] {
        let (status, schema) = of(name, "ann-views").await;
        assert_eq!((status, &schema["properties"]["schema"]["const"]), (StatusCode::OK, &json!(title)));
    }
    assert!(of("org", "ann-views").await.1["properties"]["freezes"].is_object());
    assert_eq!(of("orgs", "ann-views").await.0, StatusCode::NOT_FOUND);
    assert_eq!(of("risk", "for-alerts").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_admins_have_policies_tried_and_put_in_force() {
    let bundle = json!({"files": {"bundle.yaml": "name: t"}, "until": "2030-01-01T00:00:00Z"});
    for (path, body) in [
        ("/api/v1/policies/shadow", &bundle),
        ("/api/v1/policies/shadow/stop", &json!({})),
        ("/api/v1/policies/promote", &json!({})),
    ] {
        for (who, expected) in [
            ("ann-views", StatusCode::FORBIDDEN),
            ("bob-operates", StatusCode::FORBIDDEN),
            ("for-alerts", StatusCode::UNAUTHORIZED),
        ] {
            assert_eq!(posted(who, path, body).await.0, expected, "{who} {path}");
        }
    }
    let (status, told) = posted("eve-rules", "/api/v1/policies/shadow", &bundle).await;
    assert_eq!((status, told), (StatusCode::OK, json!({"by": "eve", "files": 1, "until": "2030-01-01T00:00:00Z"})));
    let (status, told) = posted("eve-rules", "/api/v1/policies/shadow/stop", &json!({})).await;
    assert_eq!((status, &told["type"]), (StatusCode::CONFLICT, &json!("urn:firewarden:problem:policy-conflict")));
    let (_, told) = posted("eve-rules", "/api/v1/policies/promote", &json!({"accept_widening": " why not "})).await;
    assert_eq!(told, json!({"by": "eve", "needed": 500, "why": "why not"}));
    let (_, told) = posted("eve-rules", "/api/v1/policies/promote", &json!({"accept_widening": "  "})).await;
    assert_eq!(told["why"], Value::Null, "nothing said is no reason");
    for (path, body) in [
        ("/api/v1/policies/shadow", json!({"files": {}})),
        ("/api/v1/policies/shadow", json!({"files": [], "until": "2030-01-01T00:00:00Z"})),
        ("/api/v1/policies/promote", json!({"force": true})),
        ("/api/v1/policies/promote", json!({"require_shadow": -1})),
    ] {
        assert_eq!(posted("eve-rules", path, &body).await.0, StatusCode::BAD_REQUEST, "{path} {body}");
    }
}
