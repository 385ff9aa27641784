//! The keys under `pollers`: Alertmanagers that are asked for their alerts.

use super::Credential;
use super::file::Basic;
use super::secret::Reference;
use super::units::Span;
use crate::domain::Severity;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As serde sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PollerKeys {
    pub name: String,
    pub alertmanager: String,
    #[serde(default = "two_minutes")]
    pub every: Span,
    #[serde(default)]
    pub matchers: Vec<String>,
    #[serde(default)]
    pub severities: Vec<Severity>,
    #[serde(default)]
    pub auth: Auth,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub bearer: Option<Reference>,
    pub basic: Option<Basic>,
}

fn two_minutes() -> Span {
    Span::seconds(120)
}

/// An Alertmanager that is asked for its alerts.
#[derive(Debug, Clone)]
pub struct Poller {
    /// Its name, unique; `poller:NAME` in routes.
    pub name: String,
    /// The Alertmanager's address, without a slash at its end.
    pub url: String,
    /// How often it is asked.
    pub every: Duration,
    /// Alertmanager matchers; all must hold.
    pub matchers: Vec<String>,
    /// Severities; empty is any.
    pub severities: Vec<Severity>,
    /// How it is to be asked.
    pub credential: Option<Credential>,
}

/// With the value of its credential: another one is another poller.
impl PartialEq for Poller {
    fn eq(&self, other: &Self) -> bool {
        fn shown(credential: &Credential) -> (&str, &str) {
            let user = match credential {
                Credential::Basic { username, .. } => username.as_str(),
                Credential::Bearer(_) | Credential::ApiKey(_) => "",
            };
            (user, credential.secret().expose())
        }
        let settings =
            |of: &Self| (of.name.clone(), of.url.clone(), of.every, of.matchers.clone(), of.severities.clone());
        settings(self) == settings(other) && self.credential.as_ref().map(shown) == other.credential.as_ref().map(shown)
    }
}
