//! One volume.

use crate::edge::kube::fake::Fake;
use crate::tools::kubernetes::tests::registry;
use serde_json::{Value, json};

const VOLUME: &str = "kubernetes_volume";

fn claim() -> Value {
    json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "data-db-0", "namespace": "shop", "finalizers": ["kubernetes.io/pvc-protection"],
            "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "40Gi"}}, "storageClassName": "rbd",
                 "volumeMode": "Filesystem", "volumeName": "pv-1"},
        "status": {"phase": "Bound", "capacity": {"storage": "20Gi"}}})
}

fn pod(name: &str, volume: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": "node-a", "containers": [{"name": "c"}], "volumes": [volume]},
           "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": true, "state": {"running": {}}}]}})
}

fn by_name(claim: &str) -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
}

/// A claim that wants to be larger, in a class that allows it, attached and mounted.
fn served(claim: &Value) -> Fake {
    let fake = Fake::new();
    fake.on("/api/v1/namespaces/shop/persistentvolumeclaims/data-db-0", 200, claim.clone());
    fake.on("/api/v1/persistentvolumes/pv-1", 200, json!({"metadata": {"name": "pv-1"}, "status": {"phase": "Bound"},
        "spec": {"capacity": {"storage": "20Gi"}, "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "shop", "name": "data-db-0"},
                 "csi": {"driver": "rbd.csi.example", "volumeHandle": "h-1"}}}));
    fake.on("/apis/storage.k8s.io/v1/storageclasses/rbd", 200,
        json!({"metadata": {"name": "rbd"}, "provisioner": "rbd.csi.example", "allowVolumeExpansion": true, "parameters": {"secret": "hunter22"}}));
    let attachment = |name: &str, volume: &str, node: &str| {
        json!({"metadata": {"name": name, "creationTimestamp": "2026-11-20T00:09:00Z"}, "status": {"attached": true},
               "spec": {"nodeName": node, "source": {"persistentVolumeName": volume}}})
    };
    fake.on(
        "/apis/storage.k8s.io/v1/volumeattachments",
        200,
        json!({"items": [attachment("a", "pv-1", "node-a"), attachment("b", "pv-2", "node-b")]}),
    );
    fake.on(
        "/api/v1/namespaces/shop/pods",
        200,
        json!({"items": [pod("db-0", by_name("data-db-0")), pod("web-0", by_name("other"))]}),
    );
    fake.on("/apis/apps/v1/namespaces/shop/statefulsets", 200,
        json!({"items": [{"metadata": {"name": "db"}, "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}]}));
    fake.on(
        "/apis/storage.k8s.io/v1/csinodes/node-a",
        200,
        json!({"metadata": {"name": "node-a"}, "spec": {"drivers": [{"name": "rbd.csi.example"}]}}),
    );
    fake.on("/api/v1/namespaces/shop/events", 200, json!({"items": [
        {"metadata": {"name": "e", "namespace": "shop"}, "type": "Warning", "reason": "VolumeResizeFailed", "count": 7,
         "lastTimestamp": "2026-11-21T00:08:00Z", "message": "resize failed", "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data-db-0"}}]}));
    fake.on("/api/v1/namespaces/shop", 200, json!({}));
    fake
}

fn asked() -> Value {
    json!({"namespace": "shop", "name": "data-db-0"})
}

#[tokio::test]
async fn a_claim_is_told_with_all_that_it_hangs_on() {
    let mut claim = claim();
    claim["status"]["conditions"] = json!([{"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": "2026-11-21T00:04:00Z",
        "message": "Waiting for user to (re-)start a pod to finish file system resize of volume on node."}]);
    claim["status"]["allocatedResources"] = json!({"storage": "40Gi"});
    claim["status"]["allocatedResourceStatuses"] = json!({"storage": "NodeResizePending"});
    let fake = served(&claim);
    let seen = registry(&fake).look(VOLUME, &asked()).await.unwrap();
    insta::assert_snapshot!("volume", seen.text);
    assert!(!format!("{} {}", seen.data, seen.text).contains("hunter22"), "parameters of a class are not told");
    assert_eq!((seen.truncated, seen.data["unread"].as_array().unwrap().len()), (false, 0));
}

#[tokio::test]
async fn what_is_plainly_wrong_is_said_first() {
    let with = |change: &dyn Fn(&mut Value, &Fake)| {
        let mut claim = claim();
        let fake = served(&claim);
        change(&mut claim, &fake);
        fake.on("/api/v1/namespaces/shop/persistentvolumeclaims/data-db-0", 200, claim);
        async move { registry(&fake).look(VOLUME, &asked()).await.unwrap().data["problems"].clone() }
    };
    let class = |fake: &Fake, class: Value| fake.on("/apis/storage.k8s.io/v1/storageclasses/rbd", 200, class);
    type Change = Box<dyn Fn(&mut Value, &Fake)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(|_, _| {}), "it asks for 40Gi and has 20Gi: nobody began to expand it"),
        (
            Box::new(move |_, fake| class(fake, json!({"metadata": {"name": "rbd"}, "provisioner": "p"}))),
            "it asks for 40Gi and has 20Gi: its class does not allow expansion",
        ),
        (
            Box::new(move |claim, fake| {
                claim["status"] = json!({"phase": "Pending"});
                claim["spec"]["volumeName"] = Value::Null;
                class(fake, json!({"metadata": {"name": "rbd"}, "volumeBindingMode": "WaitForFirstConsumer"}));
                fake.on("/api/v1/namespaces/shop/pods", 200, json!({"items": []}));
            }),
            "Pending until a pod mounts it: its class binds at the first one",
        ),
        (
            Box::new(|claim, _| {
                claim["status"] = json!({"phase": "Pending"});
                for key in ["volumeName", "storageClassName"] {
                    claim["spec"][key] = Value::Null;
                }
            }),
            "Pending without a class: no default class was there when it was made",
        ),
        (Box::new(|claim, _| claim["status"]["phase"] = "Lost".into()), "the claim is Lost"),
        (
            Box::new(|_, fake| {
                fake.on(
                    "/apis/storage.k8s.io/v1/csinodes/node-a",
                    200,
                    json!({"metadata": {"name": "node-a"}, "spec": {"drivers": []}}),
                );
            }),
            "its driver rbd.csi.example is not registered on node node-a",
        ),
        (
            Box::new(|_, fake| {
                let on = |node: &str, attached: bool| {
                    json!({"metadata": {"name": node}, "status": {"attached": attached},
                    "spec": {"nodeName": node, "source": {"persistentVolumeName": "pv-1"}}})
                };
                fake.on(
                    "/apis/storage.k8s.io/v1/volumeattachments",
                    200,
                    json!({"items": [on("node-a", true), on("node-b", false)]}),
                );
            }),
            "only one node may have it, and node-a and node-b want it",
        ),
        (
            Box::new(|_, fake| {
                fake.on(
                    "/api/v1/persistentvolumes/pv-1",
                    200,
                    json!({"metadata": {"name": "pv-1"}, "status": {"phase": "Released"},
                    "spec": {"claimRef": {"namespace": "shop", "name": "someone-else"}}}),
                );
            }),
            "its volume is claimed by another claim",
        ),
        (
            Box::new(|claim, _| claim["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z".into()),
            "it is being deleted and waits for its finalizers",
        ),
    ];
    for (change, expected) in &cases {
        let problems = with(change.as_ref()).await;
        assert!(problems.as_array().unwrap().iter().any(|p| p == expected), "{expected}: {problems}");
    }
    let well = with(&|claim, _| claim["spec"]["resources"]["requests"]["storage"] = "20Gi".into()).await;
    assert_eq!(well, json!([]), "nothing is wrong with it");
}

#[tokio::test]
async fn an_ephemeral_volume_is_found_by_its_pod() {
    let fake = served(&claim());
    let ephemeral = json!({"name": "db-0", "ephemeral": {"volumeClaimTemplate": {}}});
    // Of `data` with a volume `db-0`, not of `data-db` with a volume `0`, which would have the same claim.
    let other = json!({"name": "1", "ephemeral": {}});
    fake.on("/api/v1/namespaces/shop/pods", 200, json!({"items": [pod("data", ephemeral), pod("data-db", other)]}));
    let seen = registry(&fake).look(VOLUME, &asked()).await.unwrap();
    let rows = seen.data["mounted_by"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["pod"], &rows[0]["how"]), (&json!("data"), &json!("ephemeral volume db-0")));
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_hides_nothing_else() {
    let fake = served(&claim());
    for path in [
        "/apis/storage.k8s.io/v1/storageclasses/rbd",
        "/apis/storage.k8s.io/v1/volumeattachments",
        "/api/v1/namespaces/shop/pods",
    ] {
        fake.on(path, 403, json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"}));
    }
    let seen = registry(&fake).look(VOLUME, &asked()).await.unwrap();
    for gap in [
        "its StorageClass could not be read: kubernetes: forbidden: no; grant get on storageclasses.storage.k8s.io in the cluster",
        "volume attachments could not be read: kubernetes: forbidden: no; grant list on volumeattachments.storage.k8s.io in the cluster",
        "pods of the namespace could not be read: kubernetes: forbidden: no; grant list on pods in namespace shop",
    ] {
        assert!(seen.text.contains(gap), "{gap}\n{}", seen.text);
    }
    assert!(!seen.text.contains("no pod mounts it") && seen.text.contains("rbd.csi.example"), "{}", seen.text);
}
