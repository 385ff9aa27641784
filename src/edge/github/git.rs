//! Git's own objects, read one by one: what a change is worked out from.

use super::answers::{Changed, Commit, GitCommit, Parent, Tree};
use super::client::{Asked, READ};
use super::names::Repo;
use super::reader::{CONTENTS, Commits, Reader, unpacked};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use jiff::Timestamp;
use serde::Deserialize;

/// Commits of a branch that are looked through for one.
const BACK: usize = 100;

impl Reader {
    /// The commit that the branch `name` is at; `None` when there is no such branch.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn branch(&self, repo: &Repo, name: &str) -> Result<Option<String>, EdgeError> {
        #[derive(Deserialize)]
        struct Ref {
            object: Parent,
        }
        let mut path = vec!["repos", repo.owner(), repo.name(), "git", "ref", "heads"];
        path.extend(name.split('/'));
        let asked = Asked::get(&path, format!("the branch {name}"), CONTENTS);
        match self.client.read::<Ref>(repo, READ, &asked).await {
            Ok((found, _)) => Ok(Some(found.object.sha)),
            Err(error) if *error.kind() == EdgeErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The commit `id` as git keeps it.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn git_commit(&self, repo: &Repo, id: &str) -> Result<GitCommit, EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "git", "commits", id];
        Ok(self.client.read(repo, READ, &Asked::get(&path, format!("the commit {id}"), CONTENTS)).await?.0)
    }

    /// What stands right in the tree `id`, without what is below.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn git_tree(&self, repo: &Repo, id: &str) -> Result<Tree, EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "git", "trees", id];
        Ok(self.client.read(repo, READ, &Asked::get(&path, format!("the tree {id}"), CONTENTS)).await?.0)
    }

    /// The bytes of the blob `id`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn git_blob(&self, repo: &Repo, id: &str) -> Result<Vec<u8>, EdgeError> {
        #[derive(Deserialize)]
        struct Blob {
            content: String,
            encoding: String,
        }
        let path = ["repos", repo.owner(), repo.name(), "git", "blobs", id];
        let asked = Asked::get(&path, format!("the blob {id}"), CONTENTS);
        let Blob { content, encoding } = self.client.read(repo, READ, &asked).await?.0;
        match encoding.as_str() {
            "base64" => unpacked(&content, id),
            _ => Ok(content.into_bytes()),
        }
    }

    /// Whether the branch `name` holds the commit `id` among its last hundred.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn holds(&self, repo: &Repo, name: &str, id: &str) -> Result<bool, EdgeError> {
        let (since, until) = (Timestamp::UNIX_EPOCH, self.client.now() + jiff::SignedDuration::from_hours(48));
        let wanted = Commits { path: "", at: Some(name), since, until, limit: BACK, page: 1 };
        let (found, _): (Vec<Commit>, bool) = self.commits(repo, wanted).await?;
        Ok(found.iter().any(|commit| commit.sha == id))
    }

    /// What the commit `id` changes; `None` when it is more than GitHub tells.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn changed_by(&self, repo: &Repo, id: &str) -> Result<Option<Vec<Changed>>, EdgeError> {
        let (commit, more) = self.commit(repo, id).await?;
        Ok((!more).then_some(commit.files))
    }
}
