//! One family of faults per file. An analyzer is a pure function of the scene and knows no other;
//! what follows from what is said in `causal`.
//!
//! Contract: `specificity` is what the rule says by itself (0.9 when state and event agree, 0.5 for
//! one text alone, 0.2 for a symptom); every finding cites evidence; an event counts only while no
//! later success is seen; a restart only while it is recent.

mod crash;
mod images;
mod logs;
mod memory;
mod mounts;
mod nodes;
mod rollouts;
mod scale;
mod scheduling;
mod targets;
mod volumes;

pub(super) use volumes::roomy;

use super::scene::Scene;
use super::snapshot::Snapshot;
use crate::domain::{Entity, Finding};
use std::collections::BTreeMap;

type Analyzer = fn(&Scene<'_>) -> Vec<Finding>;

const ALL: [(&str, Analyzer); 11] = [
    ("volume_usage", volumes::analyze),
    ("crash_loop", crash::analyze),
    ("log_signature", logs::analyze),
    ("memory", memory::analyze),
    ("image_pull", images::analyze),
    ("scheduling", scheduling::analyze),
    ("mount", mounts::analyze),
    ("scale", scale::analyze),
    ("node", nodes::analyze),
    ("target", targets::analyze),
    ("rollout", rollouts::analyze),
];

/// Most findings of one analyzer, nearest to the subject first.
const MAX_FINDINGS: usize = 24;

/// Diagnoses that say more than "the new revision is bad"; the rollout becomes their change.
const PRECISE: [&str; 9] = [
    "image_ref_wrong",
    "pull_secret_missing",
    "missing_ref",
    "bad_command",
    "node_selector",
    "node_affinity",
    "cpu",
    "memory",
    "taint",
];

/// Runs every analyzer.
pub(super) fn run(scene: &Scene<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (name, analyze) in ALL {
        let mut findings = group(scene.snapshot, analyze(scene));
        for finding in &mut findings {
            finding.analyzer = name.to_owned();
            finding.evidence.retain(|id| !id.is_empty());
            let mut cited = Vec::new();
            finding.evidence.retain(|id| !cited.contains(id) && (cited.push(id.clone()), true).1);
            finding.evidence.truncate(8);
        }
        findings.retain(|f| !f.evidence.is_empty());
        findings.sort_by_key(|f| (scene.hops(&f.entity), f.entity.clone()));
        findings.truncate(MAX_FINDINGS);
        all.extend(findings);
    }
    refine_rollouts(scene.snapshot, &mut all);
    all
}

/// A finding without time, evidence, change and remedy.
fn found(entity: &Entity, cause_code: &str, category: &str, specificity: f64, statement: String) -> Finding {
    Finding {
        analyzer: String::new(),
        entity: entity.clone(),
        cause_code: cause_code.to_owned(),
        statement,
        category: category.to_owned(),
        specificity,
        symptom: false,
        onset: None,
        evidence: Vec::new(),
        change: None,
        remedy: None,
    }
}

/// The workload whose pods are interchangeable with this one; `None` for stateful and single pods.
pub(super) fn fleet_of(snapshot: &Snapshot, entity: &Entity) -> Option<Entity> {
    if entity.kind != "Pod" {
        return None;
    }
    let pod = snapshot.pod(entity)?;
    snapshot.controller_of(pod).filter(|c| c.kind != "StatefulSet")
}

/// The same finding on interchangeable pods is one finding.
fn group(snapshot: &Snapshot, findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut fleets: BTreeMap<(Entity, String), (usize, usize)> = BTreeMap::new();
    for finding in findings {
        let Some(fleet) = fleet_of(snapshot, &finding.entity) else {
            kept.push(finding);
            continue;
        };
        match fleets.get_mut(&(fleet.clone(), finding.cause_code.clone())) {
            None => {
                fleets.insert((fleet, finding.cause_code.clone()), (kept.len(), 0));
                kept.push(finding);
            }
            Some((at, more)) => {
                let first = &mut kept[*at];
                *more += 1;
                first.onset = match (first.onset, finding.onset) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                first.evidence.extend(finding.evidence);
            }
        }
    }
    for ((fleet, _), (at, more)) in fleets {
        if more > 0 {
            let plural = if more == 1 { "pod" } else { "pods" };
            kept[at].statement.push_str(&format!(" (so do {more} more {plural} of {fleet})"));
        }
    }
    kept
}

/// Where the failing pods of a rollout have a precise diagnosis, that diagnosis is the finding and
/// the rollout the change behind it.
fn refine_rollouts(snapshot: &Snapshot, findings: &mut Vec<Finding>) {
    let rollouts: Vec<Finding> = findings.iter().filter(|f| f.cause_code == "bad_rollout").cloned().collect();
    for rollout in rollouts {
        let mut refined = false;
        for finding in findings.iter_mut().filter(|f| PRECISE.contains(&f.cause_code.as_str())) {
            let entity = match finding.entity.kind.as_str() {
                "Pod" => Some(finding.entity.clone()),
                // What a pod refers to: any failing pod of the rollout that needs it.
                _ => snapshot.pods.iter().find(|p| p.refs.contains(&finding.entity)).map(|p| p.meta.entity.clone()),
            };
            if entity.and_then(|e| fleet_of(snapshot, &e)).as_ref() == Some(&rollout.entity) {
                finding.change.clone_from(&rollout.change);
                let more = rollout.evidence.iter().filter(|id| !finding.evidence.contains(id)).cloned();
                let more: Vec<String> = more.collect();
                finding.evidence.extend(more);
                refined = true;
            }
        }
        if refined {
            findings.retain(|f| !(f.cause_code == "bad_rollout" && f.entity == rollout.entity));
        }
    }
}
