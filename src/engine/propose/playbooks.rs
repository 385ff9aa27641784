//! Playbooks: what is done about a class of incident when no model proposes anything. They read
//! findings and propose little; the gate decides, as about anybody's.
//!
//! | class | proposes |
//! |---|---|
//! | `service_down` | what the likeliest cause calls for: back to the revision before, or a restart |
//! | `service_flapping` | nothing: whatever is done feeds the flap |
//! | `resource_pressure` | more room for the volume that is full: where it is written down, by a pull request; and now, by an expansion, about which policy always asks |

use crate::domain::{AlertStatus, Analysis, Class, Effect, Entity, Hypothesis, quantity};
use serde_json::{Value, json};

/// Below this a cause is a guess, and nothing is proposed on a guess.
const LIKELY: f64 = 0.6;
/// By how much a full volume grows, and by how much at most.
const GROWTH: f64 = 1.5;
const MOST_GROWTH: f64 = 2.0;
const GIB: f64 = 1_073_741_824.0;
/// Longest title and summary that the pull request takes.
const TITLE: usize = 120;
const SUMMARY: usize = 2_000;

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

/// What is to be done, in this order. `exists` tells the effect of a tool that is there.
pub fn propose(
    class: Class,
    status: AlertStatus,
    analysis: &Analysis,
    exists: &dyn Fn(&str) -> Option<Effect>,
) -> Vec<Proposed> {
    // It has recovered by itself, or flaps: hands off.
    if status == AlertStatus::Resolved || class == Class::ServiceFlapping || !analysis.healthy.is_empty() {
        return vec![];
    }
    let Some(top) = analysis.hypotheses.first().filter(|top| top.confidence >= LIKELY) else { return vec![] };
    let wanted = match class {
        Class::ResourcePressure => more_room(analysis, top),
        Class::ServiceDown => back_or_again(top).into_iter().collect(),
        Class::ServiceFlapping => vec![],
    };
    let reason = format!("{}: {}", top.finding.cause_code, top.finding.statement);
    let there = wanted.into_iter().filter(|(tool, _)| exists(tool).is_some());
    there.map(|(tool, args)| Proposed { tool, args, reason: reason.clone() }).collect()
}

/// The definition first, so that the change by hand is not undone by whoever keeps the definition.
fn more_room(analysis: &Analysis, top: &Hypothesis) -> Vec<(&'static str, Value)> {
    let is_volume = |entity: &Entity| entity.kind == "PersistentVolumeClaim";
    let about_room = |code: &str| matches!(code, "volume_full" | "volume_filling" | "volume_usage" | "wal_growth");
    let entity = |finding: &&crate::domain::Finding| is_volume(&finding.entity);
    let mut findings = std::iter::once(&top.finding).chain(&top.explains).filter(entity);
    let Some(full) = findings.find(|f| about_room(&f.cause_code)).map(|f| &f.entity) else { return vec![] };
    let Some((from, to)) = request(analysis, full).and_then(|from| Some((from, larger(from)?))) else { return vec![] };
    let args = json!({"namespace": full.namespace, "name": full.name, "size": to});
    let pull = in_the_definition(analysis, top, full, (from, &to)).map(|args| ("github_open_pull_request", args));
    pull.into_iter().chain([("kubernetes_expand_volume", args)]).collect()
}

/// What the claim asks for, as it is written.
fn request<'a>(analysis: &'a Analysis, claim: &Entity) -> Option<&'a str> {
    let volumes = analysis.facts.get("facts")?["volumes"].as_array()?;
    let same = |volume: &&Value| volume["namespace"] == claim.namespace && volume["name"] == claim.name;
    volumes.iter().find(same)?["request"].as_str()
}

/// The next size up in whole GiB; nothing where that is more than the double.
fn larger(request: &str) -> Option<String> {
    let bytes = quantity(request).filter(|bytes| *bytes >= 1.0)?;
    let gib = (bytes * GROWTH / GIB).ceil();
    (gib * GIB <= bytes * MOST_GROWTH).then(|| format!("{gib}Gi"))
}

/// The pull request for the file that defines the workload, where that is known.
fn in_the_definition(analysis: &Analysis, top: &Hypothesis, claim: &Entity, (from, to): (&str, &str)) -> Option<Value> {
    let resource = analysis.facts.get("resource")?;
    let text = |value: &'_ Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (repo, path) = (text(&resource["gitops"]["repo"])?, text(&resource["gitops"]["path"])?);
    let what = format!("{} {}/{}", text(&resource["kind"])?, claim.namespace, text(&resource["name"])?);
    let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
    let summary = format!(
        "{}: {}\n\nThis writes the larger request down where {what} is defined, so that it is not set back. It does not \
         enlarge the claim {} that is there: that is asked for on its own. A StatefulSet takes other claim templates \
         only when it is made anew.",
        top.finding.cause_code,
        cut(top.finding.statement.clone(), SUMMARY),
        claim.name
    );
    Some(json!({
        "repo": repo,
        "title": cut(format!("Raise the storage of {what} from {from} to {to}"), TITLE),
        "summary": summary,
        "changes": [{"path": path, "find": format!("storage: {from}"), "replace": format!("storage: {to}")}],
    }))
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
        let facts = json!({"facts": {"volumes": [{"namespace": "shop", "name": "api", "request": "20Gi"}]}});
        let facts = facts.as_object().cloned().unwrap_or_default();
        Analysis { hypotheses: vec![hypothesis], facts, ..Analysis::default() }
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
            (ResourcePressure, Firing, "volume_full", "PersistentVolumeClaim", 0.5, None),
            (ResourcePressure, Firing, "volume_full", "Pod", 0.9, None),
            (ResourcePressure, Firing, "bad_rollout", "Deployment", 0.9, None),
        ] {
            let found = propose(class, status, &analysis(code, kind, confidence), &all);
            assert_eq!(found.first().map(|p| p.tool), expected, "{class} {status} {code} {kind} {confidence}");
        }
    }

    #[test]
    fn what_has_recovered_or_has_no_tool_is_left_alone() {
        let found = |analysis: &Analysis, exists: &dyn Fn(&str) -> Option<Effect>| {
            propose(Class::ServiceDown, AlertStatus::Firing, analysis, exists)
        };
        let down = analysis("bad_rollout", "Deployment", 0.9);
        assert!(found(&down, &|_| None).is_empty());
        let proposed = found(&down, &|_| Some(Effect::Write)).remove(0);
        assert_eq!(proposed.args, json!({"kind": "Deployment", "namespace": "shop", "name": "api"}));
        assert_eq!(proposed.reason, "bad_rollout: it is so");
        let well = Analysis { healthy: vec!["E1".into()], ..down };
        assert!(found(&well, &|_| Some(Effect::Write)).is_empty());
    }

    #[test]
    fn the_cause_may_be_about_a_pod_whose_workload_it_explains() {
        let mut analysis = analysis("wal_growth", "Pod", 0.8);
        analysis.hypotheses[0].explains.push(finding("volume_full", "PersistentVolumeClaim"));
        let proposed = propose(Class::ResourcePressure, AlertStatus::Firing, &analysis, &|_| Some(Effect::Write));
        assert_eq!(proposed[0].args, json!({"namespace": "shop", "name": "api", "size": "30Gi"}));
    }

    #[test]
    fn a_volume_grows_by_half_to_whole_gib_and_at_most_to_the_double() {
        for (request, expected) in [
            ("20Gi", Some("30Gi")),
            ("5Gi", Some("8Gi")),
            ("1Gi", Some("2Gi")),
            ("512Mi", Some("1Gi")),
            ("100Mi", None),
            ("10G", Some("14Gi")),
            ("0", None),
            ("lots", None),
        ] {
            assert_eq!(larger(request).as_deref(), expected, "{request}");
        }
        let mut unknown = analysis("volume_full", "PersistentVolumeClaim", 0.9);
        unknown.facts.clear();
        let all = |_: &str| Some(Effect::Write);
        assert!(propose(Class::ResourcePressure, AlertStatus::Firing, &unknown, &all).is_empty());
    }

    #[test]
    fn more_room_is_written_down_where_the_definition_is_known() {
        let mut analysis = analysis("volume_full", "PersistentVolumeClaim", 0.9);
        let resource = json!({"kind": "StatefulSet", "name": "api",
                              "gitops": {"repo": "acme/platform", "path": "clusters/shop/api.yaml"}});
        analysis.facts.insert("resource".into(), resource);
        let propose = |exists: &dyn Fn(&str) -> Option<Effect>| {
            propose(Class::ResourcePressure, AlertStatus::Firing, &analysis, exists)
        };
        let proposed = propose(&|_| Some(Effect::Write));
        let tools: Vec<&str> = proposed.iter().map(|p| p.tool).collect();
        assert_eq!(tools, ["github_open_pull_request", "kubernetes_expand_volume"]);
        let args = &proposed[0].args;
        let change = json!({"path": "clusters/shop/api.yaml", "find": "storage: 20Gi", "replace": "storage: 30Gi"});
        assert_eq!((&args["repo"], &args["changes"]), (&json!("acme/platform"), &json!([change])));
        assert_eq!(args["title"], "Raise the storage of StatefulSet shop/api from 20Gi to 30Gi");
        assert!(args["summary"].as_str().is_some_and(|text| text.starts_with("volume_full: it is so")));
        let without = |tool: &str| (tool != "github_open_pull_request").then_some(Effect::Write);
        assert_eq!(propose(&without).len(), 1);
    }
}
