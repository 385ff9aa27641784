//! Playbooks: what is done about a class of incident when no model proposes anything. They read
//! findings and propose at most one change; the gate decides, as about anybody's.
//!
//! | class | proposes |
//! |---|---|
//! | `service_down` | what the likeliest cause calls for: back to the revision before, or a restart |
//! | `service_flapping` | nothing: whatever is done feeds the flap |
//! | `resource_pressure` | more room, where the volume that is full can grow; policy always asks |

use crate::domain::{AlertStatus, Analysis, Class, Effect, Entity, Hypothesis};
use serde_json::{Value, json};

/// Below this a cause is a guess, and nothing is proposed on a guess.
const LIKELY: f64 = 0.6;
/// By how much a full volume grows, in percent.
const GROW_PERCENT: u32 = 50;

/// A change that a playbook wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The tool.
    pub tool: &'static str,
    /// Its arguments.
    pub args: Value,
    /// Why, for people: the finding in a sentence.
    pub reason: String,
}

/// What is to be done. `exists` tells the effect of a tool that is there.
pub fn propose(
    class: Class,
    status: AlertStatus,
    analysis: &Analysis,
    exists: &dyn Fn(&str) -> Option<Effect>,
) -> Option<Proposed> {
    // It has recovered by itself, or flaps: hands off.
    if status == AlertStatus::Resolved || class == Class::ServiceFlapping || !analysis.healthy.is_empty() {
        return None;
    }
    let top = analysis.hypotheses.first().filter(|top| top.confidence >= LIKELY)?;
    let (tool, args) = match class {
        Class::ResourcePressure => more_room(top)?,
        Class::ServiceDown => back_or_again(top)?,
        Class::ServiceFlapping => return None,
    };
    let reason = format!("{}: {}", top.finding.cause_code, top.finding.statement);
    exists(tool).map(|_| Proposed { tool, args, reason })
}

fn more_room(top: &Hypothesis) -> Option<(&'static str, Value)> {
    let is_volume = |entity: &Entity| entity.kind == "PersistentVolumeClaim";
    let about_room = |code: &str| matches!(code, "volume_full" | "volume_filling" | "volume_usage" | "wal_growth");
    let findings = std::iter::once(&top.finding).chain(&top.explains);
    let full = findings.into_iter().find(|f| is_volume(&f.entity) && about_room(&f.cause_code))?;
    let Entity { namespace, name, .. } = &full.entity;
    let args = json!({"namespace": namespace, "name": name, "grow_percent": GROW_PERCENT});
    Some(("kubernetes_expand_volume", args))
}

fn back_or_again(top: &Hypothesis) -> Option<(&'static str, Value)> {
    let entity = workload(top)?;
    let tool = match top.finding.cause_code.as_str() {
        "bad_rollout" => "kubernetes_rollout_undo",
        // Only what a fresh start mends for a while; a crash loop restarts by itself.
        "oom_leak" | "not_ready" => "kubernetes_rollout_restart",
        _ => return None,
    };
    let args = json!({"kind": entity.kind, "namespace": entity.namespace, "name": entity.name});
    Some((tool, args))
}

/// The workload that the cause, or what it explains, is about.
fn workload(top: &Hypothesis) -> Option<&Entity> {
    let findings = std::iter::once(&top.finding).chain(&top.explains);
    findings
        .map(|finding| &finding.entity)
        .find(|e| matches!(e.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Finding;

    fn finding(code: &str, kind: &str) -> Finding {
        Finding {
            analyzer: "a".into(),
            entity: Entity::new(kind, "shop", "api"),
            cause_code: code.into(),
            statement: "it is so".into(),
            category: "change".into(),
            specificity: 0.9,
            symptom: false,
            onset: None,
            evidence: vec![],
            change: None,
            remedy: None,
        }
    }

    fn analysis(code: &str, kind: &str, confidence: f64) -> Analysis {
        let hypothesis = Hypothesis {
            finding: finding(code, kind),
            score: 1.0,
            confidence,
            explains: vec![],
            why_less_likely: None,
        };
        Analysis { hypotheses: vec![hypothesis], ..Analysis::default() }
    }

    #[test]
    fn each_class_has_its_remedies() {
        use AlertStatus::*;
        use Class::*;
        let all = |_: &str| Some(Effect::Write);
        for (class, status, code, kind, confidence, expected) in [
            (ServiceDown, Firing, "bad_rollout", "Deployment", 0.9, Some("kubernetes_rollout_undo")),
            (ServiceDown, Firing, "not_ready", "StatefulSet", 0.7, Some("kubernetes_rollout_restart")),
            (ServiceDown, Firing, "bad_rollout", "Deployment", 0.5, None),
            (ServiceDown, Firing, "bad_rollout", "Pod", 0.9, None),
            (ServiceDown, Firing, "crash_loop", "Deployment", 0.9, None),
            (ServiceDown, Resolved, "bad_rollout", "Deployment", 0.9, None),
            (ServiceFlapping, Firing, "bad_rollout", "Deployment", 0.9, None),
            (ResourcePressure, Firing, "volume_full", "PersistentVolumeClaim", 0.9, Some("kubernetes_expand_volume")),
            (ResourcePressure, Firing, "volume_full", "Pod", 0.9, None),
            (ResourcePressure, Firing, "bad_rollout", "Deployment", 0.9, None),
        ] {
            let found = propose(class, status, &analysis(code, kind, confidence), &all);
            assert_eq!(found.map(|p| p.tool), expected, "{class} {status} {code} {kind} {confidence}");
        }
    }

    #[test]
    fn what_has_recovered_or_has_no_tool_is_left_alone() {
        let found = |analysis: &Analysis, exists: &dyn Fn(&str) -> Option<Effect>| {
            propose(Class::ServiceDown, AlertStatus::Firing, analysis, exists)
        };
        let down = analysis("bad_rollout", "Deployment", 0.9);
        assert!(found(&down, &|_| None).is_none());
        let proposed = found(&down, &|_| Some(Effect::Write)).unwrap();
        assert_eq!(proposed.args, json!({"kind": "Deployment", "namespace": "shop", "name": "api"}));
        assert_eq!(proposed.reason, "bad_rollout: it is so");
        let well = Analysis { healthy: vec!["E1".into()], ..down };
        assert!(found(&well, &|_| Some(Effect::Write)).is_none());
    }

    #[test]
    fn the_cause_may_be_about_a_pod_whose_workload_it_explains() {
        let mut analysis = analysis("wal_growth", "Pod", 0.8);
        analysis.hypotheses[0].explains.push(finding("volume_full", "PersistentVolumeClaim"));
        let proposed =
            propose(Class::ResourcePressure, AlertStatus::Firing, &analysis, &|_| Some(Effect::Write)).unwrap();
        assert_eq!(proposed.args["grow_percent"], 50);
    }
}
