//! Playbooks: what is done about a class of incident when no model proposes anything. They read
//! findings and propose little; the gate decides, as about anybody's.
//!
//! | class | proposes |
//! |---|---|
//! | `service_down` | what the likeliest cause calls for: back to the revision before, or a restart; a restart, too, where no cause is likely and Pods are missing |
//! | `service_flapping` | the same, or a restart, about which policy always asks: whatever is done feeds the flap |
//! | `resource_pressure` | a closer look; and more room for the volume that is full: where it is written down, by a pull request, and now, by an expansion. Policy always asks about what acts |

use crate::domain::{
    AlertStatus, Analysis, Class, Effect, Entity, Hypothesis, ResourceType, SreEvent, quantity, says_down,
};
use crate::journal::{Confirmation, Confirmed, FailureGap};
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
/// Longest reason.
const REASON: usize = 500;

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

/// How far it was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Everything that was to be seen was seen.
    Wholly,
    /// To the end, and some of it could not be seen.
    InPart,
    /// Not to the end, or nothing could be seen.
    TooLittle,
}

/// Whether what the alerts say still holds, by what was seen of it. What was not seen is no sign of health.
pub fn confirm(
    class: Option<Class>,
    opening: &SreEvent,
    status: AlertStatus,
    analysis: &Analysis,
    looked: Looked,
) -> Confirmed {
    let of = |outcome, reason: String, evidence: &[String]| Confirmed {
        outcome,
        reason: cut(reason, REASON),
        evidence: evidence.to_vec(),
    };
    if status == AlertStatus::Resolved {
        return of(Confirmation::Recovered, "its sender says that it is over".into(), &[]);
    }
    if !analysis.healthy.is_empty() && looked != Looked::TooLittle {
        return of(Confirmation::Recovered, "what it names was seen well".into(), &analysis.healthy);
    }
    let finding = analysis.hypotheses.iter().find(|h| h.confidence >= LIKELY).map(|h| &h.finding);
    if let Some(finding) = finding {
        return of(Confirmation::Confirmed, finding.statement.clone(), &finding.evidence);
    }
    match replicas(analysis) {
        // What runs out, errors and latency do not show on objects.
        Some((ready, wanted)) if wanted > 0 && ready >= wanted => {
            let shows = class != Some(Class::ResourcePressure) && says_down(opening);
            let nothing_else = looked == Looked::Wholly && analysis.hypotheses.is_empty();
            let (outcome, more) = match shows && nothing_else {
                true => (Confirmation::Recovered, ", and nothing else was found"),
                false => (Confirmation::Unknown, ""),
            };
            of(outcome, format!("{ready} of {wanted} Pods are ready{more}"), &[])
        }
        Some((ready, wanted)) => of(Confirmation::Confirmed, format!("{ready} of {wanted} Pods are ready"), &[]),
        None => of(Confirmation::Unknown, "neither cluster nor Prometheus tells whether it holds".into(), &[]),
    }
}

/// Something loud of which no object is known that would explain it; nothing where one is, or where too little
/// could be looked at to say so.
pub fn gap(opening: &SreEvent, confirmed: &Confirmed, analysis: &Analysis, looked: Looked) -> Option<FailureGap> {
    let known = analysis.facts.get("resource").is_some_and(|resource| resource["resolved"] == true);
    let explained = known || !analysis.hypotheses.is_empty() || confirmed.outcome != Confirmation::Unknown;
    let is_loud = opening.severity >= crate::domain::Severity::Error;
    (is_loud && !explained && looked != Looked::TooLittle).then(|| FailureGap {
        topic: cut(format!("{}: {}", opening.name, opening.subject), 200),
        reason: "no object of the cluster and no target of Prometheus is known by what the alert names".into(),
    })
}

/// What is to be done, in this order. `exists` tells the effect of a tool that is there.
pub fn propose(
    class: Class,
    opening: Option<&SreEvent>,
    confirmed: &Confirmed,
    analysis: &Analysis,
    exists: &dyn Fn(&str) -> Option<Effect>,
) -> Vec<Proposed> {
    // It has recovered by itself: hands off.
    if confirmed.outcome == Confirmation::Recovered {
        return vec![];
    }
    let top = analysis.hypotheses.first().filter(|top| top.confidence >= LIKELY);
    let wanted: Vec<(&'static str, Value)> = match class {
        Class::ResourcePressure => {
            let room = top.map(|top| more_room(analysis, top)).unwrap_or_default();
            room.into_iter().chain(closer_look(opening, analysis)).collect()
        }
        Class::ServiceDown => match top {
            Some(top) => back_or_again(top).into_iter().collect(),
            None => again(analysis).into_iter().collect(),
        },
        Class::ServiceFlapping => top.and_then(back_or_again).or_else(|| again(analysis)).into_iter().collect(),
    };
    let reason = match (class, top) {
        (Class::ServiceFlapping, _) => {
            "it goes down again and again: nothing is done by itself, for whatever is done may feed that".to_owned()
        }
        (_, Some(top)) => format!("{}: {}", top.finding.cause_code, top.finding.statement),
        (Class::ResourcePressure, None) => "what takes it is not known yet".to_owned(),
        (Class::ServiceDown, None) => format!("no cause is likely, and {}", confirmed.reason),
    };
    let there = wanted.into_iter().filter(|(tool, _)| exists(tool).is_some());
    there.map(|(tool, args)| Proposed { tool, args, reason: reason.clone() }).collect()
}

fn cut(text: String, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Pods of the alert's workload that are ready, and that it wants, where that was seen.
fn replicas(analysis: &Analysis) -> Option<(i64, i64)> {
    let resource = analysis.facts.get("resource").filter(|resource| resource["resolved"] == true)?;
    Some((resource["ready"].as_i64()?, resource["replicas"].as_i64()?))
}

/// A fresh start of the alert's workload where Pods of it are missing and nobody knows why.
fn again(analysis: &Analysis) -> Option<(&'static str, Value)> {
    let (ready, wanted) = replicas(analysis)?;
    let resource = analysis.facts.get("resource")?;
    let (kind, namespace, name) =
        (resource["kind"].as_str()?, resource["namespace"].as_str()?, resource["name"].as_str()?);
    let restarts = matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet") && wanted > 0 && ready < wanted;
    let args = json!({"kind": kind, "namespace": namespace, "name": name});
    restarts.then_some(("kubernetes_rollout_restart", args))
}

/// A closer look at what runs out: the volume that was found full, else what the alert names, else the
/// workload that the survey found behind it, else a host of that name.
fn closer_look(opening: Option<&SreEvent>, analysis: &Analysis) -> Option<(&'static str, Value)> {
    let entity = full_claim(analysis).or_else(|| named(opening?)).or_else(|| workload_found(analysis));
    let entity = entity.or_else(|| {
        let event = opening?;
        let instance = event.labels.get("instance").or_else(|| event.labels.get("hostname"));
        Some(Entity::new("Host", "", instance.unwrap_or(&event.subject)))
    })?;
    let mut args = json!({"kind": entity.kind, "name": entity.name});
    if !entity.namespace.is_empty() {
        args["namespace"] = json!(entity.namespace);
    }
    Some(("investigate_resource_pressure", args))
}

fn full_claim(analysis: &Analysis) -> Option<Entity> {
    let findings = analysis.hypotheses.iter().flat_map(|h| std::iter::once(&h.finding).chain(&h.explains));
    findings.map(|finding| &finding.entity).find(|entity| entity.kind == "PersistentVolumeClaim").cloned()
}

fn named(event: &SreEvent) -> Option<Entity> {
    let kind = match event.resource.kind {
        ResourceType::K8sPvc => "PersistentVolumeClaim",
        ResourceType::K8sPod => "Pod",
        ResourceType::K8sDeployment => "Deployment",
        ResourceType::K8sStatefulset => "StatefulSet",
        ResourceType::K8sNode => "Node",
        _ => return None,
    };
    let namespace = event.resource.namespace.clone().filter(|_| kind != "Node").unwrap_or_default();
    let placed = kind == "Node" || !namespace.is_empty();
    (placed && !event.resource.id.is_empty()).then(|| Entity::new(kind, namespace, &event.resource.id))
}

fn workload_found(analysis: &Analysis) -> Option<Entity> {
    let resource = analysis.facts.get("resource").filter(|resource| resource["resolved"] == true)?;
    let kind = resource["kind"].as_str().filter(|kind| matches!(*kind, "Deployment" | "StatefulSet" | "DaemonSet"))?;
    Some(Entity::new(kind, resource["namespace"].as_str()?, resource["name"].as_str()?))
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

    fn holds() -> Confirmed {
        Confirmed { outcome: Confirmation::Confirmed, reason: "0 of 2 Pods are ready".into(), evidence: vec![] }
    }

    fn with_replicas(mut analysis: Analysis, ready: i64, replicas: i64) -> Analysis {
        let resource = json!({"resolved": true, "kind": "Deployment", "namespace": "shop", "name": "api",
                              "ready": ready, "replicas": replicas});
        analysis.facts.insert("resource".into(), resource);
        analysis
    }

    fn tools(proposed: &[Proposed]) -> Vec<&'static str> {
        proposed.iter().map(|p| p.tool).collect()
    }

    #[test]
    fn each_class_has_its_remedies() {
        use Class::*;
        let all = |_: &str| Some(Effect::Write);
        let (undo, restart) = ("kubernetes_rollout_undo", "kubernetes_rollout_restart");
        for (class, code, kind, confidence, expected) in [
            (ServiceDown, "bad_rollout", "Deployment", 0.9, &[undo][..]),
            (ServiceDown, "not_ready", "StatefulSet", 0.7, &[restart]),
            (ServiceDown, "bad_rollout", "Deployment", 0.5, &[]),
            (ServiceDown, "bad_rollout", "Pod", 0.9, &[]),
            (ServiceDown, "crash_loop", "Deployment", 0.9, &[]),
            (ServiceFlapping, "bad_rollout", "Deployment", 0.9, &[undo]),
            (ResourcePressure, "volume_full", "PersistentVolumeClaim", 0.9, &["kubernetes_expand_volume"]),
            (ResourcePressure, "volume_full", "PersistentVolumeClaim", 0.5, &[]),
            (ResourcePressure, "volume_full", "Pod", 0.9, &[]),
            (ResourcePressure, "bad_rollout", "Deployment", 0.9, &[]),
        ] {
            let found = propose(class, None, &holds(), &analysis(code, kind, confidence), &all);
            let mut acts = tools(&found);
            acts.retain(|tool| *tool != "investigate_resource_pressure");
            assert_eq!(acts, expected, "{class} {code} {kind} {confidence}");
        }
    }

    #[test]
    fn without_a_likely_cause_a_restart_is_tried_where_pods_are_missing() {
        let all = |_: &str| Some(Effect::Write);
        let guess = || analysis("crash_loop", "Pod", 0.3);
        for (class, ready, replicas, expected) in [
            (Class::ServiceDown, 0, 2, Some("kubernetes_rollout_restart")),
            (Class::ServiceFlapping, 1, 2, Some("kubernetes_rollout_restart")),
            (Class::ServiceDown, 2, 2, None),
            (Class::ServiceDown, 0, 0, None),
        ] {
            let found = propose(class, None, &holds(), &with_replicas(guess(), ready, replicas), &all);
            assert_eq!(found.first().map(|p| p.tool), expected, "{class} {ready} of {replicas}");
        }
        let found = propose(Class::ServiceDown, None, &holds(), &with_replicas(guess(), 0, 2), &all);
        assert_eq!(found[0].args, json!({"kind": "Deployment", "namespace": "shop", "name": "api"}));
        assert_eq!(found[0].reason, "no cause is likely, and 0 of 2 Pods are ready");
        let known = with_replicas(analysis("image_ref_wrong", "Pod", 0.9), 0, 2);
        assert!(propose(Class::ServiceDown, None, &holds(), &known, &all).is_empty(), "a restart mends no image");
    }

    #[test]
    fn what_runs_out_is_looked_at_more_closely_whatever_is_known_of_it() {
        let all = |_: &str| Some(Effect::Write);
        let look = |event: &SreEvent, analysis: &Analysis| {
            let found = propose(Class::ResourcePressure, Some(event), &holds(), analysis, &all);
            found.last().map(|p| (p.tool, p.args.clone())).unwrap()
        };
        let mut event = crate::policy::sample_event();
        let of = |args: Value| ("investigate_resource_pressure", args);
        let full = analysis("volume_full", "PersistentVolumeClaim", 0.9);
        assert_eq!(
            look(&event, &full),
            of(json!({"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "api"}))
        );
        let nothing = Analysis::default();
        assert_eq!(look(&event, &nothing), of(json!({"kind": "Pod", "namespace": "payments", "name": "api-7d9f"})));
        event.resource.kind = ResourceType::Host;
        let behind = with_replicas(Analysis::default(), 1, 2);
        assert_eq!(look(&event, &behind), of(json!({"kind": "Deployment", "namespace": "shop", "name": "api"})));
        event.labels.insert("instance".into(), "a:9100".into());
        assert_eq!(look(&event, &nothing), of(json!({"kind": "Host", "name": "a:9100"})));
    }

    #[test]
    fn what_holds_is_told_apart_from_what_is_over() {
        use AlertStatus::{Firing, Resolved};
        use Confirmation::{Confirmed, Recovered, Unknown};
        let well = Analysis { healthy: vec!["E1".into()], ..Analysis::default() };
        let mut event = crate::policy::sample_event();
        event.title = "api is down".into();
        let guess = || analysis("crash_loop", "Pod", 0.3);
        for (status, analysis, expected) in [
            (Resolved, analysis("bad_rollout", "Deployment", 0.9), Recovered),
            (Firing, well, Recovered),
            (Firing, analysis("bad_rollout", "Deployment", 0.9), Confirmed),
            (Firing, with_replicas(guess(), 1, 2), Confirmed),
            (Firing, with_replicas(guess(), 0, 0), Confirmed),
            (Firing, with_replicas(guess(), 2, 2), Unknown),
            (Firing, with_replicas(Analysis::default(), 2, 2), Recovered),
            (Firing, guess(), Unknown),
            (Firing, Analysis::default(), Unknown),
        ] {
            let found = confirm(Some(Class::ServiceDown), &event, status, &analysis, Looked::Wholly);
            assert_eq!(found.outcome, expected, "{status} {found:?}");
        }
        // What was not seen is no sign of health.
        let all_there = with_replicas(Analysis::default(), 2, 2);
        let of = |class, event: &SreEvent, looked| confirm(Some(class), event, Firing, &all_there, looked).outcome;
        assert_eq!(of(Class::ServiceDown, &event, Looked::InPart), Unknown);
        assert_eq!(of(Class::ServiceDown, &event, Looked::TooLittle), Unknown);
        assert_eq!(of(Class::ResourcePressure, &event, Looked::Wholly), Unknown);
        event.title = "errors of api".into();
        assert_eq!(of(Class::ServiceDown, &event, Looked::Wholly), Unknown);
    }

    #[test]
    fn what_is_loud_and_known_by_nothing_is_a_gap() {
        let mut event = crate::policy::sample_event();
        let none = Analysis::default();
        let of = |event: &SreEvent, analysis: &Analysis| {
            let looked = Looked::InPart;
            let confirmed = confirm(Some(Class::ServiceDown), event, AlertStatus::Firing, analysis, looked);
            assert_eq!(gap(event, &confirmed, analysis, Looked::TooLittle), None);
            gap(event, &confirmed, analysis, looked)
        };
        event.severity = crate::domain::Severity::Error;
        assert_eq!(of(&event, &none).unwrap().topic, format!("{}: {}", event.name, event.subject));
        assert_eq!(of(&event, &with_replicas(Analysis::default(), 0, 2)), None);
        assert_eq!(of(&event, &analysis("crash_loop", "Pod", 0.3)), None);
        event.severity = crate::domain::Severity::Warning;
        assert_eq!(of(&event, &none), None);
    }

    #[test]
    fn what_has_recovered_or_has_no_tool_is_left_alone() {
        let down = analysis("bad_rollout", "Deployment", 0.9);
        assert!(propose(Class::ServiceDown, None, &holds(), &down, &|_| None).is_empty());
        let proposed = propose(Class::ServiceDown, None, &holds(), &down, &|_| Some(Effect::Write)).remove(0);
        assert_eq!(proposed.args, json!({"kind": "Deployment", "namespace": "shop", "name": "api"}));
        assert_eq!(proposed.reason, "bad_rollout: it is so");
        let over = Confirmed { outcome: Confirmation::Recovered, ..holds() };
        for class in Class::ALL {
            assert!(propose(*class, None, &over, &down, &|_| Some(Effect::Write)).is_empty());
        }
    }

    #[test]
    fn the_cause_may_be_about_a_pod_whose_workload_it_explains() {
        let mut analysis = analysis("wal_growth", "Pod", 0.8);
        analysis.hypotheses[0].explains.push(finding("volume_full", "PersistentVolumeClaim"));
        let proposed = propose(Class::ResourcePressure, None, &holds(), &analysis, &|_| Some(Effect::Write));
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
        assert_eq!(
            tools(&propose(Class::ResourcePressure, None, &holds(), &unknown, &all)),
            ["investigate_resource_pressure"]
        );
    }

    #[test]
    fn more_room_is_written_down_where_the_definition_is_known() {
        let mut analysis = analysis("volume_full", "PersistentVolumeClaim", 0.9);
        let resource = json!({"kind": "StatefulSet", "name": "api",
                              "gitops": {"repo": "acme/platform", "path": "clusters/shop/api.yaml"}});
        analysis.facts.insert("resource".into(), resource);
        let propose = |exists: &dyn Fn(&str) -> Option<Effect>| {
            propose(Class::ResourcePressure, None, &holds(), &analysis, exists)
        };
        let proposed = propose(&|_| Some(Effect::Write));
        let all = ["github_open_pull_request", "kubernetes_expand_volume", "investigate_resource_pressure"];
        assert_eq!(tools(&proposed), all);
        let args = &proposed[0].args;
        let change = json!({"path": "clusters/shop/api.yaml", "find": "storage: 20Gi", "replace": "storage: 30Gi"});
        assert_eq!((&args["repo"], &args["changes"]), (&json!("acme/platform"), &json!([change])));
        assert_eq!(args["title"], "Raise the storage of StatefulSet shop/api from 20Gi to 30Gi");
        assert!(args["summary"].as_str().is_some_and(|text| text.starts_with("volume_full: it is so")));
        let without = |tool: &str| (tool != "github_open_pull_request").then_some(Effect::Write);
        assert_eq!(propose(&without).len(), 2);
    }
}
