//! The ladder down which the work goes when money runs out: full, cheap, deterministic, notice. Pure.

use super::risk::words;
use super::{Price, Reservation};

words! {
    /// How much of the work the budgets permit.
    Rung:
    /// The route's model investigates.
    Full = "full",
    /// A model that is marked `cheap` does.
    Cheap = "cheap",
    /// No model is asked: the deterministic investigation is the whole one.
    Deterministic = "deterministic",
    /// Nothing is looked at; people are told that.
    Notice = "notice",
}

/// The reason where no budget is one: the route asks no model, whatever there is to spend.
pub const NO_MODEL: &str = "the route asks no model";

/// The reason where a route has opened as many as it may over all.
pub const NO_MORE: &str = "the route's investigations are used up (max_total)";

/// Of the day's money, what is kept for cheap models: one part in so many.
const LAST_PART: f64 = 5.0;

/// What is left of a day and of a route's share; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// The day's money, in US dollars.
    pub usd_limit: Option<f64>,
    /// What of it is neither spent nor set aside.
    pub usd_left: Option<f64>,
    /// The day's tokens that are neither spent nor set aside.
    pub tokens_left: Option<u64>,
    /// Investigations that may still look at the world today.
    pub investigations_left: Option<u32>,
    /// Investigations of the route that may still use its model today.
    pub route_left: Option<u32>,
    /// Investigations that the route may still open, today or later.
    pub route_total_left: Option<u64>,
}

/// What is left to one investigation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// Tokens in and out together.
    pub tokens: u64,
    /// US dollars.
    pub usd: f64,
}

/// A model that could be asked, and the least that its next answer may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer<'a> {
    /// The configured name.
    pub model: &'a str,
    /// What it costs.
    pub price: Price,
    /// What a request with the shortest useful answer can cost.
    pub least: Reservation,
}

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case<'a> {
    /// The day, and the route's share of it.
    pub standing: Standing,
    /// The investigation.
    pub own: Left,
    /// The work on a revision begins: only then the numbers of investigations count.
    pub beginning: bool,
    /// The rung so far. The work never climbs.
    pub from: Rung,
    /// The route's model.
    pub full: Option<Offer<'a>>,
    /// A cheaper one.
    pub cheap: Option<Offer<'a>>,
}

/// The rung, and why it is not a higher one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The rung.
    pub rung: Rung,
    /// Why, for people.
    pub reason: String,
}

/// Chooses the highest rung that every limit permits.
pub fn choose(case: &Case<'_>) -> Choice {
    let at = |rung, reason: &str| Choice { rung, reason: reason.to_owned() };
    if case.from == Rung::Notice || case.beginning && case.standing.investigations_left == Some(0) {
        return at(Rung::Notice, "the day's investigations are used up (budgets.per_day.investigations)");
    }
    if case.beginning && case.standing.route_total_left == Some(0) {
        return at(Rung::Notice, NO_MORE);
    }
    if case.from == Rung::Deterministic {
        return at(Rung::Deterministic, "no model was to be asked");
    }
    let Some(full) = &case.full else { return at(Rung::Deterministic, NO_MODEL) };
    let cheap = case.cheap.as_ref().filter(|cheap| cheap.model != full.model);
    let reason = match case.from {
        Rung::Full => match why_not_full(case, full, cheap.is_some()) {
            None => return at(Rung::Full, "the budgets have room for the route's model"),
            Some(reason) => reason,
        },
        Rung::Cheap | Rung::Deterministic | Rung::Notice => "a cheap model was to be asked",
    };
    match cheap.map(|cheap| why_not(case, cheap)) {
        Some(None) => at(Rung::Cheap, reason),
        // What stops the cheap one stops everything; where it is the same limit, once is enough.
        Some(Some(stops)) => at(Rung::Deterministic, stops),
        None => at(Rung::Deterministic, reason),
    }
}

fn why_not_full(case: &Case<'_>, full: &Offer<'_>, has_cheap: bool) -> Option<&'static str> {
    if case.beginning && case.standing.route_left == Some(0) {
        return Some("the route's investigations with its model are used up for today (max_per_day)");
    }
    why_not(case, full).or_else(|| {
        let (limit, left) = (case.standing.usd_limit?, case.standing.usd_left?);
        let low = has_cheap && !full.price.is_free() && left * LAST_PART < limit;
        low.then_some("less than a fifth of the day's money is left (budgets.per_day.cost_usd)")
    })
}

/// The limit that a request to this model would break.
fn why_not(case: &Case<'_>, offer: &Offer<'_>) -> Option<&'static str> {
    let Case { standing, own, .. } = case;
    let (tokens, usd) = (offer.least.tokens(), offer.least.cost_usd);
    let lacks = |left: f64| !(offer.price.is_free() || usd <= left && left > 0.0);
    if tokens > own.tokens {
        Some("the investigation's tokens are used up (budgets.per_investigation.tokens)")
    } else if lacks(own.usd) {
        Some("the investigation's money is used up (budgets.per_investigation.cost_usd)")
    } else if standing.tokens_left.is_some_and(|left| tokens > left || left == 0) {
        Some("the day's tokens are used up (budgets.per_day.tokens)")
    } else if standing.usd_left.is_some_and(lacks) {
        Some("the day's money is used up (budgets.per_day.cost_usd)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { input_per_mtok: 1.0, output_per_mtok: 1.0, cached_per_mtok: None };

    fn offer(model: &str, usd: f64) -> Offer<'_> {
        let least = Reservation { tokens_in: 900, tokens_out: 100, cost_usd: usd };
        Offer { model, price: if usd > 0.0 { PRICE } else { Price::default() }, least }
    }

    fn case() -> Case<'static> {
        Case {
            standing: Standing {
                usd_limit: Some(10.0),
                usd_left: Some(5.0),
                tokens_left: Some(9_000),
                investigations_left: Some(3),
                route_left: Some(2),
                route_total_left: Some(7),
            },
            own: Left { tokens: 5_000, usd: 1.0 },
            beginning: true,
            from: Rung::Full,
            full: Some(offer("main", 0.5)),
            cheap: Some(offer("small", 0.01)),
        }
    }

    #[test]
    fn each_limit_leads_to_its_rung_and_says_so() {
        type Change = fn(&mut Case<'_>);
        let table: &[(&str, Change, Rung, &str)] = &[
            ("room", |_| (), Rung::Full, "room"),
            ("a fifth is enough", |c| c.standing.usd_left = Some(2.0), Rung::Full, "room"),
            ("less than a fifth", |c| c.standing.usd_left = Some(1.99), Rung::Cheap, "a fifth"),
            (
                "less than a fifth, and nothing cheaper",
                |c| (c.standing.usd_left, c.cheap) = (Some(1.99), None),
                Rung::Full,
                "room",
            ),
            (
                "less than a fifth, and the model is the cheap one",
                |c| (c.standing.usd_left, c.cheap) = (Some(1.99), c.full),
                Rung::Full,
                "room",
            ),
            (
                "a free model does not wait for money",
                |c| (c.standing.usd_left, c.full) = (Some(0.0), Some(offer("main", 0.0))),
                Rung::Full,
                "room",
            ),
            ("no money", |c| c.standing.usd_left = Some(0.0), Rung::Deterministic, "day's money"),
            ("debts", |c| c.standing.usd_left = Some(-3.0), Rung::Deterministic, "day's money"),
            ("no number", |c| c.standing.usd_left = Some(f64::NAN), Rung::Deterministic, "day's money"),
            (
                "no money, and a free model",
                |c| (c.standing.usd_left, c.cheap) = (Some(0.0), Some(offer("small", 0.0))),
                Rung::Cheap,
                "day's money",
            ),
            (
                "not for this request",
                |c| (c.standing.usd_left, c.standing.usd_limit) = (Some(0.4), Some(0.5)),
                Rung::Cheap,
                "day's money",
            ),
            ("no tokens", |c| c.standing.tokens_left = Some(999), Rung::Deterministic, "day's tokens"),
            ("share", |c| c.standing.route_left = Some(0), Rung::Cheap, "max_per_day"),
            (
                "share, and nothing cheaper",
                |c| (c.standing.route_left, c.cheap) = (Some(0), None),
                Rung::Deterministic,
                "max_per_day",
            ),
            ("share, later", |c| (c.standing.route_left, c.beginning) = (Some(0), false), Rung::Full, "room"),
            ("investigations", |c| c.standing.investigations_left = Some(0), Rung::Notice, "investigations"),
            (
                "investigations, without a model",
                |c| (c.standing.investigations_left, c.full) = (Some(0), None),
                Rung::Notice,
                "investigations",
            ),
            (
                "investigations, later",
                |c| (c.standing.investigations_left, c.beginning) = (Some(0), false),
                Rung::Full,
                "room",
            ),
            ("all of the route's", |c| c.standing.route_total_left = Some(0), Rung::Notice, "max_total"),
            (
                "all of the route's, later",
                |c| (c.standing.route_total_left, c.beginning) = (Some(0), false),
                Rung::Full,
                "room",
            ),
            ("own tokens", |c| c.own.tokens = 999, Rung::Deterministic, "per_investigation.tokens"),
            ("own money", |c| c.own.usd = 0.4, Rung::Cheap, "per_investigation.cost_usd"),
            ("own money, all of it", |c| c.own.usd = 0.0, Rung::Deterministic, "per_investigation.cost_usd"),
            ("no model", |c| c.full = None, Rung::Deterministic, "asks no model"),
            ("no way up from cheap", |c| c.from = Rung::Cheap, Rung::Cheap, "cheap"),
            (
                "from cheap down",
                |c| (c.from, c.standing.usd_left) = (Rung::Cheap, Some(0.0)),
                Rung::Deterministic,
                "day's money",
            ),
            ("no way up", |c| c.from = Rung::Deterministic, Rung::Deterministic, "no model"),
            ("no way up from the ground", |c| c.from = Rung::Notice, Rung::Notice, "investigations"),
            ("without limits", |c| c.standing = Standing::default(), Rung::Full, "room"),
        ];
        for (name, change, rung, says) in table {
            let mut case = case();
            change(&mut case);
            let choice = choose(&case);
            assert_eq!(choice.rung, *rung, "{name}: {choice:?}");
            assert!(choice.reason.contains(says), "{name}: {choice:?}");
        }
    }
}
