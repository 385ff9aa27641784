//! Which way an alert goes: routes in order, the first that matches wins, and a last one, `default`,
//! takes the rest.
//!
//! - [`matcher`]: conditions over labels, as in Alertmanager's configuration
//! - [`shadowed`]: routes that no alert can reach

mod matcher;
mod shadowed;

pub use matcher::{Matcher, MatcherError};
pub use shadowed::Shadowed;

use crate::domain::{AlertStatus, Budget, Chosen, POLLER, Playbook, Playbooks, Severity, SreEvent};
use crate::journal::PullPlace;
use serde::Serialize;
use std::collections::BTreeMap;

/// The route that takes what no other route takes.
pub const DEFAULT: &str = "default";
/// The prompt of a route that names none.
pub const DEFAULT_PROMPT: &str = "incident";

/// A route, checked in form by the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name, unique.
    pub name: String,
    /// All must match: `name="v"`, `!=`, `=~`, `!~`. A label that is not there is empty.
    pub matchers: Vec<String>,
    /// One of these senders, or `poller:NAME`, by which alerts arrive; none named means any.
    pub sources: Vec<String>,
    /// One of these severities, as the sender gave it; none named means any.
    pub severities: Vec<Severity>,
    /// Labels whose values make alerts one incident; none named means the sender's group.
    pub correlate: Vec<String>,
    /// `incident` for `prompts/incident.md.j2`.
    pub prompt: String,
    /// The configured model's name; `None` is the first one configured.
    pub model: Option<String>,
    /// Tools by name or tag; none named means all.
    pub tools: Vec<String>,
    /// From opening to report; `None` is what the budget says.
    pub timeout: Option<std::time::Duration>,
    /// What one investigation may spend; `None` is what holds for every route.
    pub budget: Option<Budget>,
    /// Investigations that are worked on at once; `None` is any number.
    pub max_concurrency: Option<u32>,
    /// Investigations that it may open over all; `None` is any number.
    pub max_total: Option<u64>,
    /// Investigations that may use the route's model in a UTC day; `None` is any number.
    pub max_per_day: Option<u32>,
    /// Where its pull requests go.
    pub pulls: Option<PullPlace>,
    /// Who proposes changes where no model does; `None` leaves it to what is said by sender.
    pub playbook: Option<Playbook>,
}

impl Route {
    /// A route called `name` that takes everything.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            matchers: vec![],
            sources: vec![],
            severities: vec![],
            correlate: vec![],
            prompt: DEFAULT_PROMPT.to_owned(),
            model: None,
            tools: vec![],
            timeout: None,
            budget: None,
            max_concurrency: None,
            max_total: None,
            max_per_day: None,
            pulls: None,
            playbook: None,
        }
    }

    fn takes_everything(&self) -> bool {
        self.matchers.is_empty() && self.sources.is_empty() && self.severities.is_empty()
    }
}

/// What is wrong with the configured routes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A route without a name.
    #[error("route {position} has no name. Give it one: it stands in reports, metrics and the journal.")]
    Unnamed {
        /// Which, from 1.
        position: usize,
    },
    /// Two routes with one name.
    #[error("two routes are called `{name}` (numbers {first} and {second}). Rename one.")]
    Duplicate {
        /// The name.
        name: String,
        /// The first, from 1.
        first: usize,
        /// The second, from 1.
        second: usize,
    },
    /// A route called `default` that does not do what its name says.
    #[error(
        "route `default` must be the last one and have no matchers, sources or severities: it takes what no other takes. Rename it, or move it."
    )]
    Default,
    /// A matcher that cannot be read.
    #[error("route `{route}`, matcher `{matcher}`, character {position}: {why}")]
    Matcher {
        /// The route.
        route: String,
        /// The matcher as written.
        matcher: String,
        /// Where, from 1.
        position: usize,
        /// What is wrong, and what would be right.
        why: String,
    },
}

#[derive(Debug, Clone)]
struct Compiled {
    route: Route,
    matchers: Vec<Matcher>,
}

impl Compiled {
    /// Why `event` does not go this way; `None` when it does.
    fn against(&self, event: &SreEvent) -> Option<String> {
        let route = &self.route;
        // No sender comes by a poller's way, whatever it calls itself.
        let comes_by = |source: &String| match source.starts_with(POLLER) {
            true => Some(source) == event.via.as_ref(),
            false => *source == event.source,
        };
        if !route.sources.is_empty() && !route.sources.iter().any(comes_by) {
            return Some(format!("source {} is not one of {}", event.source, route.sources.join(", ")));
        }
        let severity = severity_as_sent(event);
        if !route.severities.is_empty() && !route.severities.contains(&severity) {
            let wanted: Vec<&str> = route.severities.iter().map(|s| s.as_str()).collect();
            return Some(format!("severity {severity} is not one of {}", wanted.join(", ")));
        }
        let (text, matcher) = route.matchers.iter().zip(&self.matchers).find(|(_, matcher)| !matcher.matches(event))?;
        let label = matcher.label();
        Some(match event.labels.get(label) {
            Some(value) => format!("{text} does not hold: {label} is `{}`", short(value)),
            None => format!("{text} does not hold: there is no label {label}"),
        })
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The severity that the alert had when it fired: a resolved one is shown as info, and must still
/// take the way of its firing self.
fn severity_as_sent(event: &SreEvent) -> Severity {
    match (event.status, event.labels.get("severity")) {
        (AlertStatus::Resolved, word) => Severity::from_sender(word.map_or("", String::as_str)),
        (AlertStatus::Firing, _) => event.severity,
    }
}

/// A route that an alert did not take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// The route.
    pub route: String,
    /// Why not.
    pub why: String,
}

/// All routes, read and checked, `default` last.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Compiled>,
    default: Compiled,
    playbooks: Playbooks,
}

impl Default for Routes {
    fn default() -> Self {
        let default = Compiled { route: Route::named(DEFAULT), matchers: vec![] };
        Self { routes: vec![], default, playbooks: Playbooks::default() }
    }
}

impl Routes {
    /// Reads and checks `routes`; `default` is added unless it is there.
    ///
    /// # Errors
    /// When a name is missing or there twice, or a matcher cannot be read.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteError> {
        let mut all = Self::default();
        let count = routes.len();
        for (index, route) in routes.into_iter().enumerate() {
            if route.name.trim().is_empty() {
                return Err(RouteError::Unnamed { position: index + 1 });
            }
            if let Some(first) = all.routes.iter().position(|other| other.route.name == route.name) {
                return Err(RouteError::Duplicate { name: route.name, first: first + 1, second: index + 1 });
            }
            let matchers = route.matchers.iter().map(|matcher| {
                Matcher::parse(matcher).map_err(|error| RouteError::Matcher {
                    route: route.name.clone(),
                    matcher: matcher.clone(),
                    position: error.position,
                    why: error.why,
                })
            });
            let matchers = matchers.collect::<Result<_, _>>()?;
            match route.name == DEFAULT {
                true if index + 1 == count && route.takes_everything() => all.default = Compiled { route, matchers },
                true => return Err(RouteError::Default),
                false => all.routes.push(Compiled { route, matchers }),
            }
        }
        Ok(all)
    }

    /// The same routes, with playbooks by sender and severity.
    #[must_use]
    pub fn with_playbooks(self, playbooks: Playbooks) -> Self {
        Self { playbooks, ..self }
    }

    /// Who proposes changes for `event` on its way `route`, where no model does.
    pub fn playbook_for(&self, route: &Route, event: &SreEvent) -> Chosen {
        match route.playbook {
            Some(playbook) => Chosen { playbook, by: format!("route {}", route.name) },
            None => self.playbooks.choose(event),
        }
    }

    /// The way that `event` goes.
    pub fn route_for(&self, event: &SreEvent) -> &Route {
        let first = self.routes.iter().find(|route| route.against(event).is_none());
        &first.unwrap_or(&self.default).route
    }

    /// The way that `event` goes, and why it goes none of the ways before.
    pub fn explain(&self, event: &SreEvent) -> (&Route, Vec<Missed>) {
        let mut missed = vec![];
        for route in &self.routes {
            match route.against(event) {
                Some(why) => missed.push(Missed { route: route.route.name.clone(), why }),
                None => return (&route.route, missed),
            }
        }
        (&self.default.route, missed)
    }

    /// The route called `name`.
    pub fn get(&self, name: &str) -> Option<&Route> {
        self.iter().find(|route| route.name == name)
    }

    /// How many investigations of a route may be worked on at once, by name; a route that is not among
    /// them sets no limit.
    pub fn places(&self) -> BTreeMap<String, u32> {
        self.iter().filter_map(|route| Some((route.name.clone(), route.max_concurrency?))).collect()
    }

    /// All routes in order, `default` last.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain([&self.default]).map(|route| &route.route)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn event(labels: &[(&str, &str)]) -> SreEvent {
        let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
        serde_json::from_value(json!({
            "id": "evt_00000000-0000-0000-0000-000000000001", "source": "alertmanager", "fingerprint": "f",
            "group_key": null, "status": "firing", "severity": "warning", "name": "A", "subject": "s",
            "resource": {"type": "unknown", "id": "", "namespace": null, "cluster": null}, "title": "t",
            "description": "d", "labels": labels, "annotations": {}, "starts_at": "2026-11-20T00:00:00Z",
            "ends_at": null, "received_at": "2026-11-20T00:00:00Z", "links": [],
            "raw": {"commitment": "sha256:00", "bytes": 0}, "raw_hmac": ""
        }))
        .unwrap()
    }

    #[test]
    fn the_first_route_that_matches_wins_and_the_others_say_why_not() {
        let routes = Routes::new(vec![
            Route { sources: vec!["grafana".into()], ..Route::named("grafana") },
            Route { severities: vec![Severity::Critical], ..Route::named("loud") },
            Route { matchers: vec!["team=\"db\"".into(), "namespace=\"shop\"".into()], ..Route::named("db") },
            Route { matchers: vec!["namespace=~\"shop|web\"".into()], ..Route::named("shop") },
            Route::named("rest"),
            Route::named("never"),
        ])
        .unwrap();
        let event = event(&[("namespace", "shop")]);
        let (route, missed) = routes.explain(&event);
        assert_eq!((route.name.as_str(), routes.route_for(&event).name.as_str()), ("shop", "shop"));
        assert_eq!(
            missed.iter().map(|m| format!("{}: {}", m.route, m.why)).collect::<Vec<_>>(),
            [
                "grafana: source alertmanager is not one of grafana",
                "loud: severity warning is not one of critical",
                "db: team=\"db\" does not hold: there is no label team",
            ]
        );
        assert_eq!(Routes::default().route_for(&event).name, DEFAULT);
        assert_eq!(routes.iter().count(), 7);
    }

    #[test]
    fn a_pollers_way_is_taken_by_what_it_was_told_and_by_nobody_who_calls_himself_so() {
        let routes = Routes::new(vec![Route { sources: vec!["poller:am".into()], ..Route::named("polled") }]).unwrap();
        for (source, via, route) in [
            ("alertmanager", Some("poller:am"), "polled"),
            ("alertmanager", Some("poller:other"), DEFAULT),
            ("alertmanager", None, DEFAULT),
            ("poller:am", None, DEFAULT),
            ("poller:am", Some("poller:other"), DEFAULT),
        ] {
            let event = SreEvent { source: source.into(), via: via.map(str::to_owned), ..event(&[]) };
            assert_eq!(routes.route_for(&event).name, route, "{source} {via:?}");
        }
    }

    #[test]
    fn a_resolved_alert_takes_the_way_of_its_firing_self() {
        let routes = Routes::new(vec![Route { severities: vec![Severity::Critical], ..Route::named("loud") }]).unwrap();
        let mut event = event(&[("severity", "critical")]);
        (event.status, event.severity) = (AlertStatus::Resolved, Severity::Info);
        assert_eq!(routes.route_for(&event).name, "loud");
    }

    #[test]
    fn wrong_routes_are_refused_with_their_names() {
        let error = |routes| Routes::new(routes).unwrap_err().to_string();
        assert!(error(vec![Route::named("a"), Route::named("b"), Route::named("a")]).contains("`a` (numbers 1 and 3)"));
        assert!(error(vec![Route::named(" ")]).contains("route 1 has no name"));
        assert!(error(vec![Route::named("default"), Route::named("a")]).contains("must be the last"));
        let bad = Route { matchers: vec!["a=\"b\"".into(), "a=~\"[\"".into()], ..Route::named("r") };
        assert!(
            error(vec![bad]).starts_with("route `r`, matcher `a=~\"[\"`, character 4: the regular expression is wrong")
        );
        let own = Route { prompt: "mine".into(), ..Route::named("default") };
        assert_eq!(Routes::new(vec![own]).unwrap().route_for(&event(&[])).prompt, "mine");
    }
}
