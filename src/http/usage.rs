//! What was spent, by day, route and model, and what is left of today.

use super::params::Params;
use super::{Problem, Viewer, Web};
use crate::domain::DayBudget;
use crate::store::{Figures, Usage, UsageFilter, UsageRow, day_of};
use axum::Json;
use axum::extract::State;
use jiff::{ToSpan, civil::Date};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days of an answer without `days`.
const DEFAULT_DAYS: u32 = 7;
/// Most days of an answer.
const MAX_DAYS: u32 = 366;

/// What may be spent in a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// By all together.
    pub per_day: DayBudget,
    /// Routes with a share of their own: investigations that may use the route's model.
    pub routes: Vec<(String, u32)>,
    /// Routes that may only open so many investigations over all.
    pub totals: Vec<(String, u64)>,
}

/// `GET /api/v1/usage?days=&route=&model=`.
pub(super) async fn usage(State(web): State<Arc<Web>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let params = params.only(&["days", "route", "model"])?;
    let expected = "a number from 1 to 366";
    let days = match params.read::<u32>("days", expected)? {
        None => DEFAULT_DAYS,
        Some(days @ 1..=MAX_DAYS) => days,
        Some(days) => {
            return Err(Problem::bad_request(format!("`days={days}` is out of bounds. Expected: {expected}.")));
        }
    };
    let today = day_of(web.clock.now());
    let from = today.checked_sub((i64::from(days) - 1).days()).unwrap_or(Date::MIN);
    let filter = UsageFilter { from, to: today, route: params.text("route"), model: params.text("model") };
    let usage = web.store.usage(&filter).await?;
    let of_today = UsageFilter { from: today, to: today, route: None, model: None };
    let today_usage = web.store.usage(&of_today).await?;
    let begun = web.store.begun().await?;
    let mut answer = sums(&usage, filter.model.is_some());
    answer.insert("from".into(), json!(from));
    answer.insert("to".into(), json!(today));
    answer.insert("budgets".into(), budgets(today, &today_usage, &begun, &(web.limits)()));
    Ok(Json(Value::Object(answer)))
}

/// A row as it counts: a request that is not settled is spent.
fn rows(usage: &Usage) -> impl Iterator<Item = UsageRow> + '_ {
    let open = usage.open.iter().map(|open| UsageRow {
        day: open.day,
        route: open.route.clone(),
        model: Some(open.model.clone()),
        figures: Figures::reserved(&open.reserved),
    });
    usage.rows.iter().cloned().chain(open)
}

/// Sums by day, route and model. An investigation that asks a model shows in a row of its own and in
/// that of the model: it is counted once, unless one model alone is wanted.
fn sums(usage: &Usage, one_model: bool) -> Map<String, Value> {
    let mut totals = Figures::default();
    let mut days: BTreeMap<Date, Figures> = BTreeMap::new();
    let mut routes: BTreeMap<String, Figures> = BTreeMap::new();
    let mut models: BTreeMap<String, Figures> = BTreeMap::new();
    for row in rows(usage) {
        if let Some(model) = &row.model {
            models.entry(model.clone()).or_default().add(&row.figures);
        }
        let mut figures = row.figures;
        if row.model.is_some() && !one_model {
            figures.investigations = 0;
        }
        totals.add(&figures);
        days.entry(row.day).or_default().add(&figures);
        routes.entry(row.route).or_default().add(&figures);
    }
    let named = |key: &str, name: Value, figures: &Figures| {
        let mut row = json!(figures);
        row[key] = name;
        row
    };
    let days: Vec<Value> = days.iter().rev().map(|(day, f)| named("day", json!(day), f)).collect();
    let routes: Vec<Value> = routes.iter().map(|(route, f)| named("route", json!(route), f)).collect();
    let models: Vec<Value> = models.iter().map(|(model, f)| named("model", json!(model), f)).collect();
    let parts =
        [("days", json!(days)), ("routes", json!(routes)), ("models", json!(models)), ("totals", json!(totals))];
    parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The limits of today, and what is left of them. A limit that is not set is `null`, and so is what
/// is left of it.
fn budgets(today: Date, usage: &Usage, begun: &BTreeMap<String, u64>, limits: &Limits) -> Value {
    let (mut spent, mut reserved) = (Figures::default(), Figures::default());
    usage.rows.iter().for_each(|row| spent.add(&row.figures));
    usage.open.iter().for_each(|open| reserved.add(&Figures::reserved(&open.reserved)));
    let began: u64 = usage.rows.iter().filter(|row| row.model.is_none()).map(|row| row.figures.investigations).sum();
    let tokens = |f: &Figures| f.tokens_in.saturating_add(f.tokens_out);
    let DayBudget { cost_usd, tokens: most_tokens, investigations } = limits.per_day;
    let routes = limits.routes.iter().map(|(route, limit)| {
        let of_route = usage.rows.iter().filter(|row| row.route == *route && row.model.is_none());
        let used: u64 = of_route.map(|row| row.figures.with_model).sum();
        json!({"route": route, "max_per_day": limit, "used": used, "left": u64::from(*limit).saturating_sub(used)})
    });
    let totals = limits.totals.iter().map(|(route, limit)| {
        let used = begun.get(route).copied().unwrap_or(0);
        json!({"route": route, "max_total": limit, "used": used, "left": limit.saturating_sub(used)})
    });
    json!({
        "day": today,
        "cost_usd": {
            "limit": cost_usd, "spent": spent.cost_usd, "reserved": reserved.cost_usd,
            "left": cost_usd.map(|limit| (limit - spent.cost_usd - reserved.cost_usd).max(0.0)),
        },
        "tokens": {
            "limit": most_tokens, "spent": tokens(&spent), "reserved": tokens(&reserved),
            "left": most_tokens.map(|limit| limit.saturating_sub(tokens(&spent)).saturating_sub(tokens(&reserved))),
        },
        "investigations": {
            "limit": investigations, "spent": began,
            "left": investigations.map(|limit| u64::from(limit).saturating_sub(began)),
        },
        "routes": routes.collect::<Vec<_>>(),
        "totals": totals.collect::<Vec<_>>(),
    })
}
