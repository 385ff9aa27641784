//! What was asked and what was seen, on one line.

use crate::analysis::Need;
use crate::cli::text::line;
use crate::journal::Call;
use serde_json::Value;

/// Most characters of a PromQL expression.
const PROMQL: usize = 40;
/// Characters that a question keeps, however long the answer is: less where it is an expression.
const NAMED: usize = 44;
const EXPRESSION: usize = 28;
/// Most characters of any part that is remembered.
const PART: usize = 160;

/// What a call asks, in short.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    question: String,
    /// Characters of it that stay.
    keeps: usize,
    /// What an answer says again of the question, and what stands for it then.
    again: Option<(String, &'static str)>,
    /// An answer that counts what was found says all that the question does.
    whole: bool,
}

impl Asked {
    /// The question of the survey where there is one, else the tool and its main arguments.
    pub(super) fn of(call: &Call) -> Self {
        let Ok(need) = serde_json::from_value::<Need>(call.need.clone()) else {
            return Self { question: by_arguments(call), keeps: NAMED, ..Self::default() };
        };
        let again = match &need {
            Need::Object { kind, name, .. } => Some((format!("{}: ", line(&format!("{kind} {name}"), PART)), "")),
            Need::List { namespace: Some(namespace), .. } => Some((format!(" in {}: ", line(namespace, PART)), ": ")),
            _ => None,
        };
        let whole = matches!(need, Need::List { selector: None, .. });
        let mut keeps = match &need {
            Need::Query { .. } | Need::Range { .. } => EXPRESSION,
            _ => NAMED,
        };
        let question = match need {
            // How many lines were asked for is the least of it.
            Need::Logs { namespace, pod, container, previous, .. } => {
                let which = if previous { "previous log" } else { "log" };
                let log = format!("{which} of {namespace}/{pod}");
                keeps = keeps.min(log.chars().count() + 1);
                log + &container.map(|c| format!(" container {c}")).unwrap_or_default()
            }
            Need::Query { promql } => Need::Query { promql: line(&promql, PROMQL) }.to_string(),
            Need::Range { promql, minutes } => Need::Range { promql: line(&promql, PROMQL), minutes }.to_string(),
            other => other.to_string(),
        };
        Self { question: line(&question, PART), keeps, again, whole }
    }

    /// A call that nobody remembers.
    pub(super) fn unknown(call: &str) -> Self {
        Self { question: line(call, PROMQL), keeps: NAMED, ..Self::default() }
    }

    /// `question: answer` in at most `columns`; of a long line the question is shortened first.
    pub(super) fn answered(&self, answer: &str, columns: usize) -> String {
        let said = line(answer, 300);
        let mut answer = said.clone();
        if let Some((again, instead)) = &self.again
            && let Some((before, after)) = answer.split_once(again.as_str())
            && (before.is_empty() || !instead.is_empty())
        {
            answer = format!("{before}{instead}{after}");
        }
        let fits = self.question.chars().count() + 2 + answer.chars().count() <= columns;
        if self.whole && !fits && said.starts_with(|c: char| c.is_ascii_digit()) {
            return line(&said, columns);
        }
        let room = columns.saturating_sub(answer.chars().count() + 2).max(self.keeps);
        line(&format!("{}: {answer}", line(&self.question, room)), columns)
    }
}

/// `kubernetes_logs f3iai typedb-0`.
fn by_arguments(call: &Call) -> String {
    const MAIN: [&str; 17] = [
        "kind",
        "namespace",
        "pod",
        "container",
        "name",
        "query",
        "match",
        "window",
        "state",
        "label_selector",
        "field_selector",
        "grep",
        "index",
        "label",
        "target",
        "alert",
        "url",
    ];
    let mut words = vec![line(&call.tool, 40)];
    words.extend(MAIN.iter().filter_map(|key| match call.args.get(*key)? {
        Value::String(text) => Some(line(text, PROMQL)),
        other => Some(line(&other.to_string(), PROMQL)),
    }));
    words.retain(|word| !word.is_empty());
    line(&words.join(" "), PART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(tool: &str, args: Value, need: Value) -> Asked {
        Asked::of(&Call { id: "c1".into(), tool: tool.into(), args, effect: None, need })
    }

    #[test]
    fn a_line_says_nothing_twice_and_gives_the_answer_room() {
        let pods = asked(
            "kubernetes_list",
            json!({}),
            json!({"need": "list", "kind": "Pod", "namespace": "f3iai", "selector": null}),
        );
        let claim = asked(
            "kubernetes_get",
            json!({}),
            json!({"need": "object", "kind": "PersistentVolumeClaim", "namespace": "f3iai", "name": "data-typedb-0"}),
        );
        let long = "sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=\"\"}[5m]))";
        let range =
            asked("prometheus_query_range", json!({}), json!({"need": "range", "promql": long, "minutes": 360}));
        let model = asked(
            "kubernetes_logs",
            json!({"tail": 5, "pod": "typedb-0", "namespace": "f3iai", "previous": true}),
            json!(null),
        );
        for (asked, answer, told) in [
            (
                &pods,
                "6 Pods in f3iai: 4 Running, 1 Pending (a)",
                "every Pod in f3iai: 6 Pods: 4 Running, 1 Pending (a)",
            ),
            (&pods, "no Pod in namespace f3iai", "every Pod in f3iai: no Pod in namespace f3iai"),
            (
                &claim,
                "PersistentVolumeClaim data-typedb-0: Bound, 20Gi",
                "PersistentVolumeClaim f3iai/data-typedb-0: Bound, 20Gi",
            ),
            (
                &pods,
                "6 Pods in f3iai: 4 Running, 1 CrashLoopBackOff (typedb-0, 42 restarts), 1 Pending (a)",
                "6 Pods in f3iai: 4 Running, 1 CrashLoopBackOff (typedb-0, 42 restarts), 1 Pending…",
            ),
            (
                &claim,
                "failed: it is not PersistentVolumeClaim data-typedb-0: no",
                "PersistentVolumeClaim f3iai/data-typedb-0: failed: it is not PersistentVolumeClaim…",
            ),
            (
                &range,
                "1 series over 6h: 0.556 → 0.773 (+0.0385/h, min 0.556, max 0.773)",
                "query sum by (namespace) (r…: 1 series over 6h: 0.556 → 0.773 (+0.0385/h, min 0.55…",
            ),
            (&range, "no series", "query sum by (namespace) (rate(container_cpu_… over 360 min: no series"),
            (&model, "2 lines; last: \"x\"", "kubernetes_logs f3iai typedb-0: 2 lines; last: \"x\""),
            (&Asked::unknown("c9"), "x", "c9: x"),
        ] {
            assert_eq!(asked.answered(answer, 83), told);
        }
        assert!(
            asked("t", json!({"query": "x".repeat(999)}), json!(null)).answered(&"y".repeat(999), 83).chars().count()
                <= 83
        );
    }
}
