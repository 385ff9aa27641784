//! Lines of a log, whoever keeps it: bounded while they stream by, and told in few words.
//!
//! - [`fold`]: one pass that keeps the lines that were asked for and counts what all of them say.
//! - [`template`]: the form of a line, without what differs from line to line.
//! - [`filter`]: which lines are wanted.
//! - [`shown`]: the lines as a reader gets them.

pub mod filter;
pub mod fold;
pub mod gist;
pub mod shown;
pub mod template;

pub use filter::Filter;
pub use fold::{Fold, Keep, Wanted};

/// Lines that are kept without `head` or `tail`.
pub const LINES: usize = 300;
/// Most lines that are kept.
pub const LINES_MAX: usize = 5000;
/// Most lines of context on each side of a line that matches.
pub const CONTEXT_MAX: usize = 20;
