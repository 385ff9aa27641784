//! File, variables and flags in their order, and every problem at once.

use super::file::File;
use super::read::{Kind, Wrong, read};
use super::suggest::nearest;
use super::tree::{Node, Place, Step, path_text};
use super::{ConfigError, Problem, keys, later};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Problems that are worth telling at once.
const MOST: usize = 50;
/// Largest configuration file, in bytes.
const LARGEST: u64 = 4 << 20;
/// What variables that set a key begin with.
const PREFIX: &str = "FIREWARDEN__";

/// Where a configuration comes from. Injected, so that a test needs no process of its own.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file; `None` works without one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Flags that set a key: (key, flag, value).
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// What relative paths of variables and flags stand in.
    pub cwd: PathBuf,
}

/// A configuration that is well-formed; names, paths and secrets are not resolved yet.
#[derive(Clone)]
pub struct Loaded {
    pub(super) file: File,
    pub(super) tree: Node,
    pub(super) sources: Sources,
}

/// Variables hold secrets, and flags may: of them only the names.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flags: Vec<&str> = self.flags.iter().map(|(key, ..)| *key).collect();
        let mut shown = f.debug_struct("Sources");
        shown
            .field("file", &self.file)
            .field("variables", &self.env.len())
            .field("flags", &flags)
            .finish_non_exhaustive()
    }
}

/// A file may hold a secret where a reference belongs.
impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Loaded {
    /// Where it was read.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether `other` differs in nothing but in what changes without a restart: who is asked for alerts, which way
    /// they take, and what may be spent on them.
    pub fn is_but_for_rules(&self, other: &Self) -> bool {
        let but = |file: &File| File {
            pollers: vec![],
            routes: vec![],
            playbooks: Default::default(),
            budgets: Default::default(),
            ..file.clone()
        };
        but(&self.file) == but(&other.file)
    }
}

impl Sources {
    /// The process's own environment and folder, and `file`.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        // What is no Unicode sets no key of ours.
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self { file, env: env.collect(), flags: vec![], cwd: std::env::current_dir().unwrap_or_default() }
    }

    /// What relative paths of the file stand in.
    pub fn base(&self) -> PathBuf {
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        self.cwd.join(folder)
    }

    /// Reads everything, in the order flag, variable, file.
    ///
    /// # Errors
    /// Every problem of form: unknown keys, wrong types, keys of later versions.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let mut tree = self.read_file()?;
        let mut problems = self.overlay(&mut tree);
        let whole = tree.clone();
        problems.extend(later::take_out(&mut tree));
        let mut gone: Vec<String> = vec![];
        let file = loop {
            match read::<File>(&tree) {
                Ok(file) => break Some(file),
                Err(_) if problems.len() >= MOST => break None,
                Err(wrong) => {
                    // Known now; look for the next one without it.
                    let stuck = wrong.path.is_empty();
                    tree.remove(&wrong.path);
                    let path = path_text(&wrong.path);
                    let known = matches!(wrong.kind, Kind::Missing(key) if gone.contains(&format!("{path}.{key}")));
                    gone.push(path);
                    if !known {
                        problems.push(explain(&whole, wrong));
                    }
                    if stuck {
                        break None;
                    }
                }
            }
        };
        match (file, problems.is_empty()) {
            (Some(file), true) => Ok(Loaded { file, tree: whole, sources: self }),
            _ => {
                problems.sort_by_key(|problem| match problem.at {
                    Place::Line(line) => line,
                    _ => u64::MAX,
                });
                Err(ConfigError { file: self.file, problems })
            }
        }
    }

    /// The file as it is now, where there is one that can be read: to notice a change.
    pub fn text(&self) -> Option<Vec<u8>> {
        let at = self.cwd.join(self.file.as_ref()?);
        let is_small = std::fs::metadata(&at).is_ok_and(|meta| meta.len() <= LARGEST);
        is_small.then(|| std::fs::read(&at).ok()).flatten()
    }

    fn read_file(&self) -> Result<Node, ConfigError> {
        let Some(path) = &self.file else { return Ok(Node::default()) };
        let wrong = |at, what: String, help: &str| ConfigError {
            file: Some(path.clone()),
            problems: vec![Problem { at, path: String::new(), what, help: help.to_owned() }],
        };
        let at = self.cwd.join(path);
        let read = std::fs::metadata(&at).and_then(|meta| match meta.len() {
            n if n > LARGEST => Err(std::io::Error::other("it is larger than 4 MiB")),
            _ => std::fs::read_to_string(&at),
        });
        let text = read.map_err(|error| {
            wrong(
                Place::Nowhere,
                format!("cannot be read: {error}"),
                "`firewarden init` writes a commented one; `--config FILE` names another",
            )
        })?;
        Node::parse(&text).map_err(|error| {
            let line = error.location().map_or(Place::Nowhere, |l| Place::Line(l.line()));
            let what =
                error.without_snippet().to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", "");
            let what =
                what.lines().next().and_then(|line| line.split(" at line ").next()).unwrap_or_default().to_owned();
            wrong(
                line,
                format!("is no YAML: {what}"),
                "check indentation, quotes and brackets there and on the line above",
            )
        })
    }

    /// Lays variables, then flags over the file.
    fn overlay(&self, tree: &mut Node) -> Vec<Problem> {
        let mut problems = vec![];
        let variables = self.env.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?;
            Some((steps(&path.to_ascii_lowercase(), "__"), Place::Variable(name.clone()), value))
        });
        let flags =
            self.flags.iter().map(|(key, flag, value)| (steps(key, "."), Place::Flag((*flag).to_owned()), value));
        for (path, at, value) in variables.chain(flags) {
            let node = Node::from_word(value, &at);
            if let Err(what) = tree.set(&path, node) {
                let help = "name keys as FIREWARDEN__SERVER__LISTEN, items of lists as FIREWARDEN__MODELS__0__NAME";
                problems.push(Problem { at, path: path_text(&path), what, help: help.into() });
            }
        }
        problems
    }
}

fn steps(path: &str, separator: &str) -> Vec<Step> {
    path.split(separator).map(|part| part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Item)).collect()
}

/// Says what is wrong and what to do.
fn explain(tree: &Node, wrong: Wrong) -> Problem {
    let at = match wrong.at {
        Place::Nowhere => tree.place(&wrong.path),
        at => at,
    };
    let path = path_text(&wrong.path);
    match wrong.kind {
        Kind::UnknownKey(known) => {
            let key = match wrong.path.last() {
                Some(Step::Key(key)) => key.as_str(),
                Some(Step::Item(_)) | None => "",
            };
            let elsewhere = || keys::with_last_part(key).map(|other| format!("`{key}` belongs to `{other}`"));
            let help = match nearest(key, known.iter().copied()) {
                Some(other) => format!("did you mean `{other}`?"),
                None => elsewhere().unwrap_or_else(|| format!("keys here: {}", known.join(", "))),
            };
            Problem { at, path, what: "is no key of the configuration".into(), help }
        }
        Kind::Missing(key) => {
            let full = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let help = keys::meaning(&full).map_or_else(|| format!("add `{key}: …`"), |m| format!("add `{key}`: {m}"));
            Problem { at, path, what: format!("needs the key `{key}`"), help }
        }
        Kind::Other(what) => {
            let help = keys::meaning(&path).map_or_else(|| "see docs/configuration.md".into(), str::to_owned);
            Problem { at, path, what: format!("does not fit: {what}"), help }
        }
    }
}
