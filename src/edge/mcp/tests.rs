//! Servers that are as they should be, and servers that are not.

use super::*;
use crate::domain::Target;
use crate::edge::call::{Caller, Request, Unanswered};
use crate::edge::error::EdgeErrorKind;
use crate::edge::exec::{Confinement, Order, Runner};
use crate::edge::http::tests::{http, peer};
use crate::gate::Permit;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use std::sync::{Arc, Mutex};
use url::Url;

#[test]
fn a_digest_is_over_name_description_and_parameters_alone() {
    let tool = json!({"name": "a", "description": "b", "inputSchema": {"type": "object", "x": 1, "y": 2}});
    let digest = |tool: &Value| Offered::of(tool).unwrap().pin.digest;
    let of = digest(&tool);
    let mut same = tool.clone();
    same["annotations"] = json!({"readOnlyHint": true});
    same["title"] = json!("A");
    same["inputSchema"] = json!({"y": 2, "x": 1, "type": "object"});
    assert_eq!(digest(&same), of);
    for (key, value) in [
        ("name", json!("A")),
        ("description", json!("b ")),
        ("description", Value::Null),
        ("inputSchema", json!({"type": "object", "x": 1, "y": 3})),
        ("inputSchema", json!({"type": "object", "x": 1, "y": "2"})),
    ] {
        let mut other = tool.clone();
        other[key] = value.clone();
        assert_ne!(digest(&other), of, "{key}: {value}");
    }
    assert!(!format!("{:?}", Offered::of(&same).unwrap().pin).is_empty());
    for odd in [
        json!({"name": "a"}),
        json!({"name": "", "inputSchema": {}}),
        json!({"name": 7, "inputSchema": {}}),
        json!({"name": "a", "inputSchema": []}),
        json!({"name": "a", "inputSchema": {"x": "y".repeat(70_000)}}),
        json!({"name": "a".repeat(200), "inputSchema": {}}),
    ] {
        assert_eq!(Offered::of(&odd), None);
    }
}

#[test]
fn hints_tighten_and_never_loosen() {
    use Effect::{Destroy, Propose, Read, Record, Write};
    let all = [None, Some(true), Some(false)];
    for read_only in all {
        for destructive in all {
            let hints = Hints { read_only, destructive };
            for declared in [Read, Record, Propose, Write, Destroy] {
                let found = hints.tighten(declared);
                if let Ok(found) = &found {
                    assert!(*found >= declared, "{hints:?} {declared}");
                }
                let expected = match (declared, read_only, destructive) {
                    (Read, Some(false), _) | (Read, None, Some(true)) => None,
                    (Read, ..) => Some(Read),
                    (_, _, Some(true)) => Some(Destroy),
                    (declared, ..) => Some(declared),
                };
                assert_eq!(found.ok(), expected, "{hints:?} {declared}");
            }
        }
    }
}

#[test]
fn what_a_result_says() {
    let of = |result: Value| Answer::of("p", &result);
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(of(json!({"content": [text("a"), text("b")]})).unwrap().data, json!("a\nb"));
    assert_eq!(of(json!({"content": [text("[1, 2]")]})).unwrap().data, json!([1, 2]));
    assert_eq!(of(json!({"content": [text("7")]})).unwrap().data, json!("7"));
    let both = json!({"content": [text("words")], "structuredContent": {"a": 1}});
    assert_eq!(of(both).unwrap().data, json!({"a": 1}));
    let parts = json!({"content": [
        {"type": "image", "data": "AAAA", "mimeType": "image/png"}, {"type": "image", "data": "BBBB"},
        {"type": "resource", "resource": {"uri": "x:y", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "x:y", "blob": "AAAA"}},
        {"type": "resource_link", "uri": "https://elsewhere.example/x"}, {"kind": "odd"}, "odder",
    ]});
    let answer = of(parts).unwrap();
    assert_eq!(answer.data, json!("inside\n[a link to https://elsewhere.example/x]"));
    assert_eq!(answer.left_out, ["image", "image", "resource", "unknown", "unknown"]);
    assert!(of(json!({"content": [], "isError": true})).unwrap().failed);
    assert!(!of(json!({"content": [], "isError": "true"})).unwrap().failed);
    let long = of(json!({"content": [text(&"ä".repeat(1 << 20)), text("more")]})).unwrap();
    assert!(long.cut && long.data.as_str().unwrap().len() <= (1 << 20) + 1);
    for odd in [json!({}), json!({"task": {"taskId": "1"}}), json!([]), Value::Null] {
        assert_eq!(*of(odd).unwrap_err().kind(), EdgeErrorKind::BadBody);
    }
}

proptest! {
    #[test]
    fn nothing_that_a_server_says_harms(text in ".{0,200}", n in 0usize..4) {
        let kinds = ["text", "resource", "image", "resource_link"];
        let part = json!({"type": kinds[n], "text": text, "uri": text, "resource": {"text": text}, "data": text});
        let answer = Answer::of("p", &json!({"content": [part]})).unwrap();
        prop_assert!(answer.left_out.iter().all(|kind| kind.len() <= 20));
        Offered::of(&json!({"name": text, "description": text, "inputSchema": {"x": text}}));
    }
}

fn target() -> Target {
    Target { system: "tickets".into(), kind: "Ticket".into(), name: "T-1".into(), ..Target::default() }
}

fn tools() -> Value {
    json!([{"name": "close", "description": "Closes.", "inputSchema": {"type": "object"}}])
}

fn pin() -> Pin {
    Offered::of(&tools()[0]).unwrap().pin
}

fn call() -> Call {
    let names = vec![("marker", "fw-1".to_owned())];
    let arguments = json!({"id": "T-1"}).as_object().unwrap().clone();
    Call { tool: "close".into(), pin: pin(), arguments, names, total: Duration::from_secs(20) }
}

fn body(request: &str) -> Value {
    request.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or_default()
}

/// A server by HTTP that offers `tools` and answers calls as `called` says.
fn server(
    tools: Value,
    called: impl Fn(&Value) -> Vec<u8> + Send + Sync + 'static,
) -> (McpServer, Arc<Mutex<Vec<String>>>) {
    let (address, asked) = peer(move |request| {
        let message = body(request);
        let result = |result: Value| {
            http(
                200,
                "application/json",
                json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string().as_bytes(),
            )
        };
        match message["method"].as_str() {
            Some("initialize") => result(json!({
                "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "t", "version": "1"}
            })),
            Some("tools/list") => result(json!({"tools": tools})),
            Some("tools/call") => called(&message),
            _ => http(202, "text/plain", b""),
        }
    });
    let request = Request::new("t", "POST", Url::parse(&address).unwrap()).unwrap();
    (McpServer::new("t", Way::Http(request), Runner::bare(), Caller::default()), asked)
}

fn done(message: &Value) -> Vec<u8> {
    let result = json!({"content": [{"type": "text", "text": "closed"}]});
    http(
        200,
        "application/json",
        json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string().as_bytes(),
    )
}

async fn changed(server: &McpServer, call: &Call) -> Result<Answer, Unanswered> {
    let permit = Permit::for_test(vec![target()], Timestamp::UNIX_EPOCH);
    server.change(&permit, &target(), call, Timestamp::UNIX_EPOCH).await
}

fn calls(asked: &Mutex<Vec<String>>) -> Vec<Value> {
    let bodies = asked.lock().unwrap().iter().map(|request| body(request)).collect::<Vec<_>>();
    bodies.into_iter().filter(|message| message["method"] == "tools/call").collect()
}

#[tokio::test]
async fn a_change_is_sent_with_its_names_and_by_its_permit_alone() {
    let (server, asked) = server(tools(), done);
    let answer = changed(&server, &call()).await.unwrap();
    assert_eq!((answer.data, answer.failed), (json!("closed"), false));
    let sent = calls(&asked);
    assert_eq!(sent[0]["params"]["arguments"], json!({"id": "T-1"}));
    assert_eq!(sent[0]["params"]["_meta"]["firewarden/marker"], "fw-1");
    let later =
        asked.lock().unwrap().iter().filter(|r| r.to_lowercase().contains("mcp-protocol-version: 2025-06-18")).count();
    assert!(later >= 2, "{asked:?}");
    let other = Permit::for_test(vec![Target { name: "T-2".into(), ..target() }], Timestamp::UNIX_EPOCH);
    let refused = server.change(&other, &target(), &call(), Timestamp::UNIX_EPOCH).await;
    assert!(matches!(refused, Err(Unanswered::Refused(_))), "{refused:?}");
    assert_eq!(calls(&asked).len(), 1);
}

#[tokio::test]
async fn what_is_not_as_it_was_is_not_called() {
    let mut other = tools();
    other[0]["description"] = json!("Closes, and more.");
    let mut graver = tools();
    graver[0]["annotations"] = json!({"destructiveHint": true});
    for offered in [other, graver, json!([])] {
        let (server, asked) = server(offered, done);
        let refused = changed(&server, &call()).await;
        assert!(matches!(refused, Err(Unanswered::NotSent(_))), "{refused:?}");
        let error = server.look(&call()).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Unserved, "{error}");
        assert!(calls(&asked).is_empty());
    }
}

#[tokio::test]
async fn what_an_answer_means_for_a_change() {
    let error = |code: i64| {
        move |message: &Value| {
            let error = json!({"code": code, "message": "no"});
            http(
                200,
                "application/json",
                json!({"jsonrpc": "2.0", "id": message["id"], "error": error}).to_string().as_bytes(),
            )
        }
    };
    let status = |status: u16| move |_: &Value| http(status, "text/plain", b"no");
    type Called = Box<dyn Fn(&Value) -> Vec<u8> + Send + Sync>;
    let cases: Vec<(&str, Called, &str)> = vec![
        ("done", Box::new(done), "done"),
        ("invalid params", Box::new(error(-32602)), "not sent"),
        ("no such method", Box::new(error(-32601)), "not sent"),
        ("internal error", Box::new(error(-32603)), "unknown"),
        ("an error of its own", Box::new(error(7)), "unknown"),
        ("dropped", Box::new(|_: &Value| vec![]), "unknown"),
        ("400", Box::new(status(400)), "not sent"),
        ("401", Box::new(status(401)), "not sent"),
        ("408", Box::new(status(408)), "unknown"),
        ("409", Box::new(status(409)), "unknown"),
        ("302", Box::new(status(302)), "not sent"),
        ("500", Box::new(status(500)), "unknown"),
        ("502", Box::new(status(502)), "unknown"),
        ("garbage", Box::new(|_: &Value| http(200, "application/json", b"<html>")), "unknown"),
        ("too much", Box::new(|_: &Value| http(200, "application/json", &vec![b' '; 5 << 20])), "unknown"),
    ];
    for (name, called, expected) in cases {
        let (server, _) = server(tools(), called);
        let word = match changed(&server, &call()).await {
            Ok(_) => "done",
            Err(Unanswered::Refused(_)) => "refused",
            Err(Unanswered::NotSent(_)) => "not sent",
            Err(Unanswered::Unknown(_)) => "unknown",
        };
        assert_eq!(word, expected, "{name}");
    }
    let nobody = Request::new("t", "POST", Url::parse("http://127.0.0.1:1/mcp").unwrap()).unwrap();
    let nobody = McpServer::new("t", Way::Http(nobody), Runner::bare(), Caller::default());
    assert!(matches!(changed(&nobody, &call()).await, Err(Unanswered::NotSent(_))));
}

#[tokio::test]
async fn a_session_that_broke_is_closed_behind_us() {
    let (address, asked) = peer(|request| {
        let message = body(request);
        let result = |result: Value| json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        match message["method"].as_str() {
            Some("initialize") => {
                let greeting = json!({
                    "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "t", "version": "1"}
                });
                let greeting = result(greeting);
                let head = "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nMcp-Session-Id: s1\r\n";
                format!("{head}Content-Length: {}\r\n\r\n{greeting}", greeting.len()).into_bytes()
            }
            Some("tools/list") => http(200, "application/json", result(json!({"tools": tools()})).as_bytes()),
            // The server was begun anew, and knows no session.
            Some("tools/call") => http(404, "text/plain", b""),
            _ => http(202, "text/plain", b""),
        }
    });
    let request = Request::new("t", "POST", Url::parse(&address).unwrap()).unwrap();
    let server = McpServer::new("t", Way::Http(request), Runner::bare(), Caller::default());
    let refused = changed(&server, &call()).await;
    assert!(matches!(&refused, Err(Unanswered::NotSent(error)) if error.is_transient()), "{refused:?}");
    let closed = || {
        asked
            .lock()
            .unwrap()
            .iter()
            .any(|request| request.starts_with("DELETE ") && request.to_lowercase().contains("mcp-session-id: s1"))
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !closed() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn an_answer_as_a_stream_is_read_and_what_it_asks_is_refused() {
    let (server, asked) = server(tools(), |message| {
        let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}});
        let result =
            json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": "ok"}]}});
        http(200, "text/event-stream", format!(": hello\n\ndata: {ask}\n\ndata: {result}\n\n").as_bytes())
    });
    assert_eq!(changed(&server, &call()).await.unwrap().data, json!("ok"));
    let told = asked.lock().unwrap().iter().map(|request| body(request)).find(|message| message["id"] == "q");
    assert_eq!(told.unwrap()["error"]["code"], -32601);
}

/// A server on stdio, as a script that is given each line as `$line` and its id as `$id`.
fn script(answers: &str) -> McpServer {
    let script = format!(
        "while read -r line; do id=$(printf %s \"$line\" | sed -n 's/.*\"id\":\\([0-9][0-9]*\\).*/\\1/p'); case \"$line\" in\n\
         *'\"initialize\"'*) echo '{{\"jsonrpc\":\"2.0\",\"id\":'$id',\"result\":{{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{{}},\"serverInfo\":{{\"name\":\"t\",\"version\":\"1\"}}}}}}';;\n\
         *'\"tools/list\"'*) echo '{{\"jsonrpc\":\"2.0\",\"id\":'$id',\"result\":{{\"tools\":{}}}}}';;\n\
         *'\"tools/call\"'*) {answers};;\nesac; done",
        tools()
    );
    command(&["/bin/sh", "-c", &script])
}

fn command(argv: &[&str]) -> McpServer {
    let order = Order {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![],
        secrets: vec![],
        confinement: Confinement::default(),
        total: Duration::MAX,
        output_bytes: 4 << 10,
    };
    McpServer::new("t", Way::Command(order), Runner::bare(), Caller::default())
}

const DONE: &str =
    "echo '{\"jsonrpc\":\"2.0\",\"id\":'$id',\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"'$$'\"}]}}'";

#[tokio::test]
async fn a_server_that_dies_in_a_call_is_begun_again_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("died");
    let server =
        script(&format!("if [ -e {0} ]; then {DONE}; else : > {0}; echo 'no more' >&2; exit 3; fi", mark.display()));
    let error = server.look(&call()).await.unwrap_err();
    assert!(error.is_transient() && error.text() == "it has ended: it ended with exit code 3: no more", "{error}");
    let first = server.look(&call()).await.unwrap();
    assert_eq!(server.look(&call()).await.unwrap(), first, "the same process");
    std::fs::remove_file(&mark).unwrap();
    let error = changed(&server, &call()).await.unwrap_err();
    assert!(matches!(error, Unanswered::Unknown(_)), "{error}");
}

#[tokio::test]
async fn one_that_never_greets_or_floods_is_ended_and_rests() {
    for (argv, says) in [
        (&["/bin/sh", "-c", "echo 'no such option' >&2; exit 2"][..], "exit code 2: no such option"),
        (&["/no/such/program"], "cannot be run"),
        (&["/bin/sh", "-c", "head -c 5000000 /dev/zero"], "more than 4 MiB"),
        (&["/bin/sh", "-c", "while :; do echo nonsense; done"], "are no messages"),
        (
            &["/bin/sh", "-c", "while :; do echo '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}'; done"],
            "that answer nothing",
        ),
    ] {
        let server = command(argv);
        let error = server.offers().await.unwrap_err();
        assert!(error.text().contains(says), "{argv:?}: {error}");
    }
    // At first it is tried again at once, then not.
    let server = command(&["/bin/false"]);
    for n in 0..3 {
        let error = server.offers().await.unwrap_err();
        assert_eq!(error.text().contains("it is tried again in"), n == 2, "{n}: {error}");
    }
}

#[tokio::test]
async fn a_list_that_changed_is_read_again_and_a_slow_server_hurts_nobody_else() {
    let server =
        script(&format!("echo '{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}}'; {DONE}"));
    let mut changed = server.changed();
    server.look(&call()).await.unwrap();
    changed.changed().await.unwrap();
    let slow = script(":");
    let waits = Call { total: Duration::from_millis(300), ..call() };
    let other = call();
    let (waited, answered) = tokio::join!(slow.look(&waits), server.look(&other));
    assert!(answered.is_ok());
    let error = waited.unwrap_err();
    assert_eq!(*error.kind(), EdgeErrorKind::Timeout);
}
