//! `kubernetes_rollout_undo`: the pod template of an earlier revision.

use super::super::object::meta;
use super::super::revisions::{controls, number, template};
use super::super::{columns, selector};
use super::patch::{Patching, Sketch};
use super::{Hands, blast, marks, rollout};
use crate::domain::{Action, Digest, Undo};
use crate::edge::kube::{ApiKind, ListQuery};
use crate::tools::act::{ActError, Observed};
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// `kubernetes_rollout_undo`.
pub(super) struct RolloutUndo;

/// Revisions that are looked through.
const REVISIONS: usize = 200;
/// Annotations of a template that only say that it was restarted.
const RESTARTS: [&str; 2] = [marks::RESTARTED, "kubectl.kubernetes.io/restartedAt"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    name: String,
    revision: Option<i64>,
}

#[async_trait]
impl Patching for RolloutUndo {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError> {
        let Args { namespace, name, revision } = arguments(args)?;
        let (namespace, name) = (namespace.trim(), name.trim());
        let kind = hands.reader.resolve("Deployment", Some("apps/v1")).await?;
        let object = hands.reader.get(&kind, Some(namespace), name).await?;
        let what = format!("Deployment {namespace}/{name}");
        if object["spec"]["paused"] == true {
            return Err(ToolError::invalid(format!("{what}: its rollout is paused, so nothing would be rolled back")));
        }
        let kept = revisions(hands, &object).await?;
        let current = number(&object).unwrap_or(0);
        let to =
            chosen(&kept, &object, current, revision).map_err(|why| ToolError::invalid(format!("{what}: {why}")))?;
        let (wanted, present) = (template(to), &object["spec"]["template"]);
        let revision = number(to).unwrap_or(0);
        let images = |template: &Value| columns::images(&json!({"template": template.clone()}));
        let (before, after) = (text(images(present)), text(images(&wanted)));
        let change = if before == after { String::new() } else { format!(" ({before} -> {after})") };
        let undo = Undo {
            tool: hands.spec.name.clone(),
            args: json!({"namespace": namespace, "name": name, "revision": current}),
            restores: format!("revision {current}"),
        };
        let instead = json!({"replica_set": meta(to, "name"), "template": digest(&wanted)});
        let patch = json!({"spec": {"template": merge(present, &wanted)}});
        let title = format!("roll back {what} from revision {current} to {revision}{change}");
        let (stateful, blast_radius) = (blast::is_stateful(&object), hands.radius(&object).await);
        let facts = json!({"revision": revision, "images": {"before": before, "after": after}});
        let sketch = Sketch::new(kind, object, title, patch);
        Ok(Sketch { instead: Some(instead), undo: Some(undo), stateful, blast_radius, facts, ..sketch })
    }

    /// Templates may hold what the journal need not keep: the revision is read again, and has to be what
    /// was planned. Should the Deployment be another one by now, the server refuses the patch.
    async fn patch(&self, hands: &Hands, action: &Action) -> Result<Value, ActError> {
        let read = async {
            let target = action.target();
            let present = hands.now(action).await?.unwrap_or_default();
            let kind: ApiKind = hands.reader.resolve("ReplicaSet", Some("apps/v1")).await?;
            let name = action.carries["replica_set"].as_str().unwrap_or_default();
            let kept = hands.reader.get(&kind, Some(&target.namespace), name).await?;
            Ok::<_, ToolError>((present, template(&kept)))
        };
        let (present, wanted) = read.await.map_err(|e| ActError::refused(e.for_reader()))?;
        if action.carries["template"] != digest(&wanted).as_str() {
            return Err(ActError::refused("the revision is not what it was when this was planned"));
        }
        Ok(json!({"spec": {"template": merge(&present["spec"]["template"], &wanted)}}))
    }

    fn observe(&self, _: &Action, object: &Value) -> Observed {
        rollout::of(object)
    }
}

/// The ReplicaSets of a Deployment.
async fn revisions(hands: &Hands, deployment: &Value) -> Result<Vec<Value>, ToolError> {
    let kind = hands.reader.resolve("ReplicaSet", Some("apps/v1")).await?;
    let label_selector = selector::query(&deployment["spec"]["selector"]);
    let query = ListQuery { label_selector, limit: REVISIONS, ..ListQuery::default() };
    let listing = hands.reader.list(&kind, deployment["metadata"]["namespace"].as_str(), &query).await?;
    Ok(listing.items.into_iter().filter(|item| controls(deployment, item)).collect())
}

/// The revision to go back to: the one that was asked for, else the newest before the current one that
/// differs by more than a restart.
fn chosen<'r>(kept: &'r [Value], deployment: &Value, current: i64, asked: Option<i64>) -> Result<&'r Value, String> {
    let present = without_restarts(&deployment["spec"]["template"]);
    let differs = |revision: &&Value| without_restarts(&template(revision)) != present;
    match asked {
        Some(asked) => {
            let found = kept.iter().find(|revision| number(revision) == Some(asked));
            let known = || {
                let mut numbers: Vec<i64> = kept.iter().filter_map(number).collect();
                numbers.sort_unstable();
                numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
            };
            let found = found.ok_or_else(|| format!("revision {asked} is not kept; there are {}", known()))?;
            Some(found).filter(differs).ok_or_else(|| format!("revision {asked} is what runs now"))
        }
        None => {
            let earlier = kept.iter().filter(|revision| number(revision).is_some_and(|n| n < current)).filter(differs);
            let newest = earlier.max_by_key(|revision| number(revision));
            newest.ok_or_else(|| "no earlier revision that differs is kept".to_owned())
        }
    }
}

fn without_restarts(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        let emptied = metadata.get_mut("annotations").and_then(Value::as_object_mut).is_some_and(|annotations| {
            annotations.retain(|key, _| !RESTARTS.contains(&key.as_str()));
            annotations.is_empty()
        });
        if emptied {
            metadata.remove("annotations");
        }
        // Written out or not, it means nothing.
        metadata.retain(|key, value| key != "creationTimestamp" || !value.is_null());
    }
    template
}

fn digest(template: &Value) -> Digest {
    Digest::of(serde_json_canonicalizer::to_vec(template).unwrap_or_default())
}

/// The merge patch that makes `to` of `from`.
fn merge(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for (key, wanted) in after {
        match before.get(key) {
            Some(present) if present == wanted => {}
            Some(present) if present.is_object() && wanted.is_object() => {
                patch.insert(key.clone(), merge(present, wanted));
            }
            Some(_) | None => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

fn text(value: impl Into<Value>) -> String {
    match value.into() {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::revisions::REVISION;
    use super::*;

    fn revision(n: i64, image: &str) -> Value {
        json!({"metadata": {"name": format!("api-{n}"), "annotations": {REVISION: n.to_string()}},
               "spec": {"template": {"metadata": {"labels": {"app": "api", "pod-template-hash": n.to_string()}},
                                     "spec": {"containers": [{"name": "api", "image": image}]}}}})
    }

    fn deployment(image: &str) -> Value {
        json!({"spec": {"template": {"metadata": {"labels": {"app": "api"}, "annotations": {RESTARTS[1]: "x"}},
                                     "spec": {"containers": [{"name": "api", "image": image}]}}}})
    }

    #[test]
    fn the_newest_earlier_revision_that_differs_is_chosen() {
        let kept = [revision(1, "a:1"), revision(2, "a:2"), revision(3, "a:3"), revision(4, "a:3")];
        let now = deployment("a:3");
        let choose = |asked| chosen(&kept, &now, 4, asked).map(number);
        assert_eq!(choose(None), Ok(Some(2)), "revision 3 is the same but for a restart");
        assert_eq!(choose(Some(1)), Ok(Some(1)));
        assert_eq!(choose(Some(3)), Err("revision 3 is what runs now".into()));
        assert_eq!(choose(Some(9)), Err("revision 9 is not kept; there are 1, 2, 3, 4".into()));
        assert!(chosen(&kept[2..], &now, 4, None).is_err());
    }

    #[test]
    fn a_merge_patch_makes_exactly_the_wanted_template() {
        fn apply(target: &mut Value, patch: &Value) {
            let Value::Object(patch) = patch else { return *target = patch.clone() };
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
                    value => apply(&mut target[key.as_str()], value),
                }
            }
        }
        let a = json!({"metadata": {"labels": {"app": "x"}, "annotations": {"r": "1"}}, "spec": {"c": [{"n": 1}, {"n": 2}], "only": true, "deep": {"x": 1}}});
        let b = json!({"metadata": {"labels": {"app": "x", "v": "2"}}, "spec": {"c": [{"n": 1}], "deep": 7, "new": {"y": []}}});
        for (from, to) in [(&a, &b), (&b, &a), (&a, &a)] {
            let mut made = from.clone();
            apply(&mut made, &merge(from, to));
            assert_eq!(made, *to);
        }
        assert_eq!(merge(&a, &a), json!({}));
    }
}
