//! The client and the reader against a server that answers as GitHub's documentation says.

use super::client::READ;
use super::reader::{Commits, Contents, Pulls};
use super::{Client, Credential, Reader, Repo};
use crate::domain::{Clock, Secret};
use crate::edge::error::EdgeErrorKind;
use crate::edge::http::tests::{Asked, http, peer};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PKCS1: &str = include_str!("../../../tests/fixtures/github/app.pem");
const PKCS8: &str = include_str!("../../../tests/fixtures/github/app.pkcs8.pem");
const PUBLIC: &[u8] = include_bytes!("../../../tests/fixtures/github/app.pub.der");

#[derive(Debug)]
pub(crate) struct Recorded;
impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }
}

fn token() -> Credential {
    Credential::Token(Secret::new("ghp_topsecret", "env:GITHUB_TOKEN"))
}

/// A reader of `acme/platform`, and what its server was asked.
pub(crate) fn reader(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Reader, Asked) {
    let (address, asked) = peer(answer);
    let client = Client::new(&format!("{address}/api/v3"), token(), Arc::new(Recorded)).unwrap();
    (Reader::new(client, vec![repo()]), asked)
}

pub(crate) fn json(status: u16, body: &Value) -> Vec<u8> {
    http(status, "application/json; charset=utf-8", body.to_string().as_bytes())
}

fn repo() -> Repo {
    Repo::parse("acme/platform").unwrap()
}

#[tokio::test]
async fn a_request_is_signed_encoded_and_below_the_prefix() {
    let body = json!({"type": "file", "path": "a b/ö.yaml", "sha": "1", "size": 4, "encoding": "base64", "content": "YWJj\nCg==\n"});
    let (reader, asked) = reader(move |_| json(200, &body));
    let found = reader.contents(&repo(), "a b/ö.yaml", Some("release/1#2")).await.unwrap();
    assert!(matches!(found, Contents::File(_, bytes) if bytes == b"abc\n"));
    let asked = asked.lock().unwrap().remove(0);
    assert!(
        asked.starts_with("GET /api/v3/repos/acme/platform/contents/a%20b/%C3%B6.yaml?ref=release%2F1%232 HTTP/1.1"),
        "{asked}"
    );
    for header in [
        "authorization: Bearer ghp_topsecret",
        "accept: application/vnd.github+json",
        "x-github-api-version: 2022-11-28",
        "user-agent: firewarden/",
    ] {
        assert!(asked.to_ascii_lowercase().contains(&header.to_ascii_lowercase()), "{header}: {asked}");
    }
    assert!(!format!("{reader:?}").contains("topsecret"));
}

#[tokio::test]
async fn what_stands_at_a_path_is_told_apart() {
    let one = |kind: &str| json!({"type": kind, "path": "x", "sha": "1", "size": 3_000_000, "encoding": "none", "content": "", "target": "y"});
    for (body, expected) in
        [(json!([one("file"), one("dir")]), "folder"), (one("file"), "large"), (one("symlink"), "pointer")]
    {
        let (reader, _) = reader(move |_| json(200, &body));
        let found = match reader.contents(&repo(), "x", None).await.unwrap() {
            Contents::Folder(entries) if entries.len() == 2 => "folder",
            Contents::Large(_) => "large",
            Contents::Pointer(_) => "pointer",
            Contents::Folder(_) | Contents::File(..) => "other",
        };
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn questions_carry_their_bounds_and_pages_go_on() {
    let (reader, asked) = reader(|request| {
        let mut answer = json(200, &json!([]));
        if request.contains("page=1") {
            let link = b"HTTP/1.1 200 X\r\nLink: <https://x?page=2>; rel=\"next\"\r\n";
            answer = [link.as_slice(), &answer[b"HTTP/1.1 200 X\r\n".len()..]].concat();
        }
        answer
    });
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let wanted = Commits {
        path: "clusters/prod",
        at: None,
        since: time("2026-11-14T00:00:00.5Z"),
        until: time("2026-11-21T00:00:00Z"),
        limit: 20,
        page: 1,
    };
    assert_eq!(reader.commits(&repo(), wanted).await.unwrap(), (vec![], true));
    assert_eq!(reader.commits(&repo(), Commits { page: 2, ..wanted }).await.unwrap(), (vec![], false));
    reader.pulls(&repo(), Pulls { state: "closed", base: Some("main"), limit: 100, page: 3 }).await.unwrap();
    let asked = asked.lock().unwrap();
    for (request, line) in asked.iter().zip([
        "GET /api/v3/repos/acme/platform/commits?path=clusters%2Fprod&since=2026-11-14T00%3A00%3A00Z&until=2026-11-21T00%3A00%3A00Z&per_page=20&page=1 ",
        "GET /api/v3/repos/acme/platform/commits?path=clusters%2Fprod&since=2026-11-14T00%3A00%3A00Z&until=2026-11-21T00%3A00%3A00Z&per_page=20&page=2 ",
        "GET /api/v3/repos/acme/platform/pulls?state=closed&sort=updated&direction=desc&base=main&per_page=100&page=3 ",
    ]) {
        assert!(request.starts_with(line), "{request}");
    }
}

#[tokio::test]
async fn a_search_cannot_leave_its_repository() {
    let item =
        |name: &str| json!({"path": "a", "repository": {"full_name": name}, "text_matches": [{"fragment": "x"}]});
    let body = json!({"total_count": 2, "items": [item("Acme/Platform"), item("acme/secrets")]});
    let (reader, asked) = reader(move |_| json(200, &body));
    let found = reader.search(&repo(), &["repo:acme/secrets", "OR", "org:x"], "clusters", 30, 1).await.unwrap();
    assert_eq!(found.items.len(), 1, "what another repository holds is not told");
    assert!(asked.lock().unwrap()[0].starts_with(
        "GET /api/v3/search/code?q=%22repo%22+%22acme%2Fsecrets%22+%22OR%22+%22org%22+%22x%22+repo%3Aacme%2Fplatform+path%3A%22clusters%22&per_page=30&page=1 "
    ));
    for (words, path) in
        [(vec!["a\" repo:x/y \""], ""), (vec!["a\\"], ""), (vec![], ""), (vec![":"], ""), (vec!["a"], "b\" org:x \"")]
    {
        let error = reader.search(&repo(), &words, path, 30, 1).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Invalid, "{words:?}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn failures_are_sent_once_and_told_without_the_credential() {
    for (answer, kind) in [
        (json(502, &json!({})), EdgeErrorKind::Status { code: 502, reason: String::new() }),
        (json(404, &json!({"message": "Not Found"})), EdgeErrorKind::NotFound),
        (json(401, &json!({"message": "Bad credentials ghp"})), EdgeErrorKind::Denied),
        (http(200, "text/html", b"<html>sign in</html>"), EdgeErrorKind::BadBody),
        (Vec::new(), EdgeErrorKind::Unreachable),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_vec(),
            EdgeErrorKind::Status { code: 302, reason: "moved".into() },
        ),
        (http(200, "application/json", &vec![b' '; (12 << 20) + 1]), EdgeErrorKind::TooLarge),
    ] {
        let (reader, asked) = reader(move |_| answer.clone());
        let error = reader.repository(&repo()).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{error}");
        assert!(!error.to_string().contains("topsecret"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{error}");
    }
    let client = Client::new("http://127.0.0.1:1", token(), Arc::new(Recorded)).unwrap();
    let error = Reader::new(client, vec![]).repository(&repo()).await.unwrap_err();
    assert!(*error.kind() == EdgeErrorKind::Unreachable && error.is_transient(), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    for (address, credential, words) in [
        ("ghe.corp", token(), "is no address"),
        ("http://ghe.corp/api/v3", token(), "in the clear"),
        ("ftp://localhost", token(), "in the clear"),
        ("https://u:topsecret@ghe.corp", token(), "carries a credential"),
        ("https://ghe.corp", Credential::Token(Secret::new("topsecret\nx", "env:T")), "no header can"),
        (
            "https://ghe.corp",
            Credential::App { id: "7".into(), private_key: Secret::new("topsecret", "file:key.pem") },
            "file:key.pem",
        ),
    ] {
        let error = Client::new(address, credential, Arc::new(Recorded)).unwrap_err();
        assert!(error.to_string().contains(words) && !error.to_string().contains("topsecret"), "{error}");
    }
}

/// A server that knows the App, and gives tokens `ghs_1`, `ghs_2` and so on; `refuse` names one that
/// it does not accept.
fn app_server(refuse: &'static str) -> (Client, Asked) {
    let given = AtomicUsize::new(0);
    let (address, asked) = peer(move |request| {
        let header = request.lines().find_map(|line| line.split_once(": Bearer ")).map_or("", |(_, token)| token);
        match request.split(' ').nth(1).unwrap_or_default() {
            "/repos/acme/platform/installation" | "/repos/acme/other/installation" => json(200, &json!({"id": 99})),
            "/app/installations/99/access_tokens" => {
                let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                json(201, &json!({"token": format!("ghs_{number}"), "expires_at": "2026-11-21T01:00:00Z"}))
            }
            "/app" => json(200, &json!({"slug": "firewarden"})),
            _ if header == refuse => json(401, &json!({"message": "Bad credentials"})),
            path => json(200, &json!({"full_name": path.trim_start_matches("/repos/"), "default_branch": header})),
        }
    });
    let key = Secret::new(PKCS1.replace('\n', "\\n"), "env:GITHUB_APP_PRIVATE_KEY");
    let credential = Credential::App { id: "7".into(), private_key: key };
    (Client::new(&address, credential, Arc::new(Recorded)).unwrap(), asked)
}

#[tokio::test]
async fn an_app_gets_a_token_for_each_repository_and_only_to_read() {
    let (client, asked) = app_server("none");
    let reader = Reader::new(client, vec![repo()]);
    assert_eq!(reader.who_am_i().await.unwrap(), "App firewarden (7)");
    let one = repo();
    let both = tokio::join!(reader.repository(&one), reader.repository(&one));
    assert_eq!(both.0.unwrap().default_branch, "ghs_1");
    assert_eq!(both.1.unwrap().default_branch, "ghs_1", "whoever comes second waits for the first");
    let other = Repo::parse("acme/other").unwrap();
    assert_eq!(reader.repository(&other).await.unwrap().default_branch, "ghs_2");
    let asked = asked.lock().unwrap();
    let wanted: Vec<Value> = asked
        .iter()
        .filter(|request| request.starts_with("POST /app/installations/99/access_tokens"))
        .map(|request| serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap())
        .collect();
    assert_eq!(
        wanted,
        ["platform", "other"]
            .map(|name| json!({"repositories": [name], "permissions": {"contents": "read", "pull_requests": "read"}}))
    );
    // What is signed can be checked with the public key, and says who, since when and until when.
    let signed = asked[0].lines().find_map(|line| line.split_once(": Bearer ")).unwrap().1;
    let (text, signature) = signed.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, PUBLIC);
    public.verify(text.as_bytes(), &signature).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(text.split_once('.').unwrap().1).unwrap();
    let now = Recorded.now().as_second();
    assert_eq!(
        serde_json::from_slice::<Value>(&claims).unwrap(),
        json!({"iss": "7", "iat": now - 60, "exp": now + 540})
    );
}

#[tokio::test]
async fn a_token_that_is_taken_back_is_replaced_once() {
    let (client, _) = app_server("ghs_1");
    let reader = Reader::new(client, vec![repo()]);
    assert_eq!(reader.repository(&repo()).await.unwrap().default_branch, "ghs_2");
    assert_eq!(reader.repository(&repo()).await.unwrap().default_branch, "ghs_2", "and kept");
}

#[tokio::test]
async fn an_app_that_is_not_installed_says_so() {
    let (address, _) = peer(|_| json(404, &json!({"message": "Not Found"})));
    let credential = Credential::App { id: "7".into(), private_key: Secret::new(PKCS8, "file:key.pem") };
    let client = Client::new(&address, credential, Arc::new(Recorded)).unwrap();
    let asked = super::client::Asked::get(&["x"], "x", "nothing");
    let error = client.ask(&repo(), READ, &asked).await.unwrap_err();
    assert!(error.text().contains("an installation of the App on acme/platform"), "{error}");
    assert!(error.text().contains("to be installed on it"), "{error}");
}

#[tokio::test]
async fn bytes_are_read_as_they_are() {
    let bytes: Vec<u8> = (0..=255).collect();
    let body = json!({"type": "file", "path": "x", "sha": "1", "encoding": "base64", "content": BASE64_STANDARD.encode(&bytes)});
    let (reader, _) = reader(move |_| json(200, &body));
    assert!(matches!(reader.contents(&repo(), "x", None).await.unwrap(), Contents::File(_, read) if read == bytes));
    let (reader, _) = self::reader(|_| {
        json(200, &json!({"type": "file", "path": "x", "sha": "1", "encoding": "base64", "content": "*"}))
    });
    assert_eq!(*reader.contents(&repo(), "x", None).await.unwrap_err().kind(), EdgeErrorKind::BadBody);
}
