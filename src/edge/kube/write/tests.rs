use super::*;
use crate::domain::{Action, ActionId, BlastRadius, Digest, Effect, Marker, Preview, Retry};
use crate::edge::http::tests::{http, peer};
use crate::gate::Warrant;
use std::sync::{Arc, Mutex};

fn deployment() -> ApiKind {
    KubeReader::at("http://127.0.0.1:1", None).unwrap().known_kind("deploy", None).unwrap()
}

fn merge() -> Change {
    Change::Merge(json!({"metadata": {"uid": "u-1", "resourceVersion": "7"}, "spec": {"replicas": 3}}))
}

fn permit(targets: Vec<Target>, not_after: Timestamp) -> Permit {
    let action = Action {
        id: ActionId::new(uuid::Uuid::nil()),
        tool: "t".into(),
        effect: Effect::Write,
        reversible: true,
        args: Value::Null,
        title: String::new(),
        targets,
        preview: Preview::default(),
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        retry: Retry::Probe,
        blast_radius: BlastRadius::default(),
        facts: Value::Null,
        nonce: String::new(),
    };
    let marker = Marker::sign(&Digest::of("s"), b"k");
    Warrant::for_test(action, marker, not_after).redeem("t", Timestamp::UNIX_EPOCH).unwrap().0
}

fn until() -> Timestamp {
    Timestamp::from_second(60).unwrap()
}

fn status(code: u16, reason: &str, causes: Value) -> (u16, String) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "m", "details": {"causes": causes}});
    (code, status.to_string())
}

fn word(made: &Result<Value, Unmade>) -> &'static str {
    match made {
        Ok(_) => "made",
        Err(Unmade::Refused { .. }) => "refused",
        Err(Unmade::Stale { .. }) => "stale",
        Err(Unmade::Unknown { .. }) => "unknown",
    }
}

#[tokio::test]
async fn only_a_clear_answer_of_the_api_server_is_an_outcome() {
    let answer = Arc::new(Mutex::new((200, String::new())));
    let answers = answer.clone();
    let (address, _) = peer(move |_| {
        let (code, body) = answers.lock().unwrap().clone();
        http(code, "application/json", body.as_bytes())
    });
    let writer = KubeWriter::with(KubeReader::at(&address, None).unwrap());
    let kind = deployment();
    let place = Place { kind: &kind, namespace: Some("shop"), name: "api" };
    let apply = || {
        let Change::Merge(body) = merge() else { unreachable!() };
        Change::Apply(body)
    };
    let create = || Change::Create(json!({"metadata": {"name": "api"}}));
    let evict = || Change::Evict { uid: "u-1".into() };
    let delete = || Change::Delete { uid: "u-1".into(), resource_version: None };
    let owned =
        json!([{"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": "conflict with \"argo\""}]);
    let budget = json!([{"reason": "DisruptionBudget"}]);
    let object = (200, json!({"kind": "Deployment", "apiVersion": "apps/v1"}).to_string());
    let success = (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}).to_string());
    let plain = |code, reason| status(code, reason, Value::Null);
    for (change, says, expected) in [
        (merge(), object.clone(), "made"),
        (delete(), success, "made"),
        (merge(), plain(409, "Conflict"), "stale"),
        (delete(), plain(409, "Conflict"), "stale"),
        (evict(), plain(409, "Conflict"), "stale"),
        (create(), plain(409, "AlreadyExists"), "refused"),
        (apply(), status(409, "Conflict", owned), "refused"),
        (apply(), plain(409, "Conflict"), "stale"),
        (evict(), status(429, "TooManyRequests", budget), "refused"),
        (evict(), plain(429, "TooManyRequests"), "refused"),
        (merge(), plain(429, "TooManyRequests"), "refused"),
        (merge(), plain(400, "BadRequest"), "refused"),
        (merge(), plain(401, "Unauthorized"), "refused"),
        (merge(), plain(403, "Forbidden"), "refused"),
        (merge(), plain(404, "NotFound"), "refused"),
        (merge(), plain(422, "Invalid"), "refused"),
        (merge(), plain(408, "Timeout"), "unknown"),
        (merge(), plain(500, "InternalError"), "unknown"),
        (merge(), plain(504, "Timeout"), "unknown"),
        (merge(), (502, "<html>".into()), "unknown"),
        (merge(), (403, "<html>a proxy</html>".into()), "unknown"),
        (merge(), (404, "{\"error\": \"no route\"}".into()), "unknown"),
        (merge(), (200, "<html>".into()), "unknown"),
        (merge(), (200, "{}".into()), "unknown"),
        (merge(), (200, "".into()), "unknown"),
        (merge(), (302, "{}".into()), "unknown"),
    ] {
        *answer.lock().unwrap() = says.clone();
        let permit = permit(vec![writer.target(&place, change.verb(), Some("u-1"))], until());
        let made = writer.make(&permit, Timestamp::UNIX_EPOCH, &place, &change).await;
        assert_eq!(word(&made), expected, "{change:?} {says:?}: {made:?}");
    }
}

#[tokio::test]
async fn nothing_leaves_without_a_permit_for_this_object_and_a_precondition() {
    let (address, asked) = peer(|_| http(200, "application/json", br#"{"kind": "Deployment"}"#));
    let writer = KubeWriter::with(KubeReader::at(&address, None).unwrap());
    let kind = deployment();
    let place = Place { kind: &kind, namespace: Some("shop"), name: "api" };
    let right = || writer.target(&place, "patch", Some("u-1"));
    let late = Timestamp::from_second(61).unwrap();
    let start = Timestamp::UNIX_EPOCH;
    let with = |body: Value| Change::Merge(body);
    for (what, targets, now, change) in [
        ("another name", vec![Target { name: "web".into(), ..right() }], start, merge()),
        ("another identity", vec![Target { uid: Some("u-2".into()), ..right() }], start, merge()),
        ("another verb", vec![Target { verb: "delete".into(), ..right() }], start, merge()),
        ("another namespace", vec![Target { namespace: "x".into(), ..right() }], start, merge()),
        ("too late", vec![right()], late, merge()),
        ("no state", vec![right()], start, with(json!({"metadata": {"uid": "u-1"}}))),
        ("no identity", vec![right()], start, with(json!({"metadata": {"resourceVersion": "7"}}))),
        (
            "a drawn name",
            vec![Target { verb: "create".into(), ..right() }],
            start,
            Change::Create(json!({"metadata": {"generateName": "api-"}})),
        ),
        (
            "whatever has that name",
            vec![Target { verb: "delete".into(), ..right() }],
            start,
            Change::Delete { uid: String::new(), resource_version: None },
        ),
    ] {
        let made = writer.make(&permit(targets, until()), now, &place, &change).await;
        assert!(matches!(made, Err(Unmade::Refused { code: 0, .. })), "{what}: {made:?}");
    }
    assert!(asked.lock().unwrap().is_empty(), "nothing was sent");
    let odd = Place { name: "../../secrets/x", ..place };
    let refused = writer.try_out(&odd, &merge()).await;
    assert!(matches!(refused, Err(Unmade::Refused { code: 0, .. })), "{refused:?}");
    assert!(asked.lock().unwrap().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_request_says_what_it_is_for_and_whether_it_is_a_trial() {
    let (address, asked) = peer(|_| http(200, "application/json", br#"{"kind": "Status", "status": "Success"}"#));
    let writer = KubeWriter::with(KubeReader::at(&address, None).unwrap());
    let kind = deployment();
    let place = Place { kind: &kind, namespace: Some("shop"), name: "api" };
    let delete = Change::Delete { uid: "u-1".into(), resource_version: Some("7".into()) };
    for change in [merge(), delete, Change::Evict { uid: "u-1".into() }] {
        writer.try_out(&place, &change).await.unwrap();
        let permit = permit(vec![writer.target(&place, change.verb(), Some("u-1"))], until());
        writer.make(&permit, Timestamp::UNIX_EPOCH, &place, &change).await.unwrap();
    }
    let asked = asked.lock().unwrap();
    let tried: Vec<bool> = asked.iter().map(|request| request.contains("dryRun")).collect();
    assert_eq!(tried, [true, false, true, false, true, false], "{asked:#?}");
    assert!(asked[1].starts_with("PATCH /apis/apps/v1/namespaces/shop/deployments/api?fieldManager=firewarden "));
    assert!(asked[1].to_ascii_lowercase().contains("content-type: application/merge-patch+json"));
    assert!(asked[3].contains(r#""resourceVersion":"7""#) && asked[3].contains(r#""uid":"u-1""#), "{}", asked[3]);
    assert!(asked[5].contains("/deployments/api/eviction?") && asked[5].contains(r#""uid":"u-1""#), "{}", asked[5]);
}

#[tokio::test]
async fn a_server_that_is_not_there_got_nothing_and_one_that_hangs_up_may_have_got_it() {
    let kind = deployment();
    let place = Place { kind: &kind, namespace: Some("shop"), name: "api" };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let (hangs_up, _) = peer(|_| vec![]);
    let (breaks_off, _) = peer(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"kind\":".to_vec());
    for (address, expected) in [(gone, "refused"), (hangs_up, "unknown"), (breaks_off, "unknown")] {
        let writer = KubeWriter::with(KubeReader::at(&address, None).unwrap());
        let permit = permit(vec![writer.target(&place, "patch", Some("u-1"))], until());
        let made = writer.make(&permit, Timestamp::UNIX_EPOCH, &place, &merge()).await;
        assert_eq!(word(&made), expected, "{made:?}");
    }
}
