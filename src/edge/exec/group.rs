//! Ending all that a command began: its process group, and whoever left the group but still carries
//! the variable that marks the call.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::path::Path;

/// How often those who left the group are looked for: each may have begun another meanwhile.
const ROUNDS: usize = 8;

/// The processes of one call. They end with this value.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
    /// `NAME=value`, as it stands in their environment.
    mark: String,
}

impl Group {
    pub(super) fn of(leader: Option<u32>, call: &str, variable: &str) -> Self {
        let leader = leader.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { leader, mark: format!("{variable}={call}") }
    }

    /// Ends them all.
    pub(super) async fn end(self) {
        // Looking through the processes of a machine is work for another thread.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        // Nobody there is fine.
        let _ = kill_process_group(leader, Signal::KILL);
        for _ in 0..ROUNDS {
            let left = marked(Path::new("/proc"), &self.mark);
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// The processes whose environment holds `mark`. What has ended has none.
fn marked(proc: &Path, mark: &str) -> Vec<Pid> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let own = std::process::id();
    let found = entries.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok().filter(|_| id != own)?;
        let carries = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        carries.then(|| Pid::from_raw(i32::try_from(id).ok()?)).flatten()
    });
    found.collect()
}
