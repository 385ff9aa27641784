//! The keys of an Alertmanager, as serde sees them; a part of [`super::file`].

use super::file::Basic;
use super::secret::Reference;
use super::units::Span;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alertmanager {
    pub url: Option<String>,
    pub bearer: Option<Reference>,
    pub basic: Option<Basic>,
    pub write: bool,
    pub longest_silence: Span,
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self { url: None, bearer: None, basic: None, write: false, longest_silence: Span::seconds(4 * 3600) }
    }
}
