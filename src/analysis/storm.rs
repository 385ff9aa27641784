//! What many alerts have in common: a bounded fold over the alerts alone, so that it holds when nothing
//! else could be looked at.

use super::text::{clip, moment, percent};
use crate::domain::{
    AlertStatus, Recommendation, Report, ReportVerdict, Severity, Share, Shares, SreEvent, Storm, StormAlert, Subject,
};
use crate::journal::Beyond;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Rows of each list; the rest is counted.
const ROWS: usize = 10;
/// Loud alerts that a report lists, and that one line names.
const LOUD: usize = 20;
const LOUD_IN_LINE: usize = 3;
/// Longest name of anything, in characters.
const NAME: usize = 120;
/// Rows of each list that a model is told, and all that it is told, in characters.
const WORDS: usize = 4;
const MODEL: usize = 2_000;
/// Longest summary, in characters.
const SUMMARY: usize = 400;
/// So many of all alerts share a value that it is worth saying.
const COMMON: f64 = 0.5;

/// What `events` have in common, with so many alerts `beyond` them of which only that is known.
pub fn together(events: &[SreEvent], beyond: Beyond) -> Storm {
    let named = |name: &'static str| move |event: &SreEvent| event.labels.get(name).cloned();
    let namespace = |event: &SreEvent| event.resource.namespace.clone();
    let loud = events.iter().filter(|event| event.severity == Severity::Critical);
    let all = loud.clone().count();
    let critical = alike(loud);
    let listed: usize = critical.iter().map(|alert| alert.alerts).sum();
    Storm {
        alerts: events.len() + beyond.joined,
        firing: events.iter().filter(|event| event.status == AlertStatus::Firing).count() + beyond.firing,
        told_apart: (beyond.joined > 0).then_some(events.len()),
        first_at: events.iter().map(|event| event.starts_at).min(),
        last_at: events.iter().map(|event| event.starts_at).max(),
        critical,
        critical_more: all.saturating_sub(listed),
        names: shares(events, |event| Some(event.name.clone())),
        namespaces: shares(events, namespace),
        nodes: shares(events, named("node")),
        clusters: shares(events, named("cluster")),
        subjects: shares(events, |event| Some(event.subject.clone())),
    }
}

/// Alerts of one name about one thing are one row, with how many they are.
fn alike<'e>(alerts: impl Iterator<Item = &'e SreEvent>) -> Vec<StormAlert> {
    let mut rows: BTreeMap<(&str, &str, Option<&str>), Vec<&SreEvent>> = BTreeMap::new();
    for event in alerts {
        let key = (event.name.as_str(), event.subject.as_str(), event.resource.namespace.as_deref());
        rows.entry(key).or_default().push(event);
    }
    let is_over = |events: &[&SreEvent]| events.iter().all(|event| event.status == AlertStatus::Resolved);
    let first = |events: &[&SreEvent]| events.iter().map(|event| (event.received_at, event.id)).min();
    let mut rows: Vec<_> = rows.into_iter().collect();
    // Those that hold still, and of those the ones that came first: when an alert began is its sender's word.
    rows.sort_by_key(|(_, events)| (is_over(events), first(events)));
    let row = |((name, subject, namespace), events): ((&str, &str, Option<&str>), Vec<&SreEvent>)| StormAlert {
        alert: clip(name, NAME),
        subject: clip(subject, NAME),
        namespace: namespace.map(|namespace| clip(namespace, NAME)),
        alerts: events.len(),
        starts_at: events.iter().map(|event| event.starts_at).min().unwrap_or_default(),
        firing: !is_over(&events),
    };
    rows.into_iter().take(LOUD).map(row).collect()
}

/// How many alerts have each value, the most frequent first, then the one that began first.
fn shares(events: &[SreEvent], value: impl Fn(&SreEvent) -> Option<String>) -> Shares {
    let mut all: BTreeMap<String, (usize, Timestamp)> = BTreeMap::new();
    for event in events {
        let Some(value) = value(event).filter(|value| !value.is_empty()) else { continue };
        let (alerts, first_at) = all.entry(value).or_insert((0, event.starts_at));
        *alerts += 1;
        *first_at = (*first_at).min(event.starts_at);
    }
    let more = all.len().saturating_sub(ROWS);
    let mut rows: Vec<Share> = all
        .into_iter()
        .map(|(value, (alerts, first_at))| Share { value: clip(&value, NAME), alerts, first_at })
        .collect();
    rows.sort_by(|a, b| b.alerts.cmp(&a.alerts).then(a.first_at.cmp(&b.first_at)));
    rows.truncate(ROWS);
    Shares { rows, more }
}

/// What at least half of the alerts share, in words, what is most specific first.
fn common(storm: &Storm) -> Vec<String> {
    let kinds = [
        ("node", &storm.nodes),
        ("alert", &storm.names),
        ("namespace", &storm.namespaces),
        ("cluster", &storm.clusters),
    ];
    let share = |(kind, shares): (&str, &Shares)| {
        let top = shares.rows.first()?;
        let ratio = top.alerts as f64 / storm.told_apart.unwrap_or(storm.alerts).max(1) as f64;
        (ratio >= COMMON && top.alerts > 1).then(|| format!("{kind} {} ({})", top.value, percent(ratio)))
    };
    kinds.into_iter().filter_map(share).collect()
}

/// A storm as a model is told of it: bounded, what is most frequent first.
pub fn in_words(storm: &Storm) -> String {
    let mut text = format!(
        "Many causes at once: {} alerts, {} firing. More than could be looked into one by one; find what they share.",
        storm.alerts, storm.firing
    );
    if let Some(told_apart) = storm.told_apart {
        text.push_str(&format!("\nThe figures below are of {told_apart} of them, the first and the loudest."));
    }
    let loud: Vec<String> = storm.critical.iter().take(LOUD_IN_LINE).map(named).collect();
    if !loud.is_empty() {
        text.push_str(&format!("\nCritical: {}: {}", critical(storm), loud.join(", ")));
    }
    let kinds = [
        ("alert", &storm.names),
        ("namespace", &storm.namespaces),
        ("node", &storm.nodes),
        ("cluster", &storm.clusters),
        ("concerns", &storm.subjects),
    ];
    for (kind, shares) in kinds.into_iter().filter(|(_, shares)| !shares.rows.is_empty()) {
        let row =
            |share: &Share| format!("{} ({}, since {})", clip(&share.value, 60), share.alerts, moment(share.first_at));
        let rows: Vec<String> = shares.rows.iter().take(WORDS).map(row).collect();
        let more = shares.rows.len() - rows.len() + shares.more;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("\nBy {kind}: {}{more}", rows.join(", ")));
    }
    text.chars().take(MODEL).collect()
}

fn named(alert: &StormAlert) -> String {
    let times = if alert.alerts > 1 { format!(" ({} times)", alert.alerts) } else { String::new() };
    format!("{} on {}{times}", clip(&alert.alert, 40), clip(&alert.subject, 30))
}

/// How many alerts are critical.
fn critical(storm: &Storm) -> usize {
    storm.critical.iter().map(|alert| alert.alerts).sum::<usize>() + storm.critical_more
}

/// `report`, as it is told of a storm with these alerts, the one that opened it first.
pub fn as_storm(mut report: Report, events: &[SreEvent], beyond: Beyond) -> Report {
    let storm = together(events, beyond);
    report.incident.alert = crate::journal::STORM_ALERT.to_owned();
    let name = format!("{} alerts", storm.alerts);
    report.incident.subject = Subject { kind: "storm".into(), namespace: None, name, cluster: None };
    // What explains the alert that was looked at need not explain the others.
    report.verdict = match report.verdict {
        ReportVerdict::Confirmed | ReportVerdict::Likely => ReportVerdict::Possible,
        ReportVerdict::NoFault => ReportVerdict::InsufficientEvidence,
        verdict @ (ReportVerdict::Declined | ReportVerdict::InsufficientEvidence | ReportVerdict::Possible) => verdict,
    };
    let common = common(&storm);
    let look = match common.is_empty() {
        true => {
            "They have little in common, so look at those that began first, the critical ones before the others.".into()
        }
        false => format!("Look at what they have in common before any single one: {}.", common.join(", ")),
    };
    let first = Recommendation { kind: "mitigate".into(), text: look, addresses: vec![] };
    report.recommendations.retain(|recommendation| !recommendation.addresses.is_empty());
    report.recommendations.insert(0, first);
    report.summary = summary(&storm, &common, events, &report);
    report.storm = Some(storm);
    report
}

fn summary(storm: &Storm, common: &[String], events: &[SreEvent], report: &Report) -> String {
    let mut text = format!("Storm of {} alerts, {} firing", storm.alerts, storm.firing);
    if let (Some(first), Some(last)) = (storm.first_at, storm.last_at) {
        let (first, last) = (moment(first), moment(last));
        match first == last {
            true => text.push_str(&format!(", begun at {first}")),
            false => text.push_str(&format!(", begun from {first} to {last}")),
        }
    }
    text.push('.');
    let loud = critical(storm);
    if loud > 0 {
        let first = storm.critical.iter().take(LOUD_IN_LINE);
        let more = loud.saturating_sub(first.clone().map(|alert| alert.alerts).sum());
        let names: Vec<String> = first.map(named).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!(" Critical: {loud}: {}{more}.", names.join(", ")));
    }
    if !common.is_empty() {
        text.push_str(&format!(" In common: {}.", common.join(", ")));
    }
    if let (Some(opening), Some(cause)) = (events.first(), report.root_causes.first()) {
        text.push_str(&format!(" Looked into was {}: {}.", clip(&opening.name, 40), cause.statement));
    }
    clip(&text, SUMMARY)
}

/// `report`, as it is told of alerts that come and go.
pub fn as_flapping(mut report: Report, events: &[SreEvent], beyond: Beyond) -> Report {
    let mut starts: BTreeMap<(&str, &str), (usize, &SreEvent)> = BTreeMap::new();
    for event in events {
        let (times, first) = starts.entry((&event.source, &event.fingerprint)).or_insert((0, event));
        *times += 1;
        *first = if event.starts_at < first.starts_at { event } else { *first };
    }
    if let Some((times, first)) =
        starts.into_values().max_by_key(|(times, first)| (*times, std::cmp::Reverse(first.id)))
    {
        let (name, since) = (clip(&first.name, 60), moment(first.starts_at));
        let further = match beyond.joined {
            0 => String::new(),
            further => format!(", and {further} further alerts came"),
        };
        let told =
            format!("{name} comes and goes: it began {times} times here since {since}{further}. {}", report.summary);
        report.summary = clip(&told, SUMMARY);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;
    use proptest::prelude::*;
    use serde_json::json;

    fn alert(n: u128, name: &str, severity: Severity, namespace: &str, node: &str, second: i64) -> SreEvent {
        serde_json::from_value(json!({
            "id": EventId::new(uuid::Uuid::from_u128(n)), "source": "alertmanager", "fingerprint": format!("f{n}"),
            "group_key": null, "status": "firing", "severity": severity, "name": name,
            "subject": format!("service-{n}"), "title": "t", "description": "d", "annotations": {}, "links": [],
            "resource": {"type": "unknown", "id": "", "namespace": namespace, "cluster": null},
            "labels": {"node": node}, "starts_at": Timestamp::from_second(1_800_000_000 + second).unwrap(),
            "ends_at": null, "received_at": "2026-11-20T00:00:00Z",
            "raw": {"commitment": "sha256:00", "bytes": 0}, "raw_hmac": ""
        }))
        .unwrap()
    }

    fn storm() -> Vec<SreEvent> {
        use Severity::{Critical, Warning};
        let mut events: Vec<SreEvent> = (1..=30)
            .map(|n| {
                let node = if n % 5 == 0 { "worker-1" } else { "worker-3" };
                alert(
                    n,
                    &format!("Slow{}", n % 7),
                    Warning,
                    &format!("team-{}", n % 9),
                    node,
                    i64::try_from(n).unwrap(),
                )
            })
            .collect();
        events.push(alert(31, "NodeNotReady", Critical, "kube-system", "worker-3", -60));
        events
    }

    #[test]
    fn what_is_common_is_found_and_the_critical_ones_are_named_first() {
        let events = storm();
        let found = together(&events, Beyond::default());
        assert_eq!((found.alerts, found.firing, found.critical_more), (31, 31, 0));
        assert_eq!(found.critical.iter().map(|alert| alert.alert.as_str()).collect::<Vec<_>>(), ["NodeNotReady"]);
        assert_eq!(found.nodes.rows[0].value, "worker-3");
        assert_eq!((found.nodes.rows[0].alerts, found.nodes.rows[0].first_at), (25, events[30].starts_at));
        assert_eq!((found.subjects.rows.len(), found.subjects.more), (ROWS, 21));
        assert_eq!(common(&found), ["node worker-3 (80 %)"]);
        let words = in_words(&found);
        let lines: Vec<&str> = words.lines().collect();
        assert_eq!(lines[1], "Critical: 1: NodeNotReady on service-31");
        assert!(lines[4].starts_with("By node: worker-3 (25, since ") && lines[5].contains(" and 27 more"), "{words}");
        assert!(lines[0].starts_with("Many causes at once: 31 alerts") && words.len() < MODEL, "{words}");
    }

    #[test]
    fn critical_alerts_of_one_name_about_one_thing_are_one_row() {
        let same = |n: u128, second: i64| SreEvent {
            subject: "db".into(),
            ..alert(n, "Down", Severity::Critical, "shop", "w", second)
        };
        let over = SreEvent { status: AlertStatus::Resolved, ..alert(1, "Gone", Severity::Critical, "shop", "w", 1) };
        let events = [over, same(2, 30), same(3, 20), alert(4, "Down", Severity::Critical, "shop", "w", 9)];
        let found = together(&events, Beyond::default());
        let rows: Vec<_> = found.critical.iter().map(|row| (row.subject.as_str(), row.alerts, row.firing)).collect();
        assert_eq!(rows, [("db", 2, true), ("service-4", 1, true), ("service-1", 1, false)]);
        assert_eq!((found.critical[0].starts_at, found.critical_more), (events[2].starts_at, 0));
        assert!(in_words(&found).contains("Critical: 4: Down on db (2 times), Down on service-4, Gone on service-1"));
    }

    proptest! {
        #[test]
        fn every_alert_is_counted_once_and_lists_are_bounded(names in prop::collection::vec(0_u8..40, 1..200)) {
            let events: Vec<SreEvent> = names.iter().enumerate().map(|(n, name)| {
                let severity = if name % 3 == 0 { Severity::Critical } else { Severity::Info };
                alert(n as u128 + 1, &format!("A{name}"), severity, "shop", "w", i64::from(*name))
            }).collect();
            let found = together(&events, Beyond::default());
            let loud = names.iter().filter(|name| *name % 3 == 0).count();
            prop_assert_eq!(critical(&found), loud);
            prop_assert!(found.critical.len() <= LOUD && found.names.rows.len() <= ROWS);
            let distinct = names.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert_eq!(found.names.rows.len() + found.names.more, distinct);
            prop_assert_eq!(found.namespaces.rows[0].alerts, names.len());
            prop_assert!(found.names.rows.is_sorted_by(|a, b| a.alerts >= b.alerts));
        }
    }
}
