//! The fold's money: what was spent, what is set aside, and how far down the ladder the work is.

use super::state::Investigation;
use crate::domain::{Reservation, Rung, Spent, Usage};

/// How much of the work the budgets permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// The rung.
    pub rung: Rung,
    /// The model of this rung, where it is not the route's.
    pub model: Option<String>,
    /// Why not more, for people.
    pub reason: String,
}

/// The reservation that a `ModelAsked` entry tells of.
pub fn reserved_of(reserved_tokens: u64, reserved_usd: f64, max_tokens: u32) -> Reservation {
    let tokens_out = u64::from(max_tokens).min(reserved_tokens);
    Reservation { tokens_in: reserved_tokens - tokens_out, tokens_out, cost_usd: reserved_usd }
}

impl Investigation {
    /// The models that may be asked, in the order in which each failure passes a turn on.
    pub fn models(&self) -> Vec<&str> {
        let Some(frozen) = &self.frozen else { return vec![] };
        match &self.ladder {
            None | Some(Ladder { rung: Rung::Full, .. }) => {
                frozen.model.iter().chain(&frozen.fallbacks).map(String::as_str).collect()
            }
            Some(Ladder { rung: Rung::Cheap, model, .. }) => model.iter().map(String::as_str).collect(),
            Some(Ladder { rung: Rung::Deterministic | Rung::Notice, .. }) => vec![],
        }
    }

    /// What was spent, an open request's reservation included.
    pub fn committed(&self) -> Spent {
        let mut spent = self.spent;
        if let Some(reserved) = &self.reserved {
            spent.charge(reserved);
        }
        spent
    }

    /// Sets aside what a request may cost. Nobody knows what became of one that was asked for
    /// before and never settled: it is charged in full.
    pub(super) fn reserve(&mut self, reserved: Reservation) {
        self.reserve_aside(reserved);
        self.last_reserved = reserved;
    }

    /// Sets aside what a request beside the conversation may cost: it says nothing about the size of
    /// the conversation's next one.
    pub(super) fn reserve_aside(&mut self, reserved: Reservation) {
        self.spent = self.committed();
        self.reserved = Some(reserved);
    }

    /// An answer says what its request did cost.
    pub(super) fn settle(&mut self, usage: &Usage, cost_usd: f64) {
        self.reserved = None;
        self.spent.add(usage.tokens_in, usage.tokens_out, cost_usd);
    }

    /// A request gave no answer: it cost everything or nothing.
    pub(super) fn unreserve(&mut self, charged: bool) {
        if charged {
            self.spent = self.committed();
        }
        self.reserved = None;
    }

    pub(super) fn take_rung(&mut self, taken: Ladder) -> Result<(), String> {
        if self.ladder.as_ref().is_some_and(|before| taken.rung < before.rung) {
            return Err("the work never climbs".into());
        }
        self.began |= taken.rung < Rung::Notice;
        self.ladder = Some(taken);
        Ok(())
    }
}

// Keys that came later are left out at their default, so that older entries keep their hash.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) const fn is_zero(n: &u32) -> bool {
    *n == 0
}

pub(super) fn is_zero_usd(usd: &f64) -> bool {
    *usd == 0.0
}
