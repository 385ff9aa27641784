//! Routes that no alert can reach, because an earlier one takes everything that they take. Only what is
//! certain is told: two conditions that nobody compares may still exclude each other.

use super::matcher::{Matcher, Test};
use super::{Compiled, Routes};

/// A route that no alert can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The route.
    pub route: String,
    /// The earlier one that takes all that it would take.
    pub by: String,
}

impl Routes {
    /// Routes that no alert can reach, each with the first one that stands before it.
    pub fn shadowed(&self) -> Vec<Shadowed> {
        let mut found = vec![];
        for (n, later) in self.routes.iter().enumerate() {
            let earlier = self.routes.iter().take(n).find(|earlier| takes_all_of(earlier, later));
            found.extend(earlier.map(|by| Shadowed { route: later.route.name.clone(), by: by.route.name.clone() }));
        }
        found
    }
}

fn takes_all_of(earlier: &Compiled, later: &Compiled) -> bool {
    within(&later.route.sources, &earlier.route.sources)
        && within(&later.route.severities, &earlier.route.severities)
        && earlier.matchers.iter().all(|asked| later.matchers.iter().any(|given| implies(given, asked)))
}

/// Whether everything that `some` permits, `all` does; an empty list permits everything.
fn within<T: PartialEq>(some: &[T], all: &[T]) -> bool {
    all.is_empty() || !some.is_empty() && some.iter().all(|one| all.contains(one))
}

/// Whether `asked` holds wherever `given` does, as far as that is plain.
fn implies(given: &Matcher, asked: &Matcher) -> bool {
    given.label == asked.label
        && match (&given.test, &asked.test) {
            (Test::Equal(value), _) => asked.holds(value),
            (Test::NotEqual(one), Test::NotEqual(other)) => one == other,
            (Test::Like(one), Test::Like(other)) | (Test::NotLike(one), Test::NotLike(other)) => {
                one.as_str() == other.as_str()
            }
            (Test::NotEqual(_) | Test::Like(_) | Test::NotLike(_), _) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::super::Route;
    use super::*;
    use crate::domain::Severity;

    fn route(name: &str, matchers: &[&str]) -> Route {
        Route { matchers: matchers.iter().map(|text| (*text).to_owned()).collect(), ..Route::named(name) }
    }

    fn shadowed(routes: Vec<Route>) -> Vec<String> {
        let found = Routes::new(routes).unwrap().shadowed();
        found.into_iter().map(|one| format!("{} by {}", one.route, one.by)).collect()
    }

    #[test]
    fn what_an_earlier_route_takes_whole_is_told() {
        for (earlier, later, is_told) in [
            (&[][..], &["a=\"b\""][..], true),
            (&["a=\"b\""], &[], false),
            (&["a=\"b\""], &["a = b", "c=\"d\""], true),
            (&["a=\"b\"", "c=\"d\""], &["a=\"b\""], false),
            (&["a=~\"b|c\""], &["a=\"c\""], true),
            (&["a=~\"b|c\""], &["a=\"d\""], false),
            (&["a!=\"b\""], &["a=\"c\""], true),
            (&["a!=\"b\""], &["a=\"b\""], false),
            (&["a!~\"b.*\""], &["a=\"c\""], true),
            (&["a=~\"b.*\""], &["a=~\"b.*\""], true),
            // True, and not plain: it is left alone.
            (&["a=~\"b.*\""], &["a=~\"bc\""], false),
            (&["a!=\"b\""], &["a!=\"b\"", "x=\"y\""], true),
            (&["a=\"\""], &["b=\"c\""], false),
        ] {
            let told = shadowed(vec![route("first", earlier), route("second", later)]);
            assert_eq!(told == ["second by first"], is_told, "{earlier:?} before {later:?}: {told:?}");
        }
    }

    #[test]
    fn senders_and_severities_count_and_the_last_route_never_does() {
        let of = |name: &str, sources: &[&str], severities: &[Severity]| Route {
            sources: sources.iter().map(|text| (*text).to_owned()).collect(),
            severities: severities.to_vec(),
            ..Route::named(name)
        };
        let routes = vec![
            of("a", &["grafana", "alertmanager"], &[Severity::Critical, Severity::Error]),
            of("b", &["grafana"], &[Severity::Critical]),
            of("c", &["grafana"], &[]),
            of("d", &[], &[Severity::Critical]),
            of("e", &[], &[]),
            of("f", &["sentry"], &[Severity::Info]),
        ];
        assert_eq!(shadowed(routes), ["b by a", "f by e"]);
        assert_eq!(shadowed(vec![Route::named("all"), Route::named("default")]), Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn no_alert_reaches_what_is_told_to_be_out_of_reach(
            picks in proptest::collection::vec((0_usize..8, 0_usize..8), 1..5),
            labels in proptest::collection::vec((0_usize..2, 0_usize..3), 0..4),
        ) {
            const MATCHERS: [&str; 8] = [
                "a=\"x\"", "a!=\"x\"", "a=~\"x|y\"", "a!~\"x|y\"", "b=\"x\"", "b!=\"y\"", "b=~\".+\"", "b=\"\"",
            ];
            let routes = picks.iter().enumerate();
            let routes = routes.map(|(n, (one, two))| route(&format!("r{n}"), &[MATCHERS[*one], MATCHERS[*two]]));
            let routes = Routes::new(routes.collect()).unwrap();
            let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (["a", "b"][*k], ["x", "y", "z"][*v])).collect();
            let taken = routes.route_for(&super::super::tests::event(&labels)).name.clone();
            proptest::prop_assert!(routes.shadowed().iter().all(|one| one.route != taken));
        }
    }
}
