//! L9: one file per command.

pub mod audit;
mod failure;
pub mod markdown;
pub mod output;
pub mod render;
pub mod text;

pub use failure::{Exit, Failure};
