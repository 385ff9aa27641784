//! Who works on what, and how many may.

use crate::domain::InvestigationId;
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// Nothing is parked for longer at once. A row that waits longer than this from now proves that the
/// clock went back; it is claimed, and whoever claims it looks at the time anew.
pub const LONGEST_PARK: SignedDuration = SignedDuration::from_mins(15);

/// The right to append to one chain, until somebody else takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The investigation.
    pub investigation: InvestigationId,
    /// Fencing token: each claim of the investigation raises it.
    pub epoch: i64,
    /// Claims since somebody last wrote to the chain or let go of it, this one included.
    pub attempts: i64,
    /// Its route had room for it. Without a place it may be looked at, and people be told; to be
    /// investigated it must stand in line ([`super::Journal::line_up`]).
    pub has_place: bool,
}

/// How many investigations of a route may be worked on at once, by the route's name. One that is not named
/// has room for all.
pub type RoutePlaces = BTreeMap<String, u32>;
