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
/// The pauses before each attempt.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];

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
    /// Tells every sink of a revision. A sink that fails is tried twice more and then noted: the
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
            let told = deliver(sink.as_ref(), &notice, &PAUSES).await;
            if let Err(error) = &told {
                tracing::warn!(sink = sink.name(), %error, "a notice did not arrive");
            }
            let body = Body::Notified { sink: sink.name().to_owned(), revision, error: told.err() };
            self.record(Draft::engine(body))?;
        }
        Ok(())
    }
}

/// One attempt after each of `pauses`, until one succeeds or none can; the error of the last.
async fn deliver(sink: &dyn Sink, notice: &Notice, pauses: &[Duration]) -> Result<(), String> {
    let mut told = Ok(());
    for pause in pauses {
        tokio::time::sleep(*pause).await;
        told = match tokio::time::timeout(PATIENCE, sink.tell(notice)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failed)) if !failed.again => return Err(failed.error),
            Ok(Err(failed)) => Err(failed.error),
            Err(_) => Err(format!("{}: timed out", sink.name())),
        };
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Fails as often as `fails` says.
    #[derive(Debug)]
    struct Flaky {
        fails: usize,
        again: bool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Sink for Flaky {
        fn name(&self) -> &str {
            "flaky"
        }

        async fn tell(&self, _: &Notice) -> Result<(), Undelivered> {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            match asked > self.fails {
                true => Ok(()),
                false => Err(Undelivered { error: format!("flaky: attempt {asked}"), again: self.again }),
            }
        }
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_three_times_and_what_will_not_once() {
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
        let pauses = PAUSES.map(|pause| pause / 100);
        for (fails, again, told, asked) in [
            (0, true, Ok(()), 1),
            (2, true, Ok(()), 3),
            (9, true, Err("flaky: attempt 3".to_owned()), 3),
            (9, false, Err("flaky: attempt 1".to_owned()), 1),
        ] {
            let sink = Flaky { fails, again, asked: AtomicUsize::new(0) };
            let begun = std::time::Instant::now();
            assert_eq!(deliver(&sink, &notice, &pauses).await, told);
            assert_eq!(sink.asked.load(Ordering::Relaxed), asked);
            let pause: Duration = pauses[..asked].iter().sum();
            assert!(begun.elapsed() >= pause, "{:?} for {asked} attempts", begun.elapsed());
        }
        assert_eq!(PAUSES.map(|pause| pause.as_secs()), [0, 1, 3]);
    }
}
