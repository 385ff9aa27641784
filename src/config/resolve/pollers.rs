//! Alertmanagers that are asked for their alerts.

use super::{Resolver, Step, at};
use crate::config::pollers::PollerKeys;
use crate::config::suggest::nearest;
use crate::config::{Credential, Poller};
use crate::domain::POLLER;
use crate::engine::routes::Matcher;
use std::collections::BTreeSet;
use std::time::Duration;

/// Most pollers, and most matchers of one.
const MOST: usize = 32;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Resolver<'_> {
    pub(super) fn pollers(&mut self) -> Vec<Poller> {
        let pollers = &self.loaded.file.pollers;
        if pollers.len() > MOST {
            self.problem(at!["pollers"], format!("are more than {MOST}"), "ask one Alertmanager for several teams");
        }
        let mut names = BTreeSet::new();
        let resolved = pollers.iter().enumerate().map(|(n, poller)| self.poller(n, poller, &mut names)).collect();
        self.polled_routes(&names);
        resolved
    }

    fn poller(&mut self, n: usize, poller: &PollerKeys, names: &mut BTreeSet<String>) -> Poller {
        let key = |key: &'static str| at!["pollers", n, key].to_vec();
        self.name(&key("name"), &poller.name, names);
        if !(SHORTEST..=LONGEST).contains(&poller.every.0) {
            self.problem(&key("every"), "is not between 1s and 24h", "2m is usual");
        }
        if poller.matchers.len() > MOST {
            self.problem(&key("matchers"), format!("are more than {MOST}"), "one `=~` says what many `=` say");
        }
        // Alertmanager takes a broken one without a word, and tells nothing.
        for (m, matcher) in poller.matchers.iter().enumerate() {
            if let Err(error) = Matcher::parse(matcher) {
                let help = "write it as in Alertmanager's configuration: 'severity=~\"warning|critical\"'";
                self.problem(at!["pollers", n, "matchers", m], format!("cannot be read: {error}"), help);
            }
        }
        Poller {
            name: poller.name.clone(),
            url: self.address(&key("alertmanager"), &poller.alertmanager),
            every: poller.every.0,
            matchers: poller.matchers.clone(),
            severities: poller.severities.clone(),
            credential: self.poller_credential(n, poller),
        }
    }

    fn poller_credential(&mut self, n: usize, poller: &PollerKeys) -> Option<Credential> {
        match (&poller.auth.bearer, &poller.auth.basic) {
            (None, None) => None,
            (Some(token), None) => Some(Credential::Bearer(self.secret(at!["pollers", n, "auth", "bearer"], token))),
            (None, Some(basic)) => Some(Credential::Basic {
                username: basic.username.clone(),
                password: self.secret(at!["pollers", n, "auth", "basic", "password"], &basic.password),
            }),
            (Some(_), Some(_)) => {
                self.problem(at!["pollers", n, "auth", "basic"], "stands beside `bearer`", "keep one of them");
                None
            }
        }
    }

    /// A route for what no poller brings takes nothing, for ever.
    fn polled_routes(&mut self, names: &BTreeSet<String>) {
        for (n, route) in self.loaded.file.routes.iter().enumerate() {
            for (s, source) in route.sources.iter().enumerate() {
                let Some(name) = source.strip_prefix(POLLER).filter(|name| !names.contains(*name)) else { continue };
                let help = match nearest(name, names.iter().map(String::as_str)) {
                    Some(other) => format!("did you mean `{POLLER}{other}`?"),
                    None => "add it to `pollers`, or take it out".to_owned(),
                };
                let what = format!("names the poller `{name}`, which is not in `pollers`");
                self.problem(at!["routes", n, "sources", s], what, help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Credential, Poller, Sources};
    use crate::domain::Severity;
    use std::time::Duration;

    fn resolved(yaml: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(dir.path().join("f.yaml"), yaml).map_err(|e| e.to_string())?;
        let env = [("HOME", "/home/someone"), ("T", "t0ken-t0ken")];
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file: Some("f.yaml".into()), env, flags: vec![], cwd: dir.path().into() };
        sources.load().and_then(|loaded| loaded.resolve()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_poller_has_a_name_an_address_and_what_it_asks_for() {
        let yaml = "pollers:\n- {name: am, alertmanager: 'http://am:9093/prefix/'}\n\
            - name: other\n  alertmanager: https://am2\n  every: 30s\n  matchers: ['severity=~\"warning|critical\"', team!=db]\n\
            \x20 severities: [critical]\n  auth: {bearer: 'env:T'}\n\
            - {name: third, alertmanager: 'http://am3', auth: {basic: {username: u, password: 'env:T'}}}\n\
            routes: [{name: r, sources: [alertmanager, 'poller:am']}]\n";
        let config = resolved(yaml).unwrap();
        let [first, second, third] = &config.pollers[..] else { panic!("{:?}", config.pollers) };
        assert_eq!((first.url.as_str(), first.every), ("http://am:9093/prefix", Duration::from_secs(120)));
        assert!(first.matchers.is_empty() && first.severities.is_empty() && first.credential.is_none());
        assert_eq!((second.every, second.severities.as_slice()), (Duration::from_secs(30), &[Severity::Critical][..]));
        assert!(matches!(&second.credential, Some(Credential::Bearer(_))));
        assert!(matches!(&third.credential, Some(Credential::Basic { username, .. }) if username == "u"));
        assert!(config.secrets().iter().any(|secret| secret.expose() == "t0ken-t0ken"));
        assert!(!format!("{config:?}").contains("t0ken-t0ken"));
        // What makes a poller another one.
        let same = second.clone();
        assert_eq!(*second, same);
        let changed = |change: fn(&mut Poller)| {
            let mut other = second.clone();
            change(&mut other);
            other != *second
        };
        assert!(changed(|p| p.every *= 2) && changed(|p| p.matchers.clear()) && changed(|p| p.credential = None));
        assert!(changed(|p| p.credential = Some(Credential::Bearer(crate::domain::Secret::new("new", "env:T")))));
    }

    #[test]
    fn what_would_never_work_is_told_before_it_is_tried() {
        for (wrong, says) in [
            ("pollers: [{name: am}]", "needs the key `alertmanager`"),
            ("pollers: [{name: am, alertmanager: 'am:9093'}]", "is no address"),
            ("pollers: [{name: am, alertmanager: 'http://u:p@am'}]", "carries a credential"),
            ("pollers: [{name: 'a b', alertmanager: 'http://am'}]", "is no name"),
            ("pollers: [{name: a, alertmanager: 'http://am'}, {name: a, alertmanager: 'http://am'}]", "a second time"),
            ("pollers: [{name: a, alertmanager: 'http://am', every: 100ms}]", "is not between 1s and 24h"),
            ("pollers: [{name: a, alertmanager: 'http://am', matchers: ['alertname==']}]", "pollers[0].matchers[0]"),
            ("pollers: [{name: a, alertmanager: 'http://am', severities: [loud]}]", "pollers[0].severities"),
            (
                "pollers: [{name: a, alertmanager: 'http://am', auth: {bearer: hunter2}}]",
                "a secret is not written here",
            ),
            ("pollers: [{name: a, alertmanager: 'http://am', auth: {bearer: 'env:ABSENT'}}]", "ABSENT is not set"),
            (
                "pollers: [{name: a, alertmanager: 'http://am', auth: {bearer: 'env:T', basic: {username: u, password: 'env:T'}}}]",
                "keep one of them",
            ),
            ("pollers: [{name: a, alertmanager: 'http://am', token: 'env:T'}]", "is no key of the configuration"),
            (
                "pollers: [{name: main, alertmanager: 'http://am'}]\nroutes: [{name: r, sources: ['poller:mian']}]",
                "did you mean `poller:main`?",
            ),
            ("routes: [{name: r, sources: ['poller:am']}]", "is not in `pollers`"),
        ] {
            let error = resolved(wrong).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }
}
