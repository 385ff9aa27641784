//! `firewarden tools offered`: what MCP servers offer, with the digests that the configuration takes;
//! and how what is listed stands.

use crate::app::{self, Parts};
use crate::cli::output::Format;
use crate::cli::session::Session;
use crate::cli::text::line;
use crate::cli::{Exit, Failure, logging};
use crate::config::Config;
use crate::edge::error::shorten;
use crate::edge::mcp::Offered;
use crate::tools::ToolSpec;
use crate::tools::mcp::{Listed, Peer, offer};
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one server offers.
#[derive(Debug, Serialize)]
struct Server {
    server: String,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    tools: Vec<Row>,
}

/// One tool of a server.
#[derive(Debug, Serialize)]
struct Row {
    tool: String,
    /// What it would be called.
    name: String,
    digest: String,
    /// `listed`, `changed`, `unlisted` or `gone`.
    state: &'static str,
    read_only_hint: Option<bool>,
    destructive_hint: Option<bool>,
    description: String,
    parameters: Value,
}

/// Asks the servers, all at once.
pub(super) async fn run(session: &Session, server: Option<&str>, format: Format) -> Result<Exit, Failure> {
    let config = session.config(logging::COMMAND)?;
    let peers = app::mcp(&config).map_err(|e| Failure::does_not_load(e, "mend `tools.mcp`"))?;
    let asked: Vec<&Peer> =
        peers.iter().filter(|peer| server.is_none_or(|server| peer.server.name() == server)).collect();
    if let (Some(server), true) = (server, asked.is_empty()) {
        let names: Vec<&str> = peers.iter().map(|peer| peer.server.name()).collect();
        let help = if names.is_empty() {
            "`tools.mcp` lists none".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        return Err(Failure::usage(format!("there is no MCP server `{}`", line(server, 60)), help));
    }
    let redactor = app::redactor(&config)?;
    let clean = |text: &str| redactor.text(text).0.into_owned();
    let found = join_all(asked.into_iter().map(|peer| of(peer, &clean))).await;
    session.out.value(format, &found, || found.iter().flat_map(lines).collect())?;
    Ok(match found.iter().any(|server| server.error.is_some()) {
        true => Exit::Unreachable,
        false => Exit::Fine,
    })
}

async fn of(peer: &Peer, clean: &impl Fn(&str) -> String) -> Server {
    let server = peer.server.name().to_owned();
    match tokio::time::timeout(PATIENCE, peer.server.offers()).await {
        Ok(Ok((offers, _))) => {
            let gone = peer.tools.iter().filter(|listed| !offers.iter().any(|of| of.name == listed.tool));
            let gone = gone.map(|listed| gone_row(&server, listed));
            let tools = offers.iter().map(|offered| row(&server, offered, &peer.tools, clean)).chain(gone).collect();
            Server { server, error: None, tools }
        }
        Ok(Err(error)) => Server { server, error: Some(clean(error.text())), tools: vec![] },
        Err(_) => Server { server, error: Some(format!("no answer within {} s", PATIENCE.as_secs())), tools: vec![] },
    }
}

fn row(server: &str, offered: &Offered, listed: &[Listed], clean: &impl Fn(&str) -> String) -> Row {
    let known = listed.iter().find(|listed| listed.tool == offered.name);
    let state = match known.map(|known| known.digest.as_ref()) {
        None => "unlisted",
        Some(Some(digest)) if *digest != offered.pin.digest => "changed",
        Some(_) => "listed",
    };
    Row {
        tool: offered.name.clone(),
        name: offer::name(server, &offered.name),
        digest: offered.pin.digest.to_string(),
        state,
        read_only_hint: offered.pin.hints.read_only,
        destructive_hint: offered.pin.hints.destructive,
        description: clean(offered.description.as_deref().unwrap_or_default()),
        parameters: offered.schema.clone(),
    }
}

fn gone_row(server: &str, listed: &Listed) -> Row {
    Row {
        tool: listed.tool.clone(),
        name: offer::name(server, &listed.tool),
        digest: listed.digest.as_ref().map_or_else(String::new, ToString::to_string),
        state: "gone",
        read_only_hint: None,
        destructive_hint: None,
        description: String::new(),
        parameters: Value::Null,
    }
}

fn lines(server: &Server) -> Vec<String> {
    let mut lines = vec![match &server.error {
        Some(error) => format!("{}: {}", server.server, line(error, 600)),
        None => format!("{}: {} tools", server.server, server.tools.iter().filter(|row| row.state != "gone").count()),
    }];
    for row in &server.tools {
        let hint =
            |name: &str, value: Option<bool>| value.map(|value| format!(", {name}: {value}")).unwrap_or_default();
        let hints = hint("readOnlyHint", row.read_only_hint) + &hint("destructiveHint", row.destructive_hint);
        lines.push(format!("  # {}{hints}: {}", row.state, line(&row.description, 200)));
        // What it does to the world is for a person to say; a server's word is no reason.
        let name = json!(line(&row.tool, 128));
        lines.push(format!("  - {{name: {name}, effect: , digest: \"{}\"}}", row.digest));
    }
    lines
}

/// The rows of `tools list` for what is listed of MCP servers.
pub(super) async fn listed(config: &Config) -> Result<Vec<Value>, Failure> {
    if config.mcp.is_empty() {
        return Ok(vec![]);
    }
    let parts = Parts::load(config).await?;
    parts.tools.ready().await;
    let row = |of: crate::tools::mcp::Standing| {
        let spec = parts.tools.spec(&of.name);
        let summary = spec.as_ref().map_or("", |spec| spec.summary.as_str());
        let tags = spec.as_ref().map_or(&[][..], |spec| spec.tags.as_slice());
        let mut row = json!({"name": of.name, "effect": of.effect, "available": of.available, "missing": [],
               "tags": tags, "summary": summary, "server": of.server});
        if !of.why.is_empty() {
            row["why"] = json!(shorten(&of.why, 600));
        }
        row
    };
    Ok(parts.tools.standing().into_iter().map(row).collect())
}

/// What the listed tool called `name` is, if it is one of an MCP server and offered.
pub(super) async fn spec(session: &Session, name: &str) -> Result<Option<Arc<ToolSpec>>, Failure> {
    let config = session.config(logging::COMMAND)?;
    let named = config.mcp.iter().any(|of| of.tools.iter().any(|tool| offer::name(&of.name, &tool.tool) == name));
    if !named {
        return Ok(None);
    }
    let parts = Parts::load(&config).await?;
    parts.tools.ready().await;
    match parts.tools.spec(name) {
        Some(spec) => Ok(Some(spec)),
        None => {
            let why = parts.tools.standing().into_iter().find(|of| of.name == name).map(|of| of.why);
            let what = format!("{name} is not offered: {}", why.unwrap_or_default());
            Err(Failure::unreachable(what, "`firewarden tools offered` shows what its server offers"))
        }
    }
}
