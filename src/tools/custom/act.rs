//! A tool of one's own that changes something.

use super::read::looked;
use super::{Does, Plans, Tool, command, given, http, mcp, named, words};
use crate::domain::{Action, BlastRadius, Marker, Preview, Receipt, Reconciled, Target};
use crate::edge::call::Unanswered;
use crate::edge::exec::Status;
use crate::gate::{Permit, Warrant};
use crate::tools::act::{ActError, ActTool, Plan, Setting};
use crate::tools::spec::{ToolError, ToolSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What stands in a plan where the world will see the names of the change.
const UNNAMED: (&str, &str) = ("(marker)", "(action id)");

/// It.
#[derive(Debug)]
pub(super) struct Acting(pub(super) Tool);

#[async_trait]
impl ActTool for Acting {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, _: &Setting<'_>) -> Result<Plan, ToolError> {
        let tool = &self.0;
        let given = given(&tool.spec.params, args);
        let target = tool.custom.target(&given)?;
        let unnamed = named(given.clone(), UNNAMED.0, UNNAMED.1);
        let (doing, facts) = described(tool, &unnamed)?;
        let (kind, tried) = match &tool.custom.plan {
            Some(Plans::Text(source)) => ("rendered", words("plan.text", source, &given)?),
            Some(Plans::By(does)) => {
                // A command tries it, in its own words; a request that looks has tried nothing.
                let kind = if matches!(**does, Does::Command(_)) { "server_dry_run" } else { "rendered" };
                (kind, text(&looked(tool, does, &given).await?.data))
            }
            None => return Err(ToolError::failed("its manifest has no plan", false)),
        };
        let preview = Preview {
            kind: kind.into(),
            text: format!("{doing}\n\n{}", tried.trim()),
            changes: 1,
            ..Preview::default()
        };
        Ok(Plan {
            title: format!("{} {}", tool.spec.name, target.label()),
            targets: vec![target],
            preview,
            precondition: Value::Null,
            carries: Value::Null,
            undo: None,
            reversible: tool.custom.reversible,
            retry: tool.custom.retry,
            // What hangs on a thing that only a manifest knows, nobody measured.
            blast_radius: BlastRadius::default(),
            facts,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let tool = &self.0;
        let (permit, action) = warrant.redeem(&tool.spec.name, now)?;
        let refused = |e: ToolError| ActError::refused(e.for_reader());
        // Hints of a server may have made it graver since somebody agreed to it.
        if action.effect < tool.spec.effect {
            return Err(ActError::stale(format!("{} is `{}` by now", tool.spec.name, tool.spec.effect)));
        }
        let given = given(&tool.spec.params, &action.args);
        // Worked out anew from the arguments: the permit has to name exactly this.
        let target = tool.custom.target(&given).map_err(refused)?;
        let given = named(given, permit.marker().as_str(), &action.id.to_string());
        let marker = permit.marker().as_str().to_owned();
        let summary = match &tool.custom.run {
            Does::Http(call) => {
                let request = http::request(tool, call, &given, Some(&marker)).map_err(refused)?;
                let answer = tool.doors.caller.change(&permit, &target, &request, http::bounds(tool), now).await?;
                match (http::is_ok(call, &answer), http::is_refusal(call, &answer)) {
                    (true, _) => format!("{}: {}", request.shown(), http::said(&answer)),
                    (false, true) => return Err(ActError::refused(http::said(&answer))),
                    (false, false) => return Err(ActError::unknown(http::said(&answer))),
                }
            }
            Does::Command(call) => ran(tool, call, &permit, &target, &given, now).await?,
            Does::Mcp(call) => {
                let server = mcp::server(tool, call).map_err(refused)?;
                let order = mcp::call(tool, call, &given).map_err(refused)?;
                let answer = server.change(&permit, &target, &order, now).await?;
                match answer.failed {
                    false => format!("{}: {}", call.tool, mcp::said(&answer)),
                    // A tool that failed may have got halfway.
                    true => return Err(ActError::unknown(format!("it says that it failed: {}", mcp::said(&answer)))),
                }
            }
        };
        Ok(Receipt { reference: marker, summary, detail: Value::Null })
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let tool = &self.0;
        let given = given(&tool.spec.params, &action.args);
        let given = named(given, marker.as_str(), &action.id.to_string());
        let (found, summary) = match &tool.custom.reconcile {
            // Nothing tells: what the engine then does is said by `retry`, which is `never`.
            None => (false, String::new()),
            Some(Does::Http(call)) => {
                let request = http::request(tool, call, &given, None)?;
                let answer = tool.doors.caller.look(&request, http::bounds(tool)).await?;
                if !http::is_ok(call, &answer) {
                    return Err(http::wrong(tool, &answer));
                }
                (http::shows(call, &answer, &given)?, format!("{} shows it", request.shown()))
            }
            Some(Does::Command(call)) => {
                let order = command::order(tool, call, &given)?;
                let ended =
                    tool.doors.runner.look(&order).await.map_err(|e| ToolError::failed(e.to_string(), false))?;
                match ended.status {
                    Status::Exited(0) => (true, format!("{} finds it", call.argv[0])),
                    Status::Exited(1) => (false, String::new()),
                    _ => return Err(ToolError::failed(command::said(&ended), true)),
                }
            }
            Some(Does::Mcp(call)) => {
                let answer = mcp::looked(tool, call, &given).await?;
                (http::applied(call.applied.as_ref(), &answer.data, &given)?, format!("{} shows it", call.tool))
            }
        };
        Ok(match found {
            true => {
                Reconciled::Applied { receipt: Receipt { reference: marker.to_string(), summary, detail: Value::Null } }
            }
            false => Reconciled::Absent { definite: false },
        })
    }
}

impl From<Unanswered> for ActError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Refused(_) | Unanswered::NotSent(_) => Self::refused(why.to_string()),
            Unanswered::Unknown(_) => Self::unknown(why.to_string()),
        }
    }
}

/// Runs the command that makes the change.
async fn ran(
    tool: &Tool,
    call: &super::CommandCall,
    permit: &Permit,
    target: &Target,
    given: &Value,
    now: Timestamp,
) -> Result<String, ActError> {
    let order = command::order(tool, call, given).map_err(|e| ActError::refused(e.for_reader()))?;
    let ended = tool.doors.runner.change(permit, target, &order, now).await;
    let ended = ended.map_err(|e| ActError::refused(e.to_string()))?;
    match ended.status {
        Status::Exited(0) => Ok(command::said(&ended)),
        status if command::is_refusal(call, status) => Err(ActError::refused(command::said(&ended))),
        _ => Err(ActError::unknown(command::said(&ended))),
    }
}

/// What will be done, for a person, and for the policy and whoever agrees: all that is sent or run, with
/// what it may touch, but no value of a secret.
fn described(tool: &Tool, given: &Value) -> Result<(String, Value), ToolError> {
    Ok(match &tool.custom.run {
        Does::Http(call) => {
            let call = http::filled(call, given)?;
            (http::shown(&call, UNNAMED.0), json!({"request": call}))
        }
        Does::Command(call) => {
            let call = command::filled(call, given)?;
            (command::shown(&call), json!({"argv": call.argv, "command": call}))
        }
        Does::Mcp(call) => {
            let arguments = mcp::arguments(call, given)?;
            let facts = json!({"mcp": {"server": call.server, "tool": call.tool, "arguments": arguments}});
            (mcp::shown(call, &arguments), facts)
        }
    })
}

fn text(data: &Value) -> String {
    let said = ["body", "stdout", "answer"].iter().map(|key| &data[*key]).find(|said| !said.is_null());
    match said.unwrap_or(&Value::Null) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}
