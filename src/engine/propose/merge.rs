//! The deterministic report and the model's, as one.

use super::submit::{ModelAlternative, ModelCause, ModelReport};
use crate::domain::{
    Alternative, ChainStep, Entity, OpenQuestion, Recommendation, Report, ReportVerdict, RootCause, Verification,
};
use std::collections::BTreeMap;

/// Most alternatives, recommendations and open questions of a report.
const MAX_ITEMS: usize = 12;

/// `report`, which the survey alone produced, with what `model` found and `verification` left of it.
///
/// The model's causes come first. Deterministic causes that it does not share remain as
/// alternatives: with the model's reason where it refuted them, as the survey's where it was
/// silent. When the model names no cause, a deterministic cause stands; only a merely possible one
/// gives way to `no_fault`. Who answered and at what cost is filled in by whoever asked.
pub fn merge(mut report: Report, model: ModelReport, verification: Verification) -> Report {
    report.provenance.mode = "hybrid".to_owned();
    report.verification = verification;
    let no_fault_holds = model.verdict == ReportVerdict::NoFault && report.verdict < ReportVerdict::Likely;
    if !model.root_causes.is_empty() || no_fault_holds {
        adopt(&mut report, model);
    } else if report.root_causes.is_empty() {
        report.verdict = ReportVerdict::InsufficientEvidence;
        report.summary = model.summary.clone();
        add_rivals(&mut report, &model.alternatives);
        add_text(&mut report, &model, &BTreeMap::new());
    } else {
        let says = if model.verdict == ReportVerdict::NoFault { "no fault" } else { "too little evidence" };
        report.verification.checks.push(format!("the model found {says}; the survey's causes stand"));
        add_rivals(&mut report, &model.alternatives);
        let same = (1..=report.root_causes.len()).map(|n| (format!("C{n}"), format!("C{n}"))).collect();
        add_text(&mut report, &model, &same);
    }
    report
}

/// Puts the model's causes, or its finding that there is none, in the place of the survey's.
fn adopt(report: &mut Report, model: ModelReport) {
    let earlier = std::mem::take(&mut report.root_causes);
    let weighed = std::mem::take(&mut report.alternatives);
    let mut renumbered = BTreeMap::new();
    for (n, cause) in model.root_causes.iter().enumerate() {
        let id = format!("C{}", n + 1);
        let same = earlier.iter().find(|old| is_same(&old.cause_code, &old.entity, &cause.cause_code, &cause.entity));
        if let Some(same) = same {
            renumbered.insert(same.id.clone(), id.clone());
        }
        report.root_causes.push(root_cause(id, cause, same));
    }
    add_rivals(report, &model.alternatives);
    for old in earlier.iter().filter(|old| !renumbered.contains_key(&old.id)) {
        push_rival(
            report,
            Alternative {
                cause_code: old.cause_code.clone(),
                entity: old.entity.clone(),
                confidence: old.confidence,
                why_less_likely: "found by the survey; the model names another cause and says nothing against this one"
                    .to_owned(),
                evidence_ids: old.evidence_ids.clone(),
            },
        );
    }
    for rival in weighed {
        push_rival(report, rival);
    }
    if model.root_causes.is_empty() {
        report.causal_chain.clear();
    } else if !model.causal_chain.is_empty() {
        report.causal_chain = chain(&model);
    } else if renumbered.is_empty() {
        // The survey's chain leads from a cause that is no longer claimed.
        report.causal_chain.clear();
    }
    report.verdict = model.verdict;
    report.summary = model.summary.clone();
    add_text(report, &model, &renumbered);
}

fn is_same(code: &str, entity: &Entity, other_code: &str, other: &Entity) -> bool {
    let same_thing = entity.name == other.name && entity.namespace == other.namespace;
    same_thing && code.eq_ignore_ascii_case(other_code)
}

fn root_cause(id: String, cause: &ModelCause, same: Option<&RootCause>) -> RootCause {
    RootCause {
        id,
        cause_code: cause.cause_code.clone(),
        entity: cause.entity.clone(),
        statement: cause.statement.clone(),
        confidence: cause.confidence,
        category: cause.category.clone(),
        onset: same.and_then(|same| same.onset),
        evidence_ids: cause.evidence_ids.clone(),
        contradicting_ids: same.map(|same| same.contradicting_ids.clone()).unwrap_or_default(),
        change_ref: same.and_then(|same| same.change_ref.clone()),
    }
}

fn chain(model: &ModelReport) -> Vec<ChainStep> {
    let step = |(seq, step): (u32, &super::submit::ModelStep)| ChainStep {
        seq,
        entity: step.entity.clone(),
        event: step.event.clone(),
        at: step.at,
        evidence_ids: step.evidence_ids.clone(),
        relation: step.relation.clone(),
        inferred: step.inferred,
    };
    (1..).zip(&model.causal_chain).map(step).collect()
}

fn add_rivals(report: &mut Report, rivals: &[ModelAlternative]) {
    for rival in rivals {
        push_rival(
            report,
            Alternative {
                cause_code: rival.cause_code.clone(),
                entity: rival.entity.clone(),
                confidence: rival.confidence,
                why_less_likely: rival.why_less_likely.clone(),
                evidence_ids: rival.evidence_ids.clone(),
            },
        );
    }
}

/// Adds an alternative unless it is there already, as one or as a cause.
fn push_rival(report: &mut Report, rival: Alternative) {
    let same = |code: &str, entity: &Entity| is_same(code, entity, &rival.cause_code, &rival.entity);
    let known = report.root_causes.iter().any(|cause| same(&cause.cause_code, &cause.entity))
        || report.alternatives.iter().any(|other| same(&other.cause_code, &other.entity));
    if !known && report.alternatives.len() < MAX_ITEMS {
        report.alternatives.push(rival);
    }
}

/// Recommendations and open questions: the model's first, then the survey's that say something
/// else. `renumbered` maps the survey's causes to those of the report.
fn add_text(report: &mut Report, model: &ModelReport, renumbered: &BTreeMap<String, String>) {
    let ours = std::mem::take(&mut report.recommendations);
    let theirs = model.recommendations.iter().map(|advice| Recommendation {
        kind: advice.kind.clone(),
        text: advice.text.clone(),
        addresses: advice.addresses.clone(),
    });
    let ours = ours.into_iter().map(|advice| Recommendation {
        addresses: advice.addresses.iter().filter_map(|id| renumbered.get(id).cloned()).collect(),
        ..advice
    });
    for advice in theirs.chain(ours) {
        if report.recommendations.len() < MAX_ITEMS
            && !report.recommendations.iter().any(|known| known.text == advice.text)
        {
            report.recommendations.push(advice);
        }
    }
    for open in &model.open_questions {
        if report.open_questions.len() < MAX_ITEMS && !report.open_questions.iter().any(|q| q.question == open.question)
        {
            report.open_questions.push(OpenQuestion {
                question: open.question.clone(),
                how_to_answer: open.how_to_answer.clone(),
                blocked_by: None,
            });
        }
    }
}

#[cfg(test)]
mod tests;
