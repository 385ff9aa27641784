//! What a tool is and how it fails.

use super::custom::Custom;
use crate::domain::Effect;
use crate::edge::error::shorten;
use crate::edge::{EdgeError, EdgeErrorKind};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of an error's text.
pub const ERROR_BYTES: usize = 1024;

/// One call as it is meant to look; checked against the parameters when the manifest is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it is an example of.
    pub about: String,
    /// The arguments.
    pub args: Value,
}

/// A tool as its manifest declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    /// The name that it is called by.
    pub name: String,
    /// What it does and when to use it, in a sentence or two.
    pub summary: String,
    /// What it does to the world.
    pub effect: Effect,
    /// JSON Schema of the arguments; no keys beyond it.
    pub params: Value,
    /// What answers the call; empty where [`Self::custom`] does.
    pub builtin: String,
    /// What a call does, where the manifest describes it whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Arc<Custom>>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Most bytes of text that a reader gets.
    pub max_output: usize,
    /// Words that routes and policies choose tools by.
    pub tags: Vec<String>,
    /// Peers without which the tool does not exist.
    pub requires: Vec<String>,
    /// Calls as they are meant to look.
    pub examples: Vec<Example>,
}

/// What a tool saw, before anything was taken out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Structured data.
    pub data: Value,
    /// What the reader has to know beside the data: limits that were hit, things that could not be read.
    pub notes: Vec<String>,
    /// Something was left out of `data`; a note says what.
    pub truncated: bool,
}

impl Seen {
    /// All of it.
    pub fn all(data: Value) -> Self {
        Self { data, notes: Vec::new(), truncated: false }
    }
}

/// A tool that looks. Called through [`super::Registry::call`] only, which checks the arguments
/// before and takes secrets out after.
#[async_trait]
pub trait ReadTool: Send + Sync {
    /// What its manifest declares.
    fn spec(&self) -> &ToolSpec;

    /// What a call would touch, for the policy: `{cluster, namespace, api_version, kind, name, verb}`
    /// each, with `null` for "any". `resolved: false` marks a kind that is not known yet and stands
    /// as the caller wrote it.
    fn target(&self, args: &Value) -> Vec<Value>;

    /// The command that a call would run, for the policy.
    fn argv(&self, _args: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Looks. `args` have passed the schema.
    ///
    /// # Errors
    /// [`ToolError`], in words that say what to do.
    async fn read(&self, args: &Value) -> Result<Seen, ToolError>;

    /// What was seen, in a line. `seen` is what [`Self::read`] gave, without secrets.
    fn gist(&self, args: &Value, seen: &Seen) -> String;

    /// The detail below the gist; nothing when the gist says it all. `seen` is what [`Self::read`] gave, without secrets.
    fn text(&self, args: &Value, seen: &Seen) -> String;

    /// All of the detail where [`Self::text`] tells it in fewer words, for whoever reads on in it.
    fn whole(&self, _args: &Value, _seen: &Seen) -> Option<String> {
        None
    }
}

/// The arguments in their own type; the schema has been checked, this catches a manifest whose
/// schema was widened.
///
/// # Errors
/// [`ToolError::Invalid`] when they do not fit.
pub fn arguments<A: DeserializeOwned>(args: &Value) -> Result<A, ToolError> {
    A::deserialize(args).map_err(|e| ToolError::invalid(format!("the arguments cannot be read: {e}")))
}

/// Empty strings, which models send for "none", count as absent.
pub fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|t| !t.is_empty())
}

/// Why a call gave nothing. Every text may be shown to the caller, the model included, and is
/// at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The call has to be put differently.
    #[error("{text}")]
    Invalid {
        /// What is wrong and what to send instead.
        text: String,
    },
    /// The peer does not let us.
    #[error("{text}")]
    Refused {
        /// What was refused and what to grant.
        text: String,
    },
    /// The call was fine and came to nothing.
    #[error("{text}")]
    Failed {
        /// What happened.
        text: String,
        /// The same call may succeed later.
        transient: bool,
    },
}

impl ToolError {
    /// The call has to be put differently.
    pub fn invalid(text: impl AsRef<str>) -> Self {
        Self::Invalid { text: shorten(text.as_ref(), ERROR_BYTES).into_owned() }
    }

    /// The call was fine and came to nothing.
    pub fn failed(text: impl AsRef<str>, transient: bool) -> Self {
        Self::Failed { text: shorten(text.as_ref(), ERROR_BYTES).into_owned(), transient }
    }

    /// What the caller can be told.
    pub fn for_reader(&self) -> &str {
        match self {
            Self::Invalid { text } | Self::Refused { text } | Self::Failed { text, .. } => text,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { transient: true, .. })
    }

    /// The same error with its text passed through `change`.
    #[must_use]
    pub fn map(self, change: impl FnOnce(&str) -> String) -> Self {
        let change = |text: String| shorten(&change(&text), ERROR_BYTES).into_owned();
        match self {
            Self::Invalid { text } => Self::Invalid { text: change(text) },
            Self::Refused { text } => Self::Refused { text: change(text) },
            Self::Failed { text, transient } => Self::Failed { text: change(text), transient },
        }
    }
}

impl From<EdgeError> for ToolError {
    fn from(error: EdgeError) -> Self {
        let text = shorten(&error.to_string(), ERROR_BYTES).into_owned();
        match error.kind() {
            EdgeErrorKind::Invalid | EdgeErrorKind::Status { code: 400 | 422, .. } => Self::Invalid { text },
            EdgeErrorKind::Denied => Self::Refused { text },
            EdgeErrorKind::Unreachable
            | EdgeErrorKind::Timeout
            | EdgeErrorKind::Status { .. }
            | EdgeErrorKind::NotFound
            | EdgeErrorKind::Unserved
            | EdgeErrorKind::TooLarge
            | EdgeErrorKind::BadBody => Self::Failed { text, transient: error.is_transient() },
        }
    }
}
