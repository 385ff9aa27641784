//! How each relation is told. Pure.

use super::super::columns;
use super::super::object::{items, meta};
use crate::tools::render::clip;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Most rules of a route that are told.
const RULES: usize = 4;

/// A row about `object`.
pub(super) fn of(relation: &str, object: &Value, state: impl Into<String>, problem: bool) -> Value {
    json!({"relation": relation, "kind": object["kind"], "name": meta(object, "name"),
           "namespace": object["metadata"]["namespace"], "state": state.into(), "problem": problem})
}

/// `1/2 ready`, and whatever else a list shows of its kind.
pub(super) fn standing(object: &Value, now: Timestamp) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    match kind {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => {
            let (ready, wanted) = columns::replicas(kind, object);
            format!("{ready}/{wanted} ready")
        }
        _ => {
            let cells = columns::heads(kind).iter().zip(columns::cells(kind, object, now));
            let told: Vec<String> = cells
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(head, cell)| format!("{} {cell}", head.to_lowercase()))
                .collect();
            told.join(", ")
        }
    }
}

/// An owner as it is, or as it is referred to.
pub(super) fn owner(owner: &Value, now: Timestamp) -> Value {
    match owner["metadata"].is_object() {
        true => {
            let (ready, wanted) = columns::replicas(owner["kind"].as_str().unwrap_or_default(), owner);
            let short =
                matches!(owner["kind"].as_str(), Some("Deployment" | "StatefulSet" | "DaemonSet")) && ready < wanted;
            of("owner", owner, standing(owner, now), short)
        }
        false => json!({"relation": "owner", "kind": owner["kind"], "name": owner["name"],
                        "state": "not read here: kubernetes_get shows it"}),
    }
}

/// A Service with its endpoints; `slices` when they could be read, `pod` when one pod is meant.
pub(super) fn service(relation: &str, service: &Value, slices: Option<&[Value]>, pod: Option<&str>) -> Value {
    let spec = &service["spec"];
    let ports: Vec<String> = items(&spec["ports"])
        .take(4)
        .map(|p| {
            let target = match &p["targetPort"] {
                Value::String(name) => name.clone(),
                Value::Null => p["port"].to_string(),
                other => other.to_string(),
            };
            format!("{}->{target}", p["port"])
        })
        .collect();
    let ports = if ports.is_empty() { String::new() } else { format!("; port {}", ports.join(" ")) };
    if spec["type"] == "ExternalName" {
        return of(
            relation,
            service,
            format!("leads out to {}", spec["externalName"].as_str().unwrap_or_default()),
            false,
        );
    }
    let Some(slices) = slices else {
        return of(relation, service, format!("its endpoints could not be read{ports}"), false);
    };
    let (mut ready, mut not_ready, mut own) = (0, 0, None);
    let of_it = |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == meta(service, "name");
    for endpoint in slices.iter().filter(of_it).flat_map(|slice| items(&slice["endpoints"])) {
        // Unknown counts as ready.
        let is_ready = endpoint["conditions"]["ready"] != false;
        let count = if is_ready { &mut ready } else { &mut not_ready };
        *count += 1;
        if pod.is_some_and(|pod| endpoint["targetRef"]["name"] == pod) {
            own = Some(is_ready);
        }
    }
    let own = match (pod, own) {
        (None, _) => "",
        (Some(_), Some(true)) => ", this pod ready",
        (Some(_), Some(false)) => ", this pod not ready",
        (Some(_), None) => ", this pod not among them",
    };
    let state = match (ready, not_ready) {
        (0, 0) => format!("no endpoints{ports}"),
        (ready, 0) => format!("{ready} ready{own}{ports}"),
        (ready, not) => format!("{ready} ready, {not} not ready{own}{ports}"),
    };
    of(relation, service, state, ready == 0)
}

/// Where a route leads: `shop.example/cart` and `cart:80` for each rule.
pub(super) fn backends(route: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &route["spec"];
    let mut found = Vec::new();
    if route["kind"] == "Ingress" {
        let to = |backend: &Value| {
            let service = &backend["service"];
            let port =
                service["port"]["name"].as_str().map_or_else(|| service["port"]["number"].to_string(), str::to_owned);
            service["name"].as_str().map(|name| format!("{name}:{port}"))
        };
        found.extend(to(&spec["defaultBackend"]).map(|to| ("*".to_owned(), to)));
        for rule in items(&spec["rules"]) {
            let host = match text(&rule["host"]) {
                host if host.is_empty() => "*".to_owned(),
                host => host,
            };
            let paths = items(&rule["http"]["paths"]);
            found.extend(paths.filter_map(|p| Some((format!("{host}{}", text(&p["path"])), to(&p["backend"])?))));
        }
        return found;
    }
    let hosts: Vec<&str> = items(&spec["hostnames"]).filter_map(Value::as_str).collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") };
    for rule in items(&spec["rules"]) {
        let path = items(&rule["matches"]).find_map(|m| m["path"]["value"].as_str()).unwrap_or_default();
        // A backend of another kind or namespace is none of this namespace's Services.
        let here = |b: &&Value| {
            b["kind"].as_str().is_none_or(|kind| kind == "Service")
                && b["namespace"].as_str().is_none_or(|namespace| namespace == meta(route, "namespace"))
        };
        for backend in items(&rule["backendRefs"]).filter(here) {
            found.push((format!("{hosts}{path}"), format!("{}:{}", text(&backend["name"]), backend["port"])));
        }
    }
    found
}

/// An Ingress or HTTPRoute and where it leads.
pub(super) fn route(route: &Value, backends: &[(String, String)]) -> Value {
    let mut told: Vec<String> = backends.iter().take(RULES).map(|(from, to)| format!("{from} -> {to}")).collect();
    if backends.len() > RULES {
        told.push(format!("{} more", backends.len() - RULES));
    }
    of("route", route, told.join(", "), false)
}

/// `3 of 2..5 replicas, ScalingLimited (TooManyReplicas)`.
pub(super) fn autoscaler(hpa: &Value) -> Value {
    let (spec, status) = (&hpa["spec"], &hpa["status"]);
    let least = spec["minReplicas"].as_u64().unwrap_or(1);
    let most = spec["maxReplicas"].as_u64();
    let current = status["currentReplicas"].as_u64().unwrap_or(0);
    let mut state = format!("{current} of {least}..{} replicas", most.map_or("?".to_owned(), |m| m.to_string()));
    let mut problem = false;
    for condition in items(&status["conditions"]) {
        let (kind, is) =
            (condition["type"].as_str().unwrap_or_default(), condition["status"].as_str().unwrap_or_default());
        let told = match (kind, is) {
            ("ScalingLimited", "True") => "ScalingLimited",
            ("AbleToScale", "False") => "not AbleToScale",
            ("ScalingActive", "False") => "not ScalingActive",
            _ => continue,
        };
        problem |= kind != "ScalingLimited" || most == Some(current);
        state.push_str(&format!(", {told} ({})", condition["reason"].as_str().unwrap_or_default()));
    }
    of("autoscaler", hpa, state, problem)
}

/// How many more pods may be taken away.
pub(super) fn budget(budget: &Value) -> Value {
    let status = &budget["status"];
    let count = |key: &str| status[key].as_u64();
    let Some(allowed) = count("disruptionsAllowed") else {
        return of("disruption budget", budget, "no status yet", false);
    };
    let healthy = match (count("currentHealthy"), count("desiredHealthy")) {
        (Some(current), Some(desired)) => format!(", {current} healthy, {desired} wanted"),
        _ => String::new(),
    };
    of("disruption budget", budget, format!("{allowed} disruptions allowed{healthy}"), allowed == 0)
}

/// Which directions a policy restricts, and whether it lets anything through.
pub(super) fn policy(policy: &Value) -> Value {
    let spec = &policy["spec"];
    let types: Vec<&str> = items(&spec["policyTypes"]).filter_map(Value::as_str).collect();
    // Without types a policy is about what comes in, and about what goes out if it has rules for that.
    let types = match types.is_empty() {
        true if spec["egress"].is_array() => vec!["Ingress", "Egress"],
        true => vec!["Ingress"],
        false => types,
    };
    let told: Vec<String> = types
        .iter()
        .map(|direction| {
            let rules: Vec<&Value> = items(&spec[direction.to_lowercase()]).collect();
            let open = rules.iter().any(|rule| rule.as_object().is_some_and(serde_json::Map::is_empty));
            let how = match (rules.len(), open) {
                (0, _) => "nothing allowed".to_owned(),
                (_, true) => "everything allowed".to_owned(),
                (1, _) => format!("1 rule {}", clip(&peers(rules[0], direction), 80)),
                (count, _) => format!("{count} rules"),
            };
            format!("{}: {how}", direction.to_lowercase())
        })
        .collect();
    of("network policy", policy, told.join("; "), false)
}

/// `port 53/UDP`: what one rule lets through, as far as it fits a line.
fn peers(rule: &Value, direction: &str) -> String {
    let ports: Vec<String> = items(&rule["ports"])
        .map(|p| {
            let port = p["port"].as_str().map_or_else(|| p["port"].to_string(), str::to_owned);
            format!("{port}/{}", p["protocol"].as_str().unwrap_or("TCP"))
        })
        .collect();
    let ports = if ports.is_empty() { "every port".to_owned() } else { format!("port {}", ports.join(" ")) };
    let side = if direction == "Egress" { "to" } else { "from" };
    match items(&rule[side]).count() {
        0 => format!("({ports}, {side} anybody)"),
        1 => format!("({ports}, {side} 1 peer)"),
        peers => format!("({ports}, {side} {peers} peers)"),
    }
}
