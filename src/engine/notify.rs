//! Telling people. Our own text through configured sinks: no action, no warrant.
//!
//! A report owes a notice to every sink. One that fails is noted with the time of the next attempt;
//! until then nobody works on the investigation.

use super::EngineError;
use super::driver::Session;
use crate::domain::ReportVerdict;
use crate::journal::{Body, Draft, outbox};
use crate::telemetry;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
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

/// Why a notice did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// In words that may stand in the journal: no address, no credential.
    pub error: String,
    /// Whether another attempt may help.
    pub again: bool,
}

/// Somewhere people read.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// Its name in the journal.
    fn name(&self) -> &str;

    /// Delivers the notice.
    ///
    /// # Errors
    /// When it did not arrive.
    async fn tell(&self, notice: &Notice) -> Result<(), Undelivered>;
}

/// The program's own log: always there, so that nobody is told nothing.
#[derive(Debug)]
pub struct LogSink;

#[async_trait]
impl Sink for LogSink {
    fn name(&self) -> &str {
        "log"
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Undelivered> {
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
    /// Makes one attempt to tell each of `sinks` of a revision, all at once. What became of each is on
    /// disk before the next answer is waited for, so that a process that is killed behind one of them
    /// repeats only what it did not hear of.
    pub(super) async fn notify(&mut self, revision: u32, sinks: Vec<String>) -> Result<(), EngineError> {
        let Some(notice) = self.notice(revision) else { return Ok(()) };
        let engine = self.engine;
        let attempt = |name: String| {
            let notice = &notice;
            async move {
                let told = match engine.sinks.iter().find(|sink| sink.name() == name) {
                    Some(sink) => attempt(sink.as_ref(), notice, PATIENCE).await,
                    None => {
                        let error = "it is not configured any more".to_owned();
                        Err(Undelivered { error, again: false })
                    }
                };
                (name, told)
            }
        };
        let mut attempts: FuturesUnordered<_> = sinks.into_iter().map(attempt).collect();
        while let Some((sink, told)) = attempts.next().await {
            let body = self.outcome(sink, revision, told);
            self.record(Draft::engine(body))?;
            if !attempts.is_empty() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn notice(&self, revision: u32) -> Option<Notice> {
        let (report, opening) = (self.inv.report.as_ref()?, self.inv.opening()?);
        let base = self.engine.public_url.as_ref();
        Some(Notice {
            investigation: self.inv.chain.clone(),
            revision,
            alert: opening.name.clone(),
            subject: opening.subject.clone(),
            risk: self.inv.risk.map(|risk| risk.to_string()).unwrap_or_default(),
            verdict: report.verdict,
            summary: report.summary.clone(),
            url: base.map(|base| format!("{base}/api/v1/investigations/{}/report", self.inv.chain)),
        })
    }

    /// What an attempt means: told, tried again later, or given up.
    fn outcome(&self, sink: String, revision: u32, told: Result<(), Undelivered>) -> Body {
        let Err(failed) = told else {
            telemetry::notice(&sink, "told");
            return Body::Notified { sink, revision, error: None };
        };
        let (error, now) = (failed.error, self.now());
        let debt = self.inv.outbox.debts().iter().find(|debt| debt.sink == sink);
        let attempt = debt.map_or(0, |debt| debt.attempts).saturating_add(1);
        let reported_at = self.inv.report.as_ref().map_or(now, |report| report.at);
        let dice = self.engine.entropy.salt()[0];
        match outbox::again_at(attempt, reported_at, now, dice).filter(|_| failed.again) {
            Some(again_at) => {
                telemetry::notice(&sink, "put_off");
                tracing::warn!(sink, attempt, %error, %again_at, "a notice did not arrive; it is tried again");
                Body::NoticeFailed { sink, revision, attempt, error, again_at }
            }
            None => {
                telemetry::notice(&sink, "given_up");
                tracing::error!(sink, attempt, %error, "a notice did not arrive and is given up; read the report in the API");
                Body::Notified { sink, revision, error: Some(error) }
            }
        }
    }
}

/// One attempt.
async fn attempt(sink: &dyn Sink, notice: &Notice, patience: Duration) -> Result<(), Undelivered> {
    let told = tokio::time::timeout(patience, sink.tell(notice)).await;
    told.unwrap_or_else(|_| Err(Undelivered { error: format!("{}: timed out", sink.name()), again: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Mute;

    #[async_trait]
    impl Sink for Mute {
        fn name(&self) -> &str {
            "mute"
        }

        async fn tell(&self, _: &Notice) -> Result<(), Undelivered> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_sink_that_never_answers_is_left_and_tried_again() {
        let notice = Notice {
            investigation: "inv_1".into(),
            revision: 1,
            alert: "A".into(),
            subject: "s".into(),
            risk: "LOW".into(),
            verdict: ReportVerdict::Likely,
            summary: "x".into(),
            url: None,
        };
        let expected = Undelivered { error: "mute: timed out".into(), again: true };
        assert_eq!(attempt(&Mute, &notice, Duration::ZERO).await, Err(expected));
    }
}
