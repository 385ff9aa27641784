//! Telling people. Our own text through configured sinks: no action, no warrant.

use super::EngineError;
use super::driver::Session;
use crate::domain::ReportVerdict;
use crate::journal::{Body, Draft};
use async_trait::async_trait;
use serde::Serialize;
use std::time::Duration;

/// How long one sink may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What people are told.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// `inv_…`.
    pub investigation: String,
    /// The report's revision.
    pub revision: u32,
    /// The opening alert's name.
    pub alert: String,
    /// Whom it concerns.
    pub subject: String,
    /// The level.
    pub risk: String,
    /// What the report claims.
    pub verdict: ReportVerdict,
    /// What it says in one line.
    pub summary: String,
    /// Where to read more, if the server's address is configured.
    pub url: Option<String>,
}

/// Somewhere people read.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// Its name in the journal.
    fn name(&self) -> &str;

    /// Delivers the notice.
    ///
    /// # Errors
    /// In words, when it did not arrive.
    async fn tell(&self, notice: &Notice) -> Result<(), String>;
}

/// The program's own log: always there, so that nobody is told nothing.
#[derive(Debug)]
pub struct LogSink;

#[async_trait]
impl Sink for LogSink {
    fn name(&self) -> &str {
        "log"
    }

    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        tracing::info!(
            investigation = %notice.investigation,
            revision = notice.revision,
            alert = %notice.alert,
            subject = %notice.subject,
            risk = %notice.risk,
            verdict = %notice.verdict,
            "{}", notice.summary
        );
        Ok(())
    }
}

impl Session<'_> {
    /// Tells every sink of a revision. A sink that fails is tried once more and then noted: the
    /// report is there for reading in any case.
    pub(super) async fn notify(&mut self, revision: u32) -> Result<(), EngineError> {
        let (Some(report), Some(opening)) = (&self.inv.report, self.inv.opening()) else { return Ok(()) };
        let notice = Notice {
            investigation: self.inv.chain.clone(),
            revision,
            alert: opening.name.clone(),
            subject: opening.subject.clone(),
            risk: self.inv.risk.map(|risk| risk.to_string()).unwrap_or_default(),
            verdict: report.verdict,
            summary: report.summary.clone(),
            url: self
                .engine
                .public_url
                .as_ref()
                .map(|base| format!("{base}/api/v1/investigations/{}/report", self.inv.chain)),
        };
        for sink in &self.engine.sinks {
            let mut told = attempt(sink.as_ref(), &notice).await;
            if told.is_err() {
                told = attempt(sink.as_ref(), &notice).await;
            }
            if let Err(error) = &told {
                tracing::warn!(sink = sink.name(), %error, "a notice did not arrive");
            }
            let body = Body::Notified { sink: sink.name().to_owned(), revision, error: told.err() };
            self.record(Draft::engine(body))?;
        }
        Ok(())
    }
}

async fn attempt(sink: &dyn Sink, notice: &Notice) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, sink.tell(notice)).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
