//! L4: the only doors out of the process.
//!
//! - [`alertmanager`]: a reader of Alertmanager, and the door through which something is silenced.
//! - [`ambient`]: the real clock and real chance.
//! - [`call`]: one HTTP request that an operator wrote down.
//! - [`certificate`]: what a certificate says of itself.
//! - [`change`]: a change at a peer that speaks JSON, and what a status says of one.
//! - [`elasticsearch`]: a reader of the search API of Elasticsearch and OpenSearch.
//! - [`error`]: what goes wrong at a door, in words that hold no secret.
//! - [`exec`]: commands, confined and ended.
//! - [`github`]: GitHub and GitHub Enterprise.
//! - [`hosts`]: which addresses may be fetched at all.
//! - [`http`]: a bounded HTTP client for peers that speak JSON.
//! - [`jira`]: a reader of Jira, and the door through which something is written into it.
//! - [`kube`]: a reader of any kind that a Kubernetes API server knows, and the door through which
//!   one is changed.
//! - [`loki`]: a reader of the Loki HTTP API.
//! - [`mcp`]: MCP servers, by command or HTTP.
//! - [`pinned`]: one exchange with an address that was looked up once.
//! - [`probe`]: probes of addresses that the configuration lists.
//! - [`prometheus`]: a reader of the Prometheus HTTP API.
//! - [`runbooks`]: pages of listed hosts, and files of one folder.
//! - [`stream`]: server-sent events as they arrive.

pub mod alertmanager;
pub mod ambient;
pub mod call;
pub mod certificate;
pub mod change;
pub mod elasticsearch;
pub mod error;
pub mod exec;
pub mod github;
pub mod hosts;
pub mod http;
pub mod jira;
pub mod kube;
pub mod loki;
pub mod mcp;
pub mod pinned;
pub mod probe;
pub mod prometheus;
pub mod runbooks;
pub mod sse;
pub mod stream;

pub use alertmanager::{AlertmanagerReader, AlertmanagerWriter};
pub use ambient::{SystemClock, SystemEntropy};
pub use call::Caller;
pub use change::{Certainty, Unmade, UnmadeKind, certainty};
pub use elasticsearch::ElasticsearchReader;
pub use error::{EdgeError, EdgeErrorKind};
pub use exec::Runner;
pub use github::{Reader as GithubReader, Writer as GithubWriter};
pub use hosts::AllowedHosts;
pub use http::{Auth, HttpPeer};
pub use jira::{JiraReader, JiraWriter};
pub use kube::{KubeReader, KubeWriter};
pub use loki::LokiReader;
pub use mcp::McpServer;
pub use pinned::Pinned;
pub use probe::{ProbeTarget, Probed, Prober};
pub use prometheus::{MAX_SERIES, PrometheusReader};
pub use runbooks::RunbookReader;
