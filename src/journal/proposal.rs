//! What a proposer wants: calls as they will be made, and what is made of a model's answer.

use crate::domain::{BlobRef, Effect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call of a tool, as it will be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Ours: `survey_2_5`, `call_3_1`.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
    /// What it does to the world; `None` only looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// What the survey wants to know with it, in its own words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub need: Value,
}

impl Call {
    /// Whether it changes something.
    pub fn acts(&self) -> bool {
        self.effect.is_some_and(|effect| effect != Effect::Read)
    }
}

/// A call that was refused before the policy saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The call as proposed.
    pub call: Call,
    /// What the proposer is told.
    pub remedy: String,
}

/// What we make of a model's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proposal {
    /// It wants to look at something.
    Calls {
        /// Well-formed calls; the gate judges them next.
        accepted: Vec<Call>,
        /// Ill-formed calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rejected: Vec<Rejected>,
        /// They stood in the text of the answer, whole, and were taken from there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
    },
    /// It has come to an end.
    Report {
        /// The report as submitted, well-formed but not verified.
        report: BlobRef,
        /// The call that submits it stood in the text of the answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
    },
    /// Neither.
    Invalid {
        /// What it is told.
        remedy: String,
    },
}
