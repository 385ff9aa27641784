//! What an edited bundle would have said of the decisions of the past. Less strict is counted apart from
//! stricter: nothing hides in an average.

use super::simulate::{Estimate, Made, Simulation};
use super::{Decision, InputKind, RegoPolicy};
use crate::domain::{DecisionId, Risk, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::str::FromStr;

/// Changed decisions that are kept one by one.
const MOST: usize = 1_000;
/// Of those, shown in a terminal.
const SHOWN: usize = 20;

/// A decision of the past, as far as it is compared.
#[derive(Debug, Clone)]
pub struct Past<'a> {
    /// Its id.
    pub id: DecisionId,
    /// Its investigation.
    pub investigation: &'a str,
    /// When.
    pub at: Timestamp,
    /// What was judged.
    pub kind: InputKind,
    /// The tool, or `risk`.
    pub about: &'a str,
    /// Verdict or level.
    pub word: &'a str,
    /// Rules that spoke.
    pub rules: BTreeSet<&'a str>,
    /// It was refused for a reason that no policy can change.
    pub is_fixed: bool,
    /// What came of it, in words, if it was about a change.
    pub after: Option<&'a str>,
}

/// A decision that would be another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// Its id.
    pub id: DecisionId,
    /// Its investigation.
    pub investigation: String,
    /// When it was made.
    pub at: Timestamp,
    /// The tool, or `risk`.
    pub about: String,
    /// What it was about, from its input.
    pub target: String,
    /// As it was.
    pub was: String,
    /// As it would be.
    pub now: String,
    /// It would be less strict.
    pub widens: bool,
    /// Rules that would speak and did not.
    pub gained: Vec<String>,
    /// Rules that spoke and would not count.
    pub lost: Vec<String>,
    /// Of those, the ones that an exception would take out, with its id: `action/blast/soft-limit by x`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<String>,
    /// What came of it.
    pub after: Option<String>,
    /// Why the new bundle fails on it, if it does.
    pub error: Option<String>,
    /// What it knew of earlier changes or of money is not what was recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimate: bool,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Decisions that were judged again.
    pub replayed: usize,
    /// Of those, on calls.
    pub action: usize,
    /// Of those, on incidents.
    pub risk: usize,
    /// Was → would be → how many, of calls.
    pub action_matrix: BTreeMap<String, BTreeMap<String, usize>>,
    /// The same of incidents.
    pub risk_matrix: BTreeMap<String, BTreeMap<String, usize>>,
    /// Would be less strict.
    pub widening: usize,
    /// Would be stricter.
    pub narrowing: usize,
    /// Could not be judged again, by reason.
    pub not_replayable: BTreeMap<&'static str, usize>,
    /// `allow → deny` → what came of the change → how many.
    pub outcomes: BTreeMap<String, BTreeMap<String, usize>>,
    /// Changed decisions, widening ones first; the first thousand of each.
    pub changed: Vec<Changed>,
    /// Bundles that judged then.
    pub recorded_under: BTreeSet<String>,
    /// State was worked out along the changed history: then this is an estimate, and so much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

impl Replay {
    /// Judges one decision again.
    pub fn add(&mut self, policy: &RegoPolicy, past: &Past<'_>, input: &Value) {
        self.judge(policy, past, input, false);
    }

    /// Judges one decision again with the state that it would have known, and lets the history go on from
    /// what is said now. Decisions have to come in the order of time.
    pub fn add_simulated(
        &mut self,
        simulation: &mut Simulation,
        policy: &RegoPolicy,
        past: &Past<'_>,
        mut input: Value,
        made: Option<Made>,
    ) {
        if simulation.is_unasked(past) {
            // What it cost is known from it all the same.
            simulation.adjust(past, &mut input);
        } else {
            let is_estimate = simulation.adjust(past, &mut input);
            if let Some(now) = self.judge(policy, past, &input, is_estimate) {
                simulation.note(past, &input, &now, made);
            }
        }
        self.estimate = Some(simulation.estimate);
    }

    fn judge(&mut self, policy: &RegoPolicy, past: &Past<'_>, input: &Value, estimate: bool) -> Option<Decision> {
        let mut now = policy.decide_as_it_is(past.id, past.kind, input);
        if let (true, Decision::Action(ruling)) = (past.is_fixed, &mut now) {
            ruling.verdict = Verdict::Deny;
        }
        let Some(was) = strictness(past.kind, past.word) else {
            self.cannot("its verdict is unknown");
            return None;
        };
        self.replayed += 1;
        let matrix = match past.kind {
            InputKind::Risk => {
                self.risk += 1;
                &mut self.risk_matrix
            }
            InputKind::Action => {
                self.action += 1;
                &mut self.action_matrix
            }
        };
        *matrix.entry(past.word.to_owned()).or_default().entry(now.word().to_owned()).or_default() += 1;
        if now.strictness() == was {
            return Some(now);
        }
        let widens = now.strictness() < was;
        let count = if widens { &mut self.widening } else { &mut self.narrowing };
        *count += 1;
        let kept = *count <= MOST;
        if let Some(after) = past.after {
            let step = format!("{} → {}", past.word, now.word());
            *self.outcomes.entry(step).or_default().entry(after.to_owned()).or_default() += 1;
        }
        if kept {
            let rules: BTreeSet<&str> = now.reasons().iter().map(|reason| reason.rule.as_str()).collect();
            let names = |names: Vec<&&str>| names.into_iter().map(|name| (*name).to_owned()).collect();
            self.changed.push(Changed {
                id: past.id,
                investigation: past.investigation.to_owned(),
                at: past.at,
                about: past.about.to_owned(),
                target: target(past.kind, input),
                was: past.word.to_owned(),
                now: now.word().to_owned(),
                widens,
                gained: names(rules.difference(&past.rules).collect()),
                lost: names(past.rules.difference(&rules).collect()),
                excepted: now.exceptions().iter().map(|used| format!("{} by {}", used.rule, used.id)).collect(),
                after: past.after.map(str::to_owned),
                error: now.error().map(str::to_owned),
                estimate,
            });
        }
        Some(now)
    }

    /// Counts one that cannot be judged again.
    pub fn cannot(&mut self, why: &'static str) {
        *self.not_replayable.entry(why).or_default() += 1;
    }

    /// Puts the rows in order: widening first, newest first.
    pub fn finish(&mut self) {
        self.changed.sort_by(|a, b| b.widens.cmp(&a.widens).then_with(|| b.at.cmp(&a.at)));
    }

    /// The report for a terminal.
    pub fn render(&self, sample: Option<usize>) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "replayed {} decisions ({} action, {} risk)", self.replayed, self.action, self.risk);
        if let Some(Estimate { inputs, unmade, made, declined, unasked }) = self.estimate {
            let _ = writeln!(
                out,
                "ESTIMATE: state along the changed history; {inputs} decisions would have known another one ({unmade} \
                 changes not made, {made} made, {declined} investigations declined, {unasked} decisions not asked for)"
            );
        }
        if !self.recorded_under.is_empty() {
            let under: Vec<&str> = self.recorded_under.iter().map(String::as_str).collect();
            let _ = writeln!(out, "recorded under {}", under.join(", "));
        }
        matrix(&mut out, &Verdict::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>(), &self.action_matrix);
        matrix(&mut out, &Risk::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>(), &self.risk_matrix);
        let _ = writeln!(out, "WIDENING {}   narrowing {}", self.widening, self.narrowing);
        for changed in self.changed.iter().take(sample.unwrap_or(SHOWN)) {
            let Changed { id, was, now, about, target, .. } = changed;
            let mark = if changed.widens { "WIDENS  " } else { "narrows " };
            let _ = write!(out, "  {mark} {id}  {was} → {now}  {about} {target}");
            let told = [("lost", &changed.lost), ("excepted", &changed.excepted), ("gained", &changed.gained)];
            for (word, rules) in told {
                if !rules.is_empty() {
                    let _ = write!(out, "  {word} {}", rules.join(" "));
                }
            }
            if let Some(after) = &changed.after {
                let _ = write!(out, "  ({after})");
            }
            if changed.estimate {
                let _ = write!(out, "  [estimate]");
            }
            let _ = writeln!(out);
        }
        for (step, after) in &self.outcomes {
            let told: Vec<String> = after.iter().map(|(word, n)| format!("{n} {word}")).collect();
            let _ = writeln!(out, "what happened to {step}: {}", told.join(", "));
        }
        if !self.not_replayable.is_empty() {
            let told: Vec<String> = self.not_replayable.iter().map(|(why, n)| format!("{n} ({why})")).collect();
            let _ = writeln!(out, "not replayable: {}", told.join(", "));
        }
        out
    }
}

fn matrix(out: &mut String, words: &[&str], counts: &BTreeMap<String, BTreeMap<String, usize>>) {
    if counts.is_empty() {
        return;
    }
    let _ = write!(out, "{:<14}", "");
    words.iter().for_each(|word| {
        let _ = write!(out, "{:>14}", format!("now {word}"));
    });
    let _ = writeln!(out);
    for (n, was) in words.iter().enumerate() {
        let Some(row) = counts.get(*was) else { continue };
        let _ = write!(out, "  was {was:<8}");
        let mut widened = 0;
        for (m, now) in words.iter().enumerate() {
            let count = row.get(*now).copied().unwrap_or(0);
            widened += if m < n { count } else { 0 };
            let _ = write!(out, "{count:>14}");
        }
        let _ = writeln!(out, "{}", if widened > 0 { format!("   <- WIDENING {widened}") } else { String::new() });
    }
}

fn strictness(kind: InputKind, word: &str) -> Option<u8> {
    let place = match kind {
        InputKind::Risk => Risk::from_str(word).ok().and_then(|level| Risk::ALL.iter().position(|l| *l == level)),
        InputKind::Action => Verdict::ALL.iter().position(|verdict| verdict.as_str() == word),
    };
    place.map(|place| place as u8)
}

/// What it was about, from its input.
fn target(kind: InputKind, input: &Value) -> String {
    let of = match kind {
        InputKind::Risk => &input["resource"],
        InputKind::Action => match &input["call"]["targets"][0] {
            Value::Null => &input["resource"],
            target => target,
        },
    };
    let parts = ["cluster", "namespace", "kind", "name"].iter().filter_map(|key| of[*key].as_str());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::super::{Bundle, Policy, sample};
    use super::*;
    use std::time::Duration;

    fn shipped(changes: &[(&str, &str, &str)]) -> RegoPolicy {
        let mut files: BTreeMap<String, String> =
            Bundle::embedded().files().map(|(p, t)| (p.to_owned(), t.to_owned())).collect();
        for (path, from, to) in changes {
            let text = files.get_mut(*path).unwrap();
            assert!(text.contains(from), "{path} does not hold {from}");
            *text = text.replace(from, to);
        }
        RegoPolicy::load(&Bundle::from_files(files)).unwrap().with_limit(Duration::from_secs(10))
    }

    /// Judges the input under the shipped bundle and again under an edited one.
    fn replay(edited: &RegoPolicy, input: &super::super::ActionInput, after: Option<&str>, is_fixed: bool) -> Replay {
        let ruling = shipped(&[]).rule(DecisionId::new(uuid::Uuid::nil()), input);
        let rules = ruling.reasons.iter().map(|reason| reason.rule.as_str()).collect();
        let past = Past {
            id: ruling.id,
            investigation: "inv_x",
            at: Timestamp::UNIX_EPOCH,
            kind: InputKind::Action,
            about: &input.call.tool,
            word: ruling.verdict.as_str(),
            rules,
            is_fixed,
            after,
        };
        let mut replay = Replay::default();
        replay.add(edited, &past, &serde_json::to_value(input).unwrap());
        replay.finish();
        replay
    }

    #[test]
    fn the_same_bundle_changes_nothing() {
        let found = replay(&shipped(&[]), &sample::action_input(), None, false);
        assert_eq!((found.replayed, found.widening, found.narrowing, found.changed.len()), (1, 0, 0, 0));
        assert_eq!(found.action_matrix["allow"]["allow"], 1);
    }

    #[test]
    fn widening_is_told_apart_from_narrowing() {
        let mut input = sample::action_input();
        input.call.effect = crate::domain::Effect::Write;
        input.risk.level = Risk::Low;
        (input.blast_radius.known, input.blast_radius.pods) = (true, 12);
        let more = shipped(&[("data/org.yaml", "pods_approve: 10", "pods_approve: 20")]);
        let found = replay(&more, &input, Some("made, and held"), false);
        assert_eq!((found.widening, found.narrowing), (1, 0));
        assert_eq!(
            (found.changed[0].lost.as_slice(), found.changed[0].widens),
            (&["action/blast/soft-limit".to_owned()][..], true)
        );
        assert_eq!(found.outcomes["ask → allow"]["made, and held"], 1);
        let text = found.render(None);
        assert!(text.contains("<- WIDENING 1") && text.contains("lost action/blast/soft-limit"), "{text}");

        let less = shipped(&[("data/org.yaml", "pods_deny: 50", "pods_deny: 11")]);
        let found = replay(&less, &input, None, false);
        assert_eq!((found.widening, found.narrowing, found.changed[0].now.as_str()), (0, 1, "deny"));
        // What the gate refused on its own account stays refused under any policy.
        assert_eq!(replay(&more, &input, None, true).changed[0].now, "deny");
    }

    #[test]
    fn what_cannot_be_replayed_is_counted() {
        let mut replay = Replay::default();
        replay.cannot("payload deleted");
        replay.cannot("payload deleted");
        assert!(replay.render(None).contains("not replayable: 2 (payload deleted)"));
    }
}
