use super::stage::{Answer, Stage, alert};
use crate::domain::{ApprovalId, ApprovalState, Digest, InvestigationId, Secret};
use crate::http::{Access, AccessToken, IntakeToken, Role};
use crate::journal::{ApprovalView, asked::sample};
use crate::store::{Journal, Lease, Signal};
use axum::body::Body as HttpBody;
use axum::http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

/// A guarded router over one investigation that asks.
struct Asking {
    stage: Stage,
    lease: Lease,
}

impl Asking {
    /// With a token for each role, named after its holder.
    async fn begin(views: impl FnOnce(InvestigationId) -> Vec<ApprovalView>) -> Self {
        let token = |name: &str, role, groups: &[&str]| AccessToken {
            name: name.into(),
            role,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            token: Secret::new(name, "env:X"),
        };
        let stage = Stage::with(Access {
            intake: vec![IntakeToken { source: "*".into(), token: Secret::new("for-alerts", "env:Y"), signed: None }],
            tokens: vec![
                token("vic", Role::Viewer, &["oncall"]),
                token("oli", Role::Operator, &["oncall"]),
                token("ann", Role::Approver, &["oncall"]),
                token("bea", Role::Approver, &["oncall", "leads"]),
                token("eve", Role::Approver, &["others"]),
                token("star", Role::Approver, &["*"]),
                token("adam", Role::Admin, &["oncall"]),
                token("root", Role::Admin, &[]),
            ],
        })
        .await;
        let envelope = json!({"alerts": [alert("A", 1)]});
        let request = Request::post("/webhook/alertmanager").header("authorization", "Bearer for-alerts");
        stage.send(request.body(HttpBody::from(envelope.to_string())).unwrap()).await;
        let lease = stage.claim().await;
        let asking = Self { stage, lease };
        asking.ask(views(asking.job())).await;
        asking
    }

    fn job(&self) -> InvestigationId {
        self.lease.investigation
    }

    async fn ask(&self, views: Vec<ApprovalView>) {
        self.stage.ask(&self.lease, views).await;
    }

    async fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("authorization", format!("Bearer {who}"));
        self.stage.send(request.body(HttpBody::from(body.to_string())).unwrap()).await
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {who}"));
        self.stage.send(request.body(HttpBody::empty()).unwrap()).await
    }

    async fn grant(&self, who: &str, view: &ApprovalView) -> Answer {
        let path = format!("/api/v1/approvals/{}/grant", view.id);
        self.post(who, &path, &json!({"action_digest": view.action_digest, "comment": "go, s3cr3t-value"})).await
    }

    async fn deny(&self, who: &str, view: &ApprovalView) -> Answer {
        self.post(who, &format!("/api/v1/approvals/{}/deny", view.id), &json!({"reason": "not now"})).await
    }

    async fn fleet(&self, who: &str, body: Value) -> Answer {
        self.post(who, "/api/fleet/approvals/grant", &body).await
    }

    /// What waits for the engine.
    async fn answers(&self) -> Vec<Value> {
        let waiting = self.stage.store.signals(self.job()).await.unwrap();
        waiting.iter().map(|waiting| serde_json::to_value(&waiting.signal).unwrap()).collect()
    }
}

fn unknown() -> ApprovalId {
    ApprovalId::new(Uuid::from_u128(0xffff))
}

#[tokio::test]
async fn questions_are_listed_newest_first_and_reading_changes_nothing() {
    let asking = Asking::begin(|job| {
        (1..=3)
            .map(|n| match n {
                2 => ApprovalView { state: ApprovalState::Denied, ..sample(n, job) },
                _ => sample(n, job),
            })
            .collect()
    })
    .await;
    let ids = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    let of = |n| json!(ApprovalId::new(Uuid::from_u128(n)));
    let page = asking.get("vic", "/api/v1/approvals?limit=2").await.json();
    assert_eq!(ids(&page), [of(3), of(2)]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = asking.get("vic", &format!("/api/v1/approvals?limit=2&cursor={cursor}")).await.json();
    assert_eq!((ids(&rest), &rest["next_cursor"]), (vec![of(1)], &Value::Null));
    let job = asking.job();
    for (query, found) in [
        ("state=pending".to_owned(), vec![of(3), of(1)]),
        ("state=DENIED".to_owned(), vec![of(2)]),
        (format!("investigation={job}&state=pending&limit=1"), vec![of(3)]),
        (format!("investigation={}", InvestigationId::new(Uuid::from_u128(9))), vec![]),
    ] {
        assert_eq!(ids(&asking.get("vic", &format!("/api/v1/approvals?{query}")).await.json()), found, "{query}");
    }
    let one = asking.get("vic", &format!("/api/v1/approvals/{}", sample(1, job).id)).await.json();
    assert_eq!(one, serde_json::to_value(sample(1, job)).unwrap());
    for key in ["id", "state", "investigation", "action_digest", "risk", "reason", "requested_at", "expires_at"] {
        assert!(!one[key].is_null(), "{key}");
    }
    for key in ["tool", "effect", "target", "args", "preview", "blast_radius"] {
        assert!(!one["action"][key].is_null(), "{key}");
    }
    assert_eq!(
        one["requirements"],
        json!([{"rule": "action/pressure", "groups": ["oncall"], "count": 1, "granted_by": []}])
    );
    let fleet = asking.get("vic", &format!("/api/fleet/approvals?state=pending&job_id={job}")).await.json();
    assert_eq!((&fleet["status"], ids(&fleet)), (&json!("success"), vec![of(3), of(1)]));
    assert_eq!((&fleet["items"][0]["approval_id"], &fleet["items"][0]["job_id"]), (&of(3), &json!(job)));
    for (path, says) in [
        ("/api/v1/approvals?state=maybe", "pending, approved"),
        ("/api/v1/approvals?investigation=x", "inv_"),
        ("/api/v1/approvals?cursor=inv_1", "next_cursor"),
        ("/api/v1/approvals?limit=0", "from 1 to 1000"),
        ("/api/v1/approvals?job_id=x", "no query parameter `job_id`"),
        ("/api/fleet/approvals?investigation=x", "no query parameter `investigation`"),
    ] {
        let detail = asking.get("vic", path).await.problem(400, "bad-request");
        assert!(detail.contains(says), "{path}: {detail}");
    }
    for path in ["/api/v1/approvals/x".to_owned(), format!("/api/v1/approvals/{}", unknown())] {
        asking.get("vic", &path).await.problem(404, "not-found");
    }
    // A link that is fetched ahead answers nothing.
    for verb in ["grant", "deny"] {
        let path = format!("/api/v1/approvals/{}/{verb}", sample(1, job).id);
        asking.get("ann", &path).await.problem(405, "method-not-allowed");
    }
    asking.get("ann", "/api/fleet/approvals/grant").await.problem(405, "method-not-allowed");
    asking.get("nobody", "/api/v1/approvals").await.problem(401, "unauthorized");
    assert_eq!(asking.answers().await, [] as [Value; 0]);
}

#[tokio::test]
async fn an_answer_is_a_signal_that_says_who_to_what_and_why() {
    let asking = Asking::begin(|job| vec![sample(1, job), sample(2, job)]).await;
    let (first, second) = (sample(1, asking.job()), sample(2, asking.job()));
    let answer = asking.grant("ann", &first).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"approval_id": first.id, "decision": "approved"}))
    );
    let (answer, at) = (asking.deny("bea", &second).await, "2026-11-21T00:00:00Z");
    assert_eq!((answer.status.as_u16(), &answer.json()["decision"]), (200, &json!("denied")));
    assert_eq!(
        asking.answers().await,
        [
            json!({"kind": "answer", "approval": first.id, "digest": first.action_digest, "granted": true,
                   "by": {"name": "ann", "groups": ["oncall"]}, "at": at, "comment": "go, [redacted]"}),
            json!({"kind": "answer", "approval": second.id, "digest": second.action_digest, "granted": false,
                   "by": {"name": "bea", "groups": ["oncall", "leads"]}, "at": at, "comment": "not now"}),
        ]
    );
    let shown = asking.get("vic", &format!("/api/v1/approvals/{}", first.id)).await.json();
    assert_eq!(shown["state"], "pending", "only the engine decides");
}

#[tokio::test]
async fn who_may_not_answer_is_told_so() {
    let asking = Asking::begin(|job| {
        let own = ApprovalView { proposed_by: "person:ann".into(), ..sample(2, job) };
        vec![sample(1, job), own]
    })
    .await;
    let (view, own) = (sample(1, asking.job()), sample(2, asking.job()));
    for (who, view, status, kind, says) in [
        ("nobody", &view, 401, "unauthorized", "access.tokens"),
        ("for-alerts", &view, 401, "unauthorized", "Intake credentials"),
        ("vic", &view, 403, "forbidden", "this needs approver"),
        ("oli", &view, 403, "forbidden", "this needs approver"),
        ("eve", &view, 403, "not-eligible", "none of the groups"),
        ("star", &view, 403, "not-eligible", "oncall"),
        ("root", &view, 403, "not-eligible", "oncall"),
        ("ann", &own, 403, "not-eligible", "somebody else"),
    ] {
        let fleet = json!({"approval_id": view.id, "decision": "approved", "action_digest": view.action_digest});
        let answers = [asking.grant(who, view).await, asking.deny(who, view).await, asking.fleet(who, fleet).await];
        for answer in answers {
            let detail = answer.problem(status, kind);
            assert!(detail.contains(says), "{who}: {detail}");
        }
    }
    assert_eq!(asking.answers().await, [] as [Value; 0]);
    assert_eq!(asking.grant("adam", &view).await.status.as_u16(), 200);
    assert_eq!(asking.grant("bea", &own).await.status.as_u16(), 200);
}

#[tokio::test]
async fn on_loopback_the_only_user_answers_even_what_they_proposed() {
    let stage = Stage::open().await;
    stage.deliver(&json!({"alerts": [alert("A", 1)]})).await;
    let lease = stage.claim().await;
    let own = ApprovalView { proposed_by: "person:local".into(), ..sample(1, lease.investigation) };
    stage.ask(&lease, vec![own.clone()]).await;
    let body = json!({"action_digest": own.action_digest}).to_string();
    let path = format!("/api/v1/approvals/{}/grant", own.id);
    let other_page = Request::post(&path).header("host", "127.0.0.1").header("origin", "https://evil.example");
    stage.send(other_page.body(HttpBody::from(body.clone())).unwrap()).await.problem(403, "forbidden");
    let elsewhere = Request::post(&path).header("host", "evil.example");
    stage.send(elsewhere.body(HttpBody::from(body.clone())).unwrap()).await.problem(403, "forbidden");
    assert_eq!(stage.post(&path, body).await.status.as_u16(), 200);
    let Signal::Answer { by, .. } = stage.store.signals(lease.investigation).await.unwrap().remove(0).signal else {
        panic!("no answer");
    };
    assert!(by.every_group && by.name == "local" && by.groups.is_empty());
}

#[tokio::test]
async fn what_is_over_superseded_or_unknown_is_refused() {
    use ApprovalState::*;
    let over = [Approved, Executing, Succeeded, Failed, Unknown, Denied, Withdrawn, Invalidated, Expired];
    let asking = Asking::begin(|job| {
        let each = |(n, state): (usize, &ApprovalState)| ApprovalView { state: *state, ..sample(n as u128, job) };
        over.iter().enumerate().map(each).chain([sample(99, job)]).collect()
    })
    .await;
    for (n, state) in over.iter().enumerate() {
        let view = sample(n as u128, asking.job());
        let (status, kind) = match state {
            Expired => (410, "expired"),
            Invalidated => (409, "superseded"),
            _ => (409, "final"),
        };
        for answer in [asking.grant("ann", &view).await, asking.deny("ann", &view).await] {
            let detail = answer.problem(status, kind);
            assert!(detail.contains(&view.id.to_string()), "{state}: {detail}");
        }
    }
    let view = sample(99, asking.job());
    for digest in [Digest::of("another").to_string(), "x".to_owned()] {
        let path = format!("/api/v1/approvals/{}/grant", view.id);
        asking.post("ann", &path, &json!({"action_digest": digest})).await.problem(409, "superseded");
    }
    for id in [unknown().to_string(), "x".to_owned(), "inv_00000000-0000-0000-0000-000000000001".to_owned()] {
        let path = format!("/api/v1/approvals/{id}");
        let body = json!({"action_digest": view.action_digest, "reason": "r"});
        asking.post("ann", &format!("{path}/grant"), &body).await.problem(404, "not-found");
        asking.post("ann", &format!("{path}/deny"), &body).await.problem(404, "not-found");
    }
    assert_eq!(asking.answers().await, [] as [Value; 0]);
    asking.stage.store.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    asking.grant("ann", &view).await.problem(503, "store-unavailable");
}

#[tokio::test]
async fn nobodys_silence_is_a_yes_from_the_very_moment_of_expiry() {
    let asking = Asking::begin(|job| vec![sample(1, job), sample(2, job), sample(3, job)]).await;
    let view = |n| sample(n, asking.job());
    asking.stage.clock.forward(599);
    assert_eq!(asking.grant("ann", &view(1)).await.status.as_u16(), 200);
    asking.stage.clock.forward(1);
    // The row still says that it is pending.
    for answer in [asking.grant("ann", &view(2)).await, asking.deny("ann", &view(3)).await] {
        let detail = answer.problem(410, "expired");
        assert!(detail.contains("2026-11-21T00:10:00Z"), "{detail}");
    }
    let body = json!({"approval_id": view(2).id, "decision": "approved", "action_digest": view(2).action_digest});
    asking.fleet("ann", body).await.problem(410, "expired");
    assert_eq!(asking.answers().await.len(), 1);
}

#[tokio::test]
async fn of_two_answers_the_first_counts_and_the_other_is_told() {
    let four_eyes = |job| {
        let mut view = sample(4, job);
        view.requirements[0].count = 2;
        view
    };
    let asking = Asking::begin(|job| vec![sample(1, job), sample(2, job), sample(3, job), four_eyes(job)]).await;
    let job = asking.job();
    // Nothing of this has become an entry yet.
    assert_eq!(asking.grant("ann", &sample(1, job)).await.status.as_u16(), 200);
    let detail = asking.grant("ann", &sample(1, job)).await.problem(409, "final");
    assert!(detail.contains("is approved"), "{detail}");
    asking.deny("bea", &sample(1, job)).await.problem(409, "final");
    assert_eq!(asking.deny("ann", &sample(2, job)).await.status.as_u16(), 200);
    let detail = asking.grant("bea", &sample(2, job)).await.problem(409, "final");
    assert!(detail.contains("ann has denied"), "{detail}");
    let twice = four_eyes(job);
    assert_eq!(asking.grant("ann", &twice).await.status.as_u16(), 200);
    let detail = asking.grant("ann", &twice).await.problem(409, "final");
    assert!(detail.contains("waits for somebody else"), "{detail}");
    assert_eq!(asking.grant("bea", &twice).await.status.as_u16(), 200);
    asking.deny("adam", &twice).await.problem(409, "final");
    // And what the row says by then.
    asking.ask(vec![ApprovalView { state: ApprovalState::Executing, ..sample(3, job) }]).await;
    asking.grant("ann", &sample(3, job)).await.problem(409, "final");
    assert_eq!(asking.answers().await.len(), 4);
}

#[tokio::test]
async fn one_of_two_may_still_say_no() {
    let asking = Asking::begin(|job| {
        let mut view = sample(1, job);
        view.requirements[0].count = 2;
        vec![view.agreed_by(&crate::domain::Person {
            name: "ann".into(),
            groups: vec!["oncall".into()],
            every_group: false,
        })]
    })
    .await;
    let view = sample(1, asking.job());
    asking.grant("ann", &view).await.problem(409, "final");
    assert_eq!(asking.deny("ann", &view).await.status.as_u16(), 200, "whoever agreed may think better of it");
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    let asking = Asking::begin(|job| vec![sample(1, job)]).await;
    let view = sample(1, asking.job());
    let base = format!("/api/v1/approvals/{}", view.id);
    let (id, job, digest) = (view.id, asking.job(), &view.action_digest);
    for (path, body) in [
        (format!("{base}/grant"), json!({})),
        (format!("{base}/grant"), json!([digest])),
        (format!("{base}/grant"), json!({"action_digest": 7})),
        (format!("{base}/grant"), json!({"action_digest": digest, "comment": {}})),
        (format!("{base}/deny"), json!({})),
        (format!("{base}/deny"), json!({"reason": " "})),
        (format!("{base}/deny"), json!({"reason": ["no"]})),
        ("/api/fleet/approvals/grant".into(), json!({})),
        ("/api/fleet/approvals/grant".into(), json!({"decision": "approved"})),
        ("/api/fleet/approvals/grant".into(), json!({"job_id": job})),
        ("/api/fleet/approvals/grant".into(), json!({"job_id": job, "decision": "yes"})),
        ("/api/fleet/approvals/grant".into(), json!({"job_id": job, "decision": true})),
        ("/api/fleet/approvals/grant".into(), json!({"job_id": 7, "decision": "approved"})),
        (
            "/api/fleet/approvals/grant".into(),
            json!({"job_id": "inv_00000000-0000-0000-0000-00000000ffff", "approval_id": id, "decision": "approved"}),
        ),
    ] {
        asking.post("ann", &path, &body).await.problem(400, "bad-request");
    }
    for path in [format!("{base}/grant"), format!("{base}/deny"), "/api/fleet/approvals/grant".into()] {
        let raw = |body: HttpBody| Request::post(&path).header("authorization", "Bearer ann").body(body).unwrap();
        asking.stage.send(raw(HttpBody::from("not json"))).await.problem(400, "bad-request");
        asking.stage.send(raw(HttpBody::empty())).await.problem(400, "bad-request");
        asking.stage.send(raw(HttpBody::from("x".repeat((64 << 10) + 1)))).await.problem(413, "too-large");
    }
    assert_eq!(asking.answers().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_fleet_answers_by_job_or_by_approval() {
    let asking = Asking::begin(|job| vec![sample(1, job)]).await;
    let (view, job) = (sample(1, asking.job()), asking.job());
    asking.fleet("ann", json!({"job_id": unknown(), "decision": "approved"})).await.problem(404, "not-found");
    let other = InvestigationId::new(Uuid::from_u128(0xffff));
    asking.fleet("ann", json!({"job_id": other, "decision": "approved"})).await.problem(404, "not-found");
    asking.fleet("ann", json!({"approval_id": unknown(), "decision": "denied"})).await.problem(404, "not-found");
    let wrong = json!({"job_id": job, "decision": "approved", "action_digest": Digest::of("x")});
    asking.fleet("ann", wrong).await.problem(409, "superseded");
    // One pending approval needs no digest.
    let answer = asking.fleet("ann", json!({"job_id": job, "decision": "approved"})).await;
    let expected = json!({"status": "success", "result": {"approval_id": view.id, "decision": "approved"}});
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    asking.fleet("ann", json!({"approval_id": view.id, "decision": "denied"})).await.problem(409, "final");

    // Of several, the digest says which.
    let (second, third) = (sample(2, job), sample(3, job));
    asking.ask(vec![ApprovalView { state: ApprovalState::Denied, ..view }, second.clone(), third.clone()]).await;
    for body in [
        json!({"job_id": job, "decision": "approved"}),
        json!({"approval_id": second.id, "decision": "approved"}),
        json!({"approval_id": second.id, "job_id": job, "decision": "denied"}),
    ] {
        let detail = asking.fleet("ann", body).await.problem(400, "bad-request");
        assert!(detail.contains("2 pending approvals"), "{detail}");
    }
    let by_digest = json!({"job_id": job, "decision": "denied", "action_digest": second.action_digest, "reason": "no"});
    assert_eq!(asking.fleet("ann", by_digest).await.json()["result"]["approval_id"], json!(second.id));
    let by_id = json!({"approval_id": third.id, "decision": "approved", "action_digest": third.action_digest});
    assert_eq!(asking.fleet("ann", by_id).await.json()["result"]["approval_id"], json!(third.id));
    let answers = asking.answers().await;
    let told: Vec<_> = answers.iter().map(|a| (&a["approval"], &a["granted"], &a["comment"])).collect();
    assert_eq!(
        told[1..],
        [(&json!(second.id), &json!(false), &json!("no")), (&json!(third.id), &json!(true), &json!(""))]
    );

    // Nothing is pending any more.
    let end = |view: ApprovalView| ApprovalView { state: ApprovalState::Succeeded, ..view };
    asking.ask(vec![end(second), end(third)]).await;
    asking.fleet("ann", json!({"job_id": job, "decision": "approved"})).await.problem(409, "final");
}
