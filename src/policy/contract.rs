//! The documents that policies read: `firewarden.risk/v1` and `firewarden.action/v1`. Every key is
//! always present, so that a rule never falls silent because something was left out.

use super::text;
use crate::domain::{Effect, ResourceType, Risk, Severity, SreEvent};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Name of the contract between the program and a bundle.
pub const CONTRACT: &str = "firewarden/v1";
/// Longest label or annotation value that a policy sees, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// Most texts of one call's arguments that a policy sees.
const MAX_TEXTS: usize = 1000;
/// Most labels, and most annotations, that a policy sees.
const MAX_ENTRIES: usize = 256;

/// What the risk modules are asked about: `firewarden.risk/v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskInput {
    /// Always `firewarden.risk/v1`.
    pub schema: String,
    /// The moment of the question, nanoseconds since 1970.
    pub now_ns: i64,
    /// `enforce`.
    pub mode: String,
    /// The alert.
    pub event: EventFacts,
    /// What the alert is about, as far as known.
    pub resource: ResourceFacts,
    /// What would suffer, as far as known.
    pub blast_radius: BlastRadius,
    /// What happened to it before.
    pub history: History,
    /// The time as people live it.
    pub calendar: Calendar,
    /// How fixes of this class fared.
    pub track_record: TrackRecord,
    /// Money spent on models.
    pub spend: Spend,
    /// Whatever else the investigation found, by name.
    pub facts: Map<String, Value>,
}

/// What the action modules are asked about: `firewarden.action/v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionInput {
    /// Always `firewarden.action/v1`.
    pub schema: String,
    /// The moment of the question, nanoseconds since 1970.
    pub now_ns: i64,
    /// `enforce`.
    pub mode: String,
    /// `propose` before approval, `execute` at the point of doing it.
    pub phase: String,
    /// The alert.
    pub event: EventFacts,
    /// The risk as it stands.
    pub risk: RiskFacts,
    /// What the alert is about, as far as known.
    pub resource: ResourceFacts,
    /// The investigation that wants to act.
    pub investigation: InvestigationFacts,
    /// How much untrusted text was read before.
    pub taint: Taint,
    /// The call itself.
    pub call: CallFacts,
    /// The pull request, if the call opens one.
    pub pr: PullRequest,
    /// What the call would touch, as far as known.
    pub blast_radius: BlastRadius,
    /// What was done before, to the same things.
    pub history: ActionHistory,
    /// The time as people live it.
    pub calendar: Calendar,
    /// How fixes of this class fared.
    pub track_record: TrackRecord,
    /// Money spent on models.
    pub spend: Spend,
    /// Whatever else the investigation found, by name.
    pub facts: Map<String, Value>,
}

/// An alert as policies see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFacts {
    /// Our id.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// The sender's identity of the alert.
    pub fingerprint: String,
    /// The sender's group.
    pub group_key: Option<String>,
    /// `firing` or `resolved`.
    pub status: String,
    /// The alert's name.
    pub name: String,
    /// `critical|error|warning|info`.
    pub severity: String,
    /// What the severity alone suggests.
    pub initial_level: Risk,
    /// At most 500 characters.
    pub summary: String,
    /// All free text, folded for matching, at most 64 KiB.
    pub text: String,
    /// Something did not fit into `text`, `labels` or `annotations`.
    pub text_truncated: bool,
    /// Always false: whoever can raise an alert can write this text.
    pub text_trusted: bool,
    /// The sender's labels.
    pub labels: BTreeMap<String, String>,
    /// The sender's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Start of the episode, nanoseconds since 1970.
    pub starts_at_ns: i64,
    /// Alerts that the sender grouped with it.
    pub alerts_in_group: u32,
}

/// A thing in the world as policies see it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ResourceFacts {
    /// It was looked up, not only named by the alert.
    pub resolved: bool,
    /// Its cluster, else empty.
    pub cluster: String,
    /// Its environment in lower case, else `unknown`.
    pub environment: String,
    /// Its namespace, else empty.
    pub namespace: String,
    /// `k8s_pod`, `host`, …
    #[serde(rename = "type")]
    pub kind_of_thing: String,
    /// Its API version, else empty.
    pub api_version: String,
    /// Its Kubernetes kind, else empty.
    pub kind: String,
    /// Its name, else empty.
    pub name: String,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// It keeps data.
    pub stateful: bool,
    /// Wanted replicas.
    pub replicas: Option<u64>,
    /// Ready replicas.
    pub ready: Option<u64>,
    /// Whose it is.
    pub owner: Owner,
    /// Where its definition lives.
    pub gitops: GitOps,
}

/// Whose a thing is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Owner {
    /// The team, else empty.
    pub team: String,
    /// Groups that may approve for it.
    pub groups: Vec<String>,
}

/// Where a thing's definition lives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GitOps {
    /// `argocd`, `flux`, else empty.
    pub managed_by: String,
    /// The repository, else empty.
    pub repo: String,
    /// The path in it, else empty.
    pub path: String,
}

/// How much would suffer. Meaningless while `known` is false.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BlastRadius {
    /// The figures were measured.
    pub known: bool,
    /// Pods.
    pub pods: u64,
    /// Namespaces.
    pub namespaces: u64,
    /// Clusters.
    pub clusters: u64,
    /// Things that depend on it.
    pub dependents: u64,
    /// Bytes in its volumes.
    pub pvc_bytes: u64,
}

/// What happened to the resource before, counted from the journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct History {
    pub firings_1h: u64,
    pub firings_24h: u64,
    pub down_events_window: u64,
    pub investigations_24h: u64,
    pub actions_24h: u64,
    pub failed_actions_24h: u64,
    pub last_action_ns: Option<i64>,
}

/// What was done before, counted from the journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ActionHistory {
    pub resource_actions_1h: u64,
    pub resource_actions_24h: u64,
    pub namespace_actions_1h: u64,
    pub targets_of_kind_1h: u64,
    pub same_action_1h: u64,
    pub same_action_failed_24h: u64,
}

/// The time as people live it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    /// IANA name of the time zone.
    pub tz: String,
    /// `monday` to `sunday`.
    pub weekday: String,
    /// 0 to 23.
    pub hour: i8,
    /// Monday to Friday, 9 to 17 o'clock.
    pub business_hours: bool,
    /// A maintenance window is open.
    pub maintenance: bool,
}

/// How fixes of this class fared.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TrackRecord {
    pub class: String,
    pub verified: u64,
    pub recurred: u64,
    pub rejected: u64,
}

/// Money spent on models, in US dollars.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Spend {
    pub day_usd: f64,
    pub investigation_usd: f64,
}

/// The risk as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskFacts {
    /// The level.
    pub level: Risk,
    /// The rules that gave it.
    pub rules: Vec<String>,
}

/// The investigation that wants to act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvestigationFacts {
    /// Its id.
    pub id: String,
    /// `alert` or `question`.
    pub trigger: String,
    /// Who started it: `system` or a person.
    pub started_by: String,
    /// `service_down`, `resource_pressure`, …; empty when not classified.
    pub class: String,
    /// Turns so far.
    pub turns: u64,
    /// Seconds since it opened.
    pub elapsed_s: u64,
    /// Calls so far.
    pub tool_calls: u64,
    /// Changes made so far.
    pub writes: u64,
    /// Calls refused so far.
    pub denials: u64,
    /// Tokens sent to models.
    pub tokens_in: u64,
    /// Tokens received from models.
    pub tokens_out: u64,
    /// Price of those tokens in US dollars.
    pub cost_usd: f64,
    /// The model, if one proposes.
    pub model: Option<String>,
    /// How the model did in its evaluation: `ok|weak|failed`, or `none` without a model.
    pub model_profile: String,
}

impl Default for InvestigationFacts {
    fn default() -> Self {
        Self {
            id: String::new(),
            trigger: "alert".into(),
            started_by: "system".into(),
            class: String::new(),
            turns: 0,
            elapsed_s: 0,
            tool_calls: 0,
            writes: 0,
            denials: 0,
            tokens_in: 0,
            tokens_out: 0,
            cost_usd: 0.0,
            model: None,
            model_profile: "none".into(),
        }
    }
}

/// How much text was read that others wrote.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Taint {
    /// 0 none, 3 text that looks like instructions.
    pub level: u8,
    /// Where it was read.
    pub sources: Vec<String>,
}

/// The call that is to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallFacts {
    /// Its id.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Who serves the tool.
    #[serde(default = "builtin")]
    pub server: String,
    /// What the tool does to the world, from its manifest.
    pub effect: Effect,
    /// It can be undone.
    #[serde(default)]
    pub reversible: bool,
    /// The tool's tags.
    pub tags: Vec<String>,
    /// Validated arguments.
    pub args: Map<String, Value>,
    /// Every text in `args`, at any depth; [`ActionInput::for_call`] fills it, so that rules need
    /// not search.
    #[serde(default)]
    pub texts: Vec<ArgumentText>,
    /// There are more or longer texts in `args` than `texts` holds.
    #[serde(default)]
    pub texts_truncated: bool,
    /// Where arguments came from, by argument.
    #[serde(default)]
    pub arg_origins: Map<String, Value>,
    /// What it touches: objects with cluster, namespace, api_version, kind, name, verb, …
    pub targets: Vec<Value>,
    /// The command, if it runs one.
    #[serde(default)]
    pub argv: Vec<String>,
    /// What a dry run showed.
    #[serde(default)]
    pub preview: Option<Value>,
    /// Digest of the planned action; empty for reads.
    #[serde(default)]
    pub action_digest: String,
    /// Why the proposer wants it: a claim.
    #[serde(default)]
    pub rationale: String,
    /// Evidence that the proposer names.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The named evidence exists.
    #[serde(default)]
    pub evidence_verified: bool,
}

/// A text among the arguments of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArgumentText {
    /// The keys that lead to it, in lower case, outermost first; places in lists are left out.
    pub keys: Vec<String>,
    /// The text.
    pub value: String,
}

fn builtin() -> String {
    "builtin".into()
}

impl CallFacts {
    /// A call of a built-in tool; whatever concerns previews, commands and evidence is empty.
    pub fn new(id: impl Into<String>, tool: impl Into<String>, effect: Effect, args: Map<String, Value>) -> Self {
        Self {
            id: id.into(),
            tool: tool.into(),
            server: builtin(),
            effect,
            reversible: matches!(effect, Effect::Read),
            tags: Vec::new(),
            args,
            texts: Vec::new(),
            texts_truncated: false,
            arg_origins: Map::new(),
            targets: Vec::new(),
            argv: Vec::new(),
            preview: None,
            action_digest: String::new(),
            rationale: String::new(),
            evidence: Vec::new(),
            evidence_verified: false,
        }
    }
}

/// The pull request that a call would open.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PullRequest {
    /// `owner/name`.
    pub repo: Option<String>,
    /// Branch it goes to.
    pub base: Option<String>,
    /// Paths it changes.
    pub files: Vec<String>,
    /// Lines it changes.
    pub lines: u64,
    /// Paths with code owners.
    pub touches_codeowners: Vec<String>,
}

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
            track_record: TrackRecord::default(),
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

impl ActionInput {
    /// The question whether `call` may run now. `risk_rules` are the rules that gave `risk`.
    pub fn for_call(
        event: &SreEvent,
        risk: &Risk,
        risk_rules: &[String],
        investigation: InvestigationFacts,
        mut call: CallFacts,
        now: Timestamp,
    ) -> Self {
        (call.texts, call.texts_truncated) = texts(&call.args);
        Self {
            schema: "firewarden.action/v1".into(),
            now_ns: nanoseconds(now),
            mode: "enforce".into(),
            phase: "propose".into(),
            event: EventFacts::of(event, 1),
            risk: RiskFacts { level: *risk, rules: risk_rules.to_vec() },
            resource: ResourceFacts::of(event),
            investigation,
            taint: Taint::default(),
            call,
            pr: PullRequest::default(),
            blast_radius: BlastRadius::default(),
            history: ActionHistory::default(),
            calendar: Calendar::at(now),
            track_record: TrackRecord::default(),
            spend: Spend::default(),
            facts: Map::new(),
        }
    }

    /// As [`RiskInput::with_facts`], except for the blast radius: here it is the call's own.
    pub fn with_facts(mut self, found: &Map<String, Value>) -> Self {
        merge_found(&mut self.resource, &mut BlastRadius::default(), &mut self.facts, found);
        self
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
    fn at(now: Timestamp) -> Self {
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
        let hour = local.hour();
        let business_hours = !matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday) && (9..17).contains(&hour);
        Self { tz: "UTC".into(), weekday: weekday.into(), hour, business_hours, maintenance: false }
    }
}

/// Nanoseconds since 1970, held at the ends of what 64 bits can say (1677 and 2262).
fn nanoseconds(at: Timestamp) -> i64 {
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
                found.push(ArgumentText { keys, value: text[..end].to_owned() });
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
    use super::super::sample;
    use super::*;
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
