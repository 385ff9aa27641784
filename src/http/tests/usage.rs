//! What was spent, as a client sees it.

use super::stage::{Stage, alert};
use crate::domain::{BlobRef, Digest, Rung, Usage};
use crate::journal::{Body, Outcome, Proposal};
use axum::body::Body as HttpBody;
use axum::http::Request;
use serde_json::{Value, json};

fn envelope(n: usize) -> Value {
    let alert = alert("Case", n);
    json!({"version": "4", "groupKey": format!("g{n}"), "status": "firing", "receiver": "r", "groupLabels": {},
           "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [alert]})
}

fn blob() -> BlobRef {
    BlobRef::commit(&[0; 16], b"x")
}

fn asked(turn: u32) -> Body {
    Body::ModelAsked {
        turn,
        model: "main".into(),
        request_digest: Digest::of("r"),
        request: blob(),
        reserved_tokens: 1_000,
        reserved_usd: 0.5,
        max_tokens: 400,
        must_answer: false,
    }
}

fn replied(turn: u32) -> Body {
    Body::ModelReplied {
        turn,
        model: "m-2026".into(),
        reply: blob(),
        proposal: Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false },
        usage: Usage { tokens_in: 90, tokens_out: 10, ..Usage::default() },
        cost_usd: 0.25,
        sent: None,
    }
}

fn took(rung: Rung) -> Body {
    Body::LadderTaken { revision: 1, rung, from: None, model: None, reason: "so it is".into() }
}

#[tokio::test]
async fn spending_is_summed_by_day_route_and_model_beside_what_is_left() {
    let stage = Stage::open().await;
    let nothing = stage.get("/api/v1/usage").await.json();
    assert_eq!(nothing["totals"]["turns"], 0);
    assert_eq!(nothing["budgets"]["investigations"], json!({"limit": 3, "spent": 0, "left": 3}));

    stage.deliver(&envelope(1)).await;
    stage.work(vec![took(Rung::Full), asked(1), replied(1), asked(2)], vec![]).await;
    stage.deliver(&envelope(2)).await;
    stage.work(vec![took(Rung::Deterministic), Body::Closed { outcome: Outcome::Cancelled }], vec![]).await;

    let usage = stage.get("/api/v1/usage?days=1").await.json();
    let sums = json!({"investigations": 2, "turns": 1, "tool_calls": 0, "tokens_in": 690, "tokens_cached": 0,
                      "tokens_out": 410, "cost_usd": 0.75});
    let with = |key: &str, name: &str, of: &Value| {
        let mut row = of.clone();
        row[key] = name.into();
        row
    };
    assert_eq!(usage["totals"], sums, "a request that is not settled counts in full");
    assert_eq!(usage["days"], json!([with("day", "2026-11-21", &sums)]));
    assert_eq!(usage["routes"], json!([with("route", "default", &sums)]));
    let mut of_model = with("model", "main", &sums);
    of_model["investigations"] = 1.into();
    assert_eq!(usage["models"], json!([of_model]), "those that asked it");
    assert_eq!((&usage["from"], &usage["to"]), (&json!("2026-11-21"), &json!("2026-11-21")));
    assert_eq!(
        usage["budgets"],
        json!({
            "day": "2026-11-21",
            "cost_usd": {"limit": 2.0, "spent": 0.25, "reserved": 0.5, "left": 1.25},
            "tokens": {"limit": 9000, "spent": 100, "reserved": 1000, "left": 7900},
            "investigations": {"limit": 3, "spent": 2, "left": 1},
            "routes": [{"route": "default", "max_per_day": 2, "used": 1, "left": 1},
                       {"route": "quiet", "max_per_day": 5, "used": 0, "left": 5}],
            "totals": [{"route": "default", "max_total": 9, "used": 2, "left": 7}],
        })
    );
    let other = stage.get("/api/v1/usage?model=other&route=default").await.json();
    assert_eq!((&other["totals"]["turns"], &other["days"]), (&json!(0), &json!([])));
    assert_eq!(other["budgets"], usage["budgets"], "what is left does not depend on what is asked for");
    let main = stage.get("/api/v1/usage?model=main").await.json();
    assert_eq!(main["totals"]["investigations"], 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_strangers_see_nothing() {
    let stage = Stage::open().await;
    for query in ["days=0", "days=367", "days=x", "days=-1", "days=1&days=2", "day=1"] {
        stage.get(&format!("/api/v1/usage?{query}")).await.problem(400, "bad-request");
    }
    let guarded = Stage::guarded().await;
    let ask = |token: Option<&str>| {
        let mut request = Request::get("/api/v1/usage").header("host", "127.0.0.1");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(HttpBody::empty()).unwrap()
    };
    guarded.send(ask(None)).await.problem(401, "unauthorized");
    assert_eq!(guarded.send(ask(Some("ann-views"))).await.status.as_u16(), 200);
}
