//! `data.org`, as far as the program itself reads it.

use super::rego::compile_pattern;
use crate::domain::Risk;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The organisation's own figures and names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Org {
    /// What environments are called elsewhere: `prod` → `production`.
    pub(super) environments: BTreeMap<String, String>,
    pub(super) risk: OrgRisk,
    pub(super) approvers: Approvers,
    pub(super) flapping: Flapping,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Flapping {
    /// Seconds within which going down counts.
    pub(super) window_s: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OrgRisk {
    /// Environment → severity → level.
    pub(super) baseline: BTreeMap<String, BTreeMap<String, Risk>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Approvers {
    /// Asked where no rule names anybody.
    pub(super) default: Vec<String>,
}

impl Org {
    /// Reads the data of a bundle. The errors say which key is wrong and why.
    pub(super) fn read(data: &Value) -> Result<Self, Vec<String>> {
        let Some(org) = data.get("org") else { return Ok(Self::default()) };
        let mut wrong = Vec::new();
        bad_patterns("data.org", org, &mut wrong);
        let read = match Self::deserialize(org) {
            Ok(org) => org,
            Err(error) => {
                wrong.push(format!("data.org: {error}"));
                Self::default()
            }
        };
        if read.risk.baseline.values().flat_map(BTreeMap::values).any(|level| *level == Risk::Critical) {
            wrong.push("data.org.risk.baseline: CRITICAL is said by a rule, never by a baseline".into());
        }
        if read.approvers.default.iter().any(|group| group.trim().is_empty()) {
            wrong.push("data.org.approvers.default: a group has no name".into());
        }
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    /// What the organisation says of a severity in an environment.
    pub(super) fn baseline(&self, environment: &str, severity: &str) -> Option<Risk> {
        let environment = self.environments.get(environment).map_or(environment, String::as_str);
        self.risk.baseline.get(environment)?.get(severity).copied()
    }
}

/// Every list whose name ends in `patterns` holds regular expressions.
fn bad_patterns(path: &str, value: &Value, wrong: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let path = format!("{path}.{key}");
        if let (true, Value::Array(patterns)) = (key.ends_with("patterns"), value) {
            for pattern in patterns {
                let Some(pattern) = pattern.as_str() else {
                    wrong.push(format!("{path}: `{pattern}` is not a text"));
                    continue;
                };
                if let Err(why) = compile_pattern(pattern) {
                    wrong.push(format!("{path}: `{pattern}`: {why}"));
                }
            }
        }
        bad_patterns(&path, value, wrong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_baseline_is_found_by_any_name_of_the_environment() {
        let org = Org::read(&json!({"org": {
            "environments": {"dev": "development"},
            "risk": {"baseline": {"development": {"critical": "low"}}},
        }}))
        .unwrap();
        assert_eq!(org.baseline("dev", "critical"), Some(Risk::Low));
        assert_eq!(org.baseline("development", "critical"), Some(Risk::Low));
        assert_eq!(org.baseline("production", "critical"), None);
        assert_eq!(org.baseline("dev", "info"), None);
    }

    #[test]
    fn wrong_data_is_named() {
        for (data, expected) in [
            (json!({"org": {"risk": {"baseline": {"dev": {"info": "CRITICAL"}}}}}), "never by a baseline"),
            (json!({"org": {"risk": {"baseline": {"dev": {"info": "mild"}}}}}), "`mild` is not one of"),
            (json!({"org": {"approvers": {"default": "oncall"}}}), "data.org: "),
            (json!({"org": {"approvers": {"default": [" "]}}}), "a group has no name"),
            (json!({"org": {"risk": {"destructive_patterns": ["(rm"]}}}), "data.org.risk.destructive_patterns: `(rm`"),
            (json!({"org": {"risk": {"destructive_patterns": [3]}}}), "`3` is not a text"),
        ] {
            let wrong = Org::read(&data).unwrap_err();
            assert!(wrong[0].contains(expected), "{wrong:?}");
        }
    }
}
