//! Whom the caller believes, and what he remembers: keys, checkpoints that he kept, texts of others.

use super::signed::opened;
use crate::app;
use crate::audit::checkpoint::{Witnessed, witnessed};
use crate::audit::note::NoteError;
use crate::audit::{Checkpoint, VerifierKey};
use crate::cli::Failure;
use crate::config::Places;
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest text that is read of the caller's files.
const LARGEST: u64 = 64 << 20;

/// Whose signatures count.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Trusted {
    /// Whose signature counts, NAME+HASH+BASE64; after a rotation once for each key, oldest first [default for
    /// the store: the configured keys]
    #[arg(long, value_name = "KEY", group = "trusted")]
    key: Vec<String>,
    /// The same in a file, one key a line
    #[arg(long, value_name = "FILE", group = "trusted")]
    known_keys: Option<PathBuf>,
}

impl Trusted {
    /// The keys that the caller names; `None` when he names none.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something else.
    pub fn named(&self) -> Result<Option<Vec<VerifierKey>>, Failure> {
        let help =
            "`firewarden audit key list` prints them beside the store; keep them where its host cannot change them";
        if let Some(path) = &self.known_keys {
            let keys = app::signing::keys_in(&text_of(path)?);
            let keys = keys.map_err(|(line, error)| {
                Failure::usage(format!("--known-keys: line {line} of {}: {error}", path.display()), help)
            })?;
            return match keys.is_empty() {
                true => Err(Failure::usage(format!("--known-keys: {} names no key", path.display()), help)),
                false => Ok(Some(keys)),
            };
        }
        let parsed =
            |key: &String| key.parse().map_err(|error: NoteError| Failure::usage(format!("--key: {error}"), help));
        let keys = self.key.iter().map(parsed).collect::<Result<Vec<VerifierKey>, Failure>>()?;
        Ok((!keys.is_empty()).then_some(keys))
    }
}

/// What knows the signatures of every key that held the log of this store, oldest first; empty when there is
/// no such file.
///
/// # Errors
/// When a file does not hold keys.
pub fn configured(places: &Places) -> Result<Vec<VerifierKey>, Failure> {
    app::signing::verifiers(&places.signing_key())
        .map_err(|error| Failure::does_not_load(error, "`--key` names its public part, where the command takes one"))
}

/// What others remember, in files that the caller names.
///
/// # Errors
/// When one cannot be read or names nothing.
pub fn remembered(files: &[PathBuf], keys: &[VerifierKey]) -> Result<Vec<Witnessed>, Failure> {
    let mut all = vec![];
    for file in files {
        let origin = keys.first().map_or("", VerifierKey::name);
        let found = witnessed(&text_of(file)?, origin);
        if found.is_empty() {
            let what = format!("{} names no checkpoint of {origin}", file.display());
            return Err(Failure::usage(what, "a checkpoint is a line `NAME SIZE ROOT`, or a signed note"));
        }
        all.extend(found);
    }
    Ok(all)
}

/// A checkpoint that the caller kept, as a signed note or in the JSON that comes with it, which of `keys` signed
/// it, and that JSON.
///
/// # Errors
/// When the file cannot be read, holds none, or none of `keys` signed it.
pub fn kept(file: &Path, keys: &[VerifierKey]) -> Result<(Checkpoint, usize, Value), Failure> {
    let text = text_of(file)?;
    let answer = serde_json::from_str::<Value>(&text).unwrap_or(Value::Null);
    let note = answer["note"].as_str().unwrap_or(&text);
    match opened(note, keys) {
        Ok((checkpoint, signer)) => Ok((checkpoint, signer, answer)),
        Err(error) => {
            let help =
                "name a signed note, or what `firewarden audit checkpoint -o json` wrote, and the key of its time";
            Err(Failure::usage(format!("the checkpoint in {} does not hold: {error}", file.display()), help))
        }
    }
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let mut bytes = vec![];
    let read = std::fs::File::open(file).and_then(|opened| opened.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|e| Failure::usage(format!("{} cannot be read: {e}", file.display()), "name a text"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
