//! What is sent, and with whose leave, before a server that only listens.

use super::*;
use crate::domain::{ActionId, Digest, Preview, Retry};
use crate::edge::github::tests::{Recorded, json as answer};
use crate::edge::github::writer::{Errand, target};
use crate::edge::github::{Client, Credential};
use crate::edge::http::tests::{Asked, peer};
use crate::gate::Warrant;
use serde_json::json;

fn client(address: &str) -> Client {
    let token = Credential::Token(crate::domain::Secret::new("ghp_topsecret", "env:T"));
    Client::new(address, token, Arc::new(Recorded)).unwrap()
}

/// A writer, and what its server was asked.
fn writer() -> (Writer, Asked) {
    let (address, asked) = peer(|request| match request.split(' ').nth(1).unwrap_or_default() {
        "/user" => answer(200, &json!({"login": "octo"})),
        _ => answer(201, &json!({"sha": "1", "id": 7, "number": 7})),
    });
    (Writer::new(client(&address)), asked)
}

fn action(tool: &str, target: Target) -> Action {
    Action {
        id: ActionId::new(uuid::Uuid::nil()),
        tool: tool.into(),
        effect: Effect::Record,
        reversible: true,
        args: Value::Null,
        title: "t".into(),
        targets: vec![target],
        preview: Preview::default(),
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        retry: Retry::Probe,
        blast_radius: BlastRadius::default(),
        facts: Value::Null,
        nonce: String::new(),
    }
}

fn marker() -> Marker {
    Marker::sign(&Digest::of("scope"), b"key")
}

#[tokio::test]
async fn nothing_is_sent_without_a_permit_for_exactly_that() {
    let (writer, asked) = writer();
    let now = crate::domain::Clock::now(&Recorded);
    let late = now - jiff::SignedDuration::from_secs(1);
    let repo = Repo::parse("acme/platform").unwrap();
    let other = Repo::parse("acme/other").unwrap();
    let granted = || target(&repo, "Comment", "7");
    for (until, touched, sent) in [
        (now, granted(), true),
        (late, granted(), false),
        (now, target(&repo, "Comment", "8"), false),
        (now, target(&other, "Comment", "7"), false),
        // A target that is granted and no comment.
        (now, Target { kind: "Issue".into(), ..granted() }, false),
        (now, Target { system: "jira".into(), ..granted() }, false),
    ] {
        asked.lock().unwrap().clear();
        // A permit is of a redeemed warrant, whatever the clock says later.
        let warrant = Warrant::for_test(action("github_comment", granted()), marker(), until);
        let (permit, _) = warrant.redeem("github_comment", late).unwrap();
        let errand = Errand { permit: &permit, target: &touched };
        let made = writer.create_comment(errand, false, "x").await;
        assert_eq!((made.is_ok(), asked.lock().unwrap().len()), (sent, usize::from(sent)), "{until} {touched:?}");
        if let Err(error) = made {
            assert!(error.is_definite(), "{error}");
        }
    }
    let warrant = Warrant::for_test(action("github_comment", granted()), marker(), now);
    let (permit, _) = warrant.redeem("github_comment", now).unwrap();
    let wanted = granted();
    let errand = Errand { permit: &permit, target: &wanted };
    assert!(writer.create_blob(errand, b"x").await.is_err(), "a leave to comment is none to commit");
    assert!(writer.create_issue(errand, "t", "b", &[]).await.is_err());
}

#[tokio::test]
async fn what_a_failure_means_depends_on_whether_github_said_no() {
    for (status, definite, conflict) in [
        (401, true, false),
        (403, true, false),
        (404, true, false),
        (409, true, true),
        (422, true, true),
        (429, true, false),
        (301, true, false),
        (408, false, false),
        (500, false, false),
        (502, false, false),
    ] {
        let (address, _) = peer(move |_| answer(status, &json!({"message": "m"})));
        let repo = Repo::parse("acme/platform").unwrap();
        let wanted = target(&repo, "Issue", "x");
        let now = crate::domain::Clock::now(&Recorded);
        let (permit, _) = Warrant::for_test(action("t", wanted.clone()), marker(), now).redeem("t", now).unwrap();
        let errand = Errand { permit: &permit, target: &wanted };
        let error = Writer::new(client(&address)).create_issue(errand, "t", "b", &[]).await.unwrap_err();
        assert_eq!((error.is_definite(), error.is_conflict()), (definite, conflict), "{status}: {error}");
    }
}

#[test]
fn a_body_is_marked_once_and_ends_with_the_journal() {
    let said = body(&marker(), &json!({"said": "It is so.", "chain": "inv_1 12@abc", "checkpoint": null}));
    assert!(words::is_marked(Some(&said), &marker()), "{said}");
    assert!(said.ends_with("\n\nJournal: `inv_1 12@abc`\n"), "{said}");
    let long =
        body(&marker(), &json!({"said": "line\n".repeat(50_000), "chain": "c", "checkpoint": "log.example/a 7 AAAA"}));
    assert!(long.len() < 60_000 && words::is_marked(Some(&long), &marker()));
    assert!(long.ends_with("\n\nJournal: `c`\n\nCheckpoint: `log.example/a 7 AAAA`\n"));
}
