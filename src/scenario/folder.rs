//! A scenario folder as paths and texts, whether it is built in or lies on disk.

use super::ScenarioError;
use include_dir::{Dir, include_dir};
use std::{collections::BTreeMap, path::Path};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

const MAX_FILES: usize = 2_000;
const MAX_FILE_BYTES: usize = 8 << 20;
const MAX_TOTAL_BYTES: usize = 64 << 20;
const MAX_DEPTH: usize = 6;

/// One scenario's files by their path inside the folder, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub name: String,
    pub files: BTreeMap<String, String>,
    bytes: usize,
}

impl Folder {
    /// Names of the folders that are built in, sorted.
    pub(crate) fn embedded_names() -> Vec<String> {
        let mut names: Vec<String> = EMBEDDED
            .dirs()
            .filter(|dir| dir.get_file(dir.path().join("scenario.yaml")).is_some())
            .map(|dir| dir.path().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The built-in folder of that name.
    pub(crate) fn embedded(name: &str) -> Result<Self, ScenarioError> {
        let unknown = || ScenarioError::Unknown { name: name.to_owned(), known: Self::embedded_names().join(", ") };
        if !Self::embedded_names().iter().any(|known| known == name) {
            return Err(unknown());
        }
        let root = EMBEDDED.get_dir(name).ok_or_else(unknown)?;
        let mut folder = Self { name: name.to_owned(), ..Self::default() };
        let mut waiting = vec![root];
        while let Some(dir) = waiting.pop() {
            waiting.extend(dir.dirs());
            for file in dir.files() {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                folder.add(path, file.contents().to_vec())?;
            }
        }
        Ok(folder)
    }

    /// The folder at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, ScenarioError> {
        let name = root.file_name().map_or_else(|| "scenario".into(), |name| name.to_string_lossy().into_owned());
        let mut folder = Self { name, ..Self::default() };
        folder.walk(root, Path::new(""), 0)?;
        Ok(folder)
    }

    fn walk(&mut self, root: &Path, inside: &Path, depth: usize) -> Result<(), ScenarioError> {
        if depth > MAX_DEPTH {
            return Err(self.too_large(format!("more than {MAX_DEPTH} folders deep")));
        }
        let here = root.join(inside);
        let unreadable = |path: &Path, reason: std::io::Error| ScenarioError::Unreadable {
            path: path.display().to_string(),
            reason: reason.to_string(),
        };
        for entry in std::fs::read_dir(&here).map_err(|e| unreadable(&here, e))? {
            let entry = entry.map_err(|e| unreadable(&here, e))?;
            let path = inside.join(entry.file_name());
            // The entry's own type: a link out of the folder is not followed.
            let kind = entry.file_type().map_err(|e| unreadable(&entry.path(), e))?;
            if kind.is_dir() {
                self.walk(root, &path, depth + 1)?;
            } else if kind.is_file() {
                let size = entry.metadata().map_err(|e| unreadable(&entry.path(), e))?.len();
                if size > MAX_FILE_BYTES as u64 {
                    return Err(self.too_large(format!("`{}` has {size} bytes", path.display())));
                }
                let bytes = std::fs::read(entry.path()).map_err(|e| unreadable(&entry.path(), e))?;
                self.add(&path, bytes)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), ScenarioError> {
        let path = path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        self.bytes += bytes.len();
        if self.files.len() >= MAX_FILES || self.bytes > MAX_TOTAL_BYTES {
            return Err(self.too_large(format!("more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| ScenarioError::Broken {
            scenario: self.name.clone(),
            file: path.clone(),
            key: "whole file".into(),
            reason: "is not UTF-8 text".into(),
        })?;
        self.files.insert(path, text);
        Ok(())
    }

    fn too_large(&self, reason: String) -> ScenarioError {
        ScenarioError::TooLarge { scenario: self.name.clone(), reason }
    }

    /// Files under `prefix` whose name ends with `suffix`, in path order.
    pub(crate) fn under<'a>(
        &'a self,
        prefix: &'a str,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.files
            .iter()
            .filter(move |(path, _)| path.starts_with(prefix) && path.ends_with(suffix))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}
