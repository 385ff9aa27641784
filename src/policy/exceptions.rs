//! Exceptions of the organisation, `data.org.exceptions`: for a time, and for what they match, a rule that
//! asks, raises or warns does not count. Applied after the rules have spoken, and nothing else is ever
//! lifted: no refusal, no CRITICAL, nothing that the floor asks.
//!
//! - this file: what an exception is, and whether it is about an input
//! - [`proof`]: what is wrong with those of a bundle

mod proof;

pub(super) use proof::{EXPIRED, against_rules, against_time, mistakes};

use super::check::OPEN;
use super::fits;
use crate::domain::Excepted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Days that an exception may be given ahead.
pub(super) const MAX_DAYS: i64 = 90;
/// Most exceptions that a bundle may have.
const MOST: usize = 500;
/// A path that means every object that the call would touch: `target.namespace`.
const TARGET: &str = "target.";

/// One exception.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    pub(super) id: String,
    /// `area/module/id`
    pub(super) rule: String,
    /// Paths of the input with what has to stand there: a word, a pattern as in a shell, or a list of them.
    #[serde(rename = "match")]
    pub(super) matches: BTreeMap<String, Value>,
    /// From then on it does not count.
    pub(super) until: Timestamp,
    pub(super) owner: String,
    pub(super) reason: String,
}

impl Exception {
    /// Whether it is about `input`, and still holds at the input's own moment.
    pub(super) fn covers(&self, input: &Value) -> bool {
        let holds = input["now_ns"].as_i64().is_some_and(|now| i128::from(now) < self.until.as_nanosecond());
        holds && !self.matches.is_empty() && self.matches.iter().all(|(path, wanted)| found_at(input, path, wanted))
    }

    /// What is told of its use.
    pub(super) fn used(&self, effect: &str) -> Excepted {
        Excepted {
            id: self.id.clone(),
            rule: self.rule.clone(),
            effect: effect.to_owned(),
            until: self.until,
            owner: self.owner.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// The exceptions of `data`; those that make no sense are left out, for [`mistakes`] tells of them and such
/// a bundle does not load.
pub(super) fn of(data: &Value) -> Vec<Exception> {
    let listed = data.pointer("/org/exceptions").and_then(Value::as_array);
    listed.into_iter().flatten().take(MOST).filter_map(|one| Exception::deserialize(one).ok()).collect()
}

/// Whether `wanted` stands at `path`. Of the call's targets it has to stand in each.
fn found_at(input: &Value, path: &str, wanted: &Value) -> bool {
    if let Some(step) = path.strip_prefix(TARGET) {
        let targets = input["call"]["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        return !targets.is_empty()
            && targets.iter().all(|target| target.get(step).is_some_and(|is| is_like(wanted, is)));
    }
    // Keys of labels hold dots themselves.
    let open = OPEN.iter().find_map(|open| Some((*open, path.strip_prefix(open)?.strip_prefix('.')?)));
    if let Some((open, key)) = open
        && let Some(found) = at(input, open).and_then(Value::as_object).and_then(|map: &Map<_, _>| map.get(key))
    {
        return is_like(wanted, found);
    }
    at(input, path).is_some_and(|found| is_like(wanted, found))
}

fn at<'v>(input: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(input, |value, step| value.as_object()?.get(step))
}

fn is_like(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        // Whoever adds one file that fits must not except the others.
        (_, Value::Array(all)) => !all.is_empty() && all.iter().all(|found| is_like(wanted, found)),
        (Value::Array(any), _) => any.iter().any(|wanted| is_like(wanted, found)),
        (Value::String(pattern), Value::String(text)) => fits(pattern, text),
        (wanted, found) => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exception(matches: Value) -> Exception {
        let one = json!({
            "id": "x", "rule": "action/blast/soft-limit", "match": matches, "until": "2026-12-01T00:00:00Z",
            "owner": "ann", "reason": "the rollout of payments is watched by its team",
        });
        serde_json::from_value(one).unwrap()
    }

    #[test]
    fn an_exception_is_about_what_it_matches_and_nothing_else() {
        let input = json!({
            "now_ns": 0,
            "resource": {"namespace": "payments", "labels": {"app.kubernetes.io/name": "api"}, "replicas": 3},
            "event": {"labels": {"team": "payments"}},
            "call": {"tool": "kubernetes_scale", "tags": ["kubernetes", "workload"], "targets": [
                {"namespace": "payments", "name": "api"}, {"namespace": "payments", "name": "web"},
            ]},
        });
        for (matches, covers) in [
            (json!({"resource.namespace": "payments"}), true),
            (json!({"resource.namespace": "pay*"}), true),
            (json!({"resource.namespace": ["shop", "payments"]}), true),
            (json!({"resource.namespace": "payments", "resource.replicas": 4}), false),
            (json!({"resource.replicas": [3, 4]}), true),
            (json!({"resource.labels.app.kubernetes.io/name": "api"}), true),
            (json!({"event.labels.team": "paym?nts"}), false),
            (json!({"call.tags": ["workload", "kubernetes"]}), true),
            // Nor of a list that holds one which is not meant.
            (json!({"call.tags": "workload"}), false),
            (json!({"target.namespace": "payments"}), true),
            // One target that is not meant, and nothing is.
            (json!({"target.name": "api"}), false),
            (json!({"target.name": ["api", "web"]}), true),
            (json!({"resource.nope": "*"}), false),
            (json!({"resource.namespace": ""}), false),
            (json!({}), false),
        ] {
            assert_eq!(exception(matches.clone()).covers(&input), covers, "{matches}");
        }
        let nothing = json!({"now_ns": 0, "call": {"targets": []}});
        assert!(!exception(json!({"target.namespace": "*"})).covers(&nothing));
    }

    #[test]
    fn an_exception_ends_at_the_moment_that_it_names() {
        let exception = exception(json!({"resource.namespace": "payments"}));
        let at = |now: i128| json!({"now_ns": i64::try_from(now).unwrap(), "resource": {"namespace": "payments"}});
        let until = exception.until.as_nanosecond();
        assert!(exception.covers(&at(until - 1)));
        assert!(!exception.covers(&at(until)));
        assert!(!exception.covers(&json!({"resource": {"namespace": "payments"}})), "nobody knows when");
    }
}
