//! Query parameters: only those that a path knows, each at most once, each understood.

use super::Problem;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use std::fmt::Display;
use std::str::FromStr;

/// Rows of a list without `limit`.
const DEFAULT_LIMIT: u32 = 50;
/// Most rows of a list.
const MAX_LIMIT: u32 = 1_000;
/// Longest value, in bytes.
const MAX_VALUE: usize = 1_024;

/// The query of a request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query =
            query.map_err(|_| Problem::bad_request("The query string cannot be read. Encode it as `key=value&…`."))?;
        Ok(Self(query.0))
    }
}

impl Params {
    /// Refuses what is not in `names`.
    ///
    /// # Errors
    /// When a name is unknown or there twice, or a value is too long.
    pub(super) fn only(self, names: &[&str]) -> Result<Self, Problem> {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let name: String = name.chars().take(80).collect();
            if !names.contains(&name.as_str()) {
                return Err(Problem::bad_request(format!(
                    "There is no query parameter `{name}` here. Known: {known}."
                )));
            }
            if self.0[..index].iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_request(format!("Query parameter `{name}` is there twice. Give it once.")));
            }
            if value.len() > MAX_VALUE {
                return Err(Problem::bad_request(format!(
                    "Query parameter `{name}` is longer than {MAX_VALUE} bytes."
                )));
            }
        }
        Ok(self)
    }

    /// The value of `name`; empty is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.clone())
    }

    /// The value of `name`, read as a `T`.
    ///
    /// # Errors
    /// When it cannot be read; says what is expected.
    pub(super) fn read<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let shown: String = text.chars().take(80).collect();
        let wrong = |_| Problem::bad_request(format!("`{name}={shown}` is not understood. Expected: {expected}."));
        text.parse().map(Some).map_err(wrong)
    }

    /// After which row a page begins: an id of the listed kind, as it is written in the store.
    ///
    /// # Errors
    /// When it is no such id; says what is expected.
    pub(super) fn cursor<Id: FromStr + Display>(&self, expected: &str) -> Result<Option<String>, Problem> {
        Ok(self.read::<Id>("cursor", expected)?.map(|id| id.to_string()))
    }

    /// How many rows are wanted.
    ///
    /// # Errors
    /// When it is no number or out of bounds.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        let expected = "a number from 1 to 1000";
        match self.read::<u32>("limit", expected)? {
            None => Ok(DEFAULT_LIMIT),
            Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
            Some(limit) => {
                Err(Problem::bad_request(format!("`limit={limit}` is out of bounds. Expected: {expected}.")))
            }
        }
    }
}
