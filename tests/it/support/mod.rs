//! The processes and servers that the tests from outside need.
//!
//! - [`site`]: a configuration, a store and the real binary on them
//! - [`whole`]: the whole program in the test's own process, on a clock that is put forward by hand
//! - [`jira`]: a Jira with a memory, and with faults
//! - [`http`]: a small client, and waiting with a deadline
//! - [`model`]: a scripted language model
//! - [`world`]: a recorded world, served here and seen there
//! - [`chain`]: what a store holds, read beside or after the process

pub mod chain;
pub mod http;
pub mod jira;
pub mod model;
pub mod site;
pub mod whole;
pub mod world;

/// Whether every count is wanted: `./tests/run --full`.
pub fn full() -> bool {
    std::env::var_os("FIREWARDEN_FULL").is_some_and(|v| v == "1")
}
