//! What a word for a kind means on one server.

use super::super::error::{EdgeError, EdgeErrorKind};
use super::{KubeReader, PEER, invalid};
use ::kube::core::params::ListParams;
use futures::{StreamExt as _, stream};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The aggregated form of discovery where the server has it, the old one where not.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// How long what the server serves is believed.
const FRESH: Duration = Duration::from_secs(600);
/// A word that is unknown makes us look again, but not more often than this.
const RETRY: Duration = Duration::from_secs(15);
/// Most group versions that are asked one by one.
const GROUP_VERSIONS: usize = 256;
/// Most kinds that are kept.
const KINDS: usize = 10_000;

/// One kind as one server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`, as it stands in paths.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl ApiKind {
    /// Measured use of pods (`false`) or nodes (`true`), of a metrics server where one is installed.
    pub fn metrics(of_nodes: bool) -> Self {
        let (kind, plural) = if of_nodes { ("NodeMetrics", "nodes") } else { ("PodMetrics", "pods") };
        Self {
            group: "metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_ascii_lowercase(),
            short_names: Vec::new(),
            namespaced: !of_nodes,
        }
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        match self.group.is_empty() {
            true => self.version.clone(),
            false => format!("{}/{}", self.group, self.version),
        }
    }

    /// Whether objects of this kind hold secrets: of these only metadata is ever asked for.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.plural == "secrets"
    }

    /// The path of the collection, in `namespace` if one is given.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = match self.group.is_empty() {
            true => format!("/api/{}", self.version),
            false => format!("/apis/{}/{}", self.group, self.version),
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    fn is_called(&self, word: &str) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(word);
        same(&self.kind)
            || same(&self.plural)
            || same(&self.singular)
            || self.short_names.iter().any(|s| same(s))
            || word.split_once('.').is_some_and(|(name, group)| {
                self.group.eq_ignore_ascii_case(group)
                    && (self.plural.eq_ignore_ascii_case(name) || self.singular.eq_ignore_ascii_case(name))
            })
    }

    fn is_of(&self, api_version: &str) -> bool {
        api_version.eq_ignore_ascii_case(&self.api_version())
            || (!self.group.is_empty() && api_version.eq_ignore_ascii_case(&self.group))
    }
}

/// Kinds that every supported server has had under the same version for years. They need no
/// discovery, and work where discovery is forbidden.
const STABLE: [(&str, &str, &str, &[&str], bool); 33] = [
    ("v1", "Pod", "pods", &["po"], true),
    ("v1", "Service", "services", &["svc"], true),
    ("v1", "Node", "nodes", &["no"], false),
    ("v1", "Namespace", "namespaces", &["ns"], false),
    ("v1", "Event", "events", &["ev"], true),
    ("v1", "ConfigMap", "configmaps", &["cm"], true),
    ("v1", "Secret", "secrets", &[], true),
    ("v1", "Endpoints", "endpoints", &["ep"], true),
    ("v1", "ServiceAccount", "serviceaccounts", &["sa"], true),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true),
    ("v1", "PersistentVolume", "persistentvolumes", &["pv"], false),
    ("v1", "ResourceQuota", "resourcequotas", &["quota"], true),
    ("v1", "LimitRange", "limitranges", &["limits"], true),
    ("apps/v1", "Deployment", "deployments", &["deploy"], true),
    ("apps/v1", "ReplicaSet", "replicasets", &["rs"], true),
    ("apps/v1", "StatefulSet", "statefulsets", &["sts"], true),
    ("apps/v1", "DaemonSet", "daemonsets", &["ds"], true),
    ("apps/v1", "ControllerRevision", "controllerrevisions", &[], true),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], true),
    ("batch/v1", "CronJob", "cronjobs", &["cj"], true),
    ("batch/v1", "Job", "jobs", &[], true),
    ("coordination.k8s.io/v1", "Lease", "leases", &[], true),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", &[], true),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", &["netpol"], true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", &["ing"], true),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], true),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", &["sc"], false),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", &[], false),
    ("storage.k8s.io/v1", "CSINode", "csinodes", &[], false),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", &[], false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", &[], true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", &[], false),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", &[], true),
];

/// What one server serves.
#[derive(Debug)]
pub struct Kinds {
    all: Vec<ApiKind>,
    silent: usize,
    seen: Instant,
}

impl Kinds {
    fn find(&self, word: &str, api_version: Option<&str>) -> Option<&ApiKind> {
        best(self.all.iter(), word, api_version)
    }
}

/// The kind that `word` means: core before apps before the server's own order.
fn best<'k>(kinds: impl Iterator<Item = &'k ApiKind>, word: &str, api_version: Option<&str>) -> Option<&'k ApiKind> {
    kinds.filter(|k| k.is_called(word) && api_version.is_none_or(|v| k.is_of(v))).min_by_key(|k| {
        match k.group.as_str() {
            "" => 0,
            "apps" => 1,
            _ => 2,
        }
    })
}

fn stable() -> &'static [ApiKind] {
    static KINDS: std::sync::LazyLock<Vec<ApiKind>> = std::sync::LazyLock::new(|| {
        STABLE
            .iter()
            .map(|(api_version, kind, plural, short_names, namespaced)| {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                ApiKind {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: (*kind).to_owned(),
                    plural: (*plural).to_owned(),
                    singular: kind.to_ascii_lowercase(),
                    short_names: short_names.iter().map(|s| (*s).to_owned()).collect(),
                    namespaced: *namespaced,
                }
            })
            .collect()
    });
    &KINDS
}

impl KubeReader {
    /// What `word` means as far as it is known without asking the server.
    pub fn known_kind(&self, word: &str, api_version: Option<&str>) -> Option<ApiKind> {
        let word = word.trim();
        let known = best(stable().iter(), word, api_version).cloned();
        known.or_else(|| self.kinds.load().as_ref().and_then(|kinds| kinds.find(word, api_version).cloned()))
    }

    /// What `word` (kind, plural, singular, short name or `plural.group`, in any case) means on
    /// this server. `api_version` (`group/version`, or a group alone) chooses among several.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] with the nearest kinds when the server knows no such kind.
    pub async fn resolve(&self, word: &str, api_version: Option<&str>) -> Result<ApiKind, EdgeError> {
        let word = word.trim();
        if let Some(kind) = best(stable().iter(), word, api_version) {
            return Ok(kind.clone());
        }
        let kinds = self.kinds(FRESH).await?;
        if let Some(kind) = kinds.find(word, api_version) {
            return Ok(kind.clone());
        }
        // A definition may have been installed since we looked.
        let kinds = self.kinds(RETRY).await?;
        kinds.find(word, api_version).cloned().ok_or_else(|| unknown(&kinds, word, api_version))
    }

    /// Asks the server what it serves, so that [`Self::known_kind`] knows it.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn discover(&self) -> Result<(), EdgeError> {
        self.kinds(FRESH).await.map(|_| ())
    }

    async fn kinds(&self, at_most: Duration) -> Result<Arc<Kinds>, EdgeError> {
        let fresh = || self.kinds.load_full().filter(|k| k.seen.elapsed() < at_most);
        if let Some(kinds) = fresh() {
            return Ok(kinds);
        }
        let _one_at_a_time = self.discovering.lock().await;
        if let Some(kinds) = fresh() {
            return Ok(kinds);
        }
        let mut all = Vec::new();
        let mut silent = 0;
        for root in ["/api", "/apis"] {
            let answer = self.json(root, &ListParams::default(), Some(DISCOVERY)).await?;
            match answer["kind"].as_str() {
                Some("APIGroupDiscoveryList") => aggregated(&answer, &mut all),
                Some("APIVersions" | "APIGroupList") => silent += self.one_by_one(&answer, &mut all).await,
                _ => {
                    let text = format!("the answer to GET {root} is no list of APIs; is it a Kubernetes API server?");
                    return Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, text));
                }
            }
        }
        all.truncate(KINDS);
        let kinds = Arc::new(Kinds { all, silent, seen: Instant::now() });
        self.kinds.store(Some(kinds.clone()));
        Ok(kinds)
    }

    /// Asks each group version; returns how many did not answer.
    async fn one_by_one(&self, groups: &Value, all: &mut Vec<ApiKind>) -> usize {
        let core = groups["versions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut wanted: Vec<(String, String)> = core.map(|v| (String::new(), v.to_owned())).collect();
        for group in groups["groups"].as_array().into_iter().flatten() {
            let name = group["name"].as_str().unwrap_or_default();
            let mut versions: Vec<&str> =
                group["versions"].as_array().into_iter().flatten().filter_map(|v| v["version"].as_str()).collect();
            let preferred = group["preferredVersion"]["version"].as_str();
            versions.sort_by_key(|v| Some(*v) != preferred);
            wanted.extend(versions.iter().map(|v| (name.to_owned(), (*v).to_owned())));
        }
        wanted.truncate(GROUP_VERSIONS);
        let asked = stream::iter(wanted)
            .map(|(group, version)| async move {
                let path = match group.is_empty() {
                    true => format!("/api/{version}"),
                    false => format!("/apis/{group}/{version}"),
                };
                (self.json(&path, &ListParams::default(), None).await, group, version)
            })
            .buffered(8)
            .collect::<Vec<_>>()
            .await;
        let mut silent = 0;
        for (answer, group, version) in asked {
            match answer {
                Ok(list) => resources(&list, &group, &version, all),
                // One broken extension must not hide the rest of the cluster.
                Err(_) => silent += 1,
            }
        }
        silent
    }
}

fn aggregated(list: &Value, all: &mut Vec<ApiKind>) {
    for group in list["items"].as_array().into_iter().flatten() {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            for resource in version["resources"].as_array().into_iter().flatten() {
                let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
                push(
                    all,
                    &resource["verbs"],
                    ApiKind {
                        group: name.to_owned(),
                        version: version["version"].as_str().unwrap_or_default().to_owned(),
                        kind: resource["responseKind"]["kind"].as_str().unwrap_or_default().to_owned(),
                        plural: text("resource"),
                        singular: text("singularResource"),
                        short_names: texts(&resource["shortNames"]),
                        namespaced: resource["scope"] == "Namespaced",
                    },
                );
            }
        }
    }
}

fn resources(list: &Value, group: &str, version: &str, all: &mut Vec<ApiKind>) {
    for resource in list["resources"].as_array().into_iter().flatten() {
        let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
        push(
            all,
            &resource["verbs"],
            ApiKind {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: text("kind"),
                plural: text("name"),
                singular: text("singularName"),
                short_names: texts(&resource["shortNames"]),
                namespaced: resource["namespaced"] == true,
            },
        );
    }
}

fn push(all: &mut Vec<ApiKind>, verbs: &Value, mut kind: ApiKind) {
    let readable = texts(verbs).iter().any(|v| v == "get" || v == "list");
    // A subresource, `pods/log`, is no kind of its own.
    if readable && !kind.plural.contains('/') && !kind.kind.is_empty() && !kind.version.is_empty() {
        if kind.singular.is_empty() {
            kind.singular = kind.kind.to_ascii_lowercase();
        }
        all.push(kind);
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn unknown(kinds: &Kinds, word: &str, api_version: Option<&str>) -> EdgeError {
    let shown: String = word.chars().take(60).collect();
    if let (Some(api_version), Some(other)) =
        (api_version, best(stable().iter(), word, None).or(kinds.find(word, None)))
    {
        return invalid(format!(
            "the server has no kind `{shown}` in `{}`, but in `{}`; leave api_version out or use that one",
            api_version.chars().take(60).collect::<String>(),
            other.api_version()
        ));
    }
    let names = kinds.all.iter().chain(stable()).map(|k| k.kind.as_str());
    let near = nearest(word, names, 5);
    let silent = match kinds.silent {
        0 => String::new(),
        n => format!(" ({n} API groups did not answer)"),
    };
    invalid(format!("the server has no kind `{shown}`{silent}; the nearest are {}", near.join(", ")))
}

/// The `n` of `names` that look most like `word`, nearest first.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>, n: usize) -> Vec<&'n str> {
    let word: String = word.to_lowercase().chars().take(64).collect();
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.sort_by_cached_key(|name| {
        let name: String = name.to_lowercase().chars().take(64).collect();
        let contains = word.len() > 2 && (name.contains(&word) || word.contains(&name));
        // What contains the word is nearer than any respelling.
        (!contains, distance(&word, &name))
    });
    names.truncate(n);
    names
}

/// Edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, fixture};
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn stable_kinds_need_no_question_and_any_spelling_is_one_kind() {
        let fake = Fake::new();
        let reader = fake.reader();
        for word in ["po", "pod", "Pod", "PODS", " pods "] {
            assert_eq!(reader.resolve(word, None).await.unwrap().kind, "Pod");
            assert_eq!(reader.known_kind(word, None).unwrap().kind, "Pod");
        }
        assert_eq!(reader.resolve("deploy", None).await.unwrap().api_version(), "apps/v1");
        assert_eq!(reader.resolve("deployments.apps", None).await.unwrap().plural, "deployments");
        assert!(fake.asked().is_empty());
        let shown = |w| reader.known_kind(w, None).map(|k| (k.path(Some("a")), k.path(None)));
        assert_eq!(
            shown("sts"),
            Some(("/apis/apps/v1/namespaces/a/statefulsets".into(), "/apis/apps/v1/statefulsets".into()))
        );
    }

    #[tokio::test]
    async fn aggregated_discovery_is_two_questions_and_is_remembered() {
        let fake = Fake::new();
        fake.on("/api", 200, json!({"kind": "APIGroupDiscoveryList", "items": []}));
        fake.on(
            "/apis",
            200,
            json!({"kind": "APIGroupDiscoveryList", "items": [
                {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "resources": [
                    {"resource": "pods", "responseKind": {"kind": "PodMetrics"}, "scope": "Namespaced", "verbs": ["get", "list"]}]}]},
                {"metadata": {"name": "cert-manager.io"}, "versions": [{"version": "v1", "resources": [
                    {"resource": "certificates", "responseKind": {"kind": "Certificate"}, "singularResource": "certificate",
                     "scope": "Namespaced", "shortNames": ["cert"], "verbs": ["get", "list"]},
                    {"resource": "tokenreviews", "responseKind": {"kind": "TokenReview"}, "scope": "Cluster", "verbs": ["create"]}]}]},
            ]}),
        );
        let reader = fake.reader();
        assert_eq!(reader.known_kind("cert", None), None);
        assert_eq!(reader.resolve("cert", None).await.unwrap().api_version(), "cert-manager.io/v1");
        assert_eq!(reader.known_kind("Certificate", None).unwrap().plural, "certificates");
        assert_eq!(reader.resolve("pods", Some("metrics.k8s.io/v1beta1")).await.unwrap().kind, "PodMetrics");
        assert_eq!(reader.resolve("pods", None).await.unwrap().kind, "Pod");
        let error = reader.resolve("certifcate", None).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Invalid);
        assert!(
            error.text().starts_with("the server has no kind `certifcate`; the nearest are Certificate,"),
            "{error}"
        );
        let error = reader.resolve("pods", Some("apps/v1")).await.unwrap_err();
        assert!(error.text().contains("but in `v1`"), "{error}");
        assert_eq!(fake.asked(), ["/api", "/apis"]);
        assert!(fake.accepts()[0].starts_with("application/json;g=apidiscovery.k8s.io;v=v2;"));
    }

    #[tokio::test]
    async fn an_old_server_is_asked_group_by_group_and_a_dead_group_hides_nothing() {
        let fake = Fake::new();
        fake.on("/api", 200, json!({"kind": "APIVersions", "versions": ["v1"]}));
        fake.on("/api/v1", 200, json!({"kind": "APIResourceList", "resources": []}));
        fake.on(
            "/apis",
            200,
            json!({"kind": "APIGroupList", "groups": [
                {"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}},
                {"name": "dead.example", "versions": [{"version": "v1"}]}]}),
        );
        fake.replay(&fixture("apiresources"));
        let reader = fake.reader();
        let error = reader.resolve("deploymint", None).await.unwrap_err();
        assert!(error.text().contains("1 API groups did not answer"), "{error}");
        assert!(error.text().contains("Deployment"), "{error}");
        assert_eq!(reader.known_kind("ds", Some("apps")).unwrap().kind, "DaemonSet");
    }

    #[test]
    fn what_contains_the_word_is_nearest() {
        let names = ["api-65857d5d47-26pgn", "web-1", "api"];
        assert_eq!(nearest("api-6585", names.into_iter(), 2), ["api", "api-65857d5d47-26pgn"]);
        assert_eq!(nearest("wab-1", names.into_iter(), 1), ["web-1"]);
    }
}
