//! What differs between two pod templates, field by field.

use crate::tools::blank;
use crate::tools::render::clip;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Most differences that are told of two templates.
const CHANGES: usize = 40;
/// Most characters of a value on either side.
const VALUE_CHARS: usize = 300;

/// A value as it is, to compare by, and as it may be shown.
#[derive(Clone, Copy)]
struct Side<'v> {
    raw: &'v Value,
    shown: &'v Value,
}

impl<'v> Side<'v> {
    fn key(self, key: &str) -> Option<Self> {
        Some(Self { raw: self.raw.get(key)?, shown: self.shown.get(key)? })
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let lists = (self.raw.as_array(), self.shown.as_array());
        let lists = (lists.0.map_or(&[][..], Vec::as_slice), lists.1.map_or(&[][..], Vec::as_slice));
        lists.0.iter().zip(lists.1).map(|(raw, shown)| Self { raw, shown })
    }

    fn named(self, name: &str) -> Option<Self> {
        self.items().find(|item| item.raw["name"] == name)
    }
}

/// The differences, `{path, before, after}` each (`null` for absent), and how many more there are.
/// A secret that changed is told as changed, without either value.
pub(super) fn diff(before: &Value, after: &Value) -> (Vec<Value>, usize) {
    let blanked = |value: &Value| {
        let mut shown = value.clone();
        blank::pairs(&mut shown);
        shown
    };
    let (shown_before, shown_after) = (blanked(before), blanked(after));
    let mut changes = Vec::new();
    walk(
        "",
        Some(Side { raw: before, shown: &shown_before }),
        Some(Side { raw: after, shown: &shown_after }),
        &mut changes,
    );
    let more = changes.len().saturating_sub(CHANGES);
    changes.truncate(CHANGES);
    (changes, more)
}

/// How one field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Differs {
    /// It comes.
    Added,
    /// It is another one.
    Changed,
    /// It goes.
    Removed,
}

/// One of the differences of [`diff`], in a line.
pub(super) fn line(change: &Value) -> (String, Differs) {
    let side = |key: &str| change[key].as_str().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let path = change["path"].as_str().unwrap_or_default();
    match (side("before"), side("after")) {
        (Some(before), Some(after)) => (format!("{path}: {before} -> {after}"), Differs::Changed),
        (Some(before), None) => (format!("{path}: removed {before}"), Differs::Removed),
        (None, after) => (format!("{path}: added {}", after.unwrap_or_default()), Differs::Added),
    }
}

fn walk(path: &str, before: Option<Side<'_>>, after: Option<Side<'_>>, changes: &mut Vec<Value>) {
    if let (Some(b), Some(a)) = (before, after) {
        if b.raw == a.raw {
            return;
        }
        match (b.raw, a.raw) {
            (Value::Object(x), Value::Object(y)) => {
                for key in x.keys().chain(y.keys()).collect::<BTreeSet<_>>() {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&below, b.key(key), a.key(key), changes);
                }
                return;
            }
            (Value::Array(x), Value::Array(y)) => {
                if let (Some(x), Some(y)) = (names(x), names(y)) {
                    let order_alone = x != y && x.iter().collect::<BTreeSet<_>>() == y.iter().collect();
                    for name in x.iter().chain(y.iter().filter(|name| !x.contains(name))) {
                        walk(&format!("{path}[{name}]"), b.named(name), a.named(name), changes);
                    }
                    if order_alone {
                        changes.push(json!({"path": path, "before": x.join(" "), "after": y.join(" ")}));
                    }
                    return;
                }
                if x.iter().chain(y).all(Value::is_string) {
                    words(path, b, a, changes);
                    return;
                }
            }
            _ => {}
        }
    }
    let told = |side: Option<Side<'_>>| side.map_or(Value::Null, |side| clip(&plain(side.shown), VALUE_CHARS).into());
    if before.is_some() || after.is_some() {
        changes.push(json!({"path": path, "before": told(before), "after": told(after)}));
    }
}

/// Of two lists of words what only one of them has; both in whole when only the order differs.
fn words(path: &str, before: Side<'_>, after: Side<'_>, changes: &mut Vec<Value>) {
    let only = |mine: Side<'_>, others: Side<'_>| -> Vec<String> {
        let mut left: Vec<&Value> = others.items().map(|item| item.raw).collect();
        let mut own = Vec::new();
        for item in mine.items() {
            match left.iter().position(|other| *other == item.raw) {
                Some(at) => drop(left.swap_remove(at)),
                None => own.push(plain(item.shown)),
            }
        }
        own
    };
    let (mut gone, mut new) = (only(before, after), only(after, before));
    if gone.is_empty() && new.is_empty() {
        gone = before.items().map(|item| plain(item.shown)).collect();
        new = after.items().map(|item| plain(item.shown)).collect();
    }
    let told =
        |list: Vec<String>| if list.is_empty() { Value::Null } else { clip(&list.join(" "), VALUE_CHARS).into() };
    changes.push(json!({"path": path, "before": told(gone), "after": told(new)}));
}

/// The names of a list's items, when each has one of its own.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = items.iter().map(|item| item["name"].as_str()).collect::<Option<_>>()?;
    (names.iter().collect::<BTreeSet<_>>().len() == names.len()).then_some(names)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(container: Value) -> Value {
        json!({"spec": {"containers": [container]}})
    }

    #[test]
    fn differences_are_told_by_field_and_secrets_only_as_changed() {
        let before = template(json!({"name": "app", "image": "a:1", "args": ["--x", "--token", "old horse", "--y"],
            "env": [{"name": "DB_PASSWORD", "value": "old horse"}, {"name": "MODE", "value": "fast"}],
            "resources": {"limits": {"memory": "512Mi"}}}));
        let after = template(json!({"name": "app", "image": "a:2", "args": ["--x", "--token", "new horse", "--z"],
            "env": [{"name": "DB_PASSWORD", "value": "new horse"}, {"name": "MODE", "value": "slow"},
                    {"name": "API_TOKEN", "value": "third horse"}],
            "resources": {"limits": {"memory": "256Mi"}}, "livenessProbe": {"periodSeconds": 10}}));
        let (changes, more) = diff(&before, &after);
        let told: Vec<String> = changes
            .iter()
            .map(|c| format!("{} {} -> {}", c["path"].as_str().unwrap(), c["before"], c["after"]))
            .collect();
        assert_eq!(
            told,
            [
                r#"spec.containers[app].args "[redacted] --y" -> "[redacted] --z""#,
                r#"spec.containers[app].env[DB_PASSWORD].value "[redacted]" -> "[redacted]""#,
                r#"spec.containers[app].env[MODE].value "fast" -> "slow""#,
                r#"spec.containers[app].env[API_TOKEN] null -> "{\"name\":\"API_TOKEN\",\"value\":\"[redacted]\"}""#,
                r#"spec.containers[app].image "a:1" -> "a:2""#,
                r#"spec.containers[app].livenessProbe null -> "{\"periodSeconds\":10}""#,
                r#"spec.containers[app].resources.limits.memory "512Mi" -> "256Mi""#,
            ]
        );
        assert_eq!(more, 0);
        assert_eq!(diff(&before, &before), (Vec::new(), 0));
    }

    #[test]
    fn order_counts_and_the_number_of_differences_is_bounded() {
        let args = |list: Value| template(json!({"name": "app", "args": list}));
        let (changes, _) = diff(&args(json!(["a", "b"])), &args(json!(["b", "a"])));
        assert_eq!(changes, [json!({"path": "spec.containers[app].args", "before": "a b", "after": "b a"})]);
        let many: serde_json::Map<String, Value> = (0..60).map(|n| (format!("k{n}"), json!("v"))).collect();
        let (changes, more) = diff(&json!({}), &json!(many));
        assert_eq!((changes.len(), more), (CHANGES, 20));
    }

    proptest::proptest! {
        #[test]
        fn equal_templates_differ_in_nothing_and_others_in_something(a in "[a-c]{0,3}", b in "[a-c]{0,3}") {
            let of = |text: &str| template(json!({"name": "app", "args": text.chars().map(String::from).collect::<Vec<_>>()}));
            proptest::prop_assert_eq!(diff(&of(&a), &of(&b)).0.is_empty(), a == b);
        }
    }
}
