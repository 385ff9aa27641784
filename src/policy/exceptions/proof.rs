//! What is wrong with exceptions: in form, against the rules and inputs that there are, and by the clock.

use super::super::bundle::Bundle;
use super::super::check::Area;
use super::super::diagnostic::{Diagnostic, nearest};
use super::super::rego::syntax::Place;
use super::{Exception, MAX_DAYS, MOST, TARGET, of};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// It does not count any more; harmless, and to be taken out.
pub(in crate::policy) const EXPIRED: &str = "expired-exception";
/// Sets whose contributions an exception may take out.
const LIFTED: [&str; 3] = ["approve", "raise", "warn"];
/// What each target of a call has.
const TARGET_KEYS: [&str; 9] =
    ["system", "cluster", "namespace", "api_version", "kind", "name", "verb", "stateful", "controlled"];
/// What the alert's sender or the model writes as it likes: no exception rests on it.
const FREE_TEXT: [&str; 8] = [
    "event.text",
    "event.summary",
    "event.annotations",
    "call.rationale",
    "call.texts",
    "call.args",
    "call.argv",
    "call.preview",
];

/// Mistakes that can be seen in the data alone.
pub(in crate::policy) fn mistakes(files: &BTreeMap<String, String>, data: &Value) -> Vec<Diagnostic> {
    let Some(listed) = data.pointer("/org/exceptions").filter(|listed| !listed.is_null()) else { return vec![] };
    let Some(listed) = listed.as_array() else {
        return vec![Diagnostic::of_file("bad-exception", "data", "data.org.exceptions is not a list")];
    };
    if listed.len() > MOST {
        return vec![Diagnostic::of_file("bad-exception", "data", format!("more than {MOST} exceptions"))];
    }
    let mut known = BTreeSet::new();
    let mut found = vec![];
    for (n, one) in listed.iter().enumerate() {
        let id = one["id"].as_str().unwrap_or_default();
        let name = if id.is_empty() { format!("the exception number {}", n + 1) } else { format!("`{id}`") };
        let mut wrong = |needle: &str, what: String, help: &str| {
            let what = format!("{name}: {what}");
            found.push(placed(files, id, needle, "bad-exception", what).help(Some(help)));
        };
        let exception = match Exception::deserialize(one) {
            Ok(exception) => exception,
            Err(error) => {
                let what = error.to_string();
                let needle = what.split('`').nth(1).unwrap_or_default().to_owned();
                wrong(
                    &needle,
                    what,
                    "an exception has id, rule, match, until (2026-12-31T00:00:00Z), owner and reason",
                );
                continue;
            }
        };
        if !known.insert(id) {
            wrong(id, "an earlier exception has this id, too".into(), "give each its own");
        }
        for (key, text) in [("id", id), ("owner", exception.owner.as_str()), ("reason", exception.reason.as_str())] {
            if text.trim().is_empty() {
                wrong(key, format!("its {key} is empty"), "somebody has to answer for it, and to say why");
            }
        }
        let is_plain = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        for (path, value) in &exception.matches {
            let is_fine = match value {
                Value::Array(any) => !any.is_empty() && any.iter().all(is_plain),
                value => is_plain(value),
            };
            if !is_fine {
                wrong(path, format!("{path} is compared with {value}"), "give a word, a number or a list of them");
            }
        }
        if exception.matches.values().all(is_anything) {
            let help = "name what it is about: `match: {resource.namespace: payments, call.tool: kubernetes_scale}`";
            wrong("match", "it matches on nothing, so it would be about everything".into(), help);
        }
    }
    found
}

/// A pattern that stands for whatever there is.
fn is_anything(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && text.bytes().all(|byte| byte == b'*'),
        Value::Array(any) => any.iter().any(is_anything),
        _ => false,
    }
}

/// Mistakes against the rules of the bundle, the set of each by its full name, and against what an input
/// holds: `wrong` tells what is wrong with a path, and the one that was probably meant.
pub(in crate::policy) fn against_rules(
    bundle: &Bundle,
    rules: &BTreeMap<String, String>,
    wrong: impl Fn(Area, &str) -> Option<(String, Option<String>)>,
) -> Vec<Diagnostic> {
    let files = bundle.by_path();
    let mut found = vec![];
    for exception in of(bundle.data()) {
        let Exception { id, rule, matches, .. } = &exception;
        let at = |needle: &str, code, what: String| placed(files, id, needle, code, format!("`{id}`: {what}"));
        let Some(set) = rules.get(rule) else {
            let near = nearest(rule, rules.keys().map(String::as_str)).map(|near| format!("did you mean {near}?"));
            let help = near.unwrap_or_else(|| "`firewarden policy status` lists the rules in force".into());
            found.push(at(rule, "unknown-rule", format!("no rule is called {rule}")).help(Some(help)));
            continue;
        };
        if !LIFTED.contains(&set.as_str()) {
            let what = format!("{rule} adds to `{set}`, and nothing lifts that");
            let help = "exceptions are from `approve`, `raise` and `warn`; change the rule or its data instead";
            found.push(at(rule, "bad-exception", what).help(Some(help)));
        }
        let area = if rule.starts_with("risk/") { Area::Risk } else { Area::Action };
        for path in matches.keys() {
            if FREE_TEXT.iter().any(|free| path == free || path.strip_prefix(free).is_some_and(|r| r.starts_with('.')))
            {
                let what =
                    format!("{path} is free text: whoever raises an alert, or the model, would write the exception");
                let help = "match on what the resource is and on what the call does";
                found.push(at(path, "bad-exception", what).help(Some(help)));
                continue;
            }
            let of_target = path.strip_prefix(TARGET).filter(|_| area == Area::Action);
            let unknown = match of_target {
                Some(key) if TARGET_KEYS.contains(&key) => None,
                Some(key) => {
                    let near = nearest(key, TARGET_KEYS).map(|near| format!("{TARGET}{near}"));
                    Some((format!("{path} is nothing that a target has"), near))
                }
                None => wrong(area, path),
            };
            if let Some((what, near)) = unknown {
                let schemas = "policies/schema/*.schema.json say what an input holds; target.KEY is of each target";
                let help = near.map_or_else(|| schemas.to_owned(), |near| format!("did you mean {near}?"));
                found.push(at(path, "unknown-input", what).help(Some(help)));
            }
        }
    }
    found
}

/// Exceptions that are over, and those that would last too long.
pub(in crate::policy) fn against_time(bundle: &Bundle, now: Timestamp) -> Vec<Diagnostic> {
    let latest = now.checked_add(SignedDuration::from_hours(24 * MAX_DAYS)).unwrap_or(Timestamp::MAX);
    let told = of(bundle.data()).into_iter().filter_map(|exception| {
        let Exception { id, until, owner, .. } = &exception;
        let (code, what, help) = if *until <= now {
            let help = format!("take it out, or let {owner} give it again with a new reason");
            (EXPIRED, format!("`{id}`: it ended at {until}"), help)
        } else if *until > latest {
            let what = format!("`{id}`: it would hold until {until}, more than {MAX_DAYS} days ahead");
            (
                "long-exception",
                what,
                format!("at most {latest}; what is right for longer belongs into the rule or its data"),
            )
        } else {
            return None;
        };
        Some(placed(bundle.by_path(), id, "until", code, what).help(Some(help)))
    });
    told.collect()
}

/// A mistake at the place in the data where the exception `id` says `needle`.
fn placed(files: &BTreeMap<String, String>, id: &str, needle: &str, code: &'static str, what: String) -> Diagnostic {
    let data = files.iter().filter(|(path, _)| path.starts_with("data/") || path.starts_with("postures/"));
    for (path, text) in data {
        let Some(from) = text.lines().position(|line| says(line, "exceptions")) else { continue };
        let own = text.lines().enumerate().skip(from);
        let first = own.clone().position(|(_, line)| !id.is_empty() && says(line, "id") && says(line, id));
        let Some(first) = first.map(|n| from + n).or(id.is_empty().then_some(from)) else { continue };
        // The next one begins where another id stands.
        let own = own.skip(first - from).enumerate().take_while(|(n, (_, line))| *n == 0 || !says(line, "id:"));
        let said = own.map(|(_, line)| line).find(|(_, line)| !needle.is_empty() && says(line, needle));
        let (n, word) = said.map_or((first, if id.is_empty() { "exceptions" } else { id }), |(n, _)| (n, needle));
        let line = text.lines().nth(n).unwrap_or_default();
        let col = line.find(word).map_or(0, |byte| line[..byte].chars().count() + 1);
        let place = Place {
            line: u32::try_from(n + 1).unwrap_or(0),
            col: u32::try_from(col).unwrap_or(0),
            width: u32::try_from(word.chars().count()).unwrap_or(1),
        };
        return Diagnostic::at(code, path, text, place, what);
    }
    Diagnostic::of_file(code, "data", what)
}

/// Whether a line that is no comment holds `word`.
fn says(line: &str, word: &str) -> bool {
    !line.trim_start().starts_with('#') && line.contains(word)
}

#[cfg(test)]
mod tests {
    use super::super::super::{RegoPolicy, check, drill};
    use super::*;
    use std::time::Duration;

    /// The shipped bundle with these exceptions.
    fn excepting(list: &str) -> Bundle {
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.to_owned(), t.to_owned())).collect();
        let org = files.get_mut("data/org.yaml").unwrap();
        assert!(org.contains("exceptions: []"));
        *org = org.replace("exceptions: []", list);
        Bundle::from_files(files)
    }

    fn one(rule: &str, matches: &str) -> String {
        let until = "2026-12-31T00:00:00Z";
        format!(
            "\n    - id: {}\n      rule: {rule}\n      match: {matches}\n      until: \"{until}\"\n      owner: ann\n      \
             reason: because\n",
            rule.replace('/', "-")
        )
    }

    fn told(bundle: &Bundle, now: &str) -> String {
        check(bundle, now.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_exception_lets_a_drill_through() {
        let whole = RegoPolicy::load(&Bundle::embedded()).unwrap();
        // From everything that may be excepted, for everything.
        let mut list = String::from("exceptions:");
        let mut many = 0;
        for (_, _, set, rule) in whole.loaded().rules() {
            let matches = match (set.area, LIFTED.contains(&set.set.as_str())) {
                (_, false) => continue,
                (Area::Risk, _) => "{event.status: [firing, resolved]}",
                (Area::Action | Area::Lib, _) => "{call.effect: [read, record, propose, write, destroy]}",
            };
            list.push_str(&one(&rule, matches));
            many += 1;
        }
        assert!(many > 15, "{many}");
        let bundle = excepting(&list);
        assert_eq!(told(&bundle, "2026-12-01T00:00:00Z"), "");
        let policy = RegoPolicy::load(&bundle).unwrap().with_limit(Duration::from_secs(10));
        assert_eq!(policy.exceptions().len(), many);
        let report = drill(&policy, &bundle, false).unwrap();
        assert!(report.passed() && report.cases > 150, "{}", report.render());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let list = format!(
            "exceptions:{}{}",
            one("action/blast/soft-limt", "{target.namespce: shop}"),
            one("action/blast/soft-limit", "{resource.namespce: shop, event.annotations.safe: \"yes\"}")
        );
        let told = told(&excepting(&list), "2026-12-01T00:00:00Z");
        let places = told.lines().filter(|line| line.starts_with("data/org.yaml:")).count();
        assert_eq!(places, 3, "{told}");
        for expected in [
            "error[unknown-rule]: `action-blast-soft-limt`: no rule is called action/blast/soft-limt",
            "rule: action/blast/soft-limt",
            "help: did you mean action/blast/soft-limit?",
            "help: did you mean resource.namespace?",
            "event.annotations.safe is free text",
        ] {
            assert!(told.contains(expected), "{expected} is not in:\n{told}");
        }
    }

    #[test]
    fn the_clock_decides_what_is_over_and_what_would_last_too_long() {
        let bundle = excepting(&format!("exceptions:{}", one("action/blast/soft-limit", "{target.name: api}")));
        for (now, code) in [
            ("2026-12-31T00:00:00Z", Some(EXPIRED)),
            ("2026-12-30T23:59:59Z", None),
            ("2026-10-02T00:00:00Z", None),
            ("2026-10-01T23:59:59Z", Some("long-exception")),
        ] {
            let found = against_time(&bundle, now.parse().unwrap());
            assert_eq!(found.first().map(|found| found.code), code, "{now}");
            assert_eq!(found.iter().all(Diagnostic::is_in_the_way), code != Some(EXPIRED), "{now}");
        }
        assert!(told(&bundle, "2027-01-01T00:00:00Z").contains("it ended at 2026-12-31T00:00:00Z"));
    }

    #[test]
    fn what_an_exception_lacks_is_named_once() {
        for (from, to, expected) in [
            ("      owner: ann\n", "", "missing field `owner`"),
            ("      owner: ann\n", "      owner: \" \"\n", "its owner is empty"),
            ("because", "\"\"", "its reason is empty"),
            ("{target.name: api}", "{}", "matches on nothing"),
            ("{target.name: api}", "{target.name: \"**\", call.tool: \"*\"}", "matches on nothing"),
            ("{target.name: api}", "{target.name: [api, \"*\"]}", "matches on nothing"),
            ("{target.name: api}", "{target.name: []}", "compared with []"),
            ("{target.name: api}", "{target.name: {a: b}}", "compared with"),
            ("{target.name: api}", "{resource: api}", "resource is no single value"),
            ("{target.name: api}", "{resource.name.first: api}", "is no single value"),
            ("      owner:", "      approver: x\n      owner:", "unknown field `approver`"),
        ] {
            let list = one("action/blast/soft-limit", "{target.name: api}").replace(from, to);
            let told = told(&excepting(&format!("exceptions:{list}")), "2026-12-01T00:00:00Z");
            assert!(told.contains(expected) && told.matches("error[").count() == 1, "{expected}:\n{told}");
        }
        let twice = one("action/blast/soft-limit", "{target.name: api}");
        let told = told(&excepting(&format!("exceptions:{twice}{twice}")), "2026-12-01T00:00:00Z");
        assert!(told.contains("an earlier exception has this id"), "{told}");
        assert!(excepting("exceptions: {}").problems()[0].message.contains("is not a list"));
    }
}
