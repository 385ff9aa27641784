//! `firewarden investigate`: one alert, in the terminal.

use super::client::{Client, Seen};
use super::render::Watcher;
use super::session::Session;
use super::status::Status;
use super::{Exit, Failure, Written, logging, markdown};
use crate::analysis;
use crate::app::{self, App, AppError};
use crate::domain::{InvestigationId, Report};
use crate::journal::{Body, Investigation, Step, next};
use crate::sources::{AlertSource, Delivery, Mapping, Normalised, Senders, read_json};
use crate::store::StoreError;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Entries that are read at once.
const PAGE: u32 = 200;
/// The store is asked so often even when nothing is heard of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Investigate one alert in the terminal; the report goes to stdout
#[derive(Debug, clap::Args)]
pub struct Investigate {
    /// Who sent it: alertmanager, grafana, … or a name of `intake.sources`; without it, its shape tells
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The sender's JSON; `-` is stdin
    file: PathBuf,
    #[command(flatten)]
    written: Written,
}

impl Investigate {
    /// Investigates it: here, or in the server that holds the store.
    ///
    /// # Errors
    /// When the alert cannot be read, something does not load, or a server cannot be reached.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let source = self.source.as_deref();
        let bytes = read(&self.file)?;
        let progress = Progress::new();
        let reports = match self.elsewhere(session)? {
            Some(client) => there(&client, source, &bytes, progress).await?,
            None => {
                let config = session.config(logging::COMMAND)?;
                // Before a store is opened for nothing.
                if let Some(name) = source {
                    named(&Senders::new(config.intake.sources.clone()), name)?;
                }
                match App::build(config).await {
                    Ok(app) => here(&app, source, &bytes, progress).await?,
                    Err(AppError::Store(StoreError::Locked { holder, .. })) if holder.starts_with("http") => {
                        there(&client_of(session, &holder)?, source, &bytes, progress).await?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        for report in &reports {
            session.out.value(self.written.output, report, || {
                markdown::lines(&analysis::markdown(report), session.out.columns, session.out.colour)
            })?;
        }
        Ok(Exit::Fine)
    }

    /// The server to send it to: the one that was named, or the one that holds the store.
    fn elsewhere(&self, session: &Session) -> Result<Option<Client>, Failure> {
        if session.global.server.as_ref().is_some_and(|url| !url.is_empty()) {
            return session.client().map(Some);
        }
        let store = session.places()?.store;
        app::holder(&store).filter(|at| at.starts_with("http")).map(|at| client_of(session, &at)).transpose()
    }
}

/// The sender's JSON in `file`; `-` is stdin.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    /// As the webhook.
    const MOST: u64 = 32 << 20;
    let mut bytes = vec![];
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(file).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|e| Failure::usage(format!("{} cannot be read: {e}", file.display()), "name a file, or - for stdin"))?;
    match bytes.len() as u64 > MOST {
        true => Err(Failure::usage("the alert is larger than 32 MiB", "send fewer alerts at once")),
        false => Ok(bytes),
    }
}

/// The sender called `name`.
fn named(senders: &Senders, name: &str) -> Result<Arc<dyn AlertSource>, Failure> {
    senders.named(name).ok_or_else(|| {
        let what = format!("no sender is called `{}`", super::text::line(name, 40));
        Failure::usage(what, format!("there is {}; describe others in `intake.sources`", senders.names().join(", ")))
    })
}

fn client_of(session: &Session, address: &str) -> Result<Client, Failure> {
    let global = super::Global { server: Some(address.to_owned()), ..session.global.clone() };
    Session::new(global, session.out).client()
}

/// Lines on stderr, when it is a terminal.
#[derive(Debug)]
struct Progress {
    watcher: Watcher,
    status: Status,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        let shown = std::io::stderr().is_terminal();
        // stdout may be a file: colours follow what is watched.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if shown && !plain { super::text::Colour::On } else { super::text::Colour::Off };
        Self { watcher: Watcher::new(colour), status: Status::new(), shown }
    }

    fn seen(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Entry(entry) if self.shown => {
                self.status.clear();
                self.watcher.lines(entry).iter().for_each(|line| super::output::note(line));
            }
            Seen::Entry(_) => {}
            Seen::Awaited(awaited) => self.status.show(&awaited.to_string()),
        }
    }
}

/// The investigations that the rows of a receipt name; without any, the first reason that a row gives.
fn jobs(
    rows: impl Iterator<Item = (Option<InvestigationId>, Option<String>)>,
) -> Result<Vec<InvestigationId>, Failure> {
    let (mut jobs, mut why) = (BTreeSet::new(), None);
    for (job, reason) in rows {
        jobs.extend(job);
        why = why.or(reason);
    }
    match jobs.is_empty() {
        true => {
            let help = why.map(|reason| super::text::line(&reason, 300));
            let help = help.unwrap_or_else(|| "a resolved alert opens no investigation".into());
            Err(Failure::usage("nothing in it is an alert that fires", help))
        }
        false => Ok(jobs.into_iter().collect()),
    }
}

/// In the server that holds the store.
async fn there(
    client: &Client,
    source: Option<&str>,
    bytes: &[u8],
    mut progress: Progress,
) -> Result<Vec<Report>, Failure> {
    let path = match source {
        Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
            format!("/webhook/{name}")
        }
        Some(_) => return Err(Failure::usage("this is no name of a sender", "`alertmanager` is one")),
        None => "/api/fleet/events".to_owned(),
    };
    let body: Value = read_json(bytes).map_err(|e| Failure::usage(e, "send what the sender would send"))?;
    let receipt = client.post(&path, &body).await?;
    let rows = receipt["events"].as_array().into_iter().flatten();
    let mut reports = vec![];
    let told = |row: &Value| {
        let job = row["job_id"].as_str().and_then(|id| id.parse().ok());
        (job, row["reason"].as_str().map(str::to_owned))
    };
    for id in jobs(rows.map(told))? {
        let id = id.to_string();
        let followed = client.follow(&id, async |seen: Seen<'_>| {
            progress.seen(seen);
            Ok(())
        });
        tokio::select! {
            followed = followed => followed?,
            () = waits(client, &id) => {}
        }
        reports.push(client.report(&id).await?);
    }
    Ok(reports)
}

/// Ends when the report is there and nothing but people, or a sink that is down, is waited for.
async fn waits(client: &Client, id: &str) {
    let mut asked_at = Value::Null;
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        // A server that cannot be asked is the follower's to complain about.
        let Ok(view) = client.get(&format!("/api/v1/investigations/{id}"), &[]).await else { continue };
        if view["undelivered"].as_array().is_some_and(|debts| !debts.is_empty()) {
            return;
        }
        // Whoever asks says so in a further report first, so nothing more may have happened since.
        if view["state"] == "waiting_approval" {
            if view["head"] == asked_at {
                return asked();
            }
            asked_at = view["head"].clone();
        }
    }
}

/// What somebody at a terminal does who is asked.
fn asked() {
    super::output::note("a change waits for an answer: firewarden approvals list");
}

/// In this process.
async fn here(app: &App, source: Option<&str>, bytes: &[u8], mut progress: Progress) -> Result<Vec<Report>, Failure> {
    let (stop, stopped) = watch::channel(false);
    let mut interrupted = super::serve::stop_on_signal()?;
    let investigated = async {
        let (source, normalised) = normalise(app, source, bytes)?;
        let receipt = app.intake.accept(source.name(), normalised).await?;
        let jobs = jobs(receipt.rows.iter().map(|row| (row.job_id, row.reason.clone())))?;
        let working = app.work(stopped);
        let mut reports = vec![];
        for id in jobs {
            let last = follow(app, &id.to_string(), |seen| progress.seen(seen)).await?;
            let Some(last) = last else { continue };
            let bytes = app.engine.store.blob(&last).await?;
            let bytes = bytes.ok_or_else(|| Failure::internal(format!("the report of {id} is gone")))?;
            reports.push(serde_json::from_slice(&bytes).map_err(Failure::internal)?);
        }
        stop.send_replace(true);
        let _ = working.await;
        app.checkpoint().await;
        Ok(reports)
    };
    tokio::select! {
        reports = investigated => reports,
        _ = interrupted.wait_for(|stop| *stop) => {
            let help = "it is on disk: `firewarden serve` goes on with it";
            Err(Failure::new(Exit::Internal, "interrupted", help))
        }
    }
}

/// Whether somebody is asked and nothing else is to be done.
fn waits_for_people(folded: &Investigation, now: jiff::Timestamp) -> bool {
    matches!(next(folded, now), Step::Wait(_)) && folded.deeds.iter().any(|deed| deed.waits().is_some())
}

/// Whose the body is, by name or by its shape, and the body in our words.
pub(super) fn normalise(
    app: &App,
    source: Option<&str>,
    bytes: &[u8],
) -> Result<(Arc<dyn AlertSource>, Normalised), Failure> {
    let engine = &app.engine;
    let redactor = engine.redactor.load();
    let mapping = Mapping {
        at: engine.clock.now(),
        entropy: engine.entropy.as_ref(),
        redactor: &redactor,
        hmac_key: app.hmac_key(),
    };
    understood(&app.senders, source, bytes, &mapping)
}

/// The same without an engine.
pub(super) fn understood(
    senders: &Senders,
    source: Option<&str>,
    bytes: &[u8],
    mapping: &Mapping<'_>,
) -> Result<(Arc<dyn AlertSource>, Normalised), Failure> {
    let help = "send what the sender would send";
    let body = read_json(bytes).map_err(|e| Failure::usage(e, help))?;
    let delivery = Delivery::plain(&body, bytes);
    let sender = match source {
        Some(name) => named(senders, name)?,
        None => senders.detect(&delivery, None),
    };
    let normalised = sender.normalise(&delivery, mapping).map_err(|e| Failure::usage(e, help))?;
    Ok((sender, normalised))
}

/// Shows `look` an investigation as it happens, until it is closed or nothing but people, or a sink that
/// is down, is waited for. Answers its last report.
pub(super) async fn follow(
    app: &App,
    chain: &str,
    mut look: impl FnMut(Seen<'_>),
) -> Result<Option<crate::domain::BlobRef>, Failure> {
    let store = &app.engine.store;
    let mut news = store.watch();
    let (mut after, mut last, mut closed) = (0, None, false);
    let mut folded = Investigation::empty(chain);
    loop {
        let entries = store.entries(chain, after, PAGE).await?;
        let idle = entries.is_empty();
        if idle && closed {
            return Ok(last);
        }
        for entry in entries {
            after = entry.seq;
            look(Seen::Entry(&entry));
            folded.apply(&entry).map_err(Failure::internal)?;
            // What was closed may have been opened again.
            closed = matches!(entry.body, Body::Closed { .. });
            if let Body::Reported { report, .. } = &entry.body {
                last = Some(report.clone());
            }
        }
        if idle {
            let view = chain.parse().ok().map(|id| store.investigation(id));
            let view = match view {
                Some(view) => view.await?,
                None => None,
            };
            // The report is there; whoever serves this store tells the sink.
            if last.is_some() && view.is_some_and(|view| view.entries == after && view.ended_at().is_some()) {
                return Ok(last);
            }
            if last.is_some() && waits_for_people(&folded, app.engine.clock.now()) {
                asked();
                return Ok(last);
            }
            // Whatever is heard, or nothing: the store knows.
            let _ = tokio::time::timeout(LOOK_AGAIN, news.recv()).await;
            if let Some(awaited) = app.engine.live.of(chain, app.engine.clock.now()) {
                look(Seen::Awaited(&awaited));
            }
        }
    }
}
