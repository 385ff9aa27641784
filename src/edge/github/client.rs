//! One exchange with GitHub, signed for one repository, bounded in time and size. It is sent once:
//! whoever asked decides whether to ask again.

use super::PEER;
use super::app::App;
use super::names::Repo;
use super::refusal::{self, Headers};
use super::transport::{self, BODY_BYTES, TOTAL};
use crate::domain::{Clock, Secret};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::http::causes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Method, request};
use http_body_util::{BodyExt as _, LengthLimitError};
use jiff::Timestamp;
use octocrab::Octocrab;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// How we say who we are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A personal access token, or any other that GitHub takes as `Bearer`.
    Token(Secret),
    /// A GitHub App.
    App {
        /// Its number or its client id.
        id: String,
        /// Its private key in PEM.
        private_key: Secret,
    },
}

/// What a token of an App is to permit, by GitHub's names: no more than the call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions(pub &'static [(&'static str, &'static str)]);

/// What looking needs.
pub const READ: Permissions = Permissions(&[("contents", "read"), ("pull_requests", "read")]);

/// What a pull request needs: commits, a branch, and itself.
pub const WRITE_PULLS: Permissions = Permissions(&[("contents", "write"), ("pull_requests", "write")]);

/// What an issue needs, and a comment on one.
pub const WRITE_ISSUES: Permissions = Permissions(&[("issues", "write")]);

/// What a comment on a pull request needs.
pub const WRITE_COMMENTS: Permissions = Permissions(&[("pull_requests", "write")]);

/// A question to GitHub.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The method.
    pub method: Method,
    /// The path below the API's address, in parts that are encoded here.
    pub path: Vec<&'a str>,
    /// The query.
    pub query: Vec<(&'a str, String)>,
    /// The body, as JSON.
    pub body: Option<Value>,
    /// The media type that is wanted; GitHub's own when `None`.
    pub accept: Option<&'static str>,
    /// What is asked for, in words: `clusters/app.yaml at main` for instance.
    pub what: String,
    /// The right that it needs, in GitHub's words.
    pub right: &'static str,
}

impl<'a> Asked<'a> {
    /// A question that only looks.
    pub fn get(path: &[&'a str], what: impl Into<String>, right: &'static str) -> Self {
        let (query, body, accept) = (vec![], None, None);
        Self { method: Method::GET, path: path.to_vec(), query, body, accept, what: what.into(), right }
    }

    /// A request that makes something: `body`.
    pub fn post(path: &[&'a str], body: Value, what: impl Into<String>, right: &'static str) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path, what, right) }
    }

    /// The same with one more parameter, unless it is `None`.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Path and query as they are sent.
    fn uri(&self) -> String {
        // Any address will do: it only encodes.
        let Ok(mut url) = Url::parse("http://localhost/") else { return String::new() };
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }
}

/// What GitHub answered with a status of success.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// There is a next page.
    pub more: bool,
}

/// An answer of any status.
struct Raw {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

/// Asks GitHub. Cheap to clone. Made and used within one Tokio runtime.
#[derive(Clone)]
pub struct Client {
    octocrab: Octocrab,
    address: String,
    holder: Holder,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
enum Holder {
    Token(Secret),
    App(Arc<App>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("github::Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// The API at `address`: `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the address or the credential cannot work.
    pub fn new(address: &str, credential: Credential, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let base = self::address(address)
            .map_err(|why| EdgeError::new(PEER, EdgeErrorKind::Invalid, format!("its address {why}")))?;
        let holder = match credential {
            Credential::Token(token) => Holder::Token(token),
            Credential::App { id, private_key } => Holder::App(Arc::new(App::new(&id, &private_key)?)),
        };
        let address = base.as_str().trim_end_matches('/').to_owned();
        let client = Self { octocrab: transport::octocrab(base)?, address, holder, clock };
        // A token that no header can hold is told now, not in the middle of an incident.
        match &client.holder {
            Holder::Token(token) => bearer(token).map(|_| client),
            Holder::App(_) => Ok(client),
        }
    }

    /// Where the API is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The present moment, by the clock that signs.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The id of the App that asks, if it is one.
    pub fn app(&self) -> Option<&str> {
        match &self.holder {
            Holder::App(app) => Some(app.id()),
            Holder::Token(_) => None,
        }
    }

    /// Asks for something of `repo`, with no more than `permissions` where they can be chosen.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; an answer without success is one, too.
    pub async fn ask(&self, repo: &Repo, permissions: Permissions, asked: &Asked<'_>) -> Result<Answered, EdgeError> {
        let raw = match &self.holder {
            Holder::Token(token) => self.exchange(token, asked).await?,
            Holder::App(app) => {
                let token = self.token(app, repo, permissions).await?;
                match self.exchange(&token, asked).await? {
                    // It was taken back before its time. What is refused so was not done.
                    Raw { status: 401, .. } => {
                        app.forget(&token).await;
                        let token = self.token(app, repo, permissions).await?;
                        self.exchange(&token, asked).await?
                    }
                    raw => raw,
                }
            }
        };
        self.accepted(raw, Some(repo), asked)
    }

    /// The same, read as `T`.
    ///
    /// # Errors
    /// As [`Self::ask`], and [`EdgeErrorKind::BadBody`].
    pub async fn read<T: DeserializeOwned>(
        &self,
        repo: &Repo,
        permissions: Permissions,
        asked: &Asked<'_>,
    ) -> Result<(T, bool), EdgeError> {
        let answered = self.ask(repo, permissions, asked).await?;
        Ok((self.parse(asked, &answered)?, answered.more))
    }

    /// Asks as ourselves, for nothing of a repository: as the App, or with the token.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_as_self<T: DeserializeOwned>(&self, asked: &Asked<'_>) -> Result<T, EdgeError> {
        let credential = match &self.holder {
            Holder::Token(token) => token.clone(),
            Holder::App(app) => app.signed(self.clock.now())?,
        };
        let raw = self.exchange(&credential, asked).await?;
        self.parse(asked, &self.accepted(raw, None, asked)?)
    }

    async fn token(&self, app: &App, repo: &Repo, permissions: Permissions) -> Result<Secret, EdgeError> {
        let now = self.clock.now();
        app.token(repo, permissions, now, async || {
            let signed = app.signed(now)?;
            let path = ["repos", repo.owner(), repo.name(), "installation"];
            let asked = Asked::get(&path, format!("an installation of the App on {repo}"), "to be installed on it");
            let raw = self.exchange(&signed, &asked).await?;
            let installation: Value = self.parse(&asked, &self.accepted(raw, Some(repo), &asked)?)?;
            let id = installation["id"].as_u64().unwrap_or_default().to_string();
            let mut asked = Asked::get(
                &["app", "installations", &id, "access_tokens"],
                format!("a token for {repo}"),
                "the permissions that are asked for",
            );
            asked.method = Method::POST;
            let wanted: serde_json::Map<String, Value> =
                permissions.0.iter().map(|(name, level)| ((*name).to_owned(), json!(level))).collect();
            asked.body = Some(json!({"repositories": [repo.name()], "permissions": wanted}));
            let raw = self.exchange(&signed, &asked).await?;
            let given: Value = self.parse(&asked, &self.accepted(raw, Some(repo), &asked)?)?;
            let until = given["expires_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            match (given["token"].as_str(), until) {
                (Some(token), Some(until)) => Ok((Secret::new(token, "GitHub App"), until)),
                _ => {
                    Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, "it gave no token; is base_url that of its API?"))
                }
            }
        })
        .await
    }

    /// Sends it once, whatever the answer.
    async fn exchange(&self, credential: &Secret, asked: &Asked<'_>) -> Result<Raw, EdgeError> {
        let invalid = |_| EdgeError::new(PEER, EdgeErrorKind::Invalid, format!("{} is no address", asked.what));
        let request = request::Builder::new()
            .method(asked.method.clone())
            .uri(asked.uri())
            .header(ACCEPT, asked.accept.unwrap_or("application/vnd.github+json"))
            .header(AUTHORIZATION, bearer(credential)?);
        let request = self.octocrab.build_request(request, asked.body.as_ref()).map_err(invalid)?;
        let answer = self.octocrab.execute(request).await.map_err(|e| self.failed(&e))?;
        let (parts, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.map_err(|e| self.failed(&e))?.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
        Ok(Raw { status: parts.status.as_u16(), headers: Headers::read(&parts.headers), body: bytes })
    }

    fn accepted(&self, raw: Raw, repo: Option<&Repo>, asked: &Asked<'_>) -> Result<Answered, EdgeError> {
        match raw.status {
            status @ 200..300 => Ok(Answered { status, body: raw.body, more: raw.headers.more }),
            status => Err(refusal::refused(status, &raw.headers, &raw.body, asked, repo, self.clock.now())),
        }
    }

    fn failed(&self, error: &octocrab::Error) -> EdgeError {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut words = None;
        while let Some(error) = cause {
            if error.is::<LengthLimitError>() {
                let text = format!("its answer is larger than {BODY_BYTES} bytes; ask for less");
                return EdgeError::new(PEER, EdgeErrorKind::TooLarge, text);
            }
            if let Some(error) = error.downcast_ref::<reqwest::Error>() {
                if error.is_timeout() && !error.is_connect() {
                    let text = format!("no answer from {} within {} s; try again", self.address, TOTAL.as_secs());
                    return EdgeError::new(PEER, EdgeErrorKind::Timeout, text);
                }
                words = Some(causes(error));
            }
            cause = error.source();
        }
        let words = words.unwrap_or_else(|| "the connection broke".to_owned());
        let text = format!("{} cannot be reached ({words}); check tools.github.base_url and the network", self.address);
        EdgeError::new(PEER, EdgeErrorKind::Unreachable, text)
    }

    fn parse<T: DeserializeOwned>(&self, asked: &Asked<'_>, answered: &Answered) -> Result<T, EdgeError> {
        serde_json::from_slice(&answered.body).map_err(|e| {
            let text = format!(
                "the answer of {} about {} is none of GitHub's ({e}); is tools.github.base_url that of its API?",
                self.address, asked.what
            );
            EdgeError::new(PEER, EdgeErrorKind::BadBody, text)
        })
    }
}

/// The address of an API, without query.
///
/// # Errors
/// What is wrong with it; never the address itself, which may hold a credential.
pub fn address(text: &str) -> Result<Url, &'static str> {
    let mut base = Url::parse(text.trim()).map_err(|_| "is no address: write https://HOST/api/v3")?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err("carries a credential: configure it as `token` or `app`");
    }
    if !is_private(&base) {
        return Err("would send the credential in the clear: write https:// (plain http on this machine only)");
    }
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Whether nobody between can read along: encrypted, or on this machine.
fn is_private(address: &Url) -> bool {
    let loopback = match address.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    address.scheme() == "https" || (address.scheme() == "http" && loopback)
}

fn bearer(credential: &Secret) -> Result<HeaderValue, EdgeError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", credential.expose().trim()));
    let mut value = value.map_err(|_| {
        let text = format!("the token ({}) holds what no header can; write it again", credential.origin());
        EdgeError::new(PEER, EdgeErrorKind::Invalid, text)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
