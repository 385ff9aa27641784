//! Which claims of a model's report the evidence carries. What it does not carry is taken out.

use super::deeds;
use super::figures::{Figures, unsupported};
use super::names::{occurs, strange};
use super::onset::Onset;
use super::submit::{ModelCause, ModelReport, ModelStep};
use crate::domain::{Analysis, Entity, Finding, ReportVerdict, Verification};
use std::collections::{BTreeMap, BTreeSet};

/// The most that one kind of evidence can carry.
const MAX_CONFIDENCE_OF_ONE_KIND: f64 = 0.89;
/// Below it a cause is an alternative at most.
const MIN_CONFIDENCE: f64 = 0.4;

/// One observation, as claims are compared with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cited {
    /// `state`, `event`, `metric`, `log`, `change`, `config` or `memory`.
    pub kind: String,
    /// Query and answer, as the model saw them.
    pub text: String,
}

/// Takes out of `report` what the evidence does not carry: ids that do not exist, causes and steps
/// whose entity, names or figures occur nowhere in what they cite, steps that came before their
/// cause, claims of having acted, too much confidence. `deterministic` adds the sentences of our own
/// findings to the evidence that they rest on, since derived figures (a percentage, a forecast)
/// stand only there. The verdict falls with the causes; whatever goes is counted, with a line in
/// the checks.
pub fn verify(
    mut report: ModelReport,
    evidence: &BTreeMap<String, Cited>,
    deterministic: &Analysis,
) -> (ModelReport, Verification) {
    let mut audit = Audit::new(evidence, deterministic);
    let mut renumbered: BTreeMap<String, String> = BTreeMap::new();

    let mut causes = Vec::new();
    for (n, mut cause) in std::mem::take(&mut report.root_causes).into_iter().enumerate() {
        let old = format!("C{}", n + 1);
        if audit.keeps(&old, &mut cause) {
            renumbered.insert(old, format!("C{}", causes.len() + 1));
            causes.push(cause);
        }
    }
    report.root_causes = causes;

    audit.check_chain(&mut report, deterministic);

    for (n, mut rival) in std::mem::take(&mut report.alternatives).into_iter().enumerate() {
        let name = format!("alternative {}", n + 1);
        rival.confidence = rival.confidence.clamp(0.0, 1.0);
        audit.filter_ids(&name, &mut rival.evidence_ids);
        let outcome = audit.seen_somewhere(&rival.entity, &rival.why_less_likely);
        if audit.count(&name, outcome) {
            report.alternatives.push(rival);
        }
    }

    for (n, advice) in report.recommendations.iter_mut().enumerate() {
        let name = format!("recommendation {}", n + 1);
        let fallen = advice.addresses.iter().filter(|id| !renumbered.contains_key(id.trim()));
        audit.result.checks.extend(fallen.map(|id| format!("{name}: there is no cause {id}")));
        advice.addresses = advice.addresses.iter().filter_map(|id| renumbered.get(id.trim()).cloned()).collect();
        audit.mark(&name, &mut advice.text, deeds::claimed_in_advice);
    }
    for (n, open) in report.open_questions.iter_mut().enumerate() {
        let name = format!("open question {}", n + 1);
        audit.mark(&name, &mut open.question, deeds::claimed);
        audit.mark(&name, &mut open.how_to_answer, deeds::claimed);
    }

    let weakest = match audit.strongest_verdict(&report.root_causes) {
        Some(carried) => carried.min(report.verdict),
        None if report.verdict == ReportVerdict::NoFault => ReportVerdict::NoFault,
        None => ReportVerdict::InsufficientEvidence,
    };
    if weakest != report.verdict {
        audit.result.checks.push(format!("verdict {} lowered to {weakest}", report.verdict));
        report.verdict = weakest;
    }
    if report.root_causes.is_empty() {
        audit.drop_chain(&mut report);
    }
    audit.check_summary(&mut report);
    (report, audit.result)
}

/// Name and namespace of `entity` occur in `texts`.
fn names(texts: &[&Figures], entity: &Entity) -> bool {
    let seen = |name: &str| texts.iter().any(|text| occurs(text.text(), name));
    seen(&entity.name) && (entity.namespace.is_empty() || seen(&entity.namespace))
}

struct Audit<'a> {
    evidence: &'a BTreeMap<String, Cited>,
    /// Each observation, read once.
    seen: BTreeMap<&'a str, Figures>,
    /// Our own sentences, with what they rest on.
    ours: Vec<(&'a [String], Figures)>,
    result: Verification,
}

impl<'a> Audit<'a> {
    fn new(evidence: &'a BTreeMap<String, Cited>, deterministic: &'a Analysis) -> Self {
        let explained = deterministic.hypotheses.iter().flat_map(|h| std::iter::once(&h.finding).chain(&h.explains));
        let sentence = |f: &'a Finding| (f.evidence.as_slice(), Figures::of(&format!("{}: {}", f.entity, f.statement)));
        Self {
            evidence,
            seen: evidence.iter().map(|(id, cited)| (id.as_str(), Figures::of(&cited.text))).collect(),
            ours: deterministic.findings.iter().chain(explained).map(sentence).collect(),
            result: Verification::default(),
        }
    }

    /// All that was seen, and all that we say about it.
    fn everything(&self) -> Vec<&Figures> {
        self.seen.values().chain(self.ours.iter().map(|(_, text)| text)).collect()
    }

    /// What `ids` say, and our own sentences that rest on one of them.
    fn cited(&self, ids: &[String]) -> Vec<&Figures> {
        let ours = self.ours.iter().filter(|(rests_on, _)| rests_on.iter().any(|id| ids.contains(id)));
        ids.iter().filter_map(|id| self.seen.get(id.as_str())).chain(ours.map(|(_, text)| text)).collect()
    }

    /// Counts a claim; what is wrong with it goes to the checks.
    fn count(&mut self, name: &str, outcome: Result<(), String>) -> bool {
        self.result.claims += 1;
        match outcome {
            Ok(()) => {
                self.result.supported += 1;
                true
            }
            Err(why) => {
                self.result.removed += 1;
                self.result.checks.push(format!("{name} removed: {why}"));
                false
            }
        }
    }

    /// Leaves the ids that exist, once each.
    fn filter_ids(&mut self, name: &str, ids: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        ids.retain(|id| {
            let exists = self.evidence.contains_key(id);
            if !exists {
                self.result.checks.push(format!("{name}: {id} does not exist"));
            }
            exists && seen.insert(id.clone())
        });
    }

    fn kinds(&self, ids: &[String]) -> usize {
        ids.iter().filter_map(|id| self.evidence.get(id)).map(|cited| &cited.kind).collect::<BTreeSet<_>>().len()
    }

    fn keeps(&mut self, name: &str, cause: &mut ModelCause) -> bool {
        self.filter_ids(name, &mut cause.evidence_ids);
        let kinds = self.kinds(&cause.evidence_ids);
        let most = if kinds >= 2 { 1.0 } else { MAX_CONFIDENCE_OF_ONE_KIND };
        let honest = cause.confidence.clamp(0.0, most);
        if honest < cause.confidence {
            self.result
                .checks
                .push(format!("{name}: confidence {} lowered to {honest}, {kinds} kind of evidence", cause.confidence));
        }
        cause.confidence = honest;
        let outcome = if cause.evidence_ids.is_empty() {
            Err("no evidence that exists".to_owned())
        } else if cause.confidence < MIN_CONFIDENCE {
            Err(format!("confidence {} is below {MIN_CONFIDENCE}", cause.confidence))
        } else {
            self.carried(&cause.evidence_ids, &cause.entity, &cause.statement)
        };
        self.count(name, outcome)
    }

    /// Leaves the steps that the evidence carries and that did not come before their cause. A step
    /// about a root cause begins a chain of its own; what amplifies may come later.
    fn check_chain(&mut self, report: &mut ModelReport, deterministic: &Analysis) {
        let mut cause: Option<(String, Onset)> = None;
        let mut amplified = false;
        for (n, mut step) in std::mem::take(&mut report.causal_chain).into_iter().enumerate() {
            let name = format!("chain step {}", n + 1);
            self.filter_ids(&name, &mut step.evidence_ids);
            // A step that nothing shows is a conclusion, whatever the model calls it.
            step.inferred |= step.evidence_ids.is_empty();
            if report.root_causes.iter().any(|root| root.entity == step.entity) {
                cause = None;
            }
            let at = Onset::of(&step, &self.cited(&step.evidence_ids), deterministic);
            let outcome = self.step_carried(&step).and_then(|()| match (&cause, at) {
                (Some((earlier, began)), Some(at)) if !amplified && at.precedes(*began) => {
                    Err(format!("by the evidence it came before its cause, {earlier}"))
                }
                _ => Ok(()),
            });
            if self.count(&name, outcome) {
                amplified = step.relation == "amplifies";
                step.at = at.filter(|_| !step.evidence_ids.is_empty()).and_then(Onset::moment);
                if let Some(at) = at {
                    let began = cause.map_or(at, |(_, began)| began.later(at));
                    cause = Some((name, began));
                }
                report.causal_chain.push(step);
            }
        }
    }

    fn step_carried(&self, step: &ModelStep) -> Result<(), String> {
        match step.evidence_ids.is_empty() {
            true => self.seen_somewhere(&step.entity, &step.event),
            false => self.carried(&step.evidence_ids, &step.entity, &step.event),
        }
    }

    /// A chain without a cause at its head explains nothing.
    fn drop_chain(&mut self, report: &mut ModelReport) {
        let steps = u32::try_from(report.causal_chain.len()).unwrap_or(u32::MAX);
        for n in 1..=steps {
            self.result.checks.push(format!("step {n} of what remained of the chain removed: no cause is left"));
        }
        self.result.supported = self.result.supported.saturating_sub(steps);
        self.result.removed = self.result.removed.saturating_add(steps);
        report.causal_chain.clear();
    }

    /// Marks a text that claims an action: it stays, since a person may need it, but never as a deed.
    fn mark(&mut self, name: &str, text: &mut String, claimed: fn(&str) -> Option<String>) {
        if let Some(words) = claimed(text) {
            self.result.checks.push(format!("{name} marked: it claims an action, \"{words}\""));
            text.insert_str(0, deeds::MARK);
        }
    }

    /// Whether what a sentence without citation says was seen anywhere.
    fn seen_somewhere(&self, entity: &Entity, sentence: &str) -> Result<(), String> {
        let everything = self.everything();
        if !names(&everything, entity) {
            return Err(format!("{entity} was not seen"));
        }
        sober(sentence)?;
        match unsupported(sentence, &everything, &everything).or_else(|| strange(sentence, &everything, &everything)) {
            Some(what) => Err(format!("{what} was not seen")),
            None => Ok(()),
        }
    }

    /// Whether what is cited names the entity and holds the figures.
    fn carried(&self, ids: &[String], entity: &Entity, sentence: &str) -> Result<(), String> {
        let (cited, everything) = (self.cited(ids), self.everything());
        // The namespace may stand in another observation of the same thing.
        let bare = Entity::new(entity.kind.as_str(), "", entity.name.as_str());
        if !names(&cited, &bare) || !names(&everything, entity) {
            return Err(format!("{entity} is not named in {}", ids.join(", ")));
        }
        sober(sentence)?;
        match unsupported(sentence, &cited, &everything).or_else(|| strange(sentence, &cited, &everything)) {
            Some(what) => Err(format!("{what} is not in {}", ids.join(", "))),
            None => Ok(()),
        }
    }

    /// The most that the causes carry: `None` without any.
    fn strongest_verdict(&self, causes: &[ModelCause]) -> Option<ReportVerdict> {
        let of = |cause: &ModelCause| match cause.confidence {
            c if c >= 0.9 && self.kinds(&cause.evidence_ids) >= 2 => ReportVerdict::Confirmed,
            c if c >= 0.7 => ReportVerdict::Likely,
            _ => ReportVerdict::Possible,
        };
        causes.iter().map(of).max()
    }

    /// The summary cites nothing, so its figures may stand anywhere; a summary with others, or of a
    /// cause that was taken out, is replaced by the first cause.
    fn check_summary(&mut self, report: &mut ModelReport) {
        let fallen = self.result.checks.iter().any(|check| check.starts_with('C') && check.contains(" removed: "));
        let everything = self.everything();
        let strange = strange(&report.summary, &everything, &everything);
        let outcome = match unsupported(&report.summary, &everything, &everything).or(strange) {
            Some(what) => Err(format!("{what} was not seen")),
            None if fallen => Err("it rests on a cause that was removed".to_owned()),
            None => sober(&report.summary),
        };
        if !self.count("summary", outcome) {
            let first = report.root_causes.first().map(|cause| cause.statement.chars().take(400).collect());
            report.summary = first.unwrap_or_else(|| "The evidence does not carry a cause.".to_owned());
        }
    }
}

/// A claim about the world, and not about what its author did.
fn sober(sentence: &str) -> Result<(), String> {
    match deeds::claimed(sentence) {
        Some(words) => Err(format!("it claims an action that stands in no journal, \"{words}\"")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
