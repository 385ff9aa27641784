//! Secrets are never in the file: it says where they are.

use crate::domain::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// Longest secret that a file may hold, in bytes.
const LONGEST: u64 = 64 << 10;

/// Where a secret is: `env:NAME` or `file:PATH`. It may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reference(pub String);

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match is_reference(&text) {
            true => Ok(Self(text)),
            // The text itself may be the secret: it is not repeated.
            false => Err(serde::de::Error::custom(
                "a secret is not written here; say where it is: \"env:NAME\" (a variable) or \"file:PATH\" (a file)",
            )),
        }
    }
}

/// Whether `text` says where a secret is.
pub(super) fn is_reference(text: &str) -> bool {
    text.strip_prefix("env:").or_else(|| text.strip_prefix("file:")).is_some_and(|rest| !rest.trim().is_empty())
}

/// Reads the secret that `reference` names. A relative file stands in `base`. The origin of the
/// secret is the reference with an absolute path, so `file:` secrets can be read again.
///
/// # Errors
/// One line that says what is missing, never what was found.
pub fn resolve(reference: &str, base: &Path, env: &BTreeMap<String, String>) -> Result<Secret, String> {
    if let Some(name) = reference.strip_prefix("env:") {
        let value = env.get(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        return match value.is_empty() {
            true => Err(format!("the variable {name} is empty")),
            false => Ok(Secret::new(value.clone(), reference)),
        };
    }
    let Some(path) = reference.strip_prefix("file:") else {
        return Err("is no reference to a secret: write \"env:NAME\" or \"file:PATH\"".into());
    };
    let path = base.join(path);
    let shown = path.display();
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let value = text.trim_end_matches(['\n', '\r']);
    match value.len() as u64 {
        0 => Err(format!("{shown} is empty")),
        n if n > LONGEST => Err(format!("{shown} is larger than 64 KiB and no secret")),
        _ => Ok(Secret::new(value, format!("file:{shown}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hunter2\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        std::fs::write(dir.path().join("large"), "x".repeat(70_000)).unwrap();
        let env = BTreeMap::from([("A".to_owned(), "value".to_owned()), ("E".to_owned(), String::new())]);
        assert_eq!(resolve("env:A", dir.path(), &env).unwrap().expose(), "value");
        let secret = resolve("file:token", dir.path(), &env).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        // Absolute by now: the base does not matter any more.
        assert_eq!(resolve(secret.origin(), Path::new("/nowhere"), &env).unwrap().expose(), "hunter2");
        for (reference, words) in [
            ("env:B", "B is not set"),
            ("env:E", "E is empty"),
            ("file:absent", "cannot be read"),
            ("file:empty", "is empty"),
            ("file:large", "larger than 64 KiB"),
            ("hunter2", "is no reference"),
        ] {
            let error = resolve(reference, dir.path(), &env).unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{reference}: {error}");
        }
    }
}
