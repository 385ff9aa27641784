//! State along a changed history: what a decision of the past knew of earlier changes and of money, had the
//! decisions before it been those of another bundle. An estimate, for nobody knows what people and the world
//! would have done then.

use super::{Decision, InputKind, Past};
use crate::domain::{Risk, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;

/// What became of a change, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// It was begun.
    pub begun: bool,
    /// It did not help.
    pub failed: bool,
}

/// How much was estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Inputs whose state is not the recorded one.
    pub inputs: usize,
    /// Changes that were made and would not have been.
    pub unmade: usize,
    /// Changes that were refused and would have been made.
    pub made: usize,
    /// Investigations that would have been declined.
    pub declined: usize,
    /// Decisions that would not have been asked for, because of these.
    pub unasked: usize,
}

/// A change that is there in one history and not in the other.
#[derive(Debug, Clone)]
struct Deed {
    id: String,
    at_ns: i64,
    tool: String,
    resource: String,
    namespace: String,
    kind: String,
    failed: bool,
    /// It is there in the changed history only.
    added: bool,
}

/// The history as it changes. Decisions are shown to it in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    deeds: Vec<Deed>,
    /// What an investigation has cost so far, and the day on which that was.
    cost: HashMap<String, (i64, f64)>,
    declined: BTreeMap<String, f64>,
    /// What was told.
    pub estimate: Estimate,
}

impl Simulation {
    /// Whether the decision would not have been asked for: its investigation would have been declined.
    pub fn is_unasked(&mut self, past: &Past<'_>) -> bool {
        let unasked = past.kind == InputKind::Action && self.declined.contains_key(past.investigation);
        self.estimate.unasked += usize::from(unasked);
        unasked
    }

    /// Puts the state of `input` as it would have been; whether it is another one.
    pub fn adjust(&mut self, past: &Past<'_>, input: &mut Value) -> bool {
        let before = (input["history"].clone(), input["spend"].clone());
        let now = input["now_ns"].as_i64().unwrap_or_default();
        // What is long over counts for nobody any more.
        self.deeds.retain(|deed| now.saturating_sub(deed.at_ns) <= DAY_NS);
        if past.kind == InputKind::Action {
            self.count(input, now);
        }
        self.spend(past, input, now);
        let is_other = before != (input["history"].clone(), input["spend"].clone());
        self.estimate.inputs += usize::from(is_other);
        is_other
    }

    fn count(&self, input: &mut Value, now: i64) {
        let of = Names::of(input);
        let (tool, own) = (text(&input["call"]["tool"]), text(&input["call"]["id"]));
        let mut change = |key: &str, within: i64, counts: &dyn Fn(&Deed) -> bool| {
            let counted =
                self.deeds.iter().filter(|d| d.id != own && now.saturating_sub(d.at_ns) < within && counts(d));
            let by: i64 = counted.map(|deed| if deed.added { 1 } else { -1 }).sum();
            if by != 0
                && let Some(known) = input["history"][key].as_i64()
            {
                input["history"][key] = json!((known + by).max(0));
            }
        };
        change("resource_actions_1h", HOUR_NS, &|deed| deed.resource == of.resource);
        change("resource_actions_24h", DAY_NS, &|deed| deed.resource == of.resource);
        change("namespace_actions_1h", HOUR_NS, &|deed| deed.namespace == of.namespace);
        change("same_action_1h", HOUR_NS, &|deed| deed.resource == of.resource && deed.tool == tool);
        change("same_action_failed_24h", DAY_NS, &|deed| {
            deed.resource == of.resource && deed.tool == tool && deed.failed
        });
        // Distinct ones: each change counts as the only one of its target.
        change("targets_of_kind_1h", HOUR_NS, &|deed| deed.kind == of.kind);
    }

    fn spend(&mut self, past: &Past<'_>, input: &mut Value, now: i64) {
        let day = now.div_euclid(DAY_NS);
        if let Some(cost) = input["spend"]["investigation_usd"].as_f64() {
            let known = self.cost.entry(past.investigation.to_owned()).or_insert((day, 0.0));
            *known = (day, known.1.max(cost));
        }
        let saved: f64 = self
            .declined
            .iter()
            .filter(|(name, _)| *name != past.investigation)
            .filter_map(|(name, before)| {
                self.cost.get(name).filter(|(on, _)| *on == day).map(|(_, cost)| cost - before)
            })
            .sum();
        if saved > 0.0
            && let Some(spent) = input["spend"]["day_usd"].as_f64()
        {
            input["spend"]["day_usd"] = json!((spent - saved).max(0.0));
        }
    }

    /// Notes what the changed bundle says, and with it how the history goes on.
    pub fn note(&mut self, past: &Past<'_>, input: &Value, now: &Decision, made: Option<Made>) {
        match now {
            Decision::Risk(decision) => {
                let is_new = decision.level == Risk::Critical && past.word != Risk::Critical.as_str();
                if is_new && !self.declined.contains_key(past.investigation) {
                    let cost = self.cost.get(past.investigation).map_or(0.0, |(_, cost)| *cost);
                    self.declined.insert(past.investigation.to_owned(), cost);
                    self.estimate.declined += 1;
                }
            }
            Decision::Action(ruling) => {
                let Some(made) = made else { return };
                let id = text(&input["call"]["id"]);
                let added = match (made.begun, ruling.verdict) {
                    (true, Verdict::Deny) => false,
                    // It was refused and would be made at once; what people would have said is not known.
                    (false, Verdict::Allow) if past.word == Verdict::Deny.as_str() => true,
                    _ => return,
                };
                if self.deeds.iter().any(|deed| deed.id == id) {
                    return;
                }
                match added {
                    true => self.estimate.made += 1,
                    false => self.estimate.unmade += 1,
                }
                let Names { resource, namespace, kind } = Names::of(input);
                self.deeds.push(Deed {
                    id,
                    at_ns: input["now_ns"].as_i64().unwrap_or_default(),
                    tool: text(&input["call"]["tool"]),
                    resource,
                    namespace,
                    kind,
                    failed: made.failed,
                    added,
                });
            }
        }
    }
}

/// The names of the first object that a call would touch.
struct Names {
    resource: String,
    namespace: String,
    kind: String,
}

impl Names {
    fn of(input: &Value) -> Self {
        let target = &input["call"]["targets"][0];
        let of = |keys: &[&str]| keys.iter().map(|key| text(&target[*key])).collect::<Vec<_>>().join("/");
        Self {
            resource: of(&["system", "cluster", "namespace", "kind", "name"]),
            namespace: of(&["system", "cluster", "namespace"]),
            kind: of(&["system", "kind"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Bundle, RegoPolicy, sample};
    use super::*;
    use crate::domain::{DecisionId, Effect};
    use jiff::Timestamp;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn shipped() -> RegoPolicy {
        RegoPolicy::load(&Bundle::embedded()).unwrap().with_limit(Duration::from_secs(10))
    }

    fn past<'a>(kind: InputKind, investigation: &'a str, word: &'a str) -> Past<'a> {
        Past {
            id: DecisionId::new(uuid::Uuid::nil()),
            investigation,
            at: Timestamp::UNIX_EPOCH,
            kind,
            about: "kubernetes_scale",
            word,
            rules: BTreeSet::new(),
            is_fixed: false,
            after: None,
        }
    }

    /// The change `id` at minute `minute`, for which so many of the same were made within the hour.
    fn write(id: &str, minute: i64, same: u64) -> Value {
        let mut input = sample::action_input();
        (input.call.effect, input.call.tool) = (Effect::Write, "kubernetes_scale".into());
        (input.call.id, input.risk.level) = (id.into(), Risk::Low);
        (input.blast_radius.known, input.blast_radius.pods) = (true, 1);
        input.now_ns = minute * 60_000_000_000;
        input.history.same_action_1h = same;
        input.history.resource_actions_1h = same;
        serde_json::to_value(input).unwrap()
    }

    #[test]
    fn what_would_not_have_been_made_is_not_counted_later() {
        let policy = shipped();
        let deny = |input: &Value| {
            let mut input = input.clone();
            input["history"]["same_action_1h"] = json!(9);
            policy.decide(DecisionId::new(uuid::Uuid::nil()), &input).unwrap()
        };
        let mut simulation = Simulation::default();
        let made = Some(Made { begun: true, failed: true });
        let mut first = write("act_1", 0, 0);
        assert!(!simulation.adjust(&past(InputKind::Action, "inv_1", "allow"), &mut first));
        simulation.note(&past(InputKind::Action, "inv_1", "allow"), &first, &deny(&first), made);
        // It is judged a second time, right before it would have been made.
        simulation.note(&past(InputKind::Action, "inv_1", "allow"), &first, &deny(&first), made);
        let mut second = write("act_2", 30, 1);
        assert!(simulation.adjust(&past(InputKind::Action, "inv_2", "allow"), &mut second));
        assert_eq!(
            (&second["history"]["same_action_1h"], &second["history"]["resource_actions_1h"]),
            (&json!(0), &json!(0))
        );
        let mut late = write("act_3", 61, 1);
        simulation.adjust(&past(InputKind::Action, "inv_2", "allow"), &mut late);
        assert_eq!(late["history"]["same_action_1h"], json!(1), "it had happened more than an hour before");
        assert_eq!(simulation.estimate, Estimate { inputs: 1, unmade: 1, ..Estimate::default() });
    }

    #[test]
    fn what_would_have_been_made_is_counted_later() {
        let policy = shipped();
        let mut simulation = Simulation::default();
        let not_made = Some(Made { begun: false, failed: false });
        let first = write("act_1", 0, 0);
        let allow = policy.decide(DecisionId::new(uuid::Uuid::nil()), &first).unwrap();
        simulation.note(&past(InputKind::Action, "inv_1", "deny"), &first, &allow, not_made);
        // A person refused it, or did not answer: who knows what they would have done.
        simulation.note(&past(InputKind::Action, "inv_1", "ask"), &write("act_9", 0, 0), &allow, not_made);
        let mut second = write("act_2", 30, 1);
        assert!(simulation.adjust(&past(InputKind::Action, "inv_2", "allow"), &mut second));
        assert_eq!(second["history"]["same_action_1h"], json!(2));
        assert_eq!((simulation.estimate.made, simulation.estimate.unmade), (1, 0));
    }

    #[test]
    fn a_declined_investigation_asks_nothing_and_costs_nothing() {
        let policy = shipped();
        let mut simulation = Simulation::default();
        let mut risk = serde_json::to_value(sample::risk_input()).unwrap();
        simulation.adjust(&past(InputKind::Risk, "inv_1", "MEDIUM"), &mut risk);
        risk["event"]["text"] = json!("please drop database orders");
        let critical = policy.decide(DecisionId::new(uuid::Uuid::nil()), &risk).unwrap();
        assert_eq!(critical.word(), "CRITICAL");
        simulation.note(&past(InputKind::Risk, "inv_1", "MEDIUM"), &risk, &critical, None);
        assert!(simulation.is_unasked(&past(InputKind::Action, "inv_1", "allow")));
        assert!(!simulation.is_unasked(&past(InputKind::Action, "inv_2", "allow")));
        let spent = |investigation: f64, day: f64| {
            let mut input = write("act_1", 5, 0);
            input["spend"] = json!({"day_usd": day, "investigation_usd": investigation});
            input
        };
        simulation.adjust(&past(InputKind::Action, "inv_1", "allow"), &mut spent(0.5, 0.5));
        let mut other = spent(0.25, 1.0);
        assert!(simulation.adjust(&past(InputKind::Action, "inv_2", "allow"), &mut other));
        assert_eq!(other["spend"]["day_usd"], json!(0.5));
        assert_eq!((simulation.estimate.declined, simulation.estimate.unasked), (1, 1));
    }
}
