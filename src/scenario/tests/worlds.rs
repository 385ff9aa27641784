//! Folders: what loads, what does not, and whether the built-in worlds are consistent in themselves.

use crate::scenario::{
    ScenarioError, World,
    prometheus::rules,
    promql::{Query, Value as Worth},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, core::v1 as core, discovery::v1 as discovery,
    networking::v1 as networking, policy::v1 as policy, storage::v1 as storage,
};
use serde_json::Value;
use std::{fs, path::Path};

fn worlds() -> Vec<World> {
    World::list().unwrap().into_iter().map(|(id, _)| World::embedded(&id, None).unwrap()).collect()
}

fn number(world: &World, query: &str) -> f64 {
    match Query::parse(query).unwrap().instant(&world.series, world.now().as_millisecond()).unwrap() {
        Worth::Vector(points) => match points.as_slice() {
            [only] => only.value,
            other => panic!("{query}: {} elements", other.len()),
        },
        Worth::Scalar(value) => value,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn the_built_in_worlds_are_listed_and_load() {
    let ids: Vec<String> = World::list().unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["crashloop-bad-rollout", "image-pull-typo", "no-fault", "typedb-pvc-full"]);
    for world in worlds() {
        let expects_causes = !world.expected().root_causes.is_empty();
        let verdict = world.expected().verdict.to_string();
        let claims_cause = matches!(verdict.as_str(), "confirmed" | "likely" | "possible");
        assert_eq!(expects_causes, claims_cause, "{}: causes exactly when the verdict names one", world.about().id);
        let subject = &world.about().subject;
        assert!(
            world
                .objects
                .iter()
                .any(|o| o["kind"] == subject.kind.as_str() && o["metadata"]["name"] == subject.name.as_str()),
            "{}: the subject exists",
            world.about().id
        );
    }
}

/// Every object must be one that a typed client can read.
#[test]
fn every_object_is_well_formed() {
    fn read<T: serde::de::DeserializeOwned>(object: &Value) -> Result<(), String> {
        serde_json::from_value::<T>(object.clone()).map(|_| ()).map_err(|e| e.to_string())
    }
    let mut seen = 0;
    for world in worlds() {
        for object in &world.objects {
            let outcome = match object["kind"].as_str().unwrap() {
                "Pod" => read::<core::Pod>(object),
                "Node" => read::<core::Node>(object),
                "Event" => read::<core::Event>(object),
                "Namespace" => read::<core::Namespace>(object),
                "Service" => read::<core::Service>(object),
                "Secret" => read::<core::Secret>(object),
                "ConfigMap" => read::<core::ConfigMap>(object),
                "PersistentVolumeClaim" => read::<core::PersistentVolumeClaim>(object),
                "PersistentVolume" => read::<core::PersistentVolume>(object),
                "Deployment" => read::<apps::Deployment>(object),
                "ReplicaSet" => read::<apps::ReplicaSet>(object),
                "StatefulSet" => read::<apps::StatefulSet>(object),
                "DaemonSet" => read::<apps::DaemonSet>(object),
                "EndpointSlice" => read::<discovery::EndpointSlice>(object),
                "HorizontalPodAutoscaler" => read::<autoscaling::HorizontalPodAutoscaler>(object),
                "PodDisruptionBudget" => read::<policy::PodDisruptionBudget>(object),
                "Ingress" => read::<networking::Ingress>(object),
                "NetworkPolicy" => read::<networking::NetworkPolicy>(object),
                "StorageClass" => read::<storage::StorageClass>(object),
                "CSIDriver" => read::<storage::CSIDriver>(object),
                "CSINode" => read::<storage::CSINode>(object),
                "VolumeAttachment" => read::<storage::VolumeAttachment>(object),
                "CephCluster" => Ok(()),
                other => Err(format!("unexpected kind {other}")),
            };
            assert_eq!(outcome, Ok(()), "{}: {} {}", world.about().id, object["kind"], object["metadata"]["name"]);
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} objects");
}

/// What points somewhere points at something that exists.
#[test]
fn owners_events_claims_and_logs_point_at_what_exists() {
    for world in worlds() {
        let id = &world.about().id;
        let exists = |kind: &str, namespace: &Value, name: &Value| {
            world.objects.iter().any(|o| {
                o["kind"] == kind && o["metadata"]["name"] == *name && o["metadata"]["namespace"] == *namespace
            })
        };
        for object in &world.objects {
            let namespace = &object["metadata"]["namespace"];
            for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
                let kind = owner["kind"].as_str().unwrap();
                // Ceph's own daemons are shown as pods only.
                if namespace != "rook-ceph" || kind != "ReplicaSet" {
                    assert!(exists(kind, namespace, &owner["name"]), "{id}: owner {owner}");
                    assert!(owner["uid"].is_string(), "{id}: {owner}");
                }
            }
            for volume in object["spec"]["volumes"].as_array().into_iter().flatten() {
                let claim = &volume["persistentVolumeClaim"]["claimName"];
                if claim.is_string() {
                    assert!(exists("PersistentVolumeClaim", namespace, claim), "{id}: claim {claim}");
                }
            }
            if object["kind"] == "PersistentVolumeClaim" {
                assert!(exists("PersistentVolume", &Value::Null, &object["spec"]["volumeName"]), "{id}: {object}");
            }
            let node = &object["spec"]["nodeName"];
            if node.is_string() {
                assert!(exists("Node", &Value::Null, node), "{id}: node {node}");
            }
            if object["kind"] == "Event" {
                let about = &object["involvedObject"];
                let gone = object["reason"] == "Killing";
                let kind = about["kind"].as_str().unwrap();
                assert!(gone || exists(kind, &about["namespace"], &about["name"]), "{id}: event about {about}");
            }
        }
        for key in world.logs.keys() {
            let parts: Vec<&str> = key.split('/').collect();
            assert!(exists("Pod", &parts[0].into(), &parts[1].into()), "{id}: log of {key}");
        }
    }
}

/// Nothing in a recording happens after its `now`.
#[test]
fn nothing_happens_in_the_future() {
    fn latest(value: &Value, into: &mut Vec<Timestamp>) {
        match value {
            Value::String(text) => into.extend(text.parse::<Timestamp>().ok()),
            Value::Array(items) => items.iter().for_each(|item| latest(item, into)),
            Value::Object(fields) => fields.values().for_each(|field| latest(field, into)),
            _ => {}
        }
    }
    for world in worlds() {
        let mut instants = Vec::new();
        world.objects.iter().for_each(|object| latest(object, &mut instants));
        latest(world.alert(), &mut instants);
        for line in world.logs.values().flat_map(|log| log.lines()) {
            instants.extend(line.split_whitespace().next().and_then(|word| word.parse::<Timestamp>().ok()));
        }
        assert!(instants.iter().all(|at| *at <= world.now()), "{}", world.about().id);
    }
}

/// The alert in the folder is the one that the rules would fire, over the samples in the folder.
#[test]
fn alerts_follow_from_rules_and_samples() {
    for world in worlds() {
        let id = &world.about().id;
        let sent = &world.alert()["alerts"][0];
        let active = rules::all_active(&world);
        let same = active.iter().find(|a| serde_json::json!(a.labels) == sent["labels"]);
        if world.expected().verdict.to_string() == "no_fault" {
            assert!(active.is_empty(), "{id}: nothing may fire");
            continue;
        }
        let firing = same.unwrap_or_else(|| panic!("{id}: no such alert among {active:#?}"));
        let starts: Timestamp = sent["startsAt"].as_str().unwrap().parse().unwrap();
        let difference = firing.firing_since_ms.expect("fires") - starts.as_millisecond();
        assert!(difference.abs() <= 60_000, "{id}: fires {difference} ms off");
    }
}

#[test]
fn the_volume_is_what_the_story_says() {
    let world = World::embedded("typedb-pvc-full", None).unwrap();
    let typedb = "{persistentvolumeclaim=\"data-typedb-0\"}";
    let used = number(
        &world,
        &format!("kubelet_volume_stats_used_bytes{typedb} / kubelet_volume_stats_capacity_bytes{typedb} * 100"),
    );
    assert!((77.2..77.4).contains(&used), "{used}");
    let sum = number(
        &world,
        &format!(
            "kubelet_volume_stats_used_bytes{typedb} + kubelet_volume_stats_available_bytes{typedb} - kubelet_volume_stats_capacity_bytes{typedb}"
        ),
    );
    assert!(sum.abs() < 1.0, "used and available make the capacity, {sum} off");
    let hours_left = number(
        &world,
        &format!(
            "kubelet_volume_stats_available_bytes{typedb} / -deriv(kubelet_volume_stats_available_bytes{typedb}[1h]) / 3600"
        ),
    );
    assert!((3.4..3.9).contains(&hours_left), "{hours_left}");
    let pod = world.objects.iter().find(|o| o["metadata"]["name"] == "typedb-0" && o["kind"] == "Pod").unwrap();
    let restarts = number(&world, "kube_pod_container_status_restarts_total{pod=\"typedb-0\"}");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], restarts as i64);
    let critical = rules::all_active(&world).iter().filter(|a| a.labels["alertname"] == "PVCUsageCritical").count();
    assert_eq!(critical, 0);
}

#[test]
fn a_shifted_world_is_the_same_world_later() {
    let to: Timestamp = "2027-03-04T05:06:07.9Z".parse().unwrap();
    let (stood, moved) =
        (World::embedded("typedb-pvc-full", None).unwrap(), World::embedded("typedb-pvc-full", Some(to)).unwrap());
    assert_eq!(moved.about().now.to_string(), "2027-03-04T05:06:07Z");
    let query = "kubelet_volume_stats_used_bytes{persistentvolumeclaim=\"data-typedb-0\"}";
    let at = |world: &World| {
        let at_ms = world.about().now.as_millisecond();
        format!("{:?}", Query::parse(query).unwrap().instant(&world.series, at_ms).unwrap())
    };
    assert_eq!(at(&stood), at(&moved));
    let start = |world: &World| -> i64 {
        let text = world.alert()["alerts"][0]["startsAt"].as_str().unwrap();
        world.about().now.as_second() - text.parse::<Timestamp>().unwrap().as_second()
    };
    assert_eq!(start(&stood), start(&moved));
    assert_eq!(moved.alert()["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    let log = &moved.logs["f3iai/typedb-0/typedb.previous"];
    assert!(log.starts_with("2027-03-04T05:01:37.112Z") && log.contains("1775044273271069"), "{log}");
    assert!(moved.now() >= moved.about().now, "its clock runs");
    assert_eq!(stood.now(), stood.about().now, "an unshifted world stands");
}

fn broken(dir: &Path, file: &str, text: &str) -> String {
    fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
    let before = fs::read_to_string(dir.join(file)).ok();
    fs::write(dir.join(file), text).unwrap();
    let error = World::from_dir(dir, None).unwrap_err().to_string();
    match before {
        Some(before) => fs::write(dir.join(file), before).unwrap(),
        None => fs::remove_file(dir.join(file)).unwrap(),
    }
    error
}

#[test]
fn a_broken_folder_says_which_file_and_which_key() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("tiny");
    fs::create_dir_all(dir.join("cluster")).unwrap();
    let subject = "subject: {kind: Pod, namespace: n, name: p}";
    let about = format!("id: tiny\ntitle: t\nfamily: f\ndifficulty: easy\nnow: 2026-01-01T00:00:00Z\n{subject}\n");
    fs::write(dir.join("scenario.yaml"), &about).unwrap();
    fs::write(dir.join("alert.json"), r#"{"alerts":[{"labels":{}}]}"#).unwrap();
    fs::write(dir.join("expected.yaml"), "verdict: no_fault\n").unwrap();
    World::from_dir(&dir, None).unwrap();
    for (file, text, says) in [
        ("scenario.yaml", about.replace("id: tiny", "id: other"), "folder is `tiny`"),
        ("scenario.yaml", about.replace("easy", "trivial"), "`scenario.yaml`"),
        ("alert.json", "{}".into(), "`alert.json`, key `alerts`"),
        ("expected.yaml", "verdict: maybe".into(), "`expected.yaml`"),
        ("cluster/a.yaml", "kind: Pod".into(), "`cluster/a.yaml`, document 1, key `apiVersion`"),
        ("cluster/a.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: p}}".into(), "key `metadata.namespace`"),
        ("cluster/a.yaml", "{apiVersion: v1, kind: Node, metadata: {}}".into(), "key `metadata.name`"),
        (
            "cluster/a.yaml",
            "{apiVersion: v1, kind: Node, metadata: {name: node-a, creationTimestamp: soon}}".into(),
            "key `metadata.creationTimestamp`",
        ),
        (
            "cluster/a.yaml",
            "{apiVersion: v1, kind: Node, metadata: {name: node-a}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: node-a}}"
                .into(),
            "is there twice",
        ),
        ("metrics/m.yaml", "series: [{metric: m}]".into(), "`metrics/m.yaml`, series 1 (`m`)"),
        ("metrics/m.csv", "1,2".into(), "neither with .yaml nor with .om"),
        ("rules.yaml", "groups: [{name: g, rules: [{alert: a, expr: 'sum('}]}]".into(), "rule `a`, expr"),
        ("logs/x.log", "x".into(), "logs/<namespace>/<pod>/<container>"),
        ("faults.yaml", "{kubernetes: [{resouce: x}]}".into(), "`faults.yaml`"),
    ] {
        let error = broken(&dir, file, &text);
        assert!(error.contains(says), "{file}: {error}");
    }
    let missing = World::from_dir(&root.path().join("nowhere"), None).unwrap_err();
    assert!(matches!(missing, ScenarioError::Unreadable { .. }), "{missing}");
    let unknown = World::embedded("nowhere", None).unwrap_err().to_string();
    assert!(unknown.contains("typedb-pvc-full"), "{unknown}");
}
