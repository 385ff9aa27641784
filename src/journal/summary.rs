//! The fold's summaries: what a cheap model was asked to condense, beside the conversation.

use super::state::Investigation;
use crate::domain::{BlobRef, Usage};
use serde::{Deserialize, Serialize};

/// Summaries that one investigation asks for at most, whatever became of them.
pub const MAX_SUMMARIES: usize = 8;

/// What a summary is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SummaryOf {
    /// A result that is longer than its room in the conversation.
    Result {
        /// The call that it is of, by our id.
        call_id: String,
    },
    /// Results of which only the gist stays in the conversation.
    Dropped {
        /// The calls that they are of, by our ids.
        calls: Vec<String>,
    },
}

/// Results that were shortened to their gist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Before this turn.
    pub turn: u32,
    /// The calls whose results were shortened.
    pub calls: Vec<String>,
    /// Characters of the conversation before.
    pub chars_before: u64,
    /// Characters of the conversation after.
    pub chars_after: u64,
}

/// A summary as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryReply {
    /// Which one.
    pub number: u32,
    /// The model's name for itself.
    pub model: String,
    /// What it said, redacted.
    pub reply: BlobRef,
    /// What it cost, as counted.
    pub usage: Usage,
    /// US dollars, by the configured price.
    pub cost_usd: f64,
    /// What the server was sent beside the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<BlobRef>,
}

/// A summary that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// From 1.
    pub number: u32,
    /// What it is of.
    pub of: SummaryOf,
    /// What came; `None` while nothing did, and for good when asking failed or was cut short: no
    /// summary is asked for twice.
    pub reply: Option<BlobRef>,
    /// Nothing more will come.
    pub over: bool,
}

impl Investigation {
    /// The summary of `of`, if one was ever asked for.
    pub fn summary_of(&self, of: &SummaryOf) -> Option<&Summary> {
        self.summaries.iter().find(|summary| summary.of == *of)
    }

    pub(super) fn ask_summary(&mut self, number: u32, of: &SummaryOf) -> Result<(), String> {
        if usize::try_from(number).ok() != Some(self.summaries.len() + 1) {
            return Err(format!("summary {number} is not the next one"));
        }
        if self.summary_of(of).is_some() {
            return Err(format!("summary {number} is of what was asked for before"));
        }
        self.summaries.push(Summary { number, of: of.clone(), reply: None, over: false });
        Ok(())
    }

    pub(super) fn end_summary(&mut self, number: u32, reply: Option<&BlobRef>) -> Result<(), String> {
        let open = self.summaries.last_mut().filter(|last| last.number == number && !last.over);
        let open = open.ok_or_else(|| format!("summary {number} was not asked for"))?;
        open.reply = reply.cloned();
        open.over = true;
        Ok(())
    }
}
