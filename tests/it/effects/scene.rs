//! A small cluster, and one change of it for each tool.

use serde_json::{Value, json};

/// A change of the scene.
#[derive(Debug, Clone)]
pub struct Change {
    /// The tool.
    pub tool: &'static str,
    /// Its arguments.
    pub args: Value,
    /// The object whose ledger counts.
    pub on: &'static str,
    /// What it makes passes: after doubt a look cannot tell, so it is left to a person.
    pub passes: bool,
}

/// One for each tool, and both ways of an apply.
pub fn changes() -> Vec<Change> {
    let api = || json!({"kind": "Deployment", "namespace": "shop", "name": "api"});
    let with = |mut args: Value, key: &str, value: Value| {
        args[key] = value;
        args
    };
    let limits = |name: &str| json!({"object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"pool": "40"}}});
    let change = |tool, args, on| Change { tool, args, on, passes: false };
    let passing = |tool, args, on| Change { tool, args, on, passes: true };
    let job = |name: &str, ttl: Value| json!({"object": {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "shop"}, "spec": {"ttlSecondsAfterFinished": ttl, "template": {"spec": {"containers": [{"name": "b", "image": "mend:1"}]}}}}});
    vec![
        change("kubernetes_rollout_restart", api(), "deployments/api"),
        change("kubernetes_scale", with(api(), "replicas", json!(3)), "deployments/api"),
        change("kubernetes_delete_pod", json!({"namespace": "shop", "name": "api-1"}), "pods/api-1"),
        change("kubernetes_cordon", json!({"name": "n1"}), "nodes/n1"),
        change("kubernetes_uncordon", json!({"name": "n3"}), "nodes/n3"),
        change("kubernetes_rollout_undo", json!({"namespace": "shop", "name": "api"}), "deployments/api"),
        change(
            "kubernetes_expand_volume",
            json!({"namespace": "shop", "name": "data", "size": "20Gi"}),
            "persistentvolumeclaims/data",
        ),
        passing("kubernetes_run_cronjob", json!({"namespace": "shop", "name": "backup"}), ""),
        passing("kubernetes_run_cronjob", json!({"namespace": "shop", "name": "sweep"}), ""),
        change("kubernetes_apply", limits("limits"), "configmaps/limits"),
        change("kubernetes_apply", limits("fresh"), "configmaps/fresh"),
        passing("kubernetes_apply", job("mend", json!(60)), "jobs/mend"),
        change("kubernetes_delete", json!({"kind": "Job", "namespace": "shop", "name": "stuck"}), "jobs/stuck"),
    ]
}

/// The objects.
pub fn objects() -> Vec<Value> {
    let template = |image: &str| json!({"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": image}]}});
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    let node = |name: &str, cordoned: bool| {
        let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        if cordoned {
            node["spec"]["unschedulable"] = json!(true);
        }
        node
    };
    let pod = |name: &str, owners: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "api"}, "ownerReferences": owners},
               "spec": {"containers": [{"name": "api", "image": "api:2"}], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}})
    };
    let replica_set = |revision: u32, image: &str| {
        let mut template = template(image);
        template["metadata"]["labels"]["pod-template-hash"] = revision.to_string().into();
        // The first object of the scene is its owner.
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
               "metadata": {"name": format!("api-{revision}"), "namespace": "shop", "labels": {"app": "api"}, "ownerReferences": owner("Deployment", "api", "uid-1"),
                            "annotations": {"deployment.kubernetes.io/revision": revision.to_string()}},
               "spec": {"replicas": 2, "template": template}, "status": {"readyReplicas": 2}})
    };
    let claim = |name: &str, class: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop"},
               "spec": {"storageClassName": class, "resources": {"requests": {"storage": "10Gi"}}},
               "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}})
    };
    let job = json!({"backoffLimit": 1, "template": {"spec": {"containers": [{"name": "b", "image": "backup:1"}]}}});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
               "metadata": {"name": "api", "namespace": "shop", "annotations": {"deployment.kubernetes.io/revision": "2"}},
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": template("api:2")},
               "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}}),
        replica_set(1, "api:1"),
        replica_set(2, "api:2"),
        pod("api-1", owner("ReplicaSet", "api-2", "uid-3")),
        pod("bare", Value::Null),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"},
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "template": {"spec": {}}, "updateStrategy": {"type": "OnDelete"}}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "held", "namespace": "shop"},
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "held"}}, "template": {"spec": {}}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
               "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {}}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "halted", "namespace": "shop"},
               "spec": {"replicas": 4, "paused": true, "selector": {"matchLabels": {"app": "halted"}}, "template": {"spec": {}}}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web-hpa", "namespace": "shop"},
               "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 8}}),
        node("n1", false),
        node("n2", false),
        node("n3", true),
        claim("data", "roomy"),
        claim("fixed", "rigid"),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "roomy"}, "allowVolumeExpansion": true}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "rigid"}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "backup", "namespace": "shop"},
               "spec": {"schedule": "0 3 * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job.clone()}}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "sweep", "namespace": "shop"},
               "spec": {"concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"ttlSecondsAfterFinished": 0, "template": job["template"]}}}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "busy", "namespace": "shop"},
               "spec": {"concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {}}}, "status": {"active": [{"name": "busy-1"}]}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "stuck", "namespace": "shop"}, "spec": {"parallelism": 1}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "shop"}, "data": {"pool": "20", "keep": "x"}}),
    ]
}
