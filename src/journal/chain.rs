//! Canonical bytes, hash links, verification.
//!
//! An entry's hash covers its whole content as canonical JSON (RFC 8785) and the hash before it, so
//! an edit, a removal, an insertion or a swap anywhere but at the tail breaks a link. What a chain
//! alone cannot show is a missing tail or a missing chain.

use super::{Actor, Body, Draft};
use crate::domain::{Digest, canonical};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the chain for what belongs to no investigation.
pub const SYSTEM: &str = "system";

/// One line of the journal. Never changed once written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Format of this entry.
    pub v: u32,
    /// Investigation id, or `system`.
    pub chain: String,
    /// Dense, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub body: Body,
    /// Hash of the entry before it.
    pub prev: Digest,
    /// Hash of this entry.
    pub hash: Digest,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of entries.
    pub seq: u64,
    /// Hash of the last one.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty chain. It differs from chain to chain, so entries cannot move between
    /// chains.
    pub fn genesis(chain: &str) -> Self {
        Self { seq: 0, hash: Digest::of_parts(["firewarden/chain/v1", chain]) }
    }

    /// The entry that `draft` becomes behind this head.
    ///
    /// # Errors
    /// When the body is no JSON, a number that JSON cannot hold for instance.
    pub fn seal(&self, chain: &str, at: Timestamp, draft: Draft) -> Result<Entry, Broken> {
        let mut entry = Entry {
            v: 1,
            chain: chain.to_owned(),
            seq: self.seq + 1,
            at,
            actor: draft.actor,
            body: draft.body,
            prev: self.hash.clone(),
            hash: self.hash.clone(),
        };
        entry.hash = entry.digest()?;
        Ok(entry)
    }
}

impl Entry {
    /// The head of the chain that ends here.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }

    /// The hash that this entry ought to have.
    fn digest(&self) -> Result<Digest, Broken> {
        #[derive(Serialize)]
        struct Hashed<'a> {
            v: u32,
            chain: &'a str,
            seq: u64,
            at: Timestamp,
            actor: &'a Actor,
            body: &'a Body,
            prev: &'a Digest,
        }
        let hashed = Hashed {
            v: self.v,
            chain: &self.chain,
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            body: &self.body,
            prev: &self.prev,
        };
        // By way of a `Value`: what is hashed is what a reader of the stored JSON sees.
        let canonical = serde_json::to_value(&hashed).and_then(|value| canonical::json_spelled_out(&value));
        match canonical {
            Ok(bytes) => Ok(Digest::of_parts([b"firewarden/entry/v1".as_slice(), &bytes])),
            Err(error) => {
                Err(Broken { chain: self.chain.clone(), seq: self.seq, what: format!("is no JSON: {error}") })
            }
        }
    }
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{chain} entry {seq} {what}")]
pub struct Broken {
    /// The chain.
    pub chain: String,
    /// The entry at which it was noticed.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Checks that `entry` is what follows `head`, and gives the new head.
///
/// # Errors
/// When sequence, link or hash are not what they ought to be.
pub fn follow(head: &Head, chain: &str, entry: &Entry) -> Result<Head, Broken> {
    let broken = |what: String| Err(Broken { chain: chain.to_owned(), seq: head.seq + 1, what });
    if entry.chain != chain {
        return broken(format!("belongs to chain {}", entry.chain));
    }
    if entry.seq != head.seq + 1 {
        return broken(format!("is missing; the next one found is {}", entry.seq));
    }
    if entry.prev != head.hash {
        return broken(format!(
            "does not follow the entry before it: it names {}…, the entry before it is {}…",
            entry.prev.short(12),
            head.hash.short(12)
        ));
    }
    let expected = entry.digest()?;
    if entry.hash != expected {
        return broken(format!(
            "was changed: its content has the hash {}…, it carries {}…",
            expected.short(12),
            entry.hash.short(12)
        ));
    }
    Ok(entry.head())
}

/// Checks a whole chain from its beginning.
///
/// # Errors
/// At the first entry that does not hold.
pub fn verify(chain: &str, entries: &[Entry]) -> Result<Head, Broken> {
    entries.iter().try_fold(Head::genesis(chain), |head, entry| follow(&head, chain, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    fn chain(bodies: impl IntoIterator<Item = Body>) -> Vec<Entry> {
        let mut head = Head::genesis("inv");
        let mut entries = vec![];
        for body in bodies {
            let entry = head.seal("inv", Timestamp::UNIX_EPOCH, Draft::engine(body)).unwrap();
            head = entry.head();
            entries.push(entry);
        }
        entries
    }

    fn sample() -> Vec<Entry> {
        chain((1..=6).map(|n| match n {
            6 => Body::Closed { outcome: Outcome::Reported },
            n => Body::Declined { reason: format!("reason {n} with ünïcode and 0.1") },
        }))
    }

    #[test]
    fn a_chain_holds_and_survives_its_json() {
        let entries = sample();
        let json = serde_json::to_string(&entries).unwrap();
        let read: Vec<Entry> = serde_json::from_str(&json).unwrap();
        assert_eq!(verify("inv", &read).unwrap().seq, 6);
    }

    #[test]
    fn a_hash_can_be_worked_out_from_the_stored_json_by_the_book() {
        for entry in sample() {
            let mut stored = serde_json::to_value(&entry).unwrap();
            stored.as_object_mut().unwrap().remove("hash");
            let canonical = serde_json_canonicalizer::to_vec(&stored).unwrap();
            assert_eq!(entry.hash, Digest::of_parts([b"firewarden/entry/v1".as_slice(), &canonical]));
        }
    }

    #[test]
    fn no_tampering_goes_unnoticed() {
        let entries = sample();
        for n in 0..entries.len() - 1 {
            let mut dropped = entries.clone();
            dropped.remove(n);
            assert!(verify("inv", &dropped).is_err(), "dropped {n}");
            let mut swapped = entries.clone();
            swapped.swap(n, n + 1);
            assert!(verify("inv", &swapped).is_err(), "swapped {n}");
            let mut doubled = entries.clone();
            doubled.insert(n, entries[n].clone());
            assert!(verify("inv", &doubled).is_err(), "doubled {n}");
            let mut edited = entries.clone();
            edited[n].body = Body::Declined { reason: "another".into() };
            assert!(verify("inv", &edited).is_err(), "edited {n}");
            let mut forged = edited;
            forged[n].hash = forged[n].digest().unwrap();
            assert!(verify("inv", &forged).is_err(), "edited and hashed again {n}");
        }
        assert!(verify("other", &entries).is_err());
    }

    #[test]
    fn integers_beyond_a_double_are_told_apart() {
        let call = |n: u64| {
            let call = crate::journal::Call {
                id: "c".into(),
                tool: "t".into(),
                args: serde_json::json!({ "n": n }),
                effect: None,
                need: serde_json::Value::Null,
            };
            chain([Body::SurveyPlanned { round: 1, calls: vec![call] }]).remove(0)
        };
        assert_ne!(call(9_007_199_254_740_993).hash, call(9_007_199_254_740_992).hash);
        assert!(verify("inv", &[call(u64::MAX)]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_flipped_byte_of_the_stored_json_is_found(position in 0usize..4000, bit in 0u8..8) {
            let json = serde_json::to_vec(&sample()).unwrap();
            let mut bytes = json.clone();
            let position = position % bytes.len();
            bytes[position] ^= 1 << bit;
            if let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(&bytes) {
                // A flip that is no change in meaning (the case of an escape) is no tampering.
                proptest::prop_assert!(entries == sample() || verify("inv", &entries).is_err());
            }
        }
    }
}
