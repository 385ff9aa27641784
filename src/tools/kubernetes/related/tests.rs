//! What belongs to an object.

use super::around::Around;
use super::relate;
use crate::edge::kube::fake::Fake;
use crate::tools::kubernetes::tests::registry;
use serde_json::{Value, json};

const RELATED: &str = "kubernetes_related";

fn object(api_version: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": format!("{kind}-{name}")}});
    for (key, value) in more.as_object().unwrap() {
        match key.as_str() {
            "labels" | "ownerReferences" => object["metadata"][key] = value.clone(),
            _ => object[key] = value.clone(),
        }
    }
    object
}

fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true}])
}

fn pod(name: &str, ready: bool) -> Value {
    let state = if ready { json!({"running": {}}) } else { json!({"waiting": {"reason": "CrashLoopBackOff"}}) };
    object(
        "v1",
        "Pod",
        name,
        json!({"labels": {"app": "api"}, "ownerReferences": owner("apps/v1", "ReplicaSet", "api-1"),
        "spec": {"nodeName": "node-a", "serviceAccountName": "api", "containers": [{"name": "app",
            "env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}], "envFrom": [{"configMapRef": {"name": "gone"}}]}],
            "volumes": [{"name": "cfg", "configMap": {"name": "api"}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 3, "state": state}]}}),
    )
}

fn replica_set(name: &str, wanted: u64) -> Value {
    object(
        "apps/v1",
        "ReplicaSet",
        name,
        json!({"ownerReferences": owner("apps/v1", "Deployment", "api"),
        "spec": {"replicas": wanted}, "status": {"replicas": wanted, "readyReplicas": wanted.saturating_sub(1)}}),
    )
}

fn deployment() -> Value {
    object(
        "apps/v1",
        "Deployment",
        "api",
        json!({"spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}},
        "template": {"metadata": {"labels": {"app": "api"}}, "spec": pod("x", true)["spec"]}}, "status": {"readyReplicas": 1}}),
    )
}

/// Two pods of a Deployment, one of which crashes, and all that may stand around them.
fn lists() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let service = |name: &str, app: &str| {
        object(
            "v1",
            "Service",
            name,
            json!({"spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": "http"}]}}),
        )
    };
    let endpoint =
        |pod: &str, ready: bool| json!({"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": pod}});
    let slice = object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "api-x",
        json!({"labels": {"kubernetes.io/service-name": "api"},
        "endpoints": [endpoint("api-1-a", true), endpoint("api-1-b", false)]}),
    );
    let ingress = |name: &str, to: &str| {
        object(
            "networking.k8s.io/v1",
            "Ingress",
            name,
            json!({"spec": {"rules": [{"host": "shop.example",
            "http": {"paths": [{"path": "/api", "backend": {"service": {"name": to, "port": {"number": 80}}}}]}}]}}),
        )
    };
    let route = object(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "api",
        json!({"spec": {"hostnames": ["api.example"],
        "rules": [{"matches": [{"path": {"value": "/v1"}}], "backendRefs": [{"name": "api", "port": 80}, {"name": "api", "namespace": "else", "port": 1}]}]}}),
    );
    let hpa = |name: &str, target: &str| {
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            name,
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": target},
            "minReplicas": 2, "maxReplicas": 5}, "status": {"currentReplicas": 5,
            "conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}, {"type": "AbleToScale", "status": "True"}]}}),
        )
    };
    let selecting = |app: &str| json!({"matchLabels": {"app": app}});
    let pdb = |name: &str, app: &str| {
        object(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            json!({"spec": {"selector": selecting(app)},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2}}),
        )
    };
    let policy = |name: &str, selector: Value, spec: Value| {
        let mut policy = object("networking.k8s.io/v1", "NetworkPolicy", name, json!({"spec": spec}));
        policy["spec"]["podSelector"] = selector;
        policy
    };
    vec![
        ("Pod", "/api/v1/namespaces/shop/pods", vec![pod("api-1-a", true), pod("api-1-b", false)]),
        (
            "ReplicaSet",
            "/apis/apps/v1/namespaces/shop/replicasets",
            vec![replica_set("api-1", 2), replica_set("api-0", 0), replica_set("api-00", 0)],
        ),
        ("Job", "/apis/batch/v1/namespaces/shop/jobs", vec![]),
        ("Service", "/api/v1/namespaces/shop/services", vec![service("api", "api"), service("web", "web")]),
        ("EndpointSlice", "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", vec![slice]),
        (
            "Ingress",
            "/apis/networking.k8s.io/v1/namespaces/shop/ingresses",
            vec![ingress("shop", "api"), ingress("other", "web")],
        ),
        ("HTTPRoute", "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes", vec![route]),
        (
            "HorizontalPodAutoscaler",
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
            vec![hpa("api", "api"), hpa("web", "web")],
        ),
        (
            "PodDisruptionBudget",
            "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
            vec![pdb("api", "api"), pdb("web", "web")],
        ),
        (
            "NetworkPolicy",
            "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
            vec![
                policy(
                    "deny",
                    json!({}),
                    json!({"policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}),
                ),
                policy("web", selecting("web"), json!({})),
            ],
        ),
        (
            "PersistentVolumeClaim",
            "/api/v1/namespaces/shop/persistentvolumeclaims",
            vec![object("v1", "PersistentVolumeClaim", "data", json!({"status": {"phase": "Bound"}}))],
        ),
        ("ConfigMap", "/api/v1/namespaces/shop/configmaps", vec![object("v1", "ConfigMap", "api", json!({}))]),
    ]
}

fn shop() -> Fake {
    let fake = Fake::new();
    for (_, path, items) in lists() {
        fake.on(path, 200, json!({"items": items}));
    }
    fake.on("/api/v1/namespaces/shop", 200, json!({}));
    fake.on("/api/v1/namespaces/shop/pods/api-1-b", 200, pod("api-1-b", false));
    fake.on("/apis/apps/v1/namespaces/shop/replicasets/api-1", 200, replica_set("api-1", 2));
    fake.on("/apis/apps/v1/namespaces/shop/deployments/api", 200, deployment());
    fake.on("/api", 200, json!({"kind": "APIVersions", "versions": []}));
    fake.on(
        "/apis",
        200,
        json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "gateway.networking.k8s.io"},
        "versions": [{"version": "v1", "resources": [{"resource": "httproutes", "responseKind": {"kind": "HTTPRoute"},
        "scope": "Namespaced", "verbs": ["get", "list"]}]}]}]}),
    );
    fake
}

#[tokio::test]
async fn a_pod_is_told_with_its_owners_what_reaches_it_and_what_it_needs() {
    let fake = shop();
    let registry = registry(&fake);
    let seen = registry.look(RELATED, &json!({"kind": "po", "namespace": "shop", "name": "api-1-b"})).await.unwrap();
    insta::assert_snapshot!("pod", seen.text);
    assert_eq!((seen.truncated, seen.data["unread"].as_array().unwrap().len()), (false, 0));
    let asked = fake.asked();
    assert!(!asked.iter().any(|a| a.contains("/secrets")), "Secrets are not asked for: {asked:?}");
    let configs = asked.iter().position(|a| a.contains("/configmaps")).unwrap();
    assert!(fake.accepts()[configs].contains("PartialObjectMetadataList"), "of ConfigMaps only the names");
}

#[tokio::test]
async fn a_deployment_is_told_with_its_pods() {
    let fake = shop();
    let seen =
        registry(&fake).look(RELATED, &json!({"kind": "deploy", "namespace": "shop", "name": "api"})).await.unwrap();
    insta::assert_snapshot!("deployment", seen.text);
    assert!(
        fake.asked().iter().any(|a| a.contains("/pods?") && a.contains("labelSelector=app%3Dapi")),
        "{:?}",
        fake.asked()
    );
}

/// Each kind of thing, and what is found of it: `relation kind name`.
#[test]
fn relations_lead_both_ways() {
    let around = || lists().into_iter().fold(Around::default(), |around, (kind, _, items)| around.with(kind, items));
    let of = |subject: Value| -> Vec<String> {
        let rows = relate::all(&subject, &[], &around(), jiff::Timestamp::UNIX_EPOCH);
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        rows.iter().map(|r| format!("{} {} {}", text(&r["relation"]), text(&r["kind"]), text(&r["name"]))).collect()
    };
    let find = |kind: &str, name: &str| {
        let all = lists().into_iter().find(|(k, _, _)| *k == kind).unwrap().2;
        all.into_iter().find(|o| o["metadata"]["name"] == name).unwrap()
    };
    let whole = [
        "workload Deployment api",
        "service Service api",
        "route Ingress shop",
        "route HTTPRoute api",
        "autoscaler HorizontalPodAutoscaler api",
        "disruption budget PodDisruptionBudget api",
        "network policy NetworkPolicy deny",
        "node Node node-a",
    ];
    assert_eq!(of(find("ConfigMap", "api")), whole);
    assert_eq!(of(find("PersistentVolumeClaim", "data")), whole);
    for kind in ["Secret", "ServiceAccount"] {
        assert_eq!(of(object("v1", kind, if kind == "Secret" { "db" } else { "api" }, json!({}))), whole, "{kind}");
    }
    assert_eq!(of(object("v1", "ConfigMap", "unused", json!({}))), Vec::<String>::new());
    let service = of(find("Service", "api"));
    assert_eq!(service[..3], ["workload Deployment api", "endpoint Service api", "route Ingress shop"]);
    assert!(!service.iter().any(|r| r.starts_with("service ")), "{service:?}");
    assert_eq!(of(find("Service", "web")), ["endpoint Service web", "route Ingress other"]);
    let ingress = of(find("Ingress", "shop"));
    assert!(
        ingress.contains(&"backend Service api".to_owned()) && !ingress.contains(&"route Ingress shop".to_owned()),
        "{ingress:?}"
    );
    let hpa = of(find("HorizontalPodAutoscaler", "api"));
    assert!(
        hpa.contains(&"target Deployment api".to_owned()) && hpa.contains(&"service Service api".to_owned()),
        "{hpa:?}"
    );
    let policy = of(find("NetworkPolicy", "deny"));
    assert!(
        policy.contains(&"workload Deployment api".to_owned())
            && !policy.contains(&"network policy NetworkPolicy deny".to_owned())
    );
    let budget = of(find("PodDisruptionBudget", "web"));
    assert_eq!(budget, Vec::<String>::new(), "it selects nothing");
    let node = of(object("v1", "Node", "node-a", json!({})));
    assert_eq!(node, ["workload Deployment api"]);
    // On a node of many namespaces ReplicaSets are not read: the pods' hash tells their Deployment.
    let mut hashed = pod("api-1-a", true);
    hashed["metadata"]["labels"]["pod-template-hash"] = "1".into();
    let rows = relate::all(
        &object("v1", "Node", "node-a", json!({})),
        &[],
        &Around::default().with("Pod", vec![hashed]),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["name"], &rows[0]["state"]),
        (&json!("Deployment"), &json!("api"), &json!("1 of 1 pods ready"))
    );
    let volume = json!({"kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "shop", "name": "data"}}, "status": {"phase": "Bound"}});
    assert!(of(volume).contains(&"claim PersistentVolumeClaim data".to_owned()));
}

#[tokio::test]
async fn what_may_not_be_read_is_said_with_the_right_that_is_missing() {
    let fake = shop();
    let forbidden = json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"});
    for path in [
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
        "/api/v1/namespaces/shop/configmaps",
        "/apis/apps/v1/namespaces/shop/deployments/api",
    ] {
        fake.on(path, 403, forbidden.clone());
    }
    let seen =
        registry(&fake).look(RELATED, &json!({"kind": "Pod", "namespace": "shop", "name": "api-1-b"})).await.unwrap();
    for gap in [
        "EndpointSlice objects could not be read: kubernetes: forbidden: no; grant list on endpointslices.discovery.k8s.io in namespace shop",
        "PodDisruptionBudget objects could not be read: kubernetes: forbidden: no; grant list on poddisruptionbudgets.policy in namespace shop",
        "ConfigMap objects could not be read: kubernetes: forbidden: no; grant list on configmaps in namespace shop",
        "owner Deployment api could not be read: kubernetes: forbidden: no; grant get on deployments.apps in namespace shop",
    ] {
        assert!(seen.text.contains(gap), "{gap}\n{}", seen.text);
    }
    assert!(
        seen.text.contains("its endpoints could not be read") && !seen.text.contains("does not exist"),
        "{}",
        seen.text
    );
    // The autoscaler names the owner that could not be read.
    assert!(
        seen.text.contains("Deployment api  ") && seen.text.contains("HorizontalPodAutoscaler api"),
        "{}",
        seen.text
    );
}

#[tokio::test]
async fn an_owner_of_another_kind_is_named_and_not_read() {
    let fake = shop();
    let mut alone = pod("api-1-b", true);
    alone["metadata"]["ownerReferences"] = owner("argoproj.io/v1alpha1", "Rollout", "api");
    fake.on("/api/v1/namespaces/shop/pods/api-1-b", 200, alone);
    let registry = registry(&fake);
    let args = json!({"kind": "Pod", "namespace": "shop", "name": "api-1-b"});
    let seen = registry.look(RELATED, &args).await.unwrap();
    assert!(seen.text.contains("Rollout api") && seen.text.contains("not read here"), "{}", seen.text);
    assert!(!fake.asked().iter().any(|a| a.contains("argoproj")), "{:?}", fake.asked());
    // What is read is what the policy was told of.
    let targets = registry.targets(RELATED, &args).unwrap();
    let kinds: Vec<&str> = targets.iter().map(|t| t["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"EndpointSlice") && kinds.contains(&"CronJob") && !kinds.contains(&"Secret"), "{kinds:?}");
}

#[tokio::test]
async fn many_pods_are_bounded_and_counted() {
    let fake = shop();
    let pods: Vec<Value> = (0..40).map(|n| pod(&format!("api-1-{n:02}"), n > 2)).collect();
    fake.on("/api/v1/namespaces/shop/pods", 200, json!({"items": pods}));
    let seen =
        registry(&fake).look(RELATED, &json!({"kind": "deploy", "namespace": "shop", "name": "api"})).await.unwrap();
    let rows = seen.data["related"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|r| r["relation"] == "pod").count(), 20);
    assert!(seen.truncated && seen.text.contains("note: 20 of 40 are shown as pod"), "{}", seen.text);
    let first = rows.iter().find(|r| r["relation"] == "pod").unwrap();
    assert_eq!(first["problem"], true, "those that are not well come first");
}
