//! Every pull request, comment and issue once, whatever GitHub, the network and crashes do. The witness is
//! what stands at GitHub, never what we think of it.

pub mod bench;
mod crash;

use crate::support::full;
use crate::support::github::{Fault, Hub, Ledger, STRANGER};
use crate::support::http::{client, send};
use bench::{Bench, place};
use firewarden::domain::InvestigationId;
use firewarden::journal::PullPlace;
use serde_json::{Value, json};

pub const REPO: &str = "acme/platform";
pub const PATH: &str = "clusters/prod/checkout.yaml";
pub const PULL: &str = "github_open_pull_request";
pub const COMMENT: &str = "github_comment";
pub const ISSUE: &str = "github_create_issue";
/// The branch of the bench's alert.
const BRANCH: &str = "fix/alert-case-f00d-";

/// A repository with one manifest.
async fn hub() -> Hub {
    let hub = Hub::serve(REPO).await;
    hub.add("acme/other", false);
    let app = "kind: Deployment\nname: checkout\nmemory: 128Mi\npassword: hunter2hunter2\n";
    let files = [(PATH, Some(app)), ("README.md", Some("# platform\n")), ("clusters/old.yaml", Some("x: 1\n"))];
    hub.commit(REPO, "main", "2026-11-18T10:00:00Z", "Begin", &files);
    hub.commit("acme/other", "main", "2026-11-18T10:00:00Z", "Begin", &files);
    hub
}

fn change(changes: Value) -> Value {
    json!({"title": "Raise the memory limit of checkout", "summary": "It is killed at 128Mi.", "changes": changes})
}

pub fn fix() -> Value {
    change(json!([{"path": PATH, "find": "memory: 128Mi", "replace": "memory: 256Mi"}]))
}

async fn post(hub: &Hub, token: &str, path: &str, body: Value) -> Value {
    let url = format!("{}/repos/{REPO}/{path}", hub.base_url);
    let answer = send(client().post(url).bearer_auth(token).body(body.to_string())).await.unwrap();
    assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
    answer.json()
}

/// Proposes one change and works to the end. Gives its last state.
async fn done(bench: &Bench, tool: &str, args: &Value) -> (InvestigationId, String) {
    let id = bench.propose("warning", tool, args).await;
    bench.work(id).await;
    let inv = bench.folded(id).await;
    (id, inv.deeds.first().map_or("rejected", |deed| deed.word()).to_owned())
}

fn unavailable() -> Fault {
    Fault::Answered(503, vec![], json!({"message": "busy"}))
}

/// One pull request, one commit, one branch at it.
fn assert_one(ledger: &Ledger, about: &str) {
    assert_eq!(ledger.pulls.len(), 1, "{about}: {:?}", ledger.pulls);
    assert_eq!(ledger.commits.len(), 1, "{about}: one commit, whatever was sent again: {:?}", ledger.commits);
    let branches: Vec<&String> = ledger.branches.values().collect();
    assert_eq!(branches, ledger.commits.iter().collect::<Vec<_>>(), "{about}");
    assert!(ledger.issues.is_empty() && ledger.comments.is_empty(), "{about}: {ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_stands_as_it_was_judged() {
    let hub = hub().await;
    let bench = Bench::on(&hub).await;
    let hostile = json!({
        "title": "Raise it for @acme/oncall [skip ci]", "summary": "closes #7 and s3cr3t-value\n/lgtm <!-- firewarden: fw-x -->",
        "changes": [{"path": PATH, "find": "memory: 128Mi", "replace": "memory: 256Mi"}, {"path": "clusters/old.yaml", "delete": true},
                    {"path": "clusters/new/a.yaml", "content": "a: 1\n"}],
    });
    let (id, state) = done(&bench, PULL, &hostile).await;
    assert_eq!(state, "done", "{:?}", bench.refusals(id).await);
    let ledger = hub.ledger(REPO);
    assert_one(&ledger, "hostile");
    let branch = ledger.branches.keys().next().unwrap();
    assert!(branch.starts_with(BRANCH), "{branch}");
    let app = hub.file(REPO, branch, PATH).unwrap();
    assert_eq!(
        app,
        ("100644".into(), "kind: Deployment\nname: checkout\nmemory: 256Mi\npassword: hunter2hunter2\n".into())
    );
    assert_eq!(hub.file(REPO, branch, "clusters/old.yaml"), None);
    assert_eq!(hub.file(REPO, branch, "clusters/new/a.yaml").unwrap().1, "a: 1\n");
    assert_eq!(hub.file(REPO, "main", PATH).unwrap().1.lines().nth(2), Some("memory: 128Mi"));
    let text = &ledger.texts[0];
    for live in ["@acme", "#7", "#12", "://evil", "](http", "s3cr3t", "\n/lgtm", "<!-- firewarden: fw-x"] {
        assert!(!text.contains(live), "{live}: {text}");
    }
    assert_eq!(text.matches("\n<!-- firewarden: fw-").count(), 1, "{text}");
    assert!(text.contains("More: https://firewarden.example.org/investigations/inv_"), "{text}");
    assert!(text.contains("Decision allow (`dec_") && text.contains("action/effects/within-level"), "{text}");
    let last = text.trim_end().lines().last().unwrap();
    assert!(last.starts_with(&format!("Journal: `{id} ")), "{last}");
    let asked = hub.seen().into_iter().find(|r| r.method == "POST" && r.path.ends_with("/git/commits")).unwrap().body;
    let message = asked["message"].as_str().unwrap();
    assert!(message.contains("\n\nAction-Id: fw-") && !message.contains("[skip ci]"), "{message}");
    assert_eq!(asked["author"]["date"], "2026-11-20T10:00:00Z", "the incident's date, at every attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_is_opened_once_whatever_fails_at_each_step() {
    let limited =
        || Fault::Answered(403, vec![("retry-after", "1".to_owned())], json!({"message": "secondary rate limit"}));
    let steps = ["/git/blobs", "/git/trees", "/git/commits", "/git/refs", "/pulls"];
    for step in steps {
        for fault in [
            Fault::DoneThenDropped,
            Fault::DoneThen502,
            Fault::DoneThenDies,
            Fault::DoneTwice,
            Fault::Dropped,
            Fault::Dies,
            Fault::Late(0),
            Fault::Late(4),
            Fault::Late(12),
            Fault::Late(25),
            unavailable(),
            limited(),
        ] {
            // What is made of content alone fails alike at every step.
            let few = matches!(fault, Fault::DoneThenDies | Fault::Late(4) | Fault::Dropped);
            if !full() && !few && matches!(step, "/git/blobs" | "/git/trees") {
                continue;
            }
            let about = format!("{fault:?} at {step}");
            let hub = hub().await;
            let bench = Bench::on(&hub).await;
            hub.plan("POST", step, fault);
            let (id, state) = done(&bench, PULL, &fix()).await;
            assert_eq!(state, "done", "{about}: {:?}", bench.refusals(id).await);
            assert_one(&hub.ledger(REPO), &about);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_failures_in_a_row_make_nothing_twice() {
    let faults = [Fault::Dies, Fault::DoneThenDies, Fault::DoneThen502, Fault::Late(6)];
    let steps = ["/git/commits", "/git/refs", "/pulls"];
    let faults = if full() { &faults[..] } else { &faults[1..] };
    for first in faults {
        for second in faults {
            for (at, then) in [(0, 1), (1, 1), (1, 2), (2, 2)] {
                let about = format!("{first:?} at {}, then {second:?} at {}", steps[at], steps[then]);
                let hub = hub().await;
                let bench = Bench::on(&hub).await;
                hub.plan("POST", steps[at], first.clone());
                hub.plan("POST", steps[then], second.clone());
                let (id, state) = done(&bench, PULL, &fix()).await;
                assert_eq!(state, "done", "{about}: {:?}", bench.refusals(id).await);
                assert_one(&hub.ledger(REPO), &about);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_that_are_late_or_fail_make_nothing_twice() {
    let nothing = || Fault::Answered(200, vec![], json!([]));
    for (fault, looks) in [
        (Fault::DoneThen502, vec![nothing()]),
        (Fault::DoneThenDies, vec![nothing(), nothing()]),
        (Fault::DoneThenDropped, vec![unavailable()]),
        (Fault::DoneThenDies, vec![Fault::Dropped, nothing()]),
        (Fault::DoneThenDies, vec![Fault::Dies]),
    ] {
        let about = format!("{fault:?}, then looks {looks:?}");
        let hub = hub().await;
        let bench = Bench::on(&hub).await;
        hub.plan("POST", "/pulls", fault);
        // The look before anything is sent goes well.
        hub.plan("GET", "/pulls", Fault::AsUsual);
        looks.into_iter().for_each(|look| hub.plan("GET", "/pulls", look));
        let (id, state) = done(&bench, PULL, &fix()).await;
        assert_eq!(state, "done", "{about}: {:?}", bench.refusals(id).await);
        assert_one(&hub.ledger(REPO), &about);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_moves_between_two_attempts_gives_the_same_commit() {
    for fault in [Fault::DoneThenDies, Fault::DoneThen502] {
        let hub = hub().await;
        let bench = Bench::on(&hub).await;
        hub.plan("POST", "/git/refs", fault.clone());
        let id = bench.propose("warning", PULL, &fix()).await;
        let mut moved = false;
        let mut move_on = async |_: &_| {
            if !std::mem::replace(&mut moved, true) {
                hub.commit(REPO, "main", "2026-11-20T10:05:00Z", "Elsewhere", &[("README.md", Some("# new\n"))]);
            }
        };
        bench.work_and(id, &mut move_on).await;
        assert_eq!(bench.folded(id).await.deeds[0].word(), "done", "{fault:?}: {:?}", bench.refusals(id).await);
        assert_one(&hub.ledger(REPO), &format!("{fault:?}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_there_of_this_incident_is_taken_over_and_never_repeated() {
    for closed in [false, true] {
        let hub = hub().await;
        let (_, state) = done(&Bench::on(&hub).await, PULL, &fix()).await;
        assert_eq!(state, "done");
        if closed {
            hub.close(REPO, 1);
        }
        // The store is lost; the same alert comes, and the change is worded otherwise.
        let bench = Bench::on(&hub).await;
        let mut other = fix();
        other["title"] = json!("More memory");
        let (id, state) = done(&bench, PULL, &other).await;
        assert_eq!(state, "done", "{:?}", bench.refusals(id).await);
        let ledger = hub.ledger(REPO);
        assert_one(&ledger, "after the store was lost");
        assert_eq!(ledger.pulls[0].3, if closed { "closed" } else { "open" }, "and left as people left it");
        for (tool, args) in
            [(COMMENT, json!({"number": 1, "body": "Seen."})), (ISSUE, json!({"title": "T", "body": "B"}))]
        {
            let (_, state) = done(&Bench::on(&hub).await, tool, &args).await;
            let (_, again) = done(&Bench::on(&hub).await, tool, &args).await;
            assert_eq!((state.as_str(), again.as_str()), ("done", "done"), "{tool}");
        }
        let ledger = hub.ledger(REPO);
        assert_eq!((ledger.comments.len(), ledger.issues.len()), (1, 1), "{ledger:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_put_in_our_place_stays_and_is_not_taken_for_ours() {
    // A branch of our name that is elsewhere.
    let hub = hub().await;
    let bench = Bench::on(&hub).await;
    let (_, state) = done(&bench, PULL, &fix()).await;
    assert_eq!(state, "done");
    let ours = hub.ledger(REPO);
    let (branch, text) = (ours.branches.keys().next().unwrap().clone(), ours.texts[0].clone());
    let squatted = self::hub().await;
    let theirs = squatted.commit(REPO, &branch, "2026-11-19T10:00:00Z", "Mine", &[("x", Some("y\n"))]);
    let bench = Bench::on(&squatted).await;
    let (id, state) = done(&bench, PULL, &fix()).await;
    assert_eq!(state, "failed");
    let why = bench.refusals(id).await.join("\n");
    assert!(why.contains("is there and holds something else; it was left as it is"), "{why}");
    let ledger = squatted.ledger(REPO);
    assert_eq!((ledger.pulls.len(), &ledger.branches[&branch]), (0, &theirs));
    // A pull request of somebody else from it, with our mark copied into it.
    post(&squatted, STRANGER, "pulls", json!({"title": "x", "head": branch, "base": "main", "body": text})).await;
    let bench = Bench::on(&squatted).await;
    let (id, state) = done(&bench, PULL, &fix()).await;
    let why = bench.refusals(id).await.join("\n");
    assert!(state == "failed" && why.contains("a pull request that is not ours stands open"), "{why}");
    // A comment and an issue of somebody else with our marks do not keep us from ours.
    for (tool, args) in [(COMMENT, json!({"number": 1, "body": "Seen."})), (ISSUE, json!({"title": "T", "body": "B"}))]
    {
        let first = self::hub().await;
        post(&first, STRANGER, "issues", json!({"title": "One"})).await;
        done(&Bench::on(&first).await, tool, &args).await;
        let copied = first.ledger(REPO).texts.last().unwrap().clone();
        let second = self::hub().await;
        post(&second, STRANGER, "issues", json!({"title": "One", "body": copied})).await;
        post(&second, STRANGER, "issues/1/comments", json!({"body": copied})).await;
        let (_, state) = done(&Bench::on(&second).await, tool, &args).await;
        assert_eq!(state, "done");
        let ledger = second.ledger(REPO);
        let ours = ledger.comments.iter().filter(|(_, by)| by == "octo").count()
            + ledger.issues.iter().filter(|(_, by, _)| by == "octo").count();
        assert_eq!(ours, 1, "{tool}: {ledger:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_is_written_once_whatever_fails() {
    let nothing = || Fault::Answered(200, vec![], json!([]));
    for (fault, looks) in [
        (Fault::DoneThenDropped, vec![]),
        (Fault::DoneThen502, vec![]),
        (Fault::DoneThenDies, vec![]),
        (Fault::Dropped, vec![]),
        (Fault::Dies, vec![]),
        (Fault::Late(0), vec![]),
        (unavailable(), vec![]),
        (Fault::DoneThenDies, vec![nothing()]),
        (Fault::DoneThen502, vec![unavailable(), nothing()]),
    ] {
        let about = format!("{fault:?}, then looks {looks:?}");
        let hub = hub().await;
        post(&hub, STRANGER, "issues", json!({"title": "Checkout is slow"})).await;
        let bench = Bench::on(&hub).await;
        hub.plan("POST", "/comments", fault);
        hub.plan("GET", "/comments", Fault::AsUsual);
        looks.into_iter().for_each(|look| hub.plan("GET", "/comments", look));
        let (id, state) = done(&bench, COMMENT, &json!({"number": 1, "body": "Seen by @acme/oncall, #3"})).await;
        assert_eq!(state, "done", "{about}: {:?}", bench.refusals(id).await);
        let ledger = hub.ledger(REPO);
        assert_eq!(ledger.comments, [(1, "octo".to_owned())], "{about}");
        assert!(!ledger.texts[0].contains("@acme") && !ledger.texts[0].contains("#3"), "{:?}", ledger.texts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_is_opened_at_most_once_and_doubt_stays_doubt() {
    let nothing = || Fault::Answered(200, vec![], json!([]));
    for (fault, looks, expected, count) in [
        (Fault::AsUsual, vec![], "done", 1),
        (Fault::DoneThenDropped, vec![], "done", 1),
        (Fault::DoneThen502, vec![nothing(), nothing(), unavailable()], "done", 1),
        (Fault::DoneThenDies, vec![nothing()], "done", 1),
        (Fault::Late(1), vec![], "done", 1),
        // Nobody knows whether it is still on its way: a person has to look.
        (Fault::Dropped, vec![], "unknown", 0),
        (Fault::Dies, vec![], "unknown", 0),
        (unavailable(), vec![], "unknown", 0),
        (Fault::Answered(403, vec![], json!({"message": "no"})), vec![], "failed", 0),
    ] {
        let about = format!("{fault:?}, then looks {looks:?}");
        let hub = hub().await;
        let bench = Bench::on(&hub).await;
        hub.plan("POST", "/issues", fault);
        hub.plan("GET", "/issues", Fault::AsUsual);
        looks.into_iter().for_each(|look| hub.plan("GET", "/issues", look));
        let args = json!({"title": "Checkout needs memory", "body": "It is killed.", "labels": ["incident"]});
        let (id, state) = done(&bench, ISSUE, &args).await;
        assert_eq!(state, expected, "{about}: {:?}", bench.refusals(id).await);
        assert_eq!(hub.ledger(REPO).issues.len(), count, "{about}");
        let sent = hub.seen().iter().filter(|r| r.method == "POST" && r.path.ends_with("/issues")).count();
        assert_eq!(sent, 1, "{about}: never sent again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_pull_request_may_be_is_refused_before_anything_is_sent() {
    let hub = hub().await;
    hub.put(REPO, "clusters/link", "120000", "../README.md");
    hub.put(REPO, "clusters/module", "160000", "x");
    hub.put(REPO, "clusters/binary", "100644", "a\0b");
    hub.put(REPO, "clusters/run.sh", "100755", "echo\n");
    let write = |path: &str| change(json!([{"path": path, "content": "x: 1\n"}]));
    let mut elsewhere = write(PATH);
    elsewhere["repo"] = json!("acme/other");
    for (args, words) in [
        (write("docs/a.md"), "is none of this route's: clusters/**"),
        (write("clusters/../README.md"), "is no path"),
        (write("/clusters/a"), "is no plain path"),
        (write("clusters/.git/config"), "is no plain path"),
        (write("clusters/link"), "is a symlink"),
        (write("clusters/link/a"), "is a symlink"),
        (write("clusters/module/a"), "is a submodule"),
        (write("clusters"), "is a folder"),
        (write("clusters/old.yaml"), "nothing would change"),
        (write("clusters/OLD.yaml"), "only in upper and lower case"),
        (write("clusters/old.yaml/a"), "is a file and no folder"),
        (change(json!([{"path": "clusters/binary", "find": "a", "replace": "b"}])), "is no text"),
        (change(json!([{"path": PATH, "find": "memory: 64Mi", "replace": "x"}])), "does not hold the text"),
        (change(json!([{"path": PATH, "find": "e", "replace": "x"}])), "times; take more lines"),
        (change(json!([{"path": PATH, "content": "password: [redacted]\n"}])), "where a secret stands"),
        (
            change(json!([{"path": PATH, "find": "memory: 128Mi", "replace": "key: s3cr3t-value"}])),
            "looks like a secret",
        ),
        (elsewhere, "pull requests of this route go to acme/platform"),
        // What the tool lets through, policy refuses.
        (write(".github/workflows/x.yaml"), "no pull request may touch .github/workflows/x.yaml"),
        (write("clusters/firewarden/values.yaml"), "it would change what firewarden is governed by"),
    ] {
        let bench = Bench::on(&hub).await;
        let (id, state) = done(&bench, PULL, &args).await;
        let why = bench.refusals(id).await.join("\n");
        assert!(state != "done" && why.contains(words), "{words}: {state}: {why}");
    }
    assert!(hub.seen().iter().all(|request| request.method == "GET"), "nothing was sent");
    // What can be run stays so.
    let (_, state) = done(&Bench::on(&hub).await, PULL, &write("clusters/run.sh")).await;
    let branch = hub.ledger(REPO).branches.keys().next().unwrap().clone();
    assert_eq!((state.as_str(), hub.file(REPO, &branch, "clusters/run.sh").unwrap().0.as_str()), ("done", "100755"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_owners_need_a_person_and_a_high_risk_does_too() {
    for (severity, owners, asked) in
        [("warning", None, false), ("warning", Some("clusters/ @acme/ops\n"), true), ("critical", None, true)]
    {
        let hub = hub().await;
        if let Some(owners) = owners {
            hub.commit(REPO, "main", "2026-11-18T11:00:00Z", "Own", &[(".github/CODEOWNERS", Some(owners))]);
        }
        let bench = Bench::on(&hub).await;
        let id = bench.propose(severity, PULL, &fix()).await;
        bench.work(id).await;
        let inv = bench.folded(id).await;
        assert_eq!((inv.deeds[0].word(), !inv.deeds[0].questions.is_empty()), ("done", asked), "{severity} {owners:?}");
        let text = &hub.ledger(REPO).texts[0];
        assert_eq!(text.contains("Approved by bea."), asked, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_route_the_defaults_hold() {
    let hub = hub().await;
    let bench = Bench::with(&hub, None).await;
    let mut args = fix();
    let (id, state) = done(&bench, PULL, &args).await;
    let why = bench.refusals(id).await.join("\n");
    assert!(state == "rejected" && why.contains("which one is meant? There are acme/platform, acme/other"), "{why}");
    args["repo"] = json!("acme/other");
    let bench = Bench::with(&hub, None).await;
    let (id, state) = done(&bench, PULL, &args).await;
    assert_eq!(state, "done", "{:?}", bench.refusals(id).await);
    let branch = hub.ledger("acme/other").branches.keys().next().unwrap().clone();
    assert!(branch.starts_with("firewarden/case-f00d-"), "{branch}");
    // A template that names what there is not gives our own name.
    let odd = PullPlace { branch: Some("fix/{{ nothing }}".into()), ..place(REPO) };
    let (_, state) = done(&Bench::with(&hub, Some(odd)).await, PULL, &fix()).await;
    assert_eq!(state, "done");
    assert!(hub.ledger(REPO).branches.keys().all(|name| name.starts_with("firewarden/case-f00d-")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_it_held_is_written_to_the_pull_request_once() {
    for (merged, resolved, words, state) in [
        (true, true, Some("Verified: open a pull request"), "verified"),
        (true, false, Some("This did not help: open a pull request"), "done"),
        // Whoever closed it need not be told.
        (false, true, None, "done"),
    ] {
        let hub = hub().await;
        let bench = Bench::on(&hub).await;
        let id = bench.propose("warning", PULL, &fix()).await;
        if resolved {
            hub.plan("POST", "/comments", Fault::DoneThenDies);
        }
        let mut so_far = false;
        let mut people = async |inv: &firewarden::journal::Investigation| {
            let is_done = inv.deeds.first().is_some_and(|deed| deed.word() == "done");
            if is_done && !std::mem::replace(&mut so_far, true) {
                match merged {
                    true => hub.merge(REPO, 1),
                    false => hub.close(REPO, 1),
                }
                if resolved {
                    bench.resolve(id).await;
                }
            }
        };
        bench.work_and(id, &mut people).await;
        let (inv, ledger) = (bench.folded(id).await, hub.ledger(REPO));
        assert_eq!(inv.deeds[0].word(), state, "{words:?}: {:?}", bench.refusals(id).await);
        let comments: Vec<&String> = ledger.texts.iter().skip(1).collect();
        match words {
            None => assert_eq!((comments.len(), inv.deeds.len()), (0, 1), "{comments:?}"),
            Some(words) => {
                assert_eq!(ledger.comments, [(1, "octo".to_owned())], "{:?}", bench.refusals(id).await);
                assert!(comments[0].starts_with(words), "{comments:?}");
            }
        }
    }
}
