//! What is agreed to is what is sent, and what its answer means.

use super::*;
use crate::domain::{Action, ActionId, BlastRadius, Digest, Marker, Reconciled};
use crate::edge::http::tests::http as answer;
use crate::gate::Warrant;
use crate::tools::act::{ActError, CaseText, Setting};

fn setting<'a>(incident: &'a Digest, case: &'a CaseText) -> Setting<'a> {
    Setting { incident, began: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH, case }
}

async fn planned(registry: &Registry, tool: &str, args: Value) -> Result<Action, ToolError> {
    let (incident, case) = (Digest::of("i"), CaseText::default());
    let plan = registry.plan(tool, &args, &setting(&incident, &case)).await?;
    Ok(Action {
        id: ActionId::new(uuid::Uuid::from_u128(7)),
        tool: tool.into(),
        effect: registry.spec(tool).unwrap().effect,
        reversible: plan.reversible,
        args,
        title: plan.title,
        targets: plan.targets,
        preview: plan.preview,
        precondition: plan.precondition,
        carries: plan.carries,
        undo: plan.undo,
        retry: plan.retry,
        blast_radius: BlastRadius::default(),
        facts: plan.facts,
        nonce: String::new(),
    })
}

fn marker() -> Marker {
    Marker::sign(&Digest::of("scope"), b"key")
}

fn warrant(action: &Action) -> Warrant {
    Warrant::for_test(action.clone(), marker(), Timestamp::UNIX_EPOCH)
}

async fn flushed(reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Result<String, ActError>, String) {
    let (address, asked) = peer(reply);
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a/b", "depth": 3})).await.unwrap();
    let made = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.map(|receipt| receipt.summary);
    let asked = asked.lock().unwrap().last().cloned().unwrap_or_default();
    (made, asked)
}

#[tokio::test]
async fn what_is_shown_is_what_is_sent() {
    let (address, asked) = peer(|_| answer(202, "application/json", br#"{"ok": true}"#));
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a/../b?", "depth": 3})).await.unwrap();
    assert!(asked.lock().unwrap().is_empty(), "planning in words asks nobody");
    assert_eq!(action.title, "cache_flush Cache eu/a/../b?");
    let target = action.target();
    assert_eq!(
        (target.system.as_str(), target.namespace.as_str(), target.name.as_str(), target.verb.as_str()),
        ("cache", "eu", "a/../b?", "post")
    );
    assert_eq!((action.preview.kind.as_str(), action.retry), ("rendered", Retry::Keyed));
    let path = "/api/a%2F..%2Fb%3F/flush?region=eu";
    for part in ["\n\nflush a/../b? in eu", &format!("POST {address}{path}"), "\"deep\": 3", "(marker)"] {
        assert!(action.preview.text.contains(part), "{part}: {}", action.preview.text);
    }
    assert!(action.facts["request"]["url"].as_str().unwrap().ends_with(path));
    let receipt = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap();
    let asked = asked.lock().unwrap()[0].clone();
    let lower = asked.to_lowercase();
    assert!(asked.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{asked}");
    assert!(lower.contains(&format!("idempotency-key: {}", marker())) && asked.contains("Bearer hunter2-secret"));
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"deep": 3, "marker": marker()}));
    assert!(lower.contains(&format!("x-asked-by: firewarden {}", action.id)), "{asked}");
    assert_eq!(receipt.reference, marker().to_string());
    assert!(!format!("{action:?} {receipt:?}").contains("hunter2"));
}

#[tokio::test]
async fn who_agrees_agrees_to_all_that_is_sent_run_and_may_be_touched() {
    let other = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    let command = |from: &str, to: &str| (other(COMMAND, from, to), "ledger_add", json!({"line": "x"}));
    let request = |from: &str, to: &str| (other(HTTP, from, to), "cache_flush", json!({"cache": "a"}));
    let digest = async |(text, tool, args): (String, &str, Value)| {
        let action = planned(&registry(&text), tool, args).await.unwrap();
        assert!(!format!("{action:?}").contains("hunter2"), "{action:?}");
        let id = crate::domain::InvestigationId::new(uuid::Uuid::nil());
        (action.digest(id, crate::domain::Risk::Low), action.preview.text)
    };
    for (was, cases) in [
        (
            command("", ""),
            vec![
                (command("write: [/var/lib/ledger]", "write: [/var]"), "(writes /var)"),
                (command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    read: [/etc/x]"), "(reads /etc/x)"),
                (
                    command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    network: true"),
                    "(with the network)",
                ),
                (
                    command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    confine: required"),
                    "(only where the kernel confines it)",
                ),
                (
                    command("env: {LEDGER: /ledger}\n    secrets", "env: {LEDGER: /other}\n    secrets"),
                    "LEDGER=\"/other\"",
                ),
                (
                    command("env: {LEDGER: /ledger}\n    secrets", "env: {BASH_ENV: /ledger}\n    secrets"),
                    "BASH_ENV=\"/ledger\"",
                ),
                (
                    command("TOKEN: \"env:LEDGER_TOKEN\"", "OTHER: \"env:LEDGER_TOKEN\""),
                    "(the variable OTHER is the secret of env:LEDGER_TOKEN)",
                ),
            ],
        ),
        (
            request("", ""),
            vec![
                (request("method: POST", "method: DELETE"), "DELETE http://127.0.0.1:1/api/a/flush"),
                (request("flush?region", "drop?region"), "/api/a/drop"),
                (
                    request("    secrets: {Authorization", "    secrets: {X-Key"),
                    "(the header X-Key is the secret of Bearer env:CACHE_TOKEN)",
                ),
                (request("Idempotency-Key", "X-Once"), "X-Once: (marker)"),
                (request("ok: [200, 202]", "ok: [200]"), ""),
            ],
        ),
    ] {
        let before = digest(was).await;
        for (case, shown) in cases {
            let after = digest(case).await;
            assert!(after.1.contains(shown), "{shown}: {}", after.1);
            assert_ne!(before.0, after.0, "{shown}: {}", after.1);
        }
    }
}

#[tokio::test]
async fn who_agrees_agrees_to_what_is_not_shown_any_more() {
    let many = "long ".repeat(4000);
    let long = |word: &str| HTTP.replace("flush {{ cache }} in {{ region }}", &format!("{many}{word}{many}"));
    let one = planned(&registry(&long("a")), "cache_flush", json!({"cache": "a"})).await.unwrap();
    let other = planned(&registry(&long("b")), "cache_flush", json!({"cache": "a"})).await.unwrap();
    assert_eq!(one.preview.text, other.preview.text);
    assert!(one.preview.text.ends_with("[the rest is not shown]") && one.preview.digest() != other.preview.digest());
    let short = planned(&registry(HTTP), "cache_flush", json!({"cache": "a"})).await.unwrap();
    assert_eq!(short.preview.whole, None);
}

#[tokio::test]
async fn what_an_answer_means_for_a_change() {
    let dropped = flushed(|_| vec![]).await.0;
    assert!(matches!(dropped, Err(ActError::Unknown { .. })), "{dropped:?}");
    for (status, expected) in [
        (200, "done"),
        (202, "done"),
        // Fine elsewhere, but not what this server says when it did it.
        (204, "unknown"),
        (302, "unknown"),
        (400, "refused"),
        (401, "refused"),
        (404, "refused"),
        (408, "unknown"),
        (409, "unknown"),
        (422, "refused"),
        (429, "refused"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "unknown"),
    ] {
        let (made, _) = flushed(move |_| answer(status, "text/plain", b"the key hunter2-secret is known")).await;
        let word = match &made {
            Ok(_) => "done",
            Err(ActError::Refused { .. }) => "refused",
            Err(ActError::Stale { .. }) => "stale",
            Err(ActError::Unknown { .. }) => "unknown",
        };
        assert_eq!(word, expected, "{status}");
        assert!(!format!("{made:?}").contains("hunter2"), "{made:?}");
    }
    let registry = registry(HTTP);
    let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    // Nobody listens there: nothing was sent.
    assert!(matches!(registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Refused { .. })));
}

#[tokio::test]
async fn a_permit_for_another_object_sends_nothing() {
    let (address, asked) = peer(|_| answer(200, "application/json", b"{}"));
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let mut action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    action.args["cache"] = json!("b");
    let error = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(&error, ActError::Refused { text } if text.contains("Cache eu/b")), "{error}");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn looking_after_doubt_believes_the_marker_alone() {
    let said = Arc::new(Mutex::new(json!({})));
    let (address, status) = (
        {
            let said = said.clone();
            peer(move |_| {
                let said = said.lock().unwrap();
                let status = said["status"].as_u64().unwrap_or(200);
                answer(u16::try_from(status).unwrap(), "application/json", said.to_string().as_bytes())
            })
            .0
        },
        503,
    );
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    let absent = Reconciled::Absent { definite: false };
    for (answered, applied) in [
        (json!({}), false),
        (json!({"done": null}), false),
        (json!({"done": "fw-another"}), false),
        (json!({"done": marker()}), true),
        (json!({"done": ["x", marker()]}), true),
        (json!({"done": {"a": marker()}}), false),
    ] {
        *said.lock().unwrap() = answered.clone();
        let found = registry.reconcile(&action, &marker()).await.unwrap();
        assert_eq!(matches!(found, Reconciled::Applied { .. }), applied, "{answered}");
        assert!(applied || found == absent);
    }
    *said.lock().unwrap() = json!({"status": status, "done": marker()});
    assert!(registry.reconcile(&action, &marker()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_look_that_shows_nothing_is_no_sign_that_nothing_was_done() {
    // Whole as JSON where it is cut, so that only the cut tells.
    let long = [b"{}".to_vec(), vec![b' '; 1 << 20]].concat();
    for body in [b"<html>sign in</html>".to_vec(), b"".to_vec(), b"{\"done\": \"fw-".to_vec(), long] {
        let (said, length) = (body.clone(), body.len());
        let (address, _) = peer(move |_| answer(200, "text/html", &said));
        let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
        let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
        let looked = registry.reconcile(&action, &marker()).await;
        assert!(looked.clone().is_err_and(|error| error.is_transient()), "{length} bytes: {looked:?}");
    }
}

#[tokio::test]
async fn a_command_is_tried_run_and_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    std::fs::write(&ledger, "").unwrap();
    let text = COMMAND.replace("/ledger}", &format!("{}}}", ledger.display()));
    let registry = registry(&text);
    let args = json!({"line": "one $(id) ; two"});
    let action = planned(&registry, "ledger_add", args).await.unwrap();
    assert_eq!(action.preview.kind, "server_dry_run");
    assert!(
        action.preview.text.starts_with("\"/bin/sh\" \"-c\"")
            && action.preview.text.ends_with("\n\nwould add one $(id) ; two"),
        "{}",
        action.preview.text
    );
    assert_eq!(action.facts["argv"][4], "one $(id) ; two");
    assert_eq!(registry.reconcile(&action, &marker()).await.unwrap(), Reconciled::Absent { definite: false });
    registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap();
    let written = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(written, format!("one $(id) ; two {} hunter2-secret\n", marker()));
    assert!(matches!(registry.reconcile(&action, &marker()).await.unwrap(), Reconciled::Applied { .. }));
    let error = planned(&registry, "ledger_add", json!({"line": "-rf"})).await.unwrap_err();
    assert_eq!(error.for_reader(), "argv[4]: a value makes the argument an option: it begins with `-`");
    for (code, refused) in [("2", true), ("3", false), ("125", false)] {
        let registry =
            self::registry(&text.replace("\"{{ line }}\", \"0\"]", &format!("\"{{{{ line }}}}\", \"{code}\"]")));
        let action = planned(&registry, "ledger_add", json!({"line": "x"})).await.unwrap();
        let error = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(matches!(error, ActError::Refused { .. }), refused, "{code}: {error}");
    }
    let gone = self::registry(&text.replace("[\"/bin/sh\", \"-c\", \"echo", "[\"/no/such/sh\", \"-c\", \"echo"));
    let action = planned(&gone, "ledger_add", json!({"line": "x"})).await.unwrap();
    assert!(matches!(gone.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Refused { .. })));
    let slow = self::registry(
        &text.replace("exit \\\"$2\\\"", "sleep 600").replace("refused: [2]", "refused: [2]\ntimeout: 1s"),
    );
    let action = planned(&slow, "ledger_add", json!({"line": "x"})).await.unwrap();
    assert!(matches!(slow.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Unknown { .. })));
}
