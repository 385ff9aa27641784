//! Writing into Jira. Everything carries the change's marker, and what is found by its marker counts only
//! when our own account made it.
//!
//! - [`create`]: an issue; Jira finds new ones late, so doubt is never answered by a second one.
//! - [`comment`]: a comment, claimed first by a property of the issue.
//! - [`transition`]: the next status, from the one that was seen.
//! - [`link`]: a link to our own page, which Jira keeps once.

pub mod comment;
pub mod create;
pub mod link;
pub mod transition;

use super::{adf, wiki};
use crate::domain::{BlastRadius, Marker, Preview, Redactor, Retry, Target};
use crate::edge::EdgeError;
use crate::edge::jira::{Deployment, JiraReader, JiraWriter, Who};
use crate::tools::act::{ActError, ActTool, Plan};
use crate::tools::jira::document::Block;
use crate::tools::spec::ToolSpec;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest that writes can run. All of them write something down and change nothing else.
pub const BUILTINS: [&str; 4] = ["jira_create_issue", "jira_comment", "jira_transition", "jira_link"];
/// The property that carries the marker.
const PROPERTY: &str = "firewarden.action";

/// What every tool that writes works with.
#[derive(Debug, Clone)]
pub struct Scribe {
    spec: Arc<ToolSpec>,
    writer: JiraWriter,
    redactor: Arc<ArcSwap<Redactor>>,
}

/// The tool that `spec` runs, if it is one of those that write.
pub fn build(spec: Arc<ToolSpec>, writer: JiraWriter, redactor: &Arc<ArcSwap<Redactor>>) -> Option<Box<dyn ActTool>> {
    let builtin = spec.builtin.clone();
    let scribe = Scribe { spec, writer, redactor: redactor.clone() };
    Some(match builtin.as_str() {
        "jira_create_issue" => Box::new(create::Create(scribe)),
        "jira_comment" => Box::new(comment::Comment(scribe)),
        "jira_transition" => Box::new(transition::Transition(scribe)),
        "jira_link" => Box::new(link::Link(scribe)),
        _ => return None,
    })
}

impl Scribe {
    fn reader(&self) -> &JiraReader {
        self.writer.reader()
    }

    /// Looks once more, right before something is written there, whether the issue `key` is still where
    /// policy saw it.
    async fn still(&self, key: &str) -> Result<(), ActError> {
        self.reader().issue(key, &["status"], "").await.map(|_| ()).map_err(|error| not_looked(&error))
    }

    /// Without secrets.
    fn clean(&self, text: &str) -> String {
        self.redactor.load().text(text).0.into_owned()
    }

    /// The text of `blocks` in the form that this Jira takes.
    fn written(&self, blocks: Vec<Block>) -> Value {
        match self.reader().deployment() {
            Deployment::Cloud => adf::document(blocks),
            Deployment::Server => wiki::text(blocks).into(),
        }
    }

    /// One thing of the project of the issue `key`, or of `key` itself where it is a project.
    fn target(&self, project: &str, kind: &str, name: &str, verb: &str) -> Target {
        Target {
            system: "jira".into(),
            cluster: self.reader().host().to_owned(),
            namespace: project.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            verb: verb.to_owned(),
            ..Target::default()
        }
    }

    /// Whether the property that `value` was read from is the one that we wrote beside `marker`.
    fn is_marked(value: Option<&Value>, marker: &Marker) -> bool {
        value.is_some_and(|value| value["marker"] == marker.as_str())
    }

    /// Whether `who` made what has these people beside it: who made it cannot be changed, where Jira says it.
    fn is_ours(who: &Who, creator: &Value, reporter: &Value) -> bool {
        who.is(if creator.is_object() { creator } else { reporter })
    }
}

/// The properties that what we write carries.
fn properties(marker: &Marker) -> Value {
    json!([{"key": PROPERTY, "value": {"marker": marker.as_str()}}])
}

/// A plan for one thing in Jira.
fn plan(title: String, target: Target, text: String, retry: Retry) -> Plan {
    Plan {
        title,
        targets: vec![target],
        preview: Preview { kind: "rendered".into(), text, adds: 1, ..Preview::default() },
        precondition: Value::Null,
        carries: Value::Null,
        undo: None,
        reversible: true,
        retry,
        blast_radius: BlastRadius { known: true, ..BlastRadius::default() },
        facts: Value::Null,
    }
}

/// A look before anything was sent that failed.
fn not_looked(error: &EdgeError) -> ActError {
    ActError::not_looked("Jira", error)
}
