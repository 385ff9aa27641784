//! `firewarden tools list|describe|offered|call`.
//!
//! - [`offered`]: what MCP servers offer, with the digests that the configuration takes.

mod offered;

use super::output::{Format, table};
use super::session::Session;
use super::text::{block, line, wrap};
use super::{Exit, Failure, Written, logging};
use crate::app::{self, Parts};
use crate::domain::{
    AlertStatus, BlobRef, Clock as _, DecisionId, Entropy as _, EventId, Resource, ResourceType, Ruling, Severity,
    SreEvent,
};
use crate::edge::{SystemClock, SystemEntropy};
use crate::gate::{Gate, Pass};
use crate::journal::Call;
use crate::policy::{ActionInput, Background, CallFacts, InvestigationFacts, RiskInput};
use crate::tools::manifest::PEERS;
use crate::tools::{ReadTool, ToolError, ToolSpec};
use serde_json::{Map, Value, json};

/// What may be called
#[derive(Debug, clap::Subcommand)]
pub enum Tools {
    /// Every tool, its effect, and whether its peers are configured
    List {
        #[command(flatten)]
        written: Written,
    },
    /// What a tool takes
    Describe {
        /// The tool
        name: String,
        #[command(flatten)]
        written: Written,
    },
    /// What MCP servers offer, with the lines to list it by; every configured one, or SERVER
    Offered {
        /// The server
        server: Option<String>,
        #[command(flatten)]
        written: Written,
    },
    /// Call a reading tool: `tools call kubernetes_get kind=Pod namespace=web name=web-0`
    Call {
        /// The tool
        name: String,
        /// Its arguments: KEY=VALUE, or one JSON object
        args: Vec<String>,
        #[command(flatten)]
        written: Written,
    },
}

impl Tools {
    /// Runs it.
    ///
    /// # Errors
    /// When configuration or manifests do not load, a peer does not answer, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::List { written } => list(session, written.output).await,
            Self::Describe { name, written } => describe(session, &name, written.output).await,
            Self::Offered { server, written } => offered::run(session, server.as_deref(), written.output).await,
            Self::Call { name, args, written } => call(session, &name, &args, written.output).await,
        }
    }
}

fn manifests(session: &Session) -> Result<crate::tools::Manifests, Failure> {
    let places = session.places()?;
    app::manifests(places.tools.as_deref()).map_err(|e| Failure::does_not_load(e, "mend the manifest"))
}

async fn list(session: &Session, format: Format) -> Result<Exit, Failure> {
    let manifests = manifests(session)?;
    let config = session.config(logging::COMMAND)?;
    let mut rows: Vec<Value> = manifests
        .specs()
        .map(|(file, spec)| {
            let missing: Vec<&String> = spec.requires.iter().filter(|peer| !config.has_peer(peer)).collect();
            json!({"name": spec.name, "effect": spec.effect, "available": missing.is_empty(), "missing": missing,
                   "tags": spec.tags, "summary": spec.summary, "manifest": file})
        })
        .collect();
    rows.extend(offered::listed(&config).await?);
    session.out.value(format, &rows, || {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let missing = row["missing"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing = missing.collect::<Vec<_>>().join(", ");
                let state = match (missing.as_str(), row["available"] == json!(true), row["why"].as_str()) {
                    (_, false, Some(why)) => format!("no: {}", line(why, 200)),
                    (_, true, Some(why)) => format!("yes, but {}", line(why, 200)),
                    ("", ..) => "yes".into(),
                    (missing, ..) => format!("no: {missing} is not configured"),
                };
                vec![word(row, "name"), word(row, "effect"), state, line(&word(row, "summary"), 60)]
            })
            .collect();
        table(&["name", "effect", "available", "summary"], &cells)
    })?;
    Ok(Exit::Fine)
}

fn word(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

async fn describe(session: &Session, name: &str, format: Format) -> Result<Exit, Failure> {
    let manifests = manifests(session)?;
    let found = manifests.specs().find(|(_, spec)| spec.name == name);
    if found.is_none()
        && let Some(spec) = offered::spec(session, name).await?
    {
        session.out.value(format, &*spec, || describe_lines("an MCP server's", &spec))?;
        return Ok(Exit::Fine);
    }
    let (file, spec) = found.ok_or_else(|| {
        let names: Vec<&str> = manifests.specs().map(|(_, spec)| spec.name.as_str()).collect();
        Failure::usage(format!("there is no tool `{name}`"), format!("there are {}", names.join(", ")))
    })?;
    session.out.value(format, spec, || describe_lines(file, spec))?;
    Ok(Exit::Fine)
}

fn describe_lines(file: &str, spec: &ToolSpec) -> Vec<String> {
    let mut lines = vec![format!("{}  ({}, {})", spec.name, spec.effect, line(file, 80)), String::new()];
    lines.extend(wrap(&line(&spec.summary, 2000), 96).into_iter().map(|text| format!("  {text}")));
    lines.extend([String::new(), "arguments".to_owned()]);
    let required: Vec<&str> =
        spec.params["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows: Vec<Vec<String>> = spec.params["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let need = if required.contains(&name.as_str()) { "required" } else { "" };
            let about = schema["description"].as_str().unwrap_or_default();
            vec![format!("  {name}"), schema["type"].as_str().unwrap_or("any").into(), need.into(), line(about, 100)]
        })
        .collect();
    lines.extend(aligned(&rows));
    if !spec.examples.is_empty() {
        lines.extend([String::new(), "examples".to_owned()]);
        for example in &spec.examples {
            lines.push(format!("  {}", line(&example.about, 90)));
            lines.push(format!("    firewarden tools call {} '{}'", spec.name, line(&example.args.to_string(), 400)));
        }
    }
    lines
}

/// Columns without a head; the first keeps its indentation.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |n: usize| rows.iter().filter_map(|r| r.get(n)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(n, cell)| match widths.get(n) {
                Some(width) => super::text::pad(cell, *width),
                None => cell.clone(),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

async fn call(session: &Session, name: &str, args: &[String], format: Format) -> Result<Exit, Failure> {
    let config = session.config(logging::COMMAND)?;
    let parts = Parts::load(&config).await?;
    parts.tools.ready_for([name].into_iter()).await;
    let Some(tool) = parts.tools.get(name) else {
        if let Some(spec) = parts.tools.spec(name) {
            let what = format!("{name} changes something ({}); by hand, tools are only looked with", spec.effect);
            return Err(Failure::usage(what, "a change is proposed in an investigation, and judged there"));
        }
        if let Some(gone) = parts.tools.standing().into_iter().find(|of| of.name == name) {
            let help = format!("`firewarden tools offered {}` shows what its server offers", gone.server);
            return Err(Failure::new(Exit::Found, format!("{name} is not offered: {}", gone.why), help));
        }
        let specs = parts.tools.specs();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        // Some tools need no peer, and are no help to somebody who configured none.
        let help = match PEERS.into_iter().any(|peer| config.has_peer(peer)) {
            false => "no peer is configured: set tools.kubernetes or tools.prometheus".to_owned(),
            true => format!("there are {}", names.join(", ")),
        };
        return Err(Failure::usage(format!("there is no tool `{name}` here"), help));
    };
    let call = Call {
        id: "call_by_hand".into(),
        tool: name.to_owned(),
        args: arguments(args, &tool.spec().params)?,
        effect: None,
        need: Value::Null,
    };
    let invalid =
        |error: &ToolError| Failure::usage(error.for_reader(), format!("see `firewarden tools describe {name}`"));
    parts.tools.validate(name, &call.args).map_err(|e| invalid(&e))?;
    let (ruling, pass) = judge(&Gate::new(parts.policy.clone()), tool.as_ref(), &call);
    let Some(pass) = pass else {
        let reasons: Vec<String> = ruling.reasons.iter().map(|r| format!("{} ({})", r.reason, r.rule)).collect();
        let help = "the policies decide; `firewarden policy test` runs their tests";
        return Err(Failure::new(Exit::Found, format!("policy says {}: {}", ruling.verdict, reasons.join("; ")), help));
    };
    let seen = parts.tools.call(pass).await.map_err(|error| match &error {
        ToolError::Invalid { .. } => invalid(&error),
        ToolError::Refused { .. } | ToolError::Failed { .. } => Failure::unreachable(error.for_reader(), ""),
    })?;
    session.out.value(format, &seen, || block(&seen.text, 4 << 20).lines().map(str::to_owned).collect())?;
    Ok(Exit::Fine)
}

/// Puts a call by hand before the gate, as it would stand in an incident of the lowest severity.
fn judge(gate: &Gate, tool: &dyn ReadTool, call: &Call) -> (Ruling, Option<Pass>) {
    let (entropy, now) = (SystemEntropy::default(), SystemClock.now());
    let event = SreEvent {
        id: EventId::new(entropy.uuid(now)),
        source: "terminal".into(),
        fingerprint: "terminal".into(),
        group_key: None,
        status: AlertStatus::Firing,
        severity: Severity::Info,
        name: "by hand".into(),
        subject: call.tool.clone(),
        resource: Resource { kind: ResourceType::Unknown, id: String::new(), namespace: None, cluster: None },
        title: "a call by hand".into(),
        description: String::new(),
        labels: Default::default(),
        annotations: Default::default(),
        starts_at: now,
        ends_at: None,
        received_at: now,
        links: vec![],
        raw: BlobRef::commit(&entropy.salt(), b"{}"),
        raw_hmac: String::new(),
        via: None,
        ended_by: None,
    };
    let decision = || DecisionId::new(entropy.uuid(now));
    let risk = gate.assess(decision(), &RiskInput::of(&event, now, 1));
    let spec = tool.spec();
    let args = call.args.as_object().cloned().unwrap_or_default();
    let asked = CallFacts {
        tags: spec.tags.clone(),
        targets: tool.target(&call.args),
        argv: tool.argv(&call.args),
        ..CallFacts::new(call.id.clone(), call.tool.clone(), spec.effect, args)
    };
    let rules: Vec<String> = risk.reasons.iter().map(|reason| reason.rule.clone()).collect();
    let (background, about) = (Background::of(&event), InvestigationFacts::default());
    let input = ActionInput::for_call(&background, &risk.level, &rules, about, asked, now);
    gate.read(decision(), call, &input)
}

/// `KEY=VALUE …` or one JSON object. A value is what the parameter's type says; without one, text.
fn arguments(words: &[String], schema: &Value) -> Result<Value, Failure> {
    let help = "write KEY=VALUE for each argument, or one JSON object in single quotes";
    if let [whole] = words
        && whole.trim_start().starts_with('{')
    {
        return serde_json::from_str(whole)
            .map_err(|e| Failure::usage(format!("the arguments are no JSON: {e}"), help));
    }
    let mut args = Map::new();
    for word in words {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{}` is no argument: it has no `=`", line(word, 60)), help))?;
        let kind = schema["properties"][key]["type"].as_str().unwrap_or("string");
        let value = match kind {
            "string" => Value::String(value.to_owned()),
            // What does not parse is told by the tool's own check, in words about this argument.
            _ => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
        };
        args.insert(key.to_owned(), value);
    }
    Ok(Value::Object(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_words_or_json() {
        let schema = json!({"properties": {"limit": {"type": "integer"}, "previous": {"type": "boolean"}, "name": {"type": "string"}}});
        let read = |words: &[&str]| arguments(&words.iter().map(|w| w.to_string()).collect::<Vec<_>>(), &schema);
        assert_eq!(
            read(&["name=7", "limit=7", "previous=true", "label=a=b"]).unwrap(),
            json!({"name": "7", "limit": 7, "previous": true, "label": "a=b"})
        );
        assert_eq!(read(&[r#"{"name": "x"}"#]).unwrap(), json!({"name": "x"}));
        assert_eq!(read(&[]).unwrap(), json!({}));
        assert_eq!(read(&["limit=many"]).unwrap(), json!({"limit": "many"}));
        assert_eq!(read(&["name"]).unwrap_err().exit(), Exit::Usage);
        assert_eq!(read(&["{broken"]).unwrap_err().exit(), Exit::Usage);
    }
}
