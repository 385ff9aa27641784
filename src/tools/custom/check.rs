//! What is wrong with the description of a tool, told when it is loaded: each text names the key.

use super::{Aim, CommandCall, Custom, Does, HttpCall, McpCall, Method, Plans, given, is_reference, named, reference};
use crate::domain::{Effect, Retry};
use crate::edge::call::check_header;
use crate::template::places::{self, PlaceError};
use crate::tools::spec::Example;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Most arguments of a command.
const ARGUMENTS: usize = 64;
/// The names under which a change is known in the world, in its templates.
const NAMES: [&str; 2] = ["marker", "action_id"];
/// Variables that are ours, or that would put other code into a program.
const RESERVED: [&str; 3] = ["ACTION_ID", "ACTION_MARKER", "FIREWARDEN_CALL"];

/// One exchange as it is written: exactly one of both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenExchange {
    http: Option<HttpCall>,
    command: Option<CommandCall>,
}

/// A plan as it is written: exactly one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenPlan {
    text: Option<String>,
    http: Option<HttpCall>,
    command: Option<CommandCall>,
}

/// What a manifest says of retrying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenRetry {
    /// Not without a person.
    #[default]
    Never,
    /// When a look shows that it is not there, and no copy can be on its way any more.
    Probe,
    /// At once when a look shows that it is not there: the target refuses a second copy.
    Keyed,
}

/// The part of a manifest that only tools of one's own have.
#[derive(Debug, Default)]
pub struct Written {
    /// `target`.
    pub target: Option<Aim>,
    /// `plan`.
    pub plan: Option<WrittenPlan>,
    /// `reconcile`.
    pub reconcile: Option<WrittenExchange>,
    /// `retry`.
    pub retry: Option<WrittenRetry>,
    /// `reversible`.
    pub reversible: Option<bool>,
}

impl Written {
    /// The first key that is there.
    pub fn first(&self) -> Option<&'static str> {
        let there = [
            ("target", self.target.is_some()),
            ("plan", self.plan.is_some()),
            ("reconcile", self.reconcile.is_some()),
            ("retry", self.retry.is_some()),
            ("reversible", self.reversible.is_some()),
        ];
        there.into_iter().find_map(|(key, is)| is.then_some(key))
    }
}

/// What is said of a tool beside its name, effect and parameters, wherever it is said.
#[derive(Debug)]
pub struct Parts {
    /// What it does.
    pub run: Does,
    /// What it touches.
    pub target: Option<Aim>,
    /// How it is tried.
    pub plan: Option<Plans>,
    /// How one looks for it.
    pub reconcile: Option<Does>,
    /// What may happen after doubt.
    pub retry: WrittenRetry,
    /// It can be taken back.
    pub reversible: bool,
}

/// What the tool is declared as.
#[derive(Debug)]
pub struct Declared<'a> {
    /// What it does to the world.
    pub effect: Effect,
    /// Its parameters.
    pub params: &'a Value,
    /// Calls as they are meant to look.
    pub examples: &'a [Example],
}

/// The description, if nothing is wrong with it.
///
/// # Errors
/// The first thing that is.
pub fn checked(run: Does, written: Written, declared: &Declared<'_>) -> Result<Custom, String> {
    let acts = declared.effect != Effect::Read;
    let only_acts = [
        ("plan", written.plan.is_some()),
        ("reconcile", written.reconcile.is_some()),
        ("retry", written.retry.is_some()),
        ("reversible", written.reversible.is_some()),
    ];
    if let Some((key, _)) = only_acts.into_iter().find(|(_, is)| *is && !acts) {
        return Err(format!("{key}: a tool with `effect: read` changes nothing; leave it out"));
    }
    if acts && written.target.is_none() {
        return Err(
            "target: say what is changed, `{system: cache, kind: Cache, name: \"{{ cache }}\"}` for instance".into()
        );
    }
    let plan = written.plan.map(plan).transpose()?;
    if acts && plan.is_none() {
        return Err("plan: say what would be changed, in words (`{text: …}`) or by a dry run".into());
    }
    let reconcile = written.reconcile.map(|written| one("reconcile", written.http, written.command)).transpose()?;
    let retry = written.retry.unwrap_or(WrittenRetry::Never);
    let reversible = written.reversible.unwrap_or(false);
    whole(Parts { run, target: written.target, plan, reconcile, retry, reversible }, declared)
}

/// The description that `parts` make, if nothing is wrong with it.
///
/// # Errors
/// The first thing that is.
pub fn whole(parts: Parts, declared: &Declared<'_>) -> Result<Custom, String> {
    let Parts { run, target, plan, reconcile, retry: wanted, reversible } = parts;
    let retry = retry(&run, reconcile.is_some(), wanted)?;
    let custom = Custom { run, target, plan, reconcile, retry, reversible };
    check(&custom, declared.effect != Effect::Read, declared)?;
    Ok(custom)
}

/// The one of both that is there.
///
/// # Errors
/// When both are, or none is.
pub fn one(key: &str, http: Option<HttpCall>, command: Option<CommandCall>) -> Result<Does, String> {
    match (http, command) {
        (Some(call), None) => Ok(Does::Http(call)),
        (None, Some(call)) => Ok(Does::Command(call)),
        (Some(_), Some(_)) => Err(format!("{key}: both `http` and `command` stand there; keep one")),
        (None, None) => Err(format!("{key}: write `http` or `command`")),
    }
}

fn plan(written: WrittenPlan) -> Result<Plans, String> {
    match (written.text, written.http.is_some() || written.command.is_some()) {
        (Some(text), false) if !text.trim().is_empty() => Ok(Plans::Text(text)),
        (Some(_), false) => Err("plan.text: must say what would be changed".into()),
        (Some(_), true) => Err("plan: `text` stands beside another way; keep one".into()),
        (None, _) => one("plan", written.http, written.command).map(|does| Plans::By(Box::new(does))),
    }
}

fn retry(run: &Does, can_look: bool, written: WrittenRetry) -> Result<Retry, String> {
    let carries = match run {
        Does::Http(call) => {
            let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
            let headers = call.headers.values().map(String::as_str);
            let mut texts = headers.chain([call.url.as_str(), &body]);
            call.idempotency_header.is_some() || texts.any(|text| NAMES.iter().any(|name| text.contains(name)))
        }
        // Every command has them in its environment.
        Does::Command(_) => true,
        // Its server is told them, and nobody knows what it does with them.
        Does::Mcp(_) => false,
    };
    match (written, can_look) {
        (WrittenRetry::Never, _) => Ok(Retry::Never),
        (_, false) => Err("retry: without `reconcile` nothing tells whether it was done; write `never`".into()),
        (WrittenRetry::Probe, true) => Ok(Retry::Probe),
        (WrittenRetry::Keyed, true) if carries => Ok(Retry::Keyed),
        (WrittenRetry::Keyed, true) if matches!(run, Does::Mcp(_)) => {
            Err("retry: of an MCP server nobody knows whether it refuses a second copy; write `probe` or `never`"
                .into())
        }
        (WrittenRetry::Keyed, true) => {
            Err("retry: `keyed` needs a name that the server refuses a second time; add `idempotency_header`".into())
        }
    }
}

fn check(custom: &Custom, acts: bool, declared: &Declared<'_>) -> Result<(), String> {
    let params = names_of(declared.params);
    if let Some(name) = NAMES.iter().find(|name| acts && params.contains(**name)) {
        return Err(format!("params: `{name}` is a name of ours in templates; call the parameter otherwise"));
    }
    let with_names: BTreeSet<&str> = params.iter().copied().chain(NAMES.into_iter().filter(|_| acts)).collect();
    let plain = Scope { names: &params, given: cases(declared, false) };
    let full = Scope { names: &with_names, given: cases(declared, acts) };
    exchange("run", &custom.run, &full, acts)?;
    if let Does::Http(HttpCall { applied: Some(_), .. }) = &custom.run {
        return Err("run.http.applied: belongs under `reconcile`".into());
    }
    if let Some(aim) = &custom.target {
        for (key, source) in aim.parts() {
            plain.words(&format!("target.{key}"), source)?;
        }
    }
    match &custom.plan {
        Some(Plans::Text(source)) => plain.words("plan.text", source)?,
        Some(Plans::By(does)) => exchange("plan", does, &plain, false)?,
        None => {}
    }
    let Some(does) = &custom.reconcile else { return Ok(()) };
    exchange("reconcile", does, &full, false)?;
    let (key, applied) = match does {
        Does::Http(call) => ("reconcile.http.applied", &call.applied),
        Does::Mcp(call) => ("reconcile.applied", &call.applied),
        Does::Command(_) => return Ok(()),
    };
    let Some(applied) = applied else {
        return Err(format!(
            "{key}: say what shows that it was done, `{{pointer: /last, equals: \"{{{{ marker }}}}\"}}` for instance"
        ));
    };
    if matches!(does, Does::Http(call) if call.method == Method::Head) {
        return Err("reconcile.http.method: what HEAD answers has no body that could show it; write GET".into());
    }
    if !applied.pointer.is_empty() && !applied.pointer.starts_with('/') {
        return Err(format!("{key}.pointer: a JSON Pointer begins with `/`"));
    }
    full.json(&format!("{key}.equals"), &applied.equals)
}

/// What templates of one place may name, and what they are tried with.
struct Scope<'a> {
    names: &'a BTreeSet<&'a str>,
    given: Vec<Value>,
}

impl Scope<'_> {
    fn known(&self, key: &str, source: &str) -> Result<(), String> {
        let names = places::names(source).map_err(|e| format!("{key}: {e}"))?;
        match names.iter().find(|name| !self.names.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let known: Vec<&str> = self.names.iter().copied().collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(format!("{key}: `{name}` is no parameter; there are: {known}"))
            }
        }
    }

    /// Tries a template with everything that it may be given.
    fn tried<T>(&self, key: &str, source: &str, make: impl Fn(&Value) -> Result<T, PlaceError>) -> Result<(), String> {
        self.known(key, source)?;
        for given in &self.given {
            make(given).map_err(|e| match e.to_string() {
                text if text.ends_with("is not given") => {
                    format!("{key}: {text} by every call; make it required, give it a `default`, or write `{{% if … is defined %}}`")
                }
                text => format!("{key}: {text}"),
            })?;
        }
        Ok(())
    }

    fn words(&self, key: &str, source: &str) -> Result<(), String> {
        self.tried(key, source, |given| places::words(source, given))
    }

    fn json(&self, key: &str, source: &Value) -> Result<(), String> {
        match source {
            Value::String(text) => self.tried(key, text, |given| places::json(source, given)),
            Value::Array(items) => {
                items.iter().enumerate().try_for_each(|(n, item)| self.json(&format!("{key}[{n}]"), item))
            }
            Value::Object(map) => map.iter().try_for_each(|(name, item)| match places::is_literal(name) {
                true => self.json(&format!("{key}.{name}"), item),
                false => Err(format!("{key}: the name of a key is no template")),
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }
}

fn exchange(key: &str, does: &Does, scope: &Scope<'_>, may_change: bool) -> Result<(), String> {
    match does {
        Does::Http(call) => http(&format!("{key}.http"), call, scope, may_change),
        Does::Command(call) => command(&format!("{key}.command"), call, scope, may_change),
        Does::Mcp(call) => mcp(key, call, scope),
    }
}

fn mcp(key: &str, call: &McpCall, scope: &Scope<'_>) -> Result<(), String> {
    let written = call.arguments.iter().flatten();
    written.into_iter().try_for_each(|(name, source)| scope.json(&format!("{key}.arguments.{name}"), source))
}

fn http(key: &str, call: &HttpCall, scope: &Scope<'_>, may_change: bool) -> Result<(), String> {
    if !may_change && !call.method.looks() {
        return Err(format!("{key}.method: {} does not only look; write GET or HEAD", call.method.as_str()));
    }
    if may_change && call.method.looks() {
        return Err(format!(
            "{key}.method: {} only looks; this tool is declared to change something",
            call.method.as_str()
        ));
    }
    if call.body.is_some() && call.method.looks() {
        return Err(format!("{key}.body: {} has none", call.method.as_str()));
    }
    if call.idempotency_header.is_some() && !may_change {
        return Err(format!("{key}.idempotency_header: belongs under `run` of a tool that changes something"));
    }
    scope.tried(&format!("{key}.url"), &call.url, |given| places::address(&call.url, given))?;
    let mut names = BTreeSet::new();
    let headers = call.headers.keys().chain(call.secrets.keys()).chain(&call.idempotency_header);
    for name in headers {
        check_header(name).map_err(|why| format!("{key}.headers: {why}"))?;
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(format!("{key}.headers: `{name}` stands there twice"));
        }
    }
    for (name, source) in &call.headers {
        scope.tried(&format!("{key}.headers.{name}"), source, |given| places::header(source, given))?;
    }
    secrets(key, call.secrets.iter())?;
    if let Some(body) = &call.body {
        scope.json(&format!("{key}.body"), body)?;
    }
    match call.ok.iter().find(|status| !(100..600).contains(*status)) {
        Some(status) => Err(format!("{key}.ok: {status} is no status")),
        None => Ok(()),
    }
}

fn command(key: &str, call: &CommandCall, scope: &Scope<'_>, may_change: bool) -> Result<(), String> {
    let Some(program) = call.argv.first() else { return Err(format!("{key}.argv: names no program")) };
    if !places::is_literal(program) || !is_plain_path(program) {
        return Err(format!("{key}.argv[0]: the program is an absolute path, and no template"));
    }
    if call.argv.len() > ARGUMENTS {
        return Err(format!("{key}.argv: has more than {ARGUMENTS} items"));
    }
    for (n, source) in call.argv.iter().enumerate() {
        let key = format!("{key}.argv[{n}]");
        if places::names_option(source) {
            return Err(format!("{key}: a value would name the option; write the option out, `--name={{{{ x }}}}`"));
        }
        scope.tried(&key, source, |given| places::argument(source, given))?;
    }
    if let Some(name) = call.env.keys().chain(call.secrets.keys()).find(|name| !may_be_set(name)) {
        return Err(format!("{key}.env: `{name}` cannot be set"));
    }
    if let Some(name) = call.env.keys().find(|name| call.secrets.contains_key(*name)) {
        return Err(format!("{key}.env: `{name}` stands under `secrets`, too"));
    }
    for (name, source) in &call.env {
        scope.tried(&format!("{key}.env.{name}"), source, |given| places::argument(source, given))?;
    }
    secrets(key, call.secrets.iter())?;
    if let Some((name, _)) = call.secrets.iter().find(|(_, written)| !reference(written).0.is_empty()) {
        return Err(format!("{key}.secrets.{name}: write the reference alone"));
    }
    if let Some(path) = call.read.iter().chain(&call.write).find(|path| !is_plain_path(path)) {
        return Err(format!("{key}: `{path}` is no absolute path"));
    }
    match (call.refused.is_empty(), may_change, call.refused.contains(&0)) {
        (false, false, _) => Err(format!("{key}.refused: belongs under `run` of a tool that changes something")),
        (_, _, true) => Err(format!("{key}.refused: 0 is success")),
        _ => Ok(()),
    }
}

fn secrets<'a>(key: &str, mut written: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), String> {
    match written.find(|(_, written)| !is_reference(reference(written).1)) {
        // What stands there may be the secret: it is not repeated.
        Some((name, _)) => Err(format!(
            "{key}.secrets.{name}: a secret is not written here; say where it is: `env:NAME` or `file:PATH`, for a header with a word before it: `Bearer env:NAME`"
        )),
        None => Ok(()),
    }
}

/// Whether a command may be given the variable `name`.
pub fn may_be_set(name: &str) -> bool {
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name && !RESERVED.contains(&name) && !name.starts_with("LD_") && !name.starts_with("DYLD_")
}

/// Whether `path` is absolute, and no template.
pub fn is_plain_path(path: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    places::is_literal(path) && Path::new(path).is_absolute() && Path::new(path).components().all(plain)
}

fn names_of(params: &Value) -> BTreeSet<&str> {
    params["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// What templates are tried with: what every call has, and each example.
fn cases(declared: &Declared<'_>, with_names: bool) -> Vec<Value> {
    let required = declared.params["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let least: serde_json::Map<String, Value> =
        required.map(|name| (name.to_owned(), sample(&declared.params["properties"][name]))).collect();
    let least = Value::Object(least);
    let calls = std::iter::once(&least).chain(declared.examples.iter().map(|example| &example.args));
    let given = calls.map(|args| given(declared.params, args));
    given.map(|given| if with_names { named(given, "fw-sample", "act_sample") } else { given }).collect()
}

/// A value as a parameter may have it, as far as a type says.
fn sample(schema: &Value) -> Value {
    let stated = schema.get("const").or_else(|| schema["enum"].get(0)).or_else(|| schema.get("default"));
    if let Some(stated) = stated {
        return stated.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("x"),
    }
}
