//! The processes and servers that the tests from outside need.
//!
//! - [`site`]: a configuration, a store and the real binary on them
//! - [`whole`]: the whole program in the test's own process, on a clock that is put forward by hand
//! - [`alertmanager`]: an Alertmanager with a memory, and with faults
//! - [`jira`]: a Jira with a memory, and with faults
//! - [`mcp`]: an MCP server, on stdio and by HTTP, with faults
//! - [`http`]: a small client, and waiting with a deadline
//! - [`model`]: a scripted language model
//! - [`policies`]: the shipped policies in a folder, changed where a test is not about them
//! - [`world`]: a recorded world, served here and seen there
//! - [`sinks`]: where people are told
//! - [`cluster`]: an API server that changes, and answers as badly as it is told to
//! - [`bench`]: the engine in this process, with a clock that the test turns
//! - [`chain`]: what a store holds, read beside or after the process
//! - [`github`]: a GitHub of our own, with true git ids and faults on demand

pub mod alertmanager;
pub mod bench;
pub mod chain;
pub mod cluster;
pub mod github;
pub mod http;
pub mod jira;
pub mod mcp;
pub mod model;
pub mod policies;
pub mod sinks;
pub mod site;
pub mod whole;
pub mod world;

/// Whether every count is wanted: `./tests/run --full`.
pub fn full() -> bool {
    std::env::var_os("FIREWARDEN_FULL").is_some_and(|v| v == "1")
}
