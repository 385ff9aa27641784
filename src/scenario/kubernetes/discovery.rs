//! What the server offers: one document per group, or all of it at once (`apidiscovery.k8s.io/v2`).

use super::{Asked, Kind, Refused, json_answer};
use crate::scenario::World;
use axum::{http::header, response::Response};
use serde_json::{Value, json};

/// Verbs of every kind: what the kind offers, not what this server lets anyone do.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(super) fn version(world: &World) -> Value {
    let version = world.about.kubernetes.as_str();
    let mut numbers = version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or("1"),
        "minor": numbers.next().unwrap_or("36"),
        "gitVersion": version,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

/// `/api`
pub(super) fn core(world: &World, asked: &Asked<'_>) -> Response {
    if aggregated(asked) {
        return aggregate(world, [("", vec!["v1"])]);
    }
    json_answer(&json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    }))
}

/// `/apis`
pub(super) fn groups(world: &World, asked: &Asked<'_>) -> Response {
    let groups = world.catalogue.groups();
    if aggregated(asked) {
        return aggregate(world, groups);
    }
    let groups: Vec<Value> = groups.into_iter().map(|(name, versions)| api_group(name, &versions)).collect();
    json_answer(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// `/apis/<group>`
pub(super) fn group(world: &World, name: &str) -> Result<Response, Refused> {
    let groups = world.catalogue.groups();
    let versions = groups.get(name).ok_or(Refused::UnknownPath)?;
    let mut body = api_group(name, versions);
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    Ok(json_answer(&body))
}

fn api_group(name: &str, versions: &[&str]) -> Value {
    let named: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v})).collect();
    json!({"name": name, "preferredVersion": named.first(), "versions": named})
}

/// `/api/v1`, `/apis/<group>/<version>`
pub(super) fn resources(world: &World, group: &str, version: &str) -> Result<Response, Refused> {
    let mut resources = Vec::new();
    for kind in world.catalogue.in_version(group, version) {
        let mut one = json!({
            "name": kind.plural, "singularName": kind.singular(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": VERBS,
        });
        if !kind.short.is_empty() {
            one["shortNames"] = json!(kind.short);
        }
        resources.push(one);
        for (subresource, answers) in subresources(kind) {
            resources.push(json!({
                "name": format!("{}/{subresource}", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "kind": answers, "verbs": ["get"],
            }));
        }
    }
    if resources.is_empty() {
        return Err(Refused::UnknownPath);
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json_answer(&json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    })))
}

fn subresources(kind: &Kind) -> Vec<(&'static str, String)> {
    let own = || kind.kind.to_string();
    match kind.plural.as_ref() {
        "pods" => vec![("log", own()), ("status", own())],
        "deployments" | "replicasets" | "statefulsets" => vec![("scale", "Scale".to_owned()), ("status", own())],
        "daemonsets" | "nodes" | "persistentvolumeclaims" | "jobs" => vec![("status", own())],
        _ => Vec::new(),
    }
}

fn aggregated(asked: &Asked<'_>) -> bool {
    asked.accept.split(',').any(|media| media.trim() == AGGREGATED)
}

fn aggregate<'w>(world: &World, groups: impl IntoIterator<Item = (&'w str, Vec<&'w str>)>) -> Response {
    let items: Vec<Value> = groups
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        world.catalogue.in_version(group, version).map(aggregated_resource).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut response = json_answer(&body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_resource(kind: &Kind) -> Value {
    let response_kind = |of: &str| json!({"group": "", "version": "", "kind": of});
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, answers)| json!({"subresource": name, "responseKind": response_kind(&answers), "verbs": ["get"]}))
        .collect();
    let mut resource = json!({
        "resource": kind.plural, "responseKind": response_kind(&kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular(), "verbs": VERBS,
    });
    if !kind.short.is_empty() {
        resource["shortNames"] = json!(kind.short);
    }
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}
