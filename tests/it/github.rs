//! Repositories, read by the real binary; and the GitHub of our own that they are read from.

use crate::support::github::{Fault, Hub, READER, TOKEN};
use crate::support::http::{Answer, client, eventually, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};

const REPO: &str = "acme/platform";

/// A repository with a history of three days, a merged pull request and an open one.
async fn hub() -> Hub {
    let hub = Hub::serve(REPO).await;
    let app = |memory: &str| format!("kind: Deployment\nname: checkout\nmemory: {memory}\npassword: hunter2hunter2\n");
    hub.commit(REPO, "main", "2026-11-18T10:00:00Z", "Begin", &[("README.md", Some("# platform\n"))]);
    let first = app("256Mi");
    let files = [("clusters/prod/checkout.yaml", Some(first.as_str())), ("docs/limits.md", Some("Limits\n"))];
    hub.commit(REPO, "main", "2026-11-19T10:00:00Z", "Add checkout", &files);
    let second = app("128Mi");
    let files = [("clusters/prod/checkout.yaml", Some(second.as_str()))];
    hub.commit(REPO, "cheaper", "2026-11-01T10:00:00Z", "Lower the limit of checkout", &files);
    hub.set_now("2026-11-20T10:00:00Z");
    let pull = json!({"title": "Lower the limit", "head": "cheaper", "base": "main", "body": "To save money."});
    assert_eq!(ask(&hub, TOKEN, "POST", "pulls", &pull).await.status, 201);
    hub.set_now("2026-11-20T12:00:00Z");
    assert_eq!(ask(&hub, TOKEN, "PUT", "pulls/1/merge", &json!({})).await.status, 200);
    hub.commit(REPO, "docs", "2026-11-20T13:00:00Z", "Say more", &[("docs/limits.md", Some("Limits, and why\n"))]);
    let pull = json!({"title": "Say more of limits", "head": "docs", "base": "main", "draft": true});
    assert_eq!(ask(&hub, TOKEN, "POST", "pulls", &pull).await.status, 201);
    hub
}

async fn ask(hub: &Hub, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    try_to_ask(hub, token, method, path, body).await.expect("an answer")
}

async fn try_to_ask(hub: &Hub, token: &str, method: &str, path: &str, body: &Value) -> Option<Answer> {
    let url = format!("{}/repos/{REPO}/{path}", hub.base_url);
    let request = client().request(method.parse().unwrap(), url).bearer_auth(token);
    send(if body.is_null() { request } else { request.body(body.to_string()) }).await
}

fn site(hub: &Hub, token: &str, repos: &[&str]) -> Site {
    Site::new(json!({"tools": {"github": hub.config(repos)}})).variable("GITHUB_TOKEN", token)
}

/// `firewarden tools call`: its exit code and all that it says.
fn call(site: &Site, tool: &str, args: &[&str]) -> (Option<i32>, String) {
    let (code, stdout, stderr) = site.run_with_config(&[&["tools", "call", tool], args].concat());
    (code, format!("{stdout}{stderr}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_read_what_a_repository_holds() {
    let hub = hub().await;
    let site = site(&hub, READER, &[REPO]);
    let window = ["start=2026-11-19T00:00:00Z", "end=2026-11-21T00:00:00Z"];
    let cases: [(&str, Vec<&str>, &[&str]); 9] = [
        (
            "github_file",
            vec!["path=clusters/prod/checkout.yaml"],
            &["4 of 4 lines", "3  memory: 128Mi", "4  password: [redacted]"],
        ),
        (
            "github_file",
            vec!["path=clusters/prod/checkout.yaml", "ref=main", "line=3", "lines=1"],
            &["`line: 4` reads on"],
        ),
        ("github_tree", vec!["path=clusters"], &["1 entry in clusters: prod", "clusters/prod/\n"]),
        ("github_tree", vec!["recursive=true"], &["3 entries in the root folder", "clusters/prod/checkout.yaml  "]),
        ("github_search_code", vec!["query=memory checkout"], &["1 file of acme/platform", "    memory: 128Mi"]),
        (
            "github_commits",
            [&["path=docs"], window.as_slice()].concat(),
            &["1 commit to docs", "Add checkout", "    added docs/limits.md +1 -0"],
        ),
        (
            "github_commits",
            vec!["commit=main"],
            &["(merge)", "Merge pull request #1", "        -memory: 256Mi\n        +memory: 128Mi"],
        ),
        (
            // Its commit is weeks older than the window: what counts is the merge.
            "github_pulls",
            [&["path=clusters/prod"], window.as_slice()].concat(),
            &[
                "1 merged pull request touching clusters/prod; last #1",
                "2026-11-20T12:00:00Z #1 merged by octo into main as",
            ],
        ),
        ("github_pulls", vec!["state=open"], &["1 open pull request; last #2", "#2 draft"]),
    ];
    for (tool, args, expected) in cases {
        let (code, said) = call(&site, tool, &args);
        assert_eq!(code, Some(0), "{tool} {args:?}: {said}");
        for words in expected {
            assert!(said.contains(words), "{tool} {args:?}: {words}: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(
        hub.seen().iter().all(|asked| asked.method == "GET" || asked.path.contains("/pulls")),
        "nothing is changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_says_why() {
    let hub = hub().await;
    hub.add("acme/secrets", true);
    hub.commit("acme/secrets", "main", "2026-11-18T10:00:00Z", "Begin", &[("key", Some("memory\n"))]);
    let both = site(&hub, READER, &[REPO, "acme/secrets"]);
    for (args, words) in [
        (vec!["path=key", "repo=acme/other"], "repo: acme/other may not be read; tools.github.repos lists what may"),
        (vec!["path=key"], "repo: which one is meant? There are acme/platform, acme/secrets"),
        (vec!["path=key", "repo=acme/secrets"], "needs `Contents: read` on acme/secrets"),
        (vec!["path=key", "repo=acme/platform"], "key is not there, or is hidden from the credential"),
        (vec!["path=README.md", "repo=acme/platform", "ref=nowhere"], "README.md at nowhere is not there"),
    ] {
        let (code, said) = call(&both, "github_file", &args);
        assert!(code != Some(0) && said.contains(words), "{args:?}: {said}");
    }
    // Words of a search cannot name another repository, whoever may read it.
    let one = site(&hub, TOKEN, &[REPO]);
    let (_, said) = call(&one, "github_search_code", &["query=repo:acme/secrets memory"]);
    assert!(said.contains("no file of acme/platform"), "{said}");
    hub.plan(
        "GET",
        "/contents/",
        Fault::Answered(
            403,
            vec![("retry-after", "7".to_owned())],
            json!({"message": "You have exceeded a secondary rate limit"}),
        ),
    );
    let (code, said) = call(&one, "github_file", &["path=README.md"]);
    assert!(code != Some(0) && said.contains("ask again in 7 s"), "{said}");
    let (code, said) = call(&site(&hub, "t0ken-of-nobody", &[REPO]), "github_file", &["path=README.md"]);
    assert!(code != Some(0) && said.contains("401: Bad credentials; check tools.github.token"), "{said}");
    assert!(!said.contains("nobody"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_exist_where_repositories_are_listed() {
    let hub = hub().await;
    let listed = |site: &Site| site.run_with_config(&["tools", "list"]).1;
    let site = site(&hub, READER, &[REPO]);
    let told = listed(&site);
    for tool in ["github_file", "github_tree", "github_search_code", "github_commits", "github_pulls"] {
        assert!(told.contains(tool), "{told}");
    }
    let described = site.run_with_config(&["tools", "describe", "github_pulls"]).1;
    assert!(described.contains("merged"), "{described}");
    let without = Site::new(json!({})).variable("GITHUB_TOKEN", READER);
    let (code, said) = call(&without, "github_file", &["path=x"]);
    assert!(code != Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_asks_who_we_are_and_what_can_be_read() {
    let hub = hub().await;
    hub.add("acme/secrets", true);
    let site = site(&hub, READER, &[REPO, "acme/secrets"]);
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    let found: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    for (check, state, words) in [
        ("who am I", "ok", "reader at http://127.0.0.1:"),
        ("repository acme/platform", "ok", "public, default branch main"),
        ("repository acme/secrets", "fail", "hidden from the credential"),
        ("requests", "ok", "4999 of 5000"),
    ] {
        let fits = |finding: &&Value| finding["of"] == "github" && finding["check"] == check;
        let finding = found.iter().find(fits).unwrap_or_else(|| panic!("{check}: {found:#?}"));
        assert_eq!(finding["state"], state, "{finding:#}");
        assert!(finding["about"].as_str().unwrap().contains(words), "{finding:#}");
    }
    assert!(!stdout.contains(READER));
    let gone = Site::new(json!({"tools": {"github": {"base_url": "http://127.0.0.1:1", "repos": [REPO]}}}));
    let (code, stdout, _) = gone.variable("GITHUB_TOKEN", READER).run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(4), "{stdout}");
}

#[tokio::test]
async fn our_own_github_refuses_what_github_refuses() {
    let hub = hub().await;
    let post = async |path: &str, body: Value| ask(&hub, TOKEN, "POST", path, &body).await;
    let main = ask(&hub, TOKEN, "GET", "git/ref/heads/main", &Value::Null).await.json()["object"]["sha"].clone();
    let blob = post("git/blobs", json!({"content": "memory: 512Mi\n", "encoding": "utf-8"})).await.json();
    let entry = json!({"path": "clusters/prod/checkout.yaml", "mode": "100644", "type": "blob", "sha": blob["sha"]});
    let base = ask(&hub, TOKEN, "GET", &format!("git/commits/{}", main.as_str().unwrap()), &Value::Null).await.json();
    let tree = post("git/trees", json!({"base_tree": base["tree"]["sha"], "tree": [entry]})).await.json();
    let who = json!({"name": "firewarden", "email": "f@example.org", "date": "2026-11-21T00:00:00Z"});
    let wanted =
        json!({"message": "Raise it", "tree": tree["sha"], "parents": [main], "author": who, "committer": who});
    let commit = post("git/commits", wanted.clone()).await.json();
    assert_eq!(post("git/commits", wanted).await.json()["sha"], commit["sha"], "the same content is the same commit");
    let reference = json!({"ref": "refs/heads/fix", "sha": commit["sha"]});
    let pull = json!({"title": "Raise it", "head": "fix", "base": "main"});
    let gone = json!({"base_tree": tree["sha"], "tree": [{"path": "docs/limits.md", "mode": "100644", "type": "blob", "sha": null}]});
    let nothing = json!({"ref": "refs/heads/x", "sha": "0".repeat(40)});
    for (path, body, status, words) in [
        ("pulls", pull.clone(), 422, r#""field":"head""#),
        ("git/refs", reference.clone(), 201, "refs/heads/fix"),
        ("git/refs", reference, 422, "Reference already exists"),
        ("git/refs", nothing, 422, "Object does not exist"),
        ("git/refs", json!({"ref": "fix", "sha": commit["sha"]}), 422, "must start with"),
        ("pulls", json!({"title": "x", "head": "main", "base": "main"}), 422, "No commits between"),
        ("pulls", pull.clone(), 201, r#""state":"open""#),
        ("pulls", pull, 422, "A pull request already exists for acme:fix."),
        ("git/trees", gone, 201, "clusters"),
        ("git/trees", json!({"tree": [{"path": "../x", "mode": "100644", "content": "x"}]}), 422, "malformed path"),
        ("git/trees", json!({"tree": [{"path": "x", "mode": "777", "content": "x"}]}), 422, "tree.mode"),
        ("issues", json!({"title": " "}), 422, "Validation Failed"),
        ("issues", json!({"title": "Checkout is out of memory", "labels": ["incident"]}), 201, "incident"),
        ("issues/3/comments", json!({"body": "See the fix."}), 201, "See the fix."),
        ("issues/3/labels", json!({"labels": ["ops", "ops"]}), 200, "ops"),
    ] {
        let answer = post(path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(words), "{path}: {words}: {}", answer.text);
    }
    let back = json!({"sha": base["sha"]});
    let answer = ask(&hub, TOKEN, "PATCH", "git/refs/heads/fix", &back).await;
    assert!(answer.status == 422 && answer.text.contains("fast forward"), "{}", answer.text);
    let found = ask(&hub, TOKEN, "GET", "pulls?head=acme:fix&state=all", &Value::Null).await.json();
    assert_eq!((found[0]["number"].as_u64(), found.as_array().map(Vec::len)), (Some(3), Some(1)));
    let merged = ask(&hub, TOKEN, "PUT", "pulls/3/merge", &json!({"sha": "0".repeat(40)})).await;
    assert_eq!(merged.status, 409, "{}", merged.text);
    for (token, status) in [(READER, 403), ("unknown", 401)] {
        assert_eq!(ask(&hub, token, "POST", "issues", &json!({"title": "x"})).await.status, status);
    }
}

#[tokio::test]
async fn our_own_github_fails_as_planned_and_only_once() {
    let hub = hub().await;
    let issue = json!({"title": "Checkout is out of memory"});
    let count = async || {
        ask(&hub, TOKEN, "GET", "issues?state=all&per_page=100", &Value::Null).await.json().as_array().unwrap().len()
    };
    let before = count().await;
    for (fault, done, status) in [
        (Fault::DoneThenDropped, 1, None),
        (Fault::DoneThen502, 1, Some(502)),
        (Fault::Dropped, 0, None),
        (Fault::Answered(503, vec![], json!({"message": "busy"})), 0, Some(503)),
    ] {
        let so_far = count().await;
        hub.plan("POST", "/issues", fault.clone());
        let answer = try_to_ask(&hub, TOKEN, "POST", "issues", &issue).await;
        assert_eq!(answer.map(|answer| answer.status), status, "{fault:?}");
        assert_eq!(count().await, so_far + done, "{fault:?}");
        assert_eq!(hub.seen().iter().rev().find(|asked| asked.method == "POST").unwrap().status, status);
    }
    hub.plan("POST", "/issues", Fault::DoneThenHeld);
    let held = tokio::spawn({
        let url = format!("{}/repos/{REPO}/issues", hub.base_url);
        async move { send(client().post(url).bearer_auth(TOKEN).body(json!({"title": "x"}).to_string())).await }
    });
    eventually("it is done before it is answered", SOON, async || (count().await == before + 3).then_some(())).await;
    assert!(!held.is_finished());
    hub.release();
    assert_eq!(held.await.unwrap().unwrap().status, 201);
}
