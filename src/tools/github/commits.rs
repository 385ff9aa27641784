//! What was committed in a window of time, or one commit with its change.

use super::change::{FEW, MANY, files, shown};
use super::{AT_ONCE, Hub, field, goes_on, items, lines, path, place, reference, short};
use crate::edge::github::answers::Commit;
use crate::edge::github::{Repo, reader};
use crate::tools::gist::{CHARS, counted, name, quoted};
use crate::tools::prometheus::time::Written;
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use futures::stream::{StreamExt as _, iter};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Commits of one page when nobody says how many, and the most.
const COMMITS: usize = 20;
const COMMITS_MAX: usize = 100;
/// Commits of a list whose files are told: each is a question of its own.
const WITH_FILES: usize = 10;
/// Most bytes of a message that is kept, and most lines of it that are shown.
const MESSAGE: usize = 4000;
const MESSAGE_LINES: usize = 30;

/// `github_commits`.
#[derive(Debug, Clone)]
pub struct Commits(pub(super) Hub);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    path: Option<String>,
    r#ref: Option<String>,
    commit: Option<String>,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
    limit: Option<usize>,
    page: Option<usize>,
}

#[async_trait]
impl ReadTool for Commits {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let one = args["commit"].as_str().is_some_and(|commit| !commit.trim().is_empty());
        self.0.target(args, if one { "get" } else { "list" })
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo))?;
        let path = path(given(&args.path))?;
        match reference(given(&args.commit))? {
            Some(commit) => self.one(repo, commit, path).await,
            None => self.list(repo, path, &args).await,
        }
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let subject = |commit: &Value| field(commit, "message").lines().next().unwrap_or_default().to_owned();
        if let Some(commit) = data.get("commit") {
            let head = format!("{} by {}: ", short(field(commit, "sha")), name(field(commit, "author")));
            return format!("{head}{}", quoted(&subject(commit), CHARS.saturating_sub(head.chars().count())));
        }
        let all: Vec<&Value> = items(data, "commits").collect();
        let more = if seen.truncated && data["more"] == true { "more than " } else { "" };
        let at = match (field(data, "path"), args["ref"].as_str().unwrap_or_default().trim()) {
            ("", "") => String::new(),
            ("", at) => format!(" at {at}"),
            (path, at) => format!(" to {}", place(&name(path), at)),
        };
        match all.as_slice() {
            [] => format!("no commits{at} in this window"),
            [youngest, ..] => {
                let head = format!("{more}{}{at}; last: ", counted(all.len(), "commit", "commits"));
                format!("{head}{}", quoted(&subject(youngest), CHARS.saturating_sub(head.chars().count())))
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let mut out = String::new();
        if let Some(commit) = data.get("commit") {
            let _ = writeln!(out, "{}", head(commit));
            for line in lines(field(commit, "message"), 400).take(MESSAGE_LINES) {
                let _ = writeln!(out, "    {line}");
            }
            shown(&mut out, commit);
            return out;
        }
        for commit in items(data, "commits") {
            let subject = field(commit, "message").lines().next().unwrap_or_default();
            let _ = writeln!(out, "{}  {}", head(commit), clip(&visible(subject), 200));
            shown(&mut out, commit);
        }
        out
    }
}

impl Commits {
    async fn one(&self, repo: &Repo, commit: &str, path: &str) -> Result<Seen, ToolError> {
        let (commit, more) = self.0.reader.commit(repo, commit).await?;
        let mut told = told(&commit);
        let (list, total) = files(commit.files, path, MANY, true);
        told["files"] = list.into();
        told["total_files"] = total.into();
        let mut seen = Seen::all(json!({"repo": repo.to_string(), "commit": told}));
        if more || total > MANY {
            goes_on(&mut seen, "the commit changes more files than are told here".to_owned());
        }
        Ok(seen)
    }

    async fn list(&self, repo: &Repo, path: &str, args: &Args) -> Result<Seen, ToolError> {
        let (since, until) = self.0.window(&args.start, &args.end, &args.window)?;
        let limit = args.limit.unwrap_or(COMMITS).clamp(1, COMMITS_MAX);
        let page = args.page.unwrap_or(1).max(1);
        let at = reference(given(&args.r#ref))?;
        let wanted = reader::Commits { path, at, since, until, limit, page };
        let (commits, more) = self.0.reader.commits(repo, wanted).await?;
        let count = commits.len();
        let detailed = iter(commits.into_iter().enumerate()).map(|(n, commit)| async move {
            let detail = match n < WITH_FILES {
                true => Some(self.0.reader.commit(repo, &commit.sha).await),
                false => None,
            };
            let mut told = told(&commit);
            let failed = match detail {
                Some(Ok((detail, _))) => {
                    let (list, total) = files(detail.files, path, FEW, false);
                    told["files"] = list.into();
                    told["total_files"] = total.into();
                    None
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            (told, failed)
        });
        let detailed: Vec<(Value, Option<crate::edge::EdgeError>)> = detailed.buffered(AT_ONCE).collect().await;
        let (commits, failed): (Vec<Value>, Vec<_>) = detailed.into_iter().unzip();
        let mut seen = Seen::all(json!({
            "repo": repo.to_string(), "path": path, "ref": at, "since": since.to_string(), "until": until.to_string(),
            "commits": commits, "more": more,
        }));
        if let Some(error) = failed.into_iter().flatten().next() {
            seen.notes.push(format!("files of some commits were not read: {}", error.text()));
        }
        if count > WITH_FILES {
            seen.notes
                .push(format!("files are told of the first {WITH_FILES}; `commit: SHA` shows one with its change"));
        }
        if more {
            goes_on(&mut seen, format!("there are older ones in this window: `page: {}` reads on", page + 1));
        }
        seen.notes.push("times are those of the commits; what was merged later, github_pulls tells".to_owned());
        Ok(seen)
    }
}

/// A commit, without its files.
fn told(commit: &Commit) -> Value {
    let body = &commit.commit;
    let author = body.author.as_ref();
    let login = commit.author.as_ref().map(|account| account.login.as_str());
    let at = body.committer.as_ref().or(author).map(|signature| signature.date.as_str());
    json!({
        "sha": commit.sha, "at": at, "author": login.or(author.map(|signature| signature.name.as_str())),
        "message": crate::edge::error::shorten(&body.message, MESSAGE), "merge": commit.parents.len() > 1,
        "url": commit.html_url,
    })
}

/// When, which and by whom.
fn head(commit: &Value) -> String {
    let merge = if commit["merge"] == true { " (merge)" } else { "" };
    format!("{} {} {}{merge}", field(commit, "at"), short(field(commit, "sha")), name(field(commit, "author")))
}
