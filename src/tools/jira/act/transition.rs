//! An issue's next status.

use super::{Scribe, not_looked, plan};
use crate::domain::{Action, Marker, Receipt, Reconciled, Retry};
use crate::edge::UnmadeKind;
use crate::edge::jira::Who;
use crate::gate::Warrant;
use crate::template::fence::inline;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// `jira_transition`.
#[derive(Debug, Clone)]
pub struct Transition(pub(super) Scribe);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    key: String,
    to: String,
}

#[async_trait]
impl ActTool for Transition {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, key, to) = (self.0.reader(), args.key.trim(), args.to.trim());
        let project = reader.project_of(key)?;
        let (issue, ways) = tokio::try_join!(reader.issue(key, &["status"], ""), reader.transitions(key))?;
        let from = status(&issue);
        let way = chosen(&ways, to).map_err(|known| {
            ToolError::invalid(format!("{key} is {}; from there it can take {known}", shown(&from.1)))
        })?;
        let (name, goal) = (shown(&way.name), shown(&way.goal.1));
        let text = format!("{key}\n- {}\n+ {goal} (by {name})", shown(&from.1));
        let target = self.0.target(project, "Issue", key, "transition");
        let mut plan = plan(format!("move {key} to {goal}"), target, text, Retry::Probe);
        (plan.preview.adds, plan.preview.changes) = (0, 1);
        plan.precondition = json!({"status": from.0, "transition": way.id, "goal": way.goal.0});
        Ok(plan)
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let (target, marker, wanted) = (action.target(), permit.marker(), &action.precondition);
        let key = &target.name;
        let issue = self.0.reader().issue(key, &["status"], "").await.map_err(|error| not_looked(&error))?;
        let stands = status(&issue);
        if wanted["status"] != stands.0.as_str() {
            return Err(ActError::stale(format!("{key} is {} by now", shown(&stands.1))));
        }
        let body = json!({
            "transition": {"id": wanted["transition"]},
            "properties": [{"key": marker.as_str(), "value": {"marker": marker.as_str(), "goal": wanted["goal"]}}],
        });
        match self.0.writer.transition(&permit, &target, key, &body, now).await {
            Ok(()) => Ok(receipt(key, &action.title)),
            // A copy that a proxy sent comes too late for the status that the first one left.
            Err(unmade) => match unmade.kind() {
                UnmadeKind::Refused(400 | 409) if self.is_done(key, marker).await? => Ok(receipt(key, &action.title)),
                UnmadeKind::Refused(409) => Err(ActError::stale(unmade.to_string())),
                _ => Err(unmade.into()),
            },
        }
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let (reader, key) = (self.0.reader(), action.target().name);
        let property = reader.issue_property(&key, marker.as_str()).await?;
        if Scribe::is_marked(property.as_ref(), marker) {
            return Ok(Reconciled::Applied { receipt: receipt(&key, &action.title) });
        }
        let issue = reader.issue(&key, &["status"], "changelog").await?;
        let (stands, wanted) = (status(&issue), &action.precondition);
        if wanted["status"] == stands.0.as_str() {
            return Ok(Reconciled::Absent { definite: false });
        }
        let who = reader.myself().await?;
        Ok(match wanted["goal"] == stands.0.as_str() && moved_by(&who, &issue, &stands.0) {
            true => Reconciled::Applied { receipt: receipt(&key, &action.title) },
            false => Reconciled::Superseded { why: format!("{key} is {} by now, and not by us", shown(&stands.1)) },
        })
    }
}

impl Transition {
    /// Whether the issue carries our marker, after Jira said that nothing was done.
    async fn is_done(&self, key: &str, marker: &Marker) -> Result<bool, ActError> {
        let property = self.0.reader().issue_property(key, marker.as_str()).await;
        let property = property.map_err(|error| ActError::unknown(error.to_string()))?;
        Ok(Scribe::is_marked(property.as_ref(), marker))
    }
}

/// Where one way leads.
struct Way {
    id: String,
    name: String,
    /// Id and name of the status.
    goal: (String, String),
}

/// The one way called `to`, or to the status of that name. The error lists what there is.
fn chosen(ways: &[Value], to: &str) -> Result<Way, String> {
    let ways: Vec<Way> = ways
        .iter()
        .filter_map(|way| {
            Some(Way {
                id: way["id"].as_str()?.to_owned(),
                name: way["name"].as_str()?.to_owned(),
                goal: named(&way["to"]),
            })
        })
        .collect();
    let known: Vec<String> =
        ways.iter().take(20).map(|way| format!("{} (to {})", shown(&way.name), shown(&way.goal.1))).collect();
    let same = |name: &str| name.to_lowercase() == to.to_lowercase();
    let by_name: Vec<usize> = (0..ways.len()).filter(|at| same(&ways[*at].name)).collect();
    let by_goal: Vec<usize> = (0..ways.len()).filter(|at| same(&ways[*at].goal.1)).collect();
    let at = match (by_name.as_slice(), by_goal.as_slice()) {
        ([only], _) | ([], [only]) => *only,
        _ => return Err(if known.is_empty() { "no way on".to_owned() } else { known.join(", ") }),
    };
    ways.into_iter().nth(at).ok_or_else(String::new)
}

fn status(issue: &Value) -> (String, String) {
    named(&issue["fields"]["status"])
}

fn named(status: &Value) -> (String, String) {
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    (text("id"), text("name"))
}

/// Whether the last change of status, by `who`, was to the status `goal`.
fn moved_by(who: &Who, issue: &Value, goal: &str) -> bool {
    let changes = issue["changelog"]["histories"].as_array().into_iter().flatten();
    let of_status =
        |change: &&Value| change["items"].as_array().into_iter().flatten().any(|item| item["field"] == "status");
    let last =
        changes.filter(of_status).max_by_key(|change| change["id"].as_str().and_then(|id| id.parse::<u64>().ok()));
    last.is_some_and(|change| {
        let to = |item: &Value| item["field"] == "status" && item["to"] == goal;
        who.is(&change["author"]) && change["items"].as_array().into_iter().flatten().any(to)
    })
}

/// A name that somebody gave, on one line.
fn shown(name: &str) -> String {
    inline(name, 60)
}

fn receipt(key: &str, title: &str) -> Receipt {
    Receipt { reference: key.to_owned(), summary: format!("done: {title}"), detail: Value::Null }
}
