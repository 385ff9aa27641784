//! L2, pure: what makes the journal provable to a stranger.
//!
//! - [`merkle`]: the RFC 6962 tree over the log, and what is proven with it
//! - [`note`]: signed notes (C2SP), by Ed25519
//! - [`checkpoint`]: what such a note says of the log, and what a leaf of it is
//! - [`bundle`]: policies as they are kept, so that an old decision can be made again
//! - [`format`](mod@format): entries in the words of other systems

pub mod bundle;
pub mod checkpoint;
pub mod format;
pub mod merkle;
pub mod note;

pub use checkpoint::{Checkpoint, Witnessed, leaf_text};
pub use format::Format;
pub use merkle::{Frontier, Hash};
pub use note::{Signer, VerifierKey};
