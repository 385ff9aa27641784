//! Telling people. Our own text through configured sinks: no action, no warrant.
//!
//! A report owes a notice to every sink. One that fails is noted with the time of the next attempt;
//! until then nobody works on the investigation.

use super::driver::Session;
use super::{Engine, EngineError};
use crate::domain::{ApprovalId, ApprovalState, Digest, Effect, InvestigationId, ReportVerdict, Risk};
use crate::journal::{ApprovalView, Body, Draft, outbox};
use crate::telemetry;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
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
    /// What people are asked right now.
    pub questions: Vec<Asked>,
}

/// A question that stands, with all that somebody who is woken needs to answer it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// `apr_…`.
    pub approval_id: ApprovalId,
    /// The change in one line.
    pub title: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Every object.
    pub target: String,
    /// The level at which it is asked.
    pub risk: Option<Risk>,
    /// Whose members may answer.
    pub groups: Vec<String>,
    /// What a yes has to name.
    pub action_digest: Digest,
    /// From then on it is a no.
    pub expires_at: Timestamp,
    /// Where all of it is read, if the server's address is configured.
    pub url: Option<String>,
    /// What a person types to see it whole and to say yes.
    pub command: String,
}

impl Asked {
    /// Those of `views` that stand at `now`.
    fn standing(views: Vec<ApprovalView>, base: Option<&str>, now: Timestamp) -> Vec<Self> {
        let stands = |view: &ApprovalView| view.state == ApprovalState::Pending && now < view.expires_at;
        views.into_iter().filter(stands).map(|view| Self::of(view, base)).collect()
    }

    fn of(view: ApprovalView, base: Option<&str>) -> Self {
        let mut groups: Vec<String> = view.requirements.into_iter().flat_map(|asked| asked.groups).collect();
        groups.sort_unstable();
        groups.dedup();
        let id = view.id;
        let server = base.map_or(String::new(), |base| format!(" --server {base}"));
        Self {
            approval_id: id,
            title: view.action.title,
            effect: view.action.effect,
            target: view.action.target,
            risk: view.risk,
            groups,
            action_digest: view.action_digest,
            expires_at: view.expires_at,
            url: base.map(|base| format!("{base}/api/v1/approvals/{id}")),
            command: format!("firewarden approvals grant {id}{server}"),
        }
    }
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
        for asked in &notice.questions {
            tracing::info!(
                investigation = %notice.investigation,
                approval = %asked.approval_id,
                expires_at = %asked.expires_at,
                command = %asked.command,
                "somebody is asked: {}", asked.title
            );
        }
        Ok(())
    }
}

impl Session<'_> {
    /// Makes one attempt to tell each of `sinks` of a revision, all at once. What became of each is on
    /// disk before the next answer is waited for, so that a process that is killed behind one of them
    /// repeats only what it did not hear of.
    pub(super) async fn notify(&mut self, revision: u32, sinks: Vec<String>) -> Result<(), EngineError> {
        let Some(notice) = self.notice(revision) else { return Ok(()) };
        let undivided = self.undivided;
        let _undivided = undivided.lock().await;
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
        let report = self.inv.report.as_ref()?;
        let base = self.engine.public_url.as_deref();
        Some(Notice {
            investigation: self.inv.chain.clone(),
            revision,
            alert: self.inv.alert().to_owned(),
            subject: self.inv.subject().to_owned(),
            risk: self.inv.risk.map(|risk| risk.to_string()).unwrap_or_default(),
            verdict: report.verdict,
            summary: report.summary.clone(),
            url: base.map(|base| format!("{base}/api/v1/investigations/{}/report", self.inv.chain)),
            questions: Asked::standing(ApprovalView::all(&self.inv), base, self.now()),
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

/// Tells everybody once that an investigation was given up: its own journal can say nothing any more.
pub(super) async fn given_up(engine: &Engine, id: InvestigationId, reason: &str) {
    let view = match engine.store.investigation(id).await {
        Ok(Some(view)) => view,
        Ok(None) => return,
        Err(error) => return tracing::error!(investigation = %id, %error, "nobody could be told that it was given up"),
    };
    let notice = Notice {
        investigation: view.id,
        revision: view.revision,
        alert: view.alert,
        subject: view.subject,
        risk: view.risk.map(|risk| risk.level.to_string()).unwrap_or_default(),
        verdict: ReportVerdict::InsufficientEvidence,
        summary: format!("the investigation failed, look yourself: {reason}"),
        url: engine.public_url.as_ref().map(|base| format!("{base}/api/v1/investigations/{id}/report")),
        questions: vec![],
    };
    for sink in &engine.sinks {
        if let Err(failed) = attempt(sink.as_ref(), &notice, PATIENCE).await {
            tracing::error!(investigation = %id, sink = sink.name(), error = failed.error, "it was not told of a failure");
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

    #[test]
    fn whoever_is_woken_learns_what_is_asked_and_how_to_answer() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let job = "inv_00000000-0000-0000-0000-000000000007".parse().unwrap();
        let sample = |n| crate::journal::asked::sample(n, job);
        let over = ApprovalView { state: ApprovalState::Denied, ..sample(2) };
        let late = ApprovalView { expires_at: now, ..sample(3) };
        let asked = Asked::standing(vec![sample(1), over, late], Some("https://fw.example"), now);
        let id = "apr_00000000-0000-0000-0000-000000000001";
        let expected = serde_json::json!([{
            "approval_id": id, "title": "scale Deployment payments/api from 2 to 3 replicas", "effect": "write",
            "target": "Deployment payments/api", "risk": "MEDIUM", "groups": ["oncall"],
            "action_digest": sample(1).action_digest, "expires_at": "2026-11-21T00:10:00Z",
            "url": format!("https://fw.example/api/v1/approvals/{id}"),
            "command": format!("firewarden approvals grant {id} --server https://fw.example"),
        }]);
        assert_eq!(serde_json::to_value(asked).unwrap(), expected);
        let local = Asked::of(sample(1), None);
        assert_eq!((local.url, local.command), (None, format!("firewarden approvals grant {id}")));
    }

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
            questions: vec![],
        };
        let expected = Undelivered { error: "mute: timed out".into(), again: true };
        assert_eq!(attempt(&Mute, &notice, Duration::ZERO).await, Err(expected));
    }
}
