//! L8: asks everything that the configuration names whether it is there and what it permits.
//!
//! - here: what is found, and asking all at once, each within its own time
//! - [`peers`]: store, Kubernetes, Prometheus, models, and what lies in files
//! - [`alertmanager`]: Alertmanager and its silences
//! - [`jira`]: Jira, its projects, and what our account may write there
//! - [`looking`]: Loki, Elasticsearch, what may be probed, runbooks, repositories
//! - [`mcp`]: MCP servers, and what is listed of them
//! - [`pollers`]: the Alertmanagers that are asked for alerts
//! - [`writing`]: who changes the cluster
//! - [`custom`]: commands of one's own tools
//! - [`judge`]: what their answers mean; pure

mod alertmanager;
mod custom;
mod jira;
pub mod judge;
mod looking;
mod mcp;
mod peers;
mod pollers;
mod writing;

pub use peers::examine;

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// It does not work.
    Fail,
}

impl State {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What kind of failure it is, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Something is not as it should be.
    Found,
    /// It does not load.
    DoesNotLoad,
    /// Nobody answers.
    Unreached,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `store`, `kubernetes`, `prometheus`, `model main`, …
    pub of: String,
    /// What was looked at.
    pub check: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub about: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What kind of failure it is; nothing for what is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Finding {
    /// Something is fine.
    pub fn ok(of: &str, check: &str, about: impl Into<String>) -> Self {
        Self::new(of, check, State::Ok, about, "", None)
    }

    /// Something could be better.
    pub fn warn(of: &str, check: &str, about: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(of, check, State::Warn, about, help, Some(Cause::Found))
    }

    /// Something does not work.
    pub fn fail(of: &str, check: &str, cause: Cause, about: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(of, check, State::Fail, about, help, Some(cause))
    }

    fn new(
        of: &str,
        check: &str,
        state: State,
        about: impl Into<String>,
        help: impl Into<String>,
        cause: Option<Cause>,
    ) -> Self {
        Self { of: of.to_owned(), check: check.to_owned(), state, about: about.into(), help: help.into(), cause }
    }
}
