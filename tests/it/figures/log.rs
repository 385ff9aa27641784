//! A container's log of 10 MB, read by the real binary from a server that streams it.

use crate::support::site::Site;
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What must not come out again.
pub const SECRETS: [&str; 3] =
    ["hunter2-planted", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "eyJhbGciOiJIUzI1NiJ9"];

/// 20,000 lines, as many as one call reads, of about 525 bytes.
pub fn lines() -> String {
    let mut log = String::with_capacity(11 << 20);
    for n in 0..20_000_u32 {
        let level = if n % 50 == 7 { "ERROR" } else { "INFO" };
        let words = ["checkout", "inventory", "payment", "search"][n as usize % 4];
        log.push_str(&format!("2026-11-21T00:{:02}:{:02}.{n:06}Z {level} {words} request id={n:08x} GET /api/v1/orders/{n} status=200 took {}ms ", n / 60 % 60, n % 60, n % 900));
        log.push_str(&"a handler says what it does in words that are the same on every line; ".repeat(6));
        match n {
            500 => log.push_str("password=hunter2-planted"),
            501 => log.push_str("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnop"),
            502 => log.push_str(&format!(
                "\n-----BEGIN PRIVATE KEY-----\n{}\n{}\n-----END PRIVATE KEY-----",
                SECRETS[1], SECRETS[1]
            )),
            _ => {}
        }
        log.push('\n');
    }
    log
}

/// An API server with one pod whose log is `log`.
pub async fn cluster(log: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(log);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(n) = socket.read(&mut buffer).await {
                    request.extend_from_slice(&buffer[..n]);
                    if n == 0 || request.windows(4).any(|w| w == b"\r\n\r\n") {
                        break;
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n"},
                    "spec": {"containers": [{"name": "app"}]}})
                .to_string();
                let body = if request.contains("/log") { log.as_str() } else { pod.as_str() };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.write_all(body.as_bytes()).await;
            });
        }
    });
    address
}

/// What one call cost.
#[derive(Debug)]
pub struct Cost {
    /// Of the process, to its end.
    pub cpu: Duration,
    /// The most memory that it held, in KiB.
    pub peak_kib: u64,
    /// What a reader gets.
    pub text: String,
}

/// `firewarden tools call kubernetes_logs`, from start to end.
pub fn call(site: &Site, extra: &[&str]) -> Cost {
    let before = children();
    let mut child = site.begin(&[&["tools", "call", "kubernetes_logs", "namespace=n", "pod=p"], extra].concat());
    let peak_kib = watched(&mut child);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    Cost { cpu: children() - before, peak_kib, text }
}

/// Waits for the end and answers the largest VmHWM on the way. What is written fits into a pipe.
fn watched(child: &mut Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0).max(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

/// CPU time of all children that have ended, in steps of 10 ms.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap().split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    Duration::from_millis((fields[13] + fields[14]) * 10)
}

/// The configuration of a site that sees the cluster at `address`.
pub fn config(address: &str) -> Value {
    json!({"tools": {"kubernetes": {"url": address}}})
}
