//! Server-sent events of a peer, one at a time, as they arrive.

use super::error::{EdgeError, EdgeErrorKind};
use super::http::causes;
use crate::domain::Secret;
use reqwest::{Client, Response, header};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// A peer that says nothing for so long, not even that it is alive, is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Most bytes of one event.
const EVENT_BYTES: usize = 32 << 20;
/// Most bytes of a refusal that are told.
const REFUSAL_BYTES: usize = 4 << 10;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamEvent {
    /// Its id, to go on behind it.
    pub id: Option<String>,
    /// What it says.
    pub data: String,
}

/// A stream that is being read.
#[derive(Debug)]
pub struct EventStream {
    answer: Response,
    parser: Parser,
}

impl EventStream {
    /// Opens `url`; with `after`, behind the event of that id. `None` when there is nothing behind it.
    ///
    /// # Errors
    /// When the peer cannot be reached or refuses; its own words stand in the error.
    pub async fn open(url: &str, token: Option<&Secret>, after: Option<&str>) -> Result<Option<Self>, EdgeError> {
        let wrong = |kind, text: &str| EdgeError::new("firewarden", kind, text);
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| wrong(EdgeErrorKind::Invalid, &causes(&e.without_url())))?;
        let mut request = client.get(url).header(header::ACCEPT, "text/event-stream");
        if let Some(token) = token {
            request = request.bearer_auth(token.expose().trim());
        }
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let mut answer = request.send().await.map_err(|e| {
            let text = format!("cannot be reached ({}); check the address and that it runs", causes(&e.without_url()));
            wrong(EdgeErrorKind::Unreachable, &text)
        })?;
        match answer.status().as_u16() {
            200 => Ok(Some(Self { answer, parser: Parser::default() })),
            204 => Ok(None),
            code => {
                let mut said = vec![];
                while let Ok(Some(chunk)) = answer.chunk().await {
                    said.extend_from_slice(&chunk);
                    if said.len() >= REFUSAL_BYTES {
                        break;
                    }
                }
                said.truncate(REFUSAL_BYTES);
                let reason = String::from_utf8_lossy(&said).into_owned();
                let kind = match code {
                    401 | 403 => EdgeErrorKind::Denied,
                    404 => EdgeErrorKind::NotFound,
                    code => EdgeErrorKind::Status { code, reason: String::new() },
                };
                Err(wrong(kind, &format!("it answers {code}: {}", reason.trim())))
            }
        }
    }

    /// The next event; `None` when the peer has ended the stream.
    ///
    /// # Errors
    /// When the connection breaks; open it again behind the last id.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, EdgeError> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.parser.feed(&chunk)?,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let text = format!("the stream broke off: {}", causes(&error.without_url()));
                    return Err(EdgeError::new("firewarden", EdgeErrorKind::Unreachable, &text));
                }
            }
        }
    }
}

/// The format, apart from the connection.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    event: StreamEvent,
    has_data: bool,
    last_was_cr: bool,
    ready: VecDeque<StreamEvent>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), EdgeError> {
        for byte in bytes {
            match byte {
                b'\n' if self.last_was_cr => self.last_was_cr = false,
                b'\n' | b'\r' => {
                    self.last_was_cr = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.take(&String::from_utf8_lossy(&line));
                }
                _ => {
                    self.last_was_cr = false;
                    self.line.push(*byte);
                }
            }
            if self.line.len() + self.event.data.len() > EVENT_BYTES {
                let text = format!("an event is larger than {EVENT_BYTES} bytes");
                return Err(EdgeError::new("firewarden", EdgeErrorKind::TooLarge, &text));
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "id" => self.event.id = Some(value.to_owned()),
            // Comments keep the connection alive; other fields mean nothing to us.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": hello\r\nid: 1\ndata: {\"a\":\ndata: 1}\n\nretry: 5\r\n\r\ndata:two\rid:2\r\r: end\n\nid: 3\n\n";
        let expected = [
            StreamEvent { id: Some("1".into()), data: "{\"a\":\n1}".into() },
            StreamEvent { id: Some("2".into()), data: "two".into() },
        ];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            for chunk in text.as_bytes().chunks(size) {
                parser.feed(chunk).unwrap();
            }
            assert_eq!(parser.ready, expected, "chunks of {size}");
        }
        assert!(Parser::default().feed(&vec![b'x'; EVENT_BYTES + 1]).is_err());
    }

    async fn peer(answer: &'static str) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}/stream", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = socket.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..n]).to_ascii_lowercase();
            assert!(request.contains("last-event-id: 7") && request.contains("authorization: bearer t"), "{request}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        at
    }

    #[tokio::test]
    async fn a_stream_is_read_to_its_end_and_refusals_are_told() {
        let token = Secret::new("t", "test");
        let open = async |answer| EventStream::open(&peer(answer).await, Some(&token), Some("7")).await;
        let fine = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nid: 8\ndata: x\n\n";
        let mut stream = open(fine).await.unwrap().unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().data, "x");
        assert_eq!(stream.next().await.unwrap(), None);
        assert!(open("HTTP/1.1 204 No Content\r\n\r\n").await.unwrap().is_none());
        let refused = open("HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\nno such").await.unwrap_err();
        assert!(refused.to_string().contains("404: no such"), "{refused}");
    }
}
