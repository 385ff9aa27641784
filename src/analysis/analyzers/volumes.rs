//! Volumes that are full or will be, and claims that stay unbound.

use super::{found, logs};
use crate::analysis::plan::usage;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::Series;
use crate::analysis::text::{bytes, hours, percent, quote};
use crate::domain::{Entity, Finding};
use std::collections::BTreeMap;

/// At this part a volume counts as full.
const FULL: f64 = 0.97;
/// At this part people are warned.
const HIGH: f64 = 0.75;
/// A forecast below this many hours is worth a finding by itself.
const SOON_HOURS: f64 = 24.0;

/// What is known of one claim's volume.
#[derive(Debug, Default)]
struct Usage<'a> {
    six_hours: Option<&'a Series>,
    one_hour: Option<&'a Series>,
    now: Option<&'a Series>,
}

impl Usage<'_> {
    fn last(&self) -> Option<f64> {
        self.one_hour.or(self.six_hours).or(self.now).and_then(Series::last)
    }

    /// Hours until full by the 6 h and the 1 h trend, whichever is known.
    fn full_in_hours(&self) -> (Option<f64>, Option<f64>) {
        let last = self.last().unwrap_or(0.0);
        let eta = |series: Option<&Series>, hours| {
            let slope = series?.slope_per_hour(hours)?;
            (slope > 1e-4).then(|| ((1.0 - last) / slope).max(0.0))
        };
        (eta(self.six_hours, 6.0), eta(self.one_hour.or(self.six_hours), 1.0))
    }

    fn evidence(&self) -> Vec<String> {
        [self.one_hour, self.six_hours, self.now].into_iter().flatten().map(|s| s.evidence.clone()).collect()
    }
}

fn usages<'a>(scene: &Scene<'a>) -> BTreeMap<Entity, Usage<'a>> {
    let mut all: BTreeMap<Entity, Usage<'a>> = BTreeMap::new();
    for series in &scene.snapshot.series {
        let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
        let (namespace, claim) = (label("namespace"), label("persistentvolumeclaim"));
        let ours = series.promql == usage(namespace, None) || series.promql == usage(namespace, Some(claim));
        if !ours || claim.is_empty() {
            continue;
        }
        let usage = all.entry(Entity::new("PersistentVolumeClaim", namespace, claim)).or_default();
        match series.minutes {
            0 => usage.now = Some(series),
            1..=90 => usage.one_hour = Some(series),
            _ => usage.six_hours = Some(series),
        }
    }
    all
}

/// Evidence that a claim's volume has room and is not about to fill.
pub(in crate::analysis) fn roomy(scene: &Scene<'_>, claim: &Entity) -> Option<String> {
    let all = usages(scene);
    let usage = all.get(claim)?;
    let soon = matches!(usage.full_in_hours(), (Some(six), Some(one)) if six < SOON_HOURS && one < SOON_HOURS);
    (usage.last()? < 0.7 && !soon).then(|| usage.evidence().into_iter().next()).flatten()
}

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut usages = usages(scene);
    let no_space = logs::no_space(scene);
    for claim in no_space.keys() {
        usages.entry(claim.clone()).or_default();
    }
    let mut findings: Vec<Finding> =
        usages.iter().filter_map(|(claim, usage)| space(scene, claim, usage, no_space.get(claim))).collect();
    findings.extend(unbound(scene));
    findings
}

fn space(scene: &Scene<'_>, entity: &Entity, usage: &Usage<'_>, no_space: Option<&logs::Line>) -> Option<Finding> {
    let last = usage.last();
    let full = last.is_some_and(|l| l >= FULL) || (no_space.is_some() && last.is_none_or(|l| l >= 0.9));
    let (by_six, by_one) = usage.full_in_hours();
    let soon = matches!((by_six, by_one), (Some(six), Some(one)) if six < SOON_HOURS && one < SOON_HOURS);
    let high = last.is_some_and(|l| l >= HIGH || (soon && l >= 0.5));
    if !full && !high {
        return None;
    }
    let claim = scene.snapshot.claim(entity);
    let growth = scene.snapshot.users_of(entity).find_map(|pod| logs::growth(scene, &pod.meta.entity));
    let capacity = claim.and_then(|c| c.capacity);

    let mut statement = match (last, capacity) {
        (Some(l), Some(c)) => {
            format!("the volume {} is {} full ({} of {})", entity.name, percent(l), bytes(l * c), bytes(c))
        }
        (Some(l), None) => format!("the volume {} is {} full", entity.name, percent(l)),
        (None, _) => format!("the volume {} is full", entity.name),
    };
    if let (false, Some(six)) = (full, by_six) {
        let nearest = by_one.map_or(six, |one| one.min(six));
        statement.push_str(&format!(", and at this pace it is full in about {}", hours(nearest)));
    }
    if let Some(line) = &no_space {
        statement.push_str(&format!("; the log of {} says: {}", line.pod.name, quote(&line.text)));
    }
    if let Some(line) = &growth {
        statement.push_str(&format!("; it grows by its write-ahead log: {}", quote(&line.text)));
    }

    let mut evidence = usage.evidence();
    evidence.extend(claim.map(|c| c.meta.evidence.clone()));
    evidence.extend(no_space.map(|l| l.evidence.clone()));
    evidence.extend(growth.as_ref().map(|l| l.evidence.clone()));
    let specificity = match (full, last.is_some(), no_space.is_some()) {
        (true, true, true) => 0.9,
        (true, true, false) => 0.8,
        (true, false, _) => 0.6,
        (false, _, _) if soon => 0.75,
        (false, ..) => 0.65,
    };
    let threshold = if full { FULL } else { HIGH };
    let onset = usage.six_hours.or(usage.one_hour).and_then(|s| s.rose_to(threshold));
    let expandable = claim.and_then(|c| c.class.as_deref()).and_then(|c| scene.snapshot.class(c));
    let expand = match expandable.map(|c| c.expandable) {
        Some(true) => "Expand the claim (its storage class allows it)",
        Some(false) => "Move the data to a larger claim (its storage class allows no expansion)",
        None => "Expand the claim if its storage class allows it",
    };
    Some(Finding {
        onset,
        evidence,
        remedy: Some(format!("{expand}, then remove what makes it grow. Delete no data or log files by hand.")),
        ..found(entity, if full { "volume_full" } else { "volume_filling" }, "capacity", specificity, statement)
    })
}

fn unbound(scene: &Scene<'_>) -> Vec<Finding> {
    const WAITS: [&str; 1] = ["WaitForFirstConsumer"];
    let mut findings = Vec::new();
    for claim in scene.snapshot.claims.iter().filter(|c| c.phase == "Pending") {
        let entity = &claim.meta.entity;
        let event = scene.snapshot.events_of(entity).rfind(|e| !WAITS.contains(&e.reason.as_str()));
        let Some(event) = event else { continue };
        let class = claim.class.as_deref().unwrap_or("");
        let missing = !class.is_empty()
            && scene.snapshot.class(class).is_none()
            && scene.snapshot.listed("StorageClass", "").is_some();
        let mut evidence = vec![event.evidence.clone(), claim.meta.evidence.clone()];
        evidence.extend(scene.snapshot.listed("StorageClass", "").filter(|_| missing).map(str::to_owned));
        findings.push(match missing {
            true => Finding {
                onset: event.first.or(claim.meta.created),
                evidence,
                remedy: Some("Create the storage class or name an existing one in the claim.".into()),
                ..found(
                    entity,
                    "pvc_class",
                    "config",
                    0.9,
                    format!("claim {} asks for the storage class {class}, which does not exist", entity.name),
                )
            },
            false => Finding {
                symptom: true,
                onset: event.first.or(claim.meta.created),
                evidence,
                ..found(
                    entity,
                    "pvc_unbound",
                    "dependency",
                    0.3,
                    format!("claim {} is not bound: {}", entity.name, quote(&event.message)),
                )
            },
        });
    }
    findings
}
