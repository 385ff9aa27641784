//! The product from outside, and the house from inside.
//!
//! - [`layers`]: the rules of the house, read from the sources
//! - [`crash`]: SIGKILL after every entry of a whole investigation
//! - [`cli`]: the commands as people type them
//! - [`conversation`]: what a model is told, request after request
//! - [`bad_input`]: what must not harm a running server
//! - [`peers`]: real Prometheus and Alertmanager; run by `./tests/run`
//! - [`figures`]: the figures of `docs/benchmarks.md`; run by `tests/bench/run`
//! - [`support`]: the processes and servers that these need

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking"
)]

mod bad_input;
mod cli;
mod conversation;
mod crash;
mod figures;
mod layers;
mod peers;
mod scenarios;
mod support;
