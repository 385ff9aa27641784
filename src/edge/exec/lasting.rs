//! A command that stays: it is written to and read from until whoever holds it lets go.

use super::folder::Folder;
use super::group::Group;
use super::{CALL, NotRun, Order, Reading, Runner, Status, sandbox, told};
use std::process::Stdio;
use tokio::process::{Child, ChildStdin, ChildStdout};
use uuid::Uuid;

/// Bytes of its complaints that stand in an error.
const SAID: usize = 300;

/// A command that runs, with both ends of what it says.
#[derive(Debug)]
pub struct Lasting {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it writes.
    pub stdout: ChildStdout,
    /// Ends with it.
    pub life: Life,
}

/// The processes of a command that stays. They end with this value.
#[derive(Debug)]
pub struct Life {
    child: Child,
    stderr: Reading,
    call: String,
    /// `None` once it is being ended.
    group: Option<Group>,
    /// Goes behind the processes.
    _folder: Folder,
}

impl Runner {
    /// Begins a command that stays. Its deadline counts for nothing: it ends when it is let go.
    ///
    /// # Errors
    /// [`NotRun`]: nothing was run.
    pub fn begin(&self, order: &Order) -> Result<Lasting, NotRun> {
        let program = order.argv.first().cloned().unwrap_or_default();
        let impossible = |why: String| NotRun::Impossible { program: program.clone(), why };
        let folder = Folder::new().map_err(|e| impossible(format!("no folder for it: {e}")))?;
        let call = Uuid::new_v4().simple().to_string();
        let mut command = self.command(order, &folder, &call);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|e| impossible(e.to_string()))?;
        let group = Some(Group::of(child.id(), &call, CALL));
        let stderr = Reading::of(child.stderr.take(), order.output_bytes);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let life = Life { child, stderr, call, group, _folder: folder };
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok(Lasting { stdin, stdout, life }),
            _ => Err(impossible("it has no stdin or no stdout".to_owned())),
        }
    }
}

impl Life {
    /// Ends it, and says how it was and what it complained about last.
    pub async fn end(mut self) -> String {
        // One that is about to end by itself tells more than one that is killed.
        let ended = tokio::time::timeout(super::DRAIN, self.child.wait()).await;
        if let Some(group) = self.group.take() {
            group.end().await;
        }
        let status = match ended {
            Ok(Ok(status)) => told(status),
            Ok(Err(_)) => Status::Lost,
            Err(_) => return "it was killed".to_owned(),
        };
        let stderr = self.stderr.read().await;
        if let Some(why) = sandbox::complaint(status, &stderr, &self.call) {
            return format!("it cannot be run: {why}");
        }
        let text = stderr.text();
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        match last.is_empty() {
            true => status.to_string(),
            false => format!("{status}: {}", crate::edge::error::shorten(last, SAID)),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        // Looking through the processes of a machine is work for another thread. One that is not there
        // any more does it here.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(group))),
            Err(_) => drop(group),
        }
    }
}
