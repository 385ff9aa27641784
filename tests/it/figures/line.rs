//! A connection that posts bodies and costs little: what a sender takes of the two cores, the server lacks.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One HTTP/1.1 connection that is kept.
pub(super) struct Line {
    to: SocketAddr,
    stream: TcpStream,
    read: Vec<u8>,
}

impl Line {
    pub(super) async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).unwrap();
        Self { to, stream, read: vec![] }
    }

    /// Posts `body` to `path`: the status of the answer, and its body.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> (u16, String) {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.to, body.len());
        self.stream.write_all((head + body).as_bytes()).await.expect("it is sent");
        self.read.clear();
        loop {
            if let Some(answer) = whole(&self.read) {
                return answer;
            }
            let more = self.stream.read_buf(&mut self.read).await.expect("an answer");
            assert!(more > 0, "the connection was closed without an answer");
        }
    }
}

/// The answer that was read, once all of it is there.
fn whole(read: &[u8]) -> Option<(u16, String)> {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&read[..end]).expect("a head in words");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let body = &read[end + 4..];
    let length: usize = length.expect("a length");
    (body.len() >= length).then(|| (status, String::from_utf8_lossy(&body[..length]).into_owned()))
}
