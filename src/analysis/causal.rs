//! Which finding explains which: "A explains B" when a rule joins their causes, a path of at most
//! three hops leads from A to B, and A did not begin later.

use super::analyzers::fleet_of;
use super::scene::Scene;
use super::text::seconds_between;
use crate::domain::{Entity, Finding};
use std::collections::HashMap;

/// Longest path over which one finding explains another.
const MAX_HOPS: u32 = 3;
/// Times of events and states differ by about this much.
const TOLERANCE_S: i64 = 300;

const SICK: [&str; 2] = ["not_ready", "target_down"];

/// Causes, and what each of them explains. The order is the order of a chain.
const RULES: &[(&[&str], &[&str])] = &[
    (&["scaled_to_zero"], &["csi_absent", "pvc_unbound", "mount_failed", "not_ready", "target_down"]),
    (
        &["bad_rollout"],
        &[
            "app_panic",
            "corrupt_data",
            "bad_config",
            "bad_command",
            "volume_permission",
            "port_conflict",
            "dns_failure",
            "cert_expired",
            "dependency_auth",
            "dependency_exhausted",
            "dependency_unreachable",
            "oom_limit_low",
            "oom_leak",
            "image_pull_failed",
            "crash_loop",
            "not_ready",
            "target_down",
        ],
    ),
    (&["node_not_ready"], &["csi_absent", "multi_attach", "mount_failed", "crash_loop", "not_ready", "target_down"]),
    (&["node_oom", "memory_pressure"], &["oom_limit_low", "crash_loop", "not_ready", "target_down"]),
    (&["disk_pressure", "pid_pressure"], &["image_pull_failed", "crash_loop", "not_ready", "target_down"]),
    (&["csi_absent"], &["pvc_unbound", "mount_failed", "not_ready", "target_down"]),
    (&["pvc_class", "pvc_unbound"], &["pvc_unbound", "mount_failed", "not_ready", "target_down"]),
    (&["multi_attach", "missing_ref"], &["mount_failed", "crash_loop", "not_ready", "target_down"]),
    (
        &[
            "corrupt_data",
            "app_panic",
            "bad_config",
            "bad_command",
            "volume_permission",
            "port_conflict",
            "dns_failure",
            "cert_expired",
            "dependency_auth",
            "dependency_exhausted",
            "dependency_unreachable",
            "ephemeral_storage_full",
            "oom_limit_low",
            "oom_leak",
        ],
        &["crash_loop", "wal_growth", "not_ready", "target_down"],
    ),
    // A server that crashes before it can compact fills its own volume; a full volume crashes it.
    (&["crash_loop"], &["wal_growth", "not_ready", "target_down"]),
    (&["wal_growth"], &["volume_full", "volume_filling"]),
    (&["volume_full"], &["crash_loop", "not_ready", "target_down"]),
    (
        &[
            "image_ref_wrong",
            "pull_secret_missing",
            "rate_limited",
            "registry_dns",
            "registry_unreachable",
            "image_pull_failed",
            "taint",
            "cordon",
            "anti_affinity",
            "node_selector",
            "node_affinity",
            "cpu",
            "memory",
            "ports",
            "max_pods",
            "volume_zone",
            "mount_failed",
        ],
        &SICK,
    ),
    (&["not_ready"], &["target_down"]),
];

/// The order of causes in a chain: earlier rules come first.
pub(super) fn stage(cause_code: &str) -> usize {
    // A symptom stands where it first explains something, else at the end.
    RULES.iter().position(|(causes, _)| causes.contains(&cause_code)).unwrap_or(RULES.len())
}

fn rule(cause: &str, effect: &str) -> bool {
    RULES.iter().any(|(causes, effects)| causes.contains(&cause) && effects.contains(&effect))
}

/// A finding that nothing explains, and what it explains, nearest first.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub finding: usize,
    /// Index and number of links from the root.
    pub explains: Vec<(usize, u32)>,
}

/// The findings that nothing else explains.
pub(super) fn roots(scene: &Scene<'_>, findings: &[Finding]) -> Vec<Root> {
    let links = links(scene, findings);
    let reach: Vec<Vec<Option<u32>>> = (0..findings.len()).map(|from| depths(&links, from, &[])).collect();
    let better = |a: usize, b: usize| {
        let key = |i: usize| (!findings[i].symptom, findings[i].specificity);
        key(a).partial_cmp(&key(b)).is_some_and(|o| o.is_gt() || (o.is_eq() && a < b))
    };
    let explained = |effect: usize| {
        (0..findings.len()).any(|cause| {
            let direct = reach[cause][effect].is_some() && cause != effect;
            // Only a symptom can be explained by a symptom.
            let weighty = !findings[cause].symptom || findings[effect].symptom;
            let mutual = reach[effect][cause].is_some();
            direct && weighty && !(mutual && better(effect, cause))
        })
    };
    let tops: Vec<usize> = (0..findings.len()).filter(|i| !explained(*i)).collect();
    tops.iter()
        .map(|&top| {
            let depths = depths(&links, top, &tops);
            let mut explains: Vec<(usize, u32)> =
                depths.iter().enumerate().filter_map(|(i, d)| Some((i, (*d)?))).filter(|(i, _)| *i != top).collect();
            explains.sort_by_key(|(i, depth)| (*depth, stage(&findings[*i].cause_code), findings[*i].onset, *i));
            Root { finding: top, explains }
        })
        .collect()
}

fn links(scene: &Scene<'_>, findings: &[Finding]) -> Vec<Vec<usize>> {
    let fleets: Vec<Option<Entity>> = findings.iter().map(|f| fleet_of(scene.snapshot, &f.entity)).collect();
    let mut links = vec![Vec::new(); findings.len()];
    for (from, cause) in findings.iter().enumerate() {
        let mut reached: HashMap<&Entity, u32> = scene.topology.effects_of(&cause.entity);
        if let Some(fleet) = &fleets[from] {
            reached.extend(scene.topology.effects_of(fleet));
        }
        let near = |entity: &Entity| reached.get(entity).is_some_and(|hops| *hops <= MAX_HOPS);
        for (to, effect) in findings.iter().enumerate() {
            let joined = from != to && rule(&cause.cause_code, &effect.cause_code);
            if !joined || !in_order(cause, effect) {
                continue;
            }
            let same = cause.entity == effect.entity || (fleets[from].is_some() && fleets[from] == fleets[to]);
            if same || near(&effect.entity) || fleets[to].as_ref().is_some_and(near) {
                links[from].push(to);
            }
        }
    }
    links
}

fn in_order(cause: &Finding, effect: &Finding) -> bool {
    match (cause.onset, effect.onset) {
        (Some(cause), Some(effect)) => seconds_between(cause, effect) >= -TOLERANCE_S,
        _ => true,
    }
}

/// Links from `from` to each finding; other findings in `walls` are not entered.
fn depths(links: &[Vec<usize>], from: usize, walls: &[usize]) -> Vec<Option<u32>> {
    let mut depth = vec![None; links.len()];
    depth[from] = Some(0);
    let mut layer = vec![from];
    let mut far = 0;
    while !layer.is_empty() {
        far += 1;
        let mut next = Vec::new();
        for here in layer {
            for &to in &links[here] {
                if depth[to].is_none() && !walls.contains(&to) {
                    depth[to] = Some(far);
                    next.push(to);
                }
            }
        }
        layer = next;
    }
    depth
}
