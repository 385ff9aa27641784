//! Tools that are described whole, without Rust: an HTTP request or a command by a manifest, a call of
//! an MCP server's tool by the configuration.
//!
//! - here: what is said of such a tool, and the tool that it becomes.
//! - [`described`]: one request, one command, one call.
//! - [`check`]: what is wrong with it, told when it is loaded.
//! - [`http`], [`command`], [`mcp`]: from a description and arguments to one exchange, and what came of it.
//! - [`read`], [`act`]: the tools.

pub mod act;
pub mod check;
pub mod command;
pub mod described;
pub mod http;
pub mod mcp;
pub mod read;

pub use described::{Aim, Applied, CommandCall, Confine, Does, HttpCall, McpCall, Method, Plans};

use super::act::ActTool;
use super::spec::{ReadTool, ToolError, ToolSpec};
use crate::domain::{Effect, Retry, Secret, Target};
use crate::edge::{Caller, McpServer, Runner};
use crate::template::places;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a manifest says of a tool beside its name, effect and parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Custom {
    /// What it does.
    pub run: Does,
    /// What it touches. There for every tool that changes something.
    pub target: Option<Aim>,
    /// How it is tried without doing it. There for every tool that changes something.
    pub plan: Option<Plans>,
    /// How one looks whether it was done.
    pub reconcile: Option<Does>,
    /// What may happen after doubt.
    pub retry: Retry,
    /// It can be taken back.
    pub reversible: bool,
}

impl Custom {
    fn exchanges(&self) -> impl Iterator<Item = &Does> {
        let plan = match &self.plan {
            Some(Plans::By(does)) => Some(does.as_ref()),
            Some(Plans::Text(_)) | None => None,
        };
        std::iter::once(&self.run).chain(plan).chain(&self.reconcile)
    }

    /// The references to secrets in it: `env:NAME`, `file:PATH`, without the word before them.
    pub fn references(&self) -> Vec<&str> {
        self.exchanges().flat_map(Does::references).map(|written| reference(written).1).collect()
    }

    /// The commands in it.
    pub fn commands(&self) -> impl Iterator<Item = &CommandCall> {
        self.exchanges().filter_map(|does| match does {
            Does::Command(call) => Some(call),
            Does::Http(_) | Does::Mcp(_) => None,
        })
    }

    /// What a call touches.
    fn target(&self, given: &Value) -> Result<Target, ToolError> {
        let Some(aim) = &self.target else { return Ok(Target { verb: self.run.verb(), ..self.whole() }) };
        let mut target = Target { verb: self.run.verb(), ..Target::default() };
        for (key, source) in aim.parts() {
            let text = words(&format!("target.{key}"), source, given)?;
            let text = super::gist::line(&text);
            match key {
                "system" => target.system = text,
                "cluster" => target.cluster = text,
                "namespace" => target.namespace = text,
                "kind" => target.kind = text,
                "name" => target.name = text,
                _ if text.is_empty() => {}
                _ => target.verb = text,
            }
        }
        match target.name.is_empty() || target.kind.is_empty() || target.system.is_empty() {
            true => Err(ToolError::invalid("the call names nothing that it would touch")),
            false => Ok(target),
        }
    }

    /// Where nobody said what is touched: the server, or the program.
    fn whole(&self) -> Target {
        let (system, kind, name) = match &self.run {
            Does::Http(call) => ("http", "Address", call.url.split(['?', '{']).next().unwrap_or_default()),
            Does::Command(call) => ("command", "Program", call.argv.first().map_or("", String::as_str)),
            Does::Mcp(call) => ("mcp", "Tool", call.tool.as_str()),
        };
        let cluster = if let Does::Mcp(call) = &self.run { call.server.clone() } else { String::new() };
        Target { system: system.into(), cluster, kind: kind.into(), name: name.into(), ..Target::default() }
    }
}

/// The word before a reference to a secret, and the reference: `Bearer env:TOKEN`.
pub fn reference(written: &str) -> (&str, &str) {
    let written = written.trim();
    let behind_word = ["env:", "file:"].iter().find_map(|kind| written.find(&format!(" {kind}")));
    match behind_word.filter(|_| !is_reference(written)) {
        Some(at) => (written[..at].trim(), &written[at + 1..]),
        None => ("", written),
    }
}

/// Whether `text` says where a secret is.
fn is_reference(text: &str) -> bool {
    text.strip_prefix("env:").or_else(|| text.strip_prefix("file:")).is_some_and(|rest| !rest.trim().is_empty())
}

/// How such tools reach the world.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// Makes requests.
    pub caller: Caller,
    /// Runs commands.
    pub runner: Runner,
    /// Values of secrets, by tool and reference.
    pub secrets: BTreeMap<(String, String), Secret>,
    /// MCP servers, by name.
    pub mcp: BTreeMap<String, McpServer>,
}

/// A tool and what it needs.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    spec: Arc<ToolSpec>,
    custom: Arc<Custom>,
    doors: Doors,
}

impl Tool {
    /// The tool that `spec` describes, if it describes one whole.
    ///
    /// # Errors
    /// Names a secret that is not there.
    pub(super) fn new(spec: &ToolSpec, doors: &Doors) -> Result<Option<Self>, String> {
        let Some(custom) = spec.custom.clone() else { return Ok(None) };
        let known = |reference: &&str| !doors.secrets.contains_key(&(spec.name.clone(), (*reference).to_owned()));
        if let Some(missing) = custom.references().into_iter().find(known) {
            return Err(format!("secrets: `{missing}` is not there"));
        }
        let secrets = doors.secrets.iter().filter(|((tool, _), _)| *tool == spec.name);
        let secrets = secrets.map(|(key, secret)| (key.clone(), secret.clone())).collect();
        let doors = Doors { secrets, ..doors.clone() };
        Ok(Some(Self { spec: Arc::new(spec.clone()), custom, doors }))
    }

    /// As what it is called.
    pub(super) fn into_kind(self) -> Kind {
        match self.spec.effect {
            Effect::Read => Kind::Reads(Box::new(read::Reading(self))),
            Effect::Record | Effect::Propose | Effect::Write | Effect::Destroy => {
                Kind::Acts(Box::new(act::Acting(self)))
            }
        }
    }

    /// The secret that is written so, with the word before it.
    fn secret<'a>(&self, written: &'a str) -> Result<(&'a str, &Secret), ToolError> {
        let (word, reference) = reference(written);
        let found = self.doors.secrets.get(&(self.spec.name.clone(), reference.to_owned()));
        found.map(|secret| (word, secret)).ok_or_else(|| ToolError::failed("a secret of this tool is not there", false))
    }

    /// Time for one exchange; the registry's own limit is a little later.
    fn patience(&self) -> std::time::Duration {
        self.spec.timeout.mul_f64(0.95)
    }
}

/// A tool by what it does.
pub(super) enum Kind {
    /// It looks.
    Reads(Box<dyn ReadTool>),
    /// It changes something.
    Acts(Box<dyn ActTool>),
}

/// What templates are given: the arguments, and the defaults of those that were left out.
fn given(params: &Value, args: &Value) -> Value {
    let mut given = Map::new();
    for (name, schema) in params["properties"].as_object().into_iter().flatten() {
        if let Some(default) = schema.get("default") {
            given.insert(name.clone(), default.clone());
        }
    }
    given.extend(args.as_object().cloned().unwrap_or_default());
    Value::Object(given)
}

/// The same, with the names under which a change is known in the world.
fn named(mut given: Value, marker: &str, action: &str) -> Value {
    given["marker"] = json!(marker);
    given["action_id"] = json!(action);
    given
}

fn words(key: &str, source: &str, given: &Value) -> Result<String, ToolError> {
    places::words(source, given).map_err(|e| ToolError::invalid(format!("{key}: {e}")))
}

#[cfg(test)]
mod tests;
