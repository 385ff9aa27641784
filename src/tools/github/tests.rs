//! The tools against a server that answers as GitHub's documentation says.

use crate::domain::Redactor;
use crate::edge::github::tests::{Recorded, json as answer};
use crate::edge::github::{Client, Credential, Reader, Repo};
use crate::edge::http::tests::{Asked, peer};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

/// Tools for `repos`, and what their server was asked: method and address of each request.
fn registry(repos: &[&str], told: impl Fn(&str) -> Value + Send + Sync + 'static) -> (Registry, Asked) {
    let (address, asked) = peer(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match told(path) {
            Value::Null => answer(404, &json!({"message": "Not Found"})),
            body => answer(200, &body),
        }
    });
    let token = Credential::Token(crate::domain::Secret::new("ghp_topsecret", "env:T"));
    let client = Client::new(&address, token, Arc::new(Recorded)).unwrap();
    let repos = repos.iter().map(|repo| Repo::parse(repo).unwrap()).collect();
    let sources = Sources { github: Some(Reader::new(client, repos)), ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), asked)
}

const ONE: &[&str] = &["acme/platform"];

fn file(text: &str) -> Value {
    json!({"type": "file", "path": "app.yaml", "sha": "83baae61804e65cc73a7201a7252750c76066a30", "size": text.len(),
           "encoding": "base64", "content": BASE64_STANDARD.encode(text), "html_url": "https://github.com/acme/platform/blob/main/app.yaml"})
}

fn commit(n: u32, message: &str, files: Value) -> Value {
    let who = json!({"name": "Jane", "email": "jane@example.org", "date": format!("2026-11-20T0{n}:00:00Z")});
    json!({"sha": format!("{n:040x}"), "commit": {"author": who, "committer": who, "message": message, "tree": {"sha": "0"}},
           "author": {"login": "jane"}, "parents": [{"sha": "0"}], "files": files, "html_url": null})
}

fn changed(name: &str, patch: &str) -> Value {
    json!({"filename": name, "status": "modified", "additions": 1, "deletions": 1, "changes": 2, "patch": patch})
}

fn pull(number: u64, merged_at: Option<&str>, updated_at: &str, title: &str) -> Value {
    json!({"number": number, "title": title, "body": "why\n\nbecause", "state": "closed", "draft": false, "user": {"login": "jane"},
           "created_at": "2026-11-01T00:00:00Z", "updated_at": updated_at, "merged_at": merged_at,
           "merge_commit_sha": format!("{number:040x}"), "head": {"ref": "fix", "sha": "1"}, "base": {"ref": "main", "sha": "2"}})
}

#[tokio::test]
async fn a_file_is_read_in_windows_of_lines_without_secrets() {
    let text: String = (1..=500).map(|n| format!("line {n}\n")).collect();
    let text = text.replace("line 2\n", "password: s3cr3t-value\u{202e}\n");
    let (registry, asked) = registry(ONE, move |_| file(&text));
    let seen =
        registry.look("github_file", &json!({"path": "/app.yaml", "ref": "v1", "line": 1, "lines": 3})).await.unwrap();
    insta::assert_snapshot!("file", seen.text);
    assert!(seen.truncated && !seen.data.to_string().contains("s3cr3t"));
    let seen = registry.look("github_file", &json!({"path": "app.yaml", "line": 499})).await.unwrap();
    assert!(!seen.truncated && seen.text.ends_with("499  line 499\n500  line 500\n"), "{}", seen.text);
    let seen = registry.look("github_file", &json!({"path": "app.yaml", "line": 900})).await.unwrap();
    assert!(seen.text.contains("the file has 500 lines only"), "{}", seen.text);
    assert!(asked.lock().unwrap()[0].starts_with("GET /repos/acme/platform/contents/app.yaml?ref=v1 "));
    assert_eq!(registry.targets("github_file", &json!({"path": "app.yaml"})).unwrap()[0]["name"], "acme/platform");
}

#[tokio::test]
async fn what_is_no_text_is_not_shown() {
    let (registry, _) = registry(ONE, |path| match path {
        p if p.contains("folder") => json!([file("x")]),
        p if p.contains("large") => {
            json!({"type": "file", "path": "large", "sha": "1", "size": 3_000_000, "encoding": "none", "content": ""})
        }
        p if p.contains("link") => json!({"type": "symlink", "path": "link", "sha": "1", "target": "app.yaml"}),
        _ => file("a\0b"),
    });
    let seen = registry.look("github_file", &json!({"path": "app.bin"})).await.unwrap();
    assert_eq!(seen.text, "app.yaml is no text: 3 bytes\n");
    for (path, words) in
        [("folder", "github_tree lists it"), ("large", "more than 1 MiB"), ("link", "symlink to app.yaml")]
    {
        let error = registry.look("github_file", &json!({"path": path})).await.unwrap_err();
        assert!(error.for_reader().contains(words) && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn folders_are_listed_one_by_one_or_all_below() {
    let entry = |path: &str, kind: &str| json!({"type": kind, "path": path, "sha": "1", "size": 7});
    let blob =
        |n: usize| json!({"type": "blob", "mode": "100644", "path": format!("clusters/prod/{n:04}.yaml"), "size": n});
    let (registry, asked) = registry(ONE, move |path| match path.contains("/git/trees/") {
        false => {
            json!([entry("clusters/b.yaml", "file"), entry("clusters/a", "dir"), entry("clusters/m", "submodule")])
        }
        true => {
            let mut all: Vec<Value> = (0..700).map(blob).collect();
            all.push(json!({"type": "tree", "mode": "040000", "path": "clusters/prod"}));
            all.push(json!({"type": "blob", "mode": "100644", "path": "clusters/production.yaml", "size": 1}));
            json!({"sha": "1", "tree": all, "truncated": true})
        }
    });
    let seen = registry.look("github_tree", &json!({"path": "clusters"})).await.unwrap();
    insta::assert_snapshot!("tree", seen.text);
    let below = json!({"path": "clusters/prod", "recursive": true, "ref": "v1"});
    let seen = registry.look("github_tree", &below).await.unwrap();
    assert!(seen.truncated && seen.text.starts_with("700 entries in clusters/prod at v1: 0000.yaml"), "{}", seen.text);
    for note in ["500 of 700 were shown; `page: 2` reads on", "more paths than GitHub tells at once"] {
        assert!(seen.text.contains(note), "{note}: {}", seen.text);
    }
    let narrowed = json!({"path": "clusters/prod", "recursive": true, "name": "042", "page": 1});
    assert!(registry.look("github_tree", &narrowed).await.unwrap().text.starts_with("11 entries"));
    assert!(asked.lock().unwrap()[1].starts_with("GET /repos/acme/platform/git/trees/v1?recursive=1 "));
}

#[tokio::test]
async fn a_search_shows_places_and_says_what_it_did_not_see() {
    let place = json!({"fragment": "limits:\n\n  memory: 128Mi # s3cr3t-value"});
    let item = json!({"path": "clusters/prod/app.yaml", "repository": {"full_name": "acme/platform"}, "text_matches": [place]});
    let (registry, _) = registry(ONE, move |path| match path.contains("nothing") {
        true => json!({"total_count": 0, "incomplete_results": false, "items": []}),
        false => json!({"total_count": 41, "incomplete_results": true, "items": [item]}),
    });
    let seen = registry.look("github_search_code", &json!({"query": "memory limits"})).await.unwrap();
    insta::assert_snapshot!("search", seen.text);
    let seen = registry.look("github_search_code", &json!({"query": "nothing"})).await.unwrap();
    assert!(seen.text.starts_with("no file of acme/platform holds these words\n"), "{}", seen.text);
    let error = registry.look("github_search_code", &json!({"query": "a\" repo:x/y"})).await.unwrap_err();
    assert!(matches!(error, ToolError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn commits_come_with_the_files_they_change_and_one_with_its_patch() {
    let patch = "@@ -1 +1 @@\n-memory: 256Mi\n+memory: 128Mi";
    let files = json!([changed("docs/a.md", "+x"), changed("clusters/prod/app.yaml", patch)]);
    let (registry, asked) = registry(ONE, move |path| match path.contains("/commits?") {
        true => json!([
            commit(2, "Lower the limit (#12)\n\ntoken ghp_0123456789abcdefghij0123456789abcdef", json!([])),
            commit(1, "Begin", json!([]))
        ]),
        false => commit(2, "Lower the limit (#12)\n\nTo save money.", files.clone()),
    });
    let seen = registry.look("github_commits", &json!({"path": "clusters/prod", "window": "1d"})).await.unwrap();
    insta::assert_snapshot!("commits", seen.text);
    assert!(!seen.data.to_string().contains("ghp_"), "{}", seen.data);
    let seen = registry.look("github_commits", &json!({"commit": "0123abc", "path": "clusters"})).await.unwrap();
    insta::assert_snapshot!("commit", seen.text);
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /repos/acme/platform/commits?path=clusters%2Fprod&since=2026-11-20T00%3A00%3A00Z&until=2026-11-21T00%3A00%3A00Z&per_page=20&page=1 "));
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn pull_requests_count_by_their_merge_and_by_what_they_touch() {
    let (registry, asked) = registry(ONE, |path| match path {
        p if p.contains("state=open") => json!([pull(3, None, "2026-11-01T00:00:00Z", "Begun")]),
        // Changed in the window, merged before, in and after it, and never.
        p if p.contains("/pulls?") && p.contains("page=1") => json!([
            pull(9, Some("2026-11-20T12:00:00Z"), "2026-11-20T18:00:00Z", "Lower the limit"),
            pull(8, None, "2026-11-20T17:00:00Z", "Given up"),
            pull(7, Some("2026-11-10T12:00:00Z"), "2026-11-20T16:00:00Z", "Long ago"),
            pull(6, Some("2026-11-20T13:00:00Z"), "2026-11-20T13:00:00Z", "Elsewhere"),
            pull(5, Some("2026-11-19T13:00:00Z"), "2026-11-19T13:00:00Z", "Raise the limit"),
            pull(4, Some("2026-11-18T13:00:00Z"), "2026-11-18T13:00:00Z", "Add it"),
        ]),
        p if p.contains("/pulls/3/files") => json!([]),
        p if p.contains("/pulls/6/files") => json!([changed("docs/a.md", "+x")]),
        p if p.contains("/files") => json!([changed("clusters/prod/app.yaml", "+y")]),
        p if p.ends_with("/pulls/9") => {
            pull(9, Some("2026-11-20T12:00:00Z"), "2026-11-20T18:00:00Z", "Lower the limit")
        }
        _ => Value::Null,
    });
    let seen = registry.look("github_pulls", &json!({"path": "clusters", "limit": 2})).await.unwrap();
    insta::assert_snapshot!("pulls", seen.text);
    assert!(seen.truncated);
    assert_eq!(asked.lock().unwrap().len(), 5, "one page, and files of the four that were merged in the window");
    let seen = registry.look("github_pulls", &json!({"number": 9})).await.unwrap();
    insta::assert_snapshot!("pull", seen.text);
    let seen = registry.look("github_pulls", &json!({"state": "open"})).await.unwrap();
    assert!(seen.text.starts_with("1 open pull request; last #3"), "one that changes nothing yet: {}", seen.text);
    let seen = registry.look("github_pulls", &json!({"path": "nowhere"})).await.unwrap();
    assert_eq!(seen.text, "no merged pull requests touching nowhere in this window\n");
    let error = registry.look("github_pulls", &json!({"number": 3})).await.unwrap_err();
    assert!(error.for_reader().contains("needs `Pull requests: read` on acme/platform"), "{error}");
}

#[tokio::test]
async fn only_listed_repositories_are_read_and_no_argument_becomes_an_address() {
    let (several, asked) = registry(&["acme/platform", "acme/shop"], |_| json!([]));
    let listed = several.specs().iter().find(|spec| spec.name == "github_tree").unwrap().params.clone();
    assert_eq!(listed["properties"]["repo"]["description"], "One of acme/platform, acme/shop");
    let error = several.look("github_tree", &json!({"repo": "acme/secrets"})).await.unwrap_err();
    assert!(
        matches!(&error, ToolError::Refused { text } if text.contains("lists what may: acme/platform, acme/shop")),
        "{error}"
    );
    for args in [
        json!({}),
        json!({"repo": "acme"}),
        json!({"repo": "acme/platform/../secrets"}),
        json!({"repo": "acme/platform", "path": "../../acme/secrets/contents"}),
        json!({"repo": "acme/platform", "ref": "../../secrets"}),
        json!({"repo": "acme/platform", "url": "https://evil.example"}),
    ] {
        assert!(matches!(several.look("github_tree", &args).await, Err(ToolError::Invalid { .. })), "{args}");
    }
    assert!(asked.lock().unwrap().is_empty());
    several.look("github_tree", &json!({"repo": "ACME/Shop", "path": "a?b#c/%2e%2e"})).await.unwrap();
    assert!(asked.lock().unwrap()[0].starts_with("GET /repos/acme/shop/contents/a%3Fb%23c/%252e%252e HTTP"));
    let none = Sources::none(Arc::new(Recorded));
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    let without = Registry::new(&Manifests::embedded().unwrap(), none, redactor).unwrap();
    assert!(without.specs().iter().all(|spec| !spec.name.starts_with("github_")));
}
