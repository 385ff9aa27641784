//! Reading logs that Loki keeps.
//!
//! - [`query`], [`labels`]: the tools.

pub mod labels;
pub mod query;

#[cfg(test)]
mod tests;

use super::prometheus::time::{Written, text, window};
use super::spec::{ReadTool, ToolError, ToolSpec};
use crate::domain::{Clock, Redactor};
use crate::edge::LokiReader;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a manifest can run.
pub const BUILTINS: [&str; 2] = ["loki_query", "loki_labels"];
/// The window when none is given, and the longest, in seconds.
const WINDOW: f64 = 3600.0;
const WINDOW_MAX: f64 = 31.0 * 86_400.0;

/// What every tool here works with.
#[derive(Debug, Clone)]
pub struct Logs {
    spec: Arc<ToolSpec>,
    reader: LokiReader,
    clock: Arc<dyn Clock>,
    redactor: Arc<ArcSwap<Redactor>>,
}

/// The tool that `spec` runs, if it is one of ours.
pub fn build(
    spec: Arc<ToolSpec>,
    reader: LokiReader,
    clock: Arc<dyn Clock>,
    redactor: &Arc<ArcSwap<Redactor>>,
) -> Option<Box<dyn ReadTool>> {
    let builtin = spec.builtin.clone();
    let logs = Logs { spec, reader, clock, redactor: redactor.clone() };
    Some(match builtin.as_str() {
        "loki_query" => Box::new(query::Query(logs)),
        "loki_labels" => Box::new(labels::Labels(logs)),
        _ => return None,
    })
}

/// What a call touches: no object of a cluster, but one endpoint of the log server.
fn target(verb: &str) -> Vec<Value> {
    vec![json!({"cluster": null, "namespace": null, "api_version": null, "kind": "Loki", "name": null, "verb": verb})]
}

impl Logs {
    /// The window of a call, in nanoseconds since 1970.
    fn window(
        &self,
        start: &Option<Written>,
        end: &Option<Written>,
        length: &Option<Written>,
    ) -> Result<(i64, i64), ToolError> {
        let (start, end, length) = (text(start), text(end), text(length));
        let window = window(start.as_deref(), end.as_deref(), length.as_deref(), WINDOW, self.clock.now())?;
        if window.end - window.start > WINDOW_MAX {
            return Err(ToolError::invalid(
                "the window is longer than 31 days; send a shorter one, `window: 6h` for instance",
            ));
        }
        // Milliseconds are exact in a float of today; nanoseconds are not.
        let nanoseconds = |seconds: f64| (seconds * 1000.0).round() as i64 * 1_000_000;
        Ok((nanoseconds(window.start), nanoseconds(window.end)))
    }
}
