//! `firewarden doctor --send-test-alert`: the way of an alert, through the real webhook.

use crate::app;
use crate::cli::client::{Client, Seen};
use crate::cli::render::Watcher;
use crate::cli::session::Session;
use crate::cli::text::line;
use crate::cli::{Exit, Failure, Global};
use crate::config::Config;
use crate::domain::{Clock as _, Entropy as _, Secret};
use crate::edge::{SystemClock, SystemEntropy};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// What the alert is called.
const NAME: &str = "FirewardenTestAlert";
/// How long the way to the report may take: an investigation's usual ten minutes and a little.
const PATIENCE: Duration = Duration::from_secs(11 * 60);

/// Sends the alert, shows what becomes of it, and resolves it again.
///
/// # Errors
/// When no server is reached, it refuses the alert, or there is no report in time.
pub(super) async fn send(session: &Session, config: &Config) -> Result<Exit, Failure> {
    let (out, reader) = (&session.out, reader(session, config)?);
    let (now, run) = (SystemClock.now(), SystemEntropy::default().salt());
    let run: String = run.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let sender = Client::new(reader.address(), intake_token(config))?;
    out.line(&format!("sending    {NAME} to {}", reader.address()))?;
    let receipt = sender.post("/webhook/alertmanager", &delivery(&run, now, None)).await?;
    let job = receipt.pointer("/events/0/job_id").and_then(Value::as_str).map(str::to_owned);
    let job = job.ok_or_else(|| {
        let what = format!("the alert was taken and opened no investigation: {}", line(&receipt.to_string(), 300));
        Failure::new(Exit::Found, what, "is it muted by a route or by policy?")
    })?;
    out.line(&format!("accepted   {}", line(&job, 60)))?;
    let mut watcher = Watcher::new(out.colour);
    let followed = reader.follow(&job, async |seen| match seen {
        Seen::Entry(entry) => out.lines(watcher.lines(entry)),
        Seen::Awaited(_) => Ok(()),
    });
    let followed = tokio::time::timeout(PATIENCE, followed).await;
    // Whatever came of it, the alert does not stay open.
    let resolved = sender.post("/webhook/alertmanager", &delivery(&run, now, Some(SystemClock.now()))).await;
    followed.map_err(|_| {
        let what = format!("{job} had no end within {} min", PATIENCE.as_secs() / 60);
        Failure::new(Exit::Found, what, format!("`firewarden investigations show {job}` says where it is"))
    })??;
    resolved?;
    let report = reader.report(&job).await?;
    out.line(&format!("report     {}: {}", report.verdict, line(&report.summary, 200)))?;
    out.line(&format!("PASS       from alert to report; `firewarden investigations report {job}` shows it"))?;
    Ok(Exit::Fine)
}

/// The server that was named, the one that holds the store, or the configured address.
fn reader(session: &Session, config: &Config) -> Result<Client, Failure> {
    if session.global.server.as_ref().is_some_and(|url| !url.is_empty()) {
        return session.client();
    }
    match app::holder(&config.places.store).filter(|at| at.starts_with("http")) {
        Some(at) => Session::new(Global { server: Some(at), ..session.global.clone() }, session.out).client(),
        None => session.client(),
    }
}

/// The credential that Alertmanager would show.
fn intake_token(config: &Config) -> Option<Secret> {
    let of = |source: &str| config.intake.tokens.iter().find(|token| token.signed.is_none() && token.source == source);
    of("alertmanager").or_else(|| of("*")).map(|token| token.token.clone())
}

/// What Alertmanager would send. Each run is an incident of its own.
fn delivery(run: &str, starts: Timestamp, ends: Option<Timestamp>) -> Value {
    let status = if ends.is_some() { "resolved" } else { "firing" };
    let labels = json!({"alertname": NAME, "severity": "info", "run": run});
    let annotations = json!({"summary": "A test of the way from alert to report. Nothing is wrong."});
    let ends = ends.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string());
    json!({
        "version": "4", "groupKey": format!("{{}}:{{alertname=\"{NAME}\", run=\"{run}\"}}"), "truncatedAlerts": 0,
        "status": status, "receiver": "firewarden", "groupLabels": labels, "commonLabels": labels,
        "commonAnnotations": annotations, "externalURL": "",
        "alerts": [{"status": status, "labels": labels, "annotations": annotations, "startsAt": starts.to_string(),
                    "endsAt": ends, "generatorURL": "", "fingerprint": format!("{run}{run}")}],
    })
}
