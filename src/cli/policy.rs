//! `firewarden policy check|test`.

use super::session::Session;
use super::text::block;
use super::{Exit, Failure, Written};
use crate::app;
use crate::policy::{self, Bundle};
use std::path::PathBuf;

/// Check and test policies
#[derive(Debug, clap::Subcommand)]
pub enum Policy {
    /// Tell every mistake in the policies
    Check {
        /// Folder of policies [default: the configured one]
        dir: Option<PathBuf>,
        #[command(flatten)]
        written: Written,
    },
    /// Run the policies' own tests
    Test {
        /// Folder of policies [default: the configured one]
        dir: Option<PathBuf>,
        /// Only tests whose `package.name` matches
        #[arg(long, value_name = "REGEX")]
        run: Option<regex::Regex>,
        #[command(flatten)]
        written: Written,
    },
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// When the policies do not load or nobody reads.
    pub fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Check { dir, written } => {
                let bundle = bundle(session, dir)?;
                let found = policy::check(&bundle);
                let (name, digest) = (bundle.name(), bundle.digest().short(12).to_owned());
                let exit = if found.is_empty() { Exit::Fine } else { Exit::DoesNotLoad };
                session.out.value(written.output, &found, || {
                    let mut lines: Vec<String> = found.iter().map(|d| block(&d.to_string(), 4000)).collect();
                    let files = bundle.files().count();
                    lines.push(format!("{name}  {digest}  {files} files, {} mistakes", found.len()));
                    lines
                })?;
                Ok(exit)
            }
            Self::Test { dir, run, written } => {
                let report = policy::run_tests(&bundle(session, dir)?, run.as_ref())
                    .map_err(|e| Failure::does_not_load(e, "`firewarden policy check` tells every mistake"))?;
                let exit = if report.passed() { Exit::Fine } else { Exit::Found };
                session.out.value(written.output, &report, || {
                    block(&report.render(), 1 << 20).lines().map(str::to_owned).collect()
                })?;
                Ok(exit)
            }
        }
    }
}

/// The bundle that was named, or the configured one.
fn bundle(session: &Session, dir: Option<PathBuf>) -> Result<Bundle, Failure> {
    let dir = match dir {
        Some(dir) => Some(dir),
        None => session.places()?.policies,
    };
    app::bundle(dir.as_deref()).map_err(|e| Failure::does_not_load(e, "name a folder that holds policies"))
}
