//! Pull requests: what was merged in a window of time, what is open, or one of them.

use super::change::{FEW, MANY, files, shown};
use super::{AT_ONCE, Hub, field, goes_on, items, lines, path, reference, short};
use crate::edge::EdgeError;
use crate::edge::github::answers::{Changed, Pull};
use crate::edge::github::{Repo, reader};
use crate::tools::gist::{CHARS, name, quoted};
use crate::tools::prometheus::time::Written;
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use futures::stream::{StreamExt as _, iter};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Pull requests that are told when nobody says how many, and the most.
const PULLS: usize = 20;
const PULLS_MAX: usize = 50;
/// Pull requests whose files are asked for: each is a question of its own.
const LOOKED_INTO: usize = 40;
/// Pages of a hundred that are looked through.
const PAGES: usize = 5;
const PAGE: usize = 100;
/// Most bytes of a description that is kept, and most lines of it that are shown.
const BODY: usize = 4000;
const BODY_LINES: usize = 40;

/// `github_pulls`.
#[derive(Debug, Clone)]
pub struct Pulls(pub(super) Hub);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    number: Option<u64>,
    path: Option<String>,
    base: Option<String>,
    #[serde(default)]
    state: State,
    start: Option<Written>,
    end: Option<Written>,
    window: Option<Written>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Merged,
    Open,
}

/// What was found of a list.
#[derive(Debug, Default)]
struct Listed {
    pulls: Vec<Pull>,
    /// There are more than were looked through.
    cut: bool,
}

#[async_trait]
impl ReadTool for Pulls {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        self.0.target(args, if args["number"].is_number() { "get" } else { "list" })
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo))?;
        let path = path(given(&args.path))?;
        match args.number {
            Some(number) => self.one(repo, number, path).await,
            None => self.list(repo, path, &args).await,
        }
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let title = |head: String, pull: &Value| {
            let room = CHARS.saturating_sub(head.chars().count());
            format!("{head}{}", quoted(field(pull, "title"), room))
        };
        if let Some(pull) = data.get("pull") {
            return title(format!("#{} {}: ", pull["number"], field(pull, "state")), pull);
        }
        let all: Vec<&Value> = items(data, "pulls").collect();
        let state = field(data, "state");
        let of = match field(data, "path") {
            "" => String::new(),
            path => format!(" touching {}", name(path)),
        };
        match all.as_slice() {
            [] if state == "open" => format!("no open pull requests{of}"),
            [] => format!("no {state} pull requests{of} in this window"),
            [youngest, ..] => {
                let plural = if all.len() == 1 { "" } else { "s" };
                title(
                    format!("{} {state} pull request{plural}{of}; last #{}: ", all.len(), youngest["number"]),
                    youngest,
                )
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let mut out = String::new();
        if let Some(pull) = data.get("pull") {
            let _ = writeln!(out, "{}", head(pull));
            for line in lines(field(pull, "body"), 400).take(BODY_LINES) {
                let _ = writeln!(out, "    {line}");
            }
            shown(&mut out, pull);
            return out;
        }
        for pull in items(data, "pulls") {
            let _ = writeln!(out, "{}", head(pull));
            shown(&mut out, pull);
        }
        out
    }
}

impl Pulls {
    async fn one(&self, repo: &Repo, number: u64, path: &str) -> Result<Seen, ToolError> {
        let reader = &self.0.reader;
        let (pull, changed) = tokio::join!(reader.pull(repo, number), reader.pull_files(repo, number));
        let (pull, (changed, more)) = (pull?, changed?);
        let mut told = told(&pull);
        told["body"] = crate::edge::error::shorten(pull.body.as_deref().unwrap_or_default(), BODY).into();
        let (list, total) = files(changed, path, MANY, true);
        told["files"] = list.into();
        told["total_files"] = total.into();
        let mut seen = Seen::all(json!({"repo": repo.to_string(), "pull": told}));
        if more {
            goes_on(&mut seen, "it changes more than a hundred files; the others are not told".to_owned());
        }
        Ok(seen)
    }

    async fn list(&self, repo: &Repo, path: &str, args: &Args) -> Result<Seen, ToolError> {
        let (since, until) = self.0.window(&args.start, &args.end, &args.window)?;
        let base = reference(given(&args.base))?;
        let limit = args.limit.unwrap_or(PULLS).clamp(1, PULLS_MAX);
        let listed = match args.state {
            State::Merged => self.merged(repo, base, since, until).await?,
            State::Open => self.open(repo, base).await?,
        };
        let state = if args.state == State::Merged { "merged" } else { "open" };
        let found = listed.pulls.len();
        let asked = iter(listed.pulls.into_iter().take(LOOKED_INTO)).map(|pull| async move {
            let changed = self.0.reader.pull_files(repo, pull.number).await;
            (pull, changed)
        });
        let asked: Vec<(Pull, Result<(Vec<Changed>, bool), EdgeError>)> = asked.buffered(AT_ONCE).collect().await;
        let mut oldest = None;
        let mut failed = None;
        let mut pulls = vec![];
        let mut left_out = 0;
        for (pull, changed) in asked {
            let (changed, more) = changed.unwrap_or_else(|error| {
                failed = Some(error);
                (vec![], true)
            });
            // Of one with unread files it is not known; better told than missed.
            if !path.is_empty() && !more && !changed.iter().any(|file| file.touches(path)) {
                continue;
            }
            if pulls.len() == limit {
                left_out += 1;
                continue;
            }
            let mut told = told(&pull);
            let (list, total) = files(changed, path, FEW, false);
            told["files"] = list.into();
            told["total_files"] = total.into();
            told["more_files"] = more.into();
            oldest = pull.merged_at.clone().or(oldest);
            pulls.push(told);
        }
        let mut seen = Seen::all(json!({
            "repo": repo.to_string(), "path": path, "state": state, "base": base, "pulls": pulls,
            "since": since.to_string(), "until": until.to_string(),
        }));
        if let Some(error) = failed {
            seen.notes.push(format!("files of some were not read, so they may not touch the path: {}", error.text()));
        }
        if left_out > 0 {
            let on = oldest.filter(|_| args.state == State::Merged);
            let on = on.map_or("a larger `limit` shows them".to_owned(), |at| format!("`end: {at}` reads on"));
            goes_on(&mut seen, format!("{left_out} more fit; {on}"));
        }
        if found > LOOKED_INTO {
            goes_on(&mut seen, format!("files of {LOOKED_INTO} of {found} were looked at; a shorter window sees all"));
        }
        if listed.cut {
            let most = if args.state == State::Merged { PAGES * PAGE } else { PAGE };
            goes_on(&mut seen, format!("only the {most} last changed were looked through"));
        }
        Ok(seen)
    }

    /// Those merged in the window, the last merged first. GitHub sorts by the last change, which is
    /// never before the merge.
    async fn merged(
        &self,
        repo: &Repo,
        base: Option<&str>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Listed, ToolError> {
        let time = |text: &Option<String>| text.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
        let mut listed = Listed::default();
        for page in 1..=PAGES {
            let wanted = reader::Pulls { state: "closed", base, limit: PAGE, page };
            let (pulls, more) = self.0.reader.pulls(repo, wanted).await?;
            let old = pulls.last().is_some_and(|pull| time(&pull.updated_at).is_some_and(|at| at < since));
            let within = |pull: &Pull| time(&pull.merged_at).is_some_and(|at| since <= at && at < until);
            listed.pulls.extend(pulls.into_iter().filter(within));
            if old || !more {
                break;
            }
            listed.cut = page == PAGES;
        }
        listed.pulls.sort_by_key(|pull| std::cmp::Reverse(time(&pull.merged_at)));
        Ok(listed)
    }

    async fn open(&self, repo: &Repo, base: Option<&str>) -> Result<Listed, ToolError> {
        let wanted = reader::Pulls { state: "open", base, limit: PAGE, page: 1 };
        let (pulls, more) = self.0.reader.pulls(repo, wanted).await?;
        Ok(Listed { pulls, cut: more })
    }
}

/// A pull request, without its files.
fn told(pull: &Pull) -> Value {
    let state = match (&pull.merged_at, pull.draft) {
        (Some(_), _) => "merged",
        (None, true) => "draft",
        (None, false) => pull.state.as_str(),
    };
    json!({
        "number": pull.number, "title": pull.title, "state": state,
        "author": pull.user.as_ref().map(|user| user.login.as_str()),
        "created_at": pull.created_at, "updated_at": pull.updated_at, "merged_at": pull.merged_at,
        "merge_commit": pull.merge_commit_sha.as_ref().filter(|_| pull.merged_at.is_some()),
        "head": pull.head.name, "base": pull.base.name, "url": pull.html_url,
    })
}

/// A pull request in a line.
fn head(pull: &Value) -> String {
    let at = pull["merged_at"].as_str().or(pull["updated_at"].as_str()).unwrap_or_default();
    let commit = pull["merge_commit"].as_str().map_or(String::new(), |sha| format!(" as {}", short(sha)));
    format!(
        "{at} #{} {} by {} into {}{commit}  {}",
        pull["number"],
        field(pull, "state"),
        name(field(pull, "author")),
        name(field(pull, "base")),
        clip(&visible(field(pull, "title")), 200)
    )
}
