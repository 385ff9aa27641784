//! `firewarden version`: which program this is, and which policies, prompts and tools it carries.

use super::session::Session;
use super::{Exit, Failure, Written};
use serde_json::json;

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Version {
    #[command(flatten)]
    written: Written,
}

impl Version {
    /// Prints it.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn run(self, session: &Session) -> Result<Exit, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        let bundle = crate::policy::Bundle::embedded();
        let value = json!({"name": "firewarden", "version": version, "policies": {"bundle": bundle.name(), "digest": bundle.digest()}});
        session.out.value(self.written.output, &value, || vec![format!("firewarden {version}")])?;
        Ok(Exit::Fine)
    }
}
