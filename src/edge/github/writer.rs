//! What may be changed in repositories. Each request asks the permit right before it is sent, goes to the
//! repository, branch or number that the permit's target names, and is sent once. Nothing is forced and
//! nothing is removed.

use super::PEER;
use super::answers::{Comment, GitCommit, Issue, Parent, Pull};
use super::client::{Asked, Client, Permissions, WRITE_COMMENTS, WRITE_ISSUES, WRITE_PULLS};
use super::names::Repo;
use crate::domain::Target;
use crate::edge::change::{Certainty, certainty};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::gate::{Permit, Refused};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The system of our targets.
pub const SYSTEM: &str = "github";
/// Rights in GitHub's words.
const CONTENTS: &str = "`Contents: write`";
const PULLS: &str = "`Pull requests: write`";
const ISSUES: &str = "`Issues: write`";

/// Changes repositories, with credentials of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    pub(super) client: Client,
    login: Arc<OnceCell<String>>,
}

/// Why nothing was made, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// The permit does not cover it: nothing was sent.
    #[error(transparent)]
    NotPermitted(#[from] Refused),
    /// GitHub, or the way to it.
    #[error(transparent)]
    Failed(#[from] EdgeError),
}

impl Unmade {
    /// GitHub said no, or nothing was sent: nothing happened.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::NotPermitted(_) => true,
            Self::Failed(error) => match error.kind() {
                EdgeErrorKind::Denied | EdgeErrorKind::NotFound | EdgeErrorKind::Invalid | EdgeErrorKind::Unserved => {
                    true
                }
                EdgeErrorKind::Status { code, .. } => certainty(*code) == Certainty::Refused,
                EdgeErrorKind::Unreachable
                | EdgeErrorKind::Timeout
                | EdgeErrorKind::TooLarge
                | EdgeErrorKind::BadBody => false,
            },
        }
    }

    /// GitHub finds the request at odds with what it has: 409 or 422.
    pub fn is_conflict(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        matches!(error.kind(), EdgeErrorKind::Status { code: 409 | 422, .. })
    }
}

/// One file of a new tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// From the root.
    pub path: String,
    /// `100644`, or `100755` for what can be run.
    pub mode: String,
    /// The blob; `None` removes the file.
    pub blob: Option<String>,
}

/// A new commit. The same content is the same commit, whenever it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit<'a> {
    /// Why.
    pub message: &'a str,
    /// What it holds.
    pub tree: &'a str,
    /// What it grows from.
    pub parent: &'a str,
    /// Who wrote it: a name and an address.
    pub author: (&'a str, &'a str),
    /// When.
    pub date: Timestamp,
}

/// What is to be done, and by whose leave.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// The leave.
    pub permit: &'a Permit,
    /// What is touched.
    pub target: &'a Target,
}

impl Writer {
    /// A writer by `client`.
    pub fn new(client: Client) -> Self {
        Self { client, login: Arc::default() }
    }

    /// The name under which what we write stands there.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn login(&self) -> Result<&str, EdgeError> {
        let found = self.login.get_or_try_init(async || {
            let (path, name, what) = match self.client.app() {
                Some(_) => (["app"], "slug", "the App itself"),
                None => (["user"], "login", "the account itself"),
            };
            let about: Value = self.client.read_as_self(&Asked::get(&path, what, "to belong to an account")).await?;
            match about[name].as_str() {
                Some(slug) if self.client.app().is_some() => Ok(format!("{slug}[bot]")),
                Some(login) => Ok(login.to_owned()),
                None => Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, "it does not say who we are")),
            }
        });
        found.await.map(String::as_str)
    }

    /// A blob that holds `bytes`. Gives its id.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_blob(&self, errand: Errand<'_>, bytes: &[u8]) -> Result<String, Unmade> {
        let body = json!({"content": BASE64.encode(bytes), "encoding": "base64"});
        let made: Parent =
            self.make(errand, "PullRequest", WRITE_PULLS, &["git", "blobs"], body, "a blob", CONTENTS).await?;
        Ok(made.sha)
    }

    /// The tree `base` with `changes`. Gives its id.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_tree(&self, errand: Errand<'_>, base: &str, changes: &[TreeChange]) -> Result<String, Unmade> {
        let entry =
            |change: &TreeChange| json!({"path": change.path, "mode": change.mode, "type": "blob", "sha": change.blob});
        let body = json!({"base_tree": base, "tree": changes.iter().map(entry).collect::<Vec<_>>()});
        let made: Parent =
            self.make(errand, "PullRequest", WRITE_PULLS, &["git", "trees"], body, "a tree", CONTENTS).await?;
        Ok(made.sha)
    }

    /// A commit that no branch holds yet.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_commit(&self, errand: Errand<'_>, commit: &NewCommit<'_>) -> Result<GitCommit, Unmade> {
        let (name, email) = commit.author;
        let who = json!({"name": name, "email": email, "date": commit.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
        let body = json!({"message": commit.message, "tree": commit.tree, "parents": [commit.parent], "author": who,
                          "committer": who});
        self.make(errand, "PullRequest", WRITE_PULLS, &["git", "commits"], body, "a commit", CONTENTS).await
    }

    /// The branch that the target names, at `commit`. It must not be there yet.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_branch(&self, errand: Errand<'_>, commit: &str) -> Result<(), Unmade> {
        let branch = &errand.target.name;
        let body = json!({"ref": format!("refs/heads/{branch}"), "sha": commit});
        let what = format!("the branch {branch}");
        let _: Value = self.make(errand, "PullRequest", WRITE_PULLS, &["git", "refs"], body, &what, CONTENTS).await?;
        Ok(())
    }

    /// A pull request from the branch that the target names into `base`.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_pull(&self, errand: Errand<'_>, base: &str, title: &str, text: &str) -> Result<Pull, Unmade> {
        let branch = &errand.target.name;
        let body = json!({"title": title, "head": branch, "base": base, "body": text, "maintainer_can_modify": true});
        let what = format!("a pull request from {branch}");
        self.make(errand, "PullRequest", WRITE_PULLS, &["pulls"], body, &what, PULLS).await
    }

    /// A comment on the issue or pull request whose number the target names.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_comment(&self, errand: Errand<'_>, on_pull: bool, text: &str) -> Result<Comment, Unmade> {
        let number = &errand.target.name;
        let (permissions, right) = commenting(on_pull);
        let what = format!("a comment on {number}");
        let path = ["issues", number, "comments"];
        self.make(errand, "Comment", permissions, &path, json!({"body": text}), &what, right).await
    }

    /// An issue.
    ///
    /// # Errors
    /// [`Unmade`].
    pub async fn create_issue(
        &self,
        errand: Errand<'_>,
        title: &str,
        text: &str,
        labels: &[String],
    ) -> Result<Issue, Unmade> {
        let body = json!({"title": title, "body": text, "labels": labels});
        self.make(errand, "Issue", WRITE_ISSUES, &["issues"], body, "an issue", ISSUES).await
    }

    /// Sends what makes something in the target's repository, once.
    #[allow(clippy::too_many_arguments, reason = "private; each is a part of one request")]
    async fn make<T: DeserializeOwned>(
        &self,
        errand: Errand<'_>,
        kind: &str,
        permissions: Permissions,
        path: &[&str],
        body: Value,
        what: &str,
        right: &'static str,
    ) -> Result<T, Unmade> {
        let Errand { permit, target } = errand;
        let invalid = |why: String| EdgeError::new(PEER, EdgeErrorKind::Invalid, why);
        if target.system != SYSTEM || target.kind != kind || target.verb != "create" {
            return Err(invalid(format!("{} is not what {what} is made of", target.label())).into());
        }
        let repo = Repo::parse(&target.namespace).map_err(|why| invalid(format!("{} {why}", target.namespace)))?;
        let whole: Vec<&str> = ["repos", repo.owner(), repo.name()].into_iter().chain(path.iter().copied()).collect();
        let asked = Asked::post(&whole, body, what, right);
        permit.covers(target, self.client.now())?;
        Ok(self.client.read(&repo, permissions, &asked).await?.0)
    }
}

/// What a comment needs.
pub(super) fn commenting(on_pull: bool) -> (Permissions, &'static str) {
    if on_pull { (WRITE_COMMENTS, PULLS) } else { (WRITE_ISSUES, ISSUES) }
}

/// The target of what is made in `repo`.
pub fn target(repo: &Repo, kind: &str, name: impl Into<String>) -> Target {
    Target {
        system: SYSTEM.to_owned(),
        namespace: repo.to_string(),
        kind: kind.to_owned(),
        name: name.into(),
        verb: "create".to_owned(),
        ..Target::default()
    }
}
