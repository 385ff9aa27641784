//! What may be spent: by an investigation, by those of a route, by all of a day.

use super::{Resolver, Step, at};
use crate::config::Span;
use crate::domain::{Budget, DayBudget};
use std::time::Duration;

/// What is said of a limit under which nothing could be done.
const NO_ROOM: (&str, &str) = ("leaves no room for any work", "leave it out for the default");

impl Resolver<'_> {
    pub(super) fn budget(&mut self) -> Budget {
        let (of, survey) = (&self.loaded.file.budgets.per_investigation, &self.loaded.file.budgets.survey);
        let wrong = [
            ("per_investigation", "wall", is_short(of.wall)),
            ("per_investigation", "cost_usd", !is_money(of.cost_usd)),
            ("survey", "wall", is_short(survey.wall)),
            ("survey", "tool_calls", survey.tool_calls == 0),
        ];
        for (section, key, wrong) in wrong {
            if wrong {
                self.problem(at!["budgets", section, key], NO_ROOM.0, NO_ROOM.1);
            }
        }
        self.configured()
    }

    fn configured(&self) -> Budget {
        let (of, survey) = (&self.loaded.file.budgets.per_investigation, &self.loaded.file.budgets.survey);
        Budget {
            turns: of.turns,
            tool_calls: of.tool_calls,
            tokens: of.tokens,
            cost_usd: of.cost_usd,
            wall_s: of.wall.0.as_secs(),
            survey_calls: survey.tool_calls,
            survey_s: survey.wall.0.as_secs(),
        }
    }

    /// The budget of route `n`; `None` when it has nothing of its own.
    pub(super) fn route_budget(&mut self, n: usize) -> Option<Budget> {
        let route = self.loaded.file.routes.get(n)?;
        let own = &route.budget;
        if own.wall.is_some_and(is_short) {
            self.problem(at!["routes", n, "budget", "wall"], NO_ROOM.0, NO_ROOM.1);
        }
        if own.cost_usd.is_some_and(|usd| !is_money(usd)) {
            self.problem(at!["routes", n, "budget", "cost_usd"], NO_ROOM.0, NO_ROOM.1);
        }
        if own.wall.is_some() && route.timeout.is_some() {
            let help = "`timeout` and `budget.wall` are the same limit; keep one of them";
            self.problem(at!["routes", n, "budget", "wall"], "stands beside `timeout`", help);
        }
        if *own == crate::config::routes::RouteBudget::default() {
            return None;
        }
        let all = self.configured();
        Some(Budget {
            turns: own.turns.unwrap_or(all.turns),
            tool_calls: own.tool_calls.unwrap_or(all.tool_calls),
            tokens: own.tokens.unwrap_or(all.tokens),
            cost_usd: own.cost_usd.unwrap_or(all.cost_usd),
            wall_s: own.wall.map_or(all.wall_s, |wall| wall.0.as_secs()),
            ..all
        })
    }

    pub(super) fn per_day(&mut self) -> DayBudget {
        let of = &self.loaded.file.budgets.per_day;
        if of.cost_usd.is_some_and(|usd| !is_money(usd)) {
            let help = "US dollars for all models of a UTC day; 0 asks only models without a price, null sets no limit";
            self.problem(at!["budgets", "per_day", "cost_usd"], "is no amount of money", help);
        }
        DayBudget { cost_usd: of.cost_usd, tokens: of.tokens, investigations: of.investigations }
    }
}

fn is_money(usd: f64) -> bool {
    usd.is_finite() && usd >= 0.0
}

fn is_short(span: Span) -> bool {
    span.0 < Duration::from_secs(1)
}
