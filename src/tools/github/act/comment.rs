//! `github_comment`: one comment on an issue or a pull request.

use super::{Desk, blind, body, harmless, object, receipt, unmade};
use crate::domain::{Action, Marker, Preview, Receipt, Reconciled, Retry, Target};
use crate::edge::github::Repo;
use crate::edge::github::answers::Comment;
use crate::edge::github::writer::{Errand, target};
use crate::edge::{EdgeError, EdgeErrorKind};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// `github_comment`.
#[derive(Debug, Clone)]
pub(super) struct Write(pub(super) Desk);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    number: u64,
    body: String,
}

#[async_trait]
impl ActTool for Write {
    fn spec(&self) -> &ToolSpec {
        &self.0.hub.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let repo = self.0.repo(given(&args.repo), setting.case)?;
        let said = self.0.clean(&args.body);
        if said.trim().is_empty() {
            return Err(ToolError::invalid("body: says nothing"));
        }
        let (is_pull, locked, title) = match self.0.hub.reader.pull(&repo, args.number).await {
            Ok(pull) => (true, pull.locked, pull.title),
            Err(error) if *error.kind() == EdgeErrorKind::NotFound => {
                let issue = self.0.writer.issue(&repo, args.number).await?;
                (false, issue.locked, issue.title)
            }
            Err(error) => return Err(error.into()),
        };
        if locked {
            return Err(ToolError::failed(format!("nobody may comment on #{} any more", args.number), false));
        }
        let what = if is_pull { "pull request" } else { "issue" };
        Ok(Plan {
            title: format!("comment on {what} #{} of {repo}: {}", args.number, self.0.headline(&title)),
            targets: vec![target(&repo, "Comment", args.number.to_string())],
            preview: Preview { kind: "rendered".to_owned(), text: said.clone(), adds: 1, ..Preview::default() },
            precondition: Value::Null,
            carries: json!({"said": said, "chain": setting.case.chain, "checkpoint": setting.case.checkpoint}),
            undo: None,
            reversible: true,
            retry: Retry::Probe,
            blast_radius: harmless(),
            facts: json!({"is_pull": is_pull}),
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.spec().name, now)?;
        let (target, repo) = object(&action).map_err(|error| ActError::refused(error.for_reader()))?;
        let marker = permit.marker();
        if let Some(there) = self.found(&repo, &action, marker).await.map_err(|error| blind(&error))? {
            return Ok(written(&repo, &target, &there));
        }
        let said = body(marker, &action.carries);
        let errand = Errand { permit: &permit, target: &target };
        let made = self.0.writer.create_comment(errand, is_pull(&action), &said).await;
        Ok(written(&repo, &target, &made.map_err(|error| unmade(&error))?))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let (target, repo) = object(action)?;
        Ok(match self.found(&repo, action, marker).await? {
            Some(there) => Reconciled::Applied { receipt: written(&repo, &target, &there) },
            None => Reconciled::Absent { definite: false },
        })
    }
}

impl Write {
    async fn found(&self, repo: &Repo, action: &Action, marker: &Marker) -> Result<Option<Comment>, EdgeError> {
        let number = action.target().name.parse().unwrap_or_default();
        for comment in self.0.writer.comments(repo, number, is_pull(action)).await? {
            if self.0.is_ours(comment.user.as_ref(), comment.body.as_deref(), marker).await? {
                return Ok(Some(comment));
            }
        }
        Ok(None)
    }
}

fn is_pull(action: &Action) -> bool {
    action.facts["is_pull"] == true
}

fn written(repo: &Repo, target: &Target, comment: &Comment) -> Receipt {
    receipt(
        comment.html_url.as_deref(),
        format!("{repo}#{} comment {}", target.name, comment.id),
        format!("commented on #{} of {repo}", target.name),
        json!({"repo": repo.to_string(), "number": target.name, "comment": comment.id}),
    )
}
