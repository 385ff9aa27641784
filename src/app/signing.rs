//! The key that signs checkpoints: a file for the user that runs firewarden alone.

use crate::audit::note::NoteError;
use crate::audit::{Signer, VerifierKey};
use crate::domain::{Digest, Entropy, Secret};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A file with more in it is no key.
const LARGEST: u64 = 4_096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file.
    #[error("the signing key {path} cannot be {doing}: {source}. audit.signing_key names another file.")]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("the signing key {path} cannot be used: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NoteError,
    },
    /// The keys that are known.
    #[error("{path} cannot be used: line {line}: {source}. It holds one key a line, oldest first.")]
    Known {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        source: NoteError,
    },
    /// The log was handed on to a key that is not there.
    #[error(
        "the log was handed on to {key}, and {path} does not hold it. Put it back: the key before it signs nothing \
         more."
    )]
    HandedOn {
        /// Where it was written.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Checkpoints are there, and the key that signed them is not.
    #[error(
        "the signing key {path} is missing, and it signed checkpoints of this store. Put it back, or begin a new store \
         and keep this one beside its public key."
    )]
    Lost {
        /// The file.
        path: PathBuf,
    },
}

/// The key in `path`; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read(path: &Path) -> Result<Option<Signer>, SigningKeyError> {
    let failed = |source| SigningKeyError::File { path: path.to_owned(), doing: "read", source };
    let mut text = String::new();
    match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(file) => {
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            if mode & 0o007 != 0 {
                tracing::warn!(path = %path.display(), "every user of this machine can read the signing key: chmod 600");
            }
            file.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
        }
    }
    let secret = Secret::new(text, format!("file:{}", path.display()));
    let content = |source| SigningKeyError::Content { path: path.to_owned(), source };
    Signer::read(&secret).map(Some).map_err(content)
}

/// `path` with `more` behind it.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// The file beside the key that names every key which held the log, oldest first.
pub(super) fn known_file(path: &Path) -> PathBuf {
    beside(path, ".known")
}

/// What knows the signatures of every key that held the log, oldest first; the last is the one in `path`.
/// Empty when there is none.
///
/// # Errors
/// When a file cannot be read or does not hold keys.
pub fn verifiers(path: &Path) -> Result<Vec<VerifierKey>, SigningKeyError> {
    let file = known_file(path);
    let mut known = match std::fs::read_to_string(&file) {
        Ok(text) => {
            keys_in(&text).map_err(|(line, source)| SigningKeyError::Known { path: file.clone(), line, source })?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => vec![],
        Err(source) => return Err(SigningKeyError::File { path: file, doing: "read", source }),
    };
    if let Some(signer) = read(path)?.filter(|signer| !known.contains(signer.key())) {
        known.push(signer.key().clone());
    }
    Ok(known)
}

/// The keys that a text names, one a line. Empty lines and those that begin with `#` name none.
///
/// # Errors
/// The number of a line that is no key, and why.
pub fn keys_in(text: &str) -> Result<Vec<VerifierKey>, (usize, NoteError)> {
    let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, number)| line.parse().map_err(|error| (number, error))).collect()
}

/// A key of the same name as `holder`, written to `path` for us alone.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make_next(
    path: &Path,
    holder: &VerifierKey,
    entropy: &dyn Entropy,
) -> Result<VerifierKey, SigningKeyError> {
    made(path, |_| holder.name().to_owned(), entropy).map(|signer| signer.key().clone())
}

/// Notes beside `path` which keys held the log.
///
/// # Errors
/// When it cannot be written.
pub(super) fn remember(path: &Path, known: &[VerifierKey]) -> Result<(), SigningKeyError> {
    let text: String = known.iter().map(|key| format!("{key}\n")).collect();
    let file = known_file(path);
    write(&file, &text).map_err(|source| SigningKeyError::File { path: file, doing: "written", source })
}

/// The file beside the key that holds the last checkpoint of the key before it.
fn pin_file(path: &Path) -> PathBuf {
    beside(path, ".before")
}

/// The last checkpoint of the key before the one in `path`, in one line; `None` where there was none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn pinned(path: &Path) -> Result<Option<String>, SigningKeyError> {
    let file = pin_file(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SigningKeyError::File { path: file, doing: "read", source }),
    }
}

/// Notes it, before the next key takes its place.
///
/// # Errors
/// When it cannot be written.
pub(super) fn pin(path: &Path, checkpoint: &str) -> Result<(), SigningKeyError> {
    let file = pin_file(path);
    write(&file, &format!("{checkpoint}\n")).map_err(|source| SigningKeyError::File {
        path: file,
        doing: "written",
        source,
    })
}

/// Puts the key in `next` into the place of that in `path`, which is gone then.
///
/// # Errors
/// When it cannot be moved.
pub(super) fn replace(path: &Path, next: &Path) -> Result<(), SigningKeyError> {
    moved(next, path).map_err(|source| SigningKeyError::File { path: path.to_owned(), doing: "replaced", source })
}

/// The key in `path`; a new one where there is none and none is missed.
///
/// # Errors
/// When it cannot be read or made, or checkpoints that it signed are there and it is not.
pub(super) fn read_or_make(
    path: &Path,
    public_url: Option<&str>,
    is_missed: bool,
    entropy: &dyn Entropy,
) -> Result<Signer, SigningKeyError> {
    if let Some(signer) = read(path)? {
        return Ok(signer);
    }
    if is_missed {
        return Err(SigningKeyError::Lost { path: path.to_owned() });
    }
    let signer = made(path, |public| name(public_url, public), entropy)?;
    tracing::info!(path = %path.display(), key = %signer.key(), "a signing key was made; keep its public part elsewhere");
    Ok(signer)
}

/// A new key under a name that is given its public part, in `path`.
fn made(path: &Path, name: impl FnOnce(&[u8; 32]) -> String, entropy: &dyn Entropy) -> Result<Signer, SigningKeyError> {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&entropy.salt());
    seed[16..].copy_from_slice(&entropy.salt());
    let content = |source| SigningKeyError::Content { path: path.to_owned(), source };
    let signer = Signer::from_seed(&seed, name).map_err(content)?;
    let failed = |source| SigningKeyError::File { path: path.to_owned(), doing: "made", source };
    write(path, &signer.file(&seed)).map_err(failed)?;
    Ok(signer)
}

/// On disk with its whole content, or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let new = beside(path, ".new");
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    moved(&new, path)
}

/// In its new place, whatever happens afterwards.
fn moved(from: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(from, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A name that no other log has: where others reach us, and the beginning of the key's digest.
fn name(public_url: Option<&str>, public: &[u8; 32]) -> String {
    let url = public_url.and_then(|url| url::Url::parse(url).ok());
    let host = url.as_ref().and_then(url::Url::host_str).filter(|host| !host.contains('+')).unwrap_or("firewarden");
    format!("{host}/log-{}", Digest::of(public).short(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::SystemEntropy;

    #[test]
    fn keys_that_held_the_log_are_known_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let entropy = SystemEntropy::default();
        let first = read_or_make(&path, None, false, &entropy).unwrap();
        let next = beside(&path, ".next");
        let second = make_next(&next, first.key(), &entropy).unwrap();
        assert_eq!((second.name(), second == *first.key()), (first.key().name(), false));
        remember(&path, &[first.key().clone(), second.clone()]).unwrap();
        replace(&path, &next).unwrap();
        assert!(!next.exists() && read(&path).unwrap().unwrap().key() == &second);
        assert_eq!(verifiers(&path).unwrap(), [first.key().clone(), second.clone()]);
        std::fs::write(known_file(&path), format!("# ours\n\n{}\n", first.key())).unwrap();
        assert_eq!(verifiers(&path).unwrap(), [first.key().clone(), second], "the one that signs is known");
        std::fs::write(known_file(&path), format!("{}\nx\n", first.key())).unwrap();
        assert!(matches!(verifiers(&path), Err(SigningKeyError::Known { line: 2, .. })));
    }

    #[test]
    fn a_key_is_made_once_for_us_alone_and_missed_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let entropy = SystemEntropy::default();
        assert!(read(&path).unwrap().is_none());
        let made = read_or_make(&path, Some("https://fw.example.org/x"), false, &entropy).unwrap();
        assert!(made.key().name().starts_with("fw.example.org/log-"), "{}", made.key());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = read_or_make(&path, None, true, &entropy).unwrap();
        assert_eq!(again.key(), made.key());
        assert_eq!(verifiers(&path).unwrap(), [made.key().clone()]);
        std::fs::write(&path, "PRIVATE+KEY+a+b").unwrap();
        assert!(matches!(read_or_make(&path, None, true, &entropy), Err(SigningKeyError::Content { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_or_make(&path, None, true, &entropy), Err(SigningKeyError::Lost { .. })));
        assert!(verifiers(&path).unwrap().is_empty());
        let other = read_or_make(&path, None, false, &entropy).unwrap();
        assert!(other.key() != made.key() && other.key().name().starts_with("firewarden/log-"));
    }
}
