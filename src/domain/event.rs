//! What arrived: an alert of any sender in our words.

use super::risk::words;
use super::{BlobRef, Digest, EventId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What [`SreEvent::via`] begins with where a poller was told of it. No sender's name begins so.
pub const POLLER: &str = "poller:";

words! {
    /// How loud the sender was. Severity belongs to the alert; what may be done is [`super::Risk`].
    Severity:
    /// Somebody wants to know.
    Info = "info",
    /// Somebody should look.
    Warning = "warning",
    /// Something is broken.
    Error = "error",
    /// Somebody is woken.
    Critical = "critical",
}

impl Severity {
    /// Reads the words that senders use. Any unknown word is an error: never quieter than it was.
    pub fn from_sender(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "page" | "fatal" | "emergency" | "critical" => Self::Critical,
            "warning" | "warn" | "minor" | "" => Self::Warning,
            "info" | "none" | "ok" => Self::Info,
            _ => Self::Error,
        }
    }
}

words! {
    /// Whether the alert still holds.
    AlertStatus:
    /// It holds.
    Firing = "firing",
    /// It is over.
    Resolved = "resolved",
}

words! {
    /// What kind of thing the alert is about.
    ResourceType:
    /// Nothing that we know.
    Unknown = "unknown",
    /// A PersistentVolumeClaim.
    K8sPvc = "k8s_pvc",
    /// A Pod.
    K8sPod = "k8s_pod",
    /// A Node.
    K8sNode = "k8s_node",
    /// A Deployment.
    K8sDeployment = "k8s_deployment",
    /// A StatefulSet.
    K8sStatefulset = "k8s_statefulset",
    /// A Job or CronJob.
    K8sJob = "k8s_job",
    /// A Ceph cluster or pool.
    Ceph = "ceph",
    /// A database.
    Database = "database",
    /// A certificate.
    Certificate = "certificate",
    /// A machine outside of Kubernetes.
    Host = "host",
    /// A service as its users see it.
    Service = "service",
}

/// The thing that the alert names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// Its name; empty when the alert names nothing.
    pub id: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its cluster.
    pub cluster: Option<String>,
}

impl Resource {
    /// Nothing that has a name.
    pub fn nothing() -> Self {
        Self { kind: ResourceType::Unknown, id: String::new(), namespace: None, cluster: None }
    }
}

/// An address that the sender gave. Shown to people; only a runbook is ever fetched, and only from a host
/// that the configuration lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `source`, `runbook`, `dashboard`, …
    pub rel: String,
    /// The address as given.
    pub url: String,
}

/// One alert, mapped and redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SreEvent {
    /// Our id.
    pub id: EventId,
    /// Who sent it: `alertmanager`, `grafana`, …
    pub source: String,
    /// The sender's identity of the alert, constant over its episodes.
    pub fingerprint: String,
    /// The sender's group, if it groups.
    pub group_key: Option<String>,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// How loud.
    pub severity: Severity,
    /// The alert's name.
    pub name: String,
    /// Whom it concerns, for people.
    pub subject: String,
    /// What it concerns.
    pub resource: Resource,
    /// One line for a list.
    pub title: String,
    /// What the sender says, with the namespace in front.
    pub description: String,
    /// The sender's labels.
    pub labels: BTreeMap<String, String>,
    /// The sender's annotations: free text, untrusted.
    pub annotations: BTreeMap<String, String>,
    /// Start of the episode.
    pub starts_at: Timestamp,
    /// End of the episode, once known.
    pub ends_at: Option<Timestamp>,
    /// When we got it.
    pub received_at: Timestamp,
    /// Addresses for people.
    pub links: Vec<Link>,
    /// The full alert as received, redacted.
    pub raw: BlobRef,
    /// HMAC-SHA256 of the original bytes, hexadecimal: proves later what was received.
    pub raw_hmac: String,
    /// How it arrived, where it was not sent: `poller:NAME`. Only routes ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The poller that ended it, as `poller:NAME`: it was not told of it any more, its sender did not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

impl SreEvent {
    /// The delivery key: repeats and copies of one alert episode share it. Its start counts to the
    /// millisecond: Alertmanager's API tells no more, where its webhook tells nanoseconds.
    pub fn delivery_key(&self) -> Digest {
        let starts_at = Timestamp::from_millisecond(self.starts_at.as_millisecond()).unwrap_or(self.starts_at);
        Digest::of_parts([&self.source, &self.fingerprint, &starts_at.to_string()])
    }

    /// At most 500 characters for lists and inputs.
    pub fn summary(&self) -> String {
        self.description.chars().take(500).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_of_the_field_are_understood_and_unknown_ones_are_not_quiet() {
        for (word, expected) in [
            ("page", Severity::Critical),
            ("Emergency", Severity::Critical),
            ("major", Severity::Error),
            ("minor", Severity::Warning),
            ("", Severity::Warning),
            ("none", Severity::Info),
            ("sev-42", Severity::Error),
        ] {
            assert_eq!(Severity::from_sender(word), expected, "{word}");
        }
    }
}
