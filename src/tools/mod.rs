//! L5: what may be called, declared by manifests.
//!
//! - [`spec`]: what a tool is ([`ToolSpec`], [`ReadTool`]) and how it fails ([`ToolError`]).
//! - [`act`]: tools that change something ([`ActTool`]): plan, execute, look, watch.
//! - [`closer`]: a closer look at what runs out, which people agree to.
//! - [`custom`]: tools that are described whole: requests, commands, calls of MCP servers.
//! - [`mcp`]: tools of MCP servers, as the configuration lists them.
//! - [`manifest`]: `tools/*.yaml`, embedded and overridden by a directory.
//! - [`sources`]: the peers of the tools; [`registry`]: the tools that exist here, and the one way to
//!   call them.
//! - [`blank`]: the one place where secrets are taken out of what was read.
//! - [`bound`]: sizes of what is kept and of what a reader gets.
//! - [`gist`]: the one line that says what was seen.
//! - [`render`]: tables, ages and a readable form of objects.
//! - [`log`]: lines of a log, bounded while they stream by.
//! - [`alertmanager`], [`elasticsearch`], [`github`], [`jira`], [`kubernetes`], [`loki`], [`probe`],
//!   [`prometheus`], [`runbooks`]: the reading tools; [`evidence`] reads on in what they saw. [`kubernetes::act`] changes a
//!   cluster, [`github::act`] writes to repositories, [`jira::act`] into issues; [`alertmanager::act`] silences.

pub mod act;
pub mod alertmanager;
pub mod blank;
pub mod bound;
pub mod closer;
pub mod custom;
pub mod elasticsearch;
pub mod evidence;
pub mod gist;
pub mod github;
pub mod jira;
pub mod kubernetes;
pub mod log;
pub mod loki;
pub mod manifest;
pub mod mcp;
pub mod probe;
pub mod prometheus;
pub mod registry;
pub mod render;
pub mod runbooks;
pub mod sources;
pub mod spec;

pub use act::{ActError, ActTool, CaseText, Observed, Plan, PullRoute, Setting};
pub use manifest::{ManifestError, Manifests};
pub use registry::Registry;
pub use sources::Sources;
pub use spec::{Example, ReadTool, Seen, ToolError, ToolSpec};
