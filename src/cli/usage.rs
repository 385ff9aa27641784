//! `firewarden usage`.

use super::output::table;
use super::session::Session;
use super::{Exit, Failure, Written};
use serde_json::Value;

/// What a running server spent, and what is left today
#[derive(Debug, clap::Args)]
pub struct Usage {
    /// So many UTC days, today included
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Of this route alone
    #[arg(long)]
    route: Option<String>,
    /// Of this model alone
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    written: Written,
}

impl Usage {
    /// Runs it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let days = self.days.to_string();
        let mut query = vec![("days", days.as_str())];
        query.extend(self.route.as_deref().map(|route| ("route", route)));
        query.extend(self.model.as_deref().map(|model| ("model", model)));
        let usage = session.client()?.get("/api/v1/usage", &query).await?;
        session.out.value(self.written.output, &usage, || lines(&usage))?;
        Ok(Exit::Fine)
    }
}

/// Days, routes, models, the sum, and what is left.
fn lines(usage: &Value) -> Vec<String> {
    let heads = ["of", "investigations", "turns", "calls", "tokens in", "cached", "out", "usd"];
    let keys = ["investigations", "turns", "tool_calls", "tokens_in", "tokens_cached", "tokens_out"];
    let cells = |name: String, figures: &Value| {
        let usd = format!("{:.4}", figures["cost_usd"].as_f64().unwrap_or(0.0));
        let counts = keys.iter().map(|key| figures[key].to_string());
        std::iter::once(name).chain(counts).chain([usd]).collect::<Vec<_>>()
    };
    let mut rows = vec![];
    for (list, key) in [("days", "day"), ("routes", "route"), ("models", "model")] {
        for row in usage[list].as_array().into_iter().flatten() {
            let name = row[key].as_str().unwrap_or_default();
            let name = if key == "day" { name.to_owned() } else { format!("{key} {name}") };
            rows.push(cells(name, row));
        }
    }
    rows.push(cells("all".into(), &usage["totals"]));
    let mut lines = table(&heads, &rows);
    lines.push(String::new());
    let budgets = &usage["budgets"];
    let left = |of: &Value, unit: &str| match of["limit"].is_null() {
        true => format!("no limit of {unit}"),
        false => format!("{} of {} {unit}", shown(&of["left"]), shown(&of["limit"])),
    };
    let parts = [("cost_usd", "USD"), ("tokens", "tokens"), ("investigations", "investigations")];
    let parts: Vec<String> = parts.iter().map(|(key, unit)| left(&budgets[*key], unit)).collect();
    lines.push(format!("left today: {}", parts.join(", ")));
    for route in budgets["routes"].as_array().into_iter().flatten() {
        let name = super::text::line(route["route"].as_str().unwrap_or_default(), 64);
        let (left, limit) = (shown(&route["left"]), shown(&route["max_per_day"]));
        lines.push(format!("left today on route {name}: {left} of {limit} investigations with its model"));
    }
    for route in budgets["totals"].as_array().into_iter().flatten() {
        let name = super::text::line(route["route"].as_str().unwrap_or_default(), 64);
        let (left, limit) = (shown(&route["left"]), shown(&route["max_total"]));
        lines.push(format!("left to route {name} over all: {left} of {limit} investigations"));
    }
    lines
}

fn shown(figure: &Value) -> String {
    match figure.as_f64() {
        Some(number) if number.fract() != 0.0 => format!("{number:.2}"),
        Some(number) => format!("{number}"),
        None => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_spent_and_what_is_left_is_shown_in_one_table() {
        let figures = |key: &str, name: &str| {
            let mut row = json!({"investigations": 2, "turns": 5, "tool_calls": 9, "tokens_in": 1200,
                                 "tokens_cached": 0, "tokens_out": 80, "cost_usd": 0.0123});
            row[key] = name.into();
            row
        };
        let usage = json!({
            "from": "2026-11-19", "to": "2026-11-25", "days": [figures("day", "2026-11-25")],
            "routes": [figures("route", "default")], "models": [figures("model", "main\u{1b}[31m")],
            "totals": figures("x", ""),
            "budgets": {
                "day": "2026-11-25", "cost_usd": {"limit": 20.0, "spent": 1.5, "reserved": 0.0, "left": 18.5},
                "tokens": {"limit": null, "spent": 0, "reserved": 0, "left": null},
                "investigations": {"limit": 200, "spent": 2, "left": 198},
                "routes": [{"route": "db", "max_per_day": 5, "used": 5, "left": 0}],
                "totals": [{"route": "db", "max_total": 20, "used": 13, "left": 7}],
            },
        });
        insta::assert_snapshot!(lines(&usage).join("\n"));
    }
}
