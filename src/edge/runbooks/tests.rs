use super::*;
use crate::edge::http::tests::{http, peer};
use crate::edge::pinned::tests::Recorded;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::sync::Arc;

fn hosts() -> AllowedHosts {
    AllowedHosts::new(&["wiki.corp", "localhost:3000"]).unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

/// A reader over a server that is reached as localhost:3000.
fn reader(
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (RunbookReader, Arc<Recorded>, crate::edge::http::tests::Asked) {
    let (server, asked) = peer(answer);
    let network = Recorded::new(&[("localhost", &["127.0.0.1"]), ("wiki.corp", &["10.0.0.1"])], Some(&server));
    (RunbookReader::new(hosts(), None, Pinned::over(network.clone(), None)), network, asked)
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_page_is_fetched_once_and_again_when_it_is_old() {
    let (reader, network, asked) = reader(|_| http(200, "text/markdown; charset=utf-8", b"# Volumes"));
    let page = reader.fetch("http://localhost:3000/pvc", now()).await.unwrap();
    assert_eq!((page.text.as_str(), page.media_type.as_str(), page.cut), ("# Volumes", "text/markdown", false));
    for (after, times) in [(1, 1), (599, 1), (601, 2)] {
        reader.fetch("http://localhost:3000/pvc", now() + SignedDuration::from_secs(after)).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), times, "{after}");
    }
    assert_eq!(network.connected.lock().unwrap()[0], "127.0.0.1:3000".parse().unwrap());
}

#[tokio::test]
async fn redirects_stay_on_the_host_and_end() {
    for (to, fine) in [
        ("/there", true),
        ("http://localhost:3000/there", true),
        ("https://wiki.corp/there", false),
        ("http://localhost:3001/there", false),
        ("http://169.254.169.254/latest", false),
        ("//evil.test/", false),
        ("file:///etc/passwd", false),
        ("/start", false),
        ("", false),
    ] {
        let (reader, network, _) = reader(move |request| match request.starts_with("GET /there") {
            true => http(200, "text/plain", b"there"),
            false => redirect(to),
        });
        let page = reader.fetch("http://localhost:3000/start", now()).await;
        assert_eq!(page.is_ok(), fine, "{to}: {page:?}");
        let connected = network.connected.lock().unwrap();
        assert!(connected.iter().all(|address| *address == "127.0.0.1:3000".parse().unwrap()), "{to}: {connected:?}");
        assert!(connected.len() <= REDIRECTS + 1);
        assert_eq!(network.resolved.lock().unwrap().len(), 1, "looked up once, whatever redirects say");
    }
}

#[tokio::test]
async fn what_is_no_text_or_no_page_is_said() {
    for (answer, kind) in [
        (http(200, "application/octet-stream", b"x"), EdgeErrorKind::BadBody),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_vec(), EdgeErrorKind::BadBody),
        (http(404, "text/html", b"x"), EdgeErrorKind::NotFound),
        (http(401, "text/html", b"x"), EdgeErrorKind::Denied),
        (http(503, "text/html", b"x"), EdgeErrorKind::Status { code: 503, reason: String::new() }),
    ] {
        let (reader, ..) = reader(move |_| answer.clone());
        assert_eq!(*reader.fetch("http://localhost:3000/", now()).await.unwrap_err().kind(), kind);
    }
    let (reader, ..) = reader(|_| http(200, "text/html", &vec![b'x'; PAGE_BYTES + 10]));
    let page = reader.fetch("http://localhost:3000/", now()).await.unwrap();
    assert!(page.cut && page.text.len() == PAGE_BYTES);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let (reader, ..) = reader(|_| http(200, "text/plain", &vec![b'x'; 500_000]));
    for n in 0..20 {
        reader.fetch(&format!("http://localhost:3000/{n}"), now()).await.unwrap();
    }
    let cache = reader.cache.lock().unwrap();
    assert!(cache.iter().map(|(_, _, page)| page.text.len()).sum::<usize>() <= KEPT_BYTES && cache.len() == 8);
}

#[tokio::test]
async fn files_lie_in_the_folder_or_are_not_there() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "outside").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("deep")).unwrap();
    for (path, text) in [("b.md", "b"), ("deep/a.MD", "a"), ("note.txt", "no")] {
        std::fs::write(dir.path().join(path), text).unwrap();
    }
    std::os::unix::fs::symlink(outside.path().join("secret.md"), dir.path().join("link.md")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("b.md"), dir.path().join("again.md")).unwrap();
    let reader = RunbookReader::new(AllowedHosts::default(), Some(dir.path().to_owned()), Pinned::default());
    let (documents, more) = reader.documents().await.unwrap();
    let found: Vec<(&str, &str)> = documents.iter().map(|d| (d.path.as_str(), d.text.as_str())).collect();
    assert_eq!((found, more), (vec![("b.md", "b"), ("deep/a.MD", "a")], false));
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "wiki\\.corp",
        "evil\\.test",
        "localhost:3000",
        "169\\.254\\.169\\.254",
        "\\[::1\\]",
        "0x7f\\.1",
        "@",
        ":",
        "//",
        "/",
        "\\\\",
        "#",
        "\\?",
        "\\.",
        "%2e",
        "\t",
        "https:",
        "http://",
        "https://",
        "[a-z0-9.:@/%]{0,5}",
    ];
    proptest::collection::vec(part, 1..7).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_outside_the_list_is_looked_up_or_connected_to(address in hostile(), location in hostile()) {
        // Every name leads somewhere: a guard that let one through would be seen.
        let names: &[(&str, &[&str])] = &[("wiki.corp", &["10.0.0.1"]), ("localhost", &["127.0.0.1"]), ("evil.test", &["10.6.6.6"])];
        let network = Recorded::new(names, None);
        let reader = RunbookReader::new(hosts(), None, Pinned::over(network.clone(), None));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for text in [&address, &location, &format!("https://wiki.corp{address}"), &format!("https://{address}@wiki.corp/")] {
            let _ = runtime.block_on(reader.fetch(text, now()));
        }
        for address in network.connected.lock().unwrap().iter() {
            prop_assert!([SocketAddr::from(([10, 0, 0, 1], 443)), SocketAddr::from(([127, 0, 0, 1], 3000))].contains(address), "{address}");
        }
        for name in network.resolved.lock().unwrap().iter() {
            prop_assert!(["wiki.corp", "localhost"].contains(&name.as_str()), "{name}");
        }
    }
}
