//! How the documents are filled from an alert, a survey and a call.

use super::super::text;
use super::*;
use crate::domain::{ResourceType, Severity, SreEvent};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::de::DeserializeOwned;

/// Longest label or annotation value that a policy sees, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// Most texts of one call's arguments that a policy sees.
const MAX_TEXTS: usize = 1000;
/// Most labels, and most annotations, that a policy sees.
const MAX_ENTRIES: usize = 256;

impl RiskInput {
    /// What is known from the alert alone. `alerts_in_group` counts the alerts that the sender
    /// grouped with this one, itself included.
    pub fn of(event: &SreEvent, now: Timestamp, alerts_in_group: u32) -> Self {
        Self {
            schema: "firewarden.risk/v1".into(),
            now_ns: nanoseconds(now),
            mode: "enforce".into(),
            event: EventFacts::of(event, alerts_in_group),
            resource: ResourceFacts::of(event),
            blast_radius: BlastRadius::default(),
            history: History::default(),
            calendar: Calendar::at(now),
            track_record: TrackRecord { class: event.name.clone(), ..TrackRecord::default() },
            spend: Spend::default(),
            facts: Map::new(),
        }
    }

    /// Adds what the survey found (`resource`, `blast_radius` and `facts` of
    /// [`crate::domain::Analysis::facts`]). Unknown keys and values of a wrong type are ignored.
    pub fn with_facts(mut self, found: &Map<String, Value>) -> Self {
        merge_found(&mut self.resource, &mut self.blast_radius, &mut self.facts, found);
        self
    }
}

impl Background {
    /// What is known from the alert alone.
    pub fn of(event: &SreEvent) -> Self {
        Self { event: EventFacts::of(event, 1), resource: ResourceFacts::of(event), facts: Map::new() }
    }

    /// Where it is, as far as known.
    pub fn environment(&self) -> &str {
        &self.resource.environment
    }

    /// As [`RiskInput::with_facts`], except for the blast radius: that is each call's own.
    pub fn with_facts(mut self, found: &Map<String, Value>) -> Self {
        merge_found(&mut self.resource, &mut BlastRadius::default(), &mut self.facts, found);
        self
    }
}

impl ActionInput {
    /// The question whether `call` may run now. `risk_rules` are the rules that gave `risk`.
    pub fn for_call(
        background: &Background,
        risk: &Risk,
        risk_rules: &[String],
        investigation: InvestigationFacts,
        mut call: CallFacts,
        now: Timestamp,
    ) -> Self {
        (call.texts, call.texts_truncated) = texts(&call.args);
        let Background { event, resource, facts } = background.clone();
        let track_record = TrackRecord { class: event.name.clone(), ..TrackRecord::default() };
        Self {
            schema: "firewarden.action/v1".into(),
            now_ns: nanoseconds(now),
            mode: "enforce".into(),
            phase: "propose".into(),
            event,
            risk: RiskFacts { level: *risk, rules: risk_rules.to_vec() },
            resource,
            investigation,
            taint: Taint::default(),
            call,
            pr: PullRequest::default(),
            blast_radius: BlastRadius::default(),
            history: ActionHistory::default(),
            calendar: Calendar::at(now),
            track_record,
            spend: Spend::default(),
            facts,
        }
    }
}

impl EventFacts {
    fn of(event: &SreEvent, alerts_in_group: u32) -> Self {
        let fields = [&event.title, &event.name, &event.description, &event.subject];
        let folded = text::fold(
            fields.into_iter().chain(event.annotations.values()).chain(event.labels.values()).map(String::as_str),
        );
        let (labels, labels_cut) = bounded(&event.labels);
        let (annotations, annotations_cut) = bounded(&event.annotations);
        Self {
            id: event.id.to_string(),
            source: event.source.clone(),
            fingerprint: event.fingerprint.clone(),
            group_key: event.group_key.clone(),
            status: event.status.to_string(),
            name: event.name.clone(),
            severity: event.severity.to_string(),
            initial_level: match event.severity {
                Severity::Info => Risk::Low,
                Severity::Warning => Risk::Medium,
                Severity::Error | Severity::Critical => Risk::High,
            },
            summary: event.summary(),
            text: folded.text,
            text_truncated: folded.truncated || labels_cut || annotations_cut,
            text_trusted: false,
            labels,
            annotations,
            starts_at_ns: nanoseconds(event.starts_at),
            alerts_in_group,
        }
    }
}

impl ResourceFacts {
    fn of(event: &SreEvent) -> Self {
        let label = |names: &[&str]| names.iter().find_map(|n| event.labels.get(*n)).map(|v| v.trim().to_lowercase());
        let kind = match event.resource.kind {
            ResourceType::K8sPvc => "PersistentVolumeClaim",
            ResourceType::K8sPod => "Pod",
            ResourceType::K8sNode => "Node",
            ResourceType::K8sDeployment => "Deployment",
            ResourceType::K8sStatefulset => "StatefulSet",
            ResourceType::K8sJob => "Job",
            ResourceType::Unknown
            | ResourceType::Ceph
            | ResourceType::Database
            | ResourceType::Certificate
            | ResourceType::Host
            | ResourceType::Service => "",
        };
        Self {
            cluster: event.resource.cluster.clone().unwrap_or_default(),
            environment: label(&["environment", "env", "stage"])
                .filter(|v| !v.is_empty())
                .unwrap_or_else(|| "unknown".into()),
            namespace: event.resource.namespace.clone().unwrap_or_default(),
            kind_of_thing: event.resource.kind.to_string(),
            kind: kind.into(),
            name: event.resource.id.clone(),
            owner: Owner { team: label(&["team"]).unwrap_or_default(), groups: Vec::new() },
            ..Self::default()
        }
    }
}

impl Calendar {
    /// The moment in UTC, with the hours of most offices, and no window open.
    pub fn at(now: Timestamp) -> Self {
        let local = now.to_zoned(TimeZone::UTC);
        let weekday = match local.weekday() {
            Weekday::Monday => "monday",
            Weekday::Tuesday => "tuesday",
            Weekday::Wednesday => "wednesday",
            Weekday::Thursday => "thursday",
            Weekday::Friday => "friday",
            Weekday::Saturday => "saturday",
            Weekday::Sunday => "sunday",
        };
        let (tz, weekday, hour) = ("UTC".into(), weekday.into(), local.hour());
        Self { tz, weekday, hour, business_hours: false, maintenance: false }.in_business()
    }

    /// With the hours of most offices.
    pub(in super::super) fn in_business(self) -> Self {
        let business_hours = !matches!(self.weekday.as_str(), "saturday" | "sunday") && (9..17).contains(&self.hour);
        Self { business_hours, ..self }
    }
}

/// Nanoseconds since 1970, held at the ends of what 64 bits can say (1677 and 2262).
pub(in super::super) fn nanoseconds(at: Timestamp) -> i64 {
    let exact = at.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

/// The map within bounds, and whether something was cut.
fn bounded(map: &BTreeMap<String, String>) -> (BTreeMap<String, String>, bool) {
    let mut cut = map.len() > MAX_ENTRIES;
    let kept = map.iter().take(MAX_ENTRIES).map(|(key, value)| {
        let mut short = |text: &String| {
            let end = text.floor_char_boundary(MAX_VALUE_BYTES);
            cut |= end < text.len();
            text[..end].to_owned()
        };
        (short(key), short(value))
    });
    let kept = kept.collect();
    (kept, cut)
}

/// Every text in `args`, and whether bounds cut something off.
fn texts(args: &Map<String, Value>) -> (Vec<ArgumentText>, bool) {
    let mut found = Vec::new();
    let mut cut = false;
    let mut waiting: Vec<(Vec<String>, &Value)> =
        args.iter().rev().map(|(key, value)| (vec![key.to_lowercase()], value)).collect();
    while let Some((keys, value)) = waiting.pop() {
        if found.len() >= MAX_TEXTS || waiting.len() > 4 * MAX_TEXTS || keys.len() > 64 {
            return (found, true);
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                let end = text.floor_char_boundary(MAX_VALUE_BYTES);
                cut |= end < text.len();
                let value = text[..end].to_owned();
                let folded = text::fold([value.as_str()]);
                cut |= folded.truncated;
                found.push(ArgumentText { keys, value, folded: folded.text });
            }
            Value::Array(items) => waiting.extend(items.iter().rev().map(|item| (keys.clone(), item))),
            Value::Object(map) => waiting.extend(map.iter().rev().map(|(key, value)| {
                let deeper = keys.iter().cloned().chain([key.to_lowercase()]);
                (deeper.collect(), value)
            })),
        }
    }
    (found, cut)
}

fn merge_found(
    resource: &mut ResourceFacts,
    blast_radius: &mut BlastRadius,
    facts: &mut Map<String, Value>,
    found: &Map<String, Value>,
) {
    if let Some(Value::Object(new)) = found.get("resource") {
        if let Some(Value::Object(owner)) = new.get("owner") {
            merge_known(&mut resource.owner, owner);
        }
        if let Some(Value::Object(gitops)) = new.get("gitops") {
            merge_known(&mut resource.gitops, gitops);
        }
        merge_known(resource, new);
    }
    if let Some(Value::Object(new)) = found.get("blast_radius") {
        merge_known(blast_radius, new);
    }
    if let Some(Value::Object(new)) = found.get("facts") {
        facts.extend(new.iter().take(MAX_ENTRIES).map(|(k, v)| (k.clone(), v.clone())));
    }
}

/// Takes each key of `new` that `known` has, if its value has the right type.
fn merge_known<T: Serialize + DeserializeOwned>(known: &mut T, new: &Map<String, Value>) {
    let Ok(Value::Object(mut document)) = serde_json::to_value(&*known) else { return };
    let mut taken = document.clone();
    for (key, value) in new {
        if let Some(slot) = taken.get_mut(key) {
            *slot = value.clone();
        }
    }
    // What fits as a whole fits key by key.
    if let Ok(merged) = serde_json::from_value(Value::Object(taken)) {
        *known = merged;
        return;
    }
    for (key, value) in new {
        let Some(slot) = document.get_mut(key) else { continue };
        let before = std::mem::replace(slot, value.clone());
        match serde_json::from_value(Value::Object(document.clone())) {
            Ok(merged) => *known = merged,
            Err(_) => {
                document.insert(key.clone(), before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample;
    use serde_json::json;

    #[test]
    fn the_documents_have_every_key_of_the_contract() {
        let keys = |v: &Value| {
            let keys: std::collections::BTreeSet<_> = v.as_object().unwrap().keys().map(String::as_str).collect();
            keys.into_iter().collect::<Vec<_>>().join(" ")
        };
        let risk = serde_json::to_value(sample::risk_input()).unwrap();
        assert_eq!(
            keys(&risk),
            "blast_radius calendar event facts history mode now_ns resource schema spend track_record"
        );
        assert_eq!(
            keys(&risk["event"]),
            "alerts_in_group annotations fingerprint group_key id initial_level labels name severity source \
             starts_at_ns status summary text text_truncated text_trusted"
        );
        assert_eq!(
            keys(&risk["resource"]),
            "api_version cluster environment gitops kind labels name namespace owner ready replicas resolved stateful type"
        );
        let action = serde_json::to_value(sample::action_input()).unwrap();
        assert_eq!(
            keys(&action),
            "blast_radius calendar call event facts history investigation mode now_ns phase pr resource risk schema \
             spend taint track_record"
        );
        assert_eq!(
            keys(&action["call"]),
            "action_digest arg_origins args argv effect evidence evidence_verified id preview rationale reversible \
             server tags targets texts texts_truncated tool"
        );
        assert_eq!(serde_json::from_value::<ActionInput>(action).unwrap(), sample::action_input());
    }

    #[test]
    fn the_time_is_told_in_numbers_and_in_words() {
        let now: Timestamp = "2026-11-20T15:04:00Z".parse().unwrap();
        let input = RiskInput::of(&sample::event(), now, 3);
        assert_eq!(input.now_ns, 1_795_187_040_000_000_000);
        assert_eq!(
            serde_json::to_value(&input.calendar).unwrap(),
            json!({"tz": "UTC", "weekday": "friday", "hour": 15, "business_hours": true, "maintenance": false})
        );
        assert_eq!(nanoseconds(Timestamp::MAX), i64::MAX);
        assert_eq!(nanoseconds(Timestamp::MIN), i64::MIN);
    }

    #[test]
    fn found_facts_are_taken_when_known_and_of_the_right_type() {
        let found = json!({
            "resource": {"resolved": true, "replicas": 12, "ready": "seven", "nonsense": 1, "kind": ["Pod"],
                         "owner": {"team": "payments", "groups": "all"}, "gitops": {"repo": "acme/platform", "path": 7}},
            "blast_radius": {"known": true, "pods": 12, "pvc_bytes": -1},
            "facts": {"previous_revision": 41},
            "calendar": {"maintenance": true},
        });
        let input = sample::risk_input().with_facts(found.as_object().unwrap());
        assert!(input.resource.resolved);
        assert_eq!((input.resource.replicas, input.resource.ready), (Some(12), None));
        assert_eq!(input.resource.kind, "Pod");
        assert_eq!(input.resource.owner, Owner { team: "payments".into(), groups: vec![] });
        assert_eq!((input.resource.gitops.repo.as_str(), input.resource.gitops.path.as_str()), ("acme/platform", ""));
        assert_eq!((input.blast_radius.known, input.blast_radius.pods, input.blast_radius.pvc_bytes), (true, 12, 0));
        assert_eq!(input.facts["previous_revision"], 41);
        assert!(!input.calendar.maintenance);
    }

    #[test]
    fn every_text_among_the_arguments_is_listed() {
        let args = json!({"Query": {"Kinds": ["Pod", {"x": "Secret"}], "n": 1}, "name": "api"});
        let (found, cut) = texts(args.as_object().unwrap());
        let shown: Vec<_> = found.iter().map(|t| format!("{}={}", t.keys.join("."), t.value)).collect();
        assert_eq!((shown.join(" ").as_str(), cut), ("query.kinds=Pod query.kinds.x=Secret name=api", false));
        for big in [json!({"a": vec!["x"; 5000]}), json!({"a": "x".repeat(5000)})] {
            let (found, cut) = texts(big.as_object().unwrap());
            assert!(cut && found.len() <= MAX_TEXTS);
        }
    }

    #[test]
    fn a_huge_alert_makes_a_bounded_input_that_says_so() {
        let mut event = sample::event();
        event.annotations.insert("essay".into(), "é".repeat(700_000));
        event.labels.extend((0..5_000).map(|n| (format!("l{n}"), "v".into())));
        let input = RiskInput::of(&event, Timestamp::UNIX_EPOCH, 1);
        assert!(input.event.text_truncated);
        assert!(serde_json::to_vec(&input).unwrap().len() < 256 * 1024);
        assert!(!sample::risk_input().event.text_truncated);
    }
}
