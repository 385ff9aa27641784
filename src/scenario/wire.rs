//! What was asked of a served world: tests read it to prove what a tool did and did not ask.

use std::{collections::VecDeque, sync::Mutex};

const KEPT: usize = 10_000;

/// Which of the listeners was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The API server.
    Kubernetes,
    /// Prometheus.
    Prometheus,
    /// GitHub.
    Github,
    /// Jira.
    Jira,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// Who was asked.
    pub peer: Peer,
    /// The HTTP method.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query string, still percent-encoded; empty if there is none.
    pub query: String,
    /// The `Accept` header; empty if there is none.
    pub accept: String,
    /// The status of the answer.
    pub status: u16,
}

/// The newest requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct WireLog(Mutex<VecDeque<WireRequest>>);

impl WireLog {
    pub(crate) fn record(&self, request: WireRequest) {
        let mut log = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<WireRequest> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().cloned().collect()
    }
}
