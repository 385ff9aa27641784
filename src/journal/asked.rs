//! A question to people as the API shows it.

use super::deed::{Deed, Question};
use super::{Actor, Investigation};
use crate::domain::{
    ActionId, ApprovalId, ApprovalState, BlastRadius, Digest, Effect, InvestigationId, Person, Risk, granted_by,
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

    /// Whether `person` may answer it, as [`Deed::may_be_answered_by`] says.
    pub fn may_be_answered_by(&self, person: &Person) -> bool {
        let own = self.is_own_of(person) && !person.every_group;
        !own && self.requirements.iter().any(|asked| person.is_in_any(&asked.groups))
    }

    /// Whether `person` proposed what it is about.
    pub fn is_own_of(&self, person: &Person) -> bool {
        self.proposed_by == Actor::Person(person.name.clone()).to_string()
    }

    /// Whether somebody of this name has agreed.
    pub fn has_agreed(&self, name: &str) -> bool {
        self.requirements.iter().any(|asked| asked.granted_by.iter().any(|by| by == name))
    }

    /// The same with `person` agreeing, too.
    #[must_use]
    pub fn agreed_by(mut self, person: &Person) -> Self {
        let fits = |asked: &&mut AskedOf| person.is_in_any(&asked.groups) && !asked.granted_by.contains(&person.name);
        self.requirements.iter_mut().filter(fits).for_each(|asked| asked.granted_by.push(person.name.clone()));
        self
    }

    /// Everybody who has to has agreed.
    pub fn is_granted(&self) -> bool {
        let enough =
            |asked: &AskedOf| asked.granted_by.len() >= usize::try_from(asked.count.max(1)).unwrap_or(usize::MAX);
        !self.requirements.is_empty() && self.requirements.iter().all(enough)
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

/// A question that stands, number `n`, for tests elsewhere.
#[cfg(test)]
pub(crate) fn sample(n: u128, investigation: InvestigationId) -> ApprovalView {
    let at = |text: &str| text.parse::<Timestamp>().unwrap_or(Timestamp::UNIX_EPOCH);
    let needs = |rule: &str, groups: &[&str]| AskedOf {
        rule: rule.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        count: 1,
        granted_by: vec![],
    };
    ApprovalView {
        id: ApprovalId::new(uuid::Uuid::from_u128(n)),
        state: ApprovalState::Pending,
        investigation,
        action: AskedAction {
            id: ActionId::new(uuid::Uuid::from_u128(n)),
            tool: "kubernetes_scale".into(),
            effect: Effect::Write,
            title: "scale Deployment payments/api from 2 to 3 replicas".into(),
            target: "Deployment payments/api".into(),
            args: serde_json::json!({"kind": "Deployment", "namespace": "payments", "name": "api", "replicas": 3}),
            preview: "  spec:\n-   replicas: 2\n+   replicas: 3".into(),
            blast_radius: BlastRadius { known: true, pods: 2, namespaces: 1, ..BlastRadius::default() },
            reversible: true,
        },
        action_digest: Digest::of(n.to_string()),
        risk: Some(Risk::Medium),
        requirements: vec![needs("action/pressure", &["oncall"])],
        alert: "KubeDeploymentSaturated".into(),
        proposed_by: "model:main".into(),
        reason: "under pressure every write is asked (action/pressure)".into(),
        requested_at: at("2026-11-20T23:55:00Z"),
        expires_at: at("2026-11-21T00:10:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, groups: &[&str]) -> Person {
        Person { name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), every_group: false }
    }

    #[test]
    fn who_may_answer_is_in_a_group_and_did_not_propose_it() {
        let mut view = sample(1, InvestigationId::new(uuid::Uuid::nil()));
        let local = |name: &str| Person { every_group: true, ..person(name, &[]) };
        assert!(view.may_be_answered_by(&person("ann", &["oncall"])) && view.may_be_answered_by(&local("local")));
        assert!(!view.may_be_answered_by(&person("ann", &["leads"])));
        view.proposed_by = "person:ann".into();
        assert!(!view.may_be_answered_by(&person("ann", &["oncall"])));
        assert!(view.may_be_answered_by(&person("bea", &["oncall"])) && view.may_be_answered_by(&local("ann")));
        // A model may call itself what it likes.
        view.proposed_by = "model:ann".into();
        assert!(view.may_be_answered_by(&person("ann", &["oncall"])));
    }

    #[test]
    fn each_requirement_counts_different_people() {
        let mut view = sample(1, InvestigationId::new(uuid::Uuid::nil()));
        view.requirements[0].count = 2;
        let (ann, bea) = (person("ann", &["oncall"]), person("bea", &["oncall", "leads"]));
        let twice = view.clone().agreed_by(&ann).agreed_by(&ann);
        assert!(twice.has_agreed("ann") && !twice.has_agreed("bea") && !twice.is_granted());
        assert!(twice.agreed_by(&bea).is_granted());
        let leads = AskedOf { groups: vec!["leads".into()], ..view.requirements[0].clone() };
        view.requirements = vec![AskedOf { count: 0, ..view.requirements[0].clone() }, AskedOf { count: 1, ..leads }];
        assert!(!view.clone().agreed_by(&ann).is_granted() && view.clone().agreed_by(&bea).is_granted());
        view.requirements.clear();
        assert!(!view.agreed_by(&bea).is_granted(), "nothing is approved by nobody");
    }
}
