//! A question to people as the API shows it.

use super::acting::{Deed, Question};
use super::{Actor, Investigation};
use crate::domain::{
    ActionId, ApprovalId, ApprovalState, BlastRadius, Digest, Effect, InvestigationId, Risk, granted_by,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A question for readers outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// `apr_…`.
    pub id: ApprovalId,
    /// How far it has come.
    pub state: ApprovalState,
    /// The investigation.
    pub investigation: InvestigationId,
    /// The change.
    pub action: AskedAction,
    /// What an answer has to name.
    pub action_digest: Digest,
    /// The level at which it was asked.
    pub risk: Option<Risk>,
    /// Who has to agree, and who has.
    pub requirements: Vec<AskedOf>,
    /// The alert that it is about.
    pub alert: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// Why it is asked, or why it ended.
    pub reason: String,
    /// When.
    pub requested_at: Timestamp,
    /// From then on it is a no.
    pub expires_at: Timestamp,
}

/// The change as the approver sees it: typed by us, none of it the model's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedAction {
    /// `act_…`.
    pub id: ActionId,
    /// The tool.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// In one line.
    pub title: String,
    /// Every object, `Deployment payments/api`.
    pub target: String,
    /// The exact arguments.
    pub args: Value,
    /// What would change.
    pub preview: String,
    /// What would suffer.
    pub blast_radius: BlastRadius,
    /// It can be taken back.
    pub reversible: bool,
}

/// A requirement and who has met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedOf {
    /// The rule.
    pub rule: String,
    /// Any of these groups.
    pub groups: Vec<String>,
    /// Different people.
    pub count: u32,
    /// Who has agreed.
    pub granted_by: Vec<String>,
}

impl ApprovalView {
    /// Every question of `investigation`, in order.
    pub fn all(investigation: &Investigation) -> Vec<Self> {
        let Ok(id) = investigation.chain.parse::<InvestigationId>() else { return vec![] };
        let alert = investigation.opening().map(|event| event.name.clone()).unwrap_or_default();
        let each = |deed: &Deed| deed.questions.iter().map(|q| Self::of(id, &alert, deed, q)).collect::<Vec<_>>();
        investigation.deeds.iter().flat_map(each).collect()
    }

    fn of(investigation: InvestigationId, alert: &str, deed: &Deed, question: &Question) -> Self {
        let action = &deed.action;
        let why = || deed.ruling.as_ref().map(|(ruling, _)| super::acting::reasons(ruling)).unwrap_or_default();
        Self {
            id: question.id,
            state: question.state,
            investigation,
            action: AskedAction {
                id: action.id,
                tool: action.tool.clone(),
                effect: action.effect,
                title: action.title.clone(),
                target: action.targets.iter().map(crate::domain::Target::label).collect::<Vec<_>>().join(", "),
                args: action.args.clone(),
                preview: action.preview.text.clone(),
                blast_radius: action.blast_radius.clone(),
                reversible: action.reversible,
            },
            action_digest: question.digest.clone(),
            risk: question.level,
            requirements: question
                .requirements
                .iter()
                .map(|requirement| AskedOf {
                    rule: requirement.rule.clone(),
                    groups: requirement.groups.clone(),
                    count: requirement.count,
                    granted_by: granted_by(requirement, &question.grants).into_iter().map(str::to_owned).collect(),
                })
                .collect(),
            alert: alert.to_owned(),
            proposed_by: match &deed.proposer {
                Actor::Engine => "firewarden".to_owned(),
                other => other.to_string(),
            },
            reason: if question.reason.is_empty() { why() } else { question.reason.clone() },
            requested_at: question.requested_at,
            expires_at: question.expires_at,
        }
    }
}
