//! Score, confidence and verdict.
//!
//! `score = specificity × evidence × time × proximity × change − contradiction`; the confidence is
//! a logistic over score, margin, kinds of evidence and missing collections.

use super::causal::Root;
use super::scene::{Scene, UNRELATED};
use super::text::{percent, seconds_between};
use crate::domain::{Analysis, Finding, Hypothesis, ReportVerdict};
use std::collections::BTreeSet;

/// A root whose score is at least this part of the best is a cause of its own.
pub(super) const INDEPENDENT: f64 = 0.6;
/// Below this confidence nothing is claimed.
pub(super) const CLAIM: f64 = 0.4;
const LIKELY: f64 = 0.7;
const CONFIRMED: f64 = 0.9;
/// A symptom that nothing explains is never claimed.
const SYMPTOM_CAP: f64 = 0.35;
/// Nor is a fault without a path to what the alerts name.
const UNRELATED_CAP: f64 = 0.39;

/// Said of a fault without a path to what the alerts name.
pub(super) const ELSEWHERE: &str = "seen elsewhere, with no path to the alert";

/// The roots as hypotheses, likeliest first. `missing` counts relevant questions without answer.
pub(super) fn rank(scene: &Scene<'_>, findings: &[Finding], roots: &[Root], missing: usize) -> Vec<Hypothesis> {
    let scores: Vec<f64> = roots.iter().map(|root| score(scene, findings, root)).collect();
    let mut hypotheses: Vec<Hypothesis> = roots
        .iter()
        .enumerate()
        .map(|(i, root)| {
            let finding = &findings[root.finding];
            let rivals = (0..roots.len()).filter(|&j| j != i && compete(findings, root, &roots[j]));
            let rival = rivals.map(|j| scores[j]).fold(0.0, f64::max);
            let kinds = kinds(scene, findings, root);
            let mut confidence = confidence(scores[i], scores[i] - rival, kinds, missing, finding.symptom);
            let unrelated = nearest(scene, findings, root) >= UNRELATED;
            if unrelated {
                confidence = confidence.min(UNRELATED_CAP);
            }
            Hypothesis {
                finding: finding.clone(),
                score: scores[i],
                confidence,
                explains: root.explains.iter().map(|(i, _)| findings[*i].clone()).collect(),
                why_less_likely: unrelated.then(|| ELSEWHERE.to_owned()),
            }
        })
        .collect();
    hypotheses.sort_by(|a, b| {
        (is_elsewhere(a).cmp(&is_elsewhere(b)))
            .then(a.finding.symptom.cmp(&b.finding.symptom))
            .then(b.score.total_cmp(&a.score))
            .then_with(|| a.finding.entity.cmp(&b.finding.entity))
            .then_with(|| a.finding.cause_code.cmp(&b.finding.cause_code))
    });
    // A symptom beside a cause is no rival of it.
    if hypotheses.first().is_some_and(|h| !h.finding.symptom) {
        hypotheses.retain(|h| !h.finding.symptom);
    }
    let top = hypotheses.first().map(|h| (h.score, h.finding.clone()));
    for hypothesis in hypotheses.iter_mut().skip(1).filter(|h| !is_elsewhere(h)) {
        hypothesis.why_less_likely = top.as_ref().map(|(score, best)| why_less(scene, hypothesis, *score, best));
    }
    hypotheses
}

fn score(scene: &Scene<'_>, findings: &[Finding], root: &Root) -> f64 {
    let finding = &findings[root.finding];
    let strength = match kinds(scene, findings, root) {
        0 | 1 => 0.85,
        2 => 1.0,
        _ => 1.05,
    };
    let time_fit = match finding.onset {
        None => 0.7_f64.max(if root.explains.is_empty() { 0.0 } else { 0.8 }),
        Some(onset) if seconds_between(onset, scene.last_start) >= -120 => 1.0,
        Some(_) => 0.4,
    };
    let proximity = 0.8_f64.powi(nearest(scene, findings, root).min(10) as i32);
    let change_boost = match finding.change.as_ref().and_then(|c| c.at) {
        Some(at) => {
            let minutes = seconds_between(at, scene.last_start).max(0) as f64 / 60.0;
            1.0 + 0.2 * (-minutes / 30.0).exp()
        }
        None => 1.0,
    };
    let contradiction = if recovered(scene, finding) { 0.5 * finding.specificity } else { 0.0 };
    (finding.specificity * strength * time_fit * proximity * change_boost - contradiction).clamp(0.0, 1.0)
}

/// Hops from what the alerts name: a cause is as near as the nearest of its consequences.
fn nearest(scene: &Scene<'_>, findings: &[Finding], root: &Root) -> u32 {
    let reached = root.explains.iter().map(|(i, _)| &findings[*i]);
    reached.chain([&findings[root.finding]]).map(|f| scene.hops(&f.entity)).min().unwrap_or(UNRELATED)
}

/// The pod that the finding is about has been well for half an hour.
fn recovered(scene: &Scene<'_>, finding: &Finding) -> bool {
    scene.snapshot.pod(&finding.entity).is_some_and(|pod| {
        pod.healthy()
            && pod.containers.iter().all(|c| c.running_since.is_some_and(|at| seconds_between(at, scene.now) > 1800))
    })
}

/// How many kinds of evidence carry a root: its own, and the state that it explains.
fn kinds(scene: &Scene<'_>, findings: &[Finding], root: &Root) -> usize {
    let finding = &findings[root.finding];
    let explained = root.explains.iter().flat_map(|(i, _)| &findings[*i].evidence);
    let ids = finding.evidence.iter().chain(explained);
    let mut kinds: BTreeSet<&str> = ids.filter_map(|id| scene.snapshot.kinds.get(id).copied()).collect();
    if finding.change.as_ref().is_some_and(|c| c.at.is_some()) {
        kinds.insert("change");
    }
    kinds.len()
}

/// Two roots that want to explain the same; others stand side by side.
fn compete(findings: &[Finding], a: &Root, b: &Root) -> bool {
    let same_thing = findings[a.finding].entity == findings[b.finding].entity;
    let cause = |r: &Root| !findings[r.finding].symptom;
    cause(a) && cause(b) && (same_thing || a.explains.iter().any(|(i, _)| b.explains.iter().any(|(j, _)| i == j)))
}

fn confidence(score: f64, margin: f64, kinds: usize, missing: usize, symptom: bool) -> f64 {
    let logit = -2.6 + 4.6 * score + margin.clamp(-0.5, 0.5) + 0.5 * (kinds.clamp(1, 3) - 1) as f64
        - 0.35 * missing.min(3) as f64;
    let confidence = 1.0 / (1.0 + (-logit).exp());
    let cap = match (symptom, kinds) {
        (true, _) => SYMPTOM_CAP,
        // One kind of evidence confirms nothing.
        (false, 0 | 1) => 0.89,
        (false, _) => 0.97,
    };
    (confidence.min(cap) * 100.0).round() / 100.0
}

fn why_less(scene: &Scene<'_>, hypothesis: &Hypothesis, top: f64, best: &Finding) -> String {
    let finding = &hypothesis.finding;
    if hypothesis.score >= top * INDEPENDENT && hypothesis.confidence >= CLAIM {
        return "stands beside the first: neither explains the other".into();
    }
    if finding.onset.is_some_and(|at| seconds_between(at, scene.last_start) < -120) {
        return "began after the alert".into();
    }
    let hops = scene.hops(&finding.entity);
    if hops > scene.hops(&best.entity) {
        return "farther from what the alert names".into();
    }
    format!("the evidence weighs less ({} of the first)", percent(hypothesis.score / top.max(1e-9)))
}

/// No path leads from it to what the alerts name.
pub(super) fn is_elsewhere(hypothesis: &Hypothesis) -> bool {
    hypothesis.why_less_likely.as_deref() == Some(ELSEWHERE)
}

/// The likeliest of what has a path to what the alerts name.
pub(super) fn nearby(analysis: &Analysis) -> Option<&Hypothesis> {
    analysis.hypotheses.iter().find(|h| !is_elsewhere(h))
}

/// What an analysis permits to claim.
pub fn verdict(analysis: &Analysis) -> ReportVerdict {
    match analysis.hypotheses.first().filter(|h| !h.finding.symptom) {
        Some(top) if top.confidence >= CONFIRMED => ReportVerdict::Confirmed,
        Some(top) if top.confidence >= LIKELY => ReportVerdict::Likely,
        Some(top) if top.confidence >= CLAIM => ReportVerdict::Possible,
        _ if !analysis.healthy.is_empty() => ReportVerdict::NoFault,
        _ => ReportVerdict::InsufficientEvidence,
    }
}

/// The hypotheses that a report names as causes.
pub(super) fn causes(analysis: &Analysis) -> impl Iterator<Item = &Hypothesis> {
    let top = analysis.hypotheses.first().map_or(0.0, |h| h.score);
    analysis.hypotheses.iter().filter(move |h| is_cause(h, top))
}

/// The others.
pub(super) fn rest(analysis: &Analysis) -> impl Iterator<Item = &Hypothesis> {
    let top = analysis.hypotheses.first().map_or(0.0, |h| h.score);
    analysis.hypotheses.iter().filter(move |h| !is_cause(h, top))
}

fn is_cause(hypothesis: &Hypothesis, top: f64) -> bool {
    !hypothesis.finding.symptom
        && !hypothesis.finding.evidence.is_empty()
        && hypothesis.confidence >= CLAIM
        && hypothesis.score >= top * INDEPENDENT
}
