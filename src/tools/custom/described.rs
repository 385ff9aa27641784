//! What is said of one exchange: a request, a command, or a call of an MCP server's tool.

use crate::edge::mcp::Pin;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One exchange with the world.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// A request.
    Http(HttpCall),
    /// A command.
    Command(CommandCall),
    /// A call of an MCP server's tool. Manifests have none: the configuration lists them.
    Mcp(McpCall),
}

/// How a change is tried without making it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plans {
    /// In words alone.
    Text(String),
    /// By looking, or by a dry run.
    By(Box<Does>),
}

/// One request. Address, headers, body and `applied` are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// How.
    pub method: Method,
    /// Where; scheme, host and port are literal.
    pub url: String,
    /// Sent with it.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets: `Bearer env:NAME`, `file:PATH`.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Sent as JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// The statuses that are right; empty is 200 to 299.
    #[serde(default)]
    pub ok: Vec<u16>,
    /// The header that names the change, so that the server refuses or repeats a second copy.
    #[serde(default)]
    pub idempotency_header: Option<String>,
    /// For looking after doubt: what says that it was done.
    #[serde(default)]
    pub applied: Option<Applied>,
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// It only looks.
    pub const fn looks(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// What in an answer says that a change was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Where to look in the answer (JSON Pointer).
    pub pointer: String,
    /// What has to stand there, or in the list there.
    pub equals: Value,
}

/// One command. Arguments and variables are templates, the program is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCall {
    /// The program by its absolute path, and its arguments.
    pub argv: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables whose values are secrets: `env:NAME`, `file:PATH`.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// What it may read beside the system's folders.
    #[serde(default)]
    pub read: Vec<String>,
    /// What it may write beside its own folder.
    #[serde(default)]
    pub write: Vec<String>,
    /// It may use the network.
    #[serde(default)]
    pub network: bool,
    /// Whether it runs where the kernel cannot confine it.
    #[serde(default)]
    pub confine: Confine,
    /// Exit codes that say: refused, nothing happened.
    #[serde(default)]
    pub refused: Vec<u8>,
}

/// One call of an MCP server's tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct McpCall {
    /// Our name for the server.
    pub server: String,
    /// Its name for the tool.
    pub tool: String,
    /// What the tool has to be.
    pub pin: Pin,
    /// What it is given, as templates; `None` is what the call is given.
    pub arguments: Option<Map<String, Value>>,
    /// For looking after doubt: what says that it was done.
    pub applied: Option<Applied>,
}

/// Whether a command runs where the kernel cannot confine it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confine {
    /// As far as the kernel can.
    #[default]
    Available,
    /// Not at all without.
    Required,
}

/// What a call touches. All of it are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// Who keeps it.
    pub system: String,
    /// Its cluster, or the server.
    #[serde(default)]
    pub cluster: String,
    /// Its namespace, region or project.
    #[serde(default)]
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is done to it; the request's method or `run` when it is left out.
    #[serde(default)]
    pub verb: String,
}

impl Aim {
    /// Its parts by the names of their keys.
    pub(super) fn parts(&self) -> [(&'static str, &str); 6] {
        [
            ("system", &self.system),
            ("cluster", &self.cluster),
            ("namespace", &self.namespace),
            ("kind", &self.kind),
            ("name", &self.name),
            ("verb", &self.verb),
        ]
    }
}

impl Does {
    /// What it is called where nobody named it.
    pub(super) fn verb(&self) -> String {
        match self {
            Self::Http(call) => call.method.as_str().to_ascii_lowercase(),
            Self::Command(_) => "run".to_owned(),
            Self::Mcp(_) => "call".to_owned(),
        }
    }

    /// The references to secrets in it.
    pub(super) fn references(&self) -> impl Iterator<Item = &str> {
        let secrets = match self {
            Self::Http(call) => Some(&call.secrets),
            Self::Command(call) => Some(&call.secrets),
            // They are the server's, not the tool's.
            Self::Mcp(_) => None,
        };
        secrets.into_iter().flatten().map(|(_, written)| written.as_str())
    }
}
