//! An issue that documents the incident.

use super::{PROPERTY, Scribe, not_looked, plan, properties};
use crate::domain::{Action, Marker, Receipt, Reconciled, Retry};
use crate::edge::EdgeError;
use crate::edge::jira::jql::quoted;
use crate::edge::jira::read::oldest;
use crate::gate::Warrant;
use crate::template::fence::inline;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::jira::document;
use crate::tools::spec::{ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest title: Jira takes 255.
const SUMMARY: usize = 200;
/// The label of everything that we create.
const LABEL: &str = "firewarden";
/// Issues with our label that are looked at; there is one, or somebody copied it.
const LOOKED_AT: usize = 20;

/// `jira_create_issue`.
#[derive(Debug, Clone)]
pub struct Create(pub(super) Scribe);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    project: Option<String>,
    note: Option<String>,
}

#[async_trait]
impl ActTool for Create {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, case) = (self.0.reader(), setting.case);
        let project = match given(&args.project) {
            Some(project) => reader.listed(project)?,
            None => reader.projects().first().map_or("", String::as_str),
        };
        let (types, kind) = (reader.project(project).await?, self.0.writer.issue_type());
        if !types.is_empty() && !types.iter().any(|known| known == kind) {
            let text =
                format!("{project} has no issues of type {kind}, but {}: set tools.jira.issue_type", types.join(", "));
            return Err(ToolError::failed(text, false));
        }
        let note = given(&args.note).map(|note| self.0.clean(note));
        let summary = inline(&self.0.clean(&case.title), SUMMARY);
        let summary = if summary.is_empty() { format!("Incident {}", case.slug) } else { summary };
        let mut text = format!(
            "{kind} in {project}: {summary}\nText: the report of this investigation, as it stands when the issue is made"
        );
        if let Some(note) = &note {
            text.push_str(&format!("\n{}:\n{note}", document::CLAIM));
        }
        let target = self.0.target(project, "Issue", &case.slug, "create");
        let title = format!("create an issue in {project}: {summary}");
        Ok(Plan {
            carries: json!({
                "project": {"key": project}, "issuetype": {"name": kind}, "summary": summary,
                "description": self.0.written(document::issue(case, note.as_deref())), "labels": [LABEL],
            }),
            // An issue stays: nobody who read of it can be told that there was none.
            reversible: false,
            ..plan(title, target, text, Retry::Settle)
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let (target, marker) = (action.target(), permit.marker());
        // An earlier attempt of which the journal knows nothing any more.
        if let Some(found) = self.find(&target.namespace, marker).await.map_err(|error| not_looked(&error))? {
            return Ok(found);
        }
        let mut fields = action.carries.clone();
        fields["labels"] = json!([LABEL, marker.as_str()]);
        let body = json!({"fields": fields, "properties": properties(marker)});
        let key = self.0.writer.create(&permit, &target, &body, now).await?;
        Ok(self.receipt(&[key]))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let found = self.find(&action.target().namespace, marker).await?;
        Ok(match found {
            Some(receipt) => Reconciled::Applied { receipt },
            // Jira finds what is new after seconds or minutes: not finding it says nothing for certain.
            None => Reconciled::Absent { definite: false },
        })
    }
}

impl Create {
    /// The issue with this marker that our account made. Of several, the first one counts.
    async fn find(&self, project: &str, marker: &Marker) -> Result<Option<Receipt>, EdgeError> {
        let reader = self.0.reader().only(project)?;
        // Whoever may not sign in is shown nothing, which must not look like there being nothing.
        let who = reader.myself().await?;
        let jql = format!("labels = {}", quoted(marker.as_str()));
        let found = reader.search(&jql, &["creator", "reporter"], LOOKED_AT).await?;
        let mut ours = vec![];
        for issue in &found.issues {
            let (key, fields) = (issue["key"].as_str().unwrap_or_default(), &issue["fields"]);
            if Scribe::is_ours(&who, &fields["creator"], &fields["reporter"]) {
                let property = reader.issue_property(key, PROPERTY).await?;
                ours.extend(Scribe::is_marked(property.as_ref(), marker).then(|| key.to_owned()));
            }
        }
        Ok((!ours.is_empty()).then(|| self.receipt(&ours)))
    }

    fn receipt(&self, keys: &[String]) -> Receipt {
        let key = oldest(keys).cloned().unwrap_or_default();
        let url = self.0.reader().page(&key);
        let others: Vec<&str> = keys.iter().filter(|other| **other != key).map(String::as_str).collect();
        let twice = match others.as_slice() {
            [] => String::new(),
            others => format!("; {} says the same: link it as a duplicate", others.join(", ")),
        };
        Receipt {
            summary: format!("{key}: {url}{twice}"),
            detail: json!({"key": key, "url": url, "others": others}),
            reference: key,
        }
    }
}
