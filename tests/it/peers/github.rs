//! GitHub as others emulate it (npm `emulate`), beside the GitHub of our own: the same work is done at
//! both, and the tools must say the same of both.

use super::program::Program;
use crate::github_acts::bench::{Bench, place};
use crate::github_acts::{COMMENT, ISSUE, PATH, PULL, fix};
use crate::support::github::{Hub, TOKEN};
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

const REMEDY: &str = "run ./tests/run, which fetches it from npm; FIREWARDEN_TEST_GITHUB names the folder";
const REPO: &str = "octo/platform";
const KEY: &str = include_str!("../../fixtures/github/app.pem");

/// The emulator, for the length of a test.
struct Emulator {
    base_url: String,
    dir: TempDir,
    _program: Program,
}

impl Emulator {
    async fn up() -> Self {
        let folder = PathBuf::from(std::env::var("FIREWARDEN_TEST_GITHUB").expect(REMEDY)).join("node_modules");
        let own =
            std::fs::read_dir(&folder).expect(REMEDY).filter_map(Result::ok).map(|entry| entry.path().join("bin/node"));
        let node = own.filter(|node| node.is_file()).map(|node| node.display().to_string()).next();
        let dir = TempDir::new().unwrap();
        let seed = json!({
            "tokens": {TOKEN: {"login": "octo", "scopes": ["repo", "user"]}},
            "github": {
                "users": [{"login": "octo", "name": "Octo", "email": "octo@example.org"}],
                "repos": [{"owner": "octo", "name": "platform", "private": false, "auto_init": true},
                          {"owner": "octo", "name": "secrets", "private": true, "auto_init": true}],
                "apps": [{"app_id": 7, "slug": "firewarden", "name": "firewarden", "private_key": KEY,
                          "permissions": {"contents": "read", "pull_requests": "read", "metadata": "read"},
                          "installations": [{"installation_id": 100, "account": "octo", "repository_selection": "all"}]}],
            },
        });
        // JSON is YAML.
        std::fs::write(dir.path().join("seed.yaml"), seed.to_string()).unwrap();
        let address = free_address();
        let port = address.port().to_string();
        let script = folder.join("emulate/dist/index.js").display().to_string();
        let args = [script.as_str(), "start", "--service", "github", "--port", &port, "--seed", "seed.yaml"];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let program = Program::start("emulate", node.as_deref().unwrap_or("node"), &args, dir.path(), REMEDY);
        let base_url = format!("http://{address}");
        eventually("the emulator answers", SOON, async || {
            send(client().get(format!("{base_url}/rate_limit")).bearer_auth(TOKEN)).await.filter(|a| a.status == 200)
        })
        .await;
        Self { base_url, dir, _program: program }
    }
}

/// Our own, with the file that the emulator begins with.
async fn ours() -> Hub {
    let hub = Hub::serve(REPO).await;
    let at = jiff::Timestamp::now().to_string();
    hub.commit(REPO, "main", &at, "Initial commit", &[("README.md", Some("# platform\n"))]);
    hub
}

async fn ask(base_url: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request =
        client().request(method.parse().unwrap(), format!("{base_url}/repos/{REPO}/{path}")).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/json");
    let answer = send(if body.is_null() { request } else { request.body(body.to_string()) }).await.unwrap();
    (answer.status, answer.json())
}

async fn head(base_url: &str) -> String {
    let (_, told) = ask(base_url, "GET", "git/ref/heads/main", &Value::Null).await;
    told["object"]["sha"].as_str().unwrap_or_default().to_owned()
}

/// Commits `text` to `path` on `branch` by git's objects, as a fix would, and gives the ids of blob and tree.
async fn write(base_url: &str, branch: &str, path: &str, text: &str, message: &str) -> (Value, Value) {
    let parent = head(base_url).await;
    let (_, before) = ask(base_url, "GET", &format!("git/commits/{parent}"), &Value::Null).await;
    let (status, blob) = ask(base_url, "POST", "git/blobs", &json!({"content": text, "encoding": "utf-8"})).await;
    assert_eq!(status, 201, "{blob}");
    let entry = json!({"path": path, "mode": "100644", "type": "blob", "sha": blob["sha"]});
    let (status, tree) =
        ask(base_url, "POST", "git/trees", &json!({"base_tree": before["tree"]["sha"], "tree": [entry]})).await;
    assert_eq!(status, 201, "{tree}");
    let wanted = json!({"message": message, "tree": tree["sha"], "parents": [parent]});
    let (status, commit) = ask(base_url, "POST", "git/commits", &wanted).await;
    assert_eq!(status, 201, "{commit}");
    let (status, told) = match branch {
        "main" => ask(base_url, "PATCH", "git/refs/heads/main", &json!({"sha": commit["sha"]})).await,
        _ => {
            ask(base_url, "POST", "git/refs", &json!({"ref": format!("refs/heads/{branch}"), "sha": commit["sha"]}))
                .await
        }
    };
    assert!(matches!(status, 200 | 201), "{told}");
    (blob["sha"].clone(), tree["sha"].clone())
}

/// A change on main, one that is merged, and one that is open. Gives every id that content alone decides.
async fn history(base_url: &str) -> Vec<Value> {
    let app = |memory: &str| format!("kind: Deployment\nname: checkout\nmemory: {memory}\n");
    let path = "clusters/prod/checkout.yaml";
    let mut ids = vec![];
    for (branch, text, message) in
        [("main", app("256Mi"), "Add checkout"), ("cheaper", app("128Mi"), "Lower the limit of checkout")]
    {
        let (blob, tree) = write(base_url, branch, path, &text, message).await;
        ids.extend([blob, tree]);
    }
    let pull = json!({"title": "Lower the limit", "head": "cheaper", "base": "main", "body": "To save money."});
    assert_eq!(ask(base_url, "POST", "pulls", &pull).await.0, 201);
    let (status, told) = ask(base_url, "PUT", "pulls/1/merge", &json!({})).await;
    assert_eq!(status, 200, "{told}");
    let (blob, _) = write(base_url, "docs", "docs/limits.md", "Limits\n", "Say more").await;
    ids.push(blob);
    let pull = json!({"title": "Say more of limits", "head": "docs", "base": "main"});
    assert_eq!(ask(base_url, "POST", "pulls", &pull).await.0, 201);
    ids
}

fn site(base_url: &str, credential: Value) -> Site {
    let mut github = json!({"base_url": base_url, "repos": [REPO]});
    github.as_object_mut().unwrap().extend(credential.as_object().unwrap().clone());
    Site::new(json!({"tools": {"github": github}})).variable("GITHUB_TOKEN", TOKEN)
}

/// What a tool says, without what differs by right: ids of commits and times.
fn said(site: &Site, tool: &str, args: &[&str]) -> String {
    let (code, stdout, stderr) = site.run_with_config(&[&["tools", "call", tool], args].concat());
    assert_eq!(code, Some(0), "{tool} {args:?}: {stdout}{stderr}");
    let id = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let time = |word: &str| word.len() >= 20 && word.parse::<jiff::Timestamp>().is_ok();
    let plain = |word: &str| {
        if id(word) {
            "ID".to_owned()
        } else if time(word) {
            "TIME".to_owned()
        } else {
            word.to_owned()
        }
    };
    stdout.lines().map(|line| format!("{}\n", line.split(' ').map(plain).collect::<Vec<_>>().join(" "))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the emulator: run ./tests/run"]
async fn the_tools_say_the_same_of_both() {
    let (theirs, ours) = (Emulator::up().await, ours().await);
    assert_eq!(history(&theirs.base_url).await, history(&ours.base_url).await, "ids that content alone decides");
    let (theirs, ours) = (site(&theirs.base_url, json!({})), site(&ours.base_url, json!({})));
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("github_file", &["path=clusters/prod/checkout.yaml"], &["3  memory: 128Mi"]),
        ("github_file", &["path=docs/limits.md", "ref=docs"], &["1  Limits"]),
        ("github_tree", &[], &["clusters/\n", "README.md  11 bytes"]),
        ("github_tree", &["path=clusters", "recursive=true", "name=checkout"], &["clusters/prod/checkout.yaml  "]),
        ("github_search_code", &["query=Deployment"], &["1 file of octo/platform", "clusters/prod/checkout.yaml"]),
        ("github_commits", &["path=README.md"], &["1 commit to README.md", "    added README.md +1 -0"]),
        ("github_commits", &["commit=cheaper"], &["        -memory: 256Mi\n        +memory: 128Mi"]),
    ];
    for (tool, args, expected) in cases {
        let (of_theirs, of_ours) = (said(&theirs, tool, args), said(&ours, tool, args));
        for words in expected {
            assert!(of_theirs.contains(words), "{tool} {args:?}: {words}: {of_theirs}");
        }
        // The emulator does not tell where in a file the words stand.
        let places = |line: &&str| tool == "github_search_code" && line.starts_with("    ");
        let of_ours: String = of_ours.lines().filter(|line| !places(line)).map(|line| format!("{line}\n")).collect();
        assert_eq!(of_theirs, of_ours, "{tool} {args:?}");
    }
    // The emulator tells no files of a pull request.
    for site in [&theirs, &ours] {
        let told = said(site, "github_pulls", &[]);
        assert!(told.contains("#1 merged by octo into main as ID  Lower the limit"), "{told}");
        let told = said(site, "github_pulls", &["state=open"]);
        assert!(told.contains("#2 open by octo into main  Say more of limits"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the emulator: run ./tests/run"]
async fn an_app_reads_with_tokens_that_it_was_given() {
    let theirs = Emulator::up().await;
    history(&theirs.base_url).await;
    std::fs::write(theirs.dir.path().join("app.pem"), KEY).unwrap();
    let key = format!("file:{}", theirs.dir.path().join("app.pem").display());
    let site = site(&theirs.base_url, json!({"app": {"id": 7, "private_key": key}}));
    let told = said(&site, "github_file", &["path=clusters/prod/checkout.yaml"]);
    assert!(told.contains("3  memory: 128Mi"), "{told}");
    let (_, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
    assert!(stdout.contains("App firewarden (7) at") && stdout.contains("repository octo/platform"), "{stdout}");
    let given =
        send(client().get(format!("{}/_emulate/installation-tokens", theirs.base_url)).bearer_auth(TOKEN)).await;
    let given = given.unwrap().json();
    let tokens = given["installation_tokens"].as_array().cloned().unwrap_or_default();
    assert!(!tokens.is_empty(), "{given}");
    for token in tokens {
        assert_eq!(token["permissions"], json!({"contents": "read", "pull_requests": "read"}), "{token}");
        assert_eq!(token["repository_ids"].as_array().map(Vec::len), Some(1), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the emulator: run ./tests/run"]
async fn both_refuse_alike() {
    let (theirs, ours) = (Emulator::up().await, ours().await);
    for (method, path, body, status) in [
        ("POST", "git/refs", json!({"ref": "refs/heads/main", "sha": "HEAD"}), 422),
        ("POST", "git/trees", json!({"tree": [{"path": "x", "mode": "777", "type": "blob", "content": "x"}]}), 422),
        ("GET", "contents/nowhere", Value::Null, 404),
        ("GET", "pulls/99", Value::Null, 404),
        ("GET", "git/ref/heads/nowhere", Value::Null, 404),
    ] {
        for base_url in [&theirs.base_url, &ours.base_url] {
            let mut body = body.clone();
            if body["sha"] == "HEAD" {
                body["sha"] = head(base_url).await.into();
            }
            let (answered, told) = ask(base_url, method, path, &body).await;
            assert_eq!(answered, status, "{base_url}: {method} {path}: {told}");
            assert!(told["message"].is_string(), "{told}");
        }
    }
}

/// Everything that a writer makes, once; then by a process that lost its store, which finds it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the emulator: run ./tests/run"]
async fn what_is_made_is_made_once_at_both() {
    let (theirs, ours) = (Emulator::up().await, ours().await);
    let mut made = vec![];
    for base_url in [&theirs.base_url, &ours.base_url] {
        write(base_url, "main", PATH, "name: checkout\nmemory: 128Mi\n", "Add checkout").await;
        let issue = json!({"title": "Checkout needs memory", "body": "It is killed at 128Mi."});
        // The emulator keeps comments on issues only.
        let (status, slow) = ask(base_url, "POST", "issues", &json!({"title": "Checkout is slow"})).await;
        assert_eq!(status, 201, "{slow}");
        let number = slow["number"].as_u64().unwrap();
        let comment = json!({"number": number, "body": "Seen."});
        for round in ["first", "again"] {
            for (tool, args) in [(PULL, fix()), (COMMENT, comment.clone()), (ISSUE, issue.clone())] {
                let bench = Bench::at(base_url, &[REPO], Some(place(REPO)), Arc::default()).await;
                let id = bench.propose("warning", tool, &args).await;
                bench.work(id).await;
                let inv = bench.folded(id).await;
                let state = inv.deeds.first().map_or("rejected", |deed| deed.word());
                assert_eq!(state, "done", "{base_url} {tool} {round}: {:?}", bench.refusals(id).await);
            }
        }
        let (_, pulls) = ask(base_url, "GET", "pulls?state=all", &Value::Null).await;
        let (_, all) = ask(base_url, "GET", "issues?state=all", &Value::Null).await;
        let (_, comments) = ask(base_url, "GET", &format!("issues/{number}/comments"), &Value::Null).await;
        let count = |of: &Value| of.as_array().map_or(0, Vec::len);
        let issues = all.as_array().unwrap().iter().filter(|one| one["pull_request"].is_null()).count();
        assert_eq!((count(&pulls), issues, count(&comments)), (1, 2, 1), "{base_url}: {all:#}");
        let branch = pulls[0]["head"]["ref"].as_str().unwrap().to_owned();
        let (_, file) = ask(base_url, "GET", &format!("contents/{PATH}?ref={branch}"), &Value::Null).await;
        made.push((branch, file["sha"].clone()));
    }
    assert_eq!(made[0], made[1], "the same branch with the same file");
}
