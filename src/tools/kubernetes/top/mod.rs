//! What containers and nodes use now, beside what they asked for and may use.

mod usage;

#[cfg(test)]
mod tests;

use super::object::{items, meta};
use super::unread::Unread;
use super::{Cluster, amount, arguments, given, selector};
use crate::edge::kube::{ApiKind, ListQuery};
use crate::edge::{EdgeError, EdgeErrorKind};
use crate::tools::gist::{CHARS, counted, listed, name as short};
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use usage::By;

/// Rows that are told when nothing else is asked, and at most.
const ROWS: usize = 25;
const ROWS_MAX: usize = 200;
/// Most pods or nodes that are looked at.
const READ: usize = 1000;
/// Pods without a sample that are named.
const NAMED: usize = 10;

/// `kubernetes_top`.
#[derive(Debug, Clone)]
pub struct Top(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    by: Option<By>,
    limit: Option<usize>,
}

/// What is looked at.
#[derive(Debug)]
enum Scope {
    Nodes(Option<String>),
    Pod(String, String),
    /// By its selector.
    Workload(ApiKind, String, String),
    Namespace(String),
}

impl Top {
    fn scope(&self, args: &Args) -> Result<Scope, ToolError> {
        let (word, name) = (given(&args.kind), given(&args.name).map(str::to_owned));
        let kind = word.map(|word| {
            let known = ["v1", "apps/v1", "batch/v1"].iter().find_map(|v| self.0.reader.known_kind(word, Some(v)));
            known.ok_or_else(|| unmeasured(word))
        });
        let kind = kind.transpose()?;
        if kind.as_ref().is_some_and(|k| k.kind == "Node") {
            return Ok(Scope::Nodes(name));
        }
        let namespace = given(&args.namespace).map(str::to_owned);
        let namespace = namespace.ok_or_else(|| ToolError::invalid("say a namespace, or kind Node for the nodes"))?;
        match (kind, name) {
            (None, None) => Ok(Scope::Namespace(namespace)),
            (Some(kind), None) if kind.kind == "Pod" => Ok(Scope::Namespace(namespace)),
            (None, Some(name)) => Ok(Scope::Pod(namespace, name)),
            (Some(kind), Some(name)) if kind.kind == "Pod" => Ok(Scope::Pod(namespace, name)),
            (Some(kind), name) => match (kind.kind.as_str(), name) {
                ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job", Some(name)) => {
                    Ok(Scope::Workload(kind, namespace, name))
                }
                ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job", None) => {
                    Err(ToolError::invalid(format!("say which {}: name", kind.kind)))
                }
                _ => Err(unmeasured(&kind.kind)),
            },
        }
    }

    async fn nodes(&self, name: Option<&str>, unread: &mut Unread) -> Result<Found, ToolError> {
        let reader = &self.0.reader;
        let (metrics, nodes) = (ApiKind::metrics(true), reader.resolve("Node", Some("v1")).await?);
        let query = ListQuery { limit: READ, ..ListQuery::default() };
        let (samples, objects) = match name {
            Some(name) => {
                let (sample, node) = tokio::join!(reader.get(&metrics, None, name), reader.get(&nodes, None, name));
                (sample.map(|s| (vec![s], true)), node.map(|n| (vec![n], true)))
            }
            None => {
                let (samples, objects) =
                    tokio::join!(reader.list(&metrics, None, &query), reader.list(&nodes, None, &query));
                (samples.map(|l| (l.items, l.complete)), objects.map(|l| (l.items, l.complete)))
            }
        };
        self.found(samples, objects, "nodes", unread, None, name.is_some()).await
    }

    async fn pods(&self, scope: &Scope, unread: &mut Unread) -> Result<Found, ToolError> {
        let reader = &self.0.reader;
        let (metrics, pods) = (ApiKind::metrics(false), reader.resolve("Pod", Some("v1")).await?);
        let mut query = ListQuery { limit: READ, ..ListQuery::default() };
        let namespace = match scope {
            Scope::Pod(namespace, name) => {
                let namespace = namespace.as_str();
                let (sample, pod) =
                    tokio::join!(reader.get(&metrics, Some(namespace), name), reader.get(&pods, Some(namespace), name));
                let (sample, pod) = (sample.map(|s| (vec![s], true)), pod.map(|p| (vec![p], true)));
                return self.found(sample, pod, "pods", unread, Some(namespace), true).await;
            }
            Scope::Workload(kind, namespace, name) => {
                let workload = reader.get(kind, Some(namespace), name).await?;
                query.label_selector = selector::query(&workload["spec"]["selector"]);
                if query.label_selector.is_none() {
                    let text = format!("{} {name} has no selector that could be asked by; name a pod", kind.kind);
                    return Err(ToolError::failed(text, false));
                }
                namespace
            }
            Scope::Namespace(namespace) => namespace,
            Scope::Nodes(_) => return Err(ToolError::invalid("a node has no pods of its own here")),
        };
        let (samples, objects) =
            tokio::join!(reader.list(&metrics, Some(namespace), &query), reader.list(&pods, Some(namespace), &query));
        let (samples, objects) = (samples.map(|l| (l.items, l.complete)), objects.map(|l| (l.items, l.complete)));
        self.found(samples, objects, "pods", unread, Some(namespace), false).await
    }

    /// What came of asking for samples and for the objects that they are of.
    async fn found(
        &self,
        samples: Answer,
        objects: Answer,
        what: &str,
        unread: &mut Unread,
        namespace: Option<&str>,
        one: bool,
    ) -> Result<Found, ToolError> {
        // What does not exist is told before that nobody measures it.
        if let Err(error) = &objects
            && *error.kind() == EdgeErrorKind::NotFound
        {
            return Err(error.clone().into());
        }
        let samples = match samples {
            // There is such an object, and the metrics server does not know it.
            Err(error) if one && *error.kind() == EdgeErrorKind::NotFound => (Vec::new(), true),
            Err(error) => return Err(no_metrics(&error, namespace)),
            Ok(samples) => samples,
        };
        let (objects, complete) = unread.take(what, objects).unwrap_or((Vec::new(), true));
        Ok(Found { samples: samples.0, objects, complete: samples.1 && complete })
    }
}

/// Objects, and whether these are all.
type Answer = Result<(Vec<Value>, bool), EdgeError>;

/// Samples, the objects that they are of, and whether these are all.
struct Found {
    samples: Vec<Value>,
    objects: Vec<Value>,
    complete: bool,
}

fn unmeasured(kind: &str) -> ToolError {
    let kind = short(kind);
    ToolError::invalid(format!(
        "kind: nothing is measured of a {kind}; write Pod, Node, Deployment, StatefulSet, DaemonSet, ReplicaSet or Job"
    ))
}

/// Why there are no samples, and where else to look.
fn no_metrics(error: &EdgeError, namespace: Option<&str>) -> ToolError {
    let instead = match namespace {
        Some(namespace) => format!(
            "prometheus_query has the same as sum by (pod, container) \
             (container_memory_working_set_bytes{{namespace=\"{namespace}\",container!=\"\"}}) and \
             sum by (pod, container) (rate(container_cpu_usage_seconds_total{{namespace=\"{namespace}\",container!=\"\"}}[5m]))"
        ),
        None => "prometheus_query has the same as 1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes and \
                 1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))"
            .to_owned(),
    };
    match error.kind() {
        EdgeErrorKind::Unserved => ToolError::failed(
            format!(
                "the cluster has no metrics server (metrics.k8s.io is not served): install metrics-server, or {instead}"
            ),
            false,
        ),
        EdgeErrorKind::Status { code: 503, .. } => ToolError::failed(
            format!(
                "a metrics server is registered and does not answer (503): see its pods and the APIService \
                 v1beta1.metrics.k8s.io; until then {instead}"
            ),
            true,
        ),
        _ => error.clone().into(),
    }
}

#[async_trait]
impl ReadTool for Top {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let (word, namespace, name) = (given(&args.kind), given(&args.namespace), given(&args.name));
        let target = |kind: &str, version: &str, namespace: Option<&str>, name: Option<&str>| {
            self.0.target(if name.is_some() { "get" } else { "list" }, kind, Some(version), namespace, name)
        };
        match self.scope(&args) {
            Ok(Scope::Nodes(_)) => {
                vec![self.0.target_of(&ApiKind::metrics(true), None, name), target("Node", "v1", None, name)]
            }
            Ok(Scope::Pod(..)) => {
                vec![self.0.target_of(&ApiKind::metrics(false), namespace, name), target("Pod", "v1", namespace, name)]
            }
            Ok(scope) => {
                let mut targets = vec![
                    self.0.target_of(&ApiKind::metrics(false), namespace, None),
                    target("Pod", "v1", namespace, None),
                ];
                if let Scope::Workload(kind, ..) = scope {
                    targets.push(self.0.target_of(&kind, namespace, name));
                }
                targets
            }
            // Nothing will be read; what was asked for is still to be judged.
            Err(_) => vec![self.0.target("get", word.unwrap_or("Pod"), None, namespace, name)],
        }
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let scope = self.scope(&args)?;
        let mut unread = Unread::default();
        let of_nodes = matches!(scope, Scope::Nodes(_));
        let found = match &scope {
            Scope::Nodes(name) => self.nodes(name.as_deref(), &mut unread).await?,
            scope => self.pods(scope, &mut unread).await?,
        };
        let mut rows = match of_nodes {
            true => usage::nodes(&found.samples, &found.objects),
            false => usage::containers(&found.samples, &found.objects),
        };
        usage::rank(&mut rows, args.by);
        let unsampled = usage::unsampled(&found.samples, &found.objects, of_nodes);
        let (total, limit) = (rows.len(), args.limit.unwrap_or(ROWS).clamp(1, ROWS_MAX));
        let (of, namespace, name) = match &scope {
            Scope::Nodes(name) => ("Node", None, name.clone()),
            Scope::Pod(namespace, name) => ("Pod", Some(namespace.clone()), Some(name.clone())),
            Scope::Workload(kind, namespace, name) => (kind.kind.as_str(), Some(namespace.clone()), Some(name.clone())),
            Scope::Namespace(namespace) => ("Pod", Some(namespace.clone()), None),
        };
        rows.truncate(limit);
        let mut seen = Seen::all(json!({
            "kind": of, "namespace": namespace, "name": name, "total": total,
            "sampled": found.samples.len(), "unsampled": unsampled.len(), "rows": rows,
        }));
        if total > limit {
            seen.truncated = true;
            seen.notes.push(format!("the first {limit} of {total} are shown; ask for one workload or a higher limit"));
        }
        if !found.complete {
            seen.truncated = true;
            seen.notes.push(format!("only {READ} were looked at; there are more, ask for one workload"));
        }
        if !unsampled.is_empty() {
            let named: Vec<String> = unsampled.iter().take(NAMED).cloned().collect();
            seen.notes.push(listed(
                &format!(
                    "{} without a sample: began less than a minute ago, or the kubelet does not answer the metrics server",
                    counted(unsampled.len(), if of_nodes { "node" } else { "running pod" }, if of_nodes { "nodes" } else { "running pods" })
                ),
                &named,
                600,
            ));
        }
        unread.tell(&mut seen);
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
        let of_nodes = data["kind"] == "Node";
        let whose = match (text(&data["name"]), text(&data["namespace"])) {
            (name, _) if !name.is_empty() => format!("{} {name}", text(&data["kind"])),
            (_, namespace) if !namespace.is_empty() => namespace,
            _ => "the cluster".to_owned(),
        };
        let count = data["total"].as_u64().unwrap_or(0) as usize;
        if count == 0 {
            return format!("{whose}: no sample of what it uses");
        }
        let many = if of_nodes { counted(count, "node", "nodes") } else { counted(count, "container", "containers") };
        let worst: Vec<String> = items(&data["rows"]).take(3).map(usage::in_words).collect();
        listed(&format!("{many} of {whose}"), &worst, CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let of_nodes = seen.data["kind"] == "Node";
        let rows: Vec<Vec<String>> = items(&seen.data["rows"])
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                let mut cells = if of_nodes { vec![text("name")] } else { vec![text("pod"), text("container")] };
                for resource in ["cpu", "memory"] {
                    let of = &row[resource];
                    let one = |key: &str| of[key].as_f64().map(|a| amount::shown(resource, a)).unwrap_or_default();
                    let share = of["share"].as_f64().map(amount::percent).unwrap_or_default();
                    match of_nodes {
                        true => cells.extend([one("used"), one("limit"), share]),
                        false => cells.extend([one("used"), one("request"), one("limit"), share]),
                    }
                }
                cells.extend([age(&row["at"], now), text("window")]);
                cells
            })
            .collect();
        match (rows.is_empty(), of_nodes) {
            (true, _) => String::new(),
            (false, true) => table(
                &["NODE", "CPU", "ALLOCATABLE", "CPU%", "MEMORY", "ALLOCATABLE", "MEMORY%", "AGE", "WINDOW"],
                &rows,
            ),
            (false, false) => table(
                &[
                    "POD",
                    "CONTAINER",
                    "CPU",
                    "REQUEST",
                    "LIMIT",
                    "OF-LIMIT",
                    "MEMORY",
                    "REQUEST",
                    "LIMIT",
                    "OF-LIMIT",
                    "AGE",
                    "WINDOW",
                ],
                &rows,
            ),
        }
    }
}

/// The name of an object, for those who look one up.
fn named<'o>(objects: &'o [Value], name: &str, namespace: &str) -> Option<&'o Value> {
    objects.iter().find(|o| meta(o, "name") == name && meta(o, "namespace") == namespace)
}
