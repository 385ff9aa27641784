//! `github_create_issue`: one issue of an incident in a repository.

use super::{Desk, about, body, harmless, object, receipt, text, unmade};
use crate::domain::{Action, Marker, Preview, Receipt, Reconciled, Retry};
use crate::edge::EdgeError;
use crate::edge::github::Repo;
use crate::edge::github::answers::Issue;
use crate::edge::github::writer::{Errand, target};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The label by which people find what we opened.
const LABEL: &str = "firewarden";

/// `github_create_issue`.
#[derive(Debug, Clone)]
pub(super) struct Open(pub(super) Desk);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    title: String,
    body: String,
    #[serde(default)]
    labels: Vec<String>,
}

#[async_trait]
impl ActTool for Open {
    fn spec(&self) -> &ToolSpec {
        &self.0.hub.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo), setting.case)?;
        let (title, said) = (self.0.headline(&args.title), self.0.clean(&args.body));
        if title.trim().is_empty() {
            return Err(ToolError::invalid("title: says nothing"));
        }
        if self.0.hub.reader.repository(&repo).await?.archived {
            return Err(ToolError::failed(format!("{repo} is archived: nothing can be changed in it"), false));
        }
        let mut labels: Vec<String> = args.labels.iter().map(|label| self.0.headline(label)).collect();
        labels.push(LABEL.to_owned());
        labels.sort_unstable();
        labels.dedup();
        let text = format!("{title}\n\n{said}\n\nLabels: {}", labels.join(", "));
        Ok(Plan {
            title: format!("open an issue in {repo}: {title}"),
            targets: vec![target(&repo, "Issue", &setting.case.slug)],
            preview: Preview { kind: "rendered".to_owned(), text, adds: 1, ..Preview::default() },
            precondition: Value::Null,
            carries: json!({
                "title": title, "said": format!("{said}\n\n{}", about(setting.case)), "labels": labels,
                "chain": setting.case.chain, "checkpoint": setting.case.checkpoint,
            }),
            undo: None,
            reversible: true,
            retry: Retry::Settle,
            blast_radius: harmless(),
            facts: Value::Null,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.spec().name, now)?;
        let (target, repo) = object(&action).map_err(|error| ActError::refused(error.for_reader()))?;
        let marker = permit.marker();
        // It is sent at most once, so before that nothing can have happened.
        let unseen = |error: EdgeError| match error.is_transient() {
            true => ActError::stale(format!("it could not be looked for first, so nothing was sent: {error}")),
            false => ActError::refused(format!("it could not be looked for first, so nothing was sent: {error}")),
        };
        if let Some(there) = self.found(&repo, marker).await.map_err(unseen)? {
            return Ok(opened(&repo, &there));
        }
        let carries = &action.carries;
        let said = body(marker, carries);
        let labels: Vec<String> = serde_json::from_value(carries["labels"].clone()).unwrap_or_default();
        let errand = Errand { permit: &permit, target: &target };
        let made = self.0.writer.create_issue(errand, text(carries, "title"), &said, &labels).await;
        Ok(opened(&repo, &made.map_err(|error| unmade(&error))?))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let (_, repo) = object(action)?;
        Ok(match self.found(&repo, marker).await? {
            Some(there) => Reconciled::Applied { receipt: opened(&repo, &there) },
            None => Reconciled::Absent { definite: false },
        })
    }
}

impl Open {
    async fn found(&self, repo: &Repo, marker: &Marker) -> Result<Option<Issue>, EdgeError> {
        let login = self.0.writer.login().await?.to_owned();
        for issue in self.0.writer.issues_of(repo, &login).await? {
            if self.0.is_ours(issue.user.as_ref(), issue.body.as_deref(), marker).await? {
                return Ok(Some(issue));
            }
        }
        Ok(None)
    }
}

fn opened(repo: &Repo, issue: &Issue) -> Receipt {
    receipt(
        issue.html_url.as_deref(),
        format!("{repo}#{}", issue.number),
        format!("issue #{} of {repo}, {}: {}", issue.number, issue.state, issue.title),
        json!({"repo": repo.to_string(), "number": issue.number}),
    )
}
