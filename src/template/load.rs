//! Where templates come from: the binary itself, and a directory over it.

use super::TemplateError;
use include_dir::{Dir, include_dir};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/prompts");

/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 128 << 10;
/// Files of one directory.
const MAX_FILES: usize = 200;

/// The name of a template without its endings: `incident.md.j2` is `incident`.
pub fn key(name: &str) -> String {
    let name = name.strip_suffix(".j2").unwrap_or(name);
    name.strip_suffix(".md").unwrap_or(name).to_owned()
}

/// The files under `prompts/`, as they were when the binary was built; path and content.
pub fn embedded_files() -> impl Iterator<Item = (&'static Path, &'static [u8])> {
    EMBEDDED.files().map(|file| (file.path(), file.contents()))
}

pub(super) fn embedded() -> Result<BTreeMap<String, String>, TemplateError> {
    let mut sources = BTreeMap::new();
    for (path, bytes) in embedded_files() {
        let Some(name) = template_name(path) else { continue };
        let text = std::str::from_utf8(bytes).map_err(|e| unreadable(path, &e))?;
        sources.insert(key(name), text.to_owned());
    }
    Ok(sources)
}

/// The `*.j2` files that lie directly in `dir`.
pub(super) fn directory(dir: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut sources = BTreeMap::new();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|e| unreadable(dir, &e))? {
        let path = entry.map_err(|e| unreadable(dir, &e))?.path();
        let Some(name) = template_name(&path) else { continue };
        if sources.len() == MAX_FILES {
            return Err(unreadable(dir, &format!("more than {MAX_FILES} templates")));
        }
        let mut text = String::new();
        let file = fs::File::open(&path).map_err(|e| unreadable(&path, &e))?;
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| unreadable(&path, &e))?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(unreadable(&path, &format!("more than {MAX_FILE_BYTES} bytes")));
        }
        if let Some(first) = files.insert(key(name), name.to_owned()) {
            return Err(TemplateError::Twice { name: key(name), first, second: name.to_owned() });
        }
        sources.insert(key(name), text);
    }
    Ok(sources)
}

fn template_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str().filter(|name| name.ends_with(".j2") && !name.starts_with('.'))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> TemplateError {
    TemplateError::Unreadable { path: path.to_owned(), why: why.to_string() }
}
