//! Everything that can be known to be wrong with a bundle before it decides: parse, contract,
//! functions, paths, and one evaluation of each rule.

mod area;

pub(super) use area::{Area, ContributingSet};

use super::bundle::Bundle;
use super::combine::{ACTION_SETS, Contribution, RISK_SETS};
use super::diagnostic::{Diagnostic, nearest};
use super::exceptions;
use super::rego::syntax::{Module, Reference, Rule, RuleKind};
use super::rego::{BANNED, Interpreter, RegoError, compile_pattern, is_builtin};
use super::sample;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Time for one rule of the trial run; generous, for it is no decision.
const TRIAL_LIMIT: Duration = Duration::from_secs(1);
/// Objects of the input whose keys the contract does not fix.
pub(super) const OPEN: &[&str] =
    &["event.labels", "event.annotations", "resource.labels", "facts", "call.args", "call.arg_origins", "call.preview"];

/// Every mistake in `bundle` that can be found without its tests. `now` tells which exceptions are over.
pub fn check(bundle: &Bundle, now: Timestamp) -> Vec<Diagnostic> {
    let mut found = load(bundle).err().unwrap_or_default();
    found.extend(exceptions::against_time(bundle, now));
    found
}

/// The sets that are asked, each with the effects of which it says something; `None` is any.
pub(super) type ContributingSets = BTreeMap<ContributingSet, Option<BTreeSet<String>>>;

/// A bundle without known mistakes, ready to answer.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) interpreter: Interpreter,
    /// Each with the effects of which it says something; `None` is any.
    pub(super) sets: ContributingSets,
    /// `file:line` by full rule name.
    pub(super) positions: BTreeMap<String, String>,
    /// What each file contains, tests left out.
    pub(super) modules: Arc<Vec<Module>>,
}

impl Loaded {
    /// The contributing rules with the set that each adds to and its full name, in the order of the files.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&Module, &Rule, ContributingSet, String)> {
        contributing(&self.modules)
    }
}

/// The rules of `modules` that contribute, each with its set and its full name.
fn contributing(modules: &[Module]) -> impl Iterator<Item = (&Module, &Rule, ContributingSet, String)> {
    modules.iter().flat_map(|module| {
        let place = place_of(&module.package);
        module.rules.iter().filter_map(move |rule| {
            let (area, name) = place?;
            let known = area.sets().contains(&rule.name.as_str());
            let id = contribution(area, rule).ok().filter(|_| known)?;
            let set = ContributingSet { area, module: name.to_owned(), set: rule.name.clone() };
            let full = set.rule(id);
            Some((module, rule, set, full))
        })
    })
}

/// Loads the policies of `bundle`, or says all that is wrong with them.
pub(super) fn load(bundle: &Bundle) -> Result<Loaded, Vec<Diagnostic>> {
    let text_of = |path: &str| bundle.text(path).map(str::to_owned);
    let broken = |e: RegoError| vec![Diagnostic::of_file("engine", "bundle", e.to_string())];
    let mut interpreter = Interpreter::new().map_err(broken)?;
    let mut problems = bundle.problems().to_vec();
    let mut modules = Vec::new();
    for (path, text) in bundle.policies() {
        match interpreter.add_module(path, text) {
            Ok(module) => modules.push(module),
            Err(error) => problems.push(Diagnostic::from_rego(parse_code(&error), path, &error, text_of)),
        }
    }
    // Tests stay out of what decides; that they parse is all that is asked here.
    let mut tests = Interpreter::new().map_err(broken)?;
    for (path, text) in bundle.tests() {
        if let Err(error) = tests.add_module(path, text) {
            problems.push(Diagnostic::from_rego(parse_code(&error), path, &error, text_of));
        }
    }
    let lint = Lint::new(bundle, &modules);
    let mut sets = ContributingSets::new();
    let mut positions = BTreeMap::new();
    for module in &modules {
        lint.module(module, &mut sets, &mut positions, &mut problems);
    }
    let rules = contributing(&modules).map(|(_, _, set, full)| (full, set.set)).collect();
    problems.extend(exceptions::against_rules(bundle, &rules, |area, path| lint.no_single_value(area, path)));
    if !problems.is_empty() {
        return Err(problems);
    }
    let prepared = interpreter.add_data(bundle.data()).and_then(|()| interpreter.prepare());
    prepared.map_err(|error| {
        let code = if error.to_string().contains("unsafe") { "unsafe-var" } else { "analysis" };
        vec![Diagnostic::from_rego(code, "bundle", &error, text_of)]
    })?;
    let loaded = Loaded { interpreter, sets, positions, modules: Arc::new(modules.clone()) };
    let problems = trial(&loaded, &modules, &lint, text_of);
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

fn parse_code(error: &RegoError) -> &'static str {
    if error.to_string().contains("nested more than") { "nesting-too-deep" } else { "parse" }
}

/// Evaluates each rule once: the interpreter finds some mistakes only then.
fn trial(
    loaded: &Loaded,
    modules: &[Module],
    lint: &Lint<'_>,
    text_of: impl Fn(&str) -> Option<String> + Copy,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for module in modules {
        let Some((area, name)) = place_of(&module.package) else { continue };
        let input = if area == Area::Action { &lint.action } else { &lint.risk };
        let rules: BTreeSet<&str> = module.rules.iter().filter(|r| r.has_value()).map(|r| r.name.as_str()).collect();
        for rule in rules {
            let value =
                loaded.interpreter.session(Some(input), TRIAL_LIMIT).value(&format!("{}.{rule}", module.package));
            let value = match value {
                Ok(value) => value,
                Err(error) => {
                    problems.push(Diagnostic::from_rego("evaluation", &module.path, &error, text_of));
                    continue;
                }
            };
            if area.sets().contains(&rule) {
                let set = ContributingSet { area, module: name.to_owned(), set: rule.to_owned() };
                if let Err(what) = contributions(&set, value, &loaded.positions) {
                    problems.push(Diagnostic::of_file("bad-contribution", &module.path, what));
                }
            }
        }
    }
    problems.dedup();
    problems
}

/// Reads the value of a contributing set. Undefined is as wrong as any other form.
pub(super) fn contributions(
    set: &ContributingSet,
    value: Option<Value>,
    positions: &BTreeMap<String, String>,
) -> Result<Vec<Contribution>, String> {
    let Some(Value::Array(elements)) = value else {
        return Err(format!("{} is not a set of objects", set.path()));
    };
    let read = elements.iter().map(|element| {
        let object =
            element.as_object().ok_or_else(|| format!("{} holds something that is not an object", set.path()))?;
        let id = object
            .get("id")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{} holds an object without id", set.path()))?;
        let rule = set.rule(id);
        let at = positions.get(&rule).cloned().ok_or_else(|| format!("{rule} is not written in the bundle"))?;
        Contribution::read(&set.set, rule, Some(at), object)
    });
    read.collect()
}

/// Area and module of a package.
fn place_of(package: &str) -> Option<(Area, &str)> {
    let (area, module) = package.strip_prefix("firewarden.")?.split_once('.')?;
    let fine = !module.is_empty() && module.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    fine.then_some((Area::of(area)?, module))
}

/// What rules are compared with.
struct Lint<'a> {
    bundle: &'a Bundle,
    /// Names that each package defines, and whether they are functions.
    names: BTreeMap<&'a str, BTreeMap<&'a str, RuleKind>>,
    risk: Value,
    action: Value,
}

impl<'a> Lint<'a> {
    fn new(bundle: &'a Bundle, modules: &'a [Module]) -> Self {
        let mut names: BTreeMap<&str, BTreeMap<&str, RuleKind>> = BTreeMap::new();
        for module in modules {
            let package = names.entry(&module.package).or_default();
            package.extend(module.rules.iter().map(|r| (r.name.as_str(), r.kind)));
        }
        let risk = serde_json::to_value(sample::risk_input()).unwrap_or_default();
        let action = serde_json::to_value(sample::action_input()).unwrap_or_default();
        Self { bundle, names, risk, action }
    }

    fn module(
        &self,
        module: &Module,
        sets: &mut ContributingSets,
        positions: &mut BTreeMap<String, String>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let text = self.bundle.text(&module.path).unwrap_or_default();
        let at = |code, place, message: String| Diagnostic::at(code, &module.path, text, place, message);
        let expected = module.path.strip_suffix(".rego").unwrap_or(&module.path).replace('/', ".");
        let Some((area, name)) =
            place_of(&module.package).filter(|_| module.package == format!("firewarden.{expected}"))
        else {
            let what = format!("package {} does not belong into this file", module.package);
            let help = format!("{} holds package firewarden.{expected}", module.path);
            problems.push(at("foreign-package", module.package_at, what).help(Some(help)));
            return;
        };
        for rule in &module.rules {
            if is_builtin(&rule.name) {
                let what = format!("`{}` hides the function of that name", rule.name);
                problems.push(at("builtin-shadow", rule.at, what).help(Some("give the rule another name")));
            }
            if !area.sets().contains(&rule.name.as_str()) {
                problems.extend(private_rule(area, rule).map(|(code, what, help)| at(code, rule.at, what).help(help)));
                continue;
            }
            let id = match contribution(area, rule) {
                Ok(id) => id,
                Err((code, what)) => {
                    let help = format!(
                        "write `{} contains {{\"id\": \"some-id\", \"reason\": \"…\", …}} if {{ … }}`",
                        rule.name
                    );
                    problems.push(at(code, rule.at, what).help(Some(help)));
                    continue;
                }
            };
            let set = ContributingSet { area, module: name.to_owned(), set: rule.name.clone() };
            let full = set.rule(id);
            if let Some(first) = positions.get(&full) {
                problems.push(at(
                    "duplicate-id",
                    rule.at,
                    format!("{full} is already the name of the rule at {first}"),
                ));
            }
            positions.insert(full, format!("{}:{}", module.path, rule.at.line));
            sets.entry(set)
                .and_modify(|known| *known = known.take().zip(rule.effects.clone()).map(|(a, b)| &a | &b))
                .or_insert_with(|| rule.effects.clone());
            for reference in module.references.get(rule.head_references.clone()).unwrap_or_default() {
                if self.may_be_undefined(area, reference) {
                    let path = reference.steps.join(".");
                    let help = "bind it in the body: `x := object.get(…, …, \"unknown\")`";
                    let what = format!("{path}… may be undefined, and the whole contribution with it");
                    problems.push(at("fallible-head", reference.at, what).help(Some(help)));
                }
            }
        }
        for (call, place) in &module.calls {
            problems.extend(self.call(module, call).map(|(code, what, help)| at(code, *place, what).help(help)));
        }
        for reference in &module.references {
            problems.extend(
                self.reference(area, reference).map(|(code, what, help)| at(code, reference.at, what).help(help)),
            );
        }
        for (pattern, place) in &module.patterns {
            if let Err(why) = compile_pattern(pattern) {
                problems.push(at("bad-regex", *place, why));
            }
        }
    }

    /// What is wrong with a call.
    fn call(&self, module: &Module, name: &str) -> Option<(&'static str, String, Option<String>)> {
        if BANNED.iter().any(|(banned, _)| *banned == name) {
            let help = "time and everything else that a rule may know comes in `input`";
            return Some(("banned-builtin", format!("{name} is not available to policies"), Some(help.into())));
        }
        let is_function = |package: &str, name: &str| {
            self.names.get(package).and_then(|names| names.get(name)).is_some_and(|kind| *kind == RuleKind::Function)
        };
        let known = is_builtin(name)
            || is_function(&module.package, name)
            || name.rsplit_once('.').is_some_and(|(path, function)| {
                let (root, rest) = path.split_once('.').map_or((path, None), |(root, rest)| (root, Some(rest)));
                let path = match module.imports.get(root) {
                    Some(import) => import.iter().map(String::as_str).chain(rest).collect::<Vec<_>>().join("."),
                    None => path.to_owned(),
                };
                path.strip_prefix("data.").is_some_and(|package| is_function(package, function))
            })
            || module.imports.get(name).is_some_and(|import| match import.split_last() {
                Some((function, package)) => is_function(package.join(".").trim_start_matches("data."), function),
                None => false,
            });
        (!known).then(|| {
            let mut known: Vec<&str> = module.rules.iter().map(|rule| rule.name.as_str()).collect();
            super::rego::builtins().for_each(|name| known.push(name));
            let help = nearest(name, known).map(|near| format!("did you mean {near}?"));
            ("unknown-function", format!("there is no function {name}"), help)
        })
    }

    /// What is wrong with a path.
    fn reference(&self, area: Area, reference: &Reference) -> Option<(&'static str, String, Option<String>)> {
        let steps: Vec<&str> = reference.steps.iter().map(String::as_str).collect();
        match steps.as_slice() {
            ["input", rest @ ..] => {
                // A library may serve both documents: one that has the path is enough.
                let mut found = None;
                for document in self.documents(area) {
                    found = Some(missing(document, rest, true)?);
                }
                let (n, near) = found?;
                let path = ["input"].iter().chain(&rest[..=n]).copied().collect::<Vec<_>>().join(".");
                let help = near.map(|near| format!("did you mean {near}?"));
                Some(("unknown-input", format!("{path} is not in the input of {} modules", area.as_str()), help))
            }
            ["data", "org", rest @ ..] => {
                let org = self.bundle.data().get("org").unwrap_or(&Value::Null);
                let (n, near) = missing(org, rest, false)?;
                let path = ["data", "org"].iter().chain(&rest[..=n]).copied().collect::<Vec<_>>().join(".");
                let help =
                    near.map_or_else(|| "define it in data/org.yaml.".into(), |near| format!("did you mean {near}?"));
                let help = format!("{help} A path that is not there makes the rule silent.");
                Some(("unknown-data", format!("{path} is not defined by any data file"), Some(help)))
            }
            ["data", "firewarden", area, module, rest @ ..] => {
                let package = format!("firewarden.{area}.{module}");
                let names = self.names.get(package.as_str());
                let known = names.is_some_and(|names| rest.first().is_none_or(|name| names.contains_key(name)));
                (!known).then(|| ("unknown-data", format!("there is no {}", steps.join(".")), None))
            }
            ["data"] | ["data", "firewarden", ..] => None,
            ["data", root, ..] => Some((
                "unknown-data",
                format!("data.{root} does not exist"),
                Some("the organisation's data is data.org, other modules are data.firewarden".into()),
            )),
            _ => None,
        }
    }

    /// Why an exception of `area` cannot be compared with what stands at `path`, and which path was meant.
    fn no_single_value(&self, area: Area, path: &str) -> Option<(String, Option<String>)> {
        let steps: Vec<&str> = path.split('.').collect();
        let document = self.documents(area).into_iter().next()?;
        if let Some((n, near)) = missing(document, &steps, true) {
            let (before, told) = (&steps[..n], steps[..=n].join("."));
            let near = near.map(|near| before.iter().copied().chain([near.as_str()]).collect::<Vec<_>>().join("."));
            return Some((format!("{told} is not in the input of {} modules", area.as_str()), near));
        }
        if OPEN.iter().any(|open| path.strip_prefix(open).is_some_and(|rest| rest.starts_with('.'))) {
            return None;
        }
        match document.pointer(&format!("/{}", path.replace('.', "/"))) {
            None | Some(Value::Object(_)) => Some((format!("{path} is no single value of the input"), None)),
            Some(_) => None,
        }
    }

    fn documents(&self, area: Area) -> Vec<&Value> {
        match area {
            Area::Risk => vec![&self.risk],
            Area::Action => vec![&self.action],
            Area::Lib => vec![&self.risk, &self.action],
        }
    }

    /// Whether a reference in a head can fall silent although its path is known.
    fn may_be_undefined(&self, area: Area, reference: &Reference) -> bool {
        if reference.steps.first().is_none_or(|root| root != "input") {
            return !reference.complete;
        }
        let path = reference.steps.get(1..).unwrap_or_default().join(".");
        let through_open = OPEN.iter().any(|open| path.starts_with(open) && path.len() > open.len());
        let beyond_document = self.documents(area).into_iter().any(|document| {
            let pointer = format!("/{}", path.replace('.', "/"));
            document.pointer(&pointer).is_none()
        });
        !reference.complete || through_open || beyond_document
    }
}

/// The step of `steps` that `document` lacks, and the key that was probably meant. Empty objects
/// and those that the contract leaves open have any key.
fn missing(document: &Value, steps: &[&str], of_input: bool) -> Option<(usize, Option<String>)> {
    let mut at = document;
    for (n, step) in steps.iter().enumerate() {
        let Value::Object(map) = at else {
            return (at.is_null() && !of_input && n == 0).then_some((n, None));
        };
        if (map.is_empty() && n > 0) || (of_input && OPEN.contains(&steps[..n].join(".").as_str())) {
            return None;
        }
        match map.get(*step) {
            Some(inner) => at = inner,
            None => return Some((n, nearest(step, map.keys().map(String::as_str)).map(str::to_owned))),
        }
    }
    None
}

/// What is wrong with a rule that no decision asks for: that its author thinks otherwise.
fn private_rule(area: Area, rule: &Rule) -> Option<(&'static str, String, Option<String>)> {
    let first = rule.name.split(['.', '[']).next().unwrap_or("");
    if RISK_SETS.contains(&first) || ACTION_SETS.contains(&first) {
        let what = format!("`{}` means nothing in a module of {}", rule.name, area.as_str());
        let help = match area.sets() {
            [] => "a library holds functions only".into(),
            sets => format!("rules with a meaning here: {}", sets.join(", ")),
        };
        return Some(("unknown-head", what, Some(help)));
    }
    let looks_like_one = rule.object.as_ref().is_some_and(|o| o.contains_key("id") && o.contains_key("reason"));
    looks_like_one.then(|| {
        let help = nearest(first, area.sets().iter().copied()).map(|near| format!("did you mean {near}?"));
        ("unknown-head", format!("`{}` looks like a contribution and means nothing here", rule.name), help)
    })
}

/// The id of a contribution, or what is wrong with its head.
fn contribution(area: Area, rule: &Rule) -> Result<&str, (&'static str, String)> {
    let bad = |what: &str| ("bad-contribution", format!("{}: {what}", rule.name));
    if rule.kind != RuleKind::Set {
        return Err(("complete-rule-for-set", format!("`{}` has to be a set of objects", rule.name)));
    }
    let object = rule.object.as_ref().ok_or_else(|| bad("the head does not hold an object"))?;
    let id = object.get("id").ok_or_else(|| bad("the object has no id"))?;
    let id = id.as_deref().ok_or_else(|| bad("the id has to be written out as a text"))?;
    let fine = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if id.is_empty() || id.len() > 80 || !fine {
        return Err(bad("an id consists of a-z, 0-9, `-` and `_`"));
    }
    let needed: &[&str] = match rule.name.as_str() {
        "level" => &["reason", "level"],
        "raise" => &["reason", "steps"],
        "approve" => &["reason", "groups"],
        "oblige" => &["kind"],
        _ => &["reason"],
    };
    if let Some(lacking) = needed.iter().find(|key| !object.contains_key(**key)) {
        return Err(bad(&format!("the object has no {lacking}")));
    }
    match object.get("kind") {
        Some(Some(kind)) if rule.name == "oblige" && !area.duties().contains(&kind.as_str()) => {
            Err(("unknown-obligation", format!("this program cannot carry out the duty `{kind}`")))
        }
        _ => Ok(id),
    }
}

/// Where a rule of the bundle stands: for tests that change one rule at a time.
#[cfg(test)]
pub(super) fn contributing_rules(bundle: &Bundle) -> Vec<(String, Module, Rule)> {
    let mut interpreter = Interpreter::new().unwrap();
    let mut rules = Vec::new();
    for (path, text) in bundle.policies() {
        let module = interpreter.add_module(path, text).unwrap();
        let Some((area, name)) = place_of(&module.package) else { continue };
        for rule in module.rules.iter().filter(|r| area.sets().contains(&r.name.as_str())) {
            let id = contribution(area, rule).unwrap();
            rules.push((format!("{}/{name}/{id}", area.as_str()), module.clone(), rule.clone()));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes, and the whole text, of what is wrong with a bundle of these files.
    fn wrong(files: &[(&str, &str)]) -> (Vec<&'static str>, String) {
        let manifest = ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n");
        let data = ("data/org.yaml", "org: {rate: {resource_1h: 3}, freezes: []}");
        let all = [manifest, data].into_iter().chain(files.iter().copied());
        let bundle = Bundle::from_files(all.map(|(p, t)| (p.to_owned(), t.to_owned())).collect());
        let found = check(&bundle, Timestamp::UNIX_EPOCH);
        let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        (found.iter().map(|d| d.code).collect(), text)
    }

    fn wrong_in_action(rules: &str) -> (Vec<&'static str>, String) {
        wrong(&[("action/m.rego", &format!("package firewarden.action.m\n\n{rules}\n"))])
    }

    #[test]
    fn mistakes_are_found_and_named() {
        for (rules, code) in [
            ("deny contains {\"id\": \"x\", \"reason\": \"r\"} if input.call.effect == ", "parse"),
            ("deny contains {\"id\": \"x\", \"reason\": \"r\"} {\n  true\n}", "parse"),
            ("deny contains {\"id\": \"x\", \"reason\": \"r\"} if x > 1", "unsafe-var"),
            ("deny contains {\"id\": \"x\"} if true", "bad-contribution"),
            ("deny contains {\"reason\": \"r\"} if true", "bad-contribution"),
            ("deny contains {\"id\": input.call.tool, \"reason\": \"r\"} if true", "bad-contribution"),
            ("deny contains {\"id\": \"Not Fine\", \"reason\": \"r\"} if true", "bad-contribution"),
            ("deny contains d if d := {\"id\": \"x\", \"reason\": \"r\"}", "bad-contribution"),
            ("deny contains \"no\" if true", "bad-contribution"),
            ("deny contains {\"id\": \"x\", \"reason\": 5} if true", "bad-contribution"),
            ("approve contains {\"id\": \"x\", \"reason\": \"r\"} if true", "bad-contribution"),
            ("approve contains {\"id\": \"x\", \"reason\": \"r\", \"groups\": \"sre\"} if true", "bad-contribution"),
            ("deny := true", "complete-rule-for-set"),
            ("deny if input.call.effect == \"write\"", "complete-rule-for-set"),
            ("default allow := true", "complete-rule-for-set"),
            ("level contains {\"id\": \"x\", \"reason\": \"r\", \"level\": \"LOW\"} if true", "unknown-head"),
            ("denny contains {\"id\": \"x\", \"reason\": \"r\"} if true", "unknown-head"),
            ("deny.hard contains {\"id\": \"x\", \"reason\": \"r\"} if true", "unknown-head"),
            ("oblige contains {\"id\": \"x\", \"kind\": \"sing\"} if true", "unknown-obligation"),
            ("a if time.now_ns() > 1", "banned-builtin"),
            ("a if every x in [1] { rand.intn(\"a\", x) > 1 }", "banned-builtin"),
            ("a if nosuch(1)", "unknown-function"),
            ("a if input.call.effect == \"never\"\n\nb if { false; lowr(\"x\") }", "unknown-function"),
            ("a if input.resorce.kind == \"Pod\"", "unknown-input"),
            ("a if input.event.label.team == \"x\"", "unknown-input"),
            ("a if data.org.freezs[_].hard", "unknown-data"),
            ("a if data.orgs.x", "unknown-data"),
            ("a if data.firewarden.lib.nope.f(1)", "unknown-function"),
            ("count(x) := x", "builtin-shadow"),
            ("a if regex.match(`(x`, \"x\")", "bad-regex"),
            ("a if to_number(\"zz\") == 1", "evaluation"),
            ("deny contains {\"id\": \"x\", \"reason\": input.event.labels.team} if true", "fallible-head"),
            ("deny contains {\"id\": \"x\", \"reason\": input.call.targets[0].kind} if true", "fallible-head"),
            ("a := [[[[[[[[[1]]]]]]]]]", "nesting-too-deep"),
        ] {
            let (codes, text) = wrong_in_action(rules);
            assert_eq!(codes, [code], "{rules}\n{text}");
        }
    }

    #[test]
    fn sound_rules_are_left_alone() {
        let lib = "package firewarden.lib.words\n\nsame(a, b) if lower(a) == lower(b)\n";
        let action = r#"package firewarden.action.m

import data.firewarden.lib.words
import data.firewarden.lib.words.same as alike

deny contains {"id": "one", "reason": sprintf("%s by %s", [input.call.tool, team]), "remedy": "Do not."} if {
	words.same(input.call.effect, "WRITE")
	team := object.get(input.event.labels, "team", "nobody")
	some target in input.call.targets
	not exempt(target)
}

warn contains {"id": "two", "reason": "said"} if {
	alike("a", "A")
	input.facts.anything.at.all == 1
	count([x | some x in data.org.freezes; x.hard]) > data.org.rate.resource_1h
}

default exempt(_) := false

exempt(target) if data.firewarden.lib.words.same(target.kind, "node")
"#;
        assert_eq!(wrong(&[("lib/words.rego", lib), ("action/m.rego", action)]).1, "");
    }

    #[test]
    fn packages_stand_where_they_are_looked_for() {
        for (path, package) in [
            ("action/m.rego", "firewarden.action.other"),
            ("action/m.rego", "firewarden.risk.m"),
            ("risk/m.rego", "acme.risk.m"),
            ("risk/m-n.rego", "firewarden.risk[\"m-n\"]"),
        ] {
            assert_eq!(wrong(&[(path, &format!("package {package}\n"))]).0, ["foreign-package"], "{path} {package}");
        }
    }

    #[test]
    fn a_rule_has_its_name_alone() {
        let rule = "deny contains {\"id\": \"x\", \"reason\": \"r\"} if input.call.tool == \"t\"";
        assert_eq!(wrong_in_action(&format!("{rule}\n\n{rule}")).0, ["duplicate-id"]);
    }

    #[test]
    fn diagnostics_say_what_to_do() {
        let (_, text) = wrong_in_action(
            "allow contains {\"id\": \"x\", \"reason\": \"r\"} if {\n\tsome f in data.org.freezs\n\tinput.resorce.kind == f\n}",
        );
        insta::assert_snapshot!(text);
        let (_, text) =
            wrong_in_action("deny contains {\"id\": \"x\", \"reason\": \"r\"} {\n\tinput.call.effect == \"write\"\n}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let (codes, _) = wrong(&[
            ("risk/a.rego", "package firewarden.risk.a\nx := ="),
            ("action/b.rego", "package firewarden.action.b\nx := nosuch(1)"),
            ("tests/c_test.rego", "package c_test\nx := = "),
            ("data/d.yaml", "org: {rate: 1}"),
        ]);
        assert_eq!(codes.len(), 4, "{codes:?}");
    }
}
