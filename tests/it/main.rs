//! The product from outside, and the house from inside.
//!
//! - [`layers`]: the rules of the house, read from the sources
//! - [`crash`]: SIGKILL after every entry of a whole investigation
//! - [`commits`]: SIGKILL before and after every commit of one, while others write to it
//! - [`delivery`]: people are told in the end, though their chat is down
//! - [`approvals`]: questions to people, from the notice to what became of the answer
//! - [`cli`]: the commands as people type them
//! - [`playbooks`]: what is done without a model, step by step
//! - [`policies`]: the tools of policy authors, and policies that change while the server runs
//! - [`lifecycle`]: exceptions, questions under a changed policy, policies that are tried and promoted
//! - [`budgets`]: what happens when the money runs out
//! - [`conversation`]: what a model is told, request after request
//! - [`summaries`]: what a cheap model condenses for a conversation
//! - [`custom`]: tools that a manifest describes whole: never two effects, and nothing leaves the sandbox
//! - [`mcp`]: tools of MCP servers: only what was listed, and never two effects
//! - [`doctor`]: what is missing, how good a model is, and what it was told
//! - [`jira`]: what is written into Jira is there once, whatever goes wrong on the way
//! - [`silences`]: an alert is silenced once, and no longer than was agreed
//! - [`storm`]: every alert of a storm is accounted for, and few investigations are opened
//! - [`owners`]: alerts on one workload are one investigation, by what was read of its owners
//! - [`trail`]: the audit trail for strangers, and the keys that sign it
//! - [`replayed`]: a recorded investigation without a network
//! - [`routes`]: which way an alert goes, how many at once and over all
//! - [`bad_input`]: what must not harm a running server
//! - [`github`]: repositories, read by the real binary; and the server that they are read from
//! - [`effects`]: every change once, whatever the network, the API server and crashes do
//! - [`github_acts`]: every pull request, comment and issue once, whatever fails
//! - [`secrets`]: a secret comes out of no door, however it is written
//! - [`hostile`]: a model that is the attacker, judged by what the servers saw
//! - [`faults`]: every named fault of a model has its test
//! - [`peers`]: programs of others, Prometheus for one; run by `./tests/run`
//! - [`pollers`]: alerts that are asked for: what begins, what ends, and what says nothing
//! - [`senders`]: senders as they really call, and their credentials
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

/// As in the program: figures that are taken in this process are the program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod approvals;
mod bad_input;
mod budgets;
mod cli;
mod commits;
mod conversation;
mod crash;
mod custom;
mod delivery;
mod doctor;
mod effects;
mod facts;
mod faults;
mod figures;
mod github;
mod github_acts;
mod hostile;
mod jira;
mod layers;
mod lifecycle;
mod mcp;
mod owners;
mod peers;
mod playbooks;
mod policies;
mod pollers;
mod replayed;
mod routes;
mod scenarios;
mod secrets;
mod senders;
mod silences;
mod storm;
mod summaries;
mod support;
mod trail;
