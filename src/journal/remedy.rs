//! What playbooks write down: what kind of incident it is, whether it still holds, what nothing explains.
//! And the fold's memory of it.

use super::body::Body;
use super::{Deed, Investigation};
use crate::domain::{Class, Entity, classify};
use serde::{Deserialize, Serialize};

/// What kind of incident it is, by its words, its rhythm over all investigations, and the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// As policy judges it: the gravest of what the alerts say and what is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The class whose playbook proposes where no model does; `None` where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<Class>,
    /// What chose the playbook: `route NAME`, or the key in `playbooks`.
    pub by: String,
    /// How often the thing went down within the window of flapping.
    #[serde(default)]
    pub downs: u64,
}

/// Whether what the alert says still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// It holds.
    Confirmed,
    /// It is over, or what it names was seen well.
    Recovered,
    /// Nothing that could be looked at tells.
    Unknown,
}

impl Confirmation {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Recovered => "recovered",
            Self::Unknown => "unknown",
        }
    }
}

/// Cluster and Prometheus were asked whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// What they say.
    pub outcome: Confirmation,
    /// What that rests on, for people.
    pub reason: String,
    /// The evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// Something loud that no known object explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGap {
    /// The same for the same alert about the same thing.
    pub topic: String,
    /// What was looked for in vain.
    pub reason: String,
}

/// What playbooks have written down so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remedy {
    /// The class that was last written down.
    pub classified: Option<Classified>,
    /// Whether it holds, as last looked at.
    pub confirmed: Option<Confirmed>,
    /// What no known object explains, by the last survey.
    pub gap: Option<FailureGap>,
    /// Closer looks that were agreed to and taken up.
    pub deepened: usize,
}

impl Investigation {
    /// The class whose playbook proposes where no model does.
    pub fn playbook(&self) -> Option<Class> {
        let chosen = self.frozen.as_ref().map(|frozen| frozen.playbook.playbook).unwrap_or_default();
        chosen.proposing(self.class)
    }

    /// The class by all alerts, and no milder than what was written down. What a storm is made of has no class in
    /// common beside that.
    pub(super) fn class_now(&self) -> Option<Class> {
        let written = self.remedy.classified.as_ref().and_then(|classified| classified.class);
        match (self.is_storm(), self.flapping) {
            (true, _) => written,
            (false, true) => Some(Class::ServiceFlapping).max(written),
            (false, false) => classify(&self.events).max(written),
        }
    }

    /// What is to be looked at more closely, because people agreed to it.
    pub fn to_look_closer(&self) -> Vec<Entity> {
        self.deeds.iter().filter(|deed| deed.made() == Some(true)).filter_map(Deed::looks_closer).collect()
    }

    pub(super) fn apply_remedy(&mut self, body: &Body) {
        match body {
            Body::Classified(classified) => {
                self.remedy.classified = Some(classified.clone());
                self.class = self.class_now();
            }
            Body::Confirmed(confirmed) => self.remedy.confirmed = Some(confirmed.clone()),
            Body::GapFiled(gap) => self.remedy.gap = Some(gap.clone()),
            _ => {}
        }
    }
}
