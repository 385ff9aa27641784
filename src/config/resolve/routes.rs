//! Which alerts take which way.

use super::{Resolver, Step, at};
use crate::config::suggest::nearest;
use crate::config::{Model, Route, RouteModel};
use std::collections::BTreeSet;
use std::time::Duration;

impl Resolver<'_> {
    pub(super) fn routes(&mut self, models: &[Model]) -> Vec<Route> {
        let mut names = BTreeSet::from(["default".to_owned()]);
        let routes = self.loaded.file.routes.iter().enumerate();
        routes
            .map(|(n, route)| {
                if route.name == "default" {
                    let help = "`default` takes what no route takes; a last route without matchers replaces it";
                    self.problem(at!["routes", n, "name"], "is taken", help);
                } else {
                    self.name(at!["routes", n, "name"], &route.name, &mut names);
                }
                if route.timeout.is_some_and(|t| t.0 < Duration::from_secs(1)) {
                    self.problem(at!["routes", n, "timeout"], "is shorter than a second", "10m is usual");
                }
                if route.max_concurrency == Some(0) {
                    let help = "write 1 or more, or null for no limit of its own";
                    self.problem(at!["routes", n, "max_concurrency"], "is 0: nothing would ever be worked on", help);
                }
                Route {
                    name: route.name.clone(),
                    matchers: route.matchers.clone(),
                    sources: route.sources.clone(),
                    severities: route.severities.clone(),
                    correlate: route.correlate.clone(),
                    prompt: route.prompt.clone(),
                    model: self.route_model(n, route.model.as_deref(), models),
                    tools: route.tools.clone(),
                    timeout: route.timeout.map(|t| t.0),
                    budget: self.route_budget(n),
                    max_concurrency: route.max_concurrency,
                    max_total: route.max_total,
                    max_per_day: route.max_per_day,
                    playbook: route.playbook,
                    pulls: route.github.as_ref().and_then(|of| self.route_pulls(n, of)),
                }
            })
            .collect()
    }

    fn route_model(&mut self, n: usize, name: Option<&str>, models: &[Model]) -> RouteModel {
        let known = || models.iter().map(|m| m.name.as_str());
        match name {
            None => RouteModel::InOrder,
            Some("none") => RouteModel::Without,
            Some(name) => {
                if !known().any(|k| k == name) {
                    let help = match nearest(name, known()) {
                        Some(other) => format!("did you mean `{other}`?"),
                        None => {
                            "add it to `models`, write `none`, or leave it out for the models in their order".into()
                        }
                    };
                    self.problem(at!["routes", n, "model"], format!("names `{name}`, which is not in `models`"), help);
                }
                RouteModel::Named(name.to_owned())
            }
        }
    }
}
