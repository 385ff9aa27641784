//! A program of somebody else, for the length of a test.

use crate::support::site::tail;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `program` in `dir`, where its log `name.log` stands.
    ///
    /// # Panics
    /// When it cannot be started, with `remedy`.
    pub fn start(name: &str, program: &str, args: &[String], dir: &Path, remedy: &str) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start ({error}): {remedy}"));
        Self { child, log }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ends so:\n{}", self.log.display(), tail(&self.log, 20));
        }
    }
}
