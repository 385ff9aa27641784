//! What a manifest would give to what runs that it has not now: power over its node, another name,
//! Secrets, and code. Code is for a person to look at; nothing else of it comes from here.

use super::super::object::items;
use serde_json::Value;
use std::collections::BTreeSet;

/// Parts of a container that say what it runs, and on what.
const CODE: [&str; 9] = [
    "args",
    "command",
    "env",
    "envFrom",
    "lifecycle",
    "securityContext",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];
/// Parts of a Pod that change what each of its containers runs, or whom it speaks to.
const SHARED: [&str; 4] = ["volumes", "shareProcessNamespace", "hostAliases", "dnsConfig"];
/// Where a Pod has containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// What `after` may do that `before` may not, and nothing gets from here; both are whole objects.
/// `written` is the manifest: what it names counts, and what the server put beside it in a new object
/// does not.
pub(super) fn powers(before: Option<&Value>, after: &Value, written: &Value) -> Option<String> {
    let seen = before.unwrap_or(&Value::Null);
    let gained = power(pod_spec(seen), pod_spec(after)).map(str::to_owned);
    gained.or_else(|| {
        let had = secrets(seen);
        let mut named = secrets(written);
        if before.is_some() {
            named.extend(secrets(after));
        }
        let has = |name: &str| had.contains(name) || name.split_once('/').is_some_and(|(all, _)| had.contains(all));
        named.iter().find(|name| !has(name)).map(|name| format!("the Secret {name}"))
    })
}

/// Power over the node, or another name.
fn power(before: &Value, after: &Value) -> Option<&'static str> {
    type Look = fn(&Value) -> bool;
    let powers: [(&str, Look); 3] = [
        ("the namespaces of its node", |spec| {
            ["hostPID", "hostIPC", "hostNetwork"].iter().any(|key| spec[key] == true)
        }),
        ("folders of its node", |spec| items(&spec["volumes"]).any(|volume| volume["hostPath"].is_object())),
        ("privileged containers", |spec| {
            containers(spec).any(|container| {
                container["securityContext"]["privileged"] == true
                    || items(&container["securityContext"]["capabilities"]["add"]).next().is_some()
            })
        }),
    ];
    let gained = powers.iter().find(|(_, has)| has(after) && !has(before)).map(|(what, _)| *what);
    let account = |spec: &Value| spec["serviceAccountName"].as_str().unwrap_or("default").to_owned();
    let renamed = account(after) != account(before);
    gained.or_else(|| renamed.then_some("another ServiceAccount")).or_else(|| {
        let kept_out = before["automountServiceAccountToken"] == false;
        (kept_out && after["automountServiceAccountToken"] != false).then_some("the token of its ServiceAccount")
    })
}

/// The Secrets that an object names: `db`, or one key of it as `db/password`. Any kind may name one, and
/// each in its own words; those of Kubernetes all end alike.
fn secrets(object: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        let Value::Object(map) = value else { return items(value).for_each(|item| walk(item, found)) };
        for (key, value) in map {
            let name = |value: &Value| value["name"].as_str().map(str::to_owned);
            match key.to_ascii_lowercase().as_str() {
                "secretkeyref" => {
                    let key = value["key"].as_str().unwrap_or_default();
                    found.extend(name(value).map(|name| format!("{name}/{key}")));
                }
                "secretname" => found.extend(value.as_str().map(str::to_owned)),
                "imagepullsecrets" => found.extend(items(value).filter_map(name)),
                key if key == "secret" || key.ends_with("secretref") => found.extend(name(value)),
                _ => {}
            }
            walk(value, found);
        }
    }
    let mut found = BTreeSet::new();
    walk(&object["spec"], &mut found);
    found
}

/// The containers of `after` that would run other code than in `before`, or with more to read: those
/// that were not there, whose image is of another repository, or whose command and surroundings differ.
pub(super) fn code(before: Option<&Value>, after: &Value) -> Vec<String> {
    let (before, after) = (pod_spec(before.unwrap_or(&Value::Null)), pod_spec(after));
    let shared = SHARED.iter().any(|key| before[key] != after[key]);
    let runs_other = |container: &&Value| {
        let same = containers(before).find(|known| known["name"] == container["name"]);
        same.is_none_or(|known| {
            shared
                || repository(known) != repository(container)
                || CODE.iter().any(|key| known[key] != container[key])
                || ["livenessProbe", "readinessProbe", "startupProbe"]
                    .iter()
                    .any(|probe| known[probe]["exec"] != container[probe]["exec"])
        })
    };
    containers(after).filter(runs_other).filter_map(|container| container["name"].as_str()).map(str::to_owned).collect()
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    CONTAINERS.iter().flat_map(|key| items(&spec[*key]))
}

/// The image of a container without tag and digest.
fn repository(container: &Value) -> &str {
    let image = container["image"].as_str().unwrap_or_default();
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        // A colon before the last slash is that of a registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// Where a kind keeps what its Pods are like.
fn pod_spec(object: &Value) -> &Value {
    let spec = &object["spec"];
    match object["kind"].as_str() {
        Some("Pod") => spec,
        Some("CronJob") => &spec["jobTemplate"]["spec"]["template"]["spec"],
        _ => &spec["template"]["spec"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(spec: &Value) -> Value {
        json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}})
    }

    fn gained(before: Option<&Value>, after: &Value) -> Option<String> {
        powers(before, after, after)
    }

    #[test]
    fn a_manifest_gains_no_power_over_its_node_and_no_other_name() {
        let plain = deployment(&json!({"containers": [{"name": "a"}]}));
        for (spec, expected) in [
            (json!({"containers": [{"name": "a", "image": "b"}]}), None),
            (json!({"hostNetwork": true}), Some("the namespaces of its node")),
            (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), Some("folders of its node")),
            (json!({"containers": [{"securityContext": {"privileged": true}}]}), Some("privileged containers")),
            (
                json!({"initContainers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}),
                Some("privileged containers"),
            ),
            (json!({"serviceAccountName": "admin"}), Some("another ServiceAccount")),
            (json!({"serviceAccountName": "default"}), None),
        ] {
            let after = deployment(&spec);
            assert_eq!(gained(Some(&plain), &after).as_deref(), expected, "{after}");
            assert_eq!(gained(None, &after).as_deref(), expected, "{after}");
            assert_eq!(gained(Some(&after), &after), None, "what it has already it does not gain: {after}");
        }
        let bound = deployment(&json!({"serviceAccountName": "bound", "automountServiceAccountToken": false}));
        let unbound = deployment(&json!({"automountServiceAccountToken": false}));
        let mounting = deployment(&json!({"serviceAccountName": "bound"}));
        assert_eq!(gained(Some(&bound), &unbound).as_deref(), Some("another ServiceAccount"));
        assert_eq!(gained(Some(&bound), &mounting).as_deref(), Some("the token of its ServiceAccount"));
        let cron =
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostPID": true}}}}}});
        assert!(gained(None, &cron).is_some());
    }

    #[test]
    fn a_manifest_gains_no_secret_however_it_names_it() {
        let container = |part: Value| {
            let mut container = json!({"name": "a", "image": "i"});
            container.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        let plain = deployment(&container(json!({})));
        for (spec, expected) in [
            (container(json!({"envFrom": [{"secretRef": {"name": "db"}}]})), "db"),
            (
                container(json!({"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "pw"}}}]})),
                "db/pw",
            ),
            (json!({"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "db"}}]}]}), "db"),
            (json!({"ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "db"}}]}]}), "db"),
            (json!({"volumes": [{"name": "v", "secret": {"secretName": "db"}}]}), "db"),
            (json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "db"}}]}}]}), "db"),
            (json!({"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "db"}}}]}), "db"),
            (json!({"volumes": [{"name": "v", "azureFile": {"secretName": "db", "shareName": "s"}}]}), "db"),
            (json!({"imagePullSecrets": [{"name": "db"}]}), "db"),
        ] {
            let after = deployment(&spec);
            let expected = format!("the Secret {expected}");
            assert_eq!(gained(Some(&plain), &after).as_ref(), Some(&expected), "{after}");
            assert_eq!(gained(None, &after).as_ref(), Some(&expected), "{after}");
            assert_eq!(gained(Some(&after), &after), None, "{after}");
        }
        let whole = deployment(&container(json!({"envFrom": [{"secretRef": {"name": "db"}}]})));
        let key = |key: &str| {
            deployment(&container(json!({"env": [{"valueFrom": {"secretKeyRef": {"name": "db", "key": key}}}]})))
        };
        assert_eq!(gained(Some(&whole), &key("pw")), None, "a part of what it has");
        assert!(gained(Some(&key("user")), &key("pw")).is_some() && gained(Some(&key("pw")), &whole).is_some());
        let ingress = json!({"kind": "Ingress", "spec": {"tls": [{"secretName": "cert"}]}});
        assert!(gained(None, &ingress).is_some());
        // What the server's admission adds to a new Pod was asked for by nobody.
        let pod = |spec: Value| json!({"kind": "Pod", "spec": spec});
        let admitted = pod(json!({"containers": [{"name": "a"}], "imagePullSecrets": [{"name": "pull"}]}));
        assert_eq!(powers(None, &admitted, &pod(json!({"containers": [{"name": "a"}]}))), None);
        let config = container(json!({"envFrom": [{"configMapRef": {"name": "db"}}]}));
        assert_eq!(gained(Some(&plain), &deployment(&config)), None);
    }

    #[test]
    fn what_runs_other_code_is_told() {
        let base = || {
            json!({"containers": [
                {"name": "api", "image": "r.example:5000/shop/api:1", "command": ["api"], "resources": {"limits": {"cpu": "1"}},
                 "livenessProbe": {"exec": {"command": ["ok"]}, "periodSeconds": 5}},
                {"name": "log", "image": "log@sha256:1"}], "volumes": [{"name": "v", "configMap": {"name": "c"}}]})
        };
        let with = |pointer: &str, value: Value| {
            let mut spec = base();
            match pointer.rsplit_once('/') {
                Some(("", key)) => spec[key] = value,
                Some((at, key)) => spec.pointer_mut(at).unwrap()[key] = value,
                None => {}
            }
            deployment(&spec)
        };
        let before = deployment(&base());
        for (pointer, value, expected) in [
            ("", json!(null), &[][..]),
            ("/containers/0/image", json!("r.example:5000/shop/api:2"), &[]),
            ("/containers/0/image", json!("r.example:5000/shop/api@sha256:2"), &[]),
            ("/containers/0/resources", json!({}), &[]),
            ("/containers/0/image", json!("r.example:5000/evil/api:1"), &["api"]),
            ("/containers/0/image", json!("shop/api:1"), &["api"]),
            ("/containers/0/command", json!(["sh"]), &["api"]),
            ("/containers/0/args", json!(["-c", "env"]), &["api"]),
            ("/containers/1/env", json!([{"name": "LD_PRELOAD", "value": "/v/x"}]), &["log"]),
            ("/containers/1/lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}}), &["log"]),
            ("/containers/0/livenessProbe", json!({"exec": {"command": ["sh"]}}), &["api"]),
            ("/containers/0/livenessProbe", json!({"exec": {"command": ["ok"]}, "periodSeconds": 9}), &[]),
            ("/initContainers", json!([{"name": "first", "image": "log"}]), &["first"]),
            ("/ephemeralContainers", json!([{"name": "debug", "image": "log"}]), &["debug"]),
            ("/volumes", json!([{"name": "v", "configMap": {"name": "other"}}]), &["api", "log"]),
            ("/hostAliases", json!([{"ip": "10.0.0.1", "hostnames": ["db"]}]), &["api", "log"]),
        ] {
            assert_eq!(code(Some(&before), &with(pointer, value.clone())), expected, "{pointer} {value}");
        }
        assert_eq!(code(None, &before), ["api", "log"]);
        assert_eq!(code(None, &json!({"kind": "ConfigMap"})), [""; 0]);
    }
}
