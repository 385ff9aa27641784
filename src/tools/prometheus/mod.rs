//! Reading metrics.
//!
//! - [`time`]: instants, windows and steps as people write them.
//! - [`series`]: samples bounded, summarised and shown.
//! - [`gist`]: what was seen, in a line.
//! - [`query`], [`range`], [`inventory`], [`names`]: the tools.

pub(in crate::tools) mod gist;
pub mod inventory;
pub mod names;
pub mod query;
pub mod range;
pub mod series;
pub mod time;

#[cfg(test)]
mod tests;

use super::spec::{ReadTool, ToolError, ToolSpec, arguments};
use crate::domain::Clock;
use crate::edge::PrometheusReader;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 8] = [
    "prometheus_query",
    "prometheus_query_range",
    "prometheus_series",
    "prometheus_alerts",
    "prometheus_rules",
    "prometheus_targets",
    "prometheus_labels",
    "prometheus_metadata",
];
/// Longest query, in bytes.
const QUERY_BYTES: usize = 4096;

/// What every tool here works with.
#[derive(Debug, Clone)]
pub struct Server {
    spec: Arc<ToolSpec>,
    reader: PrometheusReader,
    clock: Arc<dyn Clock>,
}

/// The tool that `spec` runs, if it is one of ours.
pub fn build(spec: Arc<ToolSpec>, reader: PrometheusReader, clock: Arc<dyn Clock>) -> Option<Box<dyn ReadTool>> {
    let builtin = spec.builtin.clone();
    let server = Server { spec, reader, clock };
    Some(match builtin.as_str() {
        "prometheus_query" => Box::new(query::Query(server)),
        "prometheus_query_range" => Box::new(range::QueryRange(server)),
        "prometheus_series" => Box::new(inventory::Series(server)),
        "prometheus_alerts" => Box::new(inventory::Alerts(server)),
        "prometheus_rules" => Box::new(inventory::Rules(server)),
        "prometheus_targets" => Box::new(inventory::Targets(server)),
        "prometheus_labels" => Box::new(names::Labels(server)),
        "prometheus_metadata" => Box::new(names::Metadata(server)),
        _ => return None,
    })
}

/// What a call touches: no object of a cluster, but one endpoint of the metrics server.
fn target(verb: &str) -> Vec<Value> {
    vec![
        json!({"cluster": null, "namespace": null, "api_version": null, "kind": "Prometheus", "name": null, "verb": verb}),
    ]
}

/// `query`, if it is PromQL: a typing error is told here, at once and with the place.
fn promql(query: &str) -> Result<&str, ToolError> {
    let query = query.trim();
    if query.is_empty() || query.len() > QUERY_BYTES {
        return Err(ToolError::invalid(format!("query: PromQL of 1 to {QUERY_BYTES} bytes is expected")));
    }
    match promql_parser::parser::parse(query) {
        Ok(_) => Ok(query),
        // The server may be newer than the parser; whether it knows the function, it knows best.
        Err(e) if e.contains("unknown function") => Ok(query),
        Err(e) => Err(ToolError::invalid(format!("query: this is no valid PromQL: {e}"))),
    }
}
