//! Logs, on stderr.

use crate::config::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What a server logs.
pub(super) const SERVER: &str = "warn,firewarden=info,async_openai=off,rmcp=off";
/// What a command logs, whose output people read.
pub(super) const COMMAND: &str = "warn,async_openai=off,rmcp=off,firewarden::engine=error,firewarden::edge=error";

/// Begins to log: by `RUST_LOG`, else by `usual`. A second call changes nothing.
pub(super) fn begin(format: LogFormat, usual: &str) {
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let filter = wanted.as_deref().and_then(|filter| EnvFilter::try_new(filter).ok());
    let unreadable = wanted.is_some() && filter.is_none();
    let filter = filter.unwrap_or_else(|| EnvFilter::new(usual));
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let begun = match format {
        LogFormat::Text => base.try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
    if begun.is_ok() && unreadable {
        tracing::warn!("RUST_LOG is no filter; `info` or `firewarden=debug` would be");
    }
}
