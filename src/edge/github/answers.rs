//! The parts of GitHub's answers that are read. What else stands there, and what is missing where
//! another server speaks the same API, does no harm.

use serde::{Deserialize, Serialize};

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// `owner/name` as GitHub writes it.
    pub full_name: String,
    /// The branch that is meant when none is named.
    #[serde(default)]
    pub default_branch: String,
    /// Not everybody may read it.
    #[serde(default)]
    pub private: bool,
    /// Nothing can be changed in it any more.
    #[serde(default)]
    pub archived: bool,
    /// What whoever asks may do there; some servers do not say.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

/// What an account may do in a repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Permissions {
    /// Push branches.
    #[serde(default)]
    pub push: bool,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Rate {
    /// Requests of an hour.
    pub limit: u64,
    /// Of these, what is left.
    pub remaining: u64,
}

/// One thing in a folder, or the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Content {
    /// `file`, `dir`, `symlink` or `submodule`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its path from the root.
    pub path: String,
    /// The git id of what it holds.
    pub sha: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// What it holds, where one file was asked for; empty when it is larger than 1 MiB.
    #[serde(default)]
    pub content: Option<String>,
    /// How `content` is written: `base64`, or `none`.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Where a symlink points.
    #[serde(default)]
    pub target: Option<String>,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// All paths of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tree {
    /// Files and folders.
    pub tree: Vec<TreeEntry>,
    /// There are more than GitHub lists.
    #[serde(default)]
    pub truncated: bool,
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TreeEntry {
    /// From the root.
    pub path: String,
    /// `blob`, `tree` or `commit`, which is a submodule.
    #[serde(rename = "type")]
    pub kind: String,
    /// `120000` is a symlink.
    #[serde(default)]
    pub mode: String,
    /// Its git id.
    #[serde(default)]
    pub sha: String,
    /// Bytes of a blob.
    #[serde(default)]
    pub size: Option<u64>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Commit {
    /// Its id.
    pub sha: String,
    /// Who, when and why.
    pub commit: CommitBody,
    /// The account that wrote it, where it is one.
    #[serde(default)]
    pub author: Option<Account>,
    /// Its parents.
    #[serde(default)]
    pub parents: Vec<Parent>,
    /// What it changes; only when it was asked for alone.
    #[serde(default)]
    pub files: Vec<Changed>,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// Who, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommitBody {
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<Signature>,
    /// Who put it there.
    #[serde(default)]
    pub committer: Option<Signature>,
    /// Why.
    #[serde(default)]
    pub message: String,
    /// What it holds.
    pub tree: Parent,
}

/// A name and a moment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Signature {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// RFC 3339.
    #[serde(default)]
    pub date: String,
}

/// Another git object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Parent {
    /// Its id.
    pub sha: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Its name.
    pub login: String,
}

/// A file that a commit or pull request changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its path.
    pub filename: String,
    /// `added`, `modified`, `removed`, `renamed` and others.
    #[serde(default)]
    pub status: String,
    /// Lines that came.
    #[serde(default)]
    pub additions: u64,
    /// Lines that went.
    #[serde(default)]
    pub deletions: u64,
    /// Its path before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_filename: Option<String>,
    /// The change itself; missing where it is large or no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

impl Changed {
    /// Whether it lies at or below `path`, now or before; everything lies below the root.
    pub fn touches(&self, path: &str) -> bool {
        let within = |name: &str| {
            path.is_empty() || name == path || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        within(&self.filename) || self.previous_filename.as_deref().is_some_and(within)
    }
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// What is said of it.
    #[serde(default)]
    pub body: Option<String>,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// Not meant to be merged yet.
    #[serde(default)]
    pub draft: bool,
    /// Nobody may comment any more.
    #[serde(default)]
    pub locked: bool,
    /// Who opened it.
    #[serde(default)]
    pub user: Option<Account>,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// RFC 3339; `None` when it is not merged.
    #[serde(default)]
    pub merged_at: Option<String>,
    /// The commit that merged it.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
    /// What it is to be merged.
    pub head: Branch,
    /// Where it is merged to.
    pub base: Branch,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// One side of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Branch {
    /// The branch.
    #[serde(rename = "ref", default)]
    pub name: String,
    /// Its commit.
    #[serde(default)]
    pub sha: String,
}

/// A commit as git keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GitCommit {
    /// Its id.
    pub sha: String,
    /// What it holds.
    pub tree: Parent,
    /// Its parents.
    #[serde(default)]
    pub parents: Vec<Parent>,
    /// Why.
    #[serde(default)]
    pub message: String,
}

/// An issue, or a pull request as one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// What is said of it.
    #[serde(default)]
    pub body: Option<String>,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// Nobody may comment any more.
    #[serde(default)]
    pub locked: bool,
    /// Who opened it.
    #[serde(default)]
    pub user: Option<Account>,
    /// It is a pull request.
    #[serde(default)]
    pub pull_request: Option<serde_json::Value>,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// What it says.
    #[serde(default)]
    pub body: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub user: Option<Account>,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// How many in all.
    pub total_count: u64,
    /// GitHub ran out of time.
    #[serde(default)]
    pub incomplete_results: bool,
    /// The files of this page.
    pub items: Vec<FoundFile>,
}

/// A file that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundFile {
    /// Its path.
    pub path: String,
    /// Where it is.
    pub repository: Repository,
    /// The places that fit.
    #[serde(default)]
    pub text_matches: Vec<TextMatch>,
    /// Its page for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

/// A place that fits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TextMatch {
    /// What stands there.
    #[serde(default)]
    pub fragment: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_touches_the_folders_it_lies_in_and_came_from() {
        let changed = Changed {
            filename: "clusters/prod/app.yaml".into(),
            status: "renamed".into(),
            additions: 1,
            deletions: 0,
            previous_filename: Some("old/app.yaml".into()),
            patch: None,
        };
        for (path, touches) in [
            ("", true),
            ("clusters", true),
            ("clusters/prod/app.yaml", true),
            ("old", true),
            ("clusters/pro", false),
            ("clusters/prod/app.yaml/x", false),
            ("app.yaml", false),
        ] {
            assert_eq!(changed.touches(path), touches, "{path}");
        }
    }
}
