//! Label and field selectors.

use super::{Kind, Refused};
use serde_json::Value;

/// One requirement on a label.
#[derive(Debug, PartialEq)]
enum Requirement {
    Equals(String, String),
    Differs(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A label selector, `app=api,tier in (a,b),!old`.
#[derive(Debug, Default)]
pub(super) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            let wrong = || {
                Refused::bad_request(format!(
                    "unable to parse requirement: found '{part}', expected: a label requirement"
                ))
            };
            let requirement = if let Some((key, set)) = set_form(part, "notin") {
                Requirement::NotIn(key, set.ok_or_else(wrong)?)
            } else if let Some((key, set)) = set_form(part, "in") {
                Requirement::In(key, set.ok_or_else(wrong)?)
            } else if let Some((key, value)) = part.split_once("!=") {
                Requirement::Differs(key.trim().to_owned(), value.trim().to_owned())
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                Requirement::Equals(key.trim().to_owned(), value.trim().to_owned())
            } else if let Some(key) = part.strip_prefix('!') {
                Requirement::Absent(key.trim().to_owned())
            } else {
                Requirement::Exists(part.to_owned())
            };
            let key = requirement.key();
            let fine =
                !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
            if !fine {
                return Err(wrong());
            }
            requirements.push(requirement);
        }
        Ok(Self(requirements))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::Equals(key, value) => label(key) == Some(value),
            // As on the server, an absent label differs from every value.
            Requirement::Differs(key, value) => label(key) != Some(value),
            Requirement::In(key, set) => label(key).is_some_and(|v| set.iter().any(|s| s == v)),
            Requirement::NotIn(key, set) => label(key).is_none_or(|v| set.iter().all(|s| s != v)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        })
    }
}

impl Requirement {
    fn key(&self) -> &str {
        match self {
            Self::Equals(key, _)
            | Self::Differs(key, _)
            | Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::Absent(key) => key,
        }
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    parts
}

/// `key in (a, b)`: the key, and the set unless its parentheses are missing.
fn set_form(part: &str, operator: &str) -> Option<(String, Option<Vec<String>>)> {
    let (key, rest) = part.split_once(char::is_whitespace)?;
    let rest = rest.trim_start().strip_prefix(operator)?;
    if !rest.starts_with([' ', '(']) {
        return None;
    }
    let set = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    Some((key.to_owned(), set.map(|set| set.split(',').map(|value| value.trim().to_owned()).collect())))
}

/// A field selector, `status.phase=Pending,spec.nodeName!=a`.
#[derive(Debug, Default)]
pub(super) struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    pub(super) fn parse(text: &str, kind: &Kind) -> Result<Self, Refused> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, same, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, true, value)
            } else {
                return Err(Refused::bad_request(format!("invalid field selector: {part}")));
            };
            if !selectable(kind, field) {
                return Err(Refused::bad_request(format!(
                    "Unable to find \"{}, Resource={}\" that match label selector \"\", field selector \"{text}\": field label not supported: {field}",
                    if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() },
                    kind.plural,
                )));
            }
            requirements.push((field.to_owned(), same, value.to_owned()));
        }
        Ok(Self(requirements))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, same, wanted)| {
            let pointer = match field.as_str() {
                "source" => "/source/component".to_owned(),
                "reportingComponent" => "/reportingComponent".to_owned(),
                field => format!("/{}", field.replace('.', "/")),
            };
            let held = match object.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (held == *wanted) == *same
        })
    }
}

/// The fields that the server indexes; any other is an error.
fn selectable(kind: &Kind, field: &str) -> bool {
    let own: &[&str] = match (kind.group.as_ref(), kind.plural.as_ref()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    matches!(field, "metadata.name" | "metadata.namespace") || own.contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::kubernetes::kinds::Catalogue;
    use serde_json::json;

    #[test]
    fn every_form_of_label_requirement() {
        let pod = json!({"metadata": {"labels": {"app": "api", "tier": "b", "app.kubernetes.io/name": "x"}}});
        for (selector, expected) in [
            ("app=api", true),
            ("app==api,tier=b", true),
            ("app=web", false),
            ("app!=web", true),
            ("missing!=web", true),
            ("tier in (a, b)", true),
            ("tier in (a)", false),
            ("tier notin (a,c),app", true),
            ("missing notin (a)", true),
            ("!old", true),
            ("!app", false),
            ("missing", false),
            ("app.kubernetes.io/name=x", true),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap().matches(&pod), expected, "{selector}");
        }
        assert!(LabelSelector::parse("=x").is_err());
        assert!(LabelSelector::parse("tier in a").is_err());
    }

    #[test]
    fn only_indexed_fields_may_be_selected_by() {
        let catalogue = Catalogue::of([].iter());
        let pods = catalogue.by_plural("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}});
        assert!(FieldSelector::parse("status.phase=Pending,metadata.name!=q", pods).unwrap().matches(&pod));
        assert!(FieldSelector::parse("spec.nodeName=", pods).unwrap().matches(&pod));
        assert!(FieldSelector::parse("spec.image=x", pods).is_err());
    }
}
