//! How dangerous an incident is, what a call would do, and what may happen at most.

use super::{DecisionId, Digest, Duties, Requirement};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A word that is not in a vocabulary of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {expected}")]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// The words that would have been understood.
    pub expected: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, weakest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;

            /// Accepts the word in any case.
            fn from_str(text: &str) -> Result<Self, $crate::domain::UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| $crate::domain::UnknownWord {
                    word: text.chars().take(80).collect(),
                    expected: concat!($($word, " "),+).trim_ascii_end(),
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What an incident permits. Severity belongs to the alert; risk is ours, given by policy.
    Risk:
    /// May remediate alone.
    Low = "LOW",
    /// May open a pull request alone.
    Medium = "MEDIUM",
    /// Investigates and documents alone.
    High = "HIGH",
    /// Dispatches no agent: people are told at once. Only policy says so.
    Critical = "CRITICAL",
}

words! {
    /// What a call does to the world. Every tool declares one; there is no default.
    Effect:
    /// Looks.
    Read = "read",
    /// Writes something down, in a ticket for instance.
    Record = "record",
    /// Proposes a change that others merge, a pull request for instance.
    Propose = "propose",
    /// Changes something that can be changed back.
    Write = "write",
    /// Removes what cannot be brought back.
    Destroy = "destroy",
}

words! {
    /// The answer to "may this happen?". Answers merge to the strictest, which is the greatest.
    Verdict:
    /// Yes, alone.
    Allow = "allow",
    /// Only when a named person approved this exact action.
    Ask = "ask",
    /// No.
    Deny = "deny",
}

/// What may happen at most, whatever the policy says. Rego can only be stricter, and an approval
/// never lifts it.
pub const fn floor(risk: Risk, effect: Effect) -> Verdict {
    use {Effect::*, Risk::*, Verdict::*};
    match (risk, effect) {
        (Critical, _) => Deny,
        (Low, Destroy) => Ask,
        (Low, _) => Allow,
        (Medium, Read | Record | Propose) => Allow,
        (Medium, Write | Destroy) => Ask,
        (High, Read | Record) => Allow,
        (High, Propose | Write) => Ask,
        (High, Destroy) => Deny,
    }
}

/// One contribution of one rule, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `area/module/id`, `risk/base/severity` for instance; `engine/…` for our own.
    pub rule: String,
    /// What the rule did: `level`, `raise`, `deny`, `approve`, `allow`.
    pub effect: String,
    /// Why, in the policy author's words.
    pub reason: String,
    /// `file:line` of the rule, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A contribution that an exception of the organisation took out of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excepted {
    /// The exception.
    pub id: String,
    /// The rule that did not count.
    pub rule: String,
    /// What the rule would have done: `approve`, `raise` or `warn`.
    pub effect: String,
    /// Until when the exception holds.
    pub until: Timestamp,
    /// Who answers for it.
    pub owner: String,
    /// Why, in the owner's words.
    pub reason: String,
}

/// Which policy judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// Digest over every file of the bundle, the engine's version and the contract.
    pub digest: Digest,
    /// The bundle's name and version.
    pub bundle: String,
}

/// What the policy says of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskDecision {
    /// Its id.
    pub id: DecisionId,
    /// The level after all raises.
    pub level: Risk,
    /// What contributed, strongest first.
    pub reasons: Vec<Reason>,
    /// Raises that an exception took out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Excepted>,
    /// Duties that come with the level (`{id, kind, …}`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<serde_json::Value>,
    /// The bundle that judged.
    pub policy: PolicyRef,
    /// Digest of the canonical input.
    pub input_digest: Digest,
    /// Why the evaluation failed, if it did; the level is then CRITICAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the policy says of a call, floor included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Its id.
    pub id: DecisionId,
    /// The verdict, never weaker than [`floor`].
    pub verdict: Verdict,
    /// What contributed, strictest first.
    pub reasons: Vec<Reason>,
    /// Requirements and warnings that an exception took out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Excepted>,
    /// Who has to agree; empty unless the verdict is ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// How long the question stands, in seconds, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// What is demanded beside; nothing unless the verdict is allow or ask.
    #[serde(default, skip_serializing_if = "Duties::is_none")]
    pub duties: Duties,
    /// A short remedy for the proposer; never rule internals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_model: Option<String>,
    /// The bundle that judged.
    pub policy: PolicyRef,
    /// Digest of the canonical input.
    pub input_digest: Digest,
    /// Why the evaluation failed, if it did; the verdict is then deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_published_table() {
        let row = |risk| Effect::ALL.iter().map(|e| floor(risk, *e).as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(row(Risk::Low), "allow allow allow allow ask");
        assert_eq!(row(Risk::Medium), "allow allow allow ask ask");
        assert_eq!(row(Risk::High), "allow allow ask ask deny");
        assert_eq!(row(Risk::Critical), "deny deny deny deny deny");
    }

    #[test]
    fn more_risk_or_more_effect_is_never_less_strict() {
        for risks in Risk::ALL.windows(2) {
            for effects in Effect::ALL.windows(2) {
                assert!(floor(risks[0], effects[0]) <= floor(risks[1], effects[0]));
                assert!(floor(risks[0], effects[0]) <= floor(risks[0], effects[1]));
            }
        }
    }

    #[test]
    fn words_are_read_in_any_case_and_written_in_one() {
        assert_eq!("high".parse(), Ok(Risk::High));
        assert_eq!(serde_json::to_value(Risk::High).unwrap(), "HIGH");
        assert_eq!(
            "severe".parse::<Risk>().unwrap_err().to_string(),
            "`severe` is not one of LOW MEDIUM HIGH CRITICAL"
        );
    }
}
