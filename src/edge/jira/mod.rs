//! Jira: Cloud by version 3 of its API, Server and Data Center by version 2.
//!
//! - here: where it is, which projects count, and one bounded question;
//! - [`jql`]: a query that cannot leave these projects;
//! - [`read`]: issues and what belongs to them;
//! - [`write`]: one entry of one issue, with a permit.

pub mod jql;
pub mod read;
pub mod write;

pub use read::{Found, Who};
pub use write::JiraWriter;

use super::error::{EdgeError, EdgeErrorKind};
use super::http::{Auth, HttpAnswer, HttpPeer, Limits, Unanswered, Verb};
use serde_json::Value;
use std::time::Duration;

const PEER: &str = "jira";
/// Cloud's addresses end so.
const CLOUD: &str = ".atlassian.net";
/// Longest key of a project or number of an issue.
const PART: usize = 20;

/// Which of the two Jiras it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// Atlassian's own: version 3, texts as documents.
    Cloud,
    /// Server or Data Center: version 2, texts as wiki markup.
    Server,
}

impl Deployment {
    /// What an address says by itself.
    pub fn of(url: &str) -> Self {
        let host = host_of(url);
        match host.split(':').next().is_some_and(|name| name.to_ascii_lowercase().ends_with(CLOUD)) {
            true => Self::Cloud,
            false => Self::Server,
        }
    }
}

/// Reads the issues of some projects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JiraReader {
    peer: HttpPeer,
    deployment: Deployment,
    projects: Vec<String>,
    limits: Limits,
}

impl JiraReader {
    /// The Jira at `url`, of which `projects` count; the first one is ours, where nothing else is said.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address, or no project or a malformed one is named.
    pub fn new(
        url: &str,
        auth: Option<Auth>,
        deployment: Deployment,
        projects: Vec<String>,
    ) -> Result<Self, EdgeError> {
        let limits = Limits { total: Duration::from_secs(15), body_bytes: 4 << 20 };
        let peer = HttpPeer::fixed(PEER, url, auth)?;
        if projects.is_empty() || !projects.iter().all(|project| is_project(project)) {
            return Err(peer.error(EdgeErrorKind::Invalid, "name a project by its key, OPS for instance"));
        }
        Ok(Self { peer, deployment, projects, limits })
    }

    /// Which of the two Jiras it is.
    pub fn deployment(&self) -> Deployment {
        self.deployment
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// Its name and port, by which policies know it.
    pub fn host(&self) -> &str {
        host_of(self.peer.address())
    }

    /// The projects that count, ours first.
    pub fn projects(&self) -> &[String] {
        &self.projects
    }

    /// Where people see the issue `key`.
    pub fn page(&self, key: &str) -> String {
        format!("{}/browse/{key}", self.address())
    }

    /// The project of the issue `key`, if it counts.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when it is no key, [`EdgeErrorKind::Denied`] when it is another
    /// project's.
    pub fn project_of(&self, key: &str) -> Result<&str, EdgeError> {
        let project = split(key).map(|(project, _)| project).ok_or_else(|| {
            self.peer.error(EdgeErrorKind::Invalid, "that is no key of an issue; write it like OPS-12")
        })?;
        self.listed(project)
    }

    /// The project `key`, if it counts.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Denied`] when it does not.
    pub fn listed(&self, key: &str) -> Result<&str, EdgeError> {
        let found = self.projects.iter().find(|listed| *listed == key);
        found.map(String::as_str).ok_or_else(|| {
            let text = format!("only these projects count here: {} (tools.jira)", self.projects.join(", "));
            self.peer.error(EdgeErrorKind::Denied, &text)
        })
    }

    /// The same Jira, of which only `project` counts: a query that names a project which the account may
    /// not see finds nothing at all.
    ///
    /// # Errors
    /// As [`Self::listed`].
    pub fn only(&self, project: &str) -> Result<Self, EdgeError> {
        Ok(Self { projects: vec![self.listed(project)?.to_owned()], ..self.clone() })
    }

    fn path(&self, rest: &str) -> String {
        let version = match self.deployment {
            Deployment::Cloud => 3,
            Deployment::Server => 2,
        };
        format!("/rest/api/{version}/{rest}")
    }

    async fn ask(
        &self,
        verb: Verb,
        rest: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<HttpAnswer, Unanswered> {
        self.peer.json(verb, &self.path(rest), query, body, self.limits).await
    }

    /// The JSON at `rest`; what is not there is `None`.
    async fn look(&self, rest: &str, query: &[(&str, &str)]) -> Result<Option<Value>, EdgeError> {
        let answer = self.ask(Verb::Get, rest, query, None).await.map_err(|unanswered| unanswered.error)?;
        match answer.status {
            404 if is_own(&answer) => Ok(None),
            // A proxy that lost its Jira knows nothing of what is there.
            404 => {
                let text = format!("something in front of {} answers 404; try again later", self.address());
                Err(self.peer.error(EdgeErrorKind::Unreachable, &text))
            }
            _ => self.parsed(&answer).map(Some),
        }
    }

    /// The body of a good answer.
    fn parsed(&self, answer: &HttpAnswer) -> Result<Value, EdgeError> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            let text = format!("what {} answers is no JSON; is it a Jira?", self.address());
            self.peer.error(EdgeErrorKind::BadBody, &text)
        })
    }

    fn refused(&self, answer: &HttpAnswer) -> EdgeError {
        let (code, words) = (answer.status, said(answer));
        let told = |help: &str| match words.is_empty() {
            true => format!("it answers {code}; {help}"),
            false => format!("it answers {code}: {words}; {help}"),
        };
        match code {
            400 => self.peer.error(EdgeErrorKind::Invalid, &format!("it finds the request wrong: {words}")),
            401 => self.peer.error(EdgeErrorKind::Denied, &told("check tools.jira.username and token")),
            403 => {
                let help = "its account lacks the right, or Jira wants a login by hand first (CAPTCHA)";
                self.peer.error(EdgeErrorKind::Denied, &told(help))
            }
            404 => self.peer.error(EdgeErrorKind::NotFound, &told("it is not there, or its account may not see it")),
            _ => {
                let kind = EdgeErrorKind::Status { code, reason: String::new() };
                self.peer.error(kind, told("try again later").trim_end_matches("; "))
            }
        }
    }
}

/// Whether Jira itself says no: it gives its reasons in a list.
fn is_own(answer: &HttpAnswer) -> bool {
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body["errorMessages"].is_array())
}

/// Jira's own words: messages, then what is wrong with each field.
fn said(answer: &HttpAnswer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let messages = body["errorMessages"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let fields = body["errors"].as_object().into_iter().flatten();
    let fields = fields.map(|(field, why)| format!("{field}: {}", why.as_str().unwrap_or_default()));
    messages.chain(fields).take(10).collect::<Vec<_>>().join("; ")
}

/// `jira.example.org:8443` of an address.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Whether `text` is the key of a project.
pub fn is_project(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    text.len() <= PART && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(plain)
}

/// Project and number of an issue's key.
pub fn split(key: &str) -> Option<(&str, u64)> {
    let (project, number) = key.rsplit_once('-')?;
    let plain = !number.starts_with('0') && number.len() <= PART && number.bytes().all(|b| b.is_ascii_digit());
    Some((project, number.parse().ok().filter(|_| plain)?)).filter(|_| is_project(project))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_which_jira_it_is() {
        for (url, expected) in [
            ("https://acme.atlassian.net", Deployment::Cloud),
            ("https://ACME.Atlassian.NET/x", Deployment::Cloud),
            ("https://acme.atlassian.net:443", Deployment::Cloud),
            ("https://jira.example.org/jira", Deployment::Server),
            ("https://acme.atlassian.net.evil.org", Deployment::Server),
            ("https://jira.example.org/.atlassian.net", Deployment::Server),
        ] {
            assert_eq!(Deployment::of(url), expected, "{url}");
        }
    }

    #[test]
    fn only_keys_of_listed_projects_count() {
        let url = "https://jira.example.org/jira";
        let jira = JiraReader::new(url, None, Deployment::Server, vec!["OPS".into(), "IN_2".into()]).unwrap();
        assert_eq!(
            (jira.host(), jira.page("OPS-1").as_str()),
            ("jira.example.org", "https://jira.example.org/jira/browse/OPS-1")
        );
        for (key, expected) in [
            ("OPS-12", Some("OPS")),
            ("IN_2-1", Some("IN_2")),
            ("HR-1", None),
            ("OPS-1/../../user", None),
            ("OPS-", None),
            ("OPS-012", None),
            ("OPS-1?x=1", None),
            ("ops-1", None),
            ("OPS", None),
        ] {
            assert_eq!(jira.project_of(key).ok(), expected, "{key}");
        }
        for wrong in [vec![], vec!["ops".to_owned()], vec!["A\" OR 1".to_owned()]] {
            assert!(JiraReader::new(url, None, Deployment::Server, wrong).is_err());
        }
    }
}
