//! A folder becomes a repository: `git/repository.yaml` names its commits, oldest first, and each has
//! a folder of the files that it writes.

use super::super::error::{Place, ScenarioError};
use super::super::folder::Folder;
use super::super::{about, shift::Shift};
use super::Hub;
use super::git::Signature;
use super::repository::Repository;
use jiff::Timestamp;
use serde::Deserialize;

const FILE: &str = "git/repository.yaml";
const MAX_COMMITS: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `owner/name`.
    name: String,
    /// The default branch.
    branch: String,
    /// Oldest first.
    commits: Vec<WrittenCommit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCommit {
    author: String,
    email: String,
    date: Timestamp,
    message: String,
    /// The folder beside, with the files that it writes.
    files: String,
    /// Files that it removes.
    #[serde(default)]
    removes: Vec<String>,
}

/// The repository of a world, if it has one.
pub(crate) fn read(folder: &Folder, shift: Shift) -> Result<Option<Hub>, ScenarioError> {
    let place = Place { scenario: &folder.name, file: FILE };
    let Some(text) = folder.files.get(FILE) else { return Ok(None) };
    let written: Written = about::parse(place, text)?;
    if written.name.split('/').filter(|part| !part.is_empty()).count() != 2 {
        return Err(place.broken("key `name`", "is not owner/name"));
    }
    if written.commits.is_empty() || written.commits.len() > MAX_COMMITS {
        return Err(place.broken("key `commits`", format!("holds none, or more than {MAX_COMMITS}")));
    }
    let mut repository = Repository::new(&written.name, &written.branch);
    for commit in written.commits {
        let below = format!("git/{}/", commit.files);
        let texts: Vec<(&str, String)> = folder
            .under(&below, "")
            .filter_map(|(path, text)| Some((path.strip_prefix(&below)?, shift.text(text).into_owned())))
            .collect();
        if texts.is_empty() && commit.removes.is_empty() {
            return Err(place.broken("key `files`", format!("names `{}`, a folder with nothing in it", commit.files)));
        }
        let writes = texts.iter().map(|(path, text)| (*path, Some(text.as_str())));
        let all: Vec<(&str, Option<&str>)> =
            writes.chain(commit.removes.iter().map(|path| (path.as_str(), None))).collect();
        let who = Signature { name: commit.author, email: commit.email, date: shift.instant(commit.date) };
        repository.write(who, commit.message, &all);
    }
    Ok(Some(Hub { repository, writable: false }))
}
