//! What the documentation says of policies is what the policies are.

use super::check::load;
use super::{Bundle, RegoPolicy, TestOptions, drill, run_tests_with};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BEGIN: &str = "<!-- rules: written by the tests -->\n";
const END: &str = "<!-- end of rules -->\n";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text that a rule gives as its reason, as far as it is written out.
fn reason(rule: &super::rego::syntax::Rule) -> String {
    if let Some(Some(reason)) = rule.object.as_ref().and_then(|object| object.get("reason")) {
        return reason.clone();
    }
    let bound =
        rule.conditions.iter().find_map(|condition| condition.source.strip_prefix("reason := ").map(str::to_owned));
    let text = bound.unwrap_or_default();
    let quoted = text.split('"').nth(1).unwrap_or("as the rule says").to_owned();
    ["%s", "%d", "%v"].iter().fold(quoted, |text, place| text.replace(place, "…"))
}

#[test]
fn the_table_of_rules_is_the_rules() {
    let loaded = load(&Bundle::embedded()).unwrap();
    let mut table = String::from("| rule | effect | reason |\n|---|---|---|\n");
    let mut rows: Vec<(String, String, String)> =
        loaded.rules().map(|(_, rule, set, full)| (full, set.set, reason(rule))).collect();
    rows.sort();
    assert!(rows.len() > 50);
    for (rule, set, reason) in rows {
        let _ = writeln!(table, "| `{rule}` | {set} | {reason} |");
    }
    let path = root().join("docs/policies.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("FIREWARDEN_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted, "FIREWARDEN_BLESS=1 writes it anew");
}

#[test]
fn twenty_two_modules_ship_and_each_denying_rule_is_tested_both_ways() {
    let bundle = Bundle::embedded();
    let loaded = load(&bundle).unwrap();
    let modules: std::collections::BTreeSet<(&str, String)> =
        loaded.rules().map(|(_, _, set, _)| (set.area.as_str(), set.module)).collect();
    assert_eq!(modules.len(), 22, "{modules:?}");
    let report = run_tests_with(&bundle, TestOptions { filter: None, coverage: true }).unwrap();
    assert!(report.passed(), "{}", report.render());
    let coverage = report.coverage.unwrap();
    assert_eq!(coverage.never_spoke, Vec::<String>::new());
    assert!(coverage.percent >= f64::from(bundle.coverage_min()), "{}", coverage.render());
}

#[derive(Deserialize)]
struct Edit {
    file: String,
    from: String,
    to: String,
}

fn read(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        match path.is_dir() {
            true => read(&path, &format!("{name}/"), files),
            false => drop(files.insert(name, std::fs::read_to_string(&path).unwrap())),
        }
    }
}

#[test]
fn each_recipe_does_what_it_says_and_refuses_what_must_be_refused() {
    let guide = std::fs::read_to_string(root().join("docs/policy-guide.md")).unwrap();
    let mut recipes: Vec<PathBuf> =
        std::fs::read_dir(root().join("docs/recipes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    recipes.sort();
    assert_eq!(recipes.len(), 12);
    for recipe in recipes {
        let name = recipe.file_name().unwrap().to_string_lossy().into_owned();
        assert!(guide.contains(&format!("(recipes/{name}")), "the guide does not lead to {name}");
        let mut own = BTreeMap::new();
        read(&recipe, "", &mut own);
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.into(), t.into())).collect();
        if let Some(edits) = own.remove("edits.yaml") {
            for Edit { file, from, to } in serde_saphyr::from_str::<Vec<Edit>>(&edits).unwrap() {
                let text = files.get_mut(&file).unwrap();
                assert!(text.contains(&from), "{name}: {file} does not hold {from}");
                *text = text.replace(&from, &to);
            }
        }
        // What the shipped bundle promises of itself need not hold of an edited one.
        files.retain(|path, _| !path.starts_with("tests/") && !path.starts_with("cases/"));
        files.extend(own);
        let bundle = Bundle::from_files(files);
        let report = run_tests_with(&bundle, TestOptions::default());
        let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.passed() && report.ok >= 2, "{name}: {}", report.render());
        let policy = RegoPolicy::load(&bundle).unwrap().with_limit(Duration::from_secs(10));
        let report = drill(&policy, &bundle, false).unwrap();
        assert!(report.passed(), "{name}: {}", report.render());
    }
}
