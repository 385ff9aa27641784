//! Commands: a list of arguments and never a shell, an environment of our own making, a folder of their
//! own, an end, and nothing that lives on behind it.
//!
//! - [`kept`]: the beginning and the end of what a command writes.
//! - [`folder`]: the empty folder that it works in.
//! - [`group`]: ending all that a command began.
//! - [`lasting`]: a command that stays, and is talked to.
//! - [`sandbox`]: how a process confines itself before it becomes the command.

mod folder;
mod group;
pub mod kept;
pub mod lasting;
pub mod sandbox;

pub use kept::Kept;
pub use lasting::{Lasting, Life};
pub use sandbox::Confinement;

use crate::domain::{Secret, Target};
use crate::gate::{Permit, Refused};
use folder::Folder;
use group::Group;
use jiff::Timestamp;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use uuid::Uuid;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Marks everything that one call began.
const CALL: &str = "FIREWARDEN_CALL";
/// How long what was written may take to arrive when everybody who wrote is gone.
const DRAIN: Duration = Duration::from_secs(2);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// Program, by its absolute path, and arguments.
    pub argv: Vec<String>,
    /// Variables beside our own.
    pub env: Vec<(String, String)>,
    /// Variables that nobody may see.
    pub secrets: Vec<(String, Secret)>,
    /// What it may touch.
    pub confinement: Confinement,
    /// When it is killed.
    pub total: Duration,
    /// Bytes that are kept, of each of its outputs.
    pub output_bytes: usize,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It was killed when its time was over.
    TimedOut,
    /// Nobody can tell.
    Lost,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "it ended with exit code {code}"),
            Self::Signalled(signal) => write!(f, "it was ended by signal {signal}"),
            Self::TimedOut => f.write_str("it was killed when its time was over"),
            Self::Lost => f.write_str("what became of it is not known"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// What it said.
    pub stdout: Kept,
    /// What it complained about.
    pub stderr: Kept,
}

/// Nothing was run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// The permit does not cover it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be run.
    #[error("{program} cannot be run: {why}")]
    Impossible {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
}

/// Runs commands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The program that confines itself and becomes the command; without one nothing is confined.
    launcher: Option<PathBuf>,
}

impl Default for Runner {
    fn default() -> Self {
        // The link leads to this very program even after its file was replaced.
        let own = PathBuf::from("/proc/self/exe");
        let launcher = if own.exists() { Some(own) } else { std::env::current_exe().ok() };
        Self { launcher }
    }
}

impl Runner {
    /// Without confinement: a test is no program that could confine itself.
    #[cfg(test)]
    pub(crate) fn bare() -> Self {
        Self { launcher: None }
    }

    /// Runs what only looks.
    ///
    /// # Errors
    /// [`NotRun`]: nothing was run.
    pub async fn look(&self, order: &Order) -> Result<Ended, NotRun> {
        self.run(order).await
    }

    /// Runs what changes `target`, which `permit` has to name.
    ///
    /// # Errors
    /// [`NotRun`]: nothing was run.
    pub async fn change(
        &self,
        permit: &Permit,
        target: &Target,
        order: &Order,
        now: Timestamp,
    ) -> Result<Ended, NotRun> {
        permit.covers(target, now)?;
        self.run(order).await
    }

    async fn run(&self, order: &Order) -> Result<Ended, NotRun> {
        let program = order.argv.first().cloned().unwrap_or_default();
        let impossible = |why: String| NotRun::Impossible { program: program.clone(), why };
        let folder = Folder::new().map_err(|e| impossible(format!("no folder for it: {e}")))?;
        let call = Uuid::new_v4().simple().to_string();
        let mut child = self.command(order, &folder, &call).spawn().map_err(|e| impossible(e.to_string()))?;
        // From here on everything ends with this function, or with whoever lets go of it.
        let group = Group::of(child.id(), &call, CALL);
        let (stdout, stderr) = (
            Reading::of(child.stdout.take(), order.output_bytes),
            Reading::of(child.stderr.take(), order.output_bytes),
        );
        let ended = tokio::time::timeout(order.total, child.wait()).await;
        group.end().await;
        let status = match ended {
            Ok(Ok(status)) => told(status),
            Ok(Err(_)) => Status::Lost,
            Err(_) => reaped(&mut child).await,
        };
        let (stdout, stderr) = (stdout.end().await, stderr.end().await);
        match sandbox::complaint(status, &stderr, &call) {
            Some(why) => Err(impossible(why)),
            None => Ok(Ended { status, stdout, stderr }),
        }
    }

    fn command(&self, order: &Order, folder: &Folder, call: &str) -> Command {
        let mut command = match &self.launcher {
            Some(launcher) => {
                let mut command = Command::new(launcher);
                command.args(order.confinement.arguments(folder.path(), call)).arg("--").args(&order.argv);
                command
            }
            None => {
                let mut command = Command::new(order.argv.first().map_or("", String::as_str));
                command.args(order.argv.iter().skip(1));
                command
            }
        };
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8");
        command.env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.envs(order.env.iter().map(|(name, value)| (name, value)));
        command.envs(order.secrets.iter().map(|(name, secret)| (name, secret.expose())));
        command.env(CALL, call).current_dir(folder.path()).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// After its end was ordered. Nobody is left to wait for who does not even end then.
async fn reaped(child: &mut Child) -> Status {
    let _ = tokio::time::timeout(DRAIN, child.wait()).await;
    Status::TimedOut
}

fn told(status: ExitStatus) -> Status {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Signalled(signal.unwrap_or_default()),
    }
}

/// One output that is being read.
#[derive(Debug)]
struct Reading {
    kept: Arc<Mutex<Kept>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Reading {
    fn of(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, bytes: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::new(bytes)));
        let into = kept.clone();
        let task = pipe.map(|mut pipe| {
            tokio::spawn(async move {
                let mut buffer = [0; 8 << 10];
                // What is not kept is read all the same, so that nobody waits for a full pipe.
                while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..read]);
                }
            })
        });
        Self { kept, task }
    }

    async fn end(mut self) -> Kept {
        self.read().await
    }

    /// What was kept by the time that everybody who writes is gone, or is given up.
    async fn read(&mut self) -> Kept {
        if let Some(task) = self.task.as_mut() {
            let _ = tokio::time::timeout(DRAIN, task).await;
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
