//! What can be asked of the world, and what came back.

use crate::domain::{Entity, SreEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// One question to the world. The engine maps it to a tool; analysis knows no tools.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "need", rename_all = "snake_case")]
pub enum Need {
    /// One Kubernetes object.
    Object {
        /// `Pod`, `PersistentVolumeClaim`, …
        kind: String,
        /// `None` for cluster-wide kinds.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// All Kubernetes objects of a kind.
    List {
        /// `Pod`, `PersistentVolumeClaim`, …
        kind: String,
        /// `None`: cluster-wide kinds, or every namespace.
        namespace: Option<String>,
        /// Label selector.
        selector: Option<String>,
    },
    /// The last lines of a container.
    Logs {
        /// Namespace of the pod.
        namespace: String,
        /// Name of the pod.
        pod: String,
        /// `None` when the pod has only one.
        container: Option<String>,
        /// Of the run before the present one.
        previous: bool,
        /// How many lines.
        tail: u32,
    },
    /// Kubernetes events.
    Events {
        /// `None`: every namespace.
        namespace: Option<String>,
    },
    /// PromQL at one instant.
    Query {
        /// The expression.
        promql: String,
    },
    /// PromQL over the last minutes.
    Range {
        /// The expression.
        promql: String,
        /// Length of the window that ends now.
        minutes: u32,
    },
    /// Alerts that Prometheus has active.
    Alerts,
    /// Scrape targets.
    Targets,
    /// Alerting and recording rules.
    Rules,
    /// What people wrote down for an alert.
    Runbook {
        /// The alert's name.
        alert: String,
        /// The page that the alert names.
        url: Option<String>,
        /// The alert's labels, by which a file may be found.
        labels: BTreeMap<String, String>,
    },
}

impl Need {
    /// The kind of evidence that the answer is: `state|event|metric|log|config|memory`.
    pub fn evidence_kind(&self) -> &'static str {
        match self {
            Self::Object { .. } | Self::List { .. } => "state",
            Self::Logs { .. } => "log",
            Self::Events { .. } => "event",
            Self::Query { .. } | Self::Range { .. } | Self::Alerts | Self::Targets => "metric",
            Self::Rules => "config",
            Self::Runbook { .. } => "memory",
        }
    }

    pub(super) fn object(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self::Object { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() }
    }

    pub(super) fn list(kind: &str, namespace: Option<&str>) -> Self {
        Self::List { kind: kind.into(), namespace: namespace.map(Into::into), selector: None }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, namespace: Some(namespace), name } => write!(f, "{kind} {namespace}/{name}"),
            Self::Object { kind, namespace: None, name } => write!(f, "{kind} {name}"),
            Self::List { kind, namespace, selector } => {
                write!(f, "every {kind}")?;
                if let Some(namespace) = namespace {
                    write!(f, " in {namespace}")?;
                }
                if let Some(selector) = selector {
                    write!(f, " with {selector}")?;
                }
                Ok(())
            }
            Self::Logs { namespace, pod, container, previous, tail } => {
                write!(f, "last {tail} log lines of {namespace}/{pod}")?;
                if let Some(container) = container {
                    write!(f, " container {container}")?;
                }
                if *previous {
                    f.write_str(", previous run")?;
                }
                Ok(())
            }
            Self::Events { namespace: Some(namespace) } => write!(f, "events in {namespace}"),
            Self::Events { namespace: None } => f.write_str("events in every namespace"),
            Self::Query { promql } => write!(f, "query {promql}"),
            Self::Range { promql, minutes } => write!(f, "query {promql} over {minutes} min"),
            Self::Alerts => f.write_str("active alerts"),
            Self::Targets => f.write_str("scrape targets"),
            Self::Rules => f.write_str("alerting rules"),
            Self::Runbook { alert, .. } => write!(f, "runbook of {alert}"),
        }
    }
}

/// One answer of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Evidence id, `E7` for instance.
    pub id: String,
    /// What was asked.
    pub need: Need,
    /// When it was seen.
    pub at: Timestamp,
    /// `Observation::data`, or in words why there is none.
    pub outcome: Result<Value, String>,
}

/// Everything that the investigator may reason from.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The alerts of the investigation, the opening one first.
    pub events: &'a [SreEvent],
    /// The present moment.
    pub now: Timestamp,
    /// What was seen so far, oldest first.
    pub seen: &'a [Seen],
    /// How many more questions may be asked.
    pub calls_left: u32,
    /// A Kubernetes API can be read.
    pub kubernetes: bool,
    /// A Prometheus can be read.
    pub prometheus: bool,
    /// The question for the runbook, where one can be looked for.
    pub runbook: Option<&'a Need>,
    /// What is to be looked at more closely, because people agreed to it.
    pub closer: &'a [Entity],
}
