//! L2: strict rendering of prompts; untrusted text stays fenced.
//!
//! - [`Templates`] holds the embedded prompts, files of a directory over them. A name is given
//!   without its endings: `incident` is `prompts/incident.md.j2`.
//! - [`fence`](mod@fence) keeps text from outside apart from what we say.
//! - [`lint`] knows which variables each prompt may name.
//! - [`places`] puts values into addresses, headers, JSON and arguments of manifests.

pub mod fence;
pub mod lint;
mod load;
pub mod places;

pub use load::embedded_files;

use crate::domain::Digest;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Instructions that one rendering may take: a loop that does not end is stopped.
const FUEL: u64 = 50_000;
/// Bytes that one rendering may give.
pub const MAX_OUTPUT_BYTES: usize = 256 << 10;
/// How deep templates may include each other.
const MAX_RECURSION: usize = 32;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The directory or a file in it cannot be used.
    #[error("prompts: cannot read {path}: {why}. Check `prompts.dir` in the configuration.")]
    Unreadable {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Two files of one directory have the same name without endings.
    #[error("prompts: {first} and {second} are both `{name}`. Remove one of them.")]
    Twice {
        /// The name that both have.
        name: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// No such template.
    #[error("prompts: there is no template `{name}`. There are: {known}.")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The template does not parse.
    #[error("prompts: {at} does not parse: {why}. Correct the template; `firewarden check` tries all of them.")]
    Syntax {
        /// Template and line.
        at: String,
        /// What the parser said.
        why: String,
    },
    /// The template names something that was not given.
    #[error("prompts: {at} names `{path}`, which is not defined here. {hint}")]
    Undefined {
        /// Template and line.
        at: String,
        /// What it names.
        path: String,
        /// What to write instead.
        hint: String,
    },
    /// The template ran too long or wrote too much.
    #[error("prompts: {at} was stopped: {what}. Shorten its loops or show fewer items.")]
    TooLarge {
        /// Template and line.
        at: String,
        /// Which limit.
        what: String,
    },
    /// Anything else that went wrong while rendering.
    #[error("prompts: {at} cannot be rendered: {why}. Correct the expression on that line.")]
    Failed {
        /// Template and line.
        at: String,
        /// What the engine said.
        why: String,
    },
}

/// All templates, parsed.
#[derive(Debug)]
pub struct Templates {
    env: Environment<'static>,
    sources: BTreeMap<String, String>,
}

impl Templates {
    /// The embedded prompts, and over them the `*.j2` files of `dir`, if one is given. A file
    /// replaces the embedded template of the same name; further files are further templates.
    ///
    /// # Errors
    /// When `dir` cannot be read, holds more or larger files than a prompt needs, or a template does
    /// not parse.
    pub fn load(dir: Option<&Path>) -> Result<Self, TemplateError> {
        let mut sources = load::embedded()?;
        if let Some(dir) = dir {
            sources.extend(load::directory(dir)?);
        }
        let mut env = environment();
        for (name, source) in &sources {
            env.add_template_owned(name.clone(), source.clone()).map_err(|error| explain(&error, name, &[]))?;
        }
        Ok(Self { env, sources })
    }

    /// Renders the template `name` with `context`, an object. Endings may be given or left out.
    ///
    /// # Errors
    /// When there is no such template, it names something that `context` does not have, or it
    /// passes a limit. The text names template, line and path.
    pub fn render(&self, name: &str, context: &serde_json::Value) -> Result<String, TemplateError> {
        let key = load::key(name);
        let template = self
            .env
            .get_template(&key)
            .map_err(|_| TemplateError::Unknown { name: fence::inline(name, 80), known: self.names().join(", ") })?;
        self.write(&template, context).map_err(|error| explain(&error, &key, &lint::documented(&key)))
    }

    /// Renders a small template given as text, a branch name for instance. `name` stands in errors.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub fn render_str(&self, name: &str, source: &str, context: &serde_json::Value) -> Result<String, TemplateError> {
        let explained = |error: minijinja::Error| explain(&error, name, lint::INCIDENT_VARIABLES);
        let template = self.env.template_from_named_str(name, source).map_err(explained)?;
        self.write(&template, context).map_err(explained)
    }

    fn write(
        &self,
        template: &minijinja::Template<'_, '_>,
        context: &serde_json::Value,
    ) -> Result<String, minijinja::Error> {
        let mut out = Capped(Vec::new());
        template.render_captured_to(Serde(context), &mut out)?;
        String::from_utf8(out.0).map_err(|_| minijinja::Error::new(ErrorKind::BadSerialization, "not UTF-8"))
    }

    /// The names, sorted, without endings.
    pub fn names(&self) -> Vec<&str> {
        self.sources.keys().map(String::as_str).collect()
    }

    /// The source of a template, for people.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.sources.get(&load::key(name)).map(String::as_str)
    }

    /// Digest over all names and sources: the prompts' revision.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(self.sources.iter().flat_map(|(name, source)| [name, source]))
    }

    /// What is wrong with the templates without rendering them: each variable that a template names
    /// and nobody gives. One line each, sorted.
    pub fn lint(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for name in self.sources.keys() {
            let Ok(template) = self.env.get_template(name) else { continue };
            let documented = lint::documented(name);
            let mut paths: Vec<String> = template.undeclared_variables(true).into_iter().collect();
            paths.sort();
            for path in paths.iter().filter(|path| !lint::is_documented(path, &documented)) {
                problems.push(format!("{name}: `{path}` is not defined there. {}", hint(path, &documented)));
            }
        }
        problems
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(MAX_RECURSION);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    // Errors then carry the range of the expression, which names the missing path.
    env.set_debug(true);
    env.set_path_join_callback(|name, _| load::key(name).into());
    env.add_filter("untrusted", untrusted);
    env.add_function("untrusted", untrusted);
    env.add_function("fence_marker", |state: &State<'_, '_>| nonce(state).map(|nonce| fence::marker(&nonce)));
    env.add_filter("inline", |text: String, max: Option<usize>| fence::inline(&text, max.unwrap_or(160).min(1_000)));
    env
}

/// `{{ text | untrusted("label") }}`, `{{ untrusted(text, "label", 800) }}`.
fn untrusted(
    state: &State<'_, '_>,
    text: String,
    label: String,
    max: Option<usize>,
) -> Result<String, minijinja::Error> {
    let max = max.unwrap_or(fence::DEFAULT_MAX_CHARS).min(MAX_OUTPUT_BYTES / 8);
    Ok(fence::fence(&text, &label, &nonce(state)?, max))
}

fn nonce(state: &State<'_, '_>) -> Result<String, minijinja::Error> {
    let given = state.lookup("nonce").and_then(|value| value.as_str().map(str::to_owned)).filter(|n| !n.is_empty());
    given.ok_or_else(|| {
        minijinja::Error::new(
            ErrorKind::InvalidOperation,
            "a fence needs a text `nonce` in the context, and there is none",
        )
    })
}

/// A writer that refuses the byte after the last allowed one.
struct Capped(Vec<u8>);

impl Write for &mut Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the text is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hint(path: &str, documented: &[&'static str]) -> String {
    match (lint::nearest(path, documented), documented.is_empty()) {
        (Some(near), _) => format!("Did you mean `{near}`?"),
        (None, true) => "This template is given no variables.".to_owned(),
        (None, false) => {
            let mut roots: Vec<&str> = documented.iter().map(|d| d.split('.').next().unwrap_or(d)).collect();
            roots.dedup();
            format!("There are: {}. Write `{{% if x is defined %}}` around what may be missing.", roots.join(", "))
        }
    }
}

/// Our words for an error of the engine, which may wrap the one that matters (includes do).
fn explain(error: &minijinja::Error, name: &str, documented: &[&'static str]) -> TemplateError {
    let mut innermost = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(inner) = source.downcast_ref::<minijinja::Error>() {
            innermost = inner;
        }
        next = source.source();
    }
    let template = innermost.name().unwrap_or(name);
    let at = match innermost.line() {
        Some(line) => format!("`{template}`, line {line},"),
        None => format!("`{template}`"),
    };
    let why = fence::inline(&innermost.detail().map_or_else(|| innermost.kind().to_string(), str::to_owned), 300);
    match innermost.kind() {
        ErrorKind::UndefinedError => {
            let source = innermost.template_source().unwrap_or_default();
            let range = innermost.range().unwrap_or(0..0);
            let path = source.get(range).filter(|text| !text.is_empty()).unwrap_or("?");
            TemplateError::Undefined { at, path: fence::inline(path, 80), hint: hint(path, documented) }
        }
        ErrorKind::SyntaxError => TemplateError::Syntax { at, why },
        ErrorKind::OutOfFuel => TemplateError::TooLarge { at, what: format!("more than {FUEL} instructions") },
        ErrorKind::WriteFailure => TemplateError::TooLarge { at, what: format!("more than {MAX_OUTPUT_BYTES} bytes") },
        ErrorKind::TemplateNotFound => {
            TemplateError::Failed { at, why: format!("an included template is missing ({why})") }
        }
        _ => TemplateError::Failed { at, why },
    }
}

#[cfg(test)]
mod tests;
