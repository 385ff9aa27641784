//! Routes and budgets: what an operator tunes while the program runs.

use super::AppError;
use crate::config::{Config, RouteModel};
use crate::domain::{Budget, DayBudget, Playbooks};
use crate::engine::routes::{Route, RouteError, Routes};
use crate::engine::{Engine, check_branch};
use crate::http::Web;
use crate::template::Templates;
use std::sync::Arc;

/// The routes as the engine takes them.
///
/// # Errors
/// When a matcher does not parse.
pub fn routes(config: &Config) -> Result<Routes, RouteError> {
    let route = |route: &crate::config::Route| Route {
        name: route.name.clone(),
        matchers: route.matchers.clone(),
        sources: route.sources.clone(),
        severities: route.severities.clone(),
        correlate: route.correlate.clone(),
        prompt: route.prompt.clone(),
        model: match &route.model {
            RouteModel::InOrder => None,
            // A name that no model has: the engine then works without one.
            RouteModel::Without => Some("none".to_owned()),
            RouteModel::Named(name) => Some(name.clone()),
        },
        tools: route.tools.clone(),
        timeout: route.timeout,
        budget: route.budget,
        max_concurrency: route.max_concurrency,
        max_total: route.max_total,
        max_per_day: route.max_per_day,
        pulls: route.pulls.clone(),
        playbook: route.playbook,
    };
    let routes = Routes::new(config.routes.iter().map(route).collect())?;
    Ok(routes.with_playbooks(config.playbooks.clone()))
}

/// The same, and that their branches can be named.
///
/// # Errors
/// When a matcher does not parse or a branch template is wrong.
pub(super) fn checked(config: &Config, templates: &Templates) -> Result<Routes, AppError> {
    for route in &config.routes {
        if let Some(template) = route.pulls.as_ref().and_then(|pulls| pulls.branch.as_ref()) {
            let wrong = |source| AppError::Branch { route: route.name.clone(), source };
            check_branch(templates, template).map_err(wrong)?;
        }
    }
    Ok(routes(config)?)
}

/// Routes and budgets as they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    routes: Vec<crate::config::Route>,
    playbooks: Playbooks,
    budget: Budget,
    per_day: DayBudget,
}

impl Written {
    /// Those of `config`.
    pub(super) fn of(config: &Config) -> Self {
        let (routes, playbooks) = (config.routes.clone(), config.playbooks.clone());
        Self { routes, playbooks, budget: config.budget, per_day: config.per_day }
    }
}

/// What is in force for investigations that are opened from now on; those that are open keep what they froze.
#[derive(Debug)]
pub(super) struct Rules {
    routes: Routes,
    budget: Budget,
    per_day: DayBudget,
}

impl Rules {
    /// Those of `config`.
    ///
    /// # Errors
    /// When they do not load.
    pub(super) fn of(config: &Config, templates: &Templates) -> Result<Self, AppError> {
        let routes = checked(config, templates)?;
        Ok(Self { routes, budget: config.budget, per_day: config.per_day })
    }

    /// Puts them in force.
    pub(super) fn apply(self, web: &Web, engine: &Engine) {
        web.intake.set_routes(self.routes);
        engine.budget.store(Arc::new(self.budget));
        engine.ledger.set_limits(self.per_day);
    }
}
