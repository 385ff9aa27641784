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
    /// The limit that is reached, in words; `None` while there is room for one more turn.
    pub fn exhausted(&self, budget: &Budget, elapsed_s: u64) -> Option<&'static str> {
        if self.turns >= budget.turns {
            Some("turns")
        } else if self.tool_calls >= budget.tool_calls {
            Some("tool calls")
        } else if self.tokens_in.saturating_add(self.tokens_out) >= budget.tokens {
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
}
