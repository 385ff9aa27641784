//! Workloads at zero replicas that something needs, and who set them so.

use super::{found, mounts};
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::Workload;
use crate::analysis::text::{moment, some_of};
use crate::analysis::topology::operator;
use crate::domain::{Change, Entity, Finding};
use std::collections::BTreeMap;

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    // Many workloads rest at zero on purpose: only one that is missed is a finding.
    let mut missed: BTreeMap<Entity, String> = BTreeMap::new();
    for missing in mounts::missing_drivers(scene) {
        if let Some(operator) = operator(scene.snapshot, &missing.driver) {
            let pods = some_of(&missing.pods, 3);
            let why = format!("nothing runs the CSI driver {}, so {pods} cannot mount", missing.driver);
            missed.insert(operator.meta.entity.clone(), why);
        }
    }
    for workload in &scene.snapshot.workloads {
        let entity = &workload.meta.entity;
        if scene.subjects.contains(entity) {
            missed.entry(entity.clone()).or_insert_with(|| "the alert is about it".to_owned());
        }
        let down = scene.snapshot.targets.iter().find(|t| {
            !t.up
                && t.label("namespace") == entity.namespace
                && [t.label("job"), t.label("service"), t.label("app")].contains(&entity.name.as_str())
        });
        if let Some(target) = down {
            let why = format!("its target {} is down", target.entity().name);
            missed.entry(entity.clone()).or_insert(why);
        }
    }
    missed
        .iter()
        .filter_map(|(entity, why)| Some((scene.snapshot.workload(entity)?, why)))
        .filter(|(w, _)| w.replicas == 0 && matches!(w.meta.entity.kind.as_str(), "Deployment" | "StatefulSet"))
        .map(|(workload, why)| scaled(scene, workload, why))
        .collect()
}

fn scaled(scene: &Scene<'_>, workload: &Workload, why: &str) -> Finding {
    let entity = &workload.meta.entity;
    let event = scene.snapshot.events_of(entity).rfind(|e| {
        e.reason == "ScalingReplicaSet" && e.message.contains("down") && e.message.contains(" to 0")
            || e.reason == "SuccessfulDelete"
    });
    // The scale subresource is the surest trace of who did it.
    let scale = workload.meta.edits.iter().filter(|e| e.subresource == "scale").max_by_key(|e| e.at);
    let edit = scale.or_else(|| workload.meta.last_edit());
    let at = match (scale, event.and_then(|e| e.first)) {
        (Some(edit), _) => Some(edit.at),
        (None, Some(at)) => Some(at),
        (None, None) => edit.map(|e| e.at),
    };
    let author = edit.map(|e| e.manager.clone());
    let mut statement = format!("{} {}/{} was scaled to 0 replicas", entity.kind, entity.namespace, entity.name);
    if let Some(author) = &author {
        statement.push_str(&format!(" by {author}"));
    }
    if let Some(at) = at {
        statement.push_str(&format!(" at {}", moment(at)));
    }
    statement.push_str(&format!("; {why}"));
    let mut evidence = vec![workload.meta.evidence.clone()];
    evidence.extend(event.map(|e| e.evidence.clone()));
    // Cause and consequence were both seen: state, and need.
    let specificity = if at.is_some() { 0.9 } else { 0.8 };
    Finding {
        onset: at,
        evidence,
        change: Some(Change { kind: "scale".into(), what: format!("{entity} to 0 replicas"), author, at }),
        remedy: Some(format!(
            "Find out why {} {}/{} was scaled down, then scale it back.",
            entity.kind, entity.namespace, entity.name
        )),
        ..found(entity, "scaled_to_zero", "change", specificity, statement)
    }
}
