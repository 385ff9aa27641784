//! Terse builders of realistic objects, and a world that answers needs.

use crate::analysis::{Case, Need, Seen, conclude, plan};
use crate::domain::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The moment at which the alerts of the tests start.
pub(super) fn start() -> Timestamp {
    t("2026-04-01T12:00:00Z")
}

/// `minutes` after the start, as text.
pub(super) fn at(minutes: i64) -> String {
    (start() + SignedDuration::from_mins(minutes)).to_string()
}

pub(super) fn alert(name: &str, labels: &[(&str, &str)]) -> SreEvent {
    let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    SreEvent {
        id: "evt_01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        source: "alertmanager".into(),
        fingerprint: "9f0c1b2a3d4e5f60".into(),
        group_key: None,
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        name: name.into(),
        subject: name.into(),
        resource: Resource {
            kind: ResourceType::Unknown,
            id: String::new(),
            namespace: labels.get("namespace").cloned(),
            cluster: None,
        },
        title: format!("{name} fires"),
        description: String::new(),
        labels,
        annotations: BTreeMap::new(),
        starts_at: start(),
        ends_at: None,
        received_at: start(),
        links: Vec::new(),
        raw: BlobRef::commit(&[0; 16], b"raw"),
        raw_hmac: "00".into(),
        via: None,
        ended_by: None,
    }
}

/// `patch` laid over `base`, objects merged, everything else replaced.
pub(super) fn with(mut base: Value, patch: Value) -> Value {
    merge(&mut base, patch);
    base
}

fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

/// A healthy pod of one container, owned by ReplicaSet `<owner>-1` if an owner is given.
pub(super) fn pod(namespace: &str, name: &str, owner: Option<&str>) -> Value {
    let owners = owner.map(|o| json!([{"kind": "ReplicaSet", "name": format!("{o}-1"), "controller": true}]));
    json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": at(-600),
            "ownerReferences": owners.unwrap_or(json!([])), "labels": {"app": owner.unwrap_or(name)}},
        "spec": {"nodeName": "node-a", "containers": [{"name": "app", "image": "registry.example/api:1.4.2",
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}]},
        "status": {"phase": "Running", "startTime": at(-600), "podIP": "10.0.0.9",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-590)}],
            "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0, "image": "registry.example/api:1.4.2",
                "state": {"running": {"startedAt": at(-595)}}, "lastState": {}}]}
    })
}

/// The same pod with its container in another state.
pub(super) fn in_state(pod: Value, restarts: i64, state: Value, last: Value) -> Value {
    with(
        pod,
        json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(-60)}],
            "containerStatuses": [{"name": "app", "ready": false, "restartCount": restarts,
                "image": "registry.example/api:1.4.2", "state": state, "lastState": last}]}}),
    )
}

pub(super) fn crash_looping(pod: Value, code: i64) -> Value {
    in_state(
        pod,
        7,
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}),
        json!({"terminated": {"exitCode": code, "reason": "Error", "startedAt": at(-3), "finishedAt": at(-2)}}),
    )
}

pub(super) fn waiting(pod: Value, reason: &str, message: &str) -> Value {
    with(
        in_state(pod, 0, json!({"waiting": {"reason": reason, "message": message}}), json!({})),
        json!({"status": {"phase": "Pending"}}),
    )
}

/// A pod that no node has taken.
pub(super) fn pending(pod: Value) -> Value {
    with(
        pod,
        json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "containerStatuses": [],
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": at(-30)}]}}),
    )
}

pub(super) fn mounting(pod: Value, claim: &str) -> Value {
    with(pod, json!({"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]}}))
}

pub(super) fn event(
    kind: &str,
    namespace: &str,
    name: &str,
    reason: &str,
    message: &str,
    first: i64,
    last: i64,
) -> Value {
    json!({"kind": "Event", "metadata": {"name": format!("{name}.1"), "namespace": namespace},
        "involvedObject": {"kind": kind, "namespace": namespace, "name": name}, "reason": reason, "message": message,
        "type": "Warning", "count": 17, "firstTimestamp": at(first), "lastTimestamp": at(last)})
}

pub(super) fn workload(kind: &str, namespace: &str, name: &str, replicas: i64, ready: i64) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": namespace, "creationTimestamp": at(-100_000),
            "labels": {"app": name}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": "registry.example/api:1.4.2"}]}}},
        "status": {"replicas": replicas, "readyReplicas": ready, "desiredNumberScheduled": replicas, "numberReady": ready}})
}

/// ReplicaSet `<deployment>-<revision>`.
pub(super) fn replica_set(
    namespace: &str,
    deployment: &str,
    revision: i64,
    image: &str,
    created: i64,
    ready: i64,
) -> Value {
    json!({"kind": "ReplicaSet", "metadata": {"name": format!("{deployment}-{revision}"), "namespace": namespace,
            "creationTimestamp": at(created), "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
            "ownerReferences": [{"kind": "Deployment", "name": deployment, "controller": true}]},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"replicas": 1, "readyReplicas": ready}})
}

pub(super) fn claim(namespace: &str, name: &str, size: &str) -> Value {
    json!({"kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
        "spec": {"storageClassName": "fast", "volumeName": format!("pvc-{name}"), "resources": {"requests": {"storage": size}}},
        "status": {"phase": "Bound", "capacity": {"storage": size}}})
}

pub(super) fn volume(namespace: &str, claim: &str, driver: &str) -> Value {
    json!({"kind": "PersistentVolume", "metadata": {"name": format!("pvc-{claim}")},
        "spec": {"csi": {"driver": driver}, "claimRef": {"namespace": namespace, "name": claim}}})
}

pub(super) fn node(name: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": at(-9000)},
            {"type": "MemoryPressure", "status": "False", "lastTransitionTime": at(-9000)}]}})
}

pub(super) fn logs(lines: &[&str]) -> Value {
    json!({"pod": "x", "container": "app", "previous": true, "lines": lines, "total_lines": lines.len()})
}

/// A series of `points` values over the last `minutes`.
pub(super) fn matrix(labels: Value, minutes: i64, points: i64, value: impl Fn(f64) -> f64) -> Value {
    let end = start().as_second();
    let values: Vec<Value> = (0..points)
        .map(|i| {
            let part = i as f64 / (points - 1) as f64;
            let second = end - ((1.0 - part) * minutes as f64 * 60.0) as i64;
            json!([second, format!("{:.6}", value(part))])
        })
        .collect();
    json!({"resultType": "matrix", "result": [{"metric": labels, "values": values}]})
}

/// A world: objects, events, logs and metrics that answer needs as the tools would.
#[derive(Debug, Default, Clone)]
pub(super) struct World {
    pub objects: Vec<Value>,
    pub events: Vec<Value>,
    /// Pod, previous, lines.
    pub logs: Vec<(String, bool, Value)>,
    /// A part of the expression, minutes or 0, data.
    pub metrics: Vec<(String, u32, Value)>,
    pub targets: Vec<Value>,
    pub alerts: Vec<Value>,
    /// Name, expression.
    pub rules: Vec<(String, String)>,
    /// Refuse what contains this in its one-line form.
    pub refuse: Vec<(String, String)>,
    /// Refuse what reads exactly so.
    pub refuse_exactly: Vec<String>,
}

impl World {
    pub(super) fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        Self { objects: objects.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn events(mut self, events: impl IntoIterator<Item = Value>) -> Self {
        self.events.extend(events);
        self
    }

    pub(super) fn log(mut self, pod: &str, lines: &[&str]) -> Self {
        self.logs.push((pod.into(), true, logs(lines)));
        self
    }

    pub(super) fn metric(mut self, part: &str, minutes: u32, data: Value) -> Self {
        self.metrics.push((part.into(), minutes, data));
        self
    }

    pub(super) fn target(mut self, target: Value) -> Self {
        self.targets.push(target);
        self
    }

    pub(super) fn answer(&self, need: &Need) -> Result<Value, String> {
        let line = need.to_string();
        if let Some((_, why)) = self.refuse.iter().find(|(part, _)| line.contains(part)) {
            return Err(why.clone());
        }
        if self.refuse_exactly.contains(&line) {
            return Err("403 Forbidden: cannot list at the cluster scope".into());
        }
        let field = |v: &Value, p: &str| v.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let empty = json!({"resultType": "vector", "result": []});
        match need {
            Need::Object { kind, namespace, name } => self
                .objects
                .iter()
                .find(|o| {
                    field(o, "/kind") == *kind
                        && field(o, "/metadata/name") == *name
                        && field(o, "/metadata/namespace") == namespace.clone().unwrap_or_default()
                })
                .cloned()
                .ok_or_else(|| format!("{kind} {name} not found")),
            Need::List { kind, namespace, .. } => {
                let fits = |o: &&Value| {
                    field(o, "/kind") == *kind
                        && namespace.as_ref().is_none_or(|n| field(o, "/metadata/namespace") == *n)
                };
                let items: Vec<Value> = self
                    .objects
                    .iter()
                    .filter(fits)
                    .map(|o| {
                        // Items of a list carry no kind.
                        let mut item = o.clone();
                        item.as_object_mut().unwrap().remove("kind");
                        item
                    })
                    .collect();
                Ok(json!({"kind": format!("{kind}List"), "items": items, "complete": true}))
            }
            Need::Events { namespace } => {
                let fits = |e: &&Value| namespace.as_ref().is_none_or(|n| field(e, "/metadata/namespace") == *n);
                Ok(json!({"items": self.events.iter().filter(fits).cloned().collect::<Vec<_>>()}))
            }
            Need::Logs { pod, previous, .. } => {
                let found = self.logs.iter().find(|(p, prev, _)| p == pod && prev == previous);
                found.map(|(_, _, data)| data.clone()).ok_or_else(|| "previous terminated container not found".into())
            }
            Need::Query { promql } => {
                let found = self.metrics.iter().find(|(part, minutes, _)| promql.contains(part) && *minutes == 0);
                Ok(found.map_or(empty, |(_, _, data)| data.clone()))
            }
            Need::Range { promql, minutes } => {
                let found = self.metrics.iter().find(|(part, m, _)| promql.contains(part) && m == minutes);
                Ok(found.map_or(empty, |(_, _, data)| data.clone()))
            }
            Need::Runbook { .. } => Ok(json!({"known": [], "total": 0})),
            Need::Targets => Ok(json!({"activeTargets": self.targets})),
            Need::Alerts => Ok(json!({"alerts": self.alerts})),
            Need::Rules => {
                let rule = |(name, query): &(String, String)| json!({"type": "alerting", "name": name, "query": query});
                Ok(json!({"groups": [{"name": "all", "rules": self.rules.iter().map(rule).collect::<Vec<_>>()}]}))
            }
        }
    }

    /// Plays the rounds; everything that was seen, and how many rounds it took.
    pub(super) fn survey(&self, events: &[SreEvent], calls: u32) -> (Vec<Seen>, usize) {
        let mut seen: Vec<Seen> = Vec::new();
        let mut rounds = 0;
        loop {
            let case = case(events, &seen, calls - seen.len() as u32);
            let needs = plan(&case);
            if needs.is_empty() {
                return (seen, rounds);
            }
            rounds += 1;
            assert!(rounds <= 4, "more than four rounds");
            assert!(needs.len() as u32 <= case.calls_left);
            for need in needs {
                assert!(!seen.iter().any(|s| s.need == need), "asked twice: {need}");
                let outcome = self.answer(&need);
                seen.push(Seen { id: format!("E{}", seen.len() + 1), need, at: start(), outcome });
            }
        }
    }

    pub(super) fn investigate(&self, events: &[SreEvent]) -> Analysis {
        let (seen, _) = self.survey(events, 64);
        conclude(&case(events, &seen, 0))
    }
}

pub(super) fn case<'a>(events: &'a [SreEvent], seen: &'a [Seen], calls_left: u32) -> Case<'a> {
    Case { events, now: start(), seen, calls_left, kubernetes: true, prometheus: true, runbook: None, closer: &[] }
}

/// The codes of all findings, sorted.
pub(super) fn codes(analysis: &Analysis) -> Vec<String> {
    let mut codes: Vec<String> = analysis.findings.iter().map(|f| f.cause_code.clone()).collect();
    codes.sort();
    codes.dedup();
    codes
}

pub(super) fn pod_alert() -> Vec<SreEvent> {
    vec![alert("KubePodCrashLooping", &[("namespace", "shop"), ("pod", "api-1-x"), ("container", "app")])]
}

pub(super) fn api() -> Value {
    pod("shop", "api-1-x", Some("api"))
}

pub(super) fn around(pod: Value) -> World {
    World::of([
        pod,
        workload("Deployment", "shop", "api", 1, 0),
        replica_set("shop", "api", 1, "registry.example/api:1.4.2", -90_000, 0),
        node("node-a"),
        node("node-b"),
    ])
}

pub(super) fn pod_event(reason: &str, message: &str) -> Value {
    event("Pod", "shop", "api-1-x", reason, message, -30, -1)
}

#[track_caller]
pub(super) fn expect(world: World, events: &[SreEvent], root: Option<&str>) -> Analysis {
    let analysis = world.investigate(events);
    let top = analysis.hypotheses.iter().find(|h| !h.finding.symptom).map(|h| h.finding.cause_code.as_str());
    assert_eq!(top, root, "{:#?}", analysis.findings);
    analysis
}
