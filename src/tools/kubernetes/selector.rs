//! Label selectors: as a question to the server, and as a match against labels.

use super::object::items;
use serde_json::Value;

/// A LabelSelector (`matchLabels`, `matchExpressions`) as `kubectl -l` takes it. Nothing when it selects
/// everything, or holds what cannot be asked.
pub(super) fn query(selector: &Value) -> Option<String> {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect::<Option<_>>()?;
    for expression in items(&selector["matchExpressions"]) {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> = items(&expression["values"]).filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    Some(parts.join(",")).filter(|s| !s.is_empty())
}

/// Whether a LabelSelector selects an object with `labels`. An empty one selects everything, a missing
/// one nothing.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels[key].as_str();
    selector.is_object()
        && plain(&selector["matchLabels"], labels)
        && items(&selector["matchExpressions"]).all(|expression| {
            let Some(key) = expression["key"].as_str() else { return false };
            let listed = || label(key).is_some_and(|held| items(&expression["values"]).any(|v| v == held));
            match expression["operator"].as_str() {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => label(key).is_some(),
                Some("DoesNotExist") => label(key).is_none(),
                _ => false,
            }
        })
}

/// Whether each pair of `wanted` is among `labels`: what a Service asks. No pairs match everything.
pub(super) fn plain(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().into_iter().flatten().all(|(key, value)| value.is_string() && labels[key] == *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_asks_and_matches_the_same() {
        let labels = json!({"app": "api", "tier": "b"});
        let one = |operator: &str, key: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, asked, fits) in [
            (json!({"matchLabels": {"app": "api"}}), Some("app=api"), true),
            (json!({"matchLabels": {"app": "web"}}), Some("app=web"), false),
            (one("In", "tier", json!(["a", "b"])), Some("tier in (a,b)"), true),
            (one("NotIn", "tier", json!(["a"])), Some("tier notin (a)"), true),
            (one("NotIn", "absent", json!(["a"])), Some("absent notin (a)"), true),
            (one("Exists", "app", json!(null)), Some("app"), true),
            (one("DoesNotExist", "app", json!(null)), Some("!app"), false),
            (one("Near", "app", json!(null)), None, false),
            (json!({}), None, true),
            (json!(null), None, false),
        ] {
            assert_eq!(query(&selector).as_deref(), asked, "{selector}");
            assert_eq!(matches(&selector, &labels), fits, "{selector}");
        }
        assert!(plain(&json!({"app": "api"}), &labels) && !plain(&json!({"app": "api", "x": "y"}), &labels));
    }
}
