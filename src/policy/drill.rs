//! What every bundle has to refuse, whoever wrote it, and which fields of an input a refusal rests on.

use super::cases::{self, Ready};
use super::{Bundle, Decision, PolicyError, RegoPolicy};
use crate::domain::{DecisionId, Verdict};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Cases let through that are told one by one.
const MOST: usize = 100;

/// A case that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetThrough {
    /// The file of the case.
    pub path: String,
    /// The case.
    pub name: String,
    /// What the bundle said instead of a refusal.
    pub said: String,
}

/// A field whose absence makes a verdict less strict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeakField {
    /// `/blast_radius/pods`; `*` stands for any place in a list.
    pub field: String,
    /// In how many cases.
    pub cases: usize,
    /// For instance in this one.
    pub example: String,
    /// Rules that fell silent.
    pub lost: BTreeSet<String>,
}

/// What a drill found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// Cases.
    pub cases: usize,
    /// Cases that were refused.
    pub refused: usize,
    /// Cases that were not.
    pub let_through: Vec<LetThrough>,
    /// Inputs that were judged with one field less.
    pub mutated: usize,
    /// Distinct fields that were left out.
    pub fields: usize,
    /// Fields whose absence weakens a verdict.
    pub weak: Vec<WeakField>,
}

impl DrillReport {
    /// Every case was refused.
    pub fn passed(&self) -> bool {
        self.let_through.is_empty()
    }

    /// The report for a terminal.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for LetThrough { path, name, said } in self.let_through.iter().take(MOST) {
            let _ = writeln!(out, "LET THROUGH  {path}  {name}\n             {said}");
        }
        for WeakField { field, cases, example, lost } in &self.weak {
            let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
            let _ = writeln!(
                out,
                "warning: without {field}  {cases} less strict, {example} for one; lost {}",
                lost.join(" ")
            );
        }
        let _ = writeln!(out, "drill (must be refused)  {} of {} refused", self.refused, self.cases);
        if self.mutated > 0 {
            let (fields, weak) = (self.fields, self.weak.len());
            let _ = writeln!(
                out,
                "fail-open finder  {fields} fields left out in {} inputs, {weak} weaken a verdict",
                self.mutated
            );
        }
        out
    }
}

/// The cases that ship with the program, and those of the bundle itself.
fn corpus(bundle: &Bundle) -> Result<Vec<Ready>, PolicyError> {
    let shipped = Bundle::embedded();
    let mut files: BTreeMap<&str, &str> = bundle.folder("drills/").collect();
    // Nobody's bundle can make the shipped ones easier.
    files.extend(shipped.folder("drills/"));
    let mut all = vec![];
    for (path, text) in files {
        let wrong =
            |error| PolicyError::Load { diagnostics: vec![super::Diagnostic::of_file("bad-case", path, error)] };
        all.extend(cases::read(path, text).map_err(wrong)?);
    }
    Ok(all)
}

/// Judges every case under `policy`; `mutate` leaves out one field after the other of each.
///
/// # Errors
/// When a file of cases makes no sense.
pub fn drill(policy: &RegoPolicy, bundle: &Bundle, mutate: bool) -> Result<DrillReport, PolicyError> {
    let corpus = corpus(bundle)?;
    let mut report = DrillReport { cases: corpus.len(), ..DrillReport::default() };
    let mut weak: BTreeMap<String, WeakField> = BTreeMap::new();
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for case in &corpus {
        let own = match case.own_policy(policy) {
            Ok(own) => own,
            Err(error) => {
                // A bundle that cannot be asked refuses nothing that anybody could rely on.
                report.let_through.push(LetThrough { path: case.path.clone(), name: case.name.clone(), said: error });
                continue;
            }
        };
        // What is left out is judged with the same data.
        let policy = own.as_ref().unwrap_or(policy);
        let decision = case.judged_by(policy);
        if decision.verdict() != Verdict::Deny {
            let rules: Vec<&str> = decision.reasons().iter().map(|reason| reason.rule.as_str()).collect();
            let said = format!("{} by {}", decision.word(), rules.join(" "));
            report.let_through.push(LetThrough { path: case.path.clone(), name: case.name.clone(), said });
            continue;
        }
        report.refused += 1;
        if mutate {
            leave_out(policy, case, &decision, &mut report.mutated, &mut fields, &mut weak);
        }
    }
    report.fields = fields.len();
    report.weak = weak.into_values().collect();
    Ok(report)
}

fn leave_out(
    policy: &RegoPolicy,
    case: &Ready,
    whole: &Decision,
    mutated: &mut usize,
    fields: &mut BTreeSet<String>,
    weak: &mut BTreeMap<String, WeakField>,
) {
    let rules = |decision: &Decision| -> BTreeSet<String> {
        decision.reasons().iter().map(|reason| reason.rule.clone()).collect()
    };
    let before = rules(whole);
    for pointer in leaves(&case.input) {
        let mut input = case.input.clone();
        if !take_out(&mut input, &pointer) {
            continue;
        }
        *mutated += 1;
        let field =
            pointer.split('/').map(|step| if is_place(step) { "*" } else { step }).collect::<Vec<_>>().join("/");
        fields.insert(field.clone());
        let other = policy.decide_as_it_is(DecisionId::new(uuid::Uuid::nil()), case.kind, &input);
        if other.strictness() < whole.strictness() {
            let lost: BTreeSet<String> = before.difference(&rules(&other)).cloned().collect();
            let found = weak.entry(field.clone()).or_insert_with(|| WeakField {
                field,
                cases: 0,
                example: case.name.clone(),
                lost: BTreeSet::new(),
            });
            found.cases += 1;
            found.lost.extend(lost);
        }
    }
}

/// What an input is about, and not what the program guarantees: without it there is another question.
const CONTENT: &[&str] = &[
    "/schema",
    "/call/args/",
    "/call/texts/",
    "/call/argv/",
    "/call/arg_origins/",
    "/call/preview/",
    "/pr/files/",
    "/event/text",
    "/event/labels/",
    "/event/annotations/",
    "/resource/labels/",
    "/facts/",
];

fn leaves(input: &Value) -> Vec<String> {
    let mut found = vec![];
    let mut waiting = vec![(String::new(), input)];
    while let Some((pointer, value)) = waiting.pop() {
        match value {
            Value::Object(map) if !map.is_empty() => {
                waiting.extend(map.iter().map(|(key, value)| (format!("{pointer}/{key}"), value)));
            }
            Value::Array(items) if !items.is_empty() => {
                waiting.extend(items.iter().enumerate().map(|(n, value)| (format!("{pointer}/{n}"), value)));
            }
            _ if CONTENT.iter().any(|content| pointer.starts_with(content)) => {}
            _ => found.push(pointer),
        }
    }
    found.sort();
    found
}

fn is_place(step: &str) -> bool {
    !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit())
}

fn take_out(document: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    document.pointer_mut(parent).and_then(Value::as_object_mut).is_some_and(|map| map.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn load(bundle: &Bundle) -> RegoPolicy {
        RegoPolicy::load(bundle).unwrap().with_limit(Duration::from_secs(10))
    }

    #[test]
    fn the_shipped_bundle_refuses_every_drill() {
        let bundle = Bundle::embedded();
        let report = drill(&load(&bundle), &bundle, false).unwrap();
        assert!(report.passed(), "{}", report.render());
        assert!(report.cases >= 150, "{} cases", report.cases);
    }

    #[test]
    fn a_bundle_that_lets_one_through_is_told() {
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.to_owned(), t.to_owned())).collect();
        files.remove("action/secrets.rego");
        files.remove("tests/secrets_test.rego");
        let bundle = Bundle::from_files(files);
        let report = drill(&load(&bundle), &bundle, false).unwrap();
        assert!(!report.passed() && report.refused > 0);
        assert!(report.let_through.iter().any(|case| case.path == "drills/secrets.yaml"), "{}", report.render());
    }

    #[test]
    fn a_bundle_cannot_make_the_shipped_drills_easier() {
        let files = [
            ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n"),
            ("drills/secrets.yaml", "cases: []\n"),
            ("drills/own.yaml", "cases: [{name: nothing is allowed here, call: {effect: read}}]\n"),
        ];
        let bundle = Bundle::from_files(files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect());
        let own = corpus(&bundle).unwrap();
        let shipped = corpus(&Bundle::embedded()).unwrap();
        assert_eq!(own.len(), shipped.len() + 1);
    }

    #[test]
    fn a_case_with_data_of_its_own_keeps_it_while_fields_are_left_out() {
        let files = [
            ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n"),
            ("data/org.yaml", "org: {approvers: {default: [oncall]}, freezes: []}\n"),
            (
                "action/m.rego",
                "package firewarden.action.m\n\nallow contains {\"id\": \"a\", \"reason\": \"r\"} if true\n\n\
                 deny contains {\"id\": \"d\", \"reason\": \"r\"} if count(data.org.freezes) > 0\n",
            ),
            (
                "drills/own.yaml",
                "cases: [{name: frozen, call: {effect: read}, data: {freezes: [{id: x, from: '2026-01-01T00:00:00Z', \
                 until: '2027-01-01T00:00:00Z', environments: [], hard: true}]}}]\n",
            ),
        ];
        let bundle = Bundle::from_files(files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect());
        let report = drill(&load(&bundle), &bundle, true).unwrap();
        let own = |name: &str| report.weak.iter().any(|weak| weak.example == name);
        assert!(!report.let_through.iter().any(|case| case.name == "frozen"), "{}", report.render());
        assert!(report.mutated > 60 && !own("frozen"), "{}", report.render());
    }

    #[test]
    fn a_field_that_a_refusal_rests_on_is_found() {
        let files = [
            ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n"),
            ("data/org.yaml", "org: {approvers: {default: [oncall]}}\n"),
            (
                "action/m.rego",
                "package firewarden.action.m\n\nallow contains {\"id\": \"a\", \"reason\": \"r\"} if true\n\n\
                 deny contains {\"id\": \"d\", \"reason\": \"r\"} if input.blast_radius.known\n",
            ),
        ];
        let bundle = Bundle::from_files(files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect());
        let case = cases::read("a.yaml", "{name: a, call: {effect: read}}").unwrap().remove(0);
        let policy = load(&bundle);
        let whole = case.decide(&policy).unwrap();
        let (mut mutated, mut fields, mut weak) = (0, BTreeSet::new(), BTreeMap::new());
        leave_out(&policy, &case, &whole, &mut mutated, &mut fields, &mut weak);
        assert!(mutated > 60, "{mutated}");
        assert_eq!(weak.keys().collect::<Vec<_>>(), ["/blast_radius/known"]);
        assert_eq!(weak["/blast_radius/known"].lost, BTreeSet::from(["action/m/d".to_owned()]));
    }
}
