//! Identifiers as they appear on the wire: a prefix that says what is meant, then a UUIDv7.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of this kind: expected `{prefix}` followed by a UUID")]
pub struct UnknownId {
    /// What was given.
    pub text: String,
    /// The prefix that was expected, `evt_` for instance.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Names the thing that `uuid` was drawn for.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// What it was named with.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = UnknownId;

            fn from_str(text: &str) -> Result<Self, UnknownId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| Uuid::parse_str(rest).ok())
                    .map(Self)
                    .ok_or_else(|| UnknownId { text: text.chars().take(80).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(/// One alert as it arrived. 
    EventId, "evt_");
id!(/// One investigation, and the journal chain that it is. 
    InvestigationId, "inv_");
id!(/// One planned change. 
    ActionId, "act_");
id!(/// One question to a person. 
    ApprovalId, "apr_");
id!(/// One answer of the policy. 
    DecisionId, "dec_");

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::from_hasher(Sha256::new_with_prefix(bytes))
    }

    /// The digest of several parts. Each part is preceded by its length, so that no two lists of
    /// parts share a digest.
    pub fn of_parts<I: AsRef<[u8]>>(parts: impl IntoIterator<Item = I>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            let part = part.as_ref();
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self::from_hasher(hasher)
    }

    fn from_hasher(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", hex(&hasher.finalize())))
    }

    /// The digest with its `sha256:` prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `n` hexadecimal digits, for people and for names.
    pub fn short(&self, n: usize) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..n).unwrap_or(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = UnknownId;

    fn from_str(text: &str) -> Result<Self, UnknownId> {
        let wrong = || UnknownId { text: text.chars().take(80).collect(), prefix: "sha256:" };
        let hex = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        let fine = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fine { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        out
    })
}

/// A payload kept beside the journal. The digest is a salted commitment (salt, then bytes), so that
/// deleting salt and bytes leaves a gap that reveals nothing and still verifies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 over salt and bytes.
    pub commitment: Digest,
    /// Size of the payload in bytes.
    pub bytes: u64,
}

impl BlobRef {
    /// Commits to `bytes` under `salt`.
    pub fn commit(salt: &[u8; 16], bytes: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        hasher.update(bytes);
        Self { commitment: Digest::from_hasher(hasher), bytes: bytes.len() as u64 }
    }

    /// Whether `salt` and `bytes` are what was committed to.
    pub fn opens_with(&self, salt: &[u8; 16], bytes: &[u8]) -> bool {
        Self::commit(salt, bytes) == *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_wire_and_refuses_its_sibling() {
        let id = EventId::new(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse::<EventId>(), Ok(id));
        assert!(id.to_string().parse::<InvestigationId>().is_err());
        assert!("evt_7".parse::<EventId>().is_err());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Digest::of_parts(["ab", "c"]), Digest::of_parts(["a", "bc"]));
        assert_eq!(Digest::of("").short(8), "e3b0c442");
    }

    #[test]
    fn a_commitment_opens_only_with_its_own_salt_and_bytes() {
        let blob = BlobRef::commit(&[1; 16], b"seen");
        assert!(blob.opens_with(&[1; 16], b"seen"));
        assert!(!blob.opens_with(&[2; 16], b"seen"));
        assert!(!blob.opens_with(&[1; 16], b"Seen"));
    }
}
