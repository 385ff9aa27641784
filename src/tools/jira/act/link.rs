//! A link from an issue to the investigation.

use super::{Scribe, plan};
use crate::domain::{Action, Marker, Receipt, Reconciled, Retry};
use crate::gate::Warrant;
use crate::template::fence::inline;
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest title of a link.
const TITLE: usize = 200;

/// `jira_link`.
#[derive(Debug, Clone)]
pub struct Link(pub(super) Scribe);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    key: String,
}

#[async_trait]
impl ActTool for Link {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, case, key) = (self.0.reader(), setting.case, args.key.trim());
        let project = reader.project_of(key)?;
        let Some(url) = &case.url else {
            return Err(ToolError::failed("there is nothing to link to: server.public_url is not set", false));
        };
        reader.issue(key, &["status"], "").await?;
        let title = inline(&self.0.clean(&case.title), TITLE);
        let target = self.0.target(project, "RemoteLink", key, "create");
        let text = format!("Link on {key} to this investigation: {url}");
        Ok(Plan {
            carries: json!({"url": url, "title": format!("firewarden: {title}")}),
            ..plan(format!("link {key} to the investigation"), target, text, Retry::Keyed)
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let target = action.target();
        self.0.still(&target.name).await?;
        let body = json!({
            "globalId": permit.marker().as_str(),
            "application": {"type": "firewarden", "name": "firewarden"},
            "relationship": "investigated in",
            "object": action.carries,
        });
        self.0.writer.link(&permit, &target, &target.name, &body, now).await?;
        Ok(receipt(&target.name))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let key = action.target().name;
        let links = self.0.reader().remote_links(&key, Some(marker.as_str())).await?;
        Ok(match links.iter().any(|link| link["globalId"] == marker.as_str()) {
            true => Reconciled::Applied { receipt: receipt(&key) },
            // One that is still on its way would replace the next one, not stand beside it.
            false => Reconciled::Absent { definite: true },
        })
    }
}

fn receipt(key: &str) -> Receipt {
    Receipt { reference: key.to_owned(), summary: format!("{key} links to the investigation"), detail: Value::Null }
}
