//! A new revision that is bad where the old one was good, shortly before the trouble.

use super::{crash, found};
use crate::analysis::json::{at, items, text};
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Pod, Workload};
use crate::analysis::text::{clip, moment, quote, seconds_between};
use crate::domain::{Change, Entity, Finding};
use serde_json::Value;

/// Longest time from a new revision to its first trouble.
const WINDOW_S: i64 = 30 * 60;
/// Clocks and event times differ by about this much.
const SLACK_S: i64 = 120;

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    scene
        .snapshot
        .workloads
        .iter()
        .filter(|w| w.meta.entity.kind == "Deployment")
        .filter_map(|deployment| rollout(scene, deployment))
        .collect()
}

/// The revisions of a Deployment, newest first.
fn revisions<'a>(scene: &Scene<'a>, deployment: &Entity) -> Vec<&'a Workload> {
    let mut sets: Vec<&Workload> = scene
        .snapshot
        .workloads
        .iter()
        .filter(|w| w.meta.entity.kind == "ReplicaSet" && w.meta.owners.contains(deployment))
        .collect();
    sets.sort_by_key(|w| std::cmp::Reverse((w.revision, w.meta.created)));
    sets
}

fn rollout(scene: &Scene<'_>, deployment: &Workload) -> Option<Finding> {
    let entity = &deployment.meta.entity;
    let sets = revisions(scene, entity);
    let (new, old) = (*sets.first()?, *sets.get(1)?);
    let created = new.meta.created?;
    let pods = |set: &Workload| -> Vec<&Pod> {
        let owner = set.meta.entity.clone();
        scene.snapshot.pods.iter().filter(|p| p.meta.owners.contains(&owner)).collect()
    };
    let bad = |p: &&Pod| !p.healthy() || p.containers.iter().any(|c| crash::crashing(c, scene.now));
    let new_pods = pods(new);
    let bad_pods: Vec<&&Pod> = new_pods.iter().filter(|p| bad(p)).collect();
    let old_bad = pods(old).iter().any(bad);
    if bad_pods.is_empty() || old_bad {
        return None;
    }
    // The trouble is either the pods' own first sign or the alert, whichever came first.
    let first_sign = bad_pods.iter().filter_map(|p| crash::onset(scene, p)).min();
    let trouble = first_sign.map_or(scene.started_at, |at| at.min(scene.last_start));
    let delay = seconds_between(created, trouble);
    if !(-SLACK_S..=WINDOW_S).contains(&delay) {
        return None;
    }
    let diff = template_diff(old, new);
    let old_serves = old.ready > 0;
    let specificity = match (diff.is_empty(), old_serves) {
        (false, true) => 0.9,
        (false, false) => 0.8,
        (true, _) => 0.5,
    };
    let what = if diff.is_empty() { "same template, new pods".to_owned() } else { diff.join(", ") };
    let author = deployment.meta.last_edit().map(|e| e.manager.clone());
    let by = author.as_deref().map_or(String::new(), |a| format!(" by {a}"));
    Some(Finding {
        onset: Some(created),
        evidence: vec![
            new.meta.evidence.clone(),
            bad_pods.first().map(|p| p.meta.evidence.clone()).unwrap_or_default(),
            deployment.meta.evidence.clone(),
        ],
        change: Some(Change { kind: "rollout".into(), what: what.clone(), author, at: Some(created) }),
        remedy: Some(format!(
            "Roll {} {}/{} back to its previous revision.",
            entity.kind, entity.namespace, entity.name
        )),
        ..found(
            entity,
            "bad_rollout",
            "change",
            specificity,
            format!(
                "revision {} of {entity}, rolled out{by} at {}, fails in {} of {} pods while the one before was good; what changed: {what}",
                new.revision.map_or("?".to_owned(), |r| r.to_string()),
                moment(created),
                bad_pods.len(),
                new_pods.len(),
            ),
        )
    })
}

/// What changed between two pod templates, for people; values of what looks secret are left out.
fn template_diff(old: &Workload, new: &Workload) -> Vec<String> {
    let mut lines = Vec::new();
    for container in &new.template {
        let name = text(container, "/name");
        let Some(before) = old.template.iter().find(|c| text(c, "/name") == name) else {
            lines.push(format!("container {name} is new"));
            continue;
        };
        for (pointer, label) in [("/image", "image"), ("/command", "command")] {
            changed(&mut lines, label, at(before, pointer), at(container, pointer));
        }
        arguments(&mut lines, items(before, "/args"), items(container, "/args"));
        for pointer in [
            "/resources/limits/memory",
            "/resources/limits/cpu",
            "/resources/requests/memory",
            "/resources/requests/cpu",
        ] {
            changed(&mut lines, &pointer[11..].replace('/', "."), at(before, pointer), at(container, pointer));
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if before.get(probe) != container.get(probe) {
                lines.push(format!("{probe} changed"));
            }
        }
        environment(&mut lines, before, container);
    }
    lines.truncate(8);
    lines
}

fn changed(lines: &mut Vec<String>, label: &str, old: &Value, new: &Value) {
    let show = |value: &Value| match value {
        Value::Null => "unset".to_owned(),
        Value::String(text) => clip(text, 80),
        other => clip(&other.to_string(), 80),
    };
    if old != new {
        lines.push(format!("{label} from {} to {}", show(old), show(new)));
    }
}

/// Arguments that came and went; their order is not compared.
fn arguments(lines: &mut Vec<String>, old: &[Value], new: &[Value]) {
    let show = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        match text.split_once('=') {
            Some((name, _)) if looks_secret(name) => quote(&format!("{name}=…")),
            _ => quote(&clip(text, 80)),
        }
    };
    let without = |all: &[Value], others: &[Value]| -> Vec<String> {
        all.iter().filter(|value| !others.contains(value)).take(4).map(show).collect()
    };
    for (values, what) in [(without(new, old), "adds"), (without(old, new), "removes")] {
        if !values.is_empty() {
            lines.push(format!("{what} args {}", values.join(" ")));
        }
    }
}

fn environment(lines: &mut Vec<String>, before: &Value, after: &Value) {
    let old = items(before, "/env");
    for variable in items(after, "/env") {
        let name = text(variable, "/name");
        let previous = old.iter().find(|v| text(v, "/name") == name);
        match previous {
            None => lines.push(format!("env {name} added")),
            Some(previous) if previous == variable => {}
            Some(_) if looks_secret(name) || !variable.get("value").is_some_and(Value::is_string) => {
                lines.push(format!("env {name} changed"));
            }
            Some(previous) => changed(lines, &format!("env {name}"), at(previous, "/value"), at(variable, "/value")),
        }
    }
    for variable in old {
        let name = text(variable, "/name");
        if !items(after, "/env").iter().any(|v| text(v, "/name") == name) {
            lines.push(format!("env {name} removed"));
        }
    }
}

fn looks_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "cred", "pwd"].iter().any(|w| lower.contains(w))
}
