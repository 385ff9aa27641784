//! An export as a ledger: without a database, and trusting nothing in it.
//!
//! ```text
//! key                     who signed, oldest first, for people: what counts are the keys that the caller names
//! checkpoints             one {"note":"…"} a line
//! log                     one line for each entry: chain, number, hash
//! entries/CHAIN.jsonl     one entry a line, as canonical JSON with numbers as they were written
//! payload/ab/cdef…        16 bytes of salt, then the payload; its SHA-256 is its name
//! ```
//!
//! Every byte counts: what could be written in two ways is accepted in one.

use super::files::Files;
use super::ledger::Ledger;
use crate::audit::{Checkpoint, VerifierKey, leaf_text};
use crate::domain::{BlobRef, Digest, canonical};
use crate::journal::{Entry, Head};
use crate::store::{KeptCheckpoint, Logged, StoreError};
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Longest line.
const MAX_LINE: u64 = 64 << 20;
/// Largest payload with its salt: what is kept of an observation is far below it.
const MAX_PAYLOAD: u64 = 256 << 20;

/// Largest file of keys.
const MAX_KEYS: u64 = 1 << 16;

/// The files beside entries and payloads.
pub(super) const KEY: &str = "key";
pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const LOG: &str = "log";

/// The file of a chain.
pub(super) fn chain_file(chain: &str) -> String {
    format!("entries/{chain}.jsonl")
}

/// The file of a payload.
pub(super) fn payload_file(commitment: &Digest) -> String {
    let hex = commitment.short(64);
    format!("payload/{}/{}", hex.get(..2).unwrap_or_default(), hex.get(2..).unwrap_or_default())
}

/// The line of an entry.
///
/// # Errors
/// When it is no JSON.
pub(super) fn entry_line(entry: &Entry) -> serde_json::Result<Vec<u8>> {
    canonical::json_to_read_back(&serde_json::to_value(entry)?)
}

/// The line of a checkpoint.
pub(super) fn checkpoint_line(note: &str) -> String {
    serde_json::json!({"note": note}).to_string()
}

/// A file that is read line by line, and as far as it was read.
struct Cursor<'a> {
    name: String,
    done: u64,
    reader: Box<dyn BufRead + Send + 'a>,
}

/// An export.
pub struct Export<'a> {
    files: &'a dyn Files,
    /// The keys that the caller names, one a line.
    keys: String,
    cursor: Mutex<Option<Cursor<'a>>>,
    known: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corrupt(what: impl Into<String>, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: what.into(), place: "the export".into(), why: why.to_string() }
}

impl<'a> Export<'a> {
    /// The export in `files`, which the caller holds for one of the owner of `keys`, oldest first.
    pub fn new(files: &'a dyn Files, keys: &[VerifierKey]) -> Self {
        let keys = keys.iter().map(|key| format!("{key}\n")).collect();
        Self { files, keys, cursor: Mutex::new(None), known: Mutex::default() }
    }

    /// Lines of `name` after `after`, at most `limit`, without their ends.
    fn lines(&self, name: &str, after: u64, limit: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut place = held(&self.cursor);
        let goes_on = place.as_ref().is_some_and(|cursor| cursor.name == name && cursor.done == after);
        if !goes_on {
            let Some(reader) = self.files.open(name).map_err(|error| corrupt(name, error))? else {
                return Err(corrupt(name, "there is no such file"));
            };
            held(&self.known).insert(name.to_owned());
            let mut cursor = Cursor { name: name.to_owned(), done: 0, reader };
            while cursor.done < after {
                if next(&mut cursor)?.is_none() {
                    return Ok(vec![]);
                }
            }
            *place = Some(cursor);
        }
        let mut lines = vec![];
        if let Some(cursor) = place.as_mut() {
            while lines.len() < limit as usize {
                let Some(line) = next(cursor)? else { break };
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

fn next(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, StoreError> {
    let mut line = vec![];
    let number = cursor.done + 1;
    let what = || format!("line {number} of {}", cursor.name);
    let read =
        (&mut cursor.reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| corrupt(what(), error))?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(corrupt(what(), "it does not end"));
    }
    cursor.done = number;
    Ok(Some(line))
}

fn text(line: Vec<u8>, what: impl Fn() -> String) -> Result<String, StoreError> {
    String::from_utf8(line).map_err(|_| corrupt(what(), "it is no text"))
}

/// The entry of a line that is written as we write it.
fn entry_of(line: &[u8]) -> Result<Entry, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let entry: Entry = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&entry).and_then(|again| canonical::json_to_read_back(&again));
    match again.is_ok_and(|again| again == line) {
        true => Ok(entry),
        false => Err("it is not written as we write it".into()),
    }
}

/// Chain, number and hash.
fn logged(position: u64, text: &str) -> Option<Logged> {
    let mut parts = text.split(' ');
    let (chain, seq, hash) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (leaf_text(chain, seq, &hash) == text).then(|| Logged { position, chain: chain.to_owned(), seq, hash: Some(hash) })
}

#[async_trait]
impl Ledger for Export<'_> {
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        let names = self.files.names().map_err(|error| corrupt("the list of files", error))?;
        let chains = names.iter().filter_map(|name| name.strip_prefix("entries/")?.strip_suffix(".jsonl"));
        // Nobody lists ends here: the log does.
        let head = |chain: &str| (chain.to_owned(), Head::genesis(chain));
        Ok(chains.filter(|chain| *chain > after).take(limit as usize).map(head).collect())
    }

    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let lines = self.lines(&chain_file(chain), after, limit)?;
        let mut entries = Vec::with_capacity(lines.len());
        for (line, seq) in lines.iter().zip(after + 1..) {
            match entry_of(line) {
                Ok(entry) => entries.push(entry),
                // What stands before it is looked at first.
                Err(_) if !entries.is_empty() => break,
                Err(why) => return Err(corrupt(format!("entry {seq}"), why)),
            }
        }
        if entries.len() < lines.len() {
            *held(&self.cursor) = None;
        }
        Ok(entries)
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        let name = payload_file(&reference.commitment);
        let Some(reader) = self.files.open(&name).map_err(|error| corrupt(&name, error))? else { return Ok(None) };
        held(&self.known).insert(name.clone());
        let mut bytes = vec![];
        reader.take(MAX_PAYLOAD).read_to_end(&mut bytes).map_err(|error| corrupt(&name, error))?;
        let opened = bytes.split_first_chunk::<16>().filter(|(salt, payload)| reference.opens_with(salt, payload));
        match opened {
            Some((_, payload)) => Ok(Some(payload.to_vec())),
            None => Err(corrupt(name, "it is not what the journal committed to")),
        }
    }

    async fn length(&self) -> Result<u64, StoreError> {
        // Nobody appends: all that is there is there now.
        Ok(u64::MAX)
    }

    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        let mut found = vec![];
        for (line, position) in self.lines(LOG, after, limit)?.into_iter().zip(after + 1..) {
            let what = || format!("line {position} of the log");
            let line = text(line, what)?;
            found.push(logged(position, &line).ok_or_else(|| corrupt(what(), "it is no chain, number and hash"))?);
        }
        Ok(found)
    }

    async fn checkpoints(&self, after: u64, _: u32) -> Result<Vec<KeptCheckpoint>, StoreError> {
        // They are few, and are asked for by size: all at once, and then none.
        if after > 0 {
            return Ok(vec![]);
        }
        let mut found: Vec<KeptCheckpoint> = vec![];
        for (line, number) in self.lines(CHECKPOINTS, 0, u32::MAX)?.into_iter().zip(1_u64..) {
            let what = || format!("checkpoint {number}");
            let line = text(line, what)?;
            let value: Value = serde_json::from_str(&line).map_err(|error| corrupt(what(), error))?;
            let note = value["note"].as_str().unwrap_or_default();
            if checkpoint_line(note) != line {
                return Err(corrupt(what(), "it is not written as we write it"));
            }
            let size = Checkpoint::read(note).map_err(|error| corrupt(what(), error))?.size;
            if found.last().is_some_and(|last| last.size >= size) {
                return Err(corrupt(what(), "it does not go forward"));
            }
            found.push(KeptCheckpoint { size, note: note.to_owned(), frontier: vec![] });
        }
        Ok(found)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn strays(&self, in_part: bool) -> Result<Vec<String>, StoreError> {
        let known = held(&self.known);
        let names = self.files.names().map_err(|error| corrupt("the list of files", error))?;
        let mut strays: Vec<String> = names
            .into_iter()
            .filter(|name| name != KEY && !known.contains(name))
            .filter(|name| !in_part || !(name.starts_with("entries/") || name.starts_with("payload/")))
            .map(|name| format!("the file {name}"))
            .collect();
        // Who only reads the file must not be told of another key than the one that counts.
        let mut named = String::new();
        if let Some(reader) = self.files.open(KEY).map_err(|error| corrupt(KEY, error))? {
            let read = reader.take(MAX_KEYS).read_to_string(&mut named);
            if read.is_err() || named != self.keys {
                strays.push("what the file `key` names, which is not what was given,".into());
            }
        } else {
            strays.push("an export without its file `key`".into());
        }
        Ok(strays)
    }
}
