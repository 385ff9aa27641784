//! L8: recorded worlds, served over HTTP to the unchanged tools.
//!
//! A world is a folder: what a cluster and its monitoring looked like at one moment, and what a
//! good investigator must find in it. The same folder serves the demo, the tests and the
//! evaluation of models; the tools that look at it cannot tell it from the real thing.
//!
//! ```text
//! scenarios/<id>/
//!   scenario.yaml   id, title, family, difficulty, tags, now, subject        (about.rs)
//!   alert.json      what Alertmanager sends
//!   cluster/*.yaml  Kubernetes objects, many to a file                        (objects.rs)
//!   logs/<namespace>/<pod>/<container>[.previous].log
//!   metrics/*.yaml  series drawn as curves · metrics/*.om  OpenMetrics        (curves.rs, openmetrics.rs)
//!   rules.yaml      alerting and recording rules
//!   git/            a repository: repository.yaml names its commits            (github/read.rs)
//!   jira.yaml       a Jira with one project                                   (jira.rs)
//!   faults.yaml     what the world refuses                                    (about.rs)
//!   expected.yaml   root causes, chain, verdict, evidence that must be cited  (about.rs)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `world` | a folder becomes a [`World`] |
//! | `folder` | the same folder, embedded or on disk |
//! | `shift` | every instant moves, so that `now` is now |
//! | `series` | samples as a function of time |
//! | `kubernetes/` | the API server |
//! | `promql/` | expressions over the samples |
//! | `prometheus/` | the query API |
//! | `github/` | a repository of GitHub |
//! | `jira` | a project of Jira |
//! | `serve`, `wire` | a listener for each, and what was asked of them |

mod about;
mod curves;
mod error;
mod folder;
mod github;
mod jira;
mod kubernetes;
mod objects;
mod openmetrics;
mod prometheus;
mod promql;
mod series;
mod serve;
mod shift;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use about::{
    About, Difficulty, Expected, ExpectedAction, ExpectedCause, ExpectedStep, Faults, MustCite, PrometheusFault,
    Refusal, Subject,
};
pub use error::ScenarioError;
pub use github::RecordedPull;
pub use jira::RecordedIssue;
pub use serve::Served;
pub use wire::{Peer, WireRequest};
pub use world::World;
