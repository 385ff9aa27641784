//! Where people are told, beside the log.

use crate::edge::http::Limits;
use crate::edge::{EdgeError, HttpPeer};
use crate::engine::notify::{Notice, Sink};
use async_trait::async_trait;
use std::time::Duration;

/// Posts the notice as JSON to an address. The address often is a credential, so it is never shown.
#[derive(Debug)]
pub(super) struct WebhookSink {
    name: String,
    peer: HttpPeer,
}

impl WebhookSink {
    pub(super) fn new(name: &str, url: &str) -> Result<Self, EdgeError> {
        Ok(Self { name: name.to_owned(), peer: HttpPeer::new(name, url, None)? })
    }
}

#[async_trait]
impl Sink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        let body = serde_json::to_value(notice).map_err(|error| error.to_string())?;
        let limits = Limits { total: Duration::from_secs(10), body_bytes: 64 * 1024 };
        match self.peer.post_json("", &body, limits).await {
            Ok(answer) if answer.status < 300 => Ok(()),
            Ok(answer) => Err(format!("{} answered {}", self.name, answer.status)),
            Err(error) => Err(error.text().to_owned()),
        }
    }
}
