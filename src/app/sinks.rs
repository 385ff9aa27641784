//! Where people are told, beside the log.

use crate::edge::{EdgeError, EdgeErrorKind, HttpPeer};
use crate::engine::notify::{Notice, Sink, Undelivered};
use async_trait::async_trait;
use std::time::Duration;

/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts the notice as JSON to an address. The address often is a credential, so it is never shown.
#[derive(Debug)]
pub(super) struct WebhookSink {
    name: String,
    peer: HttpPeer,
}

impl WebhookSink {
    pub(super) fn new(name: &str, url: &str) -> Result<Self, EdgeError> {
        Ok(Self { name: name.to_owned(), peer: HttpPeer::hook(name, url)? })
    }

    fn failed(&self, what: &str, again: bool) -> Undelivered {
        Undelivered { error: format!("{}: {what}", self.name), again }
    }
}

#[async_trait]
impl Sink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Undelivered> {
        let body =
            serde_json::to_value(notice).map_err(|_| self.failed("the notice cannot be written as JSON", false))?;
        let status = |code: u16| self.failed(&format!("status {code}"), matches!(code, 408 | 429 | 500..=599));
        match self.peer.post_hook(&body, PATIENCE).await {
            Ok(200..=299) => Ok(()),
            Ok(code) => Err(status(code)),
            // The text of an error is about the address; only its kind goes on from here.
            Err(error) => Err(match error.kind() {
                EdgeErrorKind::Timeout => self.failed("timed out", true),
                EdgeErrorKind::Status { code, .. } => status(*code),
                EdgeErrorKind::Unreachable
                | EdgeErrorKind::NotFound
                | EdgeErrorKind::Unserved
                | EdgeErrorKind::Denied
                | EdgeErrorKind::TooLarge
                | EdgeErrorKind::BadBody
                | EdgeErrorKind::Invalid => self.failed("unreachable", true),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReportVerdict;
    use crate::edge::http::tests::{http, peer};

    fn notice() -> Notice {
        Notice {
            investigation: "inv_1".into(),
            revision: 1,
            alert: "A".into(),
            subject: "s".into(),
            risk: "LOW".into(),
            verdict: ReportVerdict::Likely,
            summary: "x".into(),
            url: None,
            questions: vec![],
        }
    }

    #[tokio::test]
    async fn failures_name_the_sink_and_the_kind_and_nothing_of_the_address() {
        let (address, asked) = peer(|request| {
            let status = request.split("key=").nth(1).and_then(|rest| rest.get(..3)).unwrap().parse().unwrap();
            http(status, "text/plain", b"said")
        });
        for (status, told) in [
            (204, Ok(())),
            (404, Err(("chat: status 404", false))),
            (429, Err(("chat: status 429", true))),
            (503, Err(("chat: status 503", true))),
        ] {
            let sink = WebhookSink::new("chat", &format!("{address}/T0/sesame?key={status}")).unwrap();
            let got = sink.tell(&notice()).await;
            assert_eq!(got.as_ref().map_err(|e| (e.error.as_str(), e.again)).copied(), told);
            assert!(!format!("{sink:?}").contains("sesame"));
        }
        assert!(asked.lock().unwrap().iter().all(|asked| asked.starts_with("POST /T0/sesame?key=")));
        let sink = WebhookSink::new("chat", "http://127.0.0.1:1/sesame").unwrap();
        let expected = Undelivered { error: "chat: unreachable".into(), again: true };
        assert_eq!(sink.tell(&notice()).await, Err(expected));
    }
}
