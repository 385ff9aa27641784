//! Alertmanager: what is silenced, and silences of our own.
//!
//! - [`silences`]: the tool that looks.
//! - [`act`]: those that silence, and end what we silenced.

pub mod act;
pub mod silences;

#[cfg(test)]
mod tests;

use super::spec::{ReadTool, ToolSpec};
use crate::domain::Clock;
use crate::edge::AlertmanagerReader;
use crate::edge::alertmanager::Matcher;
use std::sync::Arc;

/// What a manifest that only looks can run.
pub const BUILTINS: [&str; 1] = ["alertmanager_silences"];

/// The tool that `spec` runs, if it is one of those that look.
pub fn build(spec: Arc<ToolSpec>, reader: AlertmanagerReader, clock: Arc<dyn Clock>) -> Option<Box<dyn ReadTool>> {
    match spec.builtin.as_str() {
        "alertmanager_silences" => Some(Box::new(silences::Silences { spec, reader, clock })),
        _ => None,
    }
}

/// `{alertname="A", pod=~"p-.*"}`, in an order of its own.
fn shown(matchers: &[Matcher]) -> String {
    let mut all: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    all.sort();
    format!("{{{}}}", all.join(", "))
}
