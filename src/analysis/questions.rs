//! What stays open: questions without an answer, and what to look at next.

use super::expression::{self, Holds, Reading};
use super::need::{Case, Need};
use super::scene::{Scene, is_target_alert};
use super::snapshot::Failure;
use super::text::{clip, moment};
use crate::domain::{Analysis, Finding, OpenQuestion};

/// Most open questions of one report.
const MAX_OPEN: usize = 12;

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
        Need::Alerts | Need::Rules => false,
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
    if !settled && let Some(top) = analysis.hypotheses.first() {
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
    if analysis.hypotheses.is_empty() && analysis.healthy.is_empty() {
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
    }
}
