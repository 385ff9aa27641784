//! Targets that Prometheus cannot scrape.

use super::found;
use crate::analysis::scene::{Scene, is_target_alert, namespace_of};
use crate::analysis::snapshot::Target;
use crate::analysis::text::quote;
use crate::domain::Finding;

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let relevant =
        |t: &&Target| !t.up && (scene.is_subject(&t.entity()) || named(scene, t) || scene.hops(&t.entity()) <= 2);
    scene.snapshot.targets.iter().filter(relevant).map(|t| down(scene, t)).collect()
}

/// An alert on targets names its job, with or without the instance.
fn named(scene: &Scene<'_>, target: &Target) -> bool {
    scene.events.iter().filter(|e| is_target_alert(e)).any(|e| {
        let same = |name: &str| e.labels.get(name).is_none_or(|v| v == target.label(name));
        same("job") && same("instance") && namespace_of(e).is_none_or(|n| n == target.label("namespace"))
    })
}

fn down(scene: &Scene<'_>, target: &Target) -> Finding {
    let entity = target.entity();
    let (kind, category, specificity, symptom, remedy) = classify(&target.error.to_lowercase());
    Finding {
        symptom,
        // Prometheus does not say since when; an alert about it does.
        onset: (scene.is_subject(&entity) || named(scene, target)).then_some(scene.started_at),
        evidence: vec![target.evidence.clone()],
        remedy: (!symptom).then(|| remedy.to_owned()),
        ..found(
            &entity,
            "target_down",
            category,
            specificity,
            format!("Prometheus cannot scrape {}: {kind}; it says {}", entity.name, quote(&target.error)),
        )
    }
}

/// A refused or silent target is the consequence of something; a wrong name, path or certificate
/// is a cause by itself.
fn classify(error: &str) -> (&'static str, &'static str, f64, bool, &'static str) {
    let any = |words: &[&str]| words.iter().any(|w| error.contains(w));
    if any(&["x509", "tls:", "certificate"]) {
        ("TLS fails", "config", 0.7, false, "Renew the certificate or correct what the scrape trusts.")
    } else if any(&["no such host", "name resolution", "server misbehaving"]) {
        ("its name does not resolve", "config", 0.6, false, "Correct the target's name or its Service.")
    } else if any(&["http status 401", "http status 403"]) {
        ("it refuses the scrape's credentials", "config", 0.7, false, "Correct the scrape's credentials.")
    } else if any(&["http status 404"]) {
        ("the metrics path does not exist", "config", 0.7, false, "Correct the metrics path or port.")
    } else if any(&["http status 5"]) {
        ("it answers with a server error", "unknown", 0.3, true, "")
    } else if any(&["connection refused"]) {
        ("nothing listens there", "unknown", 0.3, true, "")
    } else if any(&["deadline exceeded", "timeout", "timed out"]) {
        ("it does not answer in time", "unknown", 0.3, true, "")
    } else if any(&["no route", "unreachable"]) {
        ("there is no way to it", "unknown", 0.3, true, "")
    } else {
        ("the scrape fails", "unknown", 0.25, true, "")
    }
}
