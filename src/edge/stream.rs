//! Server-sent events of a peer, one at a time, as they arrive.

use super::error::{EdgeError, EdgeErrorKind};
use super::http::causes;
use super::sse::{Decoder, Event, TooLarge};
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

/// A stream that is being read.
#[derive(Debug)]
pub struct EventStream {
    answer: Response,
    decoder: Decoder,
    ready: VecDeque<Event>,
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
            200 => Ok(Some(Self { answer, decoder: Decoder::new(EVENT_BYTES), ready: VecDeque::new() })),
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
    pub async fn next(&mut self) -> Result<Option<Event>, EdgeError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => {
                    let events = self.decoder.feed(&chunk).map_err(|TooLarge| {
                        let text = format!("an event is larger than {EVENT_BYTES} bytes");
                        EdgeError::new("firewarden", EdgeErrorKind::TooLarge, &text)
                    })?;
                    self.ready.extend(events);
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    let text = format!("the stream broke off: {}", causes(&error.without_url()));
                    return Err(EdgeError::new("firewarden", EdgeErrorKind::Unreachable, &text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
