//! A file, or some of its lines.

use super::{Hub, field, goes_on, lines, path, place, reference};
use crate::edge::github::reader::Contents;
use crate::tools::gist::name;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Lines when nobody says how many, and the most.
const LINES: usize = 400;
const LINES_MAX: usize = 2000;
/// Most characters of a line that is shown.
const LINE: usize = 1000;

/// `github_file`.
#[derive(Debug, Clone)]
pub struct File(pub(super) Hub);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    path: String,
    r#ref: Option<String>,
    line: Option<usize>,
    lines: Option<usize>,
}

#[async_trait]
impl ReadTool for File {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        self.0.target(args, "get")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo))?;
        let (path, at) = (path(Some(&args.path))?, reference(given(&args.r#ref))?);
        let (file, bytes) = match self.0.reader.contents(repo, path, at).await? {
            Contents::File(file, bytes) => (file, bytes),
            Contents::Folder(_) => {
                let text = format!("path: {} is a folder; github_tree lists it", place(path, ""));
                return Err(ToolError::invalid(text));
            }
            Contents::Large(file) => {
                let text = format!("{path} is {} bytes long; files of more than 1 MiB are not read", file.size);
                return Err(ToolError::failed(text, false));
            }
            Contents::Pointer(file) => {
                let target = file.target.unwrap_or_default();
                let text = format!(
                    "{path} is a {}{}{target}; read that instead",
                    file.kind,
                    if target.is_empty() { "" } else { " to " }
                );
                return Err(ToolError::failed(text, false));
            }
        };
        let mut data = json!({
            "repo": repo.to_string(), "path": file.path, "ref": at, "sha": file.sha, "size": file.size, "url": file.html_url,
        });
        let text = match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            _ => {
                data["binary"] = true.into();
                return Ok(Seen::all(data));
            }
        };
        let total = text.lines().count();
        let first = args.line.unwrap_or(1).max(1);
        let count = args.lines.unwrap_or(LINES).clamp(1, LINES_MAX);
        let wanted: Vec<&str> = text.lines().skip(first - 1).take(count).collect();
        let last = first - 1 + wanted.len();
        data["line"] = first.into();
        data["total_lines"] = total.into();
        data["shown_lines"] = wanted.len().into();
        data["text"] = wanted.join("\n").into();
        let mut seen = Seen::all(data);
        if wanted.is_empty() && total > 0 {
            seen.notes.push(format!("the file has {total} lines only"));
        } else if last < total {
            goes_on(&mut seen, format!("lines {first} to {last} of {total}; `line: {}` reads on", last + 1));
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let place = place(&name(field(data, "path")), field(data, "ref"));
        match data["binary"] == true {
            true => format!("{place} is no text: {} bytes", data["size"]),
            false => format!("{place}: {} of {} lines", data["shown_lines"], data["total_lines"]),
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let first = data["line"].as_u64().unwrap_or(1);
        let width = (first + data["shown_lines"].as_u64().unwrap_or(0)).to_string().len();
        let mut out = String::new();
        for (number, line) in (first..).zip(lines(field(data, "text"), LINE)) {
            let _ = writeln!(out, "{number:>width$}  {line}");
        }
        out
    }
}
