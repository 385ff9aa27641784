//! A bundle: the files that say who may do what, as text, with one digest over all of them.

use super::contract::CONTRACT;
use super::diagnostic::Diagnostic;
use super::rego::{ENGINE, syntax::Place};
use super::{PolicyError, cases, exceptions, org::Org, schema};
use crate::domain::Digest;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// Most files that a bundle may have.
const MAX_FILES: usize = 500;
/// Folders that hold something else than Rego.
const FOLDERS: [&str; 5] = ["data", "cases", "drills", "postures", "schema"];
/// What the organisation's data has to be, where a bundle says it.
const ORG_SCHEMA: &str = "schema/org.schema.json";
/// Largest file of a bundle, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Policies, data and tests, read but not yet checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    manifest: Manifest,
    files: BTreeMap<String, String>,
    data: Value,
    problems: Vec<Diagnostic>,
    digest: Digest,
}

/// `bundle.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    version: String,
    contract: String,
    #[serde(default)]
    #[allow(dead_code)]
    owners: Vec<String>,
    #[serde(default)]
    coverage_min: u8,
}

impl Bundle {
    /// The bundle that the program carries.
    pub fn embedded() -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![&EMBEDDED];
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            for file in folder.files() {
                let path = file.path().to_string_lossy().replace('\\', "/");
                files.insert(path, String::from_utf8_lossy(file.contents()).into_owned());
            }
        }
        Self::from_files(files)
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// The folder, or a file in it, cannot be read, or there is more than a bundle may hold. Mistakes
    /// inside of files are told by [`super::check`].
    pub fn from_dir(dir: &Path) -> Result<Self, PolicyError> {
        let mut files = BTreeMap::new();
        read_folder(dir, "", &mut files)?;
        Ok(Self::from_files(files))
    }

    /// A bundle of `files`, by path. Files that mean nothing in a bundle are left out.
    pub fn from_files(mut files: BTreeMap<String, String>) -> Self {
        files.retain(|path, _| is_bundle_file(path));
        let mut problems = Vec::new();
        let manifest = manifest(&files, &mut problems);
        let mut data = data(&files, &mut problems);
        take_posture(&files, &mut data, &mut problems);
        if let (Some(schema), Some(org)) = (files.get(ORG_SCHEMA), data.get("org")) {
            // What is wrong with an exception is told below, with its place.
            let wrong = schema::org_mistakes(schema, org).into_iter().filter(|text| !text.starts_with("/exceptions"));
            problems.extend(wrong.map(|text| Diagnostic::of_file("bad-data", "data", format!("data.org: {text}"))));
        }
        problems.extend(exceptions::mistakes(&files, &data));
        if let Err(wrong) = Org::read(&data) {
            problems.extend(wrong.into_iter().map(|text| Diagnostic::of_file("bad-data", "data", text)));
        }
        for path in files.keys().filter(|path| is_stray(path)) {
            let help = "policies stand in risk/, action/ and lib/, tests in tests/, data in data/ as .yaml or .json, \
                        cases/, drills/ and postures/ hold .yaml, schema/ holds .schema.json";
            problems
                .push(Diagnostic::of_file("stray-file", path, "this file has no place in a bundle").help(Some(help)));
        }
        let mut parts = vec![ENGINE, CONTRACT];
        parts.extend(files.iter().flat_map(|(path, text)| [path.as_str(), text.as_str()]));
        let digest = Digest::of_parts(parts);
        Self { manifest, files, data, problems, digest }
    }

    /// Name and version.
    pub fn name(&self) -> String {
        format!("{}@{}", self.manifest.name, self.manifest.version)
    }

    /// Digest over every file, the interpreter's version and the contract.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The bundle as JSON, with all that its digest is made of.
    pub fn to_json(&self) -> String {
        serde_json::json!({"engine": ENGINE, "contract": CONTRACT, "files": self.files}).to_string()
    }

    /// Every file by its path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every file by its path, as a whole.
    pub(super) fn by_path(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// A bundle as it was kept, with [`Self::to_json`].
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kept {
            files: BTreeMap<String, String>,
        }
        serde_json::from_slice::<Kept>(bytes).ok().map(|kept| Self::from_files(kept.files))
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Policies, without their tests.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rego") && !path.starts_with("tests/"))
    }

    /// Tests.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rego") && path.starts_with("tests/"))
    }

    /// The files below a folder, `drills/` for instance.
    pub(super) fn folder<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files().filter(move |(path, _)| path.starts_with(prefix))
    }

    /// Contribution coverage in percent below which the tests are not enough.
    pub fn coverage_min(&self) -> u8 {
        self.manifest.coverage_min
    }

    /// `data`, with the one key `org`.
    pub(super) fn data(&self) -> &Value {
        &self.data
    }

    /// What was wrong with manifest and data.
    pub(super) fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }
}

/// Reads the files of `dir` and of the folders in it. What begins with a dot is left out, as
/// Kubernetes' own folders in a mounted ConfigMap do.
fn read_folder(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), PolicyError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source: std::io::Error| PolicyError::Read { path, source }
    };
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let entry = entry.map_err(failed(dir))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        let inner = format!("{prefix}{name}");
        let about = std::fs::metadata(&path).map_err(failed(&path))?;
        if about.is_dir() {
            if prefix.matches('/').count() < 3 {
                read_folder(&path, &format!("{inner}/"), files)?;
            }
        } else if is_bundle_file(&inner) {
            if about.len() > MAX_FILE_BYTES || files.len() >= MAX_FILES {
                return Err(PolicyError::TooLarge { path: path.display().to_string() });
            }
            files.insert(inner, std::fs::read_to_string(&path).map_err(failed(&path))?);
        }
    }
    Ok(())
}

/// Whether a file belongs to the bundle: what decides, what is decided from, and what tests it.
fn is_bundle_file(path: &str) -> bool {
    let folder = path.split_once('/').map_or("", |(folder, _)| folder);
    path == "bundle.yaml" || path.ends_with(".rego") || FOLDERS.contains(&folder)
}

/// Whether a file of the bundle stands where nobody reads it.
fn is_stray(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match folder {
        "" => name != "bundle.yaml",
        "risk" | "action" | "lib" => !name.ends_with(".rego") || name.ends_with("_test.rego"),
        "tests" => !name.ends_with("_test.rego"),
        "data" => !is_data(path),
        "cases" | "drills" | "postures" => !is_yaml(name),
        "schema" => !name.ends_with(".schema.json"),
        _ => true,
    }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn is_data(path: &str) -> bool {
    let name = path.strip_prefix("data/").filter(|name| !name.contains('/'));
    name.is_some_and(|name| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)))
}

fn manifest(files: &BTreeMap<String, String>, problems: &mut Vec<Diagnostic>) -> Manifest {
    let path = "bundle.yaml";
    let Some(text) = files.get(path) else {
        let help = format!("write `name: …`, `version: …` and `contract: {CONTRACT}` into it");
        problems.push(Diagnostic::of_file("no-manifest", path, "the bundle has no bundle.yaml").help(Some(help)));
        return Manifest::default();
    };
    match serde_saphyr::from_str::<Manifest>(text) {
        Ok(manifest) => {
            if manifest.contract != CONTRACT {
                let what = format!("contract `{}` is not the one that this program speaks", manifest.contract);
                let help = format!("this program speaks `{CONTRACT}`");
                problems.push(Diagnostic::of_file("contract", path, what).help(Some(help)));
            }
            manifest
        }
        Err(error) => {
            problems.push(yaml_problem(path, text, &error));
            Manifest::default()
        }
    }
}

/// The data files as one document.
fn data(files: &BTreeMap<String, String>, problems: &mut Vec<Diagnostic>) -> Value {
    let mut merged = Map::new();
    for (path, text) in files.iter().filter(|(path, _)| is_data(path)) {
        // JSON is read as YAML, too: that reader refuses a key that stands twice.
        let document = match serde_saphyr::from_str::<Value>(text) {
            Ok(Value::Object(document)) => document,
            Ok(Value::Null) => continue,
            Ok(_) => {
                problems.push(Diagnostic::of_file(
                    "bad-data",
                    path,
                    "a data file holds one mapping with the key `org`",
                ));
                continue;
            }
            Err(error) => {
                problems.push(yaml_problem(path, text, &error));
                continue;
            }
        };
        // Data wins over rules of the same name in the interpreter, silently: any other root could
        // switch a rule off.
        if let Some(root) = document.keys().find(|root| *root != "org") {
            let line =
                text.lines().position(|line| line.trim_start_matches(['"', ' ', '{']).starts_with(root.as_str()));
            let place = Place { line: line.map_or(0, |n| n as u32 + 1), col: 0, width: 1 };
            let what = format!("`{root}` is no root of data");
            problems
                .push(Diagnostic::at("foreign-data-root", path, text, place, what).help(Some("put it beneath `org:`")));
            continue;
        }
        let mut twice = Vec::new();
        merge(&mut merged, document, "data", &mut twice);
        problems.extend(twice.into_iter().map(|key| {
            Diagnostic::of_file("duplicate-key", path, format!("{key} is defined by an earlier data file, too"))
        }));
    }
    Value::Object(merged)
}

/// Lays the overlay of the posture that the data names over it. A bundle without overlays needs none.
fn take_posture(files: &BTreeMap<String, String>, data: &mut Value, problems: &mut Vec<Diagnostic>) {
    let Some(posture) = data.pointer("/org/posture").and_then(Value::as_str).map(str::to_owned) else { return };
    let named = |path: &String| {
        path.strip_prefix("postures/").and_then(|name| name.rsplit_once('.')).map(|(n, _)| n.to_owned())
    };
    let known: Vec<(String, &String)> = files.keys().filter_map(|path| Some((named(path)?, path))).collect();
    if known.is_empty() {
        return;
    }
    let Some((_, path)) = known.iter().find(|(name, _)| *name == posture) else {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let what = format!("data.org.posture: `{posture}` is none of {}", names.join(", "));
        problems.push(Diagnostic::of_file("bad-data", "data", what).help(Some("postures/ holds one file for each")));
        return;
    };
    let text = files.get(*path).map(String::as_str).unwrap_or_default();
    match serde_saphyr::from_str::<Value>(text) {
        Ok(overlay) if overlay.as_object().is_some_and(|map| map.keys().all(|root| root == "org")) => {
            cases::merge(data, &overlay);
        }
        Ok(_) => problems.push(Diagnostic::of_file("bad-data", path, "a posture holds one mapping with the key `org`")),
        Err(error) => problems.push(yaml_problem(path, text, &error)),
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, path: &str, twice: &mut Vec<String>) {
    for (key, value) in from {
        let path = format!("{path}.{key}");
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from, &path, twice),
            (Some(_), _) => twice.push(path),
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn yaml_problem(path: &str, text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    let place = error.location().map_or(Place::default(), |at| Place {
        line: u32::try_from(at.line()).unwrap_or(0),
        col: u32::try_from(at.column()).unwrap_or(0),
        width: 1,
    });
    let message = error.to_string();
    let message = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    Diagnostic::at("parse", path, text, place, message.strip_prefix("error: ").unwrap_or(message))
}

#[cfg(test)]
impl Bundle {
    /// The shipped bundle with `from` written as `to` in the file at `path`.
    pub(super) fn edited(path: &str, from: &str, to: &str) -> Self {
        let mut files: BTreeMap<String, String> =
            Self::embedded().files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(from));
        *text = text.replace(from, to);
        Self::from_files(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn files(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let manifest = ("bundle.yaml", "name: t\nversion: '1'\ncontract: firewarden/v1\n");
        let all = std::iter::once(&manifest).chain(changes);
        all.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn problems(changes: &[(&str, &str)]) -> Vec<String> {
        Bundle::from_files(files(changes)).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn data_files_are_merged_and_say_each_thing_once() {
        let bundle = Bundle::from_files(files(&[
            ("data/a.yaml", "org: {rate: {resource_1h: 3}}"),
            ("data/b.json", r#"{"org": {"rate": {"namespace_1h": 10}, "name": "acme"}}"#),
        ]));
        assert!(bundle.problems.is_empty(), "{:?}", bundle.problems);
        assert_eq!(
            bundle.data(),
            &serde_json::json!({"org": {"name": "acme", "rate": {"resource_1h": 3, "namespace_1h": 10}}})
        );
        let twice = problems(&[("data/a.yaml", "org: {name: a}"), ("data/b.yaml", "org: {name: a}")]);
        assert_eq!(twice, ["data/b.yaml: error[duplicate-key]: data.org.name is defined by an earlier data file, too"]);
        assert!(problems(&[("data/a.yaml", "org:\n  name: a\n  name: b\n")])[0].contains("error[parse]"));
        assert!(problems(&[("data/a.json", r#"{"org": {"name": 1, "name": 2}}"#)])[0].contains("error[parse]"));
    }

    #[test]
    fn a_posture_lies_over_the_data() {
        let night = ("postures/night.yaml", "org: {posture: night, blast: {pods_approve: 1}}");
        let bundle = Bundle::from_files(files(&[
            ("data/a.yaml", "org: {posture: night, blast: {pods_approve: 10, pods_deny: 50}}"),
            night,
        ]));
        assert!(bundle.problems.is_empty(), "{:?}", bundle.problems);
        assert_eq!(bundle.data()["org"]["blast"], serde_json::json!({"pods_approve": 1, "pods_deny": 50}));
        let unknown = problems(&[("data/a.yaml", "org: {posture: nigth}"), night]);
        assert!(unknown[0].contains("`nigth` is none of night"), "{unknown:?}");
        for overlay in ["firewarden: {}", "[]", "org: ["] {
            assert_eq!(
                problems(&[("data/a.yaml", "org: {posture: night}"), ("postures/night.yaml", overlay)]).len(),
                1
            );
        }
    }

    #[test]
    fn data_is_held_to_the_schema_that_the_bundle_carries() {
        let schema = ("schema/org.schema.json", r#"{"properties": {"name": {"type": "string"}}}"#);
        assert!(problems(&[("data/a.yaml", "org: {name: acme}"), schema]).is_empty());
        assert!(problems(&[("data/a.yaml", "org: {name: 3}"), schema])[0].contains("data.org: /name: "));
    }

    #[test]
    fn only_one_root_of_data_is_ours_to_give() {
        let foreign = problems(&[("data/a.yaml", "org: {}\nfirewarden:\n  action: {}\n")]);
        insta::assert_snapshot!(foreign.join("\n"), @r"
        data/a.yaml:2: error[foreign-data-root]: `firewarden` is no root of data
             2 | firewarden:
          help: put it beneath `org:`
        ");
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_told() {
        let mut none = files(&[]);
        none.clear();
        assert_eq!(Bundle::from_files(none).problems[0].code, "no-manifest");
        for (text, code) in [
            ("name: t\nversion: '1'\ncontract: firewarden/v9\n", "contract"),
            ("name: t\nversion: '1'\ncontract: firewarden/v1\nsurprise: 1\n", "parse"),
            ("name: [", "parse"),
        ] {
            assert_eq!(Bundle::from_files(files(&[("bundle.yaml", text)])).problems[0].code, code, "{text}");
        }
    }

    #[test]
    fn stray_files_are_not_passed_over_in_silence() {
        for path in
            ["risky/base.rego", "base.rego", "data/org.toml", "risk/base_test.rego", "tests/base.rego", "data/x/y.yaml"]
        {
            assert_eq!(Bundle::from_files(files(&[(path, "x")])).problems[0].code, "stray-file", "{path}");
        }
        assert!(problems(&[("README.md", "x")]).is_empty());
    }

    #[test]
    fn the_digest_changes_with_any_file() {
        let base =
            [("risk/a.rego", "package firewarden.risk.a"), ("data/a.yaml", "org: {}"), ("tests/a_test.rego", "x")];
        let digest = |changes: &[(&str, &str)]| {
            let mut all = files(&base);
            all.extend(files(changes));
            Bundle::from_files(all).digest.clone()
        };
        let before = digest(&[]);
        assert_eq!(before, digest(&[("README.md", "not part of it")]));
        for change in [
            ("risk/a.rego", "package firewarden.risk.a "),
            ("data/a.yaml", "org: {x: 1}"),
            ("tests/a_test.rego", "y"),
            ("bundle.yaml", "name: u\nversion: '1'\ncontract: firewarden/v1\n"),
            ("lib/new.rego", ""),
        ] {
            assert_ne!(before, digest(&[change]), "{change:?}");
        }
    }

    #[test]
    fn a_folder_gives_the_same_bundle_as_the_program_carries() {
        let shipped = Bundle::from_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
        assert_eq!(shipped.files, Bundle::embedded().files, "touch src/policy/bundle.rs: the embedded copy is old");
        let missing = Bundle::from_dir(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read policies from no/such/folder"), "{missing}");
    }

    #[test]
    fn hidden_entries_and_oversized_files_do_not_come_in() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("..2026_data/risk")).unwrap();
        std::fs::write(dir.path().join("..2026_data/risk/a.rego"), "x").unwrap();
        std::fs::write(dir.path().join("bundle.yaml"), "name: t").unwrap();
        assert_eq!(Bundle::from_dir(dir.path()).unwrap().files.len(), 1);
        std::fs::create_dir(dir.path().join("risk")).unwrap();
        std::fs::write(dir.path().join("risk/big.rego"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(matches!(Bundle::from_dir(dir.path()), Err(PolicyError::TooLarge { .. })));
    }
}
