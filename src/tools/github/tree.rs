//! What is in a folder, or in all folders below it.

use super::{Hub, field, goes_on, items, path, place, reference};
use crate::edge::github::reader::Contents;
use crate::tools::gist::{CHARS, counted, listed, name};
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Entries of one call.
const ENTRIES: usize = 500;

/// `github_tree`.
#[derive(Debug, Clone)]
pub struct Tree(pub(super) Hub);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    path: Option<String>,
    r#ref: Option<String>,
    #[serde(default)]
    recursive: bool,
    name: Option<String>,
    page: Option<usize>,
}

#[async_trait]
impl ReadTool for Tree {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        self.0.target(args, "list")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo))?;
        let (path, at) = (path(given(&args.path))?, reference(given(&args.r#ref))?);
        let mut incomplete = None;
        let mut entries: Vec<Value> = if args.recursive {
            let tree = self.0.reader.tree(repo, at).await?;
            if tree.truncated {
                incomplete = Some(
                    "the repository has more paths than GitHub tells at once; list one folder without `recursive`",
                );
            }
            let below = format!("{path}/");
            let within = |of: &str| path.is_empty() || of.starts_with(&below);
            let kind = |kind: &str, mode: &str| match (kind, mode) {
                (_, "120000") => "symlink",
                ("tree", _) => "dir",
                ("commit", _) => "submodule",
                _ => "file",
            };
            let found = tree.tree.into_iter().filter(|one| within(&one.path));
            found.map(|one| json!({"path": one.path, "kind": kind(&one.kind, &one.mode), "size": one.size})).collect()
        } else {
            match self.0.reader.contents(repo, path, at).await? {
                Contents::Folder(entries) => {
                    if entries.len() >= 1000 {
                        incomplete = Some("GitHub tells a thousand entries of a folder; `recursive: true` sees all");
                    }
                    let entry = |one: crate::edge::github::answers::Content| {
                        let size = (one.kind == "file").then_some(one.size);
                        json!({"path": one.path, "kind": one.kind, "size": size})
                    };
                    entries.into_iter().map(entry).collect()
                }
                Contents::File(..) | Contents::Large(_) | Contents::Pointer(_) => {
                    return Err(ToolError::invalid(format!("path: {path} is a file; github_file reads it")));
                }
            }
        };
        if let Some(part) = given(&args.name) {
            let part = part.to_lowercase();
            entries.retain(|entry| field(entry, "path").to_lowercase().contains(&part));
        }
        entries.sort_by(|a, b| field(a, "path").cmp(field(b, "path")));
        let total = entries.len();
        let page = args.page.unwrap_or(1).max(1);
        let shown: Vec<Value> = entries.into_iter().skip((page - 1).saturating_mul(ENTRIES)).take(ENTRIES).collect();
        let end = (page - 1).saturating_mul(ENTRIES) + shown.len();
        let mut seen = Seen::all(json!({
            "repo": repo.to_string(), "path": path, "ref": at, "entries": shown, "total": total,
        }));
        if end < total {
            goes_on(&mut seen, format!("{end} of {total} were shown; `page: {}` reads on, `name` narrows", page + 1));
        }
        if let Some(why) = incomplete {
            goes_on(&mut seen, why.to_owned());
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let total = usize::try_from(data["total"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        let place = place(&name(field(data, "path")), field(data, "ref"));
        let head = format!("{} in {place}", counted(total, "entry", "entries"));
        let names: Vec<String> =
            items(data, "entries").map(|one| name(field(one, "path").rsplit('/').next().unwrap_or_default())).collect();
        listed(&head, &names, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let line = |entry: &Value| {
            let path = clip(&visible(field(entry, "path")), 400);
            match (field(entry, "kind"), entry["size"].as_u64()) {
                ("dir", _) => format!("{path}/\n"),
                ("file", Some(size)) => format!("{path}  {size} bytes\n"),
                ("file", None) => format!("{path}\n"),
                (kind, _) => format!("{path}  {kind}\n"),
            }
        };
        items(&seen.data, "entries").map(line).collect()
    }
}
