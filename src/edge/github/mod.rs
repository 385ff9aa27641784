//! GitHub and GitHub Enterprise, by octocrab.
//!
//! - [`names`]: repositories, paths and refs, checked before they become a part of an address
//! - [`app`]: an App's key, and the short-lived tokens that it fetches
//! - [`transport`]: octocrab on our own connections: one time and one size for everything
//! - [`client`]: one exchange, signed for one repository
//! - [`refusal`]: what an answer that is none means, and what to do
//! - [`answers`]: the parts of GitHub's answers that are read
//! - [`reader`]: files, folders, commits, pull requests, search; [`git`]: git's own objects
//! - [`writer`]: what may be changed, each request with a permit; [`looks`]: whether it is there already

pub mod answers;
mod app;
pub mod client;
mod git;
mod looks;
pub mod names;
pub mod reader;
mod refusal;
mod transport;
pub mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use client::{Client, Credential, Permissions, address};
pub use names::Repo;
pub use reader::Reader;
pub use writer::Writer;

/// The peer's name in errors.
const PEER: &str = "github";
/// Where the API is when nobody says otherwise.
pub const ADDRESS: &str = "https://api.github.com";
