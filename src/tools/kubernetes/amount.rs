//! Amounts of resources: what pods ask for, and how amounts are shown.

use super::object::items;
use crate::domain::quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource, in base units: cores, bytes, pieces.
pub(super) type Amounts = BTreeMap<String, f64>;

/// What one written quantity amounts to.
pub(super) fn of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => quantity(text),
        _ => None,
    }
}

/// All quantities of an object such as `{cpu: 100m, memory: 1Gi}`.
pub(super) fn all(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(resource, value)| Some((resource.clone(), of(value)?))).collect()
}

/// An amount as people write it: `250m`, `1.5Gi`, `37`.
pub(super) fn shown(resource: &str, amount: f64) -> String {
    const BINARY: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    if resource == "cpu" {
        return match amount {
            a if a <= 0.0 => "0".to_owned(),
            a if a < 0.0005 => "<1m".to_owned(),
            a if a < 0.9995 => format!("{:.0}m", a * 1000.0),
            a => trimmed(format!("{a:.2}")),
        };
    }
    let bytes = ["memory", "ephemeral-storage", "storage"].contains(&resource) || resource.starts_with("hugepages-");
    if !bytes {
        return trimmed(format!("{amount:.2}"));
    }
    let (mut value, mut unit) = (amount, 0);
    // What would round to 1024 of a unit is one of the next.
    while value >= 1023.95 && unit + 1 < BINARY.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{}{}", trimmed(format!("{value:.1}")), BINARY[unit])
}

/// `1.50` as `1.5`, `2.00` as `2`.
fn trimmed(number: String) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number,
    }
}

/// `part` of `whole`, when there is a whole.
pub(super) fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let (part, whole) = (part?, whole?);
    (whole > 0.0).then(|| part / whole)
}

/// `98%`, rounded down so that `100%` means full.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", (share * 100.0 + 1e-6).floor())
}

/// What a pod asks for and may use, counted as the scheduler counts it.
pub(super) fn of_pod(pod: &Value, part: &str) -> Amounts {
    let spec = &pod["spec"];
    let mut running = Amounts::new();
    for container in items(&spec["containers"]) {
        add(&mut running, &all(&container["resources"][part]));
    }
    // Init containers run one after the other; those that always restart stay beside all that follows.
    let (mut beside, mut peak) = (Amounts::new(), Amounts::new());
    for container in items(&spec["initContainers"]) {
        let own = all(&container["resources"][part]);
        let mut now = beside.clone();
        add(&mut now, &own);
        if container["restartPolicy"] == "Always" {
            beside.clone_from(&now);
        }
        for (resource, amount) in now {
            let most = peak.entry(resource).or_default();
            *most = most.max(amount);
        }
    }
    add(&mut running, &beside);
    for (resource, amount) in peak {
        let most = running.entry(resource).or_default();
        *most = most.max(amount);
    }
    // What is written for the pod as a whole stands above its containers.
    running.extend(all(&spec["resources"][part]));
    for (resource, amount) in all(&spec["overhead"]) {
        match running.get_mut(&resource) {
            Some(sum) => *sum += amount,
            // A pod without a limit has none because of its overhead.
            None if part == "requests" => drop(running.insert(resource, amount)),
            None => {}
        }
    }
    running
}

/// Adds each of `more` to `sum`.
pub(super) fn add(sum: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        *sum.entry(resource.clone()).or_default() += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        for (resource, amount, text) in [
            ("cpu", 0.0, "0"),
            ("cpu", 0.0002, "<1m"),
            ("cpu", 0.25, "250m"),
            ("cpu", 0.9999, "1"),
            ("cpu", 12.5, "12.5"),
            ("memory", 512.0 * 1048576.0, "512Mi"),
            ("memory", 1.5 * 1073741824.0, "1.5Gi"),
            ("memory", 1048575.0, "1Mi"),
            ("storage", 0.0, "0"),
            ("hugepages-2Mi", 4194304.0, "4Mi"),
            ("pods", 110.0, "110"),
            ("nvidia.com/gpu", 2.0, "2"),
        ] {
            assert_eq!(shown(resource, amount), text, "{resource} {amount}");
        }
        assert_eq!((percent(0.9999), percent(1.0), percent(0.29)), ("99%".into(), "100%".into(), "29%".into()));
        assert_eq!((share(Some(1.0), Some(0.0)), share(Some(1.0), None)), (None, None));
    }

    #[test]
    fn a_pod_asks_for_what_the_scheduler_counts() {
        let container = |memory: &str| json!({"resources": {"requests": {"memory": memory, "cpu": "100m"}}});
        let mut sidecar = container("10M");
        sidecar["restartPolicy"] = "Always".into();
        let pod = |init: Value, more: Value| {
            let mut pod =
                json!({"spec": {"containers": [container("100M"), container("50M")], "initContainers": init}});
            pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            of_pod(&pod, "requests")
        };
        for (init, more, memory, cpu) in [
            (json!([]), json!({}), 150e6, 0.2),
            (json!([container("400M")]), json!({}), 400e6, 0.2),
            (json!([sidecar, container("30M")]), json!({}), 160e6, 0.3),
            // The one that follows a sidecar runs beside it, the one before it does not.
            (json!([sidecar, container("400M")]), json!({}), 410e6, 0.3),
            (json!([container("400M"), sidecar]), json!({}), 400e6, 0.3),
            (json!([]), json!({"overhead": {"memory": "7M"}}), 157e6, 0.2),
            (json!([]), json!({"resources": {"requests": {"memory": "900M"}}}), 900e6, 0.2),
        ] {
            let sums = pod(init.clone(), more.clone());
            assert!(
                (sums["memory"] - memory).abs() < 1.0 && (sums["cpu"] - cpu).abs() < 1e-9,
                "{init} {more}: {sums:?}"
            );
        }
        let limits = of_pod(&json!({"spec": {"containers": [{}], "overhead": {"memory": "7M"}}}), "limits");
        assert!(limits.is_empty(), "{limits:?}");
    }
}
