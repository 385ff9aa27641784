//! What can be looked at in a repository: nothing here changes anything.

use super::PEER;
use super::answers::{Changed, Commit, Content, Found, FoundFile, Pull, Rate, Repository, Tree};
use super::client::{Asked, Client, READ};
use super::names::Repo;
use crate::edge::error::{EdgeError, EdgeErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Rights in GitHub's words.
pub(super) const CONTENTS: &str = "`Contents: read`";
const PULLS: &str = "`Pull requests: read`";
/// Fragments around what a search found.
const TEXT_MATCHES: &str = "application/vnd.github.text-match+json";

/// Reads the repositories that are listed, and no others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) client: Client,
    repos: Vec<Repo>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// A file with its bytes.
    File(Content, Vec<u8>),
    /// A file that is larger than GitHub gives in one answer.
    Large(Content),
    /// A symlink or a submodule.
    Pointer(Content),
    /// A folder.
    Folder(Vec<Content>),
}

/// Which commits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commits<'a> {
    /// Those that touch this file or folder; empty is all.
    pub path: &'a str,
    /// Up to this branch, tag or commit; the default branch when `None`.
    pub at: Option<&'a str>,
    /// Not older.
    pub since: Timestamp,
    /// Not younger.
    pub until: Timestamp,
    /// Most of one page, 100 at most.
    pub limit: usize,
    /// Which page, from 1.
    pub page: usize,
}

/// Which pull requests are wanted, the most recently changed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulls<'a> {
    /// `open` or `closed`.
    pub state: &'static str,
    /// Those into this branch; any when `None`.
    pub base: Option<&'a str>,
    /// Most of one page, 100 at most.
    pub limit: usize,
    /// Which page, from 1.
    pub page: usize,
}

impl Reader {
    /// A reader of `repos`, by `client`.
    pub fn new(client: Client, repos: Vec<Repo>) -> Self {
        Self { client, repos }
    }

    /// What may be read.
    pub fn repos(&self) -> &[Repo] {
        &self.repos
    }

    /// Where the API is.
    pub fn address(&self) -> &str {
        self.client.address()
    }

    /// Who asks: the name of an account, or of an App.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn who_am_i(&self) -> Result<String, EdgeError> {
        match self.client.app() {
            Some(id) => {
                let asked = Asked::get(&["app"], "the App itself", "a private key of its own");
                let about: Value = self.client.read_as_self(&asked).await?;
                Ok(format!("App {} ({id})", about["slug"].as_str().unwrap_or("without a name")))
            }
            None => {
                let asked = Asked::get(&["user"], "the account itself", "to belong to an account");
                let about: Value = self.client.read_as_self(&asked).await?;
                Ok(about["login"].as_str().unwrap_or("somebody without a name").to_owned())
            }
        }
    }

    /// What is left of this hour's requests for `repo`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; a GitHub Enterprise without limits has none.
    pub async fn rate(&self, repo: &Repo) -> Result<Rate, EdgeError> {
        #[derive(Deserialize)]
        struct Limits {
            resources: Resources,
        }
        #[derive(Deserialize)]
        struct Resources {
            core: Rate,
        }
        let asked = Asked::get(&["rate_limit"], "the rate limit", "nothing");
        Ok(self.client.read::<Limits>(repo, READ, &asked).await?.0.resources.core)
    }

    /// What GitHub says of `repo`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn repository(&self, repo: &Repo) -> Result<Repository, EdgeError> {
        let path = ["repos", repo.owner(), repo.name()];
        let asked = Asked::get(&path, format!("the repository {repo}"), "`Metadata: read`");
        Ok(self.client.read(repo, READ, &asked).await?.0)
    }

    /// What stands at `path` (empty is the root) of `at`, or of the default branch.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn contents(&self, repo: &Repo, path: &str, at: Option<&str>) -> Result<Contents, EdgeError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Told {
            Folder(Vec<Content>),
            One(Box<Content>),
        }
        let mut parts = vec!["repos", repo.owner(), repo.name(), "contents"];
        parts.extend(path.split('/').filter(|part| !part.is_empty()));
        let shown = if path.is_empty() { "the root folder" } else { path };
        let what = format!("{shown}{}", at.map_or(String::new(), |at| format!(" at {at}")));
        let asked = Asked::get(&parts, what, CONTENTS).with("ref", at);
        let mut file = match self.client.read(repo, READ, &asked).await?.0 {
            Told::Folder(entries) => return Ok(Contents::Folder(entries)),
            Told::One(one) => *one,
        };
        match (file.kind.as_str(), file.encoding.as_deref()) {
            ("file", Some("base64")) => {
                let bytes = unpacked(&file.content.take().unwrap_or_default(), path)?;
                Ok(Contents::File(file, bytes))
            }
            ("file", _) => Ok(Contents::Large(file)),
            _ => Ok(Contents::Pointer(file)),
        }
    }

    /// Every path of `at`, or of the default branch.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn tree(&self, repo: &Repo, at: Option<&str>) -> Result<Tree, EdgeError> {
        let at = at.unwrap_or("HEAD");
        let path = ["repos", repo.owner(), repo.name(), "git", "trees", at];
        let asked = Asked::get(&path, format!("the tree of {at}"), CONTENTS).with("recursive", Some(1));
        Ok(self.client.read(repo, READ, &asked).await?.0)
    }

    /// Files of `repo` that hold `words`, below `path` if it is not empty, on the default branch. Whatever
    /// the words are, they stay words: no other repository is searched.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn search(
        &self,
        repo: &Repo,
        words: &[&str],
        path: &str,
        limit: usize,
        page: usize,
    ) -> Result<Found, EdgeError> {
        let odd = |text: &&str| text.contains(['"', '\\']) || text.chars().any(char::is_control);
        // Without colons no word can become a qualifier, whoever reads it; a search looks past them anyway.
        let plain = words.iter().flat_map(|word| word.split(':')).filter(|word| !word.is_empty());
        let mut query: String = plain.map(|word| format!("\"{word}\" ")).collect();
        if query.is_empty() || words.iter().chain([&path]).any(odd) {
            let text = "a search is of words without quotation marks and backslashes";
            return Err(EdgeError::new(PEER, EdgeErrorKind::Invalid, text));
        }
        query.push_str(&format!("repo:{repo}"));
        if !path.is_empty() {
            query.push_str(&format!(" path:\"{path}\""));
        }
        let mut asked = Asked::get(&["search", "code"], format!("a search in {repo}"), CONTENTS)
            .with("q", Some(query))
            .with("per_page", Some(limit))
            .with("page", Some(page));
        asked.accept = Some(TEXT_MATCHES);
        let mut found: Found = self.client.read(repo, READ, &asked).await?.0;
        let of_repo = |file: &FoundFile| Repo::parse(&file.repository.full_name).is_ok_and(|of| of == *repo);
        found.items.retain(of_repo);
        Ok(found)
    }

    /// Commits, youngest first, and whether there is a next page. Their files are not told.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn commits(&self, repo: &Repo, wanted: Commits<'_>) -> Result<(Vec<Commit>, bool), EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "commits"];
        let asked = Asked::get(&path, format!("the commits of {repo}"), CONTENTS)
            .with("sha", wanted.at)
            .with("path", Some(wanted.path).filter(|path| !path.is_empty()))
            .with("since", Some(seconds(wanted.since)))
            .with("until", Some(seconds(wanted.until)))
            .with("per_page", Some(wanted.limit))
            .with("page", Some(wanted.page));
        self.client.read(repo, READ, &asked).await
    }

    /// One commit with what it changes, and whether it changes more files than are told.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn commit(&self, repo: &Repo, at: &str) -> Result<(Commit, bool), EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "commits", at];
        self.client.read(repo, READ, &Asked::get(&path, format!("the commit {at}"), CONTENTS)).await
    }

    /// Pull requests, and whether there is a next page.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn pulls(&self, repo: &Repo, wanted: Pulls<'_>) -> Result<(Vec<Pull>, bool), EdgeError> {
        let path = ["repos", repo.owner(), repo.name(), "pulls"];
        let asked = Asked::get(&path, format!("the pull requests of {repo}"), PULLS)
            .with("state", Some(wanted.state))
            .with("sort", Some("updated"))
            .with("direction", Some("desc"))
            .with("base", wanted.base)
            .with("per_page", Some(wanted.limit))
            .with("page", Some(wanted.page));
        self.client.read(repo, READ, &asked).await
    }

    /// One pull request.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn pull(&self, repo: &Repo, number: u64) -> Result<Pull, EdgeError> {
        let shown = number.to_string();
        let path = ["repos", repo.owner(), repo.name(), "pulls", &shown];
        Ok(self.client.read(repo, READ, &Asked::get(&path, format!("pull request {number}"), PULLS)).await?.0)
    }

    /// The first hundred files that a pull request changes, and whether there are more.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn pull_files(&self, repo: &Repo, number: u64) -> Result<(Vec<Changed>, bool), EdgeError> {
        let shown = number.to_string();
        let path = ["repos", repo.owner(), repo.name(), "pulls", &shown, "files"];
        let asked = Asked::get(&path, format!("the files of pull request {number}"), PULLS);
        self.client.read(repo, READ, &asked.with("per_page", Some(100))).await
    }
}

/// The bytes of base64 in lines.
pub(super) fn unpacked(written: &str, path: &str) -> Result<Vec<u8>, EdgeError> {
    let packed: Vec<u8> = written.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64
        .decode(packed)
        .map_err(|_| EdgeError::new(PEER, EdgeErrorKind::BadBody, format!("what it says {path} holds is no base64")))
}

/// RFC 3339 without a fraction, which GitHub does not take everywhere.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
