//! The secrets that manifests of tools name.

use super::{Resolver, Step, at};
use crate::config::secret;
use crate::domain::Secret;
use crate::tools::Manifests;
use std::collections::BTreeMap;
use std::path::Path;

impl Resolver<'_> {
    /// Reads them, by tool and reference. A relative file stands in the manifest's folder.
    pub(super) fn tool_secrets(&mut self, dir: Option<&Path>) -> BTreeMap<(String, String), Secret> {
        let mut found = BTreeMap::new();
        // A manifest that does not load is told by whoever needs its tool.
        let Some(Ok(manifests)) = dir.filter(|dir| dir.is_dir()).map(Manifests::with_dir) else { return found };
        for (file, spec) in manifests.specs() {
            let Some(custom) = &spec.custom else { continue };
            let base = Path::new(file).parent().unwrap_or(Path::new(""));
            for reference in custom.references() {
                match secret::resolve(reference, base, &self.loaded.sources.env) {
                    Ok(secret) => {
                        found.insert((spec.name.clone(), reference.to_owned()), secret);
                    }
                    Err(error) => {
                        let what = format!("holds {}, which names a secret that is not there: {error}", spec.name);
                        self.problem(at!["tools", "dir"], what, format!("set it, or mend {file}"));
                    }
                }
            }
        }
        found
    }
}
