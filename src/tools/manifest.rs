//! `tools/*.yaml`: every tool that may be called, with its effect.

use super::custom::check::{self, Declared, WrittenExchange, WrittenPlan, WrittenRetry};
use super::custom::{Aim, CommandCall, HttpCall};
use super::spec::{Example, ToolSpec};
use crate::domain::Effect;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tools");
const API_VERSION: &str = "firewarden/v1";
/// Peers that a manifest can require.
pub const PEERS: [&str; 13] = [
    "alertmanager",
    "alertmanager_write",
    "elasticsearch",
    "github",
    "github_write",
    "http_probe",
    "jira",
    "jira_write",
    "kubernetes",
    "kubernetes_write",
    "loki",
    "prometheus",
    "runbooks",
];
const TIMEOUT_MAX: Duration = Duration::from_secs(300);
const OUTPUT_DEFAULT: usize = 32 << 10;
const OUTPUT_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;
/// Larger files are no manifests.
const FILE_BYTES: u64 = 256 << 10;

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {text}")]
pub struct ManifestError {
    /// The file.
    pub file: String,
    /// What is wrong with it and what to write.
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api_version: String,
    name: String,
    summary: String,
    effect: Effect,
    params: Value,
    run: Run,
    target: Option<Aim>,
    plan: Option<WrittenPlan>,
    reconcile: Option<WrittenExchange>,
    retry: Option<WrittenRetry>,
    reversible: Option<bool>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    max_output: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    examples: Vec<Example>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    builtin: Option<String>,
    http: Option<HttpCall>,
    command: Option<CommandCall>,
}

/// The declared tools by name.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    specs: BTreeMap<String, (String, ToolSpec)>,
}

impl Manifests {
    /// What is built into the program.
    ///
    /// # Errors
    /// None in a released program: a test loads all of them.
    pub fn embedded() -> Result<Self, ManifestError> {
        let mut manifests = Self::default();
        let mut files: Vec<_> = EMBEDDED.files().filter(|f| is_manifest(f.path())).collect();
        files.sort_by_key(|f| f.path());
        for file in files {
            let name = format!("tools/{}", file.path().display());
            manifests.add(&name, file.contents_utf8().unwrap_or_default(), &[])?;
        }
        Ok(manifests)
    }

    /// What is built in, with the manifests of `dir`: one of the same name replaces, another adds.
    ///
    /// # Errors
    /// Names the file, and the key where there is one.
    pub fn with_dir(dir: &Path) -> Result<Self, ManifestError> {
        let wrong = |path: &Path, e: std::io::Error| ManifestError {
            file: path.display().to_string(),
            text: format!("cannot be read: {e}"),
        };
        let mut manifests = Self::embedded()?;
        let built_in: Vec<String> = manifests.specs.values().map(|(file, _)| file.clone()).collect();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|e| wrong(dir, e))? {
            let path = entry.map_err(|e| wrong(dir, e))?.path();
            if is_manifest(&path) {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            let size = std::fs::metadata(&path).map_err(|e| wrong(&path, e))?.len();
            if size > FILE_BYTES {
                let text = format!("is larger than {FILE_BYTES} bytes: no manifest");
                return Err(ManifestError { file: path.display().to_string(), text });
            }
            let text = std::fs::read_to_string(&path).map_err(|e| wrong(&path, e))?;
            manifests.add(&path.display().to_string(), &text, &built_in)?;
        }
        Ok(manifests)
    }

    /// Adds one manifest. Two files may declare the same tool only when the first is in `replaceable`.
    fn add(&mut self, file: &str, text: &str, replaceable: &[String]) -> Result<(), ManifestError> {
        let wrong = |text: String| ManifestError { file: file.to_owned(), text };
        let written: Written = serde_saphyr::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let spec = checked(written).map_err(wrong)?;
        if let Some((other, _)) = self.specs.get(&spec.name)
            && !replaceable.contains(other)
        {
            return Err(wrong(format!("name: `{}` is declared by {other} already", spec.name)));
        }
        self.specs.insert(spec.name.clone(), (file.to_owned(), spec));
        Ok(())
    }

    /// The declared tools, sorted by name, with the file that declares each.
    pub fn specs(&self) -> impl Iterator<Item = (&str, &ToolSpec)> {
        self.specs.values().map(|(file, spec)| (file.as_str(), spec))
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

fn checked(written: Written) -> Result<ToolSpec, String> {
    if written.api_version != API_VERSION {
        return Err(format!("api_version: `{}` is not known; write `{API_VERSION}`", written.api_version));
    }
    let name = written.name;
    let well_named = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !well_named {
        return Err(format!("name: `{name}` must be lower-case letters, digits and `_`, at most 64"));
    }
    if written.summary.trim().is_empty() {
        return Err("summary: must say what the tool does; models choose by it".to_owned());
    }
    if written.params["type"] != "object" || written.params["additionalProperties"] != false {
        return Err("params: must be a JSON Schema with `type: object` and `additionalProperties: false`".to_owned());
    }
    let schema = jsonschema::validator_for(&written.params).map_err(|e| format!("params: is no JSON Schema: {e}"))?;
    for example in &written.examples {
        if let Err(e) = schema.validate(&example.args) {
            return Err(format!("examples: `{}` does not fit params: {e}", example.about));
        }
    }
    if let Some(unknown) = written.requires.iter().find(|r| !PEERS.contains(&r.as_str())) {
        return Err(format!("requires: `{unknown}` is not one of {}", PEERS.join(", ")));
    }
    let of_own = check::Written {
        target: written.target,
        plan: written.plan,
        reconcile: written.reconcile,
        retry: written.retry,
        reversible: written.reversible,
    };
    let declared = Declared { effect: written.effect, params: &written.params, examples: &written.examples };
    let (builtin, custom) = match (written.run.builtin, written.run.http, written.run.command) {
        (Some(builtin), None, None) => match of_own.first() {
            Some(key) => return Err(format!("{key}: `{builtin}` knows that itself; leave it out")),
            None => (builtin, None),
        },
        (Some(_), _, _) => return Err("run: `builtin` stands beside `http` or `command`; keep one".to_owned()),
        (None, None, None) => return Err("run: write `builtin`, `http` or `command`".to_owned()),
        (None, http, command) => {
            let custom = check::checked(check::one("run", http, command)?, of_own, &declared)?;
            (String::new(), Some(Arc::new(custom)))
        }
    };
    let timeout = written.timeout.map_or(Ok(Duration::from_secs(30)), |t| duration(&t))?;
    let max_output = written.max_output.map_or(Ok(OUTPUT_DEFAULT), |t| size(&t))?;
    Ok(ToolSpec {
        name,
        summary: written.summary.split_whitespace().collect::<Vec<_>>().join(" "),
        effect: written.effect,
        params: written.params,
        builtin,
        custom,
        timeout,
        max_output,
        tags: written.tags,
        requires: written.requires,
        examples: written.examples,
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("timeout: `{text}` is no time from 1ms to 5m; write `30s`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let time = match text[digits..].trim() {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(wrong()),
    };
    if time.is_zero() || time > TIMEOUT_MAX { Err(wrong()) } else { Ok(time) }
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("max_output: `{text}` is no size from 1KiB to 1MiB; write `32KiB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let bytes = match text[digits..].trim() {
        "" | "B" => number,
        "KiB" => number.saturating_mul(1 << 10),
        "MiB" => number.saturating_mul(1 << 20),
        _ => return Err(wrong()),
    };
    if OUTPUT_BYTES.contains(&bytes) { Ok(bytes) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
api_version: firewarden/v1
name: look
summary: Looks.
effect: read
params: {type: object, additionalProperties: false, properties: {n: {type: integer}}}
run: {builtin: kubernetes_get}
timeout: 5s
max_output: 4KiB
tags: [kubernetes]
requires: [kubernetes]
examples: [{about: one, args: {n: 1}}]
";

    fn load(text: &str) -> Result<ToolSpec, String> {
        let mut manifests = Manifests::default();
        manifests.add("tools/look.yaml", text, &[]).map_err(|e| e.to_string())?;
        Ok(manifests.specs().next().unwrap().1.clone())
    }

    #[test]
    fn a_manifest_says_all_about_its_tool() {
        let spec = load(GOOD).unwrap();
        assert_eq!((spec.effect, spec.timeout, spec.max_output), (Effect::Read, Duration::from_secs(5), 4096));
        assert_eq!(spec.examples[0].args, serde_json::json!({"n": 1}));
    }

    #[test]
    fn a_wrong_manifest_is_refused_by_file_and_key() {
        for (from, to, says) in [
            ("effect: read\n", "", "effect"),
            ("effect: read", "effect: harmless", "harmless"),
            ("timeout: 5s", "time_out: 5s", "time_out"),
            ("timeout: 5s", "timeout: 10h", "timeout"),
            ("4KiB", "9GiB", "max_output"),
            ("additionalProperties: false", "additionalProperties: true", "params"),
            ("{type: integer}", "{type: 7}", "params"),
            ("{n: 1}", "{n: one}", "examples"),
            ("requires: [kubernetes]", "requires: [kubernetis]", "kubernetis"),
            ("firewarden/v1", "firewarden/v9", "api_version"),
            ("name: look", "name: Look up", "name"),
            ("{builtin: kubernetes_get}", "{builtin: a, command: b}", "command"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = load(&text).unwrap_err();
            assert!(error.starts_with("tools/look.yaml: ") && error.contains(says), "{to}: {error}");
        }
    }

    #[test]
    fn a_directory_replaces_and_adds() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, name: &str| {
            std::fs::write(dir.path().join(file), GOOD.replace("name: look", &format!("name: {name}"))).unwrap();
        };
        write("a.yaml", "kubernetes_get");
        write("b.yml", "look");
        std::fs::write(dir.path().join("README.md"), "no manifest").unwrap();
        let count = Manifests::embedded().unwrap().specs().count();
        let manifests = Manifests::with_dir(dir.path()).unwrap();
        assert_eq!(manifests.specs().count(), count + 1);
        let replaced = manifests.specs().find(|(_, s)| s.name == "kubernetes_get").unwrap();
        assert!(replaced.0.ends_with("a.yaml") && replaced.1.summary == "Looks.");
        write("c.yaml", "look");
        let error = Manifests::with_dir(dir.path()).unwrap_err();
        assert!(error.file.ends_with("c.yaml") && error.text.contains("b.yml"), "{error}");
    }

    #[test]
    fn every_embedded_manifest_is_fine_and_what_changes_something_needs_a_writer() {
        let manifests = Manifests::embedded().unwrap();
        assert_eq!(manifests.specs().count(), 54);
        for (file, spec) in manifests.specs() {
            // It is judged as a change, and makes none.
            let looks = spec.name == "investigate_resource_pressure";
            let writes = looks || spec.requires.iter().any(|peer| peer.ends_with("_write"));
            assert_eq!(spec.effect != Effect::Read, writes, "{file}");
            assert_eq!(file, format!("tools/{}.yaml", spec.name));
            assert!(!spec.examples.is_empty() && spec.summary.len() < 400, "{file}");
        }
    }
}
