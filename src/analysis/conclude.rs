//! All of it in order: findings, what explains what, ranking, and the story for people.

use super::need::Case;
use super::rank::{causes, rank, verdict};
use super::scene::{Scene, UNRELATED, is_about_state};
use super::snapshot::Snapshot;
use super::text::{clip, quote, seconds_between, some_of};
use super::topology::Topology;
use super::{analyzers, causal, facts, questions};
use crate::domain::{Analysis, ChainStep, Entity, Finding, Impact, ReportVerdict, TimelineItem};
use std::collections::BTreeSet;

/// Most links of one cause's chain.
const MAX_STEPS: usize = 8;
/// Most lines of the timeline.
const MAX_TIMELINE: usize = 30;

/// What follows from all that was seen.
pub fn conclude(case: &Case<'_>) -> Analysis {
    let snapshot = Snapshot::of(case.seen);
    let topology = Topology::of(&snapshot);
    let scene = Scene::new(case, &snapshot, &topology);
    let findings = analyzers::run(&scene);
    let roots = causal::roots(&scene, &findings);
    let missing = questions::missing(&scene);
    let mut analysis = Analysis { hypotheses: rank(&scene, &findings, &roots, missing), ..Analysis::default() };
    if missing == 0 && findings.iter().all(|f| scene.hops(&f.entity) >= UNRELATED) {
        analysis.healthy = healthy(&scene);
    }
    analysis.chain = chain(&scene, &analysis);
    analysis.timeline = timeline(&scene, &findings);
    analysis.impact = impact(&scene, &suffering(&scene, &analysis, &findings));
    analysis.facts = facts::facts(&scene);
    analysis.findings = findings;
    let settled =
        matches!(verdict(&analysis), ReportVerdict::Confirmed | ReportVerdict::Likely | ReportVerdict::NoFault);
    analysis.open_questions = questions::open(case, &scene, &analysis, settled);
    analysis
}

/// Evidence that everything the alerts name is well. Empty when one of it was not seen, or when an
/// alert is about something that we did not look at.
fn healthy(scene: &Scene<'_>) -> Vec<String> {
    let mut evidence = Vec::new();
    if scene.subjects.is_empty() || !scene.events.iter().all(is_about_state) {
        return evidence;
    }
    for subject in &scene.subjects {
        match well(scene, subject) {
            Some(ids) => evidence.extend(ids),
            None => return Vec::new(),
        }
    }
    evidence.dedup();
    evidence
}

fn well(scene: &Scene<'_>, subject: &Entity) -> Option<Vec<String>> {
    let snapshot = scene.snapshot;
    match subject.kind.as_str() {
        "PersistentVolumeClaim" => {
            let claim = snapshot.claim(subject).filter(|c| c.phase == "Bound")?;
            let roomy = analyzers::roomy(scene, subject)?;
            Some(vec![roomy, claim.meta.evidence.clone()])
        }
        "Pod" => {
            let pod = snapshot.pod(subject).filter(|p| p.healthy())?;
            // Well now, but not all the time that the alert is about.
            let ends = pod.containers.iter().filter_map(|c| c.last_end()).filter(|t| t.exit_code != 0);
            let stumbled = ends.filter_map(|t| t.finished).any(|at| seconds_between(at, scene.started_at) < 3600);
            (!stumbled).then(|| vec![pod.meta.evidence.clone()])
        }
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let workload = snapshot.workload(subject)?;
            let pods: Vec<_> = snapshot.pods_of(subject).collect();
            let well = workload.replicas > 0 && workload.ready >= workload.replicas && pods.iter().all(|p| p.healthy());
            let mut ids = vec![workload.meta.evidence.clone()];
            ids.extend(pods.first().map(|p| p.meta.evidence.clone()));
            well.then_some(ids)
        }
        "Node" => {
            let node = snapshot.node(&subject.name)?;
            let well = !node.conditions.is_empty() && node.complaints().next().is_none();
            well.then(|| vec![node.meta.evidence.clone()])
        }
        "Target" => {
            let target = snapshot.targets.iter().find(|t| t.entity().name == subject.name)?;
            target.up.then(|| vec![target.evidence.clone()])
        }
        _ => None,
    }
}

/// From each cause to what it led to; the alert ends the first chain.
fn chain(scene: &Scene<'_>, analysis: &Analysis) -> Vec<ChainStep> {
    let mut steps: Vec<ChainStep> = Vec::new();
    for (nth, hypothesis) in causes(analysis).enumerate() {
        let mut told: Vec<(&str, usize, Vec<String>)> = Vec::new();
        steps.push(step(&hypothesis.finding));
        let first = steps.len();
        for finding in &hypothesis.explains {
            // The same on other things is the same link.
            if let Some((_, at, others)) = told.iter_mut().find(|(code, ..)| *code == finding.cause_code) {
                others.push(finding.entity.name.clone());
                steps[*at].evidence_ids.extend(finding.evidence.iter().cloned());
                continue;
            }
            if steps.len() - first >= MAX_STEPS {
                break;
            }
            told.push((&finding.cause_code, steps.len(), Vec::new()));
            steps.push(step(finding));
        }
        for (_, at, others) in told {
            if !others.is_empty() {
                steps[at].event.push_str(&format!("; likewise {}", some_of(&others, 3)));
            }
            dedup(&mut steps[at].evidence_ids);
        }
        if nth == 0 {
            steps.extend(alert_step(scene));
        }
    }
    for (i, step) in steps.iter_mut().enumerate() {
        step.seq = u32::try_from(i + 1).unwrap_or(u32::MAX);
        step.inferred = step.evidence_ids.is_empty();
    }
    steps
}

fn step(finding: &Finding) -> ChainStep {
    let relation = match finding.cause_code.as_str() {
        "crash_loop" => "enables",
        "wal_growth" => "amplifies",
        _ => "causes",
    };
    ChainStep {
        seq: 0,
        entity: finding.entity.clone(),
        event: finding.statement.clone(),
        at: finding.onset,
        evidence_ids: finding.evidence.clone(),
        relation: relation.to_owned(),
        inferred: false,
    }
}

fn alert_step(scene: &Scene<'_>) -> Option<ChainStep> {
    let event = scene.events.first()?;
    let active = scene.snapshot.alerts.iter().find(|a| {
        a.firing
            && a.labels.get("alertname").is_some_and(|name| *name == event.name)
            && a.labels.iter().all(|(k, v)| event.labels.get(k).is_none_or(|e| e == v))
    });
    let entity = scene
        .subjects
        .first()
        .cloned()
        .unwrap_or_else(|| Entity::new("Alert", event.resource.namespace.clone().unwrap_or_default(), &event.name));
    Some(ChainStep {
        seq: 0,
        entity,
        event: format!("the alert {} fires", clip(&event.name, 80)),
        at: Some(event.starts_at),
        evidence_ids: active.map(|a| a.evidence.clone()).into_iter().collect(),
        relation: "causes".into(),
        inferred: false,
    })
}

fn timeline(scene: &Scene<'_>, findings: &[Finding]) -> Vec<TimelineItem> {
    let mut items: Vec<TimelineItem> = Vec::new();
    for event in scene.events.iter().take(10) {
        let text = format!("alert {} starts: {}", clip(&event.name, 80), quote(&event.title));
        items.push(TimelineItem { at: event.starts_at, source: "alert".into(), text, evidence_id: String::new() });
    }
    for finding in findings {
        let (Some(at), Some(id)) = (finding.onset, finding.evidence.first()) else { continue };
        let source = match (&finding.change, scene.snapshot.kinds.get(id)) {
            (Some(change), _) if change.at == Some(at) => "change",
            (_, Some(kind)) => kind,
            (_, None) => "state",
        };
        items.push(TimelineItem {
            at,
            source: source.to_owned(),
            text: clip(&finding.statement, 200),
            evidence_id: id.clone(),
        });
    }
    items.extend(edits(scene, findings));
    items.sort_by(|a, b| (a.at, &a.text).cmp(&(b.at, &b.text)));
    items.dedup_by(|a, b| a.at == b.at && a.text == b.text);
    if items.len() > MAX_TIMELINE {
        // Nearest to the start of the alert is most telling.
        items.sort_by_key(|i| seconds_between(scene.started_at, i.at).unsigned_abs());
        items.truncate(MAX_TIMELINE);
        items.sort_by(|a, b| (a.at, &a.text).cmp(&(b.at, &b.text)));
    }
    items
}

/// Edits of workloads within two hours before the alert; harmless ones, too, so that people can judge.
fn edits(scene: &Scene<'_>, findings: &[Finding]) -> Vec<TimelineItem> {
    let mut items = Vec::new();
    for workload in scene.snapshot.workloads.iter().filter(|w| w.meta.owners.is_empty()) {
        let Some(edit) = workload.meta.last_edit() else { continue };
        if findings.iter().any(|f| f.entity == workload.meta.entity && f.onset == Some(edit.at)) {
            continue;
        }
        if (-600..=7200).contains(&seconds_between(edit.at, scene.started_at)) && items.len() < 10 {
            let what = if edit.subresource == "scale" { "scaled" } else { "edited" };
            items.push(TimelineItem {
                at: edit.at,
                source: "change".into(),
                text: format!("{} {what} by {}", workload.meta.entity, clip(&edit.manager, 60)),
                evidence_id: workload.meta.evidence.clone(),
            });
        }
    }
    items
}

/// The findings that tell who suffers: what the causes explain, else what is near the alerts.
fn suffering<'f>(scene: &Scene<'_>, analysis: &'f Analysis, findings: &'f [Finding]) -> Vec<&'f Finding> {
    let told: Vec<&Finding> = causes(analysis).flat_map(|h| std::iter::once(&h.finding).chain(&h.explains)).collect();
    match told.is_empty() {
        true => findings.iter().filter(|f| scene.hops(&f.entity) < UNRELATED).collect(),
        false => told,
    }
}

fn impact(scene: &Scene<'_>, findings: &[&Finding]) -> Impact {
    let mut services: BTreeSet<String> = BTreeSet::new();
    let mut evidence = Vec::new();
    let mut sick = 0_usize;
    for finding in findings {
        if let Some(pod) = scene.snapshot.pod(&finding.entity).filter(|p| !p.healthy()) {
            let owner = scene.snapshot.controller_of(pod).unwrap_or_else(|| pod.meta.entity.clone());
            services.insert(format!("{}/{}", owner.namespace, owner.name));
            evidence.push(pod.meta.evidence.clone());
        }
    }
    for pod in scene.snapshot.pods.iter().filter(|p| !p.healthy()) {
        let owner = scene.snapshot.controller_of(pod).unwrap_or_else(|| pod.meta.entity.clone());
        sick += usize::from(services.contains(&format!("{}/{}", owner.namespace, owner.name)));
    }
    dedup(&mut evidence);
    evidence.truncate(8);
    let all: Vec<String> = services.iter().cloned().collect();
    let statement = match sick {
        0 => String::new(),
        1 => format!("1 pod is not serving: {}", some_of(&all, 5)),
        n => format!("{n} pods are not serving, of {}", some_of(&all, 5)),
    };
    Impact {
        services: all.into_iter().take(20).collect(),
        statement,
        since: findings.iter().filter_map(|f| f.onset).min().filter(|_| sick > 0),
        evidence_ids: evidence,
    }
}

fn dedup(ids: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
}
