//! Signed notes (C2SP signed-note), by Ed25519: a text, an empty line, and who vouches for it. Tools
//! of others read and check them.

use crate::domain::{Secret, hex};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The algorithm, as keys name it.
const ALGORITHM: u8 = 1;
/// What a signature line begins with.
const DASH: &str = "\u{2014} ";
/// What a key that signs begins with, as Go's `sumdb/note` writes it.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Longest name.
const MAX_NAME: usize = 200;

/// Why a key or a note is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text of a key.
    #[error("it is no key in the form NAME+HASH+BASE64: {0}")]
    Key(&'static str),
    /// The text of a note.
    #[error("it is no signed note: {0}")]
    Form(&'static str),
    /// Another key signed it.
    #[error("it is signed by {signer}, not by {expected}")]
    Foreign {
        /// Who signed it: name and key hash.
        signer: String,
        /// Whose signature was looked for.
        expected: String,
    },
    /// The signature is not one over this text.
    #[error("its text is not what {0} signed")]
    Signature(String),
}

/// Knows the signatures of one key. Written `NAME+HASH+BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The log's name, which each of its checkpoints begins with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Four bytes that tell keys of one name apart.
    fn hash(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update(b"\n")
            .chain_update([ALGORITHM])
            .chain_update(self.public)
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// The key's hash in hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex(&self.hash())
    }

    /// The text of `note`, if this key and nobody else signed it.
    ///
    /// # Errors
    /// When it is no note, others signed it, or it was changed.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        let (text, signer, signature) = parts(note)?;
        let (hash, signature) = signature.split_first_chunk::<4>().ok_or(NoteError::Form("its signature is cut"))?;
        if signer != self.name || *hash != self.hash() {
            let signer = format!("{}+{}", signer.chars().take(MAX_NAME).collect::<String>(), hex(hash));
            return Err(NoteError::Foreign { signer, expected: format!("{}+{}", self.name, self.short()) });
        }
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        match key.verify(text.as_bytes(), signature) {
            Ok(()) => Ok(text),
            Err(_) => Err(NoteError::Signature(self.name.clone())),
        }
    }
}

/// Text, signer and signature of a note with exactly one signature.
fn parts(note: &str) -> Result<(&str, &str, Vec<u8>), NoteError> {
    let (before, line) = note.rsplit_once("\n\n").ok_or(NoteError::Form("it has no signature"))?;
    let text = note.get(..before.len() + 1).ok_or(NoteError::Form("it has no text"))?;
    let line = line.strip_suffix('\n').ok_or(NoteError::Form("its last line does not end"))?;
    let (signer, signature) = line
        .strip_prefix(DASH)
        .filter(|line| !line.contains('\n'))
        .and_then(|line| line.split_once(' '))
        .ok_or(NoteError::Form("it has not exactly one signature"))?;
    let signature = BASE64.decode(signature).map_err(|_| NoteError::Form("its signature is no base64"))?;
    Ok((text, signer, signature))
}

/// The text of a note that nobody is asked to vouch for.
///
/// # Errors
/// When it is no note.
pub fn text(note: &str) -> Result<&str, NoteError> {
    parts(note).map(|(text, _, _)| text)
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM][..], &self.public].concat();
        write!(f, "{}+{}+{}", self.name, self.short(), BASE64.encode(key))
    }
}

/// Name, hash and key of `NAME+HASH+BASE64`.
fn key_parts(text: &str) -> Result<(&str, &str, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key("a part is missing"));
    };
    if !is_name(name) {
        return Err(NoteError::Key("its name is empty, too long, or has a space in it"));
    }
    let key = BASE64.decode(key).map_err(|_| NoteError::Key("its last part is no base64"))?;
    match key.split_first() {
        Some((&ALGORITHM, key)) => {
            let key = key.try_into().map_err(|_| NoteError::Key("it has not the length of an Ed25519 key"))?;
            Ok((name, hash, key))
        }
        _ => Err(NoteError::Key("it is not of Ed25519")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, hash, public) = key_parts(text)?;
        let key = Self { name: name.to_owned(), public };
        match key.short() == hash {
            true => Ok(key),
            false => Err(NoteError::Key("its hash is not that of its key")),
        }
    }
}

/// Signs. Never shown.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key of `seed` (32 bytes that nobody can guess), under a name that is given its public part.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn from_seed(seed: &[u8; 32], name: impl FnOnce(&[u8; 32]) -> String) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key("its seed is none"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key("its public part is cut"))?;
        let key = VerifierKey { name: name(&public), public };
        match is_name(&key.name) {
            true => Ok(Self { pair, key }),
            false => Err(NoteError::Key("its name is empty, too long, or has a space in it")),
        }
    }

    /// The key that a file holds: `PRIVATE+KEY+NAME+HASH+BASE64`.
    ///
    /// # Errors
    /// When it is none. The error does not repeat it.
    pub fn read(text: &Secret) -> Result<Self, NoteError> {
        let rest = text.expose().trim().strip_prefix(PRIVATE);
        let rest = rest.ok_or(NoteError::Key("a key that signs begins with PRIVATE+KEY+"))?;
        let (name, hash, seed) = key_parts(rest)?;
        let signer = Self::from_seed(&seed, |_| name.to_owned())?;
        match signer.key.short() == hash {
            true => Ok(signer),
            false => Err(NoteError::Key("its hash is not that of its key")),
        }
    }

    /// The text of the file for a key of `seed`.
    pub fn file(&self, seed: &[u8; 32]) -> String {
        let key = [&[ALGORITHM][..], seed].concat();
        format!("{PRIVATE}{}+{}+{}\n", self.key.name, self.key.short(), BASE64.encode(key))
    }

    /// What knows its signatures.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// A note of `text`, which ends with a line end and has no empty line.
    pub fn sign(&self, text: &str) -> String {
        let signature = [&self.key.hash()[..], self.pair.sign(text.as_bytes()).as_ref()].concat();
        format!("{text}\n{DASH}{} {}\n", self.key.name, BASE64.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::from_seed(&[7; 32], |_| "log.example/a".into()).unwrap()
    }

    #[test]
    fn a_note_of_go_s_own_tests_is_understood() {
        // From golang.org/x/mod/sumdb/note: a key pair and what it signed.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let verifier: VerifierKey = key.parse().unwrap();
        assert_eq!(verifier.to_string(), key);
        assert!(verifier.open(note).unwrap().ends_with("what your problem is.\n"));
        let secret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let signer = Signer::read(&Secret::new(secret, "a test")).unwrap();
        assert_eq!(signer.key(), &verifier);
        assert_eq!(signer.sign(verifier.open(note).unwrap()), note);
    }

    #[test]
    fn a_key_survives_its_file_and_hides() {
        let signer = signer();
        let file = signer.file(&[7; 32]);
        let again = Signer::read(&Secret::new(file.clone(), "f")).unwrap();
        assert_eq!(again.key(), signer.key());
        let secret = file.trim().rsplit('+').next().unwrap().to_owned();
        assert!(!format!("{signer:?}").contains(&secret[..20]));
        let key = signer.key().to_string();
        assert_eq!(key.parse::<VerifierKey>().unwrap(), *signer.key());
        for wrong in ["", "a", "a+b", "a+00000000+AA==", &key.replace("log", "lag"), &key[..key.len() - 4]] {
            assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
            assert!(Signer::read(&Secret::new(format!("{PRIVATE}{wrong}"), "f")).is_err(), "{wrong}");
        }
        assert!(Signer::read(&Secret::new(key, "f")).is_err(), "a public key signs nothing");
        for name in ["", "a b", "a+b", "a\nb"] {
            assert!(Signer::from_seed(&[7; 32], |_| name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_changed_byte_of_a_note_is_found() {
        let signer = signer();
        let note = signer.sign("log.example/a\n7\nAAAA\n");
        assert_eq!(signer.key().open(&note), Ok("log.example/a\n7\nAAAA\n"));
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(signer.key().open(&text).is_err(), "byte {at}, bit {bit}: {text:?}");
                }
            }
        }
        for cut in 0..note.len() {
            assert!(!note.is_char_boundary(cut) || signer.key().open(&note[..cut]).is_err());
        }
        assert!(signer.key().open(&format!("{note}{}\n", note.lines().last().unwrap())).is_err());
        let other = Signer::from_seed(&[8; 32], |_| "log.example/a".into()).unwrap();
        assert!(matches!(other.key().open(&note), Err(NoteError::Foreign { .. })));
        assert_eq!(text(&note), Ok("log.example/a\n7\nAAAA\n"), "it can be read without the key");
    }
}
