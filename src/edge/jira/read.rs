//! Issues and what belongs to them.

use super::jql::confined;
use super::{Deployment, JiraReader, Verb, split};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use serde_json::{Value, json};

/// Most comments that are read at once.
pub const COMMENTS: u64 = 100;
/// The permissions that the tools need.
pub const NEEDED: [&str; 5] = ["BROWSE_PROJECTS", "CREATE_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES", "LINK_ISSUES"];

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// What names it for ever: an account id, a user's key.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Issues that were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As Jira gives them: `key` and `fields`.
    pub issues: Vec<Value>,
    /// There are more.
    pub more: bool,
}

impl Who {
    fn of(user: &Value) -> Option<Self> {
        let id = ["accountId", "key", "name"].iter().find_map(|field| user[*field].as_str())?;
        let name = ["displayName", "emailAddress", "name"].iter().find_map(|field| user[*field].as_str());
        Some(Self { id: id.to_owned(), name: name.unwrap_or(id).to_owned() })
    }

    /// Whether `user`, as Jira tells it, is this account.
    pub fn is(&self, user: &Value) -> bool {
        Self::of(user).is_some_and(|other| other.id == self.id)
    }
}

impl JiraReader {
    /// Whose credential it is.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; [`EdgeErrorKind::Denied`] when it is nobody's.
    pub async fn myself(&self) -> Result<Who, EdgeError> {
        let told = self.look("myself", &[]).await?.unwrap_or_default();
        let nobody = || self.peer.error(EdgeErrorKind::BadBody, "it does not say who we are; is it a Jira?");
        Who::of(&told).ok_or_else(nobody)
    }

    /// The project `key`, with the names of its types of issues.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; [`EdgeErrorKind::NotFound`] when it may not be seen.
    pub async fn project(&self, key: &str) -> Result<Vec<String>, EdgeError> {
        let key = self.listed(key)?;
        let Some(told) = self.look(&format!("project/{key}"), &[]).await? else {
            let text = format!("there is no project {key}, or its account may not see it");
            return Err(self.peer.error(EdgeErrorKind::NotFound, &text));
        };
        let types = told["issueTypes"].as_array().into_iter().flatten().filter(|kind| kind["subtask"] != true);
        Ok(types.filter_map(|kind| kind["name"].as_str()).map(str::to_owned).collect())
    }

    /// Which of [`NEEDED`] the account has in the project `key`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn permissions(&self, key: &str) -> Result<Vec<(&'static str, bool)>, EdgeError> {
        let query = [("projectKey", self.listed(key)?), ("permissions", &NEEDED.join(","))];
        let told = self.look("mypermissions", &query).await?.unwrap_or_default();
        Ok(NEEDED.map(|name| (name, told["permissions"][name]["havePermission"] == true)).to_vec())
    }

    /// Issues of the projects that count that fit `jql`, with `fields`.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the query is wrong.
    pub async fn search(&self, jql: &str, fields: &[&str], most: usize) -> Result<Found, EdgeError> {
        let jql = confined(jql, &self.projects).map_err(|why| self.peer.error(EdgeErrorKind::Invalid, &why))?;
        let rest = match self.deployment {
            Deployment::Cloud => "search/jql",
            Deployment::Server => "search",
        };
        let body = json!({"jql": jql, "fields": fields, "maxResults": most});
        let answer = self.ask(Verb::Post, rest, &[], Some(&body)).await.map_err(|unanswered| unanswered.error)?;
        let told = self.parsed(&answer)?;
        let Some(listed) = told["issues"].as_array() else {
            return Err(self.peer.error(EdgeErrorKind::BadBody, "its answer has no issues; is it a Jira?"));
        };
        let counts = |issue: &&Value| issue["key"].as_str().is_some_and(|key| self.project_of(key).is_ok());
        let issues: Vec<Value> = listed.iter().filter(counts).take(most).cloned().collect();
        let more = told["nextPageToken"].is_string()
            || told["total"].as_u64().is_some_and(|total| total > listed.len() as u64)
            || listed.len() > most;
        Ok(Found { issues, more })
    }

    /// The issue `key` with `fields`; `expand` as Jira calls it. Jira gives an issue that moved by its old
    /// key, too: it is in another project by now than the key says, so it is not taken for this one, and
    /// one in a project that does not count is not ours to see.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; [`EdgeErrorKind::Invalid`] when it moved.
    pub async fn issue(&self, key: &str, fields: &[&str], expand: &str) -> Result<Value, EdgeError> {
        self.project_of(key)?;
        let query = [("fields", fields.join(",")), ("expand", expand.to_owned())];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let Some(issue) = self.look(&format!("issue/{key}"), &query).await? else {
            let text = format!("there is no issue {key}, or its account may not see it");
            return Err(self.peer.error(EdgeErrorKind::NotFound, &text));
        };
        let stands = issue["key"].as_str().unwrap_or_default();
        self.project_of(stands)?;
        match stands == key {
            true => Ok(issue),
            false => {
                let text = format!("{key} was moved and is {stands} by now; name it so");
                Err(self.peer.error(EdgeErrorKind::Invalid, &text))
            }
        }
    }

    /// The last comments of an issue, oldest first, and how many there are.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn comments(&self, key: &str) -> Result<(Vec<Value>, u64), EdgeError> {
        let (first, total) = self.comments_from(key, 0, COMMENTS).await?;
        // Both Jiras give the oldest first: of many comments the last ones are asked for apart.
        match total.saturating_sub(COMMENTS) {
            0 => Ok((first, total)),
            start => self.comments_from(key, start, COMMENTS).await,
        }
    }

    /// At most `most` comments of an issue behind the first `start`, oldest first, and how many there are.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn comments_from(&self, key: &str, start: u64, most: u64) -> Result<(Vec<Value>, u64), EdgeError> {
        self.project_of(key)?;
        let query = [("startAt", start.to_string()), ("maxResults", most.to_string())];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let told = self.look(&format!("issue/{key}/comment"), &query).await?.unwrap_or_default();
        let total = told["total"].as_u64().unwrap_or_default();
        Ok((told["comments"].as_array().cloned().unwrap_or_default(), total))
    }

    /// The ways on from an issue's status, as the account may take them.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn transitions(&self, key: &str) -> Result<Vec<Value>, EdgeError> {
        self.project_of(key)?;
        let told = self.look(&format!("issue/{key}/transitions"), &[]).await?.unwrap_or_default();
        Ok(told["transitions"].as_array().cloned().unwrap_or_default())
    }

    /// The links of an issue that lead out of Jira; only the one called `global_id`, where that is given.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn remote_links(&self, key: &str, global_id: Option<&str>) -> Result<Vec<Value>, EdgeError> {
        self.project_of(key)?;
        let query: Vec<(&str, &str)> = global_id.map(|id| ("globalId", id)).into_iter().collect();
        let told = self.look(&format!("issue/{key}/remotelink"), &query).await?.unwrap_or_default();
        Ok(match told {
            Value::Array(links) => links,
            Value::Object(link) => vec![Value::Object(link)],
            _ => vec![],
        })
    }

    /// What stands in the issue's property `name`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn issue_property(&self, key: &str, name: &str) -> Result<Option<Value>, EdgeError> {
        self.project_of(key)?;
        let told = self.look(&format!("issue/{key}/properties/{name}"), &[]).await?;
        Ok(told.map(|mut told| told["value"].take()))
    }

    /// What stands in the comment's property `name`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn comment_property(&self, comment: &str, name: &str) -> Result<Option<Value>, EdgeError> {
        if comment.is_empty() || !comment.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(None);
        }
        let told = self.look(&format!("comment/{comment}/properties/{name}"), &[]).await?;
        Ok(told.map(|mut told| told["value"].take()))
    }
}

/// Of several issues, the one with the lowest number.
pub fn oldest(keys: &[String]) -> Option<&String> {
    keys.iter().min_by_key(|key| split(key).map_or(u64::MAX, |(_, number)| number))
}
