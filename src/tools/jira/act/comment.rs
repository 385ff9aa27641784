//! A comment on an issue.

use super::{PROPERTY, Scribe, not_looked, plan, properties};
use crate::domain::{Action, Marker, Receipt, Reconciled, Retry};
use crate::edge::jira::read::COMMENTS;
use crate::edge::{EdgeError, EdgeErrorKind};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::jira::document;
use crate::tools::spec::{ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long behind its last moment a request may still be on its way.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(10);

/// Pages of comments that are looked through for ours.
const PAGES: usize = 10;

/// `jira_comment`.
#[derive(Debug, Clone)]
pub struct Comment(pub(super) Scribe);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    key: String,
    note: Option<String>,
    about: Option<String>,
}

#[async_trait]
impl ActTool for Comment {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, case, key) = (self.0.reader(), setting.case, args.key.trim());
        let project = reader.project_of(key)?;
        reader.issue(key, &["status"], "").await?;
        let about = match given(&args.about) {
            None => None,
            Some(id) => {
                let known = case.report.iter().flat_map(|report| &report.actions).find(|action| action.id == id);
                let unknown = || ToolError::invalid("the report knows no such change; leave `about` out");
                Some(known.ok_or_else(unknown)?)
            }
        };
        let note = given(&args.note).map(|note| self.0.clean(note));
        let mut text = match about {
            Some(action) => format!("Comment on {key}: what became of \"{}\"", action.title),
            None => format!("Comment on {key}: what the report says when the comment is made"),
        };
        if let Some(note) = &note {
            text.push_str(&format!("\n{}:\n{note}", document::CLAIM));
        }
        // One comment on each thing: the same again is the first one.
        let topic = about.map_or("report", |action| action.id.as_str());
        let target = self.0.target(project, "Comment", &format!("{key}/{topic}"), "create");
        Ok(Plan {
            carries: json!({"body": self.0.written(document::comment(case, about, note.as_deref()))}),
            ..plan(format!("comment on {key}"), target, text, Retry::Probe)
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let (key, target, marker) = (key_of(&action), action.target(), permit.marker());
        let claimed =
            self.0.reader().issue_property(&key, marker.as_str()).await.map_err(|error| not_looked(&error))?;
        if let Some(claim) = &claimed {
            // It was begun once: what cannot be looked at may be there.
            if let Some(found) = self.find(&key, marker).await.map_err(|error| ActError::unknown(error.to_string()))? {
                return Ok(found);
            }
            let until = claim["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
            if until.and_then(|until| until.checked_add(ON_ITS_WAY).ok()).is_some_and(|until| now < until) {
                return Err(ActError::unknown("another attempt at this comment may still be on its way"));
            }
        }
        self.0.still(&key).await?;
        let claim = json!({"marker": marker.as_str(), "until": permit.not_after()});
        let first = self.0.writer.claim(&permit, &target, (&key, marker.as_str()), &claim, now).await?;
        if !first && claimed.is_none() {
            return Err(ActError::unknown("another attempt at this comment came first by a moment"));
        }
        let body = json!({"body": action.carries["body"], "properties": properties(marker)});
        let id = self.0.writer.comment(&permit, &target, &key, &body, now).await?;
        Ok(self.receipt(&key, &id))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        Ok(match self.find(&key_of(action), marker).await? {
            Some(receipt) => Reconciled::Applied { receipt },
            None => Reconciled::Absent { definite: false },
        })
    }
}

impl Comment {
    /// The comment with this marker that our account wrote, the last comments first.
    async fn find(&self, key: &str, marker: &Marker) -> Result<Option<Receipt>, EdgeError> {
        let reader = self.0.reader();
        let who = reader.myself().await?;
        let (mut page, total) = reader.comments(key).await?;
        let mut start = total.saturating_sub(page.len() as u64);
        for _ in 0..PAGES {
            for comment in page.iter().rev().filter(|comment| who.is(&comment["author"])) {
                let id = comment["id"].as_str().unwrap_or_default();
                let property = reader.comment_property(id, PROPERTY).await?;
                if Scribe::is_marked(property.as_ref(), marker) {
                    return Ok(Some(self.receipt(key, id)));
                }
            }
            if start == 0 {
                return Ok(None);
            }
            let end = start;
            start = end.saturating_sub(COMMENTS);
            page = reader.comments_from(key, start, end - start).await?.0;
        }
        let text = format!("{key} has {total} comments, more than are looked through for ours");
        Err(EdgeError::new("jira", EdgeErrorKind::TooLarge, text))
    }

    fn receipt(&self, key: &str, id: &str) -> Receipt {
        let url = format!("{}?focusedCommentId={id}", self.0.reader().page(key));
        Receipt {
            reference: format!("{key}/{id}"),
            summary: format!("commented on {key}: {url}"),
            detail: json!({"id": id, "url": url}),
        }
    }
}

/// The issue that a planned change is about.
fn key_of(action: &Action) -> String {
    action.args["key"].as_str().unwrap_or_default().trim().to_owned()
}
