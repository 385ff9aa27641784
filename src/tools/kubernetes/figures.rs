//! How many Pods a workload wants and has, by what its controller says.

use serde_json::Value;

/// The figures of one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    /// Pods that it wants.
    pub(super) wanted: u64,
    /// Pods that a new template renews.
    pub(super) renewed: u64,
    /// Pods of the present template.
    pub(super) updated: u64,
    /// Pods that are ready.
    pub(super) ready: u64,
    /// Pods that count as available, where the kind tells them from the ready ones.
    pub(super) available: u64,
    /// Pods that are there, old ones among them.
    pub(super) there: u64,
}

impl Figures {
    /// Those of `object`, of the kind `kind`; what is not said counts as none.
    pub(super) fn of(kind: &str, object: &Value) -> Self {
        let (spec, status) = (&object["spec"], &object["status"]);
        let said = |key: &str| status[key].as_u64().unwrap_or(0);
        if kind == "DaemonSet" {
            let wanted = said("desiredNumberScheduled");
            return Self {
                wanted,
                renewed: wanted,
                updated: said("updatedNumberScheduled"),
                ready: said("numberReady"),
                available: said("numberAvailable"),
                there: wanted,
            };
        }
        let wanted = spec["replicas"].as_u64().unwrap_or(1);
        let (ready, there) = (said("readyReplicas"), said("replicas"));
        if kind == "StatefulSet" {
            let renewed = renewed(spec, wanted);
            let is_rolling = status["updateRevision"] != status["currentRevision"];
            let updated = if is_rolling { said("updatedReplicas") } else { renewed };
            return Self { wanted, renewed, updated, ready, available: ready, there };
        }
        let (updated, available) = (said("updatedReplicas"), said("availableReplicas"));
        Self { wanted, renewed: wanted, updated, ready, available, there }
    }
}

/// How many Pods of a StatefulSet a new template renews: those from the ordinal of its partition on.
fn renewed(spec: &Value, wanted: u64) -> u64 {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let first = number(&spec["ordinals"]["start"]);
    let from = first.max(number(&spec["updateStrategy"]["rollingUpdate"]["partition"]));
    first.saturating_add(wanted).saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_partition_holds_the_lower_ordinals_back() {
        for (partition, start, expected) in [
            (json!(null), 0, 3),
            (json!(0), 0, 3),
            (json!(2), 0, 1),
            (json!(3), 0, 0),
            (json!(9), 0, 0),
            (json!(2), 5, 3),
            (json!(7), 5, 1),
        ] {
            let set = json!({"spec": {"replicas": 3, "ordinals": {"start": start}, "updateStrategy": {"rollingUpdate": {"partition": partition}}}});
            assert_eq!(Figures::of("StatefulSet", &set).renewed, expected, "{partition} {start}");
        }
    }

    #[test]
    fn each_kind_has_words_of_its_own() {
        let status = json!({"replicas": 4, "readyReplicas": 3, "availableReplicas": 2, "updatedReplicas": 1,
            "desiredNumberScheduled": 9, "numberReady": 8, "numberAvailable": 7, "updatedNumberScheduled": 6,
            "updateRevision": "b", "currentRevision": "a"});
        let object = json!({"spec": {"replicas": 5}, "status": status});
        let told = |kind: &str| {
            let Figures { wanted, renewed, updated, ready, available, there } = Figures::of(kind, &object);
            [wanted, renewed, updated, ready, available, there]
        };
        assert_eq!(told("Deployment"), [5, 5, 1, 3, 2, 4]);
        assert_eq!(told("StatefulSet"), [5, 5, 1, 3, 3, 4]);
        assert_eq!(told("DaemonSet"), [9, 9, 6, 8, 7, 9]);
        assert_eq!(Figures::of("Deployment", &json!({})).wanted, 1);
    }
}
