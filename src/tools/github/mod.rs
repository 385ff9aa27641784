//! Repositories that GitHub keeps: only those that the configuration lists.
//!
//! - [`file`], [`tree`], [`search`], [`commits`], [`pulls`]: the tools that look
//! - [`act`]: pull requests, comments and issues
//! - [`change`]: what a commit or pull request changes, in few words

pub mod act;
mod change;
pub mod commits;
pub mod file;
pub mod pulls;
pub mod search;
pub mod tree;

#[cfg(test)]
mod tests;

use super::prometheus::time::{Written, text, window};
use super::runbooks::html::visible;
use super::spec::{ReadTool, Seen, ToolError, ToolSpec};
use crate::domain::Clock;
use crate::edge::github::{Reader, Repo, names};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 5] = ["github_file", "github_tree", "github_search_code", "github_commits", "github_pulls"];
/// The window when none is given, in seconds.
const WINDOW: f64 = 7.0 * 86_400.0;
/// Questions that one call asks side by side: GitHub dislikes bursts.
const AT_ONCE: usize = 4;
/// Repositories that a parameter's description names.
const NAMED: usize = 20;

/// What every tool here works with.
#[derive(Debug, Clone)]
pub struct Hub {
    spec: Arc<ToolSpec>,
    reader: Reader,
    clock: Arc<dyn Clock>,
}

/// The tool that `spec` runs, if it is one of ours. Its parameters name the repositories that there are.
pub fn build(spec: Arc<ToolSpec>, reader: Reader, clock: Arc<dyn Clock>) -> Option<Box<dyn ReadTool>> {
    let hub = Hub::on(&spec, reader, clock);
    Some(match spec.builtin.as_str() {
        "github_file" => Box::new(file::File(hub)),
        "github_tree" => Box::new(tree::Tree(hub)),
        "github_search_code" => Box::new(search::Search(hub)),
        "github_commits" => Box::new(commits::Commits(hub)),
        "github_pulls" => Box::new(pulls::Pulls(hub)),
        _ => return None,
    })
}

impl Hub {
    /// What the tool of `spec` works with, its parameters named.
    fn on(spec: &ToolSpec, reader: Reader, clock: Arc<dyn Clock>) -> Self {
        let mut told = spec.clone();
        if let Some(repo) = told.params.pointer_mut("/properties/repo").and_then(Value::as_object_mut) {
            let names: Vec<String> = reader.repos().iter().take(NAMED).map(Repo::to_string).collect();
            let more = if reader.repos().len() > NAMED { " and others" } else { "" };
            repo.insert("description".to_owned(), format!("One of {}{more}", names.join(", ")).into());
        }
        Self { spec: Arc::new(told), reader, clock }
    }

    /// The repository of a call: one of the list, or its only one.
    fn repo(&self, asked: Option<&str>) -> Result<&Repo, ToolError> {
        let repos = self.reader.repos();
        let known = || repos.iter().map(Repo::to_string).collect::<Vec<_>>().join(", ");
        match (asked, repos) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ToolError::invalid(format!("repo: which one is meant? There are {}", known()))),
            (Some(asked), _) => {
                let named = Repo::parse(asked).map_err(|why| ToolError::invalid(format!("repo: {why}")))?;
                repos.iter().find(|repo| **repo == named).ok_or_else(|| ToolError::Refused {
                    text: format!(
                        "repo: {named} may not be read; tools.github.repos lists what may: {}",
                        super::render::clip(&known(), 400)
                    ),
                })
            }
        }
    }

    /// What a call touches: no object of a cluster, but a repository.
    fn target(&self, args: &Value, verb: &str) -> Vec<Value> {
        let asked = args["repo"].as_str().map(str::trim).filter(|repo| !repo.is_empty());
        let name = self.repo(asked).map_or_else(|_| asked.map(str::to_owned), |repo| Some(repo.to_string()));
        vec![
            json!({"cluster": null, "namespace": null, "api_version": null, "kind": "GithubRepository", "name": name, "verb": verb}),
        ]
    }

    /// The window of a call, in whole seconds.
    fn window(
        &self,
        start: &Option<Written>,
        end: &Option<Written>,
        length: &Option<Written>,
    ) -> Result<(Timestamp, Timestamp), ToolError> {
        let (start, end, length) = (text(start), text(end), text(length));
        let window = window(start.as_deref(), end.as_deref(), length.as_deref(), WINDOW, self.clock.now())?;
        let at = |seconds: f64| Timestamp::from_second(seconds as i64).unwrap_or_default();
        Ok((at(window.start.floor()), at(window.end.ceil())))
    }
}

/// The path of a call; empty is the root.
fn path(asked: Option<&str>) -> Result<&str, ToolError> {
    names::path(asked.unwrap_or_default()).map_err(|why| ToolError::invalid(format!("path: {why}")))
}

/// The branch, tag or commit of a call.
fn reference(asked: Option<&str>) -> Result<Option<&str>, ToolError> {
    let checked = asked.map(names::reference).transpose();
    checked.map_err(|why| ToolError::invalid(format!("ref: {why}")))
}

/// Text of others, line by line, without what cannot be seen, each line in at most `chars`.
fn lines(text: &str, chars: usize) -> impl Iterator<Item = String> + '_ {
    text.lines().map(move |line| super::render::clip(&visible(line), chars))
}

/// The beginning of a git id, which GitHub takes for the whole.
fn short(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}

/// A text field of what was seen.
fn field<'a>(data: &'a Value, name: &str) -> &'a str {
    data[name].as_str().unwrap_or_default()
}

/// The items of a list of what was seen.
fn items<'a>(data: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    data[name].as_array().into_iter().flatten()
}

/// Says that there is more, and how to get it.
fn goes_on(seen: &mut Seen, note: String) {
    seen.truncated = true;
    seen.notes.push(note);
}

/// `clusters/app.yaml at main`, `the root folder`.
fn place(path: &str, at: &str) -> String {
    let path = if path.is_empty() { "the root folder" } else { path };
    if at.is_empty() { path.to_owned() } else { format!("{path} at {at}") }
}
