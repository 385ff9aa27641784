//! What an investigation is made of: turns of a model, surveys, reports.

use super::counted::Beyond;
use super::proposal::Proposal;
use crate::domain::{BlobRef, ReportVerdict, Risk};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A turn of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// From 1.
    pub number: u32,
    /// A final answer was demanded.
    pub must_answer: bool,
    /// The request.
    pub request: BlobRef,
    /// The answer, once there is one.
    pub reply: Option<BlobRef>,
    /// What we made of the answer.
    pub proposal: Option<Proposal>,
    /// Attempts that failed.
    pub failures: Vec<(String, bool)>,
    /// The last attempt failed because the conversation was too long.
    pub too_long: bool,
}

/// What was last reported.
#[derive(Debug, Clone, PartialEq)]
pub struct LastReport {
    /// From 1.
    pub revision: u32,
    /// What it claims.
    pub verdict: ReportVerdict,
    /// One line.
    pub summary: String,
    /// The report.
    pub report: BlobRef,
    /// When.
    pub at: Timestamp,
    /// The level that it tells of.
    pub risk: Option<Risk>,
    /// How many alerts it takes into account, of those that are told apart.
    pub events: usize,
    /// And of those that are only counted.
    pub counted: usize,
    /// Whether it tells of alerts that come and go.
    pub flapping: bool,
}

/// The survey of one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// Rounds that were planned.
    pub rounds: u32,
    /// When the first was.
    pub started_at: Option<Timestamp>,
    /// Its conclusions.
    pub analysis: Option<BlobRef>,
    /// The likeliest cause.
    pub top_cause: Option<String>,
    /// How many alerts it knew of, of those that are told apart.
    pub events: usize,
    /// And of those beyond them.
    pub beyond: Beyond,
    /// What this and earlier ones found to be one workload with what the opening alert names.
    pub things: BTreeSet<String>,
}

impl Survey {
    pub(super) fn conclude(
        &mut self,
        analysis: &BlobRef,
        top_cause: Option<&String>,
        things: &[String],
        (events, beyond): (usize, Beyond),
    ) {
        self.analysis = Some(analysis.clone());
        self.top_cause = top_cause.cloned();
        self.things.extend(things.iter().cloned());
        (self.events, self.beyond) = (events, beyond);
    }

    /// The next one looks for itself. What was one workload stays known.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { things: std::mem::take(&mut self.things), ..Self::default() };
    }
}
