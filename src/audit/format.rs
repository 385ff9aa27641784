//! Entries in the words of other systems.

use crate::domain::{Risk, Verdict};
use crate::journal::{Actor, Body, Entry};
use serde_json::{Value, json};

/// How entries are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Our own words, one entry a line.
    #[default]
    Jsonl,
    /// CloudEvents 1.0, JSON format.
    CloudEvents,
    /// OCSF, API Activity.
    Ocsf,
    /// OPA's decision log: a line for each decision, and none for other entries.
    Opa,
}

impl Format {
    /// The format called `word`.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "jsonl" => Some(Self::Jsonl),
            "cloudevents" => Some(Self::CloudEvents),
            "ocsf" => Some(Self::Ocsf),
            "opa" => Some(Self::Opa),
            _ => None,
        }
    }

    /// The words that name formats, for people.
    pub const NAMES: &str = "jsonl, cloudevents, ocsf or opa";

    /// `entry`, line `position` (from 1) of the log called `origin`; `None` where the format has no words for
    /// entries.
    ///
    /// # Errors
    /// When the entry is no JSON.
    pub fn entry(self, entry: &Entry, position: u64, origin: &str) -> serde_json::Result<Option<Value>> {
        let whole = serde_json::to_value(entry)?;
        Ok(Some(match self {
            Self::Opa => return Ok(None),
            Self::Jsonl => json!({"position": position, "entry": whole}),
            Self::CloudEvents => json!({
                "specversion": "1.0",
                "id": id(entry),
                "source": format!("urn:firewarden:{origin}"),
                "type": format!("io.firewarden.journal.{}", entry.body.kind()),
                "subject": entry.chain,
                "time": entry.at,
                "datacontenttype": "application/json",
                // The extension `sequence`: its order is that of texts.
                "sequence": format!("{position:020}"),
                "data": whole,
            }),
            Self::Ocsf => ocsf(entry, whole, position, origin),
        }))
    }
}

fn id(entry: &Entry) -> String {
    format!("{}/{}", entry.chain, entry.seq)
}

/// The version of OCSF whose words are used.
const OCSF: &str = "1.3.0";
/// API Activity, of the category Application Activity.
const CLASS: u32 = 6003;

fn ocsf(entry: &Entry, whole: Value, position: u64, origin: &str) -> Value {
    let activity = activity(&entry.body);
    let (severity_id, severity) = severity(&entry.body);
    let status = status(&entry.body);
    let actor = match &entry.actor {
        Actor::Person(name) => json!({"user": {"name": name}}),
        other => json!({"app_name": other.to_string()}),
    };
    json!({
        "class_uid": CLASS,
        "class_name": "API Activity",
        "category_uid": 6,
        "category_name": "Application Activity",
        "activity_id": activity,
        "type_uid": CLASS * 100 + activity,
        "time": entry.at.as_millisecond(),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status,
        "actor": actor,
        "api": {"operation": entry.body.kind(), "service": {"name": "firewarden"}},
        "src_endpoint": {"name": origin},
        "message": format!("{} by {}", entry.body.kind(), entry.actor),
        "metadata": {
            "version": OCSF,
            "uid": id(entry),
            "correlation_uid": entry.chain,
            "sequence": position,
            "log_name": origin,
            "product": {"name": "firewarden", "vendor_name": "firewarden", "version": env!("CARGO_PKG_VERSION")},
        },
        "unmapped": {"entry": whole},
    })
}

/// Create 1, Read 2, Update 3, Delete 4, Other 99.
fn activity(body: &Body) -> u32 {
    match body {
        Body::EventReceived { .. } | Body::Reported { .. } | Body::ApprovalRequested { .. } => 1,
        Body::ReadStarted { .. } | Body::ReadFinished { .. } | Body::ReadFailed { .. } => 2,
        Body::ActionStarted { .. } | Body::ActionFinished { .. } | Body::ActionFailed { .. } => 3,
        Body::PayloadsDeleted { .. } => 4,
        _ => 99,
    }
}

fn severity(body: &Body) -> (u32, &'static str) {
    let level = match body {
        Body::RiskAssessed { decision, .. } => Some(decision.level),
        Body::RiskRaised { to, .. } => Some(*to),
        _ => None,
    };
    match level {
        None => (1, "Informational"),
        Some(Risk::Low) => (2, "Low"),
        Some(Risk::Medium) => (3, "Medium"),
        Some(Risk::High) => (4, "High"),
        Some(Risk::Critical) => (5, "Critical"),
    }
}

/// Unknown 0, Success 1, Failure 2.
fn status(body: &Body) -> u32 {
    match body {
        Body::ActionRuled { ruling, .. } | Body::ReadStarted { ruling, .. } => match ruling.verdict {
            Verdict::Allow => 1,
            Verdict::Ask => 0,
            Verdict::Deny => 2,
        },
        Body::ReadFinished { .. } | Body::ActionFinished { .. } | Body::Reported { .. } => 1,
        Body::ApprovalDecided { granted, .. } => {
            if *granted {
                1
            } else {
                2
            }
        }
        Body::ReadFailed { .. } | Body::ActionFailed { .. } | Body::ModelFailed { .. } | Body::CallRejected { .. } => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Draft, Head};
    use jiff::Timestamp;

    #[test]
    fn an_entry_in_the_words_of_others() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let draft = Draft::new(Actor::Person("ada".into()), Body::Cancelled { reason: "r".into() });
        let entry = Head::genesis("inv_1").seal("inv_1", at, draft).unwrap();
        let all: Vec<Value> = ["jsonl", "cloudevents", "ocsf"]
            .map(|word| Format::named(word).unwrap().entry(&entry, 12, "log.example/a").unwrap().unwrap())
            .to_vec();
        assert!(
            all.iter().all(|value| value.to_string().contains(entry.hash.as_str())),
            "each carries the whole entry"
        );
        let shown = serde_json::to_string_pretty(&all).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(shown);
        assert_eq!(Format::named("xml"), None);
    }
}
