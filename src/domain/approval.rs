//! Questions to people: who may answer, who did, and when an answer counts.

use super::risk::words;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a question stands when no rule says otherwise, in seconds.
pub const APPROVAL_EXPIRES_S: u64 = 15 * 60;

words! {
    /// How far a question has come.
    ApprovalState:
    /// Nobody has decided.
    Pending = "pending",
    /// Everybody who had to has agreed; the change is about to be made.
    Approved = "approved",
    /// The change is under way.
    Executing = "executing",
    /// The change was made.
    Succeeded = "succeeded",
    /// The change was not made: the target refused it, or policy does at the last moment.
    Failed = "failed",
    /// Whether the change was made cannot be told.
    Unknown = "unknown",
    /// A person said no.
    Denied = "denied",
    /// Nobody answered in time, which means no.
    Expired = "expired",
    /// The investigation no longer wants it.
    Withdrawn = "withdrawn",
    /// What was asked about has changed; it is asked anew where it is still wanted.
    Invalidated = "invalidated",
}

impl ApprovalState {
    /// Nothing more will come of it.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Approved | Self::Executing => false,
            Self::Succeeded
            | Self::Failed
            | Self::Unknown
            | Self::Denied
            | Self::Expired
            | Self::Withdrawn
            | Self::Invalidated => true,
        }
    }
}

/// So many members of one of these groups have to agree, because a rule says so. All requirements of
/// a question have to be met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The rule.
    pub rule: String,
    /// Any of these groups.
    pub groups: Vec<String>,
    /// Different people.
    pub count: u32,
}

/// Somebody who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name that the server knows them by.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// They belong to every group: the only user of a server on loopback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_group: bool,
}

impl Person {
    /// Whether they may speak for one of `groups`.
    pub fn is_in_any(&self, groups: &[String]) -> bool {
        self.every_group || groups.iter().any(|group| self.groups.contains(group))
    }
}

/// Somebody agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// What they wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Whether `person` may answer a question with `requirements` at all.
pub fn may_answer(person: &Person, requirements: &[Requirement]) -> bool {
    requirements.iter().any(|requirement| person.is_in_any(&requirement.groups))
}

/// Who has met a requirement so far, by name, each once.
pub fn granted_by<'g>(requirement: &Requirement, grants: &'g [Grant]) -> BTreeSet<&'g str> {
    grants.iter().filter(|grant| grant.by.is_in_any(&requirement.groups)).map(|grant| grant.by.name.as_str()).collect()
}

/// Whether `grants` meet all of `requirements`. None at all is no answer: nothing is approved by
/// nobody.
pub fn is_met(requirements: &[Requirement], grants: &[Grant]) -> bool {
    let met = |requirement: &Requirement| {
        let enough = usize::try_from(requirement.count.max(1)).unwrap_or(usize::MAX);
        granted_by(requirement, grants).len() >= enough
    };
    !requirements.is_empty() && requirements.iter().all(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(name: &str, groups: &[&str]) -> Grant {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        let by = Person { name: name.into(), groups, every_group: false };
        Grant { by, at: Timestamp::UNIX_EPOCH, comment: String::new() }
    }

    fn needs(groups: &[&str], count: u32) -> Requirement {
        Requirement { rule: "r".into(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), count }
    }

    #[test]
    fn every_requirement_needs_enough_different_people() {
        let oncall = || grant("ann", &["oncall"]);
        let lead = || grant("bea", &["oncall", "leads"]);
        for (what, requirements, grants, met) in [
            ("nothing required", vec![], vec![oncall()], false),
            ("nobody", vec![needs(&["oncall"], 1)], vec![], false),
            ("one", vec![needs(&["oncall"], 1)], vec![oncall()], true),
            ("another group", vec![needs(&["leads"], 1)], vec![oncall()], false),
            ("either group", vec![needs(&["leads", "oncall"], 1)], vec![oncall()], true),
            ("the same person twice", vec![needs(&["oncall"], 2)], vec![oncall(), oncall()], false),
            ("four eyes", vec![needs(&["oncall"], 2)], vec![oncall(), lead()], true),
            ("one of two rules", vec![needs(&["oncall"], 1), needs(&["leads"], 1)], vec![oncall()], false),
            ("both rules, one person", vec![needs(&["oncall"], 1), needs(&["leads"], 1)], vec![lead()], true),
            ("a count of none is one", vec![needs(&["oncall"], 0)], vec![], false),
            ("groups that nobody is in", vec![needs(&[], 1)], vec![lead()], false),
        ] {
            assert_eq!(is_met(&requirements, &grants), met, "{what}");
        }
    }

    #[test]
    fn who_may_answer_is_in_a_group_that_counts() {
        let ann = grant("ann", &["oncall"]).by;
        assert!(may_answer(&ann, &[needs(&["leads"], 1), needs(&["oncall"], 1)]));
        assert!(!may_answer(&ann, &[needs(&["leads"], 1)]) && !may_answer(&ann, &[]));
        let local = Person { name: "local".into(), groups: vec![], every_group: true };
        assert!(may_answer(&local, &[needs(&["leads"], 1)]));
    }

    #[test]
    fn states_are_final_or_not() {
        let open: Vec<_> = ApprovalState::ALL.iter().filter(|s| !s.is_final()).map(|s| s.as_str()).collect();
        assert_eq!(open, ["pending", "approved", "executing"]);
    }
}
