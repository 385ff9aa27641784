//! What was spent, by UTC day, route and model: the same figures that the journal holds, added up.

use crate::domain::{InvestigationId, Reservation};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

/// The UTC day of a moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Investigations that began, for more than a notice; for a model, those that asked it.
    pub investigations: u64,
    /// Of those, the ones that the budgets let ask a model.
    #[serde(skip)]
    pub with_model: u64,
    /// Answers of models.
    pub turns: u64,
    /// Calls of tools; the survey's belong to no model.
    pub tool_calls: u64,
    /// Tokens sent.
    pub tokens_in: u64,
    /// Of those, what providers read from a cache; 0 where none says so.
    pub tokens_cached: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// US dollars.
    pub cost_usd: f64,
}

impl Figures {
    /// Adds `other` to it.
    pub fn add(&mut self, other: &Self) {
        let plus = |sum: &mut u64, n: u64| *sum = sum.saturating_add(n);
        plus(&mut self.investigations, other.investigations);
        plus(&mut self.with_model, other.with_model);
        plus(&mut self.turns, other.turns);
        plus(&mut self.tool_calls, other.tool_calls);
        plus(&mut self.tokens_in, other.tokens_in);
        plus(&mut self.tokens_cached, other.tokens_cached);
        plus(&mut self.tokens_out, other.tokens_out);
        self.cost_usd += other.cost_usd;
    }

    /// What a reservation that is not settled counts as.
    pub fn reserved(reserved: &Reservation) -> Self {
        Self {
            tokens_in: reserved.tokens_in,
            tokens_out: reserved.tokens_out,
            cost_usd: reserved.cost_usd,
            ..Self::default()
        }
    }
}

/// The sums of a day, a route and a model.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageRow {
    /// The UTC day. A request belongs to the day on which it was made.
    pub day: Date,
    /// The route.
    pub route: String,
    /// The configured model's name; `None` is what no model did.
    pub model: Option<String>,
    /// The sums.
    pub figures: Figures,
}

/// A request to a model of which nobody knows yet what it costs: it counts as spent in full.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRequest {
    /// Whose it is.
    pub investigation: InvestigationId,
    /// The UTC day on which it was made.
    pub day: Date,
    /// The route.
    pub route: String,
    /// The configured model's name.
    pub model: String,
    /// The most that it can cost.
    pub reserved: Reservation,
}

/// Which sums are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFilter {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// The route, exactly.
    pub route: Option<String>,
    /// The configured model's name, exactly.
    pub model: Option<String>,
}

/// Sums, and what is not settled yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// In the order of day, route, model.
    pub rows: Vec<UsageRow>,
    /// Requests under way, or lost with the process that made them.
    pub open: Vec<OpenRequest>,
}
