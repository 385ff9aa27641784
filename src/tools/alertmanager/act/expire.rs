//! The end of a silence of ours. What people silenced is theirs.

use super::matching::{Proposed, checked};
use super::{Hand, not_looked, shown};
use crate::domain::{Action, BlastRadius, Marker, Preview, Receipt, Reconciled, Retry};
use crate::edge::EdgeError;
use crate::edge::alertmanager::Held;
use crate::gate::Warrant;
use crate::template::fence::inline;
use crate::tools::act::{ActError, ActTool, Observed, Plan, Setting};
use crate::tools::gist::counted;
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most silences that one call ends: one, and what a proxy made of it.
const MOST: usize = 5;
const TITLE: usize = 500;

/// `alertmanager_expire_silence`.
#[derive(Debug, Clone)]
pub(super) struct Expire(pub(super) Hand);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    matchers: Vec<Proposed>,
}

#[async_trait]
impl ActTool for Expire {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let matchers = checked(args.matchers)?;
        let what = inline(&self.0.clean(&shown(&matchers)), TITLE);
        let mut ours = self.0.ours(&matchers).await?;
        ours.retain(Held::stands);
        ours.truncate(MOST);
        if ours.is_empty() {
            let text = format!("no silence that firewarden made stands for exactly {what}; those of people are theirs");
            return Err(ToolError::failed(text, false));
        }
        let lines: Vec<String> = ours.iter().map(|held| format!("- {} until {}", held.id, held.ends_at)).collect();
        Ok(Plan {
            title: format!("end our silence of {what}"),
            targets: ours.iter().map(|held| self.0.target(&matchers, &held.id, "expire")).collect(),
            preview: Preview {
                kind: "rendered".into(),
                text: format!("End {what}:\n{}", lines.join("\n")),
                removes: ours.len() as u64,
                ..Preview::default()
            },
            precondition: Value::Null,
            carries: Value::Null,
            undo: None,
            // A silence that is over does not come back; another one can be made.
            reversible: true,
            retry: Retry::Keyed,
            blast_radius: BlastRadius { known: true, ..BlastRadius::default() },
            facts: Value::Null,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        for target in &action.targets {
            if self.stands(&target.name).await.map_err(|error| not_looked(&error))? {
                self.0.writer.expire(&permit, target, &target.name, now).await?;
            }
        }
        Ok(receipt(&action))
    }

    async fn reconcile(&self, action: &Action, _: &Marker) -> Result<Reconciled, ToolError> {
        for target in &action.targets {
            if self.stands(&target.name).await? {
                // A second end of the same silence is none.
                return Ok(Reconciled::Absent { definite: true });
            }
        }
        Ok(Reconciled::Applied { receipt: receipt(action) })
    }

    async fn observe(&self, action: &Action, _: &Receipt) -> Result<Observed, ToolError> {
        for target in &action.targets {
            if self.stands(&target.name).await? {
                return Ok(Observed::Moving(format!("the silence {} stands still", target.name)));
            }
        }
        Ok(Observed::Nothing("people hear of these alerts again".into()))
    }
}

impl Expire {
    /// Whether the silence silences, or will. One that is forgotten is over.
    async fn stands(&self, id: &str) -> Result<bool, EdgeError> {
        Ok(self.0.reader().silence(id).await?.is_some_and(|held| held.stands()))
    }
}

fn receipt(action: &Action) -> Receipt {
    let ids: Vec<&str> = action.targets.iter().map(|target| target.name.as_str()).collect();
    Receipt {
        reference: ids.first().copied().unwrap_or_default().to_owned(),
        summary: format!("{} ended: {}", counted(ids.len(), "silence", "silences"), ids.join(", ")),
        detail: json!({"ids": ids}),
    }
}
