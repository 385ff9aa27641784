//! Pods that start and end again, or run without being ready. Symptoms, but for commands that
//! cannot start at all.

use super::found;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Container, Pod};
use crate::analysis::text::{quote, seconds_between};
use crate::domain::Finding;
use jiff::Timestamp;

/// A restart longer ago is history.
const RECENT_S: i64 = 600;

/// What an exit code says.
fn exit_class(code: i64) -> &'static str {
    match code {
        0 => "it ends by itself though it should run on",
        126 => "its command cannot be executed",
        127 => "its command does not exist",
        134 => "it aborts",
        137 => "it is killed",
        139 => "segmentation fault",
        143 => "it is told to stop",
        _ => "application error",
    }
}

/// The container crashes again and again, now.
pub(super) fn crashing(container: &Container, now: Timestamp) -> bool {
    if container.waits_for("CrashLoopBackOff") {
        return true;
    }
    let recent = container.last_end().is_some_and(|end| {
        end.exit_code != 0 && end.finished.is_some_and(|at| (0..=RECENT_S).contains(&seconds_between(at, now)))
    });
    recent && container.restarts > 0
}

/// When a pod began to crash: the first back-off event, else the last run that is known.
pub(super) fn onset(scene: &Scene<'_>, pod: &Pod) -> Option<Timestamp> {
    let backoff = scene.snapshot.events_of(&pod.meta.entity).filter(|e| e.reason == "BackOff").filter_map(|e| e.first);
    let ends = pod.containers.iter().filter_map(|c| c.last_end().and_then(|t| t.finished));
    backoff.chain(ends).min()
}

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in &scene.snapshot.pods {
        if let Some(container) = pod.containers.iter().find(|c| crashing(c, scene.now)) {
            findings.push(crash(scene, pod, container));
        } else if let Some(finding) = cannot_start(pod).or_else(|| not_ready(scene, pod)) {
            findings.push(finding);
        }
    }
    findings
}

fn crash(scene: &Scene<'_>, pod: &Pod, container: &Container) -> Finding {
    let entity = &pod.meta.entity;
    let code = container.last_end().map(|t| t.exit_code);
    let events = scene.snapshot.events_of(entity).filter(|e| e.reason == "BackOff" || e.reason == "Killing");
    let mut evidence = vec![pod.meta.evidence.clone()];
    let mut by_probe = false;
    for event in events {
        by_probe |= event.reason == "Killing" && event.message.contains("liveness probe");
        evidence.push(event.evidence.clone());
    }
    let class = code.map_or("its end was not recorded", exit_class);
    let code_text = code.map_or(String::new(), |c| format!("exit code {c}: "));
    let probe = if by_probe { "; the liveness probe kills it" } else { "" };
    let statement =
        format!("{} keeps crashing ({} restarts, {code_text}{class}{probe})", entity.name, container.restarts);
    let bad_command = matches!(code, Some(126 | 127));
    Finding {
        symptom: !bad_command,
        onset: onset(scene, pod),
        evidence,
        remedy: bad_command.then(|| "Correct the container's command or its image.".to_owned()),
        ..match bad_command {
            true => found(entity, "bad_command", "config", 0.75, statement),
            false => found(entity, "crash_loop", "unknown", 0.25, statement),
        }
    }
}

/// The runtime cannot start the container at all.
fn cannot_start(pod: &Pod) -> Option<Finding> {
    const REASONS: [&str; 3] = ["RunContainerError", "CreateContainerError", "StartError"];
    pod.containers.iter().find_map(|c| {
        let waiting = c.waiting.as_ref().filter(|(reason, _)| REASONS.contains(&reason.as_str()));
        let message = waiting
            .map(|(_, message)| message)
            .or_else(|| c.last_end().filter(|t| t.reason == "StartError").map(|t| &t.message))?;
        Some(Finding {
            onset: pod.started,
            evidence: vec![pod.meta.evidence.clone()],
            remedy: Some("Correct the container's command or its image.".into()),
            ..found(
                &pod.meta.entity,
                "bad_command",
                "config",
                0.7,
                format!("container {} of {} cannot start: {}", c.name, pod.meta.name(), quote(message)),
            )
        })
    })
}

fn not_ready(scene: &Scene<'_>, pod: &Pod) -> Option<Finding> {
    let running = pod.phase == "Running" && pod.containers.iter().all(|c| c.running_since.is_some());
    let container = pod.containers.iter().find(|c| !c.ready).filter(|_| running)?;
    let since = pod.condition("Ready").filter(|c| c.status == "False").and_then(|c| c.since);
    // A container that has just started is not late.
    if container.running_since.is_some_and(|at| seconds_between(at, scene.now) < 120) {
        return None;
    }
    let probe = scene.snapshot.events_of(&pod.meta.entity).rfind(|e| e.reason == "Unhealthy");
    let said = probe.map_or(String::new(), |e| format!(": {}", quote(&e.message)));
    let mut evidence = vec![pod.meta.evidence.clone()];
    evidence.extend(probe.map(|e| e.evidence.clone()));
    Some(Finding {
        symptom: true,
        onset: since,
        evidence,
        ..found(
            &pod.meta.entity,
            "not_ready",
            "unknown",
            0.2,
            format!("{} runs but is not ready{said}", pod.meta.name()),
        )
    })
}
