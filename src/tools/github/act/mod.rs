//! What is written down at GitHub: a pull request, a comment, an issue. Each is looked for before it is
//! made, by the mark that it carries and by who made it; nothing is forced, edited or removed.
//!
//! - [`pull`], [`comment`], [`issue`]: the tools
//! - [`files`]: what a pull request would change, judged on the tree that would come of it
//! - [`diff`], [`glob`], [`owners`], [`words`]: what they need for that

mod comment;
mod diff;
mod files;
mod glob;
mod issue;
mod owners;
mod pull;
mod words;

#[cfg(test)]
mod tests;

use super::Hub;
use crate::domain::{Action, BlastRadius, Effect, Marker, Receipt, Redactor, Target};
use crate::edge::EdgeError;
use crate::edge::github::answers::Account;
use crate::edge::github::writer::Unmade;
use crate::edge::github::{Reader, Repo, Writer};
use crate::tools::act::{ActError, ActTool, CaseText};
use crate::tools::spec::{ToolError, ToolSpec};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What a manifest can run, with what it does to the world.
pub const BUILTINS: [(&str, Effect); 3] = [
    ("github_open_pull_request", Effect::Propose),
    ("github_comment", Effect::Record),
    ("github_create_issue", Effect::Record),
];

/// What every tool here works with.
#[derive(Debug, Clone)]
struct Desk {
    hub: Hub,
    writer: Writer,
    redactor: Arc<ArcSwap<Redactor>>,
}

/// The tool that `spec` runs, if it is one of ours. Its parameters name the repositories that there are.
pub fn build(
    spec: Arc<ToolSpec>,
    reader: Reader,
    writer: Writer,
    clock: Arc<dyn crate::domain::Clock>,
    redactor: &Arc<ArcSwap<Redactor>>,
) -> Option<Box<dyn ActTool>> {
    let desk = Desk { hub: Hub::on(&spec, reader, clock), writer, redactor: redactor.clone() };
    Some(match spec.builtin.as_str() {
        "github_open_pull_request" => Box::new(pull::OpenPull(desk)),
        "github_comment" => Box::new(comment::Write(desk)),
        "github_create_issue" => Box::new(issue::Open(desk)),
        _ => return None,
    })
}

impl Desk {
    /// The repository of a call: the one that it names, else the route's, else the only one.
    fn repo(&self, asked: Option<&str>, case: &CaseText) -> Result<Repo, ToolError> {
        self.hub.repo(asked.or(case.pull.as_ref().map(|pull| pull.repo.as_str()))).cloned()
    }

    /// Text of others as it may stand there.
    fn clean(&self, text: &str) -> String {
        let redactor = self.redactor.load();
        words::quiet(&redactor.text(text).0)
    }

    /// A title of others as it may stand there.
    fn headline(&self, text: &str) -> String {
        let redactor = self.redactor.load();
        words::headline(&redactor.text(text).0)
    }

    /// Whether `author` is who we write as, and `body` carries our mark.
    async fn is_ours(&self, author: Option<&Account>, body: Option<&str>, marker: &Marker) -> Result<bool, EdgeError> {
        if !words::is_marked(body, marker) {
            return Ok(false);
        }
        let login = self.writer.login().await?;
        Ok(author.is_some_and(|author| author.login.eq_ignore_ascii_case(login)))
    }
}

/// The text of a body: what is said, the mark, where the chain stood, and the last checkpoint.
fn body(marker: &Marker, carries: &Value) -> String {
    let said = words::bounded(text(carries, "said"), words::BODY);
    let line = |name: &str, key: &str| match text(carries, key) {
        "" => String::new(),
        text => format!("\n\n{name}: `{text}`"),
    };
    let (chain, checkpoint) = (line("Journal", "chain"), line("Checkpoint", "checkpoint"));
    format!("{said}\n\n{}{chain}{checkpoint}\n", words::mark(marker))
}

/// Who tells people what: the incident, in the words of its report.
fn about(case: &CaseText) -> String {
    let mut text = words::bounded(&words::quiet(&case.markdown), words::BODY / 2);
    if let Some(url) = &case.url {
        text.push_str(&format!("\n\nMore: {url}"));
    }
    text
}

/// What a change that only adds touches: nothing that runs.
fn harmless() -> BlastRadius {
    BlastRadius { known: true, ..BlastRadius::default() }
}

/// The object and repository of a planned change.
fn object(action: &Action) -> Result<(Target, Repo), ToolError> {
    let target = action.target();
    let repo =
        Repo::parse(&target.namespace).map_err(|why| ToolError::invalid(format!("{} {why}", target.namespace)))?;
    Ok((target, repo))
}

/// A text of a plan.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The date of a plan.
fn date(value: &Value) -> Timestamp {
    text(value, "date").parse().unwrap_or_default()
}

/// What a request that made nothing means.
fn unmade(error: &Unmade) -> ActError {
    match error.is_definite() {
        true => ActError::refused(error.to_string()),
        false => ActError::unknown(error.to_string()),
    }
}

/// What a look that came to nothing means, right before something would have been sent.
fn blind(error: &EdgeError) -> ActError {
    ActError::not_looked("GitHub", error)
}

/// What stands there.
fn receipt(reference: Option<&str>, otherwise: String, summary: String, detail: Value) -> Receipt {
    Receipt { reference: reference.map_or(otherwise, str::to_owned), summary, detail }
}
