//! Alertmanager by version 2 of its API.
//!
//! - here: its alerts and silences, in bounded questions;
//! - [`silence`]: what a silence is, and what it is for;
//! - [`list`]: the alerts of one group, and those of a poll;
//! - [`write`]: one silence more, or one less, with a permit.

mod list;
pub mod silence;
pub mod write;

pub use list::Told;
pub use silence::{Held, Matcher, State, Wanted};
pub use write::AlertmanagerWriter;

use super::error::{EdgeError, EdgeErrorKind, shorten};
use super::http::{Auth, HttpAnswer, HttpPeer, Limits, Unanswered, Verb};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const PEER: &str = "alertmanager";
/// Longest name of a silence; it becomes a part of a path.
const ID: usize = 64;
/// Most bytes of what an error repeats.
const WORDS: usize = 300;

/// The labels of an alert.
pub type Labels = BTreeMap<String, String>;

/// Reads alerts and silences. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlertmanagerReader {
    peer: HttpPeer,
    limits: Limits,
    /// Where its address and its credential are configured.
    keys: (String, String),
}

#[derive(Deserialize)]
struct Alert {
    labels: Labels,
}

impl AlertmanagerReader {
    /// The Alertmanager at `url`, which may have a path prefix.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address.
    pub fn new(url: &str, auth: Option<Auth>) -> Result<Self, EdgeError> {
        let limits = Limits { total: Duration::from_secs(15), body_bytes: 8 << 20 };
        let keys = ("tools.alertmanager.url".to_owned(), "tools.alertmanager.bearer or basic".to_owned());
        Ok(Self { peer: HttpPeer::fixed(PEER, url, auth)?, limits, keys })
    }

    /// The same; its errors say that its address and its credential are configured there.
    #[must_use]
    pub fn configured(self, url: &str, credential: &str) -> Self {
        Self { keys: (url.to_owned(), credential.to_owned()), ..self }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// Its name and port, by which policies know it.
    pub fn host(&self) -> &str {
        let rest = self.address().split_once("://").map_or(self.address(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Its version.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn version(&self) -> Result<String, EdgeError> {
        let told: Value = self.look("status", &[]).await?;
        let version = told["versionInfo"]["version"].as_str().unwrap_or("of an unknown version");
        Ok(version.chars().filter(|c| !c.is_control()).take(60).collect())
    }

    /// The labels of the alerts that fire now and fit all of `matchers`, silenced ones among them. What
    /// fits is for Alertmanager to say: nobody else reads its patterns as it does.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn alerts(&self, matchers: &[Matcher]) -> Result<Vec<Labels>, EdgeError> {
        let alerts: Vec<Alert> = self.look("alerts", matchers).await?;
        Ok(alerts.into_iter().map(|alert| alert.labels).collect())
    }

    /// The silences that hold each of `matchers` word for word; those that are over, too, for as long as
    /// Alertmanager remembers them.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn silences(&self, matchers: &[Matcher]) -> Result<Vec<Held>, EdgeError> {
        self.look("silences", matchers).await
    }

    /// One silence; `None` when Alertmanager does not know it. It says so with a 404 without a word:
    /// any other 404 is from whoever stands before it, and says nothing of the silence.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn silence(&self, id: &str) -> Result<Option<Held>, EdgeError> {
        let answer = self.answer(&self.path_of(id)?, &[]).await?;
        match answer.status {
            404 if answer.body.is_empty() => Ok(None),
            404 => {
                let words = said(&answer);
                let text =
                    format!("404 is not its own answer, but that of a proxy before it: {words}; try again later");
                Err(self.peer.error(EdgeErrorKind::Unreachable, &text))
            }
            _ => self.parsed(&answer).map(Some),
        }
    }

    fn path_of(&self, id: &str) -> Result<String, EdgeError> {
        match is_id(id) {
            true => Ok(format!("silence/{id}")),
            false => Err(self.peer.error(EdgeErrorKind::Invalid, "that is no name of a silence")),
        }
    }

    async fn look<T: DeserializeOwned>(&self, rest: &str, matchers: &[Matcher]) -> Result<T, EdgeError> {
        self.parsed(&self.answer(rest, matchers).await?)
    }

    async fn answer(&self, rest: &str, matchers: &[Matcher]) -> Result<HttpAnswer, EdgeError> {
        let filters: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
        let query: Vec<(&str, &str)> = filters.iter().map(|filter| ("filter", filter.as_str())).collect();
        self.ask(Verb::Get, rest, &query, None).await.map_err(|unanswered| unanswered.error)
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &HttpAnswer) -> Result<T, EdgeError> {
        if answer.status != 200 {
            return Err(self.refused(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let text = format!("what {} answers is none of Alertmanager's ({error})", self.address());
            self.peer.error(EdgeErrorKind::BadBody, &text)
        })
    }

    async fn ask(
        &self,
        verb: Verb,
        rest: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<HttpAnswer, Unanswered> {
        self.peer.json(verb, &Self::path(rest), query, body, self.limits).await
    }

    fn path(rest: &str) -> String {
        format!("/api/v2/{rest}")
    }

    fn refused(&self, answer: &HttpAnswer) -> EdgeError {
        let (code, words) = (answer.status, said(answer));
        let (url, credential) = &self.keys;
        let (kind, help) = match code {
            400 | 422 => (EdgeErrorKind::Invalid, "it finds the request wrong".to_owned()),
            401 | 403 => (EdgeErrorKind::Denied, format!("check {credential}")),
            404 | 405 => (EdgeErrorKind::NotFound, format!("it is not there; check {url} and its path prefix")),
            _ => (EdgeErrorKind::Status { code, reason: String::new() }, "try again later".to_owned()),
        };
        let words = if words.is_empty() { words } else { format!(": {words}") };
        self.peer.error(kind, &format!("it answers {code}{words}; {help}"))
    }
}

/// Alertmanager's own words: a bare JSON string, or plain text from whoever stands before it.
fn said(answer: &HttpAnswer) -> String {
    let text = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::String(text)) => text,
        Ok(other) => other["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    shorten(&text.split_whitespace().collect::<Vec<_>>().join(" "), WORDS).into_owned()
}

/// Whether `text` can be the name of a silence.
fn is_id(text: &str) -> bool {
    (1..=ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{Asked, http, peer};
    use super::*;
    use crate::domain::Secret;

    fn answering(status: u16, body: &'static str) -> (AlertmanagerReader, Asked) {
        let (address, asked) = peer(move |_| http(status, "application/json", body.as_bytes()));
        let auth = Some(Auth::Bearer(Secret::new("t0ken", "env:T")));
        (AlertmanagerReader::new(&format!("{address}/am"), auth).unwrap(), asked)
    }

    #[tokio::test]
    async fn alerts_and_silences_are_asked_for_by_matchers() {
        let (reader, asked) = answering(200, r#"[{"labels":{"alertname":"A","pod":"p"},"status":{"state":"active"}}]"#);
        let matchers = [Matcher::equal("alertname", "A \"b\""), Matcher::pattern("pod", "p-[0-9]+")];
        let alerts = reader.alerts(&matchers).await.unwrap();
        assert_eq!((alerts.len(), alerts[0]["pod"].as_str()), (1, "p"));
        let asked = asked.lock().unwrap().remove(0);
        let wanted =
            "GET /am/api/v2/alerts?filter=alertname%3D%22A+%5C%22b%5C%22%22&filter=pod%3D%7E%22p-%5B0-9%5D%2B%22 ";
        assert!(asked.starts_with(wanted) && asked.contains("authorization: Bearer t0ken"), "{asked}");

        let body = r#"[{"id":"a-1","status":{"state":"active"},"updatedAt":"2026-11-20T10:00:00.000Z","comment":"c",
            "createdBy":"ann","startsAt":"2026-11-20T10:00:00.123Z","endsAt":"2026-11-20T12:00:00.000Z",
            "matchers":[{"name":"alertname","value":"A","isRegex":false},
                        {"name":"pod","value":"p.*","isRegex":true,"isEqual":false}]}]"#;
        let (reader, _) = answering(200, body);
        let held = reader.silences(&[]).await.unwrap().remove(0);
        assert_eq!((held.id.as_str(), held.state(), held.created_by.as_str()), ("a-1", State::Active, "ann"));
        let shown: Vec<String> = held.matchers.iter().map(Matcher::to_string).collect();
        assert_eq!(shown, ["alertname=\"A\"", "pod!~\"p.*\""]);
        assert_eq!(reader.host().split(':').next(), Some("127.0.0.1"));
    }

    #[tokio::test]
    async fn its_version_is_told_and_errors_say_what_to_do() {
        let (reader, _) = answering(200, r#"{"versionInfo":{"version":"0.25.0"},"cluster":{"status":"disabled"}}"#);
        assert_eq!(reader.version().await.unwrap(), "0.25.0");
        for (status, body, kind) in [
            (400, r#""bad matcher format""#, EdgeErrorKind::Invalid),
            (401, "Unauthorized", EdgeErrorKind::Denied),
            (404, "404 page not found", EdgeErrorKind::NotFound),
            (500, r#""oops""#, EdgeErrorKind::Status { code: 500, reason: String::new() }),
            (200, "<html>", EdgeErrorKind::BadBody),
            (200, r#"[{"id":"a"}]"#, EdgeErrorKind::BadBody),
        ] {
            let (reader, _) = answering(status, body);
            let error = reader.silences(&[]).await.unwrap_err();
            assert_eq!(*error.kind(), kind, "{status} {body}: {error}");
        }
        for (body, known) in [
            ("", Some(false)),
            ("404 page not found", None),
            ("<html>", None),
            ("default backend - 404", None),
            (r#"{"message":"no Route matched"}"#, None),
        ] {
            let (reader, _) = answering(404, body);
            let told = reader.silence("a-1").await;
            assert_eq!(told.clone().ok().map(|held| held.is_some()), known, "{body}: {told:?}");
            assert!(known.is_some() || told.unwrap_err().is_transient(), "{body}");
        }
        let (reader, asked) = answering(200, "{}");
        for id in ["", "../alerts", "a b", "a?b"] {
            assert_eq!(*reader.silence(id).await.unwrap_err().kind(), EdgeErrorKind::Invalid, "{id}");
        }
        assert!(asked.lock().unwrap().is_empty());
    }
}
