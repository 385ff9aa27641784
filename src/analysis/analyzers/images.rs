//! Images that cannot be pulled.

use super::found;
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Container, Pod};
use crate::analysis::text::quote;
use crate::domain::Finding;

const REASONS: [&str; 5] =
    ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"];

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    scene.snapshot.pods.iter().filter_map(|pod| pull(scene, pod)).collect()
}

fn pull(scene: &Scene<'_>, pod: &Pod) -> Option<Finding> {
    let waits = |c: &&Container| c.waiting.as_ref().is_some_and(|(reason, _)| REASONS.contains(&reason.as_str()));
    let container = pod.containers.iter().find(waits)?;
    let (reason, message) = container.waiting.as_ref()?;
    let entity = &pod.meta.entity;
    // The state often says "back-off" alone; the event says why.
    let events: Vec<_> = scene
        .snapshot
        .events_of(entity)
        .filter(|e| {
            e.reason == "Failed" && e.message.to_lowercase().contains("pull") && e.message.contains(&container.image)
        })
        .collect();
    let why = events.last().map_or(message.as_str(), |e| e.message.as_str());
    let registry = container.image.split('/').next().unwrap_or("");
    let others_pull = scene.snapshot.pods.iter().any(|p| {
        p.healthy() && p.containers.iter().any(|c| c.image != container.image && c.image.starts_with(registry))
    });
    let lower = format!("{message} {why}").to_lowercase();
    let (code, category, specificity, says, remedy) = classify(reason, &lower, pod.pull_secrets, others_pull);
    let mut evidence: Vec<String> = events.iter().rev().take(2).map(|e| e.evidence.clone()).collect();
    evidence.push(pod.meta.evidence.clone());
    let image = quote(&container.image);
    let mut finding = found(
        entity,
        code,
        category,
        specificity,
        format!("{} cannot pull the image {image}: {says}; it is told {}", entity.name, quote(why)),
    );
    finding.symptom = code == "image_pull_failed";
    finding.onset = events.iter().filter_map(|e| e.first).min().or(pod.started);
    finding.evidence = evidence;
    finding.remedy = Some(remedy.to_owned());
    Some(finding)
}

fn classify(
    reason: &str,
    lower: &str,
    pull_secrets: bool,
    others_pull: bool,
) -> (&'static str, &'static str, f64, &'static str, &'static str) {
    let any = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if any(&["no such host", "name resolution", "server misbehaving", "lookup "]) {
        return (
            "registry_dns",
            "dependency",
            0.8,
            "the registry's name does not resolve",
            "Check the registry's name and the DNS of the nodes.",
        );
    }
    if any(&["429", "too many requests", "toomanyrequests", "rate limit"]) {
        return (
            "rate_limited",
            "external",
            0.85,
            "the registry limits the rate",
            "Pull with an account or through a mirror.",
        );
    }
    if reason == "InvalidImageName" || any(&["invalid reference format", "couldn't parse image"]) {
        return (
            "image_ref_wrong",
            "config",
            0.9,
            "the reference is no valid image name",
            "Correct the image reference.",
        );
    }
    if any(&["manifest unknown", "not found", "no such image", "does not exist in the registry", "name unknown"]) {
        return (
            "image_ref_wrong",
            "config",
            0.9,
            "the registry has no such image or tag",
            "Correct the image reference, or push the image.",
        );
    }
    if any(&["401", "403", "unauthorized", "denied", "no basic auth", "authentication required", "forbidden"]) {
        // Registries answer "denied" for repositories that do not exist, too.
        return match (pull_secrets, others_pull) {
            (false, _) => (
                "pull_secret_missing",
                "config",
                0.8,
                "the registry asks for credentials and the pod has none",
                "Name a pull secret in the pod or its service account.",
            ),
            (true, true) => (
                "image_ref_wrong",
                "config",
                0.6,
                "the registry denies this image while it serves others",
                "Check the repository's name, then the account's rights on it.",
            ),
            (true, false) => (
                "pull_secret_missing",
                "config",
                0.7,
                "the registry refuses the pod's credentials",
                "Renew the pull secret.",
            ),
        };
    }
    if any(&["connection refused", "i/o timeout", "timeout", "no route", "tls", "x509", "eof"]) {
        return (
            "registry_unreachable",
            "dependency",
            0.7,
            "the registry cannot be reached",
            "Check the registry and the way to it from the nodes.",
        );
    }
    ("image_pull_failed", "unknown", 0.3, "the reason was not seen", "Read the events of the pod.")
}
