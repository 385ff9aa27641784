//! What people wrote down for this alert.
//!
//! - [`html`]: the text of a page.
//! - [`document`]: a Markdown file and the alerts that it is for.

pub mod document;
pub mod html;

#[cfg(test)]
mod tests;

use super::gist::{CHARS, line, name, quoted};
use super::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use crate::domain::Clock;
use crate::edge::RunbookReader;
use async_trait::async_trait;
use document::Runbook;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 1] = ["runbook_fetch"];
/// Most bytes of a runbook's text.
const TEXT_BYTES: usize = 32 << 10;
/// Runbooks that are named when none fits.
const NAMED: usize = 60;

/// `runbook_fetch`.
#[derive(Debug, Clone)]
pub struct Fetch {
    spec: Arc<ToolSpec>,
    reader: RunbookReader,
    clock: Arc<dyn Clock>,
}

/// The tool that `spec` runs, if it is ours.
pub fn build(spec: Arc<ToolSpec>, reader: RunbookReader, clock: Arc<dyn Clock>) -> Option<Box<dyn ReadTool>> {
    (spec.builtin == "runbook_fetch").then(|| Box::new(Fetch { spec, reader, clock }) as Box<dyn ReadTool>)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    url: Option<String>,
    alert: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[async_trait]
impl ReadTool for Fetch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let name = args["url"].as_str().or(args["alert"].as_str());
        vec![
            json!({"cluster": null, "namespace": null, "api_version": null, "kind": "Runbook", "name": name, "verb": "get"}),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        match (given(&args.url), given(&args.alert)) {
            (Some(url), Some(alert)) if self.reader.has_hosts() && self.reader.has_dir() => {
                match self.page(url).await {
                    Ok(page) => Ok(page),
                    // A page elsewhere, or one that is gone, does not hide the file.
                    Err(error) => {
                        let mut seen = self.file(Some(alert), &args.labels).await?;
                        seen.notes.push(format!("its page was not read: {}", error.for_reader()));
                        Ok(seen)
                    }
                }
            }
            (Some(url), _) if self.reader.has_hosts() => self.page(url).await,
            (Some(_), None) => Err(ToolError::Refused {
                text: "no host of runbooks is configured; give the name of the alert instead".to_owned(),
            }),
            (_, alert) if self.reader.has_dir() => self.file(alert, &args.labels).await,
            _ => Err(ToolError::invalid(
                "url: the address of the runbook is needed, as the alert's runbook_url gives it",
            )),
        }
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        match data["title"].as_str() {
            Some(title) => {
                let from = name(data["source"].as_str().unwrap_or_default());
                let head = format!("runbook {from}: ");
                let room = CHARS - head.chars().count().min(CHARS);
                format!("{head}{}", quoted(title, room))
            }
            None => "no runbook for this alert".to_owned(),
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        match data["text"].as_str() {
            Some(text) => format!("source: {}\n\n{text}\n", data["source"].as_str().unwrap_or_default()),
            None => {
                let known = data["known"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let known: String = known.map(|one| format!("{}\n", line(one))).collect();
                if known.is_empty() { known } else { format!("there are:\n{known}") }
            }
        }
    }
}

impl Fetch {
    async fn page(&self, url: &str) -> Result<Seen, ToolError> {
        let page = self.reader.fetch(url, self.clock.now()).await?;
        let (title, text) = match page.media_type.as_str() {
            "text/html" | "application/xhtml+xml" => html::text(&page.text),
            _ => (document::title(&page.text), page.text),
        };
        let title = title.unwrap_or_else(|| "without a title".to_owned());
        let mut seen = bounded(&text, json!({"source": page.url, "title": title}));
        if page.cut {
            seen.truncated = true;
            seen.notes.push("the page is larger than 1 MiB; its end was not read".to_owned());
        }
        Ok(seen)
    }

    async fn file(&self, alert: Option<&str>, labels: &BTreeMap<String, String>) -> Result<Seen, ToolError> {
        let (documents, more) = self.reader.documents().await?;
        let runbooks: Vec<Runbook> = documents.into_iter().map(Runbook::read).collect();
        let best = runbooks.iter().filter_map(|runbook| Some((runbook.fits(alert, labels)?, runbook)));
        // Of equals the first by path.
        let best = best.reduce(|best, other| if other.0 > best.0 { other } else { best });
        let mut seen = match best {
            Some((_, runbook)) => bounded(&runbook.text, json!({"source": runbook.path, "title": runbook.title})),
            None => {
                let known: Vec<String> = runbooks.iter().take(NAMED).map(Runbook::named).collect();
                Seen::all(json!({"known": known, "total": runbooks.len()}))
            }
        };
        if more {
            seen.notes.push("the folder holds more files than are looked at".to_owned());
        }
        Ok(seen)
    }
}

/// The observation of `text`, without what cannot be seen, and of at most [`TEXT_BYTES`].
fn bounded(text: &str, mut data: Value) -> Seen {
    let visible: String = text.lines().map(|one| format!("{}\n", html::visible(one))).collect();
    let (text, cut) = super::bound::text(visible.trim().to_owned(), TEXT_BYTES);
    data["text"] = text.into();
    let mut seen = Seen::all(data);
    if cut {
        seen.truncated = true;
        seen.notes.push(format!("the runbook is longer than {TEXT_BYTES} bytes; its middle is left out"));
    }
    seen
}
