//! What a checkpoint says: how long the log was, and the root of the tree over it.
//!
//! The log has one line for each entry of every chain, in the order in which they were committed. A
//! line names chain, number and hash of its entry, so that a log without the entries still shows which
//! chains there were, how long they were, and nothing of what they say.

use super::merkle::Hash;
use super::note::{self, NoteError, VerifierKey};
use crate::domain::Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;

/// The line of the log for an entry: the data of its leaf.
pub fn leaf_text(chain: &str, seq: u64, hash: &Digest) -> String {
    format!("{chain} {seq} {hash}")
}

/// The log as it was once (C2SP tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Lines of the log.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// When it was made, in whole seconds.
    pub at: Timestamp,
    /// The size of the checkpoint before it; 0 for the first one. So none can be left out.
    pub after: u64,
}

/// Why a checkpoint is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text in it.
    #[error("it is no checkpoint: {0}")]
    Text(&'static str),
}

impl Checkpoint {
    /// The text to be signed.
    pub fn text(&self) -> String {
        let root = BASE64.encode(self.root);
        format!("{}\n{}\n{root}\ntime {}\nafter {}\n", self.origin, self.size, self.at, self.after)
    }

    /// The checkpoint in `note`, if `key` signed it.
    ///
    /// # Errors
    /// When it did not, or it says something else.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let read = Self::of_text(key.open(note)?)?;
        match read.origin == key.name() {
            true => Ok(read),
            false => Err(CheckpointError::Text("it names another log than its signature")),
        }
    }

    /// The checkpoint in `note`, whoever signed it.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(note: &str) -> Result<Self, CheckpointError> {
        Self::of_text(note::text(note)?)
    }

    fn of_text(text: &str) -> Result<Self, CheckpointError> {
        let wrong = CheckpointError::Text;
        let lines: Vec<&str> = text.lines().collect();
        let [origin, size, root, time, after] = lines[..] else {
            return Err(wrong("it has not five lines"));
        };
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok());
        let time = time.strip_prefix("time ").and_then(|time| time.parse().ok());
        let after = after.strip_prefix("after ").and_then(|after| after.parse().ok());
        let read = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| wrong("its size is no number"))?,
            root: root.ok_or(wrong("its root is no hash"))?,
            at: time.ok_or(wrong("its time is none"))?,
            after: after.ok_or(wrong("it does not name the one before it"))?,
        };
        match read.text() == text && read.after < read.size {
            true => Ok(read),
            false => Err(wrong("it is not written as we write it")),
        }
    }

    /// In one line, as tickets and pull requests carry it.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.origin, self.size, BASE64.encode(self.root))
    }

    /// The root in base64, for people.
    pub fn root_text(&self) -> String {
        BASE64.encode(self.root)
    }
}

/// What somebody else's system remembers of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witnessed {
    /// Lines of the log.
    pub size: u64,
    /// The root that was named.
    pub root: Hash,
}

/// Every checkpoint of `origin` that `text` names, in one line as tickets and pull requests carry it,
/// or as a note: a page of Jira or a mailbox may be given as it is.
pub fn witnessed(text: &str, origin: &str) -> Vec<Witnessed> {
    let mut found = vec![];
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || "`\"'<>|{}".contains(c)).filter(|w| !w.is_empty()).collect();
    for three in words.windows(3) {
        let root = BASE64.decode(three[2]).ok().and_then(|root| root.try_into().ok());
        if let (true, Ok(size), Some(root)) = (three[0] == origin, three[1].parse(), root) {
            found.push(Witnessed { size, root });
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Signer, merkle};

    fn sample() -> Checkpoint {
        Checkpoint {
            origin: "log.example/a".into(),
            size: 7,
            root: merkle::root(&[merkle::leaf(b"x")]),
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            after: 3,
        }
    }

    #[test]
    fn a_checkpoint_survives_its_note_and_its_line() {
        let signer = Signer::from_seed(&[3; 32], |_| "log.example/a".into()).unwrap();
        let made = sample();
        let note = signer.sign(&made.text());
        assert_eq!(Checkpoint::open(&note, signer.key()), Ok(made.clone()));
        assert_eq!(Checkpoint::read(&note), Ok(made.clone()));
        let seen = [Witnessed { size: 7, root: made.root }];
        let page = format!(
            "Done.\n\nCheckpoint: `{}`\n\n{note}\nlog.example/a 8 AAAA log.example/b {}",
            made.line(),
            made.line()
        );
        assert_eq!(witnessed(&page, "log.example/a"), seen);
        assert!(witnessed(&page, "log.example/c").is_empty());
        insta::assert_snapshot!(made.text());
    }

    #[test]
    fn only_our_own_way_of_writing_is_a_checkpoint() {
        let signer = Signer::from_seed(&[3; 32], |_| "log.example/a".into()).unwrap();
        let text = sample().text();
        let other = Signer::from_seed(&[3; 32], |_| "log.example/b".into()).unwrap();
        assert!(Checkpoint::open(&other.sign(&text), other.key()).is_err(), "another log");
        for (from, to) in [
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n+7\n"),
            ("\n7\n", "\n3\n"),
            ("time ", "Time "),
            ("Z", "+00:00"),
            ("after 3\n", ""),
            ("after 3\n", "after 3\nmore\n"),
            ("=\n", "\n"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(Checkpoint::open(&signer.sign(&changed), signer.key()).is_err(), "{changed}");
        }
    }
}
