//! How a workload fares, by what its controller says.

use super::super::figures::Figures;
use super::super::object::items;
use crate::tools::act::Observed;
use serde_json::Value;

/// How far the rollout of a Deployment, StatefulSet or DaemonSet is.
pub(super) fn of(workload: &Value) -> Observed {
    let status = &workload["status"];
    let generation = workload["metadata"]["generation"].as_u64().unwrap_or(0);
    if status["observedGeneration"].as_u64().unwrap_or(0) < generation {
        return Observed::Moving("its controller has not noticed the change yet".to_owned());
    }
    let kind = workload["kind"].as_str().unwrap_or_default();
    match kind {
        "Deployment" => {
            let progressing = items(&status["conditions"]).find(|condition| condition["type"] == "Progressing");
            if progressing.is_some_and(|condition| condition["reason"] == "ProgressDeadlineExceeded") {
                return Observed::Broken("the deadline of its rollout has passed".to_owned());
            }
            if workload["spec"]["paused"] == true {
                return Observed::Nothing("its rollout is paused".to_owned());
            }
        }
        "StatefulSet" | "DaemonSet" => {}
        _ => return Observed::Nothing("nothing tells how it fares".to_owned()),
    }
    let Figures { wanted, renewed, updated, available, there, .. } = Figures::of(kind, workload);
    match () {
        () if updated < renewed => Observed::Moving(format!("{updated} of {renewed} Pods are new")),
        () if there > wanted => Observed::Moving(format!("{} old Pods are still there", there - wanted)),
        () => ready_of(available, wanted),
    }
}

/// How many Pods of a StatefulSet, Deployment or DaemonSet a new template renews.
pub(super) fn renewed(workload: &Value) -> u64 {
    Figures::of(workload["kind"].as_str().unwrap_or_default(), workload).renewed
}

/// How many of an owner's Pods are ready, where it counts them.
pub(super) fn readiness(owner: &Value) -> Observed {
    match owner["kind"].as_str() {
        Some(kind @ ("ReplicaSet" | "StatefulSet" | "ReplicationController" | "DaemonSet")) => {
            let Figures { wanted, ready, .. } = Figures::of(kind, owner);
            ready_of(ready, wanted)
        }
        _ => Observed::Nothing("its owner does not count its Pods".to_owned()),
    }
}

fn ready_of(ready: u64, wanted: u64) -> Observed {
    let told = format!("{ready} of {wanted} Pods are ready");
    if ready < wanted { Observed::Moving(told) } else { Observed::Settled(told) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn word(seen: Observed) -> String {
        match seen {
            Observed::Settled(text) => format!("settled {text}"),
            Observed::Moving(text) => format!("moving {text}"),
            Observed::Waits(text) => format!("waits {text}"),
            Observed::Broken(text) => format!("broken {text}"),
            Observed::Nothing(text) => format!("nothing {text}"),
        }
    }

    #[test]
    fn a_rollout_is_over_when_the_new_pods_are_ready_and_the_old_ones_gone() {
        let deployment = |status: Value| json!({"kind": "Deployment", "metadata": {"generation": 4}, "spec": {"replicas": 3}, "status": status});
        let of_set = |status: Value| json!({"kind": "StatefulSet", "metadata": {"generation": 4}, "spec": {"replicas": 3}, "status": status});
        let daemon = |status: Value| json!({"kind": "DaemonSet", "metadata": {"generation": 4}, "status": status});
        let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        for (workload, expected) in [
            (
                deployment(
                    json!({"observedGeneration": 3, "updatedReplicas": 3, "availableReplicas": 3, "replicas": 3}),
                ),
                "moving its controller has not noticed the change yet",
            ),
            (
                deployment(
                    json!({"observedGeneration": 4, "updatedReplicas": 1, "availableReplicas": 3, "replicas": 4}),
                ),
                "moving 1 of 3 Pods are new",
            ),
            (
                deployment(
                    json!({"observedGeneration": 4, "updatedReplicas": 3, "availableReplicas": 3, "replicas": 4}),
                ),
                "moving 1 old Pods are still there",
            ),
            (
                deployment(
                    json!({"observedGeneration": 4, "updatedReplicas": 3, "availableReplicas": 2, "replicas": 3}),
                ),
                "moving 2 of 3 Pods are ready",
            ),
            (
                deployment(
                    json!({"observedGeneration": 4, "updatedReplicas": 3, "availableReplicas": 3, "replicas": 3}),
                ),
                "settled 3 of 3 Pods are ready",
            ),
            (
                deployment(json!({"observedGeneration": 4, "updatedReplicas": 1, "replicas": 4, "conditions": late})),
                "broken the deadline of its rollout has passed",
            ),
            (
                of_set(
                    json!({"observedGeneration": 4, "updateRevision": "b", "currentRevision": "a", "updatedReplicas": 1, "readyReplicas": 3, "replicas": 3}),
                ),
                "moving 1 of 3 Pods are new",
            ),
            (
                of_set(
                    json!({"observedGeneration": 4, "updateRevision": "b", "currentRevision": "b", "readyReplicas": 3, "replicas": 3}),
                ),
                "settled 3 of 3 Pods are ready",
            ),
            (
                daemon(
                    json!({"observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}),
                ),
                "moving 1 of 2 Pods are ready",
            ),
            (
                daemon(
                    json!({"observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}),
                ),
                "settled 2 of 2 Pods are ready",
            ),
            (json!({"kind": "CronJob"}), "nothing nothing tells how it fares"),
        ] {
            assert_eq!(word(of(&workload)), expected, "{workload}");
        }
    }

    #[test]
    fn a_partition_holds_pods_back_and_is_no_rollout_that_never_ends() {
        let set = |partition: Value, start: u64, updated: u64| {
            json!({"kind": "StatefulSet", "metadata": {"generation": 4},
                   "spec": {"replicas": 3, "ordinals": {"start": start}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}},
                   "status": {"observedGeneration": 4, "updateRevision": "b", "currentRevision": "a", "updatedReplicas": updated, "readyReplicas": 3, "replicas": 3}})
        };
        for (partition, start, updated, renews, expected) in [
            (json!(null), 0, 2, 3, "moving 2 of 3 Pods are new"),
            (json!(0), 0, 3, 3, "settled 3 of 3 Pods are ready"),
            (json!(2), 0, 0, 1, "moving 0 of 1 Pods are new"),
            (json!(2), 0, 1, 1, "settled 3 of 3 Pods are ready"),
            (json!(3), 0, 0, 0, "settled 3 of 3 Pods are ready"),
            (json!(9), 0, 0, 0, "settled 3 of 3 Pods are ready"),
            (json!(2), 5, 2, 3, "moving 2 of 3 Pods are new"),
            (json!(7), 5, 1, 1, "settled 3 of 3 Pods are ready"),
        ] {
            let set = set(partition.clone(), start, updated);
            assert_eq!((renewed(&set), word(of(&set)).as_str()), (renews, expected), "{partition} {start}");
        }
    }

    #[test]
    fn an_owner_has_recovered_when_all_its_pods_are_ready() {
        for (owner, expected) in [
            (
                json!({"kind": "ReplicaSet", "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}),
                "moving 1 of 2 Pods are ready",
            ),
            (
                json!({"kind": "ReplicaSet", "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}),
                "settled 2 of 2 Pods are ready",
            ),
            (
                json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 2, "numberReady": 2}}),
                "settled 2 of 2 Pods are ready",
            ),
            (json!({"kind": "Job"}), "nothing its owner does not count its Pods"),
        ] {
            assert_eq!(word(readiness(&owner)), expected, "{owner}");
        }
    }
}
