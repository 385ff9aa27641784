//! Policies as they are kept: with what their digest is made of, so that a later program can tell that
//! they are the ones that decided.

use crate::domain::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bundle of policies as it decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptBundle {
    /// The interpreter, with its version.
    pub engine: String,
    /// The contract.
    pub contract: String,
    /// Every file by its path.
    pub files: BTreeMap<String, String>,
}

impl KeptBundle {
    /// The digest under which decisions name it.
    pub fn digest(&self) -> Digest {
        let files = self.files.iter().flat_map(|(path, text)| [path.as_str(), text.as_str()]);
        Digest::of_parts([self.engine.as_str(), &self.contract].into_iter().chain(files))
    }
}
