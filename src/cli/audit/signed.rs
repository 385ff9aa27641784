//! Whose signature has to stand under which checkpoint. A key hands the log on to the next one by an entry
//! of the system chain; the checkpoint that covers the entry is still its own, and each one behind that is
//! the next key's. So neither can write what was the other's.

use super::found::{Audit, Check};
use crate::audit::checkpoint::CheckpointError;
use crate::audit::note::NoteError;
use crate::audit::{Checkpoint, VerifierKey};
use crate::cli::text::line;
use crate::journal::{Body, Entry, KeyRotated};
use std::collections::BTreeMap;

/// The checkpoint in `note`, and which of `keys` signed it.
///
/// # Errors
/// When none did.
pub(super) fn opened(note: &str, keys: &[VerifierKey]) -> Result<(Checkpoint, usize), CheckpointError> {
    let mut first = None;
    for (n, key) in keys.iter().enumerate() {
        match Checkpoint::open(note, key) {
            Ok(checkpoint) => return Ok((checkpoint, n)),
            // Of two errors, that of the key which claims to have signed it says more.
            Err(error @ CheckpointError::Note(NoteError::Foreign { .. })) => first = first.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or(CheckpointError::Text("there is no key to open it with")))
}

/// Who signed, and who was to.
#[derive(Default)]
pub(super) struct Signatures {
    /// Size, the size before, and which key signed, of each checkpoint.
    signed: Vec<(u64, u64, usize)>,
    /// By their number in the system chain.
    rotations: BTreeMap<u64, KeyRotated>,
    /// Where in the log those stand.
    positions: BTreeMap<u64, u64>,
}

impl Signatures {
    /// Notes a checkpoint and which key signed it.
    pub(super) fn signed(&mut self, checkpoint: &Checkpoint, signer: usize) {
        self.signed.push((checkpoint.size, checkpoint.after, signer));
    }

    /// Notes an entry by which one key hands the log on to another.
    pub(super) fn handed_on(&mut self, entry: &Entry) {
        if let Body::KeyRotated(rotated) = &entry.body {
            self.rotations.insert(entry.seq, rotated.clone());
        }
    }

    /// Notes where in the log an entry of the system chain stands.
    pub(super) fn stands_at(&mut self, seq: u64, position: u64) {
        if self.rotations.contains_key(&seq) {
            self.positions.insert(position, seq);
        }
    }

    /// Each key took over where the one before said so, and signed from there on. `covered` is the size of
    /// the last checkpoint.
    pub(super) fn check(&self, keys: &[VerifierKey], covered: u64, audit: &mut Audit) {
        let Some(first) = keys.first() else { return };
        let named = |n: usize| keys.get(n).map(VerifierKey::to_string);
        let mut handed_on: Vec<u64> = vec![];
        let mut holder = first.to_string();
        for (position, seq) in self.positions.range(..=covered) {
            let Some(rotated) = self.rotations.get(seq) else { continue };
            if rotated.before != holder {
                let what = format!("hands the log on from {}, which did not hold it", line(&rotated.before, 200));
                audit.fail(Check::Signature, crate::journal::chain::SYSTEM, Some(*seq), what);
            }
            holder.clone_from(&rotated.key);
            handed_on.push(*position);
            match named(handed_on.len()) {
                Some(key) if key != rotated.key => {
                    let what = format!("hands the log on to {}, the key named for that is {key}", line(&holder, 200));
                    audit.fail(Check::Signature, crate::journal::chain::SYSTEM, Some(*seq), what);
                }
                _ => {}
            }
        }
        audit.rotations = handed_on.len() as u64;
        for key in keys.iter().skip(handed_on.len() + 1) {
            let what = format!("the log was never handed on to {key}: it ends before that, or was cut back");
            audit.fail(Check::Signature, "", None, what);
        }
        let (mut told, mut wrong) = (false, 0_u64);
        for (size, after, signer) in &self.signed {
            // A key's last checkpoint ends with the entry that hands the log on: beyond it, it held nothing.
            if let Some(position) = handed_on.iter().find(|position| (after + 1..*size).contains(*position)) {
                let what =
                    format!("the checkpoint of {size} entries reaches beyond entry {position}, which hands the log on");
                audit.fail(Check::Signature, "", None, what);
            }
            let due = handed_on.partition_point(|position| position <= after);
            if due == *signer {
                continue;
            }
            wrong += 1;
            if !std::mem::replace(&mut told, true) {
                let by = named(*signer).unwrap_or_default();
                let due = named(due).unwrap_or_else(|| line(&holder, 200));
                let what = format!("the checkpoint of {size} entries is signed by {by}, and {due} held the log then");
                audit.fail(Check::Signature, "", None, what);
            }
        }
        if wrong > 1 {
            audit.fail(Check::Signature, "", None, format!("{} further checkpoints are signed alike", wrong - 1));
        }
    }
}
