//! Which claims of a model's report the evidence carries. What it does not carry is taken out.

use super::figures::{Figures, unsupported};
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
/// whose entity or figures occur nowhere in what they cite, too much confidence. `deterministic`
/// adds the sentences of our own findings to the evidence that they rest on, since derived figures
/// (a percentage, a forecast) stand only there. The verdict falls with the causes.
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

    for (n, mut step) in std::mem::take(&mut report.causal_chain).into_iter().enumerate() {
        if audit.keeps_step(&format!("chain step {}", n + 1), &mut step) {
            report.causal_chain.push(step);
        }
    }

    for (n, mut rival) in std::mem::take(&mut report.alternatives).into_iter().enumerate() {
        let name = format!("alternative {}", n + 1);
        rival.confidence = rival.confidence.clamp(0.0, 1.0);
        audit.filter_ids(&name, &mut rival.evidence_ids);
        let known = names(&audit.everything(), &rival.entity);
        if audit.count(&name, known.then_some(()).ok_or_else(|| format!("{} was not seen", rival.entity))) {
            report.alternatives.push(rival);
        }
    }

    for advice in &mut report.recommendations {
        advice.addresses = advice.addresses.iter().filter_map(|id| renumbered.get(id.trim()).cloned()).collect();
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
        report.causal_chain.clear();
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

    fn keeps_step(&mut self, name: &str, step: &mut ModelStep) -> bool {
        self.filter_ids(name, &mut step.evidence_ids);
        // A step that nothing shows is a conclusion, whatever the model calls it.
        step.inferred |= step.evidence_ids.is_empty();
        let outcome = if step.evidence_ids.is_empty() {
            let everything = self.everything();
            let figure = unsupported(&step.event, &everything, &everything);
            match (names(&everything, &step.entity), figure) {
                (false, _) => Err(format!("{} was not seen", step.entity)),
                (true, Some(figure)) => Err(format!("{figure} was not seen")),
                (true, None) => Ok(()),
            }
        } else {
            self.carried(&step.evidence_ids, &step.entity, &step.event)
        };
        self.count(name, outcome)
    }

    /// Whether what is cited names the entity and holds the figures.
    fn carried(&self, ids: &[String], entity: &Entity, sentence: &str) -> Result<(), String> {
        let (cited, everything) = (self.cited(ids), self.everything());
        // The namespace may stand in another observation of the same thing.
        let bare = Entity::new(entity.kind.as_str(), "", entity.name.as_str());
        if !names(&cited, &bare) || !names(&everything, entity) {
            return Err(format!("{entity} is not named in {}", ids.join(", ")));
        }
        match unsupported(sentence, &cited, &everything) {
            Some(figure) => Err(format!("{figure} is not in {}", ids.join(", "))),
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
        let figure = unsupported(&report.summary, &everything, &everything);
        let outcome = match figure {
            Some(figure) => Err(format!("{figure} was not seen")),
            None if fallen => Err("it rests on a cause that was removed".to_owned()),
            None => Ok(()),
        };
        if !self.count("summary", outcome) {
            let first = report.root_causes.first().map(|cause| cause.statement.chars().take(400).collect());
            report.summary = first.unwrap_or_else(|| "The evidence does not carry a cause.".to_owned());
        }
    }
}

/// Whether `name` stands in `text` (lower case) as a name: not in the middle of a longer word. What
/// follows may be a suffix of the same thing, as a pod's name continues its workload's.
fn occurs(text: &str, name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(inside) && !after.is_some_and(char::is_alphanumeric)
        })
}

#[cfg(test)]
mod tests;
