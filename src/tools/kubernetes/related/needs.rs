//! What a pod's spec refers to.

use super::super::object::items;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most ways in which one thing is referred to that are told.
const WAYS: usize = 4;

/// A thing that is referred to, and how.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// `env DB_HOST`, `volume config`.
    pub(super) ways: Vec<String>,
    /// The pod starts without it.
    pub(super) optional: bool,
}

impl Need {
    /// `env DB_HOST, volume config and 3 more`.
    pub(super) fn in_words(&self) -> String {
        let shown = self.ways.iter().take(WAYS).cloned().collect::<Vec<_>>().join(", ");
        let optional = if self.optional { " (optional)" } else { "" };
        match self.ways.len().saturating_sub(WAYS) {
            0 => format!("{shown}{optional}"),
            more => format!("{shown} and {more} more{optional}"),
        }
    }
}

/// Things by kind and name.
pub(super) type Needs = BTreeMap<(&'static str, String), Need>;

/// Adds what `spec`, a pod's, refers to. `pod` is the pod's name where there is one: ephemeral volumes
/// are called after it.
pub(super) fn add(needs: &mut Needs, spec: &Value, pod: Option<&str>) {
    let mut add = |kind: &'static str, name: &Value, way: String, optional: bool| {
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else { return };
        match needs.get_mut(&(kind, name.to_owned())) {
            Some(need) => {
                need.optional &= optional;
                if !need.ways.contains(&way) {
                    need.ways.push(way);
                }
            }
            None => drop(needs.insert((kind, name.to_owned()), Need { ways: vec![way], optional })),
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for volume in items(&spec["volumes"]) {
        let way = format!("volume {}", text(&volume["name"]));
        let projected = items(&volume["projected"]["sources"]);
        let sources = std::iter::once(volume).chain(projected);
        for source in sources {
            let (config, secret) = (&source["configMap"], &source["secret"]);
            // Every pod has the cluster's own certificate.
            if config["name"] != "kube-root-ca.crt" {
                add("ConfigMap", &config["name"], way.clone(), config["optional"] == true);
            }
            for name in ["secretName", "name"] {
                add("Secret", &secret[name], way.clone(), secret["optional"] == true);
            }
        }
        add("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"], way.clone(), false);
        add("Secret", &volume["csi"]["nodePublishSecretRef"]["name"], way.clone(), false);
        if let (Some(pod), true) = (pod, volume["ephemeral"].is_object()) {
            let claim = format!("{pod}-{}", text(&volume["name"]));
            add("PersistentVolumeClaim", &claim.into(), format!("ephemeral {way}"), false);
        }
    }
    for container in ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| items(&spec[*list]))
    {
        for variable in items(&container["env"]) {
            for (kind, field) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
                let from = &variable["valueFrom"][field];
                add(kind, &from["name"], format!("env {}", text(&variable["name"])), from["optional"] == true);
            }
        }
        for source in items(&container["envFrom"]) {
            for (kind, field) in [("ConfigMap", "configMapRef"), ("Secret", "secretRef")] {
                let from = &source[field];
                add(kind, &from["name"], "all of it as env".to_owned(), from["optional"] == true);
            }
        }
    }
    for secret in items(&spec["imagePullSecrets"]) {
        add("Secret", &secret["name"], "pulls images".to_owned(), false);
    }
    add("ServiceAccount", &spec["serviceAccountName"], "runs as".to_owned(), false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_refer_is_seen() {
        let spec = json!({
            "serviceAccountName": "api", "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"env": [{"name": "HOST", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "k"}}}]}],
            "containers": [{
                "env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}, {"name": "PLAIN", "value": "x"}],
                "envFrom": [{"configMapRef": {"name": "c2", "optional": true}}, {"secretRef": {"name": "s2"}}]}],
            "volumes": [
                {"name": "cfg", "configMap": {"name": "c1"}}, {"name": "tls", "secret": {"secretName": "s3"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "p1"}}, {"name": "tmp", "ephemeral": {}},
                {"name": "all", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "s4"}}]}},
                {"name": "csi", "csi": {"nodePublishSecretRef": {"name": "s5"}}}, {"name": "none", "emptyDir": {}}],
        });
        let mut needs = Needs::new();
        add(&mut needs, &spec, Some("pod-0"));
        let told: Vec<String> =
            needs.iter().map(|((kind, name), need)| format!("{kind} {name}: {}", need.in_words())).collect();
        assert_eq!(
            told,
            [
                "ConfigMap c1: volume cfg, env HOST",
                "ConfigMap c2: all of it as env (optional)",
                "PersistentVolumeClaim p1: volume data",
                "PersistentVolumeClaim pod-0-tmp: ephemeral volume tmp",
                "Secret pull: pulls images",
                "Secret s1: env PW",
                "Secret s2: all of it as env",
                "Secret s3: volume tls",
                "Secret s4: volume all",
                "Secret s5: volume csi",
                "ServiceAccount api: runs as",
            ]
        );
        let many = Need { ways: (0..9).map(|n| format!("env E{n}")).collect(), optional: false };
        assert_eq!(many.in_words(), "env E0, env E1, env E2, env E3 and 5 more");
    }
}
