//! What an investigation may spend.

use serde::{Deserialize, Serialize};

/// Limits of one investigation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Turns of the model.
    pub turns: u32,
    /// Calls of tools by the model.
    pub tool_calls: u32,
    /// Tokens in and out together.
    pub tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
    /// Seconds from opening to report.
    pub wall_s: u64,
    /// Calls of the survey.
    pub survey_calls: u32,
    /// Seconds that the survey may take.
    pub survey_s: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { turns: 20, tool_calls: 60, tokens: 200_000, cost_usd: 1.0, wall_s: 600, survey_calls: 64, survey_s: 30 }
    }
}

/// What all investigations of a UTC day may spend together; `None` sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayBudget {
    /// US dollars for models.
    pub cost_usd: Option<f64>,
    /// Tokens in and out together.
    pub tokens: Option<u64>,
    /// Investigations that look at the world at all.
    pub investigations: Option<u32>,
}

impl Default for DayBudget {
    fn default() -> Self {
        Self { cost_usd: Some(20.0), tokens: None, investigations: Some(200) }
    }
}

impl DayBudget {
    /// Nothing is bounded.
    pub const UNLIMITED: Self = Self { cost_usd: None, tokens: None, investigations: None };
}

/// What a model costs, in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// A million tokens sent.
    pub input_per_mtok: f64,
    /// A million tokens received.
    pub output_per_mtok: f64,
    /// A million tokens sent that the server still had; `None` is the full price.
    pub cached_per_mtok: Option<f64>,
}

impl Price {
    /// What so many tokens cost.
    #[allow(clippy::cast_precision_loss)]
    pub fn of(&self, tokens_in: u64, tokens_out: u64) -> f64 {
        let sent = tokens_in as f64 * self.input_per_mtok / MILLION;
        money(sent + tokens_out as f64 * self.output_per_mtok / MILLION)
    }

    /// What an answer did cost: tokens that the server still had at their own price. Never more than
    /// [`Self::of`] says, which is what was set aside.
    #[allow(clippy::cast_precision_loss)]
    pub fn of_usage(&self, usage: &Usage) -> f64 {
        let full = self.of(usage.tokens_in, usage.tokens_out);
        let Some(cached_per_mtok) = self.cached_per_mtok else { return full };
        let cached = usage.tokens_cached.min(usage.tokens_in);
        let kept = money(cached as f64 * cached_per_mtok / MILLION);
        full.min(self.of(usage.tokens_in - cached, usage.tokens_out) + kept)
    }

    /// Whether it costs nothing, as models on one's own machines do.
    pub fn is_free(&self) -> bool {
        self.input_per_mtok <= 0.0 && self.output_per_mtok <= 0.0
    }

    /// Most tokens that may be received when so many are sent and `usd` are there.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn answer_within(&self, tokens_in: u64, usd: f64) -> u64 {
        let left = usd - self.of(tokens_in, 0);
        match self.output_per_mtok > 0.0 {
            // A cast of a float stops at the ends of the integer.
            true => (left * MILLION / self.output_per_mtok).floor() as u64,
            false if left >= 0.0 => u64::MAX,
            false => 0,
        }
    }
}

const MILLION: f64 = 1_000_000.0;

/// An amount of money; what is no amount is none.
pub(super) fn money(usd: f64) -> f64 {
    if usd.is_finite() && usd > 0.0 { usd } else { 0.0 }
}

/// The most that a request can cost, set aside before it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// US dollars.
    pub cost_usd: f64,
}

impl Reservation {
    /// For so many tokens at this price.
    pub fn new(tokens_in: u64, tokens_out: u64, price: &Price) -> Self {
        Self { tokens_in, tokens_out, cost_usd: price.of(tokens_in, tokens_out) }
    }

    /// In and out together.
    pub const fn tokens(&self) -> u64 {
        self.tokens_in.saturating_add(self.tokens_out)
    }

    /// What an answer is counted as: what the server `said`, or our own `estimate` where that is
    /// larger, and never more than was set aside. More than that cannot be true: the reservation is
    /// the most that such a request can cost, so no figure of a server breaks a limit.
    pub fn settle(&self, said: Option<Usage>, estimate: Usage) -> Usage {
        let said = said.unwrap_or_default();
        let tokens_in = said.tokens_in.max(estimate.tokens_in).min(self.tokens_in);
        Usage {
            tokens_in,
            tokens_out: said.tokens_out.max(estimate.tokens_out).min(self.tokens_out),
            tokens_cached: said.tokens_cached.min(tokens_in),
        }
    }
}

/// What one model reply cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// Of the tokens sent, those that the server still had.
    #[serde(default, skip_serializing_if = "none")]
    pub tokens_cached: u64,
}

/// Journals from before the figure was kept must hash the same.
#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde calls
const fn none(tokens: &u64) -> bool {
    *tokens == 0
}

/// What was spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Turns.
    pub turns: u32,
    /// Calls that ran.
    pub tool_calls: u32,
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// US dollars.
    pub cost_usd: f64,
}

impl Spent {
    /// In and out together.
    pub const fn tokens(&self) -> u64 {
        self.tokens_in.saturating_add(self.tokens_out)
    }

    /// Adds what was paid.
    pub fn add(&mut self, tokens_in: u64, tokens_out: u64, cost_usd: f64) {
        self.tokens_in = self.tokens_in.saturating_add(tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(tokens_out);
        self.cost_usd += money(cost_usd);
    }

    /// Adds a whole reservation: what became of its request is not known.
    pub fn charge(&mut self, reserved: &Reservation) {
        self.add(reserved.tokens_in, reserved.tokens_out, reserved.cost_usd);
    }

    /// The limit that is reached, in words; `None` while there is room for one more turn.
    pub fn exhausted(&self, budget: &Budget, elapsed_s: u64) -> Option<&'static str> {
        if self.turns >= budget.turns {
            Some("turns")
        } else if self.tool_calls >= budget.tool_calls {
            Some("tool calls")
        } else if self.tokens() >= budget.tokens {
            Some("tokens")
        } else if self.cost_usd >= budget.cost_usd {
            Some("money")
        } else if elapsed_s >= budget.wall_s {
            Some("time")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_the_work_by_its_name() {
        let budget = Budget::default();
        let spent = Spent::default();
        assert_eq!(spent.exhausted(&budget, 0), None);
        assert_eq!(spent.exhausted(&budget, 600), Some("time"));
        assert_eq!(Spent { turns: 20, ..spent }.exhausted(&budget, 0), Some("turns"));
        assert_eq!(Spent { tool_calls: 60, ..spent }.exhausted(&budget, 0), Some("tool calls"));
        assert_eq!(Spent { tokens_in: u64::MAX, tokens_out: 1, ..spent }.exhausted(&budget, 0), Some("tokens"));
        assert_eq!(Spent { cost_usd: 1.0, ..spent }.exhausted(&budget, 0), Some("money"));
    }

    #[test]
    fn a_price_gives_the_answer_that_the_money_allows() {
        let price = Price { input_per_mtok: 1.0, output_per_mtok: 10.0, ..Price::default() };
        assert!((price.of(1_000_000, 100_000) - 2.0).abs() < 1e-9);
        for (tokens_in, usd, answer) in
            [(0, 1.0, 100_000), (500_000, 1.0, 50_000), (2_000_000, 1.0, 0), (0, -1.0, 0), (0, f64::NAN, 0)]
        {
            assert_eq!(price.answer_within(tokens_in, usd), answer, "{tokens_in} {usd}");
        }
        assert_eq!(Price::default().answer_within(9, 0.0), u64::MAX);
        assert_eq!(Price::default().answer_within(9, -0.1), 0);
        assert!(price.of(u64::MAX, u64::MAX).is_finite());
        let absurd = Price { input_per_mtok: f64::NAN, output_per_mtok: f64::INFINITY, ..Price::default() };
        assert_eq!(absurd.of(1, 1), 0.0);
    }

    #[test]
    fn tokens_that_the_server_still_had_cost_their_own_price_and_never_more_than_the_full_one() {
        let usage = |tokens_cached| Usage { tokens_in: 1_000_000, tokens_out: 100_000, tokens_cached };
        for (cached_per_mtok, tokens_cached, usd) in [
            (None, 800_000, 2.0),
            (Some(0.1), 0, 2.0),
            (Some(0.1), 800_000, 1.28),
            (Some(0.0), 1_000_000, 1.0),
            (Some(0.1), u64::MAX, 1.1),
            (Some(7.0), 800_000, 2.0),
            (Some(-7.0), 800_000, 1.2),
            (Some(f64::NAN), 800_000, 1.2),
        ] {
            let price = Price { input_per_mtok: 1.0, output_per_mtok: 10.0, cached_per_mtok };
            let got = price.of_usage(&usage(tokens_cached));
            assert!((got - usd).abs() < 1e-9, "{cached_per_mtok:?} {tokens_cached}: {got}");
        }
    }

    #[test]
    fn no_figure_of_a_server_passes_what_was_set_aside() {
        let reserved = Reservation { tokens_in: 1_000, tokens_out: 400, cost_usd: 1.0 };
        let usage = |tokens_in, tokens_out| Usage { tokens_in, tokens_out, ..Usage::default() };
        let estimate = usage(300, 20);
        for (said, counted) in [
            (None, (300, 20)),
            (Some(usage(0, 0)), (300, 20)),
            (Some(usage(500, 100)), (500, 100)),
            (Some(usage(500, 0)), (500, 20)),
            (Some(usage(u64::MAX, u64::MAX)), (1_000, 400)),
        ] {
            let got = reserved.settle(said, estimate);
            assert_eq!((got.tokens_in, got.tokens_out), counted, "{said:?}");
        }
    }
}
