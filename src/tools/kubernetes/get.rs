//! One object.

use super::{Cluster, arguments, gist, given, object};
use crate::tools::render::yaml;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

/// `kubernetes_get`.
#[derive(Debug, Clone)]
pub struct Get(pub(super) Cluster);

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    pub(super) api_version: Option<String>,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

#[async_trait]
impl ReadTool for Get {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(which) = arguments::<Which>(args) else { return Vec::new() };
        let (api_version, namespace) = (given(&which.api_version), given(&which.namespace));
        vec![self.0.target("get", &which.kind, api_version, namespace, Some(&which.name))]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let which: Which = arguments(args)?;
        let kind = self.0.reader.resolve(&which.kind, given(&which.api_version)).await?;
        let object = self.0.reader.get(&kind, given(&which.namespace), which.name.trim()).await?;
        let mut seen = Seen::all(object::trim(object));
        if kind.is_secret() {
            seen.notes.push("of a Secret only the metadata is read".to_owned());
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        gist::object(&seen.data, self.0.clock.now())
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        yaml(&object::readable(&seen.data))
    }
}
