//! Alerts on different objects of one workload are one investigation, once its survey has read who owns what.

use crate::support::chain::{assert_sound, entries};
use crate::support::cluster::Cluster;
use crate::support::http::eventually;
use crate::support::site::{SOON, Site};
use firewarden::journal::{Body, Investigation};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

fn owner(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true}])
}

fn pod(name: &str, owners: Value, claim: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners},
           "spec": {"containers": [{"name": "app", "image": "app:1"}],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]},
           "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0}]}})
}

fn claim(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop"},
           "spec": {"storageClassName": "fast"}, "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}})
}

fn workload(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"},
           "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {}}},
           "status": {"replicas": 1, "readyReplicas": 1}})
}

/// A database on its volume, an exporter of a name of its own that mounts nobody else's, and two that share one.
fn objects() -> Vec<Value> {
    let mut replica_set = workload("ReplicaSet", "ledger-7c9d8b6f5d");
    replica_set["metadata"]["ownerReferences"] = owner("Deployment", "ledger");
    vec![
        workload("StatefulSet", "postgres"),
        pod("postgres-0", owner("StatefulSet", "postgres"), "data-postgres-0"),
        claim("data-postgres-0"),
        workload("Deployment", "ledger"),
        replica_set,
        pod("ledger-7c9d8b6f5d-x2x9z", owner("ReplicaSet", "ledger-7c9d8b6f5d"), "books"),
        claim("books"),
        workload("StatefulSet", "reader"),
        pod("reader-0", owner("StatefulSet", "reader"), "shared"),
        workload("StatefulSet", "writer"),
        pod("writer-0", owner("StatefulSet", "writer"), "shared"),
        claim("shared"),
    ]
}

fn site(cluster: &Cluster) -> Site {
    let dir = TempDir::new().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig().to_string()).unwrap();
    let config = json!({"tools": {"kubernetes": {"kubeconfig": kubeconfig}}, "playbooks": {"default": "none"},
                        "budgets": {"survey": {"tool_calls": 30, "wall": "30s"}}});
    Site::within(dir, config)
}

/// An alert in a group of its own.
fn alert(name: &str, labels: Value, starts: Timestamp) -> Value {
    let mut all = json!({"alertname": name, "namespace": "shop", "severity": "warning"});
    for (key, value) in labels.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"version": "4", "groupKey": format!("group of {all}"), "truncatedAlerts": 0, "status": "firing",
           "receiver": "r", "groupLabels": {}, "commonLabels": all, "commonAnnotations": {}, "externalURL": "http://am",
           "alerts": [{"status": "firing", "labels": all, "annotations": {"summary": "a case"}, "generatorURL": "",
                       "startsAt": starts, "endsAt": "0001-01-01T00:00:00Z"}]})
}

/// What became of an alert: its fate and its investigation.
async fn fate(site: &Site, alert: &Value) -> (String, String) {
    let answer = site.deliver(alert).await;
    let kept = &answer["events"][0];
    let text = |key: &str| kept[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}")).to_owned();
    (text("outcome"), text("job_id"))
}

/// Closed, with all of its `alerts` looked at.
async fn settled(site: &Site, id: &str, alerts: usize) -> Value {
    eventually(&format!("{id} is closed with {alerts} alerts"), SOON, async || {
        let inv = site.get(&format!("/api/v1/investigations/{id}")).await?.json();
        (inv["state"] == "closed" && inv["alerts"] == alerts).then_some(inv)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_on_a_volume_and_on_the_workload_that_mounts_it_are_one_investigation() {
    let cluster = Cluster::serve(objects()).await;
    let site = site(&cluster);
    let server = site.up().await;
    let starts = Timestamp::now() - SignedDuration::from_mins(10);
    let volume = json!({"persistentvolumeclaim": "data-postgres-0", "node": "n1", "job": "kubelet"});
    let (opened, id) = fate(&site, &alert("PVCUsageHigh", volume, starts)).await;
    assert_eq!(opened, "opened");
    settled(&site, &id, 1).await;
    let merged = ("merged".to_owned(), id.clone());
    let on_workload = alert("KubeStatefulSetReplicasMismatch", json!({"statefulset": "postgres"}), starts);
    assert_eq!(fate(&site, &on_workload).await, merged);
    let on_pod = alert("KubePodNotReady", json!({"pod": "postgres-0"}), starts);
    assert_eq!(fate(&site, &on_pod).await, merged);
    settled(&site, &id, 3).await;

    // The same name in another namespace or cluster is another thing, and so is another workload of the namespace.
    for labels in [
        json!({"statefulset": "postgres", "namespace": "other"}),
        json!({"statefulset": "postgres", "cluster": "blue"}),
        json!({"statefulset": "reader"}),
        json!({"deployment": "ledger"}),
    ] {
        let (opened, other) = fate(&site, &alert("KubeReplicasMismatch", labels.clone(), starts)).await;
        assert_eq!((opened.as_str(), other == id), ("opened", false), "{labels}");
        settled(&site, &other, 1).await;
    }
    // What the journal says is what the table and the fold know.
    let chain = entries(&site, &id).await;
    assert_sound(&id, &chain);
    let found = chain.iter().find_map(|entry| match &entry.body {
        Body::Surveyed { things, .. } => Some(things.clone()),
        _ => None,
    });
    assert_eq!(found.unwrap(), ["/shop/k8s_pvc/data-postgres-0", "/shop/workload/postgres"]);
    let state = Investigation::fold(&id, &chain).unwrap();
    assert_eq!(state.survey.things.len(), 2, "{:?}", state.survey.things);

    // A restart knows it, too; and what begins behind the end is another incident.
    drop(server);
    let _server = site.up().await;
    let again = alert("PostgresDown", json!({"pod": "postgres-0", "container": "app"}), starts);
    assert_eq!(fate(&site, &again).await, merged);
    settled(&site, &id, 4).await;
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    let (opened, next) = fate(&site, &alert("PostgresSlow", json!({"statefulset": "postgres"}), later)).await;
    assert_eq!((opened.as_str(), next == id), ("opened", false));
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_followed_to_the_top_and_what_two_workloads_share_joins_neither() {
    let cluster = Cluster::serve(objects()).await;
    let site = site(&cluster);
    let _server = site.up().await;
    let starts = Timestamp::now() - SignedDuration::from_mins(10);
    let open = async |name: &str, labels: Value| {
        let (opened, id) = fate(&site, &alert(name, labels.clone(), starts)).await;
        assert_eq!(opened, "opened", "{labels}");
        settled(&site, &id, 1).await;
        id
    };
    // From a Deployment's Pod to its volume.
    let ledger = open("KubePodCrashLooping", json!({"pod": "ledger-7c9d8b6f5d-x2x9z"})).await;
    let books = alert("PVCUsageHigh", json!({"persistentvolumeclaim": "books"}), starts);
    assert_eq!(fate(&site, &books).await, ("merged".to_owned(), ledger.clone()));
    // By what labels say of a Pod that is gone and whose name says nothing.
    let gone = json!({"pod": "gone", "created_by_kind": "ReplicaSet", "created_by_name": "ledger-7c9d8b6f5d"});
    assert_eq!(fate(&site, &alert("PodGone", gone, starts)).await, ("merged".to_owned(), ledger));
    // Both mount it, so it is of neither.
    let reader = open("ReaderSlow", json!({"statefulset": "reader"})).await;
    let shared = open("PVCUsageHigh", json!({"persistentvolumeclaim": "shared"})).await;
    let writer = open("WriterSlow", json!({"statefulset": "writer"})).await;
    assert!(reader != shared && shared != writer && reader != writer);
    site.verify_audit();
}
