//! Time and chance, injected: nothing below the edge reads a clock or rolls a die.

use jiff::Timestamp;
use uuid::Uuid;

/// Where "now" comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment, UTC.
    fn now(&self) -> Timestamp;
}

/// Where ids and salts come from.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// A UUIDv7 for `now`: ids sort by the moment they were made.
    fn uuid(&self, now: Timestamp) -> Uuid;
    /// Sixteen bytes that nobody can guess.
    fn salt(&self) -> [u8; 16];
}
