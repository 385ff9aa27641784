//! The only connection that writes. Commands wait in a queue; whatever waits is written in one
//! transaction and answered when that is on disk, so many callers share one `fsync`.

use super::admit::Delivered;
use super::append::{self, Appended};
use super::{SqliteStore, admit, chain, claim, letters, log, polled, unavailable};
use crate::domain::{EventId, InvestigationId};
use crate::journal::{Deleted, Draft, Head};
use crate::store::{Admitted, Append, Blob, DeadLetter, KeptCheckpoint, Lease, RoutePlaces, Signal, StoreError};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

/// Callers beyond this wait before they may queue.
const QUEUE: usize = 1024;
/// Commands of one transaction.
const GROUP: usize = 256;

/// Where the answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What can be written.
pub(super) enum Command {
    Admit { delivered: Delivered, reply: Reply<Vec<Admitted>> },
    Claim { places: RoutePlaces, owner: String, now: Timestamp, until: Timestamp, reply: Reply<Option<Lease>> },
    Renew { lease: Lease, until: Timestamp, reply: Reply<()> },
    Release { lease: Lease, reply: Reply<()> },
    Park { lease: Lease, now: Timestamp, until: Timestamp, reply: Reply<()> },
    LineUp { lease: Lease, look_at: Option<Timestamp>, reply: Reply<()> },
    Append { lease: Lease, head: Head, append: Box<Append>, reply: Reply<bool> },
    System { drafts: Vec<Draft>, blobs: Vec<Blob>, now: Timestamp, reply: Reply<()> },
    Signal { investigation: InvestigationId, from: String, signal: Signal, now: Timestamp, reply: Reply<bool> },
    Abandon { lease: Lease, reason: String, now: Timestamp, reply: Reply<()> },
    Letters { letters: Vec<DeadLetter>, reply: Reply<Vec<EventId>> },
    Replayed { letter: EventId, became: Value, reply: Reply<()> },
    Polled { change: polled::Change, reply: Reply<()> },
    Checkpoint { checkpoint: KeptCheckpoint, reply: Reply<()> },
    Retire { deleted: Deleted, until: u64, now: Timestamp, reply: Reply<()> },
    Ping { reply: Reply<()> },
}

/// What readers hear of once the transaction is on disk.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Chains that grew, with their new length.
    pub(super) grown: Vec<(String, u64)>,
    /// There may be work to claim.
    pub(super) work: bool,
}

/// A handle on the writing task. The task ends when the last handle is gone.
pub(super) struct Writer {
    queue: mpsc::Sender<Command>,
}

impl Writer {
    pub(super) fn start(
        connection: SqliteConnection,
        path: PathBuf,
        watch: broadcast::Sender<(String, u64)>,
        work: Arc<Notify>,
    ) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE);
        tokio::spawn(serve(connection, path, commands, watch, work));
        Self { queue }
    }

    /// Queues the command and waits until its transaction is on disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        path: &Path,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable {
            doing,
            place: path.display().to_string(),
            source: "the writer has stopped".into(),
        };
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// An answer that waits for the commit.
type Finish = Box<dyn FnOnce(Option<&StoreError>) + Send>;

fn finish<T: Send + 'static>(reply: Reply<T>, result: Result<T, StoreError>) -> Finish {
    Box::new(move |failure| {
        // A caller that no longer waits is no fault: what it asked for is on disk or is not.
        let _ = reply.send(match (failure, result) {
            (None, result) => result,
            // A refusal stands whether or not the others' writes went through.
            (Some(_), Err(error)) => Err(error),
            (Some(failure), Ok(_)) => Err(again(failure)),
        });
    })
}

/// The same failure for each caller of a group.
fn again(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Unavailable { doing, place, source } => {
            StoreError::Unavailable { doing, place: place.clone(), source: source.to_string().into() }
        }
        other => {
            StoreError::Unavailable { doing: "commit", place: "the database".into(), source: other.to_string().into() }
        }
    }
}

async fn serve(
    mut connection: SqliteConnection,
    path: PathBuf,
    mut commands: mpsc::Receiver<Command>,
    watch: broadcast::Sender<(String, u64)>,
    work: Arc<Notify>,
) {
    // Only this connection moves the log into the database, and only between transactions.
    let _ = sqlx::query("PRAGMA wal_autocheckpoint = 2000").execute(&mut connection).await;
    let mut group = Vec::with_capacity(GROUP);
    while commands.recv_many(&mut group, GROUP).await > 0 {
        let mut news = News::default();
        let mut finishes = Vec::with_capacity(group.len());
        let written = write_group(&mut connection, &path, group.drain(..), &mut finishes, &mut news).await;
        if let Err(failure) = &written {
            tracing::error!(error = %failure, "the store could not commit");
            // A full disk makes SQLite roll back by itself, and the connection then no longer knows
            // where it stands. A new one does; nothing that was answered is lost with the old one.
            match SqliteStore::writing_connection(&path).await {
                Ok(fresh) => drop(std::mem::replace(&mut connection, fresh)),
                Err(error) => tracing::error!(%error, "the store cannot be opened again; the next write tries"),
            }
        }
        for finish in finishes {
            finish(written.as_ref().err());
        }
        if written.is_ok() {
            for grown in news.grown {
                let _ = watch.send(grown);
            }
            if news.work {
                work.notify_waiters();
                work.notify_one();
            }
        }
    }
    let _ = connection.close().await;
}

async fn write_group(
    connection: &mut SqliteConnection,
    path: &Path,
    group: impl Iterator<Item = Command>,
    finishes: &mut Vec<Finish>,
    news: &mut News,
) -> Result<(), StoreError> {
    let mut group: Vec<Command> = group.collect();
    // One command alone needs nothing to take back but the transaction.
    let alone = group.len() == 1;
    let is_append = |command: &mut Command| matches!(command, Command::Append { .. });
    if alone && let Some(Command::Append { lease, head, append, reply }) = group.pop_if(is_append) {
        let frame = append::ALONE;
        let Appended { result, lost } = append::append(connection, path, &lease, &head, *append, frame, news).await;
        let (finish, failure) = sort(reply, result);
        finishes.push(finish);
        return failure.or(lost).map_or(Ok(()), Err);
    }
    let mut tx = match connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable(path, "begin a transaction"))
    {
        Ok(tx) => tx,
        Err(failure) => {
            for command in group {
                finishes.push(refuse(command));
            }
            return Err(failure);
        }
    };
    // Nobody of the group has been answered, so any order is one that could have been: alerts come last,
    // and together.
    let (mut admits, mut others) = (vec![], vec![]);
    for command in group {
        match command {
            Command::Admit { delivered, reply } if !alone => admits.push(Admit { delivered, reply }),
            other => others.push(other),
        }
    }
    let mut failure = None;
    for command in others {
        if failure.is_some() {
            finishes.push(refuse(command));
            continue;
        }
        let (finish, error) = match alone {
            true => perform(&mut tx, path, command, news).await,
            false => apart(&mut tx, path, command, news).await,
        };
        failure = error;
        finishes.push(finish);
    }
    if failure.is_none() && admits.len() > 1 {
        let written = together(&mut tx, path, &mut admits, finishes, news).await;
        failure = written.err();
    }
    for Admit { delivered, reply } in admits {
        let command = Command::Admit { delivered, reply };
        if failure.is_some() {
            finishes.push(refuse(command));
            continue;
        }
        let (finish, error) = apart(&mut tx, path, command, news).await;
        failure = error;
        finishes.push(finish);
    }
    match failure {
        Some(failure) => {
            let _ = tx.rollback().await;
            Err(failure)
        }
        None => tx.commit().await.map_err(unavailable(path, "commit")),
    }
}

/// The answer to a command that was not tried because the transaction had failed before it.
fn refuse(command: Command) -> Finish {
    fn untried<T: Send + 'static>(reply: Reply<T>) -> Finish {
        Box::new(move |failure| {
            let error = failure.map(again).unwrap_or_else(|| StoreError::Unavailable {
                doing: "commit",
                place: "the database".into(),
                source: "the transaction was given up".into(),
            });
            let _ = reply.send(Err(error));
        })
    }
    match command {
        Command::Admit { reply, .. } => untried(reply),
        Command::Claim { reply, .. } => untried(reply),
        Command::Renew { reply, .. } | Command::Release { reply, .. } | Command::Park { reply, .. } => untried(reply),
        Command::LineUp { reply, .. } => untried(reply),
        Command::System { reply, .. } => untried(reply),
        Command::Append { reply, .. } | Command::Signal { reply, .. } => untried(reply),
        Command::Abandon { reply, .. } => untried(reply),
        Command::Letters { reply, .. } => untried(reply),
        Command::Replayed { reply, .. } | Command::Polled { reply, .. } | Command::Ping { reply } => untried(reply),
        Command::Checkpoint { reply, .. } | Command::Retire { reply, .. } => untried(reply),
    }
}

/// Performs one command so that its failure takes back its own writes and nobody else's. Gives an
/// error only when the whole transaction is lost.
async fn apart(
    tx: &mut SqliteConnection,
    path: &Path,
    command: Command,
    news: &mut News,
) -> (Finish, Option<StoreError>) {
    if matches!(command, Command::Append { .. }) {
        // It brings its own.
        return perform(tx, path, command, news).await;
    }
    if let Err(error) = sqlx::query("SAVEPOINT one").execute(&mut *tx).await {
        let failure = unavailable(path, "begin a write")(error);
        return (refuse(command), Some(failure));
    }
    let (finish, failed) = perform(tx, path, command, news).await;
    let end = match failed {
        None => sqlx::query("RELEASE one").execute(&mut *tx).await.map(|_| ()),
        Some(_) => match sqlx::query("ROLLBACK TO one").execute(&mut *tx).await {
            Ok(_) => sqlx::query("RELEASE one").execute(&mut *tx).await.map(|_| ()),
            Err(error) => Err(error),
        },
    };
    (finish, end.err().map(unavailable(path, "end a write")))
}

/// Alerts of one body that wait.
struct Admit {
    delivered: Delivered,
    reply: Reply<Vec<Admitted>>,
}

/// Takes in the bodies of many callers at once. What goes wrong with one of them takes all back, and
/// they are left in `admits`, for each to be tried alone.
///
/// # Errors
/// When the whole transaction is lost.
async fn together(
    tx: &mut SqliteConnection,
    path: &Path,
    admits: &mut Vec<Admit>,
    finishes: &mut Vec<Finish>,
    news: &mut News,
) -> Result<(), StoreError> {
    let failed = unavailable(path, "take in alerts");
    sqlx::query("SAVEPOINT one").execute(&mut *tx).await.map_err(&failed)?;
    let bodies = admits.iter().map(|admit| admit.delivered.clone()).collect();
    let mut grown = News::default();
    match admit::admit(tx, path, bodies, &mut grown).await {
        Ok(answers) => {
            sqlx::query("RELEASE one").execute(&mut *tx).await.map_err(&failed)?;
            news.grown.append(&mut grown.grown);
            news.work |= grown.work;
            finishes.extend(admits.drain(..).zip(answers).map(|(admit, answer)| finish(admit.reply, Ok(answer))));
        }
        Err(error) => {
            tracing::warn!(%error, bodies = admits.len(), "alerts that came together are taken in one by one");
            sqlx::query("ROLLBACK TO one").execute(&mut *tx).await.map_err(&failed)?;
            sqlx::query("RELEASE one").execute(&mut *tx).await.map_err(&failed)?;
        }
    }
    Ok(())
}

/// Separates what concerns one caller (a refusal: nothing was written for it) from what concerns
/// the transaction.
fn sort<T: Send + 'static>(reply: Reply<T>, result: Result<T, StoreError>) -> (Finish, Option<StoreError>) {
    match result {
        Ok(_) | Err(StoreError::Fenced { .. }) => (finish(reply, result), None),
        Err(failure) => {
            let copy = again(&failure);
            (finish(reply, Err(failure)), Some(copy))
        }
    }
}

async fn perform(
    tx: &mut SqliteConnection,
    path: &Path,
    command: Command,
    news: &mut News,
) -> (Finish, Option<StoreError>) {
    match command {
        Command::Admit { delivered, reply } => {
            let admitted = admit::admit(tx, path, vec![delivered], news).await;
            sort(reply, admitted.map(|bodies| bodies.into_iter().flatten().collect()))
        }
        Command::Claim { places, owner, now, until, reply } => {
            sort(reply, claim::claim(tx, path, &places, &owner, now, until).await)
        }
        Command::Renew { lease, until, reply } => sort(reply, chain::renew(tx, path, &lease, until).await),
        Command::Release { lease, reply } => sort(reply, chain::release(tx, path, &lease, news).await),
        Command::Park { lease, now, until, reply } => {
            sort(reply, chain::park(tx, path, &lease, now, until, news).await)
        }
        Command::LineUp { lease, look_at, reply } => sort(reply, chain::line_up(tx, path, &lease, look_at, news).await),
        Command::Append { lease, head, append, reply } => {
            let frame = append::AMONG_OTHERS;
            let Appended { result, lost } = append::append(tx, path, &lease, &head, *append, frame, news).await;
            (finish(reply, result), lost)
        }
        Command::System { drafts, blobs, now, reply } => {
            sort(reply, chain::append_system(tx, path, drafts, blobs, now, news).await)
        }
        Command::Signal { investigation, from, signal, now, reply } => {
            sort(reply, chain::signal(tx, path, investigation, &from, &signal, now, news).await)
        }
        Command::Abandon { lease, reason, now, reply } => {
            sort(reply, chain::abandon(tx, path, &lease, reason, now, news).await)
        }
        Command::Checkpoint { checkpoint, reply } => sort(reply, log::keep(tx, path, &checkpoint).await),
        Command::Retire { deleted, until, now, reply } => {
            sort(reply, log::retire(tx, path, deleted, until, now, news).await)
        }
        Command::Letters { letters, reply } => sort(reply, letters::keep(tx, path, &letters).await),
        Command::Replayed { letter, became, reply } => sort(reply, letters::replayed(tx, path, letter, &became).await),
        Command::Polled { change, reply } => sort(reply, polled::change(tx, path, change).await),
        Command::Ping { reply } => sort(reply, chain::ping(tx, path).await),
    }
}
