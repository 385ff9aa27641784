//! The parts of the contract, and the sets in them that mean something.

use super::super::combine::{ACTION_DUTIES, ACTION_SETS, RISK_DUTIES, RISK_SETS};

/// A part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Area {
    Risk,
    Action,
    Lib,
}

impl Area {
    pub(in crate::policy) fn of(word: &str) -> Option<Self> {
        match word {
            "risk" => Some(Self::Risk),
            "action" => Some(Self::Action),
            "lib" => Some(Self::Lib),
            _ => None,
        }
    }

    pub(in crate::policy) fn as_str(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Action => "action",
            Self::Lib => "lib",
        }
    }

    pub(super) fn sets(self) -> &'static [&'static str] {
        match self {
            Self::Risk => RISK_SETS,
            Self::Action => ACTION_SETS,
            Self::Lib => &[],
        }
    }

    pub(super) fn duties(self) -> &'static [&'static str] {
        match self {
            Self::Risk => RISK_DUTIES,
            Self::Action | Self::Lib => ACTION_DUTIES,
        }
    }
}

/// A set that contributes to decisions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct ContributingSet {
    pub(in crate::policy) area: Area,
    pub(in crate::policy) module: String,
    pub(in crate::policy) set: String,
}

impl ContributingSet {
    /// The path that the interpreter knows.
    pub(in crate::policy) fn path(&self) -> String {
        format!("firewarden.{}.{}.{}", self.area.as_str(), self.module, self.set)
    }

    /// The full name of the rule `id` of this set.
    pub(in crate::policy) fn rule(&self, id: &str) -> String {
        format!("{}/{}/{id}", self.area.as_str(), self.module)
    }
}
