//! What stays open: questions without an answer, and what to look at next.

use super::expression::{self, Holds, Reading};
use super::lookup::{is_looked_up, is_seen, kinds_to_list, lacks_namespace};
use super::need::{Case, Need};
use super::rank::nearby;
use super::scene::{Scene, is_target_alert};
use super::snapshot::Failure;
use super::text::{clip, moment};
use crate::domain::{Analysis, Entity, Finding, OpenQuestion};

/// Most open questions of one report.
const MAX_OPEN: usize = 12;
/// How a question after something that was not seen begins.
const WHERE: &str = "Where is ";

/// The world answered that there is nothing, which is an answer.
fn is_absence(failure: &Failure) -> bool {
    let error = failure.error.to_lowercase();
    let absent = error.contains("not found") || error.contains("404");
    let no_previous = matches!(failure.need, Need::Logs { previous: true, .. }) && error.contains("previous");
    absent || no_previous
}

/// How many relevant collections failed.
pub(super) fn missing(scene: &Scene<'_>) -> usize {
    let about_metrics = scene.subjects.is_empty()
        || scene.events.iter().any(is_target_alert)
        || scene.subjects.iter().any(|s| s.kind == "PersistentVolumeClaim");
    let relevant = |f: &&Failure| match &f.need {
        Need::Query { .. } | Need::Range { .. } => about_metrics,
        Need::Targets => scene.events.iter().any(is_target_alert),
        Need::Alerts | Need::Rules | Need::Runbook { .. } => false,
        Need::Object { kind, .. } | Need::List { kind, .. } => {
            !matches!(kind.as_str(), "Namespace" | "VolumeAttachment" | "CSIDriver" | "DaemonSet")
        }
        Need::Logs { .. } | Need::Events { .. } => true,
    };
    scene
        .snapshot
        .failures
        .iter()
        .filter(|f| !is_absence(f) && !expression::asks(scene.snapshot, &f.need))
        .filter(relevant)
        .count()
}

pub(super) fn open(
    case: &Case<'_>,
    scene: &Scene<'_>,
    analysis: &Analysis,
    reading: Option<&Reading>,
    settled: bool,
) -> Vec<OpenQuestion> {
    let mut open: Vec<OpenQuestion> = Vec::new();
    if !settled {
        open.extend(unseen(case, scene, analysis));
    }
    if !settled && let Some(top) = nearby(analysis) {
        let finding = &top.finding;
        open.push(OpenQuestion {
            question: match finding.symptom {
                true => format!("Why is it so that {}?", clip(&finding.statement, 200)),
                false => format!("Is it true that {}?", clip(&finding.statement, 200)),
            },
            how_to_answer: next_look(scene, finding),
            blocked_by: None,
        });
    }
    if nearby(analysis).is_none() && analysis.healthy.is_empty() {
        let (question, how) = match reading.map(|r| r.holds) {
            Some(Holds::Yes) => ("What makes the alert's expression true?", "Graph its parts one by one"),
            Some(Holds::NoLonger) => {
                ("What made the alert's expression true for a while?", "Graph its parts one by one")
            }
            Some(Holds::No) | None => ("What does the alert's own expression show?", "Graph it"),
        };
        open.push(OpenQuestion {
            question: question.into(),
            how_to_answer: format!("Open the alert's rule. {how} around {}.", moment(scene.started_at)),
            blocked_by: None,
        });
    }
    for (there, name) in [(case.kubernetes, "Kubernetes"), (case.prometheus, "Prometheus")] {
        if !there {
            open.push(OpenQuestion {
                question: format!("What does {name} show?"),
                how_to_answer: format!("Give firewarden read access to {name}."),
                blocked_by: Some("not configured".into()),
            });
        }
    }
    for failure in scene.snapshot.failures.iter().filter(|f| !is_absence(f)) {
        let question = format!("What would {} have shown?", clip(&failure.need.to_string(), 160));
        if !open.iter().any(|o| o.question == question) {
            open.push(OpenQuestion {
                question,
                how_to_answer: by_hand(&failure.need),
                blocked_by: Some(clip(&failure.error, 200)),
            });
        }
    }
    open.truncate(MAX_OPEN);
    open
}

/// What the alerts name and nothing was seen of.
fn unseen(case: &Case<'_>, scene: &Scene<'_>, analysis: &Analysis) -> Vec<OpenQuestion> {
    let told = |subject: &Entity| analysis.findings.iter().any(|f| f.entity == *subject);
    let gone = |s: &&Entity| is_looked_up(s) && !is_seen(scene.snapshot, s) && !told(s);
    let question = |subject: &Entity| OpenQuestion {
        question: format!("{WHERE}{}?", clip(&subject.to_string(), 200)),
        how_to_answer: search(subject),
        blocked_by: Some(not_seen(case, scene, subject)),
    };
    scene.subjects.iter().filter(gone).take(3).map(question).collect()
}

/// What was looked for and not found, in words, from an analysis' open questions.
pub(super) fn looked_for(analysis: &Analysis) -> impl Iterator<Item = &str> {
    analysis.open_questions.iter().filter(|q| q.question.starts_with(WHERE)).filter_map(|q| q.blocked_by.as_deref())
}

fn not_seen(case: &Case<'_>, scene: &Scene<'_>, subject: &Entity) -> String {
    let snapshot = scene.snapshot;
    let (thing, name) = (clip(&subject.to_string(), 160), clip(&subject.name, 120));
    if !case.kubernetes {
        return format!("{thing} could not be looked at: Kubernetes is not configured");
    }
    let absent = |f: &Failure| {
        let asked = |kind: &str, namespace: &Option<String>, name: &str| {
            kind == subject.kind && namespace.as_deref().unwrap_or("") == subject.namespace && name == subject.name
        };
        is_absence(f) && matches!(&f.need, Need::Object { kind, namespace, name } if asked(kind, namespace, name))
    };
    let kinds = kinds_to_list(subject);
    let listed = |kind: &&str| snapshot.listed(kind, &subject.namespace).is_some();
    let all = !kinds.is_empty() && kinds.iter().all(listed) || subject.kind == "Node" && listed(&"Node");
    match (all || snapshot.failures.iter().any(absent), subject.kind.as_str()) {
        (true, "Node") => format!("no Node {name} was seen"),
        (true, "Service") => format!("no workload of the name {name} was seen in any namespace"),
        (true, kind) if lacks_namespace(subject) => format!("no {kind} {name} was seen in any namespace"),
        (true, kind) => format!("no {kind} {name} was seen in namespace {}", clip(&subject.namespace, 70)),
        (false, _) if kinds.is_empty() && lacks_namespace(subject) => {
            format!("{thing} was not looked for: the alert does not say in which namespace it is")
        }
        (false, _) => format!("{thing} was not seen, but not all of its kind could be looked at"),
    }
}

/// How a person would look for it. A name from an alert becomes part of a command only if it is one.
fn search(subject: &Entity) -> String {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if !plain(&subject.name) || !plain(&subject.namespace) || subject.name.starts_with('-') {
        return "Look for it by its name, and see where the alert's labels come from.".into();
    }
    let scope = match subject.namespace.as_str() {
        _ if subject.kind == "Node" => String::new(),
        "" => " -A".to_owned(),
        namespace => format!(" -n {namespace}"),
    };
    let field = format!("--field-selector metadata.name={}", subject.name);
    format!(
        "Look for it: kubectl get {}{scope} {field}. If it is gone, see what the alert's labels come from.",
        subject.kind.to_lowercase()
    )
}

fn next_look(scene: &Scene<'_>, finding: &Finding) -> String {
    let entity = &finding.entity;
    match (entity.kind.as_str(), finding.cause_code.as_str()) {
        ("Pod", "crash_loop") if scene.snapshot.logs.iter().any(|l| l.pod == *entity) => {
            format!("Read more of the log: kubectl logs -n {} {} --previous", entity.namespace, entity.name)
        }
        ("Pod", "crash_loop") => format!("kubectl logs -n {} {} --previous", entity.namespace, entity.name),
        ("Target", _) => "Look at the pods and the Service behind the target.".into(),
        (kind, _) if entity.namespace.is_empty() => format!("kubectl describe {} {}", kind.to_lowercase(), entity.name),
        (kind, _) => format!("kubectl describe -n {} {} {}", entity.namespace, kind.to_lowercase(), entity.name),
    }
}

fn by_hand(need: &Need) -> String {
    let scope = |namespace: &Option<String>| namespace.as_ref().map_or(" -A".to_owned(), |n| format!(" -n {n}"));
    match need {
        Need::Object { kind, namespace: Some(n), name } => {
            format!("kubectl get -n {n} {} {name} -o yaml", kind.to_lowercase())
        }
        Need::Object { kind, namespace: None, name } => format!("kubectl get {} {name} -o yaml", kind.to_lowercase()),
        Need::List { kind, namespace, .. } => format!("kubectl get {}{}", kind.to_lowercase(), scope(namespace)),
        Need::Logs { namespace, pod, container, previous, .. } => {
            let container = container.as_ref().map_or(String::new(), |c| format!(" -c {c}"));
            let previous = if *previous { " --previous" } else { "" };
            format!("kubectl logs -n {namespace} {pod}{container}{previous}")
        }
        Need::Events { namespace } => format!("kubectl get events{}", scope(namespace)),
        Need::Query { promql } | Need::Range { promql, .. } => format!("Ask Prometheus: {promql}"),
        Need::Alerts => "Open the alerts page of Prometheus.".into(),
        Need::Targets => "Open the targets page of Prometheus.".into(),
        Need::Rules => "Open the rules page of Prometheus.".into(),
        Need::Runbook { alert, .. } => format!("Look for the runbook of {alert}."),
    }
}
