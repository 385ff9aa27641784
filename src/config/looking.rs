//! The peers of the reading tools beside cluster and Prometheus.

use super::Credential;
use super::file::{JiraDeployment, ProbeMethod};
use crate::domain::Secret;
use crate::edge::github::Repo;
use std::path::PathBuf;
use std::time::Duration;

/// A Loki.
#[derive(Debug, Clone)]
pub struct Loki {
    /// Its address, without a slash at its end.
    pub url: String,
    /// How it is to be asked.
    pub credential: Option<Credential>,
    /// The tenant to ask as.
    pub tenant: Option<String>,
}

/// An Alertmanager.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    /// Its address, without a slash at its end.
    pub url: String,
    /// How it is to be asked.
    pub credential: Option<Credential>,
    /// Alerts may be silenced.
    pub write: bool,
    /// How long one silence may last.
    pub longest_silence: Duration,
}

/// An Elasticsearch or OpenSearch.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// Its address, without a slash at its end.
    pub url: String,
    /// How it is to be asked.
    pub credential: Option<Credential>,
    /// Names and patterns of what may be searched; at least one.
    pub indices: Vec<String>,
    /// The field that holds a document's time.
    pub time_field: String,
}

/// A service that may be probed.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// What a call names.
    pub name: String,
    /// What is asked.
    pub url: String,
    /// How it is asked.
    pub method: ProbeMethod,
    /// The status that is right; `None` is any below 400.
    pub expect_status: Option<u16>,
    /// From the look-up of the name to the last byte.
    pub timeout: Duration,
    /// Sent with it. All values are kept as secrets: many are.
    pub headers: Vec<(String, Secret)>,
}

/// Repositories that GitHub keeps.
#[derive(Debug, Clone)]
pub struct Github {
    /// The API's address, without a slash at its end.
    pub base_url: String,
    /// Who we are there.
    pub credential: GithubCredential,
    /// What may be read; at least one.
    pub repos: Vec<Repo>,
    /// As whom something is changed there, where that is permitted.
    pub write: Option<GithubCredential>,
}

/// Who we are at GitHub.
#[derive(Debug, Clone)]
pub enum GithubCredential {
    /// Whoever a token belongs to.
    Token(Secret),
    /// An App.
    App {
        /// Its number or its client id.
        id: String,
        /// Its private key in PEM.
        private_key: Secret,
    },
}

impl GithubCredential {
    /// The secret in it.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Token(secret) | Self::App { private_key: secret, .. } => secret,
        }
    }
}

/// A Jira.
#[derive(Debug, Clone)]
pub struct Jira {
    /// Its address, without a slash at its end.
    pub url: String,
    /// Which of the two it is; `None` is what the address says.
    pub deployment: Option<JiraDeployment>,
    /// How it is to be asked.
    pub credential: Option<Credential>,
    /// Keys of the projects that count, ours first.
    pub projects: Vec<String>,
    /// The type of new issues.
    pub issue_type: String,
    /// Issues may be written.
    pub write: bool,
}

/// Where runbooks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbooks {
    /// Hosts whose pages may be read.
    pub hosts: Vec<String>,
    /// A folder of Markdown files.
    pub dir: Option<PathBuf>,
}
