//! A small client, and waiting with a deadline.

use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A client that talks to loopback alone.
pub fn client() -> reqwest::Client {
    // Whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// `None` when nobody answered.
pub async fn send(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let content_type =
        response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    Some(Answer { status, content_type, text: response.text().await.ok()? })
}

/// An address on loopback that nobody uses.
pub fn free_address() -> SocketAddr {
    // Below the ports that the system gives to whoever connects: it would give this one away before it is used.
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(131);
    let ports = std::iter::repeat_with(|| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)));
    ports
        .map(|n| PORTS.start + u16::try_from(n % u32::from(PORTS.end - PORTS.start)).unwrap())
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Asks `look` until it has an answer.
///
/// # Panics
/// After `limit`, with what was waited for.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether all of an HTTP request was read.
pub fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0usize)
}
