//! Which way an alert goes: routes in order, the first that matches wins, and a last one, `default`,
//! takes the rest. Matchers are written as in Alertmanager's configuration.

use crate::domain::{AlertStatus, Budget, Severity, SreEvent};
use crate::journal::PullPlace;
use regex::{Regex, RegexBuilder};

/// The route that takes what no other route takes.
pub const DEFAULT: &str = "default";
/// The prompt of a route that names none.
pub const DEFAULT_PROMPT: &str = "incident";

const MAX_MATCHER: usize = 4 << 10;
const MAX_REGEX: usize = 1 << 20;

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
    /// Investigations that may use the route's model in a UTC day; `None` is any number.
    pub max_per_day: Option<u32>,
    /// Where its pull requests go.
    pub pulls: Option<PullPlace>,
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
            max_per_day: None,
            pulls: None,
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

/// What is wrong with one matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {why}")]
pub struct MatcherError {
    /// Where, from 1.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    NotEqual(String),
    Like(Regex),
    NotLike(Regex),
}

/// One matcher, read.
#[derive(Debug, Clone)]
pub struct Matcher {
    label: String,
    test: Test,
}

impl Matcher {
    /// Reads Alertmanager's notation. Regular expressions match the whole value.
    ///
    /// # Errors
    /// When it cannot be read; says where and what would be right.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let fail = |at: usize, why: &str| {
            let position = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
            MatcherError { position, why: why.to_owned() }
        };
        if text.len() > MAX_MATCHER {
            return Err(fail(0, "it is longer than 4 KiB; split it into several routes"));
        }
        let start = text.len() - text.trim_start().len();
        let name_end = text[start..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .map_or(text.len(), |n| start + n);
        let label = &text[start..name_end];
        if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(fail(start, "a label name is expected here, as in `severity=\"critical\"`"));
        }
        let rest = text[name_end..].trim_start();
        let at = text.len() - rest.len();
        let operators = ["=~", "!~", "!=", "="];
        let Some(operator) = operators.into_iter().find(|operator| rest.starts_with(operator)) else {
            return Err(fail(at, "one of = != =~ !~ is expected here"));
        };
        let rest = rest[operator.len()..].trim_start();
        let at = text.len() - rest.len();
        let value = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).map_err(|(offset, why)| fail(at + 1 + offset, why))?,
            None => {
                let bare = rest.trim_end();
                match bare.find(|c: char| c.is_whitespace() || "\"{},=~!\\`'".contains(c)) {
                    Some(offset) => {
                        let why = "a value with this character must stand in double quotes, one matcher per list item";
                        return Err(fail(at + offset, why));
                    }
                    None => bare.to_owned(),
                }
            }
        };
        let like = |pattern: &str| {
            RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(MAX_REGEX).build().map_err(|error| {
                let last = error.to_string();
                let why = last.lines().last().unwrap_or_default().trim_start_matches("error: ");
                fail(at, &format!("the regular expression is wrong: {why}"))
            })
        };
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Like(like(&value)?),
            _ => Test::NotLike(like(&value)?),
        };
        Ok(Self { label: label.to_owned(), test })
    }

    /// Whether `event` has such a label.
    pub fn matches(&self, event: &SreEvent) -> bool {
        let value = event.labels.get(&self.label).map_or("", String::as_str);
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::Like(pattern) => pattern.is_match(value),
            Test::NotLike(pattern) => !pattern.is_match(value),
        }
    }
}

/// The text up to the closing quote; or where it goes wrong, and how.
fn unquote(text: &str) -> Result<String, (usize, &'static str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.as_str().trim().is_empty() => return Ok(value),
            '"' => return Err((at + 1, "nothing may follow the closing quote; write one matcher per list item")),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                // As in Alertmanager: any other backslash is itself, so that `\d` needs no doubling.
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err((at, "the closing quote is missing")),
            },
            c => value.push(c),
        }
    }
    Err((text.len(), "the closing quote is missing"))
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
        let comes_by = |source: &String| *source == event.source || Some(source) == event.via.as_ref();
        if !route.sources.is_empty() && !route.sources.iter().any(comes_by) {
            return Some(format!("source {} is not one of {}", event.source, route.sources.join(", ")));
        }
        let severity = severity_as_sent(event);
        if !route.severities.is_empty() && !route.severities.contains(&severity) {
            let wanted: Vec<&str> = route.severities.iter().map(|s| s.as_str()).collect();
            return Some(format!("severity {severity} is not one of {}", wanted.join(", ")));
        }
        let (text, matcher) = route.matchers.iter().zip(&self.matchers).find(|(_, matcher)| !matcher.matches(event))?;
        Some(match event.labels.get(&matcher.label) {
            Some(value) => format!("{text} does not hold: {} is `{}`", matcher.label, short(value)),
            None => format!("{text} does not hold: there is no label {}", matcher.label),
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Default for Routes {
    fn default() -> Self {
        Self { routes: vec![], default: Compiled { route: Route::named(DEFAULT), matchers: vec![] } }
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
    fn matchers_hold_as_in_alertmanager() {
        let event =
            event(&[("namespace", "production"), ("alertname", "KubePodCrashLooping"), ("text", "a \"b\"\nc\\d")]);
        for (matcher, holds) in [
            (r#"namespace="production""#, true),
            (r#"namespace = "production" "#, true),
            (" namespace=production", true),
            (r#"namespace!="production""#, false),
            (r#"namespace=~"prod""#, false),
            (r#"namespace=~"prod.*""#, true),
            (r#"namespace!~"stag.*|dev""#, true),
            (r#"alertname=~"KubePodCrashLooping|KubeContainerOOMKilled""#, true),
            (r#"alertname=~Kube"#, false),
            (r#"silenced!="true""#, true),
            (r#"silenced="""#, true),
            (r#"silenced="#, true),
            (r#"silenced=~".+""#, false),
            (r#"silenced=~"""#, true),
            (r#"namespace=~"a|production|b""#, true),
            (r#"alertname=~"\w+""#, true),
            (r#"text="a \"b\"\nc\\d""#, true),
            (r#"text=~"a.*d""#, true),
        ] {
            assert_eq!(Matcher::parse(matcher).unwrap().matches(&event), holds, "{matcher}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_matcher_is_said_with_its_place() {
        for (matcher, position, says) in [
            ("", 1, "label name"),
            ("  =\"x\"", 3, "label name"),
            ("9a=\"x\"", 1, "label name"),
            ("severity", 9, "= != =~ !~"),
            ("sévérité=\"x\"", 2, "= != =~ !~"),
            ("severity > 3", 10, "= != =~ !~"),
            ("severity=\"x", 12, "closing quote is missing"),
            ("severity=\"x\\", 12, "closing quote is missing"),
            ("severity=\"x\", a=\"b\"", 13, "one matcher per list item"),
            ("severity==\"x\"", 10, "double quotes"),
            ("severity=a b", 11, "double quotes"),
            ("severity=~\"(\"", 11, "regular expression"),
            ("severity=~\"(\\\\w{500}){500}\"", 11, "regular expression"),
        ] {
            let error = Matcher::parse(matcher).unwrap_err();
            assert!(error.position == position && error.why.contains(says), "{matcher}: {error}");
        }
        assert!(Matcher::parse(&"a".repeat(5_000)).unwrap_err().why.contains("4 KiB"));
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

    proptest::proptest! {
        #[test]
        fn no_matcher_panics(text in "\\PC{0,40}") {
            let _ = Matcher::parse(&text);
        }

        #[test]
        fn no_nearly_right_matcher_panics(text in r#"[a-b_]{0,3}(=|!=|=~|!~| )["\\(a\[é,]{0,6}["]?"#) {
            let _ = Matcher::parse(&text);
        }
    }
}
