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
        let known = audit.everything.names(&rival.entity);
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

/// A body of text with its figures.
struct Pool {
    text: String,
    figures: Figures,
}

impl Pool {
    fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let text = texts.into_iter().collect::<Vec<_>>().join("\n");
        Self { figures: Figures::of([text.as_str()]), text: text.to_lowercase() }
    }

    /// Whether name and namespace of `entity` occur.
    fn names(&self, entity: &Entity) -> bool {
        occurs(&self.text, &entity.name) && (entity.namespace.is_empty() || occurs(&self.text, &entity.namespace))
    }
}

struct Audit<'a> {
    evidence: &'a BTreeMap<String, Cited>,
    findings: Vec<&'a Finding>,
    everything: Pool,
    result: Verification,
}

impl<'a> Audit<'a> {
    fn new(evidence: &'a BTreeMap<String, Cited>, deterministic: &'a Analysis) -> Self {
        let explained = deterministic.hypotheses.iter().flat_map(|h| std::iter::once(&h.finding).chain(&h.explains));
        let findings: Vec<&Finding> = deterministic.findings.iter().chain(explained).collect();
        let sentences = findings.iter().map(|f| f.statement.as_str());
        let everything = Pool::of(evidence.values().map(|cited| cited.text.as_str()).chain(sentences));
        Self { evidence, findings, everything, result: Verification::default() }
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

    /// What `ids` say, and our own sentences about it.
    fn cited(&self, ids: &[String]) -> Pool {
        let texts = ids.iter().filter_map(|id| self.evidence.get(id)).map(|cited| cited.text.as_str());
        let ours = self.findings.iter().filter(|f| f.evidence.iter().any(|id| ids.contains(id)));
        let entities: Vec<String> = ours.clone().map(|f| f.entity.to_string()).collect();
        Pool::of(texts.chain(ours.map(|f| f.statement.as_str())).chain(entities.iter().map(String::as_str)))
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
            let figure = unsupported(&step.event, &self.everything.figures, &self.everything.figures);
            match (self.everything.names(&step.entity), figure) {
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
        let cited = self.cited(ids);
        // The namespace may stand in another observation of the same thing.
        let namespace_seen = entity.namespace.is_empty() || occurs(&self.everything.text, &entity.namespace);
        if !occurs(&cited.text, &entity.name) || !namespace_seen {
            return Err(format!("{entity} is not named in {}", ids.join(", ")));
        }
        match unsupported(sentence, &cited.figures, &self.everything.figures) {
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
        let figure = unsupported(&report.summary, &self.everything.figures, &self.everything.figures);
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
