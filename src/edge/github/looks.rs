//! Whether something that was to be made is there already. Nothing here changes anything; it is asked with
//! the writer's credential, which sees what it made.

use super::PEER;
use super::answers::{Comment, Issue, Pull};
use super::client::{Asked, Permissions, WRITE_ISSUES, WRITE_PULLS};
use super::names::Repo;
use super::writer::{Writer, commenting};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use serde::de::DeserializeOwned;

/// Pages of a hundred that are looked through.
const PAGES: usize = 30;

impl Writer {
    /// Pull requests from `branch` of the repository itself, whatever became of them.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn pulls_from(&self, repo: &Repo, branch: &str) -> Result<Vec<Pull>, EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "pulls"];
        let what = format!("the pull requests from {branch}");
        let asked = Asked::get(&path, what, "`Pull requests: read`")
            .with("head", Some(format!("{}:{branch}", repo.owner())))
            .with("state", Some("all"));
        let mut found: Vec<Pull> = self.all(repo, WRITE_PULLS, &asked).await?;
        found.retain(|pull| pull.head.name == branch);
        Ok(found)
    }

    /// The issue `number`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn issue(&self, repo: &Repo, number: u64) -> Result<Issue, EdgeError> {
        let shown = number.to_string();
        let path = ["repos", repo.owner(), repo.name(), "issues", &shown];
        let (permissions, right) = commenting(false);
        Ok(self.client.read(repo, permissions, &Asked::get(&path, format!("number {number}"), right)).await?.0)
    }

    /// All comments on the issue or pull request `number`, oldest first.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn comments(&self, repo: &Repo, number: u64, is_pull: bool) -> Result<Vec<Comment>, EdgeError> {
        let shown = number.to_string();
        let path = ["repos", repo.owner(), repo.name(), "issues", &shown, "comments"];
        let (permissions, right) = commenting(is_pull);
        self.all(repo, permissions, &Asked::get(&path, format!("the comments on {number}"), right)).await
    }

    /// Issues that `login` opened, youngest first: the last hundred.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn issues_of(&self, repo: &Repo, login: &str) -> Result<Vec<Issue>, EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "issues"];
        let asked = Asked::get(&path, format!("the issues of {login}"), "`Issues: read`")
            .with("creator", Some(login))
            .with("state", Some("all"))
            .with("sort", Some("created"))
            .with("direction", Some("desc"))
            .with("per_page", Some(100));
        Ok(self.client.read(repo, WRITE_ISSUES, &asked).await?.0)
    }

    /// Every page; more than are looked through is an error, for what is sought could stand behind.
    async fn all<T: DeserializeOwned>(
        &self,
        repo: &Repo,
        permissions: Permissions,
        asked: &Asked<'_>,
    ) -> Result<Vec<T>, EdgeError> {
        let mut found = vec![];
        for page in 1..=PAGES {
            let asked = asked.clone().with("per_page", Some(100)).with("page", Some(page));
            let (mut items, more): (Vec<T>, bool) = self.client.read(repo, permissions, &asked).await?;
            found.append(&mut items);
            if !more {
                return Ok(found);
            }
        }
        let text = format!("{} are more than {}", asked.what, PAGES * 100);
        Err(EdgeError::new(PEER, EdgeErrorKind::TooLarge, text))
    }
}
