//! Counting, and what a new day changes.

use super::*;
use crate::store::{Figures, OpenRequest, UsageRow};
use uuid::Uuid;

const LIMITS: DayBudget = DayBudget { cost_usd: Some(10.0), tokens: Some(1_000), investigations: Some(3) };

fn id(n: u128) -> InvestigationId {
    InvestigationId::new(Uuid::from_u128(n))
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn reservation(tokens: u64, cost_usd: f64) -> Reservation {
    Reservation { tokens_in: tokens, tokens_out: 0, cost_usd }
}

fn beginner(n: u128, route: &str, first: bool) -> Beginner<'_> {
    Beginner { id: id(n), route, max_per_day: Some(2), max_total: Some(6), first }
}

fn begin(ledger: &Ledger, n: u128, rung: Rung) -> Standing {
    let mut seen = Standing::default();
    ledger.begin(beginner(n, "db", true), |standing| {
        seen = standing;
        Choice { rung, reason: String::new() }
    });
    seen
}

fn left(ledger: &Ledger) -> (Option<f64>, Option<u64>) {
    let standing = ledger.book().standing(&LIMITS, None);
    (standing.usd_left, standing.tokens_left)
}

#[test]
fn each_investigation_is_counted_once_and_only_those_with_a_model_use_the_share() {
    let ledger = Ledger::new(LIMITS);
    assert_eq!(begin(&ledger, 1, Rung::Full).route_left, Some(2));
    assert_eq!(begin(&ledger, 1, Rung::Full).route_left, Some(1), "the same step again");
    let seen = begin(&ledger, 2, Rung::Deterministic);
    assert_eq!((seen.investigations_left, seen.route_left), (Some(2), Some(1)));
    let seen = begin(&ledger, 3, Rung::Cheap);
    assert_eq!((seen.investigations_left, seen.route_left), (Some(1), Some(1)));
    let seen = begin(&ledger, 4, Rung::Notice);
    assert_eq!((seen.investigations_left, seen.route_left), (Some(0), Some(0)));
    let again = ledger.begin(beginner(5, "other", false), |standing| Choice {
        rung: Rung::Full,
        reason: format!("{:?}", standing.route_left),
    });
    assert_eq!(again.reason, "Some(2)", "another route has its own share");
    assert_eq!(ledger.book().began, 3, "a further revision is no further investigation, and a notice is none");
    let goes_on = begin(&ledger, 4, Rung::Deterministic);
    assert_eq!((goes_on.investigations_left, ledger.book().began), (Some(0), 4), "what goes on from one begins then");
}

#[test]
fn a_reservation_is_spent_until_it_is_settled() {
    let ledger = Ledger::new(LIMITS);
    let reserve = |n, lost, r| ledger.reserve(id(n), lost, |_| ((), Some(r)));
    reserve(1, false, reservation(400, 4.0));
    assert_eq!(left(&ledger), (Some(6.0), Some(600)));
    ledger.settle(id(1), 100, 1.0);
    assert_eq!(left(&ledger), (Some(9.0), Some(900)));
    ledger.settle(id(1), 100, 1.0);
    assert_eq!(left(&ledger), (Some(9.0), Some(900)), "settled twice is settled once");
    reserve(2, false, reservation(400, 4.0));
    ledger.close(id(2), false);
    assert_eq!(left(&ledger), (Some(9.0), Some(900)), "turned away costs nothing");
    reserve(2, false, reservation(400, 4.0));
    ledger.close(id(2), true);
    assert_eq!(left(&ledger), (Some(5.0), Some(500)), "unknown costs everything");
    reserve(3, false, reservation(100, 1.0));
    reserve(3, true, reservation(100, 1.0));
    assert_eq!(left(&ledger), (Some(3.0), Some(300)), "a lost one is charged beside its successor");
    reserve(4, false, reservation(100, 1.0));
    reserve(4, false, reservation(100, 1.0));
    assert_eq!(left(&ledger), (Some(2.0), Some(200)), "one that never left is replaced");
    ledger.settle(id(4), 0, f64::NAN);
    assert_eq!(left(&ledger).0, Some(3.0), "what is no amount is none");
}

#[test]
fn a_new_day_begins_with_what_the_store_knows_of_it() {
    let ledger = Ledger::new(LIMITS);
    ledger.fill(day("2026-11-25"), &Usage::default(), &[]);
    begin(&ledger, 1, Rung::Full);
    ledger.reserve(id(1), false, |_| ((), Some(reservation(400, 4.0))));
    let figures = Figures { investigations: 2, with_model: 1, ..Figures::default() };
    let spent = Figures { investigations: 1, tokens_in: 90, tokens_out: 10, cost_usd: 0.5, ..Figures::default() };
    let (today, route) = (day("2026-11-26"), "db".to_owned());
    let stored = Usage {
        rows: vec![
            UsageRow { day: today, route: route.clone(), model: None, figures },
            UsageRow { day: today, route: route.clone(), model: Some("main".into()), figures: spent },
        ],
        open: vec![OpenRequest {
            investigation: id(7),
            day: today,
            route,
            model: "main".into(),
            reserved: reservation(200, 1.5),
        }],
    };
    ledger.fill(today, &stored, &[("db", 5), ("other", 1)]);
    assert_eq!(left(&ledger), (Some(8.0), Some(700)), "yesterday's request is yesterday's");
    let seen = begin(&ledger, 2, Rung::Full);
    assert_eq!((seen.investigations_left, seen.route_left), (Some(1), Some(1)));
    assert_eq!(seen.route_total_left, Some(1), "of all days");
    assert_eq!(begin(&ledger, 3, Rung::Notice).route_total_left, Some(0));
    ledger.settle(id(1), 400, 4.0);
    assert_eq!(left(&ledger), (Some(8.0), Some(700)), "and stays so when it is settled");
    ledger.settle(id(7), 50, 0.1);
    assert_eq!(left(&ledger).1, Some(850));
    // The same day again, from the store: what this process reserved and has not committed is kept.
    ledger.reserve(id(8), false, |_| ((), Some(reservation(300, 0.0))));
    ledger.fill(today, &Usage::default(), &[]);
    assert_eq!(left(&ledger).1, Some(700));
}
