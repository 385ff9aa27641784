//! Inputs with every key filled: loading evaluates each rule against them once, and they say which
//! `input.` paths exist.

use super::contract::{ActionInput, Background, CallFacts, InvestigationFacts, RiskInput};
use crate::domain::{AlertStatus, BlobRef, Effect, EventId, Resource, ResourceType, Risk, Severity, SreEvent};
use jiff::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// An ordinary warning about a Pod.
pub(crate) fn event() -> SreEvent {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>();
    SreEvent {
        id: EventId::new(Uuid::nil()),
        source: "alertmanager".into(),
        fingerprint: "9f0c".into(),
        group_key: Some("{}:{alertname=\"KubePodCrashLooping\"}".into()),
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        name: "KubePodCrashLooping".into(),
        subject: "api".into(),
        resource: Resource {
            kind: ResourceType::K8sPod,
            id: "api-7d9f".into(),
            namespace: Some("payments".into()),
            cluster: None,
        },
        title: "KubePodCrashLooping".into(),
        description: "[payments] Pod payments/api-7d9f is crash looping".into(),
        labels: map(&[("alertname", "KubePodCrashLooping"), ("namespace", "payments"), ("pod", "api-7d9f")]),
        annotations: map(&[("summary", "Pod payments/api-7d9f is crash looping")]),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        received_at: Timestamp::UNIX_EPOCH,
        links: Vec::new(),
        raw: BlobRef::commit(&[0; 16], b"{}"),
        raw_hmac: String::new(),
        via: None,
        ended_by: None,
    }
}

pub(super) fn risk_input() -> RiskInput {
    RiskInput::of(&event(), Timestamp::UNIX_EPOCH, 1)
}

/// A read of a Pod, at MEDIUM.
pub(super) fn action_input() -> ActionInput {
    let args = [("namespace", "payments"), ("kind", "Pod"), ("name", "api-7d9f")];
    let args = args.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
    let mut call = CallFacts::new("call_1", "kubernetes_get", Effect::Read, args);
    call.targets = vec![serde_json::json!({
        "cluster": "", "namespace": "payments", "api_version": "v1", "kind": "Pod", "name": "api-7d9f", "verb": "get"
    })];
    let rules = ["risk/base/severity".to_owned()];
    let (background, facts) = (Background::of(&event()), InvestigationFacts::default());
    ActionInput::for_call(&background, &Risk::Medium, &rules, facts, call, Timestamp::UNIX_EPOCH)
}
