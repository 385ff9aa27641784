//! The keys under `routes`: which alerts take which way, and what they find there.

use super::units::Span;
use crate::domain::{Playbook, Severity};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub name: String,
    #[serde(default)]
    pub matchers: Vec<String>,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub severities: Vec<Severity>,
    #[serde(default)]
    pub correlate: Vec<String>,
    #[serde(default = "incident")]
    pub prompt: String,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub tools: Vec<String>,
    #[serde(default)]
    pub timeout: Option<Span>,
    #[serde(default)]
    pub budget: RouteBudget,
    #[serde(default = "two")]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub max_total: Option<u64>,
    #[serde(default)]
    pub max_per_day: Option<u32>,
    #[serde(default)]
    pub playbook: Option<Playbook>,
    #[serde(default)]
    pub github: Option<RouteGithub>,
}

/// Where a route's pull requests go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteGithub {
    pub repo: String,
    #[serde(default)]
    pub base: Option<String>,
    #[serde(default)]
    pub branch: Option<String>,
    #[serde(default)]
    pub paths: Vec<String>,
}

/// As `budgets.per_investigation`; what is left out is taken from there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RouteBudget {
    pub turns: Option<u32>,
    pub tool_calls: Option<u32>,
    pub tokens: Option<u64>,
    pub cost_usd: Option<f64>,
    pub wall: Option<Span>,
}

fn incident() -> String {
    "incident".into()
}

/// A route that says nothing else leaves room for the others.
const fn two() -> Option<u32> {
    Some(2)
}
