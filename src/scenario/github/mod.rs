//! The recorded world's GitHub: one repository with true git ids, and what may be done with it.
//!
//! | file | idea |
//! |---|---|
//! | `git` | objects with the ids of git |
//! | `repository` | one repository and what may be done with it |
//! | `rest` | from method and path to an answer |
//! | `tell` | things of a repository in the words of the REST interface |
//! | `read` | a folder becomes a repository |

mod git;
mod read;
mod repository;
mod rest;
mod tell;

use super::serve::pairs;
use jiff::Timestamp;
use repository::Repository;
use serde_json::{Value, json};

pub(crate) use read::read;

/// A request, taken apart.
pub(super) struct Asked<'a> {
    method: &'a str,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: &'a Value,
    now: Timestamp,
    writable: bool,
}

impl Asked<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn time(&self, key: &str) -> Option<Timestamp> {
        self.text(key)?.parse().ok()
    }
}

/// What one request is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub status: u16,
    pub body: Value,
    /// There is another page.
    pub more: bool,
}

/// A pull request as it stands in a recorded world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPull {
    /// Its repository, `owner/name`.
    pub repo: String,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// The branch that it comes from.
    pub branch: String,
    /// What it changes, file by file.
    pub diff: String,
}

/// The recorded GitHub.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    repository: Repository,
    writable: bool,
}

impl Hub {
    /// The same one, taking changes.
    pub(crate) fn writable(self) -> Self {
        Self { writable: true, ..self }
    }

    /// `owner/name` of its repository.
    pub(crate) fn name(&self) -> &str {
        &self.repository.name
    }

    /// Every pull request.
    pub(crate) fn ledger(&self) -> Vec<RecordedPull> {
        let told = |issue: &repository::Issue| {
            let ends = issue.pull.as_ref()?;
            let text = |file: &Value, key: &str| file[key].as_str().unwrap_or_default().to_owned();
            let diff =
                self.repository.pull_changes(ends).iter().fold(String::new(), |all, file| {
                    format!("{all}{}\n{}\n", text(file, "filename"), text(file, "patch"))
                });
            Some(RecordedPull {
                repo: self.repository.name.clone(),
                number: issue.number,
                title: issue.title.clone(),
                branch: ends.0.clone(),
                diff,
            })
        };
        self.repository.issues.iter().filter_map(told).collect()
    }

    /// Answers one request to `target`, path and query, of somebody who has shown a token or not.
    pub(crate) fn answer(&mut self, method: &str, target: &str, with_token: bool, body: &[u8], now: Timestamp) -> Told {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix("/api/v3").unwrap_or(path);
        let asked = Asked {
            method,
            path: path.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: pairs(query),
            body: &body,
            now,
            writable: self.writable,
        };
        let answered = match with_token {
            true => rest::answer(&mut self.repository, &asked),
            false => repository::refusal(401, "Requires authentication"),
        };
        let (status, body, more) = answered.unwrap_or_else(|(status, message, errors)| {
            let mut body = json!({"message": message, "status": status.to_string()});
            if !errors.is_empty() {
                body["errors"] = errors.into();
            }
            (status, body, false)
        });
        Told { status, body, more }
    }
}

/// One part of a path: a query's value without `+`.
fn decoded(part: &str) -> String {
    let pair = pairs(&format!("x={}", part.replace('+', "%2B"))).into_iter().next();
    pair.map_or_else(|| part.to_owned(), |(_, value)| value)
}

#[cfg(test)]
impl Hub {
    /// A repository of one commit that takes changes.
    pub(super) fn small(files: &[(&str, &str)]) -> Self {
        let mut repository = Repository::new("acme/platform", "main");
        let date = "2026-04-01T12:00:00Z".parse().unwrap();
        let who = git::Signature { name: "Jane".into(), email: "jane@example.org".into(), date };
        let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (*path, Some(*text))).collect();
        repository.write(who, "Begin".into(), &files);
        Self { repository, writable: true }
    }

    /// Asks with a token.
    pub(super) fn ask(&mut self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let now = "2026-04-01T13:00:00Z".parse().unwrap();
        let told = self.answer(method, &format!("/api/v3/{target}"), true, body.to_string().as_bytes(), now);
        (told.status, told.body)
    }
}
