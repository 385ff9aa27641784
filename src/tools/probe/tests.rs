use crate::domain::{Clock, Redactor, Secret};
use crate::edge::http::tests::peer;
use crate::edge::pinned::tests::{Recorded, tls_peer, trust};
use crate::edge::{Pinned, ProbeTarget, Prober};
use crate::tools::{Manifests, Registry, Sources, ToolError};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct At(&'static str);
impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0.parse().unwrap()
    }
}

fn target(name: &str, url: &str, expect: Option<u16>) -> ProbeTarget {
    let headers = [("X-Probe".to_owned(), Secret::new("pr0be-key", "env:P"))];
    ProbeTarget::new(name, url, false, expect, Duration::from_secs(20), &headers).unwrap()
}

fn registry(targets: Vec<ProbeTarget>, network: Arc<Recorded>, now: &'static str) -> Registry {
    let prober = Prober::new(targets, Pinned::over(network, Some(trust())));
    let sources = Sources { http_probe: Some(prober), ..Sources::none(Arc::new(At(now))) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new(["pr0be-key"]).unwrap()));
    Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap()
}

#[tokio::test]
async fn a_call_names_a_target_and_gets_steps_status_and_body() {
    let (server, asked) = peer(|_| {
        let head = "HTTP/1.1 503 X\r\nContent-Type: text/plain\r\nSet-Cookie: session=1\r\nRetry-After: 5\r\n";
        let body = "database down, password=hunter2222 pr0be-key";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let network = Recorded::new(&[("shop.corp", &["10.0.0.1"])], Some(&server));
    let registry = registry(
        vec![target("shop", "http://shop.corp:81/health?key=k3y", Some(200))],
        network.clone(),
        "2026-11-21T00:00:00Z",
    );
    let spec = registry.spec("http_probe").unwrap();
    assert_eq!(spec.params["properties"]["target"]["enum"], json!(["shop"]));
    let seen = registry.look("http_probe", &json!({"target": "shop"})).await.unwrap();
    assert!(seen.text.starts_with("shop answers 503 instead of 200 in "), "{}", seen.text);
    assert!(seen.text.contains("GET http://shop.corp:81/health at 10.0.0.1:81\n"), "{}", seen.text);
    assert!(seen.text.contains("retry-after: 5") && seen.text.contains("database down"), "{}", seen.text);
    for secret in ["hunter2222", "pr0be-key", "k3y", "session"] {
        assert!(!format!("{} {}", seen.data, seen.text).contains(secret), "{secret}: {}", seen.text);
    }
    assert!(
        asked.lock().unwrap()[0].contains("x-probe: pr0be-key")
            && asked.lock().unwrap()[0].starts_with("GET /health?key=k3y ")
    );
    for other in ["http://evil.test/", "other", ""] {
        let refused = registry.look("http_probe", &json!({"target": other})).await;
        assert!(matches!(refused, Err(ToolError::Invalid { .. })), "{other}");
    }
    assert_eq!(network.connected.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn redirects_are_shown_and_failures_are_findings() {
    let (server, _) =
        peer(|_| b"HTTP/1.1 302 X\r\nLocation: http://evil.test/?t=1\r\nContent-Length: 0\r\n\r\n".to_vec());
    let network = Recorded::new(&[("shop.corp", &["10.0.0.1"])], Some(&server));
    let targets = vec![target("shop", "http://shop.corp/", None), target("gone", "http://gone.corp/", None)];
    let registry = self::registry(targets, network.clone(), "2026-11-21T00:00:00Z");
    let seen = registry.look("http_probe", &json!({"target": "shop"})).await.unwrap();
    assert!(seen.data["ok"] == true && seen.text.contains("location: http://evil.test/\n"), "{}", seen.text);
    let seen = registry.look("http_probe", &json!({"target": "gone"})).await.unwrap();
    assert!(
        seen.text.starts_with("gone fails at the look-up of its name: gone.corp cannot be looked up"),
        "{}",
        seen.text
    );
    assert_eq!(*network.connected.lock().unwrap(), ["10.0.0.1:80".parse().unwrap()]);
    let refused = Recorded::new(&[("shop.corp", &["10.0.0.1"])], None);
    let registry = self::registry(vec![target("shop", "http://shop.corp/", None)], refused, "2026-11-21T00:00:00Z");
    let seen = registry.look("http_probe", &json!({"target": "shop"})).await.unwrap();
    assert!(seen.text.starts_with("shop fails at the connection: no connection to 10.0.0.1:80"), "{}", seen.text);
}

#[tokio::test]
async fn a_certificate_is_told_before_and_after_its_end() {
    for (certificate, now, gist, left) in [
        ("good", "2026-11-21T00:00:00Z", "shop answers 200 in ", 35_469),
        ("good", "2123-12-30T00:00:00Z", ", its certificate ends in 2 days", 2),
        ("expired", "2026-11-21T00:00:00Z", "shop fails at the TLS handshake, its certificate has ended: ", -2150),
    ] {
        let network = Recorded::new(&[("shop.test", &["10.0.0.1"])], Some(&tls_peer(certificate)));
        let registry = registry(vec![target("shop", "https://shop.test/", None)], network, now);
        let seen = registry.look("http_probe", &json!({"target": "shop"})).await.unwrap();
        assert!(seen.text.lines().next().unwrap().contains(gist), "{}", seen.text);
        assert!(
            seen.text.contains("certificate: for shop.test, www.shop.test, issued by Example Test CA"),
            "{}",
            seen.text
        );
        assert_eq!(seen.data["certificate"]["days_left"], left, "{}", seen.text);
    }
}

#[test]
fn a_target_is_checked_when_it_is_configured() {
    let with = |url: &str, header: &str, value: &str| {
        let headers = [(header.to_owned(), Secret::new(value, "x"))];
        ProbeTarget::new("t", url, true, None, Duration::from_secs(1), &headers)
    };
    assert!(with("https://a.corp/x", "X-A", "b").is_ok());
    for (url, header, value) in [
        ("ftp://a.corp", "x-a", "b"),
        ("a.corp", "x-a", "b"),
        ("http://u:hunter2@a.corp/", "x-a", "b"),
        ("http://a.corp/", "Host", "b"),
        ("http://a.corp/", "Transfer-Encoding", "b"),
        ("http://a.corp/", "x a", "b"),
        ("http://a.corp/", "x-a", "hunter2\r\nhost: c"),
    ] {
        let error = with(url, header, value).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error}");
    }
}
