//! The revisions of a workload, and what each changed.

use super::object::{items, meta};
use super::{Cluster, arguments, columns, given, revisions, selector, template};
use crate::edge::kube::ListQuery;
use crate::tools::gist::{CHARS, counted, line, listed, name as short};
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Revisions that are told when nothing else is asked, and at most.
const REVISIONS: usize = 5;
const REVISIONS_MAX: usize = 20;
/// Most objects of a namespace that are looked through.
const READ: usize = 500;

/// `kubernetes_rollout_history`.
#[derive(Debug, Clone)]
pub struct RolloutHistory(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    kind: String,
    namespace: String,
    name: String,
    limit: Option<usize>,
}

/// Where the revisions of a workload are kept.
fn keeper(kind: &str) -> Option<&'static str> {
    match kind {
        "Deployment" => Some("ReplicaSet"),
        "StatefulSet" | "DaemonSet" => Some("ControllerRevision"),
        _ => None,
    }
}

#[async_trait]
impl ReadTool for RolloutHistory {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let namespace = Some(args.namespace.as_str());
        let mut targets = vec![self.0.target("get", &args.kind, Some("apps/v1"), namespace, Some(&args.name))];
        for kept in ["ReplicaSet", "ControllerRevision"] {
            targets.push(self.0.target("list", kept, Some("apps/v1"), namespace, None));
        }
        targets
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let reader = &self.0.reader;
        let no_workload =
            || ToolError::invalid("kind: only a Deployment, a StatefulSet or a DaemonSet has a rollout history");
        // Of other groups nothing is read: the targets said `apps/v1`.
        let kind = reader.known_kind(&args.kind, Some("apps/v1")).ok_or_else(no_workload)?;
        let kept = keeper(&kind.kind).ok_or_else(no_workload)?;
        let namespace = given(&Some(args.namespace)).map(str::to_owned);
        let workload = reader.get(&kind, namespace.as_deref(), args.name.trim()).await?;
        let kept = reader.resolve(kept, Some("apps/v1")).await?;
        let query = ListQuery {
            label_selector: selector::query(&workload["spec"]["selector"]),
            limit: READ,
            ..ListQuery::default()
        };
        let listing = reader.list(&kept, namespace.as_deref(), &query).await?;
        let mut revisions: Vec<Value> = listing
            .items
            .iter()
            .filter(|item| revisions::controls(&workload, item))
            .map(|item| revision(item, &workload))
            .collect();
        revisions.sort_by_key(|r| std::cmp::Reverse(r["revision"].as_i64()));
        let total = revisions.len();
        let mut seen = Seen::all(Value::Null);
        if !listing.complete {
            seen.truncated = true;
            seen.notes.push(format!("only {READ} {} were looked through; revisions may be missing", kept.plural));
        }
        let limit = args.limit.unwrap_or(REVISIONS).clamp(1, REVISIONS_MAX);
        if total > limit {
            seen.notes.push(format!("{limit} of {total} revisions are shown; ask with a higher limit"));
        }
        if kind.kind == "Deployment" && total > 1 {
            // A rollback gives an old ReplicaSet a new number, and leaves its age.
            seen.notes.push("AGE is that of the ReplicaSet; a rollback reuses an old one".to_owned());
        }
        let mut told = Vec::new();
        for at in 0..total.min(limit) {
            let mut one = revisions[at].clone();
            if let Some(older) = revisions.get(at + 1) {
                let (changes, more) = template::diff(&older["template"], &one["template"]);
                one["against"] = older["revision"].clone();
                one["changes"] = changes.into();
                one["more_changes"] = more.into();
            }
            if let Some(one) = one.as_object_mut() {
                one.remove("template");
            }
            told.push(one);
        }
        seen.data = json!({
            "kind": kind.kind, "namespace": namespace, "name": meta(&workload, "name"),
            "total": total, "revisions": told,
        });
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let text = |value: &Value| value.as_str().map(short).unwrap_or_default();
        let what = format!("{} {}", text(&data["kind"]), text(&data["name"]));
        let Some(newest) = items(&data["revisions"]).next() else {
            return format!("{what}: no revision is kept");
        };
        let total = data["total"].as_u64().unwrap_or(0) as usize;
        let head = format!(
            "{what}: {} kept, newest {} ({} old)",
            counted(total, "revision", "revisions"),
            newest["revision"],
            age(&newest["at"], self.0.clock.now())
        );
        let changed: Vec<String> = items(&newest["changes"])
            .filter_map(|c| c["path"].as_str())
            .map(|p| line(p.trim_start_matches("spec.")))
            .collect();
        match newest["against"].is_null() {
            true => head,
            false if changed.is_empty() => format!("{head} changed nothing"),
            false => listed(&format!("{head} changed"), &changed, CHARS),
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows: Vec<Vec<String>> = items(&seen.data["revisions"])
            .map(|r| {
                let ready = match (r["ready"].as_u64(), r["wanted"].as_u64()) {
                    (Some(ready), Some(wanted)) => format!("{ready}/{wanted}"),
                    _ => String::new(),
                };
                let current = if r["current"] == true { "yes" } else { "" };
                let age = age(&r["at"], now);
                vec![
                    r["revision"].to_string(),
                    current.to_owned(),
                    age,
                    ready,
                    text(&r["name"]),
                    text(&r["change_cause"]),
                    text(&r["images"]),
                ]
            })
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let mut out = table(&["REVISION", "CURRENT", "AGE", "READY", "NAME", "CAUSE", "IMAGES"], &rows);
        for r in items(&seen.data["revisions"]).filter(|r| !r["against"].is_null()) {
            let _ = writeln!(out, "\n{} against {}:", r["revision"], r["against"]);
            for change in items(&r["changes"]) {
                let _ = writeln!(out, "  {}", template::line(change).0);
            }
            match r["more_changes"].as_u64() {
                Some(more) if more > 0 => drop(writeln!(out, "  and {more} more differences")),
                _ if items(&r["changes"]).next().is_none() => out.push_str("  the same pod template\n"),
                _ => {}
            }
        }
        out
    }
}

/// `{revision, name, at, current, ready, wanted, change_cause, images, template}`.
fn revision(item: &Value, workload: &Value) -> Value {
    let replicas = item["spec"]["template"].is_object();
    let template = revisions::template(item);
    let told = if replicas { revisions::number(item) } else { item["revision"].as_i64() };
    let status = &workload["status"];
    let current = match (replicas, status["updateRevision"].as_str()) {
        (true, _) => revisions::number(workload).map(|n| Some(n) == told),
        (false, Some(name)) => Some(name == meta(item, "name")),
        (false, None) => None,
    };
    json!({
        "revision": told, "name": meta(item, "name"), "at": item["metadata"]["creationTimestamp"], "current": current,
        "ready": replicas.then(|| item["status"]["readyReplicas"].as_u64().unwrap_or(0)),
        "wanted": replicas.then(|| item["spec"]["replicas"].as_u64().unwrap_or(1)),
        "change_cause": item["metadata"]["annotations"]["kubernetes.io/change-cause"],
        "images": columns::images(&json!({"template": template.clone()})),
        "template": template,
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::{Clock, Redactor};
    use crate::edge::kube::fake::{Fake, fixture};
    use crate::tools::{Manifests, Registry, Sources};
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Recorded;
    impl Clock for Recorded {
        fn now(&self) -> jiff::Timestamp {
            "2026-11-21T00:09:00Z".parse().unwrap()
        }
    }

    fn registry(fake: &Fake) -> Registry {
        let sources = Sources { kubernetes: Some(fake.reader()), ..Sources::none(Arc::new(Recorded)) };
        let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new([]).unwrap()));
        Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap()
    }

    fn asked(kind: &str, name: &str) -> Value {
        json!({"kind": kind, "namespace": "shop", "name": name})
    }

    #[tokio::test]
    async fn a_new_revision_is_told_with_what_it_changed() {
        let fake = Fake::new();
        fake.replay(&fixture("deployment"));
        // The recorded list, with an older revision of the same Deployment and another owner's.
        let mut list = fixture("replicasets")["response"]["body"].clone();
        let mut older = list["items"][0].clone();
        older["metadata"]["name"] = "api-54d8c7f9b6".into();
        older["metadata"]["creationTimestamp"] = "2026-11-20T20:00:00Z".into();
        older["spec"]["replicas"] = 0.into();
        older["status"] = json!({"replicas": 0});
        list["items"][0]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "10".into();
        older["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "9".into();
        older["metadata"]["annotations"]["kubernetes.io/change-cause"] = "first".into();
        older["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "54d8c7f9b6".into();
        older["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/api:1.4.1".into();
        older["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "DB_PASSWORD", "value": "correct horse"}]);
        list["items"].as_array_mut().unwrap().insert(0, older);
        fake.on("/apis/apps/v1/namespaces/shop/replicasets", 200, list);
        let seen = registry(&fake).look("kubernetes_rollout_history", &asked("deploy", "api")).await.unwrap();
        assert!(!format!("{} {}", seen.data, seen.text).contains("horse"), "{}", seen.text);
        assert_eq!(seen.data["total"], 2);
        insta::assert_snapshot!("history", seen.text);
    }

    #[tokio::test]
    async fn a_stateful_set_keeps_controller_revisions() {
        let fake = Fake::new();
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u1", "controller": true}]);
        let revision = |n: u64, memory: &str, uid: &str| {
            let mut owner = owner.clone();
            owner[0]["uid"] = uid.into();
            json!({"metadata": {"name": format!("db-{n}"), "namespace": "shop", "creationTimestamp": "2026-11-20T20:00:00Z",
                    "ownerReferences": owner}, "revision": n,
                "data": {"spec": {"template": {"$patch": "replace", "spec": {"containers": [
                    {"name": "db", "image": "db:1", "resources": {"limits": {"memory": memory}}}]}}}}})
        };
        fake.on("/apis/apps/v1/namespaces/shop/statefulsets/db", 200, json!({"kind": "StatefulSet", "apiVersion": "apps/v1",
            "metadata": {"name": "db", "namespace": "shop", "uid": "u1"}, "spec": {"selector": {"matchLabels": {"app": "db"}}},
            "status": {"updateRevision": "db-2"}}));
        fake.on(
            "/apis/apps/v1/namespaces/shop/controllerrevisions",
            200,
            json!({"items": [revision(1, "2Gi", "u1"), revision(2, "1Gi", "u1"), revision(3, "9Gi", "of another life")]}),
        );
        let seen = registry(&fake).look("kubernetes_rollout_history", &asked("sts", "db")).await.unwrap();
        let first = seen.text.lines().next().unwrap();
        assert_eq!(
            first,
            "StatefulSet db: 2 revisions kept, newest 2 (4h old) changed: containers[db].resources.limits.memory"
        );
        assert!(seen.text.contains("2Gi -> 1Gi"), "{}", seen.text);
        assert_eq!(seen.data["revisions"][0]["current"], true);
        assert!(fake.asked().iter().any(|a| a.contains("labelSelector=app%3Ddb")), "{:?}", fake.asked());
    }

    #[tokio::test]
    async fn other_kinds_have_no_history_and_an_empty_one_is_said() {
        let fake = Fake::new();
        fake.replay(&fixture("deployment"));
        fake.on("/apis/apps/v1/namespaces/shop/replicasets", 200, json!({"items": []}));
        fake.on("/api/v1/namespaces/shop", 200, json!({}));
        let registry = registry(&fake);
        for kind in ["Pod", "ReplicaSet", "rollouts"] {
            let error = registry.look("kubernetes_rollout_history", &asked(kind, "api")).await.unwrap_err();
            assert!(error.for_reader().contains("has a rollout history"), "{error}");
        }
        let seen = registry.look("kubernetes_rollout_history", &asked("Deployment", "api")).await.unwrap();
        assert!(seen.text.starts_with("Deployment api: no revision is kept"), "{}", seen.text);
        let kinds: Vec<String> = registry
            .targets("kubernetes_rollout_history", &asked("deployments", "api"))
            .unwrap()
            .iter()
            .map(|t| format!("{} {}", t["verb"].as_str().unwrap(), t["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(kinds, ["get Deployment", "list ReplicaSet", "list ControllerRevision"]);
    }
}
