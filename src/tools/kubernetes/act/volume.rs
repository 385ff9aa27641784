//! `kubernetes_expand_volume`: more room for a claim. There is no way back.

use super::super::amount;
use super::super::object::{items, meta};
use super::patch::{Patching, Sketch};
use super::{Hands, blast};
use crate::domain::Action;
use crate::tools::act::Observed;
use crate::tools::spec::{ToolError, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// `kubernetes_expand_volume`.
pub(super) struct ExpandVolume;

/// How much larger at once.
const FACTOR: f64 = 2.0;
/// How much larger when it was asked for.
const FACTOR_ASKED: f64 = 10.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    name: String,
    size: String,
    #[serde(default)]
    more_than_double: bool,
}

#[async_trait]
impl Patching for ExpandVolume {
    async fn sketch(&self, hands: &Hands, args: &Value) -> Result<Sketch, ToolError> {
        let Args { namespace, name, size, more_than_double } = arguments(args)?;
        let (namespace, name, size) = (namespace.trim(), name.trim(), size.trim());
        let kind = hands.reader.resolve("PersistentVolumeClaim", Some("v1")).await?;
        let object = hands.reader.get(&kind, Some(namespace), name).await?;
        let what = format!("PersistentVolumeClaim {namespace}/{name}");
        let refuse = |why: String| Err(ToolError::invalid(format!("{what}: {why}")));
        let bytes = match enlarged(&object, size, more_than_double) {
            Ok(bytes) => bytes,
            Err(why) => return refuse(why),
        };
        let Some(class) = object["spec"]["storageClassName"].as_str().filter(|class| !class.is_empty()) else {
            return refuse("it has no StorageClass, so nothing can expand it".to_owned());
        };
        let classes = hands.reader.resolve("StorageClass", Some("storage.k8s.io")).await?;
        if hands.reader.get(&classes, None, class).await?["allowVolumeExpansion"] != true {
            return refuse(format!("its StorageClass {class} does not allow expansion"));
        }
        let mut blast_radius = hands.counted(Some(namespace), None, |pod| blast::mounts(pod, name)).await;
        blast_radius.pvc_bytes = bytes as u64;
        let asked = object["spec"]["resources"]["requests"]["storage"].as_str().unwrap_or_default().to_owned();
        let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let title = format!("expand {what} from {asked} to {size}");
        let sketch = Sketch::new(kind, object, title, patch);
        Ok(Sketch { reversible: false, stateful: true, blast_radius, ..sketch })
    }

    fn observe(&self, action: &Action, object: &Value) -> Observed {
        watched(object, action.args["size"].as_str().unwrap_or_default())
    }
}

/// The wanted bytes, where they are more than there are and not too many.
fn enlarged(claim: &Value, size: &str, more_than_double: bool) -> Result<f64, String> {
    let wanted = amount::of(&size.into()).filter(|bytes| *bytes >= 1.0);
    let wanted = wanted.ok_or_else(|| format!("`{size}` is no size; write 20Gi"))?;
    if claim["status"]["phase"] != "Bound" {
        return Err("it is not bound to a volume".to_owned());
    }
    let sizes = [&claim["spec"]["resources"]["requests"]["storage"], &claim["status"]["capacity"]["storage"]];
    let present = sizes.iter().filter_map(|size| amount::of(size)).fold(0.0, f64::max);
    let shown = |bytes: f64| amount::shown("storage", bytes);
    if present <= 0.0 {
        return Err("its size is not known".to_owned());
    }
    if wanted <= present {
        return Err(format!("it has {} already, and a volume cannot shrink", shown(present)));
    }
    let factor = if more_than_double { FACTOR_ASKED } else { FACTOR };
    match wanted > present * factor {
        true if more_than_double => {
            Err(format!("at most {} from here, ten times what it has", shown(present * factor)))
        }
        true => Err(format!("at most {} at once; more only with more_than_double", shown(present * factor))),
        false => Ok(wanted),
    }
}

/// How far an expansion to `size` is.
fn watched(claim: &Value, size: &str) -> Observed {
    let capacity = &claim["status"]["capacity"]["storage"];
    let (has, wanted) = (amount::of(capacity), amount::of(&size.into()));
    if has.zip(wanted).is_some_and(|(has, wanted)| has >= wanted) {
        return Observed::Settled(format!("it has {}", capacity.as_str().unwrap_or_default()));
    }
    let resizing = claim["status"]["allocatedResourceStatuses"]["storage"].as_str().unwrap_or_default();
    if resizing.ends_with("Infeasible") || resizing.ends_with("Failed") {
        return Observed::Broken(format!("the storage says {resizing}"));
    }
    let failed = items(&claim["status"]["conditions"])
        .find(|condition| condition["status"] == "True" && meta_type(condition).ends_with("ResizeError"));
    match failed {
        Some(condition) => Observed::Broken(format!("the storage says {}", meta_type(condition))),
        None => {
            Observed::Moving(format!("{} has {} so far", meta(claim, "name"), capacity.as_str().unwrap_or("nothing")))
        }
    }
}

fn meta_type(condition: &Value) -> &str {
    condition["type"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(asked: &str, has: &str) -> Value {
        json!({"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": asked}}},
               "status": {"phase": "Bound", "capacity": {"storage": has}}})
    }

    #[test]
    fn a_volume_only_grows_and_at_most_to_the_double_unless_asked() {
        for (size, more, says) in [
            ("20Gi", false, None),
            ("10Gi", false, Some("cannot shrink")),
            ("5Gi", true, Some("cannot shrink")),
            ("21Gi", false, Some("at most 20Gi at once")),
            ("21Gi", true, None),
            ("101Gi", true, Some("at most 100Gi from here")),
            ("lots", false, Some("is no size")),
            ("-5Gi", false, Some("is no size")),
        ] {
            let found = enlarged(&claim("10Gi", "10Gi"), size, more);
            match says {
                None => assert!(found.is_ok(), "{size}: {found:?}"),
                Some(words) => assert!(found.clone().is_err_and(|e| e.contains(words)), "{size}: {found:?}"),
            }
        }
        assert!(enlarged(&claim("10Gi", "15Gi"), "12Gi", false).is_err(), "it was given more than it asked for");
        assert!(enlarged(&json!({"status": {"phase": "Pending"}}), "1Gi", false).is_err());
    }

    #[test]
    fn an_expansion_is_watched_by_what_the_storage_gives() {
        let mut slow = claim("20Gi", "10Gi");
        assert!(matches!(watched(&slow, "20Gi"), Observed::Moving(_)));
        slow["status"]["allocatedResourceStatuses"] = json!({"storage": "ControllerResizeInfeasible"});
        assert!(matches!(watched(&slow, "20Gi"), Observed::Broken(_)));
        let mut failed = claim("20Gi", "10Gi");
        failed["status"]["conditions"] = json!([{"type": "NodeResizeError", "status": "True"}]);
        assert!(matches!(watched(&failed, "20Gi"), Observed::Broken(_)));
        assert!(matches!(watched(&claim("20Gi", "20Gi"), "20Gi"), Observed::Settled(_)));
    }
}
