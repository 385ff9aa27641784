//! Files that hold words.

use super::{Hub, field, goes_on, items, lines, path};
use crate::tools::gist::{CHARS, counted, listed, name};
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Files of one page.
const FILES: usize = 30;
/// Files beyond these GitHub does not tell, whatever page is asked for.
const TOLD: usize = 1000;
/// Places of a file, lines of a place and characters of a line that are shown.
const PLACES: usize = 3;
const LINES: usize = 8;
const LINE: usize = 240;

/// `github_search_code`.
#[derive(Debug, Clone)]
pub struct Search(pub(super) Hub);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    query: String,
    path: Option<String>,
    page: Option<usize>,
}

#[async_trait]
impl ReadTool for Search {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        self.0.target(args, "search")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo))?;
        let path = path(given(&args.path))?;
        let words: Vec<&str> = args.query.split_whitespace().collect();
        let page = args.page.unwrap_or(1).clamp(1, TOLD.div_ceil(FILES));
        let found = self.0.reader.search(repo, &words, path, FILES, page).await?;
        let file = |file: crate::edge::github::answers::FoundFile| {
            let places: Vec<String> = file.text_matches.into_iter().take(PLACES).map(|one| one.fragment).collect();
            json!({"path": file.path, "places": places, "url": file.html_url})
        };
        let total = found.total_count;
        let files: Vec<Value> = found.items.into_iter().map(file).collect();
        let mut seen = Seen::all(json!({"repo": repo.to_string(), "files": files, "total": total}));
        if total > (page * FILES) as u64 {
            let note = match page * FILES < TOLD {
                true => format!("{total} files fit; `page: {}` reads on, `path` or another word narrows", page + 1),
                false => format!("{total} files fit, of which GitHub tells no more; `path` or another word narrows"),
            };
            goes_on(&mut seen, note);
        }
        if found.incomplete_results {
            goes_on(&mut seen, "GitHub ran out of time: files may be missing; ask for something rarer".to_owned());
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        match usize::try_from(data["total"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX) {
            0 => format!("no file of {} holds these words", name(field(data, "repo"))),
            total => {
                let head = format!("{} of {}", counted(total, "file", "files"), name(field(data, "repo")));
                let names: Vec<String> = items(data, "files").map(|file| name(field(file, "path"))).collect();
                listed(&head, &names, CHARS)
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let mut out = String::new();
        for file in items(&seen.data, "files") {
            let _ = writeln!(out, "{}", clip(&visible(field(file, "path")), 400));
            for place in items(file, "places").filter_map(Value::as_str) {
                for line in lines(place, LINE).filter(|line| !line.trim().is_empty()).take(LINES) {
                    let _ = writeln!(out, "    {line}");
                }
            }
        }
        if out.is_empty() {
            "a search sees the default branch only, and new files after a while\n".clone_into(&mut out);
        }
        out
    }
}
