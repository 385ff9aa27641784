//! Reading metrics.
//!
//! - [`time`]: instants, windows and steps as people write them.
//! - [`series`]: samples bounded, summarised and shown.
//! - [`gist`]: what was seen, in a line.
//! - [`guard`]: what a query would touch, before it is sent.
//! - [`query`], [`range`], [`inventory`], [`names`], [`exemplars`], [`explain`]: the tools.

pub mod exemplars;
pub mod explain;
pub(in crate::tools) mod gist;
mod guard;
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
use promql_parser::parser::{self, Expr};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 10] = [
    "prometheus_query",
    "prometheus_query_range",
    "prometheus_series",
    "prometheus_alerts",
    "prometheus_rules",
    "prometheus_targets",
    "prometheus_labels",
    "prometheus_metadata",
    "prometheus_exemplars",
    "prometheus_explain",
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
        "prometheus_exemplars" => Box::new(exemplars::Exemplars(server)),
        "prometheus_explain" => Box::new(explain::Explain(server)),
        _ => return None,
    })
}

/// What a call touches: no object of a cluster, but one endpoint of the metrics server.
fn target(verb: &str) -> Vec<Value> {
    vec![
        json!({"cluster": null, "namespace": null, "api_version": null, "kind": "Prometheus", "name": null, "verb": verb}),
    ]
}

/// A query that is PromQL.
#[derive(Debug)]
struct Parsed<'q> {
    /// As it is sent.
    text: &'q str,
    /// Its tree; `None` when it calls a function that the parser does not know.
    expr: Option<Expr>,
    /// The parser's words for that.
    unknown: String,
}

/// `query`, if it is PromQL: a typing error is told here, at once and with the place.
fn promql(query: &str) -> Result<Parsed<'_>, ToolError> {
    let text = query.trim();
    if text.is_empty() || text.len() > QUERY_BYTES {
        return Err(ToolError::invalid(format!("query: PromQL of 1 to {QUERY_BYTES} bytes is expected")));
    }
    match parser::parse(text) {
        Ok(expr) => Ok(Parsed { text, expr: Some(expr), unknown: String::new() }),
        // The server may be newer than the parser; whether it knows the function, it knows best.
        Err(unknown) if unknown.contains("unknown function") => Ok(Parsed { text, expr: None, unknown }),
        Err(e) => Err(ToolError::invalid(format!("query: this is no valid PromQL: {e}"))),
    }
}
