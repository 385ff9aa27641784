//! Jira: looking for issues, and writing an investigation down in one.
//!
//! - [`search`], [`issue`]: the tools that look.
//! - [`act`]: those that write: issues, comments, transitions, links.
//! - [`document`]: what is written, before it has a form; [`adf`] and [`wiki`] are the forms.

pub mod act;
pub mod adf;
pub mod document;
pub mod issue;
pub mod search;
pub mod wiki;

#[cfg(test)]
mod tests;

use super::spec::{ReadTool, ToolSpec};
use crate::edge::JiraReader;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest that only looks can run.
pub const BUILTINS: [&str; 2] = ["jira_search", "jira_issue"];

/// What every tool that looks works with.
#[derive(Debug, Clone)]
pub struct Tracker {
    spec: Arc<ToolSpec>,
    reader: JiraReader,
}

/// The tool that `spec` runs, if it is one of those that look.
pub fn build(spec: Arc<ToolSpec>, reader: JiraReader) -> Option<Box<dyn ReadTool>> {
    let builtin = spec.builtin.clone();
    let tracker = Tracker { spec, reader };
    Some(match builtin.as_str() {
        "jira_search" => Box::new(search::Search(tracker)),
        "jira_issue" => Box::new(issue::Issue(tracker)),
        _ => return None,
    })
}

/// What a call touches.
fn target(name: &Value, verb: &str) -> Vec<Value> {
    vec![
        json!({"cluster": null, "namespace": null, "api_version": null, "kind": "JiraIssue", "name": name, "verb": verb}),
    ]
}

/// The name of a field's value: `status.name`, `assignee.displayName`.
fn named(value: &Value) -> &str {
    ["name", "displayName", "value"].iter().find_map(|field| value[*field].as_str()).unwrap_or("-")
}

/// A text field as plain text: a document of Cloud, or wiki markup as it is.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        document => adf::text_of(document),
    }
}
