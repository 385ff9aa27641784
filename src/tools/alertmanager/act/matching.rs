//! What may be silenced: alerts of one name or one thing, few of them, and none that nobody spoke of.

use crate::edge::alertmanager::{Labels, Matcher};
use crate::tools::gist::name;
use crate::tools::spec::ToolError;
use regex::RegexBuilder;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Most conditions.
const MATCHERS: usize = 8;
/// Longest name of a label, and longest value.
const NAME: usize = 128;
const VALUE: usize = 256;
/// Most alerts that one silence may silence when it is made.
const ALERTS: usize = 20;
/// Most bytes of a compiled pattern.
const COMPILED: usize = 1 << 20;
/// Labels that name an alert or one thing. A namespace or a cluster is a place: what else will happen
/// there nobody knows.
const ANCHORS: [&str; 15] = [
    "alertname",
    "container",
    "cronjob",
    "daemonset",
    "deployment",
    "horizontalpodautoscaler",
    "host",
    "instance",
    "job_name",
    "node",
    "persistentvolumeclaim",
    "pod",
    "replicaset",
    "service",
    "statefulset",
];
/// Values that no pattern fits which was meant for anything.
const UNLIKE: [&str; 3] = ["", "q", "0 nothing-is called_so: 7/é"];

/// One condition as it is proposed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Proposed {
    pub name: String,
    pub value: String,
    #[serde(default)]
    pub is_regex: bool,
}

/// What a silence would silence now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Covered {
    /// Alerts by name.
    pub by_name: BTreeMap<String, usize>,
    /// Namespaces that they are of.
    pub namespaces: usize,
}

impl Covered {
    /// How many alerts.
    pub fn alerts(&self) -> usize {
        self.by_name.values().sum()
    }
}

/// The conditions in an order of their own, if a silence of them is narrow enough.
pub(in super::super) fn checked(proposed: Vec<Proposed>) -> Result<Vec<Matcher>, ToolError> {
    if proposed.is_empty() || proposed.len() > MATCHERS {
        return Err(ToolError::invalid(format!("matchers: send 1 to {MATCHERS}")));
    }
    let mut matchers = proposed.into_iter().map(matcher).collect::<Result<Vec<_>, _>>()?;
    matchers.sort();
    matchers.dedup();
    match matchers.iter().any(|matcher| !matcher.is_regex && ANCHORS.contains(&matcher.name.as_str())) {
        true => Ok(matchers),
        false => Err(ToolError::invalid(format!(
            "matchers: one of them has to name the alert or the thing exactly, without a pattern: {}",
            ANCHORS.join(", ")
        ))),
    }
}

fn matcher(proposed: Proposed) -> Result<Matcher, ToolError> {
    let Proposed { name: label, value, is_regex } = proposed;
    let wrong = |why: &str| Err(ToolError::invalid(format!("matchers: {}: {why}", name(&label))));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if label.is_empty()
        || label.len() > NAME
        || label.starts_with(|c: char| c.is_ascii_digit())
        || !label.chars().all(plain)
    {
        return wrong("is no name of a label");
    }
    if value.is_empty() {
        return wrong("an empty value fits every alert without that label; name one");
    }
    if value.len() > VALUE || value.chars().any(char::is_control) {
        return wrong("the value is too long, or holds what cannot be seen");
    }
    if !is_regex {
        return Ok(Matcher::equal(&label, &value));
    }
    // The end of a line is no end of a value.
    let pattern = RegexBuilder::new(&format!(r"\A(?s:{value})\z")).size_limit(COMPILED).build();
    match pattern {
        Err(_) => wrong("the value is no pattern that can be read"),
        Ok(pattern) if UNLIKE.iter().any(|text| pattern.is_match(text)) => {
            wrong("the pattern fits everything, or nearly so; name what is meant")
        }
        Ok(_) => Ok(Matcher::pattern(&label, &value)),
    }
}

/// What a silence of `matchers` would silence of `alerts`, which fit them; `incident` is the alert that
/// the incident is about.
pub(in super::super) fn covered(matchers: &[Matcher], alerts: &[Labels], incident: &str) -> Result<Covered, ToolError> {
    let of = |alert: &Labels, label: &str| alert.get(label).cloned().unwrap_or_default();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for alert in alerts {
        *by_name.entry(of(alert, "alertname")).or_default() += 1;
    }
    if alerts.is_empty() {
        let text = "no alert that fires now fits these matchers, so there is nothing to silence; look at the labels of the alert";
        return Err(ToolError::failed(text, false));
    }
    if alerts.len() > ALERTS {
        let text = format!("it would silence {} alerts, and {ALERTS} is the most; add matchers", alerts.len());
        return Err(ToolError::invalid(text));
    }
    let named = |alert: &str| {
        matchers.iter().any(|matcher| matcher.name == "alertname" && !matcher.is_regex && matcher.value == alert)
    };
    if let Some(other) = by_name.keys().find(|alert| *alert != incident && !named(alert)) {
        return Err(ToolError::invalid(format!(
            "it would silence {}, which this incident is not about; add the matcher alertname={incident}",
            name(other)
        )));
    }
    let namespaces: std::collections::BTreeSet<String> =
        alerts.iter().map(|alert| of(alert, "namespace")).filter(|namespace| !namespace.is_empty()).collect();
    Ok(Covered { by_name, namespaces: namespaces.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(all: &[(&str, &str, bool)]) -> Vec<Proposed> {
        let one = |(name, value, is_regex): &(&str, &str, bool)| Proposed {
            name: (*name).into(),
            value: (*value).into(),
            is_regex: *is_regex,
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn a_silence_names_an_alert_or_a_thing() {
        let nine: Vec<(&str, &str, bool)> = (0..9).map(|_| ("alertname", "A", false)).collect();
        let long = "x".repeat(VALUE + 1);
        for (all, fine) in [
            (&[("alertname", "Slow", false)][..], true),
            (&[("pod", "api-1", false), ("namespace", "shop", false)], true),
            (&[("pod", "api-[0-9]+", true), ("alertname", "Slow", false)], true),
            (&[("alertname", "Slow|Down", true), ("service", "cart", false)], true),
            (&[], false),
            (&nine, false),
            // Places, and what is no thing at all.
            (&[("namespace", "shop", false)], false),
            (&[("cluster", "eu", false), ("severity", "critical", false)], false),
            // No anchor is a pattern.
            (&[("alertname", "Slow", true)], false),
            (&[("pod", "api-[0-9]+", true)], false),
            // What fits everything.
            (&[("alertname", "", false)], false),
            (&[("alertname", "A", false), ("pod", ".*", true)], false),
            (&[("alertname", "A", false), ("pod", ".+", true)], false),
            (&[("alertname", "A", false), ("pod", "api-1|", true)], false),
            (&[("alertname", "A", false), ("pod", "(a|[^a])+", true)], false),
            (&[("alertname", "A", false), ("pod", "[a-z]+", true)], false),
            (&[("alertname", "A", false), ("pod", "x*", true)], false),
            (&[("alertname", "A", false), ("pod", "api-(", true)], false),
            (&[("alertname", "A", false), ("pod", "a)|(.*", true)], false),
            // What is no label, and no value.
            (&[("alertname", "A", false), ("po d", "x", false)], false),
            (&[("alertname", "A", false), ("1pod", "x", false)], false),
            (&[("alertname", "A\nB", false)], false),
            (&[("alertname", &long, false)], false),
        ] {
            assert_eq!(checked(proposed(all)).is_ok(), fine, "{all:?}");
        }
        let once = checked(proposed(&[("pod", "p", false), ("alertname", "A", false), ("pod", "p", false)])).unwrap();
        assert_eq!(super::super::shown(&once), r#"{alertname="A", pod="p"}"#);
    }

    #[test]
    fn few_alerts_are_silenced_and_none_that_nobody_spoke_of() {
        let alert = |name: &str, namespace: &str| -> Labels {
            [("alertname", name), ("namespace", namespace), ("pod", "p")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let (pod, down) = (Matcher::equal("pod", "p"), Matcher::equal("alertname", "Down"));
        let both = vec![alert("Slow", "shop"), alert("Down", "shop")];
        for (matchers, alerts, says) in [
            (vec![pod.clone()], vec![alert("Slow", "shop"), alert("Slow", "web")], "2 in 2"),
            (vec![down.clone()], vec![alert("Down", "shop")], "1 in 1"),
            (vec![pod.clone()], vec![], "nothing to silence"),
            (vec![pod.clone()], both.clone(), "it would silence Down, which this incident is not about"),
            // A pattern names nobody.
            (vec![pod.clone(), Matcher::pattern("alertname", "Slow|Down")], both, "is not about"),
            (vec![pod.clone()], vec![alert("Slow", ""); 20], "20 in 0"),
            (vec![pod], vec![alert("Slow", "shop"); 21], "it would silence 21 alerts"),
        ] {
            let told = match covered(&matchers, &alerts, "Slow") {
                Ok(covered) => format!("{} in {}", covered.alerts(), covered.namespaces),
                Err(error) => error.for_reader().to_owned(),
            };
            assert!(told.contains(says), "{matchers:?}: {told}");
        }
    }
}
