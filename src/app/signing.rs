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

/// What knows the signatures of the key in `path`; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read or is none.
pub fn verifier(path: &Path) -> Result<Option<VerifierKey>, SigningKeyError> {
    Ok(read(path)?.map(|signer| signer.key().clone()))
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
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&entropy.salt());
    seed[16..].copy_from_slice(&entropy.salt());
    let content = |source| SigningKeyError::Content { path: path.to_owned(), source };
    let signer = Signer::from_seed(&seed, |public| name(public_url, public)).map_err(content)?;
    write(path, &signer.file(&seed)).map_err(|source| SigningKeyError::File {
        path: path.to_owned(),
        doing: "made",
        source,
    })?;
    tracing::info!(path = %path.display(), key = %signer.key(), "a signing key was made; keep its public part elsewhere");
    Ok(signer)
}

/// On disk with its whole content, or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
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
        assert_eq!(verifier(&path).unwrap().as_ref(), Some(made.key()));
        std::fs::write(&path, "PRIVATE+KEY+a+b").unwrap();
        assert!(matches!(read_or_make(&path, None, true, &entropy), Err(SigningKeyError::Content { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_or_make(&path, None, true, &entropy), Err(SigningKeyError::Lost { .. })));
        let other = read_or_make(&path, None, false, &entropy).unwrap();
        assert!(other.key() != made.key() && other.key().name().starts_with("firewarden/log-"));
    }
}
