//! The keys of MCP servers, as serde sees them, a part of [`super::file`]; and what they come to.

use super::units::{Size, Span};
use crate::domain::{Effect, Secret};
use crate::edge::exec::Confinement;
use crate::tools::custom::check::WrittenRetry;
use crate::tools::custom::{Aim, Applied, Confine};
use crate::tools::mcp::Listed;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub name: String,
    #[serde(default)]
    pub command: Option<Command>,
    #[serde(default)]
    pub http: Option<Http>,
    pub tools: Vec<Tool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub read: Vec<String>,
    #[serde(default)]
    pub write: Vec<String>,
    #[serde(default)]
    pub network: bool,
    #[serde(default)]
    pub confine: Confine,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub name: String,
    pub effect: Effect,
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub summary: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub target: Option<Aim>,
    #[serde(default)]
    pub plan: Option<String>,
    #[serde(default)]
    pub reconcile: Option<Look>,
    #[serde(default)]
    pub retry: WrittenRetry,
    #[serde(default)]
    pub reversible: bool,
    #[serde(default = "timeout")]
    pub timeout: Span,
    #[serde(default = "max_output")]
    pub max_output: Size,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    pub tool: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
    pub applied: Applied,
}

fn timeout() -> Span {
    Span::seconds(30)
}

fn max_output() -> Size {
    Size(32 << 10)
}

/// An MCP server.
#[derive(Debug, Clone)]
pub struct McpPeer {
    /// Its name, unique.
    pub name: String,
    /// How it is reached.
    pub way: McpWay,
    /// Its tools, as far as they are offered.
    pub tools: Vec<Listed>,
}

/// How an MCP server is reached.
#[derive(Debug, Clone)]
pub enum McpWay {
    /// By a command that stays.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// Variables.
        env: Vec<(String, String)>,
        /// Variables that nobody may see.
        secrets: Vec<(String, Secret)>,
        /// What it may touch.
        confinement: Confinement,
    },
    /// By HTTP.
    Http {
        /// Its address.
        url: String,
        /// Sent with everything.
        headers: Vec<(String, String)>,
        /// The same for values that nobody may see, with the word before each.
        secrets: Vec<(String, String, Secret)>,
    },
}

impl McpPeer {
    /// The secrets in it.
    pub fn secrets(&self) -> Vec<&Secret> {
        match &self.way {
            McpWay::Command { secrets, .. } => secrets.iter().map(|(_, secret)| secret).collect(),
            McpWay::Http { secrets, .. } => secrets.iter().map(|(_, _, secret)| secret).collect(),
        }
    }
}
