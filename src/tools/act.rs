//! Tools that change something: plan without doing, do with a warrant, look after doubt, watch.

use super::spec::{ToolError, ToolSpec};
use crate::domain::{Action, BlastRadius, Digest, Marker, Preview, Receipt, Reconciled, Report, Retry, Target, Undo};
use crate::edge::error::shorten;
use crate::edge::{EdgeError, EdgeErrorKind, Unmade, UnmadeKind};
use crate::gate::{Refused, Warrant};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

/// Most bytes of what an action shows and says.
pub const PREVIEW_BYTES: usize = 8 << 10;

/// What a plan is made in, beside its arguments. None of it comes from the proposer.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Names the incident: what is derived from it is the same for each attempt.
    pub incident: &'a Digest,
    /// When the incident began: dates that a change carries are taken from here, not from the clock.
    pub began: Timestamp,
    /// The present moment.
    pub now: Timestamp,
    /// What people are told of the incident.
    pub case: &'a CaseText,
}

/// The incident in words, for tickets and pull requests; made by us and redacted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseText {
    /// The opening alert's title.
    pub title: String,
    /// The opening alert's name.
    pub alert: String,
    /// `alertname-fingerprint-startsAt`, slugged.
    pub slug: String,
    /// The report as Markdown, as far as it stands.
    pub markdown: String,
    /// The report itself, if one stands.
    pub report: Option<Report>,
    /// Where people read more.
    pub url: Option<String>,
    /// The investigation and the head of its chain.
    pub chain: String,
    /// The last checkpoint of the journal in one line: whoever reads it there is a witness.
    pub checkpoint: Option<String>,
    /// Why it may happen, once that is known.
    pub decision: Option<String>,
    /// What the route says of pull requests.
    pub pull: Option<PullRoute>,
}

/// Where a route's pull requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRoute {
    /// `owner/name`.
    pub repo: String,
    /// The branch that they go into; `None` is the repository's default.
    pub base: Option<String>,
    /// The branch's name, rendered.
    pub branch: Option<String>,
    /// Only files that match one of these; empty is any.
    pub paths: Vec<String>,
}

/// A change that was tried without making it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In one line.
    pub title: String,
    /// Every object, the main one first.
    pub targets: Vec<Target>,
    /// What would change.
    pub preview: Preview,
    /// What has to hold when it is done.
    pub precondition: Value,
    /// What it carries beside its arguments.
    pub carries: Value,
    /// How it would be taken back.
    pub undo: Option<Undo>,
    /// It can be taken back.
    pub reversible: bool,
    /// What may happen after doubt.
    pub retry: Retry,
    /// What would suffer.
    pub blast_radius: BlastRadius,
    /// What policy is told beside.
    pub facts: Value,
}

/// Why a change was not made, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The target said no, or nothing was sent: nothing happened.
    #[error("{text}")]
    Refused {
        /// What it said and what to do.
        text: String,
    },
    /// The target refused it because the world has moved on since the plan: nothing happened, and it
    /// may be planned anew.
    #[error("{text}")]
    Stale {
        /// What has moved.
        text: String,
    },
    /// It may have happened.
    #[error("{text}")]
    Unknown {
        /// What went wrong.
        text: String,
    },
}

impl ActError {
    /// Nothing happened.
    pub fn refused(text: impl AsRef<str>) -> Self {
        Self::Refused { text: shorten(text.as_ref(), super::spec::ERROR_BYTES).into_owned() }
    }

    /// Nothing happened, for the world has moved on.
    pub fn stale(text: impl AsRef<str>) -> Self {
        Self::Stale { text: shorten(text.as_ref(), super::spec::ERROR_BYTES).into_owned() }
    }

    /// It may have happened.
    pub fn unknown(text: impl AsRef<str>) -> Self {
        Self::Unknown { text: shorten(text.as_ref(), super::spec::ERROR_BYTES).into_owned() }
    }

    /// Nothing was sent, for a look at `peer` right before came to nothing: an earlier copy may be there.
    /// Where time mends that, it is planned anew.
    pub fn not_looked(peer: &str, error: &EdgeError) -> Self {
        let text = format!("nothing was sent, for {peer} could not be looked at first: {error}");
        match error.is_transient() && !matches!(error.kind(), EdgeErrorKind::Status { code: 429, .. }) {
            true => Self::stale(text),
            false => Self::refused(text),
        }
    }

    /// The same error with its text passed through `change`.
    #[must_use]
    pub fn map(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Refused { text } => Self::refused(change(&text)),
            Self::Stale { text } => Self::stale(change(&text)),
            Self::Unknown { text } => Self::unknown(change(&text)),
        }
    }
}

impl From<Unmade> for ActError {
    fn from(unmade: Unmade) -> Self {
        match unmade.kind() {
            // Nobody was reached: it may be tried again at once.
            UnmadeKind::Unsent => Self::stale(unmade.to_string()),
            UnmadeKind::Refused(_) => Self::refused(unmade.to_string()),
            UnmadeKind::Unknown => Self::unknown(unmade.to_string()),
        }
    }
}

impl From<Refused> for ActError {
    fn from(refused: Refused) -> Self {
        match refused {
            // Nothing was sent, and it is judged again.
            Refused::Late { .. } => Self::stale(refused.to_string()),
            Refused::Tool { .. } | Refused::Target { .. } | Refused::NoIntent { .. } => {
                Self::refused(refused.to_string())
            }
        }
    }
}

/// What a look at a change that was made shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Its own work is done, in words.
    Settled(String),
    /// It is under way, in words.
    Moving(String),
    /// Nothing more comes of it without people, in words: no reason to call it done or failed.
    Waits(String),
    /// Its own work failed, in words: no need to wait for the alert.
    Broken(String),
    /// Nothing to be seen, in words.
    Nothing(String),
}

/// A tool that changes something. Called through [`super::Registry`] only.
#[async_trait]
pub trait ActTool: Send + Sync {
    /// What its manifest declares.
    fn spec(&self) -> &ToolSpec;

    /// Tries the change without making it. `args` have passed the schema. The same arguments and the
    /// same world give the same plan.
    ///
    /// # Errors
    /// [`ToolError`], in words that tell the proposer what to do.
    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError>;

    /// Makes the change that the warrant names; there are no other arguments. Everything that is sent
    /// asks for the permit, carries its marker and the plan's precondition.
    ///
    /// # Errors
    /// Whether nothing happened, or something may have.
    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError>;

    /// Looks whether the change is in the world, without changing anything.
    ///
    /// # Errors
    /// When it cannot look.
    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError>;

    /// Looks how the change that was made fares.
    ///
    /// # Errors
    /// When it cannot look.
    async fn observe(&self, _action: &Action, _receipt: &Receipt) -> Result<Observed, ToolError> {
        Ok(Observed::Nothing("this tool has nothing of its own to watch".into()))
    }
}
