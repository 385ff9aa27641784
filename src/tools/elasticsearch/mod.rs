//! Searching logs that Elasticsearch or OpenSearch keeps.
//!
//! - [`question`]: the query DSL of a call, built here alone.
//! - [`search`]: the tool.

pub mod question;
pub mod search;

#[cfg(test)]
mod tests;

use super::spec::{ReadTool, ToolSpec};
use crate::domain::{Clock, Redactor};
use crate::edge::ElasticsearchReader;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 1] = ["elasticsearch_search"];

/// The tool that `spec` runs, if it is one of ours.
pub fn build(
    spec: Arc<ToolSpec>,
    reader: ElasticsearchReader,
    clock: Arc<dyn Clock>,
    redactor: &Arc<ArcSwap<Redactor>>,
) -> Option<Box<dyn ReadTool>> {
    match spec.builtin.as_str() {
        "elasticsearch_search" => Some(Box::new(search::Search { spec, reader, clock, redactor: redactor.clone() })),
        _ => None,
    }
}
