//! Containers and nodes that run out of memory.

use super::found;
use crate::analysis::plan::working_set;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Pod, Termination};
use crate::analysis::text::{bytes, hours, seconds_between};
use crate::domain::Finding;

/// A kill longer ago is history.
const RECENT_S: i64 = 3600;

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in &scene.snapshot.pods {
        for container in &pod.containers {
            let killed = [&container.terminated, &container.last].into_iter().flatten().find(|t| recent(scene, t));
            let Some(killed) = killed else { continue };
            findings.push(oom(scene, pod, &container.name, container.memory_limit, container.restarts, killed));
            break;
        }
    }
    for node in &scene.snapshot.nodes {
        let entity = &node.meta.entity;
        let event = scene.snapshot.events_of(entity).rfind(|e| e.reason == "SystemOOM");
        let Some(event) = event.filter(|e| e.last.is_some_and(|at| seconds_between(at, scene.now) <= RECENT_S)) else {
            continue;
        };
        findings.push(Finding {
            onset: event.first,
            evidence: vec![event.evidence.clone(), node.meta.evidence.clone()],
            remedy: Some("Give pods of this node honest memory requests and limits, or add nodes.".into()),
            ..found(entity, "node_oom", "capacity", 0.7, format!("node {} itself ran out of memory", entity.name))
        });
    }
    findings
}

fn recent(scene: &Scene<'_>, end: &Termination) -> bool {
    end.reason == "OOMKilled" && end.finished.is_none_or(|at| seconds_between(at, scene.now) <= RECENT_S)
}

fn oom(
    scene: &Scene<'_>,
    pod: &Pod,
    container: &str,
    limit: Option<f64>,
    restarts: i64,
    killed: &Termination,
) -> Finding {
    let entity = &pod.meta.entity;
    let promql = working_set(entity);
    let series = scene
        .snapshot
        .series
        .iter()
        .find(|s| s.promql == promql && s.minutes > 0 && s.labels.get("container").is_none_or(|c| c == container));
    // A life measured in seconds means that the start alone needs more than the limit.
    let life_s = killed.started.zip(killed.finished).map(|(a, b)| seconds_between(a, b));
    let slope = series.and_then(|s| s.slope_per_hour(6.0)).unwrap_or(0.0);
    let leaks = limit.is_some_and(|l| slope > l * 0.05) && life_s.is_none_or(|s| s > 1800);
    let limit_text = limit.map_or("its node's memory".to_owned(), |l| format!("its limit of {}", bytes(l)));
    let mut evidence = vec![pod.meta.evidence.clone()];
    evidence.extend(series.map(|s| s.evidence.clone()));
    let statement = match (leaks, life_s) {
        (true, _) => format!(
            "container {container} of {} was killed at {limit_text} (OOMKilled, {restarts} restarts); its memory grows by {} an hour",
            entity.name,
            bytes(slope)
        ),
        (false, Some(s)) => format!(
            "container {container} of {} was killed at {limit_text} (OOMKilled, {restarts} restarts) after {}",
            entity.name,
            hours(s as f64 / 3600.0)
        ),
        (false, None) => {
            format!(
                "container {container} of {} was killed at {limit_text} (OOMKilled, {restarts} restarts)",
                entity.name
            )
        }
    };
    let (code, category, remedy) = match leaks {
        true => {
            ("oom_leak", "code", "Roll back to the version without the leak; a higher limit only delays the next kill.")
        }
        false => (
            "oom_limit_low",
            "capacity",
            "Compare what it needs with its limit; raise the limit or undo what raised the need.",
        ),
    };
    Finding {
        onset: killed.finished,
        evidence,
        remedy: Some(remedy.to_owned()),
        ..found(entity, code, category, 0.85, statement)
    }
}
