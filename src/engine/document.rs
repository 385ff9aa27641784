//! What has to be written down behind a report: an issue where policy demands one, and on it what became
//! of each change. Proposed like anything else, and judged by the same gate.

use super::EngineError;
use super::driver::Session;
use crate::domain::{Effect, Risk};
use crate::journal::{Actor, Body, Call, Deed, DeedState, Draft, Investigation};
use serde_json::{Value, json};

/// The tools that write it down.
const CREATE: &str = "jira_create_issue";
const COMMENT: &str = "jira_comment";
/// How often an issue is proposed: the first time, and once more when that failed.
const MOST: usize = 2;

impl Session<'_> {
    /// Proposes what has to be written down now that a report stands.
    pub(super) fn document(&mut self) -> Result<(), EngineError> {
        let effect = |tool: &str| self.engine.tools.spec(tool).map(|spec| spec.effect);
        for (call, reason) in wanted(&self.inv, effect) {
            let reason = reason.to_owned();
            self.record(Draft::new(Actor::Engine, Body::CallsProposed { calls: vec![call], reason }))?;
        }
        Ok(())
    }
}

/// The calls that write down what is not written down yet, each with its reason.
fn wanted(inv: &Investigation, effect: impl Fn(&str) -> Option<Effect>) -> Vec<(Call, &'static str)> {
    if inv.declined.is_some() || inv.cancelled.is_some() {
        return vec![];
    }
    let call = |id: String, tool: &str, args: Value| {
        let call = Call { id, tool: tool.to_owned(), args, effect: Some(effect(tool)?), need: Value::Null };
        call.acts().then_some(call)
    };
    let revision = inv.report.as_ref().map_or(0, |report| report.revision);
    let issue = must_be_documented(inv)
        .then(|| call(format!("document_{revision}"), CREATE, json!({})))
        .flatten()
        .map(|call| (call, "documented as policy demands"));
    let key = inv.deeds.iter().filter(|deed| deed.action.tool == CREATE).find_map(reference);
    let watched = inv.deeds.iter().filter(|deed| {
        matches!(deed.state, DeedState::Watched { .. }) && ![CREATE, COMMENT].contains(&deed.action.tool.as_str())
    });
    let comments = watched.filter_map(|deed| {
        let id = format!("told_{}", deed.action.id);
        let is_new = inv.calls.iter().all(|known| known.call.id != id);
        let call = call(id, COMMENT, json!({"key": key?, "about": deed.action.id.to_string()}))?;
        is_new.then_some((call, "what became of a change belongs beside the incident"))
    });
    issue.into_iter().chain(comments).collect()
}

/// Policy wants an issue, none stands or is under way, and nobody said no to it.
fn must_be_documented(inv: &Investigation) -> bool {
    let wanted = inv.risk >= Some(Risk::High) || inv.duties.contains("jira");
    let asked = inv.calls.iter().filter(|known| known.call.id.starts_with("document_")).count();
    let deeds = || inv.deeds.iter().filter(|deed| deed.action.tool == CREATE);
    // What was denied a model says nothing about ours.
    let ours = |deed: &&Deed| deed.proposer == Actor::Engine;
    let refused = || deeds().filter(ours).any(|deed| matches!(deed.state, DeedState::Refused { .. }));
    wanted && asked < MOST && !deeds().any(Deed::holds_scope) && !refused()
}

/// What names in the world what was made.
fn reference(deed: &Deed) -> Option<&str> {
    match &deed.state {
        DeedState::Done { receipt, .. } | DeedState::Watched { receipt, .. } => Some(&receipt.reference),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, ActionId, BlastRadius, Digest, Marker, Preview, Receipt, Retry, Target};
    use crate::journal::{CallState, Progress, Watched};
    use uuid::Uuid;

    fn deed(number: u128, tool: &str, proposer: Actor, state: DeedState) -> Deed {
        let action = Action {
            id: ActionId::new(Uuid::from_u128(number)),
            tool: tool.into(),
            effect: Effect::Record,
            reversible: true,
            args: Value::Null,
            title: "t".into(),
            targets: vec![Target::default()],
            preview: Preview::default(),
            precondition: Value::Null,
            carries: Value::Null,
            undo: None,
            retry: Retry::Settle,
            blast_radius: BlastRadius::default(),
            facts: Value::Null,
            nonce: String::new(),
        };
        let keys = action.keys(&Digest::of("i"));
        Deed {
            call_id: "c".into(),
            proposer,
            marker: Marker::sign(&keys.scope, b"k"),
            action,
            keys,
            plans: 1,
            ruling: None,
            judged_as: None,
            questions: vec![],
            attempts: 1,
            started_at: None,
            send_by: None,
            put_offs: 0,
            not_before: None,
            looks: 0,
            looked_at: None,
            state,
        }
    }

    fn done() -> DeedState {
        let receipt = Receipt { reference: "OPS-7".into(), summary: String::new(), detail: Value::Null };
        DeedState::Watched { receipt, outcome: Watched::Held }
    }

    fn failed() -> DeedState {
        DeedState::Failed { error: "no".into() }
    }

    fn refused() -> DeedState {
        DeedState::Refused { reason: "policy".into() }
    }

    fn known(inv: &mut Investigation, id: &str) {
        let call = Call {
            id: id.into(),
            tool: CREATE.into(),
            args: json!({}),
            effect: Some(Effect::Record),
            need: Value::Null,
        };
        inv.calls.push(CallState { call, turn: None, progress: Progress::Planned });
    }

    fn ids(inv: &Investigation) -> Vec<String> {
        wanted(inv, |_| Some(Effect::Record)).into_iter().map(|(call, _)| call.id).collect()
    }

    #[test]
    fn an_issue_is_wanted_where_policy_demands_one_and_none_stands() {
        let model = || Actor::Model("m".into());
        type Change = fn(&mut Investigation);
        let cases: [(&str, Change, bool); 7] = [
            ("HIGH", |inv| inv.risk = Some(Risk::High), true),
            ("LOW", |inv| inv.risk = Some(Risk::Low), false),
            ("a duty at LOW", |inv| inv.duties.extend(["jira".to_owned()]), true),
            ("another duty", |inv| inv.duties.extend(["notify".to_owned()]), false),
            ("declined", |inv| (inv.risk, inv.declined) = (Some(Risk::Critical), Some("no".into())), false),
            ("cancelled", |inv| (inv.risk, inv.cancelled) = (Some(Risk::High), Some("no".into())), false),
            (
                "tried twice",
                |inv| {
                    inv.risk = Some(Risk::High);
                    ["document_1", "document_2"].into_iter().for_each(|id| known(inv, id));
                },
                false,
            ),
        ];
        for (what, change, expected) in cases {
            let mut inv = Investigation::empty("inv");
            change(&mut inv);
            assert_eq!(!ids(&inv).is_empty(), expected, "{what}");
        }
        for (what, proposer, state, expected) in [
            ("stands", Actor::Engine, done(), false),
            ("stands, of a model", model(), done(), false),
            ("may be there", Actor::Engine, DeedState::Doubtful { look_at: None }, false),
            ("failed", Actor::Engine, failed(), true),
            ("refused", Actor::Engine, refused(), false),
            ("a model's was refused", model(), refused(), true),
        ] {
            let mut inv = Investigation::empty("inv");
            inv.risk = Some(Risk::High);
            inv.deeds.push(deed(1, CREATE, proposer, state));
            assert_eq!(!ids(&inv).is_empty(), expected, "{what}");
        }
        let mut inv = Investigation::empty("inv");
        inv.risk = Some(Risk::High);
        assert!(wanted(&inv, |_| None).is_empty(), "without a Jira nobody can");
    }

    #[test]
    fn what_became_of_each_change_is_told_once() {
        let mut inv = Investigation::empty("inv");
        inv.deeds.push(deed(2, "kubernetes_scale", Actor::Engine, done()));
        assert!(ids(&inv).is_empty(), "there is no issue to tell it on");
        inv.deeds.push(deed(1, CREATE, Actor::Engine, done()));
        inv.deeds.push(deed(3, COMMENT, Actor::Engine, done()));
        inv.deeds.push(deed(4, "kubernetes_scale", Actor::Engine, failed()));
        let id = format!("told_{}", ActionId::new(Uuid::from_u128(2)));
        assert_eq!(ids(&inv), std::slice::from_ref(&id));
        let (call, _) = wanted(&inv, |_| Some(Effect::Record)).remove(0);
        assert_eq!(call.args, json!({"key": "OPS-7", "about": ActionId::new(Uuid::from_u128(2)).to_string()}));
        known(&mut inv, &id);
        assert!(ids(&inv).is_empty());
    }
}
