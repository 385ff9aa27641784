//! All of it in order: findings, what explains what, ranking, and the story for people.

use super::expression::{Holds, Reading};
use super::lookup::resolved;
use super::need::Case;
use super::rank::{causes, rank, verdict};
use super::scene::{Scene, UNRELATED, is_about_state, namespace_of, subject_of};
use super::snapshot::{Pod, Snapshot};
use super::text::{clip, gist, moment, quote, seconds_between, some_of};
use super::topology::Topology;
use super::{analyzers, causal, closer, facts, questions};
use crate::domain::{Analysis, ChainStep, Entity, Finding, Impact, ReportVerdict, SreEvent, TimelineItem};
use std::collections::{BTreeMap, BTreeSet};

/// Most links of one cause's chain.
const MAX_STEPS: usize = 8;
/// Most lines of the timeline.
const MAX_TIMELINE: usize = 30;

/// Most alerts whose own expressions are read.
const MAX_READ: usize = 10;
/// How the last link of a chain begins.
const ALERT_STEP: &str = "the alert ";

/// What follows from all that was seen.
pub fn conclude(case: &Case<'_>) -> Analysis {
    let snapshot = Snapshot::of(case.seen);
    let topology = Topology::of(&snapshot);
    let scene = Scene::new(case, &snapshot, &topology);
    let findings = analyzers::run(&scene);
    let roots = causal::roots(&scene, &findings);
    let missing = questions::missing(&scene);
    let readings: Vec<Option<Reading>> =
        scene.events.iter().take(MAX_READ).map(|event| Reading::of(&scene, event)).collect();
    let mut analysis = Analysis { hypotheses: rank(&scene, &findings, &roots, missing), ..Analysis::default() };
    if missing == 0 && findings.iter().all(|f| scene.hops(&f.entity) >= UNRELATED) {
        analysis.healthy = healthy(&scene, &readings);
    }
    analysis.chain = chain(&scene, &analysis, readings.first().and_then(Option::as_ref));
    analysis.timeline = timeline(&scene, &findings, &readings);
    analysis.impact = impact(&scene, &suffering(&scene, &analysis, &findings));
    analysis.facts = facts::facts(&scene);
    analysis.closer = closer::details(case, &snapshot);
    analysis.findings = findings;
    let settled =
        matches!(verdict(&analysis), ReportVerdict::Confirmed | ReportVerdict::Likely | ReportVerdict::NoFault);
    analysis.open_questions =
        questions::open(case, &scene, &analysis, readings.first().and_then(Option::as_ref), settled);
    analysis
}

/// How many of the questions that matter nobody answered: what is said without them is said half blind.
pub fn unanswered(case: &Case<'_>) -> usize {
    let snapshot = Snapshot::of(case.seen);
    let topology = Topology::of(&snapshot);
    questions::missing(&Scene::new(case, &snapshot, &topology))
}

/// Evidence that everything the alerts name is well. Empty when one of it was not seen, or when an
/// alert is about something that we did not look at.
fn healthy(scene: &Scene<'_>, readings: &[Option<Reading>]) -> Vec<String> {
    let mut evidence: Vec<String> = Vec::new();
    for (nth, event) in scene.events.iter().enumerate() {
        let reading = readings.get(nth).and_then(Option::as_ref);
        let about_state = is_about_state(event);
        // Errors and latency are not seen on objects: there the alert's own expression has to deny it.
        if !about_state && !reading.is_some_and(|r| groundless(scene, event, r)) {
            return Vec::new();
        }
        if let Some(reading) = reading.filter(|r| r.holds != Holds::Yes) {
            evidence.extend(reading.evidence().cloned());
        }
        let seen = match subject_of(event) {
            Some(subject) => {
                let things = resolved(scene.snapshot, &subject);
                let well: Option<Vec<Vec<String>>> = things.iter().map(|thing| well(scene, thing)).collect();
                well.map(|ids| ids.concat())
            }
            None if about_state => None,
            None => namespace_of(event).and_then(|namespace| all_well(scene, namespace)),
        };
        match seen {
            Some(ids) => evidence.extend(ids),
            None => return Vec::new(),
        }
    }
    dedup(&mut evidence);
    evidence
}

/// The alert's expression is not true, was not true all the time that was looked at, and what it
/// compares is still measured.
fn groundless(scene: &Scene<'_>, event: &SreEvent, reading: &Reading) -> bool {
    let measured = reading.limit.is_none() || reading.value.is_some();
    reading.holds == Holds::No && measured && active(scene, event, false).is_none()
}

/// Evidence that everything in a namespace is well.
fn all_well(scene: &Scene<'_>, namespace: &str) -> Option<Vec<String>> {
    let snapshot = scene.snapshot;
    let pods = snapshot.listed("Pod", namespace)?;
    let mut here = snapshot.pods.iter().filter(|p| p.meta.namespace() == namespace).peekable();
    here.peek()?;
    let mut workloads = snapshot.workloads.iter().filter(|w| w.meta.namespace() == namespace);
    let well = here.all(|p| p.healthy()) && workloads.all(|w| w.ready >= w.replicas);
    well.then(|| vec![pods.to_owned()])
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

/// From each cause to what it led to; the alert ends the first chain, and is all of it without a
/// cause.
fn chain(scene: &Scene<'_>, analysis: &Analysis, reading: Option<&Reading>) -> Vec<ChainStep> {
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
            steps.extend(alert_step(scene, reading));
        }
    }
    if steps.is_empty() {
        steps.extend(alert_step(scene, reading));
    }
    for (i, step) in steps.iter_mut().enumerate() {
        step.seq = u32::try_from(i + 1).unwrap_or(u32::MAX);
        step.inferred = step.evidence_ids.is_empty();
    }
    steps
}

/// What is known of the opening alert itself, from an analysis' chain.
pub(super) fn of_alert(analysis: &Analysis) -> Option<&ChainStep> {
    analysis.chain.iter().find(|step| step.event.starts_with(ALERT_STEP))
}

/// A finding as an entry that has its time beside it.
fn story(finding: &Finding) -> String {
    let gist = gist(&finding.statement);
    finding.onset.map_or(gist.to_owned(), |at| gist.replacen(&format!(" at {}", moment(at)), "", 1))
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
        event: story(finding),
        at: finding.onset,
        evidence_ids: finding.evidence.clone(),
        relation: relation.to_owned(),
        inferred: false,
    }
}

/// The alert as Prometheus has it, firing or, if asked for, only pending.
fn active<'a>(scene: &Scene<'a>, event: &SreEvent, only_firing: bool) -> Option<&'a str> {
    let found = scene.snapshot.alerts.iter().find(|a| {
        (a.firing || !only_firing)
            && a.labels.get("alertname").is_some_and(|name| *name == event.name)
            && a.labels.iter().all(|(k, v)| event.labels.get(k).is_none_or(|e| e == v))
    });
    found.map(|a| a.evidence.as_str())
}

fn alert_step(scene: &Scene<'_>, reading: Option<&Reading>) -> Option<ChainStep> {
    let event = scene.events.first()?;
    let entity = scene
        .subjects
        .first()
        .cloned()
        .unwrap_or_else(|| Entity::new("Alert", event.resource.namespace.clone().unwrap_or_default(), &event.name));
    let mut text = format!("{ALERT_STEP}{} fires", clip(&event.name, 80));
    let mut evidence: Vec<String> = active(scene, event, true).map(str::to_owned).into_iter().collect();
    if let Some(reading) = reading {
        let join = if reading.holds == Holds::Yes { ": " } else { ", but " };
        text.push_str(join);
        text.push_str(&reading.text());
        evidence.extend(reading.evidence().cloned());
        dedup(&mut evidence);
    }
    Some(ChainStep {
        seq: 0,
        entity,
        event: text,
        at: Some(event.starts_at),
        evidence_ids: evidence,
        relation: "causes".into(),
        inferred: false,
    })
}

fn timeline(scene: &Scene<'_>, findings: &[Finding], readings: &[Option<Reading>]) -> Vec<TimelineItem> {
    let mut items: Vec<TimelineItem> = Vec::new();
    for event in scene.events.iter().take(10) {
        let text = format!("alert {} starts: {}", clip(&event.name, 80), quote(&event.title));
        items.push(TimelineItem { at: event.starts_at, source: "alert".into(), text, evidence_id: String::new() });
    }
    for (event, reading) in scene.events.iter().zip(readings) {
        items.extend(reading.iter().flat_map(|reading| readings_of(event, reading)));
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
            text: clip(&story(finding), 200),
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

/// When an alert's expression turned, and what it says now.
fn readings_of(event: &SreEvent, reading: &Reading) -> Vec<TimelineItem> {
    let item = |at, text: String, id: &str| TimelineItem { at, source: "metric".into(), text, evidence_id: id.into() };
    let name = clip(&event.name, 80);
    let turned = reading.since.zip(reading.more.first()).map(|(at, course)| {
        let what = if reading.holds == Holds::Yes { "becomes true" } else { "ceases to be true" };
        item(at, format!("the expression of {name} {what}{}", reading.limit_text()), course)
    });
    let now = item(reading.at, format!("alert {name}: {}", reading.text()), &reading.evidence);
    turned.into_iter().chain([now]).collect()
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
    let snapshot = scene.snapshot;
    let owner = |pod: &Pod| snapshot.controller_of(pod).unwrap_or_else(|| pod.meta.entity.clone());
    let (mut evidence, mut owners, mut since) = (Vec::new(), BTreeSet::new(), None);
    for finding in findings {
        let Some(pod) = snapshot.pod(&finding.entity).filter(|p| !p.healthy()) else { continue };
        owners.insert(owner(pod));
        since = [since, finding.onset].into_iter().flatten().min();
        evidence.push(pod.meta.evidence.clone());
    }
    dedup(&mut evidence);
    evidence.truncate(8);
    // Of each workload: pods that do not serve, and all that should.
    let mut counts: BTreeMap<&Entity, (usize, usize)> = owners.iter().map(|o| (o, (0, 0))).collect();
    for pod in snapshot.pods.iter().filter(|p| p.phase != "Succeeded") {
        if let Some((sick, all)) = counts.get_mut(&owner(pod)) {
            *sick += usize::from(!pod.healthy());
            *all += 1;
        }
    }
    let name = |e: &Entity| format!("{}/{}", e.namespace, e.name);
    let down: Vec<String> = counts.iter().filter(|(_, (sick, all))| sick == all).map(|(e, _)| name(e)).collect();
    let partly = counts.iter().filter(|(_, (sick, all))| sick < all);
    let partly: Vec<String> =
        partly.map(|(e, (sick, all))| format!("{} ({sick} of {all} pods not ready)", name(e))).collect();
    let said = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what}: {}", some_of(names, 5)));
    let statement: Vec<String> = [said("down", &down), said("degraded", &partly)].into_iter().flatten().collect();
    Impact {
        services: counts.keys().map(|e| name(e)).take(20).collect(),
        since,
        statement: statement.join("; "),
        evidence_ids: evidence,
    }
}

fn dedup(ids: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
}
